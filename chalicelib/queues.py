"""Messages out: the queues of fan-out steps and of requested emails, and the topic of the shop's alarms.

`depth` is how many messages a queue holds.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from chalicelib.domain.domain_event import DomainEvent
from chalicelib.domain.email import RequestedEmail
from chalicelib.domain.ids import ShopperId, Sku
from chalicelib.domain.wave import WaveMessage, to_json

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient

    from chalicelib.domain.merchant import MerchantId
    from chalicelib.outbound.deliveries import Delivery, Probe

# https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
SUBJECT_CHARS_MAX = 100
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
BATCH_MESSAGES_MAX = 10


class WavesQueue:
    """Queues steps of fan-outs."""

    def __init__(self, client: "SQSClient", url: str) -> None:
        self._client = client
        self._url = url

    def put(self, message: WaveMessage, *, delay_s: int = 0) -> None:
        """Queue one message, to be seen after `delay_s` seconds (at most 900)."""
        self._client.send_message(QueueUrl=self._url, MessageBody=to_json(message), DelaySeconds=delay_s)


class ConfirmationsQueue:
    """Queues emails that anybody can request: to confirm, to learn that one did, to see one's waitlists.

    Two kinds are for merchants: to sign in, and to test.

    Confirmations are seen `visit_s` seconds after they are queued: one email confirms all signups of a visit.
    """

    def __init__(self, client: "SQSClient", url: str, *, visit_s: int = 0) -> None:
        self._client = client
        self._url = url
        self._visit_s = visit_s

    def put(self, shopper: ShopperId, sku: Sku) -> None:
        """Queue the confirmation email of one entry."""
        if self._visit_s:
            self.put_back(RequestedEmail(shopper, sku), delay_s=self._visit_s)
        else:
            self._put(RequestedEmail(shopper, sku))

    def put_already_waiting(self, shopper: ShopperId, sku: Sku, source: str | None = None) -> None:
        """Queue the email that says an entry is confirmed already, requested from the network `source`."""
        self._put(RequestedEmail(shopper, sku, already=True, source=source))

    def put_back(self, email: RequestedEmail, *, delay_s: int) -> None:
        """Queue an email's message again, to be seen after `delay_s` seconds (at most 900)."""
        self._client.send_message(QueueUrl=self._url, MessageBody=email.to_json(), DelaySeconds=delay_s)

    def put_my_waitlists(self, shopper: ShopperId, source: str | None = None) -> None:
        """Queue the email with the link to a shopper's waitlists, requested from the network `source`."""
        self._put(RequestedEmail(shopper, source=source))

    def put_sign_in(self, merchant: "MerchantId", page: str, source: str | None = None) -> None:
        """Queue the email by which a merchant signs in, in the language of `page`."""
        self._put(RequestedEmail(ShopperId(merchant), sign_in_page=page, source=source))

    def put_test(self, merchant: "MerchantId", page: str) -> None:
        """Queue a test email to a merchant's own address, in the language of `page`."""
        self._put(RequestedEmail(ShopperId(merchant), test_page=page))

    def delete(self, receipt_handle: str) -> None:
        """Delete a message that is done now, not with the rest of its batch."""
        self._client.delete_message(QueueUrl=self._url, ReceiptHandle=receipt_handle)

    def _put(self, email: RequestedEmail) -> None:
        self._client.send_message(QueueUrl=self._url, MessageBody=email.to_json())


class RetriesQueue:
    """Queues the retries of failed jobs that merchants ask for."""

    def __init__(self, client: "SQSClient", url: str) -> None:
        self._client = client
        self._url = url

    def put(self, queue: str, *, forget_gone: bool, at_ms: int) -> None:
        """Queue a retry of a queue's dead letters, asked for at `at_ms`; see `DeadLetters.redrive`."""
        body = {"queue": queue, "forget_gone": forget_gone, "at_ms": at_ms}
        self._client.send_message(QueueUrl=self._url, MessageBody=json.dumps(body, sort_keys=True))


class EventsNotQueued(RuntimeError):
    """SQS took only a part of a batch of events; all of them are emitted again, with the same ids."""


def _put_batches(client: "SQSClient", url: str, bodies: Sequence[str]) -> None:
    for start in range(0, len(bodies), BATCH_MESSAGES_MAX):
        batch = bodies[start : start + BATCH_MESSAGES_MAX]
        answer = client.send_message_batch(
            QueueUrl=url,
            Entries=[{"Id": str(number), "MessageBody": body} for number, body in enumerate(batch)],
        )
        if failed := answer.get("Failed"):
            raise EventsNotQueued(f"{len(failed)} of {len(batch)}: {failed[0]['Code']}")


class DomainEventsQueue:
    """Queues domain events for rules, webhooks and the event bus."""

    def __init__(self, client: "SQSClient", url: str) -> None:
        self._client = client
        self._url = url

    def put(self, events: Sequence[DomainEvent]) -> None:
        """Queue events, ten with each call.

        Raises:
            EventsNotQueued: some are not queued. Emit all of them again: a repeat has the same id.
        """
        _put_batches(self._client, self._url, [event.to_json() for event in events])


class DeliveriesQueue:
    """Queues deliveries of events to other systems, and those that are given up."""

    def __init__(self, client: "SQSClient", url: str, dead_letters_url: str | None = None) -> None:
        self._client = client
        self._url = url
        self._dead_letters_url = dead_letters_url

    def put_all(self, deliveries: "Sequence[Delivery]") -> None:
        """Queue deliveries, ten with each call.

        Raises:
            EventsNotQueued: some are not queued.
        """
        _put_batches(self._client, self._url, [delivery.to_json() for delivery in deliveries])

    def put(self, message: "Delivery | Probe", *, delay_s: int = 0) -> None:
        """Queue a delivery, or a probe of a failing endpoint, to be seen after `delay_s` (at most 900)."""
        self._client.send_message(QueueUrl=self._url, MessageBody=message.to_json(), DelaySeconds=delay_s)

    def put_dead_letter(self, delivery: "Delivery") -> None:
        """Keep a delivery that failed on every attempt until a person decides."""
        if self._dead_letters_url is None:
            raise ValueError("this queue was opened without its dead letters")
        self._client.send_message(QueueUrl=self._dead_letters_url, MessageBody=delivery.to_json())


def depth(sqs: "SQSClient", queue_url: str) -> int:
    """Return about how many messages a queue holds, with those that are worked on or put back for later."""
    answer = sqs.get_queue_attributes(
        QueueUrl=queue_url,
        AttributeNames=[
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ],
    )
    return sum(int(count) for count in answer["Attributes"].values())


class Alarm:
    """Publishes to the topic of the shop's alarms, by boto3's SNS client."""

    def __init__(self, client: Any, topic: str) -> None:
        self._client = client
        self._topic = topic

    def ring(self, subject: str, text: str) -> None:
        """Publish a notice."""
        self._client.publish(TopicArn=self._topic, Subject=subject[:SUBJECT_CHARS_MAX], Message=text)

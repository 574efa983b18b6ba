"""Reactions to the queues' messages: requested emails, steps of fan-outs, events of SES."""

import random
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from chalicelib.container import Container
from chalicelib.domain.email import RequestedEmail
from chalicelib.domain.wave import from_json as wave_message
from chalicelib.events.batches import BatchFailures, react_to_queue
from chalicelib.services.requested_emails import RequestedBatch


def on_requested_emails(
    container: Container, records: Iterable[dict[str, Any]], remaining_ms: Callable[[], int]
) -> BatchFailures:
    """Send the emails that shoppers requested.

    Each message that is done is deleted at once: after a crash, only the one under way comes again.

    Args:
        container: builds the services.
        records: the messages.
        remaining_ms: returns how long the function may still run.
    """
    queue = container.confirmations_queue
    send = partial(send_requested, container)
    batch = RequestedBatch(send, queue, container.clock_ms, random.random, remaining_ms)
    return react_to_queue(records, batch.send, queue.delete)


def send_requested(container: Container, email: RequestedEmail) -> None:
    """Send one requested email by the service of its kind.

    Raises:
        SendRefused: the email was not taken.
        OutcomeUnknown: the email may have left.
    """
    if email.sku is None:
        container.my_waitlists_email.send(email.shopper, email.source)
    elif email.already:
        container.confirmations.say_already(email.shopper, email.sku, email.source)
    else:
        container.confirmations.send(email.shopper, email.sku)


def on_wave_messages(container: Container, records: Iterable[dict[str, Any]]) -> BatchFailures:
    """Work on steps of fan-outs."""
    return react_to_queue(records, partial(_work, container))


def on_ses_events(container: Container, records: Iterable[dict[str, Any]]) -> BatchFailures:
    """Apply the events that SES reports about emails."""
    return react_to_queue(records, partial(_handle, container))


def _work(container: Container, body: str) -> None:
    container.fan_out.work(wave_message(body))


def _handle(container: Container, body: str) -> None:
    container.ses_event_handler.handle(body)

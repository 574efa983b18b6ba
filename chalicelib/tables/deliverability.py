"""How emails were received: a state on the entry, and bounces and complaints by the day their emails were
sent, in the sending table, each event counted once."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from chalicelib.domain.deliverability import day_of, days_judged
from chalicelib.domain.feedback import Feedback, FeedbackState
from chalicelib.tables.dynamodb import CONDITION_NOT_MET, batch_get, transact, update_if
from chalicelib.tables.progress import received

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

# Longer than days are judged and events repeated, whatever waits in a dead letter queue.
KEPT_S = 45 * 24 * 3600
COUNTERS = {FeedbackState.BOUNCED: "bounced", FeedbackState.COMPLAINED: "complained"}
COUNTED_FROM = {"id": {"S": "health#from"}}


class FeedbackTaken(RuntimeError):
    """Another wrote the same counter just then; the event is to come again."""


class DeliverabilityTable:
    """`feedback` on entries; rows `health#DAY` and `feedback#MESSAGE#STATE` of the sending table."""

    def __init__(self, client: "DynamoDBClient", entries: str, sending: str) -> None:
        self._client = client
        self._entries = entries
        self._sending = sending

    def store(self, feedback: Feedback) -> bool:
        """Write an email's state on its entry; false when a later one is known, or the entry is gone.

        When delivered emails were sent is kept besides, by the same write: soft bounces are held against it.
        """
        key = {"shopper": {"S": feedback.shopper}, "sku": {"S": feedback.sku}}
        delivered = {":delivered": {"SS": [str(feedback.sent_at_ms)]}}
        adding = " ADD delivered_sent_at_ms :delivered"
        is_delivered = feedback.state is FeedbackState.DELIVERED
        news = update_if(
            self._client,
            TableName=self._entries,
            Key=key,
            UpdateExpression="SET feedback = :state, feedback_rank = :rank, feedback_sent_at_ms = :sent,"
            f" feedback_message_id = :message{adding if is_delivered else ''}",
            ConditionExpression="attribute_exists(shopper) AND (attribute_not_exists(feedback_rank)"
            " OR feedback_sent_at_ms < :sent OR (feedback_sent_at_ms = :sent AND feedback_rank < :rank))",
            ExpressionAttributeValues={
                ":state": {"S": feedback.state},
                ":rank": {"N": str(feedback.state.rank)},
                ":sent": {"N": str(feedback.sent_at_ms)},
                ":message": {"S": feedback.message_id},
                **(delivered if is_delivered else {}),
            },
        )
        if is_delivered and not news:
            update_if(
                self._client,
                TableName=self._entries,
                Key=key,
                UpdateExpression=adding.strip(),
                ConditionExpression="attribute_exists(shopper)",
                ExpressionAttributeValues=delivered,
            )
        return news

    def delivered(self, shopper: str) -> frozenset[int]:
        """Return when the emails about a shopper's entries were sent that were delivered (milliseconds)."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._entries,
            KeyConditionExpression="shopper = :shopper",
            ExpressionAttributeValues={":shopper": {"S": shopper}},
            ConsistentRead=True,
        )
        return frozenset(
            int(sent)
            for page in pages
            for item in page["Items"]
            for sent in item.get("delivered_sent_at_ms", {}).get("SS", ())
        )

    def count(self, feedback: Feedback, *, at_ms: int) -> bool:
        """Count a bounce or a complaint, for the day its email was sent and for the restock it is about;
        false when this very one was counted before.

        An email sent before sending was last resumed counts for its restock alone.

        Raises:
            FeedbackTaken: it was not counted, for others counted too.
        """
        counter = COUNTERS[feedback.state]
        counted: list[dict[str, Any]] = []
        if feedback.restock:
            counted.append(received(self._sending, feedback.restock, counter, at_ms))
        if feedback.sent_at_ms >= self._counted_from_ms():
            counted.append(self._one_more(day_of(feedback.sent_at_ms), counter, at_ms))
        reasons = transact(
            self._client,
            [
                {
                    "Put": {
                        "TableName": self._sending,
                        "Item": {
                            "id": {"S": f"feedback#{feedback.message_id}#{feedback.state}"},
                            "expires_at_s": {"N": str(at_ms // 1000 + KEPT_S)},
                        },
                        "ConditionExpression": "attribute_not_exists(id)",
                    }
                },
                *counted,
            ],
        )
        if not reasons:
            return True
        if reasons[0] == CONDITION_NOT_MET:
            return False
        raise FeedbackTaken(", ".join(reasons))

    def bounced_and_complained(self, days: Sequence[date]) -> Mapping[date, tuple[int, int]]:
        """Return how many emails sent on each of `days` bounced and were complained of; days without any are
        left out (strongly consistent reads)."""
        by_row = {f"health#{day}": day for day in days}
        keys = [{"id": {"S": row}} for row in by_row]
        items = batch_get(self._client, self._sending, keys, attributes=["id", *COUNTERS.values()])
        return {
            by_row[item["id"]["S"]]: (_number(item, "bounced"), _number(item, "complained")) for item in items
        }

    def forget(self, *, at_ms: int) -> None:
        """Count from the beginning, emails sent from now on: somebody looked into what went wrong."""
        self._client.put_item(TableName=self._sending, Item={**COUNTED_FROM, "from_ms": {"N": str(at_ms)}})
        for day in days_judged(at_ms):
            self._client.delete_item(TableName=self._sending, Key={"id": {"S": f"health#{day}"}})

    def _counted_from_ms(self) -> int:
        answer = self._client.get_item(TableName=self._sending, Key=COUNTED_FROM, ConsistentRead=True)
        return _number(answer.get("Item", {}), "from_ms")

    def _one_more(self, day: date, counter: str, at_ms: int) -> dict[str, Any]:
        return {
            "Update": {
                "TableName": self._sending,
                "Key": {"id": {"S": f"health#{day}"}},
                "UpdateExpression": f"SET expires_at_s = :expires ADD {counter} :one",
                "ExpressionAttributeValues": {
                    ":one": {"N": "1"},
                    ":expires": {"N": str(at_ms // 1000 + KEPT_S)},
                },
            }
        }


def _number(item: Mapping[str, Any], name: str) -> int:
    return int(item[name]["N"]) if name in item else 0

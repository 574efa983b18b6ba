"""How letters were received: a state on the entry, and bounces and complaints by the hour in the
sending table, each event counted once."""

from typing import TYPE_CHECKING, Any

from chalicelib.domain.feedback import Feedback, FeedbackState
from chalicelib.domain.pace import HOUR_MS
from chalicelib.tables.dynamodb import CONDITION_NOT_MET, batch_get, transact, update_if
from chalicelib.tables.progress import received

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

WINDOW_HOURS = 24
KEPT_S = 14 * 24 * 3600
COUNTERS = {FeedbackState.BOUNCED: "bounced", FeedbackState.COMPLAINED: "complained"}


class FeedbackTaken(RuntimeError):
    """Another wrote the same counter just then; the event is to come again."""


class HealthTable:
    """`feedback` on entries; rows `health#HOUR` and `feedback#MESSAGE#STATE` of the sending table."""

    def __init__(self, client: "DynamoDBClient", entries: str, sending: str) -> None:
        self._client = client
        self._entries = entries
        self._sending = sending

    def store(self, feedback: Feedback) -> bool:
        """Write a letter's state on its entry; false when a later one is known, or the entry is gone."""
        return update_if(
            self._client,
            TableName=self._entries,
            Key={"shopper": {"S": feedback.shopper}, "sku": {"S": feedback.sku}},
            UpdateExpression="SET feedback = :state, feedback_rank = :rank, feedback_sent_at_ms = :sent,"
            " feedback_message_id = :message",
            ConditionExpression="attribute_exists(shopper) AND (attribute_not_exists(feedback_rank)"
            " OR feedback_sent_at_ms < :sent OR (feedback_sent_at_ms = :sent AND feedback_rank < :rank))",
            ExpressionAttributeValues={
                ":state": {"S": feedback.state},
                ":rank": {"N": str(feedback.state.rank)},
                ":sent": {"N": str(feedback.sent_at_ms)},
                ":message": {"S": feedback.message_id},
            },
        )

    def count(self, feedback: Feedback, *, at_ms: int) -> bool:
        """Count a bounce or a complaint, also for the restock it is about; false when this very one was
        counted before.

        Raises:
            FeedbackTaken: it was not counted, for others counted too.
        """
        counter = COUNTERS[feedback.state]
        restock = [received(self._sending, feedback.restock, counter, at_ms)] if feedback.restock else []
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
                {
                    "Update": {
                        "TableName": self._sending,
                        "Key": _hour(at_ms // HOUR_MS),
                        "UpdateExpression": f"SET expires_at_s = :expires ADD {counter} :one",
                        "ExpressionAttributeValues": {
                            ":one": {"N": "1"},
                            ":expires": {"N": str(at_ms // 1000 + KEPT_S)},
                        },
                    }
                },
                *restock,
            ],
        )
        if not reasons:
            return True
        if reasons[0] == CONDITION_NOT_MET:
            return False
        raise FeedbackTaken(", ".join(reasons))

    def bounced_and_complained(self, *, at_ms: int) -> tuple[int, int]:
        """How many of each in the last 24 hours."""
        last = at_ms // HOUR_MS
        keys = [_hour(hour) for hour in range(last - WINDOW_HOURS + 1, last + 1)]
        items = list(batch_get(self._client, self._sending, keys, attributes=["bounced", "complained"]))
        bounced, complained = (
            sum(int(item[name]["N"]) for item in items if name in item) for name in ("bounced", "complained")
        )
        return bounced, complained

    def forget(self, *, at_ms: int) -> None:
        """Begin to count anew: somebody looked into what went wrong."""
        last = at_ms // HOUR_MS
        for hour in range(last - WINDOW_HOURS + 1, last + 1):
            self._client.delete_item(TableName=self._sending, Key=_hour(hour))


def _hour(hour: int) -> dict[str, Any]:
    return {"id": {"S": f"health#{hour}"}}

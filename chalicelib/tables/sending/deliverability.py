"""How emails were received: a state on each entry, and bounces and complaints by the day of sending.

The entries table has the state, the sending table the counters. Each event is counted once.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

from chalicelib.domain.feedback import Feedback, FeedbackState
from chalicelib.domain.ids import ShopperId
from chalicelib.domain.sending_limits import day_of, days_judged
from chalicelib.tables.entries import EXISTS
from chalicelib.tables.expressions import Attr
from chalicelib.tables.sending import SendingRowKind
from chalicelib.tables.sending.waves import received
from chalicelib.tables.table import CONDITION_NOT_MET, Put, Table, Update

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

    from chalicelib.tables.sending.rate import SendingRateTable

# Longer than days are judged and events repeated, with any time in a dead letter queue.
KEPT_S = 45 * 24 * 3600
COUNTERS = {FeedbackState.BOUNCED: "bounced", FeedbackState.COMPLAINED: "complained"}
COUNTED_FROM = SendingRowKind.HEALTH.key("from")


class FeedbackConflict(RuntimeError):
    """Another worker wrote the same counter at the same time; the event has to be repeated."""


class DeliverabilityTable:
    """`feedback` on entries; rows `health#DAY` and `feedback#MESSAGE#STATE` of the sending table."""

    def __init__(self, client: "DynamoDBClient", entries: str, sending: str) -> None:
        self._entries = Table(client, entries)
        self._sending = Table(client, sending)

    def store(self, feedback: Feedback) -> bool:
        """Write an email's state on its entry; false when a later one is known, or the entry is gone.

        An email about no variant has no entry. The time of sending of a delivered email is stored besides, by
        the same write where possible: soft bounces are compared with it.
        """
        if feedback.sku is None:
            return False
        key = {"shopper": feedback.shopper, "sku": feedback.sku}
        sent_at_ms, rank = feedback.sent_at_ms, feedback.state.rank
        is_delivered = feedback.state is FeedbackState.DELIVERED
        delivered = {"delivered_sent_at_ms": {str(sent_at_ms)}} if is_delivered else {}
        is_news = (
            Attr("feedback_rank").not_exists()
            | Attr("feedback_sent_at_ms").lt(sent_at_ms)
            | Attr("feedback_sent_at_ms").eq(sent_at_ms) & Attr("feedback_rank").lt(rank)
        )
        stored = self._entries.update_if(
            key,
            EXISTS & is_news,
            {
                "feedback": feedback.state,
                "feedback_rank": rank,
                "feedback_sent_at_ms": sent_at_ms,
                "feedback_message_id": feedback.message_id,
            },
            add=delivered,
        )
        if is_delivered and not stored:
            self._entries.update_if(key, EXISTS, add=delivered)
        return stored

    def delivered(self, shopper: ShopperId) -> frozenset[int]:
        """Return the times of sending (ms) of the delivered emails about a shopper's entries."""
        rows = self._entries.query_all(Attr("shopper").eq(shopper))
        return frozenset(int(sent) for row in rows for sent in row.get("delivered_sent_at_ms", ()))

    def count(self, feedback: Feedback, *, at_ms: int) -> bool:
        """Count a bounce or a complaint for the day its email was sent and for its restock.

        An email sent before sending was last resumed counts for its restock alone.

        Returns:
            False when this event was counted before.

        Raises:
            FeedbackConflict: it was not counted, since another worker counted at the same time.
        """
        counter = COUNTERS[feedback.state]
        expiry = {"expires_at_s": at_ms // 1000 + KEPT_S}
        event = {**SendingRowKind.FEEDBACK.key(f"{feedback.message_id}#{feedback.state}"), **expiry}
        writes: list[Put | Update] = [Put(self._sending, event, Attr("id").not_exists())]
        if feedback.restock:
            writes.append(received(self._sending, feedback.restock, counter, at_ms))
        if feedback.sent_at_ms >= self._counted_from_ms():
            day = SendingRowKind.HEALTH.key(str(day_of(feedback.sent_at_ms)))
            writes.append(Update(self._sending, day, expiry, add={counter: 1}))
        reasons = self._sending.transact(writes)
        if not reasons:
            return True
        if reasons[0] == CONDITION_NOT_MET:
            return False
        raise FeedbackConflict(", ".join(reasons))

    def bounced_and_complained(self, days: Sequence[date]) -> Mapping[date, tuple[int, int]]:
        """Return the numbers of bounces and of complaints for emails sent on each of `days`.

        Days without any are left out (strongly consistent reads).
        """
        keys = [SendingRowKind.HEALTH.key(str(day)) for day in days]
        items = self._sending.batch_get(keys, ["id", *COUNTERS.values()])
        return {
            date.fromisoformat(item["id"].removeprefix(SendingRowKind.HEALTH)): (
                item.get("bounced", 0),
                item.get("complained", 0),
            )
            for item in items
        }

    def forget(self, *, at_ms: int) -> None:
        """Reset the counters: an operator has looked into the cause, and counts emails sent from now on."""
        self._sending.put({**COUNTED_FROM, "from_ms": at_ms})
        for day in days_judged(at_ms):
            self._sending.delete(SendingRowKind.HEALTH.key(str(day)))

    def _counted_from_ms(self) -> int:
        item = self._sending.get(COUNTED_FROM)
        return int(item.get("from_ms", 0)) if item else 0


def resume_sending(
    rate: "SendingRateTable", received_by_day: DeliverabilityTable, *, at_ms: int
) -> str | None:
    """Start sending again after a pause; counts of bounces and complaints start at zero.

    Returns:
        The reason of the pause; None where sending was not paused, and nothing changes.
    """
    state = rate.state()
    if state is None or state.paused is None:
        return None
    received_by_day.forget(at_ms=at_ms)
    rate.resume()
    return state.paused

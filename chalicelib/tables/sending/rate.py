"""The row of the rate limit: when the next email may be sent, how many today, and whether sending is paused.

One row for the whole shop, changed by conditional writes, so that any number of workers keep to one limit.
"""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from chalicelib.domain.entry import DAY_MS, HOUR_MS
from chalicelib.domain.sending_limits import WINDOW_DAYS, SendingLimits, SendingRate
from chalicelib.tables.expressions import Attr, Condition, Operand, Path, if_not_exists
from chalicelib.tables.sending import SendingRowKind
from chalicelib.tables.table import Table, Update

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

KEY = SendingRowKind.RATE.key()
US_PER_MS = 1000
HOURS_KEPT = 25
# Deliverability is judged by the day of sending, in days since the epoch.
DAYS_KEPT = WINDOW_DAYS + 1
IS_PAUSED = Attr("paused").exists()
IS_NOT_PAUSED = Attr("paused").not_exists()


def limits_are_as_known(known: SendingRate | None) -> Condition:
    """Require that nobody read the limits since they were `known`."""
    return Attr("read_at_ms").not_exists() | Attr("read_at_ms").eq(known.read_at_ms if known else 0)


def limits_are_not_being_read(at_ms: int) -> Condition:
    """Require that no worker is elected to read the limits."""
    return Attr("limits_read_until_ms").not_exists() | Attr("limits_read_until_ms").lt(at_ms)


class SendingRateTable:
    """Reads and changes the row."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self.table = Table(client, name)

    def state(self) -> SendingRate | None:
        """Return the row (a strongly consistent read); None before the first email ever.

        Limits that have to be read again, after a pause, are 0.
        """
        item = self.table.get(KEY)
        if not item:
            return None
        return SendingRate(
            float(item.get("rate_per_s", 0)),
            item.get("emails_left", 0),
            item.get("ready_at_us", 0),
            item.get("read_at_ms", 0),
            item.get("paused"),
            *(_by_number(item.get(name, {})) for name in ("hours", "earlier", "days")),
        )

    def elect(self, *, at_ms: int, for_ms: int, known: SendingRate | None) -> bool:
        """Return whether the caller is the one worker that reads the limits, for the next `for_ms`."""
        return self.table.update_if(
            KEY,
            limits_are_as_known(known) & limits_are_not_being_read(at_ms),
            {"limits_read_until_ms": at_ms + for_ms},
        )

    def put_limits(self, limits: SendingLimits, *, at_ms: int, known: SendingRate | None) -> None:
        """Write limits that were just read; of several workers that read, the first one's stay.

        Counts of hours and days that are too old are dropped.
        """
        values: dict[Path, Any] = {
            "rate_per_s": limits.rate_per_s,
            "read_at_ms": at_ms,
            # By difference: emails that others take in the meantime are not given out twice.
            "emails_left": if_not_exists("emails_left", 0)
            + (limits.emails_left - (known.emails_left if known else 0)),
            "ready_at_us": if_not_exists("ready_at_us", at_ms * US_PER_MS),
        }
        old: list[Path] = []
        for name, counts, first_kept in (
            ("hours", known.emails_by_hour if known else {}, at_ms // HOUR_MS - HOURS_KEPT),
            ("days", known.emails_by_day if known else {}, at_ms // DAY_MS - DAYS_KEPT),
        ):
            old_counts = [(name, str(number)) for number in counts if number < first_kept]
            old += old_counts
            # One update cannot change a map and values in it.
            if not old_counts:
                values[name] = if_not_exists(name, {})
        self.table.update_if(KEY, limits_are_as_known(known), values, remove=old)

    def take(self, emails: int, *, cost_us: int, at_ms: int, wait_ms_max: int) -> int | None:
        """Reserve the next turn for so many emails, by at most two conditional writes.

        Args:
            emails: the number of emails.
            cost_us: the time that they take at the limit, in microseconds.
            at_ms: the time of now.
            wait_ms_max: how far away the turn may be.

        Returns:
            The time (ms) that the turn begins. None when sending is paused, the quota does not suffice, or
            the turn is too far away.
        """
        now_us = at_ms * US_PER_MS
        ready_at_us = Attr("ready_at_us")
        if self._take(emails, at_ms, now_us + cost_us, ready_at_us.lte(now_us)) is not None:
            return at_ms
        is_soon = ready_at_us.between(now_us, now_us + wait_ms_max * US_PER_MS)
        ready_us = self._take(emails, at_ms, ready_at_us + cost_us, is_soon)
        return None if ready_us is None else -(-(ready_us - cost_us) // US_PER_MS)

    def pause(self, reason: str) -> bool:
        """Pause all sending; false when it was paused before."""
        return self.table.update_if(KEY, IS_NOT_PAUSED, {"paused": reason})

    def resume(self) -> bool:
        """Resume sending; false when it was not paused.

        Limits are read again, and emails are counted from 0, by hour and by day. A day's quota still counts
        the emails that were sent before.
        """
        state = self.state()
        if state is None or state.paused is None:
            return False
        # Nothing is given out while paused: what was read still holds.
        earlier = Counter(state.earlier_by_hour) + Counter(state.emails_by_hour)
        return self.table.update_if(
            KEY,
            IS_PAUSED,
            {
                "hours": {},
                "days": {},
                "earlier": {str(hour): number for hour, number in earlier.items()},
            },
            remove=("paused", "read_at_ms", "emails_left"),
        )

    def _take(self, emails: int, at_ms: int, ready_at_us: int | Operand, condition: Condition) -> int | None:
        hour, day = ("hours", str(at_ms // HOUR_MS)), ("days", str(at_ms // DAY_MS))
        row = self.table.update_and_get(
            Update(
                self.table,
                KEY,
                {
                    "emails_left": Attr("emails_left") - emails,
                    hour: if_not_exists(hour, 0) + emails,
                    day: if_not_exists(day, 0) + emails,
                    "ready_at_us": ready_at_us,
                },
                condition=IS_NOT_PAUSED & Attr("emails_left").gte(emails) & condition,
            ),
            returning="UPDATED_NEW",
        )
        return int(row["ready_at_us"]) if row else None


def _by_number(counts: Mapping[str, int]) -> dict[int, int]:
    return {int(number): count for number, count in counts.items()}

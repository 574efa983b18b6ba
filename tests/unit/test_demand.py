from datetime import UTC, datetime

import pytest

from chalicelib.domain.demand import (
    HOURS_KEPT,
    CountedEntry,
    Demand,
    change_of,
    is_compared,
    total,
)
from chalicelib.domain.entry import DAY_MS, HOUR_MS, EntryState

NOW_MS = int(datetime(2027, 1, 15, 8, 30, tzinfo=UTC).timestamp() * 1000)
HOUR, DAY = NOW_MS // HOUR_MS, NOW_MS // DAY_MS
PENDING = CountedEntry(EntryState.PENDING, NOW_MS)
CONFIRMED = CountedEntry(EntryState.CONFIRMED, NOW_MS, NOW_MS)
NOTIFIED = CountedEntry(EntryState.NOTIFIED, NOW_MS, NOW_MS)
UNSUBSCRIBED = CountedEntry(EntryState.UNSUBSCRIBED, NOW_MS, NOW_MS)
EARLIER = CountedEntry(EntryState.CONFIRMED, NOW_MS - 5 * HOUR_MS, NOW_MS - 3 * DAY_MS)
AGAIN = CountedEntry(EntryState.CONFIRMED, NOW_MS, NOW_MS - 3 * DAY_MS)
IMPORTED = CountedEntry(EntryState.CONFIRMED, NOW_MS - DAY_MS, NOW_MS - DAY_MS, NOW_MS)


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (None, PENDING, {"pending": 1, f"h{HOUR}": 1}),
        (None, CONFIRMED, {"waiting": 1, f"w{DAY}": 1, f"h{HOUR}": 1}),
        (PENDING, CONFIRMED, {"pending": -1, "waiting": 1, f"w{DAY}": 1}),
        (CONFIRMED, NOTIFIED, {"waiting": -1, f"w{DAY}": -1}),
        (PENDING, UNSUBSCRIBED, {"pending": -1}),
        (NOTIFIED, UNSUBSCRIBED, {}),
        (NOTIFIED, PENDING, {"pending": 1}),
        # Undone, erased, or deleted by DynamoDB's TTL.
        (PENDING, None, {"pending": -1, f"h{HOUR}": -1}),
        (CONFIRMED, None, {"waiting": -1, f"w{DAY}": -1, f"h{HOUR}": -1}),
        # Signed up again while it waits: its last signup is now, its wait goes on.
        (EARLIER, AGAIN, {f"h{HOUR}": 1, f"h{HOUR - 5}": -1}),
        (AGAIN, EARLIER, {f"h{HOUR}": -1, f"h{HOUR - 5}": 1}),
        # Imported: nobody signed up here, and the wait began with the other tool.
        (None, IMPORTED, {"waiting": 1, f"w{DAY - 1}": 1}),
        (PENDING, PENDING, {}),
        (None, None, {}),
    ],
)
def test_a_write_changes_counters_by_the_difference_of_both_states(
    before: CountedEntry | None, after: CountedEntry | None, change: dict[str, int]
) -> None:
    assert change_of(before, after, at_ms=NOW_MS) == change


def test_a_pending_entry_past_its_time_counts_until_its_row_is_deleted() -> None:
    """Its state does not know its time: only the deletion by TTL changes the counter."""
    asked = CountedEntry(EntryState.PENDING, NOW_MS)
    assert change_of(asked, None, at_ms=NOW_MS + 5 * DAY_MS) == {"pending": -1}


def test_an_hour_that_is_not_kept_any_more_does_not_change() -> None:
    later_ms = (HOUR + HOURS_KEPT) * HOUR_MS
    assert change_of(NOTIFIED, None, at_ms=later_ms - 1) == {f"h{HOUR}": -1}
    assert change_of(NOTIFIED, None, at_ms=later_ms) == {}


def test_an_hour_is_compared_for_less_long_than_it_is_kept() -> None:
    assert is_compared(f"h{HOUR}", at_ms=NOW_MS + 47 * HOUR_MS)
    assert not is_compared(f"h{HOUR}", at_ms=NOW_MS + 48 * HOUR_MS)
    assert is_compared(f"w{DAY}", at_ms=NOW_MS + 400 * DAY_MS)
    assert is_compared("waiting", at_ms=NOW_MS)


def test_demand_is_read_from_counters() -> None:
    counters = {"waiting": 3, "pending": 2, f"h{HOUR}": 4, f"h{HOUR - 30}": 1, f"w{DAY - 9}": 1, f"w{DAY}": 2}
    demand = Demand.of("A", counters)
    assert demand == Demand("A", 3, 2, {HOUR: 4, HOUR - 30: 1}, {DAY - 9: 1, DAY: 2})
    assert demand.signups(at_ms=NOW_MS) == 4
    assert demand.signups(at_ms=NOW_MS, hours=48) == 5
    assert demand.by_hour(at_ms=NOW_MS, hours=3) == (0, 0, 4)
    assert len(demand.by_hour(at_ms=NOW_MS)) == 48
    assert list(demand.waiting_by_age(at_ms=NOW_MS).items()) == [(9, 1), (0, 2)]


def test_no_number_below_zero_is_shown() -> None:
    assert Demand.of("A", {"waiting": -1, "pending": -2, f"h{HOUR}": -1, f"w{DAY}": 0}) == Demand("A")


def test_pending_people_have_no_wait() -> None:
    assert Demand("A", pending=1).waiting_by_age(at_ms=NOW_MS) == {}


def test_demands_are_summed() -> None:
    some, others = Demand("A", 1, 2, {HOUR: 3}, {DAY: 1}), Demand("B", 10, 0, {HOUR: 1}, {DAY - 1: 10})
    assert total([some, others]) == Demand(None, 11, 2, {HOUR: 4}, {DAY: 1, DAY - 1: 10})
    assert total([]) == Demand(None)

"""Demand: the people who wait for a variant, counted from the entries' states alone.

An entry adds to counters by what it is, never by what happened to it, so the change of a counter is the
difference between the entry after a write and before it. Every write of an entry counts right by that: an
undo, an import, a move, an erasure, a deletion by DynamoDB's TTL.

- `waiting`: confirmed entries.
- `pending`: entries in state pending, past their time or not, until DynamoDB's TTL deletes them. A counter
  that left out expired ones would have to change without a write.
- `h<hour>`: entries whose last signup was in that hour since the epoch. An imported or moved entry was not
  signed up here. About two days of hours are kept.
- `w<day>`: confirmed entries by the day of their confirmation since the epoch (UTC).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from chalicelib.domain.entry import DAY_MS, HOUR_MS, EntryState
from chalicelib.domain.ids import Sku

WAITING, PENDING = "waiting", "pending"
HOUR, DAY = "h", "w"
HOURS_SHOWN = 48
HOURS_PER_DAY = 24
# Two more than are shown: the clocks of a signup, its record and a reader are not the same.
HOURS_KEPT = HOURS_SHOWN + 2

Counters = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class CountedEntry:
    """The part of an entry that counters depend on; `arrived_at_ms` is the time of its import or move."""

    state: EntryState
    signed_up_at_ms: int
    confirmed_at_ms: int | None = None
    arrived_at_ms: int | None = None

    def counters(self) -> dict[str, int]:
        """Return what the entry adds to the counters of its SKU."""
        counters = {}
        if self.state is EntryState.PENDING:
            counters[PENDING] = 1
        elif self.state is EntryState.CONFIRMED:
            since_ms = self.signed_up_at_ms if self.confirmed_at_ms is None else self.confirmed_at_ms
            counters |= {WAITING: 1, f"{DAY}{since_ms // DAY_MS}": 1}
        if self.arrived_at_ms is None or self.arrived_at_ms < self.signed_up_at_ms:
            counters[f"{HOUR}{self.signed_up_at_ms // HOUR_MS}"] = 1
        return counters


def change_of(before: CountedEntry | None, after: CountedEntry | None, *, at_ms: int) -> dict[str, int]:
    """Return what a write at `at_ms` adds to each counter of the entry's SKU; nothing where all stay.

    Args:
        before: the entry before the write; None where there was none.
        after: the entry after it; None where it was deleted.
        at_ms: the time of the write. Hours that are not kept any more by then do not change.
    """
    change = Counter(after.counters() if after else {})
    change.subtract(before.counters() if before else {})
    return {name: number for name, number in change.items() if number and is_kept(name, at_ms=at_ms)}


@dataclass(frozen=True, slots=True)
class DemandEvent:
    """A write of an entry that changes counters: the id of its stream record, its SKU, and the change."""

    id: str
    sku: Sku
    change: Mapping[str, int]
    at_ms: int


def sums_of(events: Iterable[DemandEvent]) -> dict[Sku, dict[str, int]]:
    """Return what events add to each SKU's counters together, without zeros; by SKU, in their order."""
    sums: dict[Sku, Counter[str]] = {}
    for event in events:
        sums.setdefault(event.sku, Counter()).update(event.change)
    return {sku: {name: number for name, number in of.items() if number} for sku, of in sums.items()}


def is_kept(counter: str, *, at_ms: int) -> bool:
    """Return whether a counter is kept at `at_ms`: each, except hours that are too long ago."""
    hour = _number(counter, HOUR)
    return hour is None or hour > at_ms // HOUR_MS - HOURS_KEPT


def is_compared(counter: str, *, at_ms: int) -> bool:
    """Return whether a counter is exact at `at_ms`: each, except hours that are not shown any more."""
    hour = _number(counter, HOUR)
    return hour is None or hour > at_ms // HOUR_MS - HOURS_SHOWN


def counter_words(counter: str) -> str:
    """Return a counter's name for a person to read."""
    hour, day = _number(counter, HOUR), _number(counter, DAY)
    if hour is not None:
        return f"signups from {datetime.fromtimestamp(hour * HOUR_MS / 1000, UTC):%Y-%m-%d %H:%M} UTC on"
    if day is not None:
        return f"waiting since {datetime.fromtimestamp(day * DAY_MS / 1000, UTC):%Y-%m-%d}"
    return counter


def is_of_a_day(counter: str) -> bool:
    """Return whether a counter is one of people who wait, by the day of their confirmation."""
    return _number(counter, DAY) is not None


@dataclass(frozen=True, slots=True)
class Demand:
    """The demand for one SKU, or for several together (`total`).

    `signups_by_hour` has hours since the epoch, `waiting_by_day` the days since the epoch on which entries
    that wait were confirmed. Neither has zeros.
    """

    sku: Sku | None
    waiting: int = 0
    pending: int = 0
    signups_by_hour: Mapping[int, int] = field(default_factory=dict)
    waiting_by_day: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, sku: Sku | None, counters: Counters) -> "Demand":
        """Return the demand that the counters of a SKU say.

        Parts of a SKU's counters that are read one after the other may miss the beginning of an entry whose
        end they have: no number below 0 is shown.
        """
        return cls(
            sku,
            max(0, counters.get(WAITING, 0)),
            max(0, counters.get(PENDING, 0)),
            _by_number(counters, HOUR),
            _by_number(counters, DAY),
        )

    def signups(self, *, at_ms: int, hours: int = HOURS_PER_DAY) -> int:
        """Return the signups of the last `hours`, at most 48, the hour of `at_ms` among them."""
        return sum(self.by_hour(at_ms=at_ms, hours=hours))

    def by_hour(self, *, at_ms: int, hours: int = HOURS_SHOWN) -> tuple[int, ...]:
        """Return the signups of each of the last `hours`, at most 48, oldest first."""
        hour = at_ms // HOUR_MS
        return tuple(self.signups_by_hour.get(hour - age, 0) for age in range(hours - 1, -1, -1))

    def waiting_by_age(self, *, at_ms: int) -> dict[int, int]:
        """Return how many wait by the number of days since they confirmed, the longest wait first."""
        today = at_ms // DAY_MS
        ages = sorted(self.waiting_by_day.items())
        by_age: Counter[int] = Counter()
        for day, number in ages:
            by_age[max(0, today - day)] += number
        return dict(by_age)


def total(demands: Iterable[Demand]) -> Demand:
    """Return the demand for several SKUs together; its `sku` is None."""
    waiting, pending = 0, 0
    by_hour: Counter[int] = Counter()
    by_day: Counter[int] = Counter()
    for demand in demands:
        waiting += demand.waiting
        pending += demand.pending
        by_hour.update(demand.signups_by_hour)
        by_day.update(demand.waiting_by_day)
    return Demand(None, waiting, pending, dict(by_hour), dict(by_day))


def _number(counter: str, kind: str) -> int | None:
    number = counter.removeprefix(kind)
    return int(number) if counter != number and number.isdecimal() else None


def _by_number(counters: Counters, kind: str) -> dict[int, int]:
    # Each snapshot of the overview passes here with each counter of each SKU: other names leave first.
    numbers = [
        (int(name[len(kind) :]), count)
        for name, count in counters.items()
        if count > 0 and name.startswith(kind) and name[len(kind) :].isdecimal()
    ]
    return dict(sorted(numbers))

"""Compare the counters of demand with a count of the entries table, field by field, while signups go on.

A count is no moment: signups come in while it reads, and their records are counted a second later. So the
counters are read before and after each count, and a counted number is right if it lies between the two. With
no traffic for a SKU both are the same, and the comparison is exact. A SKU that differs is looked at again: a
real drift shows each time, and the smallest one that was seen is reported.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from chalicelib.domain.demand import Counters, is_compared
from chalicelib.domain.ids import Sku
from chalicelib.tables.demand import DemandTable, EntriesCount

LOOKS_MAX = 3
# A record is counted within the batching window of a second, and the time of a poll and of a transaction.
SETTLE_S = 5.0
NO_COUNTERS: Mapping[str, int] = {}


@dataclass(frozen=True, slots=True)
class Drift:
    """A counter that differs: `counted` entries of the table, the counter's `stored` value.

    `difference` is what the counter lacks. Under traffic it may be less than `counted` - `stored`.
    """

    sku: Sku
    counter: str
    counted: int
    stored: int
    difference: int


@dataclass(frozen=True, slots=True)
class Recounted:
    """The result of a recount: `entries` were read `looks` times, for `skus` SKUs."""

    entries: int
    skus: int
    looks: int
    drifts: tuple[Drift, ...]

    @property
    def drift(self) -> int:
        """Return the sum of all differences, each without its sign."""
        return sum(abs(drift.difference) for drift in self.drifts)


class Recount:
    """Recounts the entries table.

    `progress` gets the number of the look that begins, and how many SKUs it is about; None means all.
    """

    def __init__(
        self,
        entries: EntriesCount,
        demand: DemandTable,
        clock_ms: Callable[[], int],
        sleep: Callable[[float], None],
        progress: Callable[[int, int | None], None] = lambda _look, _skus: None,
    ) -> None:
        self._entries = entries
        self._demand = demand
        self._clock_ms = clock_ms
        self._sleep = sleep
        self._progress = progress

    def run(self) -> Recounted:
        """Compare, and look again at what differs, three times at most. Changes nothing.

        Each look reads the whole table.
        """
        self._progress(1, None)
        found, entries, skus = self._look()
        looks = 1
        while found and looks < LOOKS_MAX:
            looks += 1
            self._progress(looks, len({sku for sku, _ in found}))
            again, _, _ = self._look()
            found = {
                place: min(drift, again[place], key=lambda seen: abs(seen.difference))
                for place, drift in found.items()
                if place in again and (again[place].difference > 0) == (drift.difference > 0)
            }
        drifts = sorted(found.values(), key=lambda drift: (drift.sku, drift.counter))
        return Recounted(entries, skus, looks, tuple(drifts))

    def repair(self, recounted: Recounted) -> None:
        """Add what each counter lacks; counting may go on meanwhile.

        Raises:
            NotCounted: others wrote the same row on every attempt; SKUs before it are repaired.
        """
        changes: dict[Sku, dict[str, int]] = {}
        for drift in recounted.drifts:
            changes.setdefault(drift.sku, {})[drift.counter] = drift.difference
        for sku, change in changes.items():
            self._demand.add(sku, change)

    def _look(self) -> tuple[dict[tuple[Sku, str], Drift], int, int]:
        before = self._demand.counters()
        counted, entries = self._entries.counters()
        after = self._demand.counters()
        found = self._compared(counted, before, after)
        if found:
            # Records may be under way that the count has seen.
            self._sleep(SETTLE_S)
            found = self._compared(counted, before, self._demand.counters())
        return found, entries, len(counted)

    def _compared(
        self, counted: Mapping[Sku, Counters], before: Mapping[Sku, Counters], after: Mapping[Sku, Counters]
    ) -> dict[tuple[Sku, str], Drift]:
        at_ms = self._clock_ms()
        found = {}
        for sku in counted.keys() | before.keys() | after.keys():
            table, first, last = (of.get(sku, NO_COUNTERS) for of in (counted, before, after))
            for name in table.keys() | first.keys() | last.keys():
                number, known = table.get(name, 0), (first.get(name, 0), last.get(name, 0))
                difference = number - min(max(number, min(known)), max(known))
                if difference and is_compared(name, at_ms=at_ms):
                    found[sku, name] = Drift(sku, name, number, known[1], difference)
        return found

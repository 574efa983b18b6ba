"""The difference between a source's whole stock list and the shop's stock, and how much may change at once.

A list is applied as events are: a variant that has a later event keeps it. A variant that the list does not
name keeps its stock, for a list may be of some products only. A variant that the list names twice with
different stock keeps it as well, and is reported.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from chalicelib.domain.ids import Sku
from chalicelib.domain.stock import Availability, EventOutcome, Stock
from chalicelib.inbound.readings import Reading, Readings, Unread
from chalicelib.inbound.stock_lists import Level

CHANGES_MAX = 500
PERCENT_MAX = 30
# A percentage of few variants says nothing: as many may always change.
CHANGES_ALWAYS = 20


class TooManyChanges(Exception):
    """A list would change more than the limit lets it; nothing is changed."""


@dataclass(frozen=True, slots=True)
class StockList:
    """The stock that a source lists: readings of all places together, links, and the units by location."""

    readings: Readings
    levels: tuple[Level, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """The stock of a variant, and the availability that the catalogue gives it with no unit left."""

    stock: Stock
    when_sold_out: Availability | None


@dataclass(frozen=True, slots=True)
class Difference:
    """A variant whose stock a list would change."""

    sku: Sku
    before: Stock
    after: Stock
    reading: Reading


@dataclass(frozen=True, slots=True)
class StockComparison:
    """A list compared with the shop.

    Args:
        differences: the variants that change, by SKU.
        same: the number of variants that are as the list says.
        newer: the SKUs that differ and have a later event, which stays.
        not_listed: the SKUs of the shop that the list does not name.
        not_sold: the SKUs and ids of the list that the shop does not sell or knows no SKU of.
        unread: the parts of the list that cannot be read, and why.
    """

    differences: tuple[Difference, ...]
    same: int
    newer: tuple[Sku, ...] = ()
    not_listed: tuple[Sku, ...] = ()
    not_sold: tuple[str, ...] = ()
    unread: tuple[Unread, ...] = ()

    @property
    def compared(self) -> int:
        """The number of variants that the list and the shop both have."""
        return len(self.differences) + self.same + len(self.newer)


@dataclass(frozen=True, slots=True)
class ChangeLimit:
    """The most variants that one list may change: a number, and a share of those compared in percent."""

    changes_max: int = CHANGES_MAX
    percent_max: int = PERCENT_MAX

    def check(self, comparison: StockComparison) -> None:
        """Check that a list may be applied.

        Raises:
            TooManyChanges: it changes more; the message has the numbers.
        """
        changes, compared = len(comparison.differences), comparison.compared
        if changes > self.changes_max:
            raise TooManyChanges(
                f"{changes:,} of {compared:,} variants would change, more than the limit of "
                f"{self.changes_max:,}"
            )
        if changes > CHANGES_ALWAYS and changes * 100 > compared * self.percent_max:
            raise TooManyChanges(
                f"{changes:,} of {compared:,} variants would change ({changes * 100 // compared} %), "
                f"more than the limit of {self.percent_max} %"
            )


@dataclass(slots=True)
class _Listed:
    by_sku: dict[Sku, Reading] = field(default_factory=dict)
    twice: set[Sku] = field(default_factory=set)
    not_sold: list[str] = field(default_factory=list)


def compare(
    listed: StockList, known: Mapping[Sku, Known], linked: Mapping[str, Sku], *, now_ms: int
) -> StockComparison:
    """Compare a list with the shop.

    Args:
        listed: the list of a source.
        known: the stock of each variant that the shop sells.
        linked: SKUs by the source's ids, for readings that name no SKU.
        now_ms: the time of now.
    """
    found = _by_sku(listed.readings.readings, known, linked)
    differences: list[Difference] = []
    newer: list[Sku] = []
    for sku, reading in sorted(found.by_sku.items()):
        before = known[sku].stock
        event = reading.event(sku, reading.event_id, now_ms=now_ms)
        applied = event.applied_to(before, known[sku].when_sold_out)
        if applied.outcome is EventOutcome.CHANGED:
            named = replace(reading, sku=sku)
            differences.append(Difference(sku, before, applied.stock, named))
        elif applied.outcome is EventOutcome.OLDER and reading.units != before.units:
            newer.append(sku)
    unread = [*listed.readings.unread]
    unread += [Unread(f"sku {sku}", "it is listed twice with different stock") for sku in sorted(found.twice)]
    return StockComparison(
        tuple(differences),
        len(found.by_sku) - len(differences) - len(newer),
        tuple(newer),
        tuple(sorted(known.keys() - found.by_sku.keys() - found.twice)),
        tuple(sorted(found.not_sold)),
        tuple(unread),
    )


def _by_sku(readings: Sequence[Reading], known: Mapping[Sku, Known], linked: Mapping[str, Sku]) -> _Listed:
    listed = _Listed()
    for reading in readings:
        sku = reading.sku or linked.get(reading.foreign_id or "")
        if sku is None or sku not in known:
            listed.not_sold.append(sku or reading.foreign_id or "")
            continue
        other = listed.by_sku.setdefault(sku, reading)
        if (other.units, other.availability) != (reading.units, reading.availability):
            listed.twice.add(sku)
    for sku in listed.twice:
        del listed.by_sku[sku]
    return listed

"""Import stock from a file: compare it with what is stored, then apply the changes.

The plan has every change with the number of people that it emails; nothing is written by it. Changes are
applied in transactions of some products each; where another event came first, a line at a time.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from chalicelib.domain.ids import Sku, Slug
from chalicelib.domain.stock import (
    Availability,
    AvailabilityEvent,
    EventOutcome,
    Stock,
    StockedProduct,
    availability_of_units,
    restocks,
)
from chalicelib.domain.stock_file import LineMistake, StockFile, StockLine
from chalicelib.services.availability import Availabilities, when_sold_out

# A transaction's items have 4 MB at most, and a product's row may have 100 KB.
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
PRODUCTS_AT_ONCE = 25


@dataclass(frozen=True, slots=True)
class StockFileChange:
    """A changed stock of a variant; `mailed` people on its waitlist would be emailed."""

    line: int
    slug: Slug
    before: Stock
    event: AvailabilityEvent
    mailed: int


@dataclass(frozen=True, slots=True)
class StockImport:
    """The plan of an import: its changes, the number of unchanged lines, and the errors."""

    changes: tuple[StockFileChange, ...]
    unchanged: int
    mistakes: tuple[LineMistake, ...]

    @property
    def mailed(self) -> int:
        """Return the number of emails that the import would cause."""
        return sum(change.mailed for change in self.changes)


def plan_import(
    file: StockFile,
    sold: Mapping[Sku, StockedProduct],
    *,
    emails_for: Callable[[Mapping[Sku, tuple[Slug, int | None]]], Mapping[Sku, int]],
    at_ms: int,
    new_id: Callable[[], str],
    near_miss: Callable[[Sku], str | None] = lambda _: None,
) -> StockImport:
    """Compare a stock file with the shop. Nothing is written.

    Args:
        file: the parsed file.
        sold: the product of each SKU of the file that the shop sells.
        emails_for: returns the emails that a restock sends, by SKU, for the slug and the units of each.
        at_ms: the time of now.
        new_id: returns an event's id.
        near_miss: returns a sentence about SKUs that are nearly like one that is not sold.
    """
    known = [line for line in file.lines if line.sku in sold]
    changed = [line for line in known if _differs(line, sold[line.sku])]
    events = {
        line.sku: AvailabilityEvent(
            new_id(), line.sku, _availability(line, sold[line.sku]), line.units, at_ms, by_units=True
        )
        for line in changed
    }
    restocked = {
        line.sku: (sold[line.sku].product.slug, line.units)
        for line in changed
        if _is_restock(events[line.sku], sold[line.sku])
    }
    emails = emails_for(restocked) if restocked else {}
    changes = tuple(
        StockFileChange(
            line.line,
            sold[line.sku].product.slug,
            sold[line.sku].stock[line.sku],
            events[line.sku],
            emails.get(line.sku, 0),
        )
        for line in changed
    )
    unknown = [_unknown(line, near_miss(line.sku)) for line in file.lines if line.sku not in sold]
    mistakes = sorted((*file.mistakes, *unknown), key=lambda mistake: mistake.line)
    return StockImport(changes, len(known) - len(changed), tuple(mistakes))


def apply_import(changes: Sequence[StockFileChange], availabilities: Availabilities) -> list[LineMistake]:
    """Apply the changes; return an error for each one that a newer event overtook."""
    return [
        LineMistake(change.line, f"{change.event.sku}: a newer event is known")
        for part in _by_products(changes)
        if not availabilities.apply_all([(change.slug, change.event) for change in part])
        for change in part
        if availabilities.apply(change.event).outcome not in {EventOutcome.CHANGED, EventOutcome.UNCHANGED}
    ]


def _by_products(changes: Sequence[StockFileChange]) -> Iterator[list[StockFileChange]]:
    """Yield the changes of some products at a time; those of one product stay together."""
    by_slug: dict[Slug, list[StockFileChange]] = {}
    for change in changes:
        by_slug.setdefault(change.slug, []).append(change)
    products = list(by_slug.values())
    for start in range(0, len(products), PRODUCTS_AT_ONCE):
        yield [change for product in products[start : start + PRODUCTS_AT_ONCE] for change in product]


def _unknown(line: StockLine, near_miss: str | None) -> LineMistake:
    words = f"sku {line.sku!r}: this stage sells nothing under that name"
    return LineMistake(line.line, f"{words}. {near_miss}" if near_miss else words)


def _differs(line: StockLine, stocked: StockedProduct) -> bool:
    stock = stocked.stock[line.sku]
    return (stock.availability, stock.units) != (_availability(line, stocked), line.units)


def _availability(line: StockLine, stocked: StockedProduct) -> Availability:
    """Return the availability for a line; at zero units, the one that the catalogue states for sold out.

    A count starts no launch: see `AvailabilityEvent.availability_after`.
    """
    if stocked.is_coming(line.sku):
        return Availability.COMING_SOON
    wanted = when_sold_out(stocked, line.sku) if line.units == 0 else None
    return wanted or availability_of_units(line.units)


def _is_restock(event: AvailabilityEvent, stocked: StockedProduct) -> bool:
    before = stocked.stock[event.sku]
    after = event.applied_to(before, when_sold_out(stocked, event.sku)).stock
    slug = stocked.product.slug
    return bool(restocks(slug, {event.sku: before}, {event.sku: after}, at_ms=event.observed_at_ms))

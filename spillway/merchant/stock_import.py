"""A file of stock against the shop as it is: what would change, who would be mailed; then to do it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chalicelib.domain.availability import AvailabilityEvent, Outcome, availability_of_units
from chalicelib.domain.stock import Availability, Stock, StockedProduct, restocks
from chalicelib.services.availability import Availabilities, when_sold_out
from chalicelib.tables.products import TRANSACTION_PRODUCTS_MAX, ProductsTable
from chalicelib.tables.shards import ShardsTable
from spillway.errors import BadInput
from spillway.merchant.skus import SkuIndex
from spillway.merchant.stock_file import LineMistake, StockFile, StockLine


@dataclass(frozen=True, slots=True)
class Change:
    """One variant whose stock is not what it was. `mailed` wait for it, and would hear of it."""

    line: int
    slug: str
    before: Stock
    event: AvailabilityEvent
    mailed: int


@dataclass(frozen=True, slots=True)
class StockImport:
    """What a file of stock comes to."""

    changes: tuple[Change, ...]
    unchanged: int
    mistakes: tuple[LineMistake, ...]

    @property
    def mailed(self) -> int:
        """How many emails it would set off."""
        return sum(change.mailed for change in self.changes)


def plan(
    file: StockFile, products: ProductsTable, shards: ShardsTable, *, at_ms: int, new_id: Callable[[], str]
) -> StockImport:
    """What would change, and how many would be mailed. Changes nothing."""
    sold = {
        variant.sku: stocked
        for stocked in products.scan()
        for variant in stocked.product.variants
        if variant.sku in stocked.stock
    }
    index = SkuIndex((sku, stocked.product.slug) for sku, stocked in sold.items())
    unknown = [_unknown(each, index) for each in file.lines if each.sku not in sold]
    known = [each for each in file.lines if each.sku in sold]
    changed = [each for each in known if _differs(each, sold[each.sku])]
    events = [
        AvailabilityEvent(
            new_id(), each.sku, _availability(each, sold[each.sku]), each.units, at_ms, by_units=True
        )
        for each in changed
    ]
    changes = tuple(
        _change(each, event, sold[each.sku], shards) for each, event in zip(changed, events, strict=True)
    )
    mistakes = sorted((*file.mistakes, *unknown), key=lambda mistake: mistake.line)
    return StockImport(changes, len(known) - len(changed), tuple(mistakes))


def apply(changes: Sequence[Change], availabilities: Availabilities) -> list[LineMistake]:
    """Take in every change; those that were overtaken by newer events are named."""
    return [
        LineMistake(change.line, f"{change.event.sku}: a newer event is known")
        for change in changes
        if availabilities.take_in(change.event).outcome not in {Outcome.CHANGED, Outcome.UNCHANGED}
    ]


def apply_all_or_nothing(changes: Sequence[Change], availabilities: Availabilities) -> bool:
    """Take in every change in one transaction; false when newer events came in between.

    Raises:
        BadInput: more products than one transaction takes.
    """
    if not changes:
        return True
    count = len({change.slug for change in changes})
    if count > TRANSACTION_PRODUCTS_MAX:
        raise BadInput(
            f"--atomic: {count} products would change, {TRANSACTION_PRODUCTS_MAX} can at once",
            hint="split the file, or leave --atomic out",
        )
    return availabilities.take_in_all([(change.slug, change.event) for change in changes])


def _unknown(line: StockLine, index: SkuIndex) -> LineMistake:
    words = f"sku {line.sku!r}: this stage sells nothing under that name"
    near_miss = index.near_miss(line.sku)
    return LineMistake(line.line, f"{words}. {near_miss}" if near_miss else words)


def _differs(line: StockLine, stocked: StockedProduct) -> bool:
    stock = stocked.stock[line.sku]
    return (stock.availability, stock.units) != (_availability(line, stocked), line.units)


def _availability(line: StockLine, stocked: StockedProduct) -> Availability:
    """Return what the line makes of the variant: at none, what the catalogue wants."""
    wanted = when_sold_out(stocked, line.sku) if line.units == 0 else None
    return wanted or availability_of_units(line.units)


def _change(
    stock_line: StockLine, event: AvailabilityEvent, stocked: StockedProduct, shards: ShardsTable
) -> Change:
    slug, before = stocked.product.slug, stocked.stock[event.sku]
    after = event.applied_to(before, when_sold_out(stocked, event.sku)).stock
    restocked = restocks(slug, {event.sku: before}, {event.sku: after}, at_ms=event.observed_at_ms)
    return Change(stock_line.line, slug, before, event, shards.count(event.sku) if restocked else 0)

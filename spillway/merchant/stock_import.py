"""Import stock from a file of `sku,stock` lines: read it, plan the changes, apply them.

Mistakes are listed all at once, with their lines. Columns are separated by commas, semicolons or tabs, as a
spreadsheet of the shop's country writes them. SKUs are text: leading zeros, case and inner spaces are kept.
Numbers are read as the shop's locale writes them, or as a program does (`5.0`); a negative number means
sold out.
"""

import codecs
import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from io import StringIO
from pathlib import Path

from babel.numbers import NumberFormatError, parse_decimal

from chalicelib.domain.ids import SkuRefused, parse_sku
from chalicelib.domain.stock import (
    UNITS_MAX,
    Availability,
    AvailabilityEvent,
    Outcome,
    Stock,
    StockedProduct,
    availability_of_units,
    restocks,
)
from chalicelib.services.availability import Availabilities, when_sold_out
from chalicelib.tables.products import TRANSACTION_PRODUCTS_MAX, ProductsTable
from chalicelib.tables.shards import ShardsTable
from spillway.errors import BadInput
from spillway.merchant.skus import SkuIndex
from spillway.pluralize import pluralize

LINES_MAX = 100_000
BYTES_MAX = 10_000_000
COLUMNS = ["sku", "stock"]
SEPARATORS = (",", ";", "\t")
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# Digits with any marks between them that a locale may group them by.
NUMBER = re.compile(r"[+-]?[0-9][0-9.,'\u2019\u00a0\u202f ]{0,20}", re.ASCII)
# As programs write a whole number.
PLAIN = re.compile(r"[+-]?[0-9]+(\.0*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class StockLine:
    """So many units of a variant, as one line of a file says."""

    line: int
    sku: str
    units: int


@dataclass(frozen=True, slots=True)
class LineMistake:
    """What is wrong with one line."""

    line: int
    what: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.what}"


@dataclass(frozen=True, slots=True)
class StockFile:
    """A file as it was read: its good lines and its mistakes."""

    name: str
    lines: tuple[StockLine, ...]
    mistakes: tuple[LineMistake, ...]


def read_stock_file(file: Path, *, locale: str = "en") -> StockFile:
    """The lines of a file, with numbers as `locale` ("de", "en-GB") writes them.

    Raises:
        BadInput: it is no such file at all.
    """
    raw = file.read_bytes()
    if len(raw) > BYTES_MAX:
        raise BadInput(f"{file}: over {BYTES_MAX} bytes", hint="split it")
    try:
        text = raw.decode("utf-16" if raw.startswith(UTF_16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{file}: byte {error.start}: not UTF-8", hint="save it as UTF-8") from None
    found = list(_lines(file, _rows(file, text), locale.replace("-", "_")))
    return StockFile(
        file.name,
        tuple(each for each in found if isinstance(each, StockLine)),
        tuple(each for each in found if isinstance(each, LineMistake)),
    )


def _rows(file: Path, text: str) -> Iterator[list[str]]:
    """The rows below the header, which says what sets columns apart."""
    for separator in SEPARATORS:
        rows = csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True)
        try:
            header = [cell.strip().lower() for cell in next(rows, [])]
        except csv.Error:
            continue
        if header == COLUMNS:
            return rows
    first = text.partition("\n")[0].strip()
    raise BadInput(
        f"{file}: line 1: {first!r}",
        hint="expected the header sku,stock, with a comma, a semicolon or a tab between",
    )


def _lines(file: Path, rows: Iterator[list[str]], locale: str) -> Iterator[StockLine | LineMistake]:
    first_lines: dict[str, int] = {}
    number = 1
    try:
        for number, row in enumerate(rows, start=2):
            if number > LINES_MAX:
                raise BadInput(f"{file}: over {LINES_MAX} lines", hint="split it")
            if not any(cell.strip() for cell in row):
                continue
            checked = _line(number, [cell.strip() for cell in row], locale)
            if isinstance(checked, StockLine) and checked.sku in first_lines:
                checked = LineMistake(
                    number, f"sku {checked.sku!r} stands in line {first_lines[checked.sku]} too"
                )
            elif isinstance(checked, StockLine):
                first_lines[checked.sku] = number
            yield checked
    except csv.Error as error:
        yield LineMistake(number + 1, f"not CSV: {error}")


def _line(number: int, cells: list[str], locale: str) -> StockLine | LineMistake:
    if len(cells) != len(COLUMNS):
        return LineMistake(number, f"{pluralize(len(cells), 'column')}, expected sku,stock")
    text, written = cells
    try:
        sku = parse_sku(text)
    except SkuRefused as refused:
        return LineMistake(number, f"sku {text!r}: {refused.reason}")
    units = _units(written, locale)
    if units is None or units > UNITS_MAX:
        return LineMistake(number, f"stock {written!r}: expected a whole number from 0 to {UNITS_MAX}")
    # More were sold than there were: none are left.
    return StockLine(number, sku, max(0, units))


def _units(written: str, locale: str) -> int | None:
    """A whole number as `locale` groups its digits, else as programs write it; None for any other text."""
    if not NUMBER.fullmatch(written):
        return None
    try:
        number = parse_decimal(written, locale=locale, strict=True)
    except NumberFormatError:
        if not PLAIN.fullmatch(written):
            return None
        number = Decimal(written)
    return int(number) if number == number.to_integral_value() else None


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
        if availabilities.apply(change.event).outcome not in {Outcome.CHANGED, Outcome.UNCHANGED}
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
    return availabilities.apply_all([(change.slug, change.event) for change in changes])


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

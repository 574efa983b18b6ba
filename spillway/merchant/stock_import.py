"""Import stock from a file of `sku,stock` lines: read it, plan the changes, apply them.

SKUs are compared exactly. A message may name similar SKUs, always in full and with the product they belong
to: no command acts on an SKU that was not typed. Mistakes are listed all at once, with their lines. Columns
are separated by commas, semicolons or tabs, as a spreadsheet of the shop's country writes them. SKUs are
text: leading zeros, case and inner spaces are kept. Numbers are read as the shop's locale writes them, or as
a program does (`5.0`); a negative number means sold out.
"""

import codecs
import csv
import difflib
import re
import shlex
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from io import StringIO
from pathlib import Path

from babel.numbers import NumberFormatError, parse_decimal

from chalicelib.domain.ids import Sku, SkuRefused, Slug, parse_sku
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
from spillway.stage import LOCAL
from spillway.terminal import pluralize

SIMILAR_SHOWN_MAX = 3
SIMILAR_SHARE_MIN = 0.75


class SkuIndex:
    """The SKUs of a shop with the slugs of their products, to find similar ones."""

    def __init__(self, sold: Iterable[tuple[Sku, Slug]]) -> None:
        self._slugs = dict(sold)
        self._alike: dict[str, list[Sku]] = {}
        for sku in sorted(self._slugs):
            self._alike.setdefault(_rough(sku), []).append(sku)

    @classmethod
    def of(cls, products: ProductsTable) -> "SkuIndex":
        """Return the SKUs of all products of a stage."""
        return cls(
            (variant.sku, stocked.product.slug)
            for stocked in products.scan()
            for variant in stocked.product.variants
        )

    def near_miss(self, sku: Sku) -> str | None:
        """Return a sentence that names SKUs other in case, spaces or leading zeros alone; None without."""
        found = [
            (other, _difference(sku, other)) for other in self._alike.get(_rough(sku), ()) if other != sku
        ]
        if not found:
            return None
        listed = " and ".join(f"{self._shown(other)} differs in {difference}" for other, difference in found)
        return f"SKUs are compared exactly: {listed}"

    def similar(self, sku: Sku) -> str | None:
        """Return a sentence that names SKUs spelled nearly like it; None without."""
        near = difflib.get_close_matches(sku, self._slugs, n=SIMILAR_SHOWN_MAX, cutoff=SIMILAR_SHARE_MIN)
        listed = ", ".join(self._shown(Sku(other)) for other in near)
        return f"other SKUs of this stage: {listed}" if near else None

    def _shown(self, sku: Sku) -> str:
        return f"{sku!r} (product {self._slugs[sku]})"


def require_sold(products: ProductsTable, sku: Sku, stage: str) -> None:
    """Check that the stage sells `sku`.

    Raises:
        BadInput: The stage does not sell it.
    """
    if products.slug_of(sku) is None:
        raise not_sold(sku, stage, SkuIndex.of(products))


def not_sold(sku: Sku, stage: str, index: SkuIndex) -> BadInput:
    """Return the error about an SKU that the stage does not sell, with similar ones of `index`."""
    hint = index.near_miss(sku) or "; ".join(
        words
        for words in (index.similar(sku), "SKUs are in site/products/*.toml; publish first if it is new")
        if words
    )
    return BadInput(f"SKU {sku!r}: stage {stage} sells nothing under that name", hint=hint)


def typed(command: str, sku: Sku, *options: str) -> str:
    """Return a command about an SKU, quoted for a shell: "available 'a b' --stock 5"."""
    if sku.startswith("-"):
        return shlex.join([command, *options, "--", sku])
    return shlex.join([command, sku, *options])


def typed_move(sku: Sku, stage: str) -> str:
    """Return the command that moves people from an SKU to another, quoted for a shell."""
    options = () if stage == LOCAL else ("--stage", stage)
    words = ["--", sku, "NEW-SKU"] if sku.startswith("-") else [sku, "NEW-SKU"]
    return shlex.join(["spillway", "waitlist", "move", *options, *words])


def _rough(text: str) -> str:
    """Return a text without case, spaces, leading zeros and compatibility forms."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split()).lstrip("0")


def _difference(sku: Sku, other: str) -> str:
    if sku.casefold() == other.casefold():
        return "upper and lower case"
    if "".join(sku.split()) == "".join(other.split()):
        return "spaces"
    if sku.lstrip("0") == other.lstrip("0"):
        return "leading zeros"
    return "case, spaces, leading zeros or the form of its characters"


LINES_MAX = 100_000
BYTES_MAX = 10_000_000
COLUMNS = ["sku", "stock"]
SEPARATORS = (",", ";", "\t")
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# Digits, with the separators that locales use for groups.
NUMBER = re.compile(r"[+-]?[0-9][0-9.,'\u2019\u00a0\u202f ]{0,20}", re.ASCII)
# A whole number as programs write it.
PLAIN = re.compile(r"[+-]?[0-9]+(\.0*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class StockLine:
    """One valid line: the stock of a variant."""

    line: int
    sku: Sku
    units: int


@dataclass(frozen=True, slots=True)
class LineMistake:
    """One line with an error."""

    line: int
    what: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.what}"


@dataclass(frozen=True, slots=True)
class StockFile:
    """A parsed file: its valid lines and its errors."""

    name: str
    lines: tuple[StockLine, ...]
    mistakes: tuple[LineMistake, ...]


def read_stock_file(file: Path, *, locale: str = "en") -> StockFile:
    """Read a stock file, with numbers in the format of `locale` ("de", "en-GB").

    Raises:
        BadInput: It is no stock file.
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
        tuple(line for line in found if isinstance(line, StockLine)),
        tuple(line for line in found if isinstance(line, LineMistake)),
    )


def _rows(file: Path, text: str) -> Iterator[list[str]]:
    """Return the rows below the header, which shows the separator."""
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
    first_lines: dict[Sku, int] = {}
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
    # A negative number: more were sold than were in stock.
    return StockLine(number, sku, max(0, units))


def _units(written: str, locale: str) -> int | None:
    """Return a whole number in the format of `locale`, else in that of programs; None for any other text."""
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
    """A changed stock of a variant; `mailed` people on its waitlist would be emailed."""

    line: int
    slug: Slug
    before: Stock
    event: AvailabilityEvent
    mailed: int


@dataclass(frozen=True, slots=True)
class StockImport:
    """The plan of an import: its changes, the number of unchanged lines, and the errors."""

    changes: tuple[Change, ...]
    unchanged: int
    mistakes: tuple[LineMistake, ...]

    @property
    def mailed(self) -> int:
        """Return the number of emails that the import would cause."""
        return sum(change.mailed for change in self.changes)


def plan(
    file: StockFile, products: ProductsTable, shards: ShardsTable, *, at_ms: int, new_id: Callable[[], str]
) -> StockImport:
    """Compare a stock file with the stage; return the changes and the emails. Nothing is written."""
    sold = {
        variant.sku: stocked
        for stocked in products.scan()
        for variant in stocked.product.variants
        if variant.sku in stocked.stock
    }
    index = SkuIndex((sku, stocked.product.slug) for sku, stocked in sold.items())
    unknown = [_unknown(line, index) for line in file.lines if line.sku not in sold]
    known = [line for line in file.lines if line.sku in sold]
    changed = [line for line in known if _differs(line, sold[line.sku])]
    events = [
        AvailabilityEvent(
            new_id(), line.sku, _availability(line, sold[line.sku]), line.units, at_ms, by_units=True
        )
        for line in changed
    ]
    changes = tuple(
        _change(line, event, sold[line.sku], shards) for line, event in zip(changed, events, strict=True)
    )
    mistakes = sorted((*file.mistakes, *unknown), key=lambda mistake: mistake.line)
    return StockImport(changes, len(known) - len(changed), tuple(mistakes))


def apply(changes: Sequence[Change], availabilities: Availabilities) -> list[LineMistake]:
    """Apply the changes; return an error for each one that a newer event overtook."""
    return [
        LineMistake(change.line, f"{change.event.sku}: a newer event is known")
        for change in changes
        if availabilities.apply(change.event).outcome not in {Outcome.CHANGED, Outcome.UNCHANGED}
    ]


def apply_all_or_nothing(changes: Sequence[Change], availabilities: Availabilities) -> bool:
    """Apply the changes in one transaction; return False if a newer event overtook one.

    Raises:
        BadInput: There are more products than a transaction can change.
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
    """Return the availability for a line; at zero units, the one that the catalogue states for sold out."""
    wanted = when_sold_out(stocked, line.sku) if line.units == 0 else None
    return wanted or availability_of_units(line.units)


def _change(
    stock_line: StockLine, event: AvailabilityEvent, stocked: StockedProduct, shards: ShardsTable
) -> Change:
    slug, before = stocked.product.slug, stocked.stock[event.sku]
    after = event.applied_to(before, when_sold_out(stocked, event.sku)).stock
    restocked = restocks(slug, {event.sku: before}, {event.sku: after}, at_ms=event.observed_at_ms)
    return Change(stock_line.line, slug, before, event, shards.count(event.sku) if restocked else 0)

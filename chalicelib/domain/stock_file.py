"""A stock file: lines of `sku,stock`, read with all their mistakes.

SKUs are text and are compared exactly: leading zeros, case and inner spaces are kept. Mistakes are listed all
at once, with their lines. Columns are separated by commas, semicolons or tabs, as a spreadsheet of the shop's
country writes them. Numbers are read as the shop's locale writes them, or as a program does (`5.0`); a
negative number means sold out.
"""

import codecs
import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from io import StringIO

from chalicelib.domain.ids import Sku, SkuRefused, parse_sku
from chalicelib.domain.stock import UNITS_MAX

LINES_MAX = 100_000
BYTES_MAX = 10_000_000
COLUMNS = ["sku", "stock"]
SEPARATORS = (",", ";", "\t")
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# Digits, with the separators that locales use for groups.
NUMBER = re.compile(r"[+-]?[0-9][0-9.,'\u2019\u00a0\u202f ]{0,20}", re.ASCII)
# A whole number as programs write it.
PLAIN = re.compile(r"[+-]?[0-9]+(\.0*)?", re.ASCII)


class StockFileRefused(ValueError):
    """The file is no stock file, or it `is_too_large`; `hint` says what to do."""

    def __init__(self, message: str, hint: str, *, is_too_large: bool = False) -> None:
        super().__init__(message)
        self.hint = hint
        self.is_too_large = is_too_large


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """The format of whole numbers of a locale.

    `group_sizes` are the digits of the group next to the decimal sign, and of every group left of it.
    """

    decimal_sign: str = "."
    group_sign: str = ","
    group_sizes: tuple[int, int] = (3, 3)

    def whole(self, written: str) -> int | None:
        """Return a whole number in this format, else in that of programs; None for any other text."""
        if not NUMBER.fullmatch(written):
            return None
        number = self._decimal(written)
        if number is None:
            number = Decimal(written) if PLAIN.fullmatch(written) else None
        return int(number) if number is not None and number == number.to_integral_value() else None

    def _decimal(self, written: str) -> Decimal | None:
        sign = written[0] if written[0] in "+-" else ""
        whole, _, fraction = written.removeprefix(sign).partition(self.decimal_sign)
        digits = whole.replace(self.group_sign, "")
        if self.group_sign in whole and whole != self._grouped(digits.lstrip("0") or "0"):
            return None
        try:
            return Decimal(f"{sign}{digits}.{fraction}")
        except InvalidOperation:
            return None

    def _grouped(self, digits: str) -> str:
        first, others = self.group_sizes
        rest, groups = digits[:-first], [digits[-first:]]
        while rest:
            rest, group = rest[:-others], rest[-others:]
            groups.insert(0, group)
        return self.group_sign.join(groups)


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


def parse_stock_file(
    raw: bytes,
    numbers: NumberFormat,
    *,
    name: str = "",
    lines_max: int = LINES_MAX,
    bytes_max: int = BYTES_MAX,
) -> StockFile:
    """Return the lines of a stock file.

    Args:
        raw: the file's bytes, in UTF-8, or in UTF-16 with its mark.
        numbers: how the shop's locale writes numbers.
        name: the file's name.
        lines_max: the most lines, the header among them.
        bytes_max: the most bytes.

    Raises:
        StockFileRefused: it is no stock file, or larger.
    """
    if len(raw) > bytes_max:
        raise StockFileRefused(f"over {bytes_max} bytes", "split it", is_too_large=True)
    try:
        text = raw.decode("utf-16" if raw.startswith(UTF_16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise StockFileRefused(f"byte {error.start}: not UTF-8", "save it as UTF-8") from None
    found = list(_lines(_rows(text), numbers, lines_max))
    return StockFile(
        name,
        tuple(line for line in found if isinstance(line, StockLine)),
        tuple(line for line in found if isinstance(line, LineMistake)),
    )


def _rows(text: str) -> Iterator[list[str]]:
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
    raise StockFileRefused(
        f"line 1: {first!r}",
        "expected the header sku,stock, with a comma, a semicolon or a tab between",
    )


def _lines(
    rows: Iterator[list[str]], numbers: NumberFormat, lines_max: int
) -> Iterator[StockLine | LineMistake]:
    first_lines: dict[Sku, int] = {}
    number = 1
    try:
        for number, row in enumerate(rows, start=2):
            if number > lines_max:
                raise StockFileRefused(f"over {lines_max} lines", "split it", is_too_large=True)
            if not any(cell.strip() for cell in row):
                continue
            checked = _line(number, [cell.strip() for cell in row], numbers)
            if isinstance(checked, StockLine) and checked.sku in first_lines:
                checked = LineMistake(
                    number, f"sku {checked.sku!r} stands in line {first_lines[checked.sku]} too"
                )
            elif isinstance(checked, StockLine):
                first_lines[checked.sku] = number
            yield checked
    except csv.Error as error:
        yield LineMistake(number + 1, f"not CSV: {error}")


def _line(number: int, cells: list[str], numbers: NumberFormat) -> StockLine | LineMistake:
    if len(cells) != len(COLUMNS):
        columns = "1 column" if len(cells) == 1 else f"{len(cells)} columns"
        return LineMistake(number, f"{columns}, expected sku,stock")
    text, written = cells
    try:
        sku = parse_sku(text)
    except SkuRefused as refused:
        return LineMistake(number, f"sku {text!r}: {refused.reason}")
    units = numbers.whole(written)
    if units is None or units > UNITS_MAX:
        return LineMistake(number, f"stock {written!r}: expected a whole number from 0 to {UNITS_MAX}")
    # A negative number: more were sold than were in stock.
    return StockLine(number, sku, max(0, units))

"""A file of stock: `sku,stock`, one variant a line. Mistakes are listed all at once, with their lines.

Columns are set apart by commas, semicolons or tabs, as a spreadsheet of the shop's country writes them.
SKUs are text: leading zeros, case and spaces inside are kept. Numbers of units are read as the shop's
locale writes them, or as a program does (`5.0`); a negative one is sold out.
"""

import codecs
import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from io import StringIO
from pathlib import Path

from babel.numbers import NumberFormatError, parse_decimal

from chalicelib.domain.availability import UNITS_MAX
from chalicelib.domain.sku import SkuRefused, parse_sku
from spillway.errors import BadInput
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

"""A file of stock: `sku,stock`, one variant a line. Mistakes are listed all at once, with their lines.

SKUs are text: leading zeros, case and spaces inside are kept.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from chalicelib.domain.availability import UNITS_MAX
from chalicelib.domain.sku import SkuRefused, parse_sku
from spillway.counted import counted
from spillway.errors import BadInput

LINES_MAX = 100_000
BYTES_MAX = 10_000_000
COLUMNS = ["sku", "stock"]
UNITS = re.compile(r"[0-9]{1,7}", re.ASCII)


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


def read_stock_file(file: Path) -> StockFile:
    """The lines of a file.

    Raises:
        BadInput: it is no such file at all.
    """
    raw = file.read_bytes()
    if len(raw) > BYTES_MAX:
        raise BadInput(f"{file}: over {BYTES_MAX} bytes", way_out="split it")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{file}: byte {error.start}: not UTF-8", way_out="save it as UTF-8") from None
    rows = csv.reader(StringIO(text, newline=""), strict=True)
    header = [cell.strip().lower() for cell in next(rows, [])]
    if header != COLUMNS:
        raise BadInput(
            f"{file}: line 1: {','.join(header)!r}",
            way_out="expected a comma-separated file with the header sku,stock",
        )
    found = list(_lines(file, rows))
    return StockFile(
        file.name,
        tuple(each for each in found if isinstance(each, StockLine)),
        tuple(each for each in found if isinstance(each, LineMistake)),
    )


def _lines(file: Path, rows: Iterator[list[str]]) -> Iterator[StockLine | LineMistake]:
    first_lines: dict[str, int] = {}
    number = 1
    try:
        for number, row in enumerate(rows, start=2):
            if number > LINES_MAX:
                raise BadInput(f"{file}: over {LINES_MAX} lines", way_out="split it")
            if not any(cell.strip() for cell in row):
                continue
            checked = _line(number, [cell.strip() for cell in row])
            if isinstance(checked, StockLine) and checked.sku in first_lines:
                checked = LineMistake(
                    number, f"sku {checked.sku!r} stands in line {first_lines[checked.sku]} too"
                )
            elif isinstance(checked, StockLine):
                first_lines[checked.sku] = number
            yield checked
    except csv.Error as error:
        yield LineMistake(number + 1, f"not CSV: {error}")


def _line(number: int, cells: list[str]) -> StockLine | LineMistake:
    if len(cells) != len(COLUMNS):
        return LineMistake(number, f"{counted(len(cells), 'column')}, expected sku,stock")
    text, units = cells
    try:
        sku = parse_sku(text)
    except SkuRefused as refused:
        return LineMistake(number, f"sku {text!r}: {refused.reason}")
    if not UNITS.fullmatch(units) or int(units) > UNITS_MAX:
        return LineMistake(number, f"stock {units!r}: expected a whole number from 0 to {UNITS_MAX}")
    return StockLine(number, sku, int(units))

"""A CSV file as rows of named cells, whatever program wrote it."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spillway.errors import BadInput

_FILE_SIZE_BYTES_MAX = 200_000_000
_CELL_LENGTH_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class Row:
    """One record. `line` is the line of the file that it begins on; a cell that is missing is empty."""

    line: int
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "")


@dataclass(frozen=True, slots=True)
class Table:
    """The columns in their order, and the records."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def read_table(file: Path) -> Table:
    """The table of a file in UTF-8 (with or without a mark) or in Windows' western letters.

    Raises:
        BadInput: there is no such file, or it is no table.
    """
    text = _text_of(file)
    csv.field_size_limit(_CELL_LENGTH_MAX)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        if len([name for name in header if name]) < 2:
            raise BadInput(f"{file}:1: expected a line of column names", way_out="export it as CSV")
        rows = []
        line = reader.line_num + 1
        for cells in reader:
            if len(cells) > len(header):
                raise BadInput(
                    f"{file}:{line}: {len(cells)} cells under {len(header)} columns",
                    way_out="a text with a comma in it needs quotes around it",
                )
            if any(cell.strip() for cell in cells):
                named = zip(header, cells, strict=False)
                rows.append(Row(line, {name: cell.strip() for name, cell in named if name}))
            line = reader.line_num + 1
    except csv.Error as error:
        raise BadInput(f"{file}:{reader.line_num}: {error}", way_out="export it as CSV again") from error
    return Table(tuple(name for name in header if name), tuple(rows))


def _text_of(file: Path) -> str:
    try:
        if file.stat().st_size > _FILE_SIZE_BYTES_MAX:
            raise BadInput(f"{file}: more than {_FILE_SIZE_BYTES_MAX} bytes", way_out="split it")
        content = file.read_bytes()
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}", way_out="name a file that can be read") from error
    if b"\0" in content:
        raise BadInput(f"{file}: no text", way_out="export it as CSV in UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def _delimiter(text: str) -> str:
    header = text.partition("\n")[0]
    return max(",;\t", key=header.count)

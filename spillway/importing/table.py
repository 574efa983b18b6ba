"""Read a table, from CSV or from a spreadsheet, as rows of named cells."""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spillway.errors import BadInput
from spillway.importing.sheet import NumberCell, sheet_records

_FILE_SIZE_BYTES_MAX = 200_000_000
_CELL_LENGTH_MAX = 1_000_000
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_SPREADSHEETS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
# Excel's way to keep a text that looks like a number: ="0042".
_TEXT_FORMULA = re.compile(r'\s*="((?:[^"]|"")*)"\s*')
# By gzip, bzip2, xz and zstd.
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_LINE = re.compile(r"([^\r\n]*)(?:\r\n|\r|\n|\Z)")
_SEPARATOR_LINE = re.compile(r'\s*"?sep=(.)"?\s*', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TableRow:
    """One record. `line` is the line of the file, or the row of the sheet, that it begins on.

    A cell that is missing is empty.
    """

    line: int
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "")


@dataclass(frozen=True, slots=True)
class TableFile:
    """The columns in their order, and the records. A name that comes again gets its number: "Images 2"."""

    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]
    header_line: int = 1


def read_table(file: Path, *, encoding: str | None = None, columns_min: int = 2) -> TableFile:
    """Return the table of a CSV file or of a spreadsheet's first sheet.

    Args:
        file: CSV with commas, semicolons or tabs, or .xlsx, .xls, .ods.
        encoding: The name of the encoding of a CSV file. Empty means UTF-8, or UTF-16 where it has a mark;
            so does None, of a command without --encoding.
        columns_min: The number of names that the header needs: one alone may be a text and no table.

    Raises:
        BadInput: there is no such file, it is no table, it is in another encoding, or a formula of the sheet
            has no value.
    """
    return _table(file, read_records(file, encoding=encoding), columns_min)


def read_columns(file: Path, columns: Sequence[str], *, encoding: str | None = None) -> tuple[TableRow, ...]:
    """Return the rows of a table that has these columns, named in lower case, whatever others it has.

    Raises:
        BadInput: as `read_table`; or a column is missing.
    """
    table = read_table(file, encoding=encoding)
    written = {name.lower(): name for name in table.columns}
    if not set(columns) <= written.keys():
        raise BadInput(
            f"{file}:{table.header_line}: the columns are {', '.join(table.columns)}",
            hint=f"name the columns {','.join(columns)}",
        )
    return tuple(TableRow(row.line, {name: row[written[name]] for name in columns}) for row in table.rows)


def read_records(file: Path, *, encoding: str | None = None) -> Iterator[tuple[int, list[str]]]:
    """Yield the line each record begins on, and its cells; see `read_table`. No record is a header.

    Raises:
        BadInput: there is no such file, it is no table, or it is in another encoding.
    """
    content = read_bytes(file)
    if content.startswith(_SPREADSHEETS):
        yield from sheet_records(file, content)
        return
    text = decoded(file, content, encoding)
    if text.lstrip().startswith("<"):
        raise BadInput(
            f"{file}: XML, and no table", hint=f"a Google feed in XML: spillway import google {file}"
        )
    yield from _csv_records(file, text)


def read_bytes(file: Path) -> bytes:
    """Return what a file holds.

    Raises:
        BadInput: it cannot be read, or is larger than 200 MB.
    """
    try:
        if file.stat().st_size > _FILE_SIZE_BYTES_MAX:
            raise BadInput(f"{file}: more than {_FILE_SIZE_BYTES_MAX} bytes", hint="split it")
        return file.read_bytes()
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}", hint="name a file that can be read") from error


def decoded(file: Path, content: bytes, encoding: str | None) -> str:
    """Return the text of a file. Nothing is guessed: a file that is not UTF-8 needs its encoding named.

    Raises:
        BadInput: the content is not in the encoding, and the line is named; or it is compressed.
    """
    if content.startswith(_COMPRESSED):
        raise BadInput(f"{file}: it is compressed", hint="decompress it first, with gunzip for a .gz file")
    mark = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "")
    name = mark or encoding or "utf-8"
    try:
        codec = codecs.lookup(name)
        text = content.decode(name)
    except LookupError as error:
        raise BadInput(
            f"--encoding {encoding}: there is no such encoding", hint="cp1252, cp1250, shift_jis, utf-16"
        ) from error
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BadInput(
            f"{file}:{line}: byte 0x{content[error.start]:02x} is not {codec.name.upper()}",
            hint="save the file as UTF-8"
            + (
                ", or name its encoding: --encoding cp1252 (Western Windows),"
                " cp1250 (Central European Windows), shift_jis (Japanese)"
            )
            * (encoding is not None),
        ) from error
    except UnicodeError as error:
        raise BadInput(
            f"--encoding {encoding}: {file} is not in this encoding", hint="cp1252, cp1250, shift_jis, utf-16"
        ) from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise BadInput(
            f"{file}:{line}: a NUL character, which no text has",
            hint="export it as CSV in UTF-8; UTF-16 without a mark: --encoding utf-16-le",
        )
    return text.removeprefix("\ufeff")


def _csv_records(file: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line each record begins on, and its cells."""
    csv.field_size_limit(_CELL_LENGTH_MAX)
    skipped, delimiter = 0, ""
    if (first := _LINE.match(text)) and (separator := _SEPARATOR_LINE.fullmatch(first[1])):
        # Excel's own way of naming the delimiter.
        skipped, delimiter, text = 1, separator[1], text[first.end() :]
    delimiter = delimiter or _delimiter(text)
    try:
        records = _parsed(text, delimiter, csv.QUOTE_MINIMAL, 1 + skipped)
    except csv.Error as error:
        if delimiter != "\t":
            line = str(error.args[1]) if len(error.args) > 1 else "?"
            raise BadInput(f"{file}:{line}: {error.args[0]}", hint="export it as CSV again") from error
        # With tabs, quotes need not mean anything.
        records = _parsed(text, delimiter, csv.QUOTE_NONE, 1 + skipped)
    for number, cells in records:
        yield number, [_without_formula(cell) for cell in cells]


def _without_formula(cell: str) -> str:
    found = _TEXT_FORMULA.fullmatch(cell) if '="' in cell else None
    return found[1].replace('""', '"') if found else cell


def _parsed(text: str, delimiter: str, quoting: int, line: int) -> list[tuple[int, list[str]]]:
    """Return the line each record begins on, and its cells.

    Raises:
        csv.Error: it is no CSV; its second argument is the line.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, quoting=quoting)  # type: ignore[arg-type]
    first = line
    records = []
    try:
        for cells in reader:
            records.append((line, cells))
            line = reader.line_num + first
    except csv.Error as error:
        # A quote that nobody closes swallows the lines after it.
        if reader.line_num + first - 1 > line:
            raise csv.Error(f"{error}, in the record that begins on this line", line) from error
        raise csv.Error(str(error), line) from error
    return records


def _delimiter(text: str) -> str:
    """Return the sign that the first two lines both have most of, outside quotes; or else the first line."""
    lines = [line for line in _QUOTED.sub("", text[:100_000]).splitlines() if line.strip()][:2] or [""]
    return max(",;\t|", key=lambda sign: (min(line.count(sign) for line in lines), lines[0].count(sign)))


def _table(file: Path, records: Iterable[tuple[int, list[str]]], columns_min: int) -> TableFile:
    numbered = iter(records)
    header: list[str] = []
    header_line = 1
    for header_line, cells in numbered:  # noqa: B007 - the line is used below
        if any(cell.strip() for cell in cells):
            header = _names(cells)
            break
    named = [name for name in header if not _is_unnamed(name)]
    if len(named) < columns_min:
        raise BadInput(
            f"{file}:{header_line}: expected a line of column names{f', not {named[0]!r}' if named else ''}",
            hint="delete what stands above the names; of a spreadsheet, the first sheet is read",
        )
    rows = []
    for line, cells in numbered:
        if len(cells) > len(header) and any(cell.strip() for cell in cells[len(header) :]):
            raise BadInput(
                f"{file}:{line}: {len(cells)} cells under {len(header)} columns",
                hint="a text with a comma in it needs quotes around it",
            )
        texts = {name: text for name, cell in zip(header, cells, strict=False) if (text := _stripped(cell))}
        if texts:
            rows.append(TableRow(line, texts))
    # A column without a name counts where it has values: they are reported, not lost.
    used = {name for row in rows for name in row.cells} if any(map(_is_unnamed, header)) else set()
    columns = tuple(name for name in header if not _is_unnamed(name) or name in used)
    return TableFile(columns, tuple(rows), header_line)


def _stripped(cell: str) -> str:
    return cell if isinstance(cell, NumberCell) else cell.strip()


def _is_unnamed(name: str) -> bool:
    return name.startswith("(column ")


def _names(cells: list[str]) -> list[str]:
    """Return the names on one line each; one that comes again gets a number, so that no cell is lost."""
    names: dict[str, str] = {}
    for cell in cells:
        name = base = " ".join(cell.split()) or f"(column {len(names) + 1})"
        number = 2
        while name.casefold() in names:
            name, number = f"{base} {number}", number + 1
        names[name.casefold()] = name
    return list(names.values())

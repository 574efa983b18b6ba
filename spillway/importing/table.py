"""Read a table, from CSV or from a spreadsheet, as rows of named cells, and recognise whose export it is.

The columns say which program wrote a file, so that no export is read as another one.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
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
_SEPARATOR_LINE = re.compile(r'\s*"?sep=(.)"?\s*', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Row:
    """One record. `line` is the line of the file, or the row of the sheet, that it begins on.

    A cell that is missing is empty.
    """

    line: int
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "")


@dataclass(frozen=True, slots=True)
class Table:
    """The columns in their order, and the records. A name that comes again gets its number: "Images 2"."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    header_line: int = 1


def read_table(file: Path, *, encoding: str = "") -> Table:
    """Return the table of a CSV file or of a spreadsheet's first sheet.

    Args:
        file: CSV with commas, semicolons or tabs, or .xlsx, .xls, .ods.
        encoding: The name of the encoding of a CSV file. Empty means UTF-8, or UTF-16 where it has a mark.

    Raises:
        BadInput: there is no such file, it is no table, it is in another encoding, or a formula of the sheet
            has no value.
    """
    content = read_bytes(file)
    if content.startswith(_SPREADSHEETS):
        return _table(file, sheet_records(file, content))
    text = decoded(file, content, encoding)
    if text.lstrip().startswith("<"):
        raise BadInput(
            f"{file}: XML, and no table", hint=f"a Google feed in XML: spillway import google {file}"
        )
    return _table(file, _csv_records(file, text))


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


def decoded(file: Path, content: bytes, encoding: str) -> str:
    """Return the text of a file. Nothing is guessed: a file that is not UTF-8 needs its encoding named.

    Raises:
        BadInput: the content is not in the encoding; the line is named.
    """
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
            hint="save the file as UTF-8, or name its encoding: --encoding cp1252 (Western Windows), "
            "cp1250 (Central European Windows), shift_jis (Japanese)",
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
    first, _, rest = text.partition("\n")
    skipped, delimiter = 0, ""
    if separator := _SEPARATOR_LINE.fullmatch(first):
        # Excel's own way of naming the delimiter.
        skipped, delimiter, text = 1, separator[1], rest
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
    """Return the sign that the header has most of, outside quotes."""
    header = ""
    quoted = False
    for part in text[:100_000].splitlines(keepends=True):
        header += part
        quoted ^= bool(part.count('"') % 2)
        if not quoted and header.strip():
            break
    header = re.sub(r'"(?:[^"]|"")*"', "", header)
    return max(",;\t|", key=header.count)


def _table(file: Path, records: Iterable[tuple[int, list[str]]]) -> Table:
    numbered = iter(records)
    header: list[str] = []
    header_line = 1
    for header_line, cells in numbered:  # noqa: B007 - the line is used below
        if any(cell.strip() for cell in cells):
            header = _names(cells)
            break
    if len([name for name in header if not _is_unnamed(name)]) < 2:
        raise BadInput(f"{file}:1: expected a line of column names", hint="export it as CSV")
    rows = []
    for line, cells in numbered:
        if len(cells) > len(header) and any(cell.strip() for cell in cells[len(header) :]):
            raise BadInput(
                f"{file}:{line}: {len(cells)} cells under {len(header)} columns",
                hint="a text with a comma in it needs quotes around it",
            )
        named = {name: text for name, cell in zip(header, cells, strict=False) if (text := _stripped(cell))}
        if named:
            rows.append(Row(line, named))
    # A column without a name counts where it has values: they are reported, not lost.
    used = {name for row in rows for name in row.cells} if any(map(_is_unnamed, header)) else set()
    columns = tuple(name for name in header if not _is_unnamed(name) or name in used)
    return Table(columns, tuple(rows), header_line)


def _stripped(cell: str) -> str:
    return cell if isinstance(cell, NumberCell) else cell.strip()


def _is_unnamed(name: str) -> bool:
    return name.startswith("(column ")


def _names(cells: list[str]) -> list[str]:
    """Return the names on one line each; one that comes again gets a number, so that no cell is lost."""
    names: list[str] = []
    for cell in cells:
        name = base = " ".join(cell.split()) or f"(column {len(names) + 1})"
        number = 2
        while name.casefold() in {item.casefold() for item in names}:
            name, number = f"{base} {number}", number + 1
        names.append(name)
    return names


@dataclass(frozen=True, slots=True)
class Platform:
    """A program that writes exports. A file is its own when it has all columns of one of `signatures`.

    `command` is the format of `spillway import` that reads it; empty where there is none.
    """

    name: str
    signatures: tuple[frozenset[str], ...]
    command: str = ""


def _signature(columns: str) -> frozenset[str]:
    return frozenset(columns.split("|"))


# More telling signatures go first.
_PLATFORMS = (
    Platform(
        "Squarespace",
        (
            _signature("product id [non editable]|variant id [non editable]"),
            _signature("product id [non-editable]|variant id [non-editable]"),
            _signature("product page|product url|hosted image urls"),
        ),
    ),
    Platform(
        "Etsy",
        (
            _signature("title|description|price|currency_code|quantity|tags|materials"),
            _signature("title|currency_code|image1"),
        ),
    ),
    Platform(
        "Adobe Commerce (Magento)",
        (
            _signature("sku|attribute_set_code|product_type"),
            _signature("sku|_attribute_set|_type"),
            _signature("sku|product_websites|url_key"),
        ),
    ),
    Platform(
        "BigCommerce",
        (
            _signature("item type|product id|product name|product code/sku"),
            _signature("product name|product code/sku|calculated price"),
            _signature("item|id|name|type|sku|options|inventory tracking|current stock"),
            _signature("product id|product name|product code/sku|product type"),
        ),
    ),
    Platform(
        "Wix",
        (
            _signature("handleid|fieldtype|name"),
            _signature("handle|fieldtype|name|productoptionname1"),
            _signature("handle|fieldtype|name|visible"),
        ),
    ),
    Platform(
        "PrestaShop",
        (
            _signature("product id|name|reference|price (tax excl.)"),
            _signature("product id|active (0/1)|name *"),
            _signature("id|active (0/1)|name *"),
        ),
    ),
    Platform(
        "Ecwid",
        (
            _signature("product_internal_id|product_sku|product_name"),
            _signature("type|product_name|product_price"),
        ),
    ),
    Platform(
        "Square",
        (
            _signature("token|item name|variation name"),
            _signature("reference handle|item name|variation name"),
        ),
    ),
    Platform(
        "Amazon",
        (_signature("item-name|seller-sku|price"), _signature("item_sku|item_name|feed_product_type")),
    ),
    Platform(
        "OpenCart",
        (_signature("product_id|model|quantity|stock_status_id"), _signature("product_id|name(en)|model")),
    ),
    Platform(
        "Shopify",
        (
            _signature("handle|title|variant price"),
            _signature("handle|title|body (html)"),
            _signature("handle|title|body html"),
            _signature("handle|title|option1 value"),
            _signature("url handle|title"),
            _signature("handle|title|variant sku"),
        ),
        "shopify",
    ),
    Platform(
        "WooCommerce",
        (
            _signature("type|sku|name|published|regular price"),
            _signature("type|name|in stock?|regular price"),
            _signature("id|type|name|is featured?"),
        ),
        "woocommerce",
    ),
    Platform(
        "Google Merchant Center",
        (
            _signature("id|title|link|price|availability"),
            _signature("id|title|image link|price"),
            _signature("id|title|image_link|price"),
        ),
        "google",
    ),
)


def platform_of(columns: Iterable[str]) -> Platform | None:
    """Return the platform whose export has these columns; None where no platform is known to write them."""
    names = frozenset(" ".join(column.split()).casefold() for column in columns)
    return next(
        (platform for platform in _PLATFORMS if any(signature <= names for signature in platform.signatures)),
        None,
    )


def refuse_other(file: Path, columns: Iterable[str], *, command: str) -> None:
    """Refuse the export of a platform that another command, or none, reads.

    Raises:
        BadInput: the file is an export of another platform. The way out names what to do instead.
    """
    platform = platform_of(columns)
    if platform is None or platform.command == command:
        return
    if platform.command:
        raise BadInput(
            f"{file}: this is an export of {platform.name}",
            hint=f"spillway import {platform.command} {file}",
        )
    raise BadInput(
        f"{file}: this is an export of {platform.name}, which has no importer of its own",
        hint=f"let {platform.name} write a Google Merchant feed, then: spillway import google FEED; "
        f"or name the columns to take: spillway import csv {file} --column sku=... --column title=... "
        "--column price=...",
    )

"""Read site/products.csv: many products in one sheet, a row for each variant.

The first row of a product states the fields of the product and of its first variant. Each further row
repeats the slug and states the next variant or picture. A column `option:NAME` is an option of the variants.
"""

import csv
import datetime
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import StringIO
from typing import Any

from chalicelib.domain.ids import Slug
from spillway.sitegen.reading.catalogue import ProductRow
from spillway.sitegen.reading.did_you_mean import did_you_mean
from spillway.sitegen.reading.product_file import ProductFile
from spillway.sitegen.reading.slugs import slug_problem
from spillway.sitegen.reading.toml_input import InputError, TomlTable
from spillway.sitegen.reading.toml_text import KeyLines

SHEET_FILE = "site/products.csv"
_PRODUCT_COLUMNS = (
    *("title", "category", "categories", "brand", "condition", "summary", "description"),
    *("seo_title", "seo_description", "tags", "released_on"),
)
# In the first row of a product these belong to the product, in a further row to its variant.
_SALE_COLUMNS = ("price", "compare_at_price", "sale_ends_on")
_SHARED_COLUMNS = (*_SALE_COLUMNS, "available_on", "weight_g")
_VARIANT_COLUMNS = (
    *("sku", "stock", "counted", "availability", "when_sold_out"),
    # Not the product's, even in its first row: a payment link sells one variant.
    *("gtin", "mpn", "variant_id", "checkout_url"),
)
_PICTURE_COLUMNS = ("picture", "picture_alt")
_COLUMNS = ("slug", *_PRODUCT_COLUMNS, *_SHARED_COLUMNS, *_VARIANT_COLUMNS, *_PICTURE_COLUMNS)
_REQUIRED_COLUMNS = ("slug", "title", "category", "summary", "description", "sku", "price", "stock")
_DAY_COLUMNS = ("released_on", "sale_ends_on", "available_on")
_OPTION = "option:"
# Longer numbers make no sense, and Python refuses to parse very long ones.
_DIGITS_MAX = 18
# Spreadsheets save the latter two where a comma is part of a number.
_SEPARATORS = (",", ";", "\t")
_DECIMAL_COMMA = re.compile(r"(\d+),(\d{1,2})", re.ASCII)
_SHORTENED = re.compile(r"\d([.,]\d+)?E\+\d{2,}", re.ASCII)
_WHOLE = re.compile(r"(\d+)[.,]0+", re.ASCII)

Cells = Mapping[str, str]


@dataclass(slots=True)
class _ProductRows:
    """The rows of one product, each with its line."""

    slug: Slug
    rows: list[tuple[int, Cells]] = field(default_factory=list)


def read_sheet(text: str, reader: ProductFile, *, mistakes: list[InputError]) -> tuple[ProductRow, ...]:
    """Read the products of the sheet's text, each by `reader` as if it had a file of its own.

    Rows that cannot be read are left out, and their errors appended to `mistakes`.
    """
    rows = list(_rows(text, mistakes))
    return tuple(_product(product, reader, mistakes) for product in _rows_by_product(rows, mistakes))


def variant_line(text: str, first_line: int, number: int) -> int:
    """Return the line of variant `number`, from 0, of the product that begins at `first_line` of a sheet."""
    reader = csv.reader(StringIO(text), delimiter=_separator(text), strict=True)
    lines: list[int] = []
    line = 1
    for row in reader:
        if line >= first_line and any(cell.strip() for cell in row):
            lines.append(line)
        if len(lines) > number:
            break
        line = reader.line_num + 1
    return lines[-1] if lines else first_line


def column(field: str) -> str:
    """Return the column that a field of a product's table comes from."""
    table, _, name = field.rpartition(".")
    if table.startswith("pictures"):
        return {"file": "picture", "alt": "picture_alt"}.get(name, name)
    return {"options": "option:…", "variants": "rows", "pictures": "rows with a picture"}.get(name, name)


def _product(product: _ProductRows, reader: ProductFile, mistakes: list[InputError]) -> ProductRow:
    found: list[InputError] = []
    table = TomlTable(_values(product), file=SHEET_FILE, lines=_SheetLines(product), mistakes=found)
    # Named after its first row: errors between products give this name.
    row = reader.product_of(table, slug=product.slug, file=f"{SHEET_FILE}:{product.rows[0][0]}")
    mistakes += [_in_terms_of_cells(mistake) for mistake in found]
    return row


class _SheetLines(KeyLines):
    """The line of each field of a product in the sheet."""

    def __init__(self, product: _ProductRows) -> None:
        super().__init__("")
        self._rows = product.rows
        self._shown = [line for line, cells in product.rows if cells.get("picture")]

    def of(self, field: str, line: int = 1) -> int:
        """Return the line of the row that states the field."""
        table, _, number = field.partition(".")[0].partition("[")
        rows = self._shown if table == "pictures" else [line for line, _ in self._rows]
        return rows[int(number[:-1])] if number and rows else self._rows[0][0]


def _rows(text: str, mistakes: list[InputError]) -> Iterator[tuple[int, Cells]]:
    """Yield the line and the cells that are not empty of each row with a slug."""

    def note_error(line: int, column: str, value: object, expected: str) -> None:
        mistakes.append(InputError(SHEET_FILE, line, column, value, expected))

    # Not `splitlines`: some programs write a line break inside a cell as a vertical tab.
    lines = list(StringIO(text))
    separator = _separator(text)
    reader = csv.reader(lines, delimiter=separator, strict=True)
    signs = {",": "a comma", ";": "a semicolon"}.get(separator, "a tab")
    line = 1
    columns: list[str] = []
    try:
        columns = [name.strip() for name in next(reader, [])]
        while columns and not columns[-1]:  # spreadsheets save empty columns that were used once
            columns.pop()
        if not _columns_are_fine(columns, mistakes):
            return
        line = reader.line_num + 1
        for row in reader:
            if beyond := [cell for cell in row[len(columns) :] if cell.strip()]:
                expected = (
                    f"at most {len(columns)} cells, as in the first row; one with {signs} stands in quotes"
                )
                note_error(line, "row", beyond[0], expected)
            cells = {name: cell.strip() for name, cell in zip(columns, row, strict=False) if cell.strip()}
            slug = cells.get("slug", "")
            if any(cells.values()) and (problem := slug_problem(slug)):
                note_error(line, "slug", slug or None, problem)
            elif cells:
                mistakes += _shortened_ids(line, cells)
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        note_error(line, *_fault_of_row(lines[line - 1 :], columns, str(error), separator))


def _shortened_ids(line: int, cells: Cells) -> Iterator[InputError]:
    """Yield an error for each id that a spreadsheet has shortened, 1.23E+11: its digits are lost."""
    for name in ("sku", "gtin", "mpn", "variant_id"):
        if _SHORTENED.fullmatch(cells.get(name, "")):
            expected = "all of its digits: the spreadsheet has shortened it; give the column the format text"
            yield InputError(SHEET_FILE, line, name, cells[name], expected)


def _fault_of_row(
    lines: Sequence[str], columns: Sequence[str], reason: str, separator: str
) -> tuple[str, str | None, str]:
    """Return the column, the text and what is expected where the first row of `lines` is not CSV.

    `reason` are the words of Python's reader. A quote that nothing closes takes the rest of the file, or as
    much of it as a cell may have.
    """
    try:
        cells = next(csv.reader(lines, delimiter=separator), [])
    except csv.Error:
        cells = []
    if not reason.startswith(("unexpected end of data", "field larger")):
        signs = {",": "commas", ";": "semicolons"}.get(separator, "tabs")
        expected = f"cells with {signs}, quotes or line breaks in quotes, and each quote inside of them twice"
        return "row", next(iter(cells), None), expected
    name = columns[len(cells) - 1] if 0 < len(cells) <= len(columns) else "row"
    expected = "a closing quote: this text goes on to the end of the file"
    return name, cells[-1] if cells else None, expected


def _separator(text: str) -> str:
    """Return the sign between cells: the one that the first line has most of."""
    return max(_SEPARATORS, key=text.partition("\n")[0].count)


def _columns_are_fine(columns: Sequence[str], mistakes: list[InputError]) -> bool:
    unknown = [name for name in columns if name not in _COLUMNS and not name.startswith(_OPTION)]
    twice = sorted({name for name in columns if columns.count(name) > 1})
    # A shop that counts no stock needs no such column.
    missing = [
        name
        for name in _REQUIRED_COLUMNS
        if name not in columns and not (name == "stock" and "counted" in columns)
    ]
    known = f"; one of {', '.join(_COLUMNS)}, option:NAME"
    mistakes += [
        *(
            InputError(
                SHEET_FILE, 1, "column", name, f"a known column{did_you_mean(name, _COLUMNS) or known}"
            )
            for name in unknown
        ),
        *(InputError(SHEET_FILE, 1, "column", name, "each column once") for name in twice),
        *(InputError(SHEET_FILE, 1, name, None, "a column of that name") for name in missing),
    ]
    return not (unknown or twice or missing)


def _rows_by_product(rows: Sequence[tuple[int, Cells]], mistakes: list[InputError]) -> list[_ProductRows]:
    """Group the rows by product; note an error where a row contradicts the first row of its product."""
    products: dict[Slug, _ProductRows] = {}
    last = ""
    for line, cells in rows:
        slug = Slug(cells["slug"])
        product = products.setdefault(slug, _ProductRows(slug))
        if product.rows and slug != last:
            mistakes.append(
                InputError(SHEET_FILE, line, "slug", slug, "the rows of a product one below the other")
            )
        first = product.rows[0][1] if product.rows else cells
        mistakes += [
            InputError(
                SHEET_FILE, line, name, cells[name], f"nothing, or what line {product.rows[0][0]} says"
            )
            for name in _PRODUCT_COLUMNS
            if name in cells and cells[name] != first.get(name)
        ]
        product.rows.append((line, cells))
        last = slug
    return list(products.values())


def _values(product: _ProductRows) -> dict[str, Any]:
    """Return the values that a file of this product would have."""
    first = product.rows[0][1]
    values: dict[str, Any] = {name: _value(name, first[name]) for name in _PRODUCT_COLUMNS if name in first}
    values |= {name: _value(name, first[name]) for name in _SHARED_COLUMNS if name in first}
    values["variants"] = [_variant(cells, first) for _, cells in product.rows]
    values["pictures"] = [
        {"file": cells["picture"], **({"alt": cells["picture_alt"]} if "picture_alt" in cells else {})}
        for _, cells in product.rows
        if "picture" in cells
    ]
    return values


def _variant(cells: Cells, first: Cells) -> dict[str, Any]:
    variant = {name: _value(name, cells[name]) for name in _VARIANT_COLUMNS if name in cells}
    variant |= {
        name: _value(name, cells[name])
        for name in _SHARED_COLUMNS
        if name in cells and cells[name] != first.get(name)
    }
    if "price" in variant:  # the former price belongs to the product's price only
        variant |= {name: _value(name, cells[name]) for name in _SALE_COLUMNS if name in cells}
    options = {
        name.removeprefix(_OPTION).strip(): cell for name, cell in cells.items() if name.startswith(_OPTION)
    }
    return {**variant, **({"options": options} if options else {})}


def _value(name: str, cell: str) -> Any:
    """Return the value that a file would have for `cell`; the cell itself when it is not of that type."""
    if name in {"tags", "categories"}:
        return [part.strip() for part in cell.split(",") if part.strip()]
    if name in {"price", "compare_at_price"} and _DECIMAL_COMMA.fullmatch(cell):
        return cell.replace(",", ".")
    if name in {"stock", "weight_g"}:
        whole = _WHOLE.sub(r"\1", cell) if _WHOLE.fullmatch(cell) else cell
        return int(whole) if whole.isdecimal() and whole.isascii() and len(whole) <= _DIGITS_MAX else cell
    if name == "counted":
        return {"true": True, "false": False}.get(cell.lower(), cell)
    return _day(cell) if name in _DAY_COLUMNS else cell


def _day(cell: str) -> datetime.date | str:
    """Return the day 2026-12-31; the cell itself when it is none."""
    try:
        return datetime.date.fromisoformat(cell)
    except ValueError:
        return cell


def _in_terms_of_cells(mistake: InputError) -> InputError:
    """Rewrite an error of the table, which was made of cells, for a merchant who sees the cells."""
    value, expected = mistake.value, mistake.expected
    for quoting in (" in quotes", " without quotes", '"'):
        expected = expected.replace(quoting, "")
    if isinstance(value, list):
        value, expected = len(value), f"at most {expected.rpartition(' ')[2]}"
    elif isinstance(value, dict):
        value = ", ".join(f"{name} {text}" for name, text in value.items()) or None
    return replace(mistake, field=column(mistake.field), value=value, expected=expected)

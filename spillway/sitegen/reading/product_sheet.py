"""site/products.csv: products in one sheet, a row for each variant.

The first row of a product says what is true of all of it; the rows below it, its slug again and what is its
next variant's or picture's. Columns `option:NAME` are what a shopper chooses by.
"""

import csv
import datetime
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from spillway.sitegen.reading.catalogue import ProductRow
from spillway.sitegen.reading.product_file import ProductFile
from spillway.sitegen.reading.slugs import slug_problem
from spillway.sitegen.reading.toml_input import InputError, Lines, TomlTable

SHEET_FILE = "site/products.csv"
_OF_PRODUCT = (
    *("title", "category", "categories", "brand", "condition", "summary", "description"),
    *("seo_title", "seo_description", "tags", "released_on"),
)
# In a product's first row these are the product's; in a row below, those of its variant.
_OF_SALE = ("price", "compare_at_price", "sale_ends_on")
_OF_BOTH = (*_OF_SALE, "available_on", "weight_g")
_OF_VARIANT = (
    *("sku", "stock", "counted", "availability", "when_sold_out"),
    *("gtin", "mpn", "variant_id"),
)
_OF_PICTURE = ("picture", "picture_alt")
_COLUMNS = ("slug", *_OF_PRODUCT, *_OF_BOTH, *_OF_VARIANT, *_OF_PICTURE)
_NEEDED = ("slug", "title", "category", "summary", "description", "sku", "price", "stock")
_OPTION = "option:"
# More digits than this are no number of anything, and Python refuses to read many more.
_DIGITS_MAX = 18
# What spreadsheets write where a comma is part of a number.
_OTHER_SEPARATOR = re.compile(r"[;\t]")

Cells = Mapping[str, str]


@dataclass(slots=True)
class _Block:
    """The rows of one product, each with its line."""

    slug: str
    rows: list[tuple[int, Cells]] = field(default_factory=list)


class ProductSheet:
    """The reader of the sheet. `reader` judges each product as it does that of a file."""

    def __init__(self, reader: ProductFile) -> None:
        self._reader = reader

    def read(self, text: str, *, mistakes: list[InputError]) -> tuple[ProductRow, ...]:
        """The products of the sheet's text; those that cannot be read are noted."""
        rows = list(_rows(text, mistakes))
        return tuple(self._product(block, mistakes) for block in _blocks(rows, mistakes))

    def _product(self, block: _Block, mistakes: list[InputError]) -> ProductRow:
        found: list[InputError] = []
        table = TomlTable(_values(block), file=SHEET_FILE, lines=_SheetLines(block), mistakes=found)
        # Notified by its row, for whatever is found wrong with it together with other products.
        row = self._reader.product_of(table, slug=block.slug, file=f"{SHEET_FILE}:{block.rows[0][0]}")
        mistakes += [_said_of_cells(each) for each in found]
        return row


class _SheetLines(Lines):
    """The line of each field of a product in the sheet."""

    def __init__(self, block: _Block) -> None:
        super().__init__("")
        self._rows = block.rows
        self._shown = [line for line, cells in block.rows if cells.get("picture")]

    def of(self, field: str) -> int:
        """The line of the row that says it."""
        table, _, number = field.partition(".")[0].partition("[")
        rows = self._shown if table == "pictures" else [line for line, _ in self._rows]
        return rows[int(number[:-1])] if number and rows else self._rows[0][0]


def _rows(text: str, mistakes: list[InputError]) -> Iterator[tuple[int, Cells]]:
    """(line, cells that say something) of each row that has a slug."""

    def wrong(line: int, column: str, value: object, expected: str) -> None:
        mistakes.append(InputError(SHEET_FILE, line, column, value, expected))

    reader = csv.reader(text.splitlines(keepends=True), strict=True)
    line = 1
    try:
        columns = [name.strip() for name in next(reader, [])]
        if not _columns_are_fine(columns, mistakes):
            return
        line = reader.line_num + 1
        for row in reader:
            if len(row) > len(columns):
                expected = (
                    f"at most {len(columns)} cells, as in the first row; one with a comma stands in quotes"
                )
                wrong(line, "row", row[len(columns)], expected)
            cells = {name: cell.strip() for name, cell in zip(columns, row, strict=False) if cell.strip()}
            slug = cells.get("slug", "")
            if any(cells.values()) and (problem := slug_problem(slug)):
                wrong(line, "slug", slug or None, problem)
            elif cells:
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        wrong(line, "CSV", str(error), "rows of cells, those with commas or quotes in quotes")


def _columns_are_fine(columns: Sequence[str], mistakes: list[InputError]) -> bool:
    if len(columns) == 1 and _OTHER_SEPARATOR.search(columns[0]):
        mistakes.append(InputError(SHEET_FILE, 1, "row", columns[0], "commas between the cells"))
        return False
    unknown = [name for name in columns if name not in _COLUMNS and not name.startswith(_OPTION)]
    twice = sorted({name for name in columns if columns.count(name) > 1})
    # A shop that counts nothing has no stock to write down.
    missing = [
        name for name in _NEEDED if name not in columns and not (name == "stock" and "counted" in columns)
    ]
    known = f"one of {', '.join(_COLUMNS)}, option:NAME"
    mistakes += [
        *(InputError(SHEET_FILE, 1, "column", name, f"a known column: {known}") for name in unknown),
        *(InputError(SHEET_FILE, 1, "column", name, "each column once") for name in twice),
        *(InputError(SHEET_FILE, 1, name, None, "a column of that name") for name in missing),
    ]
    return not (unknown or twice or missing)


def _blocks(rows: Sequence[tuple[int, Cells]], mistakes: list[InputError]) -> list[_Block]:
    """The rows by product. What a row says differently than its product's first is noted."""
    blocks: dict[str, _Block] = {}
    last = ""
    for line, cells in rows:
        slug = cells["slug"]
        block = blocks.setdefault(slug, _Block(slug))
        if block.rows and slug != last:
            mistakes.append(
                InputError(SHEET_FILE, line, "slug", slug, "the rows of a product one below the other")
            )
        first = block.rows[0][1] if block.rows else cells
        mistakes += [
            InputError(SHEET_FILE, line, name, cells[name], f"nothing, or what line {block.rows[0][0]} says")
            for name in _OF_PRODUCT
            if name in cells and cells[name] != first.get(name)
        ]
        block.rows.append((line, cells))
        last = slug
    return list(blocks.values())


def _values(block: _Block) -> dict[str, Any]:
    """What a product's own file would say."""
    first = block.rows[0][1]
    values: dict[str, Any] = {name: _value(name, first[name]) for name in _OF_PRODUCT if name in first}
    values |= {name: _value(name, first[name]) for name in _OF_BOTH if name in first}
    values["variants"] = [_variant(cells, first) for _, cells in block.rows]
    values["pictures"] = [
        {"file": cells["picture"], **({"alt": cells["picture_alt"]} if "picture_alt" in cells else {})}
        for _, cells in block.rows
        if "picture" in cells
    ]
    return values


def _variant(cells: Cells, first: Cells) -> dict[str, Any]:
    variant = {name: _value(name, cells[name]) for name in _OF_VARIANT if name in cells}
    variant |= {
        name: _value(name, cells[name])
        for name in _OF_BOTH
        if name in cells and cells[name] != first.get(name)
    }
    if "price" in variant:  # the product's former price is not that of another price
        variant |= {name: _value(name, cells[name]) for name in _OF_SALE if name in cells}
    options = {
        name.removeprefix(_OPTION).strip(): cell for name, cell in cells.items() if name.startswith(_OPTION)
    }
    return {**variant, **({"options": options} if options else {})}


def _value(name: str, cell: str) -> Any:
    """What a file would say where the sheet says `cell`; the cell itself where it is nothing of the kind."""
    if name in {"tags", "categories"}:
        return [part.strip() for part in cell.split(",") if part.strip()]
    if name in {"stock", "weight_g"}:
        return int(cell) if cell.isdecimal() and cell.isascii() and len(cell) <= _DIGITS_MAX else cell
    if name == "counted":
        return {"true": True, "false": False}.get(cell.lower(), cell)
    if name in {"released_on", "sale_ends_on", "available_on"}:
        try:
            return datetime.date.fromisoformat(cell)
        except ValueError:
            return cell
    return cell


def variant_line(text: str, first_line: int, number: int) -> int:
    """Return the line of variant `number`, from 0, of the product that begins at `first_line` of a sheet."""
    reader = csv.reader(text.splitlines(keepends=True), strict=True)
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
    """The column that a field of a product's table is from."""
    table, _, name = field.rpartition(".")
    if table.startswith("pictures"):
        return {"file": "picture", "alt": "picture_alt"}.get(name, name)
    return {"options": "option:…", "variants": "rows", "pictures": "rows with a picture"}.get(name, name)


def _said_of_cells(mistake: InputError) -> InputError:
    """A mistake of the table that was made of cells, for somebody who sees the cells."""
    value, expected = mistake.value, mistake.expected
    for quoting in (" in quotes", " without quotes", '"'):
        expected = expected.replace(quoting, "")
    if isinstance(value, list):
        value, expected = len(value), f"at most {expected.rpartition(' ')[2]}"
    elif isinstance(value, dict):
        value = ", ".join(f"{name} {text}" for name, text in value.items()) or None
    return replace(mistake, field=column(mistake.field), value=value, expected=expected)

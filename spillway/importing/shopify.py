"""Read Shopify's product export: one product over several rows.

Three families of column names are read: those of older exports (`Variant SKU`), of newer ones (`SKU`), and of
Matrixify (`Body HTML`, `Command`, `Top Row`). See https://help.shopify.com/en/manual/products/import-export/using-csv
and https://matrixify.app/documentation/products/.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from spillway.errors import BadInput
from spillway.importing.imported import (
    NOT_FOR_SALE,
    PRODUCTS_NOT_FOR_SALE,
    Export,
    ImportedPicture,
    ImportedProduct,
    ImportedVariant,
)
from spillway.importing.names import cut
from spillway.importing.platforms import refuse_other
from spillway.importing.reading import (
    Notes,
    ProductLinks,
    ReadOptions,
    condition_of,
    description_of,
    first_of,
    origin_of,
    path_of,
    position_of,
    price_of,
    split_list,
    stated_day,
    stated_units,
    weight_g_of,
)
from spillway.importing.table import TableFile, TableRow, read_table

# The file's name of a column, in lower case -> the field it fills.
_COLUMNS = {
    "handle": "handle",
    "url handle": "handle",
    "command": "command",
    "title": "title",
    "body (html)": "body",
    "body html": "body",
    "description": "body",
    "vendor": "vendor",
    "type": "type",
    "product category": "taxonomy",
    "standard product type": "taxonomy",
    "standardized product type": "taxonomy",
    "custom product type": "type",
    "category": "taxonomy",
    "category: name": "taxonomy",
    "collection": "collections",
    "collections": "collections",
    "custom collections": "collections",
    "smart collections": "smart_collections",
    "tags": "tags",
    "published": "published",
    "published on online store": "published",
    "status": "status",
    "published at": "published_at",
    "url": "url",
    **{f"option{number} name": f"name{number}" for number in (1, 2, 3)},
    **{f"option{number} value": f"value{number}" for number in (1, 2, 3)},
    "variant id": "variant_id",
    "variant position": "variant_position",
    "variant position in product": "variant_position",
    "variant command": "variant_command",
    "variant sku": "sku",
    "sku": "sku",
    "variant barcode": "barcode",
    "barcode": "barcode",
    "variant price": "price",
    "price": "price",
    "variant compare at price": "compare_at",
    "compare-at price": "compare_at",
    "compare at price": "compare_at",
    "variant inventory tracker": "tracker",
    "inventory tracker": "tracker",
    "variant inventory qty": "quantity",
    "inventory quantity": "quantity",
    "variant inventory policy": "policy",
    "continue selling when out of stock": "policy",
    "variant grams": "grams",
    "weight value (grams)": "grams",
    "variant weight": "weight",
    "variant weight unit": "weight_unit",
    "weight unit for display": "weight_unit",
    "image src": "image",
    "product image url": "image",
    "image alt text": "image_alt",
    "image position": "image_position",
    "image command": "image_command",
    "variant image": "variant_image",
    "variant image url": "variant_image",
    "seo title": "seo_title",
    "seo description": "seo_description",
    "metafield: title_tag [string]": "seo_title",
    "metafield: title_tag [single_line_text_field]": "seo_title",
    "metafield: description_tag [string]": "seo_description",
    "metafield: description_tag [multi_line_text_field]": "seo_description",
    "google shopping / condition": "condition",
    "google shopping / mpn": "mpn",
    "google shopping / gender": "gender",
    "google shopping / age group": "age_group",
    # Say what the rows say already.
    "top row": "",
    "row #": "",
}
_DETAILS = {"gender": "Gender", "age_group": "Age group"}
_NEEDED = ("handle", "title")
_NUMBERS = (1, 2, 3)
_OF_A_VARIANT = ("price", "sku", "value1", "value2", "value3", "variant_id", "barcode")
_YES = frozenset(
    {"true", "yes", "1", "continue", "active", "published"}
    # A spreadsheet program writes TRUE in its own language.
    | {"wahr", "vrai", "verdadero", "verdadeiro", "vero", "waar", "prawda", "pravda", "igaz", "adev\u0103rat"}
    | {"sant", "sann", "sand", "tosi", "do\u011fru", "\u0438\u0441\u0442\u0438\u043d\u0430"}
)
# A semicolon may also be a part of one address.
_BETWEEN_ADDRESSES = re.compile(r"\s*;\s*(?=https?://|//|\Z)", re.IGNORECASE)
_LEFT_OUT_COMMANDS = frozenset({"delete", "ignore"})
_LAST = 1_000_000
_SHOWN_MAX = 60
# A cart permalink takes the number at its end alone.
_GID = "gid://shopify/ProductVariant/"


def read_shopify(file: Path, options: ReadOptions) -> Export:
    """Return the products of an export.

    Raises:
        BadInput: the file is no export of products.
    """
    table = read_table(file, encoding=options.encoding)
    fields: dict[str, list[str]] = {}
    for column in table.columns:
        # The second column of a name, "Tags 2", fills the same field where the first is empty.
        name = _COLUMNS.get(re.sub(r" \d+\Z", "", column.casefold())) or _COLUMNS.get(column.casefold())
        if name:
            fields.setdefault(name, []).append(column)
    if any(name not in fields for name in _NEEDED):
        refuse_other(file, table.columns, command="shopify")
        missing = ", ".join(name for name in _NEEDED if name not in fields)
        raise BadInput(
            f"{file}:{table.header_line}: no column for {missing}",
            hint="export products from Shopify, as CSV for any spreadsheet program",
        )
    return _Reading(table, fields, options).export()


@dataclass
class _Group:
    """The rows of one handle, in the order of the file."""

    handle: str
    rows: list[TableRow] = field(default_factory=list)
    spellings: dict[str, None] = field(default_factory=dict)


class _Reading:
    def __init__(self, table: TableFile, fields: Mapping[str, list[str]], options: ReadOptions) -> None:
        self._table = table
        self._fields = fields
        self._prices = options.prices(decimal_point=True)
        self._options = options
        self._links = ProductLinks(())
        self._notes = Notes()

    def export(self) -> Export:
        groups = self._groups()
        base = self._options.old_shop or next(
            (origin_of(url) for group in groups for row in group.rows if (url := row["url"])), ""
        )
        self._links = ProductLinks((group.handle for group in groups), base=base)
        products = self._notes.read(groups, self._product, self._options.share)
        used = {column for columns in self._fields.values() for column in columns}
        self._notes.unknown_columns(
            self._table, lambda column: column in used or _COLUMNS.get(column.casefold()) == ""
        )
        return Export(products, tuple(self._notes.lines))

    def _groups(self) -> list[_Group]:
        groups: dict[str, _Group] = {}
        names = {column: name for name, columns in self._fields.items() for column in columns}
        for row in self._table.rows:
            named: dict[str, str] = {}
            for column, text in row.cells.items():
                if not (name := names.get(column)) or (kept := named.setdefault(name, text)) == text:
                    continue
                # A category may be there twice, with its path and without.
                if name != "taxonomy" or not (kept.endswith(text) or text.endswith(kept)):
                    what = f"{column} {cut(text, _SHOWN_MAX)!r}"
                    outcome = f"left out: {cut(kept, _SHOWN_MAX)!r} counts"
                    kind = "second columns of one field, with another value than the first"
                    self._notes.at(f"line {row.line}").lost(what, outcome, kind)
            handle = named.get("handle", "")
            if not handle:
                what = f"a row without a handle: {cut(', '.join(row.cells.values()), _SHOWN_MAX)}"
                self._notes.at(f"line {row.line}").lost(what, "left out", "rows without a handle")
                continue
            # Shopify's handles are the same in every case.
            group = groups.setdefault(handle.casefold(), _Group(handle.lower()))
            group.rows.append(TableRow(row.line, named))
            group.spellings[handle] = None
        return list(groups.values())

    def _product(self, group: _Group) -> ImportedProduct | None:
        rows, handle = group.rows, group.handle
        place = f"line {rows[0].line}"
        notes = self._notes.at(place, handle)
        if not _is_for_sale(group, notes):
            return None
        title = first_of(rows, "title", notes)
        categories = [
            *split_list(first_of(rows, "collections", notes)),
            *split_list(first_of(rows, "smart_collections", notes)),
        ]
        taxonomy = first_of(rows, "taxonomy", notes).rpartition(">")[2].strip()
        category = first_of(rows, "type", notes) or taxonomy or next(iter(categories), "")
        details = tuple(
            (label, text) for name, label in _DETAILS.items() if (text := first_of(rows, name, notes))
        )
        body = description_of(first_of(rows, "body", notes), notes, self._links, newlines_count=False)
        return ImportedProduct(
            place=place,
            handle=handle,
            title=title,
            description=body.markdown,
            opening=body.opening,
            category=category,
            categories=tuple(name for name in dict.fromkeys(categories) if name != category),
            summary="",
            details=details,
            tags=split_list(first_of(rows, "tags", notes)),
            variants=tuple(self._variants(group)),
            pictures=tuple(self._pictures(group)),
            brand=first_of(rows, "vendor", notes),
            condition=condition_of(first_of(rows, "condition", notes), notes),
            seo_title=first_of(rows, "seo_title", notes),
            seo_description=first_of(rows, "seo_description", notes),
            released_on=stated_day(first_of(rows, "published_at", notes), "published at", notes),
            old_paths=self._old_paths(group),
        )

    def _old_paths(self, group: _Group) -> tuple[str, ...]:
        spelled = sorted({group.handle, *group.spellings})
        paths = [f"/products/{handle}" for handle in spelled]
        return tuple(dict.fromkeys([*paths, *filter(None, [path_of(first_of(group.rows, "url"))])]))

    def _variants(self, group: _Group) -> Iterator[ImportedVariant]:
        rows = [row for row in group.rows if _is_variant(row) and self._is_kept(row, "variant", group)]
        # Any row may name the options; a name without a value anywhere is none.
        names: dict[int, str] = {}
        for number in _NUMBERS:
            if any(row[f"value{number}"] for row in rows):
                name = first_of(group.rows, f"name{number}") or f"Option {number}"
                names[number] = f"{name} {number}" if name in names.values() else name
        rows.sort(key=lambda row: _LAST if (place := position_of(row["variant_position"])) is None else place)
        default = list(names) == [1] and all(row["value1"] in {"Default Title", ""} for row in rows)
        for row in rows:
            place = f"line {row.line}"
            notes = self._notes.at(place, group.handle)
            price = price_of(row["price"], self._prices, notes)
            if not price:
                continue
            former = price_of(row["compare_at"], self._prices, notes, label="compare-at price")
            units, sells_on = self._units(row, group.handle, notes), row["policy"].casefold() in _YES
            yield ImportedVariant(
                place=place,
                sku=row["sku"].removeprefix("'"),
                price=price,
                options=()
                if default
                else tuple((name, text) for number, name in names.items() if (text := row[f"value{number}"])),
                units=units,
                sells_on=sells_on,
                picture=row["variant_image"],
                availability="BackOrder" if units == 0 and sells_on else "",
                compare_at_price=former,
                gtin=row["barcode"].removeprefix("'"),
                mpn=row["mpn"] or first_of(group.rows, "mpn"),
                weight_g=_weight(row, notes),
                variant_id=row["variant_id"].removeprefix("'").removeprefix(_GID),
                position=position_of(row["variant_position"]),
            )

    def _is_kept(self, row: TableRow, part: str, group: _Group) -> bool:
        """Return whether Matrixify's command keeps the "variant" or "image" of a row; add a line if not."""
        command = row[f"{part}_command"]
        if command.casefold() not in _LEFT_OUT_COMMANDS:
            return True
        if part == "image":
            what, kind = row["image"], "pictures"
        else:
            options = " ".join(filter(None, (row[f"value{number}"] for number in _NUMBERS)))
            what, kind = row["sku"] or options or row["variant_id"], "variants"
        what = f"{group.handle}: {part} {what}, command {command}"
        kind = f"{kind} that are left out by their command"
        self._notes.at(f"line {row.line}", group.handle).lost(what, "left out", kind)
        return False

    def _units(self, row: TableRow, handle: str, notes: Notes) -> int | None:
        text = row["quantity"]
        if "tracker" in self._fields and not row["tracker"]:
            return None  # Shopify does not count it: https://help.shopify.com/en/manual/products/inventory
        if not text:
            if row["tracker"]:
                kind = "counted variants whose number the export does not say, taken as always for sale"
                notes.lost(f"{handle}: no inventory quantity", "for sale", kind)
            return None
        return stated_units(text, notes)

    def _pictures(self, group: _Group) -> Iterator[ImportedPicture]:
        placed: dict[str, tuple[int, str, int | None]] = {}
        removed: set[str] = set()
        for number, row in enumerate(group.rows, 1):
            pictures = _cell_pictures(row)
            if pictures and not self._is_kept(row, "image", group):
                removed |= {url for url, _ in pictures}
                continue
            position = position_of(row["image_position"])
            for place, (url, alt) in enumerate(pictures):
                stated = (position or 1) + place if len(pictures) > 1 else position
                placed.setdefault(url, (stated or number, alt, stated))
        for row in group.rows:
            if row["variant_image"] and row["variant_image"] not in removed:
                placed.setdefault(row["variant_image"], (_LAST, "", None))
        for url, (_, alt, position) in sorted(placed.items(), key=lambda item: item[1][0]):
            yield ImportedPicture(url, alt, position)


def _is_for_sale(group: _Group, notes: Notes) -> bool:
    for name in ("command", "published", "status"):
        text = first_of(group.rows, name)
        if name == "command":
            refused = text.casefold() in _LEFT_OUT_COMMANDS
        else:
            refused = bool(text) and text.casefold() not in _YES
        if refused:
            notes.lost(f"{group.handle}, {name} {text}", NOT_FOR_SALE, PRODUCTS_NOT_FOR_SALE)
            return False
    return True


def _weight(row: TableRow, notes: Notes) -> int | None:
    if row["weight"]:
        return weight_g_of(row["weight"], row["weight_unit"] or "kg", notes)
    return weight_g_of(row["grams"], "g", notes)


def _cell_pictures(row: TableRow) -> list[tuple[str, str]]:
    """Return (address, text) of each picture of a row. Matrixify writes several into one cell."""
    urls = [url.strip() for url in _BETWEEN_ADDRESSES.split(row["image"]) if url.strip()]
    texts = [text.strip() for text in row["image_alt"].split(";")]
    if len(urls) < 2 or len(texts) != len(urls):
        texts = [row["image_alt"]]
    return [(url, texts[number] if number < len(texts) else "") for number, url in enumerate(urls)]


def _is_variant(row: TableRow) -> bool:
    """Return whether a row is one of a variant, and not only of another picture."""
    return any(row[name] for name in _OF_A_VARIANT)

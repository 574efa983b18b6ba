"""Read WooCommerce's product export: a row for each product, and one for each of its variations.

The columns are those of WooCommerce's own exporter, see
https://github.com/woocommerce/woocommerce/wiki/Product-CSV-Import-Schema. Lists are joined by ", ", with a
backslash before a comma of their own; a line end is a backslash and an "n"; prices have the shop's decimal
sign and no groups.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

from spillway.errors import BadInput
from spillway.importing.html_text import html_of, line_of, unescaped
from spillway.importing.imported import (
    GROUPED_PRODUCTS,
    NOT_FOR_SALE,
    PRODUCTS_NOT_FOR_SALE,
    Export,
    ImportedPicture,
    ImportedProduct,
    ImportedVariant,
)
from spillway.importing.platforms import refuse_other
from spillway.importing.reading import (
    Notes,
    ProductLinks,
    ReadOptions,
    Sale,
    description_of,
    origin_of,
    path_of,
    position_of,
    price_of,
    split_list,
    stated_units,
    weight_g_of,
)
from spillway.importing.table import TableFile, TableRow, read_table
from spillway.importing.wordpress import encoded_slug, is_seo_template, post_slug, without_shortcodes

_COLUMNS = {
    "id": "id",
    "type": "type",
    "sku": "sku",
    "gtin, upc, ean, or isbn": "gtin",
    "name": "name",
    "published": "published",
    "visibility in catalog": "visibility",
    "short description": "short",
    "description": "description",
    "date sale price starts": "sale_starts",
    "date sale price ends": "sale_ends",
    "in stock?": "in_stock",
    "stock": "stock",
    "backorders allowed?": "backorders",
    "sale price": "sale_price",
    "regular price": "price",
    "categories": "categories",
    "tags": "tags",
    "images": "images",
    "parent": "parent",
    "position": "position",
    "brands": "brands",
    "brand": "brands",
    "slug": "slug",
    "permalink": "url",
    "product url": "url",
    "meta: _yoast_wpseo_title": "seo_title",
    "meta: rank_math_title": "seo_title",
    "meta: _yoast_wpseo_metadesc": "seo_description",
    "meta: rank_math_description": "seo_description",
}
_WEIGHT = re.compile(r"weight \((\w+)\)")
_ATTRIBUTE = re.compile(r"attribute (\d+) (name|value\(s\)|visible|global|default)")
_FORMULA = re.compile(r"'(?=[=+\-@\t\r])")
_LINE_END = re.compile(r"\\\\n|\\n")
_SUMMARY_LENGTH_MAX = 160
_LAST = 1_000_000_000
_FOR_SALE = frozenset({"1", "", "true", "yes"})
# Each of a row's types is one of these, or the report names it. Extensions have types of their own.
_TYPES = frozenset({"simple", "variable", "variation", "grouped", "external", "virtual", "downloadable"})


def read_woocommerce(file: Path, options: ReadOptions) -> Export:
    """Return the products of an export.

    Raises:
        BadInput: the file is no export of WooCommerce.
    """
    table = read_table(file, encoding=options.encoding)
    names: dict[str, str] = {}
    for column in table.columns:
        key = column.casefold()
        if found := _ATTRIBUTE.fullmatch(key):
            names[column] = f"attribute {found[1]} {found[2]}"
        elif found := _WEIGHT.fullmatch(key):
            names[column] = f"weight {found[1]}"
        elif key in _COLUMNS and _COLUMNS[key] not in names.values():
            names[column] = _COLUMNS[key]
    missing = [name for name in ("type", "name") if name not in names.values()]
    if missing or not {"price", "sale_price"} & set(names.values()):
        refuse_other(file, table.columns, command="woocommerce")
        raise BadInput(
            f"{file}:{table.header_line}: no column for {', '.join(missing) or 'regular price'}",
            hint="export all columns from WooCommerce, with its language set to English",
        )
    return _Reading(table, names, options).export()


class _Reading:
    def __init__(self, table: TableFile, names: Mapping[str, str], options: ReadOptions) -> None:
        self._table = table
        self._names = names
        self._prices = options.prices(groups=False)
        self._options = options
        self._links = ProductLinks((), base=options.old_shop)
        self._notes = Notes()
        self._weight = next((name for name in names.values() if name.startswith("weight ")), "")

    def export(self) -> Export:
        rows = [self._named(row) for row in self._table.rows]
        if not self._options.old_shop:
            base = next((origin for row in rows if (origin := origin_of(row["url"]))), "")
            self._links = ProductLinks((), base=base)
        variations: dict[str, list[TableRow]] = {}
        parents: dict[str, str] = {}
        for number, row in enumerate(rows):
            if not _is_variation(row):
                # A variation names its parent by SKU, or by id where the parent has none.
                for name in (row["sku"], f"id:{row['id']}" if row["id"] else ""):
                    if name:
                        parents.setdefault(name, str(number))
        for row in rows:
            if _is_variation(row):
                parent = parents.get(row["parent"])
                if parent is None:
                    what = f"variation {row['name'] or row['sku']!r} of {row['parent'] or 'no product'!r}"
                    kind = "variations whose product is not in the export"
                    self._notes.at(f"line {row.line}").lost(what, "left out", kind)
                else:
                    variations.setdefault(parent, []).append(row)
        families = [
            (row, variations.get(str(number), []))
            for number, row in enumerate(rows)
            if not _is_variation(row)
        ]
        products = self._notes.read(families, self._product, self._options.share)
        self._notes.unknown_columns(self._table, lambda column: column in self._names)
        return Export(products, tuple(self._notes.lines))

    def _named(self, row: TableRow) -> TableRow:
        cells = {
            name: _FORMULA.sub("", text, count=1) if text.startswith("'") else text
            for column, text in row.cells.items()
            if (name := self._names.get(column))
        }
        return TableRow(row.line, cells)

    def _product(self, family: tuple[TableRow, list[TableRow]]) -> ImportedProduct | None:
        row, variations = family
        place, title = f"line {row.line}", line_of(row["name"])
        types = split_list(row["type"].casefold())
        notes = self._notes.at(place, title)
        if not self._is_for_sale(row, types, title, notes):
            return None
        variable = any("variable" in name for name in types) or bool(variations)
        categories = _categories(row["categories"])
        attributes = _attributes(row)
        chosen = {name for variation in variations for name in _attributes(variation)}
        summary, description = self._texts(row, title)
        pictures = [url for variation in (row, *variations) for url in split_list(variation["images"])]
        brand, *others = [line_of(name) for name in split_list(row["brands"])] or [""]
        for other in others:
            notes.lost(f"brand {other!r}", f"left out: {brand!r} counts", "second brands of a product")
        body = description_of(description, notes, self._links, newlines_count=True)
        return ImportedProduct(
            place=place,
            handle=unquote(row["slug"]),
            title=title,
            description=body.markdown,
            opening=body.opening,
            category=categories[0] if categories else "",
            categories=tuple(categories[1:]),
            summary=summary,
            details=tuple(
                (name, ", ".join(values))
                for name, (values, visible) in attributes.items()
                if name not in chosen and visible and values
            ),
            tags=tuple(unescaped(tag) for tag in split_list(row["tags"])),
            variants=tuple(
                self._variations(row, variations, title) if variable else self._variants(row, row, (), title)
            ),
            pictures=tuple(
                ImportedPicture(url, "", number) for number, url in enumerate(dict.fromkeys(pictures), 1)
            ),
            brand=brand,
            seo_title=self._seo(row, "seo_title", title),
            seo_description=self._seo(row, "seo_description", title),
            old_paths=self._old_paths(row),
        )

    def _is_for_sale(self, row: TableRow, types: tuple[str, ...], title: str, notes: Notes) -> bool:
        reason, kind = "", PRODUCTS_NOT_FOR_SALE
        if row["published"].casefold() not in _FOR_SALE:
            reason = f"published {row['published']}"
        elif "grouped" in types or "external" in types:
            reason, kind = f"type {row['type']}", GROUPED_PRODUCTS
        if reason:
            notes.lost(f"{title}, {reason}", NOT_FOR_SALE, kind)
            return False
        if row["visibility"].casefold() in {"hidden", "search"}:
            kind = "products that the other shop does not list, listed here"
            notes.lost(f"{title}, visibility {row['visibility']}", "listed", kind)
        for name in types:
            if name not in _TYPES:
                kind = "products of a type that an extension adds, taken as products that are bought once"
                notes.lost(f"{title}, type {name}", "taken as bought once", kind)
        return True

    def _seo(self, row: TableRow, name: str, title: str) -> str:
        """Return a text for search engines; empty, with a line, for a template that a plugin fills in."""
        if not is_seo_template(row[name]):
            return unescaped(row[name])
        kind = "templates of a plugin for search engines, left out"
        self._notes.at(f"line {row.line}", title).lost(f"{name} {row[name]!r}", "left out: a template", kind)
        return ""

    def _without_codes(self, row: TableRow, column: str, title: str) -> str:
        text, codes = without_shortcodes(_with_line_ends(row[column]))
        for name, count in codes.items():
            times = f" ({count} times)" if count > 1 else ""
            kind = "shortcodes in a description, left out: the words inside them are kept"
            self._notes.at(f"line {row.line}", title).lost(f"[{name}]{times}", "its words are kept", kind)
        return text

    def _texts(self, row: TableRow, title: str) -> tuple[str, str]:
        """Return the summary, and the description with what does not fit into a summary before it."""
        short, long = (self._without_codes(row, column, title) for column in ("short", "description"))
        summary = line_of(short)
        if len(summary) <= _SUMMARY_LENGTH_MAX:
            return summary, long
        return "", html_of(short, newlines_count=True) + html_of(long, newlines_count=True)

    def _old_paths(self, row: TableRow) -> tuple[str, ...]:
        """Return the product's address there: the export's, or else what WooCommerce makes of a title."""
        slug = encoded_slug(row["slug"]) or post_slug(row["name"], locale=self._options.locale) or row["id"]
        path = path_of(row["url"]) or (f"/product/{slug}/" if slug else "")
        return (path,) if path else ()

    def _variations(
        self, parent: TableRow, variations: list[TableRow], title: str
    ) -> Iterator[ImportedVariant]:
        names = list(dict.fromkeys(name for row in variations for name in _attributes(row)))
        places = _places(parent, variations)
        for row in variations:
            notes = self._notes.at(f"line {row.line}", title)
            if row["published"].casefold() not in _FOR_SALE:
                what = f"{line_of(row['name']) or title}, published {row['published']}"
                kind = "variations that are not for sale in the other shop, left out"
                notes.lost(what, NOT_FOR_SALE, kind)
                continue
            if row["description"] not in {"", parent["description"]}:
                what, kind = f"{title}: description of a variation", "descriptions of single variations"
                notes.lost(what, "left out", kind)
            own = _attributes(row)
            options = tuple((name, own[name][0][0]) for name in names if name in own and own[name][0])
            for name in names:
                if name not in own or not own[name][0]:
                    kind = "variations that stand for any value of an attribute"
                    notes.lost(f"{title}: any {name}", "one variant", kind)
            for variant in self._variants(row, parent, options, title):
                yield replace(variant, position=places[row.line])

    def _variants(
        self, row: TableRow, parent: TableRow, options: tuple[tuple[str, str], ...], title: str
    ) -> Iterator[ImportedVariant]:
        place = f"line {row.line}"
        notes = self._notes.at(place, title)
        regular = price_of(row["price"] or row["sale_price"], self._prices, notes)
        if not regular:
            return
        offered = row["sale_price"] if row["price"] else ""
        sale = price_of(offered, self._prices, notes, label="sale price")
        price, former, ends_on = Sale(sale, row["sale_starts"], row["sale_ends"]).applied_to(
            regular, notes, today=self._options.today
        )
        units, sells_on = _stock(row, parent, title, notes)
        on_order = row["in_stock"].casefold() in {"backorder", "onbackorder"}
        pictures = split_list(row["images"])
        weight = row[self._weight] or parent[self._weight]
        yield ImportedVariant(
            place=place,
            # A variation without an SKU of its own has its parent's in WooCommerce: it would not be unique.
            sku=row["sku"] if row is parent or row["sku"] != parent["sku"] else "",
            price=price,
            options=options,
            units=units,
            sells_on=sells_on,
            picture=pictures[0] if pictures and row is not parent else "",
            availability="BackOrder" if on_order or (units == 0 and sells_on) else "",
            compare_at_price=former,
            sale_ends_on=ends_on,
            gtin=row["gtin"],
            weight_g=weight_g_of(weight, self._weight.removeprefix("weight "), notes),
            variant_id=row["id"],
        )


def _stock(row: TableRow, parent: TableRow, title: str, notes: Notes) -> tuple[int | None, bool]:
    """Return the units, None for stock that is not counted, and whether it sells on without any."""
    sells_on = (row["backorders"] or parent["backorders"]).casefold() in {"1", "yes", "notify"}
    in_stock = row["in_stock"].casefold()
    text = row["stock"]
    if text.casefold() == "parent":
        kind = "variations that share their product's stock, taken as not counted"
        notes.lost(f"{title}: stock {parent['stock']} of all variations", "not counted", kind)
        text = ""
    if text:
        return stated_units(text, notes), sells_on
    return (0 if in_stock in {"0", "outofstock", "no", "false"} else None), sells_on


def _places(parent: TableRow, variations: Sequence[TableRow]) -> dict[int, int]:
    """Return the place of each variation among its siblings, by line.

    `Position` numbers them; where it does not, the parent lists the values of its attributes in their order.
    """
    declared = {
        name: {value: place for place, value in enumerate(values)}
        for name, (values, _) in _attributes(parent).items()
    }

    def key(row: TableRow) -> tuple[int, list[int]]:
        own = {name: values[0] for name, (values, _) in _attributes(row).items() if values}
        number = position_of(row["position"])
        return (
            _LAST if number is None else number,
            [order.get(own.get(name, ""), len(order)) for name, order in declared.items()],
        )

    keys = {row.line: key(row) for row in variations}
    ranks = {repr(found): place for place, found in enumerate(sorted(keys.values()))}
    return {line: ranks[repr(found)] for line, found in keys.items()}


def _is_variation(row: TableRow) -> bool:
    """Return whether a row is a variation: an extension's type, such as "subscription_variation", too."""
    return any("variation" in name for name in split_list(row["type"].casefold()))


def _with_line_ends(text: str) -> str:
    return _LINE_END.sub(lambda found: "\\n" if found[0] == "\\\\n" else "\n", text)


def _attributes(row: TableRow) -> dict[str, tuple[tuple[str, ...], bool]]:
    """Return (values, whether shoppers see it) of each attribute of a row, by its name."""
    attributes: dict[str, tuple[tuple[str, ...], bool]] = {}
    for column, text in row.cells.items():
        if column.startswith("attribute ") and column.endswith(" name"):
            stem = column.removesuffix(" name")
            values = tuple(unescaped(value) for value in split_list(row[f"{stem} value(s)"]))
            # One of the whole shop and one of the product may have the same name.
            known, visible = attributes.get(line_of(text), ((), False))
            attributes[line_of(text)] = (*known, *values), visible or row[f"{stem} visible"] != "0"
    return attributes


def _categories(text: str) -> list[str]:
    """Return the names of categories, that of the deepest one first."""
    paths = [[part.strip() for part in path.split(">")] for path in split_list(text)]
    deepest = max(paths, key=len, default=[])
    names = [line_of(path[-1]) for path in ([deepest] if deepest else []) + paths]
    return list(dict.fromkeys(name for name in names if name))

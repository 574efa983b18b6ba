"""Read a plain table: sku, title, price, stock, and what else a product has; one row for each variant."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from chalicelib.domain.stock import Availability
from spillway.errors import BadInput
from spillway.importing.html_text import line_of, unescaped
from spillway.importing.imported import Export, ImportedPicture, ImportedProduct, ImportedVariant
from spillway.importing.platforms import refuse_other
from spillway.importing.reading import (
    WITHOUT_UNITS,
    Notes,
    ProductLinks,
    ReadOptions,
    Sale,
    availability_of,
    condition_of,
    description_of,
    first_of,
    note_day_without_sale,
    path_of,
    position_of,
    price_of,
    split_list,
    stated_day,
    stated_units,
    weight_g_of,
)
from spillway.importing.table import TableFile, TableRow, read_table

_NEEDED = ("sku", "title", "price")
_KNOWN = (
    *_NEEDED,
    *("stock", "availability", "sale_price", "compare_at_price", "description", "summary"),
    *("category", "categories", "tags", "picture", "picture_alt", "brand", "condition", "gtin", "mpn"),
    *("sale_starts_on", "sale_ends_on", "available_on", "position", "variant_id", "checkout_url"),
    *("weight", "weight_g", "seo_title", "seo_description", "released_on", "handle", "product", "url"),
)
_WORDS = frozenset(
    {"title", "product", "brand", "category", "categories", "tags", "seo_title", "seo_description"}
)
_OF_A_VARIANT = ("sku", "price", "stock", "availability", "gtin", "mpn", "variant_id", "checkout_url")
# One file may name its pictures in one column, or in several: picture, picture 2, picture 3.
_NUMBERED = re.compile(r"(picture|picture_alt)_?(\d+)")
_PICTURE_FILE = re.compile(
    r"https?://\S+|.+\.(?:jpe?g|png|webp|gif|avif|heic|tiff?|bmp)(?:\?\S*)?", re.IGNORECASE
)


def read_plain(file: Path, options: ReadOptions) -> Export:
    """Return the products of a table.

    Rows of one `handle`, of one `product`, or of one title where there are columns such as `option:Size`, are
    the variants of one product.

    Raises:
        BadInput: the file is no such table, or is another platform's export.
    """
    table = read_table(file, encoding=options.encoding)
    if not options.columns:
        refuse_other(file, table.columns, command="csv")
    names = _names(file, table, options.columns)
    missing = [name for name in _NEEDED if name not in names]
    if missing:
        raise BadInput(
            f"{file}:{table.header_line}: no column named {', '.join(missing)}",
            hint=f'name the columns sku,title,price,stock, or say which: --column {missing[0]}="..."',
        )
    return _Reading(table, names, options).export()


def _names(file: Path, table: TableFile, columns: Mapping[str, str]) -> dict[str, str]:
    """Return the file's column for each of our names that has one."""
    headers = {_plain(column): column for column in table.columns}
    names: dict[str, str] = {}
    for name, header in columns.items():
        if not _is_known(name):
            raise BadInput(
                f"--column {name}: there is no such column", hint=", ".join([*_KNOWN, "option:NAME"])
            )
        if _plain(header) not in headers:
            raise BadInput(
                f"--column {name}={header}: {file} has no such column",
                hint=f"one of {', '.join(table.columns)}",
            )
        names[name] = headers[_plain(header)]
    mapped = set(names.values())
    for column in table.columns:
        if column not in mapped and _is_known(name := own_name(column)):
            names.setdefault(name, column)
    return names


def own_name(text: str) -> str:
    """Return a name as `_KNOWN` has it; that of an option keeps its letters, which shoppers see."""
    option = re.fullmatch(r"option\s*:\s*(\S.*)", text.strip(), re.IGNORECASE)
    return f"option:{option[1]}" if option else _plain(text)


def _plain(column: str) -> str:
    return re.sub(r"[\s_-]+", "_", column.strip().casefold())


def _is_known(name: str) -> bool:
    return name in _KNOWN or bool(_NUMBERED.fullmatch(name)) or (name.startswith("option:") and len(name) > 7)


class _Reading:
    def __init__(self, table: TableFile, names: Mapping[str, str], options: ReadOptions) -> None:
        self._table = table
        self._names = names
        self._options = options
        self._prices = options.prices()
        self._notes = Notes()
        self._option_names = [name for name in names if name.startswith("option:")]

    def export(self) -> Export:
        groups: dict[str, list[TableRow]] = {}
        for row in self._table.rows:
            named = TableRow(
                row.line,
                {name: _text(name, text) for name, column in self._names.items() if (text := row[column])},
            )
            groups.setdefault(self._key(named), []).append(named)
        links = ProductLinks(
            (rows[0]["handle"].casefold() for rows in groups.values()), base=self._options.old_shop
        )
        products = self._notes.read(
            list(groups.values()), lambda rows: self._product(rows, links), self._options.share
        )
        self._notes.unknown_columns(self._table, set(self._names.values()).__contains__)
        return Export(products, tuple(self._notes.lines))

    def _key(self, row: TableRow) -> str:
        """Return what the rows of one product have in common."""
        if row["handle"] or row["product"]:
            return f"product {row['handle'].casefold() or row['product']}"
        if row["title"] and any(row[name] for name in self._option_names):
            return f"title {row['title']}"
        return f"row {row.line}"

    def _product(self, rows: list[TableRow], links: ProductLinks) -> ImportedProduct:
        place = f"line {rows[0].line}"
        name = first_of(rows, "handle") or first_of(rows, "title") or first_of(rows, "product")
        notes = self._notes.at(place, name)
        title = first_of(rows, "title", notes) or first_of(rows, "product")
        categories = split_list(first_of(rows, "categories", notes))
        category = first_of(rows, "category", notes) or next(iter(categories), "")
        released = first_of(rows, "released_on", notes)
        body = description_of(first_of(rows, "description", notes), notes, links, newlines_count=True)
        return ImportedProduct(
            place=place,
            handle=first_of(rows, "handle").lower(),
            title=title,
            description=body.markdown,
            opening=body.opening,
            category=category,
            categories=tuple(item for item in categories if item != category),
            summary=line_of(first_of(rows, "summary", notes)),
            details=(),
            tags=split_list(first_of(rows, "tags", notes)),
            variants=tuple(variant for row in rows if (variant := self._variant(row, rows, name))),
            pictures=tuple(_pictures(rows)),
            page_name=first_of(rows, "product"),
            brand=first_of(rows, "brand", notes),
            condition=condition_of(first_of(rows, "condition", notes), notes),
            seo_title=first_of(rows, "seo_title", notes),
            seo_description=first_of(rows, "seo_description", notes),
            released_on=stated_day(released, "released_on", notes),
            old_paths=tuple(dict.fromkeys(path for row in rows if (path := path_of(row["url"])))),
        )

    def _variant(self, row: TableRow, rows: list[TableRow], name: str) -> ImportedVariant | None:
        place = f"line {row.line}"
        notes = self._notes.at(place, name)
        if len(rows) > 1 and not any(row[item] for item in (*_OF_A_VARIANT, *self._option_names)):
            return None  # a row that only adds pictures
        price = price_of(row["price"], self._prices, notes)
        if not price:
            return None
        sale, former = (
            price_of(row[item], self._prices, notes, label=label)
            for item, label in (("sale_price", "sale price"), ("compare_at_price", "compare-at price"))
        )
        if row["sale_price"]:
            price, former, ends_on = Sale(sale, row["sale_starts_on"], row["sale_ends_on"]).applied_to(
                price, notes, today=self._options.today, former=former
            )
        else:
            starts_on, ends_on = (
                stated_day(row[label], label, notes) for label in ("sale_starts_on", "sale_ends_on")
            )
            if starts_on:
                note_day_without_sale(f"sale_starts_on {starts_on}", notes)
            if ends_on and not former:
                note_day_without_sale(f"sale_ends_on {ends_on}", notes)
        locale = self._options.locale
        units = stated_units(row["stock"], notes, locale=locale)
        availability = availability_of(row["availability"], notes)
        if availability in WITHOUT_UNITS:
            units = 0
        pictures = _cell_pictures(row["picture"])
        weight, unit = (row["weight_g"], "g") if row["weight_g"] else (row["weight"], "")
        return ImportedVariant(
            place=place,
            sku=row["sku"],
            price=price,
            options=tuple((item[7:], row[item]) for item in self._option_names if row[item]),
            units=units,
            sells_on=availability is Availability.BACK_ORDER,
            picture=pictures[0] if pictures and len(rows) > 1 else "",
            availability=availability.value if availability else "",
            compare_at_price=former,
            sale_ends_on=ends_on if former else "",
            gtin=row["gtin"],
            mpn=row["mpn"],
            variant_id=row["variant_id"],
            checkout_url=row["checkout_url"],
            available_on=stated_day(row["available_on"], "available_on", notes),
            position=position_of(row["position"]),
            weight_g=weight_g_of(weight, unit, notes, locale=locale),
        )


def _text(name: str, text: str) -> str:
    """Return a cell of one line of words without entities, as shops store them: "Tom &amp; Jerry"."""
    if "&" not in text or not (name in _WORDS or name.startswith(("option:", "picture_alt"))):
        return text
    return unescaped(text)


def _pictures(rows: Iterable[TableRow]) -> list[ImportedPicture]:
    """Return every picture once, with its text, in the order of columns and rows."""
    alts: dict[str, str] = {}
    for row in rows:
        columns = ["picture", *sorted((cell for cell in row.cells if _numbered(cell)), key=_numbered)]
        for column in columns:
            words = row[column.replace("picture", "picture_alt", 1)]
            urls = _cell_pictures(row[column])
            texts = [text.strip() for text in words.split("|")] if len(urls) > 1 else [words]
            for number, url in enumerate(urls):
                alt = texts[number] if number < len(texts) else ""
                alts[url] = alts.get(url) or alt
    return [ImportedPicture(url, alt, number) for number, (url, alt) in enumerate(alts.items(), 1)]


def _numbered(column: str) -> int:
    found = _NUMBERED.fullmatch(column)
    return int(found[2]) if found and found[1] == "picture" else 0


def _cell_pictures(text: str) -> list[str]:
    """Return the pictures of a cell: parted by bars, semicolons, line ends, or by commas between pictures.

    A comma inside an address is a part of it.
    """
    parts = [part.strip() for part in re.split(r"[|;\n]", text) if part.strip()]
    if len(parts) == 1 and "," in text:
        between = r",\s+|,(?=https?://|//)" if "//" in text else r",\s*"
        commas = [part.strip() for part in re.split(between, text) if part.strip()]
        if all(_PICTURE_FILE.fullmatch(part) for part in commas):
            return commas
    return parts

"""Shopify's product export: one product over several rows, under older and newer names of columns."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from spillway.counted import counted
from spillway.errors import BadInput
from spillway.importing.imported import Export, ImportedPicture, ImportedProduct, ImportedVariant, NotTaken
from spillway.importing.table import Row, read_table

# Older name -> what this module calls it. Newer exports name the same things as below.
_COLUMNS = {
    "handle": "handle",
    "url handle": "handle",
    "title": "title",
    "body (html)": "body",
    "description": "body",
    "vendor": "vendor",
    "type": "type",
    "product category": "taxonomy",
    "standard product type": "taxonomy",
    "tags": "tags",
    "published": "published",
    "published on online store": "published",
    "status": "status",
    **{f"option{number} name": f"name{number}" for number in (1, 2, 3)},
    **{f"option{number} value": f"value{number}" for number in (1, 2, 3)},
    "variant sku": "sku",
    "sku": "sku",
    "variant price": "price",
    "price": "price",
    "variant compare at price": "compare_at",
    "compare-at price": "compare_at",
    "variant inventory tracker": "tracker",
    "inventory tracker": "tracker",
    "variant inventory qty": "quantity",
    "inventory quantity": "quantity",
    "variant inventory policy": "policy",
    "continue selling when out of stock": "policy",
    "image src": "image",
    "product image url": "image",
    "image alt text": "image_alt",
    "image position": "image_position",
    "variant image": "variant_image",
    "variant image url": "variant_image",
    "seo title": "seo_title",
    "seo description": "seo_description",
    "variant grams": "grams",
    "weight value (grams)": "grams",
}
_NEEDED = ("handle", "title")
_YES = frozenset({"true", "yes", "1", "continue", "active", "published"})


def read_shopify(file: Path) -> Export:
    """The products of an export.

    Raises:
        BadInput: the file is no export of products.
    """
    table = read_table(file)
    names = {column: _COLUMNS.get(column.lower()) for column in table.columns}
    missing = [name for name in _NEEDED if name not in names.values()]
    if missing:
        raise BadInput(
            f"{file}:1: no column for {', '.join(missing)}", way_out="export products, for any spreadsheet"
        )
    return _Reading(names, counts="quantity" in names.values()).export(table.rows)


@dataclass
class _Group:
    """The rows of one handle, in the order of the file."""

    first: Row
    rows: list[Row] = field(default_factory=list)


class _Reading:
    def __init__(self, names: Mapping[str, str | None], *, counts: bool) -> None:
        self._names = names
        self._counts = counts
        self._not_taken: list[NotTaken] = []

    def export(self, rows: tuple[Row, ...]) -> Export:
        groups: dict[str, _Group] = {}
        for row in rows:
            named = Row(row.line, {name: row[column] for column, name in self._names.items() if name})
            handle = named["handle"]
            if handle:
                groups.setdefault(handle, _Group(named)).rows.append(named)
            else:
                self._lost(f"line {row.line}", "a row without a handle", "left out")
        products = [product for group in groups.values() if (product := self._product(group))]
        self._unknown_columns(rows)
        return Export(tuple(products), tuple(self._not_taken))

    def _product(self, group: _Group) -> ImportedProduct | None:
        first, place = group.first, f"line {group.first.line}"
        handle = first["handle"]
        for name in ("published", "status"):
            if first[name] and first[name].lower() not in _YES:
                self._lost(place, f"{handle}, {name} {first[name]}", "left out: it is not for sale")
                return None
        if first["seo_title"] and first["seo_title"] != first["title"]:
            self._lost(place, f"{handle}, SEO title {first['seo_title']!r}", "the title stands for it")
        return ImportedProduct(
            place=place,
            handle=handle,
            title=first["title"],
            body_html=first["body"],
            category=first["type"] or first["taxonomy"].rpartition(">")[2].strip(),
            summary=first["seo_description"],
            details=(("Brand", first["vendor"]),) if first["vendor"] else (),
            tags=tuple(dict.fromkeys(tag.strip() for tag in first["tags"].split(",") if tag.strip())),
            variants=tuple(self._variants(group)),
            pictures=tuple(_pictures(group)),
        )

    def _variants(self, group: _Group) -> Iterator[ImportedVariant]:
        # Only the first row names the options.
        names = [group.first[f"name{number}"] for number in (1, 2, 3)]
        for row in group.rows:
            if not (row["price"] or row["sku"] or row["value1"]):
                continue  # a row that only brings another picture
            pairs = [(name, row[f"value{index}"]) for index, name in enumerate(names, 1) if name]
            default = pairs == [("Title", "Default Title")]
            if row["compare_at"]:
                self._lost(f"line {row.line}", f"compare-at price {row['compare_at']}", "not shown")
            yield ImportedVariant(
                place=f"line {row.line}",
                sku=row["sku"].removeprefix("'"),
                price=row["price"],
                options=() if default else tuple((name, value) for name, value in pairs if value),
                units=self._units(row),
                sells_on=row["policy"].lower() in _YES,
                picture=row["variant_image"],
            )

    def _units(self, row: Row) -> int | None:
        if not self._counts or not (row["tracker"] or row["quantity"]):
            return None
        try:
            return max(0, int(float(row["quantity"] or "0")))
        except (ValueError, OverflowError):
            self._lost(f"line {row.line}", f"quantity {row['quantity']!r}", "taken for none")
            return 0

    def _unknown_columns(self, rows: tuple[Row, ...]) -> None:
        for column, name in self._names.items():
            count = sum(1 for row in rows if row[column]) if name in {None, "grams"} else 0
            if count:
                self._lost(f"column {column}", counted(count, "value"), "the shop has no place for them")

    def _lost(self, place: str, what: str, outcome: str) -> None:
        self._not_taken.append(NotTaken(place, what, outcome))


def _pictures(group: _Group) -> Iterator[ImportedPicture]:
    placed: dict[str, tuple[int, str]] = {}
    for number, row in enumerate(group.rows):
        if row["image"]:
            position = int(row["image_position"]) if row["image_position"].isdecimal() else number + 1
            placed.setdefault(row["image"], (position, row["image_alt"]))
    for row in group.rows:
        if row["variant_image"]:
            placed.setdefault(row["variant_image"], (1_000_000, ""))
    for url, (_, alt) in sorted(placed.items(), key=lambda item: item[1][0]):
        yield ImportedPicture(url, alt)

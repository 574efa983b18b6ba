"""A plain CSV of one's own: sku, title, price, stock, and what else a product has."""

from pathlib import Path

from spillway.counted import counted
from spillway.errors import BadInput
from spillway.importing.imported import Export, ImportedPicture, ImportedProduct, ImportedVariant, NotTaken
from spillway.importing.table import read_table

_NEEDED = ("sku", "title", "price")
_KNOWN = frozenset(
    {*_NEEDED, "stock", "description", "summary", "category", "tags", "picture", "picture_alt"}
)


def read_plain(file: Path) -> Export:
    """The products of a table with one row for each.

    Raises:
        BadInput: the file is no such table.
    """
    table = read_table(file)
    names = {column.lower(): column for column in table.columns}
    missing = [name for name in _NEEDED if name not in names]
    if missing:
        raise BadInput(
            f"{file}:1: no column named {', '.join(missing)}",
            way_out="name the columns sku,title,price,stock",
        )
    not_taken = [
        NotTaken(f"column {column}", counted(count, "value"), "the shop has no place for them")
        for name, column in names.items()
        if name not in _KNOWN and (count := sum(1 for row in table.rows if row[column]))
    ]
    products = []
    for row in table.rows:
        cells = {name: row[column] for name, column in names.items()}
        place, stock = f"line {row.line}", cells.get("stock", "")
        if stock and not stock.isdecimal():
            not_taken.append(NotTaken(place, f"stock {stock!r}", "taken for none"))
        units = (int(stock) if stock.isdecimal() else 0) if "stock" in cells else None
        picture = cells.get("picture", "")
        products.append(
            ImportedProduct(
                place=place,
                handle="",
                title=cells["title"],
                body_html=cells.get("description", "").replace("<", "&lt;").replace("\n\n", "<br>"),
                category=cells.get("category", ""),
                summary=cells.get("summary", ""),
                details=(),
                tags=tuple(tag.strip() for tag in cells.get("tags", "").split(",") if tag.strip()),
                variants=(ImportedVariant(place, cells["sku"], cells["price"], (), units),),
                pictures=(ImportedPicture(picture, cells.get("picture_alt", "")),) if picture else (),
            )
        )
    return Export(tuple(products), tuple(not_taken))

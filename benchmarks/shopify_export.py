"""Exports as shops really have them: thousands of rows, three generations of columns, pasted HTML."""

import csv
import io
import random

OLD = (
    """
Handle,Title,Body (HTML),Vendor,Product Category,Type,Tags,Published,Option1 Name,Option1 Value
Option2 Name,Option2 Value,Option3 Name,Option3 Value,Variant SKU,Variant Grams
Variant Inventory Tracker,Variant Inventory Qty,Variant Inventory Policy,Variant Fulfillment Service
Variant Price,Variant Compare At Price,Variant Requires Shipping,Variant Taxable,Variant Barcode
Image Src,Image Position,Image Alt Text,Gift Card,SEO Title,SEO Description
Google Shopping / Condition,Variant Image,Variant Weight Unit,Cost per item,Status
""".strip()
    .replace("\n", ",")
    .split(",")
)
NEW_NAMES = {
    "Handle": "URL handle",
    "Body (HTML)": "Description",
    "Product Category": "Product category",
    "Published": "Published on online store",
    **{f"Option{number} Name": f"Option{number} name" for number in (1, 2, 3)},
    **{f"Option{number} Value": f"Option{number} value" for number in (1, 2, 3)},
    "Variant SKU": "SKU",
    "Variant Grams": "Weight value (grams)",
    "Variant Inventory Tracker": "Inventory tracker",
    "Variant Inventory Qty": "Inventory quantity",
    "Variant Inventory Policy": "Continue selling when out of stock",
    "Variant Price": "Price",
    "Variant Compare At Price": "Compare-at price",
    "Image Src": "Product image URL",
    "Image Position": "Image position",
    "Image Alt Text": "Image alt text",
    "SEO Title": "SEO title",
    "SEO Description": "SEO description",
    "Variant Image": "Variant image URL",
}
BODY = (
    '<meta charset="utf-8"><style>.a{{color:red}}</style>\r\n<div class="a"><p style="color:red">The '
    "<b>best</b> {name}, 100% <i>wool</i> &amp; more.</p><script>alert(1)</script>\n"
    "<ul><li>warm</li><li>5 * 5 cm</li></ul>"
    '<p>See <a href="https://example.com/care" onclick="x()">care</a> or '
    '<a href="javascript:x">this</a>.</p><iframe src="https://www.youtube.com/embed/x"></iframe></div>'
)


def export(products: int, *, seed: int = 1) -> list[dict[str, str]]:
    """Rows of a shop with so many products, under the older names of columns."""
    chance = random.Random(seed)
    rows = []
    for number in range(products):
        handle = f"thing-{number}"
        head = {
            "Handle": handle,
            "Title": f'Thing "{number}", Größe {number % 7}',
            "Body (HTML)": BODY.format(name=f"thing {number}"),
            "Vendor": "Müller & Sons",
            "Type": ("Coats", "Hats", "Mugs")[number % 3],
            "Tags": "new, wool, sale-2026",
            "Published": "TRUE",
            "SEO Description": "A thing.\nIn two lines." if number % 4 == 0 else "",
            "Status": "active",
        }
        rows += _rows_of(head, number, chance)
    return rows


def _rows_of(head: dict[str, str], number: int, chance: random.Random) -> list[dict[str, str]]:
    if number % 5 == 0:
        variants = [("Title", "Default Title", "", "")]
    else:
        sizes = ("S", "M", "L")[: chance.randint(1, 3)]
        variants = [("Colour", colour, "Size", size) for colour in ("Moss", "Ink") for size in sizes]
    rows = []
    for index, (name1, value1, name2, value2) in enumerate(variants):
        first = index == 0
        rows.append(
            {
                **(head if first else {"Handle": head["Handle"]}),
                "Option1 Name": name1 if first else "",
                "Option1 Value": value1,
                "Option2 Name": name2 if first else "",
                "Option2 Value": value2,
                "Variant SKU": "" if number % 11 == 0 else f"sku {number % 400}/{value1}{value2}",
                "Variant Grams": "350.0",
                "Variant Inventory Tracker": "shopify",
                "Variant Inventory Qty": str(chance.choice([-2, 0, 0, 3, 12])),
                "Variant Inventory Policy": chance.choice(["deny", "continue"]),
                "Variant Price": f"{10 + number % 90}.9" if number % 2 else f"1,{100 + number % 900}.00",
                "Variant Compare At Price": "99.00" if number % 9 == 0 and first else "",
                "Image Src": f"https://cdn.shopify.com/s/files/1/{number}.jpg?v=17" if first else "",
                "Image Position": "1" if first else "",
                "Variant Weight Unit": "g",
            }
        )
    rows.append(
        {"Handle": head["Handle"], "Image Src": f"https://cdn.shopify.com/s/files/1/{number}-b.jpg?v=2"}
    )
    return rows


def as_csv(rows: list[dict[str, str]], *, new_names: bool = False) -> bytes:
    """Return the file, with a mark and line ends as Windows has them."""
    text = io.StringIO(newline="")
    names = {column: NEW_NAMES.get(column, column) if new_names else column for column in OLD}
    writer = csv.DictWriter(text, names.values(), lineterminator="\r\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({names[column]: value for column, value in row.items()})
    return text.getvalue().encode("utf-8-sig")

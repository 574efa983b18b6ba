"""A shop whose values are hostile and legal, as an export of each format."""

import csv
import io
import random
from collections.abc import Callable, Mapping, Sequence
from xml.sax.saxutils import escape

WORDS = (
    "The \"best\" & <b>boldest</b>; 100% 'pure'",
    "Größe, ÆØÅ — naïve “quotes” … 5 × 10",
    "Красная кружка № 5",
    "羊毛セーター ✓ 👍🏽",
    "كوب أحمر",
    "a\\b `code` *star* _under_ [link](x) #1 ~~no~~ | pipe",
    "=SUM(A1:A2) +1 -1 @home",
    "{{ product.title }} {% raw %} ${x} %(y)s",
    "</script><script>alert(1)</script>",
    "x" * 120,
)
VALUES = ("S", "M", "XXL", "9.5", "10", "Größe 1", 'a "b"', "Красный", "<i>", "a/b", "-", "0042")
SKU_ENDS = ("", " (new)", "/A b", "-№", ".x", "_1", " ~", "#", "%20", "é")


def rows_of(products: int, *, seed: int = 1) -> list[list[dict[str, str]]]:
    """The variants of each product, as values that any format can hold."""
    chance = random.Random(seed)
    return [_product(number, chance) for number in range(products)]


def _product(number: int, chance: random.Random) -> list[dict[str, str]]:
    word = WORDS[number % len(WORDS)]
    shared = {
        "handle": f"thing-{number}",
        "title": f"{number}. {word}"[:250],
        "body": f"<p>{word.replace('<', '&lt;')}</p><ul><li>one<li>two</ul>",
        "brand": f"Müller & “{number % 5}”",
        "category": f"Kind {WORDS[number % 7][:30]}",
        "tags": "C#, C++, Красный XL, " + f"tag {number % 9}",
        "further": f"Set & <more> {number % 6} №",
        "condition": ("new", "used", "refurbished")[number % 3],
        "seo_title": f"SEO {word}"[:200],
        "seo_description": f"About {word} {number}",
    }
    sizes = chance.sample(VALUES, 3)
    minor = chance.randint(0, 30_000)
    return [
        {
            **shared,
            "sku": f"{number:05d}{SKU_ENDS[(number + index) % len(SKU_ENDS)]}{index}",
            "size": size,
            "colour": ("Red", "Blue")[index % 2],
            "price": _money(minor + 100 * index),
            "compare_at": _money(minor + 100 * index + 1 + 50 * number),
            "gtin": _gtin(10 * number + index),
            "mpn": f"M/{number} <{index}>",
            "weight_g": str(1 + 7 * number + index),
            "alt": f"Picture {index} of {word}"[:200],
            "position": str(3 - index),
            "stock": str(chance.randint(0, 12)),
            "picture": f"https://cdn.example/{number}/main.jpg?v={index}",
        }
        for index, size in enumerate(sizes)
    ]


def _money(minor: int) -> str:
    return f"{minor // 100}.{minor % 100:02d}"


def _gtin(number: int) -> str:
    """Return an EAN-13 with its check digit."""
    digits = f"40{number:010d}"
    total = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(digits))
    return f"{digits}{-total % 10}"


def shopify(products: Sequence[Sequence[Mapping[str, str]]], order: Callable[[list[list[str]]], None]) -> str:
    """Shopify's product export; `order` puts the rows in another order."""
    head = [
        *(
            "Handle",
            "Title",
            "Body (HTML)",
            "Vendor",
            "Type",
            "Tags",
            "Published",
            "Option1 Name",
            "Option1 Value",
        ),
        *("Option2 Name", "Option2 Value", "Variant SKU", "Variant Price", "Variant Inventory Tracker"),
        *("Variant Inventory Qty", "Variant Inventory Policy", "Image Src", "Image Position"),
        *(
            "Image Alt Text",
            "Variant Compare At Price",
            "Variant Barcode",
            "Variant Grams",
            "Variant Position",
        ),
        *("Google Shopping / MPN", "Google Shopping / Condition", "SEO Title", "SEO Description"),
        "Collections",
    ]
    rows: list[list[str]] = []
    for variants in products:
        for index, variant in enumerate(variants):
            about = [
                variant["title"],
                variant["body"],
                variant["brand"],
                variant["category"],
                variant["tags"],
                "TRUE",
            ]
            rows.append(
                [
                    variant["handle"],
                    *(about if index == 0 else [""] * 6),
                    "Size",
                    variant["size"],
                    "Colour",
                    variant["colour"],
                    variant["sku"],
                    variant["price"],
                    "shopify",
                    variant["stock"],
                    "deny",
                    variant["picture"],
                    str(index + 1),
                    *(variant[name] for name in ("alt", "compare_at", "gtin", "weight_g", "position", "mpn")),
                    *(
                        (variant[name] for name in ("condition", "seo_title", "seo_description", "further"))
                        if index == 0
                        else [""] * 4
                    ),
                ]
            )
    return _csv(head, rows, order)


def woocommerce(
    products: Sequence[Sequence[Mapping[str, str]]], order: Callable[[list[list[str]]], None]
) -> str:
    """WooCommerce's product export: a parent and its variations."""
    head = [
        *(
            "ID",
            "Type",
            "SKU",
            "Name",
            "Published",
            "Description",
            "In stock?",
            "Stock",
            "Regular price",
            "Categories",
        ),
        *("Tags", "Images", "Parent", "Attribute 1 name", "Attribute 1 value(s)", "Attribute 1 visible"),
        *(
            "Attribute 1 global",
            "Attribute 2 name",
            "Attribute 2 value(s)",
            "Attribute 2 visible",
            "Attribute 2 global",
        ),
        *("Sale price", "GTIN, UPC, EAN, or ISBN", "Weight (g)", "Position", "Brands"),
        *("Meta: _yoast_wpseo_title", "Meta: _yoast_wpseo_metadesc"),
    ]
    rows = []
    for number, variants in enumerate(products, 1):
        first, parent = variants[0], f"P{number}"
        tags = first["tags"]
        sizes, colours = (
            ", ".join(dict.fromkeys(_comma(variant[name]) for variant in variants))
            for name in ("size", "colour")
        )
        rows.append(
            [
                str(number * 10),
                "variable",
                parent,
                first["title"],
                "1",
                first["body"],
                "1",
                "",
                "",
                f"{_comma(first['category'])}, {_comma(first['further'])}",
                tags,
                first["picture"],
                "",
                "Size",
                sizes,
                "1",
                "0",
                "Colour",
                colours,
                "1",
                "0",
                *("", "", "", "0", first["brand"], first["seo_title"], first["seo_description"]),
            ]
        )
        for index, variant in enumerate(variants, 1):
            rows.append(
                [
                    str(number * 10 + index),
                    "variation",
                    variant["sku"],
                    variant["title"],
                    "1",
                    "",
                    "1",
                    variant["stock"],
                    variant["compare_at"],
                    "",
                    "",
                    "",
                    parent,
                    "Size",
                    variant["size"],
                    "",
                    "0",
                    "Colour",
                    variant["colour"],
                    "",
                    "0",
                    *(variant[name] for name in ("price", "gtin", "weight_g", "position")),
                    *("", "", ""),
                ]
            )
    return _csv(head, rows, order)


def plain(products: Sequence[Sequence[Mapping[str, str]]], order: Callable[[list[list[str]]], None]) -> str:
    """A CSV of one's own, a row for each variant."""
    head = [
        *("sku", "title", "price", "stock", "description", "category", "tags", "brand", "handle"),
        *("option:Size", "option:Colour", "picture", "picture_alt", "compare_at_price", "gtin", "mpn"),
        *("weight_g", "position", "condition", "seo_title", "seo_description", "categories"),
    ]
    names = (
        "sku",
        "title",
        "price",
        "stock",
        "body",
        "category",
        "tags",
        "brand",
        "handle",
        "size",
        "colour",
        "picture",
        *("alt", "compare_at", "gtin", "mpn", "weight_g", "position"),
        *("condition", "seo_title", "seo_description", "further"),
    )
    return _csv(
        head, [[variant[name] for name in names] for variants in products for variant in variants], order
    )


def google(products: Sequence[Sequence[Mapping[str, str]]], order: Callable[[list[list[str]]], None]) -> str:
    """A Google Merchant feed in RSS."""
    items = [
        [
            f"<g:id>{escape(variant['sku'])}</g:id><g:title>{escape(variant['title'])}</g:title>"
            f"<g:description>{escape(variant['body'])}</g:description>"
            f"<g:price>{variant['compare_at']} GBP</g:price>"
            f"<g:sale_price>{variant['price']} GBP</g:sale_price><g:gtin>{variant['gtin']}</g:gtin>"
            f"<g:mpn>{escape(variant['mpn'])}</g:mpn>"
            f"<g:shipping_weight>{variant['weight_g']} g</g:shipping_weight>"
            f"<g:condition>{variant['condition']}</g:condition>"
            f"<g:availability>{'in_stock' if variant['stock'] != '0' else 'out_of_stock'}</g:availability>"
            f"<g:brand>{escape(variant['brand'])}</g:brand><g:product_type>{escape(variant['category'])}</g:product_type>"
            f"<g:product_type>{escape(variant['further'])}</g:product_type>"
            f"<g:item_group_id>{variant['handle']}</g:item_group_id><g:size>{escape(variant['size'])}</g:size>"
            f"<g:color>{variant['colour']}</g:color><g:image_link>{escape(variant['picture'])}</g:image_link>"
        ]
        for variants in products
        for variant in variants
    ]
    order(items)
    body = "".join(f"<item>{item}</item>\n" for (item,) in items)
    head = '<?xml version="1.0"?>\n<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel>'
    return f"{head}<title>Shop</title>{body}</channel></rss>\n"


FORMATS = {"shopify": shopify, "woocommerce": woocommerce, "csv": plain, "google": google}


def _comma(text: str) -> str:
    return text.replace(",", "\\,")


def _csv(head: list[str], rows: list[list[str]], order: Callable[[list[list[str]]], None]) -> str:
    order(rows)
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows([head, *rows])
    return text.getvalue()

"""A product in schema.org's words, for search engines; safe inside a page whatever the product says."""

import json
import re
from typing import Any

from markupsafe import Markup

from chalicelib.domain.product import Product
from chalicelib.storefront.choices import Choices
from chalicelib.storefront.theme import Edition

# Inside <script> no entity is decoded, so markup is kept out by JSON's own escapes. The two line
# separators are legal in JSON and not in older JavaScript.
_TO_ESCAPE = re.compile("[<>&\u2028\u2029]")
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_ESCAPES = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}


def product_json_ld(product: Product, choices: Choices, edition: Edition) -> Markup:
    """The product and one offer for every variant, ready to stand inside a script element."""
    shop, money = edition.shop, edition.money
    url = f"{shop.base_url}{edition.at(product.path)}"
    offers: list[dict[str, Any]] = []
    for choice in choices:
        offer = {
            "@type": "Offer",
            "sku": choice.variant.sku,
            "price": money.plain(choice.variant.price_minor),
            "priceCurrency": shop.currency,
            "availability": f"https://schema.org/{choice.availability.value}",
            "url": url,
        }
        offers.append(offer | ({"name": choice.variant.label} if choice.variant.label else {}))
    document: dict[str, Any] = {
        "@context": "https://schema.org",
        "@type": "Product",
        "name": product.title,
        "description": product.summary,
        "url": url,
        "image": [f"{shop.base_url}{picture.url}" for picture in product.pictures],
        "brand": {"@type": "Brand", "name": shop.name},
        "offers": offers,
    }
    return escaped_json(document)


def escaped_json(document: Any) -> Markup:
    """JSON that no HTML parser can mistake for markup, and that parses to the same document."""
    text = _ENCODER.encode(document)
    safe = text.translate(_ESCAPES) if _TO_ESCAPE.search(text) else text
    return Markup(safe)  # noqa: S704 - escaped for its place in the line above

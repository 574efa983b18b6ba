"""A product in schema.org's words, for search engines; safe inside a page.

Google's "merchant listing" and "product variant" pages say which properties it reads:
https://developers.google.com/search/docs/appearance/structured-data/merchant-listing
https://developers.google.com/search/docs/appearance/structured-data/product-variants
"""

import json
import re
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from chalicelib.domain.product import Condition, Product, Variant
from chalicelib.storefront.choices import Choice, Choices
from chalicelib.storefront.theme import Edition, ReturnBy, ReturnPolicy, ShippingPolicy

# Inside <script> no entity is decoded, so markup is kept out by JSON's own escapes. The two line
# separators are legal in JSON and not in older JavaScript.
_TO_ESCAPE = re.compile("[<>&\u2028\u2029]")
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_ESCAPES = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}

_SCHEMA = "https://schema.org"
_CONDITIONS = {
    Condition.NEW: f"{_SCHEMA}/NewCondition",
    Condition.USED: f"{_SCHEMA}/UsedCondition",
    Condition.REFURBISHED: f"{_SCHEMA}/RefurbishedCondition",
}
_RETURN_METHODS = {
    ReturnBy.MAIL: f"{_SCHEMA}/ReturnByMail",
    ReturnBy.STORE: f"{_SCHEMA}/ReturnInStore",
    ReturnBy.KIOSK: f"{_SCHEMA}/ReturnAtKiosk",
}
_SHIPPING_ID, _FREE_SHIPPING_ID, _RETURNS_ID = "#shipping", "#free-shipping", "#returns"

Node = dict[str, Any]


def product_json_ld(
    product: Product, choices: Choices, edition: Edition, kinds: Sequence[str | None] = ()
) -> Markup:
    """Return the product and an offer for each variant, safe inside a script element.

    A product with several variants is a ProductGroup, each variant a Product with its offer; `kinds` are the
    schema.org properties that its options are, in their order. The shop's policies come once, and
    each offer refers to them.
    """
    shop = edition.shop
    offers = [(choice.variant, _offer(product, choice, edition)) for choice in choices]
    url = f"{shop.base_url}{edition.localized_path(product.path)}"
    about: Node = {
        "@context": _SCHEMA,
        "@type": "Product",
        "name": product.title,
        "description": product.summary,
        "url": url,
    }
    if product.pictures:
        about["image"] = [f"{shop.base_url}{picture.url}" for picture in product.pictures]
    if product.brand:
        about["brand"] = {"@type": "Brand", "name": product.brand}
    if len(offers) == 1:
        ((variant, offer),) = offers
        about |= _identity(variant) | _options(variant, kinds) | {"offers": offer}
    else:
        about |= {"@type": "ProductGroup", "productGroupID": product.slug}
        if any(kinds):
            about["variesBy"] = [f"{_SCHEMA}/{kind}" for kind in kinds if kind]
        about["hasVariant"] = [
            {
                "@type": "Product",
                "name": f"{product.title}, {variant.label}",
                **_picture(product, variant, shop.base_url),
                **_identity(variant),
                **_options(variant, kinds),
                "offers": offer,
            }
            for variant, offer in offers
        ]
    policies = _policies([offer for _, offer in offers], edition)
    return escaped_json([about, *policies] if policies else about)


def escaped_json(document: Any) -> Markup:
    """Return JSON that no HTML parser can mistake for markup, and that parses to the same document."""
    text = _ENCODER.encode(document)
    safe = text.translate(_ESCAPES) if _TO_ESCAPE.search(text) else text
    return Markup(safe)  # noqa: S704 - escaped for its place in the line above


def _offer(product: Product, choice: Choice, edition: Edition) -> Node:
    shop, money, variant = edition.shop, edition.money, choice.variant
    offer: Node = {
        "@type": "Offer",
        "price": money.plain(variant.price_minor),
        "priceCurrency": shop.currency,
        "availability": f"{_SCHEMA}/{choice.availability.value}",
        "itemCondition": _CONDITIONS[product.condition],
        "url": f"{shop.base_url}{edition.localized_path(product.path)}",
    }
    if variant.compare_at_minor is not None:
        offer["priceSpecification"] = {
            "@type": "UnitPriceSpecification",
            "priceType": f"{_SCHEMA}/StrikethroughPrice",
            "price": money.plain(variant.compare_at_minor),
            "priceCurrency": shop.currency,
        }
    if variant.sale_ends_on:
        offer["priceValidUntil"] = variant.sale_ends_on
    if choice.ships_on:
        offer["availabilityStarts"] = choice.ships_on
    if shop.shipping:
        is_free = shop.shipping.cost_of(variant.price_minor) == 0
        offer["shippingDetails"] = {"@id": _FREE_SHIPPING_ID if is_free else _SHIPPING_ID}
    if shop.returns:
        offer["hasMerchantReturnPolicy"] = {"@id": _RETURNS_ID}
    return offer


def _identity(variant: Variant) -> Node:
    identity: Node = {"sku": variant.sku}
    if variant.gtin:
        identity["gtin"] = variant.gtin
    if variant.mpn:
        identity["mpn"] = variant.mpn
    if variant.weight_g is not None:
        identity["weight"] = {"@type": "QuantitativeValue", "value": variant.weight_g, "unitCode": "GRM"}
    return identity


def _options(variant: Variant, kinds: Sequence[str | None]) -> Node:
    return {kind: value for kind, (_, value) in zip(kinds, variant.options, strict=False) if kind}


def _picture(product: Product, variant: Variant, base_url: str) -> Node:
    shown = product.picture_of(variant)
    return {"image": f"{base_url}{shown.url}"} if shown else {}


def _policies(offers: Sequence[Node], edition: Edition) -> list[Node]:
    """Return the policies that the offers refer to."""
    shipping, returns = edition.shop.shipping, edition.shop.returns
    asked = {offer["shippingDetails"]["@id"] for offer in offers} if shipping else set()
    nodes = [_shipping(name, shipping, edition) for name in sorted(asked) if shipping]
    return [*nodes, _returns(returns)] if returns else nodes


def _shipping(name: str, policy: ShippingPolicy, edition: Edition) -> Node:
    cost_minor = 0 if name == _FREE_SHIPPING_ID else policy.cost_minor
    rate = {"value": edition.money.plain(cost_minor), "currency": edition.shop.currency}
    return {
        "@context": _SCHEMA,
        "@type": "OfferShippingDetails",
        "@id": name,
        "shippingRate": {"@type": "MonetaryAmount", **rate},
        "shippingDestination": {"@type": "DefinedRegion", "addressCountry": policy.country},
        "deliveryTime": {
            "@type": "ShippingDeliveryTime",
            "handlingTime": _days(policy.handling_days),
            "transitTime": _days(policy.transit_days),
        },
    }


def _days(span: tuple[int, int]) -> Node:
    fewest, most = span
    return {"@type": "QuantitativeValue", "minValue": fewest, "maxValue": most, "unitCode": "DAY"}


def _returns(policy: ReturnPolicy) -> Node:
    node: Node = {
        "@context": _SCHEMA,
        "@type": "MerchantReturnPolicy",
        "@id": _RETURNS_ID,
        "applicableCountry": policy.country,
    }
    if policy.days == 0:
        return {**node, "returnPolicyCategory": f"{_SCHEMA}/MerchantReturnNotPermitted"}
    fees = "FreeReturn" if policy.is_free else "ReturnFeesCustomerResponsibility"
    return {
        **node,
        "returnPolicyCategory": f"{_SCHEMA}/MerchantReturnFiniteReturnWindow",
        "merchantReturnDays": policy.days,
        "returnMethod": _RETURN_METHODS[policy.by],
        "returnFees": f"{_SCHEMA}/{fees}",
    }

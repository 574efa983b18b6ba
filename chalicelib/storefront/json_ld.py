"""A product in schema.org's words for search engines, as JSON-LD that is safe inside a page.

Google's "merchant listing" and "product variant" pages say which properties it reads:
https://developers.google.com/search/docs/appearance/structured-data/merchant-listing
https://developers.google.com/search/docs/appearance/structured-data/product-variants
"""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from markupsafe import Markup

from chalicelib.domain.product import Product, ProductCondition, Variant
from chalicelib.domain.stock import SCHEMA_ORG_WORDS, Availability
from chalicelib.storefront.choices import VariantChoice, VariantChoices
from chalicelib.storefront.localization import MoneyFormat
from chalicelib.storefront.theme import HOME, Edition, ReturnBy, ReturnPolicy, ShippingPolicy

# Inside <script> no entity is decoded, so markup is kept out by JSON's own escapes. The two line
# separators are legal in JSON and not in older JavaScript.
_TO_ESCAPE = "<>&\u2028\u2029"
# Nodes are made below, and none holds itself.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), check_circular=False)
_ESCAPES = {ord(sign): f"\\u{ord(sign):04x}" for sign in _TO_ESCAPE}

_SCHEMA = "https://schema.org"
_CONDITIONS = {
    ProductCondition.NEW: f"{_SCHEMA}/NewCondition",
    ProductCondition.USED: f"{_SCHEMA}/UsedCondition",
    ProductCondition.REFURBISHED: f"{_SCHEMA}/RefurbishedCondition",
}
_RETURN_METHODS = {
    ReturnBy.MAIL: f"{_SCHEMA}/ReturnByMail",
    ReturnBy.STORE: f"{_SCHEMA}/ReturnInStore",
    ReturnBy.KIOSK: f"{_SCHEMA}/ReturnAtKiosk",
}
# Google's PreOrder means that orders are accepted before the release, and OutOfStock that none are. A variant
# that is coming soon takes signups and no orders, with or without a date:
# https://support.google.com/merchants/answer/6324448
# A shop that sells before the release says PreOrder, which needs the date at which it ships:
# https://support.google.com/merchants/answer/6324470
_AVAILABILITY = {availability: f"{_SCHEMA}/{availability.value}" for availability in SCHEMA_ORG_WORDS} | {
    Availability.COMING_SOON: f"{_SCHEMA}/{Availability.OUT_OF_STOCK.value}"
}
_POLICIES_KEPT_MAX = 16
_SHIPPING_ID, _FREE_SHIPPING_ID, _RETURNS_ID = "#shipping", "#free-shipping", "#returns"

Node = dict[str, Any]


def product_json_ld(
    product: Product, choices: VariantChoices, edition: Edition, kinds: Sequence[str | None] = ()
) -> Markup:
    """Return the product and an offer for each variant, safe inside a script element.

    A product with several variants is a ProductGroup, each variant a Product with its offer; `kinds` are the
    schema.org properties that its options are, in their order. The shop's policies come once, and
    each offer refers to them.
    """
    shop = edition.shop
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
    offers = _offers(product, choices, edition)
    variants = [choice.variant for choice in choices]
    if len(variants) == 1:
        about |= _identity(variants[0]) | _options(variants[0], kinds)
        text = _with_last(about, "offers", offers[0])
    else:
        about |= {"@type": "ProductGroup", "productGroupID": product.slug}
        if any(kinds):
            about["variesBy"] = [f"{_SCHEMA}/{kind}" for kind in kinds if kind]
        listed = [
            _with_last(
                {
                    "@type": "Product",
                    "name": f"{product.title}, {variant.label}",
                    **_picture(product, variant, shop.base_url),
                    **_identity(variant),
                    **_options(variant, kinds),
                },
                "offers",
                offer,
            )
            for variant, offer in zip(variants, offers, strict=True)
        ]
        text = _with_last(about, "hasVariant", f"[{','.join(listed)}]")
    policies = _policies(variants, edition)
    return _escaped(f"[{','.join([text, *policies])}]" if policies else text)


def organization_json_ld(edition: Edition) -> Markup | None:
    """Return the shop with its logo, safe inside a script element; None for a shop without a logo.

    https://developers.google.com/search/docs/appearance/structured-data/organization
    """
    shop, logo = edition.shop, edition.settings.logo
    if logo is None:
        return None
    node: Node = {
        "@context": _SCHEMA,
        "@type": "Organization",
        "name": shop.name,
        "url": f"{shop.base_url}{edition.localized_path(HOME)}",
        "logo": f"{shop.base_url}{logo.url}",
    }
    return escaped_json(node)


def escaped_json(document: Any) -> Markup:
    """Return JSON that no HTML parser can mistake for markup, and that parses to the same document."""
    return _escaped(_ENCODER.encode(document))


def _escaped(text: str) -> Markup:
    safe = text.translate(_ESCAPES) if any(sign in text for sign in _TO_ESCAPE) else text
    return Markup(safe)  # noqa: S704 - escaped for its place in the line above


def _with_last(node: Node, name: str, text: str) -> str:
    """Return the JSON of a node that has members, and one more: its JSON is `text`."""
    return f'{_ENCODER.encode(node)[:-1]},"{name}":{text}}}'


def _offers(product: Product, choices: VariantChoices, edition: Edition) -> list[str]:
    """Return the JSON of each choice's offer; choices of the same terms share all but the URL.

    Google asks for a URL that picks the variant.
    """
    texts: dict[object, str] = {}
    offers = []
    for choice in choices:
        variant, starts_on = choice.variant, choice.ships_on or choice.launches_on
        terms = (
            variant.price_minor,
            variant.compare_at_minor,
            variant.sale_ends_on,
            choice.availability,
            starts_on,
        )
        if terms not in texts:
            texts[terms] = _ENCODER.encode(_offer(product, choice, starts_on, edition))[:-1]
        url = f"{edition.shop.base_url}{edition.localized_path(product.link_of(variant))}"
        offers.append(f'{texts[terms]},"url":{_ENCODER.encode(url)}}}')
    return offers


def _offer(product: Product, choice: VariantChoice, starts_on: str | None, edition: Edition) -> Node:
    shop, money, variant = edition.shop, edition.money, choice.variant
    offer: Node = {
        "@type": "Offer",
        "price": money.plain(variant.price_minor),
        "priceCurrency": shop.currency,
        "availability": _AVAILABILITY[choice.availability],
        "itemCondition": _CONDITIONS[product.condition],
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
    if starts_on:
        offer["availabilityStarts"] = starts_on
    if shop.shipping:
        offer["shippingDetails"] = {"@id": _shipping_id(shop.shipping, variant)}
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


def _policies(variants: Sequence[Variant], edition: Edition) -> list[str]:
    """Return the JSON of the policies that the offers of these variants refer to."""
    shop, texts = edition.shop, []
    if shop.shipping:
        named = {_shipping_id(shop.shipping, variant) for variant in variants}
        texts = [_shipping(name, shop.shipping, edition.money, shop.currency) for name in sorted(named)]
    return [*texts, _returns(shop.returns)] if shop.returns else texts


def _shipping_id(policy: ShippingPolicy, variant: Variant) -> str:
    return _FREE_SHIPPING_ID if policy.cost_of(variant.price_minor) == 0 else _SHIPPING_ID


# The same on most pages of an edition.
@lru_cache(maxsize=_POLICIES_KEPT_MAX)
def _shipping(name: str, policy: ShippingPolicy, money: MoneyFormat, currency: str) -> str:
    cost_minor = 0 if name == _FREE_SHIPPING_ID else policy.cost_minor
    node: Node = {
        "@context": _SCHEMA,
        "@type": "OfferShippingDetails",
        "@id": name,
        "shippingRate": {"@type": "MonetaryAmount", "value": money.plain(cost_minor), "currency": currency},
        "shippingDestination": {"@type": "DefinedRegion", "addressCountry": policy.country},
        "deliveryTime": {
            "@type": "ShippingDeliveryTime",
            "handlingTime": _days(policy.handling_days),
            "transitTime": _days(policy.transit_days),
        },
    }
    return _ENCODER.encode(node)


def _days(span: tuple[int, int]) -> Node:
    fewest, most = span
    return {"@type": "QuantitativeValue", "minValue": fewest, "maxValue": most, "unitCode": "DAY"}


@lru_cache(maxsize=_POLICIES_KEPT_MAX)
def _returns(policy: ReturnPolicy) -> str:
    node: Node = {
        "@context": _SCHEMA,
        "@type": "MerchantReturnPolicy",
        "@id": _RETURNS_ID,
        "applicableCountry": policy.country,
    }
    if policy.days == 0:
        return _ENCODER.encode({**node, "returnPolicyCategory": f"{_SCHEMA}/MerchantReturnNotPermitted"})
    fees = "FreeReturn" if policy.is_free else "ReturnFeesCustomerResponsibility"
    terms: Node = {
        "returnPolicyCategory": f"{_SCHEMA}/MerchantReturnFiniteReturnWindow",
        "merchantReturnDays": policy.days,
        "returnMethod": _RETURN_METHODS[policy.by],
        "returnFees": f"{_SCHEMA}/{fees}",
    }
    return _ENCODER.encode({**node, **terms})

"""Google's rules for a product's JSON-LD, as a JSON Schema: what it requires, and the form of what it reads.

https://developers.google.com/search/docs/appearance/structured-data/merchant-listing
https://developers.google.com/search/docs/appearance/structured-data/product-variants
"""

from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

DAY = {"type": "string", "format": "date"}
ADDRESS = {"type": "string", "pattern": r"^https?://[^\s]+$"}
AMOUNT = {"type": "string", "pattern": r"^\d+(\.\d+)?$"}
CURRENCY = {"type": "string", "pattern": "^[A-Z]{3}$"}
COUNTRY = {"type": "string", "pattern": "^[A-Z]{2}$"}
TEXT = {"type": "string", "minLength": 1}
COUNT = {"type": "integer", "minimum": 0}
IMAGES = {"type": "array", "items": ADDRESS, "minItems": 1}


def _words(*names: str) -> dict[str, Any]:
    return {"enum": [f"https://schema.org/{name}" for name in names]}


def _node(kind: str, required: str, properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"@context": {"const": "https://schema.org"}, "@type": {"const": kind}, **properties},
        "required": ["@type", *required.split()],
        "additionalProperties": False,
    }


DAYS = _node(
    "QuantitativeValue",
    "minValue maxValue unitCode",
    {"minValue": COUNT, "maxValue": COUNT, "unitCode": {"const": "DAY"}},
)
SHIPPING = _node(
    "OfferShippingDetails",
    "@id shippingRate shippingDestination deliveryTime",
    {
        "@id": TEXT,
        "shippingRate": _node("MonetaryAmount", "value currency", {"value": AMOUNT, "currency": CURRENCY}),
        "shippingDestination": _node("DefinedRegion", "addressCountry", {"addressCountry": COUNTRY}),
        "deliveryTime": _node(
            "ShippingDeliveryTime", "handlingTime transitTime", {"handlingTime": DAYS, "transitTime": DAYS}
        ),
    },
)
RETURNS = _node(
    "MerchantReturnPolicy",
    "@id applicableCountry returnPolicyCategory",
    {
        "@id": TEXT,
        "applicableCountry": COUNTRY,
        "returnPolicyCategory": _words("MerchantReturnFiniteReturnWindow", "MerchantReturnNotPermitted"),
        "merchantReturnDays": {"type": "integer", "minimum": 1},
        "returnMethod": _words("ReturnByMail", "ReturnInStore", "ReturnAtKiosk"),
        "returnFees": _words("FreeReturn", "ReturnFeesCustomerResponsibility"),
    },
) | {
    "if": {"properties": {"returnPolicyCategory": _words("MerchantReturnFiniteReturnWindow")}},
    "then": {"required": ["merchantReturnDays", "returnMethod", "returnFees"]},
}
REFERENCE = {
    "type": "object",
    "properties": {"@id": TEXT},
    "required": ["@id"],
    "additionalProperties": False,
}
OFFER = _node(
    "Offer",
    "price priceCurrency availability itemCondition url",
    {
        "price": AMOUNT,
        "priceCurrency": CURRENCY,
        "availability": _words("InStock", "OutOfStock", "PreOrder", "BackOrder", "Discontinued"),
        "itemCondition": _words("NewCondition", "UsedCondition", "RefurbishedCondition"),
        "url": ADDRESS,
        "priceValidUntil": DAY,
        "availabilityStarts": DAY,
        "priceSpecification": _node(
            "UnitPriceSpecification",
            "price priceCurrency priceType",
            {"price": AMOUNT, "priceCurrency": CURRENCY, "priceType": _words("StrikethroughPrice")},
        ),
        "shippingDetails": REFERENCE,
        "hasMerchantReturnPolicy": REFERENCE,
    },
)
IDENTITY = {
    "sku": TEXT,
    "gtin": {"type": "string", "pattern": r"^(\d{8}|\d{12,14})$"},
    "mpn": TEXT,
    "weight": _node("QuantitativeValue", "value unitCode", {"value": COUNT, "unitCode": {"const": "GRM"}}),
    **dict.fromkeys(("color", "size", "material", "pattern"), TEXT),
}
ABOUT = {
    "name": TEXT,
    "description": TEXT,
    "url": ADDRESS,
    "image": IMAGES,
    "brand": _node("Brand", "name", {"name": TEXT}),
}
PRODUCT = _node("Product", "@context name description url sku offers", {**ABOUT, **IDENTITY, "offers": OFFER})
VARIANT = _node("Product", "name sku offers", {"name": TEXT, "image": ADDRESS, **IDENTITY, "offers": OFFER})
VARIES_BY = {"type": "array", "items": _words("color", "size", "material", "pattern"), "uniqueItems": True}
GROUP = _node(
    "ProductGroup",
    "@context name description url productGroupID hasVariant",
    {
        **ABOUT,
        "productGroupID": TEXT,
        "variesBy": {**VARIES_BY, "minItems": 1},
        "hasVariant": {"type": "array", "items": VARIANT, "minItems": 2},
    },
)
_VALIDATOR = Draft202012Validator(
    {"oneOf": [PRODUCT, GROUP, SHIPPING, RETURNS]}, format_checker=FormatChecker()
)


def checked(document: Any) -> list[dict[str, Any]]:
    """The nodes of a page's JSON-LD, each of a known form, every reference leading to one of them."""
    nodes: list[dict[str, Any]] = document if isinstance(document, list) else [document]
    for node in nodes:
        _VALIDATOR.validate(node)
    known = {node["@id"] for node in nodes if "@id" in node}
    used = {
        offer[name]["@id"]
        for _, offer in offers_of(nodes)
        for name in ("shippingDetails", "hasMerchantReturnPolicy")
        if name in offer
    }
    assert used == known
    return nodes


def offers_of(nodes: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """Each offer of a page with its SKU, in their order."""
    product = nodes[0]
    variants = product.get("hasVariant", [product])
    return [(variant["sku"], variant["offers"]) for variant in variants]

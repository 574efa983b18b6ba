"""Read the fields of a product that are optional or translated; state how long every field may be."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar

from chalicelib.domain.product import Product, ProductCondition, Translation, Variant, WhenSoldOut
from chalicelib.domain.stock import Availability
from chalicelib.storefront.checkout import CHECKOUT_LENGTH_MAX, CheckoutRefused, CheckoutTemplate
from spillway.sitegen.reading.catalogue import SourceImage
from spillway.sitegen.reading.did_you_mean import did_you_mean
from spillway.sitegen.reading.locales import root_of_locale
from spillway.sitegen.reading.markdown import is_clearly_valid, to_html
from spillway.sitegen.reading.toml_input import TomlTable

# The limits of Shopify, so that an import fits.
# https://shopify.dev/docs/api/admin-graphql/latest/input-objects/ProductInput
TITLE_LENGTH_MAX = 255
SUMMARY_LENGTH_MAX = 160
SEO_TITLE_LENGTH_MAX = 255
SEO_DESCRIPTION_LENGTH_MAX = 1_000
DESCRIPTION_LENGTH_MAX = 20_000
ALT_LENGTH_MAX = 512
OPTION_LENGTH_MAX = 255
TAG_LENGTH_MAX = 255
TAGS_MAX = 250
CATEGORIES_MAX = 250
CATEGORY_LENGTH_MAX = 255
BRAND_LENGTH_MAX = 255
# https://support.google.com/merchants/answer/6324482
MPN_LENGTH_MAX = 70
VARIANT_ID_LENGTH_MAX = 255
WEIGHT_G_MAX = 100_000_000
DETAIL_LENGTH_MAX = 300
DETAILS_MAX = 20

# Fields that most products leave out, and that are read only where one of them is there.
OPTIONAL_PRODUCT_FIELDS = frozenset(
    {"categories", "brand", "condition", "seo_title", "seo_description"}
    | {"compare_at_price", "sale_ends_on", "available_on", "weight_g", "checkout_url"}
)
OPTIONAL_VARIANT_FIELDS = frozenset(
    {"compare_at_price", "sale_ends_on", "available_on", "weight_g"}
    | {"when_sold_out", "gtin", "mpn", "variant_id", "checkout_url"}
)
# Ids of other systems: numbers, UUIDs, Base64, gid://shop/Variant/7. An address can have each of them.
_VARIANT_ID = re.compile(r"(?=.*[A-Za-z0-9])[!-~]+", re.ASCII)
_GTIN_LENGTHS = frozenset({8, 12, 13, 14})

_FORMER_PRICE_EXPECTED = "a compare_at_price beside it, the price when there is no sale"

# Reads the price in a field of a table, in minor units of the currency.
ReadPrice = Callable[[TomlTable, str], int]
T = TypeVar("T")
W = TypeVar("W", bound=StrEnum)


def read_description(table: TomlTable, *, root: str = "", judged_only: bool = False) -> str:
    """Return the field `description` as HTML.

    Args:
        table: the table of a product or of its translation.
        root: the path of the locale's pages, put before links to pages of the shop.
        judged_only: whether only errors matter; then the HTML of a clearly valid text is empty.
    """
    text = table.text("description", length_max=DESCRIPTION_LENGTH_MAX, lines=True)
    if judged_only and is_clearly_valid(text):
        return ""
    return to_html(
        text,
        heading_level_min=3,
        root=root,
        refuse=lambda line, value, expected: table.error("description", value, expected, line=line),
    )


class VariantDefaults(NamedTuple):
    """The fields of a product that apply to each variant without its own.

    `compare_at_minor` is the former price of the variants that have the product's price.
    """

    compare_at_minor: int | None = None
    sale_ends_on: str | None = None
    available_on: str | None = None
    weight_g: int | None = None


NO_DEFAULTS = VariantDefaults()


def read_defaults(table: TomlTable, price_minor: int, price: ReadPrice) -> VariantDefaults:
    """Read the defaults that a product states for its variants."""
    if not table.has_any(OPTIONAL_PRODUCT_FIELDS):
        return NO_DEFAULTS
    if table.has("sale_ends_on") and not _has_former_price(table):
        table.error("sale_ends_on", table.value("sale_ends_on"), _FORMER_PRICE_EXPECTED)
    return VariantDefaults(
        _compare_at_minor(table, price_minor, price),
        table.day("sale_ends_on"),
        table.day("available_on"),
        _weight(table),
    )


def with_product_fields(product: Product, table: TomlTable) -> Product:
    """Return the product with the optional fields that its table has."""
    if not table.has_any(OPTIONAL_PRODUCT_FIELDS):
        return product
    further = table.texts(
        "categories", length_max=CATEGORY_LENGTH_MAX, count_max=CATEGORIES_MAX, optional=True
    )
    return replace(
        product,
        # An export repeats the main category here.
        categories=tuple(name for name in dict.fromkeys(further) if name != product.category),
        brand=table.text("brand", length_max=BRAND_LENGTH_MAX, optional=True) or None,
        condition=_one_of(table, "condition", ProductCondition, ProductCondition.NEW),
        seo_title=table.text("seo_title", length_max=SEO_TITLE_LENGTH_MAX, optional=True) or None,
        seo_description=table.text("seo_description", length_max=SEO_DESCRIPTION_LENGTH_MAX, optional=True)
        or None,
        checkout_url=_checkout_url(table),
    )


def with_variant_fields(
    variant: Variant, row: TomlTable, defaults: VariantDefaults, price: ReadPrice
) -> Variant:
    """Return the variant with the optional fields of its own table, or else with the product's defaults."""
    stated = row.has_any(OPTIONAL_VARIANT_FIELDS)
    if not stated and defaults is NO_DEFAULTS:
        return variant
    former = defaults.compare_at_minor
    if row.has("compare_at_price"):
        former = _compare_at_minor(row, variant.price_minor, price)
    elif row.has("price") and former is not None and former <= variant.price_minor:
        former = None
    if not stated:
        return replace(
            variant,
            compare_at_minor=former,
            sale_ends_on=defaults.sale_ends_on if former is not None else None,
            available_on=defaults.available_on,
            weight_g=defaults.weight_g,
        )
    ends_on = row.day("sale_ends_on") or defaults.sale_ends_on
    if row.has("sale_ends_on") and former is None and not row.has("compare_at_price"):
        row.error("sale_ends_on", ends_on, _FORMER_PRICE_EXPECTED)
    return replace(
        variant,
        compare_at_minor=former,
        sale_ends_on=ends_on if former is not None else None,
        available_on=row.day("available_on") or defaults.available_on,
        when_sold_out=_when_sold_out(row),
        gtin=_gtin(row),
        mpn=row.text("mpn", length_max=MPN_LENGTH_MAX, optional=True) or None,
        weight_g=_weight(row) if row.has("weight_g") else defaults.weight_g,
        variant_id=_variant_id(row),
        checkout_url=_checkout_url(row),
    )


def options_problem(options: Sequence[tuple[str, str]], variants: Sequence[Variant]) -> str | None:
    """Return what was expected instead of a picture's options; None if they are those of a variant."""
    # Where the variants could not be read, their own mistake says so.
    if not variants or any(set(options) <= set(variant.options) for variant in variants):
        return None
    values: dict[str, dict[str, None]] = {}
    for variant in variants:
        for name, value in variant.options:
            values.setdefault(name, {})[value] = None
    for name, value in options:
        if name not in values:
            return f"an option of the variants{did_you_mean(name, values) or _listed(values)}"
        if value not in values[name]:
            return f"a {name} of a variant{did_you_mean(value, values[name]) or _listed(values[name])}"
    return "options that one variant has together"


def _listed(known: Iterable[str]) -> str:
    names = ", ".join(known)
    return f": {names}" if names else ", which have none"


def _has_former_price(table: TomlTable) -> bool:
    """Return whether the product or one of its variants states a former price."""
    variants: Any = table.value("variants")
    rows = variants if isinstance(variants, list) else ()
    return table.has("compare_at_price") or any(
        "compare_at_price" in row for row in rows if isinstance(row, dict)
    )


def has_check_digit(digits: str) -> bool:
    """Return whether the last of `digits` is the check digit of the others.

    https://www.gs1.org/services/how-calculate-check-digit-manually
    """
    weighted = [int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(reversed(digits))]
    return sum(weighted) % 10 == 0


def _compare_at_minor(table: TomlTable, price_minor: int, price: ReadPrice) -> int | None:
    """Return the price before the sale, None where it equals the price, as in many exports."""
    if not table.has("compare_at_price"):
        return None
    former = price(table, "compare_at_price")
    if former < price_minor:
        stated = table.value("compare_at_price")
        table.error("compare_at_price", stated, "the former price, which is above the price")
    return former if former > price_minor else None


def _weight(table: TomlTable) -> int | None:
    return table.whole_number("weight_g", at_most=WEIGHT_G_MAX) if table.has("weight_g") else None


def _when_sold_out(row: TomlTable) -> WhenSoldOut | None:
    if row.value("when_sold_out") == Availability.OUT_OF_STOCK:
        return None
    return _one_of(row, "when_sold_out", WhenSoldOut, None)


def _gtin(row: TomlTable) -> str | None:
    gtin: Any = row.value("gtin")
    if gtin is None:
        return None
    digits = isinstance(gtin, str) and gtin.isascii() and gtin.isdecimal() and len(gtin) in _GTIN_LENGTHS
    if not digits or not has_check_digit(gtin):
        row.error("gtin", gtin, "8, 12, 13 or 14 digits in quotes, the last one their check digit")
        return None
    return str(gtin)


def _variant_id(row: TomlTable) -> str | None:
    if not row.has("variant_id"):
        return None
    value: Any = row.value("variant_id")
    if isinstance(value, str) and len(value) <= VARIANT_ID_LENGTH_MAX and _VARIANT_ID.fullmatch(value):
        return value
    expected = f"at most {VARIANT_ID_LENGTH_MAX} letters, digits and signs in quotes, without spaces"
    row.error("variant_id", value, f'{expected}: "4125"')
    return None


def _checkout_url(table: TomlTable) -> str | None:
    if not table.has("checkout_url"):
        return None
    url = table.text("checkout_url", length_max=CHECKOUT_LENGTH_MAX)
    try:
        CheckoutTemplate.parse(url)
    except CheckoutRefused as refused:
        if url:  # or else its error is noted
            table.error("checkout_url", url, str(refused))
        return None
    return url


def _one_of(table: TomlTable, name: str, words: type[W], default: T) -> W | T:
    value = table.value(name)
    if value is None:
        return default
    try:
        return words(value)
    except ValueError:
        table.error(name, value, f"one of {', '.join(words)}{did_you_mean(str(value), words)}")
        return default


def read_translation(table: TomlTable, locale: str, images: Sequence[SourceImage]) -> Translation:
    """Read a table such as [de], which translates a product with the pictures `images` into `locale`."""
    alts = table.table("alt", optional=True)
    names = dict.fromkeys(image.file.name for image in images)
    by_file = {name: alts.text(name, length_max=ALT_LENGTH_MAX, optional=True) for name in names}
    alts.done()
    translation = Translation(
        locale,
        title=table.text("title", length_max=TITLE_LENGTH_MAX, optional=True),
        summary=table.text("summary", length_max=SUMMARY_LENGTH_MAX, optional=True),
        description_html=read_description(table, root=root_of_locale(locale))
        if table.has("description")
        else "",
        details=table.pairs("details", length_max=DETAIL_LENGTH_MAX, count_max=DETAILS_MAX),
        alts=tuple(by_file[image.file.name] for image in images),
        words=table.options("options", length_max=OPTION_LENGTH_MAX),
        seo_title=table.text("seo_title", length_max=SEO_TITLE_LENGTH_MAX, optional=True),
        seo_description=table.text("seo_description", length_max=SEO_DESCRIPTION_LENGTH_MAX, optional=True),
    )
    table.done()
    return translation

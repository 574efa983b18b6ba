"""Recognise the program that wrote an export by its columns, so that no export is read as another one."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from spillway.errors import BadInput


@dataclass(frozen=True, slots=True)
class Platform:
    """A program that writes exports. A file is its own when it has all columns of one of `signatures`.

    `command` is the format of `spillway import` that reads it; empty where there is none.
    """

    name: str
    signatures: tuple[frozenset[str], ...]
    command: str = ""


def _signature(columns: str) -> frozenset[str]:
    return frozenset(columns.split("|"))


# More telling signatures go first.
_PLATFORMS = (
    Platform(
        "Squarespace",
        (
            _signature("product id [non editable]|variant id [non editable]"),
            _signature("product id [non-editable]|variant id [non-editable]"),
            _signature("product page|product url|hosted image urls"),
        ),
    ),
    Platform(
        "Etsy",
        (
            _signature("title|description|price|currency_code|quantity|tags|materials"),
            _signature("title|currency_code|image1"),
        ),
    ),
    Platform(
        "Adobe Commerce (Magento)",
        (
            _signature("sku|attribute_set_code|product_type"),
            _signature("sku|_attribute_set|_type"),
            _signature("sku|product_websites|url_key"),
        ),
    ),
    Platform(
        "BigCommerce",
        (
            _signature("item type|product id|product name|product code/sku"),
            _signature("product name|product code/sku|calculated price"),
            _signature("item|id|name|type|sku|options|inventory tracking|current stock"),
            _signature("product id|product name|product code/sku|product type"),
        ),
    ),
    Platform(
        "Wix",
        (
            _signature("handleid|fieldtype|name"),
            _signature("handle|fieldtype|name|productoptionname1"),
            _signature("handle|fieldtype|name|visible"),
        ),
    ),
    Platform(
        "PrestaShop",
        (
            _signature("product id|name|reference|price (tax excl.)"),
            _signature("product id|active (0/1)|name *"),
            _signature("id|active (0/1)|name *"),
        ),
    ),
    Platform(
        "Ecwid",
        (
            _signature("product_internal_id|product_sku|product_name"),
            _signature("type|product_name|product_price"),
        ),
    ),
    Platform(
        "Square",
        (
            _signature("token|item name|variation name"),
            _signature("reference handle|item name|variation name"),
        ),
    ),
    Platform(
        "Amazon",
        (_signature("item-name|seller-sku|price"), _signature("item_sku|item_name|feed_product_type")),
    ),
    Platform(
        "OpenCart",
        (_signature("product_id|model|quantity|stock_status_id"), _signature("product_id|name(en)|model")),
    ),
    Platform(
        "Shopify",
        (
            _signature("handle|title|variant price"),
            _signature("handle|title|body (html)"),
            _signature("handle|title|body html"),
            _signature("handle|title|option1 value"),
            _signature("url handle|title"),
            _signature("handle|title|variant sku"),
        ),
        "shopify",
    ),
    Platform(
        "WooCommerce",
        (
            _signature("type|sku|name|published|regular price"),
            _signature("type|name|in stock?|regular price"),
            _signature("id|type|name|is featured?"),
        ),
        "woocommerce",
    ),
    Platform(
        "Google Merchant Center",
        (
            _signature("id|title|link|price|availability"),
            _signature("id|title|image link|price"),
            _signature("id|title|image_link|price"),
        ),
        "google",
    ),
)


def platform_of(columns: Iterable[str]) -> Platform | None:
    """Return the platform whose export has these columns; None where no platform is known to write them."""
    names = frozenset(" ".join(column.split()).casefold() for column in columns)
    return next(
        (platform for platform in _PLATFORMS if any(signature <= names for signature in platform.signatures)),
        None,
    )


def refuse_other(file: Path, columns: Iterable[str], *, command: str) -> None:
    """Refuse the export of a platform that another command, or none, reads.

    Raises:
        BadInput: the file is an export of another platform. The way out names what to do instead.
    """
    platform = platform_of(columns)
    if platform is None or platform.command == command:
        return
    if platform.command:
        raise BadInput(
            f"{file}: this is an export of {platform.name}",
            hint=f"spillway import {platform.command} {file}",
        )
    raise BadInput(
        f"{file}: this is an export of {platform.name}, which has no importer of its own",
        hint=f"let {platform.name} write a Google Merchant feed, then: spillway import google FEED; "
        f"or name the columns to take: spillway import csv {file} --column sku=... --column title=... "
        "--column price=...",
    )

"""Whole stock lists of other systems, by which lost webhooks are found: pages and files into readings.

Shopify lists its variants by the GraphQL Admin API, WooCommerce its products by REST; any system can offer a
CSV file. Product exports of both are CSV files as well. A list says what there is at one time, that of its
request or of its file, so an event that is later than that is newer than the list.

https://shopify.dev/docs/api/admin-graphql/latest/queries/productVariants
https://shopify.dev/docs/apps/build/apis/graphql-admin/rate-limits
https://developer.woocommerce.com/docs/apis/rest-api/v3/products/
"""

import codecs
import csv
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from chalicelib.domain.stock import Availability
from chalicelib.inbound import woocommerce
from chalicelib.inbound.readings import (
    MalformedEvent,
    Reading,
    Readings,
    Unread,
    VariantLink,
    availability_of,
    json_object,
    key_id,
    shown,
    sku_of,
    subject_of,
    units_of,
)

SHOPIFY_PATH = "/admin/api/2026-07/graphql.json"
# A query may cost 1,000 points: an object costs one, a connection two and its objects.
SHOPIFY_PAGE = 250
SHOPIFY_PAGE_WITH_LEVELS = 20
SHOPIFY_LEVELS_MAX = 10
WOOCOMMERCE_PATH = "/wp-json/wc/v3/products"
WOOCOMMERCE_PAGE = 100
WOOCOMMERCE_FIELDS = "id,type,sku,manage_stock,stock_quantity,stock_status"
LINES_MAX = 200_000
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

_LEVELS = f"""inventoryLevels(first: {SHOPIFY_LEVELS_MAX}) {{
  pageInfo {{ hasNextPage }}
  nodes {{ location {{ id }} quantities(names: ["available"]) {{ quantity }} }}
}}"""
_VARIANTS = """query Stock($first: Int!, $after: String) {
  productVariants(first: $first, after: $after, sortKey: ID) {
    pageInfo { hasNextPage endCursor }
    nodes { id sku inventoryQuantity inventoryPolicy inventoryItem { id tracked %s } }
  }
}"""


@dataclass(frozen=True, slots=True)
class Level:
    """The units of a variant at one location, by the ids of the source."""

    foreign_id: str
    location: str
    units: int


@dataclass(frozen=True, slots=True)
class ShopifyPage:
    """A page of variants. `after` is the cursor of the next one; None on the last.

    `wait_s` is the time in seconds until the next query fits the shop's limit. `is_throttled`: Shopify
    refused the query until then, and the page is empty.
    """

    readings: Readings
    levels: tuple[Level, ...]
    after: str | None
    wait_s: float
    is_throttled: bool = False


def shopify_query(after: str | None, *, with_levels: bool) -> bytes:
    """Return the body of a query for the variants after a cursor; `with_levels` asks for each location."""
    first = SHOPIFY_PAGE_WITH_LEVELS if with_levels else SHOPIFY_PAGE
    query = _VARIANTS % (_LEVELS if with_levels else "")
    return json.dumps({"query": query, "variables": {"first": first, "after": after}}).encode()


def shopify_page(body: bytes, *, at_ms: int, counted: frozenset[str] | None) -> ShopifyPage:
    """Read an answer of Shopify.

    Args:
        body: the answer.
        at_ms: the time of the request in milliseconds.
        counted: the locations whose units count; None for the total that Shopify names.

    Raises:
        MalformedEvent: Shopify reports an error, or it is no answer to the query.
    """
    document = json_object(body)
    wait_s = _wait_s(document)
    errors = document.get("errors")
    if errors:
        if any(_code(error) == "THROTTLED" for error in errors if isinstance(error, dict)):
            return ShopifyPage(Readings(()), (), None, wait_s, is_throttled=True)
        first = errors[0] if isinstance(errors, list) else errors
        words = first.get("message") if isinstance(first, dict) else first
        raise MalformedEvent(f"Shopify reports: {str(words)[:200]}")
    try:
        variants = document["data"]["productVariants"]
        nodes, page = list(variants["nodes"]), variants["pageInfo"]
        after = page["endCursor"] if page["hasNextPage"] else None
    except (KeyError, TypeError):
        raise MalformedEvent("data.productVariants has no nodes, or no pageInfo") from None
    readings: list[Reading] = []
    links: list[VariantLink] = []
    levels: list[Level] = []
    unread: list[Unread] = []
    for node in nodes:
        subject = subject_of("variant", _last_part(node.get("id")) if isinstance(node, dict) else None)
        try:
            reading, item, found = _shopify_variant(node, at_ms, counted)
        except MalformedEvent as problem:
            unread.append(Unread(subject, str(problem)))
            continue
        except (LookupError, TypeError):
            unread.append(Unread(subject, "its fields are not those that were asked for"))
            continue
        readings.append(reading)
        levels += found
        if reading.sku:
            links += [VariantLink(str(reading.foreign_id), reading.sku), VariantLink(item, reading.sku)]
    return ShopifyPage(Readings(tuple(readings), tuple(links), tuple(unread)), tuple(levels), after, wait_s)


def _shopify_variant(
    node: Mapping[str, Any], at_ms: int, counted: frozenset[str] | None
) -> tuple[Reading, str, list[Level]]:
    item = f"item:{_number(node['inventoryItem']['id'])}"
    levels: list[Level] = []
    units: int | None = None
    if node["inventoryItem"]["tracked"] and counted is None:
        units = units_of(node["inventoryQuantity"])
    elif node["inventoryItem"]["tracked"]:
        connection = node["inventoryItem"]["inventoryLevels"]
        if connection["pageInfo"]["hasNextPage"]:
            raise MalformedEvent(f"it is stocked at more than {SHOPIFY_LEVELS_MAX} locations")
        for level in connection["nodes"]:
            at_location = units_of(level["quantities"][0]["quantity"]) or 0
            levels.append(Level(item, _number(level["location"]["id"]), at_location))
        units = sum(level.units for level in levels if level.location in (counted or ()))
    availability = Availability.IN_STOCK if units is None else None
    if units == 0 and node["inventoryPolicy"] == "CONTINUE":
        availability = Availability.BACK_ORDER
    foreign_id = f"variant:{_number(node['id'])}"
    reading = Reading(
        f"list:{foreign_id}:{at_ms}", sku_of(node["sku"]), foreign_id, units, availability, at_ms
    )
    return reading, item, levels


def _number(gid: object) -> str:
    """Return the number of an id such as gid://shopify/ProductVariant/1, as webhooks write it.

    Raises:
        MalformedEvent: it is no text that ends in an id.
    """
    number = key_id(_last_part(gid), "id")
    if number is None:
        raise MalformedEvent(f"id is {shown(gid)}, not an id of Shopify")
    return number


def _last_part(gid: object) -> object:
    return gid.rpartition("/")[2] if isinstance(gid, str) else gid


def _code(error: Mapping[str, Any]) -> object:
    extensions = error.get("extensions")
    return extensions.get("code") if isinstance(extensions, dict) else None


def _wait_s(document: Mapping[str, Any]) -> float:
    """Return the seconds until Shopify's bucket holds what one such query is reserved."""
    try:
        cost = document["extensions"]["cost"]
        status = cost["throttleStatus"]
        missing = float(cost["requestedQueryCost"]) - float(status["currentlyAvailable"])
        return max(0.0, missing / float(status["restoreRate"]))
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return 1.0 if document.get("errors") else 0.0


def woocommerce_page(body: bytes, *, at_ms: int) -> tuple[Readings, list[str], int]:
    """Read a page of products or variations of WooCommerce.

    Returns:
        The readings, the ids of products whose variations have the stock, and the number of rows.

    Raises:
        MalformedEvent: it is no list of products.
    """
    try:
        rows = json.loads(body)
    except (ValueError, RecursionError):
        raise MalformedEvent("the answer is no JSON") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise MalformedEvent("the answer is no list of products")
    readings: list[Reading] = []
    unread: list[Unread] = []
    parents: list[str] = []
    for row in rows:
        try:
            product = _product_id(row)
            if row.get("type") in woocommerce.VARIABLE:
                parents.append(product)
            elif row.get("type") not in woocommerce.WITHOUT_STOCK:
                foreign_id = f"product:{product}"
                units, availability = woocommerce.stock_of(row)
                sku = sku_of(row.get("sku"))
                event_id = f"list:{foreign_id}:{at_ms}"
                readings.append(Reading(event_id, sku, foreign_id, units, availability, at_ms))
        except MalformedEvent as problem:
            unread.append(Unread(subject_of("product", row.get("id")), str(problem)))
    links = tuple(VariantLink(str(reading.foreign_id), reading.sku) for reading in readings if reading.sku)
    return Readings(tuple(readings), links, tuple(unread)), parents, len(rows)


def _product_id(row: Mapping[str, Any]) -> str:
    product = key_id(row.get("id"), "id")
    if product is None:
        raise MalformedEvent("id is missing")
    return product


Row = Mapping[str, str]
# A SKU as it is written, the units and the availability.
Cells = tuple[object, int | None, Availability | None]


def _plain_row(row: Row) -> Cells:
    stock = row.get("stock") or row.get("units") or row.get("quantity") or None
    availability = availability_of(row.get("availability") or None)
    units = units_of(stock)
    if units is None and availability is None:
        raise MalformedEvent("stock is empty, and no availability is named")
    return row["sku"], units, availability


def _shopify_row(row: Row) -> Cells | None:
    # Lines of further pictures have no variant.
    if not any(row.get(name) for name in ("variant sku", "variant price", "variant inventory qty")):
        return None
    # A file without the column says nothing about who counts: its numbers do.
    if row.get("variant inventory tracker") == "":
        return row["variant sku"], None, Availability.IN_STOCK
    units = units_of(row["variant inventory qty"])
    may_order = units == 0 and row.get("variant inventory policy", "").lower() in {"continue", "true"}
    return row["variant sku"], units, Availability.BACK_ORDER if may_order else None


# The columns of Shopify's exports of before, by their names in those of today.
_RENAMED = {
    "sku": "variant sku",
    "price": "variant price",
    "inventory quantity": "variant inventory qty",
    "inventory tracker": "variant inventory tracker",
    "continue selling when out of stock": "variant inventory policy",
}


def _recent_shopify_row(row: Row) -> Cells | None:
    return _shopify_row({before: row[name] for name, before in _RENAMED.items() if name in row})


def _woocommerce_row(row: Row) -> Cells | None:
    if row.get("type", "").partition(",")[0] in woocommerce.VARIABLE + woocommerce.WITHOUT_STOCK:
        return None
    document = {
        "manage_stock": bool(row["stock"]),
        "stock_quantity": row["stock"] or None,
        "stock_status": {"1": "instock", "0": "outofstock", "backorder": "onbackorder"}.get(row["in stock?"]),
    }
    return (row["sku"], *woocommerce.stock_of(document))


# By the columns that a file of its kind has, the most particular first.
_ROWS: tuple[tuple[frozenset[str], Callable[[Row], Cells | None]], ...] = (
    (frozenset({"variant sku", "variant inventory qty"}), _shopify_row),
    (frozenset({"sku", "inventory quantity"}), _recent_shopify_row),
    (frozenset({"sku", "stock", "in stock?"}), _woocommerce_row),
    *((frozenset({"sku", name}), _plain_row) for name in ("stock", "units", "quantity", "availability")),
)


def csv_list(raw: bytes, *, at_ms: int) -> Readings:
    """Read a CSV file of SKUs and stock, or a product export of Shopify or WooCommerce.

    Columns are separated by commas, semicolons or tabs.

    Args:
        raw: the file's bytes, in UTF-8, or in UTF-16 with its mark.
        at_ms: the time of the file in milliseconds.

    Raises:
        MalformedEvent: it is no such file; the message names the line.
    """
    try:
        text = raw.decode("utf-16" if raw.startswith(UTF_16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise MalformedEvent(f"byte {error.start} is not UTF-8; save it as UTF-8") from None
    header = text.partition("\n")[0]
    separator = max(",;\t", key=header.count)
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    readings: list[Reading] = []
    unread: list[Unread] = []
    try:
        names = [name.strip().lower() for name in rows.fieldnames or ()]
        read = next((read for columns, read in _ROWS if columns <= set(names)), None)
        if read is None:
            raise MalformedEvent(
                f"line 1: the columns are {', '.join(names)[:200] or 'missing'}; expected sku and stock, "
                "or a product export of Shopify or WooCommerce"
            )
        rows.fieldnames = names
        for row in rows:
            if rows.line_num > LINES_MAX:
                raise MalformedEvent(f"it has more than {LINES_MAX:,} lines")
            cells = {name: (value or "").strip() for name, value in row.items() if isinstance(name, str)}
            try:
                found = read(cells) if any(cells.values()) else None
                readings += [_reading_of(found, at_ms)] if found else []
            except MalformedEvent as problem:
                unread.append(Unread(f"line {rows.line_num}", str(problem)))
    except csv.Error as error:
        raise MalformedEvent(f"line {rows.line_num + 1}: {error}") from None
    return Readings(tuple(readings), (), tuple(unread))


def _reading_of(cells: Cells, at_ms: int) -> Reading:
    written, units, availability = cells
    sku = sku_of(written)
    if sku is None:
        raise MalformedEvent("sku is empty")
    return Reading(f"list:{sku}:{at_ms}", sku, None, units, availability, at_ms)

"""The adapters of other systems' stock events, over payloads in the shapes that their documentation shows."""

import base64
import hmac
import json
from collections import Counter
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from cloudevents.core.bindings.http import to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook

from chalicelib.domain.ids import Sku
from chalicelib.domain.stock import UNITS_MAX, Availability
from chalicelib.events import on_inbound_messages
from chalicelib.inbound import bigcommerce, generic, shopify, square, woocommerce
from chalicelib.inbound.authenticity import STANDARD_TOLERANCE_S, own_signature
from chalicelib.inbound.readings import (
    IgnoredEvent,
    MalformedEvent,
    Ping,
    Reading,
    Readings,
    Unauthentic,
    Unread,
    VariantLink,
    WebhookRequest,
    units_of,
)
from chalicelib.services.inbound import RESULT_CHARS_MAX, RESULTS_BYTES_MAX, as_stored
from tests.support.clock import Clock
from tests.support.inbound_shop import InboundShop

NOW_MS = 1_790_000_000_000
SECRET = "hush"
WHSEC = "whsec_" + base64.b64encode(b"k" * 24).decode()
URL = "https://shop.example/api/events/square"


def raw(document: object) -> bytes:
    return json.dumps(document).encode()


def hmac64(signed: bytes, secret: str = SECRET) -> str:
    return base64.b64encode(hmac.digest(secret.encode(), signed, "sha256")).decode()


def of_shopify(document: object, topic: str = "products/update", **headers: str) -> WebhookRequest:
    body = raw(document)
    return WebhookRequest(
        {
            "x-shopify-topic": topic,
            "x-shopify-hmac-sha256": hmac64(body),
            "x-shopify-event-id": "98880550-7158-44d4-b7cd-2c97c8a091b5",
            "x-shopify-triggered-at": "2026-09-21T14:13:20.877041743Z",
            **headers,
        },
        body,
        URL,
    )


def variant(number: int, sku: object, **changes: Any) -> dict[str, Any]:
    return {
        "id": number,
        "sku": sku,
        "inventory_item_id": number + 1000,
        "inventory_quantity": 5,
        "inventory_management": "shopify",
        "inventory_policy": "deny",
        **changes,
    }


TRIGGERED_AT_MS = 1_790_000_000_877
EVENT = "98880550-7158-44d4-b7cd-2c97c8a091b5"


def test_a_product_of_shopify_gives_the_units_of_each_variant_and_its_links() -> None:
    document = {
        "id": 788,
        "variants": [
            variant(1, "FJ-M"),
            variant(2, "FJ-L", inventory_quantity=-3),
            variant(3, "FJ-XL", inventory_quantity=0, inventory_policy="continue"),
            variant(4, "", inventory_management=None),
        ],
    }
    result = shopify.read(of_shopify(document), [SECRET], now_ms=NOW_MS)
    back_order, in_stock = Availability.BACK_ORDER, Availability.IN_STOCK
    assert result == Readings(
        (
            Reading(f"{EVENT}:1", Sku("FJ-M"), "variant:1", 5, None, TRIGGERED_AT_MS),
            Reading(f"{EVENT}:2", Sku("FJ-L"), "variant:2", 0, None, TRIGGERED_AT_MS),
            Reading(f"{EVENT}:3", Sku("FJ-XL"), "variant:3", 0, back_order, TRIGGERED_AT_MS),
            Reading(f"{EVENT}:4", None, "variant:4", None, in_stock, TRIGGERED_AT_MS),
        ),
        tuple(
            VariantLink(foreign_id, Sku(sku))
            for number, sku in ((1, "FJ-M"), (2, "FJ-L"), (3, "FJ-XL"))
            for foreign_id in (f"variant:{number}", f"item:{number + 1000}")
        ),
    )


def test_a_level_of_shopify_names_an_item_and_a_location() -> None:
    document = {"inventory_item_id": 271, "location_id": 655, "available": 7, "updated_at": "x"}
    result = shopify.read(of_shopify(document, "inventory_levels/update"), [SECRET], now_ms=NOW_MS)
    assert result == Readings(
        (Reading(f"{EVENT}:271", None, "item:271", 7, None, TRIGGERED_AT_MS, location="655"),)
    )


def test_without_the_headers_of_an_event_shopifys_body_names_it_and_its_time() -> None:
    document = {"updated_at": "2026-09-21T10:13:20-04:00", "variants": [variant(1, "A")]}
    headers = {"x-shopify-event-id": "", "x-shopify-triggered-at": ""}
    first, again = (shopify.read(of_shopify(document, **headers), [SECRET], now_ms=NOW_MS) for _ in range(2))
    assert isinstance(first, Readings)
    assert first == again
    assert first.readings[0].observed_at_ms == NOW_MS
    assert len(first.readings[0].event_id) == 34


def test_a_variant_that_cannot_be_read_is_reported_and_the_others_count() -> None:
    document = {
        "variants": [
            variant(1, "A", inventory_quantity="1.5"),
            variant(2, "B"),
            variant(3, "C\x00"),
            variant(4, "D", inventory_quantity=UNITS_MAX + 1),
            variant(5, "E", inventory_quantity=None),
            {"id": 6, "sku": "F"},
        ]
    }
    result = shopify.read(of_shopify(document), [SECRET], now_ms=NOW_MS)
    assert isinstance(result, Readings)
    assert [reading.sku for reading in result.readings] == ["B"]
    assert result.unread[0] == Unread("variant 1", 'the quantity "1.5" is no whole number of units')
    assert result.unread[1].reason.startswith('sku "C\\u0000": ')
    assert result.unread[2] == Unread(
        "variant 4", "the quantity 1000001 is over the maximum of 1000000 units"
    )
    # A webhook may be set to send some of the fields: without the number, nothing is known of the stock.
    missing = [Unread(f"variant {number}", "inventory_quantity is missing") for number in (5, 6)]
    assert list(result.unread[3:]) == missing


def test_variants_that_shopify_leaves_out_of_a_large_product_are_reported() -> None:
    ids = [{"admin_graphql_api_id": f"gid://shopify/ProductVariant/{number}"} for number in range(1, 151)]
    document = {"id": 788, "variants": [variant(number, f"V{number}") for number in range(1, 101)]}
    result = shopify.read(of_shopify({**document, "variant_gids": ids}), [SECRET], now_ms=NOW_MS)
    assert isinstance(result, Readings)
    assert len(result.readings) == 100
    reason = "50 of its variants are not in the webhook: `spillway reconcile shopify` reads them"
    assert result.unread == (Unread("product 788", reason),)
    for all_there in (ids[:100], None, "x"):
        read = shopify.read(of_shopify({**document, "variant_gids": all_there}), [SECRET], now_ms=NOW_MS)
        assert isinstance(read, Readings)
        assert read.unread == ()


@pytest.mark.parametrize(
    ("document", "topic", "reason"),
    [
        ({"id": 1}, "products/delete", 'the topic "products/delete" says nothing about stock'),
        ({"id": 1, "shop_id": 2}, "products/update", "the product has no variants"),
        (
            {"inventory_item_id": 1, "location_id": 2, "available": None},
            "inventory_levels/update",
            "nobody counts the inventory item 1 at location 2",
        ),
    ],
)
def test_an_event_without_stock_is_ignored_with_its_reason(document: object, topic: str, reason: str) -> None:
    assert shopify.read(of_shopify(document, topic), [SECRET], now_ms=NOW_MS) == IgnoredEvent(reason)


def of_woocommerce(document: object, topic: str = "product.updated") -> WebhookRequest:
    body = raw(document)
    return WebhookRequest({"x-wc-webhook-topic": topic, "x-wc-webhook-signature": hmac64(body)}, body, URL)


PRODUCT = {
    "id": 794,
    "type": "simple",
    "sku": "TEE",
    "manage_stock": True,
    "stock_quantity": 3,
    "stock_status": "instock",
    "date_modified_gmt": "2026-09-21T14:13:20",
}


@pytest.mark.parametrize(
    ("changes", "units", "availability"),
    [
        ({}, 3, None),
        ({"stock_quantity": -2, "stock_status": "outofstock"}, 0, None),
        ({"stock_quantity": 0, "stock_status": "onbackorder"}, 0, Availability.BACK_ORDER),
        ({"manage_stock": False, "stock_quantity": None}, None, Availability.IN_STOCK),
        ({"manage_stock": False, "stock_status": "outofstock"}, None, Availability.OUT_OF_STOCK),
        ({"type": "variation", "manage_stock": "parent", "stock_quantity": 9}, 9, None),
        # As versions 1 and 2 of WooCommerce's API write it.
        ({"manage_stock": False, "stock_status": None, "in_stock": True}, None, Availability.IN_STOCK),
        ({"manage_stock": False, "stock_status": None, "in_stock": False}, None, Availability.OUT_OF_STOCK),
        (
            {"stock_quantity": 0, "stock_status": None, "in_stock": True, "backordered": True},
            *(0, Availability.BACK_ORDER),
        ),
    ],
)
def test_a_product_of_woocommerce_gives_its_units_or_its_status(
    changes: dict[str, Any], units: int | None, availability: Availability | None
) -> None:
    result = woocommerce.read(of_woocommerce({**PRODUCT, **changes}), [SECRET], now_ms=NOW_MS)
    assert isinstance(result, Readings)
    (reading,) = result.readings
    assert (reading.sku, reading.foreign_id) == ("TEE", "product:794")
    assert (reading.units, reading.availability, reading.observed_at_ms) == (units, availability, NOW_MS)
    assert result.links == (VariantLink("product:794", Sku("TEE")),)


def test_woocommerces_delivery_id_names_no_event() -> None:
    """Products that are saved within one second have one delivery id."""
    ids = set()
    for quantity in (3, 4):
        request = of_woocommerce({**PRODUCT, "stock_quantity": quantity})
        request = WebhookRequest({**request.headers, "x-wc-webhook-delivery-id": "d"}, request.body, URL)
        result = woocommerce.read(request, [SECRET], now_ms=NOW_MS)
        assert isinstance(result, Readings)
        ids.add(result.readings[0].event_id)
    assert len(ids) == 2


def test_woocommerces_ping_is_a_form_without_a_signature() -> None:
    assert woocommerce.read(WebhookRequest({}, b"webhook_id=17", URL), [SECRET], now_ms=NOW_MS) == Ping()
    for body in (b"webhook_id=17&x=1", b"webhook_id=", raw(PRODUCT)):
        with pytest.raises(Unauthentic):
            woocommerce.read(WebhookRequest({}, body, URL), [SECRET], now_ms=NOW_MS)


@pytest.mark.parametrize(
    ("kind", "where"),
    [
        *((kind, ": its variations send theirs") for kind in ("variable", "variable-subscription")),
        *((kind, "") for kind in ("grouped", "external")),
    ],
)
def test_a_product_without_stock_of_its_own_is_ignored(kind: str, where: str) -> None:
    result = woocommerce.read(of_woocommerce({**PRODUCT, "type": kind}), [SECRET], now_ms=NOW_MS)
    assert result == IgnoredEvent(f"product 794 has no stock of its own{where}")


def of_square(document: object, url: str = URL) -> WebhookRequest:
    body = raw(document)
    return WebhookRequest({"x-square-hmacsha256-signature": hmac64(url.encode() + body)}, body, URL)


def counted(*counts: dict[str, Any]) -> dict[str, Any]:
    return {
        "merchant_id": "6SSW",
        "type": "inventory.count.updated",
        "event_id": "df5f",
        "data": {"type": "inventory_counts", "object": {"inventory_counts": list(counts)}},
    }


def count(**changes: Any) -> dict[str, Any]:
    return {
        "calculated_at": "2026-09-21T14:13:20.10296Z",
        "catalog_object_id": "6F4K",
        "location_id": "EF6D",
        "quantity": "90",
        "state": "IN_STOCK",
        **changes,
    }


def test_a_count_of_square_is_a_text_at_one_location_and_only_goods_in_stock_count() -> None:
    request = of_square(counted(count(state="WASTE", quantity="1"), count(), count(quantity="0.5")))
    assert square.read(request, [SECRET], now_ms=NOW_MS) == Readings(
        (Reading("df5f:6F4K:EF6D", None, "variation:6F4K", 90, None, NOW_MS + 102, location="EF6D"),),
        (),
        (Unread("variation 6F4K", 'the quantity "0.5" is no whole number of units'),),
    )


def test_square_signs_the_address_too() -> None:
    with pytest.raises(Unauthentic):
        square.read(of_square(counted(count()), "https://evil.example"), [SECRET], now_ms=NOW_MS)


def of_bigcommerce(document: object) -> WebhookRequest:
    body = raw(document)
    webhook = Webhook(base64.b64encode(SECRET.encode()).decode())
    at = datetime.fromtimestamp(NOW_MS / 1000, UTC)
    headers = {
        "webhook-id": "m1",
        "webhook-timestamp": str(NOW_MS // 1000),
        "webhook-signature": webhook.sign("m1", at, body.decode()),
    }
    return WebhookRequest(headers, body, URL)


INVENTORY = {"product_id": 206, "method": "absolute", "value": 4, "variant_id": 509}


def of_sku(inventory: dict[str, Any]) -> dict[str, Any]:
    return {
        "scope": "store/sku/inventory/updated",
        "created_at": NOW_MS // 1000,
        "hash": "3f9e",
        "data": {"type": "sku", "id": 509, "inventory": inventory},
    }


def test_an_absolute_value_of_bigcommerce_counts_and_a_relative_one_does_not() -> None:
    request = of_bigcommerce(of_sku(INVENTORY))
    assert bigcommerce.read(request, [SECRET], now_ms=NOW_MS) == Readings(
        (Reading(f"3f9e:{NOW_MS // 1000}", None, "variant:509", 4, None, NOW_MS),)
    )
    relative = of_bigcommerce(of_sku({**INVENTORY, "method": "relative"}))
    assert bigcommerce.read(relative, [SECRET], now_ms=NOW_MS) == IgnoredEvent(
        "variant 509 changed by a number of units: their total is not known"
    )


def test_a_webhook_of_bigcommerce_may_show_a_secret_in_a_header_of_its_own() -> None:
    body = raw(of_sku(INVENTORY))
    shown = WebhookRequest({"x-spillway-secret": SECRET}, body, URL)
    assert isinstance(bigcommerce.read(shown, ["older", SECRET], now_ms=NOW_MS), Readings)
    for headers in ({"x-spillway-secret": "other"}, {"x-spillway-secret": ""}, {}):
        with pytest.raises(Unauthentic):
            bigcommerce.read(WebhookRequest(headers, body, URL), [SECRET], now_ms=NOW_MS)


PLAIN = {"sku": "TEE", "units": "4", "observed_at": "2026-09-21T14:13:20Z"}


def standard(body: bytes, *, content_type: str = "application/json", late_s: int = 0) -> WebhookRequest:
    at_s = NOW_MS // 1000 - late_s
    signature = Webhook(WHSEC).sign("m1", datetime.fromtimestamp(at_s, UTC), body.decode())
    return WebhookRequest(
        {
            "content-type": content_type,
            "webhook-id": "m1",
            "webhook-timestamp": str(at_s),
            "webhook-signature": f"v1a,x v1,AAAA {signature}",
        },
        body,
        URL,
    )


def test_a_plain_event_signed_by_the_standard_webhooks_package_is_read() -> None:
    result = generic.read(standard(raw(PLAIN)), [WHSEC], now_ms=NOW_MS)
    assert result == Readings((Reading("m1", Sku("TEE"), None, 4, None, NOW_MS),))


def test_a_secret_that_is_no_base64_leaves_the_others_in_force() -> None:
    request = standard(raw(PLAIN))
    assert isinstance(generic.read(request, [WHSEC + "x", WHSEC], now_ms=NOW_MS), Readings)
    with pytest.raises(Unauthentic):
        generic.read(request, [WHSEC + "x"], now_ms=NOW_MS)


@pytest.mark.parametrize("late_s", [STANDARD_TOLERANCE_S + 1, -STANDARD_TOLERANCE_S - 1])
def test_a_standard_webhook_of_another_time_is_refused(late_s: int) -> None:
    with pytest.raises(Unauthentic):
        generic.read(standard(raw(PLAIN), late_s=late_s), [WHSEC], now_ms=NOW_MS)


def test_the_shops_own_signature_is_good_too_and_names_the_event() -> None:
    body = raw(PLAIN)
    at_s = NOW_MS // 1000
    headers = {"spillway-signature": f"t={at_s},v1={own_signature(SECRET, at_s, body)}"}
    first, again = (
        generic.read(WebhookRequest(headers, body, URL), [SECRET], now_ms=NOW_MS) for _ in range(2)
    )
    assert isinstance(first, Readings)
    assert first == again
    assert len(first.readings[0].event_id) == 32


# A header of HTTP has neither a space nor a letter with an accent.
SUBJECT = "TEE 50% Größe"


def cloud_event(number: str, data: dict[str, Any]) -> CloudEvent:
    attributes = {
        "specversion": "1.0",
        "id": number,
        "source": "/warehouse",
        "type": "example.stock",
        "time": datetime.fromtimestamp(NOW_MS / 1000, UTC),
        "subject": SUBJECT,
    }
    return CloudEvent(attributes, data)


@pytest.mark.parametrize("write", [to_structured, to_binary])
def test_a_cloud_event_of_the_cloudevents_package_is_read(write: Any) -> None:
    message = write(cloud_event("7", {"units": 4}), JSONFormat())
    headers = {name.lower(): value for name, value in message.headers.items()}
    body = message.body if isinstance(message.body, bytes) else message.body.encode()
    result = generic.read_body(headers, body, "unused")
    assert isinstance(result, Readings)
    (reading,) = result.readings
    assert (reading.sku, reading.units, reading.observed_at_ms) == (SUBJECT, 4, NOW_MS)
    assert reading.event_id != generic_id("8")
    assert reading.event_id == generic_id("7")


def generic_id(number: str) -> str:
    event = {"specversion": "1.0", "id": number, "source": "/warehouse", "data": PLAIN}
    result = generic.read_body({"content-type": "application/cloudevents+json"}, raw(event), "")
    assert isinstance(result, Readings)
    return result.readings[0].event_id


def test_a_batch_reports_the_event_that_cannot_be_read_and_keeps_the_others() -> None:
    good = {"specversion": "1.0", "id": "1", "source": "s", "data": PLAIN}
    batch = [good, {**good, "id": "2", "data": {"units": 1}}, {**good, "id": "3", "data": {"colour": "red"}}]
    result = generic.read_body({"content-type": "application/cloudevents-batch+json"}, raw(batch), "")
    assert isinstance(result, Readings)
    assert len(result.readings) == 1
    assert result.unread == (
        Unread("event 2", "sku is missing"),
        Unread("event 3", "the type null says nothing about stock"),
    )


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"\xff", "the body is no JSON"),
        (b"[" * 100_000, "the body is no JSON"),
        (b"[]", "the body is [], not a JSON object"),
        (raw({"sku": "A"}), "units and availability are missing: one of them has to say what there is"),
        (raw({"units": 1}), "sku is missing"),
        (raw({"sku": True, "units": 1}), "sku is true, not a text"),
        (raw({**PLAIN, "units": True}), "the quantity true is no whole number of units"),
        (raw({**PLAIN, "units": float("nan")}), "the quantity NaN is no whole number of units"),
        (raw({**PLAIN, "observed_at": "yesterday"}), '"yesterday" is no time with its offset'),
        (raw({**PLAIN, "observed_at": "2026-09-21T14:13:20"}), '"2026-09-21T14:13:20" is no time with its'),
        (raw({**PLAIN, "availability": "Here"}), 'availability is "Here", none of InStock, OutOfStock,'),
        (raw({**PLAIN, "units": 0, "availability": "InStock"}), "InStock and no units do not go together"),
    ],
)
def test_an_authentic_body_that_cannot_be_read_is_refused_with_its_field_and_value(
    body: bytes, words: str
) -> None:
    with pytest.raises(MalformedEvent) as caught:
        generic.read_body({}, body, "m")
    assert str(caught.value).startswith(words)


READERS = [
    (shopify, of_shopify({"variants": [variant(1, "A")]}), SECRET),
    (woocommerce, of_woocommerce(PRODUCT), SECRET),
    (square, of_square(counted(count())), SECRET),
    (bigcommerce, of_bigcommerce(of_sku(INVENTORY)), SECRET),
    (generic, standard(raw(PLAIN)), WHSEC),
]


@pytest.mark.parametrize(
    ("source", "request_", "secret"), READERS, ids=lambda value: getattr(value, "__name__", "")
)
@given(data=st.data())
def test_a_flipped_bit_of_the_body_is_refused(
    source: Any, request_: WebhookRequest, secret: str, data: st.DataObject
) -> None:
    assert isinstance(source.read(request_, ["older", secret], now_ms=NOW_MS), Readings)
    place = data.draw(st.integers(0, len(request_.body) - 1))
    flipped = bytearray(request_.body)
    flipped[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(Unauthentic):
        source.read(WebhookRequest(request_.headers, bytes(flipped), URL), [secret], now_ms=NOW_MS)


@pytest.mark.parametrize(
    ("source", "request_", "secret"), READERS, ids=lambda value: getattr(value, "__name__", "")
)
def test_no_secret_and_another_secret_make_no_request_authentic(
    source: Any, request_: WebhookRequest, secret: str
) -> None:
    other = "whsec_" + base64.b64encode(secret.encode() * 2).decode()
    for secrets in ([], [other], [f"{secret}x"] if source is not generic else []):
        with pytest.raises(Unauthentic):
            source.read(request_, secrets, now_ms=NOW_MS)


@given(st.integers() | st.integers().map(str) | st.floats() | st.text() | st.booleans() | st.none())
def test_units_are_whole_numbers_within_bounds_or_an_error(value: Any) -> None:
    try:
        units = units_of(value)
    except MalformedEvent:
        assert value is not None
        return
    assert units is None if value is None else units == max(0, int(float(value)))
    assert units is None or 0 <= units <= UNITS_MAX


def test_a_count_without_its_number_says_nothing_about_the_units() -> None:
    result = square.read_body({}, raw(counted(count(quantity=None), count())))
    assert isinstance(result, Readings)
    assert [reading.units for reading in result.readings] == [90]
    assert result.unread == (Unread("variation 6F4K", "quantity is missing"),)
    with pytest.raises(MalformedEvent) as caught:
        bigcommerce.read_body({}, raw(of_sku({**INVENTORY, "value": None})))
    assert str(caught.value) == "data.inventory.value is missing"


HALF = "\ud800"
LONG = "x" * 500_000
BATCH = {"content-type": "application/cloudevents-batch+json"}
STRUCTURED = {"content-type": "application/cloudevents+json"}
OF_PRODUCT = {"x-shopify-topic": "products/update"}
OF_LEVEL = {"x-shopify-topic": "inventory_levels/update"}
OF_WOO = {"x-wc-webhook-topic": "product.updated"}
EVENT_DOCUMENT = {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": PLAIN}
LEVEL = {"inventory_item_id": 271, "location_id": 655, "available": 7, "updated_at": "2026-09-21T14:13:20Z"}


@pytest.mark.parametrize(
    ("source", "headers", "document", "reason"),
    [
        (generic, STRUCTURED, {**EVENT_DOCUMENT, "specversion": []}, "specversion is []; 1.0 is known"),
        (generic, STRUCTURED, {**EVENT_DOCUMENT, "id": HALF}, 'id is "\\ud800", with half a character in it'),
        (
            generic,
            {},
            {**PLAIN, "event_id": HALF},
            'event_id is "\\ud800", with half a character in it',
        ),
        (
            shopify,
            OF_LEVEL,
            {**LEVEL, "location_id": "y" * 201},
            "location_id has 201 characters; 200 are the most",
        ),
        (
            shopify,
            {**OF_LEVEL, "x-shopify-event-id": HALF},
            LEVEL,
            'x-shopify-event-id is "\\ud800", with half a character in it',
        ),
        (woocommerce, OF_WOO, {**PRODUCT, "id": "7" * 201}, "id has 201 characters; 200 are the most"),
        (
            woocommerce,
            OF_WOO,
            {**PRODUCT, "manage_stock": [], "stock_status": {}},
            "stock_status is {}, none of instock, outofstock, onbackorder",
        ),
        (
            bigcommerce,
            {},
            {**of_sku(INVENTORY), "hash": HALF},
            'hash is "\\ud800", with half a character in it',
        ),
        (
            bigcommerce,
            {},
            {**of_sku(INVENTORY), "created_at": LONG},
            f'created_at is "{"x" * 59}..., not a number of seconds',
        ),
        (
            bigcommerce,
            {},
            {**of_sku(INVENTORY), "created_at": 10**400},
            f"created_at is 1{'0' * 59}..., not a number of seconds",
        ),
        (
            square,
            {},
            {**counted(count()), "event_id": HALF},
            'event_id is "\\ud800", with half a character in it',
        ),
    ],
)
def test_a_value_that_no_key_or_set_takes_makes_a_body_malformed_by_its_field(
    source: Any, headers: dict[str, str], document: object, reason: str
) -> None:
    with pytest.raises(MalformedEvent) as caught:
        source.read_body(headers, raw(document), "m")
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("source", "headers", "document", "reason"),
    [
        (square, {}, {**counted(), "type": []}, "the type [] says nothing about stock"),
        (bigcommerce, {}, {"scope": []}, "the scope [] says nothing about a variant's stock"),
        (
            bigcommerce,
            {},
            {"scope": LONG},
            f"the scope \"{'x' * 59}... says nothing about a variant's stock",
        ),
        (
            generic,
            STRUCTURED,
            {**EVENT_DOCUMENT, "type": LONG, "data": {}},
            f'the type "{"x" * 59}... says nothing about stock',
        ),
    ],
)
def test_a_value_of_any_kind_and_length_says_nothing_about_stock_in_a_short_reason(
    source: Any, headers: dict[str, str], document: object, reason: str
) -> None:
    assert source.read_body(headers, raw(document), "m") == IgnoredEvent(reason)


def test_a_type_that_is_a_list_is_no_variable_product_and_the_units_of_a_list_are_its_status() -> None:
    body = raw({**PRODUCT, "type": [], "manage_stock": []})
    result = woocommerce.read_body(OF_WOO, body)
    assert isinstance(result, Readings)
    (reading,) = result.readings
    assert (reading.units, reading.availability) == (None, Availability.IN_STOCK)


def test_a_part_with_an_id_that_no_key_takes_is_unread_and_its_neighbours_are_read() -> None:
    wrong = [{**EVENT_DOCUMENT, "specversion": []}, {**EVENT_DOCUMENT, "id": HALF, "source": "s"}]
    result = generic.read_body(BATCH, raw([*wrong, EVENT_DOCUMENT]), "m")
    assert isinstance(result, Readings)
    assert [reading.sku for reading in result.readings] == ["TEE"]
    assert result.unread == (
        Unread("event 1", "specversion is []; 1.0 is known"),
        Unread('event "\\ud800"', 'id is "\\ud800", with half a character in it'),
    )
    counts = counted(count(catalog_object_id="V" * 201), count(location_id=HALF), count(quantity="2"))
    result = square.read_body({}, raw(counts))
    assert isinstance(result, Readings)
    assert [reading.units for reading in result.readings] == [2]
    assert result.unread == (
        Unread(f'variation "{"V" * 59}...', "catalog_object_id has 201 characters; 200 are the most"),
        Unread("variation 6F4K", 'location_id is "\\ud800", with half a character in it'),
    )
    variants = [
        variant(1, "A", inventory_item_id="8" * 201),
        {**variant(2, "B"), "id": HALF},
        variant(3, "C"),
    ]
    result = shopify.read_body(OF_PRODUCT, raw({"variants": variants}), "m")
    assert isinstance(result, Readings)
    assert [reading.sku for reading in result.readings] == ["C"]
    assert [link.foreign_id for link in result.links] == ["variant:3", "item:1003"]
    assert [part.subject for part in result.unread] == ["variant 1", 'variant "\\ud800"']


def test_an_id_of_200_characters_is_read_and_a_hashed_one_of_any_length() -> None:
    result = shopify.read_body(OF_LEVEL, raw({**LEVEL, "inventory_item_id": "\U0001f9e5" * 200}), "m")
    assert isinstance(result, Readings)
    assert result.readings[0].foreign_id == "item:" + "\U0001f9e5" * 200
    result = generic.read_body(STRUCTURED, raw({**EVENT_DOCUMENT, "source": LONG}), "m")
    assert isinstance(result, Readings)
    assert len(result.readings[0].event_id) == 32


def test_variants_without_an_id_are_not_linked_to_one_sku() -> None:
    variants = [variant(1, "A"), variant(2, "")]
    for entry in variants:
        del entry["id"], entry["inventory_item_id"]
    result = shopify.read_body(OF_PRODUCT, raw({"variants": variants}), "m")
    assert isinstance(result, Readings)
    assert [(reading.sku, reading.foreign_id) for reading in result.readings] == [("A", None), (None, None)]
    assert result.links == ()


# By source: the headers, the document, and the places in it whose value may be anything.
PLACES: list[tuple[str, dict[str, str], dict[str, Any], tuple[tuple[str | int, ...], ...]]] = [
    (
        "shopify",
        {**OF_PRODUCT, "x-shopify-event-id": EVENT},
        {"updated_at": "2026-09-21T14:13:20Z", "variants": [variant(1, "S0"), variant(2, "S1")]},
        (("variants",), ("updated_at",), *(("variants", 0, name) for name in variant(1, "S0"))),
    ),
    ("shopify", OF_LEVEL, {**LEVEL, "available": 7}, tuple((name,) for name in LEVEL)),
    ("woocommerce", OF_WOO, {**PRODUCT, "sku": "S0"}, tuple((name,) for name in PRODUCT)),
    (
        "square",
        {},
        counted(count(), count(catalog_object_id="V2")),
        (
            *((name,) for name in counted()),
            ("data", "object"),
            ("data", "object", "inventory_counts"),
            *(("data", "object", "inventory_counts", 0, name) for name in count()),
        ),
    ),
    (
        "bigcommerce",
        {},
        of_sku(INVENTORY),
        (
            *((name,) for name in of_sku({})),
            ("data", "inventory"),
            *(("data", "inventory", name) for name in INVENTORY),
        ),
    ),
    (
        "generic",
        STRUCTURED,
        {**EVENT_DOCUMENT, "subject": "S0", "time": "2026-09-21T14:13:20Z", "data": {"units": 1}},
        tuple((name,) for name in ("specversion", "id", "source", "type", "subject", "time", "data")),
    ),
    (
        "generic",
        {},
        {**PLAIN, "sku": "S0", "event_id": "e", "availability": "InStock"},
        tuple((name,) for name in ("sku", "units", "observed_at", "event_id", "availability")),
    ),
]
HOLE = "the value that is drawn"
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
EXTREMES = [HALF, "x" * 3_000, LONG, [], {}, [{}], 10**400, -(10**400), -1, "0001-01-01T00:00:00+09:00"]
JSON_TEXTS = JSON_VALUES.map(json.dumps) | st.sampled_from([json.dumps(value) for value in EXTREMES])
# About as deep as Python's parser goes: further down the stack, the same is too deep to be written.
JSON_TEXTS |= st.integers(700, 1_000).map(lambda depth: "[" * depth + "]" * depth)


def with_hole(document: Any, place: tuple[str | int, ...]) -> Any:
    if not place:
        return HOLE
    copied = document.copy()
    copied[place[0]] = with_hole(document[place[0]], place[1:])
    return copied


def message_fails(
    shop: InboundShop, source: str, headers: dict[str, str], written: str
) -> list[dict[str, str]]:
    """Hand a body, as JSON or a text of it, to the queue's function; return the messages that fail."""
    message = f'{{"source": "{source}", "headers": {json.dumps(headers)}, "body": {written}}}'
    container: Any = SimpleNamespace(inbound_events=shop.inbound)
    failed = on_inbound_messages(container, [{"messageId": "m", "body": message}])["batchItemFailures"]
    (event,) = shop.events.recent(from_ms=shop.clock(), until_ms=shop.clock())
    assert event.outcome in {"received", "ignored", "unreadable"}
    json.dumps(event.results, ensure_ascii=False, default=str).encode()
    return failed


def linked_shop(source: str) -> InboundShop:
    shop = InboundShop(Clock(NOW_MS), skus=3)
    for foreign_id in ("variation:6F4K", "variation:V2", "variant:509", "item:271"):
        shop.events.link(source, foreign_id, Sku("S2"))
    return shop


of_each_source = pytest.mark.parametrize(
    ("source", "headers", "document", "places"), PLACES, ids=[f"{row[0]}-{len(row[3])}" for row in PLACES]
)


@of_each_source
def test_an_extreme_value_in_any_field_is_recorded_as_one_event_and_fails_no_message(
    source: str, headers: dict[str, str], document: dict[str, Any], places: tuple[tuple[str | int, ...], ...]
) -> None:
    shop = linked_shop(source)
    for place in places:
        for value in EXTREMES:
            shop.clock.pass_s(1)
            body = json.dumps(with_hole(document, place)).replace(json.dumps(HOLE), json.dumps(value))
            assert message_fails(shop, source, headers, json.dumps(body)) == []


@of_each_source
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_json_in_any_field_is_recorded_as_one_event_and_fails_no_message(
    source: str,
    headers: dict[str, str],
    document: dict[str, Any],
    places: tuple[tuple[str | int, ...], ...],
    data: st.DataObject,
) -> None:
    place = data.draw(st.sampled_from(places))
    body = json.dumps(with_hole(document, place)).replace(json.dumps(HOLE), data.draw(JSON_TEXTS))
    written = json.dumps(body) if data.draw(st.booleans()) else body
    assert message_fails(linked_shop(source), source, headers, written) == []


def test_a_cloud_event_with_a_wrong_field_leaves_its_neighbours_of_the_batch_as_they_are() -> None:
    values: list[Any] = [[], {}, HALF, LONG, None]
    wrong = [{**EVENT_DOCUMENT, name: value} for name in EVENT_DOCUMENT for value in values]
    good = {**EVENT_DOCUMENT, "id": "good", "data": {**PLAIN, "sku": "S1"}}
    shop = InboundShop(Clock(NOW_MS), skus=3)
    event = shop.receive("generic", raw([*wrong, good]), **BATCH)
    assert shop.units("S1") == 4
    # A type may be anything, an id and a source of any length: seven are read, about an SKU of no product.
    outcomes = Counter(result["outcome"] for result in event.results)
    assert outcomes == {"changed": 1, "unknown_sku": 7, "unreadable": 18}


def test_more_than_a_row_takes_is_left_out_of_the_record_by_bytes_and_by_number() -> None:
    shop = InboundShop(Clock(NOW_MS), skus=3)
    variants = [
        {**variant(1, "S0", inventory_quantity="1.5"), "id": f"{number:0900d}"} for number in range(600)
    ]
    event = shop.receive("shopify", raw({"variants": [*variants, variant(7, "S1")]}), **OF_PRODUCT)
    assert shop.units("S1") == 5
    assert event.results[0] == {"sku": "S1", "outcome": "changed"}
    assert event.results[1]["reason"] == "id has 900 characters; 200 are the most"
    assert event.results[500:] == ({"reason": "101 more results are left out"},)
    assert shop.events.recent(from_ms=NOW_MS, until_ms=NOW_MS) == [event]
    long = tuple({"reason": "\U0001f9e5" * 5_000} for _ in range(400))
    stored = as_stored(long)
    assert stored[0] == {"reason": "\U0001f9e5" * RESULT_CHARS_MAX}
    assert stored[-1] == {"reason": f"{401 - len(stored)} more results are left out"}
    assert len(json.dumps(stored[:-1])) <= RESULTS_BYTES_MAX
    assert as_stored([{"reason": HALF}]) == ({"reason": "?"},)

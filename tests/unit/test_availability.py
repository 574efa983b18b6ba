"""Events about availability: who may send them, what is no event, and what repeats and old ones change."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from chalice.test import Client, HTTPResponse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app import app
from chalicelib import wiring
from chalicelib.domain.availability import AvailabilityEvent, Outcome
from chalicelib.domain.product import WhenSoldOut
from chalicelib.domain.stock import Availability, Stock
from chalicelib.http.merchant_keys import SIGNATURE_TOLERANCE_S, MerchantKeys, NotTheMerchant, sign
from chalicelib.services.availability import Availabilities
from chalicelib.services.webhooks import Webhooks
from chalicelib.tables.products import ProductsTable
from chalicelib.tables.webhooks import WebhooksTable
from chalicelib.wiring import api as serving
from spillway.build.release import Release
from tests.aws import create_table
from tests.clock import Clock
from tests.dynamodb import MemoryDynamoDb

KEY = "merchants-own"
SKU = "FJ-MOSS-M"
IN_STOCK, SOLD_OUT = Availability.IN_STOCK, Availability.OUT_OF_STOCK


class MemoryWebhooks(WebhooksTable):
    """Remembers digests."""

    def __init__(self) -> None:
        self.digests: set[str] = set()

    def first_time(self, digest: str, *, at_ms: int) -> bool:
        known = digest in self.digests
        self.digests.add(digest)
        return not known


@pytest.fixture
def products(small_release: Release) -> ProductsTable:
    client: Any = MemoryDynamoDb()
    table = ProductsTable(client, create_table(client, "ProductsTable"))
    for entry in small_release.products:
        table.put_catalogue(entry.product, entry.stock, known=None)
    return table


@pytest.fixture
def api(products: ProductsTable, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Iterator[Client]:
    for name, value in {
        "merchant_keys": MerchantKeys((KEY, "older")),
        "availabilities": Availabilities(products),
        "webhooks": Webhooks(Availabilities(products), MemoryWebhooks(), clock),
    }.items():
        monkeypatch.setattr(serving, name, lambda value=value: value)
    monkeypatch.setattr(wiring, "clock_ms", clock)
    with Client(app) as client:
        yield client


def stock(products: ProductsTable, sku: str = SKU) -> Stock:
    stocked = products.get("field-jacket")
    assert stocked is not None
    return stocked.stock[sku]


def post(api: Client, event: Any, *, key: str = KEY) -> HTTPResponse:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    return api.http.post("/availability", headers=headers, body=body)


def post_signed(api: Client, raw: bytes, at_s: int, *, signature: str | None = None) -> HTTPResponse:
    signature = signature or f"t={at_s},v1={sign(KEY, at_s, raw)}"
    headers = {"content-type": "application/json", "spillway-signature": signature}
    return api.http.post("/availability/webhook", headers=headers, body=raw)


def test_the_merchants_key_opens_the_door(api: Client, products: ProductsTable) -> None:
    answer = post(api, {"sku": SKU, "units": 7})
    assert (answer.status_code, answer.json_body) == (200, {"outcome": "changed"})
    assert (stock(products).availability, stock(products).units) == (IN_STOCK, 7)
    assert post(api, {"sku": SKU, "availability": "PreOrder"}, key="older").status_code == 200


@pytest.mark.parametrize("key", ["", "wrong", KEY + "x", KEY[:-1], "ä"])
def test_everybody_else_is_answered_401(api: Client, products: ProductsTable, key: str) -> None:
    before = stock(products)
    answer = post(api, {"sku": SKU, "units": 7}, key=key)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert stock(products) == before


def test_a_request_without_a_key_is_answered_401(api: Client) -> None:
    body, headers = b"{}", {"content-type": "application/json"}
    for path in ("/availability", "/availability/webhook"):
        assert api.http.post(path, headers=headers, body=body).status_code == 401


@pytest.mark.parametrize(
    ("event", "field"),
    [
        ({"units": 1}, "sku"),
        ({"sku": "lower", "units": 1}, "sku"),
        ({"sku": ["A"], "units": 1}, "sku"),
        ({"sku": "NOT-SOLD", "units": 1}, "sku"),
        ({"sku": SKU}, "availability"),
        ({"sku": SKU, "availability": "in stock"}, "availability"),
        ({"sku": SKU, "availability": "InStock", "units": 0}, "units"),
        ({"sku": SKU, "units": -1}, "units"),
        ({"sku": SKU, "units": True}, "units"),
        ({"sku": SKU, "units": 1.5}, "units"),
        ({"sku": SKU, "units": 10**9}, "units"),
        ({"sku": SKU, "units": 1, "observed_at": "yesterday"}, "observed_at"),
        ({"sku": SKU, "units": 1, "observed_at": "2026-11-23T17:00:00"}, "observed_at"),
        ({"sku": SKU, "units": 1, "observed_at": "2100-01-01T00:00:00Z"}, "observed_at"),
        ({"sku": SKU, "units": 1, "event_id": "a b"}, "event_id"),
        ({"sku": SKU, "units": 1, "more": 1}, "more"),
    ],
)
def test_an_event_that_is_none_names_its_field(
    api: Client, products: ProductsTable, event: dict[str, Any], field: str
) -> None:
    before = stock(products)
    answer = post(api, event)
    assert answer.status_code == 400
    assert field in [error["field"] for error in answer.json_body["errors"]]
    assert stock(products) == before


@pytest.mark.parametrize(
    "body", [b"", b"[1]", b"null", b'{"units": NaN}', b'{"sku": "A", "sku": "B"}', b"\xff", b"[" * 9000]
)
def test_a_body_that_is_no_object_is_refused(api: Client, body: bytes) -> None:
    assert post(api, body).status_code in {400, 413}


def test_a_signed_webhook_is_taken_in_once(api: Client, products: ProductsTable, clock: Clock) -> None:
    raw, at_s = json.dumps({"sku": SKU, "units": 3}).encode(), clock() // 1000
    assert post_signed(api, raw, at_s).json_body == {"outcome": "changed"}
    seen = stock(products)
    clock.pass_s(60)
    replayed = post_signed(api, raw, at_s)
    assert replayed.status_code == 409
    assert replayed.headers["Content-Type"] == "application/problem+json"
    assert stock(products) == seen


def test_a_webhook_signed_anew_repeats_its_event_and_is_no_replay(
    api: Client, products: ProductsTable, clock: Clock
) -> None:
    raw = json.dumps(
        {"sku": SKU, "units": 3, "event_id": "w1", "observed_at": "2026-09-01T00:00:00Z"}
    ).encode()
    assert post_signed(api, raw, clock() // 1000).json_body == {"outcome": "changed"}
    seen = stock(products)
    clock.pass_s(60)
    assert post_signed(api, raw, clock() // 1000).json_body == {"outcome": "repeated"}
    assert stock(products) == seen


def test_a_webhook_that_was_not_taken_in_is_no_replay_when_it_comes_again(
    api: Client, products: ProductsTable, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw, at_s = json.dumps({"sku": "NEW", "units": 3}).encode(), clock() // 1000
    assert post_signed(api, raw, at_s).status_code == 400
    stocked = products.get("scarf")
    assert stocked is not None
    variant = replace(stocked.product.variants[0], sku="NEW")
    product = replace(stocked.product, variants=(*stocked.product.variants, variant))
    products.put_catalogue(product, {"NEW": Stock(SOLD_OUT, 0, 1, "e")}, known=stocked)
    assert post_signed(api, raw, at_s).json_body == {"outcome": "changed"}


def test_a_replay_after_a_newer_event_changes_nothing(
    api: Client, products: ProductsTable, clock: Clock
) -> None:
    raw, at_s = json.dumps({"sku": SKU, "units": 3}).encode(), clock() // 1000
    post_signed(api, raw, at_s)
    clock.pass_s(10)
    post(api, {"sku": SKU, "units": 0})
    assert post_signed(api, raw, at_s).status_code == 409
    assert stock(products).availability is SOLD_OUT


@pytest.mark.parametrize("late_s", [SIGNATURE_TOLERANCE_S + 1, -SIGNATURE_TOLERANCE_S - 1])
def test_a_signature_of_another_time_is_refused(
    api: Client, products: ProductsTable, clock: Clock, late_s: int
) -> None:
    before = stock(products)
    answer = post_signed(api, json.dumps({"sku": SKU, "units": 3}).encode(), clock() // 1000 - late_s)
    assert answer.status_code == 401
    assert stock(products) == before


def test_the_signature_covers_the_body_and_its_time(api: Client, clock: Clock) -> None:
    raw, at_s = b'{"sku": "%s", "units": 3}' % SKU.encode(), clock() // 1000
    good = sign(KEY, at_s, raw)
    for signature in (
        f"t={at_s + 1},v1={good}",
        f"t={at_s},v1={good[:-1]}",
        f"v1={good}",
        f"t={at_s}",
        f"t=x{at_s},v1={good}",
        "t=99999999999999999999,v1=",
        "nonsense",
    ):
        assert post_signed(api, raw, at_s, signature=signature).status_code == 401
    signature = f"t={at_s},v1={good}"
    assert post_signed(api, raw + b" ", at_s, signature=signature).status_code == 401
    assert post_signed(api, raw, at_s, signature=signature).status_code == 200


@given(raw=st.binary(max_size=200), other=st.binary(max_size=200), at_s=st.integers(0, 10**10))
def test_only_the_signed_bytes_pass(raw: bytes, other: bytes, at_s: int) -> None:
    keys = MerchantKeys((KEY,))
    signature = f"t={at_s},v1={sign(KEY, at_s, raw)}"
    assert keys.signed_at_s(signature, raw, now_s=at_s) == at_s
    if other != raw:
        with pytest.raises(NotTheMerchant):
            keys.signed_at_s(signature, other, now_s=at_s)


def test_a_key_is_rotated_without_a_gap() -> None:
    keys = MerchantKeys.from_json('{"key": "new", "older": ["old"]}')
    keys.check_bearer("Bearer old")
    keys.check_bearer("bearer new")
    with pytest.raises(NotTheMerchant):
        MerchantKeys.from_json('{"key": "new"}').check_bearer("Bearer old")


EVENTS = st.lists(
    st.builds(
        lambda at_ms, number, units: AvailabilityEvent(
            f"e{number}", SKU, SOLD_OUT if units == 0 else IN_STOCK, units, at_ms
        ),
        st.integers(1, 6),
        st.integers(0, 3),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda event: (event.observed_at_ms, event.id),
)


@given(events=EVENTS, data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_events_in_any_order_and_any_number_lead_to_the_newest(
    products: ProductsTable, events: list[AvailabilityEvent], data: st.DataObject
) -> None:
    base_ms = stock(products).observed_at_ms + 10
    shifted = [
        AvailabilityEvent(event.id, SKU, event.availability, event.units, base_ms + event.observed_at_ms)
        for event in events
    ]
    availabilities = Availabilities(products)
    for event in data.draw(st.permutations(shifted * 2)):
        availabilities.take_in(event)
    newest = max(shifted, key=lambda event: (event.observed_at_ms, event.id))
    assert stock(products) == newest.stock


def test_what_the_shop_does_not_sell_is_unknown(products: ProductsTable) -> None:
    event = AvailabilityEvent("e", "NOWHERE", IN_STOCK, 1, 10**13)
    assert Availabilities(products).take_in(event) is Outcome.UNKNOWN_SKU


def test_all_of_many_events_or_none(products: ProductsTable) -> None:
    def event(sku: str, at_ms: int) -> AvailabilityEvent:
        return AvailabilityEvent(f"{sku}-{at_ms}", sku, IN_STOCK, 9, at_ms)

    availabilities = Availabilities(products)
    before = stock(products)
    pairs = [("field-jacket", event(SKU, 100)), ("scarf", event("SCARF", -1))]
    assert not availabilities.take_in_all(pairs)
    assert stock(products) == before
    pairs = [
        ("field-jacket", event(SKU, 100)),
        ("field-jacket", event("FJ-MOSS-S", 100)),
        ("scarf", event("SCARF", 100)),
    ]
    assert availabilities.take_in_all(pairs)
    assert (stock(products).units, stock(products, "FJ-MOSS-S").units) == (9, 9)


def test_none_counted_is_a_back_order_where_the_catalogue_wants_that(
    api: Client, products: ProductsTable
) -> None:
    stocked = products.get("field-jacket")
    assert stocked is not None
    wanting = tuple(replace(each, when_sold_out=WhenSoldOut.BACK_ORDER) for each in stocked.product.variants)
    products.put_catalogue(replace(stocked.product, variants=wanting), {}, known=stocked)

    post(api, {"sku": SKU, "units": 0, "event_id": "e1", "observed_at": "2026-09-21T14:00:00Z"})
    back = stock(products)
    assert (back.availability, back.units, back.event_id) == (Availability.BACK_ORDER, 0, "e1")

    named = {"sku": SKU, "units": 0, "availability": "OutOfStock", "observed_at": "2026-09-21T14:00:01Z"}
    assert post(api, named).json_body == {"outcome": "changed"}
    assert (stock(products).availability, stock(products).units) == (SOLD_OUT, 0)

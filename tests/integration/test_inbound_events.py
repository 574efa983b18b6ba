"""Stock events of other systems, from a signed request to the stock that is stored."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from chalice.test import Client, HTTPResponse

import app as cloud
from chalicelib.domain.ids import Sku
from chalicelib.domain.stock import Availability, Stock
from chalicelib.inbound.readings import BODY_BYTES_MAX
from chalicelib.inbound.sources import ADAPTERS
from chalicelib.settings import clock_ms
from tests.integration.test_app import api, deployed
from tests.unit.test_inbound import hmac64

__all__ = ["api", "deployed"]

SKU = "FJ-MOSS-M"
OTHER = "FJ-SLATE-M"
SECRET = "hush"
START_S = clock_ms() // 1000


@pytest.fixture(autouse=True)
def secrets(api: Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give every source one secret, and forget what was read before."""
    container = cloud.container
    text = json.dumps({source: [SECRET] for source in ADAPTERS})
    client = container.client("secretsmanager")
    client.put_secret_value(SecretId=container.settings.source_secrets, SecretString=text)
    for name in ("source_secrets", "inbound_events"):
        vars(container).pop(name, None)
    yield
    client.put_secret_value(SecretId=container.settings.source_secrets, SecretString="{}")
    vars(container).pop("source_secrets", None)


def stock(sku: str) -> Stock:
    products = cloud.container.products
    slug = products.slug_of(Sku(sku))
    assert slug is not None
    stocked = products.get(slug)
    assert stocked is not None
    return stocked.stock[Sku(sku)]


def woo(number: int, sku: str, units: int, at: str) -> bytes:
    return json.dumps(
        {
            "id": number,
            "type": "simple",
            "sku": sku,
            "manage_stock": True,
            "stock_quantity": units,
            "stock_status": "instock" if units else "outofstock",
            "date_modified_gmt": at,
        }
    ).encode()


def post_woo(api: Client, body: bytes, **headers: str) -> HTTPResponse:
    signed = {
        "content-type": "application/json",
        "x-wc-webhook-topic": "product.updated",
        "x-wc-webhook-signature": hmac64(body),
    }
    return api.http.post("/events/woocommerce", headers={**signed, **headers}, body=body)


def at(second: int) -> str:
    """Return a second of the minute before these tests, as WooCommerce writes it."""
    return datetime.fromtimestamp(START_S - 60 + second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def at_ms(second: int) -> int:
    """Return the same second in milliseconds since the epoch."""
    return (START_S - 60 + second) * 1000


def test_a_signed_event_changes_the_stock_and_its_repeat_and_an_older_one_do_not(api: Client) -> None:
    newer, older = woo(1, SKU, 4, at(10)), woo(1, SKU, 9, at(5))
    first = post_woo(api, newer)
    assert first.status_code == 200
    assert first.json_body["outcome"] == "received"
    assert first.json_body["results"] == [{"sku": SKU, "outcome": "changed"}]
    assert (stock(SKU).units, stock(SKU).availability) == (4, Availability.IN_STOCK)
    assert post_woo(api, newer).json_body["results"] == [{"sku": SKU, "outcome": "unchanged"}]
    assert post_woo(api, older).json_body["results"] == [{"sku": SKU, "outcome": "older"}]
    assert stock(SKU).units == 4


@pytest.mark.parametrize("source", ADAPTERS)
def test_an_unsigned_event_is_refused_and_nothing_is_recorded(api: Client, source: str) -> None:
    events = cloud.container.events
    now_ms = cloud.container.clock_ms()
    before = events.recent(from_ms=now_ms - 1000, until_ms=now_ms + 60_000)
    answer = api.http.post(f"/events/{source}", headers={"content-type": "application/json"}, body=b"{}")
    assert answer.status_code == 401
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json_body["detail"] == "Sign the request with the secret of its source."
    assert events.recent(from_ms=now_ms - 1000, until_ms=now_ms + 60_000) == before


def test_a_source_without_a_secret_is_refused(api: Client) -> None:
    container = cloud.container
    container.client("secretsmanager").put_secret_value(
        SecretId=container.settings.source_secrets, SecretString="{}"
    )
    body = woo(1, SKU, 4, at(10))
    assert post_woo(api, body, **{"x-wc-webhook-signature": hmac64(body, "")}).status_code == 401


def test_woocommerces_ping_gets_200(api: Client) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = api.http.post("/events/woocommerce", headers=headers, body=b"webhook_id=17")
    assert (answer.status_code, answer.json_body["outcome"]) == (200, "pong")


def test_an_inapplicable_event_is_answered_200_and_named(api: Client) -> None:
    unknown = post_woo(api, woo(2, "NO-SUCH", 1, at(1))).json_body["results"]
    assert unknown == [{"sku": "NO-SUCH", "outcome": "unknown_sku"}]
    unreadable = post_woo(api, b"[]")
    assert (unreadable.status_code, unreadable.json_body["outcome"]) == (200, "unreadable")
    assert unreadable.json_body["results"] == [{"reason": "the body is [], not a JSON object"}]
    ahead = post_woo(api, woo(1, SKU, 1, "2999-01-01T00:00:00")).json_body["results"]
    assert ahead == [{"sku": SKU, "outcome": "unreadable", "reason": "its time is still to come"}]
    ignored = post_woo(api, woo(1, SKU, 1, at(1)), **{"x-wc-webhook-topic": "order.created"})
    assert (ignored.status_code, ignored.json_body["outcome"]) == (200, "ignored")


def test_an_id_that_no_key_takes_and_a_reason_that_no_row_takes_are_answered_200(api: Client) -> None:
    long = post_woo(api, json.dumps({"id": "9" * 3000, "sku": SKU}).encode())
    reason = "id has 3000 characters; 200 are the most"
    assert (long.status_code, long.json_body["results"]) == (200, [{"reason": reason}])
    half = post_woo(api, json.dumps({"id": "\ud800"}).encode())
    reason = 'id is "\\ud800", with half a character in it'
    assert (half.status_code, half.json_body["results"]) == (200, [{"reason": reason}])
    status = post_woo(api, json.dumps({"id": 1, "type": [], "stock_status": "x" * 500_000}).encode())
    assert (status.status_code, status.json_body["outcome"]) == (200, "unreadable")
    (result,) = status.json_body["results"]
    assert result["reason"].startswith(f'stock_status is "{"x" * 59}..., none of')


def test_a_body_that_is_too_large_is_refused(api: Client) -> None:
    answer = post_woo(api, b" " * (BODY_BYTES_MAX + 1))
    assert (answer.status_code, answer.json_body["detail"]) == (
        413,
        f"An event has at most {BODY_BYTES_MAX} bytes.",
    )


def square_count(variation: str, location: str, units: int, second: int) -> dict[str, Any]:
    return {
        "calculated_at": f"{at(second)}Z",
        "catalog_object_id": variation,
        "location_id": location,
        "quantity": str(units),
        "state": "IN_STOCK",
    }


def post_square(api: Client, event: str, *counts: dict[str, Any]) -> list[dict[str, Any]]:
    document = {
        "type": "inventory.count.updated",
        "event_id": event,
        "data": {"object": {"inventory_counts": list(counts)}},
    }
    body = json.dumps(document).encode()
    url = cloud.container.recent_themes.live().theme.shop.base_url + "/api/events/square"
    headers = {
        "content-type": "application/json",
        "x-square-hmacsha256-signature": hmac64(url.encode() + body),
    }
    answer = api.http.post("/events/square", headers=headers, body=body)
    assert answer.status_code == 200, answer.body
    results: list[dict[str, Any]] = answer.json_body["results"]
    return results


def test_the_units_of_all_locations_are_added_up_and_those_that_do_not_count_are_left_out(
    api: Client,
) -> None:
    events = cloud.container.events
    assert post_square(api, "e0", square_count("V0", "here", 3, 1)) == [
        {"id": "variation:V0", "outcome": "not_linked"}
    ]
    events.link("square", "variation:V1", Sku(OTHER))
    post_square(api, "e1", square_count("V1", "here", 3, 1), square_count("V1", "there", 4, 2))
    assert stock(OTHER).units == 7
    # An older count of one location, and a repeat, change nothing.
    results = post_square(api, "e2", square_count("V1", "here", 50, 0))
    assert results == [{"sku": OTHER, "outcome": "older"}]
    assert stock(OTHER).units == 7
    events.count_locations("square", ["there"], at_ms=at_ms(3))
    post_square(api, "e3", square_count("V1", "here", 60, 3))
    assert stock(OTHER).units == 4
    events.count_locations("square", [], at_ms=at_ms(3))
    post_square(api, "e4", square_count("V1", "there", 1, 4))
    assert stock(OTHER).units == 61


def test_a_count_of_a_location_that_does_not_count_sells_nothing_out(api: Client) -> None:
    events = cloud.container.events
    events.link("square", "variation:V2", Sku(SKU))
    post_woo(api, woo(1, SKU, 6, at(11)))
    events.count_locations("square", ["L1"], at_ms=at_ms(0))
    assert post_square(api, "u1", square_count("V2", "L2", 9, 12)) == [
        {"sku": SKU, "outcome": "unchanged", "reason": "location L2 does not count"}
    ]
    assert (stock(SKU).units, stock(SKU).availability) == (6, Availability.IN_STOCK)
    assert post_square(api, "u2", square_count("V2", "L1", 2, 13)) == [{"sku": SKU, "outcome": "changed"}]
    assert (stock(SKU).units, stock(SKU).availability) == (2, Availability.IN_STOCK)
    events.count_locations("square", [], at_ms=at_ms(13))


def test_a_product_of_shopify_links_its_inventory_items_for_later_levels(api: Client) -> None:
    def post(document: object, topic: str, event: str, second: int) -> list[dict[str, Any]]:
        body = json.dumps(document).encode()
        headers = {
            "content-type": "application/json",
            "x-shopify-topic": topic,
            "x-shopify-hmac-sha256": hmac64(body),
            "x-shopify-event-id": event,
            "x-shopify-triggered-at": f"{at(second)}.5Z",
        }
        answer = api.http.post("/events/shopify", headers=headers, body=body)
        assert answer.status_code == 200, answer.body
        results: list[dict[str, Any]] = answer.json_body["results"]
        return results

    variant = {"id": 1, "sku": SKU, "inventory_item_id": 71, "inventory_quantity": 2}
    post({"variants": [variant]}, "products/update", "a", 20)
    assert stock(SKU).units == 2
    level = {"inventory_item_id": 71, "location_id": 5, "available": 8}
    post(level, "inventory_levels/update", "b", 21)
    assert stock(SKU).units == 8
    assert ("shopify", "item:71", SKU) in set(cloud.container.events.links())


def test_events_in_any_order_with_repeats_end_as_they_do_in_order(api: Client) -> None:
    bodies = [
        woo(number, sku, (number * 7 + step) % 11, at(25 + step))
        for number, sku in ((11, SKU), (12, OTHER))
        for step in range(12)
    ]
    shuffler = random.Random(7)
    sent = bodies + shuffler.sample(bodies, 5)
    shuffler.shuffle(sent)
    for body in sent:
        assert post_woo(api, body).status_code == 200
    assert {SKU: stock(SKU).units, OTHER: stock(OTHER).units} == {SKU: (77 + 11) % 11, OTHER: (84 + 11) % 11}


def test_each_request_is_recorded_with_what_it_changed(api: Client) -> None:
    events, now_ms = cloud.container.events, cloud.container.clock_ms()
    answer = post_woo(api, woo(1, SKU, 5, at(50)))
    recorded = {event.id: event for event in events.recent(from_ms=now_ms - 1, until_ms=now_ms + 60_000)}
    event = recorded[answer.json_body["id"]]
    assert (event.source, event.outcome) == ("woocommerce", "received")
    assert event.results == ({"sku": SKU, "outcome": "changed"},)

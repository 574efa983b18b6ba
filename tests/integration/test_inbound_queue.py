"""Stock events from the queue: a message of a producer inside AWS, to the stock that is stored."""

import json
from typing import Any

import pytest
from chalice.test import Client

import app as cloud
from chalicelib.domain.stock import Availability
from chalicelib.inbound.sources import BODY_READERS, Message, NoMessage
from tests.integration.test_app import api, deployed
from tests.integration.test_inbound_events import OTHER, SKU, at, stock, woo

__all__ = ["api", "deployed"]


@pytest.fixture(autouse=True)
def built_anew(api: Client) -> None:
    vars(cloud.container).pop("inbound_events", None)


def handled(*bodies: str) -> list[str]:
    """Hand messages to the function; return the ids of those that failed."""
    records = [{"messageId": f"m{number}", "body": body} for number, body in enumerate(bodies)]
    answer = cloud.on_inbound_event({"Records": records}, None)
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def message(source: str, body: object, **headers: str) -> str:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return json.dumps({"source": source, "headers": named, "body": body})


def recorded(since_ms: int) -> list[tuple[str, str, tuple[Any, ...]]]:
    events = cloud.container.events.recent(from_ms=since_ms, until_ms=since_ms + 60_000)
    return [(event.source, event.outcome, event.results) for event in events]


def test_a_message_is_applied_as_the_webhook_of_its_source_without_a_signature() -> None:
    topic = {"X_WC_Webhook_Topic": "product.updated"}
    assert handled(message("woocommerce", woo(1, SKU, 4, at(10)).decode(), **topic)) == []
    assert (stock(SKU).units, stock(SKU).availability) == (4, Availability.IN_STOCK)
    plain = {"sku": OTHER, "units": 6, "event_id": "wms-1", "observed_at": f"{at(11)}Z"}
    repeated = message("generic", plain)
    older = message("generic", {**plain, "units": 9, "observed_at": f"{at(9)}Z", "event_id": "wms-0"})
    assert handled(repeated, repeated, older) == []
    assert stock(OTHER).units == 6


def test_a_message_without_a_source_fails_alone_and_a_body_that_cannot_be_read_is_recorded() -> None:
    since_ms = cloud.container.clock_ms()
    good = message("generic", {"sku": SKU, "units": 8, "event_id": "good", "observed_at": f"{at(30)}Z"})
    assert handled("no JSON", message("shopfy", {}), message("generic", {"units": 1}), good) == ["m0", "m1"]
    assert stock(SKU).units == 8
    assert sorted(recorded(since_ms)) == [
        ("generic", "received", ({"sku": SKU, "outcome": "changed"},)),
        ("generic", "unreadable", ({"reason": "sku is missing"},)),
    ]


def test_a_repeat_of_a_message_without_an_id_and_a_time_changes_nothing() -> None:
    without = message("generic", {"sku": SKU, "units": 3})
    assert handled(without) == []
    assert handled(message("generic", {"sku": SKU, "units": 2, "event_id": "later"})) == []
    # The id that SQS gives a message is that of the event.
    assert handled(without) == []
    assert stock(SKU).units == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "the message is no JSON"),
        ("[]", "the message is no JSON object"),
        ('{"source": "ebay", "body": {}}', f"source is 'ebay', none of {', '.join(BODY_READERS)}"),
        ('{"source": "generic", "body": 5}', "body is int, not a text, an object or a list"),
        ('{"source": "generic", "headers": {"a": 1}, "body": {}}', "headers is no JSON object of texts"),
    ],
)
def test_a_text_that_is_no_message_is_refused_by_field_and_value(text: str, reason: str) -> None:
    with pytest.raises(NoMessage) as refused:
        Message.from_json(text)
    assert str(refused.value) == reason


def test_header_names_of_a_message_are_read_in_any_case() -> None:
    read = Message.from_json(message("shopify", "{}", X_Shopify_Topic="products/update"))
    assert (read.headers, read.body) == ({"x-shopify-topic": "products/update"}, b"{}")

"""Stock from the queue and from the hourly lists: what the functions that no shopper calls store."""

import json
from pathlib import Path
from typing import Any

import pytest
from chalice.test import Client

import app as cloud
from chalicelib.domain.stock import Availability
from chalicelib.inbound.sources import ADAPTERS, InboundMessage, NoMessage
from chalicelib.services.reconciliation import Reconciliation, SourceAccount, StockLists
from tests.integration.test_app import api, deployed
from tests.integration.test_inbound_events import OTHER, SKU, at, stock, woo
from tests.support.stock_api import Said, stock_api

__all__ = ["api", "deployed"]


# As EventBridge starts a function by a schedule.
HOUR = {
    "version": "0",
    "id": "1",
    "detail-type": "Scheduled Event",
    "source": "aws.events",
    "account": "123456789012",
    "time": "2026-11-28T04:00:00Z",
    "region": "us-east-1",
    "resources": ["arn:aws:events:us-east-1:123456789012:rule/hour"],
    "detail": {},
}


@pytest.fixture(autouse=True)
def built_without_caches(api: Client) -> None:
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
        ('{"source": "ebay", "body": {}}', f"source is 'ebay', none of {', '.join(ADAPTERS)}"),
        ('{"source": "generic", "body": 5}', "body is int, not a text, an object or a list"),
        ('{"source": "generic", "headers": {"a": 1}, "body": {}}', "headers is no JSON object of texts"),
    ],
)
def test_a_text_that_is_no_message_is_refused_by_field_and_value(text: str, reason: str) -> None:
    with pytest.raises(NoMessage) as refused:
        InboundMessage.from_json(text)
    assert str(refused.value) == reason


def test_header_names_of_a_message_are_read_in_any_case() -> None:
    read = InboundMessage.from_json(message("shopify", "{}", X_Shopify_Topic="products/update"))
    assert (read.headers, read.body) == ({"x-shopify-topic": "products/update"}, b"{}")


def test_each_hour_the_lists_of_known_accounts_are_applied_and_without_one_nothing_is_asked(
    tmp_path: Path,
) -> None:
    container = cloud.container
    client, name = container.client("secretsmanager"), container.settings.stock_accounts_secret
    with stock_api(tmp_path) as api:
        api.answer = lambda _: Said(f"sku,stock\n{SKU},55\n".encode())
        lists = StockLists(api.fetcher(), container.clock_ms)
        parts = container.events, container.products, container.inbound_events, lists, container.clock_ms
        vars(container)["reconciliation"] = Reconciliation(*parts)
        try:
            cloud.reconcile_stock(HOUR, None)
            assert api.asked == []
            account = SourceAccount(f"{api.url}/stock.csv").to_document()
            client.put_secret_value(SecretId=name, SecretString=json.dumps({"generic": account}))
            cloud.reconcile_stock(HOUR, None)
        finally:
            del vars(container)["reconciliation"]
            client.put_secret_value(SecretId=name, SecretString="{}")
    assert [asked.path for asked in api.asked] == ["/stock.csv"]
    assert stock(SKU).units == 55

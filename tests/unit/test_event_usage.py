"""The bill of the shop's events, its rules and its deliveries, held to the services and to the docs."""

from collections.abc import Mapping
from math import ceil, isclose
from typing import Any

import pytest

from chalicelib.batches import react_to_queue
from chalicelib.domain.domain_event import DomainEvent, EventType, event_id
from chalicelib.events import DELIVERIES_AT_ONCE
from chalicelib.log import begin_request
from chalicelib.outbound.deliveries import (
    DELAYS_S,
    QUEUE_DELAY_S_MAX,
    TRIES_MAX,
    Delivery,
    Endpoint,
    EndpointResponse,
    Probe,
)
from chalicelib.outbound.signing import make_secret
from chalicelib.queues import DeliveriesQueue, DomainEventsQueue
from chalicelib.rules.rule import Rule, RuleAction
from chalicelib.services.domain_events import DomainEvents
from chalicelib.services.rules import Effects, RuleRunner
from chalicelib.services.webhook_circuit import Circuit
from chalicelib.services.webhook_delivery import DeliveryStore, WebhookDelivery, WebhookFanout
from chalicelib.tables.entries import EntriesTable
from chalicelib.tables.rules import RulesTable
from chalicelib.tables.webhooks import DeliveriesTable, EndpointsTable, RecentEndpoints
from spillway.preflight.amounts import (
    LAMBDA_LOG_BYTES,
    MEMORY_MB,
    QUEUE_BATCH,
    QUEUE_REQUESTS_PER_MESSAGE,
    BillPart,
    Item,
    Measured,
    UsedAmount,
)
from spillway.preflight.bill import Bill, bill
from spillway.preflight.built_pages import PageWeight
from spillway.preflight.campaign import Campaign
from spillway.preflight.event_usage import (
    COUNTING,
    DELIVERY,
    ENDPOINT_ANSWER_MS,
    FIRING,
    KEEPING,
    QUEUEING,
    SHOP_EVENT,
    EventFigures,
)
from spillway.preflight.usage import usage
from tests.support.aws import ROOT, create_table
from tests.support.clock import Clock
from tests.support.dynamodb import MemoryDynamoDb

MILLION = 1_000_000
PAGE = PageWeight("/products/one", requests=4, bytes_sent=50_000)
PARTS = (BillPart.SHOP_EVENTS, BillPart.RULES, BillPart.DELIVERIES)
UUID = "8a5f7c0e-1b2d-4c3e-9f00-1234567890ab"
# DynamoDB adds 100 bytes to each row; CloudWatch adds 26 to each line.
ROW_OVERHEAD_BYTES, LINE_OVERHEAD_BYTES = 100, 26
URL = "https://crm.example/in"
DATA = {"product": "field-jacket", "restock": "FJ-MOSS-M:7:wms-10442", "sku": "FJ-MOSS-M", "units": 4}
RULE = Rule("wanted", EventType.RESTOCK_OPENED, {}, RuleAction.EMAIL, {"subject": "Look", "message": "Back."})


class Cloud:
    """The tables and queues of a shop, and the calls to them."""

    def __init__(self) -> None:
        self.dynamodb = MemoryDynamoDb(checked=False)
        self.table = create_table(self.dynamodb, "EventsTable")
        self.calls: list[str] = []
        self.sent: list[str] = []
        for name in ("get_item", "put_item", "update_item", "delete_item", "query", "transact_write_items"):
            self._record(name)

    def _record(self, name: str) -> None:
        original = getattr(self.dynamodb, name)

        def call(**request: Any) -> Any:
            self.calls.append(name)
            return original(**request)

        setattr(self.dynamodb, name, call)

    def send_message_batch(self, **request: Any) -> dict[str, Any]:
        self.calls.append("send_message_batch")
        self.sent += [entry["MessageBody"] for entry in request["Entries"]]
        return {}

    def send_message(self, **_: Any) -> None:
        self.calls.append("probe")

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> EndpointResponse:
        return EndpointResponse(204)

    def rows(self, kind: str) -> list[int]:
        """Return the sizes of the rows of a kind, in bytes."""
        return [
            ROW_OVERHEAD_BYTES + sum(len(name) + _bytes(value) for name, value in item.items())
            for item in self.dynamodb.items(self.table).values()
            if item["kind"]["S"].startswith(kind)
        ]


def _bytes(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    return len(content.encode()) if kind == "S" else len(content) // 2 + 2


@pytest.fixture
def cloud() -> Cloud:
    begin_request(UUID)
    return Cloud()


def happened() -> DomainEvent:
    cause = event_id(EventType.RESTOCK_OPENED, "r-1")
    return DomainEvent(cause, EventType.RESTOCK_OPENED, Clock().now_ms, "FJ-MOSS-M", DATA)


def process(cloud: Cloud, *rules: Rule, fanout: WebhookFanout | None = None) -> None:
    client: Any = cloud.dynamodb
    nothing: Any = None
    effects = Effects(
        pause=lambda _: True,
        resume=lambda: None,
        policies=nothing,
        availabilities=nothing,
        alert=lambda subject, text: None,
        emit=lambda events: None,
        bounds=nothing,
    )
    table = RulesTable(client, cloud.table)
    events = DomainEvents(table, RuleRunner(lambda: rules, table, effects, Clock()), lambda: fanout, None)
    body = happened().to_json()
    answer = react_to_queue(
        [{"messageId": UUID, "body": body}], lambda text: events.process(DomainEvent.from_json(text))
    )
    assert not answer["batchItemFailures"]


def logged(capsys: pytest.CaptureFixture[str]) -> int:
    return sum(len(line) + LINE_OVERHEAD_BYTES for line in capsys.readouterr().out.splitlines())


def is_near(figures: EventFigures, row_bytes: int, log_bytes: int) -> bool:
    return isclose(row_bytes, figures.row_bytes, rel_tol=0.05) and isclose(
        log_bytes, figures.log_bytes, rel_tol=0.05
    )


def priced(**campaign: int) -> Bill:
    return bill(usage(Campaign(1_000, 3600, **campaign), PAGE, Measured.read(), site_bytes=0))


def amounts(found: Bill, part: BillPart) -> dict[Item, float]:
    return {line.used.item: line.used.amount for line in found.lines if line.part is part}


def test_an_event_of_the_shop_makes_the_calls_the_row_and_the_log_lines_of_the_bill(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    queue: Any = cloud
    DomainEventsQueue(queue, "events").put([happened()])
    process(cloud)

    assert cloud.calls == ["send_message_batch", "put_item"]
    assert SHOP_EVENT.calls == {"sqs": 1, "dynamodb": 1}
    (row,) = cloud.rows("domain-event#")
    assert row - ROW_OVERHEAD_BYTES < 1024, "one write unit"
    assert is_near(SHOP_EVENT, row, logged(capsys))


def test_a_rule_that_fires_adds_the_calls_the_row_and_the_log_lines_of_the_bill(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    process(cloud)
    of_the_event = logged(capsys)
    cloud.calls.clear()

    process(cloud, RULE)

    assert cloud.calls == ["put_item", "transact_write_items", "update_item"]
    assert FIRING.calls == {"dynamodb": 2}
    (row,) = cloud.rows("fired")
    assert FIRING.write_units == 2 * 2 + 1, "two rows in a transaction cost twice"
    assert is_near(FIRING, row, logged(capsys) - of_the_event)


def test_a_delivery_makes_the_calls_the_row_and_the_log_lines_of_the_bill(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock()
    client: Any = cloud.dynamodb
    sqs: Any = cloud
    queue = DeliveriesQueue(sqs, "deliveries")
    endpoints = EndpointsTable(client, cloud.table)
    endpoints.put(Endpoint("crm", URL, frozenset({"restock.opened"}), clock.now_ms))
    recent = RecentEndpoints(endpoints, clock)
    deliveries, entries = DeliveriesTable(client, cloud.table), EntriesTable(client, "entries")
    circuit = Circuit(endpoints, recent, deliveries, queue, lambda _: None, clock)
    recent.all()
    cloud.calls.clear()

    process(cloud, fanout=WebhookFanout(recent, queue, circuit))

    assert cloud.calls == ["put_item", "send_message_batch"]
    assert QUEUEING.calls == {"sqs": 1}
    cloud.calls.clear()
    logged(capsys)
    service = WebhookDelivery(
        DeliveryStore(recent, deliveries, entries),
        queue,
        circuit,
        lambda _: (make_secret(b"k" * 32),),
        cloud,
        lambda: "https://www.shop.example",
        clock,
        lambda: 0.5,
    )
    (message,) = cloud.sent
    react_to_queue(
        [{"messageId": UUID, "body": message}],
        lambda text: service.deliver(Delivery.from_json(text), is_repeat=False),
    )

    assert cloud.calls == ["get_item", "put_item"]
    assert DELIVERY.calls == {"dynamodb": 2}
    (row,) = cloud.rows("delivery#")
    assert is_near(DELIVERY, row, logged(capsys))


def test_events_firings_and_deliveries_are_parts_of_the_bill_and_none_of_them_costs_nothing() -> None:
    without, found = priced(), priced(shop_events=MILLION, rule_firings=MILLION, endpoints=1)

    assert [without.part(part) for part in PARTS] == [0, 0, 0]
    assert found.usd - without.usd == pytest.approx(sum(found.part(part) for part in PARTS))
    of_event, of_firing, of_delivery = (amounts(found, part) for part in PARTS)
    assert (of_event[Item.WRITE_UNITS], of_event[Item.QUEUE_REQUESTS]) == (MILLION, 1.2 * MILLION)
    assert of_event[Item.LAMBDA_CALLS] == MILLION / QUEUE_BATCH
    assert of_firing[Item.WRITE_UNITS] == 5 * MILLION
    assert set(of_firing) == {Item.WRITE_UNITS, Item.LAMBDA_TIME, Item.LOG_BYTES, Item.TABLE_STORAGE}
    assert (of_delivery[Item.READ_UNITS], of_delivery[Item.WRITE_UNITS]) == (MILLION, MILLION)
    assert of_delivery[Item.QUEUE_REQUESTS] == pytest.approx(1.2 * MILLION)


def test_one_call_queues_an_event_for_ten_endpoints_and_their_answers_are_awaited_at_once() -> None:
    def requests(endpoints: int) -> float:
        found = priced(shop_events=MILLION, endpoints=endpoints)
        return amounts(found, BillPart.DELIVERIES)[Item.QUEUE_REQUESTS]

    assert requests(10) == pytest.approx(MILLION * (1 + 10 * 0.2))
    assert requests(11) == pytest.approx(MILLION * (2 + 11 * 0.2))
    assert priced(endpoints=10).part(BillPart.DELIVERIES) == 0
    assert DELIVERIES_AT_ONCE == QUEUE_BATCH


@pytest.mark.parametrize(
    ("page", "part"),
    [("rules", BillPart.SHOP_EVENTS), ("rules", BillPart.RULES), ("webhooks", BillPart.DELIVERIES)],
    ids=["event", "firing", "delivery"],
)
def test_the_docs_have_the_dollars_of_the_bill(page: str, part: BillPart) -> None:
    found = priced(shop_events=MILLION, rule_firings=MILLION, endpoints=1)
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    names = {
        Item.WRITE_UNITS: "writes",
        Item.READ_UNITS: "reads",
        Item.QUEUE_REQUESTS: "SQS",
        Item.LOG_BYTES: "logs",
        Item.TABLE_STORAGE: "storage",
    }
    of_item = dict.fromkeys([*names.values(), "Lambda"], 0.0)
    for line in found.lines:
        if line.part is part:
            of_item[names.get(line.used.item, "Lambda")] += line.usd
    largest = sorted(((name, usd) for name, usd in of_item.items() if usd), key=lambda pair: -pair[1])
    shown = ", ".join(f"{name} {usd:.2f}" for name, usd in largest)
    assert f"{found.part(part):.2f}: {shown}" in text


def docs_of_webhooks() -> str:
    return (ROOT / "docs" / "webhooks.md").read_text(encoding="utf-8")


def test_the_docs_have_the_dollars_of_a_delivery_that_fails_for_three_days() -> None:
    # SQS delays by 15 minutes at most, so a message passes often until its next attempt is due.
    passes = 1 + sum(ceil(delay_s / QUEUE_DELAY_S_MAX) for delay_s in DELAYS_S)
    busy_ms = passes * QUEUEING.duration_ms(MEMORY_MB)
    attempt_ms = DELIVERY.duration_ms + COUNTING.duration_ms(MEMORY_MB) + ENDPOINT_ANSWER_MS / QUEUE_BATCH
    busy_ms += TRIES_MAX * attempt_ms
    log_bytes = passes / QUEUE_BATCH * LAMBDA_LOG_BYTES + TRIES_MAX * DELIVERY.log_bytes
    each = {
        Item.QUEUE_REQUESTS: passes * QUEUE_REQUESTS_PER_MESSAGE + 1,
        Item.LAMBDA_CALLS: passes / QUEUE_BATCH,
        Item.LAMBDA_TIME: busy_ms / 1000 * MEMORY_MB / 1024,
        Item.WRITE_UNITS: TRIES_MAX * (DELIVERY.write_units + 1),
        Item.READ_UNITS: TRIES_MAX * DELIVERY.read_units,
        Item.LOG_BYTES: log_bytes,
        Item.TABLE_STORAGE: DELIVERY.row_bytes,
    }
    found = bill(UsedAmount(item, amount * MILLION, "each fails") for item, amount in each.items())

    assert f"ten attempts, {passes} passes through the queue | | {found.usd:.0f} |" in docs_of_webhooks()


def test_the_docs_have_the_dollars_of_an_event_that_is_kept_while_its_endpoint_is_down() -> None:
    each = {
        Item.QUEUE_REQUESTS: QUEUE_REQUESTS_PER_MESSAGE / QUEUE_BATCH,
        Item.LAMBDA_TIME: KEEPING.duration_ms / 1000 * MEMORY_MB / 1024,
        Item.WRITE_UNITS: KEEPING.write_units,
        Item.READ_UNITS: KEEPING.read_units,
        Item.TABLE_STORAGE: KEEPING.row_bytes,
    }
    found = bill(UsedAmount(item, amount * MILLION, "each is kept") for item, amount in each.items())

    assert f"1 of SQS for ten | 6 ms | {found.usd:.2f} |" in docs_of_webhooks()


def test_an_event_that_is_kept_makes_the_calls_of_the_bill(cloud: Cloud) -> None:
    clock = Clock()
    client: Any = cloud.dynamodb
    sqs: Any = cloud
    endpoints = EndpointsTable(client, cloud.table)
    endpoints.put(Endpoint("crm", URL, frozenset({"restock.opened"}), clock.now_ms, failing_at_ms=5))
    recent, deliveries = RecentEndpoints(endpoints, clock), DeliveriesTable(client, cloud.table)
    queue = DeliveriesQueue(sqs, "deliveries")
    circuit = Circuit(endpoints, recent, deliveries, queue, lambda _: None, clock)
    recent.all()
    cloud.calls.clear()

    WebhookFanout(recent, queue, circuit).queue(happened())

    assert cloud.calls == ["put_item"]
    (row,) = cloud.rows("held#")
    assert isclose(row, KEEPING.row_bytes, rel_tol=0.05)
    endpoints.close_circuit("crm")
    cloud.calls.clear()
    assert circuit.due(Probe("crm", 5)) is None
    assert cloud.calls == ["get_item", "query", "get_item", "send_message_batch", "delete_item", "probe"]
    assert KEEPING.calls == {"dynamodb": 3}

"""Promises of the events table and of the merchant table's snapshots and actions, on each DynamoDB."""

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from chalicelib.domain.domain_event import DomainEvent, EventType
from chalicelib.domain.merchant import MerchantId
from chalicelib.inbound.readings import ReceivedEvent
from chalicelib.outbound.deliveries import PROBE_EVERY_S, Attempt, Endpoint, State
from chalicelib.rules.rule import Firing, FiringOutcome, RuleAction
from chalicelib.tables.inbound import EventsTable
from chalicelib.tables.merchant_actions import ActionKeyInUse, ActionsTable, Retry
from chalicelib.tables.overview import CLAIM_MS, CatalogueVersion, OverviewTable, Snapshot
from chalicelib.tables.rules import RulesTable
from chalicelib.tables.webhooks import DeliveriesTable, EndpointsTable
from tests.support.aws import create_table

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

EVENT = DomainEvent("n1", EventType.RESTOCK_OPENED, 1000, "A", {"units": 4})
ENDPOINT = Endpoint("e1", "https://x.example/", frozenset({"restock.opened"}), 5)
ATTEMPT = Attempt("e1", EVENT, State.WAITING, 1, 1000, "503", 5000)
FIRING = Firing(
    rule="r",
    version="v",
    event_id="n1",
    event_type=EventType.RESTOCK_OPENED,
    subject="A",
    values={"units": 4},
    cause=None,
    depth=0,
    at_ms=1000,
    decided_at_ms=1001,
    outcome=FiringOutcome.FIRED,
    action=RuleAction.EMAIL,
    result=None,
)


def test_the_circuit_of_an_endpoint_opens_and_closes_once(dynamodb: "DynamoDBClient") -> None:
    endpoints = EndpointsTable(dynamodb, create_table(dynamodb, "EventsTable"))
    endpoints.put(ENDPOINT)
    assert endpoints.all() == (ENDPOINT,)
    assert endpoints.count_failure("e1", at_ms=7) == replace(ENDPOINT, failures=1, failed_from_ms=7)
    assert [endpoints.open_circuit("e1", at_ms=8) for _ in range(2)] == [True, False]
    now_ms = PROBE_EVERY_S * 1000
    assert [endpoints.begin_probe(ENDPOINT, 8, at_ms=now_ms) for _ in range(2)] == [True, False]
    assert endpoints.close_circuit("e1")
    assert endpoints.get("e1") == ENDPOINT
    assert endpoints.disable("e1", at_ms=9, reason="gone")
    assert endpoints.get("e1") == replace(ENDPOINT, disabled_at_ms=9, disabled_reason="gone")
    endpoints.remove("e1")
    assert endpoints.count_failure("e1", at_ms=7) is None
    assert not endpoints.disable("e1", at_ms=9, reason="gone")


def test_a_delivery_is_recorded_after_the_attempt_that_was_read(dynamodb: "DynamoDBClient") -> None:
    deliveries = DeliveriesTable(dynamodb, create_table(dynamodb, "EventsTable"))
    second = replace(ATTEMPT, tries=2, at_ms=2000)
    assert [deliveries.record(ATTEMPT, after=None) for _ in range(2)] == [True, False]
    assert [deliveries.record(second, after=ATTEMPT) for _ in range(2)] == [True, False]
    assert deliveries.get("e1", EVENT) == second
    assert deliveries.recent("e1", from_ms=0, until_ms=1000) == [second]
    assert deliveries.recent("e1", from_ms=1001, until_ms=9000) == []


def test_an_event_fires_a_rule_once_within_the_budget_of_an_hour(dynamodb: "DynamoDBClient") -> None:
    rules = RulesTable(dynamodb, create_table(dynamodb, "EventsTable"))
    rules.record(EVENT)
    assert list(rules.recorded(from_ms=0, until_ms=1000)) == [EVENT]
    assert [rules.decide(FIRING, budget=1) for _ in range(2)] == [(FIRING, True), (FIRING, False)]
    other = replace(FIRING, event_id="n2")
    over = replace(other, outcome=FiringOutcome.OVER_BUDGET)
    assert rules.decide(other, budget=1) == (over, True)
    rules.finish(FIRING, "done")
    assert rules.firings() == [replace(FIRING, result="done"), over]
    rules.keep(EVENT)
    assert rules.kept(limit=9) == [EVENT]
    rules.forget(EVENT)
    assert rules.kept(limit=9) == []


def test_the_links_levels_and_events_of_a_source_come_back(dynamodb: "DynamoDBClient") -> None:
    events = EventsTable(dynamodb, create_table(dynamodb, "EventsTable"))
    events.link("shopify", "1", "A")
    assert events.linked("shopify", ["1", "2", "1"]) == {"1": "A"}
    assert [events.put_level("shopify", "1", "shelf", 5, at_ms=at_ms) for at_ms in (3, 2)] == [True, False]
    assert events.levels("shopify", "1") == {"shelf": (5, 3)}
    for locations, counted in ((["shelf"], {"shelf"}), ([], None)):
        events.count_locations("shopify", locations, at_ms=1)
        assert events.location_choice("shopify").locations == counted
    received = ReceivedEvent("x", 1000, "shopify", "received", ({"sku": "A", "units": 3, "reason": None},))
    events.record(received)
    assert events.recent(from_ms=0, until_ms=1000) == [received]


def test_one_poll_makes_the_next_snapshot(dynamodb: "DynamoDBClient") -> None:
    overview = OverviewTable(dynamodb, create_table(dynamodb, "MerchantTable"))
    assert overview.snapshot() is None
    claims = [(10, None), (11, None), (11, 10), (12 + CLAIM_MS, None)]
    assert [overview.claim(at_ms=at_ms, known_ms=known) for at_ms, known in claims] == [
        True,
        False,
        True,
        True,
    ]
    parts = overview.put_catalogue("v", [{"sku": "A"}], at_ms=1)
    snapshot = Snapshot(5, "e", {"x": 1}, {"numbers": []}, CatalogueVersion("v", parts, 1, 1))
    overview.put(snapshot)
    assert overview.snapshot() == snapshot
    assert overview.catalogue(snapshot.catalogue) == [{"sku": "A"}]


def test_an_action_is_done_once_for_its_key(dynamodb: "DynamoDBClient") -> None:
    actions = ActionsTable(dynamodb, create_table(dynamodb, "MerchantTable"))
    merchant = MerchantId("m")
    assert actions.begin(merchant, "k", "d", at_ms=1) is None
    for digest in ("d", "other"):
        with pytest.raises(ActionKeyInUse) as taken:
            actions.begin(merchant, "k", digest, at_ms=1)
        assert taken.value.other == (digest == "other")
    actions.finish(merchant, "k", {"a": 1})
    assert actions.begin(merchant, "k", "d", at_ms=1) == {"a": 1}
    actions.forget(merchant, "k")
    assert actions.begin(merchant, "k", "d", at_ms=1) is None
    for retry in (Retry("waves", 5), Retry("waves", 5, 9, 1, 2, 3)):
        actions.put_retry(retry)
        assert actions.retries() == {"waves": retry}

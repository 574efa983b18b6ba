"""Events on their way: an event bus that takes some of them, and a queue that takes none."""

import json
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from chalicelib.domain.domain_event import DomainEvent, EventType
from chalicelib.domain.entry import HOUR_MS
from chalicelib.events import emit_hour, on_domain_events, on_entries_written, on_products_changed
from chalicelib.queues import DomainEventsQueue, EventsNotQueued
from chalicelib.rules.pattern import matches
from chalicelib.services.domain_events import (
    BUS_BYTES_MAX,
    KEPT_AT_ONCE,
    DomainEvents,
    EventBus,
    EventEmitter,
)
from chalicelib.tables.rules import RulesTable
from tests.support.aws import create_table
from tests.support.aws_models import check_request
from tests.support.clock import Clock
from tests.support.containers import container_with
from tests.support.dynamodb import MemoryDynamoDb

if TYPE_CHECKING:
    from chalicelib.container import Container

BUS = "orders"


def event(number: int = 1, event_type: EventType = EventType.RESTOCK_OPENED, **data: Any) -> DomainEvent:
    return DomainEvent(f"id{number}", event_type, 1_795_773_600_123, "MUG", data)


# ---- The event bus ----


class Bus:
    """EventBridge: checks each request by botocore's model, and refuses the events that it is given."""

    def __init__(
        self, *, refuses: Sequence[str] = (), fails: Callable[[int], bool] = lambda _: False
    ) -> None:
        self.calls: list[list[dict[str, str]]] = []
        self.refuses = refuses
        self._fails = fails

    def put_events(self, **asked: Any) -> dict[str, Any]:
        check_request("events", "PutEvents", asked)
        self.calls.append(asked["Entries"])
        if self._fails(len(self.calls)):
            raise ConnectionError
        answers = [
            {"ErrorCode": "ThrottlingException", "ErrorMessage": "slow down"}
            if json.loads(entry["Detail"])["id"] in self.refuses
            else {"EventId": "e"}
            for entry in asked["Entries"]
        ]
        return {"FailedEntryCount": sum("ErrorCode" in answer for answer in answers), "Entries": answers}

    def taken(self) -> list[list[str]]:
        return [[json.loads(entry["Detail"])["id"] for entry in call] for call in self.calls]


def test_an_event_is_put_with_its_type_and_its_document() -> None:
    bus = Bus()

    assert EventBus(bus, BUS).put_all([event(units=4)]) == []

    ((entry,),) = bus.calls
    assert (entry["Source"], entry["DetailType"], entry["EventBusName"]) == (
        "spillway",
        "restock.opened",
        BUS,
    )
    detail = json.loads(entry["Detail"])
    assert detail == event(units=4).to_cloudevent()
    assert matches({"data": {"units": [{"numeric": [">", 3]}]}}, detail), (
        "a rule's pattern works below detail"
    )


def test_a_call_has_ten_entries_and_256_kilobytes_at_most() -> None:
    bus = Bus()
    small = [event(number) for number in range(23)]
    assert EventBus(bus, BUS).put_all(small) == []
    assert [len(call) for call in bus.calls] == [10, 10, 3]

    bus.calls.clear()
    # Two bytes for each character.
    large = [event(number, text="ä" * 50_000) for number in range(5)]
    assert EventBus(bus, BUS).put_all(large) == []
    assert [len(call) for call in bus.calls] == [2, 2, 1]
    for call in bus.calls:
        texts = [entry[name] for entry in call for name in ("Source", "DetailType", "Detail")]
        assert sum(len(text.encode()) for text in texts) <= BUS_BYTES_MAX
    assert [name for call in bus.taken() for name in call] == [f"id{number}" for number in range(5)]


def test_the_events_of_a_call_that_fails_are_refused_and_those_of_the_others_are_not() -> None:
    bus = Bus(fails=lambda number: number == 2)
    assert EventBus(bus, BUS).put_all([event(number) for number in range(23)]) == [
        f"id{number}" for number in range(10, 20)
    ]


def test_another_implementation_of_the_bus_takes_every_event_of_several_calls() -> None:
    from moto import mock_aws

    with mock_aws():
        client = boto3.client("events", region_name="eu-central-1")
        client.create_event_bus(Name=BUS)
        # It refuses a call of more than ten, and a detail that is no JSON.
        assert EventBus(client, BUS).put_all([event(number, units=number) for number in range(12)]) == []


class Shop:
    """Records events that leave the queue, and puts them on the bus."""

    def __init__(self, bus: Bus) -> None:
        memory: Any = MemoryDynamoDb(checked=False)
        self.rows = RulesTable(memory, create_table(memory, "EventsTable"))
        self.fired: list[str] = []
        self.container = container_with(
            domain_events=DomainEvents(self.rows, self, lambda: None, EventBus(bus, BUS))
        )

    def run(self, happened: DomainEvent) -> None:
        """Be the rules."""
        self.fired.append(happened.id)

    def process(self, *events: DomainEvent) -> list[str]:
        records = [{"messageId": f"m-{happened.id}", "body": happened.to_json()} for happened in events]
        answer = on_domain_events(self.container, records)
        return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def test_events_that_the_bus_refuses_come_again_alone_and_no_rule_waits_for_it() -> None:
    bus = Bus(refuses=["id2", "id4"])
    shop = Shop(bus)
    events = [event(number, shopper="s-1") for number in range(1, 6)]

    assert shop.process(*events) == ["m-id2", "m-id4"]

    assert bus.taken() == [["id1", "id2", "id3", "id4", "id5"]]
    assert shop.fired == ["id1", "id2", "id3", "id4", "id5"]
    assert "s-1" not in str(bus.calls), "no shopper's id leaves"
    bus.refuses = ()
    assert shop.process(events[1], events[3]) == []
    assert bus.taken()[1] == ["id2", "id4"]


def test_a_bus_that_is_not_there_holds_no_rule_back() -> None:
    shop = Shop(Bus(fails=lambda _: True))
    assert shop.process(event(1), event(2)) == ["m-id1", "m-id2"]
    assert shop.fired == ["id1", "id2"]


# ---- A queue that takes nothing ----


class Queue:
    """The queue of domain events in SQS; it may take none."""

    def __init__(self) -> None:
        self.sent: list[DomainEvent] = []
        self.is_down = False

    def send_message_batch(self, **asked: Any) -> dict[str, Any]:
        if self.is_down:
            return {"Failed": [{"Code": "AccessDenied"}]}
        self.sent += [DomainEvent.from_json(entry["MessageBody"]) for entry in asked["Entries"]]
        return {}


class Silent:
    """Stands for the shop's other work, and writes down which was done."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: self.done.append(name)


class Stage:
    """The streams' functions of a shop, over a queue and the rows of events."""

    def __init__(self) -> None:
        self.clock = Clock()
        memory: Any = MemoryDynamoDb(checked=False)
        self.rows = RulesTable(memory, create_table(memory, "EventsTable"))
        self.queue: Any = Queue()
        self.work = Silent()
        rules: Any = self
        self.emitter = EventEmitter(DomainEventsQueue(self.queue, "q"), rules, lambda: None, self.rows)
        settings = SimpleNamespace(traffic_logs=None)
        parts = dict.fromkeys(("page_refresh", "restocking", "report_rows", "single_opt_in"), self.work)
        self.container: Container = container_with(
            clock_ms=self.clock, event_emitter=self.emitter, settings=settings, **parts
        )
        self.rules_are_down = False

    def has_rule_for(self, event_type: EventType) -> bool:
        """Be the live rules: one is about confirmed signups."""
        if self.rules_are_down:
            raise ConnectionError
        return event_type is EventType.SIGNUP_CONFIRMED

    def kept(self) -> list[str]:
        return [happened.type.value for happened in self.rows.kept(limit=100)]

    def sent(self) -> list[str]:
        return [happened.type.value for happened in self.queue.sent]


@pytest.fixture
def stage() -> Stage:
    return Stage()


def restocked(number: int) -> dict[str, Any]:
    """A record of the products' stream: a variant is back in stock."""

    def image(units: int) -> dict[str, Any]:
        stock = {
            "availability": {"S": "InStock" if units else "OutOfStock"},
            "units": {"N": str(units)},
            "observed_at_ms": {"N": str(units + 1)},
            "event_id": {"S": f"e{number}-{units}"},
        }
        return {"id": {"S": f"product#mug{number}"}, "stock": {"M": {f"MUG{number}": {"M": stock}}}}

    change = {"Keys": {"id": image(0)["id"]}, "OldImage": image(0), "NewImage": image(5)}
    return {
        "eventID": f"r{number}",
        "dynamodb": {**change, "SequenceNumber": f"s{number}", "ApproximateCreationDateTime": 7.0},
    }


def test_restocks_do_not_wait_for_a_queue_of_events_and_no_event_is_lost(stage: Stage) -> None:
    stage.queue.is_down = True

    answer = on_products_changed(stage.container, [restocked(1), restocked(2)])

    assert answer == {"batchItemFailures": []}
    assert stage.work.done == ["refresh", "open_restock", "note"] * 2
    assert (stage.sent(), sorted(stage.kept())) == (
        [],
        ["availability.changed"] * 2 + ["restock.opened"] * 2,
    )
    with pytest.raises(EventsNotQueued):
        emit_hour(stage.container)
    assert len(stage.kept()) == 4

    stage.queue.is_down = False
    stage.clock.now_ms += HOUR_MS
    emit_hour(stage.container)

    assert (sorted(stage.sent()), stage.kept()) == (
        ["availability.changed"] * 2 + ["restock.opened"] * 2,
        [],
    )
    assert {happened.subject for happened in stage.queue.sent} == {"MUG1", "MUG2"}
    emit_hour(stage.container)
    assert len(stage.queue.sent) == 4, "each is emitted once"


def test_refresh_and_wave_come_before_events(stage: Stage) -> None:
    class Refused(Exception):
        pass

    def refuse(_: object) -> None:
        assert stage.work.done == ["refresh", "open_restock", "note"]
        raise Refused

    stage.emitter.emit_or_keep = refuse  # type: ignore[assignment, method-assign]
    # Neither queue nor table: the record comes again, and the work is done.
    answer = on_products_changed(stage.container, [restocked(1)])
    assert answer == {"batchItemFailures": [{"itemIdentifier": "s1"}]}


def confirmed() -> dict[str, Any]:
    image = {
        "shopper": {"S": "ada"},
        "sku": {"S": "MUG"},
        "mailbox": {"S": "ada@example.com"},
        "state": {"S": "confirmed"},
        "signed_up_at_ms": {"N": "1"},
    }
    old = {**image, "state": {"S": "pending"}}
    return {"eventID": "c1", "dynamodb": {"NewImage": image, "OldImage": old, "SequenceNumber": "s1"}}


def test_an_entry_is_notified_while_neither_rules_nor_queue_can_be_reached(stage: Stage) -> None:
    stage.rules_are_down = True

    assert on_entries_written(stage.container, [confirmed()]) == {"batchItemFailures": []}

    assert stage.work.done == ["notify_if_available"]
    assert stage.kept() == ["signup.confirmed"]
    assert stage.emitter.may_have_consumers(EventType.DEMAND_PASSED), "nobody knows that no rule is about it"
    stage.rules_are_down = False
    assert not stage.emitter.may_have_consumers(EventType.DEMAND_PASSED)
    emit_hour(stage.container)
    assert (stage.sent(), stage.kept()) == (["signup.confirmed"], [])


def test_many_kept_events_are_emitted_in_the_order_of_their_times(stage: Stage) -> None:
    times = [5, 3, 9, 1]
    for number in range(KEPT_AT_ONCE * 2 + 3):
        at_ms = stage.clock.now_ms + times[number % 4] * 1000 + number
        stage.rows.keep(DomainEvent(f"k{number}", EventType.RESTOCK_OPENED, at_ms))
    stage.emitter.emit_kept()
    sent = [happened.at_ms for happened in stage.queue.sent]
    assert len(sent) == KEPT_AT_ONCE * 2 + 3
    assert sent == sorted(sent)
    assert stage.kept() == []

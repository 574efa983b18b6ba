"""Events of what happens in the shop: ids that a repeat does not change, and no address in any of them."""

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.domain.domain_event import SHOPPER, DomainEvent, EventType, schedule_event
from chalicelib.domain.emissions import (
    availability_events,
    confirmed_event,
    coverage_event,
    demand_events,
    demand_step,
    feedback_event,
    order_event,
    paused_event,
    restock_event,
    spike_event,
    wave_event,
)
from chalicelib.domain.entry import DAY_MS, HOUR_MS, Entry, EntryState
from chalicelib.domain.feedback import Feedback, FeedbackState
from chalicelib.domain.ids import ShopperId, Sku, Slug
from chalicelib.domain.reports import OrderLine, OrderOutcome, OrderResult
from chalicelib.domain.stock import Availability, Stock
from chalicelib.domain.traffic.hour import HourStats
from chalicelib.domain.traffic.report import Coverage
from chalicelib.domain.wave import LimitedWave, NotifyOne, ShardStep
from chalicelib.rules.rule import Rule, RuleAction
from chalicelib.services.domain_events import EventEmitter, LiveRules, rules_to_json

SKU, SLUG, ADA = Sku("MUG"), Slug("mug"), ShopperId("ada")
GONE = Stock(Availability.OUT_OF_STOCK, 0, 1, "e1", 1)
BACK = Stock(Availability.IN_STOCK, 5, 2, "rule.2.cause.aabbccdd", 2)
RESTOCK = BACK.restock(SLUG, SKU, at_ms=9)


def test_a_change_of_stock_says_what_it_was_and_is_and_which_rule_caused_it() -> None:
    (event,) = availability_events(
        SLUG, {SKU: GONE, Sku("CUP"): GONE}, {SKU: BACK, Sku("CUP"): GONE}, at_ms=9
    )

    assert (event.type, event.subject, event.cause, event.depth) == (
        EventType.AVAILABILITY_CHANGED,
        SKU,
        "cause",
        2,
    )
    assert event.data == {
        "sku": SKU,
        "product": SLUG,
        "availability": "InStock",
        "units": 5,
        "availability_before": "OutOfStock",
        "units_before": 0,
    }
    assert availability_events(SLUG, {SKU: GONE}, {SKU: BACK}, at_ms=10)[0].id == event.id


def test_a_restock_and_its_waves_continue_the_chain_of_their_stock() -> None:
    step = ShardStep(RESTOCK.id, SKU, "MUG#3")
    finished = wave_event(step, RESTOCK, at_ms=10)

    assert finished
    assert [(event.cause, event.depth) for event in (restock_event(RESTOCK), finished)] == [("cause", 2)] * 2
    assert finished.data["wave"] == "MUG#3"
    assert wave_event(NotifyOne(RESTOCK.id, SKU, ADA), RESTOCK, at_ms=10) is None
    numbers = [wave_event(LimitedWave(RESTOCK.id, SKU, n), RESTOCK, at_ms=10) for n in (1, 2, 2)]
    assert len({event.id for event in numbers if event}) == 2


def test_each_number_of_people_that_was_passed_is_an_event_of_the_day() -> None:
    def passed(waiting: int, *, known: int = 0, at_ms: int = 5) -> list[tuple[int, str]]:
        events = demand_events(SKU, waiting, passed=known, at_ms=at_ms)
        return [(event.data["waiting"], event.id) for event in events]

    def numbers(waiting: int, known: int) -> list[int]:
        return [number for number, _ in passed(waiting, known=known)]

    assert [numbers(waiting, 0) for waiting in (9, 10, 24, 25, 60)] == [
        [],
        [10],
        [10],
        [10, 25],
        [10, 25, 50],
    ]
    assert [numbers(99, 50), numbers(100, 50), numbers(149, 100), numbers(40, 100)] == [[], [100], [], []]
    assert [demand_step(waiting) for waiting in (9, 10, 99, 100, 10**9)] == [0, 10, 50, 100, 100_000]
    assert passed(12) == passed(13)
    assert passed(10)[0][1] != passed(10, at_ms=5 + DAY_MS)[0][1]


def feedback(state: FeedbackState) -> Feedback:
    return Feedback(state, "m1", 1, ADA, SKU, at_ms=7)


def test_a_complaint_says_how_many_there_are_and_a_bounce_does_not() -> None:
    bounced = feedback_event(feedback(FeedbackState.BOUNCED))
    complained = feedback_event(feedback(FeedbackState.COMPLAINED), complaints_of_day=3)

    assert bounced
    assert complained
    assert bounced.without_shopper().data == {"sku": SKU}
    assert complained.without_shopper().data == {"sku": SKU, "complaints_of_day": 3}
    assert feedback_event(feedback(FeedbackState.DELIVERED)) is None


def test_events_of_shoppers_hold_an_id_and_no_address() -> None:
    entry = Entry(ADA, SKU, "ada@shop.example", EntryState.CONFIRMED, 4, consent="c", source="s")

    event = confirmed_event(entry, at_ms=9)

    assert event.data == {"sku": SKU, "page": "/", SHOPPER: ADA}
    assert "ada@" not in event.to_json()


def test_an_order_and_a_pause_that_come_again_are_the_same_events() -> None:
    line = OrderLine("o1", SKU, 2, 3600, "EUR", 5)
    result = OrderResult(OrderOutcome.COUNTED, None)

    assert order_event(line, result, at_ms=1).id == order_event(line, result, at_ms=2).id
    assert paused_event("bounces", at_ms=0).id == paused_event("bounces", at_ms=HOUR_MS - 1).id
    assert paused_event("bounces", at_ms=0).id != paused_event("bounces", at_ms=HOUR_MS).id


def test_each_time_of_an_hour_gives_the_event_of_that_hour() -> None:
    # 2026-09-21T14:13:20Z, a Monday.
    event = schedule_event(at_ms=1_790_000_000_000)

    assert event.data == {"hour": 14, "weekday": "monday", "day": 21, "month": 9, "date": "2026-09-21"}
    assert schedule_event(at_ms=1_790_000_000_000 + 60_000) == event
    assert schedule_event(at_ms=1_790_000_000_000 + HOUR_MS).id != event.id


# 2026-11-27T10:00Z
TEN_MS = 1_795_773_600_000


def hour_with(**by_minute: int) -> HourStats:
    """The statistics of an hour with these requests, such as m07=3."""
    stats = HourStats("2026-11-27T10")
    for minute, requests in by_minute.items():
        stats.minutes[int(minute[1:])] = requests
    return stats


def test_the_busiest_minute_of_an_hour_is_one_event_whose_count_grows() -> None:
    first, grown = spike_event(hour_with(m07=3, m09=3, m08=2)), spike_event(hour_with(m07=900, m09=3))
    other = spike_event(hour_with(m07=3, m09=4))

    assert first
    assert grown
    assert other
    assert (first.type, first.at_ms, first.subject) == (EventType.TRAFFIC_SPIKE, TEN_MS + 7 * 60_000, None)
    assert first.data == {"minute": "2026-11-27T10:07", "requests": 3}
    assert grown == replace(first, data={"minute": "2026-11-27T10:07", "requests": 900})
    assert (other.data["minute"], other.id == first.id) == ("2026-11-27T10:09", False)
    assert spike_event(HourStats("2026-11-27T10")) is None, "an hour whose lines cannot be read"


@pytest.mark.parametrize(
    ("logged", "counted", "is_low"),
    [
        *((94, 100, True), (95, 100, False), (949, 1_000, True), (950, 1_000, False), (0, 100, True)),
        *((0, 99, False), (0, 0, False), (0, None, False), (101, 100, False)),
    ],
)
def test_logs_without_one_of_twenty_signups_are_an_event_where_a_hundred_signed_up(
    *, logged: int, counted: int | None, is_low: bool
) -> None:
    event = coverage_event("2026-11-27T10", Coverage(logged, counted))

    assert (event is not None) is is_low
    if event and counted:
        assert (event.type, event.at_ms) == (EventType.TRAFFIC_COVERAGE_FELL, TEN_MS)
        share = round(logged / counted, 4)
        assert event.data == {"hour": "2026-11-27T10", "logged": logged, "counted": counted, "share": share}
        assert event == coverage_event("2026-11-27T10", Coverage(logged, counted))


class Bucket:
    """Holds the rules; counts reads."""

    def __init__(self, *rules: Rule) -> None:
        self.text = rules_to_json("r", [rule.to_document() for rule in rules])
        self.reads = 0

    def get_object(self, **_: Any) -> dict[str, Any]:
        self.reads += 1
        text = self.text

        class Body:
            def read(self) -> bytes:
                return text.encode()

        return {"Body": Body(), "ETag": "e"}


@pytest.mark.parametrize("has_rule", [False, True])
def test_an_event_of_a_shopper_is_emitted_only_where_a_rule_is_about_it(*, has_rule: bool) -> None:
    bucket: Any = Bucket(*[Rule("r", EventType.SIGNUP_CONFIRMED, {}, RuleAction.RESUME)] * has_rule)
    sent: list[DomainEvent] = []

    class Queue:
        def put(self, events: list[DomainEvent]) -> None:
            sent.extend(events)

    queue: Any = Queue()
    rows: Any = None
    emitter = EventEmitter(queue, LiveRules(bucket, "b", lambda: 5), lambda: None, rows)
    of_shopper = DomainEvent("a", EventType.SIGNUP_CONFIRMED, 1)
    of_shop = DomainEvent("b", EventType.RESTOCK_OPENED, 1)

    for _ in range(100):
        emitter.emit([of_shopper, of_shop])

    assert sent == ([of_shopper, of_shop] if has_rule else [of_shop]) * 100
    assert bucket.reads == 1, "the rules are read every two seconds, not for each event"

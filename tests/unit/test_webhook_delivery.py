"""Deliveries of events to other systems, over the real tables: retries, crashes, repeats, 410, addresses."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook

from chalicelib.domain.domain_event import DomainEvent, EventType, event_id
from chalicelib.domain.entry import OptIn, Signup
from chalicelib.events import on_webhook_deliveries
from chalicelib.outbound.deliveries import (
    DELAYS_S,
    EVENT_NAMES,
    TRIES_MAX,
    Attempt,
    Delivery,
    Endpoint,
    EndpointResponse,
    Probe,
    State,
    message_from_json,
    outcome_of,
)
from chalicelib.outbound.signing import EndpointSecret, make_secret, rotated
from chalicelib.services.webhook_circuit import Circuit
from chalicelib.services.webhook_delivery import (
    DeliveryStore,
    WebhookDelivery,
    WebhookFanout,
    WebhookRetries,
    WebhookSecrets,
)
from chalicelib.tables.entries import EntriesTable
from chalicelib.tables.webhooks import DeliveriesTable, EndpointsTable, RecentEndpoints
from tests.support.containers import container_with
from tests.support.dynamodb import MemoryDynamoDb

NOW_MS = 1_795_773_600_123
SECRET = make_secret(b"k" * 32)
OTHER = make_secret(b"o" * 32)
SHOP_URL = "https://shop.example"
ENDPOINT = Endpoint("e1", "https://crm.example/in?token=t", frozenset({"restock.opened"}), NOW_MS)
EVENT = DomainEvent(
    event_id(EventType.RESTOCK_OPENED, "r-1"), EventType.RESTOCK_OPENED, NOW_MS, "FJ-MOSS-M", {"units": 4}
)
CONFIRMED = DomainEvent(
    event_id(EventType.SIGNUP_CONFIRMED, "s-1"),
    EventType.SIGNUP_CONFIRMED,
    NOW_MS,
    "FJ-MOSS-M",
    {"shopper": "s-1", "sku": "FJ-MOSS-M"},
)


class Died(BaseException):
    """The function was killed here."""


class MemoryQueue:
    """Both queues of deliveries, with a virtual time; `dies_at` counts down to the call that is not made."""

    def __init__(self, clock: "Play") -> None:
        self._clock = clock
        self.waiting: list[tuple[int, str]] = []
        self.dead: list[str] = []
        self.calls = 0

    def send_message(self, **asked: Any) -> None:
        self._clock.step()
        self.calls += 1
        delay_s = asked.get("DelaySeconds", 0)
        assert 0 <= delay_s <= 900
        if asked["QueueUrl"] == "dead":
            self.dead.append(asked["MessageBody"])
        else:
            self.waiting.append((self._clock.now_ms + delay_s * 1000, asked["MessageBody"]))

    def send_message_batch(self, **asked: Any) -> dict[str, Any]:
        assert 1 <= len(asked["Entries"]) <= 10
        for entry in asked["Entries"]:
            self.send_message(QueueUrl=asked["QueueUrl"], MessageBody=entry["MessageBody"])
        return {"Successful": asked["Entries"]}


@dataclass
class Play:
    """A shop's side of deliveries, and an endpoint that answers as it is said to."""

    answers: Iterator[EndpointResponse]
    now_ms: int = NOW_MS
    posted: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)
    secrets: str = json.dumps({"e1": [{"secret": SECRET}]})
    dies_at: int = 0

    def __post_init__(self) -> None:
        from chalicelib.queues import DeliveriesQueue

        memory: Any = _tables()
        self.sqs: Any = MemoryQueue(self)
        self.endpoints = EndpointsTable(memory, "events")
        self.recent = RecentEndpoints(self.endpoints, lambda: self.now_ms)
        self.deliveries = DeliveriesTable(memory, "events")
        self.entries = EntriesTable(memory, "entries")
        self.queue = DeliveriesQueue(self.sqs, "source", "dead")
        self.endpoints.put(ENDPOINT)
        record = self.deliveries.record

        def dying_record(attempt: Attempt, *, after: Attempt | None) -> bool:
            self.step()
            return record(attempt, after=after)

        self.deliveries.record = dying_record  # type: ignore[method-assign]
        self.news: list[DomainEvent] = []
        self.circuit = Circuit(
            self.endpoints,
            self.recent,
            self.deliveries,
            self.queue,
            self.news.extend,
            lambda: self.now_ms,
        )
        secrets = WebhookSecrets(lambda: self.secrets, lambda: self.now_ms)
        self.delivery = WebhookDelivery(
            DeliveryStore(self.recent, self.deliveries, self.entries),
            self.queue,
            self.circuit,
            secrets.of,
            self,
            lambda: SHOP_URL,
            lambda: self.now_ms,
            lambda: 0.5,
        )

    def step(self) -> None:
        """Die where it is the turn of this write."""
        self.dies_at -= 1
        if self.dies_at == 0:
            raise Died

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> EndpointResponse:
        """Be the endpoint."""
        self.posted.append((url, headers, body))
        return next(self.answers)

    def run(self) -> None:
        """Deliver every message when it is due; one whose worker dies comes again."""
        passes = 0
        repeats: set[str] = set()
        while self.sqs.waiting:
            self.sqs.waiting.sort()
            due_ms, body = self.sqs.waiting.pop(0)
            self.now_ms = max(self.now_ms, due_ms)
            passes += 1
            assert passes < 5_000
            message = message_from_json(body)
            try:
                if isinstance(message, Probe):
                    self.delivery.probe(message)
                else:
                    self.delivery.deliver(message, is_repeat=body in repeats)
            except Died:
                self.sqs.waiting.append((self.now_ms + 360_000, body))
                repeats.add(body)

    def state(self, event: DomainEvent = EVENT) -> Attempt | None:
        return self.deliveries.get("e1", event)


def _tables() -> MemoryDynamoDb:
    memory = MemoryDynamoDb()
    for name, keys in (("events", ("kind", "key")), ("entries", ("shopper", "sku"))):
        memory.create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
            KeySchema=[
                {"AttributeName": keys[0], "KeyType": "HASH"},
                {"AttributeName": keys[1], "KeyType": "RANGE"},
            ],
        )
    return memory


def always(*answers: EndpointResponse) -> Iterator[EndpointResponse]:
    """Answer so, the last one for ever."""
    yield from answers
    while True:
        yield answers[-1]


def test_an_event_arrives_signed_as_a_cloudevent_and_its_repeat_is_not_sent() -> None:
    play = Play(always(EndpointResponse(204)))
    assert WebhookFanout(play.recent, play.queue, play.circuit).queue(EVENT) == 1
    play.run()
    ((url, headers, body),) = play.posted
    assert url == ENDPOINT.url
    assert headers["webhook-id"] == EVENT.id
    assert headers["webhook-timestamp"] == str(NOW_MS // 1000)
    assert json.loads(body) == {
        "specversion": "1.0",
        "id": EVENT.id,
        "source": SHOP_URL,
        "type": "restock.opened",
        "time": "2026-11-27T10:00:00.123Z",
        "datacontenttype": "application/json",
        "subject": "FJ-MOSS-M",
        "data": {"units": 4},
    }
    assert play.state() == Attempt("e1", EVENT, State.DELIVERED, 1, NOW_MS, "204")
    WebhookFanout(play.recent, play.queue, play.circuit).queue(EVENT)
    play.run()
    assert len(play.posted) == 1


def test_only_endpoints_that_want_a_type_get_it() -> None:
    play = Play(always(EndpointResponse(200)))
    fanout = WebhookFanout(play.recent, play.queue, play.circuit)
    assert fanout.queue(CONFIRMED) == 0
    assert not fanout.has_endpoint_for(EventType.SIGNUP_CONFIRMED)
    assert fanout.has_endpoint_for(EventType.RESTOCK_OPENED)
    play.endpoints.put(replace(ENDPOINT, disabled_at_ms=1))
    play.recent.forget()
    assert fanout.queue(EVENT) == 0
    assert not fanout.has_endpoint_for(EventType.RESTOCK_OPENED)


def test_attempts_go_on_for_three_days_and_end_as_a_dead_letter() -> None:
    play = Play(always(EndpointResponse(503)))
    play.queue.put(Delivery("e1", EVENT))
    play.run()
    assert len(play.posted) == TRIES_MAX == 10
    times = [int(headers["webhook-timestamp"]) - NOW_MS // 1000 for _, headers, _ in play.posted]
    gaps = [after - before for before, after in pairwise(times)]
    assert all(abs(gap - delay) <= 1 for gap, delay in zip(gaps, DELAYS_S, strict=True)), gaps
    assert times[-1] // 3600 == 75
    assert {headers["webhook-id"] for _, headers, _ in play.posted} == {EVENT.id}
    last = play.state()
    assert last is not None
    assert (last.state, last.tries, last.answer) == (State.FAILED, 10, "503")
    assert [Delivery.from_json(text).event for text in play.sqs.dead] == [EVENT]


def test_a_redriven_dead_letter_and_a_retry_start_again() -> None:
    play = Play(always(*[EndpointResponse(503)] * TRIES_MAX, EndpointResponse(500), EndpointResponse(200)))
    play.queue.put(Delivery("e1", EVENT))
    play.run()
    # As a redrive puts a message back: its count of tries at zero.
    redriven = json.loads(play.sqs.dead.pop()) | {"tries": 0}
    play.sqs.send_message(QueueUrl="source", MessageBody=json.dumps(redriven))
    play.run()
    delivered = play.state()
    assert delivered is not None
    assert (delivered.state, delivered.tries) == (State.DELIVERED, 2)
    WebhookRetries(play.deliveries, play.queue, lambda: play.now_ms).retry(delivered)
    waiting = play.state()
    assert waiting is not None
    assert (waiting.state, waiting.tries, waiting.answer) == (State.WAITING, 0, "not tried yet")
    play.run()
    assert len(play.posted) == TRIES_MAX + 3


def test_410_disables_the_endpoint_and_nothing_more_is_sent() -> None:
    play = Play(always(EndpointResponse(410)))
    play.queue.put(Delivery("e1", EVENT))
    play.queue.put(Delivery("e1", replace(EVENT, id="other")))
    play.run()
    assert len(play.posted) == 1
    (endpoint,) = play.endpoints.all()
    assert endpoint.disabled_at_ms == NOW_MS
    second = play.state(replace(EVENT, id="other"))
    assert second is not None
    assert (second.state, second.answer) == (State.DISABLED, "the endpoint is disabled")
    assert not play.sqs.dead


def test_a_removed_endpoint_gets_nothing() -> None:
    play = Play(always(EndpointResponse(200)))
    play.endpoints.remove("e1")
    play.queue.put(Delivery("e1", EVENT))
    play.run()
    assert not play.posted
    assert play.state() is None


@pytest.mark.parametrize("error", ["timeout", "not_public", "name_unknown", "connection", "tls"])
def test_an_attempt_without_an_answer_is_tried_again(error: str) -> None:
    play = Play(always(EndpointResponse(error=error), EndpointResponse(302), EndpointResponse(200)))
    play.queue.put(Delivery("e1", EVENT))
    play.run()
    assert len(play.posted) == 3
    last = play.state()
    assert last is not None
    assert (last.state, last.tries) == (State.DELIVERED, 3)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.lists(st.sampled_from([200, 500, 503]), max_size=11))
def test_a_worker_that_dies_at_any_write_loses_no_event(dies_at: int, statuses: list[int]) -> None:
    # The last answer repeats: without a success, every attempt fails.
    play = Play(always(*(EndpointResponse(status) for status in statuses), EndpointResponse(500)))
    play.queue.put(Delivery("e1", EVENT))
    play.dies_at = dies_at
    play.run()
    last = play.state()
    assert last is not None
    answered = [*statuses, *[500] * 40][: len(play.posted)]
    is_delivered = last.state is State.DELIVERED
    # A death between a success and its row loses that answer, and the attempt is made again.
    assert answered.count(200) in ({1, 2} if is_delivered else {0, 1})
    assert last.state in {State.DELIVERED, State.FAILED}
    assert bool(play.sqs.dead) is not is_delivered
    # A death between answer and row repeats that attempt, and no other.
    assert len(play.posted) <= TRIES_MAX + 1


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=6), st.lists(st.booleans(), min_size=12))
def test_repeated_messages_post_no_more_than_the_schedule_and_never_after_a_success(
    copies: list[int], fails: list[bool]
) -> None:
    play = Play(always(*(EndpointResponse(500 if fail else 200) for fail in fails), EndpointResponse(200)))
    play.queue.put(Delivery("e1", EVENT))
    for extra in copies:
        if not play.sqs.waiting:
            break
        play.sqs.waiting += [play.sqs.waiting[0]] * extra
        play.sqs.waiting.sort()
        play.now_ms, body = play.sqs.waiting.pop(0)
        play.delivery.deliver(Delivery.from_json(body), is_repeat=False)
    play.run()
    assert len(play.posted) == min(fails.index(False) + 1 if False in fails else 13, TRIES_MAX)


def test_one_of_two_workers_with_one_message_queues_the_next() -> None:
    play = Play(always(EndpointResponse(500)))
    first = outcome_of(Delivery("e1", EVENT), EndpointResponse(500), at_ms=NOW_MS, random=0.0)
    assert play.deliveries.record(first, after=None)
    assert not play.deliveries.record(replace(first, at_ms=NOW_MS + 1), after=None)
    second = replace(first, tries=2)
    assert play.deliveries.record(second, after=first)
    assert not play.deliveries.record(replace(second, answer="timeout"), after=first)
    assert play.deliveries.record(replace(first, state=State.DELIVERED), after=first)
    assert not play.deliveries.record(replace(second, tries=3), after=second)


@pytest.mark.parametrize(
    ("slower", "posts"), [(EndpointResponse(200), 2), (EndpointResponse(500), 3)], ids=["delivers", "fails"]
)
def test_a_message_that_two_workers_have_at_once_goes_on_as_one(slower: EndpointResponse, posts: int) -> None:
    play = Play(always(EndpointResponse(500), EndpointResponse(200)))
    message = Delivery("e1", EVENT)
    post = play.post

    def post_meanwhile(url: str, headers: Mapping[str, str], body: bytes) -> EndpointResponse:
        play.post = post  # type: ignore[method-assign]
        play.delivery.deliver(message, is_repeat=False)
        play.posted.append((url, headers, body))
        return slower

    play.post = post_meanwhile  # type: ignore[method-assign]
    play.delivery.deliver(message, is_repeat=False)
    assert len(play.sqs.waiting) == 1
    play.run()
    assert len(play.posted) == posts
    last = play.state()
    assert last is not None
    assert last.state is State.DELIVERED


def test_the_jitter_stays_within_a_tenth_and_a_later_retry_is_granted_within_a_day() -> None:
    def due_s(random: float, after_s: int | None = None, tries: int = 3) -> float:
        answer = EndpointResponse(429, retry_after_s=after_s)
        attempt = outcome_of(Delivery("e1", EVENT, tries), answer, at_ms=0, random=random)
        assert attempt.due_at_ms is not None
        return attempt.due_at_ms / 1000

    assert (due_s(0.0), due_s(0.5), due_s(1.0)) == (6_480, 7_200, 7_920)
    assert due_s(0.5, 10_000) == 10_000
    assert due_s(0.5, 60) == 7_200
    assert due_s(0.5, 10**8) == 86_400
    assert sum(DELAYS_S) == 272_105


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"signup.confirmed"}, {"sku": "FJ-MOSS-M"}),
        ({"signup.confirmed.address"}, {"sku": "FJ-MOSS-M", "address": "ada@example.com"}),
    ],
)
def test_an_address_leaves_where_the_merchant_named_the_event_with_it(
    names: set[str], expected: dict[str, str]
) -> None:
    play = Play(always(EndpointResponse(200)))
    play.entries.sign_up(
        Signup("s-1", "ada@example.com", "FJ-MOSS-M", "/", "c", opt_in=OptIn.SINGLE), at_ms=NOW_MS
    )
    play.endpoints.put(replace(ENDPOINT, events=frozenset(names)))
    assert WebhookFanout(play.recent, play.queue, play.circuit).queue(CONFIRMED) == 1
    play.run()
    ((_, _, body),) = play.posted
    assert json.loads(body)["data"] == expected
    # Nothing that waits or is stored has it.
    assert "ada@" not in json.dumps(
        [str(row) for row in play.deliveries.recent("e1", from_ms=0, until_ms=NOW_MS)]
    )


def test_the_event_of_an_erased_shopper_leaves_without_an_address() -> None:
    play = Play(always(EndpointResponse(200)))
    play.endpoints.put(replace(ENDPOINT, events=frozenset({"signup.confirmed.address"})))
    play.queue.put(Delivery("e1", CONFIRMED))
    play.run()
    assert json.loads(play.posted[0][2])["data"] == {"sku": "FJ-MOSS-M"}


def test_both_secrets_sign_during_a_rotation_and_a_new_secret_is_read_within_a_minute() -> None:
    from chalicelib.outbound.signing import secrets_document

    play = Play(always(EndpointResponse(500), EndpointResponse(200)))
    play.queue.put(Delivery("e1", EVENT))
    before = play.now_ms
    play.secrets = secrets_document({"e1": rotated((EndpointSecret(SECRET),), OTHER, at_ms=before)})
    play.run()
    assert [headers["webhook-signature"].count("v1,") for _, headers, _ in play.posted] == [2, 2]
    for secret in (SECRET, OTHER):
        _, headers, body = play.posted[0]
        signed = Webhook(secret).sign(headers["webhook-id"], _moment(headers), body.decode())
        assert signed in headers["webhook-signature"].split(" ")


def _moment(headers: Mapping[str, str]) -> Any:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(int(headers["webhook-timestamp"]), UTC)


def test_without_a_secret_nothing_is_posted_and_the_delivery_waits_for_one() -> None:
    play = Play(always(EndpointResponse(200)), secrets="{}")
    play.delivery.deliver(Delivery("e1", EVENT), is_repeat=False)
    assert not play.posted
    waiting = play.state()
    assert waiting is not None
    assert (waiting.state, waiting.answer) == (State.WAITING, "no_secret")


def test_a_batch_reports_the_messages_that_fail_and_delivers_the_others() -> None:
    play = Play(always(EndpointResponse(200)))
    events = [replace(EVENT, id=f"n{number}") for number in range(3)]
    bodies = [Delivery("e1", event).to_json() for event in events]
    bodies[1] = "no delivery"
    records = [{"messageId": f"m{number}", "body": body} for number, body in enumerate(bodies)]
    answer = on_webhook_deliveries(container_with(webhook_delivery=play.delivery), records)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m1"}]}
    assert {headers["webhook-id"] for _, headers, _ in play.posted} == {"n0", "n2"}


def test_a_delivery_survives_its_message_and_another_text_is_refused() -> None:
    delivery = Delivery("e1", CONFIRMED, 3, NOW_MS)
    assert Delivery.from_json(delivery.to_json()) == delivery
    for text in ("{}", "[]", '{"endpoint": "e1"}', "no JSON"):
        with pytest.raises(ValueError):  # noqa: PT011 - whatever it says, the message becomes a dead letter
            Delivery.from_json(text)


def test_every_event_and_three_with_an_address_can_be_asked_for() -> None:
    assert set(EVENT_NAMES) - set(EventType) == {
        *("signup.confirmed.address", "email.bounced.address", "email.complained.address"),
    }


# ---- An endpoint that fails ----

MINUTE_MS, HOUR_MS = 60_000, 3_600_000


class Flood(Play):
    """A shop whose events go on while the endpoint is down, from its own answers by time and event."""

    def __init__(self, answer: Callable[[int, str], int]) -> None:
        super().__init__(always(EndpointResponse(200)))
        self._answer = answer
        self.fanout = WebhookFanout(self.recent, self.queue, self.circuit)
        self.taken: list[str] = []
        self.passes = 0

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> EndpointResponse:
        """Answer by the time and the event."""
        self.posted.append((url, headers, body))
        name = headers["webhook-id"]
        status = self._answer(self.now_ms - NOW_MS, name)
        if status == 200:
            self.taken.append(name)
        return EndpointResponse(status)

    def until(self, at_ms: int) -> None:
        """Deliver what is due until a time after the beginning."""
        while self.sqs.waiting and min(self.sqs.waiting)[0] <= NOW_MS + at_ms:
            due_ms, body = min(self.sqs.waiting)
            self.sqs.waiting.remove((due_ms, body))
            self.now_ms = max(self.now_ms, due_ms)
            self.passes += 1
            record = {"messageId": "m", "body": body, "attributes": {"ApproximateReceiveCount": "1"}}
            answer = on_webhook_deliveries(container_with(webhook_delivery=self.delivery), [record])
            assert not answer["batchItemFailures"]
        self.now_ms = max(self.now_ms, NOW_MS + at_ms)

    def emit(self, *, count: int, every_ms: int) -> list[str]:
        """Emit events one after the other, and deliver meanwhile; return their ids."""
        names = [f"n{number}" for number in range(count)]
        for number, name in enumerate(names):
            self.until(number * every_ms)
            self.fanout.queue(replace(EVENT, id=name, at_ms=self.now_ms))
        return names

    def endpoint(self) -> Endpoint:
        (endpoint,) = self.endpoints.all()
        return endpoint

    def types(self) -> list[str]:
        return [event.type.value for event in self.news]


def test_an_endpoint_that_is_down_for_a_day_gets_every_event_once_and_few_messages_wait_for_it() -> None:
    day_ms = 24 * HOUR_MS
    flood = Flood(lambda ms, _: 200 if ms >= day_ms else 503)
    names = flood.emit(count=200, every_ms=1_000)
    flood.until(20 * MINUTE_MS)
    waiting = [message_from_json(body) for _, body in flood.sqs.waiting]
    assert [type(message) for message in waiting] == [Probe], "one message for all"
    assert len(list(flood.deliveries.all_held("e1"))) == 200
    assert flood.endpoint().failing_at_ms is not None
    # The events of the first minutes are tried once or twice; then one event each five minutes.
    assert len(flood.posted) < 250
    flood.until(day_ms - 1)
    assert len(flood.posted) < 250 + 288

    flood.until(day_ms + HOUR_MS)

    assert sorted(flood.taken) == sorted(names), "each once"
    assert list(flood.deliveries.all_held("e1")) == []
    assert flood.sqs.waiting == []
    assert flood.sqs.dead == []
    assert flood.endpoint() == ENDPOINT
    # Without a circuit, each event would pass 100 times in a day.
    assert flood.passes < 200 * 4 + 288
    assert flood.types() == ["webhook.failing"]
    assert flood.news[0].data == {"endpoint": "e1", "answer": "503", "since": "2026-11-27T10:00:00.123Z"}


def test_an_endpoint_that_never_answers_is_disabled_after_three_days_with_one_dead_letter() -> None:
    flood = Flood(lambda _, __: 500)
    flood.emit(count=100, every_ms=2_000)
    flood.until(75 * HOUR_MS)
    assert flood.endpoint().disabled_at_ms is None
    flood.until(77 * HOUR_MS)

    endpoint = flood.endpoint()
    assert (endpoint.disabled_reason, len(flood.sqs.dead)) == ("it failed for three days", 1)
    assert flood.sqs.waiting == []
    assert flood.types() == ["webhook.failing", "webhook.disabled"]
    assert len({event.id for event in flood.news}) == 2
    assert len(flood.posted) < 250 + 77 * 12
    posts = len(flood.posted)
    assert flood.fanout.queue(replace(EVENT, id="later")) == 0
    flood.until(90 * HOUR_MS)
    assert len(flood.posted) == posts
    # The merchant enables it, and gets the events.
    flood._answer = lambda _, __: 200
    flood.endpoints.put(ENDPOINT)
    flood.recent.forget()
    WebhookRetries(flood.deliveries, flood.queue, lambda: flood.now_ms).release("e1")
    flood.until(91 * HOUR_MS)
    assert len(set(flood.taken)) == len(flood.taken) == 100
    assert flood.sqs.waiting == []


def test_an_event_that_is_emitted_again_and_again_has_one_message_while_the_endpoint_is_down() -> None:
    flood = Flood(lambda _, __: 503)
    spike = replace(EVENT, id="spike")
    for number in range(60):
        flood.until(number * 1_000)
        flood.fanout.queue(spike)
    flood.until(62_000)
    assert [message_from_json(body) for _, body in flood.sqs.waiting] == [
        Delivery("e1", spike, tries=2, due_at_ms=NOW_MS + 5_000 + 300_000)
    ]
    assert len(flood.posted) == 2


def test_an_event_that_the_endpoint_refuses_does_not_hold_back_those_that_it_takes() -> None:
    flood = Flood(lambda ms, name: 400 if ms < 4 * MINUTE_MS or name == "n0" else 200)
    names = flood.emit(count=40, every_ms=5_000)
    assert flood.endpoint().failing_at_ms is not None
    flood.until(2 * HOUR_MS)
    assert sorted(flood.taken) == sorted(names[1:])
    assert flood.endpoint().failing_at_ms is None
    assert [message_from_json(body) for _, body in flood.sqs.waiting if "n0" in body], "it goes on alone"


def test_an_endpoint_that_answers_now_and_then_is_never_held() -> None:
    flood = Flood(lambda _, name: 503 if int(name[1:]) % 10 else 200)
    # In each ten events one is taken.
    flood.emit(count=120, every_ms=5_000)
    assert flood.endpoint().failing_at_ms is None
    assert flood.types() == []


def test_an_event_that_is_kept_by_a_function_that_knows_the_endpoint_from_before_is_sent_too() -> None:
    flood = Flood(lambda ms, _: 200 if ms > 5 * MINUTE_MS else 503)
    names = flood.emit(count=40, every_ms=5_000)
    failing = flood.endpoint()
    flood.until(7 * MINUTE_MS)
    assert sorted(flood.taken) == sorted(names)
    flood.circuit.keep(failing, replace(EVENT, id="late"))
    flood.until(HOUR_MS)
    assert flood.taken[-1] == "late"
    assert list(flood.deliveries.all_held("e1")) == []


def test_two_probes_at_once_are_one() -> None:
    flood = Flood(lambda _, __: 503)
    flood.emit(count=40, every_ms=5_000)
    flood.until(10 * MINUTE_MS)
    flood.sqs.waiting *= 3
    posts = len(flood.posted)
    flood.until(40 * MINUTE_MS)
    assert len(flood.posted) - posts == 6
    assert len(flood.sqs.waiting) == 1


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 160))
def test_a_death_at_any_write_of_a_circuit_loses_no_event(dies_at: int) -> None:
    flood = Flood(lambda ms, _: 200 if ms >= 20 * MINUTE_MS else 503)
    memory: Any = flood.deliveries.table.client

    def dying(original: Callable[..., Any], **asked: Any) -> Any:
        flood.step()
        return original(**asked)

    for name in ("put_item", "update_item", "delete_item"):
        setattr(memory, name, partial(dying, getattr(memory, name)))
    names = [f"n{number}" for number in range(12)]
    for number, name in enumerate(names):
        flood.sqs.waiting.append((NOW_MS + number * 6_000, Delivery("e1", replace(EVENT, id=name)).to_json()))
    flood.dies_at = dies_at
    flood.run()
    assert set(flood.taken) == set(names)
    assert list(flood.deliveries.all_held("e1")) == []
    assert flood.endpoint() == ENDPOINT


def test_a_probe_survives_its_message() -> None:
    probe = Probe("e1", NOW_MS, "after", is_last=True)
    assert message_from_json(probe.to_json()) == probe
    assert message_from_json(Delivery("e1", EVENT).to_json()) == Delivery("e1", EVENT)
    with pytest.raises(ValueError, match="no probe"):
        message_from_json('{"probe": {}}')

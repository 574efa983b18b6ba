"""Deliveries of events to other systems, over the real tables: retries, crashes, repeats, 410, addresses."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
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
    Answer,
    Attempt,
    Delivery,
    Endpoint,
    State,
    outcome_of,
)
from chalicelib.outbound.signing import EndpointSecret, make_secret, rotated
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

    answers: Iterator[Answer]
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
        secrets = WebhookSecrets(lambda: self.secrets, lambda: self.now_ms)
        self.delivery = WebhookDelivery(
            DeliveryStore(self.endpoints, self.recent, self.deliveries, self.entries),
            self.queue,
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

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Be the endpoint."""
        self.posted.append((url, headers, body))
        return next(self.answers)

    def run(self) -> None:
        """Deliver every message when it is due; one whose worker dies comes again."""
        passes = 0
        while self.sqs.waiting:
            self.sqs.waiting.sort()
            due_ms, body = self.sqs.waiting.pop(0)
            self.now_ms = max(self.now_ms, due_ms)
            passes += 1
            # A copy of a message is a chain of its own until the event is delivered.
            assert passes < 5_000
            try:
                self.delivery.deliver(Delivery.from_json(body))
            except Died:
                self.sqs.waiting.append((self.now_ms + 360_000, body))

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


def always(*answers: Answer) -> Iterator[Answer]:
    """Answer so, the last one for ever."""
    yield from answers
    while True:
        yield answers[-1]


def test_an_event_arrives_signed_as_a_cloudevent_and_its_repeat_is_not_sent() -> None:
    play = Play(always(Answer(204)))
    assert WebhookFanout(play.recent, play.queue).queue(EVENT) == 1
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
    WebhookFanout(play.recent, play.queue).queue(EVENT)
    play.run()
    assert len(play.posted) == 1


def test_only_endpoints_that_want_a_type_get_it() -> None:
    play = Play(always(Answer(200)))
    fanout = WebhookFanout(play.recent, play.queue)
    assert fanout.queue(CONFIRMED) == 0
    assert not fanout.listens_to(EventType.SIGNUP_CONFIRMED)
    assert fanout.listens_to(EventType.RESTOCK_OPENED)
    play.endpoints.put(replace(ENDPOINT, disabled_at_ms=1))
    play.recent.forget()
    assert fanout.queue(EVENT) == 0
    assert not fanout.listens_to(EventType.RESTOCK_OPENED)


def test_attempts_go_on_for_three_days_and_end_as_a_dead_letter() -> None:
    play = Play(always(Answer(503)))
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
    play = Play(always(*[Answer(503)] * TRIES_MAX, Answer(500), Answer(200)))
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
    play = Play(always(Answer(410)))
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
    play = Play(always(Answer(200)))
    play.endpoints.remove("e1")
    play.queue.put(Delivery("e1", EVENT))
    play.run()
    assert not play.posted
    assert play.state() is None


@pytest.mark.parametrize("error", ["timeout", "not_public", "name_unknown", "connection", "tls"])
def test_an_attempt_without_an_answer_is_tried_again(error: str) -> None:
    play = Play(always(Answer(error=error), Answer(302), Answer(200)))
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
    play = Play(always(*(Answer(status) for status in statuses), Answer(500)))
    play.queue.put(Delivery("e1", EVENT))
    play.dies_at = dies_at
    play.run()
    last = play.state()
    assert last is not None
    arrived = any(status == 200 for status in statuses[: len(play.posted)])
    assert last.state is (State.DELIVERED if arrived else State.FAILED)
    assert bool(play.sqs.dead) is not arrived
    # A death between answer and row repeats that attempt, and no other.
    assert len(play.posted) <= TRIES_MAX + 1


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=6), st.lists(st.booleans(), min_size=12))
def test_repeated_messages_post_no_more_than_the_schedule_and_never_after_a_success(
    copies: list[int], fails: list[bool]
) -> None:
    play = Play(always(*(Answer(500 if fail else 200) for fail in fails), Answer(200)))
    play.queue.put(Delivery("e1", EVENT))
    for extra in copies:
        if not play.sqs.waiting:
            break
        play.sqs.waiting += [play.sqs.waiting[0]] * extra
        play.sqs.waiting.sort()
        play.now_ms, body = play.sqs.waiting.pop(0)
        play.delivery.deliver(Delivery.from_json(body))
    play.run()
    assert len(play.posted) == min(fails.index(False) + 1 if False in fails else 13, TRIES_MAX)


def test_of_two_workers_with_one_message_one_queues_the_next() -> None:
    play = Play(always(Answer(500)))
    first = outcome_of(Delivery("e1", EVENT), Answer(500), at_ms=NOW_MS, random=0.0)
    assert play.deliveries.record(first, after=None)
    assert not play.deliveries.record(replace(first, at_ms=NOW_MS + 1), after=None)
    second = replace(first, tries=2)
    assert play.deliveries.record(second, after=first)
    assert not play.deliveries.record(replace(second, answer="timeout"), after=first)
    assert play.deliveries.record(replace(first, state=State.DELIVERED), after=first)
    assert not play.deliveries.record(replace(second, tries=3), after=second)


@pytest.mark.parametrize(("slower", "posts"), [(Answer(200), 2), (Answer(500), 3)], ids=["delivers", "fails"])
def test_a_message_that_two_workers_have_at_once_goes_on_as_one(slower: Answer, posts: int) -> None:
    play = Play(always(Answer(500), Answer(200)))
    message = Delivery("e1", EVENT)
    post = play.post

    def post_meanwhile(url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        play.post = post  # type: ignore[method-assign]
        play.delivery.deliver(message)
        play.posted.append((url, headers, body))
        return slower

    play.post = post_meanwhile  # type: ignore[method-assign]
    play.delivery.deliver(message)
    assert len(play.sqs.waiting) == 1
    play.run()
    assert len(play.posted) == posts
    last = play.state()
    assert last is not None
    assert last.state is State.DELIVERED


def test_the_jitter_stays_within_a_tenth_and_a_later_retry_is_granted_within_a_day() -> None:
    def due_s(random: float, after_s: int | None = None, tries: int = 3) -> float:
        answer = Answer(429, retry_after_s=after_s)
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
    play = Play(always(Answer(200)))
    play.entries.sign_up(
        Signup("s-1", "ada@example.com", "FJ-MOSS-M", "/", "c", opt_in=OptIn.SINGLE), at_ms=NOW_MS
    )
    play.endpoints.put(replace(ENDPOINT, events=frozenset(names)))
    assert WebhookFanout(play.recent, play.queue).queue(CONFIRMED) == 1
    play.run()
    ((_, _, body),) = play.posted
    assert json.loads(body)["data"] == expected
    # Nothing that waits or is stored has it.
    assert "ada@" not in json.dumps(
        [str(row) for row in play.deliveries.recent("e1", from_ms=0, until_ms=NOW_MS)]
    )


def test_the_event_of_an_erased_shopper_leaves_without_an_address() -> None:
    play = Play(always(Answer(200)))
    play.endpoints.put(replace(ENDPOINT, events=frozenset({"signup.confirmed.address"})))
    play.queue.put(Delivery("e1", CONFIRMED))
    play.run()
    assert json.loads(play.posted[0][2])["data"] == {"sku": "FJ-MOSS-M"}


def test_both_secrets_sign_during_a_rotation_and_a_new_secret_is_read_within_a_minute() -> None:
    from chalicelib.outbound.signing import secrets_document

    play = Play(always(Answer(500), Answer(200)))
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
    play = Play(always(Answer(200)), secrets="{}")
    play.delivery.deliver(Delivery("e1", EVENT))
    assert not play.posted
    waiting = play.state()
    assert waiting is not None
    assert (waiting.state, waiting.answer) == (State.WAITING, "no_secret")


def test_a_batch_reports_the_messages_that_fail_and_delivers_the_others() -> None:
    play = Play(always(Answer(200)))
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

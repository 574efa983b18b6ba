"""The rate limiter, restocks, queues and a shopper's links, call by call."""

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.domain.email import (
    DeliveryOutcome,
    Email,
    OutgoingEmail,
    RequestedEmail,
    SendRefusal,
    SendRefused,
    SendResult,
)
from chalicelib.domain.entry import Entry, EntryState, shards_of
from chalicelib.domain.product import Product, Variant
from chalicelib.domain.sending_limits import SendingLimits, SendingRate
from chalicelib.domain.stock import Availability, Restock, Stock, StockedProduct
from chalicelib.domain.tokens import LinkSubject, LinkTokens, Purpose
from chalicelib.domain.wave import LimitedWave, NotifyOne, ShardStep, WaveBudget, WavePolicy, to_json
from chalicelib.queues import ConfirmationsQueue, WavesQueue
from chalicelib.services.fan_out.rate_limiter import (
    ELECTED_MS,
    LIMITS_KEPT_MS,
    LIMITS_WAIT_S,
    RateLimited,
    RateLimitedSender,
    RateLimiter,
)
from chalicelib.services.fan_out.restocking import Restocking
from chalicelib.services.waitlist import MOVES_FOLLOWED_MAX, LinkedEntry, Waitlist
from chalicelib.tables.sending.rate import SendingRateTable
from tests.support.clock import Clock
from tests.support.log_lines import logged
from tests.support.recorder import Recorder, one_after_another

NOW_MS = 1_790_000_000_000
FRESH = SendingRate(14.9, 100, NOW_MS * 1000, NOW_MS)
EMAILS = [OutgoingEmail("ada@example.com", Email("s", "t", "h"))] * 2
PRODUCT = Product("jacket", "Jacket", "A jacket.", "", "outerwear", (), (Variant("A", 100),))
ONE_EACH = WavePolicy(emails_per_unit=1, next_after_min=30)


class Sending:
    """A rate limiter whose every neighbour is a stand-in."""

    def __init__(self, clock: Clock, state: Any = FRESH, limits: Any = None, **table: Any) -> None:
        self.recorder = recorder = Recorder()
        self.rate_limiter = RateLimiter(
            recorder.part("table", state=state, **table),
            recorder.part("account", limits=limits),
            clock,
            recorder.function("sleep"),
            recorder.function("alarm"),
        )

    def refused(self, emails: int = 2) -> tuple[str, int]:
        """Await a turn that does not come; return the reason and for how long."""
        with pytest.raises(RateLimited) as not_now:
            self.rate_limiter.acquire(emails)
        assert str(not_now.value) == not_now.value.reason
        return not_now.value.reason, not_now.value.delay_s


@pytest.mark.parametrize(
    ("rate", "left", "most", "batch"),
    [(14.9, 100, 50, 14), (14.9, 100, 5, 5), (14.9, 3, 50, 3), (0.5, 100, 50, 1), (90.0, 90, 50, 50)],
)
def test_a_batch_is_a_seconds_worth(clock: Clock, rate: float, left: int, most: int, batch: int) -> None:
    sending = Sending(clock, replace(FRESH, rate_per_s=rate, emails_left=left))
    assert sending.rate_limiter.batch_max(most) == batch
    assert sending.recorder.taken() == [("table.state",)]


@pytest.mark.parametrize(("ahead_ms", "slept"), [(0, []), (1, [0.001]), (1500, [1.5])])
def test_a_turn_is_reserved_and_slept_for(clock: Clock, ahead_ms: int, slept: list[float]) -> None:
    sending = Sending(clock, replace(FRESH, rate_per_s=8.0), take=NOW_MS + ahead_ms)
    sending.rate_limiter.acquire(2)
    take = ("table.take", 2, {"cost_us": 250_000, "at_ms": NOW_MS, "wait_ms_max": 4_000})
    assert sending.recorder.taken() == [("table.state",), take, *(("sleep", seconds) for seconds in slept)]


@pytest.mark.parametrize(
    ("then", "refused"),
    [
        (replace(FRESH, paused="somebody asked"), ("somebody asked", 900)),
        (None, ("limits", 3)),
        (replace(FRESH, read_at_ms=0), ("limits", 3)),
        (replace(FRESH, emails_left=1), ("quota", 900)),
        (replace(FRESH, emails_left=2), ("rate", 1)),
        (replace(FRESH, ready_at_us=(NOW_MS + 7_000) * 1000), ("rate", 7)),
        (replace(FRESH, ready_at_us=(NOW_MS + 7_000_000) * 1000), ("rate", 900)),
    ],
)
def test_a_turn_that_is_not_given_says_what_it_waits_for(
    clock: Clock, then: SendingRate | None, refused: tuple[str, int]
) -> None:
    sending = Sending(clock, one_after_another(FRESH, then, FRESH))
    assert sending.refused() == refused
    # The limits are forgotten: the next look reads the row again.
    assert sending.rate_limiter.batch_max(1) == 1
    assert sending.recorder.names().count("table.state") == 3


@pytest.mark.parametrize(
    ("state", "refused"),
    [(replace(FRESH, paused="why"), ("why", 900)), (replace(FRESH, emails_left=0), ("quota", 900))],
)
def test_a_row_that_lets_nothing_leave_is_looked_at_each_time(
    clock: Clock, state: SendingRate, refused: tuple[str, int]
) -> None:
    sending = Sending(clock, state)
    assert [sending.refused(), sending.refused()] == [refused, refused]
    assert sending.recorder.names() == ["table.state"] * 2


def test_the_row_is_kept_until_its_limits_are_five_minutes_old(clock: Clock) -> None:
    sending = Sending(clock, elect=False)
    looks: list[int] = []
    for passed_ms in (0, LIMITS_KEPT_MS - 1, 1, LIMITS_WAIT_S * 1000 - 1, 1):
        clock.now_ms += passed_ms
        sending.rate_limiter.batch_max(1)
        looks.append(sending.recorder.names().count("table.state"))
    # A worker that is not elected goes on with what is known, and looks again after three seconds.
    assert looks == [1, 0, 1, 0, 1]


@pytest.mark.parametrize(
    ("limits", "put"),
    [
        (SendingLimits(14.0, 900), SendingLimits(14.0, 900)),
        (SendingLimits(0.0, 900), SendingLimits(0.01, 900)),
        (SendingLimits(14.0, 900, sending_enabled=False), SendingLimits(14.0, 0)),
        (SendingLimits(14.0, 900, emails_per_day=50), SendingLimits(14.0, 43)),
    ],
)
def test_the_elected_worker_reads_the_limits_and_writes_them_down(
    clock: Clock, limits: SendingLimits, put: SendingLimits
) -> None:
    hour = NOW_MS // 3_600_000
    old = replace(FRESH, read_at_ms=NOW_MS - LIMITS_KEPT_MS, emails_by_hour={hour - 24: 7, hour - 25: 90})
    sending = Sending(clock, one_after_another(old, FRESH), limits, elect=True)
    assert sending.rate_limiter.batch_max(50) == 14
    assert sending.recorder.taken() == [
        ("table.state",),
        ("table.elect", {"at_ms": NOW_MS, "for_ms": ELECTED_MS, "known": old}),
        ("account.limits",),
        ("table.put_limits", put, {"at_ms": NOW_MS, "known": old}),
        ("table.state",),
    ]


@pytest.mark.parametrize("state", [None, replace(FRESH, read_at_ms=0)])
def test_limits_that_nobody_knows_are_waited_for(clock: Clock, state: SendingRate | None) -> None:
    sending = Sending(clock, state, elect=False)
    assert sending.refused() == ("limits", 3)
    elect = ("table.elect", {"at_ms": NOW_MS, "for_ms": ELECTED_MS, "known": state})
    assert sending.recorder.taken() == [("table.state",), elect]
    # Written down by somebody else, but not by us, and gone again.
    sending = Sending(clock, state, SendingLimits(14.0, 900), elect=True)
    assert sending.refused() == ("limits", 3)


def test_limits_that_cannot_be_read_are_logged(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    line = {"event": "limits_not_read", "error": "KeyError"}
    old = replace(FRESH, read_at_ms=NOW_MS - LIMITS_KEPT_MS)
    assert Sending(clock, old, KeyError("x"), elect=True).rate_limiter.batch_max(50) == 14
    assert logged(capsys) == [line]
    with pytest.raises(KeyError):
        Sending(clock, None, KeyError("x"), elect=True).rate_limiter.batch_max(50)
    assert logged(capsys) == [line]
    busy = SendRefused("TooManyRequestsException")
    assert Sending(clock, None, busy, elect=True).refused() == ("limits", 3)
    assert logged(capsys) == [{**line, "error": "SendRefused"}]


def test_sending_is_paused_once_with_an_alarm(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    sending = Sending(clock, pause=one_after_another(True, False))
    sending.rate_limiter.batch_max(1)
    sending.recorder.taken()
    sending.rate_limiter.pause("Suspended")
    text = "Suspended. Look into it, then run: spillway resume"
    assert sending.recorder.taken() == [
        ("table.pause", "Suspended"),
        ("alarm", "Emails are paused", text),
    ]
    sending.rate_limiter.pause("Suspended")
    assert sending.recorder.taken() == [("table.pause", "Suspended")]
    assert logged(capsys) == [{"event": "sending_paused", "reason": "Suspended"}]
    sending.rate_limiter.batch_max(1)
    assert sending.recorder.names() == ["table.state"]


def test_the_emails_of_each_day_are_given_by_date(clock: Clock) -> None:
    days = Sending(clock, replace(FRESH, emails_by_day={0: 3, 20_717: 4})).rate_limiter.emails_by_day()
    assert {day.isoformat(): count for day, count in days.items()} == {"1970-01-01": 3, "2026-09-21": 4}
    assert Sending(clock, None).rate_limiter.emails_by_day() == {}


def rate_limited(answer: Any, turn: Any = None) -> tuple[RateLimitedSender, Recorder]:
    recorder = Recorder()
    rate_limiter = recorder.part("rate_limiter", acquire=turn)
    return RateLimitedSender(recorder.part("sender", send=answer), rate_limiter), recorder


@pytest.mark.parametrize(
    ("delivery", "refusal", "stops"),
    [
        (DeliveryOutcome.POSTPONED, SendRefusal.PAUSED, True),
        (DeliveryOutcome.POSTPONED, SendRefusal.RETRY, False),
        (DeliveryOutcome.DEFERRED, SendRefusal.PAUSED, False),
    ],
)
def test_a_result_that_says_the_account_is_paused_pauses_sending(
    delivery: DeliveryOutcome, refusal: SendRefusal, stops: bool
) -> None:
    results = (
        SendResult(DeliveryOutcome.ACCEPTED, "m-1"),
        SendResult(delivery, reason="Paused", refusal=refusal),
    )
    sender, recorder = rate_limited(results)
    assert sender.send("shop@example.com", EMAILS) == results
    assert recorder.taken() == [
        ("rate_limiter.acquire", 2),
        ("sender.send", "shop@example.com", EMAILS),
        *([("rate_limiter.pause", "Paused")] if stops else []),
    ]


@pytest.mark.parametrize("refusal", list(SendRefusal))
def test_a_refused_call_pauses_sending_if_the_account_is_paused(refusal: SendRefusal) -> None:
    sender, recorder = rate_limited(SendRefused("Suspended", refusal))
    with pytest.raises(SendRefused, match=r"^Suspended$"):
        sender.send("shop@example.com", EMAILS)
    stopped = [("rate_limiter.pause", "Suspended")] if refusal is SendRefusal.PAUSED else []
    assert recorder.taken()[2:] == stopped


def test_a_turn_that_does_not_come_refuses_the_emails_with_its_delay() -> None:
    sender, recorder = rate_limited((), RateLimited("quota", 77))
    with pytest.raises(SendRefused) as refused:
        sender.send("shop@example.com", EMAILS)
    error = refused.value
    assert (error.reason, error.refusal, error.delay_s) == ("quota", SendRefusal.RETRY, 77)
    assert recorder.names() == ["rate_limiter.acquire"]


@pytest.mark.parametrize(("known", "read_at_ms"), [(None, "0"), (FRESH, str(NOW_MS))])
def test_an_election_is_one_conditional_write(known: SendingRate | None, read_at_ms: str) -> None:
    recorder = Recorder()
    client = recorder.part("dynamodb")
    # The table in memory takes keywords in either case; the request itself is what counts.
    assert SendingRateTable(client, "sending").elect(at_ms=5, for_ms=7, known=known) is True
    ((name, request),) = recorder.taken()
    assert name == "dynamodb.update_item"
    assert request == {
        "TableName": "sending",
        "Key": {"id": {"S": "sending-rate"}},
        "UpdateExpression": "SET limits_read_until_ms = :limits_read_until_ms",
        "ConditionExpression": "(attribute_not_exists(read_at_ms) OR read_at_ms = :read_at_ms)"
        " AND (attribute_not_exists(limits_read_until_ms) OR limits_read_until_ms < :limits_read_until_ms2)",
        "ExpressionAttributeValues": {
            ":limits_read_until_ms": {"N": "12"},
            ":limits_read_until_ms2": {"N": "5"},
            ":read_at_ms": {"N": read_at_ms},
        },
    }


class Restocks:
    """Restocking whose every neighbour is a stand-in."""

    def __init__(
        self,
        stock: Stock | None,
        policy: WavePolicy | None = None,
        live: Restock | None = None,
        budget: WaveBudget | None = None,
    ) -> None:
        self.recorder = recorder = Recorder()
        stocked = StockedProduct(PRODUCT, {"A": stock}) if stock else None
        self.restocking = Restocking(
            recorder.part("products", slug_of="jacket", get=stocked),
            recorder.part("restocks", live=live),
            recorder.part("progress", wave=budget),
            recorder.part("policies", of=policy or WavePolicy()),
            recorder.part("queue"),
        )


IN_STOCK = Stock(Availability.IN_STOCK, 5, 3, "e1", version=2)
RESTOCK = Restock("A:2:e1", "jacket", "A", 5, 3, 9, version=2)
LIMITED = replace(RESTOCK, policy=ONE_EACH)
FOUND = [("products.slug_of", "A"), ("products.get", "jacket"), ("policies.of", "jacket")]


@pytest.mark.parametrize("policy", [WavePolicy(units_min=5), ONE_EACH])
def test_a_restock_is_opened_with_the_policy_of_now(
    policy: WavePolicy, capsys: pytest.CaptureFixture[str]
) -> None:
    restocks = Restocks(None, policy)
    restocks.restocking.open_restock(RESTOCK)
    opened = replace(RESTOCK, policy=policy)
    steps: list[Any] = [LimitedWave("A:2:e1", "A")]
    if policy is not ONE_EACH:
        steps = [ShardStep("A:2:e1", "A", shard) for shard in shards_of("A")]
    assert restocks.recorder.taken() == [
        ("policies.of", "jacket"),
        ("restocks.open", opened),
        *(("queue.put", step) for step in steps),
    ]
    assert logged(capsys) == [{"event": "waves_opened", "restock": "A:2:e1", "sku": "A"}]


def test_a_restock_of_too_few_units_is_logged_and_not_opened(capsys: pytest.CaptureFixture[str]) -> None:
    restocks = Restocks(None, WavePolicy(units_min=6))
    restocks.restocking.open_restock(RESTOCK)
    assert restocks.recorder.taken() == [("policies.of", "jacket")]
    assert logged(capsys) == [{"event": "restock_too_small", "restock": "A:2:e1", "sku": "A"}]


@pytest.mark.parametrize(
    ("stock", "units_min", "asks"),
    [(None, 1, 2), (replace(IN_STOCK, availability=Availability.OUT_OF_STOCK), 1, 2), (IN_STOCK, 6, 3)],
)
def test_a_shopper_who_confirms_what_is_not_available_waits(
    stock: Stock | None, units_min: int, asks: int
) -> None:
    restocks = Restocks(stock, WavePolicy(units_min=units_min))
    restocks.restocking.notify_if_available("ada", "A", at_ms=9)
    assert restocks.recorder.taken() == FOUND[:asks]


@pytest.mark.parametrize("live", [None, replace(RESTOCK, id="A:1:e0")])
def test_a_shopper_who_confirms_while_it_is_available_is_notified_by_the_live_restock_or_a_new_one(
    live: Restock | None,
) -> None:
    restocks = Restocks(IN_STOCK, live=live)
    restocks.restocking.notify_if_available("ada", "A", at_ms=9)
    opens = [] if live else [("restocks.open", RESTOCK)]
    assert restocks.recorder.taken() == [
        *FOUND,
        ("restocks.live", "A"),
        *opens,
        ("queue.put", NotifyOne(live.id if live else "A:2:e1", "A", "ada")),
    ]


@pytest.mark.parametrize(
    ("budget", "queued"),
    [
        (WaveBudget(number=4, left=1, announced=5, announced_for="A:2:e1"), True),
        (WaveBudget(number=4, left=0, announced=5, announced_for="A:2:e1"), False),
        (WaveBudget(number=4, left=0, announced=5, announced_for="A:1:e0"), True),
    ],
)
@pytest.mark.parametrize("live", [None, LIMITED])
def test_a_shopper_who_confirms_during_limited_waves_joins_the_one_that_has_emails_left(
    live: Restock | None, budget: WaveBudget, queued: bool
) -> None:
    restocks = Restocks(IN_STOCK, ONE_EACH, live, budget)
    restocks.restocking.notify_if_available("ada", "A", at_ms=9)
    assert restocks.recorder.taken() == [
        *FOUND,
        ("restocks.live", "A"),
        *([] if live else [("restocks.open", LIMITED)]),
        ("progress.wave", "A"),
        *([("queue.put", LimitedWave("A:2:e1", "A", 4, 9))] if queued else []),
    ]


def test_each_message_is_one_request_to_its_queue() -> None:
    recorder = Recorder()
    sqs = recorder.part("sqs")
    step = ShardStep("r", "A", "A#1")
    waves = WavesQueue(sqs, "waves-url")
    waves.put(step)
    waves.put(step, delay_s=7)
    body = to_json(step)
    assert recorder.taken() == [
        ("sqs.send_message", {"QueueUrl": "waves-url", "MessageBody": body, "DelaySeconds": delay_s})
        for delay_s in (0, 7)
    ]
    now, visit = ConfirmationsQueue(sqs, "url"), ConfirmationsQueue(sqs, "url", visit_s=20)
    now.put("ada", "A")
    visit.put("ada", "A")
    visit.put_already_waiting("ada", "A", "net4-x")
    visit.put_already_waiting("ada", "A")
    visit.put_my_waitlists("ada", "net4-x")
    visit.put_my_waitlists("ada")
    visit.put_back(RequestedEmail("ada", "A", hops=2), delay_s=60)
    visit.delete("result-1")
    ada = '{"shopper": "ada"'
    bodies: list[tuple[str, dict[str, int]]] = [
        (ada + ', "sku": "A"}', {}),
        (ada + ', "sku": "A"}', {"DelaySeconds": 20}),
        ('{"already": true, "shopper": "ada", "sku": "A", "source": "net4-x"}', {}),
        ('{"already": true, "shopper": "ada", "sku": "A"}', {}),
        (ada + ', "source": "net4-x"}', {}),
        (ada + "}", {}),
        ('{"hops": 2, "shopper": "ada", "sku": "A"}', {"DelaySeconds": 60}),
    ]
    assert recorder.taken() == [
        *(("sqs.send_message", {"QueueUrl": "url", "MessageBody": text, **delay}) for text, delay in bodies),
        ("sqs.delete_message", {"QueueUrl": "url", "ReceiptHandle": "result-1"}),
    ]


class Linked:
    """A waitlist of stand-ins, and the links of a shopper."""

    def __init__(
        self,
        clock: Clock,
        get: Any = None,
        confirm: Any = False,
        stocked: Any = None,
        unsubscribe: Any = None,
    ) -> None:
        self.recorder = recorder = Recorder()
        self.links = LinkTokens(["key"], clock)
        self.waitlist = Waitlist(
            recorder.part("entries", get=get, confirm=confirm, unsubscribe=unsubscribe, of_shopper=()),
            recorder.part("products", slug_of="jacket", get=stocked),
            self.links,
            clock,
        )

    def token(self, purpose: Purpose, *skus: str) -> str:
        return self.links.sign(purpose, LinkSubject.of("ada", skus))


def waiting(state: EntryState, expires_at_s: int | None = None, sku: str = "A") -> Entry:
    return Entry("ada", sku, "ada@example.com", state, 1, None, expires_at_s)


def test_a_link_shows_what_is_there_in_its_order(clock: Clock) -> None:
    stock = {"A": IN_STOCK}
    now_s = clock() // 1000
    found = one_after_another(
        waiting(EntryState.PENDING, now_s + 1), None, waiting(EntryState.PENDING, now_s)
    )
    linked = Linked(clock, found, stocked=StockedProduct(PRODUCT, stock))
    looked = linked.waitlist.linked_entries(Purpose.CONFIRM, linked.token(Purpose.CONFIRM, "A", "B", "C"))
    assert looked == (LinkedEntry(PRODUCT, PRODUCT.variants[0], EntryState.PENDING, True),)
    assert linked.recorder.taken() == [
        ("entries.get", "ada", "A"),
        ("products.slug_of", "A"),
        ("products.get", "jacket"),
        ("entries.get", "ada", "B"),
        ("entries.get", "ada", "C"),
    ]
    assert linked.waitlist.products_of(["A", "B"]) == {"A": PRODUCT}


@pytest.mark.parametrize("state", list(EntryState))
def test_a_link_about_what_is_not_sold_any_more_shows_its_state_alone(
    clock: Clock, state: EntryState
) -> None:
    linked = Linked(clock, waiting(state, clock() // 1000 + 1))
    looked = linked.waitlist.entry_to_unsubscribe(linked.token(Purpose.UNSUBSCRIBE, "A"))
    assert looked == LinkedEntry(None, None, state, False)
    shown = (looked.confirmed, looked.notified, looked.unsubscribed, looked.confirmable)
    states = (EntryState.CONFIRMED, EntryState.NOTIFIED, EntryState.UNSUBSCRIBED)
    assert shown == (*(state is expected for expected in states), False)
    assert replace(looked, product=PRODUCT).confirmable is (state is EntryState.PENDING)
    linked = Linked(clock)
    assert linked.waitlist.entry_to_unsubscribe(linked.token(Purpose.UNSUBSCRIBE, "A")) is None


@pytest.mark.parametrize(
    ("confirms", "states", "confirmed"),
    [
        ((True, False), (EntryState.NOTIFIED,), EntryState.CONFIRMED),
        ((False, False), (EntryState.NOTIFIED, EntryState.UNSUBSCRIBED), EntryState.NOTIFIED),
        ((False, False), (EntryState.UNSUBSCRIBED, EntryState.CONFIRMED), EntryState.CONFIRMED),
        ((False, False), (EntryState.UNSUBSCRIBED, None), None),
    ],
)
def test_a_confirmation_says_what_its_entries_have_become(
    clock: Clock,
    confirms: tuple[bool, ...],
    states: tuple[EntryState | None, ...],
    confirmed: EntryState | None,
) -> None:
    found = [state and waiting(state) for state in states]
    linked = Linked(clock, one_after_another(*found), one_after_another(*confirms))
    assert linked.waitlist.confirm(linked.token(Purpose.CONFIRM, "A", "B")) is confirmed
    asked = [call for call in linked.recorder.taken() if call[0] == "entries.confirm"]
    assert asked == [("entries.confirm", "ada", sku, {"at_ms": clock()}) for sku in ("A", "B")]


def test_leaving_and_undoing_are_about_the_very_entry(clock: Clock) -> None:
    linked = Linked(clock, unsubscribe=waiting(EntryState.UNSUBSCRIBED))
    linked.waitlist.unsubscribe(linked.token(Purpose.UNSUBSCRIBE, "A"))
    linked.waitlist.undo("ada", ["A", "B"], linked.links.undo_token("ada", clock() - 5))
    assert linked.recorder.taken() == [
        ("entries.unsubscribe", "ada", "A", {"at_ms": clock()}),
        ("entries.undo", "ada", "A", {"signed_up_at_ms": clock() - 5}),
        ("entries.undo", "ada", "B", {"signed_up_at_ms": clock() - 5}),
    ]


def test_a_moved_entry_is_forgotten_after_the_last_one_has_ended(clock: Clock) -> None:
    moved = replace(waiting(EntryState.UNSUBSCRIBED), moved_to="B")
    linked = Linked(clock, unsubscribe=one_after_another(moved, waiting(EntryState.UNSUBSCRIBED, sku="B")))
    linked.waitlist.unsubscribe(linked.token(Purpose.UNSUBSCRIBE, "A"))
    assert linked.recorder.taken() == [
        ("entries.unsubscribe", "ada", "A", {"at_ms": clock()}),
        ("entries.unsubscribe", "ada", "B", {"at_ms": clock()}),
        ("entries.forget_move", moved, {"at_ms": clock()}),
    ]


def test_moves_are_followed_so_often_and_then_kept(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    chain = [
        replace(waiting(EntryState.UNSUBSCRIBED), sku=str(number), moved_to=str(number + 1))
        for number in range(MOVES_FOLLOWED_MAX + 1)
    ]
    linked = Linked(clock, unsubscribe=one_after_another(*chain))
    linked.waitlist.unsubscribe(linked.token(Purpose.UNSUBSCRIBE, "0"))
    calls = [call[:3] for call in linked.recorder.taken()]
    assert calls == [("entries.unsubscribe", "ada", str(number)) for number in range(MOVES_FOLLOWED_MAX)]
    assert logged(capsys) == [{"event": "moves_not_followed", "shopper": "ada", "sku": "0"}]

"""One bad email never harms its neighbours: passed over, tried later, given up, counted."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.email import (
    DeliveryOutcome,
    OutcomeUnknown,
    OutgoingEmail,
    SendRefusal,
    SendRefused,
    SendResult,
)
from chalicelib.domain.entry import Entry, EntryState, shard_of, shards_of
from chalicelib.domain.sending_limits import (
    DAY_S,
    DEFERRED_S,
    TRIES_MAX,
    UNLIMITED,
    WAVE_HOPS_MAX,
    ChainTooLong,
    SendingLimits,
    wait_s,
)
from chalicelib.domain.stock import Availability, StockedProduct
from chalicelib.domain.wave import (
    LimitedWave,
    NotifyOne,
    ShardStep,
    WaveMessage,
    WavePolicy,
    from_json,
    to_json,
)
from tests.integration.test_fault_table import work_off
from tests.support.clock import Clock
from tests.support.fakes import FakeSender, WorkerDied
from tests.support.memory_shop import SKU, MemoryShop, PlainComposer
from tests.support.shop_base import VISIBILITY_TIMEOUT_S

IN_STOCK, SOLD_OUT = Availability.IN_STOCK, Availability.OUT_OF_STOCK
LINES = shards_of(SKU)
WAITERS = 200
Meets = Callable[[OutgoingEmail], DeliveryOutcome]


class Answering(FakeSender):
    """Answers each email as `meets` says, however often it comes."""

    def __init__(self, meets: Meets) -> None:
        super().__init__()
        self.meets = meets
        self.tries: Counter[str] = Counter()
        self.sent_ms: dict[str, int] = {}
        self.clock: Callable[[], int] = lambda: 0

    def _result(self, outgoing: OutgoingEmail) -> SendResult:
        self.tries[outgoing.mailbox] += 1
        self.deliveries[outgoing.mailbox] = self.meets(outgoing)
        self.sent_ms[outgoing.mailbox] = self.clock()
        return super()._result(outgoing)


def shop_of(clock: Clock, waiters: int, meets: Meets, rate_per_s: float = 1000.0) -> MemoryShop:
    shop = MemoryShop(clock)
    shop.join_many((f"s{number:05}", clock() + 10 * number) for number in range(waiters))
    clock.pass_s(0.01 * waiters)
    sender = Answering(meets)
    sender.clock = clock
    shop.use_sender(sender)
    shop.account.now = SendingLimits(rate_per_s, UNLIMITED)
    return shop


def answering(shop: MemoryShop) -> Answering:
    assert isinstance(shop.sender, Answering)
    return shop.sender


def at_the_head(shop: MemoryShop, count: int) -> set[str]:
    """Return the mailboxes of the first `count` of every shard."""
    heads = [shop.shards.waiting(shard, after="", upto="~", limit=count) for shard in LINES]
    return {entry.mailbox for page in heads for entry in page.entries}


def counters(shop: MemoryShop) -> dict[str, int]:
    restock = shop.opened()[-1]
    done = shop.progress.of(restock.id, LINES)
    return {
        name: getattr(done, name) for name in ("notified", "rejected", "unclear", "deferred_now", "given_up")
    }


@pytest.mark.parametrize("count", [1, 12])
def test_emails_put_off_for_ever_slow_nobody_down_and_are_given_up(count: int, clock: Clock) -> None:
    bad: set[str] = set()
    shop = shop_of(
        clock,
        WAITERS,
        lambda email: DeliveryOutcome.DEFERRED if email.mailbox in bad else DeliveryOutcome.ACCEPTED,
    )
    shop.account.now = SendingLimits(14.0, UNLIMITED)
    bad |= at_the_head(shop, count)
    shop.observe(IN_STOCK)
    opened_ms = clock()
    assert work_off(shop) == 0
    good = {f"s{number:05}@example.com" for number in range(WAITERS)} - bad
    assert Counter(shop.sender.mailboxes()) == Counter(good)
    last_ms = max(at_ms for mailbox, at_ms in answering(shop).sent_ms.items() if mailbox in good)
    # Each is tried once at its position, at the rate; a few come again before the last of the others.
    assert (last_ms - opened_ms) / 1000 <= (WAITERS + 3 * len(bad)) / 14 + 20
    assert {answering(shop).tries[mailbox] for mailbox in bad} == {1 + len(DEFERRED_S)}
    assert counters(shop) == {
        "notified": len(good),
        "rejected": 0,
        "unclear": 0,
        "deferred_now": 0,
        "given_up": len(bad),
    }
    # They keep their position for the next restock.
    assert {entry.mailbox for entry in shop.all_entries() if entry.state is EntryState.CONFIRMED} == bad
    bad.clear()
    shop.observe(SOLD_OUT, 0)
    shop.observe(IN_STOCK)
    work_off(shop)
    everybody = [f"s{number:05}@example.com" for number in range(WAITERS)]
    assert Counter(shop.sender.mailboxes()) == Counter(everybody)


def test_a_deferred_email_is_shown_as_such_until_it_is_taken(clock: Clock) -> None:
    grey = {"s00003@example.com"}
    shop = shop_of(
        clock,
        10,
        lambda email: DeliveryOutcome.DEFERRED if email.mailbox in grey else DeliveryOutcome.ACCEPTED,
    )
    shop.observe(IN_STOCK)
    while any(not isinstance(message, NotifyOne) for message in shop.queue.messages):
        shop.work(lambda message, error: pytest.fail(f"{message}: {error}"))
    assert counters(shop) == {"notified": 9, "rejected": 0, "unclear": 0, "deferred_now": 1, "given_up": 0}
    grey.clear()
    # The queue delivers the shopper's first message once more: the one of the deferral alone may send.
    shop.fan_out.work(NotifyOne(shop.opened()[-1].id, SKU, "s00003"))
    work_off(shop)
    assert counters(shop) == {"notified": 10, "rejected": 0, "unclear": 0, "deferred_now": 0, "given_up": 0}


def test_an_entry_unsubscribed_while_its_email_is_deferred_is_counted_out(clock: Clock) -> None:
    shop = shop_of(clock, 1, lambda _: DeliveryOutcome.DEFERRED)
    shop.observe(IN_STOCK)
    shop.work(lambda message, error: pytest.fail(f"{message}: {error}"))
    while not counters(shop)["deferred_now"]:
        shop.work(lambda message, error: pytest.fail(f"{message}: {error}"))
    shop.leave("s00000")
    work_off(shop)
    assert counters(shop)["deferred_now"] == 0
    assert answering(shop).tries["s00000@example.com"] == 1


def test_a_limited_wave_passes_over_who_is_put_off_and_never_grows(clock: Clock) -> None:
    grey = {f"s{number:05}@example.com" for number in range(60)}
    shop = shop_of(
        clock,
        200,
        lambda email: DeliveryOutcome.DEFERRED if email.mailbox in grey else DeliveryOutcome.ACCEPTED,
    )
    shop.policy = WavePolicy(emails_per_unit=10, next_after_min=30)
    shop.observe(IN_STOCK, 10)
    first_ms = clock()
    while shop.queue.due_ms() < first_ms + 4 * 60_000:
        shop.work(lambda message, error: pytest.fail(f"{message}: {error}"))
    # 100 emails: 60 are kept for those who are put off, 40 went to the next in shard.
    assert shop.sender.mailboxes() == [f"s{number:05}@example.com" for number in range(60, 100)]
    assert shop.progress.wave(SKU).left == 0
    grey.clear()
    while shop.queue.due_ms() < first_ms + 29 * 60_000:
        shop.work(lambda message, error: pytest.fail(f"{message}: {error}"))
    assert len(shop.sender.mailboxes()) == len(set(shop.sender.mailboxes())) <= 100
    work_off(shop)
    assert Counter(shop.sender.mailboxes()) == Counter(f"s{number:05}@example.com" for number in range(200))


def test_an_abandoned_email_returns_to_the_budget_of_its_wave(clock: Clock) -> None:
    shop = shop_of(
        clock,
        3,
        lambda email: DeliveryOutcome.DEFERRED if "s00000" in email.mailbox else DeliveryOutcome.ACCEPTED,
    )
    shop.policy = WavePolicy(emails_per_unit=1, next_after_min=24 * 60)
    shop.observe(IN_STOCK, 5)
    work_off(shop)
    assert shop.progress.wave(SKU).left == 3
    assert counters(shop) == {"notified": 2, "rejected": 0, "unclear": 0, "deferred_now": 0, "given_up": 1}


class Spoiling(PlainComposer):
    """Cannot write to some."""

    def __init__(self, bad: set[str]) -> None:
        super().__init__()
        self.bad = bad

    def available(
        self, waiting: Sequence[Entry], stocked: StockedProduct, *, restock_tag: str | None = None
    ) -> list[OutgoingEmail]:
        if any(entry.shopper in self.bad for entry in waiting):
            raise UnicodeEncodeError("utf-8", "x", 0, 1, "surrogates not allowed")
        return super().available(waiting, stocked)


def test_an_email_that_cannot_be_written_is_its_own_misfortune(clock: Clock) -> None:
    shop = shop_of(clock, 300, lambda _: DeliveryOutcome.ACCEPTED)
    shop.notifier._composer = lambda: Spoiling({"s00007", "s00100"})
    shop.observe(IN_STOCK)
    # A batch of one that cannot be written is a fault for a person: it fails, and ends in the dead letters.
    dead: list[WaveMessage] = []
    while shop.work(lambda message, _: dead.append(message)):
        pass
    notified = {mailbox.partition("@")[0] for mailbox in shop.sender.mailboxes()}
    assert notified == {f"s{number:05}" for number in range(300)} - {"s00007", "s00100"}
    assert len(shop.sender.mailboxes()) == 298
    assert sorted(message.shopper for message in dead if isinstance(message, NotifyOne)) == [
        "s00007",
        "s00100",
    ]
    assert len(dead) == 2


def test_an_invalid_recipient_is_deferred_alone_and_the_others_are_sent(clock: Clock) -> None:
    shop = shop_of(clock, 40, lambda _: DeliveryOutcome.ACCEPTED, rate_per_s=1.0)
    send = shop.sender.send

    def refuse(sender: str, emails: Sequence[OutgoingEmail]) -> Any:
        if [outgoing.mailbox for outgoing in emails] == ["s00004@example.com"]:
            raise SendRefused("BadRequestException", SendRefusal.INVALID, about_emails=True)
        return send(sender, emails)

    shop.sender.send = refuse  # type: ignore[method-assign]
    shop.observe(IN_STOCK)
    dead: list[WaveMessage] = []
    while shop.work(lambda message, _: dead.append(message)):
        pass
    assert len(set(shop.sender.mailboxes())) == len(shop.sender.mailboxes()) == 39
    (message,) = dead
    assert isinstance(message, NotifyOne)
    assert message.shopper == "s00004"


def test_a_fault_of_the_settings_is_for_a_person_and_those_before_it_are_marked(clock: Clock) -> None:
    shop = shop_of(clock, 3, lambda _: DeliveryOutcome.ACCEPTED)
    shard = shard_of(SKU, "s00000")
    shop.observe(IN_STOCK)

    def half(_: str, emails: Sequence[OutgoingEmail]) -> Any:
        wrong = SendResult(
            DeliveryOutcome.POSTPONED, reason="TEMPLATE_NOT_FOUND", refusal=SendRefusal.INVALID
        )
        return (SendResult(DeliveryOutcome.ACCEPTED), *[wrong] * len(emails))[: len(emails)]

    shop.sender.send = half  # type: ignore[method-assign, assignment]
    shop.join("t")
    step = next(
        message
        for message in shop.queue.messages
        if isinstance(message, ShardStep) and message.shard == shard
    )
    others = [name for name in ("s00001", "s00002") if shard_of(SKU, name) == shard]
    if others:
        with pytest.raises(SendRefused, match="TEMPLATE_NOT_FOUND"):
            shop.fan_out.work(step)
    else:
        shop.fan_out.work(step)
    assert shop.state("s00000") is EntryState.NOTIFIED


def test_an_account_stopped_in_mid_batch_pauses_and_the_entries_before_are_notified_once(
    clock: Clock,
) -> None:
    shop = shop_of(clock, 200, lambda _: DeliveryOutcome.ACCEPTED)
    send, stopped = shop.sender.send, [True]

    def stop(sender: str, emails: Sequence[OutgoingEmail]) -> Any:
        if not stopped.pop() if stopped else True:
            return send(sender, emails)
        results = send(sender, emails[:5])
        rest = SendResult(
            DeliveryOutcome.POSTPONED, reason="ACCOUNT_SENDING_PAUSED", refusal=SendRefusal.PAUSED
        )
        return (*results, *[rest] * len(emails[5:]))

    shop.sender.send = stop  # type: ignore[method-assign]
    shop.observe(IN_STOCK)
    shop.work(lambda message, error: pytest.fail(f"{message}: {error}"))
    assert len(shop.sender.mailboxes()) == 5
    assert shop.paused == "ACCOUNT_SENDING_PAUSED"
    shop.rate_table.resume()
    assert work_off(shop) == 0
    assert len(shop.sender.mailboxes()) == 200


def test_a_worker_that_dies_between_queueing_and_noting_a_deferral_repeats_no_email(
    clock: Clock,
) -> None:
    shop = MemoryShop(clock)
    shop.faults.fail_at_update("deferred_for")
    for number in range(20):
        shop.join(f"s{number}")
    shop.sender.deliveries["s7@example.com"] = DeliveryOutcome.DEFERRED
    shop.observe(IN_STOCK)
    assert work_off(shop, WorkerDied) == 0
    assert len(shop.sender.mailboxes()) == 20


def test_a_transport_that_takes_one_at_a_time_is_not_waited_for_longer_and_longer(clock: Clock) -> None:
    shop = shop_of(clock, 80, lambda _: DeliveryOutcome.ACCEPTED)
    shop.use_sender(Adversary(shop, ["some taken"] * 80))
    shop.observe(IN_STOCK)
    opened_ms = clock()
    work_off(shop)
    assert len(set(shop.sender.mailboxes())) == 80
    # A put-back of a second or two for each that was taken, shards side by side; not minutes each.
    assert (clock() - opened_ms) / 1000 < 80 * 2 + 60


# ---- Chains ----


def test_waits_grow_with_the_tries_and_are_never_over_a_quarter_of_an_hour() -> None:
    assert [wait_s(3, tries, 0.99) for tries in (0, 5, 6, 9, 14, 99)] == [3, 3, 4, 32, 896, 896]
    assert wait_s(1_000, 0, 0.0) == 900


def test_messages_without_counters_are_read_with_none() -> None:
    old = {
        "kind": "step",
        "restock_id": "r",
        "sku": "A",
        "shard": "A#1",
        "after": "",
        "sweep": False,
        "tries": 2,
    }
    assert from_json(json.dumps(old)) == ShardStep("r", "A", "A#1", tries=2, hops=0)
    wave = {"kind": "wave", "restock_id": "r", "sku": "A", "number": 2, "not_before_ms": 5, "tries": 0}
    assert from_json(json.dumps(wave)) == LimitedWave("r", "A", 2, 5)
    one = {"kind": "one", "restock_id": "r", "sku": "A", "shopper": "ada", "tries": 0}
    assert from_json(json.dumps(one)) == NotifyOne("r", "A", "ada")


@pytest.mark.parametrize(
    "message",
    [
        ShardStep("r", "A", "A#1", "p", sweep=True, tries=3, hops=4),
        LimitedWave("r", "A", 2, 5, 6, "p", sweep=True, hops=7),
        NotifyOne("r", "A", "ada", 1, 2, 3, 4),
    ],
)
def test_counters_travel_with_the_message(message: WaveMessage) -> None:
    assert from_json(to_json(message)) == message


@pytest.mark.parametrize("counter", ["hops", "tries"])
def test_past_its_maximum_a_message_is_refused_and_does_nothing(
    counter: str, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = shop_of(clock, 8, lambda _: DeliveryOutcome.ACCEPTED)
    shop.observe(IN_STOCK)
    (restock,) = shop.opened()
    at_most = {"hops": WAVE_HOPS_MAX, "tries": TRIES_MAX}[counter]
    shard = shard_of(SKU, "s00000")
    for count, mailed in ((at_most + 1, False), (at_most, True)):
        facts: dict[str, Any] = {counter: count}
        if not mailed:
            with pytest.raises(ChainTooLong):
                shop.fan_out.work(ShardStep(restock.id, SKU, shard, **facts))
            logged = json.loads(capsys.readouterr().out.splitlines()[-1])
            assert (logged["event"], logged["restock"]) == ("chain_too_long", restock.id)
            assert (logged["hops"], logged["tries"]) == (facts.get("hops", 0), facts.get("tries", 0))
        else:
            shop.fan_out.work(ShardStep(restock.id, SKU, shard, **facts))
        assert ("s00000@example.com" in shop.sender.mailboxes()) is mailed


def test_a_message_about_what_is_over_is_dropped_however_far_it_came(clock: Clock) -> None:
    shop = shop_of(clock, 1, lambda _: DeliveryOutcome.ACCEPTED)
    shop.fan_out.work(NotifyOne("gone", SKU, "s00000", hops=WAVE_HOPS_MAX + 1))
    assert shop.queue.messages == []


@pytest.mark.parametrize("kind", ["everyone", "limited"])
def test_a_chain_that_is_always_refused_ends_with_the_dead_letters(kind: str, clock: Clock) -> None:
    shop = shop_of(clock, 8, lambda _: DeliveryOutcome.ACCEPTED)
    shop.fan_out.tries_max = 40
    if kind == "limited":
        shop.policy = WavePolicy(emails_per_unit=1)
    shop.sender.refuses = 10**9
    shop.observe(IN_STOCK)
    queued = len(shop.queue.messages)
    begun_ms, dead = clock(), []
    while shop.work(lambda message, error: dead.append((message, error))):
        pass
    busy = {shard_of(SKU, f"s{number:05}") for number in range(8)}
    assert len(dead) == (1 if kind == "limited" else len(busy)) <= queued
    assert all(isinstance(error, ChainTooLong) for _, error in dead)
    assert all(message.hops == message.tries == 41 for message, _ in dead)
    # Ten short waits, then a quarter of an hour each, or at least half of it.
    assert (clock() - begun_ms) / 1000 > 25 * 450


def test_a_month_of_pauses_is_within_what_a_chain_may_wait() -> None:
    waited_s = sum(wait_s(900, tries, 0.0) for tries in range(TRIES_MAX))
    assert waited_s >= 30 * DAY_S
    waited_s = sum(wait_s(1, tries, 0.0) for tries in range(TRIES_MAX))
    assert waited_s >= 30 * DAY_S * 0.99


ANSWERS = [
    "taken",
    "retry",
    "paused",
    "some taken",
    "one deferred",
    "one rejected",
    "unknown",
    "quota",
    "no limits",
]


class Adversary(FakeSender):
    """Answers call after call as it is notified to, then takes everything."""

    def __init__(self, shop: MemoryShop, answers: list[str]) -> None:
        super().__init__()
        self.shop, self.answers = shop, answers

    def send(self, sender: str, emails: Sequence[OutgoingEmail]) -> Any:
        answer = self.answers.pop(0) if self.answers else "taken"
        if answer in {"retry", "paused"}:
            raise SendRefused(answer, SendRefusal(answer))
        if answer == "quota":
            self.shop.account.now = SendingLimits(3.0, 5)
        taken = [] if answer in {"one deferred", "one rejected"} else emails[:1]
        if answer in {"some taken", "one deferred", "one rejected"}:
            first = {"one deferred": DeliveryOutcome.DEFERRED, "one rejected": DeliveryOutcome.REJECTED}.get(
                answer
            )
            results = (
                super().send(sender, taken) if taken else (SendResult(first or DeliveryOutcome.ACCEPTED),)
            )
            return (*results, *[SendResult(DeliveryOutcome.POSTPONED, reason="x")] * (len(emails) - 1))
        results = super().send(sender, emails)
        if answer == "unknown":
            raise OutcomeUnknown("ReadTimeoutError")
        return results


@settings(max_examples=40, deadline=None)
@given(
    answers=st.lists(st.sampled_from(ANSWERS), max_size=40),
    limited=st.booleans(),
    rate=st.sampled_from([0.3, 1.0, 14.0, 1000.0]),
)
def test_no_answers_of_a_transport_make_a_chain_end_early_or_go_on_for_ever(
    answers: list[str], limited: bool, rate: float
) -> None:
    clock, waiters = Clock(), 24
    shop = shop_of(clock, waiters, lambda _: DeliveryOutcome.ACCEPTED, rate_per_s=rate)
    shop.policy = WavePolicy(emails_per_unit=5, next_after_min=20) if limited else shop.policy
    faults, unknown, rejected = len(answers), answers.count("unknown"), answers.count("one rejected")
    shop.use_sender(Adversary(shop, answers))
    shop.observe(IN_STOCK)
    # The most that this chain may have to do, by the derivation of the real maximum: every shopper settled
    # once, two walks, every answer an idle run, the waits for a turn and a quota, the pauses between waves.
    waves = waiters if limited else 1
    shop.fan_out.hops_max = (2 * waiters + faults) * (1 + 5) + waves * 4 + 96
    shop.fan_out.tries_max = faults + 5 + 96
    dead: list[WaveMessage] = []
    hops = 0

    def failed(message: WaveMessage, error: BaseException) -> None:
        if isinstance(error, OutcomeUnknown):
            shop.queue.put(message, delay_s=VISIBILITY_TIMEOUT_S)
        else:
            dead.append(message)

    for _ in range(20_000):
        if shop.paused:
            shop.rate_table.resume()
        if clock() % 7 == 0:
            shop.account.now = SendingLimits(rate, UNLIMITED)
        if not shop.work(failed):
            break
        hops = max([hops, *(message.hops for message in shop.queue.messages)])
    else:
        raise AssertionError("it goes on for ever")
    assert dead == []
    assert hops <= shop.fan_out.hops_max
    notified = set(shop.sender.mailboxes())
    settled = [entry for entry in shop.all_entries() if entry.state is EntryState.NOTIFIED]
    assert len(settled) == waiters
    assert waiters - rejected <= len(notified) <= waiters
    assert len(shop.sender.mailboxes()) - len(notified) <= 50 * unknown

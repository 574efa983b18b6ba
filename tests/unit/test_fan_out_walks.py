"""The next batch of a fan-out, and what becomes of its message, call by call."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.domain.email import SendRefusal, SendRefused
from chalicelib.domain.entry import Entry, EntryState, position_after_all, shard_of, shards_of
from chalicelib.domain.product import Product, Variant
from chalicelib.domain.sending_limits import SHORT_WAITS_MAX, WAVE_HOPS_MAX, ChainTooLong
from chalicelib.domain.stock import Availability, Restock, Stock, StockedProduct
from chalicelib.domain.wave import LimitedWave, NotifyOne, ShardStep, WaveBudget, WaveMessage, WavePolicy
from chalicelib.services.fan_out.notifier import Batch
from chalicelib.services.fan_out.rate_limiter import RateLimited
from chalicelib.services.fan_out.restocking import BUDGET_TRIES_MAX, BudgetBusy, FanOutStore
from chalicelib.services.fan_out.walks import NextMessage, walks_by_message
from chalicelib.services.fan_out.worker import LEASE_MS, WALK_MS_MAX, FanOutWorker
from chalicelib.tables.sending.waves import ALL_SHARDS
from chalicelib.tables.shards import WaitingPage
from tests.support.clock import Clock
from tests.support.log_lines import logged
from tests.support.recorder import Recorder, one_after_another

PRODUCT = Product("jacket", "Jacket", "A jacket.", "", "outerwear", (), (Variant("A", 100),))
ONE_EACH = WavePolicy(emails_per_unit=1, next_after_min=30)
EVERYBODY = Restock("A:1:e1", "jacket", "A", 5, 1, 2)
LIMITED = replace(EVERYBODY, policy=ONE_EACH)
STEP = ShardStep("A:1:e1", "A", "A#1", after="p0", tries=3, hops=9)
SWEEP = replace(STEP, after="", sweep=True, tries=0)
WAVE = LimitedWave("A:1:e1", "A", number=1, after="p0", tries=3, hops=9)
DROPPED = {"event": "wave_dropped", "restock": "A:1:e1", "sku": "A"}


def stocked(units: int | None = 5, availability: Availability = Availability.IN_STOCK) -> StockedProduct:
    return StockedProduct(PRODUCT, {"A": Stock(availability, units, 1, "e1")})


def entry(name: str, position: str | None, state: EntryState = EntryState.CONFIRMED) -> Entry:
    return Entry(name, "A", f"{name}@example.com", state, 1, position)


ADA, BOB, CYD = entry("ada", "p1"), entry("bob", "p2"), entry("cyd", "p3")


class Walks:
    """The three walks over recorded tables: 50 emails at a time, each turn at once."""

    def __init__(self, clock: Clock, restock: Restock | None = EVERYBODY, **answers: Any) -> None:
        self.recorder = recorder = Recorder()
        shard = {name: answers[name] for name in ("waiting", "first_waiting") if name in answers}
        budget = {"wave": answers.get("wave", WaveBudget()), "put_wave": answers.get("put_wave", True)}
        self.store = FanOutStore(
            recorder.part("entries", get=answers.get("entry")),
            recorder.part("shards", **shard),
            recorder.part("products", get=answers.get("stocked", stocked())),
            recorder.part("restocks", live=restock),
            recorder.part("progress", **budget),
            recorder.part("leases"),
        )
        rate_limiter = recorder.part(
            "rate_limiter", batch_max=answers.get("batch_max", 50), acquire=answers.get("turn")
        )
        self.walks = walks_by_message(self.store, rate_limiter, recorder.part("notifier"), clock)

    def next_batch(self, message: WaveMessage, restock: Restock = EVERYBODY) -> NextMessage | None:
        """Send the next batch of a message."""
        return self.walks[type(message)].next_batch(message, restock)


LOOK = [("restocks.live", "A"), ("products.get", "jacket")]


@pytest.mark.parametrize(
    ("restock", "answers", "looks"),
    [
        (None, {}, 1),
        (replace(EVERYBODY, id="A:2:e2"), {}, 1),
        (EVERYBODY, {"stocked": None}, 2),
        (EVERYBODY, {"stocked": stocked(0, Availability.OUT_OF_STOCK)}, 2),
        (replace(EVERYBODY, policy=WavePolicy(units_min=6)), {}, 2),
    ],
)
def test_a_step_of_an_ended_restock_is_dropped_with_a_log_line(
    clock: Clock,
    restock: Restock | None,
    answers: dict[str, Any],
    looks: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    walks = Walks(clock, restock, **answers)
    assert walks.store.live("A:1:e1", "A") is None
    assert walks.recorder.taken() == LOOK[:looks]
    assert logged(capsys) == [DROPPED]


def test_the_next_step_has_the_restock_with_its_product(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    enough = replace(EVERYBODY, policy=WavePolicy(units_min=5))
    assert Walks(clock, enough).store.live("A:1:e1", "A") == (enough, stocked())
    assert logged(capsys) == []


@pytest.mark.parametrize("more", [True, False])
def test_a_batch_of_a_shard_is_read_awaited_checked_again_and_notified(clock: Clock, more: bool) -> None:
    walks = Walks(clock, waiting=WaitingPage((ADA, BOB), more), batch_max=14)
    following = walks.next_batch(STEP)
    assert following == (NextMessage(replace(STEP, after="p2", tries=0)) if more else NextMessage(SWEEP, 30))
    assert walks.recorder.taken() == [
        ("rate_limiter.batch_max", 50),
        ("shards.waiting", "A#1", {"after": "p0", "upto": position_after_all(2), "limit": 14}),
        ("rate_limiter.acquire", 2),
        *LOOK,
        ("notifier.notify", Batch(EVERYBODY, "A#1", (ADA, BOB)), stocked()),
    ]


def test_an_empty_shard_is_walked_once_more_whatever_may_follow(clock: Clock) -> None:
    walks = Walks(clock, waiting=WaitingPage((), True))
    assert walks.next_batch(STEP) == NextMessage(SWEEP, 30)
    assert walks.next_batch(replace(STEP, sweep=True)) is None
    assert walks.recorder.names() == ["rate_limiter.batch_max", "shards.waiting"] * 2


def test_a_shard_sold_out_while_it_waits_for_its_turn_is_left(clock: Clock) -> None:
    sold_out = stocked(0, Availability.OUT_OF_STOCK)
    walks = Walks(clock, waiting=WaitingPage((ADA,), True), stocked=sold_out)
    assert walks.next_batch(STEP) is None
    assert "notifier.notify" not in walks.recorder.names()


def test_a_limited_wave_notifies_as_many_as_its_budget_has_and_keeps_its_position(clock: Clock) -> None:
    budget = WaveBudget(number=2, granted=5, left=2)
    walks = Walks(clock, LIMITED, first_waiting=(ADA, BOB), wave=budget, stocked=stocked(2), batch_max=2)
    assert walks.next_batch(WAVE) == NextMessage(replace(WAVE, number=2, after="p2", tries=0))
    assert walks.recorder.taken() == [
        *LOOK,
        ("progress.wave", "A"),
        ("rate_limiter.batch_max", 2),
        ("shards.first_waiting", "A", {"after": "p0", "limit": 2}),
        ("rate_limiter.acquire", 2),
        *LOOK,
        ("progress.wave", "A"),
        ("notifier.notify", Batch(LIMITED, ALL_SHARDS, (ADA, BOB), 2), stocked(2)),
    ]


def test_a_limited_wave_reads_fifty_at_once_whatever_the_clock_says(clock: Clock) -> None:
    budget = WaveBudget(number=1, granted=90, left=90)
    walks = Walks(clock, LIMITED, first_waiting=(entry("ada", None),), wave=budget, stocked=stocked(90))
    assert walks.next_batch(WAVE) == NextMessage(replace(WAVE, number=1, after="", tries=0))
    calls = walks.recorder.taken()
    assert calls[3] == ("rate_limiter.batch_max", 50)
    assert calls[4] == ("shards.first_waiting", "A", {"after": "p0", "limit": 50})


def test_the_first_wave_is_begun_with_an_email_for_each_unit(clock: Clock) -> None:
    walks = Walks(clock, LIMITED, first_waiting=())
    following = walks.next_batch(replace(WAVE, number=0))
    assert following == NextMessage(replace(WAVE, number=1, after="", sweep=True, tries=0), 30)
    began = {"known": WaveBudget(), "at_ms": clock()}
    calls = walks.recorder.taken()
    assert calls[2:4] == [
        ("progress.wave", "A"),
        ("progress.put_wave", "A", WaveBudget(number=1, granted=5, left=5), began),
    ]
    assert walks.next_batch(replace(WAVE, number=0, sweep=True)) is None


def test_a_budget_that_changes_each_time_makes_the_message_come_again(clock: Clock) -> None:
    walks = Walks(clock, LIMITED, put_wave=False)
    with pytest.raises(BudgetBusy, match=r"^A:1:e1$"):
        walks.next_batch(WAVE)
    assert walks.recorder.names().count("progress.put_wave") == BUDGET_TRIES_MAX == 8
    walks = Walks(clock, LIMITED, first_waiting=(), put_wave=one_after_another(*[False] * 7, True))
    assert walks.next_batch(WAVE) is not None


def test_a_wave_that_is_over_before_it_is_read_or_before_its_turn_notifies_nobody(clock: Clock) -> None:
    walks = Walks(clock, None)
    assert walks.next_batch(WAVE) is None
    assert walks.recorder.names() == ["restocks.live"]
    budget = WaveBudget(number=1, granted=5, left=5)
    looks = one_after_another(stocked(), stocked(0, Availability.OUT_OF_STOCK))
    walks = Walks(clock, LIMITED, first_waiting=(ADA,), wave=budget, stocked=looks)
    assert walks.next_batch(WAVE) is None
    assert walks.recorder.names()[-3:] == ["rate_limiter.acquire", "restocks.live", "products.get"]


@pytest.mark.parametrize(("left", "notified"), [(1, (ADA,)), (0, ())])
def test_units_sold_while_a_wave_waits_for_its_turn_get_no_email(
    clock: Clock, left: int, notified: tuple[Entry, ...]
) -> None:
    now_ms = clock()
    budgets = one_after_another(
        WaveBudget(number=1, granted=2, left=2, last_email_at_ms=now_ms - 1),
        WaveBudget(number=2, granted=left, left=left, last_email_at_ms=now_ms - 1),
    )
    looks = one_after_another(stocked(2), replace(stocked(left)))
    restock = replace(LIMITED, policy=replace(ONE_EACH, units_min=0))
    walks = Walks(clock, restock, first_waiting=(ADA, BOB), wave=budgets, stocked=looks)
    after = {"after": "p1", "tries": 0} if notified else {}
    assert walks.next_batch(WAVE) == NextMessage(replace(WAVE, number=2, **after))
    calls = [call for call in walks.recorder.taken() if call[0] == "notifier.notify"]
    assert calls == (
        [("notifier.notify", Batch(restock, ALL_SHARDS, notified, 2), stocked(left))] if notified else []
    )


def test_after_its_last_email_a_wave_is_followed_by_the_next_after_its_pause(clock: Clock) -> None:
    used_up = WaveBudget(number=4, granted=5, left=0, last_email_at_ms=clock() - 1)
    walks = Walks(clock, LIMITED, wave=used_up)
    due_ms = clock() - 1 + 30 * 60_000
    following = NextMessage(LimitedWave("A:1:e1", "A", 5, due_ms, tries=4, hops=9), 900)
    assert walks.next_batch(WAVE) == following
    soon = replace(LIMITED, policy=replace(ONE_EACH, next_after_min=1))
    following = NextMessage(LimitedWave("A:1:e1", "A", 5, clock() + 59_999, tries=4, hops=9), 60)
    assert Walks(clock, soon, wave=used_up).next_batch(WAVE) == following
    announced = replace(used_up, announced=5, announced_for="A:1:e1")
    assert Walks(clock, LIMITED, wave=announced).next_batch(WAVE) is None
    for_another = replace(announced, announced_for="A:0:e0")
    assert Walks(clock, LIMITED, wave=for_another).next_batch(WAVE) is not None


def test_no_wave_follows_where_there_is_nothing_to_offer(clock: Clock) -> None:
    nothing = replace(LIMITED, policy=replace(ONE_EACH, units_min=0))
    used_up = WaveBudget(number=4, granted=5, left=0, last_email_at_ms=clock() - 1)
    walks = Walks(clock, nothing, wave=used_up, stocked=stocked(0))
    assert walks.next_batch(WAVE) is None


@pytest.mark.parametrize("restock", [EVERYBODY, LIMITED])
def test_one_shopper_is_notified_at_their_turn(clock: Clock, restock: Restock) -> None:
    walks = Walks(clock, restock, entry=ADA)
    one = NotifyOne("A:1:e1", "A", "ada", wave=2)
    walks.next_batch(one, restock)
    shard = ALL_SHARDS if restock is LIMITED else shard_of("A", "ada")
    assert walks.recorder.taken() == [
        ("entries.get", "ada", "A"),
        ("rate_limiter.batch_max", 1),
        ("rate_limiter.acquire", 1),
        *LOOK,
        ("notifier.notify", Batch(restock, shard, (ADA,), 2, one), stocked()),
    ]


def test_one_shopper_is_not_notified_of_what_is_over_by_their_turn(clock: Clock) -> None:
    walks = Walks(clock, EVERYBODY, entry=ADA, stocked=None)
    walks.next_batch(NotifyOne("A:1:e1", "A", "ada"), EVERYBODY)
    assert "notifier.notify" not in walks.recorder.names()


@pytest.mark.parametrize(
    ("found", "deferrals", "dropped"),
    [
        (None, 1, True),
        (None, 0, False),
        (entry("ada", None, EntryState.UNSUBSCRIBED), 2, True),
        (entry("ada", None, EntryState.PENDING), 0, False),
        (entry("ada", None, EntryState.NOTIFIED), 1, False),
    ],
)
@pytest.mark.parametrize("restock", [EVERYBODY, LIMITED])
def test_one_who_does_not_wait_any_more_is_counted_out_if_deferred(
    clock: Clock, restock: Restock, found: Entry | None, deferrals: int, dropped: bool
) -> None:
    walks = Walks(clock, restock, entry=found)
    one = NotifyOne("A:1:e1", "A", "ada", deferrals=deferrals, wave=2)
    walks.next_batch(one, restock)
    shard = ALL_SHARDS if restock is LIMITED else shard_of("A", "ada")
    drops: list[tuple[Any, ...]] = [("notifier.drop", Batch(restock, shard, (), 2, one))] if dropped else []
    assert walks.recorder.taken() == [("entries.get", "ada", "A"), *drops]


def test_a_queued_wave_is_noted_by_its_number(clock: Clock) -> None:
    walks = Walks(clock)
    walks.walks[LimitedWave].queued(replace(WAVE, number=7))
    assert walks.recorder.taken() == [("progress.announce", "A", "A:1:e1", 7)]
    walks.walks[ShardStep].queued(STEP)
    walks.walks[NotifyOne].queued(NotifyOne("A:1:e1", "A", "ada"))
    assert walks.recorder.taken() == []


@pytest.mark.parametrize(
    ("message", "shards"),
    [
        (STEP, ["A#1"]),
        (WAVE, list(shards_of("A"))),
        (NotifyOne("A:1:e1", "A", "ada"), [shard_of("A", "ada")]),
        (NotifyOne("A:1:e1", "A", "ada", deferrals=1), ["A#again40"]),
    ],
)
def test_each_message_leases_the_shards_that_it_notifies(
    clock: Clock, message: WaveMessage, shards: list[str]
) -> None:
    assert list(Walks(clock).walks[type(message)].shards(message)) == shards


class Works:
    """A worker whose walk is a stand-in."""

    def __init__(
        self,
        clock: Callable[[], int],
        next_batch: Any = None,
        *,
        restock: Restock | None = EVERYBODY,
        taken: bool = True,
    ) -> None:
        self.recorder = recorder = Recorder()
        walk = recorder.part("walk", shards=["A#1", "A#2"], next_batch=next_batch)
        self.worker = FanOutWorker(
            dict.fromkeys((ShardStep, LimitedWave, NotifyOne), walk),
            FanOutStore(
                recorder.part("entries"),
                recorder.part("shards"),
                recorder.part("products", get=stocked()),
                recorder.part("restocks", live=restock),
                recorder.part("progress"),
                recorder.part("leases", take=taken),
            ),
            recorder.part("queue"),
            clock,
            lambda: "worker-1",
            lambda: 0.5,
        )

    def work(self, message: WaveMessage) -> list[tuple[Any, ...]]:
        """Do what a message says; return the calls."""
        self.worker.work(message)
        return self.recorder.taken()

    def walk(self, message: WaveMessage, clock: Clock) -> list[tuple[Any, ...]]:
        """Do what a message says; return the calls under its lease."""
        now_ms = clock()
        calls = self.work(message)
        holder = {"holder": "worker-1"}
        assert calls[:4] == [
            *LOOK,
            ("walk.shards", message),
            ("leases.take", ["A#1", "A#2"], {**holder, "at_ms": now_ms, "lease_ms": LEASE_MS}),
        ]
        assert calls[-1] == ("leases.release", ["A#1", "A#2"], holder)
        return calls[4:-1]


ONE = NotifyOne("A:1:e1", "A", "ada", tries=3, hops=9)
MESSAGES = [STEP, WAVE, ONE]


def put(message: WaveMessage, delay_s: int, **changes: Any) -> tuple[Any, ...]:
    return ("queue.put", replace(message, hops=message.hops + 1, **changes), {"delay_s": delay_s})


def test_a_message_about_what_is_over_does_nothing(clock: Clock) -> None:
    assert Works(clock, restock=None).work(STEP) == LOOK[:1]


@pytest.mark.parametrize(("hops", "tries", "refused"), [(5, 2, False), (6, 2, True), (5, 3, True)])
def test_a_chain_ends_past_its_hops_or_its_tries(
    clock: Clock, hops: int, tries: int, refused: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    works = Works(clock)
    works.worker.hops_max, works.worker.tries_max = 5, 2
    step = replace(STEP, hops=hops, tries=tries)
    if not refused:
        assert len(works.work(step)) > len(LOOK)
        return
    with pytest.raises(ChainTooLong, match=f"^{hops} hops, {tries} without progress$"):
        works.work(step)
    assert works.recorder.taken() == LOOK
    assert logged(capsys) == [{"event": "chain_too_long", "restock": "A:1:e1", "hops": hops, "tries": tries}]


@pytest.mark.parametrize("message", [WAVE, ONE])
def test_a_message_that_is_not_due_is_put_on_without_a_try_or_a_read(clock: Clock, message: Any) -> None:
    early = replace(message, not_before_ms=clock() + 1)
    assert Works(clock).work(early) == [put(early, 1)]
    with pytest.raises(ChainTooLong):
        Works(clock).work(replace(early, hops=WAVE_HOPS_MAX + 1))
    due = replace(message, not_before_ms=clock())
    assert "leases.take" in [call[0] for call in Works(clock).work(due)]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_shard_that_another_worker_walks_is_tried_again(clock: Clock, message: WaveMessage) -> None:
    assert Works(clock, taken=False).work(message)[4:] == [put(message, 5, tries=4)]


@pytest.mark.parametrize("message", MESSAGES)
def test_each_message_is_worked_on_under_its_lease(clock: Clock, message: WaveMessage) -> None:
    assert Works(clock).walk(message, clock) == [("walk.next_batch", message, EVERYBODY)]


def test_a_worker_that_fails_gives_its_lease_back_and_raises(clock: Clock) -> None:
    works = Works(clock, KeyError("x"))
    with pytest.raises(KeyError):
        works.work(STEP)
    assert works.recorder.taken()[-1] == ("leases.release", ["A#1", "A#2"], {"holder": "worker-1"})


def test_a_walk_goes_from_batch_to_batch_until_its_time_is_over(clock: Clock) -> None:
    second, third = replace(STEP, after="p1", tries=0), replace(STEP, after="p2", tries=0)
    following = iter([(WALK_MS_MAX - 1, second), (1, third)])

    def next_batch(*_: Any) -> NextMessage:
        passed_ms, step = next(following)
        clock.now_ms += passed_ms
        return NextMessage(step)

    works = Works(clock, next_batch)
    assert works.walk(STEP, clock) == [
        ("walk.next_batch", STEP, EVERYBODY),
        ("walk.next_batch", second, EVERYBODY),
        put(third, 0),
        ("walk.queued", third),
    ]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_step_with_delay_waits_in_the_queue_and_is_noted(clock: Clock, message: Any) -> None:
    later = replace(message, tries=0)
    works = Works(clock, NextMessage(later, 90))
    assert works.walk(message, clock)[1:] == [put(later, 90), ("walk.queued", later)]


def test_a_step_without_delay_is_walked_at_once(clock: Clock) -> None:
    further = replace(WAVE, after="p5", sweep=True)
    works = Works(clock, one_after_another(NextMessage(further), None))
    assert works.walk(WAVE, clock) == [
        ("walk.next_batch", WAVE, EVERYBODY),
        ("walk.next_batch", further, EVERYBODY),
    ]


@pytest.mark.parametrize("following", ["p5", None])
def test_a_sweep_goes_on_at_once(clock: Clock, following: str | None) -> None:
    entries = (entry("ada", following),) if following else ()
    walks = Walks(clock, waiting=WaitingPage(entries, bool(following)))
    sweep = replace(STEP, sweep=True)
    further = NextMessage(replace(sweep, after="p5", tries=0)) if following else None
    assert walks.next_batch(sweep) == further


@pytest.mark.parametrize(("tries", "delay_s"), [(3, 11), (SHORT_WAITS_MAX, 11), (SHORT_WAITS_MAX + 6, 96)])
def test_a_batch_that_may_not_leave_now_waits_as_long_as_is_asked_or_longer(
    clock: Clock, tries: int, delay_s: int, capsys: pytest.CaptureFixture[str]
) -> None:
    step = replace(STEP, tries=tries)
    calls = Works(clock, RateLimited("quota", 11)).walk(step, clock)
    assert calls[1:] == [put(step, delay_s, tries=tries + 1)]
    assert logged(capsys) == [{"event": "wave_waits", "restock": "A:1:e1", "reason": "quota"}]


@pytest.mark.parametrize(
    ("refused", "tries", "delay_s"),
    [
        ({"refusal": SendRefusal.RETRY}, 3, 12),
        ({"refusal": SendRefusal.RETRY, "progressed": True}, 0, 2),
        ({"refusal": SendRefusal.PAUSED}, 3, 900),
        ({"refusal": SendRefusal.PAUSED, "progressed": True}, 0, 900),
    ],
)
def test_a_batch_that_is_refused_is_put_back(
    clock: Clock,
    refused: Mapping[str, Any],
    tries: int,
    delay_s: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    calls = Works(clock, SendRefused("Throttled", **refused)).walk(STEP, clock)
    assert calls[1:] == [put(STEP, delay_s, tries=tries + 1)]
    assert logged(capsys) == [
        {"event": "wave_put_back", "restock": "A:1:e1", "reason": "Throttled", "delay_s": delay_s}
    ]


def test_a_batch_that_is_called_invalid_is_raised_after_its_lease_is_given_back(clock: Clock) -> None:
    works = Works(clock, SendRefused("BadRequest", SendRefusal.INVALID))
    with pytest.raises(SendRefused, match=r"^BadRequest$"):
        works.work(STEP)
    assert works.recorder.names()[4:] == ["walk.next_batch", "leases.release"]

"""The next batch of a fan-out, and what becomes of its message, call by call."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.domain.entry import Entry, EntryState, position_after_all, shard_of, shards_of
from chalicelib.domain.hops import SHORT_WAITS_MAX, ChainTooLong
from chalicelib.domain.product import Product, Variant
from chalicelib.domain.stock import Availability, Restock, Stock, StockedProduct
from chalicelib.domain.wave import LimitedWave, NotifyOne, WaveBudget, WaveMessage, WavePolicy, WaveStep
from chalicelib.mail.sender import Refusal, SendRefused
from chalicelib.services.batches import BUDGET_TRIES_MAX, Batches, BudgetBusy
from chalicelib.services.fan_out import LEASE_MS, WALK_MS_MAX, FanOut
from chalicelib.services.rate_limiter import RateLimited
from chalicelib.tables.progress import ALL_SHARDS
from chalicelib.tables.shards import WaitingPage
from tests.support.clock import Clock
from tests.support.log_lines import logged
from tests.support.recorder import Recorder, one_after_another

PRODUCT = Product("jacket", "Jacket", "A jacket.", "", "outerwear", (), (Variant("A", 100),))
ONE_EACH = WavePolicy(emails_per_unit=1, next_after_min=30)
EVERYBODY = Restock("A:1:e1", "jacket", "A", 5, 1, 2)
LIMITED = replace(EVERYBODY, policy=ONE_EACH)
STEP = WaveStep("A:1:e1", "A", "A#1", after="p0", tries=3, hops=9)
WAVE = LimitedWave("A:1:e1", "A", number=1, after="p0", tries=3, hops=9)
DROPPED = {"event": "wave_dropped", "restock": "A:1:e1", "sku": "A"}


def stocked(units: int | None = 5, availability: Availability = Availability.IN_STOCK) -> StockedProduct:
    return StockedProduct(PRODUCT, {"A": Stock(availability, units, 1, "e1")})


def entry(name: str, position: str | None, state: EntryState = EntryState.CONFIRMED) -> Entry:
    return Entry(name, "A", f"{name}@example.com", state, 1, position)


ADA, BOB, CYD = entry("ada", "p1"), entry("bob", "p2"), entry("cyd", "p3")


class Desk:
    """Batches whose every neighbour is a stand-in: 50 at a time, each turn at once."""

    def __init__(self, clock: Clock, restock: Restock | None = EVERYBODY, **answers: Any) -> None:
        self.recorder = recorder = Recorder()
        shard = {name: answers[name] for name in ("waiting", "first_waiting") if name in answers}
        budget = {"wave": answers.get("wave", WaveBudget()), "put_wave": answers.get("put_wave", True)}
        self.batches = Batches(
            recorder.part("entries", get=answers.get("entry")),
            recorder.part("shards", **shard),
            recorder.part("products", get=answers.get("stocked", stocked())),
            recorder.part("restocks", live=restock),
            recorder.part("progress", **budget),
            recorder.part(
                "rate_limiter", batch_max=answers.get("batch_max", 50), acquire=answers.get("turn")
            ),
            recorder.part("notifier"),
            clock,
        )


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
def test_what_is_over_is_dropped_with_a_line_that_says_so(
    clock: Clock,
    restock: Restock | None,
    answers: dict[str, Any],
    looks: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    desk = Desk(clock, restock, **answers)
    assert desk.batches.live("A:1:e1", "A") is None
    assert desk.recorder.taken() == LOOK[:looks]
    assert logged(capsys) == [DROPPED]


def test_what_goes_on_is_the_restock_with_its_product(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    enough = replace(EVERYBODY, policy=WavePolicy(units_min=5))
    assert Desk(clock, enough).batches.live("A:1:e1", "A") == (enough, stocked())
    assert logged(capsys) == []


@pytest.mark.parametrize("more", [True, False])
def test_a_batch_of_a_shard_is_read_awaited_looked_at_again_and_told(clock: Clock, more: bool) -> None:
    desk = Desk(clock, waiting=WaitingPage((ADA, BOB), more), batch_max=14)
    following = desk.batches.of_shard(STEP, EVERYBODY)
    assert following == (
        replace(STEP, after="p2", tries=0) if more else replace(STEP, after="", sweep=True, tries=0)
    )
    assert desk.recorder.taken() == [
        ("rate_limiter.batch_max", 50),
        ("shards.waiting", "A#1", {"after": "p0", "upto": position_after_all(2), "limit": 14}),
        ("rate_limiter.acquire", 2),
        *LOOK,
        ("notifier.notify", EVERYBODY, stocked(), "A#1", (ADA, BOB)),
    ]


def test_an_empty_shard_is_walked_once_more_whatever_may_follow(clock: Clock) -> None:
    desk = Desk(clock, waiting=WaitingPage((), True))
    assert desk.batches.of_shard(STEP, EVERYBODY) == replace(STEP, after="", sweep=True, tries=0)
    assert desk.batches.of_shard(replace(STEP, sweep=True), EVERYBODY) is None
    assert desk.recorder.names() == ["rate_limiter.batch_max", "shards.waiting"] * 2


def test_a_shard_sold_out_while_it_waits_for_its_turn_is_left(clock: Clock) -> None:
    sold_out = stocked(0, Availability.OUT_OF_STOCK)
    desk = Desk(clock, waiting=WaitingPage((ADA,), True), stocked=sold_out)
    assert desk.batches.of_shard(STEP, EVERYBODY) is None
    assert "notifier.notify" not in desk.recorder.names()


def test_a_limited_wave_tells_as_many_as_its_budget_has_and_keeps_its_place(clock: Clock) -> None:
    budget = WaveBudget(number=2, granted=5, left=2)
    desk = Desk(clock, LIMITED, first_waiting=(ADA, BOB), wave=budget, stocked=stocked(2), batch_max=2)
    assert desk.batches.of_wave(WAVE) == replace(WAVE, number=2, after="p2", tries=0)
    upto = position_after_all(clock())
    assert desk.recorder.taken() == [
        *LOOK,
        ("progress.wave", "A"),
        ("rate_limiter.batch_max", 2),
        ("shards.first_waiting", "A", {"after": "p0", "upto": upto, "limit": 2}),
        ("rate_limiter.acquire", 2),
        *LOOK,
        ("progress.wave", "A"),
        ("notifier.notify", LIMITED, stocked(2), ALL_SHARDS, (ADA, BOB), {"wave": 2}),
    ]


def test_a_limited_wave_reads_fifty_at_once_up_to_a_restock_ahead_of_the_clock(clock: Clock) -> None:
    ahead = replace(LIMITED, opened_at_ms=clock() + 5)
    budget = WaveBudget(number=1, granted=90, left=90)
    desk = Desk(clock, ahead, first_waiting=(entry("ada", None),), wave=budget, stocked=stocked(90))
    assert desk.batches.of_wave(WAVE) == replace(WAVE, number=1, after="", tries=0)
    calls = desk.recorder.taken()
    assert calls[3] == ("rate_limiter.batch_max", 50)
    upto = position_after_all(clock() + 5)
    assert calls[4] == ("shards.first_waiting", "A", {"after": "p0", "upto": upto, "limit": 50})


def test_the_first_wave_is_begun_with_an_email_for_each_unit(clock: Clock) -> None:
    desk = Desk(clock, LIMITED, first_waiting=())
    following = desk.batches.of_wave(replace(WAVE, number=0))
    assert following == replace(WAVE, number=1, after="", sweep=True, tries=0)
    began = {"known": WaveBudget(), "at_ms": clock()}
    calls = desk.recorder.taken()
    assert calls[2:4] == [
        ("progress.wave", "A"),
        ("progress.put_wave", "A", WaveBudget(number=1, granted=5, left=5), began),
    ]
    assert desk.batches.of_wave(replace(WAVE, number=0, sweep=True)) is None


def test_a_budget_that_changes_each_time_makes_the_message_come_again(clock: Clock) -> None:
    desk = Desk(clock, LIMITED, put_wave=False)
    with pytest.raises(BudgetBusy, match=r"^A:1:e1$"):
        desk.batches.of_wave(WAVE)
    assert desk.recorder.names().count("progress.put_wave") == BUDGET_TRIES_MAX == 8
    desk = Desk(clock, LIMITED, first_waiting=(), put_wave=one_after_another(*[False] * 7, True))
    assert desk.batches.of_wave(WAVE) is not None


def test_a_wave_that_is_over_before_it_is_read_or_before_its_turn_tells_nobody(clock: Clock) -> None:
    desk = Desk(clock, None)
    assert desk.batches.of_wave(WAVE) is None
    assert desk.recorder.names() == ["restocks.live"]
    budget = WaveBudget(number=1, granted=5, left=5)
    looks = one_after_another(stocked(), stocked(0, Availability.OUT_OF_STOCK))
    desk = Desk(clock, LIMITED, first_waiting=(ADA,), wave=budget, stocked=looks)
    assert desk.batches.of_wave(WAVE) is None
    assert desk.recorder.names()[-3:] == ["rate_limiter.acquire", "restocks.live", "products.get"]


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
    desk = Desk(clock, restock, first_waiting=(ADA, BOB), wave=budgets, stocked=looks)
    after = {"after": "p1", "tries": 0} if notified else {}
    assert desk.batches.of_wave(WAVE) == replace(WAVE, number=2, **after)  # type: ignore[arg-type]
    tells = [call for call in desk.recorder.taken() if call[0] == "notifier.notify"]
    assert tells == (
        [("notifier.notify", restock, stocked(left), ALL_SHARDS, notified, {"wave": 2})] if notified else []
    )


def test_after_its_last_email_a_wave_is_followed_by_the_next_after_its_pause(clock: Clock) -> None:
    used_up = WaveBudget(number=4, granted=5, left=0, last_email_at_ms=clock() - 1)
    desk = Desk(clock, LIMITED, wave=used_up)
    due_ms = clock() - 1 + 30 * 60_000
    assert desk.batches.of_wave(WAVE) == LimitedWave("A:1:e1", "A", 5, due_ms, tries=4, hops=9)
    announced = replace(used_up, announced=5, announced_for="A:1:e1")
    assert Desk(clock, LIMITED, wave=announced).batches.of_wave(WAVE) is None
    for_another = replace(announced, announced_for="A:0:e0")
    assert Desk(clock, LIMITED, wave=for_another).batches.of_wave(WAVE) is not None


def test_no_wave_follows_where_there_is_nothing_to_offer(clock: Clock) -> None:
    nothing = replace(LIMITED, policy=replace(ONE_EACH, units_min=0))
    used_up = WaveBudget(number=4, granted=5, left=0, last_email_at_ms=clock() - 1)
    desk = Desk(clock, nothing, wave=used_up, stocked=stocked(0))
    assert desk.batches.of_wave(WAVE) is None


@pytest.mark.parametrize("restock", [EVERYBODY, LIMITED])
def test_one_shopper_is_told_at_their_turn(clock: Clock, restock: Restock) -> None:
    desk = Desk(clock, restock, entry=ADA)
    one = NotifyOne("A:1:e1", "A", "ada", wave=2)
    desk.batches.of_one(one, restock)
    shard = ALL_SHARDS if restock is LIMITED else shard_of("A", "ada")
    assert desk.recorder.taken() == [
        ("entries.get", "ada", "A"),
        ("rate_limiter.batch_max", 1),
        ("rate_limiter.acquire", 1),
        *LOOK,
        ("notifier.notify", restock, stocked(), shard, [ADA], {"one": one}),
    ]


def test_one_shopper_is_not_told_of_what_is_over_by_their_turn(clock: Clock) -> None:
    desk = Desk(clock, EVERYBODY, entry=ADA, stocked=None)
    desk.batches.of_one(NotifyOne("A:1:e1", "A", "ada"), EVERYBODY)
    assert "notifier.notify" not in desk.recorder.names()


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
    desk = Desk(clock, restock, entry=found)
    desk.batches.of_one(NotifyOne("A:1:e1", "A", "ada", deferrals=deferrals, wave=2), restock)
    shard = ALL_SHARDS if restock is LIMITED else shard_of("A", "ada")
    drops: list[tuple[Any, ...]] = [("notifier.drop", restock, shard, {"wave": 2})] if dropped else []
    assert desk.recorder.taken() == [("entries.get", "ada", "A"), *drops]


def test_a_queued_wave_is_noted_by_its_number(clock: Clock) -> None:
    desk = Desk(clock)
    desk.batches.announced(replace(WAVE, number=7))
    assert desk.recorder.taken() == [("progress.announce", "A", "A:1:e1", 7)]


LIVE_NOW = (EVERYBODY, stocked())


class Works:
    """A fan-out whose every neighbour is a stand-in."""

    def __init__(
        self, clock: Callable[[], int], *, live: Any = LIVE_NOW, taken: bool = True, **does: Any
    ) -> None:
        self.recorder = recorder = Recorder()
        self.fan_out = FanOut(
            recorder.part("batches", live=live, **does),
            recorder.part("leases", take=taken),
            recorder.part("rate_limiter"),
            recorder.part("queue"),
            clock,
            lambda: "worker-1",
            lambda: 0.5,
        )

    def work(self, message: WaveMessage) -> list[tuple[Any, ...]]:
        """Do what a message says; return the calls."""
        self.fan_out.work(message)
        return self.recorder.taken()


ONE = NotifyOne("A:1:e1", "A", "ada", tries=3, hops=9)
LIVE = ("batches.live", "A:1:e1", "A")


def put(message: WaveMessage, delay_s: int, **changes: Any) -> tuple[Any, ...]:
    return ("queue.put", replace(message, hops=message.hops + 1, **changes), {"delay_s": delay_s})


def leased(message: WaveMessage, clock: Clock) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The calls that take and end the lease for a message."""
    shards: Any
    match message:
        case WaveStep():
            shards = ["A#1"]
        case LimitedWave():
            shards = shards_of("A")
        case NotifyOne(deferrals=0):
            shards = [shard_of("A", "ada")]
        case _:
            shards = ["A#again40"]
    taken = {"holder": "worker-1", "at_ms": clock(), "lease_ms": LEASE_MS}
    return ("leases.take", shards, taken), ("leases.release", shards, {"holder": "worker-1"})


def test_a_message_about_what_is_over_does_nothing(clock: Clock) -> None:
    assert Works(clock, live=None).work(STEP) == [LIVE]


@pytest.mark.parametrize(("hops", "tries", "refused"), [(5, 2, False), (6, 2, True), (5, 3, True)])
def test_a_chain_ends_past_its_hops_or_its_tries(
    clock: Clock, hops: int, tries: int, refused: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    works = Works(clock)
    works.fan_out.hops_max, works.fan_out.tries_max = 5, 2
    step = replace(STEP, hops=hops, tries=tries)
    if not refused:
        assert works.work(step)[0] == LIVE
        return
    with pytest.raises(ChainTooLong, match=f"^{hops} hops, {tries} without progress$"):
        works.work(step)
    assert works.recorder.taken() == [LIVE]
    assert logged(capsys) == [{"event": "chain_too_long", "restock": "A:1:e1", "hops": hops, "tries": tries}]


@pytest.mark.parametrize("message", [WAVE, ONE])
def test_a_message_that_is_not_due_is_put_on_without_a_try(clock: Clock, message: Any) -> None:
    early = replace(message, not_before_ms=clock() + 1)
    assert Works(clock).work(early) == [LIVE, put(early, 1)]
    due = replace(message, not_before_ms=clock())
    assert "leases.take" in [call[0] for call in Works(clock).work(due)]


@pytest.mark.parametrize("message", [STEP, WAVE, ONE, replace(ONE, deferrals=1)])
def test_a_line_that_another_worker_walks_is_tried_again(clock: Clock, message: WaveMessage) -> None:
    take, _ = leased(message, clock)
    assert Works(clock, taken=False).work(message) == [LIVE, take, put(message, 5, tries=4)]


@pytest.mark.parametrize(
    ("message", "call"),
    [
        (STEP, ("batches.of_shard", STEP, EVERYBODY)),
        (WAVE, ("batches.of_wave", WAVE)),
        (ONE, ("batches.of_one", ONE, EVERYBODY)),
        (replace(ONE, deferrals=1), ("batches.of_one", replace(ONE, deferrals=1), EVERYBODY)),
    ],
)
def test_each_kind_of_message_is_worked_on_under_its_lease(
    clock: Clock, message: WaveMessage, call: tuple[Any, ...]
) -> None:
    take, release = leased(message, clock)
    assert Works(clock).work(message) == [LIVE, take, call, release]


def test_a_worker_that_fails_gives_its_lease_back_and_raises(clock: Clock) -> None:
    works = Works(clock, of_shard=KeyError("x"))
    with pytest.raises(KeyError):
        works.work(STEP)
    assert works.recorder.taken()[-1] == leased(STEP, clock)[1]


def test_a_walk_goes_from_batch_to_batch_until_its_time_is_over(clock: Clock) -> None:
    second, third = replace(STEP, after="p1", tries=0), replace(STEP, after="p2", tries=0)
    following = iter([(WALK_MS_MAX - 1, second), (1, third)])

    def of_shard(*_: Any) -> WaveStep:
        passed_ms, step = next(following)
        clock.now_ms += passed_ms
        return step

    works = Works(clock, of_shard=of_shard)
    assert works.work(STEP)[2:-1] == [
        ("batches.of_shard", STEP, EVERYBODY),
        ("batches.of_shard", second, EVERYBODY),
        put(third, 0),
    ]


@pytest.mark.parametrize(("message", "does"), [(STEP, "of_shard"), (WAVE, "of_wave")])
def test_the_last_walk_of_a_line_comes_half_a_minute_later(clock: Clock, message: Any, does: str) -> None:
    sweep = replace(message, after="", sweep=True, tries=0)
    calls = Works(clock, **{does: sweep}).work(message)
    noted: list[tuple[Any, ...]] = []
    if message is WAVE:
        noted = [("batches.announced", replace(sweep, hops=9))]
    assert calls[3:-1] == [put(sweep, 30), *noted]
    # A sweep that goes on is walked at once.
    further = replace(sweep, after="p5")
    does_both: dict[str, Any] = {does: one_after_another(further, None)}
    calls = Works(clock, **does_both).work(sweep)
    assert [call[0] for call in calls][2:-1] == [f"batches.{does}"] * 2


def test_the_next_wave_waits_in_the_queue_until_it_is_due_and_is_noted(clock: Clock) -> None:
    later = replace(WAVE, number=2, not_before_ms=clock() + 90_000)
    calls = Works(clock, of_wave=later).work(WAVE)
    assert calls[3:-1] == [put(later, 90), ("batches.announced", later)]
    due = replace(later, not_before_ms=clock())
    calls = Works(clock, of_wave=one_after_another(due, None)).work(WAVE)
    assert calls[2:-1] == [("batches.of_wave", WAVE), ("batches.of_wave", due)]


@pytest.mark.parametrize(("tries", "delay_s"), [(3, 11), (SHORT_WAITS_MAX, 11), (SHORT_WAITS_MAX + 6, 96)])
def test_a_batch_that_may_not_leave_now_waits_as_long_as_is_asked_or_longer(
    clock: Clock, tries: int, delay_s: int, capsys: pytest.CaptureFixture[str]
) -> None:
    step = replace(STEP, tries=tries)
    calls = Works(clock, of_shard=RateLimited("quota", 11)).work(step)
    assert calls[3:-1] == [put(step, delay_s, tries=tries + 1)]
    assert logged(capsys) == [{"event": "wave_waits", "restock": "A:1:e1", "reason": "quota"}]


@pytest.mark.parametrize(
    ("refused", "tries", "delay_s", "stops"),
    [
        ({"refusal": Refusal.RETRY}, 3, 12, False),
        ({"refusal": Refusal.RETRY, "progressed": True}, 0, 2, False),
        ({"refusal": Refusal.PAUSED}, 3, 900, True),
        ({"refusal": Refusal.PAUSED, "progressed": True}, 0, 900, True),
    ],
)
def test_a_batch_that_is_refused_is_put_back(
    clock: Clock,
    refused: Mapping[str, Any],
    tries: int,
    delay_s: int,
    stops: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    calls = Works(clock, of_shard=SendRefused("Throttled", **refused)).work(STEP)
    stopped: list[tuple[Any, ...]] = [("rate_limiter.stop", "Throttled")] if stops else []
    assert calls[3:-1] == [*stopped, put(STEP, delay_s, tries=tries + 1)]
    assert logged(capsys) == [
        {"event": "wave_put_back", "restock": "A:1:e1", "reason": "Throttled", "delay_s": delay_s}
    ]


def test_a_batch_that_is_called_wrong_is_raised_after_its_lease_is_given_back(clock: Clock) -> None:
    works = Works(clock, of_shard=SendRefused("BadRequest", Refusal.INVALID))
    with pytest.raises(SendRefused, match=r"^BadRequest$"):
        works.work(STEP)
    assert works.recorder.names()[2:] == ["batches.of_shard", "leases.release"]

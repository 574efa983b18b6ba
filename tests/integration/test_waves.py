"""Limited waves, the pace that all workers share, and what happens when emails cannot be sent just now."""

import pytest

from chalicelib.domain.email import DeliveryOutcome, Email, OutgoingEmail, SendRefusal, SendRefused
from chalicelib.domain.entry import HOUR_MS, EntryState, shard_of
from chalicelib.domain.sending_limits import UNLIMITED, SendingLimits
from chalicelib.domain.stock import Availability
from chalicelib.domain.wave import EVERYONE, WavePolicy
from chalicelib.services.fan_out.rate_limiter import (
    ELECTED_MS,
    LIMITS_KEPT_MS,
    LIMITS_WAIT_S,
    PAUSED_WAIT_S,
    QUOTA_WAIT_S,
    WAIT_MS_MAX,
    RateLimited,
    RateLimitedSender,
    RateLimiter,
)
from chalicelib.tables.expressions import encode_item
from chalicelib.tables.sending.rate import KEY
from spillway.sitegen.release import Release
from tests.support.clock import Clock
from tests.support.log_lines import logged
from tests.support.shop import TestShop

IN_STOCK, SOLD_OUT = Availability.IN_STOCK, Availability.OUT_OF_STOCK
ONE_EACH = WavePolicy(emails_per_unit=1, next_after_min=30)


@pytest.fixture
def shop(clock: Clock, small_release: Release) -> TestShop:
    return TestShop(small_release, clock, slug="field-jacket", sku="FJ-MOSS-M")


def notified(shop: TestShop) -> list[str]:
    return [mailbox.partition("@")[0] for mailbox in shop.sender.mailboxes()]


def crowd(shop: TestShop, count: int) -> list[str]:
    names = [f"s{number:04}" for number in range(count)]
    shop.join(*names)
    return names


def test_a_limited_wave_notifies_exactly_the_first_over_all_shards(shop: TestShop) -> None:
    names = crowd(shop, 90)
    shop.policies.put("", ONE_EACH)
    shop.observe(IN_STOCK, units=60)
    shop.work_until(lambda: len(notified(shop)) >= 60)
    assert notified(shop) == names[:60]
    restock = shop.restocks.live(shop.sku)
    assert restock is not None
    done = shop.progress_so_far(restock)
    assert (done.notified, done.rejected, done.unclear, done.deferred_now) == (60, 0, 0, 0)
    budget = shop.progress.wave(shop.sku)
    assert (budget.number, budget.granted, budget.left) == (1, 60, 0)


def test_the_next_wave_follows_after_its_pause_for_the_units_there_are_then(shop: TestShop) -> None:
    names = crowd(shop, 20)
    shop.policies.put("", ONE_EACH)
    shop.observe(IN_STOCK, units=8)
    shop.work_until(lambda: len(notified(shop)) >= 8)
    first_done_ms = shop.clock()
    shop.observe(IN_STOCK, units=3)
    shop.work_until(lambda: len(notified(shop)) >= 11)
    assert notified(shop) == names[:11]
    assert shop.clock() - first_done_ms >= ONE_EACH.next_after_min * 60_000
    shop.observe(SOLD_OUT, units=0)
    shop.work()
    assert notified(shop) == names[:11]


def test_a_limited_wave_goes_on_where_the_clock_of_a_worker_is_behind_those_of_the_signups(
    shop: TestShop,
) -> None:
    shop.policies.put("", ONE_EACH)
    shop.account.now = SendingLimits(1.0, UNLIMITED)
    shop.observe(IN_STOCK, units=20)
    names = crowd(shop, 20)
    shop.work_until(lambda: len(notified(shop)) >= 5)
    shop.clock.pass_s(-3600)
    shop.fan_out.work(shop.queue.take())
    shop.work_until(lambda: len(notified(shop)) >= 20)
    assert notified(shop) == names


def test_two_emails_for_each_unit(shop: TestShop) -> None:
    names = crowd(shop, 12)
    shop.policies.put("", WavePolicy(emails_per_unit=2))
    shop.observe(IN_STOCK, units=3)
    shop.work_until(lambda: len(notified(shop)) >= 6)
    assert notified(shop) == names[:6]


def test_a_wave_ends_with_the_shards_and_goes_on_for_who_confirms_later(shop: TestShop) -> None:
    crowd(shop, 3)
    shop.policies.put("", ONE_EACH)
    shop.observe(IN_STOCK, units=5)
    shop.work()
    shop.join("late1", "late2", "late3")
    for name in ("late1", "late2", "late3"):
        shop.restocking.notify_if_available(shop.shopper(name), shop.sku, at_ms=shop.clock())
    shop.work_until(lambda: len(notified(shop)) >= 5)
    assert notified(shop)[3:] == ["late1", "late2"]


def test_a_shopper_who_confirms_before_the_stream_record_of_a_restock_is_in_its_waves_too(
    shop: TestShop,
) -> None:
    names = crowd(shop, 12)
    shop.policies.put("", ONE_EACH)
    restocked = shop.observe_unstreamed(IN_STOCK, units=5)
    for name in names:
        shop.restocking.notify_if_available(shop.shopper(name), shop.sku, at_ms=shop.clock())
    shop.work_until(lambda: len(notified(shop)) >= 5)
    for restock in restocked:
        shop.restocking.open_restock(restock)
    for _ in range(40):
        if shop.queue.messages and shop.queue.due_ms() <= shop.clock() + 60_000:
            shop.work_once()
    assert notified(shop) == names[:5]


def test_too_few_units_are_worth_no_email(shop: TestShop) -> None:
    crowd(shop, 3)
    shop.policies.put("", WavePolicy(units_min=3))
    shop.observe(IN_STOCK, units=2)
    shop.work()
    assert notified(shop) == []
    shop.observe(IN_STOCK, units=4)
    shop.work()
    assert len(notified(shop)) == 3


def test_a_products_own_policy_counts_before_the_shops(shop: TestShop) -> None:
    assert shop.policies.of("scarf") == EVERYONE
    shop.policies.put("", ONE_EACH)
    shop.policies.put("field-jacket", WavePolicy(emails_per_unit=2))
    assert shop.policies.of("scarf") == ONE_EACH
    assert shop.policies.of("field-jacket").emails_per_unit == 2
    shop.policies.remove("field-jacket")
    assert shop.policies.of("field-jacket") == ONE_EACH


def test_a_confirmation_while_too_few_units_are_left_waits(shop: TestShop) -> None:
    shop.policies.put("", WavePolicy(units_min=3))
    shop.observe(IN_STOCK, units=2)
    shop.join("late")
    shop.restocking.notify_if_available(shop.shopper("late"), shop.sku, at_ms=shop.clock())
    assert shop.queue.messages == []


def test_a_shop_that_does_not_count_notifies_everyone(shop: TestShop) -> None:
    crowd(shop, 3)
    shop.policies.put("", ONE_EACH)
    shop.observe(IN_STOCK, units=None)
    shop.work()
    assert len(notified(shop)) == 3


def test_a_worker_that_dies_after_sending_does_not_let_the_wave_grow(shop: TestShop) -> None:
    names = crowd(shop, 12)
    shop.policies.put("", ONE_EACH)
    shop.observe(IN_STOCK, units=8)
    shop.sender.dies_after_sending = True
    shop.work_until(lambda: len(notified(shop)) >= 16)
    assert notified(shop) == names[:8] * 2


def test_the_rate_holds_however_many_workers_send(shop: TestShop) -> None:
    shop.account.now = SendingLimits(14.0, UNLIMITED)
    crowd(shop, 70)
    shop.observe(IN_STOCK)
    sent_ms: list[int] = []
    shop.sender.on_emails = lambda emails: sent_ms.extend([shop.clock()] * emails)
    shop.work()
    assert len(sent_ms) == 70
    for start_ms in sent_ms:
        # A turn is a second's worth at most, so two turns may touch in any one second.
        assert sum(start_ms <= at_ms < start_ms + 1000 for at_ms in sent_ms) <= 28
    assert (sent_ms[-1] - sent_ms[0]) / 1000 >= 70 / 14 - 1


def test_a_quota_used_up_today_resumes_by_itself(shop: TestShop) -> None:
    names = crowd(shop, 12)
    shop.account.now = SendingLimits(1000.0, 5)
    shop.observe(IN_STOCK)
    shop.work_until(lambda: QUOTA_WAIT_S in shop.queue.delays_s)
    assert len(notified(shop)) <= 5
    shop.clock.pass_s(24 * 3600)
    shop.account.now = SendingLimits(1000.0, 50_000)
    shop.work()
    assert sorted(notified(shop)) == names


def test_a_quota_used_up_in_mid_wave_parks_it_and_the_next_day_goes_on_in_order(shop: TestShop) -> None:
    names = crowd(shop, 12)
    shop.policies.put("", ONE_EACH)
    shop.account.now = SendingLimits(1000.0, 5)
    shop.observe(IN_STOCK, units=12)
    shop.work_until(lambda: QUOTA_WAIT_S in shop.queue.delays_s)
    assert (notified(shop), shop.sender.calls) == (names[:5], 1)
    shop.account.now = SendingLimits(1000.0, 0)
    parked_ms, looks = shop.clock(), 0
    while shop.clock() - parked_ms < 23 * 3600 * 1000:
        assert shop.work_once()
        looks += 1
    # A look in a quarter of an hour, and no call of SES that it would refuse.
    assert looks <= 23 * 4 + 2
    assert (notified(shop), shop.sender.calls, shop.alarms) == (names[:5], 1, [])
    shop.account.now = SendingLimits(1000.0, 50_000)
    shop.work_until(lambda: len(notified(shop)) >= 12)
    assert notified(shop) == names


def test_a_days_quota_counts_an_hour_until_the_whole_of_it_is_a_day_old(shop: TestShop) -> None:
    shop.clock.now_ms -= shop.clock.now_ms % HOUR_MS
    shop.account.now = SendingLimits(1000.0, 100, emails_per_day=100)
    shop.rate_limiter.acquire(30)
    for hours, left in ((24.5, 70), (0.75, 99)):
        shop.clock.pass_s(hours * 3600)
        shop.rate_limiter.acquire(1)
        state = shop.rate_table.state()
        assert state is not None
        assert state.emails_left == left - 1


def test_limits_that_are_gone_from_the_table_are_waited_for(shop: TestShop) -> None:
    shop.rate_limiter.acquire(1)
    shop.dynamodb.delete_item(TableName=shop.sending_name, Key=encode_item(KEY))
    with pytest.raises(RateLimited) as not_now:
        shop.rate_limiter.acquire(1)
    assert (not_now.value.reason, not_now.value.delay_s) == ("limits", LIMITS_WAIT_S)


def test_limits_are_read_once_and_kept_a_while(shop: TestShop) -> None:
    shop.rate_limiter.acquire(1)
    shop.rate_limiter.acquire(1)
    assert shop.account.reads == 1
    shop.clock.pass_s(LIMITS_KEPT_MS / 1000)
    shop.rate_limiter.acquire(1)
    assert shop.account.reads == 2


def test_a_turn_too_far_away_is_not_waited_for(shop: TestShop) -> None:
    shop.account.now = SendingLimits(1.0, UNLIMITED)
    for _ in range(WAIT_MS_MAX // 1000):
        shop.rate_limiter.acquire(1)
    shop.clock.now_ms -= WAIT_MS_MAX
    with pytest.raises(RateLimited, match="rate"):
        shop.rate_limiter.acquire(1)


def test_a_throttled_step_is_put_back_with_growing_delays(shop: TestShop) -> None:
    shop.join("ada")
    shop.observe(IN_STOCK)
    shop.sender.refuses = 4
    before = len(shop.queue.delays_s)
    shop.work(tries=1)
    assert notified(shop) == ["ada"]
    put_back_s = [delay for delay in shop.queue.delays_s[before:] if delay not in (0, 30)]
    assert put_back_s == sorted(put_back_s)
    assert len(put_back_s) == 4


def test_a_stopped_account_pauses_sending_until_somebody_resumes_it(
    shop: TestShop, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.join("ada", "bob")
    shop.observe(IN_STOCK)
    shop.sender.refusal = SendRefusal.PAUSED
    shop.sender.refuses = 1
    shop.work_until(lambda: shop.sender.calls >= 1)
    calls = shop.sender.calls
    for _ in range(20):
        shop.work_once()
    assert shop.sender.calls == calls
    assert shop.alarm_subjects == ["Emails are paused"]
    assert shop.alarms == ["TooManyRequestsException. Look into it, then run: spillway resume"]
    (shard,) = logged(capsys, "sending_paused")
    assert shard == {"event": "sending_paused", "reason": "TooManyRequestsException"}
    assert shop.rate_table.resume()
    shop.work()
    assert sorted(notified(shop)) == ["ada", "bob"]


def test_a_stopped_account_rings_once_and_fills_no_dead_letters_while_nobody_looks(shop: TestShop) -> None:
    names = crowd(shop, 24)
    shop.observe(IN_STOCK)
    shop.sender.refusal, shop.sender.refuses = SendRefusal.PAUSED, 1_000
    steps = len(shop.queue.messages)
    stopped_ms = shop.clock()
    while shop.clock() - stopped_ms < 12 * 3600 * 1000:
        message = shop.queue.take()
        shop.clock.now_ms = max(shop.clock(), shop.queue.due_ms() if shop.queue.messages else 0)
        # One that raises would come again four times, and then wait among the dead letters.
        shop.fan_out.work(message)
    assert shop.sender.calls == 1
    assert shop.alarms == ["TooManyRequestsException. Look into it, then run: spillway resume"]
    assert len(shop.queue.messages) == steps
    assert set(shop.queue.delays_s[-steps:]) == {PAUSED_WAIT_S}
    shop.sender.refuses = 0
    assert shop.rate_table.resume()
    shop.work()
    assert sorted(notified(shop)) == names
    for shard in {shard_of(shop.sku, shop.shopper(name)) for name in names}:
        of_line = [name for name in names if shard_of(shop.sku, shop.shopper(name)) == shard]
        assert [name for name in notified(shop) if name in of_line] == of_line


def test_the_log_says_what_a_restock_came_to(shop: TestShop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.join("ada")
    shop.observe(IN_STOCK)
    restock = shop.restocks.live(shop.sku)
    assert restock is not None
    about = {"restock": restock.id, "sku": shop.sku}
    shop.sender.refuses = 1
    shop.sender.deliveries["ada@example.com"] = DeliveryOutcome.DEFERRED
    shop.work()
    events = ("waves_opened", "wave_put_back", "email_deferred", "shoppers_notified")
    shards = logged(capsys, *events)
    assert shards[1].pop("delay_s") in shop.queue.delays_s
    counted = {"event": "shoppers_notified", "postponed": 0, **about}
    assert shards == [
        {"event": "waves_opened", **about},
        {"event": "wave_put_back", "restock": restock.id, "reason": "TooManyRequestsException"},
        {
            "event": "email_deferred",
            "restock": restock.id,
            "shopper": shop.shopper("ada"),
            "reason": "DEFERRED",
            "deferrals": 1,
        },
        {**counted, "notified": 0, "deferred": 1},
        {**counted, "notified": 1, "deferred": 0},
    ]


def test_the_log_says_what_a_wave_waits_for_and_that_it_was_dropped(
    shop: TestShop, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.join("ada")
    shop.observe(IN_STOCK)
    restock = shop.restocks.live(shop.sku)
    assert restock is not None
    shop.rate_table.pause("somebody asked for it")
    shop.work_until(lambda: PAUSED_WAIT_S in shop.queue.delays_s)
    waits = {"event": "wave_waits", "restock": restock.id, "reason": "somebody asked for it"}
    assert waits in logged(capsys)
    shop.observe(SOLD_OUT, units=0)
    assert shop.rate_table.resume()
    shop.work()
    assert {"event": "wave_dropped", "restock": restock.id, "sku": shop.sku} in logged(capsys)


def test_an_email_the_transport_calls_wrong_is_for_a_person_to_see(shop: TestShop) -> None:
    shop.join("ada")
    shop.observe(IN_STOCK)
    shop.sender.refusal = SendRefusal.INVALID
    shop.sender.refuses = 1
    hers = shard_of(shop.sku, shop.shopper("ada"))
    with pytest.raises(SendRefused):
        shop.fan_out.work(next(step for step in shop.queue.messages if hers in str(step)))


def test_an_unknown_outcome_is_repeated_once_and_then_counted(shop: TestShop) -> None:
    shop.join("ada")
    shop.observe(IN_STOCK)
    shop.sender.times_out = 2
    shop.work()
    assert notified(shop) == ["ada", "ada"]
    entry = shop.entry("ada")
    assert entry is not None
    assert entry.state is EntryState.NOTIFIED
    restock = shop.restocks.live(shop.sku)
    assert restock is not None
    assert shop.progress_so_far(restock).unclear == 1


def test_single_emails_await_their_turn_too(shop: TestShop) -> None:
    shop.account.now = SendingLimits(1000.0, 1)
    shop.join("ada")
    paced = RateLimitedSender(shop.sender, shop.rate_limiter)
    outgoing = OutgoingEmail("ada@example.com", Email("s", "t", "h"))
    assert len(paced.send("shop@example.com", [outgoing])) == 1
    with pytest.raises(SendRefused, match="quota"):
        paced.send("shop@example.com", [outgoing])
    assert shop.sender.calls == 1


def test_one_of_many_workers_reads_the_limits_and_the_others_use_the_known_ones(
    shop: TestShop,
) -> None:
    workers = [RateLimiter(shop.rate_table, shop.account, shop.clock, shop.clock.pass_s) for _ in range(60)]
    workers[0].acquire(1)
    for worker in workers[1:]:
        worker.acquire(1)
    assert shop.account.reads == 1
    shop.clock.pass_s(LIMITS_KEPT_MS / 1000)
    asked, limits = shop.account.limits, shop.account.now

    def while_asked() -> SendingLimits:
        # Deeds of the others in the meantime.
        shop.account.limits = asked  # type: ignore[method-assign]
        for worker in workers[1:]:
            worker.acquire(1)
        shop.account.reads += 1
        return limits

    shop.account.limits = while_asked  # type: ignore[method-assign]
    workers[0].acquire(1)
    assert shop.account.reads == 2


def test_limits_that_cannot_be_read_leave_the_old_ones_in_force(shop: TestShop) -> None:
    shop.rate_limiter.acquire(1)
    shop.clock.pass_s(LIMITS_KEPT_MS / 1000)

    def fail() -> SendingLimits:
        raise RuntimeError

    shop.account.limits = fail  # type: ignore[method-assign]
    shop.rate_limiter.acquire(1)


def test_without_any_limits_a_throttled_account_is_waited_for_and_any_other_fault_is_raised(
    shop: TestShop,
) -> None:
    def throttled() -> SendingLimits:
        raise SendRefused("TooManyRequestsException")

    shop.account.limits = throttled  # type: ignore[method-assign]
    with pytest.raises(RateLimited) as not_now:
        shop.rate_limiter.acquire(1)
    assert (not_now.value.reason, not_now.value.delay_s) == ("limits", LIMITS_WAIT_S)
    shop.clock.pass_s(ELECTED_MS / 1000 + 1)

    def forbidden() -> SendingLimits:
        raise PermissionError

    shop.account.limits = forbidden  # type: ignore[method-assign]
    with pytest.raises(PermissionError):
        shop.rate_limiter.acquire(1)


def test_a_stopped_account_pauses_single_emails_too(shop: TestShop) -> None:
    shop.sender.refusal, shop.sender.refuses = SendRefusal.PAUSED, 1
    paced = RateLimitedSender(shop.sender, shop.rate_limiter)
    outgoing = OutgoingEmail("ada@example.com", Email("s", "t", "h"))
    with pytest.raises(SendRefused):
        paced.send("shop@example.com", [outgoing])
    assert len(shop.alarms) == 1
    with pytest.raises(SendRefused) as refused:
        paced.send("shop@example.com", [outgoing])
    assert refused.value.delay_s == PAUSED_WAIT_S
    assert shop.sender.calls == 1

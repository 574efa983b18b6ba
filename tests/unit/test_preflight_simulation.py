"""The simulator against queueing theory, and the story it is made for."""

from itertools import pairwise
from math import exp
from random import Random

import pytest

from spillway.preflight.amounts import Measured, Step, StepFigures
from spillway.preflight.campaign import Campaign, Shape, rates_per_s
from spillway.preflight.cloud_model import (
    DAY_S,
    GROWTH_AFTER_S,
    CallStart,
    EmailQueue,
    LambdaInstances,
    TableCapacity,
    TokenBucket,
    emails_per_s_needed,
)
from spillway.preflight.limits import FloodLimits, Origin
from spillway.preflight.simulation import Resource, SimulationResult, simulate
from spillway.preflight.usage import REGIONAL_CACHES
from tests.support.queueing import concurrency_max, erlang_b, erlang_c, littles_law, md1_wait_s

SMALL = Campaign(visitors=20_000, over_s=600, peak_factor=3, signup_rate=0.1)


@pytest.fixture
def measured() -> Measured:
    steps = {step: StepFigures(cpu_ms=2.0, calls={"dynamodb.UpdateItem": 1}) for step in Step}
    return Measured("2026-01-01", "any", "none", steps)


def play(campaign: Campaign, limits: FloodLimits, measured: Measured, *, seed: int = 1) -> SimulationResult:
    return simulate(campaign, rates_per_s(campaign, Shape.SPIKE), limits, measured, seed=seed)


def known(**values: float) -> FloodLimits:
    return FloodLimits().known(Origin.GIVEN, **values)


def environments(most: int, **facts: float) -> LambdaInstances:
    settings = {"new_per_10_s": 1e9, "calls_per_s": 1e9, "init_s": 0.0, **facts}
    return LambdaInstances(most=most, **settings)


@pytest.mark.parametrize(("servers", "offered"), [(5, 3.0), (10, 9.0), (20, 12.0)])
@pytest.mark.parametrize("durations", ["constant", "exponential"])
def test_calls_are_blocked_as_often_as_erlang_b_says(servers: int, offered: float, durations: str) -> None:
    dice, pool = Random(7), environments(servers)
    at_s, calls, blocked = 0.0, 30_000, 0
    for _ in range(calls):
        at_s += dice.expovariate(offered)
        duration_s = 1.0 if durations == "constant" else dice.expovariate(1.0)
        blocked += pool.call(at_s=at_s, duration_s=duration_s)[0] is CallStart.THROTTLED
    assert blocked / calls == pytest.approx(erlang_b(offered, servers), rel=0.1, abs=0.004)


def test_environments_at_work_follow_littles_law() -> None:
    dice, pool = Random(3), environments(10_000)
    at_s, seen = 0.0, []
    for _ in range(40_000):
        at_s += dice.expovariate(50.0)
        # An arrival sees what an outside observer sees (PASTA): those before it, not itself.
        pool.call(at_s=at_s, duration_s=0.4)
        seen.append(pool.busy - 1)
    assert sum(seen) / len(seen) == pytest.approx(littles_law(50.0, 0.4), rel=0.02)
    assert max(seen) < concurrency_max(50.0, 0.4) * 1.5


@pytest.mark.parametrize("load", [0.3, 0.7])
def test_emails_wait_as_long_as_before_one_server_of_constant_time(load: float) -> None:
    # A service is cut into so many ticks, so that whole ones do not blur it.
    dice, ticks_per_service, services = Random(11), 20, 8_000
    queue = EmailQueue(per_s=1 / ticks_per_service, per_day=1e12)
    next_at = dice.expovariate(load / ticks_per_service)
    for tick in range(ticks_per_service * services):
        while next_at < tick + 1:
            queue.put(1, at_s=tick)
            next_at += dice.expovariate(load / ticks_per_service)
        queue.send(at_s=tick)
    mean_wait = queue.wait_s_sum / queue.sent / ticks_per_service
    assert mean_wait == pytest.approx(md1_wait_s(load, 1.0), rel=0.12, abs=0.05)


def test_known_values_of_the_formulas() -> None:
    assert erlang_b(2.0, 3) == pytest.approx(4 / 19)
    assert erlang_c(2.0, 3) == pytest.approx(4 / 9)
    assert erlang_c(3.0, 3) == 1
    assert md1_wait_s(0.5, 1.0) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="no end"):
        md1_wait_s(2.0, 1.0)


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = TokenBucket(10, 5)
    taken = [at / 100 for at in range(1000) if bucket.take(at_s=at / 100)]
    assert taken[:5] == [0, 0.01, 0.02, 0.03, 0.04]
    assert len(taken) == pytest.approx(5 + 10 * 9.99, abs=1)


def test_new_environments_come_a_thousand_in_ten_seconds_and_are_reused() -> None:
    pool = environments(5_000, new_per_10_s=1_000, init_s=0.5)
    starts = [pool.call(at_s=0.0, duration_s=1.0)[0] for _ in range(1_500)]
    assert (starts.count(CallStart.COLD), starts.count(CallStart.THROTTLED)) == (1_000, 500)
    later = [pool.call(at_s=2.0, duration_s=1.0)[0] for _ in range(1_300)]
    assert (later.count(CallStart.WARM), later.count(CallStart.COLD), later.count(CallStart.THROTTLED)) == (
        1_000,
        200,
        100,
    )
    ready = LambdaInstances(most=10, new_per_10_s=0, calls_per_s=1e9, init_s=1, ready=2)
    assert [ready.call(at_s=0, duration_s=1)[0] for _ in range(3)] == [
        CallStart.WARM,
        CallStart.WARM,
        CallStart.THROTTLED,
    ]


def test_an_environment_takes_ten_calls_a_second_however_short_they_are() -> None:
    pool = environments(10, calls_per_s=10)
    taken = sum(
        pool.call(at_s=call / 1000, duration_s=0.0001)[0] is not CallStart.THROTTLED for call in range(1000)
    )
    assert taken == pytest.approx(10 * 10 + 10 * 10, abs=2)  # one second's worth is a burst


def test_one_hot_partition_throttles_before_the_table_does() -> None:
    table = TableCapacity(warm=4_000, per_partition=1_000)
    assert sum(table.write(0, at_s=0.5) for _ in range(1_500)) == 1_000
    assert sum(table.write(key, at_s=1.5) for key in range(6_000)) == 4_000


def test_a_table_grows_to_twice_its_peak_after_half_an_hour() -> None:
    table = TableCapacity(warm=4_000, per_partition=1_000)
    for key in range(4_000):
        table.write(key, at_s=0)
    table.write(0, at_s=60)
    assert table.capacity == 4_000
    table.write(0, at_s=GROWTH_AFTER_S + 1)
    assert table.capacity == 8_000


def test_the_days_quota_parks_emails_until_tomorrow() -> None:
    queue = EmailQueue(per_s=10, per_day=200)
    queue.put(300, at_s=0)
    sent = {at_s: queue.send(at_s=at_s) for at_s in (*range(40), DAY_S + 20, DAY_S + 21)}
    assert sum(sent[at_s] for at_s in range(40)) == 200
    assert queue.sent > 200


def test_the_pace_needed_is_the_lowest_that_keeps_the_wait() -> None:
    arrivals = [100] * 60 + [0] * 600
    pace = emails_per_s_needed(arrivals, wait_s_max=60)
    assert pace == pytest.approx(50, rel=0.05)


def test_the_same_seed_plays_the_same_campaign_and_another_seed_another(measured: Measured) -> None:
    assert play(SMALL, FloodLimits(), measured) == play(SMALL, FloodLimits(), measured)
    assert play(SMALL, FloodLimits(), measured, seed=2) != play(SMALL, FloodLimits(), measured)


@pytest.mark.parametrize("seed", range(5))
def test_as_many_sign_up_as_the_campaign_says(measured: Measured, seed: int) -> None:
    run = play(SMALL, known(emails_per_s=100), measured, seed=seed)
    assert run.signups == run.accepted == SMALL.signups
    assert run.visitors == pytest.approx(SMALL.visitors, rel=0.05)


def test_the_visitors_are_the_same_under_different_limits(measured: Measured) -> None:
    tight = play(SMALL, known(api_calls_per_s=2, api_burst_calls=2), measured)
    assert tight.signups == play(SMALL, FloodLimits(), measured).signups


def test_every_signup_is_stored_or_has_given_up(measured: Measured) -> None:
    run = play(SMALL, known(api_calls_per_s=2, api_burst_calls=2, emails_per_s=1e6), measured)
    assert run.throttled[Resource.API] > 0
    assert run.gave_up > 0
    turned_away_later = run.accepted - run.confirmed  # confirmations meet the same throttle
    assert run.accepted + run.gave_up >= run.signups
    assert run.accepted <= run.signups
    assert turned_away_later >= 0
    assert not run.nothing_lost


@pytest.mark.parametrize(
    ("limits", "by"),
    [
        (known(api_calls_per_s=2, api_burst_calls=2), Resource.API),
        (known(concurrency=0), Resource.LAMBDA),
        (known(table_write_units_per_s=1, partition_write_units_per_s=1), Resource.TABLE),
        (known(index_write_units_per_s=0.5), Resource.INDEX),
    ],
)
def test_a_limit_that_is_too_small_throttles_calls(
    limits: FloodLimits, by: Resource, measured: Measured
) -> None:
    run = play(SMALL, limits, measured)
    assert set(run.throttled) == {by}
    assert run.first_throttle is not None
    assert run.first_throttle[0] is by


def test_emails_later_than_three_days_count_as_lost(measured: Measured) -> None:
    run = play(SMALL, known(emails_per_s=1, emails_per_day=200), measured)
    assert run.emails_late + run.emails_unsent > 0
    assert not run.nothing_lost


def test_with_room_for_all_nothing_is_throttled_and_nothing_lost(measured: Measured) -> None:
    run = play(SMALL, known(emails_per_s=100), measured)
    assert run.nothing_lost
    assert not run.throttled
    assert run.signups == run.accepted == run.confirmed


def test_the_bucket_is_read_as_often_as_the_bill_charges(measured: Measured) -> None:
    rates = rates_per_s(SMALL, Shape.SPIKE)
    run = simulate(SMALL, rates, FloodLimits(), measured, seed=1, requests_per_view=3)
    assert run.origin_reads == 3 * REGIONAL_CACHES
    assert sum(second.edge_misses for second in run.seconds) > run.origin_reads


@pytest.mark.parametrize("shape", list(Shape))
@pytest.mark.parametrize("peak_factor", [1.0, 2.0, 5.0, 10.0])
def test_a_curve_has_all_visitors_and_no_higher_peak_than_requested(shape: Shape, peak_factor: float) -> None:
    campaign = Campaign(1_000_000, 3600, peak_factor)
    rates = rates_per_s(campaign, shape)
    assert len(rates) == 3600
    assert sum(rates) == pytest.approx(1_000_000)
    top = 1.0 if shape is Shape.FLAT else peak_factor
    assert max(rates) == pytest.approx(top * campaign.visitors_per_s_mean, rel=0.25)


@pytest.mark.parametrize("shape", [Shape.SPIKE, Shape.DOUBLE_SPIKE])
@pytest.mark.parametrize("over_s", range(1, 8))
def test_a_campaign_of_seconds_has_the_sharpest_peak_that_fits(shape: Shape, over_s: int) -> None:
    rates = rates_per_s(Campaign(600, over_s, peak_factor=100), shape)
    assert len(rates) == over_s
    assert sum(rates) == pytest.approx(600)
    # They come in one second, or half of them in each of two.
    assert max(rates) == pytest.approx(300 if shape is Shape.DOUBLE_SPIKE and over_s in {4, 6} else 600)


def test_a_double_spike_comes_twice() -> None:
    rates = rates_per_s(Campaign(1_000_000, 3600, 5.0), Shape.DOUBLE_SPIKE)
    rising = [later > before for before, later in pairwise(rates)]
    starts = sum(now and not before for before, now in pairwise([False, *rising]))
    assert starts == 2
    assert rates[-1] < max(rates) * exp(-1)

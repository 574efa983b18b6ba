"""Cohorts of emails: when their bounces and complaints stop all sending."""

from datetime import date, timedelta
from math import comb

import pytest

from chalicelib.domain.sending_limits import (
    COHORT_EMAILS_MIN,
    WINDOW_DAYS,
    Cohort,
    chance_of_at_least,
    cohorts,
    days_judged,
    reason_to_pause,
    total_of,
)

DAY = date(2026, 11, 20)


@pytest.mark.parametrize(
    ("emails", "bounced", "complained", "reason"),
    [
        (4_000, 0, 12, "2026-11-20: 12 complaints of 4,000 emails"),
        (1_000, 0, 5, "2026-11-20: 5 complaints of 1,000 emails"),
        (1_000, 0, 4, None),
        (1_000, 0, 1, None),
        (20_000, 0, 2, None),
        # At the limit, and over it by no more than chance explains.
        (20_000, 0, 20, None),
        (20_000, 0, 31, None),
        (20_000, 0, 32, "2026-11-20: 32 complaints of 20,000 emails"),
        (1_000_000, 0, 1_100, "2026-11-20: 1,100 complaints of 1,000,000 emails"),
        (COHORT_EMAILS_MIN, 0, 1, None),
        (COHORT_EMAILS_MIN, 0, 2, "2026-11-20: 2 complaints of 100 emails"),
        (COHORT_EMAILS_MIN - 1, 99, 99, None),
        (0, 0, 2, None),
        (1_000, 51, 0, None),
        (1_000, 67, 0, None),
        (1_000, 68, 0, "2026-11-20: 68 bounces of 1,000 emails"),
        (COHORT_EMAILS_MIN, 6, 0, None),
        (COHORT_EMAILS_MIN, 12, 0, "2026-11-20: 12 bounces of 100 emails"),
        # More feedback than emails: counts of two clocks at midnight.
        (100, 0, 101, "2026-11-20: 101 complaints of 100 emails"),
    ],
)
def test_a_day_stops_sending_where_its_rate_is_above_the_limit_beyond_chance(
    emails: int, bounced: int, complained: int, reason: str | None
) -> None:
    assert Cohort(DAY, DAY, emails, bounced, complained).reason_to_pause == reason


@pytest.mark.parametrize(("count", "emails", "rate"), [(2, 100, 0.001), (12, 100, 0.05), (5, 1000, 0.001)])
def test_the_chance_is_that_of_the_binomial_distribution(count: int, emails: int, rate: float) -> None:
    below = sum(
        comb(emails, number) * rate**number * (1 - rate) ** (emails - number) for number in range(count)
    )
    assert chance_of_at_least(count, emails, rate) == pytest.approx(1 - below, rel=1e-9)


def test_the_chance_of_no_more_than_expected_is_not_summed() -> None:
    assert chance_of_at_least(0, 0, 0.001) == chance_of_at_least(50_000, 1_000_000, 0.05) == 1


def test_late_complaints_of_many_days_are_summed_where_no_day_says_enough() -> None:
    days = tuple(DAY + timedelta(days=number) for number in range(20))
    emails = dict.fromkeys(days, 500)
    assert reason_to_pause(cohorts(days, emails, {days[0]: (0, 2)})) is None
    quiet = cohorts(days, emails, dict.fromkeys(days, (0, 1)))
    assert [cohort.reason_to_pause for cohort in quiet] == [None] * 20
    assert reason_to_pause(quiet) == "2026-11-20 to 2026-12-09: 20 complaints of 10,000 emails"


def test_a_bad_day_is_not_hidden_by_good_ones_and_the_newest_is_named() -> None:
    days = tuple(DAY + timedelta(days=number) for number in range(10))
    bad = {days[2]: (0, 12), days[5]: (0, 12)}
    assert reason_to_pause(cohorts(days, dict.fromkeys(days, 4_000), bad)) == (
        "2026-11-25: 12 complaints of 4,000 emails"
    )


def test_small_days_are_judged_together() -> None:
    days = tuple(DAY + timedelta(days=number) for number in range(4))
    assert reason_to_pause(cohorts(days, dict.fromkeys(days, 50), dict.fromkeys(days, (0, 1)))) == (
        "2026-11-20 to 2026-11-23: 4 complaints of 200 emails"
    )


def test_days_without_emails_and_feedback_are_no_cohort() -> None:
    days = days_judged(1_795_453_200_000)
    assert (len(days), days[0], days[-1]) == (WINDOW_DAYS, date(2026, 10, 25), date(2026, 11, 23))
    assert cohorts(days, {days[3]: 7}, {days[4]: (1, 0)}) == (
        Cohort(days[3], days[3], 7),
        Cohort(days[4], days[4], 0, 1, 0),
    )
    assert total_of([]) is None
    assert reason_to_pause([]) is None

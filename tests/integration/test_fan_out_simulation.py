"""The simulation of a fan-out, with fewer waiters than its report has."""

from dataclasses import replace

import pytest

from tests.fan_out_simulation import BAD_EVERY, Outcome, simulate

WAITERS = 2_000


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    return simulate(200, WAITERS)


def test_every_good_address_is_emailed_once_in_order_within_the_time(outcome: Outcome) -> None:
    bad = WAITERS // BAD_EVERY
    assert (outcome.emails, outcome.bad) == (WAITERS - bad, bad)
    assert (outcome.lost, outcome.twice, outcome.out_of_order) == (0, 0, 0)
    assert outcome.ideal_s == 10
    assert outcome.is_as_promised
    assert outcome.curve[-1] == (outcome.took_s, WAITERS - bad)


@pytest.mark.parametrize("fault", [{"lost": 1}, {"twice": 1}, {"out_of_order": 1}, {"took_s": 10.31}])
def test_a_lost_repeated_or_late_email_is_not_as_promised(outcome: Outcome, fault: dict[str, float]) -> None:
    assert not replace(outcome, **fault).is_as_promised

"""The simulator's throttle beside what a run measured."""

from random import Random

import pytest

from loadtests.ledger import Line
from loadtests.predictions import predict
from loadtests.retry import TRIES_MAX, pauses_s


def lines(sent_at_s: list[float], *statuses: int) -> list[Line]:
    return [Line(f"{at_s}@example.com", "HAT", statuses or (202,), at_s) for at_s in sent_at_s]


def test_a_load_that_fits_is_predicted_to_be_accepted() -> None:
    away, given_up = predict(lines([0, 1, 2, 3]), calls_per_s=1, burst=1)
    assert (away.measured, away.most, given_up.most) == (0, 0, 0)
    assert away.within


def test_where_nothing_is_let_through_every_form_is_given_up() -> None:
    hopeless = lines([0, 0, 0], *[429] * TRIES_MAX)
    away, given_up = predict(hopeless, calls_per_s=0, burst=0)
    assert (away.measured, away.least, away.most) == (3 * TRIES_MAX, 3 * TRIES_MAX, 3 * TRIES_MAX)
    assert (given_up.measured, given_up.mean) == (3, 3)


def test_a_run_of_other_shoppers_is_not_among_the_draws() -> None:
    # A hundred at once against three a second, said to have been taken at once.
    away, _ = predict(lines([0.0] * 100), calls_per_s=3, burst=3)
    assert away.least > 97
    assert not away.within


def test_forms_that_were_never_answered_say_nothing() -> None:
    away, given_up = predict([Line("a@example.com", "HAT", ())], calls_per_s=1, burst=1)
    assert (away.mean, given_up.mean) == (0, 0)


@pytest.mark.parametrize("seed", range(3))
def test_predicted_shoppers_are_as_patient_as_the_real_ones(seed: int) -> None:
    assert len(list(pauses_s(Random(seed)))) == TRIES_MAX

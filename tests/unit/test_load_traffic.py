"""The load test's comparison of sent form posts with the access logs."""

from itertools import chain, repeat

import pytest

from loadtests.figures import Figures
from loadtests.traffic import LoggedPosts, logged_posts

STEPS = [
    Figures("view the product", 90, 0, 1, 1, 1, 1),
    Figures("sign up", 10, 1, 1, 1, 1, 1),
    Figures("sign up again", 5, 0, 1, 1, 1, 1),
    Figures("mistyped address", 1, 0, 1, 1, 1, 1),
]


def compared(*posted: int, before: int = 7) -> tuple[LoggedPosts, float]:
    answers = chain(posted, repeat(posted[-1]))
    slept: list[float] = []
    found = logged_posts(STEPS, before, lambda: next(answers), sleep=slept.append, wait_s=6)
    return found, sum(slept)


def test_posts_are_those_of_the_form_since_the_flood_began_and_late_logs_are_awaited() -> None:
    found, slept = compared(9, 20, 23)
    assert (found, slept) == (LoggedPosts(16, 1, 16), 4)
    assert found.sentence() == "Access logs: 16 form posts; sent: 16 (1 of them failed): they agree"


@pytest.mark.parametrize(("logged", "agree"), [(14, False), (15, True), (16, True), (17, False)])
def test_logs_agree_if_they_have_each_answered_post_and_no_other(logged: int, agree: bool) -> None:
    found, _ = compared(logged + 7)
    assert found.agree is agree
    assert ("they agree" in found.sentence()) is agree


@pytest.mark.parametrize(("logged", "agree"), [(18, True), (19, False)])
def test_a_post_under_way_when_the_flood_ends_may_be_logged_and_not_counted_as_sent(
    logged: int, agree: bool
) -> None:
    assert logged_posts(STEPS, 0, lambda: logged, stopped_max=2).agree is agree

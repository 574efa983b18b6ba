"""How many units to order: the numbers, their reasons, and how they move."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.ordering import (
    DEFAULT_SHARE,
    EMAILS_MIN,
    Basis,
    PastRestocks,
    default_share,
    order_about,
)
from chalicelib.domain.reports import RestockRef, RestockReport, Sales

NOTHING = PastRestocks()
SOLD = PastRestocks(emails=100, clicks=50, units=25)


@pytest.mark.parametrize(
    ("waiting", "own", "shop", "units", "order", "basis"),
    [
        ({0: 100}, NOTHING, NOTHING, 0, 30, Basis.DEFAULT),
        ({7: 100}, NOTHING, NOTHING, 0, 30, Basis.DEFAULT),
        ({37: 100}, NOTHING, NOTHING, 0, 15, Basis.DEFAULT),
        ({67: 100}, NOTHING, NOTHING, 0, 8, Basis.DEFAULT),  # 7.5
        ({0: 100, 37: 100}, NOTHING, NOTHING, 0, 45, Basis.DEFAULT),
        ({0: 1}, NOTHING, NOTHING, 0, 1, Basis.DEFAULT),
        ({}, NOTHING, NOTHING, 0, 0, Basis.DEFAULT),
        ({0: 100}, NOTHING, NOTHING, 12, 18, Basis.DEFAULT),
        ({0: 100}, NOTHING, NOTHING, 99, 0, Basis.DEFAULT),
        ({0: 40, 300: 60}, SOLD, NOTHING, 0, 25, Basis.OWN),
        ({0: 100}, SOLD, PastRestocks(1000, 0, 900), 0, 25, Basis.OWN),
        ({0: 33}, PastRestocks(30, 0, 10), NOTHING, 0, 11, Basis.OWN),
        ({0: 100}, PastRestocks(EMAILS_MIN - 1, 19, 19), SOLD, 0, 25, Basis.SHOP),
        ({0: 100}, PastRestocks(50, 0, 0), SOLD, 0, 25, Basis.SHOP),
        ({0: 100}, PastRestocks(20, 0, 45), NOTHING, 0, 100, Basis.OWN),
        ({0: 100}, NOTHING, PastRestocks(100, 50, 0), 0, 15, Basis.CLICKS),
        ({0: 100}, NOTHING, PastRestocks(EMAILS_MIN - 1, 19, 19), 0, 30, Basis.DEFAULT),
    ],
)
def test_an_order_is_the_people_who_wait_times_the_share_that_buys(
    waiting: dict[int, int], own: PastRestocks, shop: PastRestocks, units: int, order: int, basis: Basis
) -> None:
    advice = order_about(waiting, own, shop, units=units)
    assert (advice.order, advice.basis, advice.waiting) == (order, basis, sum(waiting.values()))


def test_the_reasons_lead_to_the_number() -> None:
    assert order_about({2: 300, 20: 100, 90: 12}, NOTHING, NOTHING).reasons == (
        "412 wait: 300 for up to 7 days, 100 for 8 to 37 days, 12 for longer",
        "no sales are reported, so of those asked within 7 days 30% are taken to buy, and half as many for"
        " each 30 days more",
        "that is about 113",
    )
    assert order_about({0: 1}, SOLD, NOTHING, units=1).reasons == (
        "1 waits: 1 for up to 7 days",
        "25 units were sold for 100 emails about it: 25%",
        "that is about 1",
        "1 is in stock: order about 0",
    )
    assert order_about({}, NOTHING, PastRestocks(1000, 50, 0)).reasons[:2] == (
        "0 wait",
        "5.0% of 1,000 emails of the whole shop were clicked; no sales are reported, so 30% of these are"
        " taken to buy",
    )


def test_restocks_without_an_email_say_nothing_about_a_share() -> None:
    restock = RestockRef("A:1:e", "A", "jacket", 1)
    reports = [
        RestockReport(restock, 40, clicks=8, sales=Sales(3, 4)),
        RestockReport(restock, 0, sales=Sales(50, 90)),
        RestockReport(restock, 10, clicks=1, sales=Sales(1, 1)),
    ]
    assert PastRestocks.of(reports) == PastRestocks(50, 9, 5)


WAITING = st.dictionaries(st.integers(0, 400), st.integers(0, 500), max_size=6)
SEEN = st.builds(PastRestocks, st.integers(0, 300), st.integers(0, 300), st.integers(0, 300))


@settings(max_examples=60)
@given(WAITING, SEEN, SEEN, st.integers(0, 50), st.integers(0, 400))
def test_more_people_never_mean_a_smaller_order(
    waiting: dict[int, int], own: PastRestocks, shop: PastRestocks, units: int, age: int
) -> None:
    more = {**waiting, age: waiting.get(age, 0) + 1}
    before, after = order_about(waiting, own, shop, units=units), order_about(more, own, shop, units=units)
    assert before.order <= after.order <= before.order + 1
    assert 0 <= after.order <= after.waiting


@settings(max_examples=60)
@given(WAITING, SEEN, SEEN, st.integers(0, 50))
def test_more_stock_never_means_a_larger_order(
    waiting: dict[int, int], own: PastRestocks, shop: PastRestocks, units: int
) -> None:
    less, more = (order_about(waiting, own, shop, units=number).order for number in (units, units + 1))
    assert less - 1 <= more <= less


@settings(max_examples=60)
@given(WAITING, SEEN)
def test_more_sales_never_mean_a_smaller_order(waiting: dict[int, int], shop: PastRestocks) -> None:
    own = PastRestocks(100, 0, 40)
    more = replace(own, units=41)
    assert order_about(waiting, own, shop).order <= order_about(waiting, more, shop).order


@settings(max_examples=60)
@given(WAITING, st.integers(0, 60))
def test_people_who_have_waited_longer_never_mean_a_larger_order(waiting: dict[int, int], days: int) -> None:
    later = {age + days: number for age, number in waiting.items()}
    assert order_about(later, NOTHING, NOTHING).order <= order_about(waiting, NOTHING, NOTHING).order
    assert order_about(later, SOLD, NOTHING).order == order_about(waiting, SOLD, NOTHING).order


@given(st.integers(0, 1_000))
def test_the_default_share_falls_with_age_and_stays_above_nothing(age: int) -> None:
    assert 0 < default_share(age + 1) <= default_share(age) <= DEFAULT_SHARE

from dataclasses import replace

import pytest

from chalicelib.domain.product import Product, Variant
from chalicelib.domain.stock import Availability, Restock, Stock, StockedProduct, restocks

SOLD_OUT = Stock(Availability.OUT_OF_STOCK, 0, 1, "e1")
BACK = Stock(Availability.IN_STOCK, 5, 2, "e2")


def test_sold_out_to_available_is_a_restock_named_by_its_event() -> None:
    assert restocks("jacket", {"A": SOLD_OUT}, {"A": BACK}, at_ms=9) == (
        Restock("A:0:e2", "jacket", "A", 5, 2, 9),
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (BACK, SOLD_OUT),
        (SOLD_OUT, replace(SOLD_OUT, event_id="e2")),
        (BACK, BACK),
        (BACK, replace(BACK, units=3, event_id="e3")),
        (BACK, replace(BACK, units=5, event_id="e3")),
        (SOLD_OUT, replace(BACK, availability=Availability.DISCONTINUED)),
        # Always for sale before, counted from now on; and a feed that merely leaves the number out.
        (replace(BACK, units=None), replace(BACK, units=5, event_id="e3")),
        (BACK, replace(BACK, units=None, event_id="e3")),
        (
            replace(BACK, availability=Availability.BACK_ORDER, units=None),
            replace(BACK, availability=Availability.BACK_ORDER, units=0, event_id="e3"),
        ),
    ],
)
def test_nothing_else_is_a_restock(before: Stock, after: Stock) -> None:
    assert restocks("jacket", {"A": before}, {"A": after}, at_ms=9) == ()


def test_units_added_are_a_restock_too() -> None:
    assert restocks("jacket", {"A": BACK}, {"A": replace(BACK, units=9, event_id="e3")}, at_ms=9)


@pytest.mark.parametrize("orders", [Availability.PRE_ORDER, Availability.BACK_ORDER])
@pytest.mark.parametrize("units", [None, 0, 9])
def test_from_orders_to_in_stock_is_a_restock_too(orders: Availability, units: int | None) -> None:
    before = replace(BACK, availability=orders, units=units, event_id="e1")
    assert restocks("jacket", {"A": before}, {"A": BACK}, at_ms=9) == (
        Restock("A:0:e2", "jacket", "A", 5, 2, 9),
    )


@pytest.mark.parametrize("orders", [Availability.PRE_ORDER, Availability.BACK_ORDER])
@pytest.mark.parametrize("units", [None, 0])
def test_counted_units_that_turn_to_orders_of_any_number_are_a_restock(
    orders: Availability, units: int | None
) -> None:
    after = replace(BACK, availability=orders, units=units, event_id="e3")
    assert restocks("jacket", {"A": BACK}, {"A": after}, at_ms=9) == (
        Restock("A:0:e3", "jacket", "A", None, 2, 9),
    )


def test_a_variant_never_seen_before_is_no_restock() -> None:
    assert restocks("jacket", {}, {"A": BACK}, at_ms=9) == ()


def test_each_variant_is_a_restock_of_its_own() -> None:
    after = {"B": BACK, "A": replace(BACK, event_id="e3")}
    found = restocks("j", {"A": SOLD_OUT, "B": SOLD_OUT}, after, at_ms=9)
    assert [(restock.sku, restock.id) for restock in found] == [("A", "A:0:e3"), ("B", "B:0:e2")]


def test_a_withdrawn_variant_cannot_be_bought() -> None:
    product = Product("jacket", "Jacket", "", "", "outerwear", (), (Variant("A", 100),))
    stocked = StockedProduct(product, {"A": BACK, "B": BACK})
    assert stocked.can_buy("A")
    assert not stocked.can_buy("B")
    assert not StockedProduct(product, {}).can_buy("A")


@pytest.mark.parametrize("skew_ms", [-300_000, 0, 300_000])
def test_a_merchants_clock_cuts_nobody_off_who_waits(skew_ms: int) -> None:
    seen = replace(BACK, observed_at_ms=1_000_000 + skew_ms)
    (restock,) = restocks("jacket", {"A": SOLD_OUT}, {"A": seen}, at_ms=1_000_000)
    assert restock.opened_at_ms >= 1_000_000
    assert restock.observed_at_ms == seen.observed_at_ms

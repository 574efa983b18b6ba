"""Products looked up once in ten seconds, however many ask."""

from dataclasses import dataclass, field

from chalicelib.domain.product import Product, Variant
from chalicelib.domain.stock import StockedProduct
from chalicelib.tables.products import FRESH_FOR_MS, RECENT_PRODUCTS_MAX, RecentProducts
from tests.support.clock import Clock


def product(title: str) -> StockedProduct:
    return StockedProduct(Product("hat", title, "", "", "", (), (Variant("HAT", 100),), ()), {})


@dataclass
class CountedProducts:
    """Products that can be asked for, and how often they were."""

    product: StockedProduct | None = None
    asked: list[str] = field(default_factory=list)

    def slug_of(self, sku: str) -> str | None:
        self.asked.append(sku)
        return "hat" if sku == "HAT" else None

    def get(self, slug: str) -> StockedProduct | None:
        self.asked.append(slug)
        return self.product


def test_a_flood_asks_once_and_sees_the_change_ten_seconds_later(clock: Clock) -> None:
    counted = CountedProducts(product("Hat"))
    recent = RecentProducts(counted, clock)
    for _ in range(100):
        assert recent.slug_of("HAT") == "hat"
        assert recent.get("hat") == product("Hat")
    assert counted.asked == ["HAT", "hat"]

    counted.product = product("Woollen hat")
    clock.now_ms += FRESH_FOR_MS - 1
    assert recent.get("hat") == product("Hat")
    clock.now_ms += 1
    assert recent.get("hat") == product("Woollen hat")


def test_an_unknown_sku_is_cached_as_unknown(clock: Clock) -> None:
    counted = CountedProducts()
    recent = RecentProducts(counted, clock)
    assert [recent.slug_of("NONE"), recent.slug_of("NONE"), recent.get("x"), recent.get("x")] == [None] * 4
    assert counted.asked == ["NONE", "x"]


def test_a_clock_that_goes_back_makes_nothing_older(clock: Clock) -> None:
    counted = CountedProducts()
    recent = RecentProducts(counted, clock)
    recent.get("x")
    clock.now_ms -= 60_000
    recent.get("x")
    assert counted.asked == ["x", "x"]


def test_it_keeps_no_more_than_so_many(clock: Clock) -> None:
    counted = CountedProducts()
    recent = RecentProducts(counted, clock)
    for number in range(RECENT_PRODUCTS_MAX + 1):
        recent.slug_of(f"SKU-{number}")
    recent.slug_of("SKU-0")
    assert counted.asked[-1] == "SKU-0"

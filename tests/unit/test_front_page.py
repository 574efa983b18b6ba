"""The home page of a shop that features no products, and of a shop with one."""

from pathlib import Path

import pytest

from chalicelib.domain.product import Product, Variant
from chalicelib.domain.stock import Availability, Stock
from spillway.sitegen.listings import newest_first, of_front_page
from spillway.sitegen.products import Products
from spillway.sitegen.reading.catalogue import ProductRow, SourceImage
from spillway.sitegen.site import build
from tests.support.small_shop import make_small_shop


def row(
    slug: str, category: str, *, picture: bool = True, date: str | None = None, is_sold: bool = True
) -> ProductRow:
    product = Product(slug, slug, "", "", category, (), (Variant(slug, 100),), released_on=date)
    images = (SourceImage(Path(f"{slug}.webp"), "-"),) if picture else ()
    availability = Availability.OUT_OF_STOCK if is_sold else Availability.DISCONTINUED
    return ProductRow.of(f"{slug}.toml", product, images, [(slug, Stock(availability, 0, 0, ""))])


def order(*rows: ProductRow) -> list[str]:
    made = {name: () for one in rows for name in one.image_names}
    products = Products(rows, Path(), made, related={})
    return [found.slug for found in of_front_page(newest_first(rows), products)]


def test_with_equal_dates_each_category_has_its_turn_and_pictures_come_first() -> None:
    rows = [
        *(row("a1", "apples"), row("a2", "apples"), row("a3", "apples", picture=False)),
        *(row("b1", "berries"), row("b2", "berries", is_sold=False), row("c1", "corn", picture=False)),
    ]
    assert order(*rows) == ["a1", "b1", "a2", "a3", "c1", "b2"]


def test_a_later_date_comes_before_a_turn() -> None:
    rows = [
        *(row("a1", "apples", date="2026-01-01"), row("a2", "apples", date="2026-03-01")),
        *(row("a3", "apples", date="2026-03-01"), row("b1", "berries", date="2026-02-01"), row("z", "corn")),
    ]
    assert order(*rows) == ["a2", "a3", "b1", "a1", "z"]


@pytest.mark.parametrize("path", ["index.html", "shop/all"])
def test_a_single_product_is_shown_large_with_its_summary_and_a_picture_that_is_wide_enough(
    tmp_path: Path, path: str
) -> None:
    shop = make_small_shop(tmp_path / "shop")
    (shop.site / "products/field-jacket.toml").unlink()
    site = shop.site / "site.toml"
    site.write_text(site.read_text().replace('"field-jacket", ', ""))
    (page,) = [item.read().decode() for item in build(shop).objects if item.key == path]
    card = page.partition('<li class="card alone"')[2].partition("</li>")[0]
    assert 'sizes="(min-width:40rem) 26rem, 92vw"' in card
    assert '<p class="summary">A long scarf.</p>' in card
    assert '<span class="button">Have a look</span>' in card

"""Products below a product: chosen from the catalogue alone, shown without their stock."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.product import Product, Variant
from chalicelib.domain.stock import Availability, Stock
from spillway.project import Project
from spillway.publish.saved_sources import pack, unpack
from spillway.sitegen.reading.catalogue import ProductRow
from spillway.sitegen.related import RELATED_MAX, RELATED_MIN, related_of
from spillway.sitegen.release import Release
from spillway.sitegen.site import build
from tests.support.small_shop import SCARF, SITE, make_small_shop

CARD = '<section class="related" aria-labelledby="related">'


def row(
    slug: str, price: int = 100, *, category: str = "hats", tags: Sequence[str] = (), is_sold: bool = True
) -> ProductRow:
    product = Product(slug, slug, "", "", category, (), (Variant(slug, price),), tags=tuple(tags))
    availability = Availability.OUT_OF_STOCK if is_sold else Availability.DISCONTINUED
    return ProductRow.of(f"{slug}.toml", product, (), [(slug, Stock(availability, 0, 0, ""))])


def test_shared_tags_count_most_then_the_distance_in_price_then_the_name() -> None:
    rows = [
        row("a", 100, tags=("wool", "red")),
        row("far", 900, tags=("wool", "red")),
        row("near", 110, tags=("wool",)),
        row("nearer", 105, tags=("wool",)),
        row("x", 101),
        row("y", 99),
    ]
    assert related_of(rows)["a"] == ("far", "nearer", "near", "x")


def test_another_category_and_a_discontinued_product_are_never_offered() -> None:
    rows = [row("a"), row("gone", is_sold=False), row("sold-out"), row("b"), row("coat", category="coats")]
    assert related_of(rows) == {
        "a": ("b", "sold-out"),
        "b": ("a", "sold-out"),
        "gone": ("a", "b", "sold-out"),
        "sold-out": ("a", "b"),
    }


rows_of_shops = st.lists(
    st.builds(
        lambda slug, price, category, tags, is_sold: row(
            slug, price, category=category, tags=tags, is_sold=is_sold
        ),
        slug=st.text("abc", min_size=1, max_size=4),
        price=st.integers(0, 30),
        category=st.sampled_from(["hats", "coats"]),
        tags=st.lists(st.sampled_from(["wool", "red", "gift"]), unique=True),
        is_sold=st.booleans(),
    ),
    unique_by=lambda one: one.slug,
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(rows_of_shops)
def test_as_many_as_there_are_each_once_never_itself_in_whatever_order_files_are_read(
    rows: list[ProductRow],
) -> None:
    found = related_of(rows)
    assert found == related_of(rows[::-1])
    by_slug = {one.slug: one for one in rows}
    for one in rows:
        others = found.get(one.slug, ())
        offered = [
            other
            for other in rows
            if other is not one and other.category == one.category and not other.is_discontinued
        ]
        count = min(RELATED_MAX, len(offered))
        assert len(others) == len(set(others)) == (count if count >= RELATED_MIN else 0)
        assert all(by_slug[slug] in offered for slug in others)


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    """The small shop with three scarves more; the last one costs most."""
    made = make_small_shop(tmp_path / "shop")
    for number, price in enumerate(("46.00", "47.00", "90.00"), 2):
        text = SCARF.replace("Wool Scarf", f"Scarf {number}").replace("SCARF", f"SCARF{number}")
        (made.site / f"products/scarf{number}.toml").write_text(text.replace("45.00", price))
    return made


def page(release: Release, key: str) -> str:
    (found,) = [item.read().decode() for item in release.objects if item.key == key]
    return found


def below(release: Release, slug: str) -> str:
    """Return what a product's page shows of others."""
    return page(release, f"products/{slug}").partition(CARD)[2].partition("</section>")[0]


def test_a_page_shows_the_cards_of_others_with_prices_and_without_stock(shop: Project) -> None:
    sold_out = {"scarf2": {"SCARF2": Stock(Availability.OUT_OF_STOCK, 0, 9, "e")}}
    release = build(shop, stock=sold_out)
    shown = below(release, "scarf")
    assert [line for line in shown.splitlines() if line.startswith("<h3>")] == [
        "<h3>Scarf 2</h3>",
        "<h3>Scarf 3</h3>",
        "<h3>Scarf 4</h3>",
    ]
    assert '<a href="/products/scarf2">' in shown
    assert '<p class="price">£46.00</p>' in shown
    assert "badge" not in shown
    assert shown == below(build(shop), "scarf")
    assert CARD not in page(release, "products/field-jacket"), "there is no other in its category"


def test_a_shop_can_have_none(shop: Project) -> None:
    (shop.site / "site.toml").write_text(f"{SITE}\n[theme]\nrelated = false\n")
    release = build(shop)
    assert CARD not in page(release, "products/scarf")
    assert release.products.named("scarf").product.related == ()
    kept = unpack(pack(release.source), release.id)
    assert kept.products.named("scarf").product.related == ()


def test_a_kept_release_shows_the_same_ones(shop: Project) -> None:
    release = build(shop)
    kept = unpack(pack(release.source), release.id)
    assert kept.products.named("scarf").product.related == ("scarf2", "scarf3", "scarf4")
    assert Product.from_document(release.products.named("scarf").product.to_document()).related == (
        *("scarf2", "scarf3", "scarf4"),
    )


def made_again(before: Release, after: Release) -> set[str]:
    known = {item.key: item.sha256 for item in before.objects}
    return {item.key for item in after.objects if known.get(item.key) != item.sha256}


def test_a_changed_product_makes_the_pages_that_show_it_again_and_its_stock_none_of_them(
    shop: Project,
) -> None:
    before = build(shop)
    file = shop.site / "products/scarf3.toml"
    file.write_text(file.read_text().replace("47.00", "47.50"))
    after = build(shop)
    pages = {key for key in made_again(before, after) if key.startswith("products/")}
    assert pages == {"products/scarf", "products/scarf2", "products/scarf3", "products/scarf4"}
    sold_out = {"scarf3": {"SCARF3": Stock(Availability.OUT_OF_STOCK, 0, 9, "e")}}
    pages = {key for key in made_again(after, build(shop, stock=sold_out)) if key.startswith("products/")}
    assert pages == {"products/scarf3"}

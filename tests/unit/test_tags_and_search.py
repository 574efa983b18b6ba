"""Two ways to a product beside its category: a tag it shares with others, and words that find it."""

import json
from pathlib import Path

import pytest

from chalicelib.domain.product import Product, Variant
from spillway.project import Project
from spillway.sitegen.listings import Search
from spillway.sitegen.reading.catalogue import ProductRow
from spillway.sitegen.reading.slugs import Tag, tagged
from spillway.sitegen.release import Release
from spillway.sitegen.site import build
from tests.support.german_shop import make_german_shop


def row(slug: str, *tags: str) -> ProductRow:
    return ProductRow.of("", Product(slug, slug, "-", "", "c", (), (Variant("A", 1),), tags=tags), (), ())


def page(release: Release, key: str) -> str:
    return next(item for item in release.objects if item.key == key).read().decode()


def test_a_tag_that_products_share_has_a_page_in_the_order_of_the_category() -> None:
    rows = [row("a", "wool", "rare"), row("b"), row("c", "wool")]
    assert tagged(rows) == {Tag("wool", "/tags/wool", ("wool",)): [rows[0], rows[2]]}


def test_spellings_of_one_address_are_one_tag_and_a_product_stands_there_once() -> None:
    rows = [row("a", "Été", "ete"), row("b", "ÉTÉ"), row("c", "羊毛"), row("d", "羊毛")]
    summer, wool = tagged(rows).items()
    by_path = {tag.path: rows for tag, rows in (summer, wool)}
    assert by_path["/tags/ete"] == rows[:2]
    assert {tag.spellings for tag in (summer[0], wool[0])} == {("ete", "ÉTÉ", "Été"), ("羊毛",)}
    assert all(path.isascii() for path in by_path)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Project:
    shop = make_german_shop(tmp_path_factory.mktemp("tagged"))
    scarf = shop.site / "products" / "scarf.toml"
    text = scarf.read_text()
    scarf.write_text(
        text.replace('category = "accessories"', 'category = "accessories"\ntags = ["Waxed"]', 1)
    )
    return shop


def test_a_tag_is_linked_from_its_products_and_in_the_sitemap(shop: Project) -> None:
    release = build(shop)
    assert '<a href="/tags/waxed">Waxed</a>' in page(release, "products/field-jacket")
    assert '<a href="/de/tags/waxed">Waxed</a>' in page(release, "de/products/scarf")
    assert 'href="/products/scarf"' in page(release, "tags/waxed")
    assert "https://www.heron.example/tags/waxed<" in page(release, "sitemap.xml")
    assert "/search<" not in page(release, "sitemap.xml")
    assert '<meta name="robots" content="noindex">' in page(release, "search")


def test_the_search_finds_products_by_their_names_in_each_language(shop: Project) -> None:
    release = build(shop)
    index = json.loads(page(release, "search.json"))
    german = json.loads(page(release, "de/search.json"))
    assert (index["root"], german["root"]) == ("", "/de")
    shown = {product[0]: product[1:] for product in index["products"]}
    assert shown["field-jacket"][:3] == ["Field Jacket", "Outerwear Waxed", "+£148.00"]
    (picture,) = shown["field-jacket"][3:]
    assert f"pictures/{picture}" in {item.key for item in release.objects}
    assert shown["scarf"][2] == "£45.00"
    (jacket,) = [product for product in german["products"] if product[0] == "field-jacket"]
    assert jacket[1] != "Field Jacket"
    assert '<a href="/products/scarf">Wool Scarf</a>' in page(release, "search")
    assert 'data-index="/de/search.json"' in page(release, "de/search")


def test_the_field_is_a_search_and_its_button_does_it(shop: Project) -> None:
    release = build(shop)
    assert "<h1>Suche</h1>" in page(release, "de/search")
    assert '<button class="button">Suchen</button>' in page(release, "de/search")


def test_a_shop_too_large_for_one_page_lists_its_categories(small_release: Release) -> None:
    edition, products = small_release.theme.editions[0], small_release.products
    search = Search(edition, products, translated=False, listed_max=1)
    assert [(category.title, links) for category, links in search.categories()] == [
        ("Outerwear", []),
        ("Accessories", []),
    ]


def test_a_tag_that_only_one_product_has_any_more_is_gone_from_both(shop: Project, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    build(shop, folder=folder)
    scarf = shop.site / "products" / "scarf.toml"
    before = scarf.read_text()
    scarf.write_text(before.replace('tags = ["Waxed"]', 'tags = ["wool"]'))
    build(shop, folder=folder)
    scarf.write_text(before)
    assert not (folder / "tags").exists()
    assert "/tags/" not in (folder / "products" / "field-jacket").read_text()

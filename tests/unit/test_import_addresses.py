"""An import writes the redirects that its report names, and the build takes every one of them."""

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from spillway.importing.importer import NothingImported
from spillway.project import Project
from spillway.sitegen.reading.redirects import add_redirects
from spillway.sitegen.site import build
from tests.support.german_shop import make_german_shop
from tests.support.importing import files_of, import_products, lines_of, product, variant
from tests.support.small_shop import make_small_shop


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    return make_small_shop(tmp_path)


def redirects(shop: Project) -> dict[str, str]:
    file = shop.site / "redirects.toml"
    found: dict[str, str] = tomllib.loads(file.read_text())["redirects"] if file.exists() else {}
    return found


def reported(shop: Project, *old_paths: str) -> list[str]:
    """Import one product with these old addresses, and return the redirects that the report names."""
    made = import_products(shop, [product("cup", variant("C1"), old_paths=old_paths)])
    build(shop)
    return lines_of(made, "in site/redirects.toml")


@pytest.mark.parametrize(
    ("old_paths", "written"),
    [
        (("/p/caf%C3%A9", "/p/café"), "/p/caf%C3%A9"),
        (("/p/caf%c3%a9", "/p/caf%C3%A9"), "/p/caf%C3%A9"),
        (("/p/c", "/p/c/"), "/p/c"),
        (("/p/%63", "/p/c"), "/p/%63"),
    ],
)
def test_spellings_of_one_old_address_are_one_redirect(
    shop: Project, old_paths: tuple[str, ...], written: str
) -> None:
    assert reported(shop, *old_paths) == [f"{written} to /products/cup"]
    assert redirects(shop) == {written: "/products/cup"}
    # Another import adds none.
    assert reported(shop, *reversed(old_paths)) == [f"{written} to /products/cup"]
    assert redirects(shop) == {written: "/products/cup"}


def test_spellings_of_one_old_address_on_two_products_are_a_conflict(shop: Project) -> None:
    made = import_products(
        shop,
        [
            product("cup", variant("C1"), old_paths=("/p/c",)),
            product("mug", variant("M1"), old_paths=("/p/c/",)),
        ],
    )
    assert redirects(shop) == {}
    assert lines_of(made, "in site/redirects.toml") == []
    assert lines_of(made, "old addresses of several products") == [
        "old addresses: /p/c: leads nowhere: /products/cup, /products/mug have it"
    ]


@pytest.mark.parametrize("make", [make_small_shop, make_german_shop])
def test_an_old_address_that_the_shop_uses_is_no_redirect_and_is_named(
    make: Callable[[Path], Project], tmp_path: Path
) -> None:
    shop = make(tmp_path)
    (shop.site / "root").mkdir()
    (shop.site / "root" / "ads.txt").write_text("x")
    keys = {object_.key for object_ in build(shop).objects}
    taken = sorted({f"/{key}" for key in keys if not key.startswith(("assets/", "pictures/", "index.html"))})
    taken += ["/feed.xml", "/sitemap-2.xml", "/tags/wool", "/shop/all_2", "/shop/mugs", "/shop/mugs_3"]
    made = import_products(shop, [product("cup", variant("C1"), old_paths=(*taken, "/p/c"))])
    assert redirects(shop) == {"/p/c": "/products/cup"}
    # The page of the merchant has two keys.
    outcome = "no redirect to /products/cup: the shop has a page or a file there"
    assert set(lines_of(made, "old addresses that the shop itself uses")) == {
        f"old addresses: {path.rstrip('/')}: {outcome}" for path in taken
    }
    build(shop)


def test_the_page_of_a_product_that_the_export_no_longer_has_is_no_old_address(shop: Project) -> None:
    import_products(shop, [product("mug", variant("M1"))])
    assert reported(shop, "/products/mug", "/products/cup") == []


def test_a_line_of_the_shop_stays_and_an_old_address_that_it_leads_elsewhere_is_named(shop: Project) -> None:
    add_redirects(shop, {"/p/c": "/products/scarf", "/p/é": "/products/cup", "/p/d": "/p/%C3%A9"})
    made = import_products(
        shop, [product("cup", variant("C1"), old_paths=("/p/c/", "/p/%C3%A9", "/p/d", "/p/new"))]
    )
    assert redirects(shop) == {
        "/p/c": "/products/scarf",
        "/p/é": "/products/cup",
        "/p/d": "/p/%C3%A9",
        "/p/new": "/products/cup",
    }
    assert lines_of(made, "redirect elsewhere already") == [
        "old addresses: /p/c/: it leads to /products/scarf already"
    ]
    assert lines_of(made, "in site/redirects.toml") == [
        "/p/%C3%A9 to /products/cup",
        "/p/new to /products/cup",
    ]
    build(shop)


def test_a_file_of_redirects_with_an_error_stops_an_import_before_it_writes(shop: Project) -> None:
    (shop.site / "redirects.toml").write_text("[redirects\n")
    before = files_of(shop)
    with pytest.raises(NothingImported, match=r"site/redirects\.toml:1: not TOML"):
        import_products(shop, [product("cup", variant("C1"), old_paths=("/p/c",))])
    assert files_of(shop) == before

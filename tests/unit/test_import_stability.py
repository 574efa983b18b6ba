"""An import depends on handles and SKUs: not on the order of rows, and not on what was imported before."""

import json
import tomllib
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spillway.importing.imported import ImportedProduct
from spillway.importing.shop_files import digest
from spillway.project import Project
from spillway.sitegen.reading.loading import load_catalogue
from spillway.sitegen.reading.redirects import add_redirects
from spillway.sitegen.site import build
from tests.support.importing import files_of, import_products, lines_of, product, variant
from tests.support.small_shop import make_small_shop


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    return make_small_shop(tmp_path)


def text(shop: Project, slug: str) -> str:
    return (shop.site / "products" / f"{slug}.toml").read_text()


def redirects(shop: Project) -> dict[str, str]:
    file = shop.site / "redirects.toml"
    found: dict[str, str] = tomllib.loads(file.read_text())["redirects"] if file.exists() else {}
    return found


def skus(shop: Project) -> dict[str, list[str]]:
    return {row.slug: sorted(row.skus) for row in load_catalogue(shop).rows}


VALUES = st.sampled_from(["S", "M", "L", "10", "9.5", "Red", "Größe 1", "Красный", ""])
HANDLES = st.sampled_from(["mug", "mug-2", "cup", "Кружка", "C#", "c++", "admin", ""])
TITLES = st.sampled_from(["Mug", "mug", "Größe", "C#", "C++", "Обувь 2024", "Сумки 2024"])


@st.composite
def catalogues(draw: st.DrawFn) -> list[ImportedProduct]:
    numbers = count(2)
    handles = draw(st.lists(HANDLES, min_size=1, max_size=5))
    made: list[ImportedProduct] = []
    for handle in handles:
        if handle and handle in [item.handle for item in made]:
            continue
        values = draw(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=3, unique=True))
        variants = [
            variant(
                draw(st.sampled_from(["", "X", "x", "0042", "42", f"sku {next(numbers)}/a"])),
                ("Size", size),
                ("Colour", colour),
                line=next(numbers),
                price=draw(st.sampled_from(["5.00", "0.00", "7.5"])),
                picture=draw(st.sampled_from(["", "https://cdn.example/a.jpg"])),
            )
            for size, colour in values
        ]
        tags = draw(st.lists(st.sampled_from(["Новый", "C#", "new"]), unique=True, max_size=2))
        title, category = draw(TITLES), draw(TITLES)
        made.append(
            product(handle, *variants, line=next(numbers), title=title, category=category, tags=tuple(tags))
        )
    return made


@settings(max_examples=25, deadline=None)
@given(catalogue=catalogues(), data=st.data())
def test_the_order_of_rows_changes_no_byte(
    tmp_path_factory: pytest.TempPathFactory, catalogue: list[ImportedProduct], data: st.DataObject
) -> None:
    shuffled = [
        replace(item, variants=tuple(data.draw(st.permutations(item.variants))))
        for item in data.draw(st.permutations(catalogue))
    ]
    first, second = (make_small_shop(tmp_path_factory.mktemp("shop")) for _ in range(2))
    import_products(first, catalogue)
    import_products(second, shuffled)
    assert files_of(second) == files_of(first)
    before = files_of(first)
    report = import_products(first, shuffled, today="2027-01-01")
    assert files_of(first) == before
    assert "0 new, 0 changed" in report.summary
    load_catalogue(first)


@st.composite
def evolutions(draw: st.DrawFn) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """SKUs by handle, before and after some were renamed, split, merged, added and dropped."""
    names = ["a", "b", "c", "d", "e"]
    all_skus = [f"S{number}" for number in range(6)]

    def spread(draw_names: list[str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for sku in all_skus:
            if handle := draw(st.sampled_from(draw_names)):
                found.setdefault(handle, []).append(sku)
        return found or {"a": ["S0"]}

    return spread(["", *names[:3]]), spread(["", *names])


def spread_products(spread: dict[str, list[str]]) -> list[ImportedProduct]:
    return [
        product(handle, *(variant(sku, ("Kind", sku), line=2) for sku in found))
        for handle, found in spread.items()
    ]


@settings(max_examples=25, deadline=None)
@given(evolutions())
def test_products_that_are_renamed_split_or_merged_are_as_if_imported_for_the_first_time(
    tmp_path_factory: pytest.TempPathFactory, change: tuple[dict[str, list[str]], dict[str, list[str]]]
) -> None:
    before, after = change
    shop, fresh = (make_small_shop(tmp_path_factory.mktemp("shop")) for _ in range(2))
    import_products(shop, spread_products(before))
    import_products(shop, spread_products(after))
    import_products(fresh, spread_products(after))
    moved = {sku for found in after.values() for sku in found}
    # A product that the export no longer has stays, unless its SKUs are sold elsewhere now.
    stays = {handle for handle, found in before.items() if handle not in after and not moved & set(found)}
    expected = skus(fresh)
    assert skus(shop) == expected | {handle: sorted(before[handle]) for handle in stays}
    for handle in after:
        assert text(shop, handle) == text(fresh, handle)
    for handle, found in before.items():
        if handle not in after and handle not in stays:
            target = redirects(shop)[f"/products/{handle}"].removeprefix("/products/")
            assert set(after[target]) & set(found)
    assert not redirects(shop).keys() & {f"/products/{slug}" for slug in skus(shop)}


def test_a_renamed_handle_moves_the_file_and_leaves_a_redirect(shop: Project) -> None:
    import_products(shop, [product("old-mug", variant("M1"))])
    report = import_products(shop, [product("new-mug", variant("M1"))], today="2027-01-01")
    assert not (shop.site / "products/old-mug.toml").exists()
    assert "released_on = 2026-09-01" in text(shop, "new-mug")
    assert redirects(shop) == {"/products/old-mug": "/products/new-mug"}
    assert lines_of(report, "renamed") == [
        "site/products/old-mug.toml is now site/products/new-mug.toml",
    ]
    assert "0 new" in report.summary
    import_products(shop, [product("old-mug", variant("M1"))])
    assert redirects(shop) == {"/products/new-mug": "/products/old-mug"}


def test_an_old_address_that_a_product_has_again_redirects_no_longer(shop: Project) -> None:
    import_products(shop, [product("mug", variant("M1"))])
    import_products(shop, [product("new-mug", variant("M1"))])
    import_products(shop, [product("new-mug", variant("M1")), product("mug", variant("M2"))])
    assert redirects(shop) == {}
    assert (skus(shop)["mug"], skus(shop)["new-mug"]) == (["M2"], ["M1"])


def test_a_renamed_title_moves_the_file_of_a_product_without_a_handle(shop: Project) -> None:
    import_products(shop, [product("", variant("M1"), title="Red mug")])
    import_products(shop, [product("", variant("M1"), title="Crimson mug")])
    assert redirects(shop) == {"/products/red-mug": "/products/crimson-mug"}
    assert "red-mug" not in skus(shop)


def test_a_renamed_file_that_was_edited_by_hand_moves_with_its_edit(shop: Project) -> None:
    import_products(shop, [product("old-mug", variant("M1"))])
    file = shop.site / "products/old-mug.toml"
    file.write_text(file.read_text().replace("Old-Mug", "My mug"))
    report = import_products(shop, [product("new-mug", variant("M1"))])
    assert 'title = "My mug"' in text(shop, "new-mug")
    assert skus(shop)["new-mug"] == ["M1"]
    assert redirects(shop) == {"/products/old-mug": "/products/new-mug"}
    assert "moved to new-mug.toml" in lines_of(report, "edited by hand")[0]
    again = import_products(shop, [product("new-mug", variant("M1"))])
    assert "1 edited by hand and kept" in again.summary


def test_a_file_named_by_hand_stays_where_it_is(shop: Project) -> None:
    report = import_products(shop, [product("shawl", variant("SCARF")), product("mug", variant("M1"))])
    assert "shawl" not in skus(shop)
    assert skus(shop)["scarf"] == ["SCARF"]
    assert lines_of(report, "edited by hand") == [
        "site/products/scarf.toml: holds the SKUs of shawl, edited by hand: kept as it is"
    ]


def test_a_hand_edited_file_of_a_split_product_keeps_its_skus_and_the_hint_is_named(
    shop: Project,
) -> None:
    import_products(shop, [product("set", variant("A", ("Kind", "a")), variant("B", ("Kind", "b")))])
    file = shop.site / "products/set.toml"
    file.write_text(file.read_text() + "# mine\n")
    split = [product("one", variant("A"), variant("A2", ("Kind", "x"))), product("two", variant("B"), line=7)]
    report = import_products(shop, [*split])
    found = skus(shop)
    assert found["set"] == ["A", "B"]
    assert found["one"] == ["A2"]
    assert "two" not in found
    assert lines_of(report, "SKUs of files that were edited by hand") == [
        "line 2: one: SKU 'A': left out: site/products/set.toml, edited by hand, has it; "
        "remove it there, or import with --overwrite",
        "line 2: two: SKU 'B': left out: site/products/set.toml, edited by hand, has it; "
        "remove it there, or import with --overwrite",
    ]
    import_products(shop, split, overwrite=True)
    assert {slug: found for slug, found in skus(shop).items() if slug in {"set", "one", "two"}} == {
        "one": ["A", "A2"],
        "two": ["B"],
    }


@pytest.mark.parametrize("order", [1, -1])
def test_an_sku_of_two_products_stays_with_the_one_that_the_shop_sells_under_it(
    shop: Project, order: int
) -> None:
    import_products(shop, [product("tea", variant("X"))])
    both = [product("coffee", variant("X", line=2), line=2), product("tea", variant("X", line=9), line=9)]
    report = import_products(shop, both[::order])
    assert (skus(shop)["tea"], skus(shop)["coffee"]) == (["X"], ["COFFEE"])
    assert lines_of(report, "SKUs that several variants have")[0] == (
        "line 2: SKU 'X' of coffee (line 2), tea (line 9): tea (line 9) keeps it, as site/products/tea.toml "
        "has it already"
    )


@pytest.mark.parametrize("order", [1, -1])
def test_an_sku_of_two_new_products_belongs_to_neither(shop: Project, order: int) -> None:
    both = [product("coffee", variant("X", line=2), line=2), product("tea", variant("X", line=9), line=9)]
    report = import_products(shop, both[::order])
    assert (skus(shop)["tea"], skus(shop)["coffee"]) == (["TEA"], ["COFFEE"])
    assert "of coffee (line 2), tea (line 9): none of them has it here" in lines_of(report, "several")[0]
    before = files_of(shop)
    import_products(shop, both[::-order])
    assert files_of(shop) == before


def test_two_products_that_swap_their_skus_swap_their_files(shop: Project) -> None:
    import_products(shop, [product("a", variant("X")), product("b", variant("Y"))])
    import_products(shop, [product("a", variant("Y")), product("b", variant("X"))])
    assert (skus(shop)["a"], skus(shop)["b"]) == (["Y"], ["X"])
    assert redirects(shop) == {}


def test_a_dry_run_says_what_would_change_and_writes_nothing(shop: Project) -> None:
    import_products(
        shop, [product("a", variant("A")), product("b", variant("B")), product("c", variant("C"))]
    )
    before = files_of(shop)
    changed = product("a", variant("A", units=9, price="6.00"), variant("A2", ("Kind", "x")), title="Other")
    new = [changed, product("bee", variant("B")), product("n", variant("N"))]
    report = import_products(shop, new, dry_run=True)
    assert files_of(shop) == before
    assert lines_of(report, "new") == ["site/products/n.toml"]
    (line,) = lines_of(report, "changed")
    assert line.startswith("site/products/a.toml (title, ")
    assert "variant A2 new" in line
    assert lines_of(report, "renamed") == ["site/products/b.toml is now site/products/bee.toml"]
    assert lines_of(report, "no longer in the export") == ["site/products/c.toml"]
    assert "A dry run: nothing was written but this report" in report.summary


def test_products_are_dated_by_their_first_import_and_by_the_export_where_it_dates_them(
    shop: Project,
) -> None:
    import_products(shop, [product("a", variant("A")), product("b", variant("B"), released_on="2020-05-04")])
    import_products(
        shop, [product("a", variant("A"), title="New"), product("n", variant("N"))], today="2027-01-01"
    )
    assert "released_on = 2026-09-01" in text(shop, "a")
    assert "released_on = 2020-05-04" in text(shop, "b")
    assert "released_on = 2027-01-01" in text(shop, "n")


def test_old_addresses_of_the_other_shop_redirect_and_those_of_two_products_are_named(shop: Project) -> None:
    report = import_products(
        shop,
        [
            product("Mug A", variant("A"), old_paths=("/p/1", "/both")),
            product("b", variant("B"), old_paths=("/products/b", "/both")),
        ],
    )
    assert redirects(shop) == {"/p/1": "/products/mug-a"}
    assert lines_of(report, "old addresses of several products") == [
        "old addresses: /both: leads nowhere: /products/b, /products/mug-a have it"
    ]


def test_a_category_that_a_merchant_titled_otherwise_is_not_made_again(shop: Project) -> None:
    import_products(
        shop, [product("a", variant("A"), category="C#"), product("b", variant("B"), category="C")]
    )
    site = shop.site / "site.toml"
    site.write_text(site.read_text().replace('title = "C#"', 'title = "See sharp"'))
    before = site.read_text()
    import_products(shop, [product("a", variant("A"), category="C#", title="Other")])
    assert site.read_text() == before
    assert 'category = "c-sharp"' in text(shop, "a")


def test_an_interrupted_import_is_finished_by_the_next(
    shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_products(shop, [product("a", variant("A")), product("b", variant("B"))])
    folder = shop.site / "products"
    record = folder / "imported.json"
    changed = [product("a", variant("A"), title="New a"), product("b", variant("B"), title="New b")]
    before = (folder / "b.toml").read_text()
    import_products(shop, changed)
    finished = files_of(shop)
    # As a power cut leaves it: the record says what was about to be written, and only some of it was.
    (folder / "b.toml").write_text(before)
    content = json.loads(record.read_text())
    files = {**content["files"], "a.toml": "older", "b.toml": digest(before)}
    record.write_text(json.dumps({**content, "files": files, "pending": content["files"]}))
    report = import_products(shop, changed)
    assert "0 edited by hand" in report.summary
    assert files_of(shop) == finished


def test_a_redirect_to_a_tag_whose_page_is_gone_is_taken_out_and_named(shop: Project) -> None:
    both = [product(name, variant(name), tags=("wool", "warm")) for name in ("a", "b")]
    import_products(shop, both)
    lines = {"/collections/wool": "/tags/wool", "/old/wool": "/collections/wool", "/warm": "/tags/warm"}
    add_redirects(shop, lines)
    report = import_products(shop, [both[0], product("b", variant("b"), tags=("warm",))])
    assert redirects(shop) == {"/warm": "/tags/warm"}
    assert lines_of(report, "their page is gone") == [
        "/collections/wool to /tags/wool",
        "/old/wool to /tags/wool",
    ]
    build(shop)


def test_a_redirect_to_a_product_that_was_deleted_is_taken_out_and_one_to_a_renamed_one_stays(
    shop: Project,
) -> None:
    first = [
        product("a", variant("A"), old_paths=("/p/a",)),
        product("b", variant("B"), old_paths=("/p/b",)),
        product("c", variant("C")),
    ]
    import_products(shop, first)
    add_redirects(
        shop, {"/best": "/products/a#size", "/second": "/products/b", "/away": "https://a.example/"}
    )
    (shop.site / "products/a.toml").unlink()
    renamed = product("bee", variant("B"), old_paths=("/p/b",))
    report = import_products(shop, [renamed, first[2]])
    assert redirects(shop) == {
        "/p/b": "/products/b",
        "/second": "/products/b",
        "/away": "https://a.example/",
        "/products/b": "/products/bee",
    }
    assert lines_of(report, "their page is gone") == ["/best to /products/a", "/p/a to /products/a"]
    build(shop)


def test_a_dry_run_takes_no_redirect_out(shop: Project) -> None:
    import_products(shop, [product("a", variant("A"), old_paths=("/p/a",)), product("b", variant("B"))])
    (shop.site / "products/a.toml").unlink()
    report = import_products(shop, [product("b", variant("B"))], dry_run=True)
    assert redirects(shop) == {"/p/a": "/products/a"}
    assert lines_of(report, "their page is gone") == ["/p/a to /products/a"]

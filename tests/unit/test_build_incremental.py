"""A build that keeps files of an earlier build makes the same bytes as a build from nothing."""

import os
import random
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.domain.stock import Availability, Stock
from spillway.__main__ import cli
from spillway.errors import SpillwayError
from spillway.project import Project
from spillway.sitegen.addresses import redirect_file
from spillway.sitegen.incremental import build_what_changed
from spillway.sitegen.parallel import WorkerPool
from spillway.sitegen.reading.markdown import _parsed_to_html, to_html
from spillway.sitegen.reading.toml_input import CatalogueInvalid
from spillway.sitegen.release import Release
from spillway.sitegen.site import build
from tests.support.german_shop import make_german_shop
from tests.support.small_shop import make_small_shop, own_file

T = TypeVar("T")
Edit = Callable[[Project, random.Random], None]
PLAIN_SIGNS = "abc ÄßжשK9 ,.;:'\"()?!%/–—’…£€-\n\n"


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    return make_small_shop(tmp_path / "shop")


def content(release: Release) -> dict[str, bytes]:
    return {object_.key: object_.read() for object_ in release.objects}


OLD_ADDRESS = re.compile(r"(de/)?(old|products/shawl|shop/outerwear/coat|privacy/old\.html)/?")


def file_of(key: str) -> str:
    """The name of an object's file: a page that others lie under is the index of their folder, and old
    addresses have a folder of their own."""
    if OLD_ADDRESS.fullmatch(key) or key.endswith("merchant"):
        return redirect_file(key)
    if key.endswith("/"):
        return f"{key}index.html"
    return "de/index.html" if key == "de" else key


def files(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()
    }


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    file.write_text(text.replace(old, new, 1))


def made_again(shop: Project, edit: Callable[[], None]) -> set[str]:
    """Return the pages that a build after `edit` writes again."""
    folder = shop.cache / "site"
    build(shop)
    before = {key: (folder / key).stat().st_mtime_ns for key in files(folder)}
    edit()
    build(shop)
    return {key for key in files(folder) if before.get(key) != (folder / key).stat().st_mtime_ns}


def test_an_unchanged_file_is_not_rendered_again(shop: Project) -> None:
    assert made_again(shop, lambda: None) == set()


def test_touching_every_file_makes_nothing_again(shop: Project) -> None:
    def touch_all() -> None:
        for file in shop.site.rglob("*"):
            file.touch()

    assert made_again(shop, touch_all) == set()


def test_a_changed_product_makes_its_page_and_the_listings_it_stands_on(shop: Project) -> None:
    scarf = shop.site / "products/scarf.toml"

    made = made_again(shop, lambda: change(scarf, "A long scarf.", "A longer scarf."))

    assert made == {"products/scarf", "shop/accessories", "shop/all", "index.html"}


def test_a_further_category_makes_its_listing_and_the_pages_with_its_card(shop: Project) -> None:
    jacket = shop.site / "products/field-jacket.toml"
    further = 'category = "outerwear"\ncategories = ["accessories"]'

    made = made_again(shop, lambda: change(jacket, 'category = "outerwear"', further))

    listings = {"shop/accessories", "shop/outerwear", "shop/all", "index.html"}
    assert made == {"products/field-jacket", "search", "search.json", "sitemap.xml", *listings}


def test_a_comment_in_a_file_changes_no_page(shop: Project) -> None:
    scarf = shop.site / "products/scarf.toml"

    assert made_again(shop, lambda: change(scarf, "stock = 2", "stock = 2  # counted")) == set()


def test_a_template_makes_only_the_pages_that_use_it(shop: Project) -> None:
    template = own_file(shop, "templates/content.html")

    assert made_again(shop, lambda: change(template, "<h1>", '<h1 class="x">')) == {"privacy", "checkout"}


def test_a_script_that_only_product_pages_name_leaves_the_others_alone(shop: Project) -> None:
    script = own_file(shop, "static/shop.js")

    made = made_again(shop, lambda: script.write_text(f"{script.read_text()}\nwindow.more = 1;\n"))

    pages = {key for key in made if not key.startswith("assets/")}
    assert pages == {"products/field-jacket", "products/scarf"}


def test_a_file_somebody_changed_or_lost_in_the_output_is_made_again(shop: Project) -> None:
    folder = shop.cache / "site"
    right = content(build(shop))
    (folder / "products/scarf").write_text("hacked")
    (folder / "shop/all").unlink()
    (folder / "stray").write_text("?")

    assert content(build(shop)) == right
    assert files(folder) == {file_of(key): body for key, body in right.items()}


def test_a_memory_that_is_broken_or_of_other_code_costs_only_time(shop: Project) -> None:
    right = content(build(shop))
    for file in (*shop.cache.rglob("*.pickle"), *shop.cache.rglob("*.sqlite")):
        file.write_bytes(b"\x80\x05 no pickle")

    assert content(build(shop)) == right


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_any_number_of_cores_makes_the_same_release(shop: Project, tmp_path: Path, workers: int) -> None:
    alone = build(shop, folder=tmp_path / "alone", pool=WorkerPool(1))

    together = build(shop, folder=tmp_path / "together", pool=WorkerPool(workers, items_per_worker_min=1))

    assert (together.id, content(together)) == (alone.id, content(alone))


def test_a_mistake_found_by_another_process_is_reported_as_if_it_were_one(shop: Project) -> None:
    change(shop.site / "products/scarf.toml", '"45.00"', "45")
    change(shop.site / "products/field-jacket.toml", '"148.00"', "148")

    messages = []
    for workers in (1, 2):
        with pytest.raises(CatalogueInvalid) as caught:
            build(shop, pool=WorkerPool(workers, items_per_worker_min=1))
        messages.append(caught.value.message)

    assert messages[0] == messages[1]


def rename_scarf(shop: Project, chance: random.Random) -> None:
    for file in (shop.site / "products").glob("s*.toml"):
        slug = f"s{chance.randint(1, 3)}"
        change(shop.site / "site.toml", f'"{file.stem}"]', f'"{slug}"]')
        file.rename(file.with_name(f"{slug}.toml"))
        return


def add_product(shop: Project, chance: random.Random) -> None:
    number = chance.randint(1, 4)
    source = (shop.site / "products/field-jacket.toml").read_text()
    new = source.replace("FJ-", f"N{number}-").replace("Field Jacket", chance.choice(["Anorak", "Zip Coat"]))
    (shop.site / f"products/n{number}.toml").write_text(new)


def drop_product(shop: Project, chance: random.Random) -> None:
    for file in sorted((shop.site / "products").glob("n*.toml"))[:1]:
        file.unlink()


def edit_text(shop: Project, chance: random.Random) -> None:
    file = chance.choice(sorted((shop.site / "products").iterdir()))
    old, new = chance.choice(
        [
            ("A long", "A very long"),
            ("A long", "A wide"),
            ("Waxed cotton", "Waxed linen"),
            ("Waxed cotton", "Waxed hemp, für alle"),
            ("# spare", "# spare part"),
            ("stock = 2", "stock = 0"),
            ("stock = 0", "stock = 2"),
            ("four", "five"),
            ("Moss", "Fern"),
            ('"148.00"', '"149.00"'),
            ("2026-09-01", "2026-10-02"),
            ('"outerwear"', '"accessories"'),
            ('"jacket.webp"', '"scarf.webp"'),
            ("stock =", "stok ="),
            ('category = "outerwear"', 'category = "outerwear"\ncategories = ["accessories"]'),
            ('categories = ["accessories"]', 'brand = "Lumo"'),
            ('"148.00"\n', '"148.00"\ncompare_at_price = "200.00"\nsale_ends_on = 2026-12-31\n'),
            ('"45.00"', '"0.00"'),
            ("stock = 2", "counted = false"),
            ("2026-12-31", "2027-01-31"),
            ("Lambswool.", "Lambswool, [and more](/products/nope)."),
            ('summary = "', '# A line more.\nsummary = "'),
            ('"accessories"', '"outerwear"'),
        ]
    )
    change(file, old, new)


def reword(shop: Project, chance: random.Random) -> None:
    """Change words and stock that only the pages which show a product depend on."""
    for file in chance.sample(sorted((shop.site / "products").iterdir()), 1):
        change(file, 'summary = "', f'summary = "{chance.choice(["Fine", "Für alle", "New"])} ')
        change(file, "stock = ", chance.choice(["stock = ", "stock = 1", "stock =  "]))


def add_numbered(shop: Project, number: int) -> None:
    """Add a product like the jacket: with three, pages show others below them."""
    source = (shop.site / "products/field-jacket.toml").read_text()
    new = source.replace("FJ-", f"M{number}-").replace('title = "Field Jacket"', f'title = "Coat {number}"')
    (shop.site / f"products/m{number}.toml").write_text(new)


def misname(shop: Project, chance: random.Random) -> None:
    """Put a file where none is read, or take it away."""
    file = shop.site / chance.choice(["products/candle.toml.txt", "products/sub/x.toml", "rule.toml"])
    if file.exists():
        file.unlink()
    else:
        file.parent.mkdir(exist_ok=True)
        file.write_text("")


def to_sheet(shop: Project, chance: random.Random) -> None:
    """Move a product between files and the sheet."""
    sheet, file = shop.site / "products.csv", shop.site / "products/boxed.toml"
    if sheet.exists():
        sheet.unlink()
        file.write_text(
            'title = "Boxed"\ncategory = "accessories"\nprice = "9.00"\nsummary = "In a box."\n'
            'description = "A box."\n[[variants]]\nsku = "BOXED"\nstock = 1\n'
        )
    else:
        file.unlink(missing_ok=True)
        sheet.write_text(
            "slug,title,category,price,summary,description,sku,stock\n"
            "boxed,Boxed,accessories,9.00,In a box.,A box.,BOXED,1\n"
        )


def edit_shop(shop: Project, chance: random.Random) -> None:
    old, new = chance.choice(
        [
            ("Heron & Daughters", "Heron"),
            ("Against wind", "Against the wind"),
            ('"Outerwear"', '"Coats"'),
            ('"GBP"', '"EUR"'),
            ('"field-jacket", ', ""),
            ("3 Quay", "4 Quay"),
            ('title = "Privacy"', 'title = "Your data"'),
            (
                "[waitlist]",
                '[returns]\ncountry = "GB"\ndays = 30\npaid_by = "shop"\nby = "mail"\n\n[waitlist]',
            ),
            ("days = 30", "days = 14"),
            ("[waitlist]", "[theme]\nrelated = false\n\n[waitlist]"),
        ]
    )
    change(shop.site / "site.toml", old, new)


def edit_theme(shop: Project, chance: random.Random) -> None:
    name = chance.choice(sorted(file.name for file in (shop.default_theme / "templates").iterdir()))
    change(own_file(shop, f"templates/{name}"), "</", f"<!-- {chance.randint(1, 3)} --></")


def edit_asset(shop: Project, chance: random.Random) -> None:
    file = own_file(shop, f"static/{chance.choice(['shop.css', 'shop.js'])}")
    file.write_text(file.read_text() + f"/* {chance.randint(1, 3)} */")


def rename_page(shop: Project, chance: random.Random) -> None:
    """Give a content page another address; the first time, add it."""
    about, story = (shop.site / "pages" / name for name in ("about.md", "story.md"))
    if about.exists():
        about.rename(story)
    elif story.exists():
        story.rename(about)
    else:
        about.write_text('+++\ntitle = "About"\ndescription = "Us."\n+++\nEight people.\n')


def set_clock_back(shop: Project, chance: random.Random) -> None:
    """Edit a product while the clock is a day behind."""
    file = chance.choice(sorted((shop.site / "products").iterdir()))
    long_ago_ns = file.stat().st_mtime_ns - 86_400 * 10**9
    change(file, 'summary = "', 'summary = "Earlier: ')
    os.utime(file, ns=(long_ago_ns, long_ago_ns))


def keep_size_and_time(shop: Project, chance: random.Random) -> None:
    """Change what a file says, and neither its size nor its time: in its place, or by another file."""
    file = chance.choice(sorted((shop.site / "products").iterdir()))
    before = file.stat()
    lines = file.read_text().splitlines(keepends=True)
    written = file.with_name("beside") if chance.random() < 0.5 else file
    written.write_text("".join(_shouted(line) if line.startswith("summary = ") else line for line in lines))
    written.replace(file)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def _shouted(line: str) -> str:
    """Return a line with the case of each ASCII letter of its value changed."""
    name, value = line.split("=", 1)
    return f"{name}={''.join(sign.swapcase() if sign.isascii() else sign for sign in value)}"


def swap_pictures(shop: Project, chance: random.Random) -> None:
    pictures = shop.site / "pictures"
    one, other = (pictures / name for name in ("jacket.webp", "scarf.webp"))
    one_bytes = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(one_bytes)


def meddle(shop: Project, chance: random.Random) -> None:
    there = sorted(file for file in (shop.cache / "site").rglob("*") if file.is_file())
    if there:
        chance.choice(there).unlink()


def edit_language(shop: Project, chance: random.Random) -> None:
    name, old, new = chance.choice(
        [
            ("site.toml", '"en-GB", "de"', '"en-GB"'),
            ("site.toml", '["en-GB"]', '["en-GB", "de"]'),
            ("site.toml", '"Jacken"', '"Mäntel"'),
            ("site.toml", 'Moss = "Moos"', 'Moss = "Farn"'),
            ("products/field-jacket.toml", '"Feldjacke"', '"Wachsjacke"'),
            ("locales/de.po", 'msgstr "Ausverkauft"', 'msgstr ""'),
            ("locales/de.po", 'msgstr "Kaufen"', 'msgstr "In den Korb"'),
            ("pages/privacy.de.md", "Nicht viel", "Sehr wenig"),
        ]
    )
    if name.startswith("locales"):
        own_file(shop, name)
    if (shop.site / name).is_file():  # a shop of one language has fewer
        change(shop.site / name, old, new)


def edit_redirects(shop: Project, chance: random.Random) -> None:
    rows = {
        "/old": "/privacy",
        "/products/shawl": chance.choice(["/products/scarf", "/products/field-jacket"]),
        "/shop/outerwear/coat/": "/products/field-jacket",
        "/privacy/old.html": "/old",
    }
    chosen = chance.sample(sorted(rows), chance.randint(0, len(rows)))
    text = "".join(f'"{source}" = "{rows[source]}"\n' for source in chosen)
    (shop.site / "redirects.toml").write_text(f"[redirects]\n{text}")


def edit_root_files(shop: Project, chance: random.Random) -> None:
    file = shop.site / "root" / chance.choice(["ads.txt", ".well-known/security.txt", "robots.txt"])
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists() and chance.random() < 0.4:
        file.unlink()
    else:
        file.write_text(f"line {chance.randint(1, 3)}")


EDITS: tuple[Edit, ...] = (
    *(edit_redirects, edit_root_files),
    *(rename_scarf, add_product, drop_product, edit_text, edit_text, edit_shop, edit_theme, edit_asset),
    *(swap_pictures, meddle, edit_language, edit_language, rename_page, set_clock_back, keep_size_and_time),
)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32), edits=st.lists(st.sampled_from(EDITS), min_size=1, max_size=5))
def test_after_any_edits_it_is_the_build_from_nothing(
    tmp_path_factory: pytest.TempPathFactory, seed: int, edits: list[Edit]
) -> None:
    chance = random.Random(seed)
    make_shop = chance.choice([make_small_shop, make_german_shop])
    shop = make_shop(tmp_path_factory.mktemp("edited"))
    good = build(shop)
    for edit in edits:
        edit(shop, chance)
        stock = {"scarf": {"SCARF": Stock(chance.choice(list(Availability)), None, 5, "e")}}
        fresh = outcome(partial(build_from_nothing, shop, stock, tmp_path_factory.mktemp("fresh")))
        kept = outcome(partial(build, shop, stock=stock))
        if isinstance(fresh, str) or isinstance(kept, str):
            assert kept == fresh
            assert files(shop.cache / "site").keys() <= {file_of(object_.key) for object_ in good.objects}
            continue
        good = kept
        assert (good.id, content(good)) == (fresh.id, content(fresh))
        assert files(shop.cache / "site") == {file_of(key): body for key, body in content(fresh).items()}


# A test does not wait between an edit and the build after it; the kernel's clock ticks in between.
FILES_SETTLE_AT_ONCE = ("spillway.sitegen.cache._UNSETTLED_NS", -(10**18))
SMALL_EDITS = (
    *(edit_text, edit_text, edit_text, reword, reword, edit_language, rename_scarf, to_sheet, misname),
    *(set_clock_back, keep_size_and_time),
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), count=st.integers(1, 5))
def test_after_small_edits_the_command_makes_the_build_from_nothing(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, seed: int, count: int
) -> None:
    chance = random.Random(seed)
    make_shop = chance.choice([make_small_shop, make_german_shop])
    shop = make_shop(tmp_path_factory.mktemp("edited"))
    monkeypatch.setattr(*FILES_SETTLE_AT_ONCE)
    for number in range(1, 4):
        add_numbered(shop, number)
    folder = shop.output / "site"
    build_what_changed(shop, folder)
    for _ in range(count):
        chance.choice([*SMALL_EDITS, *EDITS])(shop, chance)
        fresh = outcome(partial(build_from_nothing, shop, {}, tmp_path_factory.mktemp("fresh")))
        report = outcome(partial(build_what_changed, shop, folder))
        if isinstance(fresh, str) or isinstance(report, str):
            assert report == fresh
            continue
        assert files(folder) == {file_of(key): body for key, body in content(fresh).items()}
        assert report.summary.startswith(f"release {fresh.id} for ")
        assert report.missing_translations == (*fresh.missing_translations, *fresh.notes)
        assert (report.sales, report.launches) == (fresh.sales, fresh.launches)


@pytest.mark.parametrize("edit", [rename_page, set_clock_back, keep_size_and_time, to_sheet, rename_scarf])
def test_after_an_edit_that_is_hard_to_see_the_command_makes_the_build_from_nothing(
    shop: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edit: Edit
) -> None:
    monkeypatch.setattr(*FILES_SETTLE_AT_ONCE)
    folder, texts = shop.output / "site", set()
    for number in range(3):
        build_what_changed(shop, folder)
        made = files(folder)
        (tmp_path / f"fresh{number}").mkdir()
        fresh = build_from_nothing(shop, {}, tmp_path / f"fresh{number}")
        assert made == {file_of(key): body for key, body in content(fresh).items()}
        texts.add(b"".join(body for _, body in sorted(made.items())))
        edit(shop, random.Random(number))
    assert len(texts) > 1


# In rounds: the file of a product, a text, and another one in its place.
EDITS_OF_EVERY_FIELD = (
    [("field-jacket", '"Field Jacket"', '"Zip Jacket"'), ("m1", "Waxed cotton", "Waxed hemp")],
    [("m2", '"148.00"\n', '"12.00"\ncompare_at_price = "15.00"\nsale_ends_on = 2026-12-31\n')],
    [("m1", '"outerwear"', '"accessories"'), ("m2", '["waxed"]', "[]")],
    [("m3", "2026-09-01", "2026-10-02"), ("m2", '"jacket.webp"\n', '"scarf.webp"\n')],
    [("scarf", '"Wool Scarf"', '"Long Scarf"'), ("m3", "M3-SLATE-M", "M3-INK-M")],
    [("field-jacket", "2026-09-01", "2026-11-02"), ("field-jacket", '"Feldjacke"', '"Jacke"')],
)


@pytest.mark.parametrize("make_shop", [make_small_shop, make_german_shop])
def test_an_edit_of_any_field_of_a_product_reads_no_other_product(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_shop: Callable[[Path], Project]
) -> None:
    shop = make_shop(tmp_path / "shop")
    monkeypatch.setattr(*FILES_SETTLE_AT_ONCE)
    for number in range(1, 4):
        add_numbered(shop, number)
    folder = shop.output / "site"
    build_what_changed(shop, folder)
    for number, edits in enumerate(EDITS_OF_EVERY_FIELD):
        for slug, old, new in edits:
            change(shop.site / f"products/{slug}.toml", old, new)
        if number == 3:
            change(shop.site / "products/m2.toml", '"jacket.webp" =', '"scarf.webp" =')
        with monkeypatch.context() as patched:
            patched.setattr("spillway.sitegen.site.read_site", None)
            report = build_what_changed(shop, folder)

        (tmp_path / f"fresh{number}").mkdir()
        fresh = build_from_nothing(shop, {}, tmp_path / f"fresh{number}")
        assert files(folder) == {file_of(key): body for key, body in content(fresh).items()}
        assert report.summary.startswith(f"release {fresh.id} for ")
        assert report.sales == fresh.sales


def test_a_sku_that_goes_is_a_mistake_in_the_rule_that_names_it(
    shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*FILES_SETTLE_AT_ONCE)
    (shop.site / "rules.toml").write_text(
        '[[rules]]\nname = "slate"\non = "restock.opened"\nwhen.data.sku = ["FJ-SLATE-M"]\n'
        'do = "pause"\nwith = { reason = "x" }\n'
    )
    build_what_changed(shop, shop.output / "site")
    change(shop.site / "products/field-jacket.toml", "FJ-SLATE-M", "FJ-SLATE-L")
    with pytest.raises(CatalogueInvalid, match=r"site/rules.toml:4: .*'FJ-SLATE-M': expected the SKU"):
        build_what_changed(shop, shop.output / "site")


def test_a_changed_summary_is_made_without_looking_at_the_other_products(
    shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shop.output / "site"
    monkeypatch.setattr(*FILES_SETTLE_AT_ONCE)
    build_what_changed(shop, folder)
    change(shop.site / "products/scarf.toml", "A long scarf.", "A longer scarf.")
    monkeypatch.setattr("spillway.sitegen.site.read_site", None)
    before = {key: (folder / key).stat().st_mtime_ns for key in files(folder)}

    build_what_changed(shop, folder)

    made = {key for key in files(folder) if before.get(key) != (folder / key).stat().st_mtime_ns}
    assert made == {"products/scarf", "shop/accessories"}
    assert b"A longer scarf." in (folder / "products/scarf").read_bytes()


@pytest.mark.parametrize("died_at", [1, 2, 3])
def test_a_small_change_that_dies_between_two_files_is_made_by_the_next_build(
    shop: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, died_at: int
) -> None:
    folder = shop.output / "site"
    monkeypatch.setattr(*FILES_SETTLE_AT_ONCE)
    build_what_changed(shop, folder)
    change(shop.site / "products/scarf.toml", "stock = 2", "stock = 0")
    calls = 0

    def dying(source: str, target: str) -> None:
        nonlocal calls
        calls += 1
        if calls == died_at:
            raise KeyboardInterrupt
        Path(source).rename(target)

    with monkeypatch.context() as patched:
        patched.setattr("spillway.sitegen.small_change.os.replace", dying)
        with pytest.raises(KeyboardInterrupt):
            build_what_changed(shop, folder)
    build_what_changed(shop, folder)

    fresh = build_from_nothing(shop, {}, tmp_path)
    assert files(folder) == {file_of(key): body for key, body in content(fresh).items()}


def outcome(make: Callable[[], T]) -> T | str:
    """The release or report, or what was said instead."""
    try:
        return make()
    except SpillwayError as error:
        return error.message


def build_from_nothing(shop: Project, stock: dict[str, dict[str, Stock]], folder: Path) -> Release:
    """The same shop where nothing was ever built; only pictures, which are kept by content, are shared."""
    elsewhere = Project(folder)
    (folder / "site").symlink_to(shop.site)
    (folder / ".cache").mkdir()
    (folder / ".cache" / "pictures").symlink_to(shop.cache / "pictures")
    return build(elsewhere, stock=stock, pool=WorkerPool(1))


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=PLAIN_SIGNS, min_size=1, max_size=40))
def test_plain_paragraphs_are_what_the_markdown_parser_says(text: str) -> None:
    refused: list[str] = []

    def refuse(line: int, value: str, expected: str) -> None:
        refused.append(value)

    assert to_html(text, heading_level_min=3, refuse=refuse) == _parsed_to_html(text, 3, refuse)


def test_the_command_sees_that_nothing_changed_and_whatever_did(shop: Project) -> None:
    def says() -> str:
        result = CliRunner().invoke(cli, ["build"], obj=shop)
        assert result.exit_code == 0, result.output
        return result.output.partition(" for ")[0]

    first = says()
    assert says() == first
    (shop.output / "site" / "products" / "scarf").unlink()
    assert says() == first
    assert (shop.output / "site" / "products" / "scarf").is_file()
    change(shop.site / "products/scarf.toml", "A long", "A short")
    changed = says()
    assert changed != first
    assert b"A short" in (shop.output / "site" / "products" / "scarf").read_bytes()
    change(shop.site / "products/scarf.toml", "A short", "A long")
    assert says() == first

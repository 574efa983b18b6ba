"""A build is a value made from its input alone, and a failure leaves what was there."""

import hashlib
import re
import xml.etree.ElementTree as ET
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import brotli
import pytest
from click.testing import CliRunner
from PIL import Image, ImageStat

from chalicelib.domain.stock import Availability, Stock
from chalicelib.storefront.theme import Theme
from spillway.__main__ import cli
from spillway.errors import BadInput, WorkFailed
from spillway.preflight.built_pages import BROTLI_QUALITY
from spillway.project import IMPORT_RECORD, Project
from spillway.sitegen.addresses import redirect_file
from spillway.sitegen.reading.toml_input import CatalogueInvalid
from spillway.sitegen.release import ObjectKind, Release
from spillway.sitegen.site import build
from tests.support.small_shop import make_small_shop, own_file

# Page weight is the bill: everything that a product page needs, without its pictures, as a CDN sends it.
PAGE_WEIGHT_BYTES_MAX = 14_000


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    return make_small_shop(tmp_path)


def page(release: Release, key: str) -> str:
    return next(item for item in release.objects if item.key == key).read().decode()


def test_a_release_holds_every_page_under_the_path_a_shopper_types(shop: Project) -> None:
    release = build(shop)

    pages = {item.key for item in release.objects if item.kind is not ObjectKind.ASSET}
    assert pages == {
        *("index.html", "404", "privacy", "checkout", "products/field-jacket", "products/scarf"),
        *("shop/all", "shop/outerwear", "shop/accessories", "sitemap.xml", "robots.txt", "feed.xml"),
        *("search", "search.json", "merchant", "merchant/"),
        *("waitlist/thanks", "waitlist/confirmed", "waitlist/unsubscribed"),
        *("waitlist/notified", "waitlist/undone"),
        *("waitlist/my-waitlists", "waitlist/sent", "waitlist/erased", "merchant/sent"),
    }


def test_pages_are_asked_for_again_and_assets_are_kept_for_ever(shop: Project) -> None:
    for item in build(shop).objects:
        kept_for_ever = item.cache_control == "public, max-age=31536000, immutable"
        assert kept_for_ever == (item.kind is ObjectKind.ASSET)
        assert kept_for_ever == item.key.startswith(("assets/", "pictures/"))


def test_everything_a_page_asks_for_is_in_the_release(shop: Project) -> None:
    release = build(shop)
    keys = {f"/{item.key}" for item in release.objects}

    for product in (entry.product for entry in release.products):
        for picture in product.pictures:
            assert picture.url in keys
            assert {url for source in picture.sources for url, _ in source.candidates} <= keys
    assert {url for url in release.theme.assets.values() if not url.startswith("data:")} <= keys


def test_a_product_page_with_its_style_and_script_stays_small(shop: Project) -> None:
    release = build(shop)

    html = page(release, "products/field-jacket")
    named = [url.removeprefix("/") for url in release.theme.assets.values() if f'src="{url}"' in html]
    fetched = [html, *(page(release, key) for key in named)]
    sizes_bytes = [len(brotli.compress(text.encode(), quality=BROTLI_QUALITY)) for text in fetched]

    assert sum(sizes_bytes) <= PAGE_WEIGHT_BYTES_MAX
    # The style and the drawing of the tab are in the page; the script alone is a file.
    assert len(fetched) == 2


def test_the_scripts_of_the_merchants_page_are_below_12_kilobytes_as_they_are_sent(shop: Project) -> None:
    release = build(shop)
    scripts = {
        item.key.removeprefix("assets/"): len(brotli.compress(item.read(), quality=BROTLI_QUALITY))
        for item in release.objects
        if item.key.startswith("assets/merchant") and item.key.endswith(".js")
    }
    assert {name.rpartition("-")[0] for name in scripts} >= {
        "merchant",
        "merchant-actions",
        "merchant-reports",
    }
    assert sum(scripts.values()) <= 12_000


def test_a_script_is_sent_without_its_comments_but_for_a_licence(shop: Project) -> None:
    own = shop.site / "static/own.js"
    own.parent.mkdir(exist_ok=True)
    own.write_text(
        "/*! Licence: MIT */\n// Müll\nlet text = `two  spaces // kept`;\n  const found = /a  b/.test(text)\n"
    )
    (sent,) = (item.read().decode() for item in build(shop).objects if item.key.startswith("assets/own-"))
    assert sent == "/*! Licence: MIT */let text=`two  spaces // kept`;const found=/a  b/.test(text)"


def test_two_builds_of_one_input_are_the_same_to_the_byte(tmp_path: Path) -> None:
    first = build(make_small_shop(tmp_path / "one"))
    second = build(make_small_shop(tmp_path / "two"))

    assert first.id == second.id
    assert [(item.key, item.sha256) for item in first.objects] == [
        (item.key, item.sha256) for item in second.objects
    ]
    assert first.theme == second.theme
    assert [entry.product for entry in first.products] == [entry.product for entry in second.products]


def test_any_change_makes_another_release(shop: Project) -> None:
    before = build(shop).id
    own_file(shop, "emails/confirm/subject.txt").write_text("Confirm")

    assert build(shop).id != before


def test_pages_show_the_stock_they_are_given_over_the_one_in_the_files(shop: Project) -> None:
    sold_out = {"scarf": {"SCARF": Stock(Availability.OUT_OF_STOCK, 0, 9, "e9")}}

    assert 'class="button" href="/checkout?sku=' in page(build(shop), "products/scarf")
    assert 'id="waitlist"' in page(build(shop, stock=sold_out), "products/scarf")


def test_the_address_of_a_build_can_be_chosen(shop: Project) -> None:
    release = build(shop, base_url="http://127.0.0.1:8000")

    assert release.theme.shop.base_url == "http://127.0.0.1:8000"
    assert 'href="http://127.0.0.1:8000/products/scarf"' in page(release, "products/scarf")
    assert "heron.example" not in page(release, "sitemap.xml")


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8000", "http://a.example/", "https://a.example/x", "ftp://a.example"]
)
def test_an_address_that_no_page_can_have_is_refused(shop: Project, url: str) -> None:
    with pytest.raises(BadInput, match="--base-url"):
        build(shop, base_url=url)


def test_the_sitemap_lists_what_a_search_engine_may_show(shop: Project) -> None:
    root = ET.fromstring(page(build(shop), "sitemap.xml"))

    paths = {(node.text or "").removeprefix("https://www.heron.example") for node in root.iter() if node.text}
    assert {"/", "/shop/all", "/products/scarf", "/privacy"} <= paths
    assert not {"/404", "/waitlist/thanks", "/checkout"} & paths


def test_the_folder_of_a_build_holds_its_release_and_nothing_else(shop: Project, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    release = build(shop, folder=folder)

    there = {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()
    }
    moved = {"merchant": redirect_file("merchant"), "merchant/": "merchant/index.html"}
    assert there == {moved.get(item.key, item.key): item.read() for item in release.objects}
    assert all(hashlib.sha256(item.read()).hexdigest() == item.sha256 for item in release.objects)
    assert Theme.from_json(release.theme.to_json()) == release.theme


def test_building_again_leaves_nothing_of_the_release_before(shop: Project, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    build(shop, folder=folder)
    (shop.site / "products/scarf.toml").unlink()
    site = shop.site / "site.toml"
    site.write_text(site.read_text().replace(', "scarf"]', "]"))

    build(shop, folder=folder)

    assert not (folder / "products/scarf").exists()
    assert not list((folder / "pictures").glob("scarf*"))


def test_a_mistake_leaves_the_last_good_output(shop: Project) -> None:
    build(shop, folder=shop.output)
    before = {file: file.read_bytes() for file in shop.output.rglob("*") if file.is_file()}
    (shop.site / "products/scarf.toml").write_text("title = ")

    with pytest.raises(CatalogueInvalid):
        build(shop, folder=shop.output)

    assert {file: file.read_bytes() for file in shop.output.rglob("*") if file.is_file()} == before


def test_a_template_that_breaks_on_one_page_leaves_the_last_good_output(shop: Project) -> None:
    build(shop, folder=shop.output)
    before = {file: file.read_bytes() for file in shop.output.rglob("*") if file.is_file()}
    listing = own_file(shop, "templates/listing.html")
    text = listing.read_text()
    line = 1 + text[: text.index("</ul>")].count("\n")
    listing.write_text(text.replace("</ul>", "</ul>{{ 1 / (cards|length - 1) }}"))

    with pytest.raises(BadInput, match=rf"listing\.html:{line}:"):
        build(shop, folder=shop.output)

    assert {file: file.read_bytes() for file in shop.output.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        (
            "templates/content.html",
            "{% extends 'base.html' %}\n{% block main %}\n{{ title }",
            "content.html:3",
        ),
        ("templates/content.html", "{{ title }}\n{{ titel }}", "content.html:2: 'titel' is undefined"),
        ("templates/content.html", "{{ asset('shop.scss') }}", "content.html:1: no asset is named shop.scss"),
        ("templates/confirm.html", "{{ product.name }}", "confirm.html:1"),
        ("templates/content.html", "{{ 1 / 0 }}", "content.html:1: division by zero"),
        ("templates/content.html", "{% include 'content.html' %}", "include each other without end"),
        (
            *("templates/content.html", "{% include 'peices.html' %}"),
            "there is no template peices.html; did you mean pieces.html?",
        ),
        ("emails/available/body.txt", "\n{{ produkt }}", "site/emails/available/body.txt:2"),
    ],
)
def test_a_mistake_in_a_template_is_reported_with_its_line(
    shop: Project, file: str, text: str, expected: str
) -> None:
    own_file(shop, file).write_text(text)

    with pytest.raises(BadInput) as caught:
        build(shop)

    assert expected in caught.value.message


def test_an_asset_of_an_unknown_kind_is_refused(shop: Project) -> None:
    (shop.site / "static").mkdir()
    (shop.site / "static/shop.psd").write_bytes(b"8BPS")

    with pytest.raises(BadInput, match=r"shop\.psd"):
        build(shop)


def test_a_picture_is_developed_once(shop: Project) -> None:
    build(shop)
    made = {file: file.stat().st_mtime_ns for file in (shop.root / ".cache").rglob("*.avif")}

    build(shop)

    assert made
    assert {file: file.stat().st_mtime_ns for file in (shop.root / ".cache").rglob("*.avif")} == made


def test_a_product_page_shows_a_few_pixels_of_each_picture_until_it_comes(shop: Project) -> None:
    release = build(shop)
    shown = r'<img class="blur" src="data:image/webp;base64,([^"]*)" alt="">'
    (blur,) = re.findall(shown, page(release, "products/scarf"))
    few = Image.open(BytesIO(b64decode(blur)))
    assert few.size == (8, 10)
    assert len(blur) <= 200
    scarf = (170, 110, 80)
    means = ImageStat.Stat(few.convert("RGB")).mean
    assert all(abs(mean - wanted) <= 12 for mean, wanted in zip(means, scarf, strict=True))
    assert "blur" not in page(release, "shop/all").partition("<main")[2], "a page of many cards stays light"


def test_a_truncated_picture_is_reported_and_not_half_shown(shop: Project) -> None:
    picture = shop.site / "pictures/jacket.webp"
    Image.effect_noise((600, 700), 80).convert("RGB").save(picture)
    picture.write_bytes(picture.read_bytes()[:2000])

    with pytest.raises((WorkFailed, CatalogueInvalid), match="picture"):
        build(shop)


def test_pictures_are_upright_and_carry_nothing_about_who_took_them(shop: Project) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    exif[0x010F] = "Camera of Jane"
    Image.new("RGB", (500, 400), "green").save(shop.site / "pictures/scarf.webp", exif=exif.tobytes())

    release = build(shop)

    scarf = next(entry.product for entry in release.products if entry.product.slug == "scarf")
    assert (scarf.pictures[0].width, scarf.pictures[0].height) == (400, 500)
    for item in release.objects:
        if item.key.startswith("pictures/scarf"):
            assert b"Jane" not in item.read()


def test_the_command_says_what_it_made(shop: Project) -> None:
    result = CliRunner().invoke(cli, ["build"], obj=shop)

    assert result.exit_code == 0
    pages = sum(item.kind is not ObjectKind.ASSET for item in build(shop).objects)
    assert f"2 products, {pages} pages" in result.output
    assert (shop.output / "site/products/scarf").is_file()


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("products/candle.toml.txt", "names in site/products end with .toml or .md"),
        ("products/candle.TOML", "names in site/products end with .toml or .md"),
        ("products/sub/x.toml", "folders below site/products are not read, move it up"),
        ("products/products.csv", "a sheet of products is site/products.csv, in UTF-8"),
        ("products.xlsx", "a sheet of products is site/products.csv, in UTF-8"),
        ("Products.csv", "a sheet of products is site/products.csv, in UTF-8"),
        ("redirect.toml", "did you mean site/redirects.toml?"),
        ("rule.toml", "did you mean site/rules.toml?"),
        ("Rules.TOML", "did you mean site/rules.toml?"),
        ("pages/about.txt", "names in site/pages end with .md"),
        ("locales/de_DE.po", "the locales of site/site.toml read en-GB.po, en.po"),
        ("locales/en/LC_MESSAGES/messages.po", "the locales of site/site.toml read en-GB.po, en.po"),
        ("pages/privacy.fr.md", "fr is not among the further locales of site/site.toml"),
    ],
)
def test_a_file_that_nothing_reads_is_named(tmp_path: Path, file: str, expected: str) -> None:
    shop = make_small_shop(tmp_path / "shop")
    (shop.site / file).parent.mkdir(parents=True, exist_ok=True)
    (shop.site / file).write_text("x")
    (shop.site / "products" / ".DS_Store").write_text("x")
    (shop.site / "products" / "scarf.toml~").write_text("x")
    (shop.site / "products" / IMPORT_RECORD).write_text("{}")
    assert build(shop).notes == (f"site/{file}: ignored: {expected}",)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("template", "templates"),
        ("Products", "products"),
        ("page", "pages"),
        ("font", "fonts"),
        ("notes", None),
    ],
)
def test_a_folder_under_nearly_the_name_of_one_that_is_read_is_named(
    tmp_path: Path, name: str, meant: str | None
) -> None:
    shop = make_small_shop(tmp_path / "shop")
    (shop.site / name).mkdir()
    expected = (f"site/{name}: ignored: did you mean site/{meant}?",) if meant else ()
    assert build(shop).notes == expected


def test_a_category_without_a_product_is_named(tmp_path: Path) -> None:
    shop = make_small_shop(tmp_path / "shop")
    scarf = shop.site / "products/scarf.toml"
    scarf.write_text(scarf.read_text().replace('"accessories"', '"outerwear"'))
    assert build(shop).notes == (
        "site/site.toml: category accessories has no product, and its page is empty",
    )


def test_a_link_to_no_page_of_the_shop_is_named_with_its_line(tmp_path: Path) -> None:
    shop = make_small_shop(tmp_path / "shop")
    scarf, page = shop.site / "products/scarf.toml", shop.site / "pages/privacy.md"
    good = (
        "[a](/), [b](/shop/all), [c](/search?q=x&y=1), [d](/products/scarf#waitlist), [e](/privacy/), [f](#x)"
    )
    scarf.write_text(scarf.read_text().replace('"Lambswool."', f'"Lambswool, {good} [x](/products/nope)."'))
    page.write_text(f"{page.read_text()}\n{good}\n\n[x](/shop/nowhere?a=1&b=2)\n")
    assert build(shop).notes == (
        "site/pages/privacy.md:10: the link /shop/nowhere?a=1&b=2 leads to no page of this shop",
        "site/products/scarf.toml:5: the link /products/nope leads to no page of this shop",
    )

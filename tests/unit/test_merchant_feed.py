"""The feed for Google Merchant Center: every variant in Google's words, and our own import reads it back."""

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.product import Picture, Product, ProductCondition, Variant
from chalicelib.domain.stock import Availability, Stock
from chalicelib.storefront.theme import Edition, ShippingPolicy
from spillway.__main__ import cli
from spillway.importing.merchant_feed import read_merchant_feed
from spillway.importing.reading import ReadOptions
from spillway.project import Project
from spillway.sitegen.feeds import DESCRIPTION_CHARS_MAX, merchant_feed, xml_text
from spillway.sitegen.reading.loading import load_catalogue
from spillway.sitegen.release import Release
from spillway.sitegen.site import build
from tests.support.small_shop import make_small_shop

G = "{http://base.google.com/ns/1.0}"
TODAY = "2026-11-27"
COAT = Product(
    slug="coat",
    title="Coat",
    summary="A coat.",
    description_html="<p>Salt &amp; <em>wind</em>.</p>",
    category="outerwear",
    pictures=(
        Picture("/pictures/a.jpg", 9, 9, "a", options=(("Colour", "Red"),)),
        Picture("/pictures/b.jpg", 9, 9, "b", options=(("Colour", "Blue"),)),
    ),
    variants=(
        Variant("C-RED", 9800, (("Colour", "Red"), ("Size", "M")), gtin="96385074", weight_g=900),
        Variant("C-BLUE", 0, (("Colour", "Blue"), ("Size", "M")), mpn="M 1"),
    ),
    categories=("accessories",),
    brand="Lumo",
    condition=ProductCondition.USED,
)
STOCK = {
    "C-RED": Stock(Availability.IN_STOCK, None, 0, "e"),
    "C-BLUE": Stock(Availability.OUT_OF_STOCK, 0, 0, "e"),
}


@pytest.fixture
def edition(small_release: Release) -> Edition:
    return small_release.theme.editions[0]


def items_of(text: str) -> list[dict[str, list[str]]]:
    """The fields of each item, those of its shipping too."""
    found: list[dict[str, list[str]]] = []
    for item in ET.fromstring(text).iter("item"):
        fields: dict[str, list[str]] = {}
        for child in item:
            if len(child):
                fields[child.tag.removeprefix(G)] = [
                    f"{element.tag.removeprefix(G)} {element.text}" for element in child
                ]
            else:
                fields.setdefault(child.tag.removeprefix(G), []).append(child.text or "")
        found.append(fields)
    return found


def feed_of(edition: Edition, product: Product, stock: Mapping[str, Stock]) -> list[dict[str, list[str]]]:
    return items_of(merchant_feed(edition, [(product, stock)], today=TODAY).text)


def test_each_variant_is_an_item_in_googles_words(edition: Edition) -> None:
    policy = ShippingPolicy("GB", "United Kingdom", 395, 9000, (0, 1), (2, 3))
    edition = replace(edition, shop=replace(edition.shop, shipping=policy))
    red, blue = feed_of(edition, COAT, STOCK)
    base_url = "https://www.heron.example"
    days = ["min_handling_time 0", "max_handling_time 1", "min_transit_time 2", "max_transit_time 3"]
    assert red == {
        "id": ["C-RED"],
        "item_group_id": ["coat"],
        "title": ["Coat"],
        "description": ["Salt & wind."],
        "link": [f"{base_url}/products/coat?sku=C-RED"],
        "image_link": [f"{base_url}/pictures/a.jpg"],
        "additional_image_link": [f"{base_url}/pictures/b.jpg"],
        "availability": ["in_stock"],
        "price": ["98.00 GBP"],
        "gtin": ["96385074"],
        "shipping_weight": ["900 g"],
        "brand": ["Lumo"],
        "condition": ["used"],
        "product_type": ["Outerwear", "Accessories"],
        "color": ["Red"],
        "size": ["M"],
        "shipping": ["country GB", "price 0.00 GBP", *days],
    }
    assert blue["image_link"] == [f"{base_url}/pictures/b.jpg"]
    assert (blue["availability"], blue["price"], blue["mpn"]) == (["out_of_stock"], ["0.00 GBP"], ["M 1"])
    assert "identifier_exists" not in blue, "a brand and a part number identify it"
    odd = replace(COAT.variants[0], sku="é/1 &2")
    first, _ = feed_of(edition, replace(COAT, variants=(odd, COAT.variants[1])), STOCK)
    assert first["link"] == [f"{base_url}/products/coat?sku=%C3%A9%2F1%20%262"]
    assert blue["shipping"][1] == "price 3.95 GBP"


def test_a_sale_has_both_prices_and_its_days_while_it_lasts(edition: Edition) -> None:
    sale = Variant("S", 4500, compare_at_minor=6000, sale_ends_on="2026-12-31")
    scarf = replace(COAT, variants=(sale,), brand=None)
    (item,) = feed_of(edition, scarf, {})
    assert (item["price"], item["sale_price"]) == (["60.00 GBP"], ["45.00 GBP"])
    assert item["sale_price_effective_date"] == ["2026-11-27T00:00Z/2026-12-31T23:59Z"]
    assert item["identifier_exists"] == ["no"]
    assert item["link"] == ["https://www.heron.example/products/coat"], "there is nothing to pick"
    ended = replace(scarf, variants=(replace(sale, sale_ends_on="2026-11-26"),))
    (item,) = feed_of(edition, ended, {})
    assert (item["price"], item["sale_price"]) == (["60.00 GBP"], ["45.00 GBP"])
    assert "sale_price_effective_date" not in item, "its page has the sale price still"


def test_a_preorder_names_its_ship_date(edition: Edition) -> None:
    later = tuple(replace(variant, available_on="2027-01-05") for variant in COAT.variants)
    stock = {
        "C-RED": replace(STOCK["C-RED"], availability=Availability.PRE_ORDER),
        "C-BLUE": replace(STOCK["C-BLUE"], availability=Availability.BACK_ORDER),
    }
    items = feed_of(edition, replace(COAT, variants=later), stock)
    assert [(item["availability"], item["availability_date"]) for item in items] == [
        (["preorder"], ["2027-01-05T00:00Z"]),
        (["backorder"], ["2027-01-05T00:00Z"]),
    ]
    assert all(
        "availability_date" not in item for item in feed_of(edition, replace(COAT, variants=later), STOCK)
    )


def test_variants_that_google_cannot_join_are_items_of_their_own(edition: Edition) -> None:
    phone = replace(
        COAT, variants=(Variant("P1", 1, (("Memory", "1 GB"),)), Variant("P2", 1, (("Memory", "2 GB"),)))
    )
    items = feed_of(edition, phone, {})
    assert [item["title"] for item in items] == [["Coat, 1 GB"], ["Coat, 2 GB"]]
    assert all("item_group_id" not in item for item in items)


def test_values_that_google_may_refuse_are_reported_with_their_count(edition: Edition) -> None:
    words = "word " * 2000
    product = replace(
        COAT,
        title="T" * 151,
        description_html=f"<p>{words}</p>",
        pictures=(),
        variants=(
            Variant("S" * 51, 0, (("Size", "S"),)),
            Variant("PRE", 1, (("Size", "M"),)),
            Variant("GONE", 1, (("Size", "L"),)),
        ),
    )
    stock = {
        "PRE": Stock(Availability.PRE_ORDER, None, 0, "e"),
        "GONE": Stock(Availability.DISCONTINUED, None, 0, "e"),
    }
    feed = merchant_feed(edition, [(product, stock)], today=TODAY)
    assert set(feed.warnings) == {
        "1 item with an SKU above 50 characters, which Google refuses",
        "2 items with a title above 150 characters, which Google cuts",
        "2 items with a description cut to Google's 5,000 characters",
        "2 items without a picture, which Google refuses",
        "1 item for nothing: Google lists no free products",
        "1 item for later without available_on, the date that Google asks for",
        "1 item left out: no longer made",
    }
    first, second = items_of(feed.text)
    assert (first["id"], second["id"], feed.items) == (["S" * 51], ["PRE"], 2)
    (description,) = first["description"]
    assert len(description) <= DESCRIPTION_CHARS_MAX
    assert description.endswith("word…")


@given(st.text(st.characters(exclude_categories=["Cs"])))
@settings(max_examples=60)
def test_any_text_is_xml(text: str) -> None:
    allowed = "".join(
        item for item in text if item in "\t\n" or "\x20" <= item <= "\ud7ff" or item >= "\ue000"
    )
    allowed = allowed.replace("\ufffe", "").replace("\uffff", "")
    kept = ET.fromstring(f"<a>{xml_text(text)}</a>").text or ""
    assert kept.replace("\n", "") == allowed.replace("\n", "")


NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp", "Cf"]), min_size=1, max_size=20
)
PRODUCTS = st.lists(
    st.tuples(
        NAMES | st.sampled_from(["]]>", "&amp;", "<b>", '"']),
        st.lists(
            st.tuples(st.integers(1, 10**7), st.sampled_from([*Availability][:2])), min_size=1, max_size=3
        ),
    ),
    min_size=1,
    max_size=4,
)


@given(PRODUCTS)
@settings(max_examples=30, deadline=None)
def test_our_own_import_reads_the_feed_back(
    small_release: Release,
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, list[tuple[int, Availability]]]],
) -> None:
    edition = small_release.theme.editions[0]
    stocked = []
    for number, (title, variants) in enumerate(rows):
        sold = tuple(
            Variant(f"SKU-{number}-{n}", price, (("Size", str(n)),)) for n, (price, _) in enumerate(variants)
        )
        stock = {item.sku: Stock(now, None, 0, "e") for item, (_, now) in zip(sold, variants, strict=True)}
        stocked.append((Product(f"p{number}", title, "s", "<p>d</p>", "outerwear", (), sold), stock))
    file = tmp_path_factory.getbasetemp() / "feed.xml"
    file.write_text(merchant_feed(edition, stocked, today=TODAY).text, encoding="utf-8")
    read = read_merchant_feed(file, ReadOptions("GBP", "en-GB"))
    assert len(read.products) == len(stocked)
    for product, (original, stock) in zip(read.products, stocked, strict=True):
        assert [variant.sku for variant in product.variants] == [variant.sku for variant in original.variants]
        prices = [edition.money.plain(variant.price_minor) for variant in original.variants]
        assert [variant.price.removesuffix(" GBP") for variant in product.variants] == prices
        for_sale = [variant.units != 0 for variant in product.variants]
        assert for_sale == [stock[variant.sku].availability.can_buy for variant in original.variants]


def test_the_command_writes_a_file_that_import_takes(tmp_path: Path) -> None:
    shop = make_small_shop(tmp_path / "shop")
    file = tmp_path / "feed.xml"
    result = CliRunner().invoke(cli, ["feed", "google", "-o", str(file)], obj=shop)
    assert result.exit_code == 0, result.output
    assert "4 items for https://www.heron.example" in result.stderr
    assert [item["id"] for item in items_of(file.read_text())] == [
        ["FJ-MOSS-S"],
        ["FJ-MOSS-M"],
        ["FJ-SLATE-M"],
        ["SCARF"],
    ]
    other = make_small_shop(tmp_path / "other")
    for product in (other.site / "products").iterdir():
        product.unlink()
    (other.site / "site.toml").write_text(
        (other.site / "site.toml").read_text().replace('["field-jacket", "scarf"]', "[]")
    )
    taken = CliRunner().invoke(cli, ["import", "google", str(file), "--no-images"], obj=other)
    assert taken.exit_code == 0, taken.output
    before = {
        variant.sku: variant.price_minor
        for entry in load_catalogue(shop).products
        for variant in entry.product.variants
    }
    (other.site / "site.toml").write_text(
        (other.site / "site.toml").read_text().replace("featured = []", f'featured = ["{first_slug(other)}"]')
    )
    after = {
        variant.sku: variant.price_minor
        for entry in load_catalogue(other).products
        for variant in entry.product.variants
    }
    assert after == before


FEED = """\
<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel><item>
<g:id>LAMP</g:id><g:title>Lamp</g:title><g:description>A lamp.</g:description>
<g:condition>new</g:condition><g:price>60.00 GBP</g:price><g:sale_price>45.00 GBP</g:sale_price>
<g:sale_price_effective_date>2026-01-01T09:00-0800/9998-12-24T20:00-0800</g:sale_price_effective_date>
<g:availability>preorder</g:availability><g:availability_date>9998-12-31T09:00-0800</g:availability_date>
</item></channel></rss>"""


def test_a_sale_with_days_and_a_preorder_survive_import_build_and_feed(tmp_path: Path) -> None:
    shop = make_small_shop(tmp_path / "shop")
    file = tmp_path / "feed.xml"
    file.write_text(FEED)
    taken = CliRunner().invoke(cli, ["import", "google", str(file), "--no-images"], obj=shop)
    assert taken.exit_code == 0, taken.output
    assert "no place" not in taken.output
    written = CliRunner().invoke(cli, ["feed", "google", "-o", str(file)], obj=shop)
    assert written.exit_code == 0, written.output
    (lamp,) = [item for item in items_of(file.read_text()) if item["id"] == ["LAMP"]]
    assert (lamp["price"], lamp["sale_price"]) == (["60.00 GBP"], ["45.00 GBP"])
    assert lamp["sale_price_effective_date"][0].endswith("T00:00Z/9998-12-24T23:59Z")
    assert (lamp["availability"], lamp["availability_date"]) == (["preorder"], ["9998-12-31T00:00Z"])
    page = next(object_ for object_ in build(shop).objects if object_.key == "products/lamp").read().decode()
    assert "https://schema.org/PreOrder" in page
    # The feed reads back the same again.
    before = (shop.site / "products/lamp.toml").read_text()
    CliRunner().invoke(cli, ["import", "google", str(file), "--no-images"], obj=shop)
    assert (shop.site / "products/lamp.toml").read_text() == before


@pytest.mark.parametrize(
    ("days", "line"),
    [
        ("2026-01-01T00:00Z/2026-02-01T23:59Z", "sale price 45.00 until 2026-02-01: the price is 60.00"),
        ("9998-01-01T00:00Z/9998-02-01T23:59Z", "sale price 45.00 from 9998-01-01: the price is 60.00"),
    ],
)
def test_a_sale_of_another_day_is_none_and_is_reported(tmp_path: Path, days: str, line: str) -> None:
    file = tmp_path / "feed.xml"
    file.write_text(FEED.replace("2026-01-01T09:00-0800/9998-12-24T20:00-0800", days))
    export = read_merchant_feed(file, ReadOptions("GBP", "en-GB", today=TODAY))
    (found,) = export.products[0].variants
    assert (found.price, found.compare_at_price) == ("60.00", "")
    assert [str(item) for item in export.not_taken] == [f"item 1: {line}"]


def first_slug(shop: Project) -> str:
    return min(file.stem for file in (shop.site / "products").iterdir())


def test_the_command_writes_to_standard_output_in_a_locale_or_says_which_there_are(tmp_path: Path) -> None:
    shop = make_small_shop(tmp_path)
    result = CliRunner().invoke(cli, ["feed", "google"], obj=shop)
    assert len(items_of(result.stdout)) == 4
    result = CliRunner().invoke(cli, ["feed", "google", "--locale", "fr"], obj=shop)
    assert str(result.exception) == "--locale fr: expected one of en-GB"
    result = CliRunner().invoke(cli, ["feed", "google", "-o", str(tmp_path / "no" / "feed.xml")], obj=shop)
    assert "No such file or directory" in str(result.exception)

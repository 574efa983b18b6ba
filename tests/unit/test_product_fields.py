"""Sale prices, brands, identifiers, several categories, free and uncounted products, policies."""

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from babel.dates import format_date
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.product import Product, ProductCondition, Translation, Variant, WhenSoldOut
from chalicelib.domain.stock import Availability, Stock
from chalicelib.storefront.choices import choices_of, option_kinds
from chalicelib.storefront.json_ld import product_json_ld
from chalicelib.storefront.renderer import Renderer
from chalicelib.storefront.theme import ReturnBy, ReturnPolicy, ShippingPolicy, Theme
from spillway.__main__ import cli
from spillway.project import Project
from spillway.sitegen.cache import ended_sales
from spillway.sitegen.reading.catalogue import CatalogueProduct, ProductRow
from spillway.sitegen.reading.loading import load_catalogue
from spillway.sitegen.reading.locales import country_name, day_format
from spillway.sitegen.reading.product_fields import has_check_digit
from spillway.sitegen.reading.toml_input import CatalogueInvalid
from spillway.sitegen.release import Release
from spillway.sitegen.site import build
from tests.support.merchant_listing import checked, offers_of
from tests.support.small_shop import SCARF, SITE, make_small_shop

POLICIES = """\
[shipping]
country = "GB"
cost = "3.95"
free_from = "90.00"
handling_days = [0, 1]
transit_days = [2, 3]

[returns]
country = "GB"
days = 30
paid_by = "shopper"
by = "mail"

"""
ALL = """\
title = "Wool Scarf"
category = "accessories"
categories = ["outerwear", "accessories"]
brand = "Lumo"
condition = "refurbished"
price = "45.00"
compare_at_price = "60.00"
sale_ends_on = 2026-12-31
available_on = 2027-01-05
weight_g = 250
seo_title = "Buy a scarf"
seo_description = "Scarves, by post."
summary = "A long scarf."
description = "Lambswool."

[[variants]]
sku = "S-RED"
options = { Colour = "Red" }
counted = false
gtin = "4006381333931"
mpn = "M-1"
variant_id = "gid://shop/7"
checkout_url = "/privacy"

[[variants]]
sku = "S-BLUE"
options = { Colour = "Blue" }
stock = 0
when_sold_out = "BackOrder"
price = "50.00"
compare_at_price = "70.00"
sale_ends_on = 2026-11-30
available_on = 2027-02-01
weight_g = 260
"""
SHEET = """\
slug,title,category,categories,brand,condition,price,compare_at_price,sale_ends_on,available_on,weight_g,seo_title,\
seo_description,summary,description,option:Colour,sku,stock,counted,when_sold_out,gtin,mpn,variant_id,checkout_url
scarf,Wool Scarf,accessories,"outerwear, accessories",Lumo,refurbished,45.00,60.00,2026-12-31,2027-01-05,250,\
Buy a scarf,"Scarves, by post.",A long scarf.,Lambswool.,Red,S-RED,,FALSE,,4006381333931,M-1,gid://shop/7,/privacy
scarf,,,,,,50.00,70.00,2026-11-30,2027-02-01,260,,,,,Blue,S-BLUE,0,,BackOrder,,,,
"""


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    return make_small_shop(tmp_path)


def scarf_of(shop: Project, text: str) -> CatalogueProduct:
    (shop.site / "products" / "scarf.toml").write_text(text)
    return load_catalogue(shop).products[-1]


def mistakes_of(shop: Project, text: str = SCARF, site: str = SITE) -> list[str]:
    (shop.site / "products" / "scarf.toml").write_text(text)
    (shop.site / "site.toml").write_text(site)
    with pytest.raises(CatalogueInvalid) as caught:
        load_catalogue(shop)
    return [str(mistake) for mistake in caught.value.mistakes]


def html(release: Release, key: str) -> str:
    return next(item for item in release.objects if item.key == key).read().decode()


def test_every_field_is_read_from_a_file_and_comes_back_from_storage(shop: Project) -> None:
    entry = scarf_of(shop, ALL)
    red, blue = entry.product.variants
    assert red == Variant(
        "S-RED",
        4500,
        (("Colour", "Red"),),
        compare_at_minor=6000,
        sale_ends_on="2026-12-31",
        available_on="2027-01-05",
        gtin="4006381333931",
        mpn="M-1",
        weight_g=250,
        variant_id="gid://shop/7",
        checkout_url="/privacy",
    )
    assert blue == Variant(
        "S-BLUE",
        5000,
        (("Colour", "Blue"),),
        compare_at_minor=7000,
        sale_ends_on="2026-11-30",
        available_on="2027-02-01",
        when_sold_out=WhenSoldOut.BACK_ORDER,
        weight_g=260,
    )
    product = entry.product
    assert (product.category, product.categories) == ("accessories", ("outerwear",))
    assert (product.brand, product.condition) == ("Lumo", ProductCondition.REFURBISHED)
    assert (product.seo_title, product.seo_description) == ("Buy a scarf", "Scarves, by post.")
    assert entry.stock["S-RED"] == Stock(Availability.IN_STOCK, None, 0, "catalogue")
    assert entry.stock["S-BLUE"] == Stock(Availability.BACK_ORDER, 0, 0, "catalogue")
    assert Product.from_document(json.loads(json.dumps(product.to_document()))) == product


def test_markdown_and_the_sheet_say_the_same(shop: Project) -> None:
    by_file = scarf_of(shop, ALL)
    scarf = shop.site / "products" / "scarf.toml"
    front, _, rest = ALL.partition('description = "Lambswool."\n')
    scarf.with_suffix(".md").write_text(f"+++\n{front}{rest}+++\nLambswool.\n")
    scarf.unlink()
    assert load_catalogue(shop).products[-1] == by_file
    scarf.with_suffix(".md").unlink()
    (shop.site / "products.csv").write_text(SHEET)
    assert load_catalogue(shop).products[-1] == by_file


def test_a_product_says_nothing_of_fields_it_does_not_have(shop: Project) -> None:
    document = scarf_of(shop, SCARF).product.to_document()
    assert document["variants"] == [{"sku": "SCARF", "price_minor": 4500, "options": ()}]
    assert not document.keys() & {"brand", "categories", "condition", "seo_title", "seo_description"}


def test_a_former_price_that_is_the_price_is_none(shop: Project) -> None:
    same = SCARF.replace('"45.00"\n', '"45.00"\ncompare_at_price = "45.0"\nsale_ends_on = 2026-12-31\n')
    (variant,) = scarf_of(shop, same).product.variants
    assert (variant.compare_at_minor, variant.sale_ends_on) == (None, None)


def test_the_products_former_price_is_not_that_of_a_dearer_variant(shop: Project) -> None:
    dearer = ALL.replace('compare_at_price = "70.00"\nsale_ends_on = 2026-11-30\n', "")
    red, blue = scarf_of(shop, dearer.replace('"50.00"', '"60.00"')).product.variants
    assert (red.compare_at_minor, red.sale_ends_on) == (6000, "2026-12-31")
    assert (blue.price_minor, blue.compare_at_minor, blue.sale_ends_on) == (6000, None, None)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"60.00"', '"44.99"', "scarf.toml:7: compare_at_price = '44.99': expected the former price"),
        ('"60.00"', "60", "scarf.toml:7: compare_at_price = 60: expected a decimal number in quotes"),
        ('"70.00"', '"1.00"', "variants[1].compare_at_price = '1.00': expected the former price, which"),
        ("2026-12-31", '"soon"', "scarf.toml:8: sale_ends_on = 'soon': expected a date without quotes"),
        ("4006381333931", "4006381333932", "gtin = '4006381333932': expected 8, 12, 13 or 14 digits"),
        ("4006381333931", "12345", "variants[0].gtin = '12345': expected 8, 12, 13 or 14 digits"),
        ('"4006381333931"', "4006381333931", "gtin = 4006381333931: expected 8, 12, 13 or 14 digits"),
        ('"refurbished"', '"mint"', "scarf.toml:5: condition = 'mint': expected one of new, used, ref"),
        ('"BackOrder"', '"InStock"', "when_sold_out = 'InStock': expected one of BackOrder, PreOrder, Disc"),
        ("counted = false", 'counted = "no"', "variants[0].counted = 'no': expected true or false"),
        ("counted = false", "counted = false\nstock = 3", "variants[0].stock = 3: expected no stock where"),
        ("counted = false", "counted = true", "variants[0].stock = (missing): expected a whole number"),
        ("weight_g = 250", "weight_g = 2.5", "scarf.toml:10: weight_g = 2.5: expected a whole number"),
        ('["outerwear"', '["hats"', "scarf.toml:3: categories = 'hats': expected one of outerwear, access"),
        ('"Buy a scarf"', f'"{"x" * 256}"', "seo_title = 'x"),
        ('"Scarves, by post."', f'"{"x" * 1001}"', "expected at most 1000 characters, not 1001"),
        ('title = "Wool Scarf"', f'title = "{"x" * 256}"', "expected at most 255 characters, not 256"),
        ("brand =", "brnd =", "brnd = 'Lumo': expected a known field; did you mean brand?"),
        ("gtin =", "gtim =", "gtim = '4006381333931': expected a known field; did you mean gtin?"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_field_names_its_place_and_what_was_expected(
    shop: Project, old: str, new: str, expected: str
) -> None:
    assert old in ALL
    found = mistakes_of(shop, ALL.replace(old, new, 1))
    assert [line for line in found if expected in line], found


def test_a_sale_that_ends_has_a_price_it_ends_at(shop: Project) -> None:
    found = mistakes_of(shop, SCARF + "sale_ends_on = 2026-12-31\n")
    assert found == [
        "site/products/scarf.toml:14: variants[0].sale_ends_on = '2026-12-31': "
        "expected a compare_at_price beside it, the price when there is no sale"
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"GB"\ncost', '"UK"\ncost', "shipping.country = 'UK': expected a country's ISO 3166-1 code"),
        ('"3.95"', "3.95", "shipping.cost = 3.95: expected a decimal number in quotes"),
        ("[0, 1]", "[3, 1]", "shipping.handling_days = [3, 1]: expected the fewest and the most"),
        ("[2, 3]", "3", "shipping.transit_days = 3: expected the fewest and the most"),
        ('"shopper"', '"nobody"', "returns.paid_by = 'nobody': expected shop or shopper"),
        ('"mail"', '"owl"', "returns.by = 'owl': expected one of mail, store, kiosk"),
        (
            "free_from",
            "free_form",
            "shipping.free_form = '90.00': expected a known field; did you mean free_f",
        ),
    ],
)
def test_a_mistake_in_a_policy_names_its_field(shop: Project, old: str, new: str, expected: str) -> None:
    assert old in POLICIES
    site = SITE.replace("[waitlist]", POLICIES.replace(old, new, 1) + "[waitlist]")
    assert [mistake for mistake in mistakes_of(shop, site=site) if expected in mistake]


@given(st.sampled_from([7, 11, 12, 13]).flatmap(lambda n: st.text("0123456789", min_size=n, max_size=n)))
@settings(max_examples=40)
def test_one_of_ten_last_digits_is_the_check_digit(digits: str) -> None:
    assert sum(has_check_digit(f"{digits}{last}") for last in range(10)) == 1


@pytest.mark.parametrize("gtin", ["4006381333931", "96385074", "036000291452", "10614141000415"])
def test_known_identifiers_have_their_check_digit(gtin: str) -> None:
    assert has_check_digit(gtin)


@pytest.mark.parametrize(
    "locale",
    ["en-GB", "en-US", "de", "fr", "ja", "zh-Hant", "he", "ru", "es-ES", "hu", "ko", "eu", "lv", "th"],
)
@pytest.mark.parametrize("day", ["2026-01-01", "2026-12-31", "2027-08-09"])
def test_days_are_written_as_babel_writes_them(locale: str, day: str) -> None:
    expected = format_date(date.fromisoformat(day), "long", locale=locale.replace("-", "_"))
    # The era goes without saying.
    assert day_format(locale).write(day) == expected.replace("ค.ศ. ", "")


def test_a_country_is_named_in_the_words_of_the_locale() -> None:
    assert (country_name("GB", "de"), country_name("DE", "fr")) == ("Vereinigtes Königreich", "Allemagne")
    assert (country_name("UK", "en"), country_name("gb", "en"), country_name("150", "en")) == (None,) * 3


def test_a_sale_is_shown_with_its_former_price_in_words_and_its_end(shop: Project) -> None:
    sale = SCARF.replace('"45.00"\n', '"45.00"\ncompare_at_price = "60.00"\nsale_ends_on = 2026-12-31\n')
    (shop.site / "products" / "scarf.toml").write_text(sale + 'gtin = "96385074"\n')
    (shop.site / "site.toml").write_text(SITE.replace("[waitlist]", POLICIES + "[waitlist]"))
    release = build(shop)
    page = html(release, "products/scarf")
    former = '<s><span class="unseen">Former price: </span>£60.00</s>'
    assert (
        f'<span class="now">£45.00</span> {former} <span class="until">until 31 December 2026</span>' in page
    )
    assert f'<span class="now">£45.00</span> {former}</p>' in html(release, "shop/accessories")
    assert "United Kingdom: £3.95, free from £90.00. 2 to 4 working days." in page
    assert "Within 30 days, by post. You pay for the way back." in page
    (product, shipping, returns) = checked(data_of(page))
    assert (product["gtin"], product["offers"]["price"]) == ("96385074", "45.00")
    assert product["offers"]["priceValidUntil"] == "2026-12-31"
    assert product["offers"]["priceSpecification"]["price"] == "60.00"
    assert shipping["shippingRate"] == {"@type": "MonetaryAmount", "value": "3.95", "currency": "GBP"}
    assert (returns["merchantReturnDays"], returns["returnFees"]) == (
        30,
        "https://schema.org/ReturnFeesCustomerResponsibility",
    )


def data_of(page: str) -> Any:
    return json.loads(page.partition('<script type="application/ld+json">')[2].partition("</script>")[0])


def test_a_free_product_is_free_and_an_uncounted_one_for_sale(shop: Project) -> None:
    free = SCARF.replace('"45.00"', '"0.00"').replace("stock = 2", "counted = false")
    (shop.site / "products" / "scarf.toml").write_text(free)
    release = build(shop)
    page = html(release, "products/scarf")
    assert '<p class="price">Free</p>' in page
    assert ">Buy</a>" in page
    assert "£0" not in page
    assert '<p class="price">Free</p>' in html(release, "shop/accessories")
    (product,) = checked(data_of(page))
    assert (product["offers"]["price"], product["offers"]["availability"]) == (
        "0.00",
        "https://schema.org/InStock",
    )
    scarf = release.products.named("scarf").product
    renderer = Renderer(release.theme)
    email = renderer.product_email("available", product=scarf, variant=scarf.variants[0], action_url="/x")
    assert "\n  Free\n" in email.text
    assert '<strong dir="auto">Free</strong></p>' in email.html


def test_words_for_search_engines_stay_out_of_the_page(shop: Project) -> None:
    (shop.site / "products" / "scarf.toml").write_text(ALL)
    page = html(build(shop), "products/scarf")
    head, body = page.split("<body")
    assert "<title>Buy a scarf</title>" in head
    assert '<meta name="description" content="Scarves, by post.">' in head
    assert '<meta property="og:title" content="Buy a scarf">' in head
    assert '<meta property="og:description" content="Scarves, by post.">' in head
    assert "<h1>Wool Scarf</h1>" in body
    assert "A long scarf." in body
    assert "Buy a scarf" not in body
    assert "Scarves, by post." not in body


def test_a_translated_title_is_nearer_than_a_foreign_search_title() -> None:
    product = Product("s", "Scarf", "Long.", "", "a", (), (), seo_title="Buy", seo_description="Now")
    german = replace(product, translations=(Translation("de", title="Schal", seo_description="Jetzt"),))
    shown = german.in_locale("de", {})
    assert (shown.title, shown.seo_title, shown.seo_description) == ("Schal", None, "Jetzt")
    english = product.in_locale("de", {})
    assert (english.seo_title, english.seo_description) == ("Buy", "Now")


def test_a_product_stands_in_each_of_its_categories_and_its_crumb_is_the_first(shop: Project) -> None:
    (shop.site / "products" / "scarf.toml").write_text(ALL)
    release = build(shop)
    for key in ("shop/accessories", "shop/outerwear"):
        assert html(release, key).count('href="/products/scarf"') == 1
    crumbs = html(release, "products/scarf").split('<nav class="crumbs"')[1].split("</nav>")[0]
    assert '<a href="/shop/accessories">Accessories</a>' in crumbs
    assert "Outerwear" not in crumbs
    index = json.loads(html(release, "search.json"))
    assert ["scarf", "Wool Scarf", "Accessories Outerwear"] in [product[:3] for product in index["products"]]


def test_an_ended_sale_is_said_and_changes_no_price(shop: Project) -> None:
    sale = SCARF.replace('"45.00"\n', '"45.00"\ncompare_at_price = "60.00"\nsale_ends_on = 2020-02-29\n')
    (shop.site / "products" / "scarf.toml").write_text(sale)
    said = "site/products/scarf.toml: the sale ended on 2020-02-29, and the sale price is still charged"
    for _ in range(2):  # the second build finds nothing changed
        result = CliRunner().invoke(cli, ["build"], obj=shop)
        assert result.exit_code == 0, result.output
        assert said in result.stderr
    page = (shop.output / "site" / "products" / "scarf").read_text()
    assert "until 29 February 2020" in page
    assert '<span class="now">£45.00</span>' in page


def test_a_sale_lasts_through_its_last_day() -> None:
    sales = [("a.toml", "2026-12-31")]
    assert list(ended_sales(sales, today="2026-12-31")) == []
    (line,) = ended_sales(sales, today="2027-01-01")
    assert line.startswith("a.toml: the sale ended on 2026-12-31")
    many = [(f"{number}.toml", "2020-01-01") for number in range(12)]
    assert list(ended_sales(many, today="2026-01-01"))[10:] == ["and 2 more sales that have ended"]


def test_the_longest_slug_title_and_tags_are_built(shop: Project) -> None:
    slug, title = "a" * 255, "W" * 255
    tags = [f"tag {number}" for number in range(250)]
    row = f'{slug},{title},accessories,1,s,d,X,1,"{",".join(tags)}"\n'
    (shop.site / "products.csv").write_text(
        f"slug,title,category,price,summary,description,sku,stock,tags\n{row}"
    )
    release = build(shop)
    assert f"<h1>{title}</h1>" in html(release, f"products/{slug}")
    assert release.products.named(slug).product.tags == tuple(tags)


HOSTILE = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20) | st.sampled_from(
    ["</script>", "<!--", "]]>", "\u2028", '"', "\\", "{{ shop }}"]
)
VARIANTS = st.lists(
    st.builds(
        Variant,
        sku=HOSTILE,
        price_minor=st.integers(0, 10**8),
        options=st.tuples(st.tuples(st.sampled_from(["Colour", "Taille", "Fit"]), HOSTILE)),
        compare_at_minor=st.none() | st.integers(10**8, 10**9),
        sale_ends_on=st.none() | st.dates().map(str),
        available_on=st.none() | st.dates().map(str),
        gtin=st.none() | st.just("96385074"),
        mpn=st.none() | HOSTILE,
        weight_g=st.none() | st.integers(0, 9),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda variant: variant.sku,
)


@given(
    VARIANTS,
    HOSTILE,
    st.none() | HOSTILE,
    st.sampled_from(ProductCondition),
    st.lists(st.sampled_from(Availability), min_size=3, max_size=3),
    st.booleans(),
    st.integers(0, 3),
)
@settings(max_examples=50, deadline=None)
def test_any_product_is_what_google_reads(
    small_release: Release,
    variants: list[Variant],
    text: str,
    brand: str | None,
    condition: ProductCondition,
    held: list[Availability],
    policies: bool,
    return_days: int,
) -> None:
    edition = small_release.theme.editions[0]
    if policies:
        shop = replace(
            edition.shop,
            shipping=ShippingPolicy("GB", "UK", 395, 5000, (0, 1), (2, 3)),
            returns=ReturnPolicy("GB", return_days, is_free=True, by=ReturnBy.STORE),
        )
        edition = replace(edition, shop=shop)
    product = Product("s", text, text, "", "a", (), tuple(variants), brand=brand, condition=condition)
    stock = {variant.sku: Stock(now, None, 0, "e") for variant, now in zip(variants, held, strict=False)}
    markup = product_json_ld(product, choices_of(product, stock), edition, option_kinds(product))
    assert not set(markup) & set("<>&\u2028\u2029")
    nodes = checked(json.loads(markup))
    prices = {variant.sku: edition.money.plain(variant.price_minor) for variant in variants}
    assert {sku: offer["price"] for sku, offer in offers_of(nodes)} == prices
    assert nodes[0].get("brand", {}).get("name") == brand


def test_shipping_is_free_for_what_alone_costs_enough(small_release: Release) -> None:
    edition = small_release.theme.editions[0]
    policy = ShippingPolicy("GB", "UK", 395, 5000, (0, 1), (2, 3))
    edition = replace(edition, shop=replace(edition.shop, shipping=policy))
    variants = (Variant("A", 4999, (("Size", "S"),)), Variant("B", 5000, (("Size", "M"),)))
    product = Product("s", "S", "s", "", "a", (), variants)
    product_node, *nodes = checked(json.loads(product_json_ld(product, choices_of(product, {}), edition)))
    rates = {node["@id"]: node["shippingRate"]["value"] for node in nodes}
    costs = {sku: rates[offer["shippingDetails"]["@id"]] for sku, offer in offers_of([product_node])}
    assert costs == {"A": "3.95", "B": "0.00"}


def test_a_theme_with_policies_and_days_comes_back_from_json(shop: Project) -> None:
    (shop.site / "site.toml").write_text(SITE.replace("[waitlist]", POLICIES + "[waitlist]"))
    theme = build(shop).theme
    assert Theme.from_json(theme.to_json()) == theme
    assert theme.shop.shipping == ShippingPolicy("GB", "United Kingdom", 395, 9000, (0, 1), (2, 3))
    assert theme.editions[0].days.write("2026-12-31") == "31 December 2026"


def test_a_theme_of_before_is_read_without_them(shop: Project) -> None:
    document = json.loads(build(shop).theme.to_json())
    for edition in document["editions"]:
        del edition["days"]
        del edition["shop"]["shipping"]
        del edition["shop"]["returns"]
    theme = Theme.from_json(json.dumps(document))
    assert theme.shop.shipping is None
    assert theme.editions[0].days.write("2026-12-31") == "2026-12-31"


def test_packing_keeps_every_field(shop: Project) -> None:
    entry = scarf_of(shop, ALL)
    row = ProductRow.of("x", entry.product, entry.images, tuple(entry.stock.items()))
    assert row.unpack(shop.site / "pictures") == entry
    assert (row.categories, row.sale_ends_on) == (("accessories", "outerwear"), "2026-11-30")

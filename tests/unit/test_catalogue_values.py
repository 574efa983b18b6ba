"""A catalogue without a mistake becomes exactly what it says."""

from pathlib import Path

import pytest
from babel.numbers import format_currency, format_decimal

from chalicelib.domain.product import Variant
from chalicelib.domain.stock import Availability, Stock
from spillway.sitegen.reading.loading import load_catalogue
from spillway.sitegen.reading.locales import minor_units, money_format
from spillway.sitegen.reading.markdown import to_html
from tests.support.small_shop import make_small_shop


def test_the_small_shop_is_read_as_it_stands(tmp_path: Path) -> None:
    catalogue = load_catalogue(make_small_shop(tmp_path))

    jacket, scarf = catalogue.products
    assert jacket.product.variants == (
        Variant("FJ-MOSS-S", 14800, (("Colour", "Moss"), ("Size", "S"))),
        Variant("FJ-MOSS-M", 14800, (("Colour", "Moss"), ("Size", "M"))),
        Variant("FJ-SLATE-M", 15800, (("Colour", "Slate"), ("Size", "M"))),
    )
    assert jacket.stock["FJ-MOSS-S"] == Stock(Availability.IN_STOCK, 4, 0, "catalogue")
    assert jacket.stock["FJ-MOSS-M"].availability is Availability.OUT_OF_STOCK
    assert jacket.product.released_on == "2026-09-01"
    assert jacket.product.details == (("Fabric", "Cotton"), ("Made in", "Ambleford"))
    assert "<strong>heavy</strong>" in jacket.product.description_html
    assert scarf.product.variants == (Variant("SCARF", 4500),)
    assert [page.slug for page in catalogue.pages] == ["checkout", "privacy"]
    assert catalogue.storefront.shop.currency == "GBP"


@pytest.mark.parametrize("locale", ["en-GB", "de-DE", "fr-FR", "en-IN", "ja-JP", "de-CH", "es-ES", "sv-SE"])
@pytest.mark.parametrize("currency", ["GBP", "EUR", "JPY", "INR", "KWD", "CHF"])
def test_prices_are_written_as_babel_writes_them(locale: str, currency: str) -> None:
    money = money_format(currency, locale)
    prices = [5, 99, 14800, 123456, 12345678]

    expected = [
        format_currency(money.plain(minor), currency, locale=locale.replace("-", "_")) for minor in prices
    ]

    assert [money.write(minor) for minor in prices] == expected


@pytest.mark.parametrize("locale", ["en-GB", "de-DE", "fr-FR", "en-IN", "ja-JP", "de-CH", "sv-SE"])
@pytest.mark.parametrize("count", [7, 1234, 1234567])
def test_numbers_are_written_as_babel_writes_them(locale: str, count: int) -> None:
    expected = format_decimal(count, locale=locale.replace("-", "_"))
    assert money_format("EUR", locale).number(count) == expected


@pytest.mark.parametrize(
    ("price", "digits", "minor"), [("148.00", 2, 14800), ("7", 2, 700), ("7", 0, 7), ("0.00", 2, 0)]
)
def test_a_decimal_price_becomes_minor_units(price: str, digits: int, minor: int) -> None:
    assert minor_units(price, fraction_digits=digits) == minor


def html_of(text: str) -> str:
    refused: list[str] = []
    html = to_html(text, heading_level_min=3, refuse=lambda line, value, expected: refused.append(value))
    assert refused == []
    return html


def test_raw_markup_in_a_text_is_shown_and_not_obeyed() -> None:
    assert html_of("<script>alert(1)</script>") == "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>\n"
    assert "<img" not in html_of("a <img src=x onerror=alert(1)> b")


def test_headings_stay_below_those_of_the_page() -> None:
    assert html_of("# Care\n\n#### Deep") == "<h3>Care</h3>\n<h4>Deep</h4>\n"


def test_links_to_the_shop_and_to_https_stay_links() -> None:
    assert html_of("[a](/about) [b](https://b.example/?q=1)") == (
        '<p><a href="/about">a</a> <a href="https://b.example/?q=1">b</a></p>\n'
    )


def test_template_signs_in_a_text_stay_text() -> None:
    assert html_of("{{ shop.sender }} {% raw %}") == "<p>{{ shop.sender }} {% raw %}</p>\n"

"""A price is the number that the export means, or it is none: never another number."""

from decimal import Decimal

import pytest
from babel.numbers import format_decimal
from hypothesis import given, settings
from hypothesis import strategies as st

from spillway.importing.prices import PriceReader, PriceRefused

READ = [
    ("GBP", "en-GB", "12.5", "12.50"),
    ("GBP", "en-GB", "£12.50", "12.50"),
    ("GBP", "en-GB", "12.50 GBP", "12.50"),
    ("GBP", "en-GB", "gbp12", "12.00"),
    ("GBP", "en-GB", "1,234,567.89", "1234567.89"),
    ("GBP", "en-GB", "1.299,00", "1299.00"),
    ("EUR", "de", "1,299.00", "1299.00"),
    ("EUR", "fr", "12,345,678.90", "12345678.90"),
    ("GBP", "en-GB", "12,50", "12.50"),
    ("GBP", "en-GB", "1\u00a0299.00", "1299.00"),
    ("GBP", "en-GB", ".50", "0.50"),
    ("GBP", "en-GB", "£.50", "0.50"),
    ("GBP", "en-GB", "£ .99", "0.99"),
    ("GBP", "en-GB", "GBP.50", "0.50"),
    ("GBP", "en-GB", "GBP .50", "0.50"),
    ("GBP", "en-GB", "£\u00a0.99", "0.99"),
    ("GBP", "en-GB", ".99 GBP", "0.99"),
    ("USD", "en-US", "$ .99", "0.99"),
    ("USD", "en-US", "US$ .99", "0.99"),
    ("EUR", "de", "€ ,50", "0.50"),
    ("EUR", "de", "EUR,50", "0.50"),
    ("INR", "en-IN", "Rs.50", "50.00"),
    ("INR", "en-IN", "Rs. 50", "50.00"),
    ("INR", "en-IN", "Rs. .50", "0.50"),
    ("INR", "en-IN", "Rs.100/-", "100.00"),
    ("INR", "en-IN", "Rs 1,00,000/-", "100000.00"),
    ("KES", "en-KE", "KES 250/=", "250.00"),
    ("DKK", "da", "kr.50", "50.00"),
    ("ZAR", "en-ZA", "R.1299.00", "1299.00"),
    ("GBP", "en-GB", "0.00", "0.00"),
    ("GBP", "en-GB", "1290.000", "1290.00"),
    ("EUR", "de", "0,500", "0.50"),
    ("CHF", "de-CH", "12.–", "12.00"),
    ("CHF", "de-CH", "Fr. 1'299.—", "1299.00"),
    ("EUR", "de", "12,-- €", "12.00"),
    ("EUR", "de", "1.299,– €", "1299.00"),
    ("EUR", "de", "1.290", "1290.00"),
    ("EUR", "de", "1.299,00 €", "1299.00"),
    ("EUR", "de", "12,50 €", "12.50"),
    ("EUR", "de", "12.50", "12.50"),
    ("EUR", "de-AT", "€ 1.299,-", "1299.00"),
    ("EUR", "fr", "1\u202f299,00 €", "1299.00"),
    ("EUR", "en-IE", "1,290", "1290.00"),
    ("CHF", "de-CH", "CHF 1’299.00", "1299.00"),
    ("CHF", "de-CH", "Fr. 1'299.-", "1299.00"),
    ("INR", "en-IN", "Rs. 1,00,000.00", "100000.00"),
    ("INR", "en", "₹1,00,000", "100000.00"),
    ("SEK", "sv", "1 299 kr", "1299.00"),
    ("USD", "en-US", "$1,299.00", "1299.00"),
    ("CAD", "en-CA", "$5", "5.00"),
    ("PLN", "pl", "12,50 zł", "12.50"),
    ("JPY", "ja", "¥1,290", "1290"),
    ("JPY", "ja", "1500.00", "1500"),
    ("JPY", "ja", "１，５００円", "1500"),
    ("JPY", "ja", "￥１５００", "1500"),
    ("KRW", "ko", "12,000원", "12000"),
    ("RON", "ro", "129,99 lei", "129.99"),
    ("RUB", "ru", "1 299,50 руб.", "1299.50"),
    ("PEN", "es-PE", "S/. 45.90", "45.90"),
    ("PEN", "es-PE", "S/.45.90", "45.90"),
    ("AED", "en-AE", "Dhs.45", "45.00"),
    ("TWD", "zh-TW", "1,200元", "1200.00"),
    ("VND", "vi", "150.000đ", "150000"),
    ("USD", "en-US", "US $12.50", "12.50"),
    ("CAD", "fr-CA", "12,50 $ CA", "12.50"),
    ("KWD", "ar-KW", "د.ك.\u200f 12.500", "12.500"),
    ("ISK", "is", "1.290 kr.", "1290"),
    ("KWD", "en", "12.500", "12.500"),
    ("KWD", "en", "KD 12,500.000", "12500.000"),
    ("KWD", "ar-KW", "١٢٫٥٠٠", "12.500"),
    ("TND", "fr-TN", "12,500", "12.500"),
]
REFUSED = [
    ("EUR", "en-IE", "1.290", "it can be 1.290 or 1290"),
    ("EUR", "en-IE", "1.480", "it can be 1.480 or 1480"),
    ("EUR", "de", "1,290", "it can be 1.290 or 1290"),
    ("EUR", "fr", "1.299", "it can be 1.299 or 1299"),
    ("KWD", "en", "12,500", "it can be 12.500 or 12500"),
    ("JPY", "ja", "1.290", "it can be 1.290 or 1290"),
    ("ZAR", "en-ZA", "R.50", "it can be 0.50 or 50"),
    ("GBP", "en-GB", ". 99", "it is no number"),
    ("GBP", "en-GB", "£. 99", "it is no number"),
    ("GBP", "en-GB", "1290.125", "the currency has 2 decimals"),
    ("GBP", "en-GB", "12.000", "it can be 12.000 or 12000"),
    ("GBP", "en-GB", "-.99", "it is below zero"),
    ("GBP", "en-GB", "£ -.99", "it is below zero"),
    ("JPY", "ja", "－５００", "it is below zero"),
    ("GBP", "en-GB", "-5.00", "it is below zero"),
    ("GBP", "en-GB", "(5.00)", "it is below zero"),
    ("GBP", "en-GB", "£−5", "it is below zero"),
    ("GBP", "en-GB", "5.00-", "it is below zero"),
    ("GBP", "en-GB", "", "it is empty"),
    ("GBP", "en-GB", "on request", "it is no number"),
    ("GBP", "en-GB", "10 - 20", "it is no number"),
    ("GBP", "en-GB", "9.99.99", "it is no number"),
    ("GBP", "en-GB", "1e5", "it is no number"),
    ("GBP", "en-GB", "5%", "'%' is no sign of GBP"),
    (
        "GBP",
        "en-GB",
        "15.00 USD",
        "it is in USD, and the shop sells in GBP: --currency-as-is takes its number",
    ),
    ("GBP", "en-GB", "€15", "it is in EUR, and the shop sells in GBP: --currency-as-is takes its number"),
    ("GBP", "en-GB", "1.2345", "the currency has 2 decimals"),
]


@pytest.mark.parametrize(("currency", "locale", "text", "price"), READ)
def test_a_price_is_read_by_the_shops_locale_and_currency(
    currency: str, locale: str, text: str, price: str
) -> None:
    assert PriceReader(currency, locale).read(text) == price


@pytest.mark.parametrize(("currency", "locale", "text", "reason"), REFUSED)
def test_an_unreadable_or_ambiguous_price_is_refused_with_the_reason(
    currency: str, locale: str, text: str, reason: str
) -> None:
    with pytest.raises(PriceRefused) as refused:
        PriceReader(currency, locale).read(text)
    assert str(refused.value) == reason


def test_a_price_in_another_currency_is_taken_by_its_number_when_asked_for() -> None:
    assert PriceReader("GBP", "en-GB", currency_as_is=True).read("15.00 USD") == "15.00"


def test_a_format_with_a_decimal_point_is_read_so_in_every_locale() -> None:
    assert PriceReader("KWD", "de", decimal_point=True).read("12.500") == "12.500"
    with pytest.raises(PriceRefused, match="it can be"):
        PriceReader("EUR", "de", decimal_point=True).read("1.290")


def test_a_format_without_groups_never_has_a_thousand_where_a_decimal_sign_is_meant() -> None:
    assert PriceReader("KWD", "en", groups=False).read("12,500") == "12.500"
    with pytest.raises(PriceRefused, match="it can be"):
        PriceReader("GBP", "en-GB", groups=False).read("1,290")


@settings(max_examples=60, deadline=None)
@given(
    cents=st.integers(0, 99_999_999),
    written=st.sampled_from(["en", "de", "de-CH", "fr", "en-IN", "pl", "sv"]),
    shop=st.sampled_from(["en-GB", "de", "fr", "de-CH", "sv"]),
)
def test_a_price_written_anywhere_is_never_read_as_another_number(
    cents: int, written: str, shop: str
) -> None:
    amount = Decimal(cents) / 100
    text = format_decimal(amount, "#,##0.00", locale=written.replace("-", "_"))
    assert PriceReader("EUR", shop).read(text) == f"{amount:.2f}"

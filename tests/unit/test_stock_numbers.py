"""Numbers of stock files, in the format of a locale: Babel's strict reading is the standard."""

from decimal import Decimal

import pytest
from babel.numbers import NumberFormatError, parse_decimal
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.stock_file import (
    NUMBER,
    PLAIN,
    NumberFormat,
    StockFileRefused,
    StockLine,
    parse_stock_file,
)
from spillway.merchant.stock_import import number_format

LOCALES = ("en", "de", "de-CH", "fr", "en-IN", "hi", "pl", "sv", "ja")


def by_babel(written: str, locale: str) -> int | None:
    if not NUMBER.fullmatch(written):
        return None
    try:
        number = parse_decimal(written, locale=locale.replace("-", "_"), strict=True)
    except NumberFormatError:
        if not PLAIN.fullmatch(written):
            return None
        number = Decimal(written)
    return int(number) if number == number.to_integral_value() else None


@settings(max_examples=60)
@given(
    st.sampled_from(LOCALES),
    st.one_of(
        st.text("0123456789.,", max_size=9),
        st.integers(-2_000_000, 2_000_000).map("{:,}".format),
        st.integers(0, 2_000_000).map(lambda number: f"{number:,}".replace(",", ".")),
        st.integers(0, 2_000_000).map(lambda number: f"{number:,}".replace(",", "\u202f")),
    ),
)
def test_a_number_means_what_it_means_to_babel(locale: str, written: str) -> None:
    assert number_format(locale).whole(written) == by_babel(written, locale)


@pytest.mark.parametrize(
    ("locale", "written", "units"),
    [
        ("en", "1,000", 1000),
        ("en", "1.000", 1),
        ("en", "01,000", None),
        ("en", "10,00", None),
        ("de", "1.000", 1000),
        ("de", "1.000,00", 1000),
        ("de", "1,5", None),
        ("de-CH", "1\u2019000", 1000),
        ("en-IN", "1,00,000", 100_000),
        ("en", "-3", -3),
        ("en", "five", None),
    ],
)
def test_groups_and_decimals_are_read_as_the_locale_writes_them(
    locale: str, written: str, units: int | None
) -> None:
    assert number_format(locale).whole(written) == units


def test_a_file_over_its_limits_is_refused_with_a_way_out() -> None:
    with pytest.raises(StockFileRefused, match="over 3 lines") as lines:
        parse_stock_file(b"sku,stock\nA,1\nB,1\nC,1\n", NumberFormat(), lines_max=3)
    assert lines.value.hint == "split it"
    with pytest.raises(StockFileRefused, match="over 10 bytes"):
        parse_stock_file(b"sku,stock\nA,1\n", NumberFormat(), bytes_max=10)
    read = parse_stock_file(b"sku,stock\nA,1\nB,2\n", NumberFormat(), lines_max=3)
    assert read.lines == (StockLine(2, "A", 1), StockLine(3, "B", 2))

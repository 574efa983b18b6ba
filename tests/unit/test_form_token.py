"""A form token: its values, its validity, and the tokens that are refused."""

import pytest

from chalicelib.domain.entry import DAY_MS, OptIn
from chalicelib.domain.tokens import (
    FORM_TOKEN_CHARS_MAX,
    PERIOD_DAYS,
    VALID_DAYS,
    FormTokenOld,
    FormTokenRefused,
    FormTokens,
    Offer,
)

JACKET = Offer(("FJ-MOSS-M", "FJ-SLATE-M"))
# The first day of a period.
FIRST_DAY = PERIOD_DAYS * 690


def form_tokens(day: int = FIRST_DAY, key: bytes = b"identity") -> FormTokens:
    return FormTokens.of(key, at_ms=day * DAY_MS)


def test_a_stamp_says_what_its_page_offers() -> None:
    assert form_tokens().read(form_tokens().sign(JACKET)) == JACKET


def test_a_stamp_says_on_what_terms() -> None:
    at_once = Offer(("FJ-MOSS-M",), OptIn.SINGLE)
    assert form_tokens().read(form_tokens().sign(at_once)) == at_once
    assert form_tokens().read(form_tokens().sign(at_once)) != Offer(("FJ-MOSS-M",))
    listed = Offer(("FJ-MOSS-M",), OptIn.DOUBLE, "3fa9c1d2e07b")
    assert form_tokens().read(form_tokens().sign(listed)) == listed


def test_a_stamp_stays_the_same_for_a_period_and_so_does_its_series() -> None:
    first, last, next_first = (form_tokens(FIRST_DAY + days) for days in (0, PERIOD_DAYS - 1, PERIOD_DAYS))
    assert first.sign(JACKET) == last.sign(JACKET) != next_first.sign(JACKET)
    assert first.series == last.series != next_first.series
    assert first.series != form_tokens(key=b"another").series


def test_a_stamp_is_good_for_two_months_whenever_its_page_was_made() -> None:
    form_token = form_tokens(FIRST_DAY + PERIOD_DAYS - 1).sign(JACKET)
    assert form_tokens(FIRST_DAY + PERIOD_DAYS - 1 + 60).read(form_token) == JACKET


def test_an_old_form_token_differs_from_a_forged_one_and_still_names_its_variants() -> None:
    form_token = form_tokens().sign(JACKET)
    assert form_tokens(FIRST_DAY + VALID_DAYS).read(form_token) == JACKET
    with pytest.raises(FormTokenOld) as old:
        form_tokens(FIRST_DAY + VALID_DAYS + 1).read(form_token)
    assert old.value.offer == JACKET


def test_a_clock_a_little_behind_reads_a_fresh_stamp_and_no_stamp_is_from_the_future() -> None:
    form_token = form_tokens().sign(JACKET)
    assert form_tokens(FIRST_DAY - 1).read(form_token) == JACKET
    with pytest.raises(FormTokenRefused):
        form_tokens(FIRST_DAY - 2).read(form_token)


def test_a_form_token_with_a_foreign_signature_is_refused() -> None:
    good = form_tokens().sign(JACKET)
    text, _, mac = good.rpartition(".")
    bad = [
        "",
        ".",
        "x",
        "é",
        good[:-1],
        good[1:],
        good.swapcase(),
        f"{text}.OTHER.{mac}",
        f"{FIRST_DAY + PERIOD_DAYS}.double.FJ-MOSS-M.FJ-SLATE-M.{mac}",
        good.replace("double", "single"),
        form_tokens(key=b"another").sign(JACKET),
        form_tokens().series,
        f".{form_tokens().series}",
        f"{FIRST_DAY}.{form_tokens().series}",
        form_tokens().sign(Offer(("A" * FORM_TOKEN_CHARS_MAX,))),
    ]
    for form_token in bad:
        with pytest.raises(FormTokenRefused):
            form_tokens().read(form_token)


def test_the_key_is_not_shown() -> None:
    assert "identity" not in repr(form_tokens())
    assert form_tokens().key.hex() not in repr(form_tokens())

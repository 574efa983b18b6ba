"""A form token proves: our page, lately, these variants. Nothing about who posts it."""

import pytest

from chalicelib.domain.entry import OptIn
from chalicelib.domain.tokens import (
    DAY_MS,
    PERIOD_DAYS,
    STAMP_CHARS_MAX,
    VALID_DAYS,
    FormStamps,
    Offer,
    StampOld,
    StampRefused,
)

JACKET = Offer(("FJ-MOSS-M", "FJ-SLATE-M"))
# The first day of a period.
FIRST_DAY = PERIOD_DAYS * 690


def stamps(day: int = FIRST_DAY, key: bytes = b"identity") -> FormStamps:
    return FormStamps.of(key, at_ms=day * DAY_MS)


def test_a_stamp_says_what_its_page_offers() -> None:
    assert stamps().read(stamps().stamp(JACKET)) == JACKET


def test_a_stamp_says_on_what_terms() -> None:
    at_once = Offer(("FJ-MOSS-M",), OptIn.SINGLE)
    assert stamps().read(stamps().stamp(at_once)) == at_once
    assert stamps().read(stamps().stamp(at_once)) != Offer(("FJ-MOSS-M",))
    listed = Offer(("FJ-MOSS-M",), OptIn.DOUBLE, "3fa9c1d2e07b")
    assert stamps().read(stamps().stamp(listed)) == listed


def test_a_stamp_stays_the_same_for_a_period_and_so_does_its_series() -> None:
    first, last, next_first = (stamps(FIRST_DAY + days) for days in (0, PERIOD_DAYS - 1, PERIOD_DAYS))
    assert first.stamp(JACKET) == last.stamp(JACKET) != next_first.stamp(JACKET)
    assert first.series == last.series != next_first.series
    assert first.series != stamps(key=b"another").series


def test_a_stamp_is_good_for_two_months_whenever_its_page_was_made() -> None:
    stamp = stamps(FIRST_DAY + PERIOD_DAYS - 1).stamp(JACKET)
    assert stamps(FIRST_DAY + PERIOD_DAYS - 1 + 60).read(stamp) == JACKET


def test_an_old_stamp_is_told_from_a_forged_one_and_still_says_what_it_was_for() -> None:
    stamp = stamps().stamp(JACKET)
    assert stamps(FIRST_DAY + VALID_DAYS).read(stamp) == JACKET
    with pytest.raises(StampOld) as old:
        stamps(FIRST_DAY + VALID_DAYS + 1).read(stamp)
    assert old.value.offer == JACKET


def test_a_clock_a_little_behind_reads_a_fresh_stamp_and_no_stamp_is_from_the_future() -> None:
    stamp = stamps().stamp(JACKET)
    assert stamps(FIRST_DAY - 1).read(stamp) == JACKET
    with pytest.raises(StampRefused):
        stamps(FIRST_DAY - 2).read(stamp)


def test_what_we_did_not_stamp_is_refused() -> None:
    good = stamps().stamp(JACKET)
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
        stamps(key=b"another").stamp(JACKET),
        stamps().series,
        f".{stamps().series}",
        f"{FIRST_DAY}.{stamps().series}",
        stamps().stamp(Offer(("A" * STAMP_CHARS_MAX,))),
    ]
    for stamp in bad:
        with pytest.raises(StampRefused):
            stamps().read(stamp)


def test_the_key_is_not_shown() -> None:
    assert "identity" not in repr(stamps())
    assert stamps().key.hex() not in repr(stamps())

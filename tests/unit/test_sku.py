"""SKUs: the merchant's own text, kept as it is, and the safe forms derived from it."""

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.ids import (
    SKU_ID_CHARS_MAX,
    SKU_TAG_CHARS_MAX,
    SKU_TEXT_CHARS_MAX,
    SkuRefused,
    normal_sku,
    parse_sku,
    sku_id,
    sku_of_tag,
    sku_tag,
)
from tests.support.skus import HOSTILE, skus

SAFE = re.compile(r"[A-Za-z0-9_-]+")


@pytest.mark.parametrize("sku", HOSTILE)
def test_a_printable_text_is_an_sku_as_it_is(sku: str) -> None:
    assert parse_sku(sku) == sku


@pytest.mark.parametrize(
    ("text", "sku"),
    [
        ("  0042\t", "0042"),
        ("a  b\n", "a  b"),
        ("\u3000日本-1\u00a0", "日本-1"),
        ("A\u0308rmel", "Ärmel"),
        ("\u212a-1", "K-1"),
        ("\U0001faff\u0378", "\U0001faff\u0378"),
        ("e\u0301" * 64, "é" * 64),
        (" " * 500 + "x" + " " * 500, "x"),
    ],
)
def test_an_sku_is_in_nfc_and_has_no_space_around_it(text: str, sku: str) -> None:
    assert parse_sku(text) == sku
    assert normal_sku(text) == sku


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "An SKU has 1 to 64 characters; this one is empty."),
        (" \u00a0\t", "An SKU has 1 to 64 characters; this one is empty."),
        ("x" * 65, "An SKU has at most 64 characters; this one has 65."),
        ("x" * (SKU_TEXT_CHARS_MAX + 1), "An SKU has at most 64 characters; this one has 1025."),
        ("a\nb", "An SKU must not contain a line break: U+000A."),
        ("a\u2028b", "An SKU must not contain a line break: U+2028 LINE SEPARATOR."),
        ("a\tb", "An SKU must not contain a control character: U+0009."),
        ("\x00", "An SKU must not contain a control character: U+0000."),
        ("a\x7f", "An SKU must not contain a control character: U+007F."),
        (
            "a\u202eb",
            "An SKU must not contain a mark that turns the text's direction: U+202E RIGHT-TO-LEFT OVERRIDE.",
        ),
        (
            "\u200fa",
            "An SKU must not contain a mark that turns the text's direction: U+200F RIGHT-TO-LEFT MARK.",
        ),
        ("a\u200b", "An SKU must not contain an invisible mark: U+200B ZERO WIDTH SPACE."),
        ("a\u200db", "An SKU must not contain an invisible mark: U+200D ZERO WIDTH JOINER."),
        ("\ufeffa", "An SKU must not contain an invisible mark: U+FEFF ZERO WIDTH NO-BREAK SPACE."),
        ("a\u00adb", "An SKU must not contain an invisible mark: U+00AD SOFT HYPHEN."),
        ("\u3164", "An SKU must not contain an invisible mark: U+3164 HANGUL FILLER."),
        ("a\u034fb", "An SKU must not contain an invisible mark: U+034F COMBINING GRAPHEME JOINER."),
        ("a\u00a0\u3164b", "An SKU must not contain an invisible mark: U+3164 HANGUL FILLER."),
        ("\ud800", "An SKU must not contain half of a surrogate pair: U+D800."),
        ("\ue000", "An SKU must not contain a private-use character: U+E000."),
        ("\uffff", "An SKU must not contain a noncharacter: U+FFFF."),
        ("\U0002fffe", "An SKU must not contain a noncharacter: U+2FFFE."),
        ("\U000e0fff", "An SKU must not contain a noncharacter: U+E0FFF."),
    ],
)
def test_an_invisible_character_is_named(text: str, reason: str) -> None:
    with pytest.raises(SkuRefused) as refused:
        parse_sku(text)
    assert refused.value.reason == reason


@pytest.mark.parametrize("sku", ["FJ-INK-L", "A", "0042", "X" * 40, "A-", "fj_ink-l"])
def test_plain_skus_stay_readable(sku: str) -> None:
    assert sku_id(sku) == sku
    assert sku_tag(sku) == sku


@settings(max_examples=60)
@given(skus())
def test_every_sku_has_a_tag_that_ses_takes_and_that_is_read_back(sku: str) -> None:
    tag = sku_tag(sku)
    assert SAFE.fullmatch(tag)
    assert len(tag) <= SKU_TAG_CHARS_MAX
    assert sku_of_tag(tag) == sku


@pytest.mark.parametrize("sign", ["\U0010fffd", "👕", "日", "é", "_", "."])
def test_the_longest_sku_of_any_sign_has_a_tag(sign: str) -> None:
    assert len(sku_tag(sign * 64)) <= SKU_TAG_CHARS_MAX
    assert sku_of_tag(sku_tag(sign * 64)) == sign * 64


@pytest.mark.parametrize("tag", ["_", "_A", "_QQ", "_!!!!", "_é", "_" + "z" * 300, sku_tag("a b") + "="])
def test_a_foreign_tag_is_refused(tag: str) -> None:
    with pytest.raises(ValueError, match=re.escape(tag)):
        sku_of_tag(tag)


def test_unlike_skus_have_unlike_ids_and_tags() -> None:
    near = [*HOSTILE, *(sku.upper() for sku in HOSTILE), *(sku.lower() for sku in HOSTILE)]
    near += [sku_tag(sku) for sku in HOSTILE] + [sku_id(sku) for sku in HOSTILE]
    distinct = set(near)
    assert len({sku_id(sku) for sku in distinct}) == len(distinct)
    assert len({sku_tag(sku) for sku in distinct}) == len(distinct)


@settings(max_examples=60)
@given(skus())
def test_every_sku_has_a_short_id_for_a_page(sku: str) -> None:
    assert SAFE.fullmatch(sku_id(sku))
    assert len(sku_id(sku)) <= SKU_ID_CHARS_MAX


@settings(max_examples=60)
@given(st.text(max_size=80))
def test_any_text_is_an_sku_that_parses_to_itself_or_is_refused_with_a_sentence(text: str) -> None:
    try:
        sku = parse_sku(text)
    except SkuRefused as refused:
        reason = refused.reason
    else:
        assert sku == unicodedata.normalize("NFC", text).strip()
        assert parse_sku(sku) == sku
        return
    assert re.fullmatch(r"An SKU (has|must not contain) .+\.", reason)

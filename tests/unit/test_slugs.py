"""Slugs of names in any script: readable, the same for the same name, and never shared by unlike names."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.product import Product, Variant
from spillway.sitegen.reading.catalogue import ProductRow
from spillway.sitegen.reading.slugs import (
    SLUG_LENGTH_MAX,
    base_slug,
    distinct_slugs,
    folded,
    latin,
    slug_problem,
    tagged,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Обувь 2024", "obuv-2024"),
        ("Сумки 2024", "sumki-2024"),
        ("Красный XL", "krasnyy-xl"),
        ("Schön", "schon"),
        ("Straße & Æther", "strasse-aether"),
        ("L’été", "l-ete"),
        ("羊毛", "yangmao"),
        ("C#", "c-sharp"),
        ("C++", "c-plus-plus"),
        ("#1 Dad", "1-dad"),
        ("18+", "18-plus"),
        ("5 m²", "5-m2"),
    ],
)
def test_a_name_in_any_script_is_written_in_latin_letters(name: str, slug: str) -> None:
    assert base_slug(name) == slug


def test_two_names_longer_than_a_slug_with_the_same_beginning_have_two_slugs() -> None:
    first, second = (base_slug(f"{'long ' * 60}{end}") for end in ("one", "two"))
    assert first != second
    assert len(first) == len(second) == SLUG_LENGTH_MAX
    assert slug_problem(first) is slug_problem(second) is None


def test_names_with_one_slug_stay_apart_whatever_their_order() -> None:
    names = ["5", "$5", "Krasnyy", "Красный", "!!!", "???"]
    forwards = distinct_slugs({folded(name): name for name in names})
    backwards = distinct_slugs({folded(name): name for name in reversed(names)})
    assert forwards == backwards
    assert len(set(forwards.values())) == len(names)
    assert (forwards["5"], forwards["krasnyy"]) == ("5", "krasnyy")
    assert forwards["$5"].startswith("5-")


def test_tags_in_cyrillic_and_tags_of_signs_have_a_page_each() -> None:
    names = ("Красный XL", "Синий XL", "C", "C#", "C++", "$5", "5")
    rows = [
        ProductRow.of("", Product(slug, slug, "-", "", "c", (), (Variant("A", 1),), tags=names), (), ())
        for slug in ("a", "b")
    ]
    found = {tag.spellings: tag.path for tag in tagged(rows)}
    assert found[("Красный XL",)] == "/tags/krasnyy-xl"
    assert found[("Синий XL",)] == "/tags/siniy-xl"
    assert found[("C",)] == "/tags/c"
    assert found[("C#",)] == "/tags/c-sharp"
    assert found[("C++",)] == "/tags/c-plus-plus"
    assert len(set(found.values())) == len(names)


@settings(max_examples=60, deadline=None)
@given(st.lists(TEXTS, max_size=6, unique_by=folded))
def test_unlike_names_never_share_a_slug(names: list[str]) -> None:
    slugs = distinct_slugs({folded(name): name for name in names}, length_max=30)
    assert len(set(slugs.values())) == len(names)
    assert all(len(slug) <= 30 and latin(slug) == slug for slug in slugs.values())

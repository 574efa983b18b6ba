"""Patterns of rules: EventBridge's language, held to moto's implementation of it."""

import datetime
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.rules.pattern import LEAVES_MAX, matches, problem_of

# Small alphabets, so that values and patterns meet.
TEXTS = st.text("abA", max_size=3)
SOME_TEXT = st.text("abA", min_size=1, max_size=2)
NUMBERS = st.integers(-2, 3)
SCALARS = st.none() | TEXTS | NUMBERS
NAMES = st.sampled_from("xyz")
LEAF_VALUES = SCALARS | st.lists(TEXTS | NUMBERS, min_size=1, max_size=3)
DOCUMENTS = st.dictionaries(
    NAMES, LEAF_VALUES | st.dictionaries(NAMES, LEAF_VALUES, min_size=1, max_size=3), max_size=3
)
SIGNS = st.sampled_from(["<", "<=", "=", ">=", ">"])
BOUNDS = st.builds(lambda sign, number: [sign, number], SIGNS, NUMBERS)
COMPARISONS = st.one_of(
    st.builds(lambda text: {"prefix": text}, SOME_TEXT),
    st.builds(lambda text: {"suffix": text}, SOME_TEXT),
    st.builds(
        lambda name, text: {name: {"equals-ignore-case": text}}, st.sampled_from(["prefix", "suffix"]), TEXTS
    ),
    st.builds(lambda text: {"equals-ignore-case": text}, TEXTS),
    st.builds(lambda text: {"wildcard": text}, st.text("ab*", min_size=1, max_size=4)),
    st.builds(lambda first, second: {"numeric": first + second}, BOUNDS, BOUNDS | st.just([])),
    st.builds(lambda value: {"exists": value}, st.booleans()),
    st.builds(
        lambda value: {"anything-but": value}, TEXTS | NUMBERS | st.lists(TEXTS, min_size=1, max_size=2)
    ),
    st.builds(
        lambda name, text: {"anything-but": {name: text}}, st.sampled_from(["prefix", "suffix"]), SOME_TEXT
    ),
)
LEAVES = st.lists(SCALARS | COMPARISONS, min_size=1, max_size=3)
INNER = st.dictionaries(NAMES, LEAVES, min_size=1, max_size=2)
FLAT = st.dictionaries(NAMES, LEAVES | INNER, min_size=1, max_size=3)
PATTERNS = st.one_of(
    FLAT,
    st.builds(lambda choices, rest: {**rest, "$or": choices}, st.lists(FLAT, min_size=2, max_size=3), FLAT),
)


@given(PATTERNS, DOCUMENTS)
@settings(max_examples=60, deadline=None)
def test_a_document_matches_as_eventbridge_has_it(pattern: dict[str, Any], document: dict[str, Any]) -> None:
    assert problem_of(pattern) is None
    from moto.events.models import EventPattern

    oracle = EventPattern(json.dumps(pattern), pattern)
    assert matches(pattern, document) is oracle.matches_event(document)


@pytest.mark.parametrize(
    ("pattern", "document", "expected"),
    [
        ({}, {"a": 1}, True),
        ({"a": [True]}, {"a": 1}, False),
        ({"a": [1]}, {"a": True}, False),
        ({"a": [{"numeric": [">", 0]}]}, {"a": True}, False),
        ({"a": [None]}, {"a": None}, True),
        ({"a": [None]}, {}, False),
        ({"a": [{"anything-but": "x"}]}, {}, False),
        ({"a": [{"exists": False}]}, {"a": {"b": 1}}, True),
        ({"a": {"b": [2]}}, {"a": [{"b": 1}, {"b": 2}]}, True),
        ({"a": {"b": [{"exists": False}]}}, {"a": []}, True),
        ({"a": [{"cidr": "10.0.0.0/24"}]}, {"a": "10.0.0.9"}, True),
        ({"a": [{"cidr": "10.0.0.0/24"}]}, {"a": "10.0.1.9"}, False),
        ({"a": [{"cidr": "10.0.0.0/24"}]}, {"a": "mug"}, False),
        ({"a": [{"wildcard": "FJ-*-L"}]}, {"a": "FJ-INK-L"}, True),
        ({"a": [{"wildcard": "FJ-*-L"}]}, {"a": "FJ-L"}, False),
        ({"a": [{"wildcard": "a*a"}]}, {"a": "a"}, False),
        ({"a": [{"wildcard": r"a\*b"}]}, {"a": "a*b"}, True),
        ({"a": [{"wildcard": r"a\*b"}]}, {"a": "axb"}, False),
        ({"a": [{"anything-but": {"wildcard": "*x*"}}]}, {"a": "ab"}, True),
    ],
)
def test_edges_of_the_language(pattern: dict[str, Any], document: dict[str, Any], expected: bool) -> None:
    assert problem_of(pattern) is None
    assert matches(pattern, document) is expected


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ({"data": {"units": 5}}, "data.units", "a table, or a list of values and comparisons"),
        ({"data": {}}, "data", "a table, or a list of values and comparisons"),
        ({"a": []}, "a", "a list of at least one value or comparison"),
        ({"a": [[1]]}, "a", "a text, a number, true, false or a comparison"),
        ({"a": [{"prefix": "x", "suffix": "y"}]}, "a", "one comparison in each pair of braces"),
        ({"a": [{"numeric": [">"]}]}, "a", '{ numeric = [">=", 10] } or { numeric = [">", 0, "<=", 5] }'),
        ({"a": [{"numeric": ["=>", 3]}]}, "a", '{ numeric = [">=", 10] } or { numeric = [">", 0, "<=", 5] }'),
        ({"a": [{"prefix": 3}]}, "a", 'a text, a list of texts, or { equals-ignore-case = "text" }'),
        ({"a": [{"exists": "yes"}]}, "a", "{ exists = true } or { exists = false }"),
        ({"a": [{"cidr": "10.0.0.0/99"}]}, "a", 'a network such as { cidr = "10.0.0.0/24" }'),
        ({"$or": [{"a": [1]}]}, "$or", "a list of two patterns or more"),
        ({"$or": [{"a": [1]}, {"b": 2}]}, "$or[1].b", "a table, or a list of values and comparisons"),
        (
            {"a": [{"anything-but": {"numeric": [">", 1]}}]},
            "a",
            "a value, a list of values, or a prefix, suffix, wildcard or equals-ignore-case",
        ),
        ({"a": {"numeric": [">", 0]}}, "a", "brackets around the comparison: [{ numeric = … }]"),
        (
            {"$or": [{"a": [1]}, {"a": {"prefix": "x"}}]},
            "$or[1].a",
            "brackets around the comparison: [{ prefix = … }]",
        ),
        ({"a": [datetime.date(2026, 11, 27)]}, "a", 'a date in quotes: "2026-11-27"'),
        ({"a": [1] * (LEAVES_MAX + 1)}, "", "at most 100 values and comparisons, not 101"),
    ],
)
def test_a_wrong_pattern_is_named_with_its_place(pattern: dict[str, Any], path: str, expected: str) -> None:
    assert problem_of(pattern) == (path, expected)


def test_an_unknown_comparison_is_answered_with_the_list() -> None:
    path, expected = problem_of({"a": [{"begins": "x"}]}) or ("", "")
    assert path == "a"
    assert expected.startswith("a comparison: one of anything-but, cidr")

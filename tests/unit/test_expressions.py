"""Expressions and AttributeValues that a table's requests are made of."""

import gc
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.tables.expressions import (
    Attr,
    Condition,
    Param,
    Placeholders,
    decode,
    encode,
    if_not_exists,
)
from chalicelib.tables.table import PreparedStatement, Table, Update

MOTO = find_spec("moto")
assert MOTO is not None
assert MOTO.origin is not None
RESERVED = Path(MOTO.origin).with_name("dynamodb") / "parsing" / "reserved_keywords.txt"
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(), values, max_size=4),
    max_leaves=8,
)
SETS = st.frozensets(st.integers(), min_size=1) | st.frozensets(st.text(), min_size=1)


class Colour(StrEnum):
    RED = "red"


def update(**parts: Any) -> Update:
    return Update(Table(None, "t"), {"id": "a"}, **parts)


def written(condition: Condition) -> tuple[str, dict[str, Any]]:
    placeholders = Placeholders()
    return condition.write(placeholders), placeholders.as_arguments()


@given(VALUES | SETS)
def test_a_value_is_read_back_as_it_was_written(value: Any) -> None:
    assert decode(encode(value)) == value


def test_each_kind_of_value_has_the_attribute_value_of_its_kind() -> None:
    values = ["a", Colour.RED, 1, 1.5, True, None, {"a": 1}, ("a",), {2, 1}, {"b", "a"}]
    assert [encode(value) for value in values] == [
        {"S": "a"},
        {"S": "red"},
        {"N": "1"},
        {"N": "1.5"},
        {"BOOL": True},
        {"NULL": True},
        {"M": {"a": {"N": "1"}}},
        {"L": [{"S": "a"}]},
        {"NS": ["1", "2"]},
        {"SS": ["a", "b"]},
    ]
    assert type(encode(Colour.RED)["S"]) is str
    assert decode({"N": "-1.50"}) == -1.5
    with pytest.raises(TypeError, match="no AttributeValue for object"):
        encode(object())


def test_a_name_without_an_underscore_is_a_placeholder_since_it_may_be_reserved() -> None:
    assert written(Attr("state").exists()) == (
        "attribute_exists(#state)",
        {"ExpressionAttributeNames": {"#state": "state"}},
    )
    assert written(Attr("signed_up_at_ms").exists()) == ("attribute_exists(signed_up_at_ms)", {})
    assert not [word for word in RESERVED.read_text().split() if "_" in word]


def test_a_key_of_a_map_is_a_numbered_placeholder_whatever_its_characters_and_length() -> None:
    text, arguments = written(Attr("stock", "FJ-Ä", "version").eq(1) & Attr("stock", "A" * 64).exists())
    assert text == "#stock.#_1.#_2 = :stock AND attribute_exists(#stock.#_3)"
    assert arguments["ExpressionAttributeNames"] == {
        "#stock": "stock",
        "#_1": "FJ-Ä",
        "#_2": "version",
        "#_3": "A" * 64,
    }


def test_a_choice_inside_of_and_is_in_parentheses_and_nothing_else_is() -> None:
    one, two, three = (Attr(name).exists() for name in ("a_1", "a_2", "a_3"))
    texts = [
        (one | two) & three,
        one & (two | three),
        one & two | three,
        one | two & three,
        (one | two) & (one | three) & two,
    ]
    exists = {f"attribute_exists(a_{number})": str(number) for number in (1, 2, 3)}
    short = []
    for condition in texts:
        text, _ = written(condition)
        for long, number in exists.items():
            text = text.replace(long, number)
        short.append(text)
    assert short == [
        "(1 OR 2) AND 3",
        "1 AND (2 OR 3)",
        "1 AND 2 OR 3",
        "1 OR 2 AND 3",
        "(1 OR 2) AND (1 OR 3) AND 2",
    ]


def test_values_of_one_attribute_have_placeholders_of_their_own() -> None:
    a = Attr("n_1")
    text, arguments = written(a.eq(1) | a.between(2, 3) | a.is_in(4, 5) | a.is_smaller_than(6) | a.ne(7))
    assert text == (
        "n_1 = :n_1 OR n_1 BETWEEN :n_12 AND :n_13 OR n_1 IN (:n_14, :n_15) OR size(n_1) < :n_16"
        " OR n_1 <> :n_17"
    )
    assert [value["N"] for value in arguments["ExpressionAttributeValues"].values()] == [*"1234567"]


def test_an_update_says_the_same_as_a_request_and_as_a_statement() -> None:
    changes = update(
        values={
            "state": "x",
            "left_over": Attr("left_over") - 2,
            ("map", "k"): if_not_exists(("map", "k"), 0) + 1,
        },
        remove=["shard"],
        condition=Attr("state").eq("y"),
    )
    request = changes.request()
    assert request["UpdateExpression"] == (
        "SET #state = :state, left_over = left_over - :left_over,"
        " #map.#_2 = if_not_exists(#map.#_2, :map) + :map2 REMOVE #shard"
    )
    assert request["ConditionExpression"] == "#state = :state2"
    assert changes.statement() == {
        "Statement": 'UPDATE "t" SET "state" = ? SET "left_over" = "left_over" - ?'
        ' SET "map"."k" = if_not_exists("map"."k", ?) + ? REMOVE "shard" WHERE "id" = ? AND "state" = ?',
        "Parameters": [{"S": "x"}, {"N": "2"}, {"N": "0"}, {"N": "1"}, {"S": "a"}, {"S": "y"}],
    }


def test_a_prepared_statement_says_what_the_update_of_each_item_says() -> None:
    def marked(sku: Any, page: Any, restock: Any) -> Update:
        values = {"state": "x", "restock_id": restock}
        condition = Attr("state").eq("y") & Attr("page").eq(page)
        return Update(Table(None, "t"), {"id": sku}, values, condition=condition)

    prepared = PreparedStatement(marked(Param("sku"), Param("page"), Param("restock")))
    items = [{"sku": "A", "page": 1}, {"sku": "B", "page": Colour.RED}]
    statements = prepared.each(items, restock="r")
    assert statements == [marked(**item, restock="r").statement() for item in items]
    assert prepared.each([{"sku": "C", "page": 2, "restock": "s"}]) == [marked("C", 2, "s").statement()]
    assert prepared.each([]) == []


def test_a_request_leaves_nothing_for_the_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        condition = Attr("state").eq("x") & (Attr("map", "k").exists() | Attr("n").lt(1))
        update(values={"n": Attr("n") + 1}, condition=condition).request()
        del condition
        # The new objects alone: other tests of this process leave garbage of their own.
        assert gc.collect(0) == 0
    finally:
        gc.enable()


def test_an_update_that_only_adds_has_no_other_section() -> None:
    request = update(add={"hits": 1, "members": {"m"}}).request()
    assert request["UpdateExpression"] == "ADD #hits :hits, #members :members"
    assert "ConditionExpression" not in request

"""Reports on restocks: the restock that an order belongs to, rates, and the fields of a reported order."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.entry import DAY_MS
from chalicelib.domain.reports import (
    ATTRIBUTED_WITHIN_MS,
    Click,
    OrderLine,
    RestockRef,
    RestockReport,
    Sales,
    restock_of_order,
)
from chalicelib.domain.tokens import LinkRefused, LinkSubject, LinkTokens, Purpose
from chalicelib.http.order_requests import order_line
from chalicelib.http.request import JSON_TYPE, Problem, RequestBody

NOW_MS = 1_800_000_000_000
FIRST = RestockRef("A:1:e1", "A", "jacket", NOW_MS)
SECOND = RestockRef("A:3:e3", "A", "jacket", NOW_MS + 2 * DAY_MS)
PATH = "/de/products/jacket?sku=A#v-A"
CLICK = Click("ada", "A", FIRST.tag, PATH)


@pytest.mark.parametrize(
    ("ordered_at_ms", "clicked", "restock"),
    [
        (NOW_MS - 1, None, None),
        (NOW_MS, None, FIRST),
        (NOW_MS + 2 * DAY_MS - 1, None, FIRST),
        (NOW_MS + 2 * DAY_MS, None, SECOND),
        (NOW_MS + 2 * DAY_MS, FIRST.tag, FIRST),
        (NOW_MS + 2 * DAY_MS, "of another SKU", SECOND),
        (NOW_MS + 2 * DAY_MS + ATTRIBUTED_WITHIN_MS, None, SECOND),
        (NOW_MS + 2 * DAY_MS + ATTRIBUTED_WITHIN_MS + 1, None, None),
        (NOW_MS + 2 * DAY_MS + ATTRIBUTED_WITHIN_MS + 1, SECOND.tag, SECOND),
    ],
)
def test_an_order_belongs_to_the_newest_restock_of_two_weeks_or_to_its_click(
    ordered_at_ms: int, clicked: str | None, restock: RestockRef | None
) -> None:
    assert restock_of_order([SECOND, FIRST], ordered_at_ms, clicked_tag=clicked) == restock


def test_rates_are_of_the_emails_that_were_sent() -> None:
    report = RestockReport(FIRST, 40, 1, 2, 10, Sales(3, 4, 1, {"GBP": 59_200, "EUR": 100}))
    document = report.to_document()
    assert document["clicks_per_email"] == 0.25
    assert document["units"] == 4
    assert document["revenue_per_email_minor"] == {"EUR": 2.5, "GBP": 1480.0}
    assert "opened" not in document


def test_without_an_email_there_is_no_rate() -> None:
    report = RestockReport(FIRST, 0, sales=Sales(1, 1, 0, {"GBP": 5}))
    assert report.clicks_per_email is None
    assert report.to_document()["revenue_per_email_minor"] == {"GBP": None}


def test_the_link_of_an_email_is_read_back_with_its_time() -> None:
    links = LinkTokens(["new", "old"], lambda: NOW_MS)
    read = links.read_click(links.sign_click(CLICK))
    assert read == Click("ada", "A", FIRST.tag, PATH, NOW_MS)
    assert (
        LinkTokens(["old"], lambda: NOW_MS).read_click(LinkTokens(["old"], lambda: NOW_MS).sign_click(CLICK))
        == read
    )


@pytest.mark.parametrize("path", ["https://evil.example", "//evil.example", "/\\evil.example", ""])
def test_no_signed_link_leads_to_another_site(path: str) -> None:
    links = LinkTokens(["key"], lambda: NOW_MS)
    with pytest.raises(LinkRefused):
        links.read_click(links.sign_click(Click("ada", "A", FIRST.tag, path)))


def test_a_click_unsubscribes_nobody_and_no_other_link_is_a_click() -> None:
    links = LinkTokens(["key"], lambda: NOW_MS)
    with pytest.raises(LinkRefused):
        links.read(Purpose.UNSUBSCRIBE, links.sign_click(CLICK))
    for purpose in (Purpose.UNSUBSCRIBE, Purpose.CONFIRM):
        with pytest.raises(LinkRefused):
            links.read_click(links.sign(purpose, LinkSubject("ada", "A")))


@settings(max_examples=40)
@given(st.text(max_size=200))
def test_any_other_text_is_no_click(token: str) -> None:
    with pytest.raises(LinkRefused):
        LinkTokens(["key"], lambda: NOW_MS).read_click(token)


def body_of(**fields: Any) -> RequestBody:
    document = {"order_id": "1001", "sku": "A", "amount_minor": 14_800, "currency": "GBP", **fields}
    stated = {name: value for name, value in document.items() if value is not ...}
    return RequestBody(JSON_TYPE, json.dumps(stated).encode())


def test_an_order_is_one_unit_as_of_its_arrival() -> None:
    line, click = order_line(body_of(), now_ms=NOW_MS)
    assert line == OrderLine("1001", "A", 1, 14_800, "GBP", NOW_MS)
    assert click == ""


def test_an_order_is_read_as_shops_write_it() -> None:
    line, click = order_line(
        body_of(
            order_id=1001, sku=42, quantity="2", amount_minor="29600", ordered_at="2027-01-15T08:00:00+00:00",
            click="token",
        ),
        now_ms=NOW_MS,
    )  # fmt: skip
    assert line == OrderLine("1001", "42", 2, 29_600, "GBP", NOW_MS)
    assert click == "token"


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("order_id", ..., "An id of 1 to 100 letters"),
        ("order_id", "a b", 'not "a b"'),
        ("order_id", "x" * 101, "An id of 1 to 100 letters"),
        ("sku", ..., "SKU"),
        ("quantity", 0, "A whole number from 1 to 1000000, not 0"),
        ("quantity", 1.5, "not 1.5"),
        ("amount_minor", ..., "A whole number from 0"),
        ("amount_minor", 148.0, "minor units"),
        ("amount_minor", "148.00", "minor units"),
        ("amount_minor", -1, "not -1"),
        ("amount_minor", True, "not true"),
        ("amount_minor", 10**12 + 1, "from 0 to 1000000000000"),
        ("currency", "gbp", "A currency as EUR"),
        ("currency", ..., "A currency as EUR"),
        ("click", 7, "The token of a click, as a text, not 7"),
        ("ordered_at", "yesterday", "A time with its offset"),
        ("ordered_at", "2027-01-15T09:00:00Z", "still to come"),
    ],
)
def test_a_wrong_field_of_an_order_is_named_with_its_value(field: str, value: Any, said: str) -> None:
    with pytest.raises(Problem) as caught:
        order_line(body_of(**{field: value}), now_ms=NOW_MS)
    (error,) = caught.value.errors
    assert error.name == field
    assert said in error.detail

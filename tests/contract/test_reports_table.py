"""Promises of the rows of reports, in memory, over moto and over the local cloud alike."""

from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.domain.reports import Click, OrderLine, RestockRef, Sales
from chalicelib.tables.reports import CLICK_ROWS, ReportsTable
from tests.support.aws import create_table

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

FIRST = RestockRef("A:1:e1", "A", "jacket", 1_000)
SECOND = RestockRef("B:1:e1", "B", "scarf", 2_000)


@pytest.fixture
def reports(dynamodb: "DynamoDBClient") -> ReportsTable:
    return ReportsTable(dynamodb, create_table(dynamodb, "MerchantTable"))


def click(shopper: str, restock: RestockRef = FIRST) -> Click:
    return Click(shopper, restock.sku, restock.tag, "/products/jacket")


def line(order_id: str, **changes: Any) -> OrderLine:
    fields: dict[str, Any] = {
        "quantity": 2,
        "amount_minor": 5_000,
        "currency": "GBP",
        "ordered_at_ms": 1_500,
        **changes,
    }
    return OrderLine(order_id, "A", **fields)


def test_the_newest_restocks_come_first_and_a_repeat_adds_none(reports: ReportsTable) -> None:
    for restock in (FIRST, SECOND, FIRST):
        reports.note(restock)
    assert reports.newest(10) == (SECOND, FIRST)
    assert reports.newest(1) == (SECOND,)


def test_an_email_is_counted_once_however_often_its_link_is_followed(reports: ReportsTable) -> None:
    shoppers = [f"shopper{number}" for number in range(3 * CLICK_ROWS)]
    assert [reports.count_click(click(shopper), at_ms=3_000) for shopper in shoppers] == [True] * len(
        shoppers
    )
    assert not reports.count_click(click("shopper0"), at_ms=4_000)
    assert reports.count_click(click("shopper0", SECOND), at_ms=4_000)

    clicks, sales = reports.counted([FIRST.tag, SECOND.tag, "none"])

    assert clicks == {FIRST.tag: len(shoppers), SECOND.tag: 1, "none": 0}
    assert sales == dict.fromkeys((FIRST.tag, SECOND.tag, "none"), Sales())


def test_no_row_of_a_click_names_the_shopper(reports: ReportsTable) -> None:
    reports.count_click(click("shopper0"), at_ms=3_000)
    rows = [*reports.table.scan()]
    assert len(rows) == 2
    assert "shopper0" not in str(rows)


def test_an_order_line_is_added_once(reports: ReportsTable) -> None:
    assert reports.add_order(line("1"), FIRST.tag, by_click=True, at_ms=3_000)
    assert not reports.add_order(line("1", amount_minor=9), FIRST.tag, by_click=True, at_ms=3_000)
    assert reports.add_order(line("2", currency="EUR"), FIRST.tag, by_click=False, at_ms=3_000)
    assert reports.add_order(line("3"), None, by_click=False, at_ms=3_000)
    assert not reports.add_order(line("3"), FIRST.tag, by_click=False, at_ms=3_000)

    _, sales = reports.counted([FIRST.tag])

    assert sales[FIRST.tag] == Sales(2, 4, 1, {"GBP": 5_000, "EUR": 5_000})


def test_rows_end_by_themselves(reports: ReportsTable) -> None:
    reports.note(FIRST)
    reports.count_click(click("shopper0"), at_ms=3_000)
    reports.add_order(line("1"), FIRST.tag, by_click=False, at_ms=3_000)
    assert all(row["expires_at_s"] > 60 * 24 * 3600 for row in reports.table.scan())

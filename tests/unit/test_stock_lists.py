"""Whole stock lists: pages and files into readings, and the differences from the shop's stock."""

import json
from typing import Any

import pytest

from chalicelib.domain.ids import Sku
from chalicelib.domain.stock import Availability, Stock
from chalicelib.inbound.readings import MalformedEvent, Reading, Readings, Unread, VariantLink
from chalicelib.inbound.reconciliation import (
    ChangeLimit,
    Difference,
    Known,
    StockComparison,
    StockList,
    TooManyChanges,
    compare,
)
from chalicelib.inbound.stock_lists import (
    Level,
    csv_list,
    shopify_page,
    shopify_query,
    woocommerce_page,
)

AT_MS = 1_790_000_000_000
IN_STOCK, BACK_ORDER = Availability.IN_STOCK, Availability.BACK_ORDER
OUT_OF_STOCK = Availability.OUT_OF_STOCK


def variant(number: int, sku: str | None, units: int, **changes: Any) -> dict[str, Any]:
    item = {"id": f"gid://shopify/InventoryItem/{number + 1000}", "tracked": changes.pop("tracked", True)}
    if "levels" in changes:
        nodes = [
            {"location": {"id": f"gid://shopify/Location/{place}"}, "quantities": [{"quantity": level}]}
            for place, level in changes.pop("levels").items()
        ]
        item["inventoryLevels"] = {
            "pageInfo": {"hasNextPage": changes.pop("more", False)},
            "nodes": nodes,
        }
    return {
        "id": f"gid://shopify/ProductVariant/{number}",
        "sku": sku,
        "inventoryQuantity": units,
        "inventoryPolicy": "DENY",
        "inventoryItem": item,
        **changes,
    }


def answer(*variants: dict[str, Any], after: str | None = None, **others: Any) -> bytes:
    page = {"hasNextPage": after is not None, "endCursor": after}
    data = {"productVariants": {"pageInfo": page, "nodes": list(variants)}}
    return json.dumps({"data": data, **others}).encode()


def cost(requested: int, available: int, restored: int = 100) -> dict[str, Any]:
    status = {"maximumAvailable": 2000, "currentlyAvailable": available, "restoreRate": restored}
    return {"cost": {"requestedQueryCost": requested, "throttleStatus": status}}


def listed(readings: Readings) -> list[tuple[object, ...]]:
    return [(reading.sku, reading.units, reading.availability) for reading in readings.readings]


def test_a_page_of_shopify_gives_units_links_and_the_next_cursor() -> None:
    page = shopify_page(
        answer(
            variant(1, "A", 5),
            variant(2, "B", -2, inventoryPolicy="CONTINUE"),
            variant(3, "C", 0, tracked=False),
            variant(4, "D", 2_000_000),
            after="next",
        ),
        at_ms=AT_MS,
        counted=None,
    )
    assert listed(page.readings) == [("A", 5, None), ("B", 0, BACK_ORDER), ("C", None, IN_STOCK)]
    assert page.readings.readings[0] == Reading(
        f"list:variant:1:{AT_MS}", Sku("A"), "variant:1", 5, None, AT_MS
    )
    assert page.readings.links[:2] == (VariantLink("variant:1", Sku("A")), VariantLink("item:1001", Sku("A")))
    assert page.readings.unread == (
        Unread("variant 4", "the quantity 2000000 is over the maximum of 1000000 units"),
    )
    assert (page.after, page.wait_s, page.levels) == ("next", 0.0, ())


def test_only_named_locations_count_and_the_units_of_each_one_are_kept() -> None:
    body = answer(
        variant(1, "A", 9, levels={"5": 2, "6": 4, "7": 3}), variant(2, "B", 9, levels={"5": 1}, more=True)
    )
    page = shopify_page(body, at_ms=AT_MS, counted=frozenset({"5", "7"}))
    assert listed(page.readings) == [("A", 5, None)]
    assert page.levels == (
        Level("item:1001", "5", 2),
        Level("item:1001", "6", 4),
        Level("item:1001", "7", 3),
    )
    assert page.readings.unread == (Unread("variant 2", "it is stocked at more than 10 locations"),)


def test_the_wait_of_shopify_is_what_its_bucket_lacks_for_one_more_query() -> None:
    page = shopify_page(answer(extensions=cost(500, 300, 50)), at_ms=AT_MS, counted=None)
    assert page.wait_s == 4.0
    error = {"message": "Throttled", "extensions": {"code": "THROTTLED"}}
    refused = json.dumps({"errors": [error], "extensions": cost(500, 100)}).encode()
    throttled = shopify_page(refused, at_ms=AT_MS, counted=None)
    assert (throttled.is_throttled, throttled.wait_s) == (True, 4.0)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"<html>", "the body is no JSON"),
        (b'{"errors": "[API] Invalid API key"}', "Shopify reports: [API] Invalid API key"),
        (b'{"errors": [{"message": "Access denied"}]}', "Shopify reports: Access denied"),
        (b'{"data": {}}', "data.productVariants has no nodes, or no pageInfo"),
    ],
)
def test_an_answer_of_shopify_without_a_page_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(MalformedEvent) as refused:
        shopify_page(body, at_ms=AT_MS, counted=None)
    assert str(refused.value) == reason


def test_a_query_asks_for_locations_only_where_they_are_named() -> None:
    plain = json.loads(shopify_query("c", with_levels=False))
    assert plain["variables"] == {"first": 250, "after": "c"}
    assert "inventoryLevels" not in plain["query"]
    levels = json.loads(shopify_query(None, with_levels=True))
    assert levels["variables"] == {"first": 20, "after": None}
    assert "inventoryLevels(first: 10)" in levels["query"]
    assert all(query["query"].count("{") == query["query"].count("}") for query in (plain, levels))


def woo(number: int, **fields: Any) -> dict[str, Any]:
    plain = {"type": "simple", "manage_stock": True, "stock_quantity": 3, "stock_status": "instock"}
    return {"id": number, "sku": f"W{number}", **plain, **fields}


def test_a_page_of_woocommerce_gives_stock_and_the_products_whose_variations_have_it() -> None:
    rows = [
        woo(1),
        woo(2, manage_stock=False, stock_quantity=None, stock_status="onbackorder"),
        woo(3, type="variable"),
        woo(4, type="grouped"),
        woo(5, manage_stock="parent", stock_quantity=8, type="variation"),
        woo(6, stock_quantity=1.5),
        woo(7, type="variable-subscription"),
        woo(8, type="external"),
    ]
    readings, parents, number = woocommerce_page(json.dumps(rows).encode(), at_ms=AT_MS)
    assert listed(readings) == [("W1", 3, None), ("W2", None, BACK_ORDER), ("W5", 8, None)]
    assert (parents, number) == (["3", "7"], 8)
    assert readings.unread == (Unread("product 6", "the quantity 1.5 is no whole number of units"),)
    with pytest.raises(MalformedEvent, match="the answer is no list of products"):
        woocommerce_page(b'{"code": "woocommerce_rest_cannot_view"}', at_ms=AT_MS)


SHOPIFY_EXPORT = """\
Handle,Title,Variant SKU,Variant Inventory Tracker,Variant Inventory Qty,Variant Inventory Policy,Image Src
jacket,Jacket,A,shopify,5,deny,https://x/1.jpg
jacket,,,,,,https://x/2.jpg
jacket,,B,shopify,-3,continue,
jacket,,C,,,deny,
"""
SHOPIFY_EXPORT_OF_TODAY = """\
Title,URL handle,SKU,Price,Inventory tracker,Inventory quantity,Continue selling when out of stock,Image URL
Jacket,jacket,A,9.00,shopify,5,deny,https://x/1.jpg
,jacket,,,,,,https://x/2.jpg
,jacket,B,9.00,shopify,-3,TRUE,
,jacket,C,9.00,,,deny,
"""
WOOCOMMERCE_EXPORT = """\
ID,Type,SKU,Name,In stock?,Stock
1,variable,PARENT,Jacket,1,
2,variation,A,Jacket - M,1,5
3,simple,B,Cap,backorder,0
4,simple,C,Scarf,0,
5,variable-subscription,PARENT-2,Coffee,1,
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sku,stock\nA,5\nB,0\n", [("A", 5, None), ("B", 0, None)]),
        ("\ufeffSKU;Units\r\nA;5\r\n\r\nB;-1\r\n", [("A", 5, None), ("B", 0, None)]),
        ("name\tsku\tquantity\nJacket\tA\t5.0\n", [("A", 5, None)]),
        ("sku,availability\nA,PreOrder\n", [("A", None, Availability.PRE_ORDER)]),
        ("Variant SKU,Variant Inventory Qty\nA,5\nB,0\n", [("A", 5, None), ("B", 0, None)]),
        *(
            (export, [("A", 5, None), ("B", 0, BACK_ORDER), ("C", None, IN_STOCK)])
            for export in (SHOPIFY_EXPORT, SHOPIFY_EXPORT_OF_TODAY)
        ),
        (WOOCOMMERCE_EXPORT, [("A", 5, None), ("B", 0, BACK_ORDER), ("C", None, OUT_OF_STOCK)]),
    ],
)
def test_a_csv_file_of_each_kind_is_read(text: str, expected: list[tuple[object, ...]]) -> None:
    for encoding in ("utf-8", "utf-16"):
        assert listed(csv_list(text.removeprefix("\ufeff").encode(encoding), at_ms=AT_MS)) == expected
    assert listed(csv_list(text.encode(), at_ms=AT_MS)) == expected


def test_wrong_lines_of_a_file_are_named_and_the_others_read() -> None:
    read = csv_list(b"sku,stock\nA,five\n,4\nB,\nC,7\n", at_ms=AT_MS)
    assert listed(read) == [("C", 7, None)]
    assert read.unread == (
        Unread("line 2", 'the quantity "five" is no whole number of units'),
        Unread("line 3", "sku is empty"),
        Unread("line 4", "stock is empty, and no availability is named"),
    )


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "line 1: the columns are missing"),
        (b"name,price\n", "line 1: the columns are name, price; expected sku and stock"),
        (b"sku,stock\n\xff,1\n", "byte 10 is not UTF-8"),
        (b'sku,stock\n"A"x,1\n', "line 2: "),
    ],
)
def test_a_file_that_is_no_stock_list_is_refused(raw: bytes, reason: str) -> None:
    with pytest.raises(MalformedEvent) as refused:
        csv_list(raw, at_ms=AT_MS)
    assert str(refused.value).startswith(reason)


def stock(units: int | None, at_ms: int = AT_MS - 60_000) -> Stock:
    return Stock(OUT_OF_STOCK if units == 0 else IN_STOCK, units, at_ms, "e", version=1)


def reading(sku: str | None, units: int | None, foreign_id: str | None = None) -> Reading:
    availability = IN_STOCK if units is None else None
    return Reading(f"list:{sku}", Sku(sku) if sku else None, foreign_id, units, availability, AT_MS)


def test_a_comparison_names_what_differs_and_why_the_rest_stays() -> None:
    shop = {
        Sku(sku): Known(known, None)
        for sku, known in {
            "A": stock(1),
            "B": stock(2),
            "C": stock(3, AT_MS + 60_000),
            "D": stock(4),
            "E": stock(5),
            "F": stock(6),
        }.items()
    }
    rows = (
        reading("A", 0),
        reading("B", 2),
        reading("C", 0),
        reading("D", 1),
        reading("D", 9),
        reading(None, 8, "variant:5"),
        reading("X", 1),
        reading(None, 1, "variant:99"),
    )
    found = compare(StockList(Readings(rows)), shop, {"variant:5": Sku("E")}, now_ms=AT_MS + 90_000)
    changes = {(change.sku, change.before.units, change.after.units) for change in found.differences}
    assert changes == {("A", 1, 0), ("E", 5, 8)}
    assert found.differences[0].after.availability is OUT_OF_STOCK
    assert (found.same, found.newer, found.not_listed) == (1, ("C",), ("F",))
    assert found.not_sold == ("X", "variant:99")
    assert found.unread == (Unread("sku D", "it is listed twice with different stock"),)
    assert found.compared == 4


def test_no_unit_left_becomes_what_the_catalogue_says() -> None:
    shop = {Sku("A"): Known(stock(1), BACK_ORDER)}
    (change,) = compare(StockList(Readings((reading("A", 0),))), shop, {}, now_ms=AT_MS).differences
    assert (change.after.availability, change.after.units) == (BACK_ORDER, 0)


def test_a_limit_names_the_numbers_and_small_changes_always_pass() -> None:
    def of(changes: int, same: int) -> StockComparison:
        change = Difference(Sku("A"), stock(1), stock(2), reading("A", 2))
        return StockComparison((change,) * changes, same)

    limit = ChangeLimit(changes_max=500, percent_max=30)
    for allowed in (of(20, 0), of(30, 70), of(500, 5000)):
        limit.check(allowed)
    with pytest.raises(
        TooManyChanges, match=r"^31 of 100 variants would change \(31 %\), more than the limit"
    ):
        limit.check(of(31, 69))
    with pytest.raises(
        TooManyChanges, match=r"^501 of 5,501 variants would change, more than the limit of 500$"
    ):
        limit.check(of(501, 5000))

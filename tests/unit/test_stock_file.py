"""A file of stock: its mistakes, what it would change, and doing it."""

from itertools import count
from pathlib import Path

import pytest

from chalicelib.domain.stock import Availability
from chalicelib.services.availability import Availabilities
from spillway.build.release import Release
from spillway.errors import BadInput
from spillway.merchant.stock_file import StockFile, read_stock_file
from spillway.merchant.stocktaking import Stocktaking, apply, apply_all_or_nothing, plan
from tests.clock import Clock
from tests.shop import TestShop


@pytest.fixture
def shop(clock: Clock, small_release: Release) -> TestShop:
    return TestShop(small_release, clock, slug="field-jacket", sku="FJ-MOSS-M")


def read(folder: Path, text: str | bytes) -> StockFile:
    file = folder / "stock.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_stock_file(file)


def planned(shop: TestShop, folder: Path, text: str) -> Stocktaking:
    ids = count()
    return plan(
        read(folder, text), shop.products, shop.line, at_ms=shop.clock(), new_id=lambda: f"csv-{next(ids)}"
    )


def units(shop: TestShop, sku: str) -> int | None:
    stocked = shop.products.get("field-jacket")
    assert stocked is not None
    return stocked.stock[sku].units


def test_good_lines_are_read(tmp_path: Path) -> None:
    read_lines = read(tmp_path, b"\xef\xbb\xbfSKU,Stock\r\nA-1,5\r\n\r\n B ,0\r\n").lines
    assert [(each.line, each.sku, each.units) for each in read_lines] == [(2, "A-1", 5), (4, "B", 0)]


def test_every_mistake_is_named_with_its_line(tmp_path: Path) -> None:
    text = "sku,stock\na,1\nB,-1\nC,x\nD,99999999\nE\nF,1\nF,2\n=G,1\nH,1,2\n"
    file = read(tmp_path, text)
    assert [each.sku for each in file.lines] == ["F"]
    assert [mistake.line for mistake in file.mistakes] == [2, 3, 4, 5, 6, 8, 9, 10]
    assert str(file.mistakes[5]) == "line 8: F stands in line 7 too"


@pytest.mark.parametrize(
    "text", ["", "units\n1\n", "stock,sku\n", "sku;stock\nA;1\n", b"sku,stock\nA\xff,1\n"]
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(BadInput):
        read(tmp_path, text)


def test_a_plan_says_what_would_change_and_how_many_wait(shop: TestShop, tmp_path: Path) -> None:
    shop.join("ada", "bob")
    taking = planned(shop, tmp_path, "sku,stock\nFJ-MOSS-M,5\nFJ-MOSS-S,4\nSCARF,0\nNOPE,1\n")
    assert [(change.event.sku, change.mailed) for change in taking.changes] == [
        ("FJ-MOSS-M", 2),
        ("SCARF", 0),
    ]
    assert (taking.unchanged, taking.mailed) == (1, 2)
    assert [mistake.line for mistake in taking.mistakes] == [5]
    assert units(shop, "FJ-MOSS-M") == 0


def test_what_was_planned_is_taken_in(shop: TestShop, tmp_path: Path) -> None:
    taking = planned(shop, tmp_path, "sku,stock\nFJ-MOSS-M,5\nSCARF,0\n")
    assert apply(taking.changes, Availabilities(shop.products)) == []
    assert units(shop, "FJ-MOSS-M") == 5
    assert planned(shop, tmp_path, "sku,stock\nFJ-MOSS-M,5\nSCARF,0\n").changes == ()


def test_what_newer_events_overtook_is_named(shop: TestShop, tmp_path: Path) -> None:
    taking = planned(shop, tmp_path, "sku,stock\nFJ-MOSS-M,5\nSCARF,0\n")
    shop.observe(Availability.IN_STOCK, units=9)
    overtaken = apply(taking.changes, Availabilities(shop.products))
    assert [str(mistake) for mistake in overtaken] == ["line 2: FJ-MOSS-M: a newer event is known"]
    assert units(shop, "FJ-MOSS-M") == 9


def test_all_of_it_or_nothing(shop: TestShop, tmp_path: Path) -> None:
    text = "sku,stock\nFJ-MOSS-M,5\nFJ-MOSS-S,6\nSCARF,0\n"
    taking = planned(shop, tmp_path, text)
    shop.observe(Availability.IN_STOCK, units=9)
    assert not apply_all_or_nothing(taking.changes, Availabilities(shop.products))
    assert units(shop, "FJ-MOSS-S") == 4
    shop.clock.pass_s(1)
    assert apply_all_or_nothing(planned(shop, tmp_path, text).changes, Availabilities(shop.products))
    assert (units(shop, "FJ-MOSS-M"), units(shop, "FJ-MOSS-S")) == (5, 6)

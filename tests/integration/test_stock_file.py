"""A file of stock: its mistakes, what it would change, and doing it."""

import csv
from dataclasses import replace
from io import StringIO
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.domain.product import WhenSoldOut
from chalicelib.domain.stock import Availability
from chalicelib.domain.stock_file import StockFile
from chalicelib.services.availability import Availabilities
from chalicelib.services.stock_import import StockImport, apply_import
from spillway.errors import BadInput
from spillway.merchant.stock_import import apply_all_or_nothing, plan, read_stock_file
from spillway.sitegen.release import Release
from tests.support.clock import Clock
from tests.support.shop import TestShop
from tests.support.skus import skus


@pytest.fixture
def shop(clock: Clock, small_release: Release) -> TestShop:
    return TestShop(small_release, clock, slug="field-jacket", sku="FJ-MOSS-M")


def read(folder: Path, text: str | bytes) -> StockFile:
    file = folder / "stock.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_stock_file(file)


def planned(shop: TestShop, folder: Path, text: str) -> StockImport:
    ids = count()
    return plan(
        read(folder, text), shop.products, shop.shards, at_ms=shop.clock(), new_id=lambda: f"csv-{next(ids)}"
    )


def units(shop: TestShop, sku: str) -> int | None:
    stocked = shop.products.get("field-jacket")
    assert stocked is not None
    return stocked.stock[sku].units


def test_good_lines_are_read(tmp_path: Path) -> None:
    read_lines = read(tmp_path, b"\xef\xbb\xbfSKU,Stock\r\nA-1,5\r\n\r\n B ,0\r\n").lines
    assert [(line.line, line.sku, line.units) for line in read_lines] == [(2, "A-1", 5), (4, "B", 0)]


def test_every_mistake_is_named_with_its_line(tmp_path: Path) -> None:
    text = "sku,stock\na\u200bb,1\nB,1.5\nC,x\nD,99999999\nE\nF,1\nF,2\n,1\nH,1,2\n"
    file = read(tmp_path, text)
    assert [line.sku for line in file.lines] == ["F"]
    assert [mistake.line for mistake in file.mistakes] == [2, 3, 4, 5, 6, 8, 9, 10]
    assert str(file.mistakes[0]) == (
        "line 2: sku 'a\\u200bb': An SKU must not contain an invisible mark: U+200B ZERO WIDTH SPACE."
    )
    assert str(file.mistakes[5]) == "line 8: sku 'F' stands in line 7 too"


@given(st.lists(skus(), unique=True, min_size=1, max_size=9))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_merchants_own_skus_are_read_as_they_are(tmp_path: Path, chosen: list[str]) -> None:
    file = StringIO(newline="")
    csv.writer(file).writerows([["sku", "stock"], *([sku, 3] for sku in chosen)])
    found = read(tmp_path, file.getvalue())
    assert [line.sku for line in found.lines] == chosen
    assert found.mistakes == ()


def test_one_sku_in_two_spellings_of_unicode_stands_twice(tmp_path: Path) -> None:
    file = read(tmp_path, "sku,stock\n\u00c4rmel,1\nA\u0308rmel,2\n\u00e4rmel,3\n")
    assert [line.sku for line in file.lines] == ["Ärmel", "ärmel"]
    assert [str(mistake) for mistake in file.mistakes] == ["line 3: sku 'Ärmel' stands in line 2 too"]


def test_a_near_miss_is_named_with_its_product_and_not_taken(shop: TestShop, tmp_path: Path) -> None:
    taking = planned(shop, tmp_path, "sku,stock\nfj-moss-m,5\nFJ-MOSS -M,5\nFJ-MOSS-X,5\n")
    words = "this stage sells nothing under that name"
    exact = "SKUs are compared exactly: 'FJ-MOSS-M' (product field-jacket) differs in"
    assert [str(mistake) for mistake in taking.mistakes] == [
        f"line 2: sku 'fj-moss-m': {words}. {exact} upper and lower case",
        f"line 3: sku 'FJ-MOSS -M': {words}. {exact} spaces",
        f"line 4: sku 'FJ-MOSS-X': {words}",
    ]
    assert taking.changes == ()


@pytest.mark.parametrize(
    "text", ["", "units\n1\n", "stock,sku\n", "sku|stock\nA|1\n", b"sku,stock\nA\xff,1\n"]
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


def test_the_planned_import_is_carried_out(shop: TestShop, tmp_path: Path) -> None:
    taking = planned(shop, tmp_path, "sku,stock\nFJ-MOSS-M,5\nSCARF,0\n")
    assert apply_import(taking.changes, Availabilities(shop.products)) == []
    assert units(shop, "FJ-MOSS-M") == 5
    assert planned(shop, tmp_path, "sku,stock\nFJ-MOSS-M,5\nSCARF,0\n").changes == ()


@pytest.mark.parametrize("atomic", [False, True])
def test_none_in_a_file_is_a_back_order_where_the_catalogue_wants_that(
    shop: TestShop, tmp_path: Path, atomic: bool
) -> None:
    stocked = shop.products.get("field-jacket")
    assert stocked is not None
    variants = tuple(
        replace(variant, when_sold_out=WhenSoldOut.BACK_ORDER if variant.sku == "FJ-MOSS-M" else None)
        for variant in stocked.product.variants
    )
    shop.products.put_catalogue(replace(stocked.product, variants=variants), {}, known=stocked)
    shop.join("ada")
    text = "sku,stock\nFJ-MOSS-M,0\nFJ-MOSS-S,0\n"
    taking = planned(shop, tmp_path, text)
    assert [(change.event.sku, change.event.availability, change.mailed) for change in taking.changes] == [
        ("FJ-MOSS-M", Availability.BACK_ORDER, 1),
        ("FJ-MOSS-S", Availability.OUT_OF_STOCK, 0),
    ]
    if atomic:
        assert apply_all_or_nothing(taking.changes, Availabilities(shop.products))
    else:
        assert apply_import(taking.changes, Availabilities(shop.products)) == []
    stocked = shop.products.get("field-jacket")
    assert stocked is not None
    for sku, expected in [
        ("FJ-MOSS-M", Availability.BACK_ORDER),
        ("FJ-MOSS-S", Availability.OUT_OF_STOCK),
    ]:
        assert (stocked.stock[sku].availability, stocked.stock[sku].units) == (expected, 0)
    assert planned(shop, tmp_path, text).changes == ()


def test_events_that_newer_ones_overtook_are_named(shop: TestShop, tmp_path: Path) -> None:
    taking = planned(shop, tmp_path, "sku,stock\nFJ-MOSS-M,5\nSCARF,0\n")
    shop.observe(Availability.IN_STOCK, units=9)
    overtaken = apply_import(taking.changes, Availabilities(shop.products))
    assert [str(mistake) for mistake in overtaken] == ["line 2: FJ-MOSS-M: a newer event is known"]
    assert units(shop, "FJ-MOSS-M") == 9


def test_an_atomic_stock_file_applies_each_change_or_none(shop: TestShop, tmp_path: Path) -> None:
    text = "sku,stock\nFJ-MOSS-M,5\nFJ-MOSS-S,6\nSCARF,0\n"
    taking = planned(shop, tmp_path, text)
    shop.observe(Availability.IN_STOCK, units=9)
    assert not apply_all_or_nothing(taking.changes, Availabilities(shop.products))
    assert units(shop, "FJ-MOSS-S") == 4
    shop.clock.pass_s(1)
    assert apply_all_or_nothing(planned(shop, tmp_path, text).changes, Availabilities(shop.products))
    assert (units(shop, "FJ-MOSS-M"), units(shop, "FJ-MOSS-S")) == (5, 6)


@pytest.mark.parametrize(
    ("written", "locale", "units"),
    [
        ("5.0", "en", 5),
        ("5.", "en", 5),
        ("+5", "en", 5),
        ("-1", "en", 0),
        ("-3.0", "de", 0),
        ("0.00", "en", 0),
        ('"1,000"', "en", 1000),
        ('"12,345"', "en-GB", 12345),
        ("1.000", "en", 1),
        ("1.000", "de", 1000),
        ('"5,0"', "de", 5),
        ('"1.234,0"', "de", 1234),
        ("5.0", "de", 5),
        ("0042", "en", 42),
    ],
)
def test_a_number_is_read_as_the_shops_locale_writes_it(
    tmp_path: Path, written: str, locale: str, units: int
) -> None:
    file = tmp_path / "stock.csv"
    file.write_text(f"sku,stock\nA,{written}\n")
    found = read_stock_file(file, locale=locale)
    assert [(line.sku, line.units) for line in found.lines] == [("A", units)]


@pytest.mark.parametrize(
    "written", ["", "-", "1.5", '"5,0"', '"1,00"', "1e3", "٥", "five", "1 000 000 000", "9" * 30]
)
def test_a_number_that_is_not_plain_is_named_with_its_line(tmp_path: Path, written: str) -> None:
    found = read(tmp_path, f"sku,stock\nA,{written}\nB,1\n")
    shown = written.strip('"')
    assert [str(mistake) for mistake in found.mistakes] == [
        f"line 2: stock {shown!r}: expected a whole number from 0 to 1000000"
    ]
    assert [line.sku for line in found.lines] == ["B"]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_files_saved_by_spreadsheets_are_read(tmp_path: Path, separator: str, encoding: str) -> None:
    text = f"SKU{separator}Stock\r\nÄrmel{separator}5\r\n0042{separator}0\r\n".encode(encoding)
    assert [(line.sku, line.units) for line in read(tmp_path, text).lines] == [("Ärmel", 5), ("0042", 0)]

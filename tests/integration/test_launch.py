"""A launch: the restock of a variant that was never on sale, over the tables and the workers."""

from dataclasses import replace
from pathlib import Path

import pytest

from chalicelib.domain.stock import Availability, Stock
from chalicelib.services.availability import Availabilities
from chalicelib.services.stock_import import apply_import
from chalicelib.tables.products import stock_values
from spillway.commands.stock import _show_import
from spillway.merchant.stock_import import plan, read_stock_file
from spillway.sitegen.release import Release
from tests.support.clock import Clock
from tests.support.shop import TestShop

COMING, SOLD_OUT, IN_STOCK = Availability.COMING_SOON, Availability.OUT_OF_STOCK, Availability.IN_STOCK
SOON = Stock(COMING, 0, 0, "catalogue")
SKU = "FJ-MOSS-M"


def test_a_stored_launch_is_read_back_and_costs_other_stock_nothing(
    clock: Clock, small_release: Release
) -> None:
    shop = TestShop(small_release, clock, slug="field-jacket", sku=SKU)
    stocked = shop.products.get("field-jacket")
    assert stocked is not None
    launched = Stock(IN_STOCK, 5, 1, "e1", 1, ("key",), is_launch=True)

    assert shop.products.observe("field-jacket", SKU, launched, known=stocked.stock[SKU])
    after = shop.products.get("field-jacket")

    assert after is not None
    assert after.stock[SKU].is_launch
    assert "is_launch" not in stock_values(replace(launched, is_launch=False))


def test_the_launch_emails_who_waits_that_it_is_here(clock: Clock, small_release: Release) -> None:
    shop = TestShop(small_release, clock, slug="field-jacket", sku=SKU)
    known = shop.products.get("field-jacket")
    assert known is not None
    shop.products.observe("field-jacket", SKU, replace(SOON, version=1), known=known.stock[SKU])
    shop.join("ada", "bob")

    shop.observe(SOLD_OUT, 0)
    shop.work()
    assert shop.sender.mailboxes() == []
    shop.observe(IN_STOCK, 5)
    shop.work()

    assert sorted(shop.sender.mailboxes()) == ["ada@example.com", "bob@example.com"]
    assert {sent.email.subject for sent in shop.sender.sent} == {"Field Jacket (Moss, M) is here"}
    shop.join("eve")
    shop.observe(SOLD_OUT, 0)
    shop.observe(IN_STOCK, 5)
    shop.work()
    assert shop.sender.sent[-1].email.subject == "Field Jacket (Moss, M) is back"


def test_a_stock_file_counts_what_is_coming_and_launches_nothing(
    clock: Clock, small_release: Release, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = TestShop(small_release, clock, slug="field-jacket", sku=SKU)
    known = shop.products.get("field-jacket")
    assert known is not None
    shop.products.observe("field-jacket", SKU, replace(SOON, version=1), known=known.stock[SKU])
    shop.join("ada")
    file = tmp_path / "stock.csv"
    file.write_text(f"sku,stock\n{SKU},200\n")

    planned = plan(read_stock_file(file), shop.products, shop.shards, at_ms=clock(), new_id=lambda: "csv-1")
    _show_import(planned, as_json=False, verb="would change")
    apply_import(planned.changes, Availabilities(shop.products))

    assert capsys.readouterr().out.splitlines() == [
        f"{SKU}: ComingSoon (0) -> ComingSoon (200)",
        f"1 count is of a variant that is coming soon; to put it on sale: spillway available {SKU}",
        "1 would change, 0 are as they were, 0 emails to send",
    ]
    after = shop.products.get("field-jacket")
    assert after is not None
    assert (after.stock[SKU].availability, after.stock[SKU].units) == (COMING, 200)
    again = plan(read_stock_file(file), shop.products, shop.shards, at_ms=clock(), new_id=lambda: "csv-2")
    assert (again.changes, again.unchanged) == ((), 1)

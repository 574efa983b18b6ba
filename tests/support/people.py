"""The tools for people over a shop in memory, and what the stream would set off."""

from pathlib import Path
from typing import Any

from chalicelib.container import Container
from chalicelib.domain.address import Address
from chalicelib.domain.entry import Reaction, reaction_to
from chalicelib.settings import Keys
from chalicelib.tables.entries import entry_from
from spillway.importing.table import read_table
from spillway.merchant.export_rows import ExportOptions, ExportRow, read_rows
from spillway.merchant.import_rules import ImportContext
from spillway.merchant.people import People
from spillway.merchant.reasons import Explanation, explain
from spillway.stage import settings_of
from tests.support.shop import IDENTITY_KEY, TestShop


def people_tables(shop: TestShop, client: Any = None) -> Container:
    """The tables of a shop, as a stage would name them; `client` stands for the shop's own of DynamoDB."""
    settings = settings_of(shop.table_names)
    container = Container(lambda: settings, lambda _, attempts_max=0: client or shop.dynamodb)
    vars(container)["keys"] = Keys(IDENTITY_KEY, ("signs nothing",))
    return container


def why(shop: TestShop, name: str, sku: str = "") -> Explanation:
    """Why `name`@example.com was or was not emailed."""
    facts = People(people_tables(shop)).facts(shop.shopper(name), sku or shop.sku)
    return explain(facts, at_ms=shop.clock())


def here(shop: TestShop) -> ImportContext:
    """The facts that an import knows of the shop."""
    sold = {sku: stocked for stocked in shop.products.scan() for sku in stocked.product.skus}
    return ImportContext(
        sold, IDENTITY_KEY, frozenset({"mailinator.com"}), lambda stocked: stocked.product.path
    )


def export(folder: Path, text: str, asked: ExportOptions, *, now_ms: int) -> list[ExportRow]:
    """The rows of an export with this text."""
    file = folder / "export.csv"
    file.write_text(text, encoding="utf-8")
    return read_rows(file, read_table(file), asked, now_ms=now_ms)


def stored(shop: TestShop, name: str, sku: str = "") -> dict[str, Any]:
    """The row of an entry."""
    shopper = Address.parse(f"{name}@example.com").shopper_id(IDENTITY_KEY)
    key = {"shopper": {"S": shopper}, "sku": {"S": sku or shop.sku}}
    item: dict[str, Any] = shop.dynamodb.get_item(TableName=shop.entries_name, Key=key).get("Item", {})
    return item


def react(shop: TestShop, before: dict[str, Any], after: dict[str, Any]) -> Reaction | None:
    """Do what the stream sets off when an entry is notified of stock there is already."""
    entry = entry_from(after)
    reaction = reaction_to(entry_from(before) if before else None, entry)
    if reaction is Reaction.NOTIFY_IF_AVAILABLE:
        shop.restocking.notify_if_available(entry.shopper, entry.sku, at_ms=shop.clock())
    return reaction

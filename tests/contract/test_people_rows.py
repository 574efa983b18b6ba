"""Imports and moves of entries over DynamoDB as everybody plays it: one transaction, with its conditions."""

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from chalicelib.domain.entry import Arrival, EntryState, position_of
from chalicelib.tables.sending import Access, AccessLogTable
from spillway.merchant.rows import EntryRows, ImportedPerson, Proof
from tests.contract.conftest import Tables
from tests.support.aws import create_table

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

PROOF = Proof("csv", "3fa9", 2, "2026-01-01", "Email me")
NEW = ImportedPerson(
    "cyd", "cyd@example.com", "A", "/", 1_780_000_000_000, position_of(1_780_000_000_000, "cyd"), PROOF
)


@pytest.fixture
def rows(dynamodb: "DynamoDBClient", tables: Tables) -> EntryRows:
    name = tables.entries_name
    return EntryRows(dynamodb, name, sleep=tables.clock.pass_s)


def line(tables: Tables, sku: str) -> list[str]:
    return [entry.shopper for entry in tables.shards.first_waiting(sku, limit=10)]


def test_an_import_adds_new_people_and_leaves_the_others(tables: Tables, rows: EntryRows) -> None:
    tables.join("ada", "bob")
    tables.entries.unsubscribe("bob", "A", at_ms=tables.clock())
    newcomers = [replace(NEW, shopper=name, position=position_of(5, name)) for name in ("ada", "bob", "cyd")]
    written = rows.put_all(newcomers, Arrival.NEXT_RESTOCK, ask=False, at_ms=tables.clock())
    assert written == {2}
    assert (tables.state("bob"), line(tables, "A")) == (EntryState.UNSUBSCRIBED, ["cyd", "ada"])
    known = rows.get("cyd", "A")
    assert known is not None
    assert (known.entry.arrival, known.entry.arrived_at_ms) == (Arrival.NEXT_RESTOCK, tables.clock())
    assert (known.text("consent"), known.number("consent_row")) == ("imported:csv", 2)
    assert {key for key, _ in rows.many([("ada", "A"), ("cyd", "A"), ("nobody", "A")]).items()} == {
        ("ada", "A"),
        ("cyd", "A"),
    }


def test_a_move_is_done_while_both_entries_are_as_they_were_read(tables: Tables, rows: EntryRows) -> None:
    tables.join("ada", "bob")
    ada, bob = sorted(rows.of_sku("A"), key=lambda known: known.entry.shopper)
    assert rows.move(ada, "B", None, Arrival.NEXT_RESTOCK, at_ms=tables.clock())
    assert not rows.move(ada, "B", None, Arrival.NEXT_RESTOCK, at_ms=tables.clock())
    tables.entries.unsubscribe("bob", "A", at_ms=tables.clock())
    assert not rows.move(bob, "B", None, Arrival.NEXT_RESTOCK, at_ms=tables.clock())
    assert (line(tables, "A"), line(tables, "B")) == ([], ["ada"])


def test_an_unsubscribed_entry_names_its_move_until_that_is_forgotten(
    tables: Tables, rows: EntryRows
) -> None:
    tables.join("ada")
    (ada,) = rows.of_sku("A")
    assert rows.move(ada, "B", None, Arrival.NEXT_RESTOCK, at_ms=tables.clock())
    at_ms = tables.clock()
    tables.clock.pass_s(60)
    for _ in range(2):
        moved = tables.entries.unsubscribe("ada", "A", at_ms=tables.clock())
        assert moved is not None
        assert (moved.state, moved.moved_to, moved.moved_from) == (EntryState.UNSUBSCRIBED, "B", None)
    known = rows.get("ada", "A")
    assert known is not None
    assert known.number("unsubscribed_at_ms") == at_ms
    (there,) = [entry for entry in tables.entries.of_shopper("ada") if entry.sku == "B"]
    assert (there.moved_to, there.moved_from) == (None, "A")
    assert tables.entries.forget_move(moved, at_ms=tables.clock())
    assert not tables.entries.forget_move(moved, at_ms=tables.clock() + 1)
    known = rows.get("ada", "A")
    assert known is not None
    assert (known.text("moved_to"), known.number("unsubscribed_at_ms")) == ("", tables.clock())


def test_a_move_is_not_forgotten_where_the_shopper_signed_up_again(tables: Tables, rows: EntryRows) -> None:
    tables.join("ada")
    (ada,) = rows.of_sku("A")
    assert rows.move(ada, "B", None, Arrival.NEXT_RESTOCK, at_ms=tables.clock())
    moved = tables.entries.unsubscribe("ada", "A", at_ms=tables.clock())
    assert moved is not None
    tables.clock.pass_s(60)
    tables.join("ada")
    assert not tables.entries.forget_move(moved, at_ms=tables.clock())
    assert tables.state("ada") is EntryState.CONFIRMED


def test_the_earlier_of_two_positions_is_kept(tables: Tables, rows: EntryRows) -> None:
    (ada,) = tables.join("ada")
    later = replace(NEW, shopper="ada", sku="B", position=position_of(tables.clock(), "ada"))
    rows.put_all([later], Arrival.NEXT_RESTOCK, ask=False, at_ms=tables.clock())
    known, there = rows.get("ada", "A"), rows.get("ada", "B")
    assert known is not None
    assert there is not None
    assert rows.move_ahead(known, there, at_ms=tables.clock())
    moved = rows.get("ada", "B")
    assert moved is not None
    assert moved.entry.position == ada.position
    assert tables.state("ada") is EntryState.UNSUBSCRIBED


def test_uses_of_commands_about_people_are_read_back_in_order(dynamodb: "DynamoDBClient") -> None:
    name = create_table(dynamodb, "SendingTable")
    log = AccessLogTable(dynamodb, name)
    log.note(Access(2000, "ann", "why", "id-2"), access_id="a")
    log.note(Access(1000, "ann", "shopper show", "id-1"), access_id="b")
    assert log.all() == [
        Access(1000, "ann", "shopper show", "id-1"),
        Access(2000, "ann", "why", "id-2"),
    ]

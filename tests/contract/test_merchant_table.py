"""Promises of the merchant table, in memory, over moto and over the local cloud alike."""

from typing import TYPE_CHECKING

import pytest

from chalicelib.domain.entry import HOUR_MS
from chalicelib.domain.merchant import Merchant, MerchantId, Role
from chalicelib.tables.merchant import (
    AUDIT_KEPT_S,
    AuditRow,
    AuditTable,
    MerchantRow,
    MerchantRowKind,
    MerchantTable,
    SessionRow,
    SessionRows,
)
from chalicelib.tables.table import Table
from tests.support.aws import create_table

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

ADA, BOB = MerchantId("ada"), MerchantId("bob")
ROW = MerchantRow(ADA, "ada@shop.example", Role.ACT, 1_000)


@pytest.fixture
def rows(dynamodb: "DynamoDBClient") -> Table:
    return Table(dynamodb, create_table(dynamodb, "MerchantTable"))


@pytest.fixture
def merchants(rows: Table) -> MerchantTable:
    return MerchantTable(rows.client, rows.name)


@pytest.fixture
def audit(rows: Table) -> AuditTable:
    return AuditTable(rows.client, rows.name)


def test_a_merchant_comes_back_as_added_and_a_removed_one_as_removed(merchants: MerchantTable) -> None:
    assert merchants.get(ADA) is None
    merchants.put(ROW)
    merchants.put(MerchantRow(BOB, "bob@shop.example", None, 2_000))
    found = merchants.get(ADA)
    assert found == ROW
    assert found.merchant == Merchant(ADA, "ada@shop.example", Role.ACT)
    removed = merchants.get(BOB)
    assert removed is not None
    assert (removed.role, removed.merchant) == (None, None)
    assert {row.id for row in merchants.all()} == {ADA, BOB}


def test_a_role_that_is_taken_away_leaves_nothing_of_the_one_before(merchants: MerchantTable) -> None:
    merchants.put(ROW)
    merchants.put(MerchantRow(ADA, "ada@shop.example", None, 2_000))
    assert merchants.get(ADA) == MerchantRow(ADA, "ada@shop.example", None, 2_000)


def test_one_call_reads_all_that_decides_on_a_session(merchants: MerchantTable) -> None:
    session = SessionRow("s1", ADA, 0, "firefox")
    assert merchants.standing(ADA, session_id="s1") == SessionRows(None, None, 0)
    merchants.put(ROW)
    merchants.open_session(session, expires_at_s=9)
    merchants.open_session(SessionRow("s2", BOB, 0, "chrome"), expires_at_s=9)
    assert merchants.epoch() == 0
    merchants.end_all()
    merchants.end_all()
    assert merchants.epoch() == 2
    assert merchants.standing(ADA, session_id="s1") == SessionRows(ROW, session, 2)
    assert merchants.standing(ADA) == SessionRows(ROW, None, 2)
    merchants.end_session("s1")
    merchants.end_session("s1")
    assert merchants.standing(ADA, session_id="s1") == SessionRows(ROW, None, 2)
    assert merchants.standing(BOB, session_id="s2").session is not None


def test_a_link_is_used_once(merchants: MerchantTable, rows: Table) -> None:
    assert not merchants.standing(ADA, link_id="l1").link_used
    assert merchants.use_link("l1", expires_at_s=99)
    assert merchants.standing(ADA, link_id="l1").link_used
    assert not merchants.use_link("l1", expires_at_s=99)
    assert merchants.use_link("l2", expires_at_s=99)
    stored = rows.get(MerchantRowKind.USED_LINK.key("l1"))
    assert stored == {"kind": "used-link", "key": "l1", "expires_at_s": 99}


def test_the_audit_lists_the_newest_actions_first_and_keeps_each_as_it_was_written(audit: AuditTable) -> None:
    first = AuditRow("a", 1_000, ADA, "ada@shop.example", "stock", "FJ-MOSS-M", "3", "5")
    second = AuditRow("b", 2_000, BOB, "bob@shop.example", "pause", "sending", None, "a stock count")
    third = AuditRow("c", 10_000, ADA, "ada@shop.example", "resume", "sending", "a stock count")
    for row in (second, third, first):
        assert audit.add(row)
    assert audit.recent(10) == [third, second, first]
    assert audit.recent(2) == [third, second]
    assert not audit.add(AuditRow("a", 1_000, BOB, "bob@shop.example", "erase", "x"))
    assert audit.recent(10) == [third, second, first]


def test_an_action_is_kept_for_more_than_a_year(audit: AuditTable, rows: Table) -> None:
    audit.add(AuditRow("a", 1_790_000_000_000, ADA, "ada@shop.example", "pause", "sending"))
    stored = rows.get(MerchantRowKind.AUDIT.key("1790000000000#a"))
    assert stored is not None
    assert stored["expires_at_s"] == 1_790_000_000 + AUDIT_KEPT_S > 1_790_000_000 + 366 * 24 * 3600
    assert {"before", "after"}.isdisjoint(stored)


def test_an_hour_has_so_many_sign_in_emails_of_each_requester(merchants: MerchantTable, rows: Table) -> None:
    def count(requester: str, *, at_ms: int = 5 * HOUR_MS, emails: int = 1) -> bool:
        return merchants.count_requested(requester, at_ms=at_ms, limit=2, expires_at_s=99, emails=emails)

    assert [count("ada"), count("ada"), count("ada"), count("net4-x")] == [True, True, False, True]
    assert count("ada", emails=-1)
    assert [count("ada"), count("ada")] == [True, False]
    assert count("ada", at_ms=6 * HOUR_MS)
    assert rows.get(MerchantRowKind.REQUESTED.key("5#ada")) == {
        "kind": "requested",
        "key": "5#ada",
        "emails": 2,
        "expires_at_s": 99,
    }

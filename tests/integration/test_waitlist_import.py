"""People of another tool, taken over: who is added, in what order, with what proof, and who is left out."""

import csv
import io
import stat
import time
from collections import Counter
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.entry import Arrival, Reaction
from chalicelib.domain.stock import Availability
from chalicelib.domain.wave import WavePolicy
from spillway.errors import BadInput
from spillway.merchant.export_columns import Column, Tool
from spillway.merchant.export_rows import ExportOptions, ExportRow, in_order
from spillway.merchant.export_words import RowOutcome
from spillway.merchant.import_details import write_details
from spillway.merchant.intake import RowDecision, available, decide, write
from spillway.merchant.reasons import WaitingState
from spillway.merchant.rows import EntryRows
from spillway.merchant.waitlist_report import in_line, write_csv
from spillway.sitegen.release import Release
from tests.support.clock import Clock
from tests.support.people import export, here, react, stored, why
from tests.support.shop import TestShop

SKU = "FJ-MOSS-M"
CSV = ExportOptions(Tool.CSV)
TEXT = ExportOptions(Tool.CSV, sku=SKU, consent_text="Email me when it is back")


@pytest.fixture
def shop(clock: Clock, small_release: Release) -> TestShop:
    return TestShop(small_release, clock, slug="field-jacket", sku=SKU)


def decided(
    shop: TestShop, folder: Path, text: str, asked: ExportOptions = CSV, *, ask: bool = False
) -> list[RowDecision]:
    rows = export(folder, text, asked, now_ms=shop.clock())
    return decide(
        rows,
        here(shop),
        EntryRows(shop.dynamodb, shop.entries_name),
        shop.suppressions,
        source=asked.tool,
        file_sha256=sha256(text.encode()).hexdigest(),
        ask=ask,
        at_ms=shop.clock(),
    )


def imported(
    shop: TestShop,
    folder: Path,
    text: str,
    asked: ExportOptions = CSV,
    *,
    ask: bool = False,
    arrival: Arrival = Arrival.NEXT_RESTOCK,
    entries: EntryRows | None = None,
) -> list[RowDecision]:
    decisions = decided(shop, folder, text, asked, ask=ask)
    rows = entries or EntryRows(shop.dynamodb, shop.entries_name)
    return write(decisions, rows, arrival, lambda _: None, at_ms=shop.clock())


def outcomes(decisions: list[RowDecision]) -> list[RowOutcome]:
    return [decision.outcome for decision in decisions]


def waiting(shop: TestShop) -> list[str]:
    return [entry.mailbox.partition("@")[0] for entry in in_line(shop.shards, shop.sku)]


def test_people_are_added_by_their_time_with_the_proof_of_their_consent(
    shop: TestShop, tmp_path: Path
) -> None:
    text = (
        "Email,SKU,Asked At,Consent,Consent Text\n"
        f"bob@example.com,{SKU},2026-03-02 10:00:00,yes,Tell me\n"
        f"Ada@Example.com,{SKU},2026-03-01T10:00:00+02:00,yes,\n"
    )
    shop.join("cyd")
    assert outcomes(imported(shop, tmp_path, text)) == [RowOutcome.ADD, RowOutcome.ADD]
    assert waiting(shop) == ["Ada", "bob", "cyd"]
    row = stored(shop, "ada")
    assert row["signed_up_at_ms"] == row["confirmed_at_ms"] == {"N": "1772352000000"}
    assert row["shard_position"]["S"].startswith("1772352000000#")
    assert (row["mailbox"]["S"], row["page"]["S"]) == ("Ada@example.com", "/products/field-jacket")
    assert row["consent"] == {"S": "imported:csv"}
    assert row["consent_file_sha256"] == {"S": sha256(text.encode()).hexdigest()}
    assert row["consent_row"] == {"N": "3"}
    assert row["consent_asked_at"] == {"S": "2026-03-01T10:00:00+02:00"}
    assert "consent_text" not in row
    assert stored(shop, "bob")["consent_text"] == {"S": "Tell me"}


KLAVIYO = """\
Email,First Name,Email Marketing Consent,Email Marketing Consent Timestamp,Email Suppressions
ada@example.com,Ada,SUBSCRIBED,2026-01-05 08:00:00,
bob@example.com,Bob,UNSUBSCRIBED,2026-01-06 08:00:00,
cyd@example.com,Cyd,NEVER_SUBSCRIBED,,
dan@example.com,Dan,SUBSCRIBED,2026-01-07 08:00:00,HARD_BOUNCE
"""
SWYM = """\
email,variant_id,status,created_at
ada@example.com,41254709264582,pending,1767600000
bob@example.com,41254709264582,sent,1767600001
cyd@example.com,41254709264582,unsubscribed,1767600002
dan@example.com,999,pending,1767600003
"""
WOOCOMMERCE = """\
Subscriber Email;Product SKU;Status;Subscribed Date
ada@example.com;FJ-MOSS-M;cwg_subscribed;January 5, 2026 08:00
bob@example.com;FJ-MOSS-M;cwg_mailsent;January 6, 2026 08:00
cyd@example.com;FJ-MOSS-M;cwg_unsubscribed;January 7, 2026 08:00
dan@example.com;FJ-MOSS-M;trash;January 7, 2026 08:00
"""


@pytest.mark.parametrize(
    ("text", "asked", "came"),
    [
        (
            KLAVIYO,
            ExportOptions(Tool.KLAVIYO, sku=SKU),
            [RowOutcome.ADD, RowOutcome.LEFT_THERE, RowOutcome.NO_CONSENT, RowOutcome.SUPPRESSED_THERE],
        ),
        (
            SWYM,
            ExportOptions(Tool.SWYM, skus={"41254709264582": SKU}),
            [RowOutcome.ADD, RowOutcome.NOTIFIED_THERE, RowOutcome.LEFT_THERE, RowOutcome.WRONG],
        ),
        (
            WOOCOMMERCE,
            ExportOptions(Tool.WOOCOMMERCE),
            [RowOutcome.ADD, RowOutcome.NOTIFIED_THERE, RowOutcome.LEFT_THERE, RowOutcome.LEFT_THERE],
        ),
    ],
    ids=["klaviyo", "swym", "woocommerce"],
)
def test_exports_of_the_known_tools_are_read(
    shop: TestShop, tmp_path: Path, text: str, asked: ExportOptions, came: list[RowOutcome]
) -> None:
    assert outcomes(imported(shop, tmp_path, text, asked)) == came
    assert waiting(shop) == ["ada"]
    assert stored(shop, "ada")["signed_up_at_ms"] == {"N": "1767600000000"}


def test_an_import_never_overwrites_moves_or_resubscribes_people_of_the_shop(
    shop: TestShop, tmp_path: Path
) -> None:
    shop.join("notified")
    shop.observe(Availability.IN_STOCK)
    shop.work()
    shop.observe(Availability.OUT_OF_STOCK, units=0)
    shop.join("here", "left")
    shop.leave("left")
    shop.sign_up("asked")
    shop.suppressions.suppress(shop.shopper("gone"), reason="complained", at_ms=shop.clock())
    names = ("notified", "here", "left", "asked", "gone", "new")
    before = {name: stored(shop, name) for name in names}
    text = "email,time\n" + "".join(f"{name}@example.com,2026-01-0{n}\n" for n, name in enumerate(names, 1))
    assert outcomes(imported(shop, tmp_path, text, TEXT)) == [
        RowOutcome.NOTIFIED_HERE,
        RowOutcome.HERE,
        RowOutcome.LEFT_HERE,
        RowOutcome.PENDING_HERE,
        RowOutcome.SUPPRESSED_HERE,
        RowOutcome.ADD,
    ]
    assert {name: stored(shop, name) for name in names[:5]} == {name: before[name] for name in names[:5]}
    assert waiting(shop) == ["new", "here"]


def test_a_signup_that_was_not_confirmed_in_time_is_free_for_an_import(
    shop: TestShop, tmp_path: Path
) -> None:
    shop.sign_up("ada")
    text = "email,time\nada@example.com,2026-01-01\n"
    (early,) = imported(shop, tmp_path, text, TEXT)
    assert (early.outcome.value, early.note) == (
        "asked by this shop, not confirmed yet",
        "imported by the same file after 2026-09-24T14:13:20+00:00, unless the person confirms or signs up"
        " again before",
    )
    shop.clock.pass_s(72 * 3600)
    before = stored(shop, "ada")
    assert outcomes(imported(shop, tmp_path, text, TEXT)) == [RowOutcome.ADD]
    assert waiting(shop) == ["ada"]
    assert react(shop, before, stored(shop, "ada")) is None


def test_the_same_file_again_changes_nothing(shop: TestShop, tmp_path: Path) -> None:
    text = "email,time\nada@example.com,2026-01-01\nbob@example.com,2026-01-02\n"
    imported(shop, tmp_path, text, TEXT)
    rows = [stored(shop, name) for name in ("ada", "bob")]
    shop.clock.pass_s(60)
    assert outcomes(imported(shop, tmp_path, text, TEXT)) == [RowOutcome.IMPORTED_BEFORE] * 2
    assert [stored(shop, name) for name in ("ada", "bob")] == rows


def test_an_imported_person_who_signs_up_again_stays_confirmed_at_the_old_position(
    shop: TestShop, tmp_path: Path
) -> None:
    imported(shop, tmp_path, "email,time\nada@example.com,2026-01-01\nbob@example.com,2026-01-02\n", TEXT)
    before = stored(shop, "ada")
    shop.clock.pass_s(60)
    shop.sign_up("ada")
    again = stored(shop, "ada")
    assert (again["state"], again["shard_position"]) == ({"S": "confirmed"}, before["shard_position"])
    assert react(shop, before, again) is Reaction.SEND_ALREADY_WAITING
    assert waiting(shop) == ["ada", "bob"]


class Breaks(EntryRows):
    """Writes so often, and then the connection is lost."""

    writes = 2

    def put_all(self, *arguments: Any, **named: Any) -> frozenset[int]:
        if not self.writes:
            raise ClientError({"Error": {"Code": "RequestTimeout"}}, "TransactWriteItems")
        self.writes -= 1
        return super().put_all(*arguments, **named)


def test_an_import_that_was_interrupted_is_finished_by_the_same_file(shop: TestShop, tmp_path: Path) -> None:
    names = [f"s{number:03}" for number in range(450)]
    text = "email,time\n" + "".join(f"{name}@example.com,2026-01-01\n" for name in names)
    with pytest.raises(ClientError):
        imported(shop, tmp_path, text, TEXT, entries=Breaks(shop.dynamodb, shop.entries_name))
    written = len(waiting(shop))
    assert written == 200
    came = Counter(outcomes(imported(shop, tmp_path, text, TEXT)))
    assert came == {RowOutcome.ADD: 250, RowOutcome.IMPORTED_BEFORE: 200}
    assert waiting(shop) == names


@pytest.mark.parametrize("ask", [False, True])
def test_rows_without_a_time_keep_the_order_of_the_file_after_an_interruption(
    shop: TestShop, tmp_path: Path, ask: bool
) -> None:
    names = [f"s{number:03}" for number in range(450)]
    text = "email,name\n" + "".join(f"{name}@example.com,n\n" for name in names)
    with pytest.raises(ClientError):
        imported(shop, tmp_path, text, TEXT, ask=ask, entries=Breaks(shop.dynamodb, shop.entries_name))
    shop.clock.pass_s(3600)
    shop.join("meanwhile")
    imported(shop, tmp_path, text, TEXT, ask=ask)
    for name in names if ask else ():
        assert shop.entries.confirm(shop.shopper(name), SKU, at_ms=shop.clock())
    assert waiting(shop) == [*names, "meanwhile"]


class SignsUpInBetween(EntryRows):
    """Somebody unsubscribes here between the decision and the write."""

    shop: TestShop

    def put_all(self, *arguments: Any, **named: Any) -> frozenset[int]:
        self.shop.join("ada")
        self.shop.leave("ada")
        return super().put_all(*arguments, **named)


def test_somebody_who_acts_while_an_import_runs_has_the_last_word(shop: TestShop, tmp_path: Path) -> None:
    entries = SignsUpInBetween(shop.dynamodb, shop.entries_name)
    entries.shop = shop
    text = "email,time\nada@example.com,2026-01-01\nbob@example.com,2026-01-01\n"
    came = imported(shop, tmp_path, text, TEXT, entries=entries)
    assert outcomes(came) == [RowOutcome.LEFT_HERE, RowOutcome.ADD]
    assert waiting(shop) == ["bob"]
    assert stored(shop, "ada")["state"] == {"S": "unsubscribed"}


@pytest.mark.parametrize(
    ("rows", "came"),
    [
        # The last word in time counts, wherever it stands in the file.
        (["yes,2026-01-03", "unsubscribed,2026-01-01"], ["ADD", "LEFT_THERE"]),
        (["unsubscribed,2026-01-03", "yes,2026-01-01"], ["LEFT_THERE", "LEFT_THERE"]),
        (
            ["yes,2026-01-01", "sent,2026-01-02", "yes,2026-01-03"],
            ["NOTIFIED_THERE", "NOTIFIED_THERE", "ADD"],
        ),
        # Without times nobody knows: who left stays away.
        (["yes,", "unsubscribed,"], ["LEFT_THERE", "LEFT_THERE"]),
        (["unsubscribed,2026-01-01", "yes,"], ["LEFT_THERE", "LEFT_THERE"]),
        (["yes,2026-01-02", "yes,2026-01-01"], ["REPEATED", "ADD"]),
        (["yes,2026-01-01", "spam complaint,2026-01-02"], ["SUPPRESSED_THERE", "SUPPRESSED_THERE"]),
        (["maybe,2026-01-01", "yes,2026-01-01"], ["WRONG", "ADD"]),
        # A later "no" withdraws the consent, a later "yes" gives it.
        (["yes,2026-01-01", "no,2026-03-01"], ["NO_CONSENT", "NO_CONSENT"]),
        (["no,2026-03-01", "yes,2026-01-01"], ["NO_CONSENT", "NO_CONSENT"]),
        (["no,2026-01-01", "yes,2026-03-01"], ["NO_CONSENT", "ADD"]),
        (["yes,", "no,"], ["NO_CONSENT", "NO_CONSENT"]),
        (["no,", "unsubscribed,", "yes,"], ["LEFT_THERE", "LEFT_THERE", "LEFT_THERE"]),
    ],
)
def test_the_last_refusal_or_consent_of_a_person_counts(
    shop: TestShop, tmp_path: Path, rows: list[str], came: list[str]
) -> None:
    text = "email,consent,time\n" + "".join(f"ada@example.com,{row}\n" for row in rows)
    asked = ExportOptions(Tool.CSV, sku=SKU)
    assert [item.outcome.name for item in decided(shop, tmp_path, text, asked)] == came


@pytest.mark.parametrize(
    ("rows", "came"),
    [
        # The first signup ended after the second: the person was emailed, or left, after asking last.
        (["2026-01-01,2026-05-01,", "2026-03-01,,"], ["LEFT_THERE", "LEFT_THERE"]),
        (["2026-01-01,,2026-05-01", "2026-03-01,,"], ["NOTIFIED_THERE", "NOTIFIED_THERE"]),
        (["2026-01-01,2026-02-01,", "2026-03-01,,"], ["LEFT_THERE", "ADD"]),
        (["2026-03-01,,", "2026-01-01,,1769904000"], ["ADD", "NOTIFIED_THERE"]),
        (["2026-01-01,yes,", "2026-03-01,,"], ["LEFT_THERE", "ADD"]),
        (["2026-01-01,2026-05-01,", "2026-03-01,,", "2026-06-01,,"], ["LEFT_THERE", "LEFT_THERE", "ADD"]),
    ],
)
def test_an_end_counts_from_its_own_date(
    shop: TestShop, tmp_path: Path, rows: list[str], came: list[str]
) -> None:
    text = "email,created_at,unsubscribed_at,notified_at\n" + "".join(
        f"ada@example.com,{row}\n" for row in rows
    )
    assert [
        item.outcome.name for item in decided(shop, tmp_path, text, ExportOptions(Tool.SWYM, sku=SKU))
    ] == came


def test_a_consent_text_is_kept_whole_or_is_a_mistake(shop: TestShop, tmp_path: Path) -> None:
    text = f"email,consent,consent text\nada@example.com,yes,{'a' * 1000}\nbob@example.com,yes,{'b' * 1001}\n"
    added, refused = imported(shop, tmp_path, text, ExportOptions(Tool.CSV, sku=SKU))
    assert (added.outcome, stored(shop, "ada")["consent_text"]) == (RowOutcome.ADD, {"S": "a" * 1000})
    assert (refused.outcome, refused.note) == (
        RowOutcome.WRONG,
        "consent text of 1,001 characters, 1,000 is the most",
    )


@pytest.mark.parametrize(
    ("refusal", "came"),
    [
        # With a time that is not understood, nobody knows which row is the last one.
        (f"{SKU},03/02/2026,bounced", "SUPPRESSED_THERE"),
        (f"{SKU},03/02/2026,unsubscribed", "LEFT_THERE"),
        (f"{SKU},03/02/2026,sent", "NOTIFIED_THERE"),
        (f"{SKU},03/02/2026,no", "NO_CONSENT"),
        # An unsubscribe from an SKU that nobody knows may be about any.
        (",2026-01-01,unsubscribed", "LEFT_THERE"),
        ("NOPE,2026-01-01,unsubscribed", "LEFT_THERE"),
        (",2026-01-01,spam complaint", "SUPPRESSED_THERE"),
        # An email about another product, or no consent to it, says nothing about this one.
        ("NOPE,2026-01-01,sent", "ADD"),
        ("NOPE,2026-01-01,no", "ADD"),
        (",2026-01-01,subscribed", "ADD"),
        (f"{SKU},03/02/2026,subscribed", "ADD"),
    ],
)
def test_a_refusal_counts_whatever_else_is_wrong_in_its_row(
    shop: TestShop, tmp_path: Path, refusal: str, came: str
) -> None:
    text = f"Email,SKU,Time,Status\nada@example.com,{SKU},2026-01-02,subscribed\nAda@example.com,{refusal}\n"
    first, second = imported(shop, tmp_path, text)
    assert (first.outcome.name, second.outcome) == (came, RowOutcome.WRONG)
    assert waiting(shop) == (["ada"] if came == "ADD" else [])
    holds = f". Other rows of this address are not imported: {first.outcome}"
    assert str(second.note).endswith(holds) is (came != "ADD"), second.note


def test_a_bounce_without_an_sku_here_is_counted_as_one(shop: TestShop, tmp_path: Path) -> None:
    text = f"email,sku,status\nada@example.com,NOPE,bounced\nada@example.com,{SKU},subscribed\n"
    assert outcomes(decided(shop, tmp_path, text)) == [RowOutcome.SUPPRESSED_THERE] * 2


def test_every_mistake_of_a_row_is_named(shop: TestShop, tmp_path: Path) -> None:
    text = "email,sku,time,status\nada@@example.com,,yesterday,maybe\n"
    note = str(decided(shop, tmp_path, text)[0].note)
    for problem in (
        "address 'ada@@example.com': ",
        "; SKU '': ",
        "; time 'yesterday': ",
        "; status 'maybe': ",
    ):
        assert problem in note


@pytest.mark.parametrize(
    ("tool", "header", "cells", "came"),
    [
        ("swym", "Subscription State,Unsubscribed At", "subscribed,2026-02-01", "LEFT_THERE"),
        ("swym", "Subscription State,Unsubscribed At", "subscribed,", "ADD"),
        ("swym", "Status,Subscription Status,Alert Status", "subscribed,unsubscribed,sent", "LEFT_THERE"),
        ("swym", "Status,Subscription Status,Alert Status", "subscribed,,", "ADD"),
        ("swym", "Alert Status,Status", "pending,subscribed", "ADD"),
        ("swym", "Opted out", "x", "LEFT_THERE"),
        ("swym", "Unsubscribe Link", "https://swym.it/u/1", "ADD"),
        ("csv", "Consent,Unsubscribed", "yes,TRUE", "LEFT_THERE"),
        ("csv", "#,Consent,Unsubscribed", "1,yes,FALSE", "ADD"),
        ("csv", "Consent,Unsubscribed", "yes,FALSE", "ADD"),
        ("csv", "Consent,Unsubscribed", "yes,perhaps", "WRONG"),
        ("csv", "Consent,Consent", "yes,no", "NO_CONSENT"),
        ("csv", "Consent,Notified", "yes,0000-00-00 00:00:00", "ADD"),
        ("csv", "Consent,Notified On", "yes,03.02.2026", "NOTIFIED_THERE"),
        ("csv", "Consent,Email Sent", "yes,not sent", "ADD"),
        ("csv", "Consent,Is Unsubscribed?", "yes,1", "LEFT_THERE"),
        ("csv", "Consent,Bounced At", "yes,2026-02-01", "SUPPRESSED_THERE"),
        ("csv", "Consent,Status", "yes,", "NO_CONSENT"),
        ("woocommerce", "Status,Email Sent", "cwg_subscribed,Yes", "NOTIFIED_THERE"),
        ("woocommerce", "Status,Unsubscribed", "cwg_subscribed,Yes", "LEFT_THERE"),
        ("klaviyo", "Email Marketing Consent,Suppressed", "SUBSCRIBED,USER_SUPPRESSED", "SUPPRESSED_THERE"),
        ("klaviyo", "Email Marketing Consent,Email Suppressions", "SUBSCRIBED,[]", "ADD"),
        ("klaviyo", "Email Marketing Consent,Status", "SUBSCRIBED,unsubscribed", "LEFT_THERE"),
        # Mailchimp has a file for each status, which its columns alone say.
        ("csv", "Consent,UNSUB_TIME,UNSUB_REASON", "yes,2026-02-01 10:00:00,NORMAL", "LEFT_THERE"),
        ("csv", "Consent,CLEAN_TIME", "yes,2026-02-01 10:00:00", "SUPPRESSED_THERE"),
        ("csv", "Consent,Do Not Email", "yes,x", "LEFT_THERE"),
        ("csv", "Consent,Do Not Email", "Ja,enabled", "LEFT_THERE"),
        ("csv", "Consent,Unsubscribed", "WAHR,WAHR", "LEFT_THERE"),
        ("csv", "Consent,Unsubscribed", "WAHR,FALSCH", "ADD"),
        ("csv", "Consent,Date of Unsubscribe", "yes,2026-02-01", "LEFT_THERE"),
        ("csv", "Consent,Unsubscribed from all email", "yes,true", "LEFT_THERE"),
        ("csv", "Consent,Has Opted Out Of Email", "yes,FALSE", "ADD"),
        (
            "klaviyo",
            "Email Marketing Consent,Email List Suppressions",
            "SUBSCRIBED,UNSUBSCRIBE",
            "LEFT_THERE",
        ),
        ("klaviyo", "Email Marketing Consent,Can Receive Email Marketing", "SUBSCRIBED,FALSE", "NO_CONSENT"),
        ("csv", "Consent,Bounce Reason", "yes,mailbox unknown", "SUPPRESSED_THERE"),
        ("csv", "Consent,Last Notified At", "yes,2026-02-01", "NOTIFIED_THERE"),
        ("csv", "Consent,Times Notified", "yes,0", "ADD"),
        ("csv", "Consent,Notification Count", "yes,2", "NOTIFIED_THERE"),
        ("csv", "Consent,Notified At", "yes,N/A", "ADD"),
        ("csv", "Consent,Notified At", "yes,Not notified", "ADD"),
        ("csv", "Consent,Consent Status", "yes,revoked", "LEFT_THERE"),
        ("csv", "Consent,Double Opt-In", "yes,no", "NO_CONSENT"),
        ("csv", "GDPR Consent", "N/A", "NO_CONSENT"),
        ("csv", "GDPR Consent", "2026-02-01 10:00:00", "ADD"),
        ("csv", "GDPR Consent", "0000-00-00 00:00:00", "WRONG"),
        ("swym", "Marketing Consent", "no", "NO_CONSENT"),
        ("swym", "Accepts Email Marketing", "no", "NO_CONSENT"),
        ("swym", "Subscribed", "false", "NO_CONSENT"),
        ("swym", "Confirmed", "no", "NO_CONSENT"),
        ("swym", "Email Verified", "FALSE", "NO_CONSENT"),
        ("swym", "Is Active", "0", "NO_CONSENT"),
        # Tools that verify nobody leave this empty.
        ("swym", "Verified", "", "ADD"),
        ("csv", "Consent,Notification Status", "yes,pending", "ADD"),
        ("csv", "Consent,Subscription Status", "yes,pending", "NO_CONSENT"),
        # The cells say that a column is a status, unless its name is one of another channel.
        ("swym", "State", "unsubscribed", "LEFT_THERE"),
        ("swym", "Progress", "Not notified", "ADD"),
        ("swym", "Progress", "Notified", "NOTIFIED_THERE"),
        ("swym", "Zustand,Etat", "subscribed,opted-out", "LEFT_THERE"),
        ("swym", "State", "CA", "ADD"),
        ("klaviyo", "Email Marketing Consent,SMS Marketing Consent", "SUBSCRIBED,UNSUBSCRIBED", "ADD"),
        ("swym", "Newsletter", "unsubscribed", "ADD"),
    ],
)
def test_every_column_that_can_say_no_is_read(
    shop: TestShop, tmp_path: Path, tool: str, header: str, cells: str, came: str
) -> None:
    text = f"Email,{header}\nada@example.com,{cells}\n"
    assert [
        item.outcome.name for item in decided(shop, tmp_path, text, ExportOptions(Tool(tool), sku=SKU))
    ] == [came]


def test_a_row_with_a_phone_number_and_no_address_is_counted_apart(shop: TestShop, tmp_path: Path) -> None:
    text = (
        "Medium Value,Phone,Status\n+49 151 2345678,,never heard\n,+15551234567,\nada@example.com,,pending\n"
    )
    assert outcomes(imported(shop, tmp_path, text, ExportOptions(Tool.SWYM, sku=SKU))) == [
        RowOutcome.PHONE_ALONE,
        RowOutcome.PHONE_ALONE,
        RowOutcome.ADD,
    ]
    assert waiting(shop) == ["ada"]


@pytest.mark.parametrize(
    ("word", "came"),
    [
        ("✓", "ADD"),
        ("✔️", "ADD"),
        ("Y", "ADD"),
        ("1.0", "ADD"),
        ("'Opted-In'", "ADD"),
        ("✗", "NO_CONSENT"),
        ("-", "NO_CONSENT"),
        ("NEVER_SUBSCRIBED", "NO_CONSENT"),
        ("Hard_Bounce", "SUPPRESSED_THERE"),
        ("-1", "WRONG"),
        ("!subscribed", "WRONG"),
        ("¬yes", "WRONG"),
        ("???", "WRONG"),
    ],
)
def test_a_word_of_consent_is_read_with_its_signs(
    shop: TestShop, tmp_path: Path, word: str, came: str
) -> None:
    text = f"email,consent\nada@example.com,{word}\n"
    asked = ExportOptions(Tool.CSV, sku=SKU)
    assert [item.outcome.name for item in decided(shop, tmp_path, text, asked)] == [came]


def test_a_column_named_on_the_command_line_for_a_time_ends_nothing(shop: TestShop, tmp_path: Path) -> None:
    asked = ExportOptions(Tool.CSV, sku=SKU, columns={Column.TIME: "Sent At"})
    text = "email,consent,Sent At\nada@example.com,yes,2026-01-01\n"
    assert outcomes(decided(shop, tmp_path, text, asked)) == [RowOutcome.ADD]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-05-17", "2026-05-16T22:00:00"),
        ("2026-05-17 09.45", "2026-05-17T07:45:00"),
        ("2026-05-17 9.45.30", "2026-05-17T07:45:30"),
        ("2026-05-17 9:45", "2026-05-17T07:45:00"),
        ("2026-05-17T09:30:00.250Z", "2026-05-17T09:30:00.250"),
        ("2026-05-17 09:30:00,5+02", "2026-05-17T07:30:00.500"),
        ("2026-05-17T09:30-0130", "2026-05-17T11:00:00"),
        ("20260517T093000Z", "2026-05-17T09:30:00"),
        ("2026-05-17+02:00", "2026-05-16T22:00:00"),
        ("2026-05-17Z", "2026-05-17T00:00:00"),
        ("2026-05-17 09:30:00 UTC", "2026-05-17T09:30:00"),
        ("2026-05-17 09:30:00 +0000 UTC", "2026-05-17T09:30:00"),
        ("2026-05-17T09:30:00+05:30[Asia/Kolkata]", "2026-05-17T04:00:00"),
        ("2026-05-17 12:30 AM", "2026-05-16T22:30:00"),
        ("2026-05-17 9:30:15\u202fp.m.", "2026-05-17T19:30:15"),
        ("2026/5/7", "2026-05-06T22:00:00"),
        ("2026.05.17 9.05", "2026-05-17T07:05:00"),
        # As WordPress, Shopify's apps, emails and JavaScript write them.
        ("May 17, 2026 9:30 pm", "2026-05-17T19:30:00"),
        ("May 17th, 2026 at 12:05 PM", "2026-05-17T10:05:00"),
        ("17 May 2026", "2026-05-16T22:00:00"),
        ("17-Sept-2025 09:30", "2025-09-17T07:30:00"),
        ("Sun, 17 May 2026 09:30:00 GMT", "2026-05-17T09:30:00"),
        ("Sun May 17 2026 09:30:00 GMT-0400 (Eastern Daylight Time)", "2026-05-17T13:30:00"),
        ("1767600000", "2026-01-05T08:00:00"),
        ("1767600000250", "2026-01-05T08:00:00.250"),
    ],
)
def test_a_time_is_read_to_the_millisecond(shop: TestShop, tmp_path: Path, written: str, read: str) -> None:
    asked = replace(TEXT, zone=ZoneInfo("Europe/Berlin"))
    text = f'email,time\nada@example.com,"{written}"\n'
    (row,) = export(tmp_path, text, asked, now_ms=shop.clock())
    assert row.problem is None
    assert row.time_ms == round(datetime.fromisoformat(f"{read}+00:00").timestamp() * 1000)


@pytest.mark.parametrize(
    ("date_format", "written", "read"),
    [
        ("%Y-%m-%d %H:%M:%S %Z", "2026-05-17 09:30:00 UTC", "2026-05-17T09:30:00"),
        ("%Y-%m-%d %H:%M:%S %Z", "2026-05-17 09:30:00 gmt", "2026-05-17T09:30:00"),
        ("%Y-%m-%d %H:%M:%S UTC", "2026-05-17 09:30:00 UTC", "2026-05-17T09:30:00"),
        ("%Y-%m-%dT%H:%MZ", "2026-05-17T09:30Z", "2026-05-17T09:30:00"),
        ("%d.%m.%Y %H.%M", "17.05.2026 09.30", "2026-05-17T07:30:00"),
        ("%d.%m.%Y %H:%M %z", "17.05.2026 09:30 +05:30", "2026-05-17T04:00:00"),
    ],
)
def test_a_date_format_reads_the_zone_that_the_file_writes(
    shop: TestShop, tmp_path: Path, date_format: str, written: str, read: str
) -> None:
    asked = replace(TEXT, zone=ZoneInfo("Europe/Berlin"), date_format=date_format)
    (row,) = export(tmp_path, f"email,time\nada@example.com,{written}\n", asked, now_ms=shop.clock())
    assert row.problem is None
    assert row.time_ms == round(datetime.fromisoformat(f"{read}+00:00").timestamp() * 1000)


def test_a_zone_without_a_fixed_offset_is_a_mistake(
    shop: TestShop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    asked = replace(TEXT, date_format="%Y-%m-%d %Z")
    (row,) = export(tmp_path, "email,time\nada@example.com,2026-05-17 CEST\n", asked, now_ms=shop.clock())
    monkeypatch.undo()
    time.tzset()
    assert row.problem == "time '2026-05-17 CEST': the zone CEST has no fixed offset; write +02:00, for %z"


@pytest.mark.parametrize("tool", list(Tool))
@pytest.mark.parametrize(
    "name",
    [
        "Signup Date",
        "signed_up_at",
        "Date Subscribed",
        "Created",
        "Joined On",
        "ADDED_TIME",
        "Date of signup",
    ],
)
def test_a_column_of_times_is_found_by_the_names_that_tools_give_it(
    shop: TestShop, tmp_path: Path, tool: Tool, name: str
) -> None:
    text = f"Email,{name}\nbob@example.com,2026-01-02\nada@example.com,2026-01-01\n"
    imported(shop, tmp_path, text, replace(TEXT, tool=tool))
    assert waiting(shop) == ["ada", "bob"]


@pytest.mark.parametrize("tool", list(Tool))
def test_address_and_sku_are_found_by_the_names_that_any_tool_gives_them(
    shop: TestShop, tmp_path: Path, tool: Tool
) -> None:
    text = f"Customer Email,Variant SKU,Status\nAda Lovelace <Ada@example.com>,{SKU},waiting\n"
    (came,) = imported(shop, tmp_path, text, ExportOptions(tool))
    assert (came.outcome, came.row.email, waiting(shop)) == (RowOutcome.ADD, "Ada@example.com", ["Ada"])


HARD = (
    "+tag@example.com",
    "-dash@example.com",
    "=eq@example.com",
    "o'hara@example.com",
    "'quote@example.com",
)


def test_the_export_of_a_waitlist_is_imported_with_the_same_addresses(shop: TestShop, tmp_path: Path) -> None:
    text = "email,time\n" + "".join(f"{address},2026-01-0{day}\n" for day, address in enumerate(HARD, 1))
    imported(shop, tmp_path, text, TEXT)
    written = io.StringIO()
    assert write_csv(in_line(shop.shards, shop.sku), written) == len(HARD)
    assert "'=eq@example.com" in written.getvalue()
    again = decided(shop, tmp_path, written.getvalue(), TEXT)
    assert [item.row.address and item.row.address.mailbox for item in again] == list(HARD)
    assert outcomes(again) == [RowOutcome.HERE] * len(HARD)
    # The column "state" says that they are confirmed: another shop needs no --consent-text.
    assert outcomes(
        decided(shop, tmp_path, written.getvalue(), ExportOptions(Tool.CSV, sku="FJ-SLATE-M"))
    ) == [RowOutcome.ADD] * len(HARD)


def test_the_export_of_a_waitlist_keeps_its_order_when_it_is_imported(shop: TestShop, tmp_path: Path) -> None:
    shop.join("first", "second")
    imported(shop, tmp_path, "email,time\nearly@example.com,2026-01-01\n", TEXT, ask=True)
    assert shop.entries.confirm(shop.shopper("early"), SKU, at_ms=shop.clock())
    written = io.StringIO()
    write_csv(in_line(shop.shards, SKU), written)
    assert "1,2026-01-01T00:00:00+00:00,early@example.com,confirmed" in written.getvalue()
    other = "FJ-SLATE-M"
    imported(shop, tmp_path, written.getvalue(), ExportOptions(Tool.CSV, sku=other))
    names = [entry.mailbox.partition("@")[0] for entry in in_line(shop.shards, other)]
    assert names == waiting(shop) == ["early", "first", "second"]


WRONG = [
    ("ada@@example.com", "2026-01-01", "address 'ada@@example.com': "),
    ("ada@mailinator.com", "2026-01-01", "addresses there are thrown away: site.toml refuses them"),
    ("", "2026-01-01", "address '': "),
    (
        "ada@example.com",
        "01/02/2026",
        "time '01/02/2026': expected 2026-05-17, 2026-05-17 09:30:00 or seconds",
    ),
    ("ada@example.com", "2031-01-01", "time '2031-01-01': in the future"),
    ("ada@example.com", "1712-01-01", "time '1712-01-01': before the year 2000"),
    ("ada@example.com", "nan", "time 'nan': expected"),
    ("ada@example.com", "1_767_600_000", "time '1_767_600_000': expected"),
    ("ada@example.com", "2026-05-17 945", "time '2026-05-17 945': expected"),
    ("ada@example.com", "2026-05-17 13:30 pm", "time '2026-05-17 13:30 pm': expected"),
    ("ada@example.com", "2026/17/05", "time '2026/17/05': expected"),
    ("ada@example.com", "31 June 2026", "time '31 June 2026': expected"),
    ("ada@example.com", "17 May 26", "time '17 May 26': expected"),
    ("ada@example.com", "17.05.2026", "time '17.05.2026': expected"),
    ("ada@example.com", "17 Mayor 2026", "time '17 Mayor 2026': expected"),
    ("ada@example.com", "2026-05-17-02", "time '2026-05-17-02': expected"),
    ("ada@example.com", "1.74747E+12", "time '1.74747E+12': a spreadsheet shortened the number"),
    ("ada@example.com", "1.767600000e9", "time '1.767600000e9': a spreadsheet shortened the number"),
]


@pytest.mark.parametrize(("address", "time", "note"), WRONG)
def test_a_row_that_is_wrong_says_why_and_is_not_imported(
    shop: TestShop, tmp_path: Path, address: str, time: str, note: str
) -> None:
    text = f"email,time\nbob@example.com,2026-01-01\n{address},{time}\n"
    came = imported(shop, tmp_path, text, TEXT)
    assert outcomes(came) == [RowOutcome.ADD, RowOutcome.WRONG]
    assert (came[1].row.line, str(came[1].note).startswith(note)) == (3, True), came[1].note
    assert waiting(shop) == ["bob"]


def test_an_id_that_a_spreadsheet_shortened_stands_for_no_sku(shop: TestShop, tmp_path: Path) -> None:
    asked = ExportOptions(Tool.SWYM, skus={"4.12547E+13": SKU, "41254709264582": SKU})
    text = "email,variant_id\nada@example.com,4.12547E+13\nbob@example.com,41254709264582\n"
    came = imported(shop, tmp_path, text, asked)
    assert outcomes(came) == [RowOutcome.WRONG, RowOutcome.ADD]
    assert str(came[0].note).startswith("SKU '4.12547E+13': a spreadsheet shortened the number")


def test_an_unknown_sku_is_named_with_those_that_look_like_it(shop: TestShop, tmp_path: Path) -> None:
    text = "email,sku,consent\nada@example.com,fj-moss-m,yes\nbob@example.com,,yes\n"
    came = decided(shop, tmp_path, text)
    assert came[0].note == (
        "SKU 'fj-moss-m': this stage sells nothing under that name. SKUs are compared exactly: 'FJ-MOSS-M' "
        "(product field-jacket) differs in upper and lower case"
    )
    assert came[1].note == "SKU '': An SKU has 1 to 64 characters; this one is empty."


@pytest.mark.parametrize(
    ("header", "asked", "message", "hint"),
    [
        ("name,sku", CSV, ":1: no column of addresses", "--email-column NAME; its columns: name, sku"),
        ("email,name", CSV, ":1: no column of SKUs", "--sku-column NAME, or --sku SKU where all rows"),
        ("email,sku", CSV, ":1: no column says who agreed to be emailed", "--consent-column NAME"),
        (
            "email,sku",
            ExportOptions(Tool.CSV, columns={Column.TIME: "When"}),
            "--time-column 'When': ",
            "its columns: email, sku",
        ),
    ],
)
def test_a_file_without_a_column_that_is_needed_is_refused(
    shop: TestShop, tmp_path: Path, header: str, asked: ExportOptions, message: str, hint: str
) -> None:
    with pytest.raises(BadInput) as refused:
        export(tmp_path, f"{header}\na@example.com,x\n", asked, now_ms=shop.clock())
    assert message in refused.value.message
    assert hint in refused.value.hint


def test_a_column_named_on_the_command_line_counts_before_those_known(shop: TestShop, tmp_path: Path) -> None:
    asked = ExportOptions(Tool.CSV, sku=SKU, columns={Column.EMAIL: "kontakt", Column.CONSENT: "Ja?"})
    text = "Email,Kontakt,Ja?\nold@example.com,ada@example.com,yes\n"
    imported(shop, tmp_path, text, asked)
    assert waiting(shop) == ["ada"]


def test_asking_writes_everybody_down_as_not_confirmed_at_their_old_position(
    shop: TestShop, tmp_path: Path
) -> None:
    text = "email,consent,time\nada@example.com,yes,2026-01-02\nbob@example.com,,2026-01-01\n"
    text += "cyd@example.com,unsubscribed,2026-01-01\n"
    came = imported(shop, tmp_path, text, ExportOptions(Tool.CSV, sku=SKU), ask=True)
    assert outcomes(came) == [RowOutcome.ASK, RowOutcome.ASK, RowOutcome.LEFT_THERE]
    assert waiting(shop) == []
    row = stored(shop, "bob")
    assert react(shop, {}, row) is Reaction.SEND_CONFIRMATION
    assert row["signed_up_at_ms"] == {"N": str(shop.clock())}
    assert row["expires_at_s"] == {"N": str(shop.clock() // 1000 + 72 * 3600)}
    for name in ("ada", "bob"):
        assert shop.entries.confirm(shop.shopper(name), SKU, at_ms=shop.clock())
    assert waiting(shop) == ["bob", "ada"]


def test_people_imported_into_stock_are_emailed_only_where_that_was_asked_for(
    shop: TestShop, tmp_path: Path
) -> None:
    shop.join("early")
    shop.observe(Availability.IN_STOCK)
    shop.work()
    shop.clock.pass_s(60)
    later = "email,time\nlater@example.com,2026-01-01\n"
    assert available(decided(shop, tmp_path, later, TEXT), here(shop).sold) == {SKU: 1}
    imported(shop, tmp_path, later, TEXT)
    assert react(shop, {}, stored(shop, "later")) is None
    now = "email,time\nnow@example.com,2026-01-01\n"
    imported(shop, tmp_path, now, TEXT, arrival=Arrival.NOW)
    assert react(shop, {}, stored(shop, "now")) is Reaction.NOTIFY_IF_AVAILABLE
    shop.work()
    assert shop.sender.mailboxes() == ["early@example.com", "now@example.com"]
    explanation = why(shop, "later")
    assert explanation.verdict is WaitingState.NEXT_RESTOCK
    assert explanation.sentence.startswith(
        "No email yet: the person came onto the waitlist at 2026-09-21 14:14:52Z, when FJ-MOSS-M was in stock"
    )
    assert [line.text for line in explanation.lines][:1] == [
        f"asked elsewhere: row 2 of the file {sha256(later.encode()).hexdigest()[:12]}"
    ]
    shop.observe(Availability.OUT_OF_STOCK, units=0)
    shop.observe(Availability.IN_STOCK)
    shop.work()
    assert shop.sender.mailboxes()[2:] == ["later@example.com"]


def test_a_person_who_was_asked_while_there_is_stock_waits_for_no_restock(
    shop: TestShop, tmp_path: Path
) -> None:
    shop.policies.put("", WavePolicy(emails_per_unit=1, next_after_min=30))
    shop.join("ada", "bob")
    shop.observe(Availability.IN_STOCK, units=1)
    shop.work_until(lambda: len(shop.sender.sent) == 1)
    shop.clock.pass_s(60)
    imported(shop, tmp_path, "email,time\ncyd@example.com,2026-01-01\n", TEXT, ask=True)
    assert shop.entries.confirm(shop.shopper("cyd"), SKU, at_ms=shop.clock())
    assert (why(shop, "cyd").verdict, why(shop, "bob").verdict) == (
        WaitingState.NEXT_WAVE,
        WaitingState.NEXT_WAVE,
    )


def test_more_entries_of_one_person_than_a_day_takes_signups_are_all_imported(
    shop: TestShop, tmp_path: Path
) -> None:
    skus = sorted(here(shop).sold)
    text = "email,sku,consent,time\n" + "".join(f"ada@example.com,{sku},yes,2026-01-01\n" for sku in skus)
    imported(shop, tmp_path, text)
    for sku in skus:
        assert react(shop, {}, stored(shop, "ada", sku)) is None
        assert stored(shop, "ada", sku)["state"] == {"S": "confirmed"}


def test_imported_people_are_notified_in_the_order_of_their_time(shop: TestShop, tmp_path: Path) -> None:
    shop.policies.put("", WavePolicy(emails_per_unit=1, next_after_min=30))
    shop.join("cyd")
    imported(shop, tmp_path, "email,time\nbob@example.com,2026-02-01\nada@example.com,2026-01-01\n", TEXT)
    shop.observe(Availability.IN_STOCK, units=2)
    shop.work_until(lambda: len(shop.sender.sent) == 2)
    assert shop.sender.mailboxes() == ["ada@example.com", "bob@example.com"]


def row(line: int, time_ms: int | None) -> ExportRow:
    return ExportRow(line, RowOutcome.ADD, f"s{line}@example.com", SKU, time_ms=time_ms)


@pytest.mark.parametrize(
    ("times", "order"),
    [
        ([10, 10, 10], [0, 1, 2]),
        ([30, 20, 20, 10], [3, 2, 1, 0]),
        ([None, None], [0, 1]),
        ([None, 20, 10], [2, 1, 0]),
    ],
)
def test_equal_times_keep_the_order_of_the_file_and_newest_first_is_read_backwards(
    times: list[int | None], order: list[int]
) -> None:
    rows = [row(number, time) for number, time in enumerate(times)]
    assert [item.line for item, _ in in_order(rows, now_ms=1000)] == order


@settings(max_examples=40)
@given(st.lists(st.none() | st.integers(1, 2000), max_size=30))
def test_positions_are_in_order_and_none_is_in_the_future(times: list[int | None]) -> None:
    rows = [row(number, time) for number, time in enumerate(times)]
    placed = list(in_order(rows, now_ms=3000))
    assert sorted(item.line for item, _ in placed) == list(range(len(times)))
    at = [time for _, time in placed]
    assert at == sorted(set(at))
    assert all(time <= 3000 for time in at)


def test_the_details_are_for_their_owner_alone_and_no_cell_is_calculated(
    shop: TestShop, tmp_path: Path
) -> None:
    file = tmp_path / "details.csv"
    came = decided(
        shop, tmp_path, "email,time\n=1+1@example.com,2026-01-01\nada@gmial.com,2026-01-01\n", TEXT
    )
    write_details(file, came)
    write_details(file, came)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [item["address"] for item in rows] == ["'=1+1@example.com", "ada@gmial.com"]
    assert (rows[1]["outcome"], rows[1]["note"]) == ("added", "looks like a slip of ada@gmail.com")

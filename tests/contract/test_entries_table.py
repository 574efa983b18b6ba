"""What the entries table promises, in memory, over moto and over the local cloud alike."""

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from chalicelib.domain.entry import (
    ADMISSIONS_PER_DAY_MAX,
    ASK_AGAIN_AFTER_S,
    ASKED_LETTERS_PER_DAY_MAX,
    CONFIRM_WITHIN_S,
    Entry,
    EntryState,
    OptIn,
    Signup,
    line_of,
    place_after_all,
    place_of,
    rejoins,
)
from chalicelib.tables.entries import EntriesTable
from chalicelib.tables.line import LineTable, Told
from tests.aws import create_table
from tests.clock import Clock
from tests.skus import IN_EXPRESSIONS

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

ADA = Signup("ada", "Ada@example.com", "A", "/products/jacket", "consent-1")


class LinedEntries(EntriesTable):
    """The table, and what a fan-out sees of it."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        super().__init__(client, name)
        self.line = LineTable(client, name, "suppressions")


@pytest.fixture
def entries(dynamodb: "DynamoDBClient") -> LinedEntries:
    return LinedEntries(dynamodb, create_table(dynamodb, "EntriesTable"))


def get(entries: LinedEntries, signup: Signup = ADA) -> Entry:
    entry = entries.get(signup.shopper, signup.sku)
    assert entry is not None
    return entry


def confirmed(entries: LinedEntries, clock: Clock, shopper: str = "ada") -> Entry:
    signup = Signup(shopper, f"{shopper}@example.com", "A", "/", "c")
    assert entries.ask(signup, at_ms=clock())
    assert entries.confirm(shopper, "A", at_ms=clock())
    return get(entries, signup)


def waiting(entries: LinedEntries, clock: Clock, shopper: str = "ada") -> list[str]:
    page = entries.line.waiting(line_of("A", shopper), after="", upto=place_after_all(clock()), limit=10)
    return [entry.shopper for entry in page.entries]


def test_a_new_signup_is_pending_and_does_not_wait_yet(entries: LinedEntries, clock: Clock) -> None:
    assert entries.ask(ADA, at_ms=clock())
    entry = get(entries)
    assert (entry.state, entry.mailbox) == (EntryState.PENDING, "Ada@example.com")
    assert entry.expires_at_s == clock() // 1000 + CONFIRM_WITHIN_S
    assert waiting(entries, clock) == []


def test_every_sku_is_an_entry_of_its_own_whatever_it_is_made_of(entries: LinedEntries, clock: Clock) -> None:
    for sku in IN_EXPRESSIONS:
        assert entries.ask(replace(ADA, sku=sku), at_ms=clock())
        assert entries.confirm("ada", sku, at_ms=clock())
    assert entries.count_asked_letter("ada", at_ms=clock())
    for sku in IN_EXPRESSIONS:
        entry = get(entries, replace(ADA, sku=sku))
        assert (entry.sku, entry.state) == (sku, EntryState.CONFIRMED)
        assert [each.sku for each in entries.line.first_waiting(sku, upto="~", limit=9)] == [sku]
        entries.line.mark_told([Told(entry, "accepted", "m")], restock_id="r", at_ms=clock())
        assert get(entries, replace(ADA, sku=sku)).state is EntryState.NOTIFIED


def test_a_second_signup_for_the_same_variant_changes_nothing(entries: LinedEntries, clock: Clock) -> None:
    entries.ask(ADA, at_ms=clock())
    before = get(entries)
    clock.pass_s(ASK_AGAIN_AFTER_S)
    assert not entries.ask(ADA, at_ms=clock())
    assert get(entries) == before


def test_with_single_opt_in_a_signup_waits_at_once(entries: LinedEntries, clock: Clock) -> None:
    single = replace(ADA, opt_in=OptIn.SINGLE)
    assert entries.ask(single, at_ms=clock())
    entry = get(entries)
    assert (entry.state, entry.expires_at_s) == (EntryState.CONFIRMED, None)
    assert waiting(entries, clock) == ["ada"]
    clock.pass_s(ASK_AGAIN_AFTER_S + 1)
    assert not entries.ask(single, at_ms=clock())
    assert not entries.ask(ADA, at_ms=clock())
    assert get(entries) == entry
    entries.leave("ada", "A", at_ms=clock())
    assert waiting(entries, clock) == []
    assert entries.ask(single, at_ms=clock())
    assert waiting(entries, clock) == ["ada"]


def test_single_opt_in_takes_in_who_was_asked_to_confirm_before(entries: LinedEntries, clock: Clock) -> None:
    assert entries.ask(ADA, at_ms=clock())
    assert entries.ask(replace(ADA, opt_in=OptIn.SINGLE), at_ms=clock())
    assert waiting(entries, clock) == ["ada"]


def test_entries_without_a_letter_are_counted_once_each_and_by_day(
    entries: LinedEntries, clock: Clock
) -> None:
    single = replace(ADA, opt_in=OptIn.SINGLE)
    for number in range(ADMISSIONS_PER_DAY_MAX):
        entries.ask(replace(single, sku=f"A{number}"), at_ms=clock())
        entry = get(entries, replace(single, sku=f"A{number}"))
        assert entries.count_admission(entry)
        assert entries.count_admission(entry)
    entries.ask(single, at_ms=clock())
    assert not entries.count_admission(get(entries))
    assert entries.count_admission(entry)
    clock.pass_s(24 * 3600)
    assert entries.count_admission(replace(entry, asked_at_ms=clock()))


def test_who_asks_again_after_being_gone_stands_at_the_end(entries: LinedEntries, clock: Clock) -> None:
    entries.ask(ADA, at_ms=clock())
    before = get(entries)
    clock.pass_s(CONFIRM_WITHIN_S)
    assert entries.ask(ADA, at_ms=clock())
    again = get(entries)
    assert rejoins(before, again)
    assert entries.rejoin(again)
    assert get(entries).place == place_of(clock(), "ada")
    assert not entries.rejoin(before)
    entries.confirm("ada", "A", at_ms=clock())
    assert not entries.rejoin(again)


def test_asking_again_after_the_cool_down_keeps_the_place(entries: LinedEntries, clock: Clock) -> None:
    entries.ask(ADA, at_ms=clock())
    place = get(entries).place
    clock.pass_s(ASK_AGAIN_AFTER_S + 1)
    assert entries.ask(ADA, at_ms=clock())
    assert get(entries).place == place
    assert get(entries).asked_at_ms == clock()


def test_a_confirmed_entry_waits(entries: LinedEntries, clock: Clock) -> None:
    entry = confirmed(entries, clock)
    assert entry.state is EntryState.CONFIRMED
    assert entry.expires_at_s is None
    assert waiting(entries, clock) == ["ada"]


def test_signing_up_again_does_not_touch_a_confirmed_entry(entries: LinedEntries, clock: Clock) -> None:
    before = confirmed(entries, clock)
    clock.pass_s(10 * ASK_AGAIN_AFTER_S)
    assert not entries.ask(ADA, at_ms=clock())
    assert get(entries) == before


def test_confirming_is_possible_once_and_only_in_time(entries: LinedEntries, clock: Clock) -> None:
    assert not entries.confirm("ada", "A", at_ms=clock())
    entries.ask(ADA, at_ms=clock())
    clock.pass_s(CONFIRM_WITHIN_S)
    assert not entries.confirm("ada", "A", at_ms=clock())
    entries.ask(ADA, at_ms=clock())
    assert entries.confirm("ada", "A", at_ms=clock())
    assert not entries.confirm("ada", "A", at_ms=clock())


def test_leaving_takes_out_of_the_line_for_good(entries: LinedEntries, clock: Clock) -> None:
    confirmed(entries, clock)
    assert entries.leave("ada", "A", at_ms=clock())
    assert entries.leave("ada", "A", at_ms=clock())
    assert get(entries).state is EntryState.LEFT
    assert waiting(entries, clock) == []
    assert not entries.confirm("ada", "A", at_ms=clock())


def test_leaving_what_is_not_there_writes_nothing(entries: LinedEntries, clock: Clock) -> None:
    assert not entries.leave("ada", "A", at_ms=clock())
    assert entries.get("ada", "A") is None


def test_who_comes_back_stands_at_the_end_of_the_line(entries: LinedEntries, clock: Clock) -> None:
    first = confirmed(entries, clock).place
    entries.leave("ada", "A", at_ms=clock())
    clock.pass_s(60)
    assert entries.ask(ADA, at_ms=clock())
    assert (get(entries).place or "") > (first or "")


def test_letters_are_capped_by_inbox_in_any_24_hours_and_by_kind(entries: LinedEntries, clock: Clock) -> None:
    counted = [entries.count_asked_letter("ada", at_ms=clock()) for _ in range(ASKED_LETTERS_PER_DAY_MAX + 2)]
    assert counted == [True] * ASKED_LETTERS_PER_DAY_MAX + [False, False]
    assert entries.count_asked_letter("eve", at_ms=clock())
    assert entries.count_asked_letter("ada", at_ms=clock(), letters=-1)
    assert entries.count_asked_letter("ada", at_ms=clock())
    assert not entries.count_asked_letter("ada", at_ms=clock())
    assert entries.count_asked_letter("ada", at_ms=clock(), budget="yours")
    clock.pass_s(24 * 3600 - 1)
    assert not entries.count_asked_letter("ada", at_ms=clock())
    clock.pass_s(1)
    assert entries.count_asked_letter("ada", at_ms=clock())

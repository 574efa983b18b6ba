"""What the entries table promises, over moto and over the local cloud alike."""

from typing import TYPE_CHECKING

import pytest

from chalicelib.domain.entry import (
    ASK_AGAIN_AFTER_S,
    CONFIRM_WITHIN_S,
    CONFIRMATIONS_PER_DAY_MAX,
    Entry,
    EntryState,
    Signup,
    line_of,
    place_after_all,
)
from chalicelib.tables.entries import EntriesTable
from tests.aws import create_table
from tests.clock import Clock

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

ADA = Signup("ada", "Ada@example.com", "A", "/products/jacket", "consent-1")
LEASE_MS = 60_000


@pytest.fixture
def entries(dynamodb: "DynamoDBClient") -> EntriesTable:
    return EntriesTable(dynamodb, create_table(dynamodb, "EntriesTable"))


def get(entries: EntriesTable, signup: Signup = ADA) -> Entry:
    entry = entries.get(signup.shopper, signup.sku)
    assert entry is not None
    return entry


def confirmed(entries: EntriesTable, clock: Clock, shopper: str = "ada") -> Entry:
    signup = Signup(shopper, f"{shopper}@example.com", "A", "/", "c")
    assert entries.ask(signup, at_ms=clock())
    assert entries.confirm(shopper, "A", at_ms=clock())
    return get(entries, signup)


def waiting(entries: EntriesTable, clock: Clock, shopper: str = "ada") -> list[str]:
    page = entries.waiting(line_of("A", shopper), after="", upto=place_after_all(clock()), limit=10)
    return [entry.shopper for entry in page.entries]


def test_a_new_signup_is_pending_and_does_not_wait_yet(entries: EntriesTable, clock: Clock) -> None:
    assert entries.ask(ADA, at_ms=clock())
    entry = get(entries)
    assert (entry.state, entry.mailbox) == (EntryState.PENDING, "Ada@example.com")
    assert entry.expires_at_s == clock() // 1000 + CONFIRM_WITHIN_S
    assert waiting(entries, clock) == []


def test_a_second_signup_for_the_same_variant_changes_nothing(entries: EntriesTable, clock: Clock) -> None:
    entries.ask(ADA, at_ms=clock())
    before = get(entries)
    clock.pass_s(ASK_AGAIN_AFTER_S)
    assert not entries.ask(ADA, at_ms=clock())
    assert get(entries) == before


def test_asking_again_after_the_cool_down_keeps_the_place(entries: EntriesTable, clock: Clock) -> None:
    entries.ask(ADA, at_ms=clock())
    place = get(entries).place
    clock.pass_s(ASK_AGAIN_AFTER_S + 1)
    assert entries.ask(ADA, at_ms=clock())
    assert get(entries).place == place
    assert get(entries).asked_at_ms == clock()


def test_a_confirmed_entry_waits(entries: EntriesTable, clock: Clock) -> None:
    entry = confirmed(entries, clock)
    assert entry.state is EntryState.CONFIRMED
    assert entry.expires_at_s is None
    assert waiting(entries, clock) == ["ada"]


def test_signing_up_again_does_not_touch_a_confirmed_entry(entries: EntriesTable, clock: Clock) -> None:
    before = confirmed(entries, clock)
    clock.pass_s(10 * ASK_AGAIN_AFTER_S)
    assert not entries.ask(ADA, at_ms=clock())
    assert get(entries) == before


def test_confirming_is_possible_once_and_only_in_time(entries: EntriesTable, clock: Clock) -> None:
    assert not entries.confirm("ada", "A", at_ms=clock())
    entries.ask(ADA, at_ms=clock())
    clock.pass_s(CONFIRM_WITHIN_S)
    assert not entries.confirm("ada", "A", at_ms=clock())
    entries.ask(ADA, at_ms=clock())
    assert entries.confirm("ada", "A", at_ms=clock())
    assert not entries.confirm("ada", "A", at_ms=clock())


def test_leaving_takes_out_of_the_line_for_good(entries: EntriesTable, clock: Clock) -> None:
    confirmed(entries, clock)
    assert entries.leave("ada", "A", at_ms=clock())
    assert entries.leave("ada", "A", at_ms=clock())
    assert get(entries).state is EntryState.LEFT
    assert waiting(entries, clock) == []
    assert not entries.confirm("ada", "A", at_ms=clock())


def test_leaving_what_is_not_there_writes_nothing(entries: EntriesTable, clock: Clock) -> None:
    assert not entries.leave("ada", "A", at_ms=clock())
    assert entries.get("ada", "A") is None


def test_who_comes_back_stands_at_the_end_of_the_line(entries: EntriesTable, clock: Clock) -> None:
    first = confirmed(entries, clock).place
    entries.leave("ada", "A", at_ms=clock())
    clock.pass_s(60)
    assert entries.ask(ADA, at_ms=clock())
    assert (get(entries).place or "") > (first or "")


def test_the_line_is_in_the_order_of_joining_and_bounded(entries: EntriesTable, clock: Clock) -> None:
    shoppers = [name for name in "abcdefghijklmnopqrstuvwxyz" if line_of("A", name) == line_of("A", "b")]
    assert len(shoppers) >= 3
    for shopper in reversed(shoppers):
        confirmed(entries, clock, shopper)
        clock.pass_s(1)
    bound = place_after_all(clock() - 2000)
    line = line_of("A", "b")
    first = entries.waiting(line, after="", upto=bound, limit=2)
    assert [entry.shopper for entry in first.entries] == shoppers[::-1][:2]
    assert first.more
    rest = entries.waiting(line, after=first.entries[-1].place or "", upto=bound, limit=20)
    assert [entry.shopper for entry in rest.entries] == shoppers[::-1][2:-1]
    assert not rest.more


def test_only_one_worker_claims_an_entry(entries: EntriesTable, clock: Clock) -> None:
    entry = confirmed(entries, clock)
    assert entries.claim(entry, claim_id="w1", at_ms=clock(), lease_ms=LEASE_MS)
    assert not entries.claim(entry, claim_id="w2", at_ms=clock(), lease_ms=LEASE_MS)
    assert not entries.release(entry, claim_id="w2")
    assert entries.release(entry, claim_id="w1")
    assert entries.claim(entry, claim_id="w2", at_ms=clock(), lease_ms=LEASE_MS)


def test_a_dead_workers_claim_ends_by_itself(entries: EntriesTable, clock: Clock) -> None:
    entry = confirmed(entries, clock)
    entries.claim(entry, claim_id="dead", at_ms=clock(), lease_ms=LEASE_MS)
    clock.pass_s(LEASE_MS / 1000 + 1)
    assert entries.claim(entry, claim_id="w2", at_ms=clock(), lease_ms=LEASE_MS)
    assert not mark(entries, entry, clock, claim_id="dead")
    assert mark(entries, entry, clock, claim_id="w2")


def test_a_told_entry_waits_no_more(entries: EntriesTable, clock: Clock) -> None:
    entry = confirmed(entries, clock)
    entries.claim(entry, claim_id="w1", at_ms=clock(), lease_ms=LEASE_MS)
    assert mark(entries, entry, clock, claim_id="w1")
    assert get(entries).state is EntryState.NOTIFIED
    assert waiting(entries, clock) == []
    assert not entries.claim(entry, claim_id="w2", at_ms=clock(), lease_ms=LEASE_MS)


def test_who_left_during_the_sending_stays_gone(entries: EntriesTable, clock: Clock) -> None:
    entry = confirmed(entries, clock)
    entries.claim(entry, claim_id="w1", at_ms=clock(), lease_ms=LEASE_MS)
    entries.leave("ada", "A", at_ms=clock())
    assert not mark(entries, entry, clock, claim_id="w1")
    assert get(entries).state is EntryState.LEFT


def test_confirmation_letters_are_capped_by_day_and_shopper(entries: EntriesTable, clock: Clock) -> None:
    counted = [entries.count_confirmation("ada", at_ms=clock()) for _ in range(CONFIRMATIONS_PER_DAY_MAX + 2)]
    assert counted == [True] * CONFIRMATIONS_PER_DAY_MAX + [False, False]
    assert entries.count_confirmation("eve", at_ms=clock())
    assert entries.count_confirmation("ada", at_ms=clock(), letters=-1)
    assert entries.count_confirmation("ada", at_ms=clock())
    assert not entries.count_confirmation("ada", at_ms=clock())
    clock.pass_s(24 * 3600)
    assert entries.count_confirmation("ada", at_ms=clock())


def mark(entries: EntriesTable, entry: Entry, clock: Clock, *, claim_id: str) -> bool:
    return entries.mark_told(
        entry, claim_id=claim_id, restock_id="r1", delivery="accepted", message_id="m1", at_ms=clock()
    )

"""Promises of the entries table, in memory, over moto and over the local cloud alike."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from chalicelib.domain.entry import (
    ALREADY_EMAIL_EVERY_S,
    CONFIRM_WITHIN_S,
    REQUESTED_EMAILS_PER_DAY_MAX,
    SIGN_UP_COOL_DOWN_S,
    SINGLE_OPT_INS_PER_DAY_MAX,
    EmailClaim,
    Entry,
    EntryState,
    OptIn,
    Reaction,
    Signup,
    position_after_all,
    position_of,
    reaction_to,
    rejoins,
    shard_of,
)
from chalicelib.tables.entries import AlreadyClaimed, EntriesTable
from chalicelib.tables.shards import Notified, ShardsTable
from tests.support.aws import create_table
from tests.support.clock import Clock
from tests.support.skus import IN_EXPRESSIONS

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

ADA = Signup("ada", "Ada@example.com", "A", "/products/jacket", "consent-1")


class ShardedEntries(EntriesTable):
    """The table, and what a fan-out sees of it."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        super().__init__(client, name)
        self.shards = ShardsTable(client, name, "suppressions")


@pytest.fixture
def entries(dynamodb: "DynamoDBClient") -> ShardedEntries:
    return ShardedEntries(dynamodb, create_table(dynamodb, "EntriesTable"))


def get(entries: ShardedEntries, signup: Signup = ADA) -> Entry:
    entry = entries.get(signup.shopper, signup.sku)
    assert entry is not None
    return entry


def confirmed(entries: ShardedEntries, clock: Clock, shopper: str = "ada") -> Entry:
    signup = Signup(shopper, f"{shopper}@example.com", "A", "/", "c")
    assert entries.sign_up(signup, at_ms=clock())
    assert entries.confirm(shopper, "A", at_ms=clock())
    return get(entries, signup)


def waiting(entries: ShardedEntries, clock: Clock, shopper: str = "ada") -> list[str]:
    page = entries.shards.waiting(
        shard_of("A", shopper), after="", upto=position_after_all(clock()), limit=10
    )
    return [entry.shopper for entry in page.entries]


def test_a_new_signup_is_pending_and_does_not_wait_yet(entries: ShardedEntries, clock: Clock) -> None:
    assert entries.sign_up(ADA, at_ms=clock())
    entry = get(entries)
    assert (entry.state, entry.mailbox) == (EntryState.PENDING, "Ada@example.com")
    assert entry.expires_at_s == clock() // 1000 + CONFIRM_WITHIN_S
    assert waiting(entries, clock) == []


def test_every_sku_is_an_entry_of_its_own_whatever_it_is_made_of(
    entries: ShardedEntries, clock: Clock
) -> None:
    for sku in IN_EXPRESSIONS:
        assert entries.sign_up(replace(ADA, sku=sku), at_ms=clock())
        assert entries.confirm("ada", sku, at_ms=clock())
    assert entries.count_requested_email("ada", at_ms=clock())
    for sku in IN_EXPRESSIONS:
        entry = get(entries, replace(ADA, sku=sku))
        assert (entry.sku, entry.state) == (sku, EntryState.CONFIRMED)
        assert [item.sku for item in entries.shards.first_waiting(sku, limit=9)] == [sku]
        entries.shards.mark_batch([Notified(entry, "accepted", "m")], restock_id="r", at_ms=clock())
        assert get(entries, replace(ADA, sku=sku)).state is EntryState.NOTIFIED


def test_a_second_signup_for_the_same_variant_changes_nothing(entries: ShardedEntries, clock: Clock) -> None:
    entries.sign_up(ADA, at_ms=clock())
    before = get(entries)
    clock.pass_s(SIGN_UP_COOL_DOWN_S)
    assert not entries.sign_up(ADA, at_ms=clock())
    assert get(entries) == before


def test_with_single_opt_in_a_signup_waits_at_once(entries: ShardedEntries, clock: Clock) -> None:
    single = replace(ADA, opt_in=OptIn.SINGLE)
    assert entries.sign_up(single, at_ms=clock())
    entry = get(entries)
    assert (entry.state, entry.expires_at_s) == (EntryState.CONFIRMED, None)
    assert waiting(entries, clock) == ["ada"]
    clock.pass_s(SIGN_UP_COOL_DOWN_S + 1)
    assert not entries.sign_up(single, at_ms=clock())
    assert get(entries) == entry
    entries.unsubscribe("ada", "A", at_ms=clock())
    assert waiting(entries, clock) == []
    assert entries.sign_up(single, at_ms=clock())
    assert waiting(entries, clock) == ["ada"]


def test_single_opt_in_accepts_a_shopper_who_was_asked_to_confirm_before(
    entries: ShardedEntries, clock: Clock
) -> None:
    assert entries.sign_up(ADA, at_ms=clock())
    assert entries.sign_up(replace(ADA, opt_in=OptIn.SINGLE), at_ms=clock())
    assert waiting(entries, clock) == ["ada"]


def test_entries_without_an_email_are_counted_once_each_and_by_day(
    entries: ShardedEntries, clock: Clock
) -> None:
    single = replace(ADA, opt_in=OptIn.SINGLE)
    for number in range(SINGLE_OPT_INS_PER_DAY_MAX):
        entries.sign_up(replace(single, sku=f"A{number}"), at_ms=clock())
        entry = get(entries, replace(single, sku=f"A{number}"))
        assert entries.count_single_opt_in(entry)
        assert entries.count_single_opt_in(entry)
    entries.sign_up(single, at_ms=clock())
    assert not entries.count_single_opt_in(get(entries))
    assert entries.count_single_opt_in(entry)
    clock.pass_s(24 * 3600)
    assert entries.count_single_opt_in(replace(entry, signed_up_at_ms=clock()))


def test_a_signup_after_an_unsubscribe_is_at_the_end_of_the_shard(
    entries: ShardedEntries, clock: Clock
) -> None:
    entries.sign_up(ADA, at_ms=clock())
    before = get(entries)
    clock.pass_s(CONFIRM_WITHIN_S)
    assert entries.sign_up(ADA, at_ms=clock())
    again = get(entries)
    assert rejoins(before, again)
    assert entries.rejoin(again)
    assert get(entries).position == position_of(clock(), "ada")
    assert not entries.rejoin(before)
    entries.confirm("ada", "A", at_ms=clock())
    assert not entries.rejoin(again)


def test_asking_again_after_the_cool_down_keeps_the_place(entries: ShardedEntries, clock: Clock) -> None:
    entries.sign_up(ADA, at_ms=clock())
    position = get(entries).position
    clock.pass_s(SIGN_UP_COOL_DOWN_S + 1)
    assert entries.sign_up(ADA, at_ms=clock())
    assert get(entries).position == position
    assert get(entries).signed_up_at_ms == clock()


def test_a_confirmed_entry_waits(entries: ShardedEntries, clock: Clock) -> None:
    entry = confirmed(entries, clock)
    assert entry.state is EntryState.CONFIRMED
    assert entry.expires_at_s is None
    assert waiting(entries, clock) == ["ada"]


AGAIN = replace(
    ADA, mailbox="ADA@example.com", page="/de/products/jacket", consent="consent-2", source="net4-x"
)


@pytest.mark.parametrize("opt_in", list(OptIn))
def test_asking_again_for_a_confirmed_entry_is_one_write_that_leaves_it_in_its_place(
    entries: ShardedEntries, clock: Clock, opt_in: OptIn
) -> None:
    entries.sign_up(replace(ADA, opt_in=opt_in), at_ms=clock())
    entries.confirm("ada", "A", at_ms=clock())
    before = get(entries)
    clock.pass_s(60)
    assert entries.sign_up(AGAIN, at_ms=clock())
    again = get(entries)
    assert reaction_to(before, again) is Reaction.SEND_ALREADY_WAITING
    assert (again.state, again.position, again.signed_up_at_ms) == (
        EntryState.CONFIRMED,
        before.position,
        clock(),
    )
    # Nothing that an ask sets makes the row go.
    assert (again.expires_at_s or 0) > 2**37
    assert waiting(entries, clock) == ["ada"]
    for _ in range(2):
        entries.keep(before, again)
        assert get(entries) == before
        assert reaction_to(again, before) is None
    clock.pass_s(ALREADY_EMAIL_EVERY_S - 60)
    assert not entries.sign_up(AGAIN, at_ms=clock())
    clock.pass_s(120)
    assert entries.sign_up(AGAIN, at_ms=clock())


def test_a_repeated_ask_changes_nothing_about_how_an_entry_is_notified_or_left(
    entries: ShardedEntries, clock: Clock
) -> None:
    for shopper in ("ada", "cleo"):
        signup = replace(AGAIN, shopper=shopper)
        before = confirmed(entries, clock, shopper)
        clock.pass_s(60)
        assert entries.sign_up(signup, at_ms=clock())
        notified = [Notified(before, "accepted", "m")]
        if shopper == "ada":
            entries.shards.mark_batch(notified, restock_id="r", at_ms=clock())
        else:
            entries.unsubscribe(shopper, "A", at_ms=clock())
        assert waiting(entries, clock, shopper) == []
        assert not entries.keep(before, get(entries, signup))
        assert entries.sign_up(signup, at_ms=clock())
        after = get(entries, signup)
        assert (after.state, after.position) == (EntryState.PENDING, position_of(clock(), shopper))
        assert after.expires_at_s == clock() // 1000 + CONFIRM_WITHIN_S


def test_the_network_is_kept_until_an_entry_is_confirmed(entries: ShardedEntries, clock: Clock) -> None:
    entries.sign_up(AGAIN, at_ms=clock())
    assert get(entries).source == "net4-x"
    entries.confirm("ada", "A", at_ms=clock())
    assert get(entries).source is None


def test_emails_are_capped_by_network_in_any_24_hours_and_by_kind(
    entries: ShardedEntries, clock: Clock
) -> None:
    def count(source: str = "net4-x", **how: Any) -> bool:
        return entries.count_requested_by_network(source, at_ms=clock(), limit=3, **how)

    assert [count() for _ in range(5)] == [True, True, True, False, False]
    assert count(emails=-1)
    assert count()
    assert not count()
    assert count("net4-y")
    assert count(budget="my-waitlists")
    clock.pass_s(23 * 3600)
    assert not count()
    clock.pass_s(3600)
    assert [count() for _ in range(4)] == [True, True, True, False]


def test_one_message_claims_the_email_that_covers_others(entries: ShardedEntries, clock: Clock) -> None:
    def count(*claim: Any) -> bool:
        return entries.count_requested_email("ada", at_ms=clock(), claim=EmailClaim("ada", *claim))

    assert count("A", {"A": 1, "B": 1})
    # The same message may come again; another one about what it covers is done.
    assert count("A", {"A": 1, "B": 1})
    for covered in ({"A": 1, "B": 1}, {"B": 1}):
        with pytest.raises(AlreadyClaimed):
            count("B", covered)
    # Its own entry is gone, and of the others one is newer than what is covered.
    with pytest.raises(AlreadyClaimed):
        count("C", {"A": 1})
    assert count("C", {"A": 2})
    assert count("B", {"A": 2, "B": 3})
    assert entries.count_requested_email("ada", at_ms=clock(), claim=EmailClaim("eve", "B", {"A": 1}))


def test_confirming_is_possible_once_and_only_in_time(entries: ShardedEntries, clock: Clock) -> None:
    assert not entries.confirm("ada", "A", at_ms=clock())
    entries.sign_up(ADA, at_ms=clock())
    clock.pass_s(CONFIRM_WITHIN_S)
    assert not entries.confirm("ada", "A", at_ms=clock())
    entries.sign_up(ADA, at_ms=clock())
    assert entries.confirm("ada", "A", at_ms=clock())
    assert not entries.confirm("ada", "A", at_ms=clock())


def test_unsubscribing_takes_out_of_the_shard_for_good(entries: ShardedEntries, clock: Clock) -> None:
    confirmed(entries, clock)
    assert entries.unsubscribe("ada", "A", at_ms=clock())
    assert entries.unsubscribe("ada", "A", at_ms=clock())
    assert get(entries).state is EntryState.UNSUBSCRIBED
    assert waiting(entries, clock) == []
    assert not entries.confirm("ada", "A", at_ms=clock())


def test_leaving_what_is_not_there_writes_nothing(entries: ShardedEntries, clock: Clock) -> None:
    assert not entries.unsubscribe("ada", "A", at_ms=clock())
    assert entries.get("ada", "A") is None


def test_a_returning_shopper_is_at_the_end_of_the_shard(entries: ShardedEntries, clock: Clock) -> None:
    first = confirmed(entries, clock).position
    entries.unsubscribe("ada", "A", at_ms=clock())
    clock.pass_s(60)
    assert entries.sign_up(ADA, at_ms=clock())
    assert (get(entries).position or "") > (first or "")


def test_emails_are_capped_by_inbox_in_any_24_hours_and_by_kind(
    entries: ShardedEntries, clock: Clock
) -> None:
    counted = [
        entries.count_requested_email("ada", at_ms=clock()) for _ in range(REQUESTED_EMAILS_PER_DAY_MAX + 2)
    ]
    assert counted == [True] * REQUESTED_EMAILS_PER_DAY_MAX + [False, False]
    assert entries.count_requested_email("eve", at_ms=clock())
    assert entries.count_requested_email("ada", at_ms=clock(), emails=-1)
    assert entries.count_requested_email("ada", at_ms=clock())
    assert not entries.count_requested_email("ada", at_ms=clock())
    assert entries.count_requested_email("ada", at_ms=clock(), budget="my-waitlists")


def test_an_email_that_is_given_back_twice_is_given_back_once(entries: ShardedEntries, clock: Clock) -> None:
    for _ in range(2):
        assert entries.count_requested_email("nobody", at_ms=clock(), emails=-1)
    early_ms = clock()
    for number in range(REQUESTED_EMAILS_PER_DAY_MAX):
        assert entries.count_requested_email("ada", at_ms=early_ms + number)
    for _ in range(2):
        assert entries.count_requested_email("ada", at_ms=early_ms + 1, emails=-1)
    assert entries.count_requested_email("ada", at_ms=clock() + 100)
    assert not entries.count_requested_email("ada", at_ms=clock() + 101)
    clock.pass_s(24 * 3600 - 1)
    assert not entries.count_requested_email("ada", at_ms=clock())
    clock.pass_s(1)
    assert entries.count_requested_email("ada", at_ms=clock())

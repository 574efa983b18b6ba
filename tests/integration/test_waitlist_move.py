"""Everybody who waits for one SKU, moved to another: nobody twice, nobody lost, whatever breaks."""

from collections import Counter
from contextlib import nullcontext
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.entry import Arrival, EntryState, Reaction
from chalicelib.domain.stock import Availability
from chalicelib.domain.tokens import LinkSubject, Purpose
from spillway.merchant.intake import Move, MoveOutcome
from spillway.merchant.rows import EntryRows
from spillway.merchant.waitlist_report import demand, in_line
from spillway.sitegen.release import Release
from tests.support.clock import Clock
from tests.support.people import react, stored
from tests.support.shop import TestShop

OLD, NEW, NEWER = "FJ-MOSS-M", "FJ-SLATE-M", "FJ-MOSS-L"
# Attributes that move with an entry.
KEPT = ("mailbox", "signed_up_at_ms", "confirmed_at_ms", "shard_position", "page", "consent")


@pytest.fixture
def shop(clock: Clock, small_release: Release) -> TestShop:
    return TestShop(small_release, clock, slug="field-jacket", sku=OLD)


def move(
    shop: TestShop,
    arrival: Arrival = Arrival.NEXT_RESTOCK,
    client: Any = None,
    skus: tuple[str, str] = (OLD, NEW),
) -> Counter[MoveOutcome]:
    entries = EntryRows(client or shop.dynamodb, shop.entries_name)
    return Move(entries, *skus, arrival, shop.clock()).carry_out(lambda _: None)


def waiting(shop: TestShop, sku: str) -> list[str]:
    return [entry.mailbox.partition("@")[0] for entry in in_line(shop.shards, sku)]


def join(shop: TestShop, sku: str, *names: str) -> None:
    shop.sku = sku
    shop.join(*names)
    shop.sku = OLD


def leave(shop: TestShop, sku: str, name: str) -> None:
    shop.sku = sku
    shop.leave(name)
    shop.sku = OLD


def notify(shop: TestShop, sku: str) -> None:
    shop.sku = sku
    shop.observe(Availability.IN_STOCK)
    shop.work()
    shop.observe(Availability.OUT_OF_STOCK, units=0)
    shop.sku = OLD


def test_everybody_keeps_position_and_consent(shop: TestShop) -> None:
    join(shop, OLD, "ada", "bob")
    join(shop, NEW, "cyd")
    before = stored(shop, "ada")
    assert move(shop) == {MoveOutcome.MOVED: 2}
    assert (waiting(shop, OLD), waiting(shop, NEW)) == ([], ["ada", "bob", "cyd"])
    after, old = stored(shop, "ada", NEW), stored(shop, "ada")
    assert {name: after[name] for name in KEPT} == {name: before[name] for name in KEPT}
    assert after["moved_from"] == {"S": OLD}
    assert (old["state"], old["moved_to"]) == ({"S": "unsubscribed"}, {"S": NEW})
    # An ask for the old SKU begins a new entry; one for the new SKU finds this one confirmed.
    assert not {"standing", "kept_until_s"} & set(old)
    assert after["standing"] == {"S": "confirmed"}
    assert react(shop, {}, after) is None


def test_a_mark_of_one_confirmation_email_is_not_moved(shop: TestShop) -> None:
    shop.sign_up("ada")
    entry = shop.entry("ada")
    assert entry is not None
    assert shop.entries.mark_retry(entry, at_ms=shop.clock())
    assert move(shop) == {MoveOutcome.ASKED: 1}
    assert "retried_at_ms" not in stored(shop, "ada", NEW)


def test_moving_again_moves_only_who_came_since(shop: TestShop) -> None:
    join(shop, OLD, "ada")
    move(shop)
    row = stored(shop, "ada", NEW)
    join(shop, OLD, "bob")
    assert move(shop) == {MoveOutcome.MOVED: 1}
    assert stored(shop, "ada", NEW) == row
    assert waiting(shop, NEW) == ["ada", "bob"]


def test_people_on_both_waitlists_get_the_earlier_position(shop: TestShop) -> None:
    join(shop, OLD, "ada")
    join(shop, NEW, "bob", "ada", "cyd")
    join(shop, OLD, "cyd")
    assert move(shop) == {MoveOutcome.WAITS_THERE: 2}
    assert (waiting(shop, OLD), waiting(shop, NEW)) == ([], ["ada", "bob", "cyd"])


def test_somebody_notified_about_the_new_sku_since_is_not_emailed_again(shop: TestShop) -> None:
    join(shop, OLD, "ada")
    join(shop, NEW, "ada", "bob")
    notify(shop, NEW)
    join(shop, OLD, "bob")
    assert move(shop) == {MoveOutcome.NOTIFIED_THERE: 1, MoveOutcome.MOVED: 1}
    # Bob was notified, and asked for the old SKU after that.
    assert (waiting(shop, OLD), waiting(shop, NEW)) == ([], ["bob"])
    assert "restock_id" not in stored(shop, "bob", NEW)


def test_somebody_who_unsubscribed_from_the_new_sku_since_stays_so(shop: TestShop) -> None:
    join(shop, OLD, "ada")
    join(shop, NEW, "ada", "bob")
    leave(shop, NEW, "ada")
    leave(shop, NEW, "bob")
    shop.clock.pass_s(1)
    join(shop, OLD, "bob")
    assert move(shop) == {MoveOutcome.LEFT_THERE: 1, MoveOutcome.MOVED: 1}
    assert (waiting(shop, OLD), waiting(shop, NEW)) == ([], ["bob"])
    assert stored(shop, "ada", NEW)["state"] == {"S": "unsubscribed"}


def test_people_who_unsubscribed_or_were_notified_stay_where_they_are(shop: TestShop) -> None:
    join(shop, OLD, "ada")
    notify(shop, OLD)
    join(shop, OLD, "bob")
    leave(shop, OLD, "bob")
    rows = [stored(shop, name) for name in ("ada", "bob")]
    assert move(shop) == {}
    assert [stored(shop, name) for name in ("ada", "bob")] == rows
    assert stored(shop, "ada", NEW) == stored(shop, "bob", NEW) == {}


def test_people_not_confirmed_are_asked_for_the_new_sku_and_expired_ones_are_not(shop: TestShop) -> None:
    shop.sign_up("old")
    shop.clock.pass_s(72 * 3600)
    shop.sign_up("ada")
    assert move(shop) == {MoveOutcome.ASKED: 1}
    row = stored(shop, "ada", NEW)
    assert (row["state"], row["expires_at_s"]) == (
        {"S": "pending"},
        {"N": str(shop.clock() // 1000 - 1 + 72 * 3600)},
    )
    assert react(shop, {}, row) is Reaction.SEND_CONFIRMATION
    assert stored(shop, "old", NEW) == {}
    assert shop.entries.confirm(shop.shopper("ada"), NEW, at_ms=shop.clock())
    assert waiting(shop, NEW) == ["ada"]


def test_a_confirmed_person_counts_before_their_own_unconfirmed_signup(shop: TestShop) -> None:
    join(shop, OLD, "ada")
    shop.sku = NEW
    shop.sign_up("ada")
    before = stored(shop, "ada", NEW)
    assert move(shop) == {MoveOutcome.MOVED: 1}
    assert waiting(shop, NEW) == ["ada"]
    assert react(shop, before, stored(shop, "ada", NEW)) is None


def test_people_moved_into_stock_are_emailed_only_where_that_was_asked_for(shop: TestShop) -> None:
    shop.sku = NEW
    shop.observe(Availability.IN_STOCK)
    shop.work()
    shop.clock.pass_s(60)
    join(shop, OLD, "ada")
    move(shop)
    assert react(shop, {}, stored(shop, "ada", NEW)) is None
    join(shop, OLD, "bob")
    move(shop, Arrival.NOW)
    assert react(shop, {}, stored(shop, "bob", NEW)) is Reaction.NOTIFY_IF_AVAILABLE
    shop.work()
    assert shop.sender.mailboxes() == ["bob@example.com"]


def unsubscribe_token(shop: TestShop, name: str) -> str:
    return shop.links.sign(Purpose.UNSUBSCRIBE, LinkSubject(shop.shopper(name), OLD))


def test_a_link_about_the_old_sku_ends_the_entry_that_was_moved(shop: TestShop) -> None:
    join(shop, OLD, "ada", "bob")
    move(shop)
    token = unsubscribe_token(shop, "ada")
    shown = shop.waitlist.entry_to_unsubscribe(token)
    assert shown is not None
    assert (shown.state, shown.variant and shown.variant.sku) == (EntryState.CONFIRMED, NEW)
    shop.clock.pass_s(60)
    leave(shop, OLD, "ada")
    assert (waiting(shop, OLD), waiting(shop, NEW)) == ([], ["bob"])
    shown = shop.waitlist.entry_to_unsubscribe(token)
    assert shown is not None
    assert shown.unsubscribed
    rows = [stored(shop, "ada", sku) for sku in (OLD, NEW)]
    assert [row["unsubscribed_at_ms"] for row in rows] == [{"N": str(shop.clock())}] * 2
    assert "moved_to" not in rows[0]
    shop.clock.pass_s(60)
    leave(shop, OLD, "ada")
    assert [stored(shop, "ada", sku) for sku in (OLD, NEW)] == rows


def test_a_link_follows_several_moves_and_moves_in_a_circle(shop: TestShop) -> None:
    join(shop, OLD, "ada", "bob")
    move(shop)
    move(shop, skus=(NEW, NEWER))
    leave(shop, OLD, "ada")
    assert waiting(shop, NEWER) == ["bob"]
    join(shop, OLD, "bob")
    move(shop, skus=(NEWER, OLD))
    assert stored(shop, "bob")["moved_to"] == {"S": NEW}
    leave(shop, OLD, "bob")
    assert [waiting(shop, sku) for sku in (OLD, NEW, NEWER)] == [[], [], []]
    assert "moved_to" not in stored(shop, "bob", NEWER)


def test_a_link_ends_the_moved_entry_and_the_one_of_a_later_signup(shop: TestShop) -> None:
    join(shop, OLD, "ada")
    move(shop)
    join(shop, OLD, "ada")
    assert (waiting(shop, OLD), waiting(shop, NEW)) == (["ada"], ["ada"])
    leave(shop, OLD, "ada")
    assert (waiting(shop, OLD), waiting(shop, NEW)) == ([], [])


def test_a_link_ends_the_entry_that_took_the_place_of_its_own(shop: TestShop) -> None:
    join(shop, OLD, "ada")
    join(shop, NEW, "ada")
    join(shop, OLD, "bob")
    join(shop, NEW, "cyd", "bob")
    assert move(shop) == {MoveOutcome.WAITS_THERE: 2}
    leave(shop, OLD, "ada")
    leave(shop, OLD, "bob")
    assert waiting(shop, NEW) == ["cyd"]


@pytest.mark.parametrize("is_deleted", [False, True])
def test_a_link_finds_the_moved_entry_after_a_later_signup_expires(shop: TestShop, is_deleted: bool) -> None:
    join(shop, OLD, "ada")
    move(shop)
    # Anybody can do that to another person.
    shop.sign_up("ada")
    shop.clock.pass_s(72 * 3600)
    if is_deleted:
        shop.entries.table.delete({"shopper": shop.shopper("ada"), "sku": OLD})
    shown = shop.waitlist.entry_to_unsubscribe(unsubscribe_token(shop, "ada"))
    assert shown is not None
    assert shown.variant is not None
    assert (shown.state, shown.variant.sku) == (EntryState.CONFIRMED, NEW)
    leave(shop, OLD, "ada")
    assert waiting(shop, NEW) == []


def test_a_used_link_does_not_end_a_signup_after_it(shop: TestShop) -> None:
    join(shop, OLD, "ada")
    move(shop)
    leave(shop, OLD, "ada")
    join(shop, NEW, "ada")
    leave(shop, OLD, "ada")
    assert waiting(shop, NEW) == ["ada"]


def test_a_move_leaves_people_unsubscribed_who_used_the_link_of_a_moved_entry(shop: TestShop) -> None:
    join(shop, NEWER, "ada")
    join(shop, OLD, "ada")
    move(shop)
    leave(shop, OLD, "ada")
    assert move(shop, skus=(NEWER, OLD)) == {MoveOutcome.LEFT_THERE: 1}
    assert waiting(shop, OLD) == []


class Dies:
    """A DynamoDB whose connection is lost after so many writes."""

    def __init__(self, dynamodb: Any, writes: int) -> None:
        self._dynamodb = dynamodb
        self.writes = writes

    def __getattr__(self, operation: str) -> Any:
        return getattr(self._dynamodb, operation)

    def transact_write_items(self, **request: Any) -> Any:
        if self.writes <= 0:
            raise ClientError({"Error": {"Code": "RequestTimeout"}}, "TransactWriteItems")
        self.writes -= 1
        return self._dynamodb.transact_write_items(**request)


ACTIONS = st.sampled_from(["move", "die", "join old", "join new", "leave old", "leave new", "notify new"])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(ACTIONS, st.sampled_from("abc")), max_size=10))
def test_no_person_is_lost_or_on_a_waitlist_twice_after_any_moves(
    small_release: Release, actions: list[tuple[str, str]]
) -> None:
    shop = TestShop(small_release, Clock(), slug="field-jacket", sku=OLD)
    wants: set[str] = set()
    for action, name in actions:
        word, _, sku = action.partition(" ")
        shop.clock.pass_s(1)
        if word == "join":
            join(shop, NEW if sku == "new" else OLD, name)
            wants.add(name)
        elif word == "leave" and (row := stored(shop, name, NEW if sku == "new" else OLD)):
            leave(shop, NEW if sku == "new" else OLD, name)
            if row.get("moved_to"):
                assert name not in waiting(shop, NEW)
            other = OLD if sku == "new" else NEW
            if stored(shop, name, other).get("state") != {"S": "confirmed"}:
                wants.discard(name)
        elif word == "notify":
            there = set(waiting(shop, NEW))
            notify(shop, NEW)
            wants -= {who for who in there if who not in waiting(shop, OLD)}
        elif word == "die":
            with pytest.raises(ClientError) if waiting(shop, OLD) else nullcontext():
                move(shop, client=Dies(shop.dynamodb, 0))
        elif word == "move":
            settled = {
                who
                for who in waiting(shop, OLD)
                if stored(shop, who, NEW).get("state") in ({"S": "notified"}, {"S": "unsubscribed"})
            }
            move(shop)
            wants -= settled - set(waiting(shop, NEW))
        on_both = set(waiting(shop, OLD)) | set(waiting(shop, NEW))
        assert wants <= on_both
        if word == "move":
            assert waiting(shop, OLD) == []


def test_a_withdrawn_variant_is_listed_while_people_wait_for_it(shop: TestShop) -> None:
    join(shop, OLD, "ada", "bob")
    stocked = shop.products.get("field-jacket")
    assert stocked is not None
    shop.products.withdraw(stocked.product)
    found = demand(shop.products, shop.shards, at_ms=shop.clock(), progress=lambda *_: None)
    assert [(item.sku, item.title, item.waiting, item.withdrawn) for item in found] == [
        (OLD, "Field Jacket", 2, True)
    ]

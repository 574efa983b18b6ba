"""All that a shopper waits for: seen, left, taken along, erased, by the link of a letter only."""

import json

import pytest

from chalicelib.domain.entry import ASKED_LETTERS_PER_DAY_MAX, CONFIRM_WITHIN_S, EntryState
from chalicelib.domain.links import LinkRefused, LinkSubject, Purpose
from chalicelib.mail.postbox import Delivery, PostboxRefused
from chalicelib.services.yours import Awaited, Yours
from chalicelib.services.yours_letters import YoursLetters
from chalicelib.tables.shoppers import ShoppersTable
from spillway.build.release import Release
from tests.clock import Clock
from tests.shop import TestShop


@pytest.fixture
def shop(clock: Clock, small_release: Release) -> TestShop:
    return TestShop(small_release, clock, slug="field-jacket", sku="FJ-MOSS-M")


@pytest.fixture
def shoppers(shop: TestShop) -> ShoppersTable:
    return ShoppersTable(shop.entries._client, shop.entries._name)


@pytest.fixture
def yours(shop: TestShop, shoppers: ShoppersTable) -> Yours:
    return Yours(shop.entries, shoppers, shop.products, shop.links, shop.clock)


@pytest.fixture
def letters(shop: TestShop, shoppers: ShoppersTable) -> YoursLetters:
    return YoursLetters(shoppers, shop.suppressions, shop.asked_letters)


def token(shop: TestShop, name: str = "ada") -> str:
    return shop.links.sign(Purpose.YOURS, LinkSubject(shop.shopper(name)))


def looked(shop: TestShop, yours: Yours) -> tuple[Awaited, ...]:
    return yours.look(token(shop), lambda product: product)


def test_a_shopper_sees_all_of_theirs_and_nobody_elses(shop: TestShop, yours: Yours) -> None:
    shop.join("ada", "ben")
    shop.sku = "FJ-SLATE-M"
    shop.sign_up("ada")
    shop.sku = "NOT-SOLD"
    shop.sign_up("ada")
    seen = [(each.sku, each.title, each.state, each.can_leave) for each in looked(shop, yours)]
    assert seen == [
        ("FJ-MOSS-M", "Field Jacket", "confirmed", True),
        ("FJ-SLATE-M", "Field Jacket", "pending", True),
        ("NOT-SOLD", "NOT-SOLD", "pending", True),
    ]
    shop.clock.pass_s(CONFIRM_WITHIN_S)
    assert [each.state for each in looked(shop, yours)] == ["confirmed", "expired", "expired"]


def test_leaving_one_leaves_one_and_leaving_all_leaves_all(shop: TestShop, yours: Yours) -> None:
    shop.join("ada", "ben")
    shop.sku = "FJ-SLATE-M"
    shop.join("ada")
    for _ in range(2):
        yours.leave(token(shop), "FJ-SLATE-M")
        assert [each.state for each in looked(shop, yours)] == ["confirmed", "left"]
    yours.leave(token(shop))
    assert [each.can_leave for each in looked(shop, yours)] == [False, False]
    shop.sku = "FJ-MOSS-M"
    ben = shop.entry("ben")
    assert ben is not None
    assert ben.state is EntryState.CONFIRMED


def test_what_is_taken_along_is_all_there_is(shop: TestShop, yours: Yours) -> None:
    shop.join("ada")
    taken = json.loads(json.dumps(yours.export(token(shop))))
    (entry,) = taken["entries"]
    assert taken["shopper"] == shop.shopper("ada")
    assert entry["mailbox"] == "ada@example.com"
    assert {"asked_at_ms", "confirmed_at_ms", "page", "consent", "sku", "state"} <= entry.keys()


def test_erasing_leaves_nothing_but_a_suppression(
    shop: TestShop, yours: Yours, shoppers: ShoppersTable
) -> None:
    shop.join("ada", "ben")
    shop.entries.count_asked_letter(shop.shopper("ada"), at_ms=shop.clock())
    shop.suppressions.suppress(shop.shopper("ada"), reason="complaint", at_ms=shop.clock())
    for _ in range(2):
        yours.erase(token(shop))
        assert looked(shop, yours) == ()
        assert list(shoppers._rows(shop.shopper("ada"))) == []
    assert shop.suppressions.among([shop.shopper("ada")]) == {shop.shopper("ada")}
    assert shop.entry("ben") is not None


def test_no_other_link_opens_it_and_it_opens_nothing_else(shop: TestShop, yours: Yours) -> None:
    shop.join("ada")
    subject = LinkSubject(shop.shopper("ada"), shop.sku)
    for purpose in (Purpose.CONFIRM, Purpose.LEAVE):
        with pytest.raises(LinkRefused):
            yours.erase(shop.links.sign(purpose, subject))
        with pytest.raises(LinkRefused):
            shop.links.read(purpose, token(shop))
    old = token(shop)
    shop.clock.pass_s(25 * 3600)
    with pytest.raises(LinkRefused):
        yours.export(old)


def test_the_letter_goes_to_the_address_itself_with_the_link(
    shop: TestShop, letters: YoursLetters, yours: Yours
) -> None:
    shop.sign_up("ada")
    letters.send(shop.shopper("ada"))
    (envelope,) = shop.postbox.sent
    assert envelope.mailbox == "ada@example.com"
    assert f"/api/waitlists?token={token(shop)}" in envelope.letter.text
    assert looked(shop, yours)


def test_nobody_is_written_to_who_is_unknown_or_suppressed(shop: TestShop, letters: YoursLetters) -> None:
    letters.send(shop.shopper("eve"))
    shop.sign_up("ada")
    shop.suppressions.suppress(shop.shopper("ada"), reason="bounce", at_ms=1)
    letters.send(shop.shopper("ada"))
    assert shop.postbox.sent == []


def test_these_letters_have_a_cap_of_their_own(shop: TestShop, letters: YoursLetters) -> None:
    shop.sign_up("ada")
    for _ in range(ASKED_LETTERS_PER_DAY_MAX + 2):
        shop.confirmations.send(shop.shopper("ada"), shop.sku)
    assert len(shop.postbox.sent) == ASKED_LETTERS_PER_DAY_MAX
    shop.postbox.sent.clear()
    for _ in range(ASKED_LETTERS_PER_DAY_MAX + 2):
        letters.send(shop.shopper("ada"))
    assert len(shop.postbox.sent) == ASKED_LETTERS_PER_DAY_MAX


def test_a_letter_that_was_not_taken_is_tried_again_and_not_counted(
    shop: TestShop, letters: YoursLetters
) -> None:
    shop.sign_up("ada")
    shop.postbox.refuses = ASKED_LETTERS_PER_DAY_MAX
    for _ in range(ASKED_LETTERS_PER_DAY_MAX):
        with pytest.raises(PostboxRefused):
            letters.send(shop.shopper("ada"))
    shop.postbox.deliveries["ada@example.com"] = Delivery.DEFERRED
    with pytest.raises(PostboxRefused):
        letters.send(shop.shopper("ada"))
    letters.send(shop.shopper("ada"))
    assert len(shop.postbox.sent) == 1

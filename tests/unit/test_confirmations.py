"""From a pending entry to the letter that asks for a confirmation."""

from dataclasses import replace

import pytest

from chalicelib.domain.address import Address
from chalicelib.domain.entry import ASKED_LETTERS_PER_DAY_MAX, CONFIRM_WITHIN_S
from chalicelib.domain.links import LinkSubject, Purpose
from chalicelib.mail.postbox import Delivery, PostboxRefused
from spillway.build.release import Release
from tests.clock import Clock
from tests.shop import IDENTITY_KEY, TestShop

DAY_S = 24 * 3600


@pytest.fixture
def shop(clock: Clock, small_release: Release) -> TestShop:
    return TestShop(small_release, clock, slug="field-jacket", sku="FJ-MOSS-M")


def send(shop: TestShop, name: str = "ada") -> None:
    shop.confirmations.send(shop.shopper(name), shop.sku)


def test_a_pending_entry_is_asked_with_a_link_that_confirms(shop: TestShop) -> None:
    shop.sign_up("ada")
    send(shop)
    (envelope,) = shop.postbox.sent
    token = shop.links.sign(Purpose.CONFIRM, LinkSubject(shop.shopper("ada"), shop.sku))
    assert envelope.mailbox == "ada@example.com"
    assert f"https://www.heron.example/api/confirm?token={token}" in envelope.letter.text
    assert shop.waitlist.confirm(token)


def test_a_confirmation_letter_has_nothing_to_unsubscribe_from(shop: TestShop) -> None:
    shop.sign_up("ada")
    send(shop)
    (envelope,) = shop.postbox.sent
    assert "List-Unsubscribe" not in envelope.headers
    assert envelope.headers["Auto-Submitted"] == "auto-generated"


def test_who_confirmed_left_expired_or_is_unknown_is_not_asked(shop: TestShop) -> None:
    shop.join("confirmed")
    shop.sign_up("left")
    shop.leave("left")
    shop.sign_up("late")
    shop.clock.pass_s(CONFIRM_WITHIN_S)
    for name in ("confirmed", "left", "late", "unknown"):
        send(shop, name)
    assert shop.postbox.sent == []


def test_a_suppressed_shopper_is_not_asked(shop: TestShop) -> None:
    shop.sign_up("ada")
    shop.suppressions.suppress(shop.shopper("ada"), reason="bounce", at_ms=shop.clock())
    send(shop)
    assert shop.postbox.sent == []


def test_an_entry_for_what_is_not_sold_is_not_asked_about(shop: TestShop) -> None:
    shop.confirmations.send(shop.shopper("ada"), "NOT-SOLD")
    assert shop.postbox.sent == []


def test_nobody_can_be_mail_bombed(shop: TestShop) -> None:
    shop.sign_up("ada")
    for _ in range(ASKED_LETTERS_PER_DAY_MAX + 3):
        send(shop)
    assert len(shop.postbox.sent) == ASKED_LETTERS_PER_DAY_MAX


def test_a_letter_that_could_not_be_sent_does_not_count(shop: TestShop) -> None:
    shop.sign_up("ada")
    shop.postbox.refuses = ASKED_LETTERS_PER_DAY_MAX + 1
    for _ in range(ASKED_LETTERS_PER_DAY_MAX + 1):
        with pytest.raises(PostboxRefused):
            send(shop)
    shop.postbox.deliveries["ada@example.com"] = Delivery.DEFERRED
    with pytest.raises(PostboxRefused):
        send(shop)
    send(shop)
    assert shop.postbox.mailboxes() == ["ada@example.com"]


def test_a_rejected_letter_is_not_tried_again(shop: TestShop) -> None:
    shop.sign_up("ada")
    shop.postbox.deliveries["ada@example.com"] = Delivery.REJECTED
    send(shop)
    assert shop.postbox.sent == []


def test_an_entry_for_a_variant_that_left_its_product_is_not_asked_about(shop: TestShop) -> None:
    stocked = shop.products.get(shop.slug)
    assert stocked is not None
    shop.sign_up("ada")
    rest = tuple(variant for variant in stocked.product.variants if variant.sku != shop.sku)
    shop.products.put_catalogue(replace(stocked.product, variants=rest), {}, known=stocked)
    send(shop)
    assert shop.postbox.sent == []


@pytest.mark.parametrize(
    "spellings",
    [
        ("victim@example.com", "victim+a@example.com", "VICTIM+b+c@example.com"),
        ("vic.tim@gmail.com", "victim+x@googlemail.com", "v.i.c.t.i.m@googlemail.com"),
    ],
)
def test_one_inbox_is_sent_only_so_many_however_its_address_is_spelt(
    shop: TestShop, spellings: tuple[str, ...]
) -> None:
    ids = [Address.parse(spelling).shopper_id(IDENTITY_KEY) for spelling in spellings]
    assert len(set(ids)) == 3
    for spelling in spellings:
        shop.signups.sign_up(Address.parse(spelling), [shop.sku], page="/", consent="c")
    for _ in range(ASKED_LETTERS_PER_DAY_MAX):
        for shopper in ids:
            shop.confirmations.send(shopper, shop.sku)
    assert len(shop.postbox.sent) == ASKED_LETTERS_PER_DAY_MAX


def test_the_cap_holds_in_any_24_hours(shop: TestShop) -> None:
    """Also around midnight, where one by the day would let through twice as many."""
    shop.sign_up("ada")
    shop.clock.pass_s(DAY_S - shop.clock() // 1000 % DAY_S - 60)
    shop.sign_up("ada")
    for _ in range(ASKED_LETTERS_PER_DAY_MAX):
        send(shop)
    shop.clock.pass_s(120)
    send(shop)
    assert len(shop.postbox.sent) == ASKED_LETTERS_PER_DAY_MAX
    shop.clock.pass_s(DAY_S - 120)
    send(shop)
    assert len(shop.postbox.sent) == ASKED_LETTERS_PER_DAY_MAX + 1

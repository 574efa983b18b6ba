"""From a pending entry to the letter that asks for a confirmation."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy

import pytest

from chalicelib.domain.address import Address
from chalicelib.domain.entry import (
    ASKED_BY_IPV6_NETWORK_PER_DAY_MAX,
    ASKED_LETTERS_PER_DAY_MAX,
    CONFIRM_WITHIN_S,
    CONFIRMED_AT_ONCE_MAX,
    Entry,
    EntryState,
)
from chalicelib.domain.links import Links, LinkSubject, Purpose
from chalicelib.domain.stock import Availability, Stock, StockedProduct
from chalicelib.http.token_form import TOKEN_CHARS_MAX
from chalicelib.mail.headers import check_headers
from chalicelib.mail.mime import message_of
from chalicelib.mail.postbox import Delivery, LetterDeferred, PostboxRefused, Refusal
from chalicelib.services.confirmations import Confirmations
from chalicelib.services.letters import LetterWriter
from chalicelib.storefront.renderer import Renderer
from spillway.build.release import Release
from spillway.build.shop_file import _URL_LENGTH_MAX
from tests.clock import Clock
from tests.shop import IDENTITY_KEY, TestShop

DAY_S = 24 * 3600


@pytest.fixture
def shop(clock: Clock, small_release: Release) -> TestShop:
    return TestShop(small_release, clock, slug="field-jacket", sku="FJ-MOSS-M")


OTHER = "FJ-SLATE-M"
VISIT_S = 20


@pytest.fixture
def visited(shop: TestShop) -> TestShop:
    """A shop whose confirmations wait for the end of a visit."""
    shop.confirmations = Confirmations(
        shop.entries, shop.products, shop.suppressions, shop.asked_letters, shop.clock, visit_s=VISIT_S
    )
    return shop


def ask(shop: TestShop, *skus: str, name: str = "ada", source: str = "", page: str = "/") -> None:
    address = Address.parse(f"{name}@example.com")
    shop.signups.sign_up(address, skus, page=page, consent="c", source=source)


def link(shop: TestShop, number: int = -1) -> str:
    (token,) = set(re.findall(r"confirm\?token=([\w.~-]+)", shop.postbox.sent[number].letter.text))
    return str(token)


def state(shop: TestShop, sku: str, name: str = "ada") -> EntryState | None:
    entry = shop.entries.get(shop.shopper(name), sku)
    return entry.state if entry else None


def sell(shop: TestShop, skus: Sequence[str]) -> None:
    """Have the shop sell these, too, and be out of them."""
    stocked = shop.products.get(shop.slug)
    assert stocked is not None
    first = stocked.product.variants[0]
    more = tuple(replace(first, sku=sku, options=(("Size", sku),)) for sku in skus)
    product = replace(stocked.product, variants=(*stocked.product.variants, *more))
    stock = dict.fromkeys(skus, Stock(Availability.OUT_OF_STOCK, 0, 1, "e"))
    shop.products.put_catalogue(product, stock, known=stocked)


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


def test_nobody_can_be_mail_bombed(shop: TestShop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.sign_up("ada")
    for _ in range(ASKED_LETTERS_PER_DAY_MAX + 3):
        send(shop)
    assert len(shop.postbox.sent) == ASKED_LETTERS_PER_DAY_MAX
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {(line["shopper"], line["letter"]) for line in lines} == {(shop.shopper("ada"), "confirm")}
    assert [line["event"] for line in lines] == [
        *["letter_sent"] * ASKED_LETTERS_PER_DAY_MAX,
        *["letters_of_the_day_used_up"] * 3,
    ]
    assert (lines[0]["delivery"], lines[0]["reason"]) == ("accepted", "")


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


@pytest.mark.parametrize("refusal", Refusal)
def test_an_email_that_is_postponed_says_what_it_waits_for(shop: TestShop, refusal: Refusal) -> None:
    shop.sign_up("ada")
    shop.postbox.refusal = refusal
    shop.postbox.deliveries["ada@example.com"] = Delivery.POSTPONED
    with pytest.raises(PostboxRefused) as raised:
        send(shop)
    assert (type(raised.value), raised.value.reason, raised.value.refusal) == (
        PostboxRefused,
        "POSTPONED",
        refusal,
    )


def test_an_email_that_is_deferred_says_why(shop: TestShop) -> None:
    shop.sign_up("ada")
    shop.postbox.deliveries["ada@example.com"] = Delivery.DEFERRED
    with pytest.raises(LetterDeferred) as raised:
        send(shop)
    assert (raised.value.reason, raised.value.refusal) == ("DEFERRED", Refusal.BUSY)


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


def test_one_letter_confirms_all_that_one_form_asked_for(shop: TestShop) -> None:
    ask(shop, OTHER, shop.sku)
    for sku in (shop.sku, OTHER, shop.sku):
        shop.confirmations.send(shop.shopper("ada"), sku)
    # The last one is the first message again, as a queue may bring it.
    assert len(shop.postbox.sent) == 2
    letter = shop.postbox.sent[0].letter
    assert letter.subject == "Please confirm: tell me when these 2 are back"
    assert re.findall(r"^  (.+)$", letter.text, re.MULTILINE) == [
        *("Field Jacket", "Moss, M"),
        *("Field Jacket", "Slate, M"),
    ]
    assert letter.html.count("Field Jacket") == 2
    assert shop.links.read(Purpose.CONFIRM, link(shop)).skus == (shop.sku, OTHER)
    seen = shop.waitlist.look_at_all(Purpose.CONFIRM, link(shop))
    assert [one.variant.sku for one in seen if one.variant] == [shop.sku, OTHER]
    assert shop.waitlist.confirm(link(shop))
    assert {state(shop, shop.sku), state(shop, OTHER)} == {EntryState.CONFIRMED}


def test_one_letter_counts_once_against_the_days(shop: TestShop) -> None:
    for _ in range(ASKED_LETTERS_PER_DAY_MAX):
        ask(shop, OTHER, shop.sku)
        for sku in (shop.sku, OTHER):
            shop.confirmations.send(shop.shopper("ada"), sku)
        shop.clock.pass_s(16 * 60)
    assert len(shop.postbox.sent) == ASKED_LETTERS_PER_DAY_MAX


def test_one_letter_confirms_what_several_forms_of_a_visit_asked_for(visited: TestShop) -> None:
    ask(visited, visited.sku)
    visited.clock.pass_s(VISIT_S - 1)
    ask(visited, OTHER)
    visited.clock.pass_s(1)
    visited.confirmations.send(visited.shopper("ada"), visited.sku)
    assert visited.postbox.sent == []
    visited.clock.pass_s(VISIT_S - 1)
    visited.confirmations.send(visited.shopper("ada"), OTHER)
    assert len(visited.postbox.sent) == 1
    assert visited.links.read(Purpose.CONFIRM, link(visited)).skus == (visited.sku, OTHER)


def test_what_is_undone_at_the_end_of_a_visit_takes_no_other_letter_with_it(visited: TestShop) -> None:
    ask(visited, visited.sku)
    visited.clock.pass_s(VISIT_S - 1)
    ask(visited, OTHER)
    visited.clock.pass_s(1)
    visited.confirmations.send(visited.shopper("ada"), visited.sku)
    assert visited.entries.undo(visited.shopper("ada"), OTHER, asked_at_ms=visited.clock() - 1000)
    visited.clock.pass_s(VISIT_S)
    visited.confirmations.send(visited.shopper("ada"), OTHER)
    assert visited.links.read(Purpose.CONFIRM, link(visited)).skus == (visited.sku,)
    visited.confirmations.send(visited.shopper("ada"), OTHER)
    assert len(visited.postbox.sent) == 2


def test_nobody_keeps_a_letter_back_by_asking_on_and_on(visited: TestShop) -> None:
    """Others could, who know the address and a shop with many variants."""
    more = [f"M-{number}" for number in range(9)]
    sell(visited, more)
    asked = [visited.sku, *more]
    for number, sku in enumerate(asked):
        ask(visited, sku)
        visited.clock.pass_s(VISIT_S // 2)
        if number:
            visited.confirmations.send(visited.shopper("ada"), asked[number - 1])
        if visited.postbox.sent:
            break
    assert number * VISIT_S // 2 <= 3 * VISIT_S
    assert visited.links.read(Purpose.CONFIRM, link(visited)).skus == tuple(asked[: number + 1])


def test_a_later_letter_names_what_an_earlier_one_asked_for_in_vain(shop: TestShop) -> None:
    ask(shop, shop.sku)
    send(shop)
    shop.clock.pass_s(3600)
    ask(shop, OTHER)
    shop.confirmations.send(shop.shopper("ada"), OTHER)
    assert shop.links.read(Purpose.CONFIRM, link(shop)).skus == (shop.sku, OTHER)
    # What is confirmed is not asked for again.
    shop.waitlist.confirm(link(shop, 0))
    shop.clock.pass_s(3600)
    ask(shop, OTHER)
    shop.confirmations.send(shop.shopper("ada"), OTHER)
    assert shop.links.read(Purpose.CONFIRM, link(shop)).skus == (OTHER,)


@pytest.mark.parametrize("name", ["M-{}", "\N{PARTY POPPER}" * 62 + "{}"], ids=["short", "longest"])
def test_each_of_very_many_is_in_a_letter_and_no_link_is_too_long(
    shop: TestShop, name: str, request: pytest.FixtureRequest
) -> None:
    skus = [name.format(number) for number in range(10, 10 + CONFIRMED_AT_ONCE_MAX + 5)]
    sell(shop, skus)
    for start in range(0, len(skus), 5):
        ask(shop, *skus[start : start + 5])
        shop.clock.pass_s(1)
    for sku in skus:
        shop.confirmations.send(shop.shopper("ada"), sku)
    links = [link(shop, number) for number in range(len(shop.postbox.sent))]
    assert max(map(len, links)) <= TOKEN_CHARS_MAX
    named = {sku for token in links for sku in shop.links.read(Purpose.CONFIRM, token).skus}
    assert len(links) == {"short": 2, "longest": 5}[request.node.callspec.id]
    assert named == set(skus)


def test_who_asks_again_is_written_to_that_they_are_on_the_list(shop: TestShop) -> None:
    shop.join("ada", "left", "pending", "gone")
    shop.leave("left")
    shop.suppressions.suppress(shop.shopper("gone"), reason="complaint", at_ms=1)
    for name in ("ada", "left", "gone", "unknown"):
        shop.confirmations.say_already(shop.shopper(name), shop.sku)
    (envelope,) = shop.postbox.sent
    assert envelope.mailbox == "ada@example.com"
    assert envelope.letter.subject == "You are already on the list for Field Jacket (Moss, M)"
    assert "keep your place" in envelope.letter.text
    assert envelope.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    shop.waitlist.leave(envelope.headers["List-Unsubscribe"].partition("token=")[2].rstrip(">"))
    assert state(shop, shop.sku) is EntryState.LEFT


def test_who_asked_again_is_notified_once_and_may_join_once_more(shop: TestShop) -> None:
    shop.observe(Availability.OUT_OF_STOCK)
    shop.join("ada")
    ask(shop, shop.sku)
    shop.observe(Availability.IN_STOCK)
    shop.work()
    assert shop.postbox.mailboxes() == ["ada@example.com"]
    assert state(shop, shop.sku) is EntryState.NOTIFIED
    ask(shop, shop.sku)
    entry = shop.entry("ada")
    assert entry is not None
    assert (entry.state, entry.expires_at_s) == (
        EntryState.PENDING,
        shop.clock() // 1000 + CONFIRM_WITHIN_S,
    )


def test_one_network_causes_only_so_many_letters_and_uses_up_nobodys_own(
    shop: TestShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chalicelib.services.asked_letters.ASKED_BY_NETWORK_PER_DAY_MAX", 3)
    names = [f"victim{number}" for number in range(5)]
    for name in names:
        ask(shop, shop.sku, name=name, source="net4-a")
        send(shop, name)
    assert shop.postbox.mailboxes() == [f"{name}@example.com" for name in names[:3]]
    # From another network the same inbox has all of its day's left.
    shop.clock.pass_s(16 * 60)
    ask(shop, shop.sku, name=names[-1], source="net4-b")
    send(shop, names[-1])
    for _ in range(ASKED_LETTERS_PER_DAY_MAX):
        ask(shop, shop.sku, name=names[-1])
        send(shop, names[-1])
        shop.clock.pass_s(16 * 60)
    assert shop.postbox.mailboxes().count("victim4@example.com") == 3
    # A day later the first one may again.
    shop.clock.pass_s(DAY_S)
    ask(shop, shop.sku, name="late", source="net4-a")
    send(shop, "late")
    assert shop.postbox.mailboxes()[-1] == "late@example.com"


def test_a_letter_that_could_not_be_sent_does_not_count_for_its_network(
    shop: TestShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chalicelib.services.asked_letters.ASKED_BY_IPV6_NETWORK_PER_DAY_MAX", 1)
    assert ASKED_BY_IPV6_NETWORK_PER_DAY_MAX == 200
    ask(shop, shop.sku, source="net6-a")
    shop.postbox.refuses = 2
    for _ in range(2):
        with pytest.raises(PostboxRefused):
            send(shop)
    send(shop)
    assert shop.postbox.mailboxes() == ["ada@example.com"]


def leaving_headers(
    release: Release, mailbox: str, sku: str = "FJ-MOSS-M", base_url: str = "https://www.heron.example"
) -> str:
    """The List-Unsubscribe header of a letter that it is back."""
    edition = release.theme.editions[0]
    theme = replace(
        release.theme,
        editions=(
            replace(edition, shop=replace(edition.shop, unsubscribe_mailbox=mailbox, base_url=base_url)),
        ),
    )
    (product,) = (each.product for each in release.products if each.product.slug == "field-jacket")
    variant = replace(product.variant("FJ-MOSS-M"), sku=sku)
    stocked = StockedProduct(replace(product, variants=(variant,)), {})
    entry = Entry("ada-id", sku, "ada@example.com", EntryState.CONFIRMED, 1)
    writer = LetterWriter(Renderer(theme), Links(["key"], Clock()))
    (envelope,) = writer.available([entry], stocked)
    check_headers(envelope.headers)
    raw = message_of(writer.sender, envelope, message_id="m@x.example", sent_at=datetime.now(UTC))
    read = message_from_bytes(raw, policy=policy.compat32)
    assert read.get_all("List-Unsubscribe-Post") == ["List-Unsubscribe=One-Click"]
    (header,) = read.get_all("List-Unsubscribe", [])
    # RFC 5322, 2.2.3: unfolding takes nothing but the line break.
    assert str(header).replace("\r\n", "") == envelope.headers["List-Unsubscribe"]
    assert len(str(header).split("\r\n")) == envelope.headers["List-Unsubscribe"].count(">")
    return envelope.headers["List-Unsubscribe"]


def test_where_an_inbox_is_named_a_mailto_link_follows_the_https_link(small_release: Release) -> None:
    """In one header (RFC 2369), the one that RFC 8058 asks for first; the subject carries the token."""
    plain = leaving_headers(small_release, "")
    assert re.fullmatch(r"<https://www\.heron\.example/api/unsubscribe\?token=[\w.~-]+>", plain)
    token = plain.partition("token=")[2].rstrip(">")
    assert leaving_headers(small_release, "leave@heron.example") == (
        f"{plain}, <mailto:leave@heron.example?subject=unsubscribe%20{token}>"
    )
    assert Links(["key"], Clock()).read(Purpose.LEAVE, token) == LinkSubject("ada-id", "FJ-MOSS-M")


def test_a_mailto_link_that_makes_the_header_too_long_is_left_out(small_release: Release) -> None:
    longest_sku = "".join(chr(0x1F300 + 11 * number) for number in range(64))
    longest = leaving_headers(
        small_release,
        f"{'l' * 60}@{'d' * 60}.example",
        longest_sku,
        f"https://{'d' * 60}.{'e' * 60}.{'f' * 60}.example",
    )
    assert longest.count("<") == 1


def test_the_longest_link_to_leave_that_a_shop_can_have_fits_in_a_header(small_release: Release) -> None:
    longest_sku = "".join(chr(0x1F300 + 11 * number) for number in range(64))
    host = ".".join(["d" * 60] * 4)
    base_url = f"https://{host}.example:8443".ljust(_URL_LENGTH_MAX, "0")
    headers = leaving_headers(small_release, "", longest_sku, base_url)
    assert headers.startswith(f"<{base_url}/")
    assert headers.isascii()
    assert len("List-Unsubscribe") + len(headers) <= 996

"""From a pending entry to the email that asks for a confirmation."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes, policy
from html import escape
from typing import Any, cast

import pytest

from chalicelib.domain.address import Address
from chalicelib.domain.email import (
    DeliveryOutcome,
    Email,
    EmailDeferred,
    OutgoingEmail,
    SendRefusal,
    SendRefused,
    SendResult,
)
from chalicelib.domain.entry import (
    CONFIRM_WITHIN_S,
    CONFIRMED_AT_ONCE_MAX,
    REQUESTED_BY_IPV6_NETWORK_PER_DAY_MAX,
    REQUESTED_BY_NETWORK_PER_DAY_MAX,
    REQUESTED_EMAILS_PER_DAY_MAX,
    EmailClaim,
    Entry,
    EntryState,
)
from chalicelib.domain.ids import sku_tag
from chalicelib.domain.stock import Availability, Stock, StockedProduct
from chalicelib.domain.tokens import LinkSubject, LinkTokens, Purpose
from chalicelib.http.link_forms import TOKEN_CHARS_MAX
from chalicelib.mail.headers import check_headers
from chalicelib.mail.smtp import message_of
from chalicelib.services.confirmations import Confirmations, lift_confirmed
from chalicelib.services.email_composer import EmailComposer
from chalicelib.services.requested_emails import RequestedEmails
from chalicelib.storefront.renderer import Renderer
from chalicelib.tables.entries import AlreadyClaimed, EntriesTable
from spillway.sitegen.reading.shop_settings import URL_LENGTH_MAX
from spillway.sitegen.release import Release
from tests.support.clock import Clock
from tests.support.fakes import FixedTheme
from tests.support.log_lines import logged
from tests.support.shop import IDENTITY_KEY, TestShop

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
        shop.entries, shop.products, shop.suppressions, shop.requested_emails, shop.clock, visit_s=VISIT_S
    )
    return shop


def ask(shop: TestShop, *skus: str, name: str = "ada", source: str | None = None, page: str = "/") -> None:
    address = Address.parse(f"{name}@example.com")
    shop.signups.sign_up(address, skus, page=page, consent="c", source=source)


def link(shop: TestShop, number: int = -1) -> str:
    (token,) = set(re.findall(r"confirm\?token=([\w.~-]+)", shop.sender.sent[number].email.text))
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
    (outgoing,) = shop.sender.sent
    token = shop.links.sign(Purpose.CONFIRM, LinkSubject(shop.shopper("ada"), shop.sku))
    assert outgoing.mailbox == "ada@example.com"
    assert f"https://www.heron.example/api/confirm?token={token}" in outgoing.email.text
    assert shop.waitlist.confirm(token)


def test_a_confirmation_email_has_nothing_to_unsubscribe_from(shop: TestShop) -> None:
    shop.sign_up("ada")
    send(shop)
    (outgoing,) = shop.sender.sent
    assert "List-Unsubscribe" not in outgoing.headers
    assert outgoing.headers["Auto-Submitted"] == "auto-generated"


def test_a_confirmed_unsubscribed_expired_or_unknown_entry_gets_no_confirmation_email(shop: TestShop) -> None:
    shop.join("confirmed")
    shop.sign_up("left")
    shop.leave("left")
    shop.sign_up("late")
    shop.clock.pass_s(CONFIRM_WITHIN_S)
    for name in ("confirmed", "left", "late", "unknown"):
        send(shop, name)
    assert shop.sender.sent == []


def test_a_suppressed_shopper_is_not_asked(shop: TestShop) -> None:
    shop.sign_up("ada")
    shop.suppressions.suppress(shop.shopper("ada"), reason="bounce", at_ms=shop.clock())
    send(shop)
    assert shop.sender.sent == []


def test_an_entry_for_what_is_not_sold_is_not_asked_about(shop: TestShop) -> None:
    shop.confirmations.send(shop.shopper("ada"), "NOT-SOLD")
    assert shop.sender.sent == []


def test_nobody_can_be_mail_bombed(shop: TestShop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.sign_up("ada")
    for _ in range(REQUESTED_EMAILS_PER_DAY_MAX + 3):
        send(shop)
    assert len(shop.sender.sent) == REQUESTED_EMAILS_PER_DAY_MAX
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {(line["shopper"], line["email"]) for line in lines} == {(shop.shopper("ada"), "confirm")}
    assert [line["event"] for line in lines] == [
        *["email_sent"] * REQUESTED_EMAILS_PER_DAY_MAX,
        *["emails_of_the_day_used_up"] * 3,
    ]
    assert (lines[0]["delivery"], lines[0]["reason"]) == ("accepted", "")


def test_an_email_that_could_not_be_sent_does_not_count(shop: TestShop) -> None:
    shop.sign_up("ada")
    shop.sender.refuses = REQUESTED_EMAILS_PER_DAY_MAX + 1
    for _ in range(REQUESTED_EMAILS_PER_DAY_MAX + 1):
        with pytest.raises(SendRefused):
            send(shop)
    shop.sender.deliveries["ada@example.com"] = DeliveryOutcome.DEFERRED
    with pytest.raises(SendRefused):
        send(shop)
    send(shop)
    assert shop.sender.mailboxes() == ["ada@example.com"]


@pytest.mark.parametrize("refusal", SendRefusal)
def test_an_email_that_is_postponed_says_what_it_waits_for(shop: TestShop, refusal: SendRefusal) -> None:
    shop.sign_up("ada")
    shop.sender.refusal = refusal
    shop.sender.deliveries["ada@example.com"] = DeliveryOutcome.POSTPONED
    with pytest.raises(SendRefused) as raised:
        send(shop)
    assert (type(raised.value), raised.value.reason, raised.value.refusal) == (
        SendRefused,
        "POSTPONED",
        refusal,
    )


def test_an_email_that_is_deferred_says_why(shop: TestShop) -> None:
    shop.sign_up("ada")
    shop.sender.deliveries["ada@example.com"] = DeliveryOutcome.DEFERRED
    with pytest.raises(EmailDeferred) as raised:
        send(shop)
    assert (raised.value.reason, raised.value.refusal) == ("DEFERRED", SendRefusal.RETRY)


def test_a_rejected_email_is_not_tried_again(shop: TestShop) -> None:
    shop.sign_up("ada")
    shop.sender.deliveries["ada@example.com"] = DeliveryOutcome.REJECTED
    send(shop)
    assert shop.sender.sent == []


def test_an_entry_for_a_variant_that_left_its_product_is_not_asked_about(shop: TestShop) -> None:
    stocked = shop.products.get(shop.slug)
    assert stocked is not None
    shop.sign_up("ada")
    rest = tuple(variant for variant in stocked.product.variants if variant.sku != shop.sku)
    shop.products.put_catalogue(replace(stocked.product, variants=rest), {}, known=stocked)
    send(shop)
    assert shop.sender.sent == []


@pytest.mark.parametrize(
    "spellings",
    [
        ("victim@example.com", "victim+a@example.com", "VICTIM+b+c@example.com"),
        ("vic.tim@gmail.com", "victim+x@googlemail.com", "v.i.c.t.i.m@googlemail.com"),
        ("victim@proton.me", "v_i-c.tim@protonmail.com", "victim+x@pm.me"),
        ("victim@fastmail.com", "one@victim.fastmail.com", "two+x@victim.fastmail.com"),
        ("victim@icloud.com", "victim@me.com", "victim+x@mac.com"),
        ("victim@yandex.ru", "victim@ya.ru", "Victim+x@yandex.com"),
    ],
)
def test_one_inbox_is_sent_only_so_many_however_its_address_is_spelt(
    shop: TestShop, spellings: tuple[str, ...]
) -> None:
    ids = [Address.parse(spelling).shopper_id(IDENTITY_KEY) for spelling in spellings]
    assert len(set(ids)) == 3
    for spelling in spellings:
        shop.signups.sign_up(Address.parse(spelling), [shop.sku], page="/", consent="c")
    for _ in range(REQUESTED_EMAILS_PER_DAY_MAX):
        for shopper in ids:
            shop.confirmations.send(shopper, shop.sku)
    assert len(shop.sender.sent) == REQUESTED_EMAILS_PER_DAY_MAX


def test_the_cap_holds_in_any_24_hours(shop: TestShop) -> None:
    """Also around midnight, where one by the day would let through twice as many."""
    shop.sign_up("ada")
    shop.clock.pass_s(DAY_S - shop.clock() // 1000 % DAY_S - 60)
    shop.sign_up("ada")
    for _ in range(REQUESTED_EMAILS_PER_DAY_MAX):
        send(shop)
    shop.clock.pass_s(120)
    send(shop)
    assert len(shop.sender.sent) == REQUESTED_EMAILS_PER_DAY_MAX
    shop.clock.pass_s(DAY_S - 120)
    send(shop)
    assert len(shop.sender.sent) == REQUESTED_EMAILS_PER_DAY_MAX + 1


def test_one_email_confirms_all_that_one_form_asked_for(shop: TestShop) -> None:
    ask(shop, OTHER, shop.sku)
    for sku in (shop.sku, OTHER, shop.sku):
        shop.confirmations.send(shop.shopper("ada"), sku)
    # The last one is the first message again, as a queue may deliver it.
    assert len(shop.sender.sent) == 2
    email = shop.sender.sent[0].email
    assert email.subject == "Confirm your alerts: Field Jacket (Slate, M) and 1 more"
    assert re.findall(r"^  (.+)$", email.text, re.MULTILINE) == [
        *("Field Jacket", "Moss, M"),
        *("Field Jacket", "Slate, M"),
    ]
    assert email.html.count(">Field Jacket<") == 2
    assert shop.links.read(Purpose.CONFIRM, link(shop)).skus == (shop.sku, OTHER)
    seen = shop.waitlist.linked_entries(Purpose.CONFIRM, link(shop))
    assert [one.variant.sku for one in seen if one.variant] == [shop.sku, OTHER]
    assert shop.waitlist.confirm(link(shop))
    assert {state(shop, shop.sku), state(shop, OTHER)} == {EntryState.CONFIRMED}


def test_one_email_counts_once_against_the_days(shop: TestShop) -> None:
    for _ in range(REQUESTED_EMAILS_PER_DAY_MAX):
        ask(shop, OTHER, shop.sku)
        for sku in (shop.sku, OTHER):
            shop.confirmations.send(shop.shopper("ada"), sku)
        shop.clock.pass_s(16 * 60)
    assert len(shop.sender.sent) == REQUESTED_EMAILS_PER_DAY_MAX


def test_one_email_confirms_what_several_forms_of_a_visit_asked_for(visited: TestShop) -> None:
    ask(visited, visited.sku)
    visited.clock.pass_s(VISIT_S - 1)
    ask(visited, OTHER)
    visited.clock.pass_s(1)
    visited.confirmations.send(visited.shopper("ada"), visited.sku)
    assert visited.sender.sent == []
    visited.clock.pass_s(VISIT_S - 1)
    visited.confirmations.send(visited.shopper("ada"), OTHER)
    assert len(visited.sender.sent) == 1
    assert visited.links.read(Purpose.CONFIRM, link(visited)).skus == (visited.sku, OTHER)


def test_an_undone_signup_removes_no_other_email_of_the_visit(visited: TestShop) -> None:
    ask(visited, visited.sku)
    visited.clock.pass_s(VISIT_S - 1)
    ask(visited, OTHER)
    visited.clock.pass_s(1)
    visited.confirmations.send(visited.shopper("ada"), visited.sku)
    assert visited.entries.undo(visited.shopper("ada"), OTHER, signed_up_at_ms=visited.clock() - 1000)
    visited.clock.pass_s(VISIT_S)
    visited.confirmations.send(visited.shopper("ada"), OTHER)
    assert visited.links.read(Purpose.CONFIRM, link(visited)).skus == (visited.sku,)
    visited.confirmations.send(visited.shopper("ada"), OTHER)
    assert len(visited.sender.sent) == 2


def test_nobody_keeps_an_email_back_by_asking_on_and_on(visited: TestShop) -> None:
    """Others could, who know the address and a shop with many variants."""
    more = [f"M-{number}" for number in range(9)]
    sell(visited, more)
    asked = [visited.sku, *more]
    for number, sku in enumerate(asked):
        ask(visited, sku)
        visited.clock.pass_s(VISIT_S // 2)
        if number:
            visited.confirmations.send(visited.shopper("ada"), asked[number - 1])
        if visited.sender.sent:
            break
    assert number * VISIT_S // 2 <= 3 * VISIT_S
    assert visited.links.read(Purpose.CONFIRM, link(visited)).skus == tuple(asked[: number + 1])


def test_a_later_email_names_what_an_earlier_one_asked_for_in_vain(shop: TestShop) -> None:
    ask(shop, shop.sku)
    send(shop)
    shop.clock.pass_s(3600)
    ask(shop, OTHER)
    shop.confirmations.send(shop.shopper("ada"), OTHER)
    assert shop.links.read(Purpose.CONFIRM, link(shop)).skus == (shop.sku, OTHER)
    # No confirmation is asked for twice.
    shop.waitlist.confirm(link(shop, 0))
    shop.clock.pass_s(3600)
    ask(shop, OTHER)
    shop.confirmations.send(shop.shopper("ada"), OTHER)
    assert shop.links.read(Purpose.CONFIRM, link(shop)).skus == (OTHER,)


@pytest.mark.parametrize("name", ["M-{}", "\N{PARTY POPPER}" * 62 + "{}"], ids=["short", "longest"])
def test_each_of_very_many_is_in_an_email_and_no_link_is_too_long(
    shop: TestShop, name: str, request: pytest.FixtureRequest
) -> None:
    skus = [name.format(number) for number in range(10, 10 + CONFIRMED_AT_ONCE_MAX + 5)]
    sell(shop, skus)
    for start in range(0, len(skus), 5):
        ask(shop, *skus[start : start + 5])
        shop.clock.pass_s(1)
    for sku in skus:
        shop.confirmations.send(shop.shopper("ada"), sku)
    links = [link(shop, number) for number in range(len(shop.sender.sent))]
    assert max(map(len, links)) <= TOKEN_CHARS_MAX
    named = {sku for token in links for sku in shop.links.read(Purpose.CONFIRM, token).skus}
    assert len(links) == {"short": 2, "longest": 5}[request.node.callspec.id]
    assert named == set(skus)


def test_a_repeated_signup_of_a_confirmed_entry_gets_the_already_email(shop: TestShop) -> None:
    shop.join("ada", "left", "pending", "gone")
    shop.leave("left")
    shop.suppressions.suppress(shop.shopper("gone"), reason="complaint", at_ms=1)
    for name in ("ada", "left", "gone", "unknown"):
        shop.confirmations.send_already_waiting(shop.shopper(name), shop.sku)
    (outgoing,) = shop.sender.sent
    assert outgoing.mailbox == "ada@example.com"
    assert outgoing.email.subject == "You are already on the list for Field Jacket (Moss, M)"
    assert "keep your place" in outgoing.email.text
    assert outgoing.headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    shop.waitlist.unsubscribe(outgoing.headers["List-Unsubscribe"].partition("token=")[2].rstrip(">"))
    assert state(shop, shop.sku) is EntryState.UNSUBSCRIBED


def test_a_repeated_signup_is_notified_once_and_may_sign_up_once_more(shop: TestShop) -> None:
    shop.observe(Availability.OUT_OF_STOCK)
    shop.join("ada")
    ask(shop, shop.sku)
    shop.observe(Availability.IN_STOCK)
    shop.work()
    assert shop.sender.mailboxes() == ["ada@example.com"]
    assert state(shop, shop.sku) is EntryState.NOTIFIED
    ask(shop, shop.sku)
    entry = shop.entry("ada")
    assert entry is not None
    assert (entry.state, entry.expires_at_s) == (
        EntryState.PENDING,
        shop.clock() // 1000 + CONFIRM_WITHIN_S,
    )


def test_one_network_causes_only_so_many_emails_and_uses_up_nobodys_own(
    shop: TestShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chalicelib.services.requested_emails.REQUESTED_BY_NETWORK_PER_DAY_MAX", 3)
    names = [f"victim{number}" for number in range(5)]
    for name in names:
        ask(shop, shop.sku, name=name, source="net4-a")
        send(shop, name)
    assert shop.sender.mailboxes() == [f"{name}@example.com" for name in names[:3]]
    # From another network the same inbox has all of its day's left.
    shop.clock.pass_s(16 * 60)
    ask(shop, shop.sku, name=names[-1], source="net4-b")
    send(shop, names[-1])
    for _ in range(REQUESTED_EMAILS_PER_DAY_MAX):
        ask(shop, shop.sku, name=names[-1])
        send(shop, names[-1])
        shop.clock.pass_s(16 * 60)
    assert shop.sender.mailboxes().count("victim4@example.com") == 3
    # A day later the first one may again.
    shop.clock.pass_s(DAY_S)
    ask(shop, shop.sku, name="late", source="net4-a")
    send(shop, "late")
    assert shop.sender.mailboxes()[-1] == "late@example.com"


def test_an_email_that_could_not_be_sent_does_not_count_for_its_network(
    shop: TestShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chalicelib.services.requested_emails.REQUESTED_BY_IPV6_NETWORK_PER_DAY_MAX", 1)
    assert REQUESTED_BY_IPV6_NETWORK_PER_DAY_MAX == 200
    ask(shop, shop.sku, source="net6-a")
    shop.sender.refuses = 2
    for _ in range(2):
        with pytest.raises(SendRefused):
            send(shop)
    send(shop)
    assert shop.sender.mailboxes() == ["ada@example.com"]


def leaving_headers(
    release: Release, mailbox: str, sku: str = "FJ-MOSS-M", base_url: str = "https://www.heron.example"
) -> str:
    """The List-Unsubscribe header of an email that it is back."""
    edition = release.theme.editions[0]
    theme = replace(
        release.theme,
        editions=(
            replace(edition, shop=replace(edition.shop, unsubscribe_mailbox=mailbox, base_url=base_url)),
        ),
    )
    (product,) = (item.product for item in release.products if item.product.slug == "field-jacket")
    variant = replace(product.variant("FJ-MOSS-M"), sku=sku)
    stocked = StockedProduct(replace(product, variants=(variant,)), {})
    entry = Entry("ada-id", sku, "ada@example.com", EntryState.CONFIRMED, 1)
    writer = EmailComposer(Renderer(theme), LinkTokens(["key"], Clock()))
    (outgoing,) = writer.available([entry], stocked)
    check_headers(outgoing.headers)
    raw = message_of(writer.sender, outgoing, message_id="m@x.example", sent_at=datetime.now(UTC))
    read = message_from_bytes(raw, policy=policy.compat32)
    assert read.get_all("List-Unsubscribe-Post") == ["List-Unsubscribe=One-Click"]
    (header,) = read.get_all("List-Unsubscribe", [])
    # RFC 5322, 2.2.3: unfolding takes nothing but the line break.
    assert str(header).replace("\r\n", "") == outgoing.headers["List-Unsubscribe"]
    assert len(str(header).split("\r\n")) == outgoing.headers["List-Unsubscribe"].count(">")
    return outgoing.headers["List-Unsubscribe"]


def test_where_an_inbox_is_named_a_mailto_link_follows_the_https_link(small_release: Release) -> None:
    """In one header (RFC 2369), the one that RFC 8058 asks for first; the subject carries the token."""
    plain = leaving_headers(small_release, "")
    assert re.fullmatch(r"<https://www\.heron\.example/api/unsubscribe\?token=[\w.~-]+>", plain)
    token = plain.partition("token=")[2].rstrip(">")
    assert leaving_headers(small_release, "leave@heron.example") == (
        f"{plain}, <mailto:leave@heron.example?subject=unsubscribe%20{token}>"
    )
    assert LinkTokens(["key"], Clock()).read(Purpose.UNSUBSCRIBE, token) == LinkSubject("ada-id", "FJ-MOSS-M")


@pytest.mark.parametrize(("chars", "ways"), [(979, 2), (980, 1)])
def test_both_ways_to_leave_stand_in_the_header_while_they_fit(
    small_release: Release, chars: int, ways: int
) -> None:
    """995 characters of name and value, as SES takes them."""
    shortest = len(leaving_headers(small_release, "l@heron.example"))
    headers = leaving_headers(small_release, f"{'l' * (chars - shortest + 1)}@heron.example")
    assert headers.count("<") == ways
    assert (len(headers) == chars) is (ways == 2)


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
    base_url = f"https://{host}.example:8443".ljust(URL_LENGTH_MAX, "0")
    headers = leaving_headers(small_release, "", longest_sku, base_url)
    assert headers.startswith(f"<{base_url}/")
    assert headers.isascii()
    assert len("List-Unsubscribe") + len(headers) <= 996


class Budgets(EntriesTable):
    """Answers what is counted, and keeps each call."""

    def __init__(self, *, inbox: bool | None = True, network: bool = True) -> None:
        self.inbox, self.network = inbox, network
        self.calls: list[tuple[Any, ...]] = []

    def count_requested_email(self, inbox: str, **facts: Any) -> bool:
        self.calls.append(("inbox", inbox, facts))
        if self.inbox is None:
            raise AlreadyClaimed
        return self.inbox

    def count_requested_by_network(self, source: str, **facts: Any) -> bool:
        self.calls.append(("network", source, facts))
        return self.network


class OneSender:
    """Gives its result, and keeps each call."""

    def __init__(self, result: SendResult) -> None:
        self.result = result
        self.calls: list[tuple[str, list[OutgoingEmail]]] = []

    def send(self, sender: str, emails: Sequence[OutgoingEmail]) -> tuple[SendResult, ...]:
        self.calls.append((sender, list(emails)))
        return (self.result,)


ACCEPTED = SendResult(DeliveryOutcome.ACCEPTED, message_id="m1")
CLAIM = EmailClaim("ada-id", "A", {"A": 1})
INBOX = Address.parse("ada@example.com").inbox_id(IDENTITY_KEY)
NETWORKS = {
    "net4-a": REQUESTED_BY_NETWORK_PER_DAY_MAX,
    "net6-a": REQUESTED_BY_IPV6_NETWORK_PER_DAY_MAX,
}


@pytest.mark.parametrize("source", [None, *NETWORKS])
@pytest.mark.parametrize(
    ("inbox", "network", "result", "counted", "said"),
    [
        (True, True, ACCEPTED, "sent", {"event": "email_sent", "delivery": "accepted", "reason": ""}),
        (
            True,
            True,
            SendResult(DeliveryOutcome.REJECTED, reason="MESSAGE_REJECTED"),
            "sent",
            {"event": "email_sent", "delivery": "rejected", "reason": "MESSAGE_REJECTED"},
        ),
        (None, True, ACCEPTED, "not counted", {"event": "email_covered"}),
        (False, True, ACCEPTED, "not counted", {"event": "emails_of_the_day_used_up"}),
        (True, False, ACCEPTED, "given back", {"event": "emails_of_the_network_used_up"}),
        (True, True, SendResult(DeliveryOutcome.DEFERRED, reason="451"), "refused", None),
        (True, True, SendResult(DeliveryOutcome.POSTPONED, reason="slow"), "refused", None),
    ],
)
def test_each_end_of_an_asked_email_is_counted_and_logged(
    small_release: Release,
    clock: Clock,
    capsys: pytest.CaptureFixture[str],
    source: str | None,
    inbox: bool | None,
    network: bool,
    result: SendResult,
    counted: str,
    said: dict[str, str] | None,
) -> None:
    if not source and not network:
        # Without a network nothing is counted for one.
        counted, said = "sent", {"event": "email_sent", "delivery": "accepted", "reason": ""}
    entries, sender = Budgets(inbox=inbox, network=network), OneSender(result)
    emails = RequestedEmails(
        entries,
        FixedTheme(Renderer(small_release.theme)),
        LinkTokens(["key"], clock),
        sender,
        clock,
        IDENTITY_KEY,
    )
    outgoing = OutgoingEmail("Ada+x@example.com", Email("s", "t", "h"), tags={"email": "my-waitlists"})
    if counted == "refused":
        with pytest.raises(SendRefused) as raised:
            emails.send("ada-id", lambda _: outgoing, claim=CLAIM, source=source)
        assert raised.value.reason == result.reason
    else:
        emails.send("ada-id", lambda _: outgoing, claim=CLAIM, source=source)
    now = {"at_ms": clock(), "budget": "my-waitlists"}
    inbox_id = Address.parse(outgoing.mailbox).inbox_id(IDENTITY_KEY)
    one = ("inbox", inbox_id, {**now, "claim": CLAIM})
    back = ("inbox", inbox_id, {**now, "emails": -1})
    limit = {"limit": NETWORKS.get(source or "")}
    of_network = [("network", source, {**now, **limit, "emails": 1})] if source else []
    network_back = [("network", source, {**now, **limit, "emails": -1})] if source else []
    assert (
        entries.calls
        == {
            "sent": [one, *of_network],
            "not counted": [one],
            "given back": [one, *of_network, back],
            "refused": [one, *of_network, back, *network_back],
        }[counted]
    )
    sent = counted in {"sent", "refused"}
    assert sender.calls == ([("Heron & Daughters <hello@heron.example>", [outgoing])] if sent else [])
    of_source = {"source": source} if counted == "given back" else {}
    line = {"shopper": "ada-id", "email": "my-waitlists", **of_source}
    assert logged(capsys) == ([{**line, **said}] if said else [])


def test_spellings_of_one_inbox_are_counted_as_one(small_release: Release, clock: Clock) -> None:
    entries, theme = Budgets(), FixedTheme(Renderer(small_release.theme))
    links = LinkTokens(["key"], clock)
    emails = RequestedEmails(entries, theme, links, OneSender(ACCEPTED), clock, IDENTITY_KEY)
    writer_links: list[Any] = []

    def write(writer: EmailComposer) -> OutgoingEmail:
        writer_links.append((writer._links, writer._renderer))
        return OutgoingEmail("ada@example.com", Email("s", "t", "h"), tags={"email": "confirm"})

    emails.send("ada-id", write)
    assert entries.calls == [("inbox", INBOX, {"at_ms": clock(), "budget": "confirm", "claim": None})]
    assert writer_links == [(links, theme.live())]


class KeptEmails(RequestedEmails):
    """Keeps what it is asked to send, with the email as it is written."""

    def __init__(self, writer: Any) -> None:
        self.writer = writer
        self.sent: list[tuple[str, Any, dict[str, Any]]] = []

    def send(self, shopper: str, compose: Any, **facts: Any) -> None:
        self.sent.append((shopper, compose(self.writer), facts))


class NamingWriter:
    """Says which email it was asked for, and about what."""

    def confirm(self, asked: Any) -> Any:
        return ("confirm", [(entry.sku, stocked.product.slug) for entry, stocked in asked])

    def already(self, entry: Entry, stocked: StockedProduct) -> Any:
        return ("already", entry.shopper, entry.sku, stocked.product.slug)


def kept_emails(shop: TestShop, visit_s: int = 0) -> KeptEmails:
    emails = KeptEmails(NamingWriter())
    shop.confirmations = Confirmations(
        shop.entries, shop.products, shop.suppressions, emails, shop.clock, visit_s=visit_s
    )
    return emails


def test_a_confirmation_says_what_it_covers_and_who_asked_last(shop: TestShop) -> None:
    emails = kept_emails(shop)
    first_ms = shop.clock()
    ask(shop, OTHER, source="net4-a")
    ask(shop, "NOT-SOLD", source="net4-z")
    shop.clock.pass_s(1)
    ask(shop, shop.sku, source="net4-b")
    ada = shop.shopper("ada")
    shop.confirmations.send(ada, OTHER)
    assert emails.sent == [
        (
            ada,
            ("confirm", [(OTHER, shop.slug), (shop.sku, shop.slug)]),
            {"claim": EmailClaim(ada, OTHER, {OTHER: first_ms, shop.sku: shop.clock()}), "source": "net4-b"},
        )
    ]


def test_entries_of_one_moment_are_named_by_their_skus(shop: TestShop) -> None:
    emails = kept_emails(shop)
    sell(shop, ["A-1", "Z-1"])
    ask(shop, "Z-1", OTHER, "A-1", shop.sku)
    shop.confirmations.send(shop.shopper("ada"), "A-1")
    ((_, (_, named), _),) = emails.sent
    assert [sku for sku, _ in named] == ["A-1", shop.sku, OTHER, "Z-1"]


def test_each_reason_not_to_ask_is_logged(shop: TestShop, capsys: pytest.CaptureFixture[str]) -> None:
    emails = kept_emails(shop, VISIT_S)
    ada = shop.shopper("ada")
    shop.confirmations.send(ada, OTHER)
    ask(shop, OTHER)
    shop.clock.pass_s(1)
    ask(shop, shop.sku)
    shop.confirmations.send(ada, OTHER)
    shop.suppressions.suppress(ada, reason="complaint", at_ms=shop.clock())
    shop.confirmations.send(ada, shop.sku)
    shop.confirmations.send_already_waiting(ada, shop.sku)
    assert logged(capsys) == [
        {"event": "confirmation_not_due", "shopper": ada, "sku": OTHER},
        {"event": "confirmation_left_to_newest", "shopper": ada, "sku": OTHER},
        {"event": "confirmation_not_due", "shopper": ada, "sku": shop.sku},
        {"event": "already_not_due", "shopper": ada, "sku": shop.sku},
    ]
    assert emails.sent == []


def test_an_email_that_they_are_on_the_list_names_the_network_that_asked(
    shop: TestShop, capsys: pytest.CaptureFixture[str]
) -> None:
    emails = kept_emails(shop)
    shop.join("ada")
    ada = shop.shopper("ada")
    shop.confirmations.send_already_waiting(ada, shop.sku, "net4-a")
    shop.confirmations.send_already_waiting(ada, shop.sku)
    about = ("already", ada, shop.sku, shop.slug)
    assert emails.sent == [(ada, about, {"source": "net4-a"}), (ada, about, {"source": None})]
    assert logged(capsys) == []


def test_nobody_is_on_the_list_of_what_is_not_sold_or_not_confirmed(
    shop: TestShop, capsys: pytest.CaptureFixture[str]
) -> None:
    emails = kept_emails(shop)
    shop.sign_up("ada")
    shop.sku = "NOT-SOLD"
    shop.join("ben")
    for name, sku in (("ada", "FJ-MOSS-M"), ("ben", "NOT-SOLD"), ("cyd", "FJ-MOSS-M")):
        shop.confirmations.send_already_waiting(shop.shopper(name), sku)
    assert [(line["event"], line["sku"]) for line in logged(capsys)] == [
        ("already_not_due", "FJ-MOSS-M"),
        ("already_not_due", "NOT-SOLD"),
        ("already_not_due", "FJ-MOSS-M"),
    ]
    assert emails.sent == []


@pytest.mark.parametrize(
    ("ages_s", "waits"),
    [
        # The newest entry's visit has just not ended, or has.
        ((30, 19.999), True),
        ((30, 20), False),
        # An entry three visits old is not kept back longer.
        ((59.999, 5), True),
        ((60, 5), False),
        ((119.999, 5), False),
        # One older than six belongs to a visit before, whose email has left.
        ((120, 5), True),
        ((120, 60, 5), False),
    ],
)
def test_an_email_waits_for_the_end_of_a_visit_within_bounds(
    shop: TestShop, ages_s: Sequence[float], waits: bool
) -> None:
    emails = kept_emails(shop, VISIT_S)
    skus = [OTHER, "A-1", shop.sku][-len(ages_s) :]
    sell(shop, ["A-1"])
    oldest_s = max(ages_s)
    begun_ms = shop.clock()
    for sku, age_s in zip(skus, ages_s, strict=True):
        shop.clock.now_ms = begun_ms + round((oldest_s - age_s) * 1000)
        ask(shop, sku)
    shop.clock.now_ms = begun_ms + round(oldest_s * 1000)
    shop.confirmations.send(shop.shopper("ada"), skus[0])
    assert len(emails.sent) == (0 if waits else 1)
    # The newest entry's own message waits for nothing.
    shop.confirmations.send(shop.shopper("ada"), skus[-1])
    assert len(emails.sent) == (1 if waits else 2)


@pytest.mark.parametrize("more", [0, 1])
def test_one_email_names_as_many_as_fit_and_the_next_one_the_rest(shop: TestShop, more: int) -> None:
    emails = kept_emails(shop, VISIT_S)
    skus = [f"M-{number:02}" for number in range(CONFIRMED_AT_ONCE_MAX + more)]
    sell(shop, skus)
    ask(shop, *skus)
    ada = shop.shopper("ada")
    for sku in (skus[-1], "M-GONE"):
        shop.confirmations.send(ada, sku)
    named = [[sku for sku, _ in written[1]] for _, written, _ in emails.sent]
    # A message about an entry that is gone sends the last part of too many, and leaves few to the newest.
    assert named == ([skus[CONFIRMED_AT_ONCE_MAX:]] * 2 if more else [skus])
    if more:
        shop.confirmations.send(ada, skus[0])
        assert [sku for sku, _ in emails.sent[-1][1][1]] == skus[:CONFIRMED_AT_ONCE_MAX]


def test_a_suppressed_shopper_who_may_be_asked_is_logged_and_each_entry_is_marked(
    shop: TestShop, capsys: pytest.CaptureFixture[str]
) -> None:
    emails = kept_emails(shop)
    ada = shop.shopper("ada")
    shop.suppressions.suppress(ada, reason="unsubscribed", at_ms=shop.clock())
    shop.clock.pass_s(1)
    ask(shop, OTHER)
    shop.clock.pass_s(1)
    ask(shop, shop.sku)
    shop.clock.pass_s(1)
    shop.confirmations.send(ada, shop.sku)
    assert logged(capsys) == [{"event": "suppressed_shopper_asked", "shopper": ada, "sku": shop.sku}]
    assert len(emails.sent) == 1
    client = shop.dynamodb
    for sku in (shop.sku, OTHER):
        key = {"shopper": {"S": ada}, "sku": {"S": sku}}
        item = client.get_item(TableName=shop.entries_name, Key=key)["Item"]
        assert item["retried_at_ms"] == {"N": str(shop.clock())}
    history = shop.suppressions.history(ada)
    assert history is not None
    assert (history.retried_at_ms, history.retried_for_ms) == (shop.clock(), shop.clock() - 1000)
    for at_ms in (shop.clock(), shop.clock() + 1):
        lift_confirmed(shop.suppressions, ada, at_ms=at_ms)
    lifted = shop.suppressions.history(ada)
    assert lifted is not None
    assert lifted.lifted_at_ms == shop.clock()
    shop.suppressions.suppress(ada, reason="complaint", at_ms=shop.clock())
    lift_confirmed(shop.suppressions, ada, at_ms=shop.clock())
    assert logged(capsys) == [
        {"event": "suppression_lifted", "shopper": ada, "lifted": True},
        {"event": "suppression_lifted", "shopper": ada, "lifted": True},
        {"event": "suppression_lifted", "shopper": ada, "lifted": False},
    ]


def plain_email(name: str, link: str) -> Email:
    return Email(f"About {name}", f"1 {link} 2 {link} 3", f"1 {escape(link)} 2 {escape(link)} 3")


class KeepingRenderer:
    """Keeps what emails it is asked for. Their text and HTML have each link twice."""

    def __init__(self, theme: Any, root: str = "", calls: list[Any] | None = None) -> None:
        self.theme = theme
        self.edition = next(edition for edition in theme.editions if edition.root == root)
        self.calls: list[Any] = [] if calls is None else calls

    def for_root(self, root: str) -> "KeepingRenderer":
        return KeepingRenderer(self.theme, root, self.calls)

    def product_email(self, name: str, **facts: Any) -> Email:
        self.calls.append((name, self.edition.root, facts))
        return plain_email(name, facts.get("unsubscribe_url") or facts["action_url"])

    def email(self, name: str, **facts: Any) -> Email:
        return self.product_email(name, **facts)


SHOP_URL = "https://www.heron.example"


@pytest.fixture
def desk(german_release: Release, clock: Clock) -> tuple[KeepingRenderer, EmailComposer, LinkTokens]:
    renderer, links = KeepingRenderer(german_release.theme), LinkTokens(["key"], clock)
    return renderer, EmailComposer(cast("Renderer", renderer), links), links


def stocked_jacket(release: Release) -> StockedProduct:
    (entry,) = (product for product in release.products if product.product.slug == "field-jacket")
    return StockedProduct(entry.product, entry.stock)


def waiting(name: str, page: str, sku: str = "FJ-MOSS-M") -> Entry:
    return Entry(f"{name}-id", sku, f"{name}@example.com", EntryState.CONFIRMED, 1, page=page)


def leave_link(links: LinkTokens, entry: Entry, root: str = "") -> tuple[str, dict[str, str]]:
    token = links.sign(Purpose.UNSUBSCRIBE, LinkSubject(entry.shopper, entry.sku))
    link = f"{SHOP_URL}/api/unsubscribe?token={token}{'&lang=de' if root else ''}"
    return link, {
        "Auto-Submitted": "auto-generated",
        "List-Unsubscribe": f"<{link}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def tags(email: str, entry: Entry) -> dict[str, str]:
    return {"email": email, "shopper": entry.shopper, "sku": sku_tag(entry.sku)}


def test_a_confirmation_is_made_of_the_newest_entry_and_links_to_all(
    desk: tuple[KeepingRenderer, EmailComposer, LinkTokens], german_release: Release
) -> None:
    renderer, writer, links = desk
    stocked = stocked_jacket(german_release)
    (scarf,) = (product for product in german_release.products if product.product.slug == "scarf")
    first, newest = waiting("ada", "/", "SCARF"), waiting("ada", "/de/products/field-jacket")
    newest = replace(newest, mailbox="Ada@example.com")
    outgoing = writer.confirm([(first, StockedProduct(scarf.product, scarf.stock)), (newest, stocked)])
    token = links.sign(Purpose.CONFIRM, LinkSubject("ada-id", "SCARF", ("FJ-MOSS-M",)))
    link = f"{SHOP_URL}/api/confirm?token={token}&lang=de"
    variant = stocked.product.variant("FJ-MOSS-M")
    assert renderer.calls == [
        (
            "confirm",
            "/de",
            {
                "product": stocked.product,
                "variant": variant,
                "stock": stocked.stock,
                "action_url": link,
                "items": [(scarf.product, scarf.product.variant("SCARF")), (stocked.product, variant)],
                "coming": 0,
            },
        )
    ]
    assert outgoing == OutgoingEmail(
        "Ada@example.com",
        plain_email("confirm", link),
        {"Auto-Submitted": "auto-generated"},
        tags("confirm", newest),
        reply_to="hello@heron.example",
    )


def test_an_email_that_they_are_on_the_list_links_to_the_product_and_to_leaving(
    desk: tuple[KeepingRenderer, EmailComposer, LinkTokens], german_release: Release
) -> None:
    renderer, writer, links = desk
    stocked, entry = stocked_jacket(german_release), waiting("ada", "/de/products/field-jacket")
    outgoing = writer.already(entry, stocked)
    link, headers = leave_link(links, entry, "/de")
    facts = {
        "product": stocked.product,
        "variant": stocked.product.variant("FJ-MOSS-M"),
        "stock": stocked.stock,
        "action_url": f"{SHOP_URL}/de/products/field-jacket?sku=FJ-MOSS-M#v-FJ-MOSS-M",
        "unsubscribe_url": link,
    }
    assert renderer.calls == [("already", "/de", facts)]
    email = plain_email("already", link)
    assert outgoing == OutgoingEmail(
        "ada@example.com", email, headers, tags("already", entry), reply_to="hello@heron.example"
    )


def test_an_email_of_a_restock_is_written_once_for_each_language_and_has_each_ones_own_link(
    desk: tuple[KeepingRenderer, EmailComposer, LinkTokens], german_release: Release
) -> None:
    renderer, writer, links = desk
    stocked = stocked_jacket(german_release)
    entries = [
        waiting("ada", "/"),
        waiting("bob", "/de/products/field-jacket"),
        waiting("cyd", "/"),
        waiting("dan", "/de/products/field-jacket"),
    ]
    roots = ["", "/de", "", "/de"]
    emails = writer.available(entries, stocked)
    assert renderer.calls == [
        (
            "available",
            root,
            {
                "product": stocked.product,
                "variant": stocked.product.variant("FJ-MOSS-M"),
                "stock": stocked.stock,
                "action_url": f"{SHOP_URL}{root}/products/field-jacket?sku=FJ-MOSS-M#v-FJ-MOSS-M",
                "unsubscribe_url": leave_link(links, entry, root)[0],
            },
        )
        for entry, root in zip(entries[:2], roots[:2], strict=True)
    ]
    expected = []
    for entry, root in zip(entries, roots, strict=True):
        link, headers = leave_link(links, entry, root)
        email = plain_email("available", link)
        expected.append(
            OutgoingEmail(
                entry.mailbox, email, headers, tags("available", entry), reply_to="hello@heron.example"
            )
        )
    assert emails == expected


def test_the_email_with_the_link_to_all_of_theirs_has_no_variant(
    desk: tuple[KeepingRenderer, EmailComposer, LinkTokens],
) -> None:
    renderer, writer, links = desk
    outgoing = writer.my_waitlists("ada@example.com", "ada-id", page="/de/products/field-jacket")
    token = links.sign(Purpose.MY_WAITLISTS, LinkSubject("ada-id"))
    link = f"{SHOP_URL}/api/waitlists?token={token}&lang=de"
    assert renderer.calls == [("my-waitlists", "/de", {"action_url": link})]
    assert outgoing == OutgoingEmail(
        "ada@example.com",
        plain_email("my-waitlists", link),
        {"Auto-Submitted": "auto-generated"},
        {"email": "my-waitlists", "shopper": "ada-id"},
        reply_to="hello@heron.example",
    )
    assert writer.sender == "Heron & Daughters <hello@heron.example>"

"""Everything that a shopper waits for: seen, left, taken along, erased, by the link of an email only."""

import json
from dataclasses import replace

import pytest

from chalicelib.domain.address import Address
from chalicelib.domain.email import DeliveryOutcome, SendRefused
from chalicelib.domain.entry import CONFIRM_WITHIN_S, REQUESTED_EMAILS_PER_DAY_MAX, Arrival, EntryState
from chalicelib.domain.tokens import LinkRefused, LinkSubject, Purpose
from chalicelib.services.requested_emails import MyWaitlistsEmail
from chalicelib.services.waitlist import Awaited, MyWaitlists
from chalicelib.tables.suppressions import ShoppersTable
from spillway.merchant.intake import Move
from spillway.merchant.rows import EntryRows
from spillway.sitegen.release import Release
from tests.support.clock import Clock
from tests.support.log_lines import logged
from tests.support.shop import TestShop


@pytest.fixture
def shop(clock: Clock, small_release: Release) -> TestShop:
    return TestShop(small_release, clock, slug="field-jacket", sku="FJ-MOSS-M")


@pytest.fixture
def shoppers(shop: TestShop) -> ShoppersTable:
    return ShoppersTable(shop.entries.table.client, shop.entries.table.name)


@pytest.fixture
def yours(shop: TestShop, shoppers: ShoppersTable) -> MyWaitlists:
    return MyWaitlists(shop.entries, shoppers, shop.suppressions, shop.products, shop.links, shop.clock)


@pytest.fixture
def emails(shop: TestShop, shoppers: ShoppersTable) -> MyWaitlistsEmail:
    return MyWaitlistsEmail(shoppers, shop.suppressions, shop.requested_emails)


def token(shop: TestShop, name: str = "ada") -> str:
    return shop.links.sign(Purpose.MY_WAITLISTS, LinkSubject(shop.shopper(name)))


def looked(shop: TestShop, yours: MyWaitlists) -> tuple[Awaited, ...]:
    return yours.awaited(token(shop), lambda product: product)


def test_a_shopper_sees_all_of_theirs_and_nobody_elses(shop: TestShop, yours: MyWaitlists) -> None:
    shop.join("ada", "ben")
    shop.sku = "FJ-SLATE-M"
    shop.sign_up("ada")
    shop.sku = "NOT-SOLD"
    shop.sign_up("ada")
    seen = [(item.sku, item.title, item.state, item.can_unsubscribe) for item in looked(shop, yours)]
    assert seen == [
        ("FJ-MOSS-M", "Field Jacket", "confirmed", True),
        ("FJ-SLATE-M", "Field Jacket", "pending", True),
        ("NOT-SOLD", "NOT-SOLD", "pending", True),
    ]
    shop.clock.pass_s(CONFIRM_WITHIN_S)
    assert [item.state for item in looked(shop, yours)] == ["confirmed", "expired", "expired"]


def test_leaving_one_leaves_one_and_leaving_all_leaves_all(shop: TestShop, yours: MyWaitlists) -> None:
    shop.join("ada", "ben")
    shop.sku = "FJ-SLATE-M"
    shop.join("ada")
    for _ in range(2):
        yours.unsubscribe(token(shop), "FJ-SLATE-M")
        assert [item.state for item in looked(shop, yours)] == ["confirmed", "unsubscribed"]
    yours.unsubscribe(token(shop))
    assert [item.can_unsubscribe for item in looked(shop, yours)] == [False, False]
    shop.sku = "FJ-MOSS-M"
    ben = shop.entry("ben")
    assert ben is not None
    assert ben.state is EntryState.CONFIRMED


def test_leaving_follows_an_entry_that_was_moved_while_the_page_was_open(
    shop: TestShop, yours: MyWaitlists
) -> None:
    shop.join("ada")
    entries = EntryRows(shop.dynamodb, shop.entries_name)
    Move(entries, "FJ-MOSS-M", "FJ-SLATE-M", Arrival.NEXT_RESTOCK, shop.clock()).carry_out(lambda _: None)
    assert [(item.sku, item.state) for item in looked(shop, yours)] == [
        ("FJ-MOSS-M", "unsubscribed"),
        ("FJ-SLATE-M", "confirmed"),
    ]
    yours.unsubscribe(token(shop), "FJ-MOSS-M")
    assert [item.state for item in looked(shop, yours)] == ["unsubscribed", "unsubscribed"]


def test_an_export_of_a_shopper_has_every_stored_row(shop: TestShop, yours: MyWaitlists) -> None:
    shop.join("ada")
    taken = json.loads(json.dumps(yours.export(token(shop))))
    (entry,) = taken["entries"]
    assert taken["shopper"] == shop.shopper("ada")
    assert entry["mailbox"] == "ada@example.com"
    assert {"signed_up_at_ms", "confirmed_at_ms", "page", "consent", "sku", "state"} <= entry.keys()


def test_erasing_leaves_nothing_but_a_suppression(
    shop: TestShop, yours: MyWaitlists, shoppers: ShoppersTable
) -> None:
    shop.join("ada", "ben")
    shop.entries.count_requested_email(shop.shopper("ada"), at_ms=shop.clock())
    shop.suppressions.suppress(shop.shopper("ada"), reason="complaint", at_ms=shop.clock())
    for _ in range(2):
        yours.erase(token(shop))
        assert looked(shop, yours) == ()
        assert list(shoppers._rows(shop.shopper("ada"))) == []
    assert shop.suppressions.among([shop.shopper("ada")]) == {shop.shopper("ada")}
    assert shop.entry("ben") is not None


def test_no_other_link_opens_it_and_it_opens_nothing_else(shop: TestShop, yours: MyWaitlists) -> None:
    shop.join("ada")
    subject = LinkSubject(shop.shopper("ada"), shop.sku)
    for purpose in (Purpose.CONFIRM, Purpose.UNSUBSCRIBE):
        with pytest.raises(LinkRefused):
            yours.erase(shop.links.sign(purpose, subject))
        with pytest.raises(LinkRefused):
            shop.links.read(purpose, token(shop))
    old = token(shop)
    shop.clock.pass_s(25 * 3600)
    with pytest.raises(LinkRefused):
        yours.export(old)


def test_the_email_goes_to_the_address_itself_with_the_link(
    shop: TestShop, emails: MyWaitlistsEmail, yours: MyWaitlists
) -> None:
    shop.sign_up("ada")
    emails.send(shop.shopper("ada"))
    (outgoing,) = shop.sender.sent
    assert outgoing.mailbox == "ada@example.com"
    assert f"/api/waitlists?token={token(shop)}" in outgoing.email.text
    assert looked(shop, yours)


def test_nobody_is_written_to_who_is_unknown_or_suppressed(shop: TestShop, emails: MyWaitlistsEmail) -> None:
    emails.send(shop.shopper("eve"))
    shop.sign_up("ada")
    shop.suppressions.suppress(shop.shopper("ada"), reason="bounce", at_ms=1)
    emails.send(shop.shopper("ada"))
    assert shop.sender.sent == []


def test_these_emails_have_a_cap_of_their_own(shop: TestShop, emails: MyWaitlistsEmail) -> None:
    shop.sign_up("ada")
    for _ in range(REQUESTED_EMAILS_PER_DAY_MAX + 2):
        shop.confirmations.send(shop.shopper("ada"), shop.sku)
    assert len(shop.sender.sent) == REQUESTED_EMAILS_PER_DAY_MAX
    shop.sender.sent.clear()
    for _ in range(REQUESTED_EMAILS_PER_DAY_MAX + 2):
        emails.send(shop.shopper("ada"))
    assert len(shop.sender.sent) == REQUESTED_EMAILS_PER_DAY_MAX


def test_an_email_that_was_not_taken_is_tried_again_and_not_counted(
    shop: TestShop, emails: MyWaitlistsEmail
) -> None:
    shop.sign_up("ada")
    shop.sender.refuses = REQUESTED_EMAILS_PER_DAY_MAX
    for _ in range(REQUESTED_EMAILS_PER_DAY_MAX):
        with pytest.raises(SendRefused):
            emails.send(shop.shopper("ada"))
    shop.sender.deliveries["ada@example.com"] = DeliveryOutcome.DEFERRED
    with pytest.raises(SendRefused):
        emails.send(shop.shopper("ada"))
    emails.send(shop.shopper("ada"))
    assert len(shop.sender.sent) == 1


def test_each_entry_is_shown_whole_and_in_its_state(shop: TestShop, yours: MyWaitlists) -> None:
    shop.join("ada")
    shop.sku = "NOT-SOLD"
    shop.sign_up("ada")
    seen = yours.awaited(token(shop), lambda product: replace(product, title=f"my {product.title}"))
    assert seen == (
        Awaited(
            "FJ-MOSS-M",
            "my Field Jacket",
            "Moss, M",
            "/products/field-jacket?sku=FJ-MOSS-M#v-FJ-MOSS-M",
            "confirmed",
        ),
        Awaited("NOT-SOLD", "NOT-SOLD", "", "", "pending"),
    )


def test_an_export_of_a_shopper_has_each_fact_as_it_is_stored(shop: TestShop, yours: MyWaitlists) -> None:
    shop.sign_up("ada")
    key = {"shopper": {"S": shop.shopper("ada")}, "sku": {"S": shop.sku}}
    item = shop.dynamodb.get_item(TableName=shop.entries_name, Key=key)["Item"]
    facts = {name: int(value["N"]) if "N" in value else value["S"] for name, value in item.items()}
    assert {"signed_up_at_ms", "consent", "mailbox", "page", "shopper", "sku", "state"} <= facts.keys()
    assert yours.export(token(shop)) == {"shopper": shop.shopper("ada"), "entries": [facts]}


def test_an_export_of_a_shopper_has_the_bounces_of_their_mailbox_and_of_no_other(
    shop: TestShop, yours: MyWaitlists
) -> None:
    shop.join("ada")
    for name in ("ada", "ben"):
        shop.suppressions.suppress(shop.shopper(name), reason="bounced", at_ms=shop.clock())
    assert json.loads(json.dumps(yours.export(token(shop))))["mailbox"] == {
        "shopper": shop.shopper("ada"),
        "row_version": 1,
        "bounced": str(shop.clock()),
        "reason": "bounced",
        "since_ms": shop.clock(),
    }


@pytest.mark.parametrize("sku", ["", "FJ-MOSS-M"])
def test_leaving_is_dated_by_its_time(shop: TestShop, yours: MyWaitlists, sku: str) -> None:
    shop.join("ada")
    shop.clock.pass_s(7)
    yours.unsubscribe(token(shop), sku)
    (entry,) = yours.export(token(shop))["entries"]
    assert (entry["state"], entry["unsubscribed_at_ms"]) == ("unsubscribed", shop.clock())


def test_an_erasure_is_logged_with_the_number_of_its_rows(
    shop: TestShop, yours: MyWaitlists, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.join("ada")
    shop.sku = "FJ-SLATE-M"
    shop.join("ada")
    capsys.readouterr()
    for rows in (2, 0):
        yours.erase(token(shop))
        assert logged(capsys) == [{"event": "shopper_erased", "shopper": shop.shopper("ada"), "rows": rows}]


def test_that_email_is_of_the_newest_signup_and_counts_for_the_network_that_asked(
    shop: TestShop, emails: MyWaitlistsEmail, capsys: pytest.CaptureFixture[str]
) -> None:
    ada = Address.parse("ada@example.com")
    shop.signups.sign_up(ada, ["FJ-SLATE-M"], page="/", consent="c")
    shop.clock.pass_s(1)
    newest = Address.parse("ADA@example.com")
    shop.signups.sign_up(newest, ["FJ-MOSS-M"], page="/de/products/field-jacket", consent="c")
    written: list[object] = []

    class Writer:
        def my_waitlists(self, mailbox: str, shopper: str, *, page: str) -> None:
            written.append((mailbox, shopper, page))

    sent: list[object] = []

    def send(shopper: str, compose: object, **facts: object) -> None:
        compose(Writer())  # type: ignore[operator]
        sent.append((shopper, facts))

    shop.requested_emails.send = send  # type: ignore[method-assign]
    emails.send(shop.shopper("ada"), "net4-a")
    emails.send(shop.shopper("ada"))
    assert written == [(newest.mailbox, shop.shopper("ada"), "/de/products/field-jacket")] * 2
    assert sent == [(shop.shopper("ada"), {"source": "net4-a"}), (shop.shopper("ada"), {"source": None})]
    emails.send("unknown")
    assert logged(capsys) == [{"event": "my_waitlists_not_due", "shopper": "unknown"}]

"""All that a shopper waits for: seen, left, taken along, erased, by the link of a letter only."""

import json
from dataclasses import replace

import pytest

from chalicelib.domain.address import Address
from chalicelib.domain.entry import ASKED_LETTERS_PER_DAY_MAX, CONFIRM_WITHIN_S, EntryState
from chalicelib.domain.links import LinkRefused, LinkSubject, Purpose
from chalicelib.mail.postbox import Delivery, PostboxRefused
from chalicelib.services.yours import Awaited, Yours
from chalicelib.services.yours_letters import YoursLetters
from chalicelib.tables.shoppers import ShoppersTable
from spillway.build.release import Release
from tests.clock import Clock
from tests.log_lines import logged
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


def test_each_of_theirs_is_shown_whole_and_as_it_is_told(shop: TestShop, yours: Yours) -> None:
    shop.join("ada")
    shop.sku = "NOT-SOLD"
    shop.sign_up("ada")
    seen = yours.look(token(shop), lambda product: replace(product, title=f"told {product.title}"))
    assert seen == (
        Awaited("FJ-MOSS-M", "told Field Jacket", "Moss, M", "/products/field-jacket", "confirmed"),
        Awaited("NOT-SOLD", "NOT-SOLD", "", "", "pending"),
    )


def test_what_is_taken_along_is_each_fact_as_it_is_stored(shop: TestShop, yours: Yours) -> None:
    shop.sign_up("ada")
    key = {"shopper": {"S": shop.shopper("ada")}, "sku": {"S": shop.sku}}
    item = shop.dynamodb.get_item(TableName=shop.entries_name, Key=key)["Item"]
    facts = {name: int(value["N"]) if "N" in value else value["S"] for name, value in item.items()}
    assert {"asked_at_ms", "consent", "mailbox", "page", "shopper", "sku", "state"} <= facts.keys()
    assert yours.export(token(shop)) == {"shopper": shop.shopper("ada"), "entries": [facts]}


@pytest.mark.parametrize("sku", ["", "FJ-MOSS-M"])
def test_leaving_is_dated_by_its_time(shop: TestShop, yours: Yours, sku: str) -> None:
    shop.join("ada")
    shop.clock.pass_s(7)
    yours.leave(token(shop), sku)
    (entry,) = yours.export(token(shop))["entries"]
    assert (entry["state"], entry["left_at_ms"]) == ("left", shop.clock())


def test_an_erasure_is_logged_with_the_number_of_its_rows(
    shop: TestShop, yours: Yours, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.join("ada")
    shop.sku = "FJ-SLATE-M"
    shop.join("ada")
    capsys.readouterr()
    for rows in (2, 0):
        yours.erase(token(shop))
        assert logged(capsys) == [{"event": "shopper_erased", "shopper": shop.shopper("ada"), "rows": rows}]


def test_that_letter_is_of_the_newest_signup_and_counts_for_the_network_that_asked(
    shop: TestShop, letters: YoursLetters, capsys: pytest.CaptureFixture[str]
) -> None:
    ada = Address.parse("ada@example.com")
    shop.signups.sign_up(ada, ["FJ-SLATE-M"], page="/", consent="c")
    shop.clock.pass_s(1)
    newest = Address.parse("ADA@example.com")
    shop.signups.sign_up(newest, ["FJ-MOSS-M"], page="/de/products/field-jacket", consent="c")
    written: list[object] = []

    class Writer:
        def yours(self, mailbox: str, shopper: str, *, page: str) -> None:
            written.append((mailbox, shopper, page))

    sent: list[object] = []

    def send(shopper: str, write: object, **facts: object) -> None:
        write(Writer())  # type: ignore[operator]
        sent.append((shopper, facts))

    shop.asked_letters.send = send  # type: ignore[method-assign]
    letters.send(shop.shopper("ada"), "net4-a")
    letters.send(shop.shopper("ada"))
    assert written == [(newest.mailbox, shop.shopper("ada"), "/de/products/field-jacket")] * 2
    assert sent == [(shop.shopper("ada"), {"source": "net4-a"}), (shop.shopper("ada"), {"source": ""})]
    letters.send("unknown")
    assert logged(capsys) == [{"event": "yours_not_due", "shopper": "unknown"}]

"""Why somebody did or did not get an email: each state with the words that a merchant reads."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from chalicelib.domain.email import DeliveryOutcome
from chalicelib.domain.entry import Arrival
from chalicelib.domain.feedback import Feedback, FeedbackState
from chalicelib.domain.stock import Availability
from chalicelib.domain.wave import WavePolicy
from chalicelib.tables.sending.deliverability import DeliverabilityTable
from spillway.merchant.intake import Move
from spillway.merchant.people import People
from spillway.merchant.reasons import WaitingState
from spillway.merchant.rows import EntryRows
from spillway.sitegen.release import Release
from tests.support.clock import Clock
from tests.support.dynamodb import MemoryDynamoDb
from tests.support.people import people_tables, why
from tests.support.shop import TestShop

SKU = "FJ-MOSS-M"
IN_STOCK, SOLD_OUT = Availability.IN_STOCK, Availability.OUT_OF_STOCK


@pytest.fixture
def shop(clock: Clock, small_release: Release) -> TestShop:
    return TestShop(small_release, clock, slug="field-jacket", sku=SKU)


def at(shop: TestShop) -> str:
    return f"{datetime.fromtimestamp(shop.clock() / 1000, UTC):%Y-%m-%d %H:%M:%SZ}"


def notified(
    shop: TestShop, state: FeedbackState | None = None, delivery: DeliveryOutcome | None = None
) -> None:
    """Ada is emailed, and it comes to `state`."""
    shop.join("ada")
    if delivery is not None:
        shop.sender.deliveries["ada@example.com"] = delivery
    shop.observe(IN_STOCK)
    shop.work()
    if state is not None:
        health = DeliverabilityTable(shop.dynamodb, shop.entries_name, shop.sending_name)
        feedback = Feedback(state, "m-1", shop.clock(), shop.shopper("ada"), SKU)
        assert health.store(feedback)


def never(shop: TestShop) -> None:
    del shop


def unknown_sku(shop: TestShop) -> None:
    shop.sku = "NOPE"


def pending(shop: TestShop) -> None:
    shop.sign_up("ada")


def pending_suppressed(shop: TestShop) -> None:
    shop.sign_up("ada")
    shop.suppressions.suppress(shop.shopper("ada"), reason="bounced", at_ms=shop.clock())


def expired(shop: TestShop) -> None:
    shop.sign_up("ada")
    shop.clock.pass_s(72 * 3600)


def sold_out(shop: TestShop) -> None:
    shop.join("bob", "cyd", "ada")


def sold_out_before(shop: TestShop) -> None:
    shop.join("bob", "ada")
    shop.policies.put("", WavePolicy(emails_per_unit=1, next_after_min=30))
    shop.observe(IN_STOCK, units=1)
    shop.work_until(lambda: len(shop.sender.sent) == 1)
    shop.observe(SOLD_OUT, units=0)


def next_wave(shop: TestShop) -> None:
    shop.join("bob", "cyd", "ada")
    shop.policies.put("", WavePolicy(emails_per_unit=1, next_after_min=30))
    shop.observe(IN_STOCK, units=1)
    shop.work_until(lambda: len(shop.sender.sent) == 1)


def in_turn(shop: TestShop) -> None:
    shop.join("bob", "ada")
    shop.observe(IN_STOCK)


def too_small(shop: TestShop) -> None:
    shop.join("ada")
    shop.policies.put("", WavePolicy(units_min=5))
    shop.observe(IN_STOCK, units=2)


def paused(shop: TestShop) -> None:
    shop.join("ada")
    shop.observe(IN_STOCK)
    shop.rate_limiter.batch_max(1)
    shop.rate_limiter.pause("2 complaints of 900 emails")


def deferred(shop: TestShop) -> None:
    shop.join("ada")
    shop.sender.deliveries["ada@example.com"] = DeliveryOutcome.DEFERRED
    shop.observe(IN_STOCK)
    # Each shard is walked twice; then only the email that is tried again is queued.
    shop.work_until(lambda: shop.queue.messages_waiting() == 1)


def given_up(shop: TestShop) -> None:
    deferred(shop)
    while shop.queue.messages_waiting():
        shop.sender.deliveries["ada@example.com"] = DeliveryOutcome.DEFERRED
        shop.work_once()


def suppressed(shop: TestShop) -> None:
    shop.join("ada")
    shop.suppressions.suppress(shop.shopper("ada"), reason="complained", at_ms=shop.clock())


def taken_off(shop: TestShop) -> None:
    suppressed(shop)
    shop.observe(IN_STOCK)
    shop.work()


def unsubscribed(shop: TestShop) -> None:
    shop.join("ada")
    shop.leave("ada")


def unsubscribed_after(shop: TestShop) -> None:
    notified(shop)
    shop.leave("ada")


def withdrawn(shop: TestShop) -> None:
    shop.join("bob", "ada")
    stocked = shop.products.get("field-jacket")
    assert stocked is not None
    shop.products.withdraw(stocked.product)


def moved(shop: TestShop) -> None:
    shop.join("ada")
    entries = EntryRows.of(people_tables(shop))
    Move(entries, SKU, "FJ-SLATE-M", Arrival.NEXT_RESTOCK, shop.clock()).carry_out(lambda _: None)


def asked_again_after_the_email(shop: TestShop) -> None:
    notified(shop)
    shop.observe(SOLD_OUT, units=0)
    shop.join("ada")


BEFORE_ONE = "1 person is before this one on the waitlist"
AGAIN = "; signing up again puts the person on the waitlist once more."
STATES: list[tuple[Callable[[TestShop], None], WaitingState, str]] = [
    (
        unknown_sku,
        WaitingState.UNKNOWN_SKU,
        "No email: this shop sells nothing under the SKU NOPE, and nobody at this address is on a waitlist"
        " for it.",
    ),
    (
        never,
        WaitingState.NEVER_SIGNED_UP,
        f"No email: this address is not on the waitlist for {SKU}. It never",
    ),
    (
        pending,
        WaitingState.NOT_CONFIRMED,
        "the link in the confirmation email works until 2026-09-24 14:13:20Z.",
    ),
    (
        pending_suppressed,
        WaitingState.NOT_CONFIRMED_SUPPRESSED,
        "not even the confirmation: the address is suppressed (bounced, since 2026-09-21 14:13:21Z).",
    ),
    (
        expired,
        WaitingState.EXPIRED,
        "No email: the signup was not confirmed by 2026-09-24 14:13:20Z, when its",
    ),
    (
        sold_out,
        WaitingState.SOLD_OUT,
        f"No email yet: {SKU} has not come back since the signup; 2 people are before this one on the",
    ),
    (
        sold_out_before,
        WaitingState.SOLD_OUT_BEFORE,
        "and sold out before this person's turn, after 1 email; nobody is before this person on the",
    ),
    (
        next_wave,
        WaitingState.NEXT_WAVE,
        f"No email yet: this wave has 0 emails left, the next may begin at 2026-09-21 14:43:24Z if units are"
        f" left; {BEFORE_ONE}.",
    ),
    (
        in_turn,
        WaitingState.IN_TURN,
        f"No email yet: emails about {SKU} are being sent in order; {BEFORE_ONE}.",
    ),
    (
        too_small,
        WaitingState.TOO_SMALL,
        "No email yet: 2 units in stock, and the wave policy notifies nobody of fewer than 5.",
    ),
    (
        paused,
        WaitingState.PAUSED,
        "No email yet: sending is paused (2 complaints of 900 emails); spillway resume",
    ),
    (
        deferred,
        WaitingState.DEFERRED,
        "No email yet: the mailbox put it off; it is tried again by itself for up to 32 hours.",
    ),
    (
        given_up,
        WaitingState.GIVEN_UP,
        "put it off each time, and it was given up; the position is kept for the next",
    ),
    (
        suppressed,
        WaitingState.SUPPRESSED,
        "No email: the address is suppressed (complained, since 2026-09-21 14:13:21Z).",
    ),
    (taken_off, WaitingState.TAKEN_OFF, "No email: the address is suppressed (complained, since"),
    (unsubscribed, WaitingState.UNSUBSCRIBED, "No email: unsubscribed at 2026-09-21 14:13:21Z."),
    (unsubscribed_after, WaitingState.UNSUBSCRIBED_AFTER_EMAIL, ", and unsubscribed at 2026-09-21 14:13:"),
    (
        withdrawn,
        WaitingState.WITHDRAWN,
        f"No email: the shop no longer sells {SKU}; 2 people on its waitlist can be moved with",
    ),
    (
        moved,
        WaitingState.MOVED,
        "Moved to FJ-SLATE-M at 2026-09-21 14:13:21Z: spillway why says for that SKU",
    ),
    (
        asked_again_after_the_email,
        WaitingState.SOLD_OUT,
        f"No email yet: {SKU} has not come back since the signup",
    ),
]
AFTER_SENDING = [
    (None, None, WaitingState.HANDED_OVER, "the mail service took it, nothing more is known"),
    (FeedbackState.DELIVERED, None, WaitingState.DELIVERED, "the mail server of the address took it"),
    (
        FeedbackState.DELAYED,
        None,
        WaitingState.DELAYED,
        "the mail server of the address keeps putting it off",
    ),
    (
        FeedbackState.BOUNCED_SOFT,
        None,
        WaitingState.BOUNCED_SOFT,
        "it bounced for now: a full mailbox, for example",
    ),
    (FeedbackState.BOUNCED, None, WaitingState.BOUNCED, "it bounced for good: there is no such mailbox"),
    (FeedbackState.COMPLAINED, None, WaitingState.COMPLAINED, "the person reported it as spam"),
    (FeedbackState.FAILED, None, WaitingState.FAILED, "SES could not render it"),
    (FeedbackState.REJECTED, None, WaitingState.REJECTED, "SES refused to send it"),
    (None, DeliveryOutcome.REJECTED, WaitingState.REJECTED, "the mail service refused this address for good"),
    (
        None,
        DeliveryOutcome.UNKNOWN,
        WaitingState.UNCLEAR,
        "the mail service broke off twice without an answer",
    ),
]


@pytest.mark.parametrize(
    ("story", "verdict", "words"), STATES, ids=lambda value: getattr(value, "__name__", "")
)
def test_every_state_has_its_words(
    shop: TestShop, story: Callable[[TestShop], None], verdict: WaitingState, words: str
) -> None:
    story(shop)
    explanation = why(shop, "ada")
    assert explanation.verdict is verdict
    assert words in explanation.sentence


@pytest.mark.parametrize(("state", "delivery", "verdict", "words"), AFTER_SENDING)
def test_each_outcome_of_an_email_has_its_words(
    shop: TestShop,
    state: FeedbackState | None,
    delivery: DeliveryOutcome | None,
    verdict: WaitingState,
    words: str,
) -> None:
    notified(shop, state, delivery)
    explanation = why(shop, "ada")
    assert explanation.verdict is verdict
    assert explanation.sentence.endswith(f"{words}{AGAIN}")


def test_a_suppression_that_was_lifted_is_in_nobodys_way(shop: TestShop) -> None:
    suppressed(shop)
    shop.clock.pass_s(1)
    shop.suppressions.change(shop.shopper("ada"), lambda known: known.lifted_by_operator(at_ms=shop.clock()))
    assert why(shop, "ada").verdict is WaitingState.SOLD_OUT


def test_every_verdict_has_a_state_in_these_tables() -> None:
    played = {verdict for _, verdict, _ in STATES} | {verdict for _, _, verdict, _ in AFTER_SENDING}
    # Played where people are imported.
    assert set(WaitingState) - played == {WaitingState.NEXT_RESTOCK}


def test_each_line_has_its_time_and_its_row_and_none_has_the_address(shop: TestShop) -> None:
    next_wave(shop)
    shopper = shop.shopper("ada")
    lines = why(shop, "ada").lines
    restock = shop.restocks.live(SKU)
    assert restock is not None
    entry = f"entries shopper={shopper} sku={SKU}"
    opened = f"{restock.observed_at_ms:013d}#{restock.version:012d}#{restock.id}"
    assert [(line.at_ms, line.text, line.source) for line in lines] == [
        (1_790_000_002_000, "signed up on /", entry),
        (1_790_000_003_000, "confirmed the address", entry),
        (
            restock.opened_at_ms,
            f"restock {restock.id}, 1 unit, 1 email a unit, every 30 min, 1 notified",
            f"restocks sku={SKU} opened={opened}",
        ),
        (1_790_000_004_000, "InStock, 1 unit", "products id=product#field-jacket"),
        (None, "position 2 of 2 on the waitlist", f"{entry} (index shard)"),
        (
            None,
            "wave policy for the next restock: 1 email a unit, every 30 min",
            "sending id=policy#field-jacket, else policy#",
        ),
        (None, "wave 1: 0 of 1 email left", f"sending id=wave#{SKU}"),
    ]
    assert "@" not in "".join(f"{line.text}{line.source}" for line in lines)


def test_the_email_of_an_earlier_asking_stays_in_the_lines(shop: TestShop) -> None:
    asked_again_after_the_email(shop)
    texts = [line.text for line in why(shop, "ada").lines]
    assert any(text.startswith("email about restock") and text.endswith("message m-1") for text in texts)


def test_explaining_reads_and_writes_nothing(shop: TestShop) -> None:
    shop.join("ada")

    class ReadOnly:
        def __getattr__(self, operation: str) -> object:
            assert operation.startswith(("get", "query", "scan", "batch_get")), operation
            return getattr(shop.dynamodb, operation)

    assert People(people_tables(shop, ReadOnly())).facts(shop.shopper("ada"), SKU).position == 1
    assert isinstance(shop.dynamodb, MemoryDynamoDb)

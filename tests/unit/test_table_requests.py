"""Every request of the tables, whole, and what a method returns for it: table_requests.txt has them by name.

Each word of a request is part of what a table promises. After a change that is meant,
`python -m tests.unit.test_table_requests` writes the file, and its difference is what the change does.
"""
# Several things done in one lambda, some of which return nothing.
# mypy: disable-error-code="func-returns-value"

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from chalicelib.domain.entry import EmailClaim, Entry, EntryState, OptIn, Signup, shard_of
from chalicelib.domain.feedback import Feedback, FeedbackState
from chalicelib.domain.product import Product, Variant
from chalicelib.domain.sending_limits import SendingLimits
from chalicelib.domain.stock import Availability, Restock, Stock, StockedProduct
from chalicelib.domain.suppression import MailboxHistory
from chalicelib.domain.wave import WaveBudget, WavePolicy
from chalicelib.tables.entries import EXISTS, EntriesTable
from chalicelib.tables.products import DomainListsTable, ProductsTable
from chalicelib.tables.sending import AlertStateTable, LeasesTable, WebhooksTable
from chalicelib.tables.sending.deliverability import DeliverabilityTable
from chalicelib.tables.sending.rate import SendingRateTable
from chalicelib.tables.sending.waves import PoliciesTable, ProgressTable
from chalicelib.tables.shards import Notified, RestocksTable, ShardsTable
from chalicelib.tables.suppressions import ShoppersTable, SuppressionsTable
from chalicelib.tables.table import Update
from tests.support.aws import create_table
from tests.support.recorded_calls import RANDOM, RecordedDynamoDb

REQUESTS = Path(__file__).with_name("table_requests.txt")
# 2027-01-15, half past eight and some, UTC.
NOW_MS = 1_800_003_723_456
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
SIGNUP = Signup("ada", "Ada@example.com", "A", "/de/products/hat", "consent-1")
PENDING = Entry(
    "ada", "A", "Ada@example.com", EntryState.PENDING, NOW_MS - 5, "17#ada", page="/de", consent="c1"
)
# As the table has them once they joined.
ADA = replace(PENDING, state=EntryState.CONFIRMED, position=f"{NOW_MS}#ada")
BOB = replace(ADA, shopper="bob", position=f"{NOW_MS}#bob")
MOVED = replace(ADA, state=EntryState.UNSUBSCRIBED, position=None, moved_to="B")
ADA_A = {"shopper": "ada", "sku": "A"}
ODD = replace(ADA, position=None)
SOLD_OUT = Stock(Availability.OUT_OF_STOCK, 0, 0, "catalogue")
BACK = Stock(Availability.IN_STOCK, 5, NOW_MS, "e1", 1, ("k1",))
MORE = Stock(Availability.IN_STOCK, None, NOW_MS, "e2", 2, ("k1", "k2"))
HAT = Product("hat", "Hat", "Täglich", "", "hats", (), (Variant("A", 100, (("Size", "M"),)), Variant("B", 2)))
SMALL_HAT = replace(HAT, variants=HAT.variants[:1])
BOUNCED = Feedback(FeedbackState.BOUNCED, "m1", NOW_MS - 5, "ada", "A", "tag", counts=True)
DELIVERED = replace(BOUNCED, state=FeedbackState.DELIVERED)
RESTOCK = Restock("A:1:e1", "hat", "A", 5, NOW_MS - 9, NOW_MS, WavePolicy(2, 30, 1), 7)
DAY = date(2027, 1, 15)


class Tables:
    """Every table of the shop, and the requests they make."""

    def __init__(self) -> None:
        self.client = RecordedDynamoDb()
        client: Any = self.client
        names = ("Entries", "Suppressions", "Sending", "Products", "Restocks")
        entries, suppressions, sending, products, restocks = (
            create_table(client, f"{name}Table") for name in names
        )
        self.entries_name = entries
        self.entries = EntriesTable(client, entries)
        self.shards = ShardsTable(client, entries, suppressions)
        self.shoppers = ShoppersTable(client, entries)
        self.suppressions = SuppressionsTable(client, suppressions)
        self.health = DeliverabilityTable(client, entries, sending)
        self.leases = LeasesTable(client, sending)
        self.alert_state = AlertStateTable(client, sending)
        self.rate_limiter = SendingRateTable(client, sending)
        self.policies = PoliciesTable(client, sending)
        self.progress = ProgressTable(client, sending)
        self.webhooks = WebhooksTable(client, sending)
        self.products = ProductsTable(client, products)
        self.domains = DomainListsTable(client, products)
        self.restocks = RestocksTable(client, restocks)

    def join(self, *shoppers: str) -> None:
        """Put shoppers into the line."""
        for shopper in shoppers:
            signup = replace(SIGNUP, shopper=shopper, opt_in=OptIn.SINGLE)
            assert self.entries.sign_up(signup, at_ms=NOW_MS)

    def counting(self) -> list[Update]:
        """Return a write that is done along with others."""
        return [self.progress.count("r1", "A#1", at_ms=NOW_MS, notified=2, rejected=0)]

    def limits(self, at_ms: int = NOW_MS) -> None:
        """Put limits of 100 emails, 10 a second."""
        self.rate_limiter.put_limits(SendingLimits(10.0, 100), at_ms=at_ms, known=None)

    def take(self, emails: int = 10, *, at_ms: int = NOW_MS, wait_ms_max: int = 2_000) -> int | None:
        """Reserve a turn that takes a tenth of a second for each email."""
        return self.rate_limiter.take(
            emails, cost_us=emails * 100_000 - 1, at_ms=at_ms, wait_ms_max=wait_ms_max
        )

    def catalogue(self, product: Product = HAT) -> int:
        """Publish a product."""
        stock = {variant.sku: SOLD_OUT for variant in product.variants}
        return self.products.put_catalogue(product, stock, known=self.products.get(product.slug))


def seen(stocked: StockedProduct | None) -> tuple[bool, Any]:
    """Return whether the product is the small hat, and its stock."""
    assert stocked is not None
    return stocked.product == SMALL_HAT, stocked.stock


Act = Callable[[Tables], Any]
NOTHING: Act = lambda t: None  # noqa: E731 - as the others are
# What is done, and what is done before it, whose requests are not looked at.
CASES: dict[str, tuple[Act, Act]] = {
    "a signup": (lambda t: t.entries.sign_up(SIGNUP, at_ms=NOW_MS), NOTHING),
    "a signup from a network": (
        lambda t: t.entries.sign_up(replace(SIGNUP, source="net4-x"), at_ms=NOW_MS),
        NOTHING,
    ),
    "a signup that counts at once": (
        lambda t: t.entries.sign_up(replace(SIGNUP, opt_in=OptIn.SINGLE), at_ms=NOW_MS),
        NOTHING,
    ),
    "a signup from a network that counts at once": (
        lambda t: t.entries.sign_up(replace(SIGNUP, opt_in=OptIn.SINGLE, source="net4-x"), at_ms=NOW_MS),
        NOTHING,
    ),
    "an entry rejoins": (lambda t: t.entries.rejoin(PENDING), NOTHING),
    "an entry is kept as it was": (
        lambda t: t.entries.keep(replace(ADA, signed_up_at_ms=7), replace(ADA, signed_up_at_ms=NOW_MS)),
        lambda t: t.join("ada"),
    ),
    "an entry of before consent was stored is kept as it was": (
        lambda t: t.entries.keep(
            replace(ADA, signed_up_at_ms=7, consent=None), replace(ADA, signed_up_at_ms=NOW_MS)
        ),
        NOTHING,
    ),
    "an entry is confirmed": (
        lambda t: t.entries.confirm("ada", "A", at_ms=NOW_MS),
        lambda t: t.entries.sign_up(SIGNUP, at_ms=NOW_MS),
    ),
    "an entry is left": (lambda t: t.entries.unsubscribe("ada", "A", at_ms=NOW_MS), lambda t: t.join("ada")),
    "an entry that was moved is left": (
        lambda t: t.entries.unsubscribe("ada", "A", at_ms=NOW_MS),
        lambda t: (t.join("ada"), t.entries.table.update_if(ADA_A, EXISTS, {"moved_to": "B"})),
    ),
    "a move is forgotten": (lambda t: t.entries.forget_move(MOVED, at_ms=NOW_MS), NOTHING),
    "a signup is undone": (
        lambda t: t.entries.undo("ada", "A", signed_up_at_ms=NOW_MS),
        lambda t: t.join("ada"),
    ),
    "a confirmation lifts a suppression": (
        lambda t: t.entries.mark_retry(PENDING, at_ms=NOW_MS),
        lambda t: t.entries.sign_up(SIGNUP, at_ms=PENDING.signed_up_at_ms),
    ),
    "an entry is read": (lambda t: t.entries.get("ada", "A"), lambda t: t.join("ada")),
    "an entry is read that is not there": (lambda t: t.entries.get("ada", "B"), lambda t: t.join("ada")),
    "all entries of a shopper": (
        lambda t: t.entries.of_shopper("ada"),
        lambda t: (t.join("ada", "bob"), t.entries.count_requested_email("ada", at_ms=NOW_MS)),
    ),
    "a first email asked for": (lambda t: t.entries.count_requested_email("ada", at_ms=NOW_MS), NOTHING),
    "a second email asked for that covers others": (
        lambda t: t.entries.count_requested_email(
            "ada", at_ms=NOW_MS, claim=EmailClaim("ada", "Ä", {"Ä": 1, "B": 2}), budget="my-waitlists"
        ),
        lambda t: t.entries.count_requested_email("ada", at_ms=NOW_MS - 1, budget="my-waitlists"),
    ),
    "an email asked for a day after another": (
        lambda t: t.entries.count_requested_email("ada", at_ms=NOW_MS),
        lambda t: [t.entries.count_requested_email("ada", at_ms=NOW_MS - DAY_MS + ago) for ago in (0, 1)],
    ),
    "an email given back that was not sent": (
        lambda t: t.entries.count_requested_email("ada", at_ms=NOW_MS - 1, emails=-1),
        lambda t: [t.entries.count_requested_email("ada", at_ms=NOW_MS - ago) for ago in (3, 1, 0)],
    ),
    "an email given back that was given back before": (
        lambda t: t.entries.count_requested_email("ada", at_ms=NOW_MS + 9, emails=-1),
        lambda t: [t.entries.count_requested_email("ada", at_ms=NOW_MS - ago) for ago in (3, 1, 0)],
    ),
    "an email asked for by a network": (
        lambda t: t.entries.count_requested_by_network("net4-x", at_ms=NOW_MS, limit=1),
        NOTHING,
    ),
    "an email more than a network may ask for": (
        lambda t: t.entries.count_requested_by_network(
            "net4-x", at_ms=NOW_MS, limit=1, budget="my-waitlists"
        ),
        lambda t: t.entries.count_requested_by_network(
            "net4-x", at_ms=NOW_MS - 23 * HOUR_MS, limit=1, budget="my-waitlists"
        ),
    ),
    "an email given back by a network over its limit": (
        lambda t: t.entries.count_requested_by_network("net4-x", at_ms=NOW_MS, limit=0, emails=-1),
        lambda t: t.entries.count_requested_by_network("net4-x", at_ms=NOW_MS, limit=9, emails=3),
    ),
    "an admission": (lambda t: t.entries.count_single_opt_in(ADA), NOTHING),
    "an admission more than a day has": (
        lambda t: t.entries.count_single_opt_in(ADA),
        lambda t: [t.entries.count_single_opt_in(replace(ADA, sku=f"S{number}")) for number in range(10)],
    ),
    "the next of a shard where nobody waits": (
        lambda t: t.shards.waiting("A#1", after="", upto="~", limit=1),
        NOTHING,
    ),
    "the next of a shard where more may follow": (
        lambda t: t.shards.waiting(shard_of("A", "ada"), after="1", upto="~", limit=1),
        lambda t: t.join("ada"),
    ),
    "the first of all shards": (
        lambda t: t.shards.first_waiting("A", limit=2, after="1"),
        lambda t: t.join("ada", "bob", "cyd"),
    ),
    "a line is counted": (lambda t: t.shards.count("A"), lambda t: t.join("ada", "bob")),
    "a part of a line is counted": (
        lambda t: t.shards.count("A", after="1", upto="17"),
        lambda t: t.join("ada", "bob"),
    ),
    "those who still wait": (
        lambda t: t.shards.still_waiting([ADA, BOB], not_deferred_for="r1"),
        lambda t: (t.join("ada", "bob"), t.shards.defer(BOB, restock_id="r1")),
    ),
    "nobody still waits": (lambda t: t.shards.still_waiting([]), NOTHING),
    "an email is deferred": (lambda t: t.shards.defer(BOB, restock_id="r1"), lambda t: t.join("bob")),
    "an email is deferred and counted": (
        lambda t: t.shards.defer(BOB, restock_id="r1", counting=t.counting()),
        lambda t: t.join("bob"),
    ),
    "an email is deferred for an entry without a position": (
        lambda t: t.shards.defer(ODD, restock_id="r1", counting=t.counting()),
        NOTHING,
    ),
    "entries are marked in one transaction": (
        lambda t: t.shards.mark_batch(
            [Notified(ADA, "accepted", "m-1"), Notified(BOB, "rejected", "")],
            restock_id="r1",
            at_ms=NOW_MS,
            counting=t.counting(),
        ),
        lambda t: t.join("bob"),
    ),
    "an entry without a position is marked in a transaction": (
        lambda t: t.shards.mark_batch(
            [Notified(ODD, "accepted", "m-1")], restock_id="r1", at_ms=NOW_MS, counting=t.counting()
        ),
        NOTHING,
    ),
    "entries are marked each for itself": (
        lambda t: t.shards.mark_each(
            [Notified(ADA, "accepted", "m-1"), Notified(BOB, "rejected", "")], restock_id="r1", at_ms=NOW_MS
        ),
        lambda t: t.join("bob"),
    ),
    "an entry without a position is marked for itself": (
        lambda t: t.shards.mark_each([Notified(ODD, "accepted", "m-1")], restock_id="r1", at_ms=NOW_MS),
        NOTHING,
    ),
    "all that is kept of a shopper": (
        lambda t: t.shoppers.kept("ada"),
        lambda t: (
            t.entries.sign_up(SIGNUP, at_ms=NOW_MS),
            t.health.store(DELIVERED),
            t.health.store(replace(DELIVERED, sent_at_ms=NOW_MS)),
            t.entries.count_requested_email("ada", at_ms=NOW_MS),
        ),
    ),
    "a shopper is erased": (
        lambda t: t.shoppers.erase("ada"),
        lambda t: (t.join("ada"), t.entries.count_requested_email("ada", at_ms=NOW_MS)),
    ),
    "a complaint suppresses": (
        lambda t: t.suppressions.suppress("ada", reason="complaint", at_ms=NOW_MS),
        NOTHING,
    ),
    "a suppression is known already": (
        lambda t: t.suppressions.suppress("ada", reason="blocked", at_ms=NOW_MS),
        lambda t: t.suppressions.suppress("ada", reason="blocked", at_ms=NOW_MS),
    ),
    "a bounce is recorded of a mailbox with a history": (
        lambda t: t.suppressions.record("ada", MailboxHistory(bounced=frozenset({7})), at_ms=NOW_MS),
        lambda t: t.suppressions.record("ada", MailboxHistory(bounced_soft=frozenset({3, 1})), at_ms=NOW_MS),
    ),
    "a history that suppresses nobody is kept for a while": (
        lambda t: t.suppressions.record("ada", MailboxHistory(bounced_soft=frozenset({3, 1})), at_ms=NOW_MS),
        NOTHING,
    ),
    "a history of no known time": (
        lambda t: t.suppressions.record("ada", MailboxHistory(bounced_soft=frozenset({3, 1}))),
        NOTHING,
    ),
    "a suppression whose owner is asked once more": (
        lambda t: t.suppressions.record("ada", MailboxHistory(bounced=frozenset({1}), retried_at_ms=2)),
        NOTHING,
    ),
    "a suppression is lifted": (
        lambda t: t.suppressions.change(
            "ada", lambda known: known.lifted_by_operator(at_ms=NOW_MS), at_ms=NOW_MS, because="they called"
        ),
        lambda t: t.suppressions.suppress("ada", reason="bounce", at_ms=7),
    ),
    "a reason of an operator stays with the row": (
        lambda t: t.suppressions.suppress("ada", reason="unsubscribed", at_ms=NOW_MS + 1),
        lambda t: (
            t.suppressions.suppress("ada", reason="bounce", at_ms=7),
            t.suppressions.change(
                "ada", lambda known: known.lifted_by_operator(at_ms=9), because="they called"
            ),
        ),
    ),
    "a mailbox's history": (lambda t: t.suppressions.history("ada"), NOTHING),
    "the suppressed among some": (
        lambda t: t.suppressions.among(["ada", "bob", "ada"]),
        lambda t: t.suppressions.suppress("bob", reason="bounce", at_ms=7),
    ),
    "every suppression": (
        lambda t: list(t.suppressions.all()),
        lambda t: (
            t.suppressions.record("ada", MailboxHistory(bounced_soft=frozenset({3}))),
            t.suppressions.suppress("bob", reason="bounce", at_ms=7),
            t.suppressions.suppress("cyd", reason="complained", at_ms=8),
        ),
    ),
    "a delivery is stored": (lambda t: t.health.store(DELIVERED), lambda t: t.join("ada")),
    "a delivery is stored after a bounce": (
        lambda t: t.health.store(DELIVERED),
        lambda t: (t.join("ada"), t.health.store(BOUNCED)),
    ),
    "a bounce is stored": (lambda t: t.health.store(BOUNCED), lambda t: t.join("ada")),
    "a bounce of an entry that is gone": (lambda t: t.health.store(BOUNCED), NOTHING),
    "deliveries to a shopper": (
        lambda t: sorted(t.health.delivered("ada")),
        lambda t: (
            t.join("ada"),
            t.health.store(DELIVERED),
            t.health.store(replace(DELIVERED, sent_at_ms=1)),
        ),
    ),
    "a bounce is counted": (lambda t: t.health.count(BOUNCED, at_ms=NOW_MS), NOTHING),
    "a complaint about no restock is counted": (
        lambda t: t.health.count(
            replace(BOUNCED, state=FeedbackState.COMPLAINED, restock="", sent_at_ms=NOW_MS), at_ms=NOW_MS
        ),
        lambda t: t.health.forget(at_ms=NOW_MS),
    ),
    "a bounce of before sending was resumed": (
        lambda t: t.health.count(BOUNCED, at_ms=NOW_MS),
        lambda t: t.health.forget(at_ms=NOW_MS),
    ),
    "bounces and complaints of days": (
        lambda t: t.health.bounced_and_complained([DAY, date(2027, 1, 14)]),
        lambda t: t.health.count(BOUNCED, at_ms=NOW_MS),
    ),
    "bounces and complaints are forgotten": (lambda t: t.health.forget(at_ms=NOW_MS), NOTHING),
    "a lease is taken": (
        lambda t: t.leases.take(["A#1"], holder="w1", at_ms=NOW_MS, lease_ms=30_000),
        NOTHING,
    ),
    "two leases are taken": (
        lambda t: t.leases.take(["A#1", "A#2"], holder="w1", at_ms=NOW_MS, lease_ms=30_000),
        NOTHING,
    ),
    "leases are released": (lambda t: t.leases.release(["A#1", "A#2"], holder="w1"), NOTHING),
    "the last notice of dead letters": (lambda t: t.alert_state.dead_letters(), NOTHING),
    "a notice of dead letters": (lambda t: t.alert_state.alerted(3), NOTHING),
    "the pace before the first email": (lambda t: t.rate_limiter.state(), NOTHING),
    "the pace": (
        lambda t: t.rate_limiter.state(),
        lambda t: (t.limits(), t.take(), t.rate_limiter.pause("bounces")),
    ),
    "the pace after a pause": (
        lambda t: t.rate_limiter.state(),
        lambda t: (t.limits(), t.take(), t.rate_limiter.pause("bounces"), t.rate_limiter.resume()),
    ),
    "the pace of a row of which nothing is known yet": (
        lambda t: t.rate_limiter.state(),
        lambda t: t.rate_limiter.elect(at_ms=NOW_MS, for_ms=15_000, known=None),
    ),
    "a worker is elected": (lambda t: t.rate_limiter.elect(at_ms=NOW_MS, for_ms=15_000, known=None), NOTHING),
    "a worker is elected that knows limits": (
        lambda t: t.rate_limiter.elect(at_ms=NOW_MS, for_ms=15_000, known=t.rate_limiter.state()),
        lambda t: t.limits(),
    ),
    "the first limits": (
        lambda t: t.rate_limiter.put_limits(SendingLimits(14.5, 200), at_ms=NOW_MS, known=None),
        NOTHING,
    ),
    "limits after some emails": (
        lambda t: t.rate_limiter.put_limits(
            SendingLimits(14.5, 200), at_ms=NOW_MS + 1, known=t.rate_limiter.state()
        ),
        lambda t: (t.limits(), t.take()),
    ),
    "limits a month after some emails": (
        lambda t: t.rate_limiter.put_limits(
            SendingLimits(14.5, 200), at_ms=NOW_MS, known=t.rate_limiter.state()
        ),
        lambda t: (
            t.limits(NOW_MS - 40 * DAY_MS),
            *[t.take(at_ms=NOW_MS - days * DAY_MS) for days in (40, 32, 31, 2)],
            *[t.take(at_ms=NOW_MS - hours * HOUR_MS) for hours in (26, 25, 24)],
        ),
    ),
    "limits hours after some emails": (
        lambda t: t.rate_limiter.put_limits(
            SendingLimits(14.5, 200), at_ms=NOW_MS, known=t.rate_limiter.state()
        ),
        lambda t: (t.limits(NOW_MS - 30 * HOUR_MS), t.take(at_ms=NOW_MS - 30 * HOUR_MS)),
    ),
    "a turn at once": (lambda t: t.take(), lambda t: t.limits()),
    "a turn after another": (lambda t: t.take(5), lambda t: (t.limits(), t.take())),
    "a turn too far away": (
        lambda t: t.take(wait_ms_max=998),
        lambda t: (t.limits(), t.take()),
    ),
    "sending is paused": (lambda t: t.rate_limiter.pause("bounces"), NOTHING),
    "sending is paused already": (
        lambda t: t.rate_limiter.pause("more"),
        lambda t: t.rate_limiter.pause("bounces"),
    ),
    "sending is resumed": (
        lambda t: t.rate_limiter.resume(),
        lambda t: (
            t.limits(),
            t.take(),
            t.rate_limiter.pause("bounces"),
            t.rate_limiter.resume(),
            t.limits(NOW_MS + 1),
            t.take(7, at_ms=NOW_MS + 2_000),
            t.rate_limiter.pause("complaints"),
        ),
    ),
    "sending is resumed that was not paused": (lambda t: t.rate_limiter.resume(), lambda t: t.limits()),
    "sending is resumed that never began": (lambda t: t.rate_limiter.resume(), NOTHING),
    "a product's policy": (
        lambda t: t.policies.of("hat"),
        lambda t: (t.policies.put("hat", WavePolicy(2, 7, 3)), t.policies.put(None, WavePolicy(9))),
    ),
    "a product that follows the shop's policy": (
        lambda t: t.policies.of("hat"),
        lambda t: t.policies.put(None, WavePolicy(9)),
    ),
    "the shop's policy": (lambda t: t.policies.of(None), NOTHING),
    "a policy is put": (lambda t: t.policies.put("hat", WavePolicy(2, 7, 3)), NOTHING),
    "a policy is removed": (lambda t: t.policies.remove("hat"), NOTHING),
    "emails are counted": (
        lambda t: t.progress.add("r1", "A#1", at_ms=NOW_MS, notified=2, rejected=0, deferred_now=-1),
        NOTHING,
    ),
    "no emails are counted": (lambda t: t.progress.add("r1", "A#1", at_ms=NOW_MS, notified=0), NOTHING),
    "emails of a wave": (lambda t: t.progress.take_from_wave("A", 3, at_ms=NOW_MS).request(), NOTHING),
    "emails are given back to a wave": (
        lambda t: t.progress.give_back("A", 3, number=2),
        lambda t: t.progress.put_wave("A", WaveBudget(2, 9, 5, 7), known=WaveBudget(), at_ms=NOW_MS),
    ),
    "the first wave": (
        lambda t: t.progress.put_wave("A", WaveBudget(1, 9, 8, 7), known=WaveBudget(), at_ms=NOW_MS),
        NOTHING,
    ),
    "the next wave": (
        lambda t: t.progress.put_wave("A", WaveBudget(2, 4, 3), known=WaveBudget(1, 9, 8), at_ms=NOW_MS),
        lambda t: t.progress.put_wave("A", WaveBudget(1, 9, 8, 7), known=WaveBudget(), at_ms=NOW_MS),
    ),
    "a wave": (
        lambda t: t.progress.wave("A"),
        lambda t: (
            t.progress.put_wave("A", WaveBudget(1, 9, 8, 7), known=WaveBudget(), at_ms=NOW_MS),
            t.progress.announce("A", "r1", 3),
        ),
    ),
    "a wave that there is not": (lambda t: t.progress.wave("A"), NOTHING),
    "a wave is announced": (lambda t: t.progress.announce("A", "r1", 2), NOTHING),
    "an unclear batch": (lambda t: t.progress.first_unclear("r1", "A#1", "17#ada"), NOTHING),
    "one left after an email": (lambda t: t.progress.count_unsubscribed("r1", at_ms=NOW_MS), NOTHING),
    "the progress of a restock": (
        lambda t: t.progress.of("r1", ["A#1", "A#2"]),
        lambda t: (
            t.progress.add("r1", "A#1", at_ms=NOW_MS, notified=2),
            t.progress.add("r1", "all", at_ms=NOW_MS + 1, notified=3, rejected=1),
            t.progress.count_unsubscribed("r1", at_ms=NOW_MS),
        ),
    ),
    "the progress of an unknown restock": (lambda t: t.progress.of("r1", []), NOTHING),
    "a webhook is looked up": (lambda t: t.webhooks.is_known("d1"), NOTHING),
    "a webhook is taken in": (lambda t: t.webhooks.first_time("d1", at_ms=NOW_MS), NOTHING),
    "a SKU's product": (lambda t: t.products.slug_of("A"), lambda t: t.catalogue()),
    "a product": (lambda t: seen(t.products.get("hat")), lambda t: t.catalogue(SMALL_HAT)),
    "a product that there is not": (lambda t: t.products.get("cap"), NOTHING),
    "several products": (
        lambda t: [seen(value) for value in t.products.get_many(["hat", "cap", "hat"]).values()],
        lambda t: t.catalogue(SMALL_HAT),
    ),
    "every product": (lambda t: [seen(item) for item in t.products.scan()], lambda t: t.catalogue(SMALL_HAT)),
    "a first product": (
        lambda t: t.products.put_catalogue(SMALL_HAT, {"A": SOLD_OUT}, known=None),
        NOTHING,
    ),
    "a product with one more variant": (lambda t: t.catalogue(), lambda t: t.catalogue(SMALL_HAT)),
    "a product with one variant less": (lambda t: t.catalogue(SMALL_HAT), lambda t: t.catalogue()),
    "a product that changed nothing": (lambda t: t.catalogue(), lambda t: t.catalogue()),
    "a variant that has stock already": (
        lambda t: t.products.put_catalogue(HAT, {"B": BACK}, known=t.products.get("hat")),
        lambda t: (t.catalogue(), t.catalogue(SMALL_HAT)),
    ),
    "a product is withdrawn": (lambda t: t.products.withdraw(SMALL_HAT), lambda t: t.catalogue(SMALL_HAT)),
    "a withdrawn product whose SKU moved on": (
        lambda t: t.products.withdraw(SMALL_HAT),
        lambda t: t.catalogue(replace(SMALL_HAT, slug="cap")),
    ),
    "the first stock of a variant": (
        lambda t: t.products.observe("hat", "A", BACK, known=SOLD_OUT),
        lambda t: t.catalogue(),
    ),
    "the next stock of a variant": (
        lambda t: t.products.observe("hat", "A", MORE, known=BACK),
        lambda t: (t.catalogue(), t.products.observe("hat", "A", BACK, known=SOLD_OUT)),
    ),
    "stock of several variants": (
        lambda t: t.products.observe_all(
            [("hat", "A", MORE, BACK), ("cap", "C", BACK, SOLD_OUT), ("hat", "B", BACK, SOLD_OUT)]
        ),
        lambda t: t.catalogue(),
    ),
    "stock of no variants": (lambda t: t.products.observe_all([]), NOTHING),
    "an unknown list of domains": (lambda t: t.domains.named("d1"), NOTHING),
    "a list of domains": (
        lambda t: [sorted(t.domains.named("d1")), sorted(t.domains.named("d1"))],
        lambda t: t.domains.put("d1", ["b.example", "a.example"]),
    ),
    "a restock is opened": (lambda t: t.restocks.open(RESTOCK), NOTHING),
    "a restock of uncounted units is opened": (
        lambda t: t.restocks.open(replace(RESTOCK, units=None)),
        NOTHING,
    ),
    "the live restock": (lambda t: t.restocks.live("A"), lambda t: t.restocks.open(RESTOCK)),
    "the newest restocks": (
        lambda t: t.restocks.newest("A", most=5),
        lambda t: (t.restocks.open(RESTOCK), t.restocks.open(replace(RESTOCK, units=None, version=8))),
    ),
}


def as_text(case: str) -> str:
    """Return what a case returns and asks for."""
    tables, (act, first) = Tables(), CASES[case]
    first(tables)
    tables.client.calls.clear()
    result = act(tables)
    return RANDOM.sub("", "\n".join([f"returns {result!r}", *tables.client.calls]))


def in_file() -> dict[str, str]:
    """Return the text of each case as the file has it."""
    parts = re.split(r"^# (.+)\n", REQUESTS.read_text(), flags=re.MULTILINE)[1:]
    return {name: text.rstrip("\n") for name, text in zip(parts[::2], parts[1::2], strict=True)}


WANTED = in_file() if REQUESTS.exists() else {}


def test_requests_and_their_results_are_those_in_the_file() -> None:
    found = {case: as_text(case) for case in CASES}
    assert {case: (text, WANTED.get(case)) for case, text in found.items() if text != WANTED.get(case)} == {}


def test_the_file_has_no_other_requests() -> None:
    assert [*WANTED] == [*CASES]


if __name__ == "__main__":
    REQUESTS.write_text("\n".join(f"# {case}\n{as_text(case)}\n" for case in CASES))

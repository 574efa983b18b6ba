"""When an address is suppressed, how its owner comes out of it, and that no order of events matters."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.domain.entry import EntryState
from chalicelib.domain.stock import Availability
from chalicelib.domain.suppression import (
    EMAILS_KEPT_MAX,
    RETRY_AFTER_MS,
    RETRY_AFTER_MS_MAX,
    MailboxHistory,
    Suppression,
    SuppressionReason,
)
from chalicelib.domain.tokens import LinkSubject, Purpose
from chalicelib.services.confirmations import lift_confirmed
from chalicelib.services.ses_events import SesEventHandler
from chalicelib.tables.sending.deliverability import DeliverabilityTable
from chalicelib.tables.suppressions import SuppressionBusy, SuppressionsTable
from spillway.sitegen.release import Release
from tests.support.aws import create_table
from tests.support.clock import Clock
from tests.support.dynamodb import ConditionFailed, MemoryDynamoDb
from tests.support.ses_events import SET, TOPIC, event, notification
from tests.support.shop import TestShop

DAY_MS = 24 * 3600 * 1000
START_MS = Clock().now_ms


def at(day: float) -> int:
    return START_MS + int(day * DAY_MS)


def soft(*days: float, delivered: tuple[float, ...] = ()) -> MailboxHistory:
    return MailboxHistory(bounced_soft=frozenset(map(at, days)), delivered=frozenset(map(at, delivered)))


@pytest.mark.parametrize(
    ("history", "since_day"),
    [
        (soft(0, 3, 7), 7),
        (soft(0, 3, 6.9), None),
        (soft(0, 30), None),
        (soft(0, 1, 2, 3, 4), None),
        (soft(0, 3, 7, delivered=(5,)), None),
        (soft(0, 3, 7, delivered=(8,)), None),
        (soft(0, 3, 7, delivered=(-1,)), 7),
        # SES says "delivered" of an email that its server took, and bounced later.
        (soft(0, 3, 7, delivered=(0, 3, 7)), 7),
        (soft(0, 3, 7, 9, 12, 15, delivered=(8,)), None),
        (soft(0, 3, 7, 9, 12, 16, delivered=(8,)), 16),
    ],
)
def test_soft_bounces_suppress_when_repeated_over_days_without_a_delivery(
    history: MailboxHistory, since_day: float | None
) -> None:
    found = history.suppression
    if since_day is None:
        assert found is None
    else:
        since_ms = at(since_day)
        assert found == Suppression(SuppressionReason.BOUNCED_SOFT, since_ms, since_ms + RETRY_AFTER_MS)


@pytest.mark.parametrize(
    ("bounced", "wait_days"),
    [
        ((0,), 30),
        # The emails of one visit are one bounce.
        ((0, 0.01, 0.5), 30),
        ((0, 40), 60),
        ((0, 40, 110), 120),
        ((0, 40, 110, 240, 500), 365),
        (tuple(range(0, 400, 2)), 365),
    ],
)
def test_each_further_bounce_doubles_the_time_until_the_owner_is_asked(
    bounced: tuple[float, ...], wait_days: int
) -> None:
    history = MailboxHistory(bounced=frozenset(map(at, bounced)))
    assert history.suppression == Suppression(
        SuppressionReason.BOUNCED, at(bounced[-1]), at(bounced[-1] + wait_days)
    )
    assert RETRY_AFTER_MS_MAX == 365 * DAY_MS


def test_the_strongest_reason_is_given() -> None:
    known = MailboxHistory(unsubscribed_at_ms=1)
    assert known.suppression == Suppression(SuppressionReason.UNSUBSCRIBED, 1, 1)
    for changes, reason in (
        ({"bounced_soft": frozenset(map(at, (0, 4, 8)))}, "bounced_soft"),
        ({"bounced": frozenset({at(0)})}, "bounced"),
        ({"blocked_at_ms": 5}, "blocked"),
        ({"complained_at_ms": 6}, "complained"),
    ):
        known = replace(known, **changes)
        assert known.suppression is not None
        assert known.suppression.reason == reason
    assert known.suppression == Suppression(SuppressionReason.COMPLAINED, 6, None)
    assert known.retried(at_ms=at(999), signed_up_at_ms=at(999)) == known


def test_a_lifted_suppression_stays_lifted_until_a_new_event() -> None:
    known = MailboxHistory(complained_at_ms=at(1), blocked_at_ms=at(2), bounced=frozenset({at(3)}))
    lifted = known.lifted_by_operator(at_ms=at(4))
    assert lifted.suppression is None
    assert lifted.joined(known).suppression is None
    again = lifted.joined(MailboxHistory(complained_at_ms=at(5)))
    assert again.suppression == Suppression(SuppressionReason.COMPLAINED, at(5), None)


def test_the_newest_emails_are_kept() -> None:
    history = MailboxHistory()
    for day in range(EMAILS_KEPT_MAX + 5):
        history = history.joined(MailboxHistory(bounced=frozenset({at(day)})))
    assert sorted(history.bounced) == [at(day) for day in range(5, EMAILS_KEPT_MAX + 5)]


class Mailboxes:
    """The history of one shopper's address: SES's events and the shopper's signups."""

    def __init__(self, release: Release, clock: Clock) -> None:
        self.shop = TestShop(release, clock, slug="field-jacket", sku="FJ-MOSS-M")
        health = DeliverabilityTable(self.shop.dynamodb, self.shop.entries_name, self.shop.sending_name)
        self.desk = SesEventHandler(
            health, self.shop.suppressions, self.shop.rate_limiter, clock, topic=TOPIC, configuration_set=SET
        )
        self.id = self.shop.shopper("ada")

    def hears(self, kind: str, sent_ms: int, **details: Any) -> None:
        sent = datetime.fromtimestamp(sent_ms / 1000, UTC).isoformat(timespec="milliseconds")
        tags = {"email": "available", "shopper": self.id, "sku": self.shop.sku}
        tags = {name: value for name, value in tags.items() if value}
        details.setdefault("timestamp", sent)
        self.desk.handle(notification(event(kind, tags, message_id=f"m{sent_ms}", sent=sent, **details)))

    def soft_bounces(self, sent_ms: int) -> None:
        self.hears("Bounce", sent_ms, bounceType="Transient", bounceSubType="MailboxFull")

    def row(self) -> dict[str, Any]:
        """The row of the suppressions table, as it is stored."""
        key = {"shopper": {"S": self.id}}
        name = self.shop.table_names["SuppressionsTable"]
        found = self.shop.dynamodb.get_item(TableName=name, Key=key).get("Item", {})
        return {name: next(iter(value.values())) for name, value in found.items()}

    def reason(self) -> str | None:
        return self.row().get("reason")

    def asks(self) -> int:
        """The shopper signs up; how many confirmation emails leave by that."""
        before = len(self.shop.sender.sent)
        self.shop.sign_up("ada")
        self.shop.confirmations.send(self.id, self.shop.sku)
        return len(self.shop.sender.sent) - before

    def confirms(self) -> None:
        """The shopper presses the button, and the stream's reaction comes a little later."""
        token = self.shop.links.sign(Purpose.CONFIRM, LinkSubject(self.id, self.shop.sku))
        assert self.shop.waitlist.confirm(token)

    def is_reacted_to(self) -> None:
        lift_confirmed(self.shop.suppressions, self.id, at_ms=self.shop.clock())


@pytest.fixture
def ada(small_release: Release, clock: Clock) -> Mailboxes:
    return Mailboxes(small_release, clock)


def test_the_third_soft_bounce_suppresses_and_a_late_delivery_lifts_it(ada: Mailboxes) -> None:
    ada.shop.join("ada")
    for day in (0, 4):
        ada.soft_bounces(at(day))
        ada.soft_bounces(at(day))
    assert ada.reason() is None
    ada.soft_bounces(at(8))
    assert (ada.reason(), ada.row()["since_ms"]) == ("bounced_soft", str(at(8)))
    assert ada.shop.suppressions.among([ada.id]) == {ada.id}
    ada.hears("Delivery", at(5))
    assert ada.reason() is None
    assert ada.shop.suppressions.among([ada.id]) == frozenset()


def test_a_delivery_known_before_any_soft_bounce_counts_even_when_a_newer_email_was_known_first(
    ada: Mailboxes,
) -> None:
    ada.shop.join("ada")
    ada.hears("DeliveryDelay", at(10))
    ada.hears("Delivery", at(5))
    for day in (0, 4, 8):
        ada.soft_bounces(at(day))
    assert ada.reason() is None


def test_a_soft_bounce_about_the_email_says_nothing_about_the_mailbox(ada: Mailboxes) -> None:
    for day in (0, 4, 8, 12):
        ada.hears("Bounce", at(day), bounceType="Transient", bounceSubType="ContentRejected")
    assert ada.row() == {}


def test_a_bounce_after_a_complaint_leaves_the_complaint(ada: Mailboxes) -> None:
    ada.hears("Complaint", at(0))
    ada.hears("Bounce", at(1))
    assert (ada.reason(), ada.row()["since_ms"]) == ("complained", str(at(0)))


def test_a_bounced_shopper_who_signs_up_after_the_wait_is_asked_once_and_lifts_it_by_confirming(
    ada: Mailboxes,
) -> None:
    shop = ada.shop
    ada.hears("Bounce", shop.clock())
    shop.clock.pass_s(30 * 86400 - 10)
    assert ada.asks() == 0
    shop.clock.pass_s(20 * 60)
    assert ada.asks() == 1
    # Nothing but this email may go meanwhile; the same signup's may be repeated, another signup's not.
    assert shop.suppressions.among([ada.id]) == {ada.id}
    shop.confirmations.send(ada.id, shop.sku)
    assert len(shop.sender.sent) == 2
    shop.clock.pass_s(20 * 60)
    assert ada.asks() == 0
    shop.clock.pass_s(3 * 86400)
    assert ada.asks() == 1
    ada.confirms()
    ada.is_reacted_to()
    assert ada.reason() is None
    ada.is_reacted_to()
    shop.observe(Availability.IN_STOCK)
    shop.work()
    assert shop.sender.sent[-1].tags["email"] == "available"


def test_a_wave_between_the_confirmation_and_its_reaction_leaves_the_shopper_in_line(ada: Mailboxes) -> None:
    shop = ada.shop
    ada.hears("Bounce", shop.clock())
    shop.clock.pass_s(31 * 86400)
    assert ada.asks() == 1
    ada.confirms()
    shop.observe(Availability.IN_STOCK)
    shop.work()
    entry = shop.entry("ada")
    assert entry is not None
    assert (entry.state, len(shop.sender.sent)) == (EntryState.CONFIRMED, 1)
    ada.is_reacted_to()
    shop.restocking.notify_if_available(ada.id, shop.sku, at_ms=shop.clock())
    shop.work()
    assert [sent.tags["email"] for sent in shop.sender.sent] == ["confirm", "available"]


def test_another_bounce_suppresses_again_for_twice_as_long(ada: Mailboxes) -> None:
    shop = ada.shop
    ada.hears("Bounce", shop.clock())
    shop.clock.pass_s(31 * 86400)
    assert ada.asks() == 1
    ada.hears("Bounce", shop.clock())
    assert "retrying" not in ada.row()
    shop.clock.pass_s(59 * 86400)
    assert ada.asks() == 0
    shop.clock.pass_s(2 * 86400)
    assert ada.asks() == 1


def test_a_late_bounce_of_an_email_before_the_confirmation_does_not_suppress_again(ada: Mailboxes) -> None:
    shop = ada.shop
    first_ms = shop.clock()
    ada.hears("Bounce", first_ms)
    shop.clock.pass_s(31 * 86400)
    assert ada.asks() == 1
    ada.confirms()
    ada.is_reacted_to()
    ada.hears("Bounce", first_ms)
    ada.hears("Bounce", first_ms + 60_000)
    assert ada.reason() is None
    shop.clock.pass_s(60)
    ada.hears("Bounce", shop.clock())
    assert ada.reason() == "bounced"


def test_a_complaint_is_never_asked_again_nor_lifted_by_a_confirmation(ada: Mailboxes) -> None:
    shop = ada.shop
    ada.hears("Bounce", shop.clock())
    shop.clock.pass_s(31 * 86400)
    assert ada.asks() == 1
    ada.hears("Complaint", shop.clock() - 1)
    ada.confirms()
    ada.is_reacted_to()
    assert ada.reason() == "complained"
    shop.clock.pass_s(3650 * 86400)
    assert ada.asks() == 0


def test_a_person_unsubscribed_in_another_tool_confirms_at_the_next_signup(ada: Mailboxes) -> None:
    ada.shop.suppressions.suppress(ada.id, reason="unsubscribed", at_ms=ada.shop.clock() - 1)
    assert ada.asks() == 1
    ada.confirms()
    ada.is_reacted_to()
    assert ada.reason() is None


def test_a_row_of_an_earlier_release_counts_as_what_it_says(ada: Mailboxes) -> None:
    name = ada.shop.table_names["SuppressionsTable"]
    old = {"shopper": {"S": ada.id}, "reason": {"S": "bounced"}, "since_ms": {"N": str(at(0))}}
    ada.shop.dynamodb.put_item(TableName=name, Item=old)
    assert ada.shop.suppressions.among([ada.id]) == {ada.id}
    ada.hears("Complaint", at(1))
    row = ada.row()
    assert (row["reason"], row["bounced"], row["row_version"]) == ("complained", [str(at(0))], "1")


def test_history_that_suppresses_nobody_is_forgotten_in_time(ada: Mailboxes) -> None:
    ada.soft_bounces(at(0))
    assert ada.row()["expires_at_s"] == str(START_MS // 1000 + 400 * 86400)
    ada.hears("Bounce", at(1))
    assert "expires_at_s" not in ada.row()


def test_a_row_that_others_write_all_the_time_is_an_error_and_nothing_is_lost() -> None:
    class Contended(MemoryDynamoDb):
        busy = 2

        def put_item(self, **request: Any) -> Any:
            self.busy -= 1
            if self.busy >= 0:
                raise ConditionFailed
            return super().put_item(**request)

    client: Any = Contended()
    table = SuppressionsTable(client, create_table(client, "SuppressionsTable"))
    table.suppress("s", reason="bounced", at_ms=1)
    assert table.among(["s"]) == {"s"}
    client.busy = 10**6
    with pytest.raises(SuppressionBusy):
        table.suppress("s", reason="complained", at_ms=2)


EVENTS = st.tuples(
    st.sampled_from(["Delivery", "Soft", "Bounce", "Complaint", "not-spam", "DeliveryDelay"]),
    # Emails, by the day they were sent: several events may be about one.
    st.sampled_from([0, 2, 5, 8, 9, 12, 16]),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_events_late_twice_and_in_any_order_come_to_the_same(
    small_release: Release, data: st.DataObject
) -> None:
    events = data.draw(st.lists(EVENTS, max_size=10))
    ends = []
    for order in (events, data.draw(st.permutations(events + events[: data.draw(st.integers(0, 5))]))):
        ada = Mailboxes(small_release, Clock())
        ada.shop.join("ada")
        for kind, day in order:
            if kind == "Soft":
                ada.soft_bounces(at(day))
            elif kind == "not-spam":
                ada.hears("Complaint", at(day), complaintFeedbackType="not-spam")
            else:
                ada.hears(kind, at(day))
        row = ada.row()
        entry = ada.shop.dynamodb.get_item(
            TableName=ada.shop.entries_name, Key={"shopper": {"S": ada.id}, "sku": {"S": ada.shop.sku}}
        )["Item"]
        suppressed = [row.get(name) for name in ("reason", "since_ms", "bounced", "bounced_soft")]
        stored = [entry.get(name) for name in ("feedback", "feedback_sent_at_ms", "delivered_sent_at_ms")]
        ends.append(json.dumps([suppressed, stored], default=str))
    assert ends[0] == ends[1]

"""What SES says after a letter was sent: kept, suppressed, counted once, and watched."""

import json
from itertools import permutations
from typing import Any

import pytest

from chalicelib.domain.feedback import LETTERS_MIN, FeedbackState, Health, NoFeedback, feedback_from
from chalicelib.domain.stock import Availability
from chalicelib.services.feedback import FeedbackDesk
from chalicelib.services.pace import NotNow
from chalicelib.tables.health import HealthTable
from spillway.build.release import Release
from tests.clock import Clock
from tests.shop import TestShop

TOPIC, SET = "arn:aws:sns:us-east-1:123456789012:feedback", "letters"
SENT = "2026-11-23T17:00:00.000Z"


@pytest.fixture
def shop(clock: Clock, small_release: Release) -> TestShop:
    return TestShop(small_release, clock, slug="field-jacket", sku="FJ-MOSS-M")


class Desk:
    """A feedback desk, and what it has stored."""

    def __init__(self, shop: TestShop) -> None:
        self.shop = shop
        self.health = HealthTable(shop.dynamodb, shop.entries_name, shop.sending_name)
        self.desk = FeedbackDesk(
            self.health, shop.suppressions, shop.pace, shop.clock, topic=TOPIC, configuration_set=SET
        )

    def hears(self, kind: str, name: str = "ada", **facts: Any) -> None:
        """An event about a letter to `name` comes in."""
        self.desk.take_in(notification(event(kind, self.shop.shopper(name), self.shop.sku, **facts)))

    def state(self, name: str = "ada") -> str | None:
        """The state of that letter as it is stored."""
        key = {"shopper": {"S": self.shop.shopper(name)}, "sku": {"S": self.shop.sku}}
        item = self.shop.dynamodb.get_item(TableName=self.shop.entries_name, Key=key)["Item"]
        return item["feedback"]["S"] if "feedback" in item else None


@pytest.fixture
def desk(shop: TestShop) -> Desk:
    shop.join("ada", "bob")
    return Desk(shop)


def event(
    kind: str,
    shopper: str,
    sku: str,
    *,
    message_id: str = "m1",
    sent: str = SENT,
    hard: bool = True,
    feedback_type: str = "abuse",
    restock: str = "",
) -> dict[str, Any]:
    tags = {"ses:configuration-set": [SET], "shopper": [shopper], "sku": [sku]}
    return {
        "eventType": kind,
        "mail": {
            "messageId": message_id,
            "timestamp": sent,
            "tags": {**tags, "restock": [restock]} if restock else tags,
        },
        "bounce": {"bounceType": "Permanent" if hard else "Transient"},
        "complaint": {"complaintFeedbackType": feedback_type},
    }


def notification(document: Any, topic: str = TOPIC) -> str:
    return json.dumps({"Type": "Notification", "TopicArn": topic, "Message": json.dumps(document)})


def test_a_hard_bounce_suppresses_the_address_everywhere(desk: Desk) -> None:
    desk.hears("Bounce")
    assert desk.state() == "bounced"
    desk.shop.observe(Availability.IN_STOCK)
    desk.shop.work()
    assert desk.shop.postbox.mailboxes() == ["bob@example.com"]


def test_a_soft_bounce_suppresses_nobody(desk: Desk) -> None:
    desk.hears("Bounce", hard=False)
    assert desk.state() == "bounced_soft"
    assert desk.shop.suppressions.among([desk.shop.shopper("ada")]) == frozenset()


def test_a_complaint_that_comes_twice_is_one(desk: Desk) -> None:
    desk.hears("Complaint")
    desk.hears("Complaint")
    assert desk.shop.suppressions.among([desk.shop.shopper("ada")]) == {desk.shop.shopper("ada")}
    assert desk.health.bounced_and_complained(at_ms=desk.shop.clock()) == (0, 1)


def test_bounces_and_complaints_are_counted_for_the_restock_they_are_about(desk: Desk) -> None:
    shop = desk.shop
    shop.observe(Availability.IN_STOCK)
    shop.work()
    restock = shop.restocks.live(shop.sku)
    assert restock is not None
    (tag,) = {envelope.tags["restock"] for envelope in shop.postbox.sent}
    for _ in range(2):
        desk.hears("Bounce", "ada", restock=tag)
        desk.hears("Complaint", "bob", restock=tag)
    desk.hears("Bounce", "bob", restock="another")
    shop.progress.count_left(restock.id, at_ms=shop.clock())
    done = shop.told_so_far(restock)
    assert (done.told, done.bounced, done.complained, done.left_after) == (2, 1, 1, 1)


def test_who_says_it_is_no_spam_does_not_complain(desk: Desk) -> None:
    desk.hears("Complaint", feedback_type="not-spam")
    assert desk.state() is None
    assert desk.shop.suppressions.among([desk.shop.shopper("ada")]) == frozenset()


@pytest.mark.parametrize("order", list(permutations(["DeliveryDelay", "Delivery", "Complaint"])))
def test_in_any_order_the_last_word_stays(desk: Desk, order: tuple[str, ...]) -> None:
    for kind in order * 2:
        desk.hears(kind)
    assert desk.state() == "complained"


def test_an_older_letters_event_does_not_touch_a_newer_ones(desk: Desk) -> None:
    desk.hears("Delivery", message_id="m2", sent="2026-11-24T17:00:00.000Z")
    desk.hears("Bounce", message_id="m1", hard=False)
    assert desk.state() == "delivered"


def test_a_bounce_before_the_mark_and_the_mark_come_to_the_same(desk: Desk) -> None:
    shop = desk.shop
    shop.postbox.on_letters = lambda _: desk.hears("Delivery", "bob")
    shop.observe(Availability.IN_STOCK)
    shop.work()
    entry = shop.entry("bob")
    assert entry is not None
    assert (entry.state, desk.state("bob")) == ("notified", "delivered")


def test_feedback_about_an_erased_shopper_still_suppresses(desk: Desk) -> None:
    desk.hears("Complaint", "erased")
    assert desk.shop.entry("erased") is None
    assert desk.shop.suppressions.among([desk.shop.shopper("erased")]) != frozenset()


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{}",
        json.dumps({"Type": "Notification", "TopicArn": TOPIC, "Message": "x"}),
        json.dumps({"Type": "Notification", "TopicArn": TOPIC, "Message": "{}"}),
        notification(event("Bounce", "s", "A"), topic="arn:aws:sns:us-east-1:1:other"),
        notification({**event("Bounce", "s", "A"), "mail": {"tags": {"ses:configuration-set": ["other"]}}}),
    ],
)
def test_what_is_no_feedback_of_ours_is_refused(desk: Desk, body: str) -> None:
    with pytest.raises(NoFeedback):
        desk.desk.take_in(body)


def test_opens_and_clicks_are_nobodys_business() -> None:
    for kind in ("Send", "Open", "Click"):
        assert feedback_from(event(kind, "s", "A"), configuration_set=SET) is None
    heard = feedback_from(event("Rendering Failure", "s", "A"), configuration_set=SET)
    assert heard is not None
    assert heard.state is FeedbackState.FAILED


@pytest.mark.parametrize(
    ("letters", "bounced", "complained", "pauses"),
    [
        (1000, 50, 0, False),
        (1000, 51, 0, True),
        (LETTERS_MIN - 1, 20, 0, False),
        (LETTERS_MIN, 6, 0, True),
        (10_000, 0, 10, False),
        (10_000, 0, 11, True),
        (50, 0, 1, False),
        (50, 0, 2, True),
        (0, 0, 0, False),
    ],
)
def test_sending_stops_before_ses_stops_it(letters: int, bounced: int, complained: int, pauses: bool) -> None:
    assert (Health(letters, bounced, complained).reason_to_pause is not None) is pauses


def test_bad_feedback_pauses_and_resuming_begins_anew(desk: Desk) -> None:
    shop = desk.shop
    shop.pace.await_turn(200)
    for number in range(11):
        desk.hears("Bounce", message_id=f"m{number}")
    assert shop.alarms == ["11 of 200 letters bounced. Look into it, then run: spillway resume"]
    shop.observe(Availability.IN_STOCK)
    for _ in range(30):
        shop.work_once()
    assert shop.postbox.calls == 0
    desk.health.forget(at_ms=shop.clock())
    assert shop.pace_table.resume()
    desk.hears("Bounce", message_id="one-more")
    shop.work()
    assert shop.postbox.mailboxes() == ["bob@example.com"]


def test_letters_of_a_day_ago_no_longer_count(shop: TestShop) -> None:
    shop.pace.await_turn(30)
    assert shop.pace.letters_since(shop.clock()) == 30
    shop.clock.pass_s(26 * 3600)
    assert shop.pace.letters_since(shop.clock()) == 0
    shop.pace.await_turn(7)
    assert shop.pace.letters_since(shop.clock()) == 7
    state = shop.pace_table.state()
    assert state is not None
    assert list(state.letters_by_hour.values()) == [7]


def test_no_turn_is_given_while_paused(shop: TestShop) -> None:
    shop.pace.await_turn(1)
    shop.pace.stop("because")
    with pytest.raises(NotNow, match="because"):
        shop.pace.batch_max(1)

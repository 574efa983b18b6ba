"""Events of SES after an email was sent: kept, suppressed, counted once, and watched."""

import json
from datetime import UTC, date, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from chalicelib.domain.feedback import Feedback, NoFeedback
from chalicelib.domain.sending_limits import WINDOW_DAYS, day_of
from chalicelib.domain.stock import Availability
from chalicelib.domain.suppression import MailboxHistory
from chalicelib.services.fan_out.rate_limiter import RateLimited
from chalicelib.services.ses_events import SesEventHandler
from chalicelib.tables.sending.deliverability import DeliverabilityTable
from spillway.sitegen.release import Release
from tests.support.clock import Clock
from tests.support.log_lines import logged
from tests.support.ses_events import AT, SENT, SET, TOPIC, event, notification
from tests.support.shop import TestShop

SENT_ON = date(2026, 11, 23)


@pytest.fixture
def shop(clock: Clock, small_release: Release) -> TestShop:
    return TestShop(small_release, clock, slug="field-jacket", sku="FJ-MOSS-M")


class Desk:
    """A feedback desk, and what it has stored."""

    def __init__(self, shop: TestShop) -> None:
        self.shop = shop
        self.health = DeliverabilityTable(shop.dynamodb, shop.entries_name, shop.sending_name)
        self.desk = SesEventHandler(
            self.health, shop.suppressions, shop.rate_limiter, shop.clock, topic=TOPIC, configuration_set=SET
        )

    def hears(self, kind: str, name: str = "ada", **facts: Any) -> None:
        """An event about an email to `name` comes in."""
        tags = {"email": "available", "shopper": self.shop.shopper(name), "sku": self.shop.sku}
        tags |= {"restock": facts.pop("restock")} if "restock" in facts else {}
        self.desk.handle(notification(event(kind, tags, **facts)))

    def suppressed(self, name: str = "ada") -> bool:
        """True when they are suppressed."""
        return bool(self.shop.suppressions.among([self.shop.shopper(name)]))

    def state(self, name: str = "ada") -> str | None:
        """The state of that email as it is stored."""
        key = {"shopper": {"S": self.shop.shopper(name)}, "sku": {"S": self.shop.sku}}
        item = self.shop.dynamodb.get_item(TableName=self.shop.entries_name, Key=key)["Item"]
        return item["feedback"]["S"] if "feedback" in item else None


@pytest.fixture
def desk(shop: TestShop) -> Desk:
    shop.join("ada", "bob")
    return Desk(shop)


def test_a_hard_bounce_suppresses_the_address_everywhere(desk: Desk) -> None:
    desk.hears("Bounce")
    assert desk.state() == "bounced"
    desk.shop.observe(Availability.IN_STOCK)
    desk.shop.work()
    assert desk.shop.sender.mailboxes() == ["bob@example.com"]


def test_a_soft_bounce_suppresses_nobody(desk: Desk) -> None:
    desk.hears("Bounce", bounceType="Transient", bounceSubType="MailboxFull")
    assert desk.state() == "bounced_soft"
    assert not desk.suppressed()


def test_a_bounce_of_an_email_about_no_variant_suppresses_too(desk: Desk) -> None:
    shopper = desk.shop.shopper("ada")
    desk.desk.handle(notification(event("Bounce", {"email": "my-waitlists", "shopper": shopper})))
    assert desk.suppressed()
    assert desk.state() is None
    assert desk.health.bounced_and_complained([SENT_ON]) == {SENT_ON: (1, 0)}


def test_an_email_that_ses_suppressed_itself_does_not_pause_sending(desk: Desk) -> None:
    desk.shop.rate_limiter.acquire(200)
    sent = sent_at(desk.shop)
    for number in range(40):
        desk.hears("Bounce", message_id=f"m{number}", sent=sent, bounceSubType="OnAccountSuppressionList")
    assert desk.shop.alarms == []
    assert desk.health.bounced_and_complained([day_of(desk.shop.clock())]) == {}


def test_a_complaint_that_comes_twice_is_one(desk: Desk) -> None:
    desk.hears("Complaint")
    desk.hears("Complaint")
    assert desk.shop.suppressions.among([desk.shop.shopper("ada")]) == {desk.shop.shopper("ada")}
    assert desk.health.bounced_and_complained([SENT_ON]) == {SENT_ON: (0, 1)}


def test_bounces_and_complaints_are_counted_for_the_restock_they_are_about(desk: Desk) -> None:
    shop = desk.shop
    shop.observe(Availability.IN_STOCK)
    shop.work()
    restock = shop.restocks.live(shop.sku)
    assert restock is not None
    (tag,) = {outgoing.tags["restock"] for outgoing in shop.sender.sent}
    for _ in range(2):
        desk.hears("Bounce", "ada", restock=tag)
        desk.hears("Complaint", "bob", restock=tag)
    desk.hears("Bounce", "bob", restock="another")
    shop.progress.count_unsubscribed(restock.id, at_ms=shop.clock())
    done = shop.progress_so_far(restock)
    assert (done.notified, done.bounced, done.complained, done.unsubscribed_after) == (2, 1, 1, 1)


def test_a_not_spam_report_is_no_complaint(desk: Desk) -> None:
    desk.hears("Complaint", complaintFeedbackType="not-spam")
    assert desk.state() is None
    assert not desk.suppressed()


@pytest.mark.parametrize("order", list(permutations(["DeliveryDelay", "Delivery", "Complaint"])))
def test_in_any_order_the_last_word_stays(desk: Desk, order: tuple[str, ...]) -> None:
    for kind in order * 2:
        desk.hears(kind)
    assert desk.state() == "complained"


def test_an_older_emails_event_does_not_touch_a_newer_ones(desk: Desk) -> None:
    desk.hears("Delivery", message_id="m2", sent="2026-11-24T17:00:00.000Z")
    desk.hears("Bounce", message_id="m1", bounceType="Transient")
    assert desk.state() == "delivered"


def test_a_bounce_before_the_mark_and_the_mark_come_to_the_same(desk: Desk) -> None:
    shop = desk.shop
    shop.sender.on_emails = lambda _: desk.hears("Delivery", "bob")
    shop.observe(Availability.IN_STOCK)
    shop.work()
    entry = shop.entry("bob")
    assert entry is not None
    assert (entry.state, desk.state("bob")) == ("notified", "delivered")


def test_feedback_about_an_erased_shopper_still_suppresses(desk: Desk) -> None:
    desk.hears("Complaint", "erased")
    assert desk.shop.entry("erased") is None
    assert desk.shop.suppressions.among([desk.shop.shopper("erased")]) != frozenset()


def test_a_message_about_no_email_is_logged_without_its_content(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    body = json.loads(notification({}))
    body["Message"] = "Successfully validated SNS topic for Amazon SES event publishing. ada@example.com"
    desk.desk.handle(json.dumps(body))
    said = json.loads(capsys.readouterr().out)
    assert (said["event"], said["why"], said["kind"]) == ("feedback_ignored", "no_event", "")
    assert "ada" not in str(said)


def test_a_malformed_event_about_our_emails_is_refused(desk: Desk) -> None:
    with pytest.raises(NoFeedback):
        desk.desk.handle(notification(event("Bounce", {"email": "available"})))


def sent_at(shop: TestShop, *, days_ago: float = 0) -> str:
    """A time of sending, as SES writes it."""
    moment = datetime.fromtimestamp(shop.clock() / 1000 - days_ago * 86400, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def complain(desk: Desk, count: int, *, days_ago: float = 0) -> None:
    sent = sent_at(desk.shop, days_ago=days_ago)
    for number in range(count):
        desk.hears("Complaint", message_id=f"c{days_ago}-{number}", sent=sent)


def test_two_complaints_a_day_after_many_emails_pause_nothing(desk: Desk) -> None:
    desk.shop.rate_limiter.acquire(20_000)
    desk.shop.clock.pass_s(25 * 3600)
    complain(desk, 2, days_ago=25 / 24)
    assert desk.shop.alarms == []


def test_complaints_are_divided_by_the_emails_they_belong_to(desk: Desk) -> None:
    shop = desk.shop
    shop.rate_limiter.acquire(1_000)
    day = day_of(shop.clock())
    shop.clock.pass_s(3 * 24 * 3600)
    shop.rate_limiter.acquire(50_000)
    complain(desk, 4, days_ago=3)
    assert shop.alarms == []
    complain(desk, 5, days_ago=3)
    figures = f"{day}: 5 complaints of 1,000 emails"
    assert shop.alarms == [f"{figures}. Look into it, then run: spillway resume"]
    with pytest.raises(RateLimited, match=figures):
        shop.rate_limiter.acquire(1)


def test_complaints_about_emails_older_than_the_window_are_counted_and_not_judged(desk: Desk) -> None:
    desk.shop.rate_limiter.acquire(1_000)
    sent = day_of(desk.shop.clock())
    desk.shop.clock.pass_s(WINDOW_DAYS * 24 * 3600)
    desk.shop.rate_limiter.acquire(1_000)
    complain(desk, 9, days_ago=WINDOW_DAYS)
    assert desk.shop.alarms == []
    assert desk.health.bounced_and_complained([sent]) == {sent: (0, 9)}


def test_bad_feedback_pauses_and_resuming_begins_again(desk: Desk) -> None:
    shop = desk.shop
    shop.rate_limiter.acquire(200)
    before = sent_at(shop)
    for number in range(22):
        desk.hears("Bounce", message_id=f"m{number}", sent=before)
    day = day_of(shop.clock())
    assert [alarm.partition(".")[0] for alarm in shop.alarms] == [f"{day}: 19 bounces of 200 emails"]
    shop.observe(Availability.IN_STOCK)
    for _ in range(30):
        shop.work_once()
    assert shop.sender.calls == 0
    shop.clock.pass_s(60)
    desk.health.forget(at_ms=shop.clock())
    assert shop.rate_table.resume()
    # Emails of before the pause are not judged any more, and none of them are among the emails counted.
    shop.rate_limiter.acquire(300)
    for number in range(100):
        desk.hears("Bounce", message_id=f"late{number}", sent=before)
    assert len(shop.alarms) == 1
    assert desk.health.bounced_and_complained([day]) == {}
    for number in range(40):
        desk.hears("Bounce", message_id=f"new{number}", sent=sent_at(shop))
    assert [alarm.partition(".")[0] for alarm in shop.alarms[1:]] == [f"{day}: 25 bounces of 300 emails"]


def test_emails_are_counted_by_day_for_as_long_as_they_are_judged(shop: TestShop) -> None:
    first = day_of(shop.clock())
    shop.rate_limiter.acquire(30)
    shop.clock.pass_s(26 * 3600)
    shop.rate_limiter.acquire(7)
    assert shop.rate_limiter.emails_by_day() == {first: 30, first + timedelta(days=1): 7}
    state = shop.rate_table.state()
    assert state is not None
    assert list(state.emails_by_hour.values()) == [7]
    shop.clock.pass_s((WINDOW_DAYS + 1) * 24 * 3600)
    shop.rate_limiter.acquire(5)
    assert shop.rate_limiter.emails_by_day() == {first + timedelta(days=1): 7, day_of(shop.clock()): 5}


def test_no_turn_is_given_while_paused(shop: TestShop) -> None:
    shop.rate_limiter.acquire(1)
    shop.rate_limiter.pause("because")
    with pytest.raises(RateLimited, match="because"):
        shop.rate_limiter.batch_max(1)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


class Calls:
    """Stands for the tables and the pace: keeps each call, in order, and answers as a test sets."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.made: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **facts: Any) -> Any:
            self.made.append((name, *args, *([facts] if facts else [])))
            return self.answers.get(name)

        return call


SENT_MS, AT_MS = ms(SENT), ms(AT)
STORE, COUNT = ("store",), ("count",)
SOFT = {"bounceType": "Transient", "bounceSubType": "MailboxFull"}


def record(now_ms: int, **facts: Any) -> tuple[Any, ...]:
    return ("record", "ada", MailboxHistory(**facts), {"at_ms": now_ms})


@pytest.mark.parametrize("sku", ["A", ""])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    ("kind", "details", "state"),
    [
        ("Bounce", {}, "bounced"),
        ("Complaint", {}, "complained"),
        ("Bounce", SOFT, "bounced_soft"),
        ("Bounce", {**SOFT, "bounceSubType": "MessageTooLarge"}, "bounced_soft"),
        ("Delivery", {}, "delivered"),
        ("DeliveryDelay", {}, "delayed"),
        ("Reject", {}, "rejected"),
    ],
)
def test_each_event_is_kept_in_its_order_and_logged(
    clock: Clock,
    capsys: pytest.CaptureFixture[str],
    kind: str,
    details: dict[str, str],
    state: str,
    known: bool,
    sku: str,
) -> None:
    """A suppression is written first, so that a crash in between suppresses rather than forgets."""
    delivered = frozenset({SENT_MS - 1})
    calls: Any = Calls(
        store=True,
        delivered=delivered,
        history=MailboxHistory() if known else None,
        emails_by_day={},
        bounced_and_complained={},
    )
    desk = SesEventHandler(calls, calls, calls, clock, topic=TOPIC, configuration_set=SET)
    tags = {"email": "available", "shopper": "ada", **({"sku": sku} if sku else {})}
    desk.handle(notification(event(kind, tags, **details)))
    sent, now_ms = frozenset({SENT_MS}), clock()
    soft = [
        ("delivered", "ada"),
        record(now_ms, bounced_soft=sent, delivered=delivered),
        ("delivered", "ada"),
        record(now_ms, delivered=delivered),
    ]
    remembered: dict[str, list[tuple[Any, ...]]] = {
        "bounced": [record(now_ms, bounced=sent)],
        "complained": [record(now_ms, complained_at_ms=AT_MS)],
        "bounced_soft": soft if details == SOFT else [],
        "delivered": [("history", "ada"), *([record(now_ms, delivered=sent)] if known else [])],
    }
    kept = [item for item in calls.made if item[0] not in {"emails_by_day", "bounced_and_complained"}]
    made = [(item[0], *item[2:]) if isinstance(item[1], Feedback) else item for item in kept]
    stored = [STORE] if sku else []
    hard = state in {"bounced", "complained"}
    of_mailbox = remembered.get(state, [])
    assert made == ([*of_mailbox, *stored, (*COUNT, {"at_ms": now_ms})] if hard else [*stored, *of_mailbox])
    heard = [item[1] for item in kept if isinstance(item[1], Feedback)]
    assert all(
        (item.state, item.shopper, item.sku, item.sent_at_ms) == (state, "ada", sku or None, SENT_MS)
        for item in heard
    )
    assert logged(capsys) == [
        {"event": "email_feedback", "state": state, "shopper": "ada", "sku": sku, "news": bool(sku)}
    ]


@pytest.mark.parametrize("is_new", [True, False])
@pytest.mark.parametrize("complaints", [1, 9])
def test_each_complaint_has_the_days_judged_by_their_emails_also_when_it_comes_again(
    clock: Clock, complaints: int, is_new: bool
) -> None:
    """A worker may die between counting and judging; the message that comes again is counted already."""
    today = day_of(clock())
    calls: Any = Calls(
        store=False,
        count=is_new,
        emails_by_day={today: 1_000},
        bounced_and_complained={today: (0, complaints)},
    )
    desk = SesEventHandler(calls, calls, calls, clock, topic=TOPIC, configuration_set=SET)
    desk.handle(notification(event("Complaint", {"email": "already", "shopper": "ada", "sku": "A"})))
    asked = [item for item in calls.made if item[0] in {"emails_by_day", "bounced_and_complained", "pause"}]
    days = asked[1][1]
    assert (days[0], days[-1], len(days)) in {
        (today - timedelta(days=WINDOW_DAYS - 1), today, WINDOW_DAYS),
        (today, today - timedelta(days=WINDOW_DAYS - 1), WINDOW_DAYS),
    }
    stop = [("pause", f"{today}: 9 complaints of 1,000 emails")] if complaints == 9 else []
    assert asked == [("emails_by_day",), ("bounced_and_complained", days), *stop]


def test_an_ignored_message_is_logged_with_its_kind_and_nothing_is_kept(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: Any = Calls()
    desk = SesEventHandler(calls, calls, calls, clock, topic=TOPIC, configuration_set=SET)
    desk.handle(notification(event("Open", {"email": "available", "shopper": "ada", "sku": "A"})))
    assert calls.made == []
    assert logged(capsys) == [{"event": "feedback_ignored", "why": "tells_nothing", "kind": "Open"}]

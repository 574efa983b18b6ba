"""The meaning of SES's events for an email and its shopper, and messages that are no such event."""

import json
from typing import Any

import pytest

from chalicelib.domain.feedback import (
    SET_TAG,
    Feedback,
    FeedbackState,
    IgnoredFeedback,
    NoFeedback,
    feedback_from,
    read_message,
)
from tests.support.ses_events import SET, TOPIC, event, notification

SENT_AT_MS = 1_795_453_200_000
AT_MS = 1_795_453_202_669
TAGS = {"email": "available", "shopper": "s", "sku": "A", "restock": "r"}

# Events of SES about one email: what is kept, whether the address is suppressed, whether it counts.
SAID: list[tuple[str, dict[str, Any], str | None, bool, bool]] = [
    ("Send", {}, None, False, False),
    ("Delivery", {}, "delivered", False, False),
    ("DeliveryDelay", {}, "delayed", False, False),
    ("Bounce", {}, "bounced", True, True),
    ("Bounce", {"bounceSubType": "NoEmail"}, "bounced", True, True),
    ("Bounce", {"bounceSubType": "Suppressed"}, "bounced", True, True),
    ("Bounce", {"bounceSubType": "OnAccountSuppressionList"}, "bounced", True, False),
    ("Bounce", {"bounceType": "Transient"}, "bounced_soft", False, False),
    ("Bounce", {"bounceType": "Undetermined", "bounceSubType": "Undetermined"}, "bounced_soft", False, False),
    ("Complaint", {}, "complained", True, True),
    ("Complaint", {"complaintFeedbackType": None}, "complained", True, True),
    ("Complaint", {"complaintFeedbackType": "virus"}, "complained", True, True),
    ("Complaint", {"complaintFeedbackType": "not-spam"}, None, False, False),
    ("Complaint", {"complaintFeedbackType": "Not-Spam"}, None, False, False),
    ("Complaint", {"complaintFeedbackType": "auth-failure"}, None, False, False),
    ("Complaint", {"complaintSubType": "OnAccountSuppressionList"}, "complained", True, False),
    ("Reject", {}, "rejected", False, False),
    ("Rendering Failure", {}, "failed", False, False),
    ("Subscription", {}, None, False, False),
    ("Open", {}, None, False, False),
    ("Click", {}, None, False, False),
]


@pytest.mark.parametrize(("kind", "details", "kept", "suppressed", "counted"), SAID)
def test_every_event_of_ses_is_understood(
    kind: str, details: dict[str, Any], kept: str | None, suppressed: bool, counted: bool
) -> None:
    heard = feedback_from(event(kind, TAGS, **details), configuration_set=SET)
    if kept is None:
        assert heard is None
        return
    at_ms = AT_MS if kind in {"Delivery", "DeliveryDelay", "Bounce", "Complaint"} else SENT_AT_MS
    mailbox_fault = kept == "bounced_soft"
    state = FeedbackState(kept)
    assert heard == Feedback(state, "m1", SENT_AT_MS, "s", "A", "r", counted, at_ms, mailbox_fault)
    assert heard.state.suppresses is suppressed


# https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html#bounce-types
@pytest.mark.parametrize(
    ("subtype", "has_status", "mailbox_fault"),
    [
        ("General", True, True),
        # An automatic reply, as that of somebody on holiday.
        ("General", False, False),
        ("MailboxFull", True, True),
        ("MailboxFull", False, True),
        ("Undetermined", True, True),
        ("Undetermined", False, False),
        ("MessageTooLarge", True, False),
        ("ContentRejected", True, False),
        ("AttachmentRejected", True, False),
        ("OfTheFuture", True, False),
    ],
)
def test_a_soft_bounce_speaks_against_a_mailbox_only_where_the_mailbox_is_at_fault(
    subtype: str, has_status: bool, mailbox_fault: bool
) -> None:
    recipient = {"emailAddress": "ada@example.com", **({"status": "4.2.2"} if has_status else {})}
    said = event("Bounce", TAGS, bounceType="Transient", bounceSubType=subtype, bouncedRecipients=[recipient])
    heard = feedback_from(said, configuration_set=SET)
    assert heard is not None
    assert (heard.state, heard.state.suppresses, heard.counts) == (FeedbackState.BOUNCED_SOFT, False, False)
    assert heard.mailbox_fault is mailbox_fault


@pytest.mark.parametrize("sent", ["2026-11-23T17:00:00.000Z", "2026-11-23T17:00:00 +0000"])
def test_a_time_is_read_in_both_forms_of_sess_pages(sent: str) -> None:
    heard = feedback_from(event("Delivery", TAGS, sent=sent), configuration_set=SET)
    assert heard is not None
    assert heard.sent_at_ms == SENT_AT_MS


def test_no_complaint_is_older_than_its_email_whatever_the_providers_clock_says() -> None:
    heard = feedback_from(event("Complaint", TAGS, timestamp="1970-01-01T00:00:00Z"), configuration_set=SET)
    assert heard is not None
    assert heard.at_ms == SENT_AT_MS


def outgoing(**changes: Any) -> str:
    return json.dumps({**json.loads(notification("")), **changes})


def of_future(**changes: Any) -> dict[str, Any]:
    return {**event("Delivery", TAGS), "eventType": "Forwarded", **changes}


def report_of(feedback_type: str) -> dict[str, Any]:
    return event("Complaint", TAGS, complaintFeedbackType=feedback_type)


LEGACY = {
    "notificationType": "AmazonSnsSubscriptionSucceeded",
    "message": "You have successfully subscribed your Amazon SNS topic to receive 'Bounce' notifications.",
}
WITHOUT_EVENT_TYPE = {name: value for name, value in event("Bounce", TAGS).items() if name != "eventType"}
CUT = json.dumps(event("Bounce", TAGS))[:-20]
CONSOLE = {"eventType": "Bounce", "mail": event("Bounce", {})["mail"]}


@pytest.mark.parametrize(
    ("body", "why", "kind"),
    [
        (
            outgoing(Message="Successfully validated SNS topic for Amazon SES event publishing."),
            "no_event",
            "",
        ),
        (notification(LEGACY), "no_event", "AmazonSnsSubscriptionSucceeded"),
        (notification({"notificationType": "Bounce", "mail": {}, "bounce": {}}), "no_event", "Bounce"),
        (
            outgoing(Type="SubscriptionConfirmation", Token="t", Message="m"),
            "not_a_notification",
            "SubscriptionConfirmation",
        ),
        (outgoing(Type="UnsubscribeConfirmation"), "not_a_notification", "UnsubscribeConfirmation"),
        (outgoing(Message="hello"), "no_event", ""),
        (outgoing(Message=""), "no_event", ""),
        (outgoing(Message="[1]"), "no_event", ""),
        (outgoing(Message="[" * 100_000), "no_event", ""),
        (outgoing(Message=None), "no_event", ""),
        (notification({"default": "A message of the SNS console"}), "no_event", ""),
        (notification({"eventType": "ada@example.com"}), "no_event", ""),
        ("", "not_a_notification", ""),
        ("hello", "not_a_notification", ""),
        ("[]", "not_a_notification", ""),
        ("{}", "not_a_notification", ""),
        (notification(event("Bounce", {**TAGS, SET_TAG: "other"})), "another_configuration_set", ""),
        (notification(event("Bounce", {})), "not_of_the_shop", "Bounce"),
        (notification(CONSOLE), "not_of_the_shop", "Bounce"),
        (notification(event("Open", TAGS)), "tells_nothing", "Open"),
        (notification(of_future()), "tells_nothing", "Forwarded"),
        (notification(report_of("not-spam")), "not_spam", "Complaint"),
        (notification(report_of("auth-failure")), "auth_failure", "Complaint"),
    ],
)  # fmt: skip
def test_a_message_about_no_email_of_ours_is_ignored(body: str, why: str, kind: str) -> None:
    assert read_message(body, topic=TOPIC, configuration_set=SET) == IgnoredFeedback(why, kind)


def with_tag(name: str, value: Any) -> dict[str, Any]:
    """A bounce with a tag in another form than SES's."""
    bounce = event("Bounce", TAGS)
    bounce["mail"]["tags"][name] = value
    return bounce


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (notification(event("Bounce", TAGS), topic="arn:aws:sns:us-east-1:1:other"), "another topic"),
        (outgoing(Message=CUT), "no configuration set"),
        (json.dumps(event("Bounce", TAGS)), "not in a notification of SNS"),
        (notification({"eventType": "Bounce", "mail": {}}), "no configuration set"),
        (notification(WITHOUT_EVENT_TYPE), "KeyError"),
        (notification(event("Bounce", {"sku": "A"})), "KeyError"),
        (notification(event("Bounce", {**TAGS, "sku": "_!"})), "a tag that is no SKU's"),
        *((notification(with_tag(name, "abc")), "TypeError") for name in ("shopper", "sku", "restock")),
        (notification(with_tag("shopper", [7])), "TypeError"),
        (notification(with_tag("shopper", None)), "TypeError"),
        (notification(with_tag("shopper", [])), "IndexError"),
        (notification(event("Bounce", TAGS, sent="yesterday")), "a time"),
        (notification({**event("Bounce", TAGS), "bounce": None}), "TypeError"),
        (notification({**event("Bounce", TAGS), "bounce": {}}), "KeyError"),
        (notification({**event("Delivery", TAGS), "eventType": None}), "no type of event"),
    ],
)
def test_an_event_about_our_emails_that_cannot_be_read_is_an_error(body: str, reason: str) -> None:
    with pytest.raises(NoFeedback, match=reason):
        read_message(body, topic=TOPIC, configuration_set=SET)

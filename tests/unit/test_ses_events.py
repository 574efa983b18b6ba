"""What SES's events mean for a letter, its shopper and all further sending."""

from typing import Any

import pytest

from chalicelib.domain.feedback import LETTERS_MIN, Feedback, FeedbackState, Health, feedback_from
from tests.unit.ses_events import SET, event

SENT_AT_MS = 1_795_453_200_000

# What SES says of one letter: what is kept, whether the address is suppressed, whether it counts.
SAID: list[tuple[str, dict[str, Any], str | None, bool, bool]] = [
    ("Send", {}, None, False, False),
    ("Delivery", {}, "delivered", False, False),
    ("DeliveryDelay", {}, "delayed", False, False),
    ("Bounce", {}, "bounced", True, True),
    ("Bounce", {"bounceSubType": "NoEmail"}, "bounced", True, True),
    ("Bounce", {"bounceSubType": "OnAccountSuppressionList"}, "bounced", True, False),
    ("Bounce", {"bounceType": "Transient"}, "bounced_soft", False, False),
    ("Bounce", {"bounceType": "Undetermined", "bounceSubType": "Undetermined"}, "bounced_soft", False, False),
    ("Complaint", {}, "complained", True, True),
    ("Complaint", {"complaintFeedbackType": None}, "complained", True, True),
    ("Complaint", {"complaintFeedbackType": "not-spam"}, None, False, False),
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
    tags = {"letter": "available", "shopper": "s", "sku": "A", "restock": "r"}
    heard = feedback_from(event(kind, tags, **details), configuration_set=SET)
    if kept is None:
        assert heard is None
        return
    assert heard == Feedback(FeedbackState(kept), "m1", SENT_AT_MS, "s", "A", "r", counts=counted)
    assert heard.state.suppresses is suppressed


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


@pytest.mark.parametrize("subtype", ["General", "MailboxFull", "MessageTooLarge", "ContentRejected"])
def test_an_out_of_office_reply_or_any_passing_bounce_suppresses_nobody(subtype: str) -> None:
    # SES calls automatic replies transient bounces of the subtype General:
    # https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html#bounce-types
    tags = {"letter": "available", "shopper": "s", "sku": "A", "restock": "r"}
    said = event("Bounce", tags, bounceType="Transient", bounceSubType=subtype)
    heard = feedback_from(said, configuration_set=SET)
    assert heard is not None
    assert (heard.state, heard.state.suppresses, heard.counts) == (FeedbackState.BOUNCED_SOFT, False, False)

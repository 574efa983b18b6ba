"""SES's events about an email after SES accepted it.

https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html

    accepted --> delayed --> delivered --> complained
        |           +-------> bounced (hard or soft)
        +--> rejected, failed

Events come late, twice and in any order. Each state has a rank: a lower one never replaces a higher one of
the same email, and an older email's never that of a newer one. Messages of the topic that are no such event
are ignored: SES and SNS write to it when it is set up, people test it, and SES adds types of events.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from chalicelib.domain.ids import ShopperId, Sku, sku_of_tag


class FeedbackState(StrEnum):
    """The state of an email, as far as it is known."""

    DELAYED = "delayed"
    DELIVERED = "delivered"
    FAILED = "failed"
    REJECTED = "rejected"
    BOUNCED_SOFT = "bounced_soft"
    BOUNCED = "bounced"
    COMPLAINED = "complained"

    @property
    def rank(self) -> int:
        """The rank: a state of a lower rank never replaces this one."""
        return list(FeedbackState).index(self)

    @property
    def suppresses(self) -> bool:
        """Return whether one such event suppresses the address: it does not exist, or its owner complained.

        A full mailbox or a note from somebody on holiday is neither; repeated soft bounces are counted in
        `suppression`.
        """
        return self in {FeedbackState.BOUNCED, FeedbackState.COMPLAINED}


COUNTED = frozenset({FeedbackState.BOUNCED, FeedbackState.COMPLAINED})
STATES = {
    "DeliveryDelay": FeedbackState.DELAYED,
    "Delivery": FeedbackState.DELIVERED,
    "Rendering Failure": FeedbackState.FAILED,
    "Reject": FeedbackState.REJECTED,
    "Bounce": FeedbackState.BOUNCED_SOFT,
    "Complaint": FeedbackState.COMPLAINED,
}
# Soft bounces by their subtype. A full mailbox is the mailbox's fault; MessageTooLarge, ContentRejected and
# AttachmentRejected are the email's. General and Undetermined are the mailbox's where its server says so in a
# delivery status notification, whose `status` SES passes on: an automatic reply comes as General without one.
# https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html#bounce-types
MAILBOX_FAULTS = frozenset({"MailboxFull"})
MAILBOX_FAULTS_WITH_STATUS = frozenset({"General", "Undetermined"})
# Reports of a provider, by their Feedback-Type (RFC 5965, 6591), in which no shopper complains: one takes a
# complaint back, one says that an email failed SPF or DKIM.
NO_COMPLAINTS = frozenset({"not-spam", "auth-failure"})
# The tag by which SES names the configuration set of an email, and tags that every email of the shop bears.
SET_TAG = "ses:configuration-set"
OWN_TAGS = ("shopper", "email", "sku", "restock")
WORD = re.compile(r"[A-Za-z][A-Za-z ]{0,39}")


@dataclass(frozen=True, slots=True)
class Feedback:
    """One event about one email, found again by the tags it was sent with.

    `sku` is None for an email about no variant; `restock`, the tag of its restock, is empty without one. An
    email that SES did not try, since it suppresses the address itself, does not count (`counts`). `at_ms` is
    the time of the event; `mailbox_fault` marks a soft bounce that is about the mailbox, not about the email.
    """

    state: FeedbackState
    message_id: str
    sent_at_ms: int
    shopper: ShopperId
    sku: Sku | None
    restock: str = ""
    counts: bool = False
    at_ms: int = 0
    mailbox_fault: bool = False


class NoFeedback(ValueError):
    """The message is an event about our emails that cannot be read; a person must see it."""


@dataclass(frozen=True, slots=True)
class IgnoredFeedback:
    """A message about no email of ours. `kind` is its type, by SES or SNS."""

    why: str
    kind: str = ""


def read_message(body: str, *, topic: str, configuration_set: str) -> Feedback | IgnoredFeedback:
    """Read a message of the feedback queue: SNS's notification around an event of SES's.

    Ignores what is no event about an email of ours: the sentence SES publishes when an event destination is
    made, notifications of SNS about subscriptions, tests from a console, events of other configuration sets,
    types of events without news, and types that SES may add.
    https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html

    Raises:
        NoFeedback: it is an event of `configuration_set`, and not in SES's form or not from `topic`.
    """
    notification = _object(body)
    if notification.get("Type") != "Notification":
        if _is_about(body, configuration_set):
            raise NoFeedback("not in a notification of SNS")
        return IgnoredFeedback("not_a_notification", _word(notification.get("Type")))
    message = notification.get("Message")
    event = _object(message)
    sets = _sets(event)
    if sets is None:
        if event.get("eventType") in STATES or _is_about(message, configuration_set):
            raise NoFeedback("no configuration set")
        return IgnoredFeedback("no_event", _word(event.get("notificationType") or event.get("eventType")))
    if configuration_set not in sets:
        return IgnoredFeedback("another_configuration_set")
    if notification.get("TopicArn") != topic:
        raise NoFeedback("another topic")
    if not any(tag in event["mail"]["tags"] for tag in OWN_TAGS):
        # Sent with our configuration set by something else, as the test emails of SES's console.
        return IgnoredFeedback("not_of_the_shop", _word(event.get("eventType")))
    feedback = feedback_from(event, configuration_set=configuration_set)
    if feedback is None:
        kind = event.get("eventType")
        why = _feedback_type(event).replace("-", "_") if kind == "Complaint" else "tells_nothing"
        return IgnoredFeedback(why, _word(kind))
    return feedback


def feedback_from(event: Mapping[str, Any], *, configuration_set: str) -> Feedback | None:
    """Return the feedback of an event; None for one without news (sent, opened, clicked, no complaint).

    Raises:
        NoFeedback: the event is not of our configuration set, or not in SES's form.
    """
    try:
        mail, kind = event["mail"], event["eventType"]
        tags = mail["tags"]
        if configuration_set not in _values(tags, SET_TAG):
            raise NoFeedback("another configuration set")
        if not isinstance(kind, str):
            raise NoFeedback("no type of event")
        state = _state(event, kind)
        if state is None:
            return None
        sent_at_ms = _time_ms(mail["timestamp"])
        # "DeliveryDelay" has its details in "deliveryDelay".
        details = event.get(kind[:1].lower() + kind[1:], {})
        return Feedback(
            state,
            str(mail["messageId"]),
            sent_at_ms,
            ShopperId(_values(tags, "shopper")[0]),
            _sku_of(tags),
            _values(tags, "restock")[0] if "restock" in tags else "",
            counts=state in COUNTED and not _was_suppressed(event),
            # The clock of the shopper's provider: no email is complained of before it was sent.
            at_ms=max(sent_at_ms, _time_ms(details["timestamp"])) if details.get("timestamp") else sent_at_ms,
            mailbox_fault=state is FeedbackState.BOUNCED_SOFT and _is_mailbox_fault(details),
        )
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise NoFeedback(type(error).__name__) from None
    except ValueError as error:
        raise error if isinstance(error, NoFeedback) else NoFeedback("a time") from None


def _object(text: object) -> Mapping[str, Any]:
    """Return the JSON object of a text; an empty one for any other text."""
    try:
        value = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        value = None
    return value if isinstance(value, dict) else {}


def _sets(event: Mapping[str, Any]) -> list[Any] | None:
    """Return the configuration sets of an event; None where it names none."""
    found: Any = event
    for name in ("mail", "tags", SET_TAG):
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, list) else None


def _is_about(text: object, configuration_set: str) -> bool:
    """Return whether a text that cannot be read names our configuration set as an event does."""
    return isinstance(text, str) and SET_TAG in text and configuration_set in text


def _word(kind: object) -> str:
    """Return a type for the log; empty for a text that is no plain word."""
    return kind if isinstance(kind, str) and WORD.fullmatch(kind) else ""


def _time_ms(text: str) -> int:
    # SES's pages write the zone as "Z", and as " +0000".
    return int(datetime.fromisoformat(text.replace(" ", "")).timestamp() * 1000)


def _values(tags: Mapping[str, Any], name: str) -> list[str]:
    """Return the values of a tag, which SES writes as a list of texts.

    Raises:
        TypeError: it is anything else. The first letter of a text is no shopper's id.
    """
    values = tags[name]
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError
    return values


def _sku_of(tags: Mapping[str, Any]) -> Sku | None:
    try:
        return (sku_of_tag(_values(tags, "sku")[0]) or None) if "sku" in tags else None
    except ValueError:
        raise NoFeedback("a tag that is no SKU's") from None


def _was_suppressed(event: Mapping[str, Any]) -> bool:
    kinds = (event.get("bounce", {}).get("bounceSubType"), event.get("complaint", {}).get("complaintSubType"))
    return "OnAccountSuppressionList" in kinds


def _is_mailbox_fault(bounce: Mapping[str, Any]) -> bool:
    subtype = bounce.get("bounceSubType")
    if subtype in MAILBOX_FAULTS_WITH_STATUS:
        return any(recipient.get("status") for recipient in bounce.get("bouncedRecipients", ()))
    return subtype in MAILBOX_FAULTS


def _state(event: Mapping[str, Any], kind: str) -> FeedbackState | None:
    if kind == "Bounce" and event["bounce"]["bounceType"] == "Permanent":
        return FeedbackState.BOUNCED
    if kind == "Complaint" and _feedback_type(event) in NO_COMPLAINTS:
        return None
    return STATES.get(kind)


def _feedback_type(event: Mapping[str, Any]) -> str:
    """Return the Feedback-Type of a complaint in lower case; empty where its provider wrote none."""
    return str(event["complaint"].get("complaintFeedbackType") or "").lower()

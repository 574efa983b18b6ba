"""What SES tells about a letter after it was accepted, and what that means for the shopper.

https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html

    accepted --> delayed --> delivered --> complained
        |           +-------> bounced (hard or soft)
        +--> rejected, failed

Events come late, twice and in any order. Each state has a rank: a lower one never replaces a higher
one of the same letter, and an older letter's never that of a newer one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from chalicelib.domain.sku import sku_of_tag


class FeedbackState(StrEnum):
    """What became of a letter, as far as it is known by now."""

    DELAYED = "delayed"
    DELIVERED = "delivered"
    FAILED = "failed"
    REJECTED = "rejected"
    BOUNCED_SOFT = "bounced_soft"
    BOUNCED = "bounced"
    COMPLAINED = "complained"

    @property
    def rank(self) -> int:
        """Of states of one letter, the one of the highest rank stays."""
        return list(FeedbackState).index(self)

    @property
    def suppresses(self) -> bool:
        """Whether the address must never be mailed again: it does not exist, or its owner is angry.

        A full mailbox or a note from somebody on holiday is neither.
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


@dataclass(frozen=True, slots=True)
class Feedback:
    """One event about one letter, found again by the tags it was sent with.

    `sku` and `restock`, the tag of the restock it told of, are empty for a letter about none. What SES did
    not even try, since it had the address suppressed, `counts` for nobody's health.
    """

    state: FeedbackState
    message_id: str
    sent_at_ms: int
    shopper: str
    sku: str
    restock: str = ""
    counts: bool = False


class NoFeedback(ValueError):
    """The message is no event of SES's about a letter of ours."""


def feedback_from(event: Mapping[str, Any], *, configuration_set: str) -> Feedback | None:
    """The feedback of an event; None for one that tells nothing new (sent, opened, clicked, not spam).

    Raises:
        NoFeedback: the event is not of our configuration set, or not in SES's form.
    """
    try:
        mail, kind = event["mail"], event["eventType"]
        tags = mail["tags"]
        if configuration_set not in tags["ses:configuration-set"]:
            raise NoFeedback("another configuration set")
        state = _state(event, kind)
        if state is None:
            return None
        return Feedback(
            state,
            str(mail["messageId"]),
            int(datetime.fromisoformat(mail["timestamp"]).timestamp() * 1000),
            str(tags["shopper"][0]),
            _sku_of(tags),
            str(tags.get("restock", [""])[0]),
            counts=state in COUNTED and not _was_suppressed(event),
        )
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise NoFeedback(type(error).__name__) from None


def _sku_of(tags: Mapping[str, Any]) -> str:
    try:
        return sku_of_tag(str(tags.get("sku", [""])[0]))
    except ValueError:
        raise NoFeedback("a tag that is no SKU's") from None


def _was_suppressed(event: Mapping[str, Any]) -> bool:
    kinds = (event.get("bounce", {}).get("bounceSubType"), event.get("complaint", {}).get("complaintSubType"))
    return "OnAccountSuppressionList" in kinds


def _state(event: Mapping[str, Any], kind: str) -> FeedbackState | None:
    if kind == "Bounce" and event["bounce"]["bounceType"] == "Permanent":
        return FeedbackState.BOUNCED
    if kind == "Complaint" and event["complaint"].get("complaintFeedbackType") == "not-spam":
        return None
    return STATES.get(kind)


# Of this shop's own letters of a day. The account's rates, which SES reckons over more letters and all that
# the account sends, have bounds of their own in `tending`.
SHOP_BOUNCE_RATE_MAX = 0.05
SHOP_COMPLAINT_RATE_MAX = 0.001
LETTERS_MIN = 100
COMPLAINTS_MIN = 2


@dataclass(frozen=True, slots=True)
class Health:
    """How letters of the last 24 hours were received."""

    letters: int
    bounced: int
    complained: int

    @property
    def reason_to_pause(self) -> str | None:
        """Why sending must stop before SES stops it; None when all is well.

        SES reviews an account at 5 % and 0.1 %: https://docs.aws.amazon.com/ses/latest/dg/faqs-enforcement.html
        Of few letters a single complaint says nothing.
        """
        if self.letters >= LETTERS_MIN and self.bounced > SHOP_BOUNCE_RATE_MAX * self.letters:
            return f"{self.bounced} of {self.letters} letters bounced"
        if self.complained >= COMPLAINTS_MIN and self.complained > SHOP_COMPLAINT_RATE_MAX * self.letters:
            return f"{self.complained} complaints of {self.letters} letters"
        return None

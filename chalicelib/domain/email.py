"""An email to one shopper: requested, composed, and handed to a transport.

`EmailSender` and `SendingAccount` are the contract of a transport; `chalicelib.mail` has two of them.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, Protocol

from chalicelib.domain.ids import ShopperId, Sku
from chalicelib.domain.sending_limits import SendingLimits

NOT_WRITTEN = "not written: "


@dataclass(frozen=True, slots=True)
class RequestedEmail:
    """An email that a shopper requested.

    It confirms the entry for `sku`, or says that the entry is confirmed (`already`); without `sku` it links
    to the shopper's waitlists. With `sign_in_page` it signs a merchant in, whose id `shopper` is, in the
    language of that page; with `test_page` it is a test email to that merchant. Ids only, so that an erased
    shopper leaves nothing in the queue. `source` is the id of the network that requested it, None where it is
    not known.

    `hops` counts how often the message was queued again, `tries` how often in a row because nothing could
    be sent, `deferrals` how often its own mailbox said "later". Not before `not_before_ms`. `unclear`: it may
    have been sent before.
    """

    shopper: ShopperId
    sku: Sku | None = None
    already: bool = False
    sign_in_page: str | None = None
    test_page: str | None = None
    source: str | None = None
    hops: int = 0
    tries: int = 0
    deferrals: int = 0
    not_before_ms: int = 0
    unclear: bool = False

    def to_json(self) -> str:
        """Return the queue message's body: the fields that have no default value."""
        facts = {known.name: getattr(self, known.name) for known in fields(self)}
        usual = {known.name: known.default for known in fields(self)}
        return json.dumps(
            {name: value for name, value in facts.items() if value != usual[name]}, sort_keys=True
        )

    @classmethod
    def from_json(cls, body: str) -> "RequestedEmail":
        """Return the message of a body made by `to_json`, or of one without counters.

        Raises:
            ValueError: the body is none of ours.
        """
        try:
            facts: dict[str, Any] = json.loads(body)
            return cls(**facts)
        except TypeError as error:
            raise ValueError(f"not an email's message: {error}") from None


@dataclass(frozen=True, slots=True)
class Email:
    """The same words as text and as HTML. `subject` is always a single line."""

    subject: str
    text: str
    html: str


class DeliveryOutcome(StrEnum):
    """The outcome of one attempt, as far as the transport knows it at once."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    """For good, for this shopper."""
    DEFERRED = "deferred"
    """Not now, for a reason of this email or its mailbox: others need not wait for it."""
    POSTPONED = "postponed"
    """Not taken, for a reason that is not this email's: the account, the connection, the time."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class OutgoingEmail:
    """An email with the mailbox it goes to, headers of its own, and tags that come back with feedback.

    `reply_to` is a mailbox as a merchant writes it; None without one.
    """

    mailbox: str
    email: Email
    headers: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    reply_to: str | None = None


class SendRefusal(StrEnum):
    """The meaning of a transport's refusal for the emails that wait."""

    RETRY = "retry"
    """Too fast, or not reachable: later."""
    PAUSED = "paused"
    """This account may not send now: a person must act."""
    INVALID = "invalid"
    """The same call will be refused again: our mistake or the settings'."""


@dataclass(frozen=True, slots=True)
class SendResult:
    """The result of one email: `message_id` if accepted, else the `reason` in the transport's own word.

    Postponed: `refusal` says what it waits for.
    """

    delivery: DeliveryOutcome
    message_id: str = ""
    reason: str = ""
    refusal: SendRefusal = SendRefusal.RETRY


def not_written(error: Exception) -> SendResult:
    """Return the result of an email that could not be put into its transport's form: its own fault."""
    return SendResult(DeliveryOutcome.DEFERRED, reason=NOT_WRITTEN + type(error).__name__)


class EmailSender(Protocol):
    """A transport."""

    def send(self, sender: str, emails: Sequence[OutgoingEmail]) -> tuple[SendResult, ...]:
        """Hand emails over, at most 50.

        Raises:
            SendRefused: none of them was taken, and all may be tried again.
            OutcomeUnknown: some or all of them may have been taken.
        """


class SendRefused(Exception):
    """Emails were not taken. `refusal` says what that means for them, `reason` is the transport's word.

    `about_emails`: they were refused for what they hold or whom they go to, not for the account's sake.
    `progressed`: others of the same batch were settled meanwhile. `delay_s`: when to try again, if known.
    """

    def __init__(
        self,
        reason: str,
        refusal: SendRefusal = SendRefusal.RETRY,
        *,
        about_emails: bool = False,
        progressed: bool = False,
        delay_s: int | None = None,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.refusal = refusal
        self.about_emails = about_emails
        self.progressed = progressed
        self.delay_s = delay_s


class EmailDeferred(SendRefused):
    """One email was not taken, for a reason of its own: to be tried again, but not for ever."""


class OutcomeUnknown(Exception):
    """The transport did not answer. There is no token by which it would know the same emails again."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class SendingAccount(Protocol):
    """The source of the sending limits."""

    def limits(self) -> SendingLimits:
        """Return the limits of now.

        Raises:
            SendRefused: the transport does not say just now.
        """

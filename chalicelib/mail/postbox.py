"""What a transport promises: one receipt for each letter, in order; and what it says when it will not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from chalicelib.domain.letter import Letter


class Delivery(StrEnum):
    """What became of one attempt, as far as the transport can tell at once."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    DEFERRED = "deferred"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Envelope:
    """A letter with the mailbox it goes to, headers of its own, and tags that come back with feedback."""

    mailbox: str
    letter: Letter
    headers: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Receipt:
    """Accepted: `message_id` is the transport's. Rejected: for good. Deferred: try again.

    `reason` says why a letter was not accepted, in the transport's own word.
    """

    delivery: Delivery
    message_id: str = ""
    reason: str = ""


class Postbox(Protocol):
    """A transport."""

    def send(self, sender: str, envelopes: Sequence[Envelope]) -> tuple[Receipt, ...]:
        """Hand letters over, at most 50.

        Raises:
            PostboxRefused: none of them was taken, and all may be tried again.
            OutcomeUnknown: some or all of them may have been taken.
        """


class Refusal(StrEnum):
    """What a transport's refusal means for the letters that wait."""

    BUSY = "busy"
    """Too fast, or not reachable: later."""
    STOPPED = "stopped"
    """This account may not send just now: somebody has to see to it."""
    WRONG = "wrong"
    """The same call will be refused again: our mistake or the settings'."""


class PostboxRefused(Exception):
    """Letters were not taken. `refusal` says what that means for them, `reason` is the transport's word."""

    def __init__(self, reason: str, refusal: Refusal = Refusal.BUSY) -> None:
        super().__init__(reason)
        self.reason = reason
        self.refusal = refusal


class OutcomeUnknown(Exception):
    """The transport did not answer. There is no token by which it would know the same letters again."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

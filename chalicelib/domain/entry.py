"""An entry: one shopper waiting for one variant, and the states it goes through.

    pending --confirm--> confirmed --told--> notified
       |                     |                  |
       +------ leave --------+------ leave -----+---> left
    pending --72 h unconfirmed--> expired (derived from `expires_at_s`; DynamoDB deletes the row later)

Asking again brings `left` and `notified` back to `pending`, at the end of the line.
"""

from dataclasses import dataclass
from enum import StrEnum
from zlib import crc32

CONFIRM_WITHIN_S = 72 * 3600
ASK_AGAIN_AFTER_S = 15 * 60
CONFIRMATIONS_PER_DAY_MAX = 10
SHARDS = 8
SKU_PATTERN = r"[A-Z0-9][A-Z0-9-]{0,39}"


class EntryState(StrEnum):
    """The stored states; `expired` is a pending entry past its time."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    NOTIFIED = "notified"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Signup:
    """What a shopper asked for, on which page, and which text of consent they read."""

    shopper: str
    mailbox: str
    sku: str
    page: str
    consent: str


@dataclass(frozen=True, slots=True)
class Entry:
    """The stored row. `place` orders the line: time of joining, then the shopper's id. `page` is where they
    asked, and so the language they read; an entry out of the line's index comes without."""

    shopper: str
    sku: str
    mailbox: str
    state: EntryState
    asked_at_ms: int
    place: str | None = None
    expires_at_s: int | None = None
    page: str = "/"

    def expired(self, *, at_ms: int) -> bool:
        """Whether it counts as gone: DynamoDB may delete the row days later (TTL)."""
        return self.state is EntryState.PENDING and (self.expires_at_s or 0) * 1000 <= at_ms


def place_of(joined_at_ms: int, shopper: str) -> str:
    """The place in the line: sorts by time of joining, equal times by the shopper's id."""
    return f"{joined_at_ms:013d}#{shopper}"


def place_after_all(at_ms: int) -> str:
    """A bound above every place taken up to and including `at_ms`."""
    return f"{at_ms:013d}#~"


def line_of(sku: str, shopper: str) -> str:
    """The shard of a variant's line that a shopper stands in."""
    return f"{sku}#{crc32(shopper.encode()) % SHARDS}"


def lines_of(sku: str) -> tuple[str, ...]:
    """Every shard of a variant's line."""
    return tuple(f"{sku}#{shard}" for shard in range(SHARDS))


class Reaction(StrEnum):
    """What the writing of an entry calls for."""

    ASK = "ask"
    WELCOME = "welcome"
    COUNT_OUT = "count_out"


def reaction_to(before: Entry | None, after: Entry) -> Reaction | None:
    """What to do about an entry that was `before` and is `after`; None when there is nothing to do."""
    if after.state is EntryState.PENDING:
        was_asked = before is not None and before.state is EntryState.PENDING
        asked_anew = before is None or not was_asked or before.asked_at_ms != after.asked_at_ms
        return Reaction.ASK if asked_anew else None
    match before.state if before else None, after.state:
        case EntryState.PENDING, EntryState.CONFIRMED:
            return Reaction.WELCOME
        case EntryState.NOTIFIED, EntryState.LEFT:
            return Reaction.COUNT_OUT
    return None

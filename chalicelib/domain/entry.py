"""An entry: one shopper waiting for one variant, and the states it goes through.

    pending --confirm--> confirmed --notify--> notified
       |                     |                     |
       +---------------------+---- unsubscribe ----+---> unsubscribed
    pending --72 h unconfirmed--> expired (derived from `expires_at_s`; DynamoDB deletes the row later)

A repeated signup sets `unsubscribed` and `notified` back to `pending`, at the end of the shard. With single
opt-in a signup sets the entry to `confirmed` at once.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from zlib import crc32

from chalicelib.domain.ids import ShopperId, Sku, sku_id

HOUR_MS = 3600 * 1000
DAY_MS = 24 * HOUR_MS
CONFIRM_WITHIN_S = 72 * 3600
SIGN_UP_COOL_DOWN_S = 15 * 60
# A confirmed shopper who asks again is emailed that they are on the list, so often at most for each entry.
ALREADY_EMAIL_EVERY_S = 24 * 3600
# One confirmation email names this many variants at most, and as many as a link has room for.
CONFIRMED_AT_ONCE_MAX = 20
# Emails on request: to confirm an entry, to see one's own waitlists.
REQUESTED_EMAILS_PER_DAY_MAX = 10
# The same by the network of the request. Thousands of a carrier's subscribers share one of IPv4: this is
# a twenty-fifth of the signups of a campaign with a million visitors. A home or a phone has its own of IPv6.
REQUESTED_BY_NETWORK_PER_DAY_MAX = 2_000
REQUESTED_BY_IPV6_NETWORK_PER_DAY_MAX = 200
# Single opt-in: others may sign a shopper up so often a day at most.
SINGLE_OPT_INS_PER_DAY_MAX = 10
SHARDS = 8


class EntryState(StrEnum):
    """The stored states; `expired` is a pending entry past its time."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    NOTIFIED = "notified"
    UNSUBSCRIBED = "unsubscribed"


class Arrival(StrEnum):
    """When an entry of another tool or another SKU is notified of stock that is there already."""

    NOW = "now"
    NEXT_RESTOCK = "next_restock"


class OptIn(StrEnum):
    """The terms of a signup: confirmed by an email's link, or at once."""

    DOUBLE = "double"
    SINGLE = "single"


@dataclass(frozen=True, slots=True)
class Signup:
    """A request for an email: the SKU, the page it came from, its terms, and the consent text shown there.

    `source` is the id of the network it came from, None where it is not known.
    """

    shopper: ShopperId
    mailbox: str
    sku: Sku
    page: str
    consent: str
    opt_in: OptIn = OptIn.DOUBLE
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """The stored row.

    `position` orders the shard: signup time, then the shopper's id; an entry outside the shard's index has
    none. `page` is the page of the signup, and so the language of the emails. An entry that was imported, or
    moved from another SKU, has an `arrival` and its time. `moved_to` and `moved_from` are SKUs of
    the last moves from and to this row; a later signup keeps them.
    """

    shopper: ShopperId
    sku: Sku
    mailbox: str
    state: EntryState
    signed_up_at_ms: int
    position: str | None = None
    expires_at_s: int | None = None
    page: str = "/"
    arrival: Arrival | None = None
    arrived_at_ms: int | None = None
    consent: str | None = None
    source: str | None = None
    moved_to: Sku | None = None
    moved_from: Sku | None = None

    def expired(self, *, at_ms: int) -> bool:
        """Return whether the entry has expired; DynamoDB may delete its row days later (TTL)."""
        return self.state is EntryState.PENDING and (self.expires_at_s or 0) * 1000 <= at_ms


@dataclass(frozen=True, slots=True)
class EmailClaim:
    """The signups that one email covers: entries of `shopper` by SKU, with the time of signup (ms).

    The message about `sku` sends the email.
    """

    shopper: ShopperId
    sku: Sku
    covers: Mapping[Sku, int]

    def to_json(self) -> str:
        """Write the claim as a text attribute."""
        return json.dumps([self.shopper, self.sku, self.covers], ensure_ascii=False, separators=(",", ":"))

    def is_held(self, by: str) -> bool:
        """Return whether a stored claim of another message covers the entry this message is about.

        Where that entry is gone, the stored claim has to cover all the others.
        """
        shopper, sku, covered = json.loads(by)
        if shopper != self.shopper or sku == self.sku:
            return False
        own = [self.sku] if self.sku in self.covers else list(self.covers)
        return all(covered.get(name, -1) >= self.covers[name] for name in own)


def position_of(joined_at_ms: int, shopper: ShopperId) -> str:
    """Return the position in the shard: it sorts by the time of joining, then by the shopper's id."""
    return f"{joined_at_ms:013d}#{shopper}"


def position_after_all(at_ms: int) -> str:
    """Return a bound above every position of up to and including `at_ms`."""
    return f"{at_ms:013d}#~"


def shard_of(sku: Sku, shopper: ShopperId) -> str:
    """Return the shard of a variant's waitlist that has a shopper's entry."""
    return f"{sku_id(sku)}#{crc32(shopper.encode()) % SHARDS}"


def shards_of(sku: Sku) -> tuple[str, ...]:
    """Return every shard of a variant's waitlist."""
    return tuple(f"{sku_id(sku)}#{number}" for number in range(SHARDS))


class Reaction(StrEnum):
    """The effect that follows from the write of an entry."""

    SEND_CONFIRMATION = "send_confirmation"
    NOTIFY_IF_AVAILABLE = "notify_if_available"
    COUNT_UNSUBSCRIBE = "count_unsubscribe"
    ACCEPT_SINGLE_OPT_IN = "accept_single_opt_in"
    SEND_ALREADY_WAITING = "send_already_waiting"


def reaction_to(before: Entry | None, after: Entry) -> Reaction | None:  # noqa: PLR0911 - one for each change
    """Return the reaction to an entry that was `before` and is `after`; None when there is nothing to do."""
    asked_again = before is None or before.signed_up_at_ms != after.signed_up_at_ms
    match before.state if before else None, after.state:
        case was, EntryState.PENDING:
            return Reaction.SEND_CONFIRMATION if asked_again or was is not EntryState.PENDING else None
        # No signup happened just now: no cap on signups counts it.
        case _, EntryState.CONFIRMED if arrives(before, after):
            return Reaction.NOTIFY_IF_AVAILABLE if after.arrival is Arrival.NOW else None
        # Restoring what a repeated signup wrote over sets the time back.
        case EntryState.CONFIRMED, EntryState.CONFIRMED:
            later = before is not None and before.signed_up_at_ms < after.signed_up_at_ms
            return Reaction.SEND_ALREADY_WAITING if later else None
        # Confirming is no signup: its time stays.
        case _, EntryState.CONFIRMED if asked_again:
            return Reaction.ACCEPT_SINGLE_OPT_IN
        case EntryState.PENDING, EntryState.CONFIRMED:
            return Reaction.NOTIFY_IF_AVAILABLE
        case EntryState.NOTIFIED, EntryState.UNSUBSCRIBED:
            return Reaction.COUNT_UNSUBSCRIBE
    return None


def arrives(before: Entry | None, after: Entry) -> bool:
    """Return whether this very change imported the entry, or moved it from another SKU."""
    return after.arrival is not None and (before is None or before.arrived_at_ms != after.arrived_at_ms)


def rejoins(before: Entry | None, after: Entry) -> bool:
    """Return whether a signup repeats an expired one, whose position is lost."""
    return (
        before is not None
        and after.state is EntryState.PENDING
        and before.expired(at_ms=after.signed_up_at_ms)
        and not arrives(before, after)
    )

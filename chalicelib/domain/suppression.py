"""The history of a mailbox, and why it suppresses a shopper: then no email is sent to them.

A `MailboxHistory` holds everything known of a mailbox. Two of them join into one in either order, so events
in any order lead to the same history, and so to the same answer.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from enum import StrEnum

from chalicelib.domain.entry import DAY_MS

# Soft bounces of so many emails, the first and the last sent so far apart, without a delivery in between.
SOFT_BOUNCES_MIN = 3
SOFT_BOUNCES_SPAN_MS_MIN = 7 * DAY_MS
# A bounced mailbox may be asked to confirm again after this time, twice as long after each further bounce.
RETRY_AFTER_MS = 30 * DAY_MS
RETRY_AFTER_MS_MAX = 365 * DAY_MS
# Bounces of emails sent within a day are one: those of one visit's emails, for instance.
BOUNCES_APART_MS = DAY_MS
# A confirmation email that was neither confirmed nor bounced: its link holds 72 h.
RETRY_PAUSE_MS = 3 * DAY_MS
# The newest bounces and the newest deliveries are kept, so many of each.
EMAILS_KEPT_MAX = 20


class SuppressionReason(StrEnum):
    """Why an address must not be emailed, the strongest reason first."""

    COMPLAINED = "complained"
    BLOCKED = "blocked"
    BOUNCED = "bounced"
    BOUNCED_SOFT = "bounced_soft"
    UNSUBSCRIBED = "unsubscribed"

    @property
    def is_for_good(self) -> bool:
        """Return whether no confirmation of the shopper's lifts it."""
        return self in {SuppressionReason.COMPLAINED, SuppressionReason.BLOCKED}


@dataclass(frozen=True, slots=True)
class Suppression:
    """An address must not be emailed since `since_ms`.

    From `retry_at_ms` on its owner may be asked to confirm a signup of theirs; None is never.
    """

    reason: SuppressionReason
    since_ms: int
    retry_at_ms: int | None


@dataclass(frozen=True, slots=True)
class MailboxHistory:
    """Everything known of one mailbox; times in milliseconds, 0 for never.

    `bounced`, `bounced_soft` and `delivered` name emails by when they were sent; `complained_at_ms`,
    `blocked_at_ms` and `unsubscribed_at_ms` are when that last happened. `lifted_at_ms` is when the shopper
    confirmed again, `operator_lifted_at_ms` when an operator lifted it, complaints and blocks too.
    `retried_at_ms` is when the last confirmation email left despite the suppression, for a signup of
    `retried_for_ms`.
    """

    complained_at_ms: int = 0
    blocked_at_ms: int = 0
    unsubscribed_at_ms: int = 0
    lifted_at_ms: int = 0
    operator_lifted_at_ms: int = 0
    retried_at_ms: int = 0
    retried_for_ms: int = 0
    bounced: frozenset[int] = frozenset()
    bounced_soft: frozenset[int] = frozenset()
    delivered: frozenset[int] = frozenset()

    def joined(self, other: "MailboxHistory") -> "MailboxHistory":
        """Return what both know together."""
        joined: dict[str, int | frozenset[int]] = {}
        for field in fields(self):
            mine, theirs = getattr(self, field.name), getattr(other, field.name)
            joined[field.name] = max(mine, theirs) if isinstance(mine, int) else _newest(mine | theirs)
        return MailboxHistory(**joined)  # type: ignore[arg-type]

    @property
    def suppression(self) -> Suppression | None:
        """Return why the address must not be emailed now; None when it may be."""
        lifted_at_ms = max(self.lifted_at_ms, self.operator_lifted_at_ms)
        if self.complained_at_ms > self.operator_lifted_at_ms:
            return Suppression(SuppressionReason.COMPLAINED, self.complained_at_ms, None)
        if self.blocked_at_ms > self.operator_lifted_at_ms:
            return Suppression(SuppressionReason.BLOCKED, self.blocked_at_ms, None)
        bounced = [sent for sent in self.bounced if sent > lifted_at_ms]
        if bounced:
            return self._until_retried(SuppressionReason.BOUNCED, max(bounced))
        delivered = self.delivered - self.bounced_soft - self.bounced
        soft = [
            sent for sent in self.bounced_soft if sent > max(delivered, default=0) and sent > lifted_at_ms
        ]
        if len(soft) >= SOFT_BOUNCES_MIN and max(soft) - min(soft) >= SOFT_BOUNCES_SPAN_MS_MIN:
            return self._until_retried(SuppressionReason.BOUNCED_SOFT, max(soft))
        if self.unsubscribed_at_ms > lifted_at_ms:
            since_ms = self.unsubscribed_at_ms
            return Suppression(SuppressionReason.UNSUBSCRIBED, since_ms, since_ms)
        return None

    @property
    def is_retrying(self) -> bool:
        """Return whether a confirmation email is under way that may lift the suppression."""
        found = self.suppression
        return found is not None and not found.reason.is_for_good and self.retried_at_ms > found.since_ms

    def may_retry(self, *, at_ms: int, signed_up_at_ms: int) -> bool:
        """Return whether the confirmation email of a signup at `signed_up_at_ms` may leave all the same.

        Once for one signup; that of another one when the link of the last has ended.
        """
        found = self.suppression
        if found is None or found.retry_at_ms is None or found.since_ms > signed_up_at_ms:
            return False
        waited_for_ms = self.retried_at_ms + RETRY_PAUSE_MS if self.is_retrying else found.retry_at_ms
        return at_ms >= waited_for_ms

    def retried(self, *, at_ms: int, signed_up_at_ms: int) -> "MailboxHistory":
        """Return the history with a confirmation email under way, as `may_retry` allows it; else as it is."""
        if not self.may_retry(at_ms=at_ms, signed_up_at_ms=signed_up_at_ms):
            return self
        return replace(self, retried_at_ms=at_ms, retried_for_ms=signed_up_at_ms)

    def confirmed(self, *, at_ms: int) -> "MailboxHistory":
        """Return the history after that email's link was used: it arrived, and its owner wants emails."""
        return replace(self, lifted_at_ms=at_ms) if self.is_retrying else self

    def lifted_by_operator(self, *, at_ms: int) -> "MailboxHistory":
        """Return the history after an operator lifted whatever suppressed the address."""
        return replace(self, operator_lifted_at_ms=at_ms) if self.suppression else self

    def _until_retried(self, reason: SuppressionReason, since_ms: int) -> Suppression:
        doubled = max(0, _count_spaced(self.bounced) - 1)
        # Past the maximum long before the shift gets large.
        wait_ms = min(RETRY_AFTER_MS << min(doubled, 10), RETRY_AFTER_MS_MAX)
        return Suppression(reason, since_ms, since_ms + wait_ms)


def _newest(sent: frozenset[int]) -> frozenset[int]:
    return frozenset(sorted(sent)[-EMAILS_KEPT_MAX:])


def _count_spaced(sent: Iterable[int]) -> int:
    """How many bounces there were, those close to one another counted once."""
    count, last = 0, None
    for at_ms in sorted(sent):
        count += last is None or at_ms - last >= BOUNCES_APART_MS
        last = at_ms
    return count

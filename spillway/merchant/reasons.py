"""Say why a person did or did not get an email about an SKU: a verdict and a sentence."""

from dataclasses import dataclass
from enum import StrEnum

from chalicelib.domain.email import DeliveryOutcome
from chalicelib.domain.entry import Arrival, EntryState
from chalicelib.domain.feedback import FeedbackState
from chalicelib.domain.stock import Stock
from chalicelib.tables.sending.waves import Progress
from spillway.merchant.people import (
    Facts,
    HistoryLine,
    counted_units,
    in_words,
    suppression_reason,
    timeline,
    waits_since_ms,
    when,
)
from spillway.merchant.rows import KnownEntry
from spillway.terminal import pluralize


class WaitingState(StrEnum):
    """Where a person stands with one SKU."""

    UNKNOWN_SKU = "unknown_sku"
    NEVER_SIGNED_UP = "never_signed_up"
    NOT_CONFIRMED = "not_confirmed"
    NOT_CONFIRMED_SUPPRESSED = "not_confirmed_suppressed"
    EXPIRED = "expired"
    UNSUBSCRIBED = "unsubscribed"
    UNSUBSCRIBED_AFTER_EMAIL = "unsubscribed_after_email"
    TAKEN_OFF = "taken_off"
    MOVED = "moved"
    HANDED_OVER = "handed_over"
    DELIVERED = "delivered"
    DELAYED = "delayed"
    BOUNCED_SOFT = "bounced_soft"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    REJECTED = "rejected"
    FAILED = "failed"
    UNCLEAR = "unclear"
    SUPPRESSED = "suppressed"
    WITHDRAWN = "withdrawn"
    SOLD_OUT = "sold_out"
    SOLD_OUT_BEFORE = "sold_out_before"
    TOO_SMALL = "too_small"
    PAUSED = "paused"
    DEFERRED = "deferred"
    GIVEN_UP = "given_up"
    NEXT_RESTOCK = "next_restock"
    NEXT_WAVE = "next_wave"
    IN_TURN = "in_turn"


@dataclass(frozen=True, slots=True)
class Explanation:
    """The lines by time, what they come to, and that in a sentence."""

    lines: tuple[HistoryLine, ...]
    verdict: WaitingState
    sentence: str


def explain(facts: Facts, *, at_ms: int) -> Explanation:
    """Return why the shopper was or was not emailed about the SKU, as of `at_ms`."""
    verdict, sentence = _verdict(facts, at_ms)
    return Explanation(timeline(facts), verdict, sentence)


def _verdict(facts: Facts, at_ms: int) -> tuple[WaitingState, str]:
    known = facts.known
    if known is None:
        if not facts.sold and facts.stocked is None:
            return WaitingState.UNKNOWN_SKU, (
                f"No email: this shop sells nothing under the SKU {facts.sku}, and nobody at this address is"
                " on a waitlist for it."
            )
        return WaitingState.NEVER_SIGNED_UP, (
            f"No email: this address is not on the waitlist for {facts.sku}. It never signed up, a signup was"
            " not confirmed within 72 hours and is deleted, or the person was erased."
        )
    match known.entry.state:
        case EntryState.PENDING:
            return _of_pending(facts, known, at_ms)
        case EntryState.UNSUBSCRIBED:
            return _of_left(facts, known)
        case EntryState.NOTIFIED:
            return _of_notified(facts, known)
        case EntryState.CONFIRMED:
            return _of_waiting(facts, known)


def _of_pending(facts: Facts, known: KnownEntry, at_ms: int) -> tuple[WaitingState, str]:
    ends = when((known.entry.expires_at_s or 0) * 1000)
    if known.entry.expired(at_ms=at_ms):
        return WaitingState.EXPIRED, (
            f"No email: the signup was not confirmed by {ends}, when its link ended; the person can sign up"
            " again."
        )
    if facts.suppression:
        return WaitingState.NOT_CONFIRMED_SUPPRESSED, (
            f"No email, not even the confirmation: the address is suppressed ({suppression_reason(facts)})."
        )
    return WaitingState.NOT_CONFIRMED, (
        f"No email yet: the address is not confirmed; the link in the confirmation email works until {ends}."
    )


def _of_left(facts: Facts, known: KnownEntry) -> tuple[WaitingState, str]:
    unsubscribed_at_ms = known.number("unsubscribed_at_ms") or 0
    notified_at_ms = known.number("notified_at_ms")
    moved_to, left = known.text("moved_to"), when(unsubscribed_at_ms)
    if moved_to:
        return WaitingState.MOVED, (
            f"Moved to {moved_to} at {left}: spillway why says for that SKU what happened since."
        )
    if notified_at_ms is not None and notified_at_ms >= known.entry.signed_up_at_ms:
        return WaitingState.UNSUBSCRIBED_AFTER_EMAIL, (
            f"Emailed at {when(notified_at_ms)}, and unsubscribed at {left}: no further email."
        )
    since = facts.suppression.get("since_ms", 0)
    if facts.suppression and unsubscribed_at_ms >= (since if isinstance(since, int) else 0):
        return WaitingState.TAKEN_OFF, (
            f"No email: the address is suppressed ({suppression_reason(facts)}), and was taken off the"
            f" waitlist at {left}."
        )
    return WaitingState.UNSUBSCRIBED, f"No email: unsubscribed at {left}."


_BY_FEEDBACK = {
    FeedbackState.DELIVERED: (WaitingState.DELIVERED, "the mail server of the address took it"),
    FeedbackState.DELAYED: (WaitingState.DELAYED, "the mail server of the address keeps putting it off"),
    FeedbackState.BOUNCED_SOFT: (
        WaitingState.BOUNCED_SOFT,
        "it bounced for now: a full mailbox, for example",
    ),
    FeedbackState.BOUNCED: (WaitingState.BOUNCED, "it bounced for good: there is no such mailbox"),
    FeedbackState.COMPLAINED: (WaitingState.COMPLAINED, "the person reported it as spam"),
    FeedbackState.REJECTED: (WaitingState.REJECTED, "SES refused to send it"),
    FeedbackState.FAILED: (WaitingState.FAILED, "SES could not render it"),
}


def _of_notified(facts: Facts, known: KnownEntry) -> tuple[WaitingState, str]:
    delivery, at = known.text("delivery"), when(known.number("notified_at_ms") or 0)
    off = "; signing up again puts the person on the waitlist once more"
    if delivery == DeliveryOutcome.REJECTED:
        return (
            WaitingState.REJECTED,
            f"No email: at {at} the mail service refused this address for good{off}.",
        )
    if known.text("feedback_message_id") == known.text("message_id") and known.text("feedback"):
        try:
            verdict, came = _BY_FEEDBACK[FeedbackState(known.text("feedback"))]
        except (ValueError, KeyError):
            verdict, came = WaitingState.HANDED_OVER, f"feedback: {in_words(known.text('feedback'))}"
        return verdict, f"Emailed at {at}: {came}{off}."
    if delivery == DeliveryOutcome.UNKNOWN:
        return WaitingState.UNCLEAR, (
            f"Perhaps emailed at {at}: the mail service broke off twice without an answer{off}."
        )
    return WaitingState.HANDED_OVER, f"Emailed at {at}: the mail service took it, nothing more is known{off}."


def _of_waiting(facts: Facts, known: KnownEntry) -> tuple[WaitingState, str]:
    if facts.suppression:
        return WaitingState.SUPPRESSED, f"No email: the address is suppressed ({suppression_reason(facts)})."
    if not facts.sold:
        return WaitingState.WITHDRAWN, (
            f"No email: the shop no longer sells {facts.sku};"
            f" {pluralize(facts.waiting, 'person', 'people')} on its waitlist can be moved with"
            " spillway waitlist move."
        )
    stock = facts.stock
    if stock is None or not stock.availability.can_buy:
        return _of_sold_out(facts, known)
    return _of_available(facts, known, stock)


def _of_sold_out(facts: Facts, known: KnownEntry) -> tuple[WaitingState, str]:
    missed = [restock for restock in facts.restocks if restock.opened_at_ms >= waits_since_ms(known)]
    place = _place(facts)
    if not missed:
        return (
            WaitingState.SOLD_OUT,
            f"No email yet: {facts.sku} has not come back since the signup; {place}.",
        )
    emails = facts.progress.get(missed[0].id, Progress()).notified
    return WaitingState.SOLD_OUT_BEFORE, (
        f"No email yet: {facts.sku} came back at {when(missed[0].opened_at_ms)} and sold out before this"
        f" person's turn, after {pluralize(emails, 'email')}; {place}."
    )


def _of_available(facts: Facts, known: KnownEntry, stock: Stock) -> tuple[WaitingState, str]:
    units, live = stock.units_on_offer, facts.live
    policy = live.policy if live else facts.policy
    if not policy.enough(units) or not facts.policy.enough(units):
        units_min = max(policy.units_min, facts.policy.units_min)
        return WaitingState.TOO_SMALL, (
            f"No email yet: {counted_units(units)} in stock, and the wave policy notifies nobody of"
            f" fewer than {units_min}."
        )
    if facts.paused is not None:
        return WaitingState.PAUSED, (
            f"No email yet: sending is paused ({facts.paused}); spillway resume starts it; {_place(facts)}."
        )
    if live is not None and known.text("deferred_for") == f"{live.id}@{known.entry.position}":
        return _of_deferred(facts.progress.get(live.id, Progress()))
    arrived_at_ms = known.entry.arrived_at_ms or 0
    arrived_quietly = known.entry.arrival is Arrival.NEXT_RESTOCK and known.number("arrived_at_ms")
    if arrived_quietly and (live is None or arrived_at_ms > live.opened_at_ms):
        return WaitingState.NEXT_RESTOCK, (
            f"No email yet: the person came onto the waitlist at {when(arrived_at_ms)}, when {facts.sku} was"
            f" in stock, to wait for the next restock; {_place(facts)}."
        )
    begun = facts.wave.last_email_at_ms > 0
    if live is not None and live.is_limited and begun and facts.wave.left < (facts.position or 0):
        return WaitingState.NEXT_WAVE, (
            f"No email yet: this wave has {pluralize(facts.wave.left, 'email')} left, the next may begin at"
            f" {when(facts.wave.next_wave_at_ms(live.policy))} if units are left; {_place(facts)}."
        )
    return (
        WaitingState.IN_TURN,
        f"No email yet: emails about {facts.sku} are being sent in order; {_place(facts)}. spillway waves and"
        " spillway failed say how far they are.",
    )


def _of_deferred(done: Progress) -> tuple[WaitingState, str]:
    if done.given_up > 0 and done.deferred_now <= 0:
        return WaitingState.GIVEN_UP, (
            "No email about this restock: the mailbox put it off each time, and it was given up; the position"
            " is kept for the next restock."
        )
    if done.given_up > 0:
        return WaitingState.DEFERRED, (
            "No email yet: the mailbox put it off; it is tried again by itself, or was given up for this"
            " restock, as some were. The position is kept."
        )
    return (
        WaitingState.DEFERRED,
        "No email yet: the mailbox put it off; it is tried again by itself for up to 32 hours.",
    )


def _place(facts: Facts) -> str:
    before = max(0, (facts.position or 1) - 1)
    if not before:
        return "nobody is before this person on the waitlist"
    are = "person is" if before == 1 else "people are"
    return f"{before:,} {are} before this one on the waitlist"

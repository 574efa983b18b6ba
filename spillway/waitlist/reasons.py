"""Why somebody did or did not get an email about an SKU: what is stored, by time, and a verdict.

Pure: `people` reads the rows. A line names the row it was read from, by table and key; a key has the
shopper's id, never the address.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from chalicelib.domain.entry import Arrival, EntryState
from chalicelib.domain.feedback import FeedbackState
from chalicelib.domain.stock import Restock, Stock, StockedProduct
from chalicelib.domain.wave import WaveBudget, WavePolicy
from chalicelib.mail.sender import Delivery
from chalicelib.tables.sending.waves import Progress
from spillway.pluralize import pluralize
from spillway.waitlist.rows import KnownEntry


class Verdict(StrEnum):
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
class Line:
    """One fact: when it came about (None: so it is now), and the row it stands in."""

    at_ms: int | None
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that is stored about one shopper and one SKU.

    Args:
        shopper: the shopper's id.
        sku: the SKU.
        known: the entry; None when there is none.
        suppression: the row of a suppression by attribute; empty where the shopper is not suppressed.
        stocked: the product of the SKU, or the one it was of; None where none is known.
        sold: whether the shop still sells it.
        restocks: its restocks, newest first.
        progress: how far the emails about each restock are, by its id.
        wave: the budget of its limited waves.
        policy: the wave policy that counts for the next restock.
        paused: why sending is paused; None when it is not.
        position: how many stand in line up to this entry, itself included; None when it does not wait.
        waiting: how many wait for it.
    """

    shopper: str
    sku: str
    known: KnownEntry | None
    suppression: Mapping[str, str | int]
    stocked: StockedProduct | None
    sold: bool
    restocks: tuple[Restock, ...]
    progress: Mapping[str, Progress]
    wave: WaveBudget
    policy: WavePolicy
    paused: str | None
    position: int | None
    waiting: int

    @property
    def stock(self) -> Stock | None:
        """The stock of the SKU as last observed; None where none is known."""
        return self.stocked.stock.get(self.sku) if self.stocked else None

    @property
    def live(self) -> Restock | None:
        """The newest restock; None when there was none."""
        return self.restocks[0] if self.restocks else None

    @property
    def entry_row(self) -> str:
        """The row of the entry."""
        return f"entries shopper={self.shopper} sku={self.sku}"


@dataclass(frozen=True, slots=True)
class Explanation:
    """The lines by time, what they come to, and that in a sentence."""

    lines: tuple[Line, ...]
    verdict: Verdict
    sentence: str


def explain(facts: Facts, *, at_ms: int) -> Explanation:
    """Return why the shopper was or was not emailed about the SKU, as of `at_ms`."""
    verdict, sentence = _verdict(facts, at_ms)
    lines = [*entry_lines(facts), *_restock_lines(facts), *_suppression_lines(facts), *_lines_of_now(facts)]
    lines.sort(key=lambda line: (line.at_ms is None, line.at_ms or 0))
    return Explanation(tuple(lines), verdict, sentence)


def entry_lines(facts: Facts) -> Iterator[Line]:
    """Yield what the entry's own row says, in no order."""
    known = facts.known
    if known is None:
        return
    yield Line(known.entry.asked_at_ms, _asked(known), facts.entry_row)
    confirmed_at_ms, expires_at_s = known.number("confirmed_at_ms"), known.entry.expires_at_s
    if confirmed_at_ms is not None and not known.text("consent_file_sha256"):
        yield Line(confirmed_at_ms, "confirmed the address", facts.entry_row)
    if expires_at_s is not None and known.entry.state is EntryState.PENDING:
        yield Line(expires_at_s * 1000, "the confirmation link ends", facts.entry_row)
    arrived_at_ms = known.entry.arrived_at_ms
    if arrived_at_ms is not None:
        came = f"moved here from {known.text('moved_from')}" if known.text("moved_from") else "imported"
        waits = ", to wait for the next restock" if known.entry.arrival is Arrival.NEXT_RESTOCK else ""
        yield Line(arrived_at_ms, f"{came}{waits}", facts.entry_row)
    notified_at_ms, unsubscribed_at_ms = known.number("notified_at_ms"), known.number("unsubscribed_at_ms")
    if notified_at_ms is not None:
        said = f"email about restock {known.text('restock_id')}: {known.text('delivery')}"
        message_id = known.text("message_id")
        yield Line(notified_at_ms, f"{said}, message {message_id}" if message_id else said, facts.entry_row)
    feedback_at_ms = known.number("feedback_sent_at_ms")
    if feedback_at_ms is not None:
        said = f"its mail server's answer to the email sent then: {known.text('feedback')}"
        yield Line(feedback_at_ms, said.replace("_", " "), facts.entry_row)
    if unsubscribed_at_ms is not None:
        moved_to = known.text("moved_to")
        yield Line(
            unsubscribed_at_ms, f"moved to {moved_to}" if moved_to else "off the waitlist", facts.entry_row
        )
    put_off, _, deferred_position = known.text("deferred_for").rpartition("@")
    if put_off and deferred_position == known.entry.position:
        yield Line(None, f"email about restock {put_off} put off by its mailbox", facts.entry_row)


def _asked(known: KnownEntry) -> str:
    sha256 = known.text("consent_file_sha256")
    if not sha256:
        return f"signed up on {known.entry.page}"
    tool = known.text("consent").partition(":")[2]
    there = "elsewhere" if tool in {"", "csv"} else f"in {tool}"
    return f"asked {there}: row {known.number('consent_row')} of the file {sha256[:12]}"


def _restock_lines(facts: Facts) -> Iterator[Line]:
    # A restock before somebody asked is none of theirs, but for the one that is live.
    since_ms = _since_ms(facts.known) if facts.known else 0
    for place, restock in enumerate(facts.restocks):
        if place and restock.opened_at_ms < since_ms:
            continue
        done = facts.progress.get(restock.id, Progress())
        words = [f"restock {restock.id}", f"{_units(restock.units)}", _policy(restock.policy)]
        words.append(f"{done.notified:,} notified")
        words += [f"{done.deferred_now:,} deferred"] if done.deferred_now > 0 else []
        words += [f"{done.given_up:,} given up"] if done.given_up > 0 else []
        opened = f"{restock.observed_at_ms:013d}#{restock.version:012d}#{restock.id}"
        yield Line(restock.opened_at_ms, ", ".join(words), f"restocks sku={restock.sku} opened={opened}")


def _suppression_lines(facts: Facts) -> Iterator[Line]:
    if facts.suppression:
        since = facts.suppression.get("since_ms")
        at_ms = since if isinstance(since, int) else None
        said = f"suppressed: {_words(facts.suppression.get('reason', ''))}"
        yield Line(at_ms, said, f"suppressions shopper={facts.shopper}")


def _lines_of_now(facts: Facts) -> Iterator[Line]:
    stock, stocked = facts.stock, facts.stocked
    if stock is not None and stocked is not None:
        sold = "" if facts.sold else "no longer sold, was last "
        said = f"{sold}{stock.availability}, {_units(stock.units)}"
        # At 0 no event was observed: the catalogue's own.
        yield Line(stock.observed_at_ms or None, said, f"products id=product#{stocked.product.slug}")
    if facts.known is None or facts.known.entry.state is not EntryState.CONFIRMED:
        return
    if facts.position is not None:
        place = f"position {facts.position:,} of {facts.waiting:,} on the waitlist"
        yield Line(None, place, f"{facts.entry_row} (index shard)")
    if stocked is not None:
        policy_row = f"sending id=policy#{stocked.product.slug}, else policy#"
        yield Line(None, f"wave policy for the next restock: {_policy(facts.policy)}", policy_row)
    if facts.wave.number:
        said = (
            f"wave {facts.wave.number}: {facts.wave.left:,} of {pluralize(facts.wave.granted, 'email')} left"
        )
        yield Line(None, said, f"sending id=wave#{facts.sku}")
    if facts.paused is not None:
        yield Line(None, f"sending is paused: {facts.paused}", "sending id=pace")


def _verdict(facts: Facts, at_ms: int) -> tuple[Verdict, str]:
    known = facts.known
    if known is None:
        if not facts.sold and facts.stocked is None:
            return Verdict.UNKNOWN_SKU, (
                f"No email: this shop sells nothing under the SKU {facts.sku}, and nobody at this address is"
                " on a waitlist for it."
            )
        return Verdict.NEVER_SIGNED_UP, (
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


def _of_pending(facts: Facts, known: KnownEntry, at_ms: int) -> tuple[Verdict, str]:
    ends = when((known.entry.expires_at_s or 0) * 1000)
    if known.entry.expired(at_ms=at_ms):
        return Verdict.EXPIRED, (
            f"No email: the signup was not confirmed by {ends}, when its link ended; the person can sign up"
            " again."
        )
    if facts.suppression:
        return Verdict.NOT_CONFIRMED_SUPPRESSED, (
            f"No email, not even the confirmation: the address is suppressed ({_reason(facts)})."
        )
    return Verdict.NOT_CONFIRMED, (
        f"No email yet: the address is not confirmed; the link in the confirmation email works until {ends}."
    )


def _of_left(facts: Facts, known: KnownEntry) -> tuple[Verdict, str]:
    unsubscribed_at_ms = known.number("unsubscribed_at_ms") or 0
    notified_at_ms = known.number("notified_at_ms")
    moved_to, left = known.text("moved_to"), when(unsubscribed_at_ms)
    if moved_to:
        return Verdict.MOVED, (
            f"Moved to {moved_to} at {left}: spillway why says for that SKU what happened since."
        )
    if notified_at_ms is not None and notified_at_ms >= known.entry.asked_at_ms:
        return Verdict.UNSUBSCRIBED_AFTER_EMAIL, (
            f"Emailed at {when(notified_at_ms)}, and unsubscribed at {left}: no further email."
        )
    since = facts.suppression.get("since_ms", 0)
    if facts.suppression and unsubscribed_at_ms >= (since if isinstance(since, int) else 0):
        return Verdict.TAKEN_OFF, (
            f"No email: the address is suppressed ({_reason(facts)}), and was taken off the waitlist at"
            f" {left}."
        )
    return Verdict.UNSUBSCRIBED, f"No email: unsubscribed at {left}."


_BY_FEEDBACK = {
    FeedbackState.DELIVERED: (Verdict.DELIVERED, "the mail server of the address took it"),
    FeedbackState.DELAYED: (Verdict.DELAYED, "the mail server of the address keeps putting it off"),
    FeedbackState.BOUNCED_SOFT: (Verdict.BOUNCED_SOFT, "it bounced for now: a full mailbox, for example"),
    FeedbackState.BOUNCED: (Verdict.BOUNCED, "it bounced for good: there is no such mailbox"),
    FeedbackState.COMPLAINED: (Verdict.COMPLAINED, "the person reported it as spam"),
    FeedbackState.REJECTED: (Verdict.REJECTED, "SES refused to send it"),
    FeedbackState.FAILED: (Verdict.FAILED, "SES could not render it"),
}


def _of_notified(facts: Facts, known: KnownEntry) -> tuple[Verdict, str]:
    delivery, at = known.text("delivery"), when(known.number("notified_at_ms") or 0)
    off = "; signing up again puts the person on the waitlist once more"
    if delivery == Delivery.REJECTED:
        return Verdict.REJECTED, f"No email: at {at} the mail service refused this address for good{off}."
    if known.text("feedback_message_id") == known.text("message_id") and known.text("feedback"):
        try:
            verdict, came = _BY_FEEDBACK[FeedbackState(known.text("feedback"))]
        except (ValueError, KeyError):
            verdict, came = Verdict.HANDED_OVER, f"feedback: {_words(known.text('feedback'))}"
        return verdict, f"Emailed at {at}: {came}{off}."
    if delivery == Delivery.UNKNOWN:
        return Verdict.UNCLEAR, (
            f"Perhaps emailed at {at}: the mail service broke off twice without an answer{off}."
        )
    return Verdict.HANDED_OVER, f"Emailed at {at}: the mail service took it, nothing more is known{off}."


def _of_waiting(facts: Facts, known: KnownEntry) -> tuple[Verdict, str]:
    if facts.suppression:
        return Verdict.SUPPRESSED, f"No email: the address is suppressed ({_reason(facts)})."
    if not facts.sold:
        return Verdict.WITHDRAWN, (
            f"No email: the shop no longer sells {facts.sku};"
            f" {pluralize(facts.waiting, 'person', 'people')} on its waitlist can be moved with"
            " spillway waitlist move."
        )
    stock = facts.stock
    if stock is None or not stock.availability.can_buy:
        return _of_sold_out(facts, known)
    return _of_available(facts, known, stock)


def _of_sold_out(facts: Facts, known: KnownEntry) -> tuple[Verdict, str]:
    missed = [each for each in facts.restocks if each.opened_at_ms >= _since_ms(known)]
    place = _place(facts)
    if not missed:
        return Verdict.SOLD_OUT, f"No email yet: {facts.sku} has not come back since the signup; {place}."
    emails = facts.progress.get(missed[0].id, Progress()).notified
    return Verdict.SOLD_OUT_BEFORE, (
        f"No email yet: {facts.sku} came back at {when(missed[0].opened_at_ms)} and sold out before this"
        f" person's turn, after {pluralize(emails, 'email')}; {place}."
    )


def _of_available(facts: Facts, known: KnownEntry, stock: Stock) -> tuple[Verdict, str]:
    units, live = stock.units_on_offer, facts.live
    policy = live.policy if live else facts.policy
    if not policy.enough(units) or not facts.policy.enough(units):
        units_min = max(policy.units_min, facts.policy.units_min)
        return Verdict.TOO_SMALL, (
            f"No email yet: {_units(units)} in stock, and the wave policy notifies nobody of fewer than"
            f" {units_min}."
        )
    if facts.paused is not None:
        return Verdict.PAUSED, (
            f"No email yet: sending is paused ({facts.paused}); spillway resume starts it; {_place(facts)}."
        )
    if live is not None and known.text("deferred_for") == f"{live.id}@{known.entry.position}":
        return _of_deferred(facts.progress.get(live.id, Progress()))
    arrived_at_ms = known.entry.arrived_at_ms or 0
    arrived_quietly = known.entry.arrival is Arrival.NEXT_RESTOCK and known.number("arrived_at_ms")
    if arrived_quietly and (live is None or arrived_at_ms > live.opened_at_ms):
        return Verdict.NEXT_RESTOCK, (
            f"No email yet: the person came onto the waitlist at {when(arrived_at_ms)}, when {facts.sku} was"
            f" in stock, to wait for the next restock; {_place(facts)}."
        )
    begun = facts.wave.last_email_at_ms > 0
    if live is not None and live.is_limited and begun and facts.wave.left < (facts.position or 0):
        return Verdict.NEXT_WAVE, (
            f"No email yet: this wave has {pluralize(facts.wave.left, 'email')} left, the next may begin at"
            f" {when(facts.wave.next_wave_at_ms(live.policy))} if units are left; {_place(facts)}."
        )
    return (
        Verdict.IN_TURN,
        f"No email yet: emails about {facts.sku} are being sent in order; {_place(facts)}. spillway waves and"
        " spillway failed say how far they are.",
    )


def _of_deferred(done: Progress) -> tuple[Verdict, str]:
    if done.given_up > 0 and done.deferred_now <= 0:
        return Verdict.GIVEN_UP, (
            "No email about this restock: the mailbox put it off each time, and it was given up; the position"
            " is kept for the next restock."
        )
    if done.given_up > 0:
        return Verdict.DEFERRED, (
            "No email yet: the mailbox put it off; it is tried again by itself, or was given up for this"
            " restock, as some were. The position is kept."
        )
    return (
        Verdict.DEFERRED,
        "No email yet: the mailbox put it off; it is tried again by itself for up to 32 hours.",
    )


def _place(facts: Facts) -> str:
    before = max(0, (facts.position or 1) - 1)
    if not before:
        return "nobody is before this person on the waitlist"
    are = "person is" if before == 1 else "people are"
    return f"{before:,} {are} before this one on the waitlist"


def _since_ms(known: KnownEntry) -> int:
    """Return since when an entry stands in line here."""
    confirmed = known.number("confirmed_at_ms") or known.entry.asked_at_ms
    return max(confirmed, known.entry.arrived_at_ms or 0)


def _reason(facts: Facts) -> str:
    since, reason = (
        facts.suppression.get("since_ms"),
        _words(facts.suppression.get("reason", "")) or "no reason",
    )
    return f"{reason}, since {when(since)}" if isinstance(since, int) else reason


def _words(identifier: object) -> str:
    return str(identifier).replace("_", " ")


def _units(units: int | None) -> str:
    return "units not counted" if units is None else pluralize(units, "unit")


def _policy(policy: WavePolicy) -> str:
    if policy.emails_per_unit is None:
        everyone = "everyone at once"
        return f"{everyone}, from {policy.units_min} units" if policy.units_min > 1 else everyone
    said = f"{pluralize(policy.emails_per_unit, 'email')} a unit, every {policy.next_after_min} min"
    return f"{said}, from {policy.units_min} units" if policy.units_min > 1 else said


def when(at_ms: int) -> str:
    """Return a time as people and programs read it, to the second, in UTC."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%SZ}"

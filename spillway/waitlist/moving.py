"""Everybody who waits for one SKU, moved to another: each with position and consent, in one transaction.

A transaction takes the old entry off and puts the new one down, or does neither, and only while both are as
they were read. A move that is interrupted is finished by the same command; nobody is on two waitlists in
between.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum

from chalicelib.domain.entry import Arrival, EntryState
from spillway.waitlist.rows import EntryRows, KnownEntry, chunks

WORKERS = 10
CHUNK_ENTRIES = 250
# Each try reads both entries again.
TRIES_MAX = 5


class Moved(StrEnum):
    """The outcome of one entry. The values are the words of the report."""

    MOVED = "moved"
    ASKED = "not confirmed yet, asked again"
    WAITS_THERE = "on the other waitlist already"
    NOTIFIED_THERE = "notified about the other SKU since"
    LEFT_THERE = "unsubscribed from the other waitlist since"
    CHANGED = "gone, or changed all the while"


@dataclass(frozen=True, slots=True)
class Move:
    """A move from one SKU to another. `arrival` says when people are notified of stock there is already."""

    entries: EntryRows
    source: str
    target: str
    arrival: Arrival
    at_ms: int

    def carry_out(self, progress: Callable[[int], None]) -> Counter[Moved]:
        """Move everybody, and count what became of them. `progress` hears how many are done."""
        counts: Counter[Moved] = Counter()
        with ThreadPoolExecutor(WORKERS) as workers:
            for chunk in chunks(waiting(self.entries.of_sku(self.source), at_ms=self.at_ms), CHUNK_ENTRIES):
                counts.update(workers.map(self.one, chunk))
                progress(len(chunk))
        return counts

    def one(self, known: KnownEntry) -> Moved:
        """Move one entry, as read; it is read again where somebody changed it meanwhile."""
        shopper = known.entry.shopper
        for _ in range(TRIES_MAX):
            there = self.entries.get(shopper, self.target)
            if there is not None and there.entry.expired(at_ms=self.at_ms):
                outcome = _plain(known)
                done = self.entries.move(known, self.target, there, self.arrival, at_ms=self.at_ms)
            else:
                outcome, done = self._against(known, there)
            if done:
                return outcome
            again = self.entries.get(shopper, self.source)
            if again is None or not _waits(again, at_ms=self.at_ms):
                return Moved.CHANGED
            known = again
        return Moved.CHANGED

    def _against(self, known: KnownEntry, there: KnownEntry | None) -> tuple[Moved, bool]:
        asked_at_ms, confirmed = known.entry.asked_at_ms, known.entry.state is EntryState.CONFIRMED
        state = there.entry.state if there else None
        notified_at_ms = there.number("notified_at_ms") if there else None
        unsubscribed_at_ms = there.number("unsubscribed_at_ms") if there else None
        if there and state is EntryState.CONFIRMED and confirmed and _ahead(known, there):
            return Moved.WAITS_THERE, self.entries.move_ahead(known, there, at_ms=self.at_ms)
        if state is EntryState.CONFIRMED or (state is EntryState.PENDING and not confirmed):
            return Moved.WAITS_THERE, self.entries.take_off(known, self.target, at_ms=self.at_ms)
        if state is EntryState.NOTIFIED and (notified_at_ms or 0) >= asked_at_ms:
            return Moved.NOTIFIED_THERE, self.entries.take_off(known, self.target, at_ms=self.at_ms)
        if (
            state is EntryState.UNSUBSCRIBED
            and (unsubscribed_at_ms or 0) >= asked_at_ms
            and there
            and not there.text("moved_to")
        ):
            return Moved.LEFT_THERE, self.entries.take_off(known, self.target, at_ms=self.at_ms)
        return _plain(known), self.entries.move(known, self.target, there, self.arrival, at_ms=self.at_ms)


def waiting(entries: Iterable[KnownEntry], *, at_ms: int) -> Iterable[KnownEntry]:
    """Return those that wait, or may still confirm."""
    return (known for known in entries if _waits(known, at_ms=at_ms))


def _waits(known: KnownEntry, *, at_ms: int) -> bool:
    entry = known.entry
    return entry.state is EntryState.CONFIRMED or (
        entry.state is EntryState.PENDING and not entry.expired(at_ms=at_ms)
    )


def _ahead(known: KnownEntry, there: KnownEntry) -> bool:
    return (known.entry.position or "~") < (there.entry.position or "")


def _plain(known: KnownEntry) -> Moved:
    return Moved.MOVED if known.entry.state is EntryState.CONFIRMED else Moved.ASKED

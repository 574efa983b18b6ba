"""Import people of another tool, and move the people of one SKU to another: decide for each, then write.

An existing entry is never overwritten or moved back. An unsubscribed or suppressed one stays so, and the same
file again changes nothing. A move keeps position and consent: one transaction ends the old entry and writes
the new one, or does neither, and only while both are as they were read. The same command finishes an import
or a move that was interrupted.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum

from chalicelib.domain.entry import Arrival, EntryState, position_of
from chalicelib.domain.ids import ShopperId, Sku
from chalicelib.domain.stock import StockedProduct
from chalicelib.services.shopper_records import iso_time
from chalicelib.tables.suppressions import SuppressionsTable
from spillway.merchant.export_rows import ExportRow
from spillway.merchant.export_words import RowOutcome
from spillway.merchant.import_rules import ImportContext, JudgedRow, judged_rows
from spillway.merchant.rows import EntryRows, ImportedPerson, KnownEntry, Proof, chunks

WORKERS = 4
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
TRANSACTION_ROWS = 100
LEFT_OUT_BY_STATE = {
    EntryState.PENDING: RowOutcome.PENDING_HERE,
    EntryState.CONFIRMED: RowOutcome.HERE,
    EntryState.NOTIFIED: RowOutcome.NOTIFIED_HERE,
    EntryState.UNSUBSCRIBED: RowOutcome.LEFT_HERE,
}


@dataclass(frozen=True, slots=True)
class RowDecision:
    """The outcome of one row. `newcomer` is the person to write down, `note` a sentence for the merchant."""

    row: ExportRow
    outcome: RowOutcome
    newcomer: ImportedPerson | None = None
    note: str | None = None


def decide(
    rows: Sequence[ExportRow],
    here: ImportContext,
    entries: EntryRows,
    suppressions: SuppressionsTable,
    *,
    source: str,
    file_sha256: str,
    ask: bool,
    at_ms: int,
) -> list[RowDecision]:
    """Return what becomes of every row, in the order of the file. Changes nothing.

    `ask` asks everybody to confirm, those without consent as well.
    """

    def wanted_at(began_ms: int) -> list[RowDecision]:
        judged = judged_rows(rows, here, ask=ask, at_ms=began_ms)
        return [_newcomer(item, here, source, file_sha256) for item in judged]

    wanted = wanted_at(at_ms)
    known = entries.many([(item.newcomer.shopper, item.newcomer.sku) for item in wanted if item.newcomer])
    began_ms = min(
        (there.entry.arrived_at_ms or at_ms for there in known.values() if _is_of(there, file_sha256)),
        default=at_ms,
    )
    if began_ms < at_ms:
        # Rows without a time stand by when their import began, however often it was interrupted.
        wanted = wanted_at(began_ms)
    suppressed = suppressions.among(item.newcomer.shopper for item in wanted if item.newcomer)
    return sorted(
        (_against(item, known, suppressed, at_ms=at_ms) for item in wanted), key=lambda item: item.row.line
    )


def available(decisions: Sequence[RowDecision], sold: Mapping[Sku, StockedProduct]) -> dict[Sku, int]:
    """Return how many would be added to the waitlist of each SKU that is in stock now."""
    return dict(
        Counter(
            decision.newcomer.sku
            for decision in decisions
            if decision.newcomer
            and decision.outcome is RowOutcome.ADD
            and sold[decision.newcomer.sku].can_buy(decision.newcomer.sku)
        )
    )


def write(
    decisions: Sequence[RowDecision],
    entries: EntryRows,
    arrival: Arrival,
    progress: Callable[[int], None],
    *,
    at_ms: int,
) -> list[RowDecision]:
    """Write the newcomers down, and return what really became of each row.

    `progress` hears how many are written. Somebody who signed up in between keeps that entry.
    """
    done: list[RowDecision] = [decision for decision in decisions if decision.newcomer is None]
    todo = [decision for decision in decisions if decision.newcomer is not None]
    with ThreadPoolExecutor(WORKERS) as workers:
        # A few at a time: Ctrl-C ends an import within seconds.
        for some in chunks(chunks(todo, TRANSACTION_ROWS), WORKERS):
            for written in workers.map(lambda rows: _written(rows, entries, arrival, at_ms), some):
                done += written
                progress(len(written))
    return sorted(done, key=lambda item: item.row.line)


def _newcomer(judged: JudgedRow, here: ImportContext, source: str, file_sha256: str) -> RowDecision:
    row = judged.row
    if row.address is None or judged.outcome not in {RowOutcome.ADD, RowOutcome.ASK}:
        return RowDecision(row, judged.outcome, note=judged.note)
    shopper = row.address.shopper_id(here.identity_key)
    newcomer = ImportedPerson(
        shopper,
        row.address.mailbox,
        row.sku,
        here.page_of(here.sold[row.sku]),
        judged.at_ms,
        position_of(judged.at_ms, shopper),
        Proof(source, file_sha256, row.line, row.written_time, row.text),
    )
    return RowDecision(row, judged.outcome, newcomer, judged.note)


def _against(
    decision: RowDecision,
    known: Mapping[tuple[ShopperId, Sku], KnownEntry],
    suppressed: Set[ShopperId],
    *,
    at_ms: int,
) -> RowDecision:
    """Return the decision in view of what stands here."""
    if decision.newcomer is None:
        return decision
    newcomer = decision.newcomer
    if newcomer.shopper in suppressed:
        return replace(decision, outcome=RowOutcome.SUPPRESSED_HERE, newcomer=None)
    there = known.get((newcomer.shopper, newcomer.sku))
    if there is None or there.entry.expired(at_ms=at_ms):
        return decision
    return _left_out(decision, there)


def _left_out(decision: RowDecision, there: KnownEntry) -> RowDecision:
    outcome = LEFT_OUT_BY_STATE[there.entry.state]
    proof = decision.newcomer.proof if decision.newcomer else None
    note = decision.note
    if outcome is RowOutcome.PENDING_HERE:
        ends = iso_time((there.entry.expires_at_s or 0) * 1000)
        note = f"imported by the same file after {ends}, unless the person confirms or signs up again before"
    if proof and _is_of(there, proof.file_sha256) and outcome in {RowOutcome.HERE, RowOutcome.PENDING_HERE}:
        outcome = RowOutcome.IMPORTED_BEFORE
    return replace(decision, outcome=outcome, newcomer=None, note=note)


def _is_of(there: KnownEntry, file_sha256: str) -> bool:
    return there.text("consent_file_sha256") == file_sha256


def _written(
    decisions: Sequence[RowDecision], entries: EntryRows, arrival: Arrival, at_ms: int
) -> list[RowDecision]:
    newcomers = [item.newcomer for item in decisions if item.newcomer is not None]
    ask = any(item.outcome is RowOutcome.ASK for item in decisions)
    written = entries.put_all(newcomers, arrival, ask=ask, at_ms=at_ms)
    return [
        decision if place in written else _in_the_way(decision, entries)
        for place, decision in enumerate(decisions)
    ]


def _in_the_way(decision: RowDecision, entries: EntryRows) -> RowDecision:
    there = decision.newcomer and entries.get(decision.newcomer.shopper, decision.newcomer.sku)
    # Erased in between, after somebody was in the way: the same file again takes the person over.
    return _left_out(decision, there) if there else replace(decision, outcome=RowOutcome.HERE, newcomer=None)


MOVES_AT_ONCE = 10
CHUNK_ENTRIES = 250
# Each try reads both entries again.
TRIES_MAX = 5


class MoveOutcome(StrEnum):
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
    source: Sku
    target: Sku
    arrival: Arrival
    at_ms: int

    def carry_out(self, progress: Callable[[int], None]) -> Counter[MoveOutcome]:
        """Move everybody, and count what became of them. `progress` hears how many are done."""
        counts: Counter[MoveOutcome] = Counter()
        with ThreadPoolExecutor(MOVES_AT_ONCE) as workers:
            for chunk in chunks(waiting(self.entries.of_sku(self.source), at_ms=self.at_ms), CHUNK_ENTRIES):
                counts.update(workers.map(self.one, chunk))
                progress(len(chunk))
        return counts

    def one(self, known: KnownEntry) -> MoveOutcome:
        """Move one entry, as read; it is read again where somebody changed it meanwhile."""
        shopper = known.entry.shopper
        for _ in range(TRIES_MAX):
            there = self.entries.get(shopper, self.target)
            if there is not None and there.entry.expired(at_ms=self.at_ms):
                outcome = _moved(known)
                done = self.entries.move(known, self.target, there, self.arrival, at_ms=self.at_ms)
            else:
                outcome, done = self._against(known, there)
            if done:
                return outcome
            again = self.entries.get(shopper, self.source)
            if again is None or not _waits(again, at_ms=self.at_ms):
                return MoveOutcome.CHANGED
            known = again
        return MoveOutcome.CHANGED

    def _against(self, known: KnownEntry, there: KnownEntry | None) -> tuple[MoveOutcome, bool]:
        signed_up_at_ms, confirmed = known.entry.signed_up_at_ms, known.entry.state is EntryState.CONFIRMED
        state = there.entry.state if there else None
        notified_at_ms = there.number("notified_at_ms") if there else None
        unsubscribed_at_ms = there.number("unsubscribed_at_ms") if there else None
        if there and state is EntryState.CONFIRMED and confirmed and _ahead(known, there):
            return MoveOutcome.WAITS_THERE, self.entries.move_ahead(known, there, at_ms=self.at_ms)
        if state is EntryState.CONFIRMED or (state is EntryState.PENDING and not confirmed):
            return MoveOutcome.WAITS_THERE, self.entries.take_off(known, self.target, at_ms=self.at_ms)
        if state is EntryState.NOTIFIED and (notified_at_ms or 0) >= signed_up_at_ms:
            return MoveOutcome.NOTIFIED_THERE, self.entries.take_off(known, self.target, at_ms=self.at_ms)
        if (
            state is EntryState.UNSUBSCRIBED
            and (unsubscribed_at_ms or 0) >= signed_up_at_ms
            and there
            and not there.text("moved_to")
        ):
            return MoveOutcome.LEFT_THERE, self.entries.take_off(known, self.target, at_ms=self.at_ms)
        return _moved(known), self.entries.move(known, self.target, there, self.arrival, at_ms=self.at_ms)


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


def _moved(known: KnownEntry) -> MoveOutcome:
    return MoveOutcome.MOVED if known.entry.state is EntryState.CONFIRMED else MoveOutcome.ASKED

"""Tells shoppers that a variant can be had: look once more, send, mark.

The caller holds the lease of their shard, so no other worker tells the same shoppers. One that dies
before sending leaves a lease that ends by itself; one that dies between sending and marking repeats
at most its one batch. The marks of a limited wave's batch are one transaction, with the letters it has
left; those of a shard, whose counters only say how far it is, are each for itself, at half the price.
One bad letter is its own misfortune: nobody waits behind it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from chalicelib.domain.entry import Entry
from chalicelib.domain.hops import DEFERRED_S, early_s
from chalicelib.domain.stock import Restock, StockedProduct
from chalicelib.domain.wave import TellOne
from chalicelib.log import log, where
from chalicelib.mail.postbox import (
    Delivery,
    Envelope,
    OutcomeUnknown,
    Postbox,
    PostboxRefused,
    Receipt,
    Refusal,
    not_written,
)
from chalicelib.queues import WavesQueue
from chalicelib.services.letters import LetterWriter
from chalicelib.tables.entries import EntriesTable
from chalicelib.tables.line import LineTable, Told
from chalicelib.tables.progress import ALL_LINES, ProgressTable

WRITER_KEPT_MS = 10_000


class Teller:
    """Sends one batch. `writer` gives the letters of the theme that is live; `queue` takes those to be
    tried again."""

    def __init__(
        self,
        entries: EntriesTable,
        line: LineTable,
        progress: ProgressTable,
        writer: Callable[[], LetterWriter],
        postbox: Postbox,
        queue: WavesQueue,
        clock_ms: Callable[[], int],
    ) -> None:
        self._entries = entries
        self._line = line
        self._progress = progress
        self._writer = writer
        self._postbox = postbox
        self._queue = queue
        self._clock_ms = clock_ms
        self._kept: LetterWriter | None = None
        self._kept_since_ms = 0

    def tell(
        self,
        restock: Restock,
        stocked: StockedProduct,
        shard: str,
        entries: Sequence[Entry],
        one: TellOne | None = None,
        wave: int = 0,
    ) -> None:
        """Tell those of `entries` (at most 50) who still wait and may be mailed.

        `shard` is the line they stand in, or ALL_LINES for a limited wave, which they are counted in.
        `one` is the message about a single shopper, `wave` the number of the limited wave. A letter that is
        deferred is queued to be tried again by itself, and given up after the last try: the caller goes on to
        the next shoppers.

        Raises:
            PostboxRefused: some letters were not taken; their entries wait as before.
            OutcomeUnknown: nobody knows; the same batch is to come once more.
        """
        batch = _Batch(restock, shard, one, one.wave if one else wave)
        now = self._line.still_waiting(entries, not_deferred_for="" if one else restock.id)
        for entry in now.suppressed:
            self._entries.leave(entry.shopper, entry.sku, at_ms=self._clock_ms())
            if batch.deferrals:
                self.drop(restock, shard, wave=batch.wave)
        waiting = now.may_be_mailed
        if not waiting:
            return
        writer = self._live_writer()
        results, envelopes = self._written(writer, waiting, stocked, restock)
        waiting = tuple(entry for entry in waiting if entry.shopper not in results)
        for entry, receipt in zip(waiting, self._send(batch, writer, waiting, envelopes), strict=True):
            results[entry.shopper] = (entry, receipt)
        self._mark(batch, list(results.values()))

    def _written(
        self, writer: LetterWriter, waiting: Sequence[Entry], stocked: StockedProduct, restock: Restock
    ) -> tuple[dict[str, tuple[Entry, Receipt]], list[Envelope]]:
        """The letters; and, of those that cannot be written, what became of them, by shopper."""
        failed: dict[str, tuple[Entry, Receipt]] = {}
        try:
            envelopes = writer.available(waiting, stocked)
        except Exception:
            # One is enough to spoil it: each by itself, and only those that fail are put off.
            envelopes = []
            for entry in waiting:
                try:
                    envelopes += writer.available([entry], stocked)
                except Exception as error:  # noqa: BLE001 - whatever one letter's fault is, it is its own
                    log("letter_not_written", error=type(error).__name__, at=where(error))
                    failed[entry.shopper] = (entry, not_written(error))
            if not envelopes:
                raise
        tag = {"restock": restock.tag}
        return failed, [replace(envelope, tags={**envelope.tags, **tag}) for envelope in envelopes]

    def _live_writer(self) -> LetterWriter:
        # A new release is seen within seconds; asking for each batch would be a call in eight.
        now_ms = self._clock_ms()
        if self._kept is None or now_ms - self._kept_since_ms > WRITER_KEPT_MS:
            self._kept, self._kept_since_ms = self._writer(), now_ms
        return self._kept

    def _send(
        self, batch: "_Batch", writer: LetterWriter, waiting: Sequence[Entry], envelopes: Sequence[Envelope]
    ) -> Sequence[Receipt]:
        try:
            return self._postbox.send(writer.sender, envelopes)
        except OutcomeUnknown as unknown:
            # Repeated once, so that nobody is lost; not for ever, so that nobody is flooded.
            place = waiting[0].place or ""
            first_time = self._progress.first_unclear(batch.restock.id, batch.shard, place)
            log("outcome_unknown", restock=batch.restock.id, reason=unknown.reason, again=first_time)
            if first_time:
                raise
            return [Receipt(Delivery.UNKNOWN, reason=unknown.reason)] * len(waiting)
        except PostboxRefused as refused:
            if not refused.about_letters or len(waiting) > 1 or batch.one:
                raise
            # Its own message ends in the dead letters; the walk goes on.
            return [Receipt(Delivery.DEFERRED, reason=refused.reason)]

    def _mark(self, batch: "_Batch", results: Sequence[tuple[Entry, Receipt]]) -> None:
        told = [
            Told(entry, receipt.delivery, receipt.message_id)
            for entry, receipt in results
            if receipt.delivery not in {Delivery.DEFERRED, Delivery.POSTPONED}
        ]
        deferred = [(entry, receipt) for entry, receipt in results if receipt.delivery is Delivery.DEFERRED]
        postponed = [receipt for _, receipt in results if receipt.delivery is Delivery.POSTPONED]
        if told:
            self._write_down(batch, told)
        for entry, receipt in deferred:
            self._defer(batch, entry, receipt.reason)
        log(
            "shoppers_told",
            restock=batch.restock.id,
            sku=batch.restock.sku,
            told=len(told),
            deferred=len(deferred),
            postponed=len(postponed),
        )
        if postponed:
            worst = max(postponed, key=lambda receipt: list(Refusal).index(receipt.refusal))
            raise PostboxRefused(worst.reason, worst.refusal, progressed=bool(told))

    def _defer(self, batch: "_Batch", entry: Entry, reason: str) -> None:
        restock, deferrals = batch.restock, batch.deferrals + 1
        now_ms = self._clock_ms()
        if deferrals > len(DEFERRED_S):
            log("letter_given_up", restock=restock.id, shopper=entry.shopper, reason=reason)
            self._progress.add(restock.id, batch.shard, at_ms=now_ms, deferred_now=-1, given_up=1)
            self._give_back(batch, 1)
            return
        due_ms = now_ms + DEFERRED_S[deferrals - 1] * 1000
        again = TellOne(
            restock.id,
            restock.sku,
            entry.shopper,
            deferrals=deferrals,
            not_before_ms=due_ms,
            hops=batch.one.hops + 1 if batch.one else 0,
            wave=batch.wave,
        )
        # Queued first: a crash in between queues it once too often, never not at all.
        self._queue.put(again, delay_s=early_s(due_ms, now_ms))
        log("letter_deferred", restock=restock.id, shopper=entry.shopper, reason=reason, deferrals=deferrals)
        # Its email is kept for it, in one write with the note: sent later, it does not make the wave grow.
        taking = self._progress.take_from_wave(restock.sku, 1, at_ms=now_ms)
        kept = [taking] if batch.shard == ALL_LINES else []
        if self._line.defer(entry, restock_id=restock.id, counting=kept):
            self._progress.add(restock.id, batch.shard, at_ms=now_ms, deferred_now=1)

    def drop(self, restock: Restock, shard: str, *, wave: int) -> None:
        """Count a deferred letter out that nobody waits for any more; its email goes back to its wave."""
        self._progress.add(restock.id, shard, at_ms=self._clock_ms(), deferred_now=-1)
        self._give_back(_Batch(restock, shard, None, wave), 1)

    def _give_back(self, batch: "_Batch", emails: int) -> None:
        if batch.shard == ALL_LINES and emails:
            self._progress.give_back(batch.restock.sku, emails, number=batch.wave)

    def _write_down(self, batch: "_Batch", told: Sequence[Told]) -> None:
        restock, shard, now_ms = batch.restock, batch.shard, self._clock_ms()
        deliveries = [each.delivery for each in told]
        rejected, unclear = deliveries.count(Delivery.REJECTED), deliveries.count(Delivery.UNKNOWN)
        letters = {"told": len(told), "rejected": rejected, "unclear": unclear}
        if batch.deferrals:
            letters["deferred_now"] = -len(told)
        if shard != ALL_LINES or batch.deferrals:
            self._line.mark_each(told, restock_id=restock.id, at_ms=now_ms)
            self._progress.add(restock.id, shard, at_ms=now_ms, **letters)
            self._give_back(batch, rejected)
            return
        counting = [self._progress.count(restock.id, shard, at_ms=now_ms, **letters)]
        # A rejected letter does not count against a limited wave.
        if len(told) > rejected:
            counting.append(self._progress.take_from_wave(restock.sku, len(told) - rejected, at_ms=now_ms))
        self._line.mark_told(told, restock_id=restock.id, at_ms=now_ms, counting=counting)


@dataclass(frozen=True, slots=True)
class _Batch:
    """What a batch is about, and the row it is counted in."""

    restock: Restock
    shard: str
    one: TellOne | None
    wave: int

    @property
    def deferrals(self) -> int:
        """How often the one letter of this batch was deferred before."""
        return self.one.deferrals if self.one else 0

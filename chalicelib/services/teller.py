"""Tells shoppers that a variant can be had: look once more, send, mark.

The caller holds the lease of their shard, so no other worker tells the same shoppers. One that dies
before sending leaves a lease that ends by itself; one that dies between sending and marking repeats
at most its one batch. The marks of a limited wave's batch are one transaction, with the letters it has
left; those of a shard, whose counters only say how far it is, are each for itself, at half the price.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from chalicelib.domain.entry import Entry
from chalicelib.domain.stock import Restock, StockedProduct
from chalicelib.log import log
from chalicelib.mail.postbox import (
    Delivery,
    Envelope,
    OutcomeUnknown,
    Postbox,
    PostboxRefused,
    Receipt,
)
from chalicelib.services.letters import LetterWriter
from chalicelib.tables.entries import EntriesTable
from chalicelib.tables.line import LineTable, Told
from chalicelib.tables.progress import ALL_LINES, ProgressTable

WRITER_KEPT_MS = 10_000


class Teller:
    """Sends one batch. `writer` gives the letters of the theme that is live."""

    def __init__(
        self,
        entries: EntriesTable,
        line: LineTable,
        progress: ProgressTable,
        writer: Callable[[], LetterWriter],
        postbox: Postbox,
        clock_ms: Callable[[], int],
    ) -> None:
        self._entries = entries
        self._line = line
        self._progress = progress
        self._writer = writer
        self._postbox = postbox
        self._clock_ms = clock_ms
        self._kept: LetterWriter | None = None
        self._kept_since_ms = 0

    def tell(self, restock: Restock, stocked: StockedProduct, shard: str, entries: Sequence[Entry]) -> None:
        """Tell those of `entries` (at most 50) who still wait and may be mailed.

        `shard` is the line they stand in, or ALL_LINES for a limited wave, which they are counted in.

        Raises:
            PostboxRefused: some letters were not taken; their entries wait as before.
            OutcomeUnknown: nobody knows; the same batch is to come once more.
        """
        now = self._line.still_waiting(entries)
        for entry in now.suppressed:
            self._entries.leave(entry.shopper, entry.sku, at_ms=self._clock_ms())
        waiting = now.may_be_mailed
        if not waiting:
            return
        writer = self._live_writer()
        envelopes = [
            replace(envelope, tags={**envelope.tags, "restock": restock.tag})
            for envelope in writer.available(waiting, stocked)
        ]
        receipts = self._send(restock, shard, writer.sender, waiting, envelopes)
        self._mark(restock, shard, list(zip(waiting, receipts, strict=True)))

    def _live_writer(self) -> LetterWriter:
        # A new release is seen within seconds; asking for each batch would be a call in eight.
        now_ms = self._clock_ms()
        if self._kept is None or now_ms - self._kept_since_ms > WRITER_KEPT_MS:
            self._kept, self._kept_since_ms = self._writer(), now_ms
        return self._kept

    def _send(
        self,
        restock: Restock,
        shard: str,
        sender: str,
        waiting: Sequence[Entry],
        envelopes: Sequence[Envelope],
    ) -> Sequence[Receipt]:
        try:
            return self._postbox.send(sender, envelopes)
        except OutcomeUnknown as unknown:
            # Repeated once, so that nobody is lost; not for ever, so that nobody is flooded.
            first_time = self._progress.first_unclear(restock.id, shard, waiting[0].place or "")
            log("outcome_unknown", restock=restock.id, reason=unknown.reason, again=first_time)
            if first_time:
                raise
            return [Receipt(Delivery.UNKNOWN, reason=unknown.reason)] * len(waiting)

    def _mark(self, restock: Restock, shard: str, results: Sequence[tuple[Entry, Receipt]]) -> None:
        told = [
            Told(entry, receipt.delivery, receipt.message_id)
            for entry, receipt in results
            if receipt.delivery is not Delivery.DEFERRED
        ]
        deferred = [receipt.reason for _, receipt in results if receipt.delivery is Delivery.DEFERRED]
        if told:
            self._write_down(restock, shard, told)
        log("shoppers_told", restock=restock.id, sku=restock.sku, told=len(told), deferred=len(deferred))
        if deferred:
            raise PostboxRefused(deferred[0])

    def _write_down(self, restock: Restock, shard: str, told: Sequence[Told]) -> None:
        now_ms = self._clock_ms()
        deliveries = [each.delivery for each in told]
        rejected, unclear = deliveries.count(Delivery.REJECTED), deliveries.count(Delivery.UNKNOWN)
        letters = {"told": len(told), "rejected": rejected, "unclear": unclear}
        if shard != ALL_LINES:
            self._line.mark_each(told, restock_id=restock.id, at_ms=now_ms)
            self._progress.add(restock.id, shard, at_ms=now_ms, **letters)
            return
        counting = [
            self._progress.count(restock.id, shard, at_ms=now_ms, **letters),
            # A rejected letter does not count against a limited wave.
            self._progress.take_from_wave(restock.id, len(told) - rejected),
        ]
        self._line.mark_told(told, restock_id=restock.id, at_ms=now_ms, counting=counting)

"""Notifies shoppers that a variant can be had: look once more, send, mark.

The caller holds the lease of their shard, so no other worker notifies the same shoppers. One that dies
before sending leaves a lease that ends by itself; one that dies between sending and marking repeats
at most its one batch. The marks of a limited wave's batch are one transaction, with the emails it has
left; those of a shard, whose counters only say how far it is, are each for itself, at half the price.
One bad email is its own misfortune: nobody waits behind it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from chalicelib.domain.entry import Entry
from chalicelib.domain.hops import DEFERRED_S, early_s
from chalicelib.domain.stock import Restock, StockedProduct
from chalicelib.domain.wave import NotifyOne
from chalicelib.log import log, where
from chalicelib.mail.sender import (
    Delivery,
    EmailSender,
    OutcomeUnknown,
    OutgoingEmail,
    Refusal,
    SendRefused,
    SendResult,
    not_written,
)
from chalicelib.queues import WavesQueue
from chalicelib.services.email_composer import EmailComposer
from chalicelib.tables.entries import EntriesTable
from chalicelib.tables.progress import ALL_SHARDS, ProgressTable
from chalicelib.tables.shards import Notified, ShardsTable
from chalicelib.tables.wave_records import WaveRecords

WRITER_KEPT_MS = 10_000


class Notifier:
    """Sends one batch. `writer` gives the emails of the theme that is live; `queue` takes those to be
    tried again."""

    def __init__(
        self,
        entries: EntriesTable,
        shard: ShardsTable,
        progress: ProgressTable,
        writer: Callable[[], EmailComposer],
        sender: EmailSender,
        queue: WavesQueue,
        clock_ms: Callable[[], int],
    ) -> None:
        self._entries = entries
        self._shards = shard
        self._progress = progress
        self._records = WaveRecords(shard, progress)
        self._writer = writer
        self._sender = sender
        self._queue = queue
        self._clock_ms = clock_ms
        self._kept: EmailComposer | None = None
        self._kept_since_ms = 0

    def notify(
        self,
        restock: Restock,
        stocked: StockedProduct,
        shard: str,
        entries: Sequence[Entry],
        one: NotifyOne | None = None,
        wave: int = 0,
    ) -> None:
        """Notify those of `entries` (at most 50) who still wait and may be mailed.

        `shard` is the shard they stand in, or ALL_SHARDS for a limited wave, which they are counted in.
        `one` is the message about a single shopper, `wave` the number of the limited wave. An email that is
        deferred is queued to be tried again by itself, and given up after the last try: the caller goes on to
        the next shoppers.

        Raises:
            SendRefused: some emails were not taken; their entries wait as before.
            OutcomeUnknown: nobody knows; the same batch is to come once more.
        """
        batch = _Batch(restock, shard, one, one.wave if one else wave)
        now = self._shards.still_waiting(entries, not_deferred_for="" if one else restock.id)
        for entry in now.suppressed:
            self._entries.leave(entry.shopper, entry.sku, at_ms=self._clock_ms())
            if batch.deferrals:
                self.drop(restock, shard, wave=batch.wave)
        waiting = now.may_be_mailed
        if not waiting:
            return
        writer = self._live_writer()
        results, emails = self._written(writer, waiting, stocked, restock)
        waiting = tuple(entry for entry in waiting if entry.shopper not in results)
        for entry, result in zip(waiting, self._send(batch, writer, waiting, emails), strict=True):
            results[entry.shopper] = (entry, result)
        self._mark(batch, list(results.values()))

    def _written(
        self, writer: EmailComposer, waiting: Sequence[Entry], stocked: StockedProduct, restock: Restock
    ) -> tuple[dict[str, tuple[Entry, SendResult]], list[OutgoingEmail]]:
        """The emails; and, of those that cannot be written, what became of them, by shopper."""
        failed: dict[str, tuple[Entry, SendResult]] = {}
        try:
            emails = writer.available(waiting, stocked)
        except Exception:
            # One is enough to spoil it: each by itself, and only those that fail are put off.
            emails = []
            for entry in waiting:
                try:
                    emails += writer.available([entry], stocked)
                except Exception as error:  # noqa: BLE001 - whatever one email's fault is, it is its own
                    log("email_not_written", error=type(error).__name__, at=where(error))
                    failed[entry.shopper] = (entry, not_written(error))
            if not emails:
                raise
        tag = {"restock": restock.tag}
        return failed, [replace(outgoing, tags={**outgoing.tags, **tag}) for outgoing in emails]

    def _live_writer(self) -> EmailComposer:
        # A new release is seen within seconds; asking for each batch would be a call in eight.
        now_ms = self._clock_ms()
        if self._kept is None or now_ms - self._kept_since_ms > WRITER_KEPT_MS:
            self._kept, self._kept_since_ms = self._writer(), now_ms
        return self._kept

    def _send(
        self,
        batch: "_Batch",
        writer: EmailComposer,
        waiting: Sequence[Entry],
        emails: Sequence[OutgoingEmail],
    ) -> Sequence[SendResult]:
        try:
            return self._sender.send(writer.sender, emails)
        except OutcomeUnknown as unknown:
            # Repeated once, so that nobody is lost; not for ever, so that nobody is flooded.
            position = waiting[0].position or ""
            first_time = self._progress.first_unclear(batch.restock.id, batch.shard, position)
            log("outcome_unknown", restock=batch.restock.id, reason=unknown.reason, again=first_time)
            if first_time:
                raise
            return [SendResult(Delivery.UNKNOWN, reason=unknown.reason)] * len(waiting)
        except SendRefused as refused:
            if not refused.about_emails or len(waiting) > 1 or batch.one:
                raise
            # Its own message ends in the dead letters; the walk goes on.
            return [SendResult(Delivery.DEFERRED, reason=refused.reason)]

    def _mark(self, batch: "_Batch", results: Sequence[tuple[Entry, SendResult]]) -> None:
        notified = [
            Notified(entry, result.delivery, result.message_id)
            for entry, result in results
            if result.delivery not in {Delivery.DEFERRED, Delivery.POSTPONED}
        ]
        deferred = [(entry, result) for entry, result in results if result.delivery is Delivery.DEFERRED]
        postponed = [result for _, result in results if result.delivery is Delivery.POSTPONED]
        if notified:
            self._write_down(batch, notified)
        for entry, result in deferred:
            self._defer(batch, entry, result.reason)
        log(
            "shoppers_notified",
            restock=batch.restock.id,
            sku=batch.restock.sku,
            notified=len(notified),
            deferred=len(deferred),
            postponed=len(postponed),
        )
        if postponed:
            worst = max(postponed, key=lambda result: list(Refusal).index(result.refusal))
            raise SendRefused(worst.reason, worst.refusal, progressed=bool(notified))

    def _defer(self, batch: "_Batch", entry: Entry, reason: str) -> None:
        restock, deferrals = batch.restock, batch.deferrals + 1
        now_ms = self._clock_ms()
        if deferrals > len(DEFERRED_S):
            log("email_given_up", restock=restock.id, shopper=entry.shopper, reason=reason)
            self._progress.add(restock.id, batch.shard, at_ms=now_ms, deferred_now=-1, given_up=1)
            self._give_back(batch, 1)
            return
        due_ms = now_ms + DEFERRED_S[deferrals - 1] * 1000
        again = NotifyOne(
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
        log("email_deferred", restock=restock.id, shopper=entry.shopper, reason=reason, deferrals=deferrals)
        if self._records.defer(restock, batch.shard, entry, at_ms=now_ms):
            self._progress.add(restock.id, batch.shard, at_ms=now_ms, deferred_now=1)

    def drop(self, restock: Restock, shard: str, *, wave: int) -> None:
        """Count a deferred email out that nobody waits for any more; its email goes back to its wave."""
        self._progress.add(restock.id, shard, at_ms=self._clock_ms(), deferred_now=-1)
        self._give_back(_Batch(restock, shard, None, wave), 1)

    def _give_back(self, batch: "_Batch", emails: int) -> None:
        if batch.shard == ALL_SHARDS and emails:
            self._progress.give_back(batch.restock.sku, emails, number=batch.wave)

    def _write_down(self, batch: "_Batch", notified: Sequence[Notified]) -> None:
        restock, shard, now_ms = batch.restock, batch.shard, self._clock_ms()
        deliveries = [each.delivery for each in notified]
        rejected, unclear = deliveries.count(Delivery.REJECTED), deliveries.count(Delivery.UNKNOWN)
        emails = {"notified": len(notified), "rejected": rejected, "unclear": unclear}
        if batch.deferrals:
            emails["deferred_now"] = -len(notified)
        if shard != ALL_SHARDS or batch.deferrals:
            self._records.mark_each(restock, shard, notified, emails=emails, at_ms=now_ms)
            self._give_back(batch, rejected)
            return
        self._records.mark_batch(restock, notified, emails=emails, at_ms=now_ms)


@dataclass(frozen=True, slots=True)
class _Batch:
    """What a batch is about, and the row it is counted in."""

    restock: Restock
    shard: str
    one: NotifyOne | None
    wave: int

    @property
    def deferrals(self) -> int:
        """How often the one email of this batch was deferred before."""
        return self.one.deferrals if self.one else 0

"""Notifies one batch of shoppers that a variant is available: look once more, write, send, mark.

The caller holds the lease of their shard, so no other worker notifies the same shoppers. A worker that dies
before sending leaves a lease that ends by itself; one that dies between sending and marking repeats at most
this one batch. The marks of a limited wave's batch are one transaction with the emails that the wave has
left. The marks of a shard, whose counters only show its progress, are written one by one, at half the price.
An email that cannot be written or delivered is tried again alone: no other shopper waits behind it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chalicelib.domain.email import (
    DeliveryOutcome,
    EmailSender,
    OutcomeUnknown,
    OutgoingEmail,
    SendRefusal,
    SendRefused,
    SendResult,
    not_written,
)
from chalicelib.domain.entry import Entry
from chalicelib.domain.ids import ShopperId
from chalicelib.domain.sending_limits import DEFERRED_S, early_s
from chalicelib.domain.stock import Restock, StockedProduct
from chalicelib.domain.wave import NotifyOne
from chalicelib.log import log, where
from chalicelib.queues import WavesQueue
from chalicelib.services.email_composer import EmailComposer
from chalicelib.services.fan_out.rate_limiter import RateLimiter
from chalicelib.services.fan_out.restocking import FanOutStore
from chalicelib.tables.sending.waves import ALL_SHARDS, WaveRecords
from chalicelib.tables.shards import Notified

# Entries with what became of their emails.
Results = Sequence[tuple[Entry, SendResult]]


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries of one restock that are notified together, at most 50.

    `shard` is the row that they are counted in: the shard they are in, or ALL_SHARDS for a limited wave,
    whose number is `wave`. `single` is the message of a batch that is about one shopper.
    """

    restock: Restock
    shard: str
    entries: Sequence[Entry]
    wave: int = 0
    single: NotifyOne | None = None

    @property
    def deferrals(self) -> int:
        """Return how often the one email of this batch was deferred before."""
        return self.single.deferrals if self.single else 0

    @property
    def is_of_wave(self) -> bool:
        """Return whether the emails are taken off the budget of a limited wave."""
        return self.shard == ALL_SHARDS


class Notifier:
    """Sends one batch at a time.

    Args:
        store: the tables.
        composer: returns a composer of the live theme, asked for each batch.
        sender: hands the emails over.
        rate_limiter: is paused when the account may not send.
        queue: takes the emails that are tried again by themselves.
        clock_ms: the time in milliseconds since the epoch.
    """

    def __init__(
        self,
        store: FanOutStore,
        composer: Callable[[], EmailComposer],
        sender: EmailSender,
        rate_limiter: RateLimiter,
        queue: WavesQueue,
        clock_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._records = WaveRecords(store.shards, store.progress)
        self._composer = composer
        self._sender = sender
        self._rate_limiter = rate_limiter
        self._queue = queue
        self._clock_ms = clock_ms

    def notify(self, batch: Batch, stocked: StockedProduct) -> None:
        """Notify the shoppers of a batch who still wait and may be mailed.

        An email that is deferred is queued to be tried again by itself, and given up after the last try: the
        caller goes on to the next shoppers.

        Raises:
            SendRefused: some emails were not taken; their entries wait as before.
            OutcomeUnknown: the emails may have left; the same batch has to come once more.
        """
        # A deferred email's own message is the only one that may send it.
        left_out = "" if batch.deferrals else batch.restock.id
        now = self._store.shards.still_waiting(batch.entries, not_deferred_for=left_out)
        for entry in now.suppressed:
            self._store.entries.unsubscribe(entry.shopper, entry.sku, at_ms=self._clock_ms())
        if not now.may_be_mailed:
            if batch.deferrals:
                self.drop(batch)
            return
        try:
            self._mark(batch, self._send(batch, now.may_be_mailed, stocked))
        except SendRefused as refused:
            if refused.refusal is SendRefusal.PAUSED:
                self._rate_limiter.pause(refused.reason)
            raise

    def drop(self, batch: Batch) -> None:
        """Count a deferred email out whose shopper no longer waits; its email goes back to its wave."""
        self._count(batch, deferred_now=-1)
        self._give_back(batch, 1)

    def _send(self, batch: Batch, waiting: Sequence[Entry], stocked: StockedProduct) -> Results:
        composer = self._composer()
        failed, emails = _compose(composer, waiting, stocked, batch.restock.tag)
        written = [entry for entry in waiting if entry.shopper not in failed]
        results = self._hand_over(batch, composer.sender, written, emails)
        return [*failed.values(), *zip(written, results, strict=True)]

    def _hand_over(
        self, batch: Batch, sender: str, entries: Sequence[Entry], emails: Sequence[OutgoingEmail]
    ) -> Sequence[SendResult]:
        try:
            return self._sender.send(sender, emails)
        except OutcomeUnknown as unknown:
            # Repeated once, so that no shopper is missed; not for ever, so that none is flooded.
            first_time = self._store.progress.first_unclear(
                batch.restock.id, batch.shard, entries[0].position or ""
            )
            log("outcome_unknown", restock=batch.restock.id, reason=unknown.reason, again=first_time)
            if first_time:
                raise
            return [SendResult(DeliveryOutcome.UNKNOWN, reason=unknown.reason)] * len(entries)
        except SendRefused as refused:
            if not refused.about_emails or len(entries) > 1 or batch.single:
                raise
            # Its own message ends in the dead letters; the walk goes on.
            return [SendResult(DeliveryOutcome.DEFERRED, reason=refused.reason)]

    def _mark(self, batch: Batch, results: Results) -> None:
        notified = [
            Notified(entry, result.delivery, result.message_id)
            for entry, result in results
            if result.delivery not in {DeliveryOutcome.DEFERRED, DeliveryOutcome.POSTPONED}
        ]
        deferred = [
            (entry, result) for entry, result in results if result.delivery is DeliveryOutcome.DEFERRED
        ]
        postponed = [result for _, result in results if result.delivery is DeliveryOutcome.POSTPONED]
        if notified:
            self._mark_notified(batch, notified)
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
            worst = max(postponed, key=lambda result: list(SendRefusal).index(result.refusal))
            raise SendRefused(worst.reason, worst.refusal, progressed=bool(notified))

    def _mark_notified(self, batch: Batch, notified: Sequence[Notified]) -> None:
        restock, now_ms = batch.restock, self._clock_ms()
        deliveries = [mark.delivery for mark in notified]
        rejected, unclear = (
            deliveries.count(DeliveryOutcome.REJECTED),
            deliveries.count(DeliveryOutcome.UNKNOWN),
        )
        counters = {"notified": len(notified), "rejected": rejected, "unclear": unclear}
        if batch.deferrals:
            counters["deferred_now"] = -len(notified)
        if not batch.is_of_wave or batch.deferrals:
            self._records.mark_each(restock, batch.shard, notified, emails=counters, at_ms=now_ms)
            self._give_back(batch, rejected)
        else:
            self._records.mark_batch(restock, notified, emails=counters, at_ms=now_ms)

    def _defer(self, batch: Batch, entry: Entry, reason: str) -> None:
        restock, deferrals = batch.restock, batch.deferrals + 1
        now_ms = self._clock_ms()
        if deferrals > len(DEFERRED_S):
            log("email_given_up", restock=restock.id, shopper=entry.shopper, reason=reason)
            self._count(batch, deferred_now=-1, given_up=1)
            self._give_back(batch, 1)
            return
        due_ms = now_ms + DEFERRED_S[deferrals - 1] * 1000
        again = NotifyOne(
            restock.id,
            restock.sku,
            entry.shopper,
            deferrals=deferrals,
            not_before_ms=due_ms,
            hops=batch.single.hops + 1 if batch.single else 0,
            wave=batch.wave,
        )
        # Queued first: a crash in between queues it once too often, never not at all.
        self._queue.put(again, delay_s=early_s(due_ms, now_ms))
        log("email_deferred", restock=restock.id, shopper=entry.shopper, reason=reason, deferrals=deferrals)
        if self._records.defer(restock, batch.shard, entry, at_ms=now_ms):
            self._count(batch, deferred_now=1)

    def _count(self, batch: Batch, **counters: int) -> None:
        self._store.progress.add(batch.restock.id, batch.shard, at_ms=self._clock_ms(), **counters)

    def _give_back(self, batch: Batch, emails: int) -> None:
        if batch.is_of_wave and emails:
            self._store.progress.give_back(batch.restock.sku, emails, number=batch.wave)


def _compose(
    composer: EmailComposer, waiting: Sequence[Entry], stocked: StockedProduct, restock_tag: str
) -> tuple[dict[ShopperId, tuple[Entry, SendResult]], list[OutgoingEmail]]:
    """Write the emails of `waiting`. Return the entries that this fails for, by shopper, and the emails."""
    failed: dict[ShopperId, tuple[Entry, SendResult]] = {}
    try:
        emails = composer.available(waiting, stocked, restock_tag=restock_tag)
    except Exception:
        # One email is enough to fail all of them: write each alone, and defer only the ones that fail.
        emails = []
        for entry in waiting:
            try:
                emails += composer.available([entry], stocked, restock_tag=restock_tag)
            except Exception as error:  # noqa: BLE001 - any error is about this one email
                log("email_not_written", error=type(error).__name__, at=where(error))
                failed[entry.shopper] = (entry, not_written(error))
        if not emails:
            raise
    return failed, emails

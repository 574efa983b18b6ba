"""The three kinds of walk: each finds the next batch of its message, waits for its turn, and sends it.

A walk keeps nothing between two batches. Its position is in the message that it returns, and moves only after
the marks of a batch are written: a crash repeats a batch and never skips one.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Generic, NamedTuple, TypeVar
from zlib import crc32

from chalicelib.domain.entry import EntryState, position_after_all, shard_of, shards_of
from chalicelib.domain.sending_limits import early_s
from chalicelib.domain.stock import Restock, StockedProduct
from chalicelib.domain.wave import (
    BATCH_ENTRIES_MAX,
    LimitedWave,
    NotifyOne,
    ShardStep,
    WaveBudget,
    WaveMessage,
)
from chalicelib.services.fan_out.notifier import Batch, Notifier
from chalicelib.services.fan_out.rate_limiter import RateLimiter
from chalicelib.services.fan_out.restocking import FanOutStore
from chalicelib.tables.sending.waves import ALL_SHARDS

# The index is eventually consistent: the last walk waits for entries that the index shows late.
SWEEP_DELAY_S = 30
# Deferred emails of a variant that may be sent at the same time.
DEFERRED_SHARDS = 64

Message = TypeVar("Message", ShardStep, LimitedWave, NotifyOne)


class NextMessage(NamedTuple):
    """The message to go on with, to be seen after `delay_s` seconds."""

    message: WaveMessage
    delay_s: int = 0


class Walk(ABC, Generic[Message]):
    """Sends one batch at a time. The caller holds the leases of the message's shards."""

    def __init__(
        self,
        store: FanOutStore,
        rate_limiter: RateLimiter,
        notifier: Notifier,
        clock_ms: Callable[[], int],
    ) -> None:
        self._store = store
        self._rate_limiter = rate_limiter
        self._notifier = notifier
        self._clock_ms = clock_ms

    @abstractmethod
    def shards(self, message: Message) -> Sequence[str]:
        """Return the shards that no other worker may walk in the meantime."""

    @abstractmethod
    def next_batch(self, message: Message, restock: Restock) -> NextMessage | None:
        """Send the next batch of `message`; return what follows, None at the end.

        Raises:
            RateLimited: no email may leave for some time; the message is still to do.
            SendRefused: the transport did not take the batch; the message is still to do.
            OutcomeUnknown: the batch may have left; the message has to come again.
            BudgetBusy: others changed the budget of the waves all the time; the message has to come again.
        """

    def queued(self, message: Message) -> None:
        """Note that `message` waits in the queue."""

    def _live_at_turn(self, message: Message, emails: int) -> tuple[Restock, StockedProduct] | None:
        """Wait until so many emails may leave, then look again: a product sold out meanwhile gets none."""
        self._rate_limiter.acquire(emails)
        return self._store.live(message.restock_id, message.sku)


class ShardWalk(Walk[ShardStep]):
    """Walks one shard of a variant's waitlist in order, up to the bound frozen when the restock opened."""

    def shards(self, message: ShardStep) -> Sequence[str]:
        """Return the one shard of the step."""
        return [message.shard]

    def next_batch(self, message: ShardStep, restock: Restock) -> NextMessage | None:
        """See `Walk.next_batch`."""
        page = self._store.shards.waiting(
            message.shard,
            after=message.after,
            upto=position_after_all(restock.opened_at_ms),
            limit=self._rate_limiter.batch_max(BATCH_ENTRIES_MAX),
        )
        if page.entries:
            live = self._live_at_turn(message, len(page.entries))
            if live is None:
                return None
            now, stocked = live
            self._notifier.notify(Batch(now, message.shard, page.entries), stocked)
        following = message.next(page.entries[-1].position if page.more and page.entries else None)
        if following is None:
            return None
        return NextMessage(following, SWEEP_DELAY_S if following.sweep and not message.sweep else 0)


class WaveWalk(Walk[LimitedWave]):
    """Walks all shards of a variant together, as far as the wave has emails for."""

    def shards(self, message: LimitedWave) -> Sequence[str]:
        """Return all shards of the variant."""
        return shards_of(message.sku)

    def next_batch(self, message: LimitedWave, restock: Restock) -> NextMessage | None:
        """See `Walk.next_batch`.

        Neither `restock` nor its stock of the batch before is relied on: units sold since then would get
        emails once more.
        """
        live = self._store.live(message.restock_id, message.sku)
        if live is None:
            return None
        restock, stocked = live
        budget = self._store.wave_budget(restock, stocked, now_ms=self._clock_ms())
        if budget.left <= 0:
            return self._next_wave(message, restock, stocked, budget)
        entries = self._store.shards.first_waiting(
            message.sku,
            after=message.after,
            limit=self._rate_limiter.batch_max(min(BATCH_ENTRIES_MAX, budget.left)),
        )
        if not entries:
            sweep = replace(message, number=budget.number, after="", sweep=True, tries=0)
            return None if message.sweep else NextMessage(sweep, SWEEP_DELAY_S)
        live = self._live_at_turn(message, len(entries))
        if live is None:
            return None
        restock, stocked = live
        budget = self._store.wave_budget(restock, stocked, now_ms=self._clock_ms())
        # Units sold during the wait get no email.
        entries = entries[: budget.left]
        if entries:
            self._notifier.notify(Batch(restock, ALL_SHARDS, entries, wave=budget.number), stocked)
            message = replace(message, after=entries[-1].position or "", tries=0)
        return NextMessage(replace(message, number=budget.number))

    def queued(self, message: LimitedWave) -> None:
        """Note that the wave is queued, so that no other worker queues it.

        It is noted after it is queued: a crash in between queues it once too often, never not at all.
        """
        self._store.progress.announce(message.sku, message.restock_id, message.number)

    def _next_wave(
        self, message: LimitedWave, restock: Restock, stocked: StockedProduct, budget: WaveBudget
    ) -> NextMessage | None:
        """Return the wave after the pause; None when it is queued already or there is nothing to offer."""
        units = stocked.stock[message.sku].units_on_offer
        # More units are a restock, which queues its own wave.
        if restock.policy.emails_for(units) == 0 or budget.is_announced(restock.id):
            return None
        begins_ms = budget.next_wave_at_ms(restock.policy)
        # A wave that notified nobody is a try without progress.
        wave = LimitedWave(
            message.restock_id,
            message.sku,
            budget.number + 1,
            begins_ms,
            tries=message.tries + 1,
            hops=message.hops,
        )
        return NextMessage(wave, early_s(begins_ms, self._clock_ms()))


class SingleSend(Walk[NotifyOne]):
    """Sends one shopper's email: one who confirmed while the variant was available, or was deferred."""

    def shards(self, message: NotifyOne) -> Sequence[str]:
        """Return the shopper's shard; for a deferred email, which walks leave out, one of its own."""
        if message.deferrals:
            return [f"{message.sku}#again{crc32(message.shopper.encode()) % DEFERRED_SHARDS}"]
        return [shard_of(message.sku, message.shopper)]

    def next_batch(self, message: NotifyOne, restock: Restock) -> None:
        """See `Walk.next_batch`."""
        entry = self._store.entries.get(message.shopper, message.sku)
        # A limited wave is counted in one row, whichever shard its shoppers are in.
        shard = ALL_SHARDS if restock.is_limited else shard_of(message.sku, message.shopper)
        if entry is None or entry.state is not EntryState.CONFIRMED:
            if message.deferrals and (entry is None or entry.state is not EntryState.NOTIFIED):
                self._notifier.drop(Batch(restock, shard, (), message.wave, message))
            return
        self._rate_limiter.batch_max(1)
        live = self._live_at_turn(message, 1)
        if live is not None:
            now, stocked = live
            self._notifier.notify(Batch(now, shard, (entry,), message.wave, message), stocked)


def walks_by_message(
    store: FanOutStore, rate_limiter: RateLimiter, notifier: Notifier, clock_ms: Callable[[], int]
) -> Mapping[type[WaveMessage], Walk[Any]]:
    """Return the walk of each type of message."""
    kinds: dict[type[WaveMessage], type[Walk[Any]]] = {
        ShardStep: ShardWalk,
        LimitedWave: WaveWalk,
        NotifyOne: SingleSend,
    }
    return {kind: walk(store, rate_limiter, notifier, clock_ms) for kind, walk in kinds.items()}

"""The next batch of a fan-out: read who is next, wait for a turn, look whether it still holds, notify."""

from collections.abc import Callable
from dataclasses import replace

from chalicelib.domain.entry import EntryState, position_after_all, shard_of
from chalicelib.domain.stock import Restock, StockedProduct
from chalicelib.domain.wave import WAVE_STEP_ENTRIES_MAX, LimitedWave, NotifyOne, WaveBudget, WaveStep
from chalicelib.log import log
from chalicelib.services.notifier import Notifier
from chalicelib.services.rate_limiter import RateLimiter
from chalicelib.tables.entries import EntriesTable
from chalicelib.tables.products import ProductsTable
from chalicelib.tables.progress import ALL_SHARDS, ProgressTable
from chalicelib.tables.restocks import RestocksTable
from chalicelib.tables.shards import ShardsTable

# A budget is changed under the leases of its shard; only an email that goes back to it may come in between.
BUDGET_TRIES_MAX = 8


class BudgetBusy(RuntimeError):
    """The budget of a variant's waves changed each time it was to be written; the message comes again."""


class Batches:
    """Notifies one batch at a time. The caller holds the leases of the shards.

    Every method raises what `RateLimiter` and `Notifier` raise; the message it was given is then still to do.
    """

    def __init__(
        self,
        entries: EntriesTable,
        shard: ShardsTable,
        products: ProductsTable,
        restocks: RestocksTable,
        progress: ProgressTable,
        rate_limiter: RateLimiter,
        notifier: Notifier,
        clock_ms: Callable[[], int],
    ) -> None:
        self._entries = entries
        self._shards = shard
        self._products = products
        self._restocks = restocks
        self._progress = progress
        self._rate_limiter = rate_limiter
        self._notifier = notifier
        self._clock_ms = clock_ms

    def live(self, restock_id: str, sku: str) -> tuple[Restock, StockedProduct] | None:
        """The restock and what it is about; None when a newer one took its position, it is sold out, or there
        are fewer units than its policy asks for."""
        restock = self._restocks.live(sku)
        stocked = self._products.get(restock.slug) if restock and restock.id == restock_id else None
        if (
            restock is None
            or stocked is None
            or not stocked.can_buy(sku)
            or not restock.policy.enough(stocked.stock[sku].units_on_offer)
        ):
            log("wave_dropped", restock=restock_id, sku=sku)
            return None
        return restock, stocked

    def of_shard(self, step: WaveStep, restock: Restock) -> WaveStep | None:
        """Notify the next of one shard; the step after, None when there is none."""
        page = self._shards.waiting(
            step.shard,
            after=step.after,
            upto=position_after_all(restock.opened_at_ms),
            limit=self._rate_limiter.batch_max(WAVE_STEP_ENTRIES_MAX),
        )
        if page.entries:
            self._rate_limiter.acquire(len(page.entries))
            # Looked at again after the wait: sold out stops a fan-out at once.
            live = self.live(step.restock_id, step.sku)
            if live is None:
                return None
            self._notifier.notify(*live, step.shard, page.entries)
        # The cursor moves after the marks: a crash repeats, never skips.
        return step.next(page.entries[-1].position if page.more and page.entries else None)

    def of_wave(self, wave: LimitedWave) -> LimitedWave | None:
        """Notify the first of all shards; the wave to go on with, None when this was the end of it.

        The budget is that of the variant, not of the restock: a count that goes up and down opens restocks,
        and each of them goes on with the wave that is under way.
        """
        # Never by what was read for the batch before: units sold since then would be granted once more.
        live = self.live(wave.restock_id, wave.sku)
        if live is None:
            return None
        restock, _ = live
        budget = self._budget(*live)
        if budget.left <= 0:
            return self._after_pause(wave, *live, budget)
        upto = position_after_all(max(restock.opened_at_ms, self._clock_ms()))
        most = self._rate_limiter.batch_max(min(WAVE_STEP_ENTRIES_MAX, budget.left))
        entries = self._shards.first_waiting(wave.sku, after=wave.after, upto=upto, limit=most)
        if not entries:
            # Once more from the start, for entries the index showed late.
            following = replace(wave, number=budget.number, after="", sweep=True, tries=0)
            return None if wave.sweep else following
        self._rate_limiter.acquire(len(entries))
        # Looked at again after the wait: units sold meanwhile get no email.
        live = self.live(wave.restock_id, wave.sku)
        if live is None:
            return None
        budget = self._budget(*live)
        entries = entries[: budget.left]
        if entries:
            self._notifier.notify(*live, ALL_SHARDS, entries, wave=budget.number)
            wave = replace(wave, after=entries[-1].position or "", tries=0)
        return replace(wave, number=budget.number)

    def _after_pause(
        self, wave: LimitedWave, restock: Restock, stocked: StockedProduct, budget: WaveBudget
    ) -> LimitedWave | None:
        """The next wave, None when it is queued already, or when there is nothing to offer."""
        units = stocked.stock[wave.sku].units_on_offer
        # More units are a restock, which queues its own wave.
        if restock.policy.emails_for(units) == 0 or budget.is_announced(restock.id):
            return None
        return LimitedWave(
            wave.restock_id,
            wave.sku,
            budget.number + 1,
            budget.next_wave_at_ms(restock.policy),
            # A wave that notified nobody is a try without progress.
            tries=wave.tries + 1,
            hops=wave.hops,
        )

    def of_one(self, message: NotifyOne, restock: Restock) -> None:
        """Notify one shopper, if they still wait."""
        entry = self._entries.get(message.shopper, message.sku)
        # A limited wave is counted in one row, whichever shard its shoppers stand in.
        shard = ALL_SHARDS if restock.is_limited else shard_of(message.sku, message.shopper)
        if entry is None or entry.state is not EntryState.CONFIRMED:
            if message.deferrals and (entry is None or entry.state is not EntryState.NOTIFIED):
                self._notifier.drop(restock, shard, wave=message.wave)
            return
        self._rate_limiter.batch_max(1)
        self._rate_limiter.acquire(1)
        live = self.live(message.restock_id, message.sku)
        if live is not None:
            self._notifier.notify(*live, shard, [entry], one=message)

    def announced(self, wave: LimitedWave) -> None:
        """Note that `wave` is queued, so that nobody queues it again."""
        self._progress.announce(wave.sku, wave.restock_id, wave.number)

    def _budget(self, restock: Restock, stocked: StockedProduct) -> WaveBudget:
        """The budget of the variant's waves, for what there is of it now."""
        sku = restock.sku
        for _ in range(BUDGET_TRIES_MAX):
            known, now_ms = self._progress.wave(sku), self._clock_ms()
            budget = known.settled(stocked.stock[sku].units_on_offer, restock.policy, now_ms=now_ms)
            if budget == known or self._progress.put_wave(sku, budget, known=known, at_ms=now_ms):
                return budget
        raise BudgetBusy(restock.id)

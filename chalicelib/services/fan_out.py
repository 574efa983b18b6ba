"""From a restock to letters: each shard of the variant's line is walked in order, 50 entries a step.

Nobody is skipped: a step that died comes again from the queue, every shard is walked once more at
the end, and who confirms after the upper bound was frozen is told at once. Nobody is told of what
can no longer be had: every step looks again, and only the newest restock of a variant goes on.
"""

from chalicelib.domain.entry import EntryState, place_after_all
from chalicelib.domain.stock import Restock, StockedProduct
from chalicelib.domain.wave import WAVE_STEP_ENTRIES_MAX, TellOne, WaveStep
from chalicelib.log import log
from chalicelib.queues import WavesQueue
from chalicelib.services.teller import Teller
from chalicelib.tables.entries import EntriesTable
from chalicelib.tables.products import ProductsTable
from chalicelib.tables.restocks import RestocksTable

# The index is eventually consistent: the last walk waits for what it may have shown late.
SWEEP_DELAY_S = 30


class FanOut:
    """Walks the waves that `Restocking` opened."""

    def __init__(
        self,
        entries: EntriesTable,
        products: ProductsTable,
        restocks: RestocksTable,
        queue: WavesQueue,
        teller: Teller,
    ) -> None:
        self._entries = entries
        self._products = products
        self._restocks = restocks
        self._queue = queue
        self._teller = teller

    def step(self, step: WaveStep) -> None:
        """Tell the next shoppers of a shard, then queue the step after.

        Raises:
            PostboxRefused: some letters were not taken; this very step is to come again.
        """
        live = self._live(step.restock_id, step.sku)
        if live is None:
            return
        restock, stocked = live
        page = self._entries.waiting(
            step.line,
            after=step.after,
            upto=place_after_all(restock.opened_at_ms),
            limit=WAVE_STEP_ENTRIES_MAX,
        )
        self._teller.tell(restock, stocked, page.entries)
        # The cursor moves after the marks: a crash repeats, never skips.
        following = step.next(page.entries[-1].place if page.more and page.entries else None)
        if following is not None:
            begins_sweep = following.sweep and not step.sweep
            self._queue.put(following, delay_s=SWEEP_DELAY_S if begins_sweep else 0)

    def tell_one(self, message: TellOne) -> None:
        """Tell one shopper, if they still wait and the variant is still to be had.

        Raises:
            PostboxRefused: the letter was not taken; this is to be tried again.
        """
        live = self._live(message.restock_id, message.sku)
        entry = self._entries.get(message.shopper, message.sku)
        if live is not None and entry is not None and entry.state is EntryState.CONFIRMED:
            restock, stocked = live
            self._teller.tell(restock, stocked, [entry])

    def _live(self, restock_id: str, sku: str) -> tuple[Restock, StockedProduct] | None:
        restock = self._restocks.live(sku)
        stocked = self._products.get(restock.slug) if restock and restock.id == restock_id else None
        if restock is None or stocked is None or not stocked.can_buy(sku):
            log("wave_dropped", restock=restock_id, sku=sku)
            return None
        return restock, stocked

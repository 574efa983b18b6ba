"""The next batch of a fan-out: read who is next, wait for a turn, look whether it still holds, tell."""

from collections.abc import Callable
from dataclasses import replace

from chalicelib.domain.entry import EntryState, line_of, place_after_all
from chalicelib.domain.stock import Restock, StockedProduct
from chalicelib.domain.wave import WAVE_STEP_ENTRIES_MAX, LimitedWave, TellOne, WaveStep
from chalicelib.log import log
from chalicelib.services.pace import Pace
from chalicelib.services.teller import Teller
from chalicelib.tables.entries import EntriesTable
from chalicelib.tables.line import LineTable
from chalicelib.tables.products import ProductsTable
from chalicelib.tables.progress import ALL_LINES, ProgressTable, WaveUnderWay
from chalicelib.tables.restocks import RestocksTable

MS_PER_MIN = 60_000
# A wave without a limit of its own: more letters than anybody waits for.
NO_LIMIT = 10**9


class Batches:
    """Tells one batch at a time. The caller holds the leases of the lines.

    Every method raises what `Pace` and `Teller` raise; the message it was given is then still to do.
    """

    def __init__(
        self,
        entries: EntriesTable,
        line: LineTable,
        products: ProductsTable,
        restocks: RestocksTable,
        progress: ProgressTable,
        pace: Pace,
        teller: Teller,
        clock_ms: Callable[[], int],
    ) -> None:
        self._entries = entries
        self._line = line
        self._products = products
        self._restocks = restocks
        self._progress = progress
        self._pace = pace
        self._teller = teller
        self._clock_ms = clock_ms

    def live(self, restock_id: str, sku: str) -> tuple[Restock, StockedProduct] | None:
        """The restock and what it is about; None when a newer one took its place, or it is sold out."""
        restock = self._restocks.live(sku)
        stocked = self._products.get(restock.slug) if restock and restock.id == restock_id else None
        if restock is None or stocked is None or not stocked.can_buy(sku):
            log("wave_dropped", restock=restock_id, sku=sku)
            return None
        return restock, stocked

    def of_shard(self, step: WaveStep, restock: Restock) -> WaveStep | None:
        """Tell the next of one shard; the step after, None when there is none."""
        page = self._line.waiting(
            step.line,
            after=step.after,
            upto=place_after_all(restock.opened_at_ms),
            limit=self._pace.batch_max(WAVE_STEP_ENTRIES_MAX),
        )
        if page.entries:
            self._pace.await_turn(len(page.entries))
            # Looked at again after the wait: sold out stops a fan-out at once.
            live = self.live(step.restock_id, step.sku)
            if live is None:
                return None
            self._teller.tell(*live, step.line, page.entries)
        # The cursor moves after the marks: a crash repeats, never skips.
        return step.next(page.entries[-1].place if page.more and page.entries else None)

    def of_wave(self, wave: LimitedWave, restock: Restock, stocked: StockedProduct) -> LimitedWave | None:
        """Tell the first of all shards; the wave to go on with, None when this was the end of it."""
        under_way = self._under_way(wave, restock, stocked)
        number, left = under_way.number, under_way.letters_left
        if number > wave.number or (left <= 0 and under_way.announced > number):
            return None
        if left <= 0:
            pause_ms = restock.policy.next_after_min * MS_PER_MIN
            begins_ms = self._clock_ms() + pause_ms
            # A wave that told nobody is a try without progress.
            return LimitedWave(
                wave.restock_id, wave.sku, number + 1, begins_ms, tries=wave.tries + 1, hops=wave.hops
            )
        upto = place_after_all(max(restock.opened_at_ms, wave.not_before_ms))
        most = self._pace.batch_max(min(WAVE_STEP_ENTRIES_MAX, left))
        entries = self._line.first_waiting(wave.sku, after=wave.after, upto=upto, limit=most)
        if not entries and wave.after and not wave.sweep:
            # Once more from the start, for entries the index showed late.
            return replace(wave, after="", sweep=True, tries=0)
        if not entries:
            return None
        self._pace.await_turn(len(entries))
        live = self.live(wave.restock_id, wave.sku)
        if live is None:
            return None
        self._teller.tell(*live, ALL_LINES, entries)
        return replace(wave, after=entries[-1].place or "", tries=0)

    def of_one(self, message: TellOne, restock: Restock) -> None:
        """Tell one shopper, if they still wait."""
        entry = self._entries.get(message.shopper, message.sku)
        # A limited wave is counted in one row, whichever shard its shoppers stand in.
        shard = ALL_LINES if restock.is_limited else line_of(message.sku, message.shopper)
        if entry is None or entry.state is not EntryState.CONFIRMED:
            if message.deferrals and (entry is None or entry.state is not EntryState.NOTIFIED):
                self._teller.drop(restock, shard)
            return
        self._pace.batch_max(1)
        self._pace.await_turn(1)
        live = self.live(message.restock_id, message.sku)
        if live is not None:
            self._teller.tell(*live, shard, [entry], one=message)

    def announced(self, wave: LimitedWave) -> None:
        """Note that `wave` is queued, so that nobody queues it again."""
        self._progress.announce(wave.restock_id, wave.number)

    def _under_way(self, wave: LimitedWave, restock: Restock, stocked: StockedProduct) -> WaveUnderWay:
        under_way = self._progress.wave(restock.id)
        if under_way.number >= wave.number:
            return under_way
        # What there is now, not what there was when the first wave began.
        size = restock.policy.wave_size(stocked.stock[wave.sku].units)
        letters = NO_LIMIT if size is None else size
        self._progress.begin_wave(restock.id, wave.number, letters=letters, at_ms=self._clock_ms())
        return self._progress.wave(restock.id)

"""A variant can be had again: whoever waits is going to hear of it."""

from dataclasses import replace

from chalicelib.domain.entry import shards_of
from chalicelib.domain.stock import Restock
from chalicelib.domain.wave import LimitedWave, NotifyOne, WaveStep
from chalicelib.log import log
from chalicelib.queues import WavesQueue
from chalicelib.tables.policies import PoliciesTable
from chalicelib.tables.progress import ProgressTable
from chalicelib.tables.recent_products import ProductReader, stocked_with
from chalicelib.tables.restocks import RestocksTable


class Restocking:
    """Opens fan-outs. What they then do is in `fan_out`."""

    def __init__(
        self,
        products: ProductReader,
        restocks: RestocksTable,
        progress: ProgressTable,
        policies: PoliciesTable,
        queue: WavesQueue,
    ) -> None:
        self._products = products
        self._restocks = restocks
        self._progress = progress
        self._policies = policies
        self._queue = queue

    def open(self, restock: Restock) -> None:
        """Begin to notify who waits for a restocked variant, as its product's policy says now.

        Everyone: one walk along each shard of the shard. So many for each unit: one wave over all
        shards. Opening twice notifies nobody twice.
        """
        restock = replace(restock, policy=self._policies.of(restock.slug))
        if not restock.policy.enough(restock.units):
            log("restock_too_small", restock=restock.id, sku=restock.sku)
            return
        self._restocks.open(restock)
        if restock.is_limited:
            self._queue.put(LimitedWave(restock.id, restock.sku))
        else:
            for shard in shards_of(restock.sku):
                self._queue.put(WaveStep(restock.id, restock.sku, shard))
        log("waves_opened", restock=restock.id, sku=restock.sku)

    def welcome(self, shopper: str, sku: str, *, at_ms: int) -> None:
        """A shopper confirmed: if the variant can be had right now, they are notified at once.

        A fan-out's upper bound is frozen when it opens; who confirms later is notified here. Where waves
        are limited, they stand at the end of the shard like everybody: a wave with emails left goes on.
        """
        stocked = stocked_with(self._products, sku)
        if stocked is None or not stocked.can_buy(sku):
            return
        slug, stock = stocked.product.slug, stocked.stock[sku]
        policy = self._policies.of(slug)
        if not policy.enough(stock.units_on_offer):
            return
        restock = self._restocks.live(sku)
        if restock is None:
            # In stock since the shop opened, or since this moment and not in the stream yet: in both cases
            # this is the restock, with the id and policy that the stream would give it.
            restock = stock.restock(slug, sku, at_ms=at_ms, policy=policy)
            self._restocks.open(restock)
        if not restock.is_limited:
            self._queue.put(NotifyOne(restock.id, sku, shopper))
            return
        budget = self._progress.wave(sku)
        if budget.left > 0 or not budget.is_announced(restock.id):
            self._queue.put(LimitedWave(restock.id, sku, budget.number, at_ms))

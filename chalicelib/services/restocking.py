"""A variant can be had again: whoever waits is going to hear of it."""

from chalicelib.domain.entry import lines_of
from chalicelib.domain.stock import Restock
from chalicelib.domain.wave import TellOne, WaveStep
from chalicelib.log import log
from chalicelib.queues import WavesQueue
from chalicelib.tables.products import ProductsTable
from chalicelib.tables.restocks import RestocksTable


class Restocking:
    """Opens fan-outs. What they then do is in `fan_out`."""

    def __init__(self, products: ProductsTable, restocks: RestocksTable, queue: WavesQueue) -> None:
        self._products = products
        self._restocks = restocks
        self._queue = queue

    def open(self, restock: Restock) -> None:
        """Begin to tell who waits for a restocked variant: one walk along each shard of its line.

        Opening twice tells nobody twice.
        """
        self._restocks.open(restock)
        for line in lines_of(restock.sku):
            self._queue.put(WaveStep(restock.id, restock.sku, line))
        log("waves_opened", restock=restock.id, sku=restock.sku)

    def welcome(self, shopper: str, sku: str) -> None:
        """A shopper confirmed: if the variant can be had right now, they are told at once.

        A fan-out's upper bound is frozen when it opens; who confirms later is told here.
        """
        slug = self._products.slug_of(sku)
        stocked = self._products.get(slug) if slug else None
        if slug is None or stocked is None or not stocked.can_buy(sku):
            return
        restock = self._restocks.live(sku)
        if restock is None:
            # It could be had ever since the shop opened: that is what this shopper hears of.
            stock = stocked.stock[sku]
            restock = Restock(stock.event_id, slug, sku, stock.units, stock.observed_at_ms)
            self._restocks.open(restock)
        self._queue.put(TellOne(restock.id, sku, shopper))

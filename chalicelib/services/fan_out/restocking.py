"""Open the fan-out of a restock, and read what every batch of it checks.

A variant becomes available: open its fan-out. A shopper joins while it is available: notify them at once.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from chalicelib.domain.entry import Entry, shards_of
from chalicelib.domain.ids import ShopperId, Sku
from chalicelib.domain.stock import Restock, StockedProduct
from chalicelib.domain.wave import LimitedWave, NotifyOne, ShardStep, WaveBudget
from chalicelib.log import log
from chalicelib.queues import WavesQueue
from chalicelib.tables.entries import EntriesTable
from chalicelib.tables.products import ProductReader, ProductsTable, stocked_with
from chalicelib.tables.sending import LeasesTable
from chalicelib.tables.sending.waves import PoliciesTable, ProgressTable
from chalicelib.tables.shards import RestocksTable, ShardsTable

# A budget changes under the leases of its shards; only an email that is given back to it can interfere.
BUDGET_TRIES_MAX = 8


class BudgetBusy(RuntimeError):
    """The budget of a variant's waves changed at each attempt to write it; the message comes again."""


@dataclass(frozen=True, slots=True)
class FanOutStore:
    """The tables that a fan-out reads and writes."""

    entries: EntriesTable
    shards: ShardsTable
    products: ProductsTable
    restocks: RestocksTable
    progress: ProgressTable
    leases: LeasesTable

    def live(self, restock_id: str, sku: Sku) -> tuple[Restock, StockedProduct] | None:
        """Return a restock and its product while it still holds.

        Returns None once a newer restock replaced it, the variant is sold out, or fewer units are left than
        the restock's policy asks for.
        """
        restock = self.restocks.live(sku)
        stocked = self.products.get(restock.slug) if restock and restock.id == restock_id else None
        if (
            restock is None
            or stocked is None
            or not stocked.can_buy(sku)
            or not restock.policy.enough(stocked.stock[sku].units_on_offer)
        ):
            log("wave_dropped", restock=restock_id, sku=sku)
            return None
        return restock, stocked

    def wave_budget(self, restock: Restock, stocked: StockedProduct, *, now_ms: int) -> WaveBudget:
        """Settle the budget of the variant's limited waves for the units on offer now, and return it.

        The budget is that of the variant, not of the restock: a count that goes up and down opens restocks,
        and each of them goes on with the wave that is under way.

        Raises:
            BudgetBusy: it changed at each attempt to write it.
        """
        sku = restock.sku
        for _ in range(BUDGET_TRIES_MAX):
            known = self.progress.wave(sku)
            budget = known.settled(stocked.stock[sku].units_on_offer, restock.policy, now_ms=now_ms)
            if budget == known or self.progress.put_wave(sku, budget, known=known, at_ms=now_ms):
                return budget
        raise BudgetBusy(restock.id)


class Restocking:
    """Queues the first messages of fan-outs. A worker does the rest."""

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

    def open_restock(self, restock: Restock) -> None:
        """Open the fan-out of a restock, as its product's wave policy says now.

        A policy that notifies everyone queues a step for each shard; one that limits its waves queues one
        wave over all shards. Opening a restock twice notifies nobody twice.
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
                self._queue.put(ShardStep(restock.id, restock.sku, shard))
        log("waves_opened", restock=restock.id, sku=restock.sku)

    def notify_if_available(self, shopper: ShopperId, sku: Sku, *, at_ms: int) -> None:
        """Queue the email of a shopper who confirmed at `at_ms`, if the variant is available right now.

        The upper bound of a fan-out is frozen when it opens; shoppers who confirm later are notified here.
        Where waves are limited, these shoppers wait at the end of the waitlist: a wave with emails left goes
        on.
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


class SingleOptIn:
    """Accepts entries that were confirmed without an email, where a shop asks for none."""

    def __init__(self, entries: EntriesTable, restocking: Restocking, clock_ms: Callable[[], int]) -> None:
        self._entries = entries
        self._restocking = restocking
        self._clock_ms = clock_ms

    def accept(self, entry: Entry) -> None:
        """Notify an entry that just began to wait, if its variant is available right now.

        An address that was signed up too often today is unsubscribed again: its owner may never have asked,
        and each entry is an email to them. Accepting an entry twice is accepting it once.
        """
        now_ms = self._clock_ms()
        if not self._entries.count_single_opt_in(entry):
            self._entries.unsubscribe(entry.shopper, entry.sku, at_ms=now_ms)
            log("single_opt_ins_of_the_day_used_up", shopper=entry.shopper, sku=entry.sku)
            return
        self._restocking.notify_if_available(entry.shopper, entry.sku, at_ms=now_ms)

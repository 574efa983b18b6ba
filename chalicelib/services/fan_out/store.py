"""The tables of a fan-out, and the two questions that every batch asks of them."""

from dataclasses import dataclass

from chalicelib.domain.stock import Restock, StockedProduct
from chalicelib.domain.wave import WaveBudget
from chalicelib.log import log
from chalicelib.tables.entries import EntriesTable
from chalicelib.tables.products import ProductsTable
from chalicelib.tables.restocks import RestocksTable
from chalicelib.tables.sending.once import LeasesTable
from chalicelib.tables.sending.waves import ProgressTable
from chalicelib.tables.shards import ShardsTable

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

    def live(self, restock_id: str, sku: str) -> tuple[Restock, StockedProduct] | None:
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

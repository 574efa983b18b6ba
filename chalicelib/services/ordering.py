"""Advise how many units to order of each variant that people wait for."""

from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING

from chalicelib.domain.ids import Sku
from chalicelib.domain.ordering import OrderRow, PastRestocks, order_about
from chalicelib.services.reports import Reports
from chalicelib.tables.demand import DemandTable
from chalicelib.tables.products import ProductsTable

if TYPE_CHECKING:
    from chalicelib.domain.reports import RestockReport

RESTOCKS_LOOKED_AT_MAX = 100
ROWS_MAX = 500


class Ordering:
    """Combines the demand, the stock and the outcome of earlier restocks."""

    def __init__(
        self, demand: DemandTable, products: ProductsTable, reports: Reports, clock_ms: Callable[[], int]
    ) -> None:
        self._demand = demand
        self._products = products
        self._reports = reports
        self._clock_ms = clock_ms

    def rows(self) -> list[OrderRow]:
        """Return the advice for the variants with the most people waiting, the largest order first."""
        now_ms = self._clock_ms()
        awaited = sorted(
            (demand for demand in self._demand.all().values() if demand.waiting and demand.sku),
            key=lambda demand: (-demand.waiting, demand.sku),
        )[:ROWS_MAX]
        reports = self._reports.newest(limit=RESTOCKS_LOOKED_AT_MAX)
        by_sku: dict[Sku, list[RestockReport]] = defaultdict(list)
        for report in reports:
            by_sku[report.restock.sku].append(report)
        shop = PastRestocks.of(reports)
        slugs = self._products.slugs_of([demand.sku for demand in awaited if demand.sku])
        stocked = self._products.get_many(slugs.values())
        rows = []
        for demand in awaited:
            sku = demand.sku or Sku("")
            product = stocked.get(slugs[sku]) if sku in slugs else None
            known = product.stock.get(sku) if product else None
            advice = order_about(
                demand.waiting_by_age(at_ms=now_ms),
                PastRestocks.of(by_sku[sku]),
                shop,
                units=(known.units or 0) if known else 0,
            )
            sold = product is not None and sku in product.product.skus
            title = product.product.title if product and sold else None
            label = product.product.variant(sku).label if product and sold else None
            rows.append(OrderRow(sku, title, label, advice))
        return sorted(rows, key=lambda row: (-row.advice.order, -row.advice.waiting, row.sku))

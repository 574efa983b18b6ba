"""Count the clicks of emails and the orders of a shop, and report on restocks."""

from collections import Counter
from collections.abc import Callable, Sequence

from chalicelib.domain.entry import shards_of
from chalicelib.domain.ids import Sku
from chalicelib.domain.reports import (
    CLICKS_COUNTED_MS,
    Click,
    OrderLine,
    OrderOutcome,
    OrderResult,
    RestockRef,
    RestockReport,
    restock_of_order,
)
from chalicelib.log import log
from chalicelib.tables.reports import ReportsTable
from chalicelib.tables.sending.waves import ProgressTable
from chalicelib.tables.shards import RestocksTable

# A variant has at most this many restocks that an order or a report is looked for in.
RESTOCKS_LOOKED_AT_MAX = 20
REPORTED_MAX = 50


class Reports:
    """Counts clicks and orders, and reports on restocks."""

    def __init__(
        self,
        table: ReportsTable,
        restocks: RestocksTable,
        progress: ProgressTable,
        clock_ms: Callable[[], int],
    ) -> None:
        self._table = table
        self._restocks = restocks
        self._progress = progress
        self._clock_ms = clock_ms

    def count_click(self, click: Click) -> bool:
        """Count the email of a click once; false for a second click, and for an email from long ago.

        Raises:
            RowBusy: nothing was counted.
        """
        now_ms = self._clock_ms()
        if now_ms - click.sent_at_ms > CLICKS_COUNTED_MS:
            return False
        return self._table.count_click(click, at_ms=now_ms)

    def take_order(self, line: OrderLine, click: Click | None = None) -> OrderResult:
        """Count an order line once, for the restock that it belongs to.

        Raises:
            RowBusy: nothing was counted; the shop has to report it again.
        """
        clicked_tag = click.restock_tag if click and click.sku == line.sku else None
        restock = restock_of_order(self._of_sku(line.sku), line.ordered_at_ms, clicked_tag=clicked_tag)
        tag = restock.tag if restock else None
        by_click = tag is not None and tag == clicked_tag
        counted = self._table.add_order(line, tag, by_click=by_click, at_ms=self._clock_ms())
        outcome = OrderOutcome.COUNTED if counted else OrderOutcome.UNCHANGED
        log("order_reported", sku=line.sku, outcome=outcome, restock=restock.id if restock else None)
        return OrderResult(outcome, restock)

    def newest(self, *, limit: int = REPORTED_MAX) -> list[RestockReport]:
        """Return reports of the newest restocks of all SKUs that notified somebody, newest first."""
        return [report for report in self._reports(self._table.newest(limit)) if report.notified]

    def clicks_by_product(self) -> dict[str, int]:
        """Return the clicked emails of all restocks that are kept, by product; only of clicked ones."""
        restocks = list(self._table.all_restocks())
        clicks, _ = self._table.counted(restock.tag for restock in restocks)
        totals: Counter[str] = Counter()
        for tag, slug in {restock.tag: restock.slug for restock in restocks}.items():
            totals[slug] += clicks[tag]
        return {slug: count for slug, count in totals.items() if count}

    def of(self, sku: Sku, restock_id: str | None = None) -> list[RestockReport]:
        """Return reports of the restocks of a SKU, newest first; of one of them if its id is named."""
        return self._reports([restock for restock in self._of_sku(sku) if restock_id in {None, restock.id}])

    def _of_sku(self, sku: Sku) -> list[RestockRef]:
        return [RestockRef.of(restock) for restock in self._restocks.newest(sku, most=RESTOCKS_LOOKED_AT_MAX)]

    def _reports(self, restocks: Sequence[RestockRef]) -> list[RestockReport]:
        clicks, sales = self._table.counted(restock.tag for restock in restocks)
        reports = []
        for restock in restocks:
            progress = self._progress.of(restock.id, shards_of(restock.sku))
            reports.append(
                RestockReport(
                    restock,
                    progress.notified,
                    progress.bounced,
                    progress.unsubscribed_after,
                    clicks[restock.tag],
                    sales[restock.tag],
                )
            )
        return reports

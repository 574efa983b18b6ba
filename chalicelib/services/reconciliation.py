"""Reconcile the shop's stock with the whole stock list of another system: fetch, compare, apply.

Webhooks get lost, and some systems say so. A list finds what they would have changed. It is applied as events
of its source, with the time at which it was asked for, and recorded with them.
"""

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chalicelib.domain.ids import Sku
from chalicelib.domain.stock import Availability
from chalicelib.inbound.readings import MalformedEvent, Reading, Readings, ReceivedEvent, VariantLink
from chalicelib.inbound.reconciliation import (
    ChangeLimit,
    Known,
    StockComparison,
    StockList,
    TooManyChanges,
    compare,
)
from chalicelib.inbound.stock_lists import (
    SHOPIFY_PATH,
    WOOCOMMERCE_FIELDS,
    WOOCOMMERCE_PAGE,
    WOOCOMMERCE_PATH,
    Level,
    csv_list,
    shopify_page,
    shopify_query,
    woocommerce_page,
)
from chalicelib.log import log
from chalicelib.outbound.fetching import FetchFailed, HttpsFetcher

if TYPE_CHECKING:
    from chalicelib.services.inbound import InboundEvents
    from chalicelib.tables.inbound import EventsTable
    from chalicelib.tables.products import ProductsTable

# Sources that a whole list can be fetched from.
LISTING = ("shopify", "woocommerce", "generic")
PAGES_MAX = 5_000
THROTTLED_MAX = 20
# One row of the events table has them.
RESULTS_PER_EVENT = 100


class ListUnusable(Exception):
    """A source's list could not be fetched or read; the message says why and names no secret."""


class ReconcileFailed(Exception):
    """Sources could not be reconciled; the message names them. It ends the invocation, for the alarm."""


@dataclass(frozen=True, slots=True)
class SourceAccount:
    """The address of a source's stock list, and what proves that the shop may read it.

    Args:
        url: the shop at Shopify or WooCommerce, or the address of a CSV file.
        secret: the access token or the consumer secret; None for a file that anybody may read.
        user: the consumer key of WooCommerce; None for the others.
    """

    url: str
    secret: str | None = field(default=None, repr=False)
    user: str | None = field(default=None, repr=False)

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers that authorise a request; Shopify has one of its own."""
        if self.user is not None:
            pair = base64.b64encode(f"{self.user}:{self.secret}".encode()).decode()
            return {"Authorization": f"Basic {pair}"}
        return {"Authorization": f"Bearer {self.secret}"} if self.secret else {}

    def to_document(self) -> dict[str, str]:
        """Return the account as it is stored."""
        named = {"url": self.url, "secret": self.secret, "user": self.user}
        return {name: value for name, value in named.items() if value is not None}


def accounts_of(text: str) -> dict[str, SourceAccount]:
    """Return the accounts by source of a stored document: {"SOURCE": {"url", "secret", "user"}}."""
    document = json.loads(text)
    return {source: SourceAccount(**document[source]) for source in LISTING if source in document}


class StockLists:
    """Fetches whole stock lists."""

    def __init__(self, https: HttpsFetcher, clock_ms: Callable[[], int]) -> None:
        self._https = https
        self._clock_ms = clock_ms

    def fetch(self, source: str, account: SourceAccount, *, counted: frozenset[str] | None) -> StockList:
        """Return the whole list of a source; `counted` are the locations of it that count.

        Raises:
            ListUnusable: it cannot be fetched or read. Nothing of a part of it is used.
        """
        try:
            if source == "shopify":
                return self._shopify(account, counted)
            if source == "woocommerce":
                return StockList(_joined([*self._woocommerce(account)]))
            at_ms = self._clock_ms()
            answer = self._https.fetch(account.url, {"Accept": "text/csv", **account.headers})
            return StockList(csv_list(answer.body, at_ms=at_ms))
        except (FetchFailed, MalformedEvent) as problem:
            raise ListUnusable(f"{source}: {problem}") from None

    def _shopify(self, account: SourceAccount, counted: frozenset[str] | None) -> StockList:
        headers = {"X-Shopify-Access-Token": account.secret or "", "Content-Type": "application/json"}
        url = account.url.rstrip("/") + SHOPIFY_PATH
        pages: list[Readings] = []
        levels: list[Level] = []
        after: str | None = None
        throttled = 0
        while len(pages) < PAGES_MAX and throttled <= THROTTLED_MAX:
            at_ms = self._clock_ms()
            query = shopify_query(after, with_levels=counted is not None)
            answer = self._https.fetch(url, headers, method="POST", body=query)
            page = shopify_page(answer.body, at_ms=at_ms, counted=counted)
            if page.is_throttled:
                throttled += 1
            else:
                throttled, after = 0, page.after
                pages.append(page.readings)
                levels += page.levels
                if after is None:
                    return StockList(_joined(pages), tuple(levels))
            if page.wait_s:
                self._https.sleep(min(page.wait_s, 60.0))
        raise MalformedEvent(
            f"it did not end after {len(pages):,} pages, or Shopify refused each query for its cost"
        )

    def _woocommerce(self, account: SourceAccount) -> Iterator[Readings]:
        url = account.url.rstrip("/") + WOOCOMMERCE_PATH
        parents: list[str] = []
        for readings, found in self._woocommerce_pages(url, account):
            parents += found
            yield readings
        for parent in parents:
            for readings, _ in self._woocommerce_pages(f"{url}/{parent}/variations", account):
                yield readings

    def _woocommerce_pages(self, url: str, account: SourceAccount) -> Iterator[tuple[Readings, list[str]]]:
        for number in range(1, PAGES_MAX + 1):
            at_ms = self._clock_ms()
            query = (
                f"per_page={WOOCOMMERCE_PAGE}&page={number}&orderby=id&order=asc&_fields={WOOCOMMERCE_FIELDS}"
            )
            answer = self._https.fetch(f"{url}?{query}", account.headers)
            readings, parents, rows = woocommerce_page(answer.body, at_ms=at_ms)
            yield readings, parents
            if number >= _total_pages(answer.headers, rows, number):
                return
        raise MalformedEvent(f"it has more than {PAGES_MAX:,} pages")


def _total_pages(headers: Mapping[str, str], rows: int, number: int) -> int:
    """Return the number of pages, or one more than this one where the shop does not say and it is full."""
    total = headers.get("x-wp-totalpages", "")
    if total.isascii() and total.isdigit():
        return int(total)
    return number + 1 if rows == WOOCOMMERCE_PAGE else number


def _joined(pages: list[Readings]) -> Readings:
    return Readings(
        tuple(reading for page in pages for reading in page.readings),
        tuple(link for page in pages for link in page.links),
        tuple(part for page in pages for part in page.unread),
    )


class Reconciliation:
    """Compares lists with the shop, and applies them."""

    def __init__(
        self,
        events: "EventsTable",
        products: "ProductsTable",
        inbound_events: "InboundEvents",
        lists: StockLists,
        clock_ms: Callable[[], int],
    ) -> None:
        self._events = events
        self._products = products
        self._inbound_events = inbound_events
        self._lists = lists
        self._clock_ms = clock_ms

    def fetch(self, source: str, account: SourceAccount) -> StockList:
        """Return the whole list of a source, of the locations that count.

        Raises:
            ListUnusable: it cannot be fetched or read.
        """
        return self._lists.fetch(source, account, counted=self._events.location_choice(source).locations)

    def compare(self, source: str, listed: StockList) -> StockComparison:
        """Compare a list with the shop. Nothing is written.

        Raises:
            ListUnusable: no part of the list is a reading.
        """
        if not listed.readings.readings:
            first = next(iter(listed.readings.unread), None)
            why = f": {first.subject}: {first.reason}" if first else ""
            raise ListUnusable(f"{source}: the list names no variant{why}")
        known = {
            Sku(variant["sku"]): Known(stock[variant["sku"]], _when_sold_out(variant))
            for document, stock in self._products.documents()
            for variant in document["variants"]
            if variant["sku"] in stock
        }
        without = [reading.foreign_id for reading in listed.readings.readings if reading.sku is None]
        linked = self._events.linked(source, [foreign_id for foreign_id in without if foreign_id])
        return compare(listed, known, linked, now_ms=self._clock_ms())

    def apply(self, source: str, listed: StockList, comparison: StockComparison) -> list[ReceivedEvent]:
        """Apply the differences, and record them as events of the source.

        The units of each location are stored first, so that the next event of one location adds up to the
        right total.
        """
        changed = [difference.reading for difference in comparison.differences]
        self._store_levels(source, listed, changed)
        links: dict[Sku, list[VariantLink]] = {}
        for link in listed.readings.links:
            links.setdefault(link.sku, []).append(link)
        recorded: list[ReceivedEvent] = []
        for start in range(0, len(changed), RESULTS_PER_EVENT):
            part = tuple(changed[start : start + RESULTS_PER_EVENT])
            learned = tuple(link for reading in part if reading.sku for link in links.get(reading.sku, ()))
            recorded.append(self._inbound_events.reconcile(source, Readings(part, learned)))
        return recorded

    def _store_levels(self, source: str, listed: StockList, changed: list[Reading]) -> None:
        if not listed.levels:
            return
        skus = {reading.sku for reading in changed}
        links = {link.foreign_id: link.sku for link in listed.readings.links}
        at_ms = {reading.sku: reading.observed_at_ms for reading in changed}
        for level in listed.levels:
            sku = links.get(level.foreign_id)
            if sku in skus:
                time_ms = at_ms[sku] or self._clock_ms()
                self._events.put_level(source, level.foreign_id, level.location, level.units, at_ms=time_ms)

    def run(self, accounts: Mapping[str, SourceAccount], limit: ChangeLimit) -> None:
        """Reconcile each source that has an account, and record a source that cannot be.

        Raises:
            ReconcileFailed: at least one source is not reconciled.
        """
        failed: list[str] = []
        for source, account in accounts.items():
            try:
                listed = self.fetch(source, account)
                comparison = self.compare(source, listed)
                limit.check(comparison)
                self.apply(source, listed, comparison)
            except (ListUnusable, TooManyChanges) as problem:
                reason = f"{problem}; see spillway reconcile {source} --dry-run"
                self._inbound_events.refuse(source, reason, outcome="not_reconciled")
                failed.append(source)
                continue
            counts: dict[str, Any] = {"compared": comparison.compared, "changed": len(comparison.differences)}
            counts |= {"newer": len(comparison.newer), "unread": len(comparison.unread)}
            log("reconciled", source=source, **counts)
        if failed:
            raise ReconcileFailed(", ".join(failed))


def _when_sold_out(variant: Mapping[str, Any]) -> Availability | None:
    wanted = variant.get("when_sold_out")
    return Availability(wanted) if wanted else None

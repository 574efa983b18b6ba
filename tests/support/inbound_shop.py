"""A shop in memory that stock events come to: the real services over DynamoDB in memory."""

from collections.abc import Mapping
from itertools import count
from typing import Any

from chalicelib.domain.product import Product, Variant
from chalicelib.domain.stock import Availability, Stock
from chalicelib.inbound.readings import ReceivedEvent
from chalicelib.inbound.sources import ADAPTERS
from chalicelib.outbound.fetching import HttpsFetcher
from chalicelib.services.availability import Availabilities, AvailabilityWebhooks
from chalicelib.services.inbound import InboundEvents
from chalicelib.services.reconciliation import Reconciliation, StockLists
from chalicelib.tables.inbound import EventsTable
from chalicelib.tables.products import ProductsTable
from chalicelib.tables.sending import WebhooksTable
from tests.support.aws import create_table
from tests.support.clock import Clock
from tests.support.dynamodb import MemoryDynamoDb

VARIANTS_PER_PRODUCT = 10
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
PARTITION_KEY_BYTES_MAX, SORT_KEY_BYTES_MAX = 2048, 1024
ITEM_BYTES_MAX = 400 * 1024


class BoundedDynamoDb(MemoryDynamoDb):
    """DynamoDB that takes no more than AWS's does: texts of Unicode, keys and items up to their size."""

    def _check(self, operation: str, request: Mapping[str, Any]) -> None:
        super()._check(operation, request)
        if not self._checked:
            return
        keys = [request["Key"]] if "Key" in request else []
        for wanted in request.get("RequestItems", {}).values():
            keys += wanted["Keys"]
        if "Item" in request:
            assert bytes_of(request["Item"]) <= ITEM_BYTES_MAX
            keys.append(request["Item"])
        for key in keys:
            assert all(bytes_of(key[name]) <= PARTITION_KEY_BYTES_MAX for name in ("kind",) if name in key)
            assert all(bytes_of(key[name]) <= SORT_KEY_BYTES_MAX for name in ("key",) if name in key)
        bytes_of(request)


def bytes_of(value: Any) -> int:
    """Return about the bytes that a part of a request has, of names and texts.

    Raises:
        UnicodeEncodeError: half a character is in it.
    """
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, Mapping):
        return sum(bytes_of(name) + bytes_of(inner) + 1 for name, inner in value.items())
    if isinstance(value, list | tuple | set):
        return sum(bytes_of(inner) + 1 for inner in value)
    return 1


class InboundShop:
    """Products of ten variants each, sold out at the beginning; SKUs are S0, S1 and so on."""

    def __init__(self, clock: Clock, *, skus: int, checked: bool = True) -> None:
        self.clock = clock
        self.dynamodb = BoundedDynamoDb(checked=checked)
        names = {
            table: create_table(self.dynamodb, table)
            for table in ("ProductsTable", "EventsTable", "SendingTable")
        }
        self.products = ProductsTable(self.dynamodb, names["ProductsTable"])
        self.events = EventsTable(self.dynamodb, names["EventsTable"])
        availabilities = Availabilities(self.products)
        webhooks = AvailabilityWebhooks(
            availabilities, WebhooksTable(self.dynamodb, names["SendingTable"]), clock
        )
        ids = count(1)
        self.inbound = InboundEvents(
            self.events, availabilities, webhooks, clock, lambda: f"id-{next(ids):06d}"
        )
        sold_out = Stock(Availability.OUT_OF_STOCK, 0, 0, "catalogue")
        for first in range(0, skus, VARIANTS_PER_PRODUCT):
            own = [f"S{number}" for number in range(first, min(first + VARIANTS_PER_PRODUCT, skus))]
            variants = tuple(Variant(sku, 100) for sku in own)
            product = Product(f"p{first}", "Jacket", "A jacket.", "", "outerwear", (), variants)
            self.products.put_catalogue(product, dict.fromkeys(own, sold_out), known=None)

    def reconciliation(self, https: HttpsFetcher | None = None) -> Reconciliation:
        """Return what compares lists with this shop."""
        lists = StockLists(https or HttpsFetcher(), self.clock)
        return Reconciliation(self.events, self.products, self.inbound, lists, self.clock)

    def receive(self, source: str, body: bytes, **headers: str) -> ReceivedEvent:
        """Apply an authentic request of a source."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.inbound.receive(source, ADAPTERS[source].read_body(named, body, "a message"))

    def stock(self) -> dict[str, tuple[str, int | None, int]]:
        """Return availability, units and time of each SKU."""
        return {
            sku: (stock.availability.value, stock.units, stock.observed_at_ms)
            for _, stocks in self.products.documents()
            for sku, stock in stocks.items()
        }

    def units(self, sku: str) -> int | None:
        """Return the units of a SKU."""
        return self.stock()[sku][1]

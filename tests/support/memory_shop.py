"""A fan-out for one variant: the real tables over DynamoDB in memory, whose client fails on demand."""

from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Any

from chalicelib.domain.email import Email, OutgoingEmail
from chalicelib.domain.entry import Entry, EntryState, OptIn, Signup, position_of, shard_of
from chalicelib.domain.product import Product, Variant
from chalicelib.domain.stock import Availability, AvailabilityEvent, Restock, Stock, StockedProduct, restocks
from chalicelib.domain.wave import WaveMessage, WavePolicy
from chalicelib.services.email_composer import EmailComposer
from chalicelib.tables.entries import entry_from
from tests.support.clock import Clock
from tests.support.dynamodb import MemoryDynamoDb
from tests.support.failing_dynamodb import FailingDynamoDb
from tests.support.shop_base import ShopBase

SKU = "A"
SLUG = "jacket"
PRODUCT = Product(SLUG, "Jacket", "A jacket.", "", "outerwear", (), (Variant(SKU, 100),))
PLAIN = Email("It is back", "It is back.", "<p>It is back.</p>")
RESTOCKS_MAX = 1_000


class PlainComposer(EmailComposer):
    """Writes the same words to everybody."""

    def __init__(self) -> None:
        """It needs nothing."""

    @property
    def sender(self) -> str:
        return "shop@example.com"

    def available(
        self, waiting: Sequence[Entry], stocked: StockedProduct, *, restock_tag: str | None = None
    ) -> list[OutgoingEmail]:
        tags = {} if restock_tag is None else {"restock": restock_tag}
        return [OutgoingEmail(entry.mailbox, PLAIN, tags=tags) for entry in waiting]


class MemoryShop(ShopBase):
    """One variant, the shoppers who wait for it, and the workers that notify them.

    `faults` is the client of the workers. The test's own reads and writes go past it.
    """

    def __init__(self, clock: Clock, *, dynamodb: MemoryDynamoDb | None = None) -> None:
        memory = dynamodb or MemoryDynamoDb()
        self.faults = FailingDynamoDb(memory)
        writer = PlainComposer()
        super().__init__(clock, lambda: writer, client=memory, worker_client=self.faults)
        sold_out = Stock(Availability.OUT_OF_STOCK, 0, clock(), "catalogue")
        self.products.put_catalogue(PRODUCT, {SKU: sold_out}, known=None)
        self._events = count(1)
        self._row: dict[str, Any] | None = None

    def join(self, shopper: str, *, at_ms: int | None = None) -> None:
        """Let a shopper sign up; no confirmation is asked for."""
        signup = Signup(shopper, f"{shopper}@example.com", SKU, "/", "c", opt_in=OptIn.SINGLE)
        self.entries.sign_up(signup, at_ms=self.clock() if at_ms is None else at_ms)

    def join_many(self, arrivals: Iterable[tuple[str, int]]) -> None:
        """Let many shoppers sign up, as (shopper, time in ms): rows like the one that `join` writes."""
        write = self.dynamodb.put_item
        for shopper, at_ms in arrivals:
            if self._row is None:
                self.join(shopper, at_ms=at_ms)
                key = {"shopper": {"S": shopper}, "sku": {"S": SKU}}
                self._row = self.dynamodb.get_item(TableName=self.entries_name, Key=key)["Item"]
            row, now = self._row, {"N": str(at_ms)}
            own = {
                "shopper": {"S": shopper},
                "mailbox": {"S": f"{shopper}@example.com"},
                "shard": {"S": shard_of(SKU, shopper)},
                "shard_position": {"S": position_of(at_ms, shopper)},
                "signed_up_at_ms": now,
                "confirmed_at_ms": now,
            }
            item = {**row, **own}
            assert len(item) == len(row)
            write(TableName=self.entries_name, Item=item)

    def leave(self, shopper: str) -> None:
        """Let a shopper unsubscribe."""
        self.entries.unsubscribe(shopper, SKU, at_ms=self.clock())

    def suppress(self, shopper: str) -> None:
        """Stop all emails to a shopper."""
        self.suppressions.suppress(shopper, reason="bounce", at_ms=self.clock())

    def is_suppressed(self, shopper: str) -> bool:
        """Return whether a shopper must not be emailed."""
        key = {"shopper": {"S": shopper}}
        return "Item" in self.dynamodb.get_item(TableName=self.table_names["SuppressionsTable"], Key=key)

    def state(self, shopper: str) -> EntryState:
        """Return the state of a shopper's entry."""
        entry = self.entries.get(shopper, SKU)
        assert entry is not None
        return entry.state

    def all_entries(self) -> list[Entry]:
        """Return everybody's entry, as stored."""
        pages = self.dynamodb.get_paginator("scan").paginate(TableName=self.entries_name)
        return [entry_from(item) for page in pages for item in page["Items"]]

    def opened(self) -> list[Restock]:
        """Return the restocks that were opened, oldest first."""
        return [*reversed(self.restocks.newest(SKU, most=RESTOCKS_MAX))]

    def forget_restocks(self) -> None:
        """Delete every restock, as a table does that is restored to before they were opened."""
        self.dynamodb.clear(self.table_names["RestocksTable"])

    @property
    def policy(self) -> WavePolicy:
        """The wave policy of the shop."""
        return self.policies.of(SLUG)

    @policy.setter
    def policy(self, policy: WavePolicy) -> None:
        self.policies.put("", policy)

    @property
    def stock(self) -> Stock:
        """The stock of the variant."""
        stocked = self.products.get(SLUG)
        assert stocked is not None
        return stocked.stock[SKU]

    @stock.setter
    def stock(self, stock: Stock) -> None:
        assert self.products.observe(SLUG, SKU, stock, known=self.stock)

    @property
    def paused(self) -> str | None:
        """The reason why sending is paused; None when it is not."""
        state = self.rate_table.state()
        return state.paused if state else None

    def observe(self, availability: Availability, units: int | None = 5) -> tuple[Restock, ...]:
        """Apply an event, and open the restocks that it means."""
        self.clock.pass_s(0.001)
        before = self.stock
        event = AvailabilityEvent(f"event-{next(self._events)}", SKU, availability, units, self.clock())
        after = event.applied_to(before).stock
        self.stock = after
        opened = restocks(SLUG, {SKU: before}, {SKU: after}, at_ms=after.observed_at_ms)
        for restock in opened:
            self.restocking.open_restock(restock)
        return opened

    def work(self, failing: Callable[[WaveMessage, BaseException], None]) -> bool:
        """Let one worker take the message due first.

        Args:
            failing: Called with the message and the error that ends the worker.

        Returns:
            False when there is no message.
        """
        if not self.queue.messages_waiting():
            return False
        self.clock.now_ms = max(self.clock(), self.queue.due_ms())
        message = self.queue.take()
        try:
            self.fan_out.work(message)
        except BaseException as error:  # noqa: BLE001 - a worker's death is one, too
            failing(message, error)
        return True


def is_row(request: Any, row: str) -> bool:
    """Return whether a call is about one row of the sending table."""
    return bool(request.get("Key") == {"id": {"S": row}})

"""A fan-out over tables in memory, with a sender and a queue that misbehave on demand."""

from collections.abc import Callable, Sequence
from itertools import count

from chalicelib.domain.availability import AvailabilityEvent
from chalicelib.domain.email import Email
from chalicelib.domain.entry import Entry
from chalicelib.domain.stock import Availability, Restock, Stock, StockedProduct, restocks
from chalicelib.domain.wave import EVERYONE, WaveMessage, WavePolicy
from chalicelib.mail.sender import OutgoingEmail
from chalicelib.services.email_composer import EmailComposer
from chalicelib.services.fan_out.notifier import Notifier
from chalicelib.services.fan_out.rate_limiter import RateLimiter
from chalicelib.services.fan_out.restocking import Restocking
from chalicelib.services.fan_out.store import FanOutStore
from chalicelib.services.fan_out.walks import walks_by_message
from chalicelib.services.fan_out.worker import FanOutWorker
from chalicelib.tables.sending.waves import PoliciesTable
from tests.support.clock import Clock
from tests.support.fakes import FakeAccount, FakeSender, FakeWavesQueue
from tests.support.memory import (
    SKU,
    SLUG,
    MemoryEntries,
    MemoryLeases,
    MemoryProducts,
    MemoryProgress,
    MemoryRestocks,
    MemorySendingRate,
    MemoryShards,
    Reach,
)

PLAIN = Email("It is back", "It is back.", "<p>It is back.</p>")


class PlainComposer(EmailComposer):
    """Writes the same words to everybody."""

    def __init__(self) -> None:
        """It needs nothing."""

    @property
    def sender(self) -> str:
        return "shop@example.com"

    def available(self, waiting: Sequence[Entry], stocked: StockedProduct) -> list[OutgoingEmail]:
        return [OutgoingEmail(entry.mailbox, PLAIN) for entry in waiting]


class MemoryPolicies(PoliciesTable):
    """The policy of a shop in memory."""

    def __init__(self, shop: "MemoryShop") -> None:
        self._shop = shop

    def of(self, slug: str) -> WavePolicy:
        return self._shop.policy


class MemoryShop:
    """One variant, who waits for it, and the workers that notify them. `reach` hears every point passed."""

    def __init__(self, clock: Clock, *, reach: Reach = lambda _: None) -> None:
        self.clock = clock
        self.entries = MemoryEntries()
        self.products = MemoryProducts(Stock(Availability.OUT_OF_STOCK, 0, clock(), "catalogue"))
        self.restocks, self.progress = MemoryRestocks(), MemoryProgress(reach)
        self.leases, self.rate_table = MemoryLeases(reach), MemorySendingRate(reach)
        self.sender, self.queue, self.account = FakeSender(), FakeWavesQueue(clock), FakeAccount()
        self.policy: WavePolicy = EVERYONE
        rate_limiter = RateLimiter(self.rate_table, self.account, clock, clock.pass_s)
        shards, writer = MemoryShards(self.entries, reach), PlainComposer()
        store = FanOutStore(self.entries, shards, self.products, self.restocks, self.progress, self.leases)
        self.notifier = notifier = Notifier(
            store, lambda: writer, self.sender, rate_limiter, self.queue, clock
        )
        ids = count(1)
        self.restocking = Restocking(
            self.products, self.restocks, self.progress, MemoryPolicies(self), self.queue
        )
        walks = walks_by_message(store, rate_limiter, notifier, clock)
        self.fan_out = FanOutWorker(walks, store, self.queue, clock, lambda: f"w{next(ids)}", lambda: 0.5)
        self._events = count(1)

    def observe(self, availability: Availability, units: int | None = 5) -> tuple[Restock, ...]:
        """An event comes in, and the restocks it means open."""
        self.clock.pass_s(0.001)
        before = self.products.stock
        event = AvailabilityEvent(f"event-{next(self._events)}", SKU, availability, units, self.clock())
        after = event.applied_to(before).stock
        self.products.stock = after
        opened = restocks(SLUG, {SKU: before}, {SKU: after}, at_ms=after.observed_at_ms)
        for restock in opened:
            self.restocking.open_restock(restock)
        return opened

    def work(self, failing: Callable[[WaveMessage, BaseException], None]) -> bool:
        """Let one worker take the message due first; false when there is none. `failing` hears of its end."""
        if not self.queue.messages_waiting():
            return False
        self.clock.now_ms = max(self.clock(), self.queue.due_ms())
        message = self.queue.take()
        try:
            self.fan_out.work(message)
        except BaseException as error:  # noqa: BLE001 - a worker's death is one, too
            failing(message, error)
        return True

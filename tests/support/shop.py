"""A whole waitlist in memory: the real tables over `MemoryDynamoDb`, real services, a sender that keeps."""

from collections.abc import Callable
from itertools import count
from typing import Any

from chalicelib.domain.address import Address
from chalicelib.domain.availability import AvailabilityEvent
from chalicelib.domain.entry import Entry, shards_of
from chalicelib.domain.links import Links, LinkSubject, Purpose
from chalicelib.domain.stock import Availability, Restock, restocks
from chalicelib.mail.sender import OutcomeUnknown, SendRefused
from chalicelib.services.availability import Availabilities
from chalicelib.services.confirmations import Confirmations
from chalicelib.services.email_composer import EmailComposer
from chalicelib.services.fan_out.notifier import Notifier
from chalicelib.services.fan_out.rate_limiter import RateLimiter
from chalicelib.services.fan_out.restocking import Restocking
from chalicelib.services.fan_out.store import FanOutStore
from chalicelib.services.fan_out.walks import walks_by_message
from chalicelib.services.fan_out.worker import FanOutWorker
from chalicelib.services.requested_emails import RequestedEmails
from chalicelib.services.signups import Signups
from chalicelib.services.waitlist import Waitlist
from chalicelib.storefront.renderer import Renderer
from chalicelib.tables.entries import EntriesTable
from chalicelib.tables.products import ProductsTable
from chalicelib.tables.restocks import RestocksTable
from chalicelib.tables.sending.once import LeasesTable
from chalicelib.tables.sending.rate import SendingRateTable
from chalicelib.tables.sending.waves import PoliciesTable, Progress, ProgressTable
from chalicelib.tables.shards import ShardsTable
from chalicelib.tables.suppressions import SuppressionsTable
from spillway.sitegen.release import Release
from tests.support.aws import create_table
from tests.support.clock import Clock
from tests.support.dynamodb import MemoryDynamoDb
from tests.support.fakes import FakeAccount, FakeSender, FakeWavesQueue, FixedTheme, WorkerDied

IDENTITY_KEY = b"identity"
# As the stack sets it on the waves queue.
VISIBILITY_TIMEOUT_S = 120


class TestShop:
    """A shop to play stories in. `slug` and `sku` name what everybody waits for."""

    __test__ = False

    def __init__(
        self,
        release: Release,
        clock: Clock,
        *,
        slug: str,
        sku: str,
        dynamodb: MemoryDynamoDb | None = None,
    ) -> None:
        client: Any = dynamodb or MemoryDynamoDb()
        self.dynamodb = client
        self.clock, self.slug, self.sku = clock, slug, sku
        self._tries = 5
        tables = ("EntriesTable", "ProductsTable", "RestocksTable", "SuppressionsTable", "SendingTable")
        self.table_names = {table: create_table(client, table) for table in tables}
        self.entries_name, self.sending_name = (self.table_names[name] for name in (tables[0], tables[-1]))
        self.entries = EntriesTable(client, self.entries_name)
        self.products = ProductsTable(client, self.table_names["ProductsTable"])
        self.restocks = RestocksTable(client, self.table_names["RestocksTable"])
        suppressions = self.table_names["SuppressionsTable"]
        self.suppressions = SuppressionsTable(client, suppressions)
        for entry in release.products:
            self.products.put_catalogue(entry.product, entry.stock, known=None)
        self.links = Links(["key"], clock)
        self.sender, self.queue = FakeSender(), FakeWavesQueue(clock)
        themes = FixedTheme(Renderer(release.theme))
        self.signups = Signups(self.entries, IDENTITY_KEY, clock)
        self.waitlist = Waitlist(self.entries, self.products, self.links, clock)
        self.requested_emails = RequestedEmails(
            self.entries, themes, self.links, self.sender, clock, IDENTITY_KEY
        )
        self.confirmations = Confirmations(
            self.entries, self.products, self.suppressions, self.requested_emails, clock
        )
        sending = self.sending_name
        self.alarms: list[str] = []
        self.alarm_subjects: list[str] = []
        self.shards = ShardsTable(client, self.entries_name, suppressions, sleep=clock.pass_s)
        self.progress = ProgressTable(client, sending)
        self.policies = PoliciesTable(client, sending)
        self.account = FakeAccount()
        self.rate_table = SendingRateTable(client, sending)
        self.rate_limiter = RateLimiter(
            self.rate_table,
            self.account,
            clock,
            clock.pass_s,
            self._ring,
        )
        self.restocking = Restocking(self.products, self.restocks, self.progress, self.policies, self.queue)
        store = FanOutStore(
            self.entries,
            self.shards,
            self.products,
            self.restocks,
            self.progress,
            LeasesTable(client, sending),
        )
        notifier = Notifier(
            store,
            lambda: EmailComposer(themes.live(), self.links),
            self.sender,
            self.rate_limiter,
            self.queue,
            clock,
        )
        ids = count(1)
        self.fan_out = FanOutWorker(
            walks_by_message(store, self.rate_limiter, notifier, clock),
            store,
            self.queue,
            clock,
            lambda: f"worker-{next(ids)}",
            lambda: 0.5,
        )
        self._events = count(1)

    def _ring(self, subject: str, text: str) -> None:
        self.alarm_subjects.append(subject)
        self.alarms.append(text)

    def shopper(self, name: str) -> str:
        """The id of the shopper whose address is `name`@example.com."""
        return Address.parse(f"{name}@example.com").shopper_id(IDENTITY_KEY)

    def entry(self, name: str) -> Entry | None:
        """The entry of a shopper for the shop's variant."""
        return self.entries.get(self.shopper(name), self.sku)

    def sign_up(self, name: str) -> None:
        """A shopper signs up, and time passes a little."""
        self.signups.sign_up(Address.parse(f"{name}@example.com"), [self.sku], page="/", consent="c")
        self.clock.pass_s(1)

    def join(self, *names: str) -> None:
        """Shoppers sign up and confirm, in this order."""
        for name in names:
            self.sign_up(name)
            token = self.links.sign(Purpose.CONFIRM, LinkSubject(self.shopper(name), self.sku))
            assert self.waitlist.confirm(token)

    def leave(self, name: str) -> None:
        """A shopper leaves by the link of an email."""
        link = LinkSubject(self.shopper(name), self.sku)
        self.waitlist.unsubscribe(self.links.sign(Purpose.UNSUBSCRIBE, link))

    def observe(self, availability: Availability, units: int | None = 5) -> None:
        """An event about the variant comes in, and what the stream says of it is reacted to."""
        for restock in self.observe_untold(availability, units):
            self.restocking.open_restock(restock)

    def observe_untold(self, availability: Availability, units: int | None = 5) -> tuple[Restock, ...]:
        """The same before the stream says so: the restocks that are to be opened."""
        self.clock.pass_s(1)
        before = self.products.get(self.slug)
        event = AvailabilityEvent(
            f"event-{next(self._events)}", self.sku, availability, units, self.clock(), by_arrival=True
        )
        Availabilities(self.products).take_in(event)
        after = self.products.get(self.slug)
        assert before is not None
        assert after is not None
        return restocks(self.slug, before.stock, after.stock, at_ms=self.clock())

    def work(self, *, tries: int = 5) -> None:
        """Work the queue off: what fails comes back, after its lease; what a dead worker held, too."""
        self._tries = tries
        for _ in range(10_000):
            if not self.work_once():
                return
        raise AssertionError("the queue never gets empty")

    def work_until(self, done: Callable[[], bool]) -> None:
        """Work until something is so."""
        for _ in range(10_000):
            if done():
                return
            assert self.work_once(), "the queue is empty"
        raise AssertionError("it never comes to that")

    def work_once(self) -> bool:
        """Let one worker take the message that is due next; false when there is none."""
        if not self.queue.messages:
            return False
        self.clock.now_ms = max(self.clock(), self.queue.due_ms())
        message = self.queue.take()
        try:
            self.fan_out.work(message)
        except (SendRefused, OutcomeUnknown, WorkerDied):
            self._tries -= 1
            assert self._tries, "a message that always fails"
            self.queue.put(message, delay_s=VISIBILITY_TIMEOUT_S)
        return True

    def told_so_far(self, restock: Restock) -> Progress:
        """The counters of a restock."""
        return self.progress.of(restock.id, shards_of(restock.sku))

"""A whole waitlist in memory: real tables (played by moto), real services, a postbox that keeps."""

from itertools import count
from typing import Any

import boto3

from chalicelib.domain.address import Address
from chalicelib.domain.entry import Entry
from chalicelib.domain.links import Links, LinkSubject, Purpose
from chalicelib.domain.stock import Availability, Stock, restocks
from chalicelib.domain.wave import WaveStep
from chalicelib.mail.postbox import PostboxRefused
from chalicelib.services.confirmations import Confirmations
from chalicelib.services.fan_out import FanOut
from chalicelib.services.restocking import Restocking
from chalicelib.services.signups import Signups
from chalicelib.services.teller import Teller
from chalicelib.services.waitlist import Waitlist
from chalicelib.storefront.renderer import Renderer
from chalicelib.tables.entries import EntriesTable
from chalicelib.tables.products import ProductsTable
from chalicelib.tables.restocks import RestocksTable
from chalicelib.tables.suppressions import SuppressionsTable
from spillway.build.release import Release
from tests.aws import create_table
from tests.clock import Clock
from tests.fakes import FakePostbox, FakeWavesQueue, FixedTheme, WorkerDied

IDENTITY_KEY = b"identity"


class TestShop:
    """A shop to play stories in. `slug` and `sku` name what everybody waits for."""

    __test__ = False

    def __init__(self, release: Release, clock: Clock, *, slug: str, sku: str) -> None:
        client: Any = boto3.client("dynamodb")
        self.clock, self.slug, self.sku = clock, slug, sku
        self.entries = EntriesTable(client, create_table(client, "EntriesTable"))
        self.products = ProductsTable(client, create_table(client, "ProductsTable"))
        self.restocks = RestocksTable(client, create_table(client, "RestocksTable"))
        self.suppressions = SuppressionsTable(client, create_table(client, "SuppressionsTable"))
        for entry in release.products:
            self.products.put_catalogue(entry.product, entry.stock, known=None)
        self.links = Links(["key"], clock)
        self.postbox, self.queue = FakePostbox(), FakeWavesQueue()
        ids = count(1)
        themes = FixedTheme(Renderer(release.theme))
        teller = Teller(
            self.entries,
            self.suppressions,
            themes,
            self.links,
            self.postbox,
            clock,
            lambda: f"claim-{next(ids)}",
        )
        self.signups = Signups(self.entries, IDENTITY_KEY, clock)
        self.waitlist = Waitlist(self.entries, self.products, self.links, clock)
        self.confirmations = Confirmations(
            self.entries, self.products, self.suppressions, themes, self.links, self.postbox, clock
        )
        self.restocking = Restocking(self.products, self.restocks, self.queue)
        self.fan_out = FanOut(self.entries, self.products, self.restocks, self.queue, teller)
        self._events = count(1)

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
        """A shopper leaves by the link of a letter."""
        self.waitlist.leave(self.links.sign(Purpose.LEAVE, LinkSubject(self.shopper(name), self.sku)))

    def observe(self, availability: Availability, units: int = 5) -> None:
        """An event about the variant comes in, and what the stream says of it is reacted to."""
        self.clock.pass_s(1)
        before = self.products.get(self.slug)
        stock = Stock(availability, units, self.clock(), f"event-{next(self._events)}")
        self.products.observe(self.slug, self.sku, stock)
        after = self.products.get(self.slug)
        assert before is not None
        assert after is not None
        for restock in restocks(self.slug, before.stock, after.stock):
            self.restocking.open(restock)

    def work(self, *, tries: int = 5) -> None:
        """Work the queue off: what fails comes back, after its lease; what a dead worker held, too."""
        for _ in range(10_000):
            if not self.queue.messages:
                return
            message = self.queue.messages.pop(0)
            try:
                if isinstance(message, WaveStep):
                    self.fan_out.step(message)
                else:
                    self.fan_out.tell_one(message)
            except (PostboxRefused, WorkerDied):
                tries -= 1
                assert tries, "the queue never gets empty"
                self.clock.pass_s(180)
                self.queue.messages.append(message)
        raise AssertionError("the queue never gets empty")

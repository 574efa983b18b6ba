"""A whole waitlist in memory: the real tables over `MemoryDynamoDb`, real services, a sender that keeps."""

from collections.abc import Callable
from itertools import count
from typing import Any

from chalicelib.domain.address import Address
from chalicelib.domain.email import OutcomeUnknown, SendRefused
from chalicelib.domain.entry import Entry
from chalicelib.domain.stock import Availability, AvailabilityEvent, Restock, restocks
from chalicelib.domain.tokens import LinkSubject, LinkTokens, Purpose
from chalicelib.services.availability import Availabilities
from chalicelib.services.confirmations import Confirmations
from chalicelib.services.email_composer import EmailComposer
from chalicelib.services.requested_emails import RequestedEmails
from chalicelib.services.signups import Signups
from chalicelib.services.waitlist import Waitlist
from chalicelib.storefront.renderer import Renderer
from spillway.sitegen.release import Release
from tests.support.clock import Clock
from tests.support.dynamodb import MemoryDynamoDb
from tests.support.fakes import FixedTheme, WorkerDied
from tests.support.shop_base import VISIBILITY_TIMEOUT_S, ShopBase

IDENTITY_KEY = b"identity"


class TestShop(ShopBase):
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
        themes = FixedTheme(Renderer(release.theme))
        self.links = LinkTokens(["key"], clock)
        client: Any = dynamodb or MemoryDynamoDb()
        super().__init__(clock, lambda: EmailComposer(themes.live(), self.links), client=client)
        self.slug, self.sku = slug, sku
        self._tries = 5
        for entry in release.products:
            self.products.put_catalogue(entry.product, entry.stock, known=None)
        self.signups = Signups(self.entries, IDENTITY_KEY, clock)
        self.waitlist = Waitlist(self.entries, self.products, self.links, clock)
        self.requested_emails = RequestedEmails(
            self.entries, themes, self.links, self.sender, clock, IDENTITY_KEY
        )
        self.confirmations = Confirmations(
            self.entries, self.products, self.suppressions, self.requested_emails, clock
        )
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
        """A shopper leaves by the link of an email."""
        self.waitlist.unsubscribe(
            self.links.sign(Purpose.UNSUBSCRIBE, LinkSubject(self.shopper(name), self.sku))
        )

    def observe(self, availability: Availability, units: int | None = 5) -> None:
        """An event about the variant comes in, and what the stream says of it is reacted to."""
        for restock in self.observe_unstreamed(availability, units):
            self.restocking.open_restock(restock)

    def observe_unstreamed(self, availability: Availability, units: int | None = 5) -> tuple[Restock, ...]:
        """Apply an event; return the restocks that its stream record opens."""
        self.clock.pass_s(1)
        before = self.products.get(self.slug)
        event = AvailabilityEvent(
            f"event-{next(self._events)}", self.sku, availability, units, self.clock(), by_arrival=True
        )
        Availabilities(self.products).apply(event)
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

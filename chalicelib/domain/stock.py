"""What can be had right now: availability by variant, and how an event about it is taken in."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from chalicelib.domain.product import Product
from chalicelib.domain.sku import sku_id
from chalicelib.domain.wave import EVERYONE, WavePolicy


class Availability(StrEnum):
    """schema.org's ItemAvailability, the words a search engine reads too."""

    IN_STOCK = "InStock"
    OUT_OF_STOCK = "OutOfStock"
    PRE_ORDER = "PreOrder"
    BACK_ORDER = "BackOrder"
    DISCONTINUED = "Discontinued"

    @property
    def can_buy(self) -> bool:
        """Whether the page says "buy"; everything else but Discontinued says "notify me"."""
        return self in {Availability.IN_STOCK, Availability.PRE_ORDER, Availability.BACK_ORDER}


@dataclass(frozen=True, slots=True)
class Stock:
    """The availability of one variant as last observed.

    `units` is None where the shop does not count. `observed_at_ms` orders events: an older one
    never changes a newer; `event_id` names the event that brought this state. `version` counts the events
    stored for the variant, and `seen` are keys of the latest of them, by which a repeat is known.
    """

    availability: Availability
    units: int | None
    observed_at_ms: int
    event_id: str
    version: int = field(default=0, compare=False)
    seen: tuple[str, ...] = field(default=(), compare=False)

    @property
    def units_on_offer(self) -> int | None:
        """Units that emails can be shared out by; None where orders are not limited by a number.

        A pre-order or a back order without units can be placed however many others do the same.
        """
        takes_orders = self.availability in {Availability.PRE_ORDER, Availability.BACK_ORDER}
        return None if takes_orders and not self.units else self.units

    def is_shown_like(self, other: "Stock") -> bool:
        """Return whether a page says the same of both."""
        return (self.availability, self.units) == (other.availability, other.units)

    def restock(self, slug: str, sku: str, *, at_ms: int, policy: WavePolicy = EVERYONE) -> "Restock":
        """Return the restock that this stock is of a variant, written down by the cloud at `at_ms`.

        Its id is the shop's own: a merchant's event id may stand for several SKUs, or come again.
        """
        return Restock(
            id=f"{sku_id(sku)}:{self.version}:{self.event_id}",
            slug=slug,
            sku=sku,
            units=self.units_on_offer,
            observed_at_ms=self.observed_at_ms,
            opened_at_ms=max(self.observed_at_ms, at_ms),
            policy=policy,
            version=self.version,
        )


@dataclass(frozen=True, slots=True)
class StockedProduct:
    """A product and what can be had of it; the stock may know variants the catalogue dropped."""

    product: Product
    stock: Mapping[str, Stock]

    def can_buy(self, sku: str) -> bool:
        """Whether the shop sells `sku` and has it to sell."""
        return sku in self.product.skus & self.stock.keys() and self.stock[sku].availability.can_buy


@dataclass(frozen=True, slots=True)
class Restock:
    """An observed change to available, with an id of its own.

    `observed_at_ms` is the observer's clock and orders restocks; `opened_at_ms` is the cloud's own, and
    everybody who waits then is notified, in waves as `policy` was: a slow clock cuts nobody off. Of two
    observed at one time, the one of the later `version` of the stock is newer.
    """

    id: str
    slug: str
    sku: str
    units: int | None
    observed_at_ms: int
    opened_at_ms: int
    policy: WavePolicy = EVERYONE
    version: int = 0

    @property
    def tag(self) -> str:
        """What its emails are tagged with, to be known by in feedback."""
        return tag_of(self.id)

    @property
    def is_limited(self) -> bool:
        """Whether its waves have a number of emails, and so one order over all shards."""
        return self.policy.emails_for(self.units) is not None


def tag_of(restock_id: str) -> str:
    """The tag of a restock's emails: its id may have signs that a tag of SES's may not."""
    return hashlib.sha256(restock_id.encode()).hexdigest()[:32]


def restocks(
    slug: str,
    before: Mapping[str, Stock],
    after: Mapping[str, Stock],
    *,
    at_ms: int,
) -> tuple[Restock, ...]:
    """The variants of product `slug` that became available between two states of its stock, the later
    of which the cloud wrote down at `at_ms`.

    Units added to a variant that was still available are a restock too: whoever waited through
    an earlier, smaller delivery is to hear of this one. A variant never seen before is not: nobody
    can have waited for it.
    """
    return tuple(
        stock.restock(slug, sku, at_ms=at_ms)
        for sku, stock in sorted(after.items())
        if sku in before and is_restock(before[sku], stock)
    )


def is_restock(before: Stock, after: Stock) -> bool:
    """Return whether a variant that was `before` and is `after` became available, or there are more of it.

    From a pre-order or a back order to in stock is a restock as well, and so are counted units that turn to
    orders without a number: a limited policy kept silent about few units, everybody can order now. A variant
    that was for sale without a number and is counted from now on has not become more.
    """
    if not after.availability.can_buy:
        return False
    arrived = after.availability is Availability.IN_STOCK and before.availability is not Availability.IN_STOCK
    if arrived or not before.availability.can_buy:
        return True
    was, now = before.units_on_offer, after.units_on_offer
    if was is None:
        return False
    return now > was if now is not None else after.availability is not before.availability

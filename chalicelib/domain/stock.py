"""What can be had right now: availability by variant, and how an event about it is taken in."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from chalicelib.domain.product import Product
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

    `units` is None where the shop does not count: such a variant stays as it is until an event says
    otherwise, and an event with units counts it from then on. `observed_at_ms` orders events: an older one
    never changes a newer; `event_id` names the event that brought this state, and so the restock.
    """

    availability: Availability
    units: int | None
    observed_at_ms: int
    event_id: str


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
    whoever waits then is told, in waves as `policy` was: a merchant's slow clock cuts nobody off.
    """

    id: str
    slug: str
    sku: str
    units: int | None
    observed_at_ms: int
    opened_at_ms: int
    policy: WavePolicy = EVERYONE

    @property
    def tag(self) -> str:
        """What its letters are tagged with, to be known by in feedback."""
        return tag_of(self.id)

    @property
    def is_limited(self) -> bool:
        """Whether its waves have a number of letters, and so one order over all shards."""
        return self.policy.wave_size(self.units) is not None


def tag_of(restock_id: str) -> str:
    """The tag of a restock's letters: its id may have signs that a tag of SES's may not."""
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
    can have waited for it. A repeat (the same event id) is nothing new.
    """
    return tuple(
        Restock(
            id=stock.event_id,
            slug=slug,
            sku=sku,
            units=stock.units,
            observed_at_ms=stock.observed_at_ms,
            opened_at_ms=max(stock.observed_at_ms, at_ms),
        )
        for sku, stock in sorted(after.items())
        if sku in before and is_restock(before[sku], stock)
    )


def is_restock(before: Stock, after: Stock) -> bool:
    """Whether a variant that was `before` and is `after` became available, or there are more of it."""
    if after.event_id == before.event_id or not after.availability.can_buy:
        return False
    if not before.availability.can_buy:
        return True
    # A variant that was always for sale and is counted from now on has not become more.
    return before.units is not None and (after.units or 0) > before.units

"""Events about availability, wherever they come from, lead to one update here.

It is versioned (an older event than the one known changes nothing), idempotent (a repeat changes
nothing) and order-safe (of two events in any order the newer one stays). Pages, waves and letters
follow from the product's row, by its stream.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from chalicelib.domain.stock import Availability, Stock
from chalicelib.tables.products import ProductsTable

UNITS_MAX = 1_000_000
EVENT_ID_CHARS_MAX = 100


@dataclass(frozen=True, slots=True)
class AvailabilityEvent:
    """Somebody saw how many there are of a variant. `id` makes a repeat known, `observed_at_ms` orders."""

    id: str
    sku: str
    availability: Availability
    units: int | None
    observed_at_ms: int

    @property
    def stock(self) -> Stock:
        """The stock this event is about."""
        return Stock(self.availability, self.units, self.observed_at_ms, self.id)


class Outcome(StrEnum):
    """What became of an event."""

    CHANGED = "changed"
    REPEATED = "repeated"
    OUTDATED = "outdated"
    REPLAYED = "replayed"
    UNKNOWN_SKU = "unknown_sku"


class Availabilities:
    """Takes in events about availability."""

    def __init__(self, products: ProductsTable) -> None:
        self._products = products

    def take_in(self, event: AvailabilityEvent) -> Outcome:
        """Take in one event: one conditional write when it is news."""
        slug = self._products.slug_of(event.sku)
        return Outcome.UNKNOWN_SKU if slug is None else self._observe(slug, event)

    def take_in_all(self, events: Sequence[tuple[str, AvailabilityEvent]]) -> bool:
        """Take in all of these events, each with its product's slug, or none; false when one is no news."""
        return self._products.observe_all([(slug, event.sku, event.stock) for slug, event in events])

    def _observe(self, slug: str, event: AvailabilityEvent) -> Outcome:
        if self._products.observe(slug, event.sku, event.stock):
            return Outcome.CHANGED
        stocked = self._products.get(slug)
        if stocked is None or event.sku not in stocked.stock:
            return Outcome.UNKNOWN_SKU
        known = stocked.stock[event.sku].event_id == event.id
        return Outcome.REPEATED if known else Outcome.OUTDATED


def availability_of(units: int | None) -> Availability:
    """What a number of units says: none is sold out, any other is in stock."""
    return Availability.OUT_OF_STOCK if units == 0 else Availability.IN_STOCK

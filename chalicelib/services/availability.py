"""Events about availability, wherever they come from, lead to one update here.

It is versioned (an older event than the one known changes nothing), idempotent (a repeat changes
nothing) and order-safe (of two events in any order the newer one stays). Pages, waves and letters
follow from the product's row, by its stream.
"""

from collections.abc import Sequence

from chalicelib.domain.availability import AvailabilityEvent, Outcome
from chalicelib.tables.products import ProductsTable


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
        return self._products.observe_all(
            [(slug, event.sku, event.stock) for slug, event in events],
            counted_out=frozenset(event.sku for _, event in events if event.is_counted_out),
        )

    def _observe(self, slug: str, event: AvailabilityEvent) -> Outcome:
        if self._products.observe(slug, event.sku, event.stock, counted_out=event.is_counted_out):
            return Outcome.CHANGED
        stocked = self._products.get(slug)
        if stocked is None or event.sku not in stocked.stock:
            return Outcome.UNKNOWN_SKU
        known = stocked.stock[event.sku].event_id == event.id
        return Outcome.REPEATED if known else Outcome.OUTDATED

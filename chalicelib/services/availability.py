"""Apply events about availability, from a command, a program with a key, or a signed webhook.

An update is versioned (an older event than the known one changes nothing), idempotent (a repeat changes
nothing) and ordered: by the observers' clocks, and by arrival where those are equal or absent. Pages, waves
and emails follow from the product's row, by its stream.

A signed request is applied once. A replay is refused, and so is an honest sender that missed the answer: the
refusal says that the event was applied.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from chalicelib.domain.ids import Sku, Slug
from chalicelib.domain.stock import Availability, AvailabilityEvent, EventOutcome, EventResult
from chalicelib.tables.products import TRANSACTION_PRODUCTS_MAX, ProductsTable
from chalicelib.tables.sending import WebhooksTable

if TYPE_CHECKING:
    from chalicelib.domain.stock import Stock, StockedProduct

# Each try fails only when another event about the same variant was stored meanwhile.
TRIES_MAX = 20


def when_sold_out(stocked: "StockedProduct | None", sku: Sku) -> Availability | None:
    """Return the availability that the catalogue gives a variant counted at none, if it gives any."""
    if stocked is None or sku not in stocked.product.skus:
        return None
    wanted = stocked.product.variant(sku).when_sold_out
    return Availability(wanted.value) if wanted else None


class Availabilities:
    """Applies events about availability."""

    def __init__(self, products: ProductsTable) -> None:
        self._products = products

    def apply(self, event: AvailabilityEvent) -> EventResult:
        """Apply one event: one conditional write when it changes something.

        BUSY: other events about the variant came first each time, and nothing of this one is stored.
        """
        slug = self._products.slug_of(event.sku)
        for _ in range(TRIES_MAX):
            stocked = self._products.get(slug) if slug else None
            known = stocked.stock.get(event.sku) if stocked else None
            if slug is None or known is None:
                return EventResult(EventOutcome.UNKNOWN_SKU)
            applied = event.applied_to(known, when_sold_out(stocked, event.sku))
            if not applied.write or self._products.observe(slug, event.sku, applied.stock, known=known):
                return EventResult(applied.outcome, applied.stock)
        return EventResult(EventOutcome.BUSY)

    def apply_all(self, events: Sequence[tuple[Slug, AvailabilityEvent]]) -> bool:
        """Apply every event, each with its product's slug, or none of them.

        Returns:
            False when one is older than the known stock, or another event came first.

        Raises:
            ValueError: they are about more products than one transaction takes.
        """
        slugs = {slug for slug, _ in events}
        if len(slugs) > TRANSACTION_PRODUCTS_MAX:
            raise ValueError(f"{len(slugs)} products, {TRANSACTION_PRODUCTS_MAX} is the most")
        stocked = self._products.get_many(slugs)
        changes: list[tuple[Slug, Sku, Stock, Stock]] = []
        for slug, event in events:
            known = stocked[slug].stock.get(event.sku) if slug in stocked else None
            applied = event.applied_to(known, when_sold_out(stocked[slug], event.sku)) if known else None
            if known is None or applied is None or applied.outcome is EventOutcome.OLDER:
                return False
            if applied.write:
                changes.append((slug, event.sku, applied.stock, known))
        return self._products.observe_all(changes)


class AvailabilityWebhooks:
    """Applies the events of signed requests."""

    def __init__(
        self, availabilities: Availabilities, seen: WebhooksTable, clock_ms: Callable[[], int]
    ) -> None:
        self._availabilities = availabilities
        self._seen = seen
        self._clock_ms = clock_ms

    def apply(self, event: AvailabilityEvent, digest: str) -> EventResult:
        """Apply the event of a request; only the same request has the same `digest`."""
        # Checked first: an event without a time counts as of its arrival, and a replay arrives later.
        if self._seen.is_known(digest):
            return EventResult(EventOutcome.REPLAYED)
        result = self._availabilities.apply(event)
        if result.outcome in {EventOutcome.UNKNOWN_SKU, EventOutcome.BUSY}:
            return result
        # Stored after the event is applied, which a repeat leaves unchanged: a crash between loses no event.
        first = self._seen.first_time(digest, at_ms=self._clock_ms())
        return result if first else EventResult(EventOutcome.REPLAYED)

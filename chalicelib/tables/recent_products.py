"""Products as they were a moment ago: for emails and pages that show a title, not what is left of it."""

from collections.abc import Callable
from typing import Protocol

from chalicelib.domain.stock import StockedProduct

FRESH_FOR_MS = 10_000
PRODUCTS_MAX = 200


class ProductReader(Protocol):
    """Where products are looked up."""

    def slug_of(self, sku: str) -> str | None:
        """The product a SKU belongs to; None when the shop does not sell it."""

    def get(self, slug: str) -> StockedProduct | None:
        """A product; None when there is none of that name."""


def stocked_with(products: ProductReader, sku: str) -> StockedProduct | None:
    """The product that `sku` is a variant of; None when the shop sells it no more, or never did."""
    slug = products.slug_of(sku)
    stocked = products.get(slug) if slug else None
    # A variant may have left a catalogue whose product stays.
    return stocked if stocked is not None and sku in stocked.product.skus else None


class RecentProducts:
    """Looks each product up once in ten seconds: in a flood, everybody asks for the same one.

    Nothing is decided by what it says of stock, which may be that old.
    """

    def __init__(self, products: ProductReader, clock_ms: Callable[[], int]) -> None:
        self._products = products
        self._clock_ms = clock_ms
        self._looked_at_ms = 0
        self._slugs: dict[str, str | None] = {}
        self._found: dict[str, StockedProduct | None] = {}

    def slug_of(self, sku: str) -> str | None:
        """The product a SKU belonged to."""
        self._forget_the_old()
        if sku not in self._slugs:
            self._slugs[sku] = self._products.slug_of(sku)
        return self._slugs[sku]

    def get(self, slug: str) -> StockedProduct | None:
        """A product as it was."""
        self._forget_the_old()
        if slug not in self._found:
            self._found[slug] = self._products.get(slug)
        return self._found[slug]

    def _forget_the_old(self) -> None:
        # All at once: simpler than by each, and never older.
        now_ms = self._clock_ms()
        full = max(len(self._slugs), len(self._found)) >= PRODUCTS_MAX
        if full or not 0 <= now_ms - self._looked_at_ms < FRESH_FOR_MS:
            self._slugs.clear()
            self._found.clear()
            self._looked_at_ms = now_ms

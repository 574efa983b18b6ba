"""What a shopper sees and does about all they wait for, by the link of an email they asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chalicelib.domain.entry import Entry, EntryState
from chalicelib.domain.links import Links, Purpose
from chalicelib.domain.product import Product
from chalicelib.log import log
from chalicelib.tables.entries import EntriesTable
from chalicelib.tables.recent_products import ProductReader, stocked_with
from chalicelib.tables.shoppers import ShoppersTable


@dataclass(frozen=True, slots=True)
class Awaited:
    """One entry as its shopper reads it. `path` is empty when the shop no longer sells it."""

    sku: str
    title: str
    label: str
    path: str
    state: str

    @property
    def can_unsubscribe(self) -> bool:
        """Whether there is anything to leave."""
        return self.state != EntryState.UNSUBSCRIBED


class MyWaitlists:
    """Reads and ends what one shopper asked for.

    Every method takes the link's token, and raises LinkRefused when it is none of ours for this.
    """

    def __init__(
        self,
        entries: EntriesTable,
        shoppers: ShoppersTable,
        products: ProductReader,
        links: Links,
        clock_ms: Callable[[], int],
    ) -> None:
        self._entries = entries
        self._shoppers = shoppers
        self._products = products
        self._links = links
        self._clock_ms = clock_ms

    def look(self, token: str, told: Callable[[Product], Product]) -> tuple[Awaited, ...]:
        """All the shopper ever asked for that is still kept, in the order of SKUs, with products as they
        are `told`. Changes nothing."""
        return tuple(self._awaited(kept.entry, told) for kept in self._shoppers.kept(self._shopper(token)))

    def export(self, token: str) -> dict[str, Any]:
        """The same, with everything that is stored, ready for JSON. Changes nothing."""
        shopper = self._shopper(token)
        return {"shopper": shopper, "entries": [dict(kept.facts) for kept in self._shoppers.kept(shopper)]}

    def leave(self, token: str, sku: str = "") -> None:
        """Take one entry out of its shard, or all of them. Leaving twice is leaving once."""
        shopper = self._shopper(token)
        skus = [sku] if sku else [kept.entry.sku for kept in self._shoppers.kept(shopper)]
        for one in skus:
            self._entries.leave(shopper, one, at_ms=self._clock_ms())

    def erase(self, token: str) -> None:
        """Forget the shopper, but for whether they must not be written to. Erasing twice is erasing once."""
        shopper = self._shopper(token)
        log("shopper_erased", shopper=shopper, rows=self._shoppers.erase(shopper))

    def _shopper(self, token: str) -> str:
        return self._links.read(Purpose.MY_WAITLISTS, token).shopper

    def _awaited(self, entry: Entry, told: Callable[[Product], Product]) -> Awaited:
        state = "expired" if entry.expired(at_ms=self._clock_ms()) else entry.state.value
        stocked = stocked_with(self._products, entry.sku)
        if stocked is None:
            return Awaited(entry.sku, entry.sku, "", "", state)
        product = told(stocked.product)
        return Awaited(entry.sku, product.title, product.variant(entry.sku).label, product.path, state)

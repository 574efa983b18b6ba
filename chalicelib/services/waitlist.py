"""The shopper's side once an email has come: look, confirm, leave. Asking is in `signups`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chalicelib.domain.entry import EntryState
from chalicelib.domain.links import Links, Purpose
from chalicelib.domain.product import Product, Variant
from chalicelib.tables.entries import EntriesTable
from chalicelib.tables.recent_products import ProductReader, stocked_with


@dataclass(frozen=True, slots=True)
class LinkedEntry:
    """What a signed link is about, for the page it opens. `product` and `variant` are None when the
    shop sells it no more."""

    product: Product | None
    variant: Variant | None
    state: EntryState
    # True where the shop sells it, as of a few seconds ago.
    orderable: bool = False

    @property
    def confirmed(self) -> bool:
        """Return whether the shopper is on the list."""
        return self.state is EntryState.CONFIRMED

    @property
    def notified(self) -> bool:
        """Return whether the one email was sent: the shopper is not on the list any more."""
        return self.state is EntryState.NOTIFIED

    @property
    def left(self) -> bool:
        """Return whether the shopper has left the list."""
        return self.state is EntryState.UNSUBSCRIBED

    @property
    def confirmable(self) -> bool:
        """Whether a confirmation puts the shopper into a shard."""
        return self.state is EntryState.PENDING and self.product is not None


class Waitlist:
    """Who waits for what."""

    def __init__(
        self,
        entries: EntriesTable,
        products: ProductReader,
        links: Links,
        clock_ms: Callable[[], int],
    ) -> None:
        self._entries = entries
        self._products = products
        self._links = links
        self._clock_ms = clock_ms

    def look(self, purpose: Purpose, token: str) -> LinkedEntry | None:
        """What a link is about; None when its entry is gone. Changes nothing.

        Raises:
            LinkRefused: no link of ours for `purpose`.
        """
        return next(iter(self.look_at_all(purpose, token)), None)

    def look_at_all(self, purpose: Purpose, token: str) -> tuple[LinkedEntry, ...]:
        """Return what a link is about, in its order, without entries that are gone. Changes nothing.

        Raises:
            LinkRefused: no link of ours for `purpose`.
        """
        subject = self._links.read(purpose, token)
        found = (self._look(subject.shopper, sku) for sku in subject.skus)
        return tuple(linked for linked in found if linked is not None)

    def _look(self, shopper: str, sku: str) -> LinkedEntry | None:
        entry = self._entries.get(shopper, sku)
        if entry is None or entry.expired(at_ms=self._clock_ms()):
            return None
        stocked = stocked_with(self._products, sku)
        if stocked is None:
            return LinkedEntry(None, None, entry.state)
        variant = stocked.product.variant(sku)
        return LinkedEntry(stocked.product, variant, entry.state, stocked.can_buy(sku))

    def confirm(self, token: str) -> bool:
        """Put the entries of a confirm link into their shards; false when there is nothing left to confirm.

        Confirming twice is confirming once.

        Raises:
            LinkRefused: no confirm link of ours.
        """
        return self.confirmed(token) is not None

    def confirmed(self, token: str) -> EntryState | None:
        """Confirm as `confirm` does, and return the state that the entries are in by then.

        Says whether the shopper is on a list, or has been notified since; None when neither is so of any.

        Raises:
            LinkRefused: no confirm link of ours.
        """
        subject = self._links.read(Purpose.CONFIRM, token)
        states = {self._confirmed(subject.shopper, sku) for sku in subject.skus}
        return next((state for state in (EntryState.CONFIRMED, EntryState.NOTIFIED) if state in states), None)

    def leave(self, token: str) -> None:
        """Take the entry of a leave link out of the shard. Leaving twice is leaving once.

        Raises:
            LinkRefused: no leave link of ours.
        """
        subject = self._links.read(Purpose.UNSUBSCRIBE, token)
        self._entries.leave(subject.shopper, subject.sku, at_ms=self._clock_ms())

    def products_of(self, skus: Sequence[str]) -> dict[str, Product]:
        """Return the products that variants belong to, by SKU; without those that the shop sells no more."""
        found = {sku: stocked_with(self._products, sku) for sku in skus}
        return {sku: stocked.product for sku, stocked in found.items() if stocked}

    def undo(self, shopper: str, skus: Sequence[str], token: str) -> None:
        """Delete what the signup that `token` was made for has put down for `shopper`, and nothing else.

        It does not say whether there was anything. Undoing twice is undoing once.

        Raises:
            LinkRefused: no token of ours for this shopper, or one that is too old.
        """
        asked_at_ms = self._links.read_undo(token, shopper)
        for sku in skus:
            self._entries.undo(shopper, sku, asked_at_ms=asked_at_ms)

    def _confirmed(self, shopper: str, sku: str) -> EntryState | None:
        if self._entries.confirm(shopper, sku, at_ms=self._clock_ms()):
            return EntryState.CONFIRMED
        entry = self._entries.get(shopper, sku)
        return entry.state if entry else None

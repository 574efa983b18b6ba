"""The shopper's side once a letter has come: look, confirm, leave. Asking is in `signups`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chalicelib.domain.entry import EntryState
from chalicelib.domain.links import Links, LinkSubject, Purpose
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
        return self.state is EntryState.LEFT

    @property
    def confirmable(self) -> bool:
        """Whether a confirmation puts the shopper into a line."""
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
        subject = self._links.read(purpose, token)
        entry = self._entries.get(subject.shopper, subject.sku)
        if entry is None or entry.expired(at_ms=self._clock_ms()):
            return None
        stocked = stocked_with(self._products, subject.sku)
        if stocked is None:
            return LinkedEntry(None, None, entry.state)
        return LinkedEntry(stocked.product, stocked.product.variant(subject.sku), entry.state)

    def confirm(self, token: str) -> bool:
        """Put the entry of a confirm link into the line; false when there is nothing to confirm any more.

        Confirming twice is confirming once.

        Raises:
            LinkRefused: no confirm link of ours.
        """
        return self.confirmed(token) is not None

    def confirmed(self, token: str) -> EntryState | None:
        """Confirm as `confirm` does, and return the state that the entry is in by then.

        Says whether the shopper is on the list, or has been notified since; None when neither is so.

        Raises:
            LinkRefused: no confirm link of ours.
        """
        subject = self._links.read(Purpose.CONFIRM, token)
        if self._entries.confirm(subject.shopper, subject.sku, at_ms=self._clock_ms()):
            return EntryState.CONFIRMED
        state = self._state(subject)
        return state if state in {EntryState.CONFIRMED, EntryState.NOTIFIED} else None

    def leave(self, token: str) -> None:
        """Take the entry of a leave link out of the line. Leaving twice is leaving once.

        Raises:
            LinkRefused: no leave link of ours.
        """
        subject = self._links.read(Purpose.LEAVE, token)
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

    def _state(self, subject: LinkSubject) -> EntryState | None:
        entry = self._entries.get(subject.shopper, subject.sku)
        return entry.state if entry else None

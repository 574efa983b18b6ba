"""The shopper's side once a letter has come: look, confirm, leave. Asking is in `signups`."""

from collections.abc import Callable
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
        """Whether a confirmation has nothing left to do."""
        return self.state in {EntryState.CONFIRMED, EntryState.NOTIFIED}

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
        subject = self._links.read(Purpose.CONFIRM, token)
        if self._entries.confirm(subject.shopper, subject.sku, at_ms=self._clock_ms()):
            return True
        return self._state(subject) in {EntryState.CONFIRMED, EntryState.NOTIFIED}

    def leave(self, token: str) -> None:
        """Take the entry of a leave link out of the line. Leaving twice is leaving once.

        Raises:
            LinkRefused: no leave link of ours.
        """
        subject = self._links.read(Purpose.LEAVE, token)
        self._entries.leave(subject.shopper, subject.sku, at_ms=self._clock_ms())

    def _state(self, subject: LinkSubject) -> EntryState | None:
        entry = self._entries.get(subject.shopper, subject.sku)
        return entry.state if entry else None

"""Asks a shopper to confirm: one letter for one pending entry, if it is still wanted."""

from collections.abc import Callable

from chalicelib.domain.entry import Entry, EntryState
from chalicelib.domain.links import Links
from chalicelib.domain.stock import StockedProduct
from chalicelib.log import log
from chalicelib.mail.postbox import Delivery, Envelope, Postbox, PostboxRefused
from chalicelib.services.letters import LetterWriter
from chalicelib.storage.themes import ThemeStore
from chalicelib.tables.entries import EntriesTable
from chalicelib.tables.recent_products import ProductReader
from chalicelib.tables.suppressions import SuppressionsTable


class Confirmations:
    """Sends confirmation letters. `clock` is in milliseconds."""

    def __init__(
        self,
        entries: EntriesTable,
        products: ProductReader,
        suppressions: SuppressionsTable,
        themes: ThemeStore,
        links: Links,
        postbox: Postbox,
        clock: Callable[[], int],
    ) -> None:
        self._entries = entries
        self._products = products
        self._suppressions = suppressions
        self._themes = themes
        self._links = links
        self._postbox = postbox
        self._clock = clock

    def send(self, shopper: str, sku: str) -> None:
        """Send the confirmation letter of an entry, unless nobody waits for it any more.

        Raises:
            PostboxRefused: the transport took nothing; this is to be tried again.
        """
        entry = self._entries.get(shopper, sku)
        stocked = self._stocked(sku)
        if entry is None or stocked is None or not self._due(entry):
            log("confirmation_not_due", shopper=shopper, sku=sku)
            return
        now_ms = self._clock()
        if not self._entries.count_confirmation(shopper, at_ms=now_ms):
            log("confirmations_of_the_day_used_up", shopper=shopper, sku=sku)
            return
        writer = LetterWriter(self._themes.live(), self._links)
        try:
            self._post(writer.sender, writer.confirm(entry, stocked))
        except PostboxRefused:
            self._entries.count_confirmation(shopper, at_ms=now_ms, letters=-1)
            raise
        log("confirmation_sent", shopper=shopper, sku=sku)

    def _due(self, entry: Entry) -> bool:
        if entry.state is not EntryState.PENDING or entry.expired(at_ms=self._clock()):
            return False
        return not self._suppressions.among([entry.shopper])

    def _post(self, sender: str, envelope: Envelope) -> None:
        (receipt,) = self._postbox.send(sender, [envelope])
        if receipt.delivery is Delivery.DEFERRED:
            raise PostboxRefused(receipt.reason)
        if receipt.delivery is Delivery.REJECTED:
            log("confirmation_rejected", reason=receipt.reason)

    def _stocked(self, sku: str) -> StockedProduct | None:
        slug = self._products.slug_of(sku)
        stocked = self._products.get(slug) if slug else None
        # A variant may have left a catalogue whose product stays.
        return stocked if stocked is not None and sku in stocked.product.skus else None

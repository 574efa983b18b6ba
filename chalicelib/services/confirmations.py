"""Asks a shopper to confirm: one letter for one pending entry, if it is still wanted."""

from collections.abc import Callable

from chalicelib.domain.entry import Entry, EntryState
from chalicelib.log import log
from chalicelib.services.asked_letters import AskedLetters
from chalicelib.tables.entries import EntriesTable
from chalicelib.tables.recent_products import ProductReader, stocked_with
from chalicelib.tables.suppressions import SuppressionsTable


class Confirmations:
    """Sends confirmation letters."""

    def __init__(
        self,
        entries: EntriesTable,
        products: ProductReader,
        suppressions: SuppressionsTable,
        letters: AskedLetters,
        clock_ms: Callable[[], int],
    ) -> None:
        self._entries = entries
        self._products = products
        self._suppressions = suppressions
        self._letters = letters
        self._clock_ms = clock_ms

    def send(self, shopper: str, sku: str) -> None:
        """Send the confirmation letter of an entry, unless nobody waits for it any more.

        Raises:
            PostboxRefused: the letter was not taken; this is to be tried again.
        """
        entry = self._entries.get(shopper, sku)
        stocked = stocked_with(self._products, sku)
        if entry is None or stocked is None or not self._due(entry):
            log("confirmation_not_due", shopper=shopper, sku=sku)
            return
        self._letters.send(shopper, lambda writer: writer.confirm(entry, stocked))

    def _due(self, entry: Entry) -> bool:
        if entry.state is not EntryState.PENDING or entry.expired(at_ms=self._clock_ms()):
            return False
        return not self._suppressions.among([entry.shopper])

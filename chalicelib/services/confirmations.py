"""Asks a shopper to confirm: one letter for one pending entry, if it is still wanted.

An address whose letters bounced is suppressed. When its owner signs up again after a time, this letter is the
one that may leave all the same, and its confirmation lifts the suppression (`suppression` has the rules).
"""

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
        history = self._suppressions.history(entry.shopper)
        return history is None or history.suppression is None or self._may_retry(entry)

    def _may_retry(self, entry: Entry) -> bool:
        now_ms, asked_at_ms = self._clock_ms(), entry.asked_at_ms
        history = self._suppressions.change(
            entry.shopper, lambda known: known.retried(at_ms=now_ms, asked_at_ms=asked_at_ms), at_ms=now_ms
        )
        # True as well for the other emails of that signup, and for one that comes again.
        if not history.is_retrying or history.retried_for_ms != asked_at_ms:
            return False
        log("suppressed_shopper_asked", shopper=entry.shopper, sku=entry.sku)
        return self._entries.mark_retry(entry, at_ms=now_ms)


def lift_confirmed(suppressions: SuppressionsTable, shopper: str, *, at_ms: int) -> None:
    """Lift the suppression of a shopper who confirmed the letter that left despite it.

    A complaint is never lifted by it, nor a bounce of a later letter. Repeats change nothing.

    Raises:
        SuppressionBusy: it was not lifted, for others wrote the same row.
    """
    history = suppressions.change(shopper, lambda known: known.confirmed(at_ms=at_ms), at_ms=at_ms)
    log("suppression_lifted", shopper=shopper, lifted=history.suppression is None)

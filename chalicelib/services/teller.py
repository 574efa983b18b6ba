"""Tells shoppers that a variant can be had: claim, send, mark.

A worker that dies before sending leaves a lease that ends by itself; one that dies between sending
and marking repeats at most its one batch. Nobody is told who left, or is suppressed: the claim is
conditional, and made after the check.
"""

from collections.abc import Callable, Iterable, Sequence

from chalicelib.domain.entry import Entry
from chalicelib.domain.links import Links
from chalicelib.domain.stock import Restock, StockedProduct
from chalicelib.log import log
from chalicelib.mail.postbox import Delivery, Postbox, PostboxRefused, Receipt
from chalicelib.services.letters import LetterWriter
from chalicelib.storage.themes import ThemeStore
from chalicelib.tables.entries import EntriesTable
from chalicelib.tables.suppressions import SuppressionsTable

# Shorter than the waves queue's visibility timeout: a step that comes again finds its dead claims free.
LEASE_MS = 110_000


class Teller:
    """Sends one batch. `clock` is in milliseconds, `new_id` gives an id that was never given before."""

    def __init__(
        self,
        entries: EntriesTable,
        suppressions: SuppressionsTable,
        themes: ThemeStore,
        links: Links,
        postbox: Postbox,
        clock: Callable[[], int],
        new_id: Callable[[], str],
    ) -> None:
        self._entries = entries
        self._suppressions = suppressions
        self._themes = themes
        self._links = links
        self._postbox = postbox
        self._clock = clock
        self._new_id = new_id

    def tell(self, restock: Restock, stocked: StockedProduct, waiting: Sequence[Entry]) -> None:
        """Tell those of `waiting` (at most 50) who still wait and may be mailed.

        Raises:
            PostboxRefused: some letters were not taken; their entries wait as before.
        """
        claim_id = self._new_id()
        claimed = self._claim(waiting, claim_id)
        if not claimed:
            return
        writer = LetterWriter(self._themes.live(), self._links)
        try:
            receipts = self._postbox.send(
                writer.sender, [writer.available(entry, stocked) for entry in claimed]
            )
        except PostboxRefused:
            self._release(claimed, claim_id)
            raise
        self._mark(restock, zip(claimed, receipts, strict=True), claim_id)

    def _claim(self, waiting: Sequence[Entry], claim_id: str) -> list[Entry]:
        suppressed = self._suppressions.among(entry.shopper for entry in waiting)
        now_ms = self._clock()
        claimed = []
        for entry in waiting:
            if entry.shopper in suppressed:
                self._entries.leave(entry.shopper, entry.sku, at_ms=now_ms)
            elif self._entries.claim(entry, claim_id=claim_id, at_ms=now_ms, lease_ms=LEASE_MS):
                claimed.append(entry)
        return claimed

    def _mark(self, restock: Restock, results: Iterable[tuple[Entry, Receipt]], claim_id: str) -> None:
        deferred: list[str] = []
        told = 0
        for entry, receipt in results:
            if receipt.delivery is Delivery.DEFERRED:
                self._release([entry], claim_id)
                deferred.append(receipt.reason)
                continue
            told += 1
            self._entries.mark_told(
                entry,
                claim_id=claim_id,
                restock_id=restock.id,
                delivery=receipt.delivery,
                message_id=receipt.message_id,
                at_ms=self._clock(),
            )
        log("shoppers_told", restock=restock.id, sku=restock.sku, told=told, deferred=len(deferred))
        if deferred:
            raise PostboxRefused(deferred[0])

    def _release(self, entries: Iterable[Entry], claim_id: str) -> None:
        for entry in entries:
            self._entries.release(entry, claim_id=claim_id)

"""Lets in who needs no confirmation: where a shop asks for none (single opt-in)."""

from collections.abc import Callable

from chalicelib.domain.entry import Entry
from chalicelib.log import log
from chalicelib.services.restocking import Restocking
from chalicelib.tables.entries import EntriesTable


class SingleOptIn:
    """Looks at entries that were confirmed without an email."""

    def __init__(self, entries: EntriesTable, restocking: Restocking, clock_ms: Callable[[], int]) -> None:
        self._entries = entries
        self._restocking = restocking
        self._clock_ms = clock_ms

    def accept(self, entry: Entry) -> None:
        """Tell an entry that just began to wait, if its variant can be had right now.

        Whoever was signed up too often today is taken out of the shard again: the address may be
        somebody's who never asked, and each entry is an email to them. Admitting twice is admitting once.
        """
        if not self._entries.count_admission(entry):
            self._entries.leave(entry.shopper, entry.sku, at_ms=self._clock_ms())
            log("admissions_of_the_day_used_up", shopper=entry.shopper, sku=entry.sku)
            return
        self._restocking.welcome(entry.shopper, entry.sku, at_ms=self._clock_ms())

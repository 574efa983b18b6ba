"""Sends a shopper who asked for it the link to all they wait for; anybody else gets nothing."""

from collections.abc import Callable

from chalicelib.domain.links import Links
from chalicelib.log import log
from chalicelib.mail.postbox import Delivery, Envelope, Postbox, PostboxRefused
from chalicelib.services.letters import LetterWriter
from chalicelib.storage.themes import ThemeStore
from chalicelib.tables.entries import EntriesTable
from chalicelib.tables.shoppers import ShoppersTable
from chalicelib.tables.suppressions import SuppressionsTable


class YoursLetters:
    """Sends these letters. `clock` is in milliseconds."""

    def __init__(
        self,
        entries: EntriesTable,
        shoppers: ShoppersTable,
        suppressions: SuppressionsTable,
        themes: ThemeStore,
        links: Links,
        postbox: Postbox,
        clock: Callable[[], int],
    ) -> None:
        self._entries = entries
        self._shoppers = shoppers
        self._suppressions = suppressions
        self._themes = themes
        self._links = links
        self._postbox = postbox
        self._clock = clock

    def send(self, shopper: str) -> None:
        """Send the letter, if the shop knows this shopper and may write to them.

        It counts as one of the day's confirmation letters: both are sent at anybody's asking.

        Raises:
            PostboxRefused: the transport took nothing; this is to be tried again.
        """
        kept = self._shoppers.kept(shopper)
        if not kept or self._suppressions.among([shopper]):
            log("yours_not_due", shopper=shopper)
            return
        now_ms = self._clock()
        if not self._entries.count_confirmation(shopper, at_ms=now_ms):
            log("confirmations_of_the_day_used_up", shopper=shopper)
            return
        newest = max((each.entry for each in kept), key=lambda entry: entry.asked_at_ms)
        writer = LetterWriter(self._themes.live(), self._links)
        try:
            self._post(writer.sender, writer.yours(newest.mailbox, shopper, page=newest.page))
        except PostboxRefused:
            self._entries.count_confirmation(shopper, at_ms=now_ms, letters=-1)
            raise

    def _post(self, sender: str, envelope: Envelope) -> None:
        (receipt,) = self._postbox.send(sender, [envelope])
        if receipt.delivery is Delivery.DEFERRED:
            raise PostboxRefused(receipt.reason)
        log("yours_sent", shopper=envelope.tags["shopper"], delivery=receipt.delivery)

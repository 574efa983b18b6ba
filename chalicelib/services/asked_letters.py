"""Letters that leave at anybody's asking: to confirm an entry, to see all of one's own.

Anybody can cause one by typing an address into a form, so one inbox is sent only so many in 24 hours of
each kind, however its address is spelt: nobody is mail-bombed through the shop, and nobody can use up
another person's confirmations by asking for their lists.
"""

from collections.abc import Callable

from chalicelib.domain.address import Address
from chalicelib.domain.links import Links
from chalicelib.log import log
from chalicelib.mail.postbox import Delivery, Envelope, LetterDeferred, Postbox, PostboxRefused
from chalicelib.services.letters import LetterWriter
from chalicelib.storage.themes import ThemeStore
from chalicelib.tables.entries import EntriesTable


class AskedLetters:
    """Writes and sends them one by one."""

    def __init__(
        self,
        entries: EntriesTable,
        themes: ThemeStore,
        links: Links,
        postbox: Postbox,
        clock_ms: Callable[[], int],
        identity_key: bytes,
    ) -> None:
        self._entries = entries
        self._themes = themes
        self._links = links
        self._postbox = postbox
        self._clock_ms = clock_ms
        self._identity_key = identity_key

    def send(self, shopper: str, write: Callable[[LetterWriter], Envelope]) -> None:
        """Send what `write` writes to a shopper, unless those of the last 24 hours are used up.

        Raises:
            PostboxRefused: the letter was not taken; this is to be tried again (`LetterDeferred`: for a
                reason of its own, so not for ever).
            OutcomeUnknown: nobody knows whether it was.
        """
        now_ms = self._clock_ms()
        writer = LetterWriter(self._themes.live(), self._links)
        envelope = write(writer)
        inbox, budget = Address.parse(envelope.mailbox).inbox_id(self._identity_key), envelope.tags["letter"]
        if not self._entries.count_asked_letter(inbox, at_ms=now_ms, budget=budget):
            log("letters_of_the_day_used_up", shopper=shopper, letter=budget)
            return
        try:
            self._post(shopper, writer.sender, envelope)
        except PostboxRefused:
            self._entries.count_asked_letter(inbox, at_ms=now_ms, letters=-1, budget=budget)
            raise

    def _post(self, shopper: str, sender: str, envelope: Envelope) -> None:
        (receipt,) = self._postbox.send(sender, [envelope])
        if receipt.delivery is Delivery.DEFERRED:
            raise LetterDeferred(receipt.reason)
        if receipt.delivery is Delivery.POSTPONED:
            raise PostboxRefused(receipt.reason, receipt.refusal)
        letter, reason = envelope.tags["letter"], receipt.reason
        log("letter_sent", letter=letter, shopper=shopper, delivery=receipt.delivery, reason=reason)

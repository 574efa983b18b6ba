"""Sends a shopper who asked for it the link to all they wait for; anybody else gets nothing."""

from chalicelib.log import log
from chalicelib.services.asked_letters import AskedLetters
from chalicelib.tables.shoppers import ShoppersTable
from chalicelib.tables.suppressions import SuppressionsTable


class YoursLetters:
    """Sends these letters."""

    def __init__(
        self, shoppers: ShoppersTable, suppressions: SuppressionsTable, letters: AskedLetters
    ) -> None:
        self._shoppers = shoppers
        self._suppressions = suppressions
        self._letters = letters

    def send(self, shopper: str, source: str = "") -> None:
        """Send the letter, if the shop knows this shopper and may write to them. `source` is the id of the
        network that asked for it.

        Raises:
            PostboxRefused: the letter was not taken; this is to be tried again.
        """
        kept = self._shoppers.kept(shopper)
        if not kept or self._suppressions.among([shopper]):
            log("yours_not_due", shopper=shopper)
            return
        newest = max((each.entry for each in kept), key=lambda entry: entry.asked_at_ms)
        self._letters.send(
            shopper,
            lambda writer: writer.yours(newest.mailbox, shopper, page=newest.page),
            source=source,
        )

"""Sends a shopper who asked for it the link to all they wait for; anybody else gets nothing."""

from chalicelib.log import log
from chalicelib.services.requested_emails import RequestedEmails
from chalicelib.tables.shoppers import ShoppersTable
from chalicelib.tables.suppressions import SuppressionsTable


class MyWaitlistsEmail:
    """Sends these emails."""

    def __init__(
        self, shoppers: ShoppersTable, suppressions: SuppressionsTable, emails: RequestedEmails
    ) -> None:
        self._shoppers = shoppers
        self._suppressions = suppressions
        self._emails = emails

    def send(self, shopper: str, source: str = "") -> None:
        """Send the email, if the shop knows this shopper and may write to them. `source` is the id of the
        network that asked for it.

        Raises:
            SendRefused: the email was not taken; this is to be tried again.
        """
        kept = self._shoppers.kept(shopper)
        if not kept or self._suppressions.among([shopper]):
            log("my_waitlists_not_due", shopper=shopper)
            return
        newest = max((each.entry for each in kept), key=lambda entry: entry.asked_at_ms)
        self._emails.send(
            shopper,
            lambda writer: writer.my_waitlists(newest.mailbox, shopper, page=newest.page),
            source=source,
        )

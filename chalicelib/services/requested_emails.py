"""Emails that leave at anybody's asking: to confirm an entry, to see all of one's own.

Anybody can cause one by typing an address into a form, so one inbox is sent only so many in 24 hours of
each kind, however its address is spelt: nobody is mail-bombed through the shop, and nobody can use up
another person's confirmations by asking for their lists. One network can cause only so many in 24 hours, too,
whatever addresses it types.
"""

from collections.abc import Callable

from chalicelib.domain.address import Address
from chalicelib.domain.entry import ASKED_BY_IPV6_NETWORK_PER_DAY_MAX, ASKED_BY_NETWORK_PER_DAY_MAX
from chalicelib.domain.links import Links
from chalicelib.domain.source import is_ipv6
from chalicelib.log import log
from chalicelib.mail.sender import Delivery, EmailDeferred, EmailSender, OutgoingEmail, SendRefused
from chalicelib.services.email_composer import EmailComposer
from chalicelib.storage.themes import ThemeStore
from chalicelib.tables.entries import AlreadyClaimed, Claim, EntriesTable


class RequestedEmails:
    """Writes and sends them one by one."""

    def __init__(
        self,
        entries: EntriesTable,
        themes: ThemeStore,
        links: Links,
        sender: EmailSender,
        clock_ms: Callable[[], int],
        identity_key: bytes,
    ) -> None:
        self._entries = entries
        self._themes = themes
        self._links = links
        self._sender = sender
        self._clock_ms = clock_ms
        self._identity_key = identity_key

    def send(
        self,
        shopper: str,
        write: Callable[[EmailComposer], OutgoingEmail],
        *,
        claim: Claim | None = None,
        source: str = "",
    ) -> None:
        """Send what `write` writes to a shopper, unless those of the last 24 hours are used up.

        `claim` says what the email covers: nothing is sent where another message covers it. `source` is the
        id of the network that asked, empty where none is known.

        Raises:
            SendRefused: the email was not taken; this is to be tried again (`EmailDeferred`: for a
                reason of its own, so not for ever).
            OutcomeUnknown: nobody knows whether it was.
        """
        now_ms = self._clock_ms()
        writer = EmailComposer(self._themes.live(), self._links)
        outgoing = write(writer)
        inbox, budget = Address.parse(outgoing.mailbox).inbox_id(self._identity_key), outgoing.tags["email"]
        try:
            counted = self._entries.count_requested_email(inbox, at_ms=now_ms, budget=budget, claim=claim)
        except AlreadyClaimed:
            log("email_covered", shopper=shopper, email=budget)
            return
        if not counted:
            log("emails_of_the_day_used_up", shopper=shopper, email=budget)
            return
        if not self._count_source(source, budget, now_ms):
            # Nor may it use up what the inbox is sent at somebody else's asking.
            self._entries.count_requested_email(inbox, at_ms=now_ms, emails=-1, budget=budget)
            log("emails_of_the_network_used_up", shopper=shopper, source=source, email=budget)
            return
        try:
            self._post(shopper, writer.sender, outgoing)
        except SendRefused:
            self._entries.count_requested_email(inbox, at_ms=now_ms, emails=-1, budget=budget)
            self._count_source(source, budget, now_ms, emails=-1)
            raise

    def _count_source(self, source: str, budget: str, now_ms: int, *, emails: int = 1) -> bool:
        if not source:
            return True
        limit = ASKED_BY_IPV6_NETWORK_PER_DAY_MAX if is_ipv6(source) else ASKED_BY_NETWORK_PER_DAY_MAX
        return self._entries.count_asked_by_network(
            source, at_ms=now_ms, limit=limit, emails=emails, budget=budget
        )

    def _post(self, shopper: str, sender: str, outgoing: OutgoingEmail) -> None:
        (result,) = self._sender.send(sender, [outgoing])
        if result.delivery is Delivery.DEFERRED:
            raise EmailDeferred(result.reason)
        if result.delivery is Delivery.POSTPONED:
            raise SendRefused(result.reason, result.refusal)
        kind, reason = outgoing.tags["email"], result.reason
        log("email_sent", email=kind, shopper=shopper, delivery=result.delivery, reason=reason)

"""Emails that anybody can request: to confirm an entry, or to see all of one's waitlists.

Anybody can cause one by typing an address into a form. So one inbox gets only so many in 24 hours of each
kind, however its address is spelt: nobody is mail-bombed through the shop, and nobody can use up another
person's confirmations by requesting their lists. One network can cause only so many in 24 hours, too,
whatever addresses it types.

`RequestedBatch` works on the queue's messages, `RequestedEmails` sends one email within the caps, and
`MyWaitlistsEmail` is the email with the link to a shopper's waitlists (`confirmations` has the others).
"""

from collections.abc import Callable
from dataclasses import replace

from chalicelib.domain.address import Address
from chalicelib.domain.email import (
    DeliveryOutcome,
    EmailDeferred,
    EmailSender,
    OutcomeUnknown,
    OutgoingEmail,
    RequestedEmail,
    SendRefusal,
    SendRefused,
)
from chalicelib.domain.entry import (
    REQUESTED_BY_IPV6_NETWORK_PER_DAY_MAX,
    REQUESTED_BY_NETWORK_PER_DAY_MAX,
    EmailClaim,
)
from chalicelib.domain.ids import ShopperId, is_ipv6
from chalicelib.domain.sending_limits import (
    BACK_OFF_S_MAX,
    DEFERRED_S,
    EMAIL_HOPS_MAX,
    ChainTooLong,
    back_off_s,
    early_s,
)
from chalicelib.domain.tokens import LinkTokens
from chalicelib.log import log
from chalicelib.queues import ConfirmationsQueue
from chalicelib.services.email_composer import EmailComposer
from chalicelib.storage import ThemeStore
from chalicelib.tables.entries import AlreadyClaimed, EntriesTable
from chalicelib.tables.suppressions import ShoppersTable, SuppressionsTable

# Longer than one email takes: its turn (4 s at most), and then its calls (8 s by SMTP).
EMAIL_MS_MAX = 12_000
# For an email that this batch had no time for: another worker may take it at once.
NO_TIME_S = 1
UNCLEAR_WAIT_S = 60


class RequestedBatch:
    """Sends each email of a batch of messages, or puts it back, before the function ends.

    An email that cannot be sent now is queued again as a new message. That does not count as a failure for
    the queue; the message's own counts limit it (`chalicelib.domain.sending_limits`). Once the account or the
    rate limit refuses an email, the rest of the batch is put back without another look at the row
    that all workers share.

    Args:
        send: sends one email, if it is still due; raises SendRefused or OutcomeUnknown.
        queue: takes the messages that are put back.
        clock_ms: the time in milliseconds since the epoch.
        chance: returns a number in [0, 1), which spreads waits.
        remaining_ms: returns how long the function may still run.
    """

    def __init__(
        self,
        send: Callable[[RequestedEmail], None],
        queue: ConfirmationsQueue,
        clock_ms: Callable[[], int],
        chance: Callable[[], float],
        remaining_ms: Callable[[], int],
    ) -> None:
        self._send = send
        self._queue = queue
        self._clock_ms = clock_ms
        self._chance = chance
        self._remaining_ms = remaining_ms
        self._begun = False
        self._refused_for_s: int | None = None

    def send(self, body: str) -> None:
        """Send the email of one message, or put it back.

        Raises:
            ValueError: the message is none of ours.
            SendRefused: the transport calls the email invalid; a person has to look.
            ChainTooLong: the message has queued itself too often; a person has to look.
        """
        email = RequestedEmail.from_json(body)
        if email.hops > EMAIL_HOPS_MAX:
            log("chain_too_long", shopper=email.shopper, hops=email.hops)
            raise ChainTooLong(f"{email.hops} hops")
        early = early_s(email.not_before_ms, self._clock_ms())
        if early:
            self._queue_next(email, early)
        elif self._refused_for_s is not None:
            self._queue_again(email, self._refused_for_s)
        elif self._begun and self._remaining_ms() < EMAIL_MS_MAX:
            # The first of a batch is always tried, or no email would ever be.
            self._queue_again(email, NO_TIME_S)
        else:
            self._begun = True
            self._try(email)

    def _try(self, email: RequestedEmail) -> None:
        try:
            self._send(email)
        except EmailDeferred as deferred:
            self._defer(email, deferred.reason)
        except SendRefused as refused:
            if refused.refusal is SendRefusal.INVALID:
                raise
            self._refused_for_s = refused.delay_s or NO_TIME_S
            log("email_put_back", shopper=email.shopper, reason=refused.reason)
            self._queue_again(email, self._refused_for_s)
        except OutcomeUnknown as unknown:
            # Repeated once, so that no shopper is missed; not for ever, so that none is flooded.
            log("email_unclear", shopper=email.shopper, reason=unknown.reason, again=not email.unclear)
            if not email.unclear:
                self._queue_next(replace(email, unclear=True), UNCLEAR_WAIT_S)

    def _defer(self, email: RequestedEmail, reason: str) -> None:
        if email.deferrals == len(DEFERRED_S):
            log("email_given_up", shopper=email.shopper, reason=reason)
            return
        now_ms = self._clock_ms()
        due_ms = now_ms + DEFERRED_S[email.deferrals] * 1000
        again = replace(email, deferrals=email.deferrals + 1, not_before_ms=due_ms, tries=0)
        log("email_deferred", shopper=email.shopper, reason=reason, deferrals=again.deferrals)
        self._queue_next(again, early_s(due_ms, now_ms))

    def _queue_again(self, email: RequestedEmail, needed_s: int) -> None:
        """Queue an email that could not be tried or was refused: later each time, and spread."""
        needed_s = max(needed_s, back_off_s(email.tries, self._chance()))
        delay_s = min(BACK_OFF_S_MAX, needed_s + round(needed_s * self._chance()))
        self._queue_next(replace(email, tries=email.tries + 1), delay_s)

    def _queue_next(self, email: RequestedEmail, delay_s: int) -> None:
        self._queue.put_back(replace(email, hops=email.hops + 1), delay_s=delay_s)


class RequestedEmails:
    """Composes and sends one email at a time, within the caps of its inbox and its network."""

    def __init__(
        self,
        entries: EntriesTable,
        themes: ThemeStore,
        links: LinkTokens,
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
        shopper: ShopperId,
        compose: Callable[[EmailComposer], OutgoingEmail],
        *,
        claim: EmailClaim | None = None,
        source: str | None = None,
    ) -> None:
        """Send an email to a shopper, unless the emails of the last 24 hours are used up.

        Args:
            shopper: the shopper's id.
            compose: writes the email.
            claim: the entries that the email covers; nothing is sent if another message covers them.
            source: the id of the network that requested it, None where none is known.

        Raises:
            SendRefused: the email was not taken and has to be tried again (`EmailDeferred`: for a reason of
                its own, so not for ever).
            OutcomeUnknown: the email may have left.
        """
        now_ms = self._clock_ms()
        composer = self.composer()
        outgoing = compose(composer)
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
            # Nor may it use up the emails that others request for this inbox.
            self._entries.count_requested_email(inbox, at_ms=now_ms, emails=-1, budget=budget)
            log("emails_of_the_network_used_up", shopper=shopper, source=source, email=budget)
            return
        try:
            self.hand_over(shopper, composer, outgoing)
        except SendRefused:
            self._entries.count_requested_email(inbox, at_ms=now_ms, emails=-1, budget=budget)
            self._count_source(source, budget, now_ms, emails=-1)
            raise

    def _count_source(self, source: str | None, budget: str, now_ms: int, *, emails: int = 1) -> bool:
        if source is None:
            return True
        limit = REQUESTED_BY_IPV6_NETWORK_PER_DAY_MAX if is_ipv6(source) else REQUESTED_BY_NETWORK_PER_DAY_MAX
        return self._entries.count_requested_by_network(
            source, at_ms=now_ms, limit=limit, emails=emails, budget=budget
        )

    def composer(self) -> EmailComposer:
        """Return what composes emails of the live shop."""
        return EmailComposer(self._themes.live(), self._links)

    def hand_over(self, shopper: str, composer: EmailComposer, outgoing: OutgoingEmail) -> None:
        """Send an email that is within its caps. `shopper` is the id of its reader, for the log.

        Raises:
            SendRefused: the email was not taken and has to be tried again.
            OutcomeUnknown: the email may have left.
        """
        (result,) = self._sender.send(composer.sender, [outgoing])
        if result.delivery is DeliveryOutcome.DEFERRED:
            raise EmailDeferred(result.reason)
        if result.delivery is DeliveryOutcome.POSTPONED:
            raise SendRefused(result.reason, result.refusal)
        kind, reason = outgoing.tags["email"], result.reason
        log("email_sent", email=kind, shopper=shopper, delivery=result.delivery, reason=reason)


class MyWaitlistsEmail:
    """Sends a shopper the link to their waitlists; an address that the shop does not know gets nothing."""

    def __init__(
        self, shoppers: ShoppersTable, suppressions: SuppressionsTable, emails: RequestedEmails
    ) -> None:
        self._shoppers = shoppers
        self._suppressions = suppressions
        self._emails = emails

    def send(self, shopper: ShopperId, source: str | None = None) -> None:
        """Send the email, if the shop knows this shopper and may email them.

        Args:
            shopper: the shopper's id.
            source: the id of the network that requested it, None where none is known.

        Raises:
            SendRefused: the email was not taken and has to be tried again.
        """
        kept = self._shoppers.kept(shopper)
        if not kept or self._suppressions.among([shopper]):
            log("my_waitlists_not_due", shopper=shopper)
            return
        newest = max((row.entry for row in kept), key=lambda entry: entry.signed_up_at_ms)
        self._emails.send(
            shopper,
            lambda composer: composer.my_waitlists(newest.mailbox, shopper, page=newest.page),
            source=source,
        )

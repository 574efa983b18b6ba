"""A batch of emails that shoppers asked for: each sent, or put back for later, before the function ends.

What cannot be sent now is queued again as a new message, which uses up none of the queue's patience with
failures; its own counts bound it (`chalicelib.domain.hops`). Once the account or the rate says "not now", the
rest of the batch does not ask again: the row that all workers share is not asked in vain.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from chalicelib.domain.email import RequestedEmail
from chalicelib.domain.hops import DEFERRED_S, EMAIL_HOPS_MAX, ChainTooLong, early_s
from chalicelib.domain.rate_limits import BACK_OFF_S_MAX, back_off_s
from chalicelib.log import log
from chalicelib.mail.sender import EmailDeferred, OutcomeUnknown, Refusal, SendRefused
from chalicelib.queues import ConfirmationsQueue

# Longer than one email takes: its turn (4 s at most), and then its calls (8 s by SMTP).
EMAIL_MS_MAX = 12_000
# What the batch had no time for: somebody else may take it at once.
NO_TIME_S = 1
UNCLEAR_WAIT_S = 60


class Desk(Protocol):
    """Sends one email, if it is still due."""

    def send(self, email: RequestedEmail) -> None:
        """Send it.

        Raises:
            SendRefused: it was not taken.
            OutcomeUnknown: nobody knows.
        """


class RequestedBatch:
    """One batch. `remaining_ms` says how long the function may still run; `chance` a number in [0, 1)."""

    def __init__(
        self,
        desk: Desk,
        queue: ConfirmationsQueue,
        clock_ms: Callable[[], int],
        chance: Callable[[], float],
        remaining_ms: Callable[[], int],
    ) -> None:
        self._desk = desk
        self._queue = queue
        self._clock_ms = clock_ms
        self._chance = chance
        self._remaining_ms = remaining_ms
        self._begun = False
        self._not_now: int | None = None

    def send(self, body: str) -> None:
        """Send the email of one message, or put it back.

        Raises:
            ValueError: the message is none of ours.
            SendRefused: the transport calls the email wrong; trying again is for a person.
            ChainTooLong: the message has queued itself too often; it is for a person to see.
        """
        email = RequestedEmail.from_json(body)
        if email.hops > EMAIL_HOPS_MAX:
            log("chain_too_long", shopper=email.shopper, hops=email.hops)
            raise ChainTooLong(f"{email.hops} hops")
        early = early_s(email.not_before_ms, self._clock_ms())
        if early:
            self._put_on(email, early)
        elif self._not_now is not None:
            self._put_again(email, self._not_now)
        elif self._begun and self._remaining_ms() < EMAIL_MS_MAX:
            # The first of a batch is always tried, or nothing would ever be.
            self._put_again(email, NO_TIME_S)
        else:
            self._begun = True
            self._try(email)

    def _try(self, email: RequestedEmail) -> None:
        try:
            self._desk.send(email)
        except EmailDeferred as deferred:
            self._defer(email, deferred.reason)
        except SendRefused as refused:
            if refused.refusal is Refusal.INVALID:
                raise
            self._not_now = refused.delay_s or NO_TIME_S
            log("email_put_back", shopper=email.shopper, reason=refused.reason)
            self._put_again(email, self._not_now)
        except OutcomeUnknown as unknown:
            # Repeated once, so that nobody is lost; not for ever, so that nobody is flooded.
            log("email_unclear", shopper=email.shopper, reason=unknown.reason, again=not email.unclear)
            if not email.unclear:
                self._put_on(replace(email, unclear=True), UNCLEAR_WAIT_S)

    def _defer(self, email: RequestedEmail, reason: str) -> None:
        if email.deferrals == len(DEFERRED_S):
            log("email_given_up", shopper=email.shopper, reason=reason)
            return
        now_ms = self._clock_ms()
        due_ms = now_ms + DEFERRED_S[email.deferrals] * 1000
        again = replace(email, deferrals=email.deferrals + 1, not_before_ms=due_ms, tries=0)
        log("email_deferred", shopper=email.shopper, reason=reason, deferrals=again.deferrals)
        self._put_on(again, early_s(due_ms, now_ms))

    def _put_again(self, email: RequestedEmail, asked_s: int) -> None:
        """Queue an email that nothing was found out about: later each time, and not all together."""
        asked_s = max(asked_s, back_off_s(email.tries, self._chance()))
        delay_s = min(BACK_OFF_S_MAX, asked_s + round(asked_s * self._chance()))
        self._put_on(replace(email, tries=email.tries + 1), delay_s)

    def _put_on(self, email: RequestedEmail, delay_s: int) -> None:
        self._queue.put_back(replace(email, hops=email.hops + 1), delay_s=delay_s)

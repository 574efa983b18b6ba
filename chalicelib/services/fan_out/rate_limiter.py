"""Emails leave no faster than the transport allows, however many workers send them.

The limits are read from the transport and kept for a few minutes. One worker is elected to read them again;
the others go on with the limits they know. Each batch reserves its turn by one conditional write to a row
that all workers share. A message that must wait goes back to its queue, and the limits are read again until
there is room.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date

from chalicelib.domain.email import (
    DeliveryOutcome,
    EmailSender,
    OutgoingEmail,
    SendingAccount,
    SendRefusal,
    SendRefused,
    SendResult,
)
from chalicelib.domain.entry import DAY_MS, HOUR_MS
from chalicelib.domain.sending_limits import SendingLimits, SendingRate, day_of
from chalicelib.log import log
from chalicelib.tables.sending.rate import SendingRateTable

LIMITS_KEPT_MS = 5 * 60 * 1000
# Time for the elected worker to read the limits; SES answers GetAccount about once a second per account.
ELECTED_MS = 15_000
# Where no limits are known, the other workers wait so long for the elected one.
LIMITS_WAIT_S = 3
# A turn that comes sooner is waited for in the function: far shorter than its life.
WAIT_MS_MAX = 4_000
QUOTA_WAIT_S = 900
PAUSED_WAIT_S = 900
US_PER_S = 1_000_000


class RateLimited(Exception):
    """No email may leave for about `delay_s` seconds; `reason` says why."""

    def __init__(self, reason: str, delay_s: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.delay_s = delay_s


class RateLimiter:
    """Reserves turns in the shared row.

    Args:
        table: the row that all workers share.
        account: reads the transport's limits.
        clock_ms: the time in milliseconds since the epoch.
        sleep: waits for so many seconds.
        alarm: notifies the operator, by a subject and a text.
    """

    def __init__(
        self,
        table: SendingRateTable,
        account: SendingAccount,
        clock_ms: Callable[[], int],
        sleep: Callable[[float], None],
        alarm: Callable[[str, str], None] = lambda _subject, _text: None,
    ) -> None:
        self._table = table
        self._account = account
        self._clock_ms = clock_ms
        self._sleep = sleep
        self._alarm = alarm
        self._state: SendingRate | None = None
        self._stale_until_ms = 0

    def batch_max(self, most: int) -> int:
        """Return how many emails one turn may have: a second's worth, and `most` at the most.

        Raises:
            RateLimited: no email may leave now.
        """
        state = self._current()
        return max(1, min(most, int(state.rate_per_s), state.emails_left))

    def acquire(self, emails: int) -> None:
        """Wait until so many emails may leave.

        Raises:
            RateLimited: the turn comes too late to wait for it here.
        """
        state = self._current()
        now_ms = self._clock_ms()
        cost_us = round(emails * US_PER_S / state.rate_per_s)
        begins_ms = self._table.take(emails, cost_us=cost_us, at_ms=now_ms, wait_ms_max=WAIT_MS_MAX)
        if begins_ms is None:
            self._state = None
            raise self._reason_to_wait(emails)
        if begins_ms > now_ms:
            self._sleep((begins_ms - now_ms) / 1000)

    def pause(self, reason: str) -> None:
        """Pause all sending until an operator resumes it, and raise the alarm, once."""
        self._state = None
        if self._table.pause(reason):
            log("sending_paused", reason=reason)
            self._alarm("Emails are paused", f"{reason}. Look into it, then run: spillway resume")

    def emails_by_day(self) -> dict[date, int]:
        """Return how many emails got a turn on each day (UTC) since sending was last resumed."""
        state = self._table.state()
        return {day_of(day * DAY_MS): count for day, count in state.emails_by_day.items()} if state else {}

    def _current(self) -> SendingRate:
        now_ms = self._clock_ms()
        kept_until_ms = self._state.read_at_ms + LIMITS_KEPT_MS if self._state else 0
        if self._state is None or now_ms >= max(kept_until_ms, self._stale_until_ms):
            self._state = self._refreshed(now_ms)
        if self._state.paused:
            reason, self._state = self._state.paused, None
            raise RateLimited(reason, PAUSED_WAIT_S)
        if self._state.emails_left <= 0:
            self._state = None
            raise RateLimited("quota", QUOTA_WAIT_S)
        return self._state

    def _refreshed(self, now_ms: int) -> SendingRate:
        state = self._table.state()
        if state is not None and (state.paused or now_ms - state.read_at_ms < LIMITS_KEPT_MS):
            return state
        known = state if state is not None and state.read_at_ms else None
        if not self._table.elect(at_ms=now_ms, for_ms=ELECTED_MS, known=state):
            return self._stale(known, now_ms)
        try:
            limits = self._account.limits()
        except Exception as error:
            log("limits_not_read", error=type(error).__name__)
            if known is None and not isinstance(error, SendRefused):
                raise
            return self._stale(known, now_ms)
        if limits.emails_per_day is not None and state is not None:
            left = state.left_of(limits.emails_per_day, this_hour=now_ms // HOUR_MS)
            limits = replace(limits, emails_left=left)
        self._table.put_limits(_usable(limits), at_ms=now_ms, known=state)
        fresh = self._table.state()
        return self._stale(fresh if fresh is not None and fresh.read_at_ms else None, now_ms)

    def _stale(self, known: SendingRate | None, now_ms: int) -> SendingRate:
        """Go on with the limits that are known, and look again after some seconds."""
        if known is None:
            raise RateLimited("limits", LIMITS_WAIT_S)
        self._stale_until_ms = now_ms + LIMITS_WAIT_S * 1000
        return known

    def _reason_to_wait(self, emails: int) -> RateLimited:
        state = self._table.state()
        if state is not None and state.paused:
            return RateLimited(state.paused, PAUSED_WAIT_S)
        if state is None or not state.read_at_ms:
            return RateLimited("limits", LIMITS_WAIT_S)
        if state.emails_left < emails:
            return RateLimited("quota", QUOTA_WAIT_S)
        ahead_s = (state.ready_at_us // 1000 - self._clock_ms()) / 1000
        return RateLimited("rate", max(1, min(QUOTA_WAIT_S, round(ahead_s))))


class RateLimitedSender:
    """A sender that waits for a turn first, for emails that leave one by one."""

    def __init__(self, sender: EmailSender, rate_limiter: RateLimiter) -> None:
        self._sender = sender
        self._rate_limiter = rate_limiter

    def send(self, sender: str, emails: Sequence[OutgoingEmail]) -> tuple[SendResult, ...]:
        """See `EmailSender.send`."""
        try:
            self._rate_limiter.acquire(len(emails))
        except RateLimited as limited:
            raise SendRefused(limited.reason, delay_s=limited.delay_s) from limited
        try:
            results = self._sender.send(sender, emails)
        except SendRefused as refused:
            if refused.refusal is SendRefusal.PAUSED:
                self._rate_limiter.pause(refused.reason)
            raise
        for result in results:
            if result.delivery is DeliveryOutcome.POSTPONED and result.refusal is SendRefusal.PAUSED:
                self._rate_limiter.pause(result.reason)
        return results


def _usable(limits: SendingLimits) -> SendingLimits:
    """Return limits without emails for an account that may not send, whatever its quota."""
    return SendingLimits(max(limits.rate_per_s, 0.01), limits.emails_left if limits.sending_enabled else 0)

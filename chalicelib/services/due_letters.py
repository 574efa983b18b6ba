"""A batch of letters that shoppers asked for: each sent, or put back for later, before the function ends.

What cannot be sent now is queued again as a new message, which uses up none of the queue's patience with
failures; its own counts bound it (`chalicelib.domain.hops`). Once the account or the rate says "not now", the
rest of the batch does not ask again: the row that all workers share is not asked in vain.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from chalicelib.domain.hops import DEFERRED_S, LETTER_HOPS_MAX, ChainTooLong, early_s
from chalicelib.domain.letter import AskedLetter
from chalicelib.domain.pace import BACK_OFF_S_MAX, back_off_s
from chalicelib.log import log
from chalicelib.mail.postbox import LetterDeferred, OutcomeUnknown, PostboxRefused, Refusal
from chalicelib.queues import ConfirmationsQueue

# Longer than one letter takes: its turn (4 s at most), and then its calls (8 s by SMTP).
LETTER_MS_MAX = 12_000
# What the batch had no time for: somebody else may take it at once.
NO_TIME_S = 1
UNCLEAR_WAIT_S = 60


class Desk(Protocol):
    """Sends one letter, if it is still due."""

    def send(self, letter: AskedLetter) -> None:
        """Send it.

        Raises:
            PostboxRefused: it was not taken.
            OutcomeUnknown: nobody knows.
        """


class DueLetters:
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
        """Send the letter of one message, or put it back.

        Raises:
            ValueError: the message is none of ours.
            PostboxRefused: the transport calls the letter wrong; trying again is for a person.
            ChainTooLong: the message has queued itself too often; it is for a person to see.
        """
        letter = AskedLetter.from_json(body)
        if letter.hops > LETTER_HOPS_MAX:
            log("chain_too_long", shopper=letter.shopper, hops=letter.hops)
            raise ChainTooLong(f"{letter.hops} hops")
        early = early_s(letter.not_before_ms, self._clock_ms())
        if early:
            self._put_on(letter, early)
        elif self._not_now is not None:
            self._put_again(letter, self._not_now)
        elif self._begun and self._remaining_ms() < LETTER_MS_MAX:
            # The first of a batch is always tried, or nothing would ever be.
            self._put_again(letter, NO_TIME_S)
        else:
            self._begun = True
            self._try(letter)

    def _try(self, letter: AskedLetter) -> None:
        try:
            self._desk.send(letter)
        except LetterDeferred as deferred:
            self._defer(letter, deferred.reason)
        except PostboxRefused as refused:
            if refused.refusal is Refusal.WRONG:
                raise
            self._not_now = refused.delay_s or NO_TIME_S
            log("letter_put_back", shopper=letter.shopper, reason=refused.reason)
            self._put_again(letter, self._not_now)
        except OutcomeUnknown as unknown:
            # Repeated once, so that nobody is lost; not for ever, so that nobody is flooded.
            log("letter_unclear", shopper=letter.shopper, reason=unknown.reason, again=not letter.unclear)
            if not letter.unclear:
                self._put_on(replace(letter, unclear=True), UNCLEAR_WAIT_S)

    def _defer(self, letter: AskedLetter, reason: str) -> None:
        if letter.deferrals == len(DEFERRED_S):
            log("letter_given_up", shopper=letter.shopper, reason=reason)
            return
        now_ms = self._clock_ms()
        due_ms = now_ms + DEFERRED_S[letter.deferrals] * 1000
        again = replace(letter, deferrals=letter.deferrals + 1, not_before_ms=due_ms, tries=0)
        log("letter_deferred", shopper=letter.shopper, reason=reason, deferrals=again.deferrals)
        self._put_on(again, early_s(due_ms, now_ms))

    def _put_again(self, letter: AskedLetter, asked_s: int) -> None:
        """Queue a letter that nothing was found out about: later each time, and not all together."""
        asked_s = max(asked_s, back_off_s(letter.tries, self._chance()))
        delay_s = min(BACK_OFF_S_MAX, asked_s + round(asked_s * self._chance()))
        self._put_on(replace(letter, tries=letter.tries + 1), delay_s)

    def _put_on(self, letter: AskedLetter, delay_s: int) -> None:
        self._queue.put_back(replace(letter, hops=letter.hops + 1), delay_s=delay_s)

"""Signed requests about availability: each is taken in once.

Whoever replays one is refused, and so is an honest sender who did not get the answer: they learn that it
was taken in. To send an event again and be told what is so, it is signed anew.
"""

from collections.abc import Callable

from chalicelib.domain.availability import AvailabilityEvent, Outcome, TakenIn
from chalicelib.services.availability import Availabilities
from chalicelib.tables.sending.once import WebhooksTable


class Webhooks:
    """Takes in their events."""

    def __init__(
        self, availabilities: Availabilities, taken_in: WebhooksTable, clock_ms: Callable[[], int]
    ) -> None:
        self._availabilities = availabilities
        self._taken_in = taken_in
        self._clock_ms = clock_ms

    def take_in(self, event: AvailabilityEvent, digest: str) -> TakenIn:
        """Take in the event of a request; `digest` is the same for the same request, and for no other."""
        # Asked first: an event without a time counts as of its arrival, and a replay arrives later.
        if self._taken_in.is_known(digest):
            return TakenIn(Outcome.REPLAYED)
        taken = self._availabilities.take_in(event)
        if taken.outcome in {Outcome.UNKNOWN_SKU, Outcome.BUSY}:
            return taken
        # Noted once it is taken in, which a repeat changes nothing about: a crash in between loses no event.
        first = self._taken_in.first_time(digest, at_ms=self._clock_ms())
        return taken if first else TakenIn(Outcome.REPLAYED)

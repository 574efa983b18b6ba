"""Signed requests about availability: each is applied once.

A replay is refused, and so is an honest sender that missed the answer: the refusal says that the event was
applied. To learn the stock of now, the sender signs the event again.
"""

from collections.abc import Callable

from chalicelib.domain.stock import AvailabilityEvent, EventResult, Outcome
from chalicelib.services.availability import Availabilities
from chalicelib.tables.sending.once import WebhooksTable


class Webhooks:
    """Applies the events of signed requests."""

    def __init__(
        self, availabilities: Availabilities, seen: WebhooksTable, clock_ms: Callable[[], int]
    ) -> None:
        self._availabilities = availabilities
        self._seen = seen
        self._clock_ms = clock_ms

    def apply(self, event: AvailabilityEvent, digest: str) -> EventResult:
        """Apply the event of a request; only the same request has the same `digest`."""
        # Checked first: an event without a time counts as of its arrival, and a replay arrives later.
        if self._seen.is_known(digest):
            return EventResult(Outcome.REPLAYED)
        result = self._availabilities.apply(event)
        if result.outcome in {Outcome.UNKNOWN_SKU, Outcome.BUSY}:
            return result
        # Stored after the event is applied, which a repeat leaves unchanged: a crash between loses no event.
        first = self._seen.first_time(digest, at_ms=self._clock_ms())
        return result if first else EventResult(Outcome.REPLAYED)

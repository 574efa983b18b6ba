"""Events about availability: what somebody observed of a variant, and what that makes of its stock."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum

from chalicelib.domain.stock import Availability, Stock

UNITS_MAX = 1_000_000
EVENT_ID_CHARS_MAX = 100
# A clock of whole seconds cannot say more; events of one second have the order in which they arrive.
CLOCK_STEP_MS = 1000
# Events of one moment that are known when they come again.
SEEN_MAX = 16
_KEY_CHARS = 12


class Outcome(StrEnum):
    """The outcome of an event."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    OLDER = "older"
    BUSY = "busy"
    REPLAYED = "replayed"
    UNKNOWN_SKU = "unknown_sku"


@dataclass(frozen=True, slots=True)
class AvailabilityEvent:
    """Somebody saw how many there are of a variant. `id` makes a repeat known, `observed_at_ms` orders.

    `by_arrival` says that nobody named a time: the event counts as of its arrival, after all that came
    before it, whatever their clocks say. `by_units` says that nobody named an availability: none makes the
    variant what the catalogue wants it to be when it is sold out.
    """

    id: str
    sku: str
    availability: Availability
    units: int | None
    observed_at_ms: int
    by_arrival: bool = False
    by_units: bool = False

    @property
    def is_counted_out(self) -> bool:
        """True when the event counts no unit and names no availability: the catalogue then decides."""
        return self.by_units and self.units == 0

    def applied_to(self, known: Stock, when_sold_out: Availability | None = None) -> "Applied":
        """Return what this event makes of the stock that is known of its variant.

        Decided by arrival, never by ids as text: of two events of one time the later to arrive counts. An
        exact repeat (id, availability, units, and the time where one was named) changes nothing.
        """
        if self._repeats(known):
            return Applied(Outcome.UNCHANGED, known, write=False)
        at_ms = max(self.observed_at_ms, known.observed_at_ms + self.by_arrival)
        if not self.by_arrival and self._latest_ms < known.observed_at_ms:
            return Applied(Outcome.OLDER, known, write=False)
        seen = known.seen if at_ms < known.observed_at_ms + CLOCK_STEP_MS else ()
        stock = Stock(
            when_sold_out if when_sold_out and self.is_counted_out else self.availability,
            self.units,
            at_ms,
            self.id,
            known.version + 1,
            (*seen, self._key)[-SEEN_MAX:],
        )
        outcome = Outcome.UNCHANGED if stock.is_shown_like(known) else Outcome.CHANGED
        # Written down even so: what was observed before it is older from now on.
        return Applied(outcome, stock, write=True)

    @property
    def _latest_ms(self) -> int:
        whole_seconds = self.observed_at_ms % CLOCK_STEP_MS == 0
        return self.observed_at_ms + (CLOCK_STEP_MS - 1 if whole_seconds else 0)

    @property
    def _key(self) -> str:
        time = "" if self.by_arrival else str(self.observed_at_ms)
        text = "\0".join((self.id, self.availability, str(self.units), time))
        return hashlib.sha256(text.encode()).hexdigest()[:_KEY_CHARS]

    def _repeats(self, known: Stock) -> bool:
        if self.by_arrival:
            # Only the last one: without a time, the same id and units may be news again after others.
            return known.seen[-1:] == (self._key,)
        return self._key in known.seen


@dataclass(frozen=True, slots=True)
class Applied:
    """The stock of a variant after an event. `write` says that `stock` is not stored yet."""

    outcome: Outcome
    stock: Stock
    write: bool


@dataclass(frozen=True, slots=True)
class TakenIn:
    """The outcome of an event, and the stock stored for its variant; None where that is not looked up."""

    outcome: Outcome
    stock: Stock | None = None


def availability_of_units(units: int | None) -> Availability:
    """What a number of units says: none is sold out, any other is in stock."""
    return Availability.OUT_OF_STOCK if units == 0 else Availability.IN_STOCK

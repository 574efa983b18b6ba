"""Events about availability: what somebody observed of a variant, and what became of telling it."""

from dataclasses import dataclass
from enum import StrEnum

from chalicelib.domain.stock import Availability, Stock

UNITS_MAX = 1_000_000
EVENT_ID_CHARS_MAX = 100


@dataclass(frozen=True, slots=True)
class AvailabilityEvent:
    """Somebody saw how many there are of a variant. `id` makes a repeat known, `observed_at_ms` orders.

    `by_units` says that nobody named an availability, so that it follows from the number of units: none
    makes the variant what the catalogue wants it to be when it is sold out.
    """

    id: str
    sku: str
    availability: Availability
    units: int | None
    observed_at_ms: int
    by_units: bool = False

    @property
    def is_counted_out(self) -> bool:
        """Whether the catalogue decides what the variant is now: the event only counted none of it."""
        return self.by_units and self.units == 0

    @property
    def stock(self) -> Stock:
        """The stock this event is about."""
        return Stock(self.availability, self.units, self.observed_at_ms, self.id)


class Outcome(StrEnum):
    """What became of an event."""

    CHANGED = "changed"
    REPEATED = "repeated"
    OUTDATED = "outdated"
    REPLAYED = "replayed"
    UNKNOWN_SKU = "unknown_sku"


def availability_of_units(units: int | None) -> Availability:
    """What a number of units says: none is sold out, any other is in stock."""
    return Availability.OUT_OF_STOCK if units == 0 else Availability.IN_STOCK

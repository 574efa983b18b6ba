"""The shape of a flood: quiet, then everybody at once, then quiet again. Without Locust, which patches
whatever process it is loaded into."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Phase:
    """How many shoppers are in the shop, until when, and how many may come in a second."""

    until_s: float
    shoppers: int
    arrivals_per_s: float


PHASES = (Phase(15, 8, 4), Phase(40, 60, 30), Phase(60, 8, 30))
DURATION_S = PHASES[-1].until_s


def phase_at(passed_s: float) -> Phase | None:
    """The phase at that time; None when the flood is over."""
    return next((phase for phase in PHASES if passed_s < phase.until_s), None)

"""The shapes a flood can have. Without Locust, which patches whatever process it is loaded into."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Phase:
    """How many shoppers are in the shop, until when, and how many may come in a second."""

    until_s: float
    shoppers: int
    arrivals_per_s: float


class Shape(StrEnum):
    """Their names, as they are asked for."""

    STEADY = "steady"
    SPIKE = "spike"
    DOUBLE_SPIKE = "double-spike"
    SOAK = "soak"


QUIET, FLOOD = 8, 60
# The local cloud answers about a hundred calls a second: the flood is what is too much for it.
PHASES = {
    Shape.STEADY: (Phase(60, 20, 4),),
    Shape.SPIKE: (Phase(15, QUIET, 4), Phase(40, FLOOD, 30), Phase(60, QUIET, 30)),
    Shape.DOUBLE_SPIKE: (
        Phase(15, QUIET, 4),
        Phase(35, FLOOD, 30),
        Phase(55, QUIET, 30),
        Phase(75, FLOOD, 30),
        Phase(90, QUIET, 30),
    ),
    Shape.SOAK: (Phase(600, 6, 2),),
}
# How many calls a second each method of the API takes while the flood lasts. The laptop's shop sees a
# few forms a second; on AWS the template's 5,000 would be as far below a flood of that size.
CALLS_PER_S_MAX = {Shape.STEADY: 0.0, Shape.SPIKE: 3.0, Shape.DOUBLE_SPIKE: 3.0, Shape.SOAK: 0.0}


def phase_at(shape: Shape, passed_s: float, *, scale: int = 1) -> Phase | None:
    """Return the phase at that time, with so many times the shoppers; None when the flood is over."""
    phase = next((phase for phase in PHASES[shape] if passed_s < phase.until_s), None)
    return phase and Phase(phase.until_s, phase.shoppers * scale, phase.arrivals_per_s * scale)


def shopper_seconds(shape: Shape) -> float:
    """Return the time that all shoppers spend in the shop together."""
    began_s = (0.0, *(phase.until_s for phase in PHASES[shape]))
    return sum(
        phase.shoppers * (phase.until_s - since) for phase, since in zip(PHASES[shape], began_s, strict=False)
    )


def duration_s(shape: Shape) -> float:
    """Return how long all of it takes."""
    return PHASES[shape][-1].until_s

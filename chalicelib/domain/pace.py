"""How fast letters may leave, and how long to wait before trying again."""

from collections.abc import Mapping
from dataclasses import dataclass, field

# Stands for an account without a daily quota.
UNLIMITED = 10**12
BACK_OFF_S_MAX = 900


@dataclass(frozen=True, slots=True)
class Limits:
    """What the transport allows: letters a second, and letters left of the last 24 hours' quota."""

    rate_per_s: float
    letters_left: int
    sending_enabled: bool = True


@dataclass(frozen=True, slots=True)
class PaceState:
    """Where the shop's sending stands. `ready_at_us` is when the next letter may leave; `read_at_ms`
    when the limits were asked for; `letters_by_hour` counts what was given out; `paused` says why nothing
    may leave."""

    rate_per_s: float
    letters_left: int
    ready_at_us: int
    read_at_ms: int
    paused: str | None = None
    letters_by_hour: Mapping[int, int] = field(default_factory=dict)


def back_off_s(tries: int, chance: float) -> int:
    """How long to wait after so many tries in a row; `chance` in [0, 1) spreads who waits alike."""
    longest_s = min(BACK_OFF_S_MAX, 1 << min(tries + 1, 10))
    return max(1, round(longest_s * (0.5 + chance / 2)))

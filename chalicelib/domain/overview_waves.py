"""The waves that the merchant's overview shows: their state, their figures, their measured rate."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from chalicelib.domain.ids import Sku


@dataclass(frozen=True, slots=True)
class LastWave:
    """The newest restock of a variant: when it was opened, and the emails sent about it."""

    opened_at_ms: int
    notified: int


class WaveState(StrEnum):
    """The state of a restock's emails."""

    SENDING = "sending"
    PAUSED = "paused"
    """Sending is paused, by a person or by the shop itself."""
    QUOTA = "quota"
    """The day's quota of emails is used up; sending goes on as it comes back."""
    BETWEEN = "between"
    """The wave is sent; the next one follows after the pause of the wave policy, if stock is left."""
    HELD = "held"
    """The wave policy wants more stock before anybody is emailed."""
    SOLD_OUT = "sold_out"
    """The variant sold out before everybody was notified; the others wait for the next restock."""
    DONE = "done"


@dataclass(frozen=True, slots=True)
class ShownWave:
    """The emails about one restock that is under way, or ended a short time ago.

    `rate_per_min` is measured over the last minute; `left_s` is None where nothing can be said. `samples`
    are (time in ms, emails) of the last minute; they stay in the tables and are in no answer.
    """

    sku: Sku
    restock_id: str
    state: WaveState
    opened_at_ms: int
    notified: int
    waiting: int
    rate_per_min: float | None = None
    left_s: int | None = None
    next_wave_at_ms: int | None = None
    rejected: int = 0
    bounced: int = 0
    complained: int = 0
    unsubscribed: int = 0
    last_at_ms: int | None = None
    samples: tuple[tuple[int, int], ...] = ()

    @property
    def is_under_way(self) -> bool:
        """True until it ended."""
        return self.state not in {WaveState.DONE, WaveState.SOLD_OUT}

    def document(self) -> dict[str, Any]:
        """Return the wave as JSON values."""
        private = {"restock_id", "samples", "last_at_ms"}
        return {name: value for name, value in asdict(self).items() if name not in private}


SAMPLED_MS = 60_000


def sampled(before: Iterable[tuple[int, int]], notified: int, *, at_ms: int) -> tuple[tuple[int, int], ...]:
    """Return the samples of the last minute, with one of now."""
    kept = tuple(sample for sample in before if at_ms - SAMPLED_MS <= sample[0] < at_ms)
    return (*kept, (at_ms, notified))


def rate_per_min(samples: Sequence[tuple[int, int]]) -> float | None:
    """Return the emails a minute between the first and the last sample; None for less than two of them."""
    if len(samples) < 2:
        return None
    (first_ms, first), (last_ms, last) = samples[0], samples[-1]
    return round((last - first) * 60_000 / (last_ms - first_ms), 1)

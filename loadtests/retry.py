"""How a shopper tries again: later each time, and never all at once."""

from collections.abc import Iterator, Mapping
from random import Random

TRIES_MAX = 5
FIRST_PAUSE_S_MAX = 1.0
PAUSE_S_MAX = 8.0
# Statuses that may change soon (0: no answer). Each other status is final.
TRANSIENT = frozenset({0, 429, 500, 502, 503, 504})


def pauses_s(random: Random) -> Iterator[float]:
    """Yield the pause before each try: none before the first, then anywhere up to a bound that doubles."""
    yield 0.0
    for again in range(TRIES_MAX - 1):
        yield random.uniform(0, min(PAUSE_S_MAX, FIRST_PAUSE_S_MAX * 2**again))


def asked_for_s(headers: Mapping[str, str] | None) -> float:
    """Return the seconds that the shop asks to wait. A random pause is added, so that retries spread."""
    seconds = (headers or {}).get("Retry-After", "")
    return min(float(seconds), PAUSE_S_MAX) if seconds.isdigit() else 0.0

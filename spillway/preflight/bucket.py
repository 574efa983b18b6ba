"""A token bucket, as API Gateway throttles and Lambda scales: a rate, and a reserve for bursts."""


class TokenBucket:
    """Holds at most `burst` tokens, and gains `per_s` each second. Time is given, never looked up."""

    def __init__(self, per_s: float, burst: float, *, at_s: float = 0.0) -> None:
        self._per_s = per_s
        self._burst = burst
        self._held = burst
        self._at_s = at_s

    def take(self, *, at_s: float) -> bool:
        """Take one token; false when there is none."""
        held = min(self._burst, self._held + (at_s - self._at_s) * self._per_s)
        self._at_s = at_s
        taken = held >= 1
        self._held = held - 1 if taken else held
        return taken

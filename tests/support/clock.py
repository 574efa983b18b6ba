"""A clock that moves when a test moves it, and one that moves with each reading."""

from chalicelib.settings import clock_ms


class Clock:
    """Milliseconds since the epoch; call it to read it."""

    def __init__(self, now_ms: int = 1_790_000_000_000) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self.now_ms += int(seconds * 1000)


class TickingClock:
    """The time of now, but no time twice: what happens in one millisecond stays in order."""

    def __init__(self) -> None:
        self._last_ms = 0

    def __call__(self) -> int:
        self._last_ms = max(clock_ms(), self._last_ms + 1)
        return self._last_ms

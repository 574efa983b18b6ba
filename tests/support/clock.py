"""A clock that moves when a test moves it."""


class Clock:
    """Milliseconds since the epoch; call it to read it."""

    def __init__(self, now_ms: int = 1_790_000_000_000) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self.now_ms += int(seconds * 1000)

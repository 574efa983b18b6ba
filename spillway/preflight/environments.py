"""One function's environments, as Lambda keeps them: reused while warm, made when none is free."""

import heapq
from enum import StrEnum

from spillway.preflight.bucket import TokenBucket


class Start(StrEnum):
    """How Lambda took a call."""

    WARM = "warm"
    COLD = "cold"
    THROTTLED = "throttled"


class Environments:
    """`most` at once, `new_per_10_s` new ones, each good for `calls_per_s` calls.

    `ready` are kept warm (provisioned concurrency). Scaling is refilled continuously and does not
    add up: https://docs.aws.amazon.com/lambda/latest/dg/scaling-behavior.html (2026-11). Idle
    environments are kept: a flood leaves none idle for the minutes after which Lambda may take them.
    """

    def __init__(
        self, *, most: int, new_per_10_s: float, calls_per_s: float, init_s: float, ready: int = 0
    ) -> None:
        self._most = most
        self._init_s = init_s
        self._busy_until: list[float] = []
        self._idle = ready
        self._scaling = TokenBucket(new_per_10_s / 10, new_per_10_s)
        # The rate at which all of them together may be called: it binds where calls are short.
        self._calls = TokenBucket(most * calls_per_s, most * calls_per_s)
        self.made = 0

    def call(self, *, at_s: float, duration_s: float) -> tuple[Start, float]:
        """Call the function; gives how it started, and when it ends. Calls come in order of time."""
        self._free(at_s)
        if self._idle:
            start, ends_s = Start.WARM, at_s + duration_s
        elif len(self._busy_until) >= self._most or not self._scaling.take(at_s=at_s):
            return Start.THROTTLED, at_s
        else:
            start, ends_s = Start.COLD, at_s + self._init_s + duration_s
        if not self._calls.take(at_s=at_s):
            return Start.THROTTLED, at_s
        if start is Start.WARM:
            self._idle -= 1
        else:
            self.made += 1
        heapq.heappush(self._busy_until, ends_s)
        return start, ends_s

    @property
    def busy(self) -> int:
        """How many are at work, as of the last call."""
        return len(self._busy_until)

    def _free(self, at_s: float) -> None:
        while self._busy_until and self._busy_until[0] <= at_s:
            heapq.heappop(self._busy_until)
            self._idle += 1

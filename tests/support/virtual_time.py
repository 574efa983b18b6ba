"""Workers side by side in time that only moves when all of them wait: greenlets, so one runs at a time.

A worker waits by `sleep`; the first to wake runs next, so a run is the same every time.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Any

from greenlet import greenlet


class VirtualTime:
    """Milliseconds since the epoch; call it to read it."""

    def __init__(self, now_ms: int = 1_790_000_000_000) -> None:
        self.now_ms = now_ms
        self._waking: list[tuple[int, int, Any]] = []
        self._numbers = count()
        self._runner: Any = None

    def __call__(self) -> int:
        return self.now_ms

    def sleep(self, seconds: float) -> None:
        """Have a worker wait, and others work meanwhile."""
        self._wake_after(seconds, greenlet.getcurrent())
        self._runner.switch()

    def run(self, workers: list[Callable[[], None]]) -> None:
        """Run workers until every one has come to its end; the first error of one is raised here."""
        self._runner = greenlet.getcurrent()
        for worker in workers:
            self._wake_after(0, greenlet(worker))
        while self._waking:
            at_ms, _, worker = heappop(self._waking)
            self.now_ms = max(self.now_ms, at_ms)
            worker.switch()

    def _wake_after(self, seconds: float, worker: Any) -> None:
        heappush(self._waking, (self.now_ms + round(seconds * 1000), next(self._numbers), worker))

"""Workers side by side in time that only moves when all of them wait: threads that run one at a time.

A worker waits by `sleep`; the first to wake runs next, so a run is the same every time.
"""

import threading
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count


class VirtualTime:
    """Milliseconds since the epoch; call it to read it."""

    def __init__(self, now_ms: int = 1_790_000_000_000) -> None:
        self.now_ms = now_ms
        self._waking: list[tuple[int, int, threading.Event]] = []
        self._numbers = count()
        self._idle = threading.Event()
        self._errors: list[BaseException] = []

    def __call__(self) -> int:
        return self.now_ms

    def sleep(self, seconds: float) -> None:
        """Have a worker wait, and others work meanwhile."""
        wake = self._wakes_after(seconds)
        self._idle.set()
        wake.wait()

    def run(self, workers: list[Callable[[], None]]) -> None:
        """Run workers until every one has come to its end."""
        threads = []
        for worker in workers:
            begin = self._wakes_after(0)
            threads.append(threading.Thread(target=self._work, args=(begin, worker), daemon=True))
            threads[-1].start()
        while self._waking:
            at_ms, _, wake = heappop(self._waking)
            self.now_ms = max(self.now_ms, at_ms)
            self._idle.clear()
            wake.set()
            self._idle.wait()
        for thread in threads:
            thread.join()
        if self._errors:
            raise self._errors[0]

    def _work(self, begin: threading.Event, worker: Callable[[], None]) -> None:
        begin.wait()
        try:
            worker()
        except BaseException as error:  # noqa: BLE001 - raised again by who runs the workers
            self._errors.append(error)
        finally:
            self._idle.set()

    def _wakes_after(self, seconds: float) -> threading.Event:
        wake = threading.Event()
        heappush(self._waking, (self.now_ms + round(seconds * 1000), next(self._numbers), wake))
        return wake

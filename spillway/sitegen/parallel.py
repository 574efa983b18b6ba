"""Work on many things at once, on every core, with the same result as on one."""

import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

# Below this, a process costs more than it saves.
_SHARE_SIZE_MIN = 100
_BUNDLE_SIZE_MIN = 50
# Their numbers fit into a pipe.
_BUNDLES_MAX = 1000
_NUMBER_BYTES = 4


class WorkerPool:
    """A pool of forked processes, of which this one is the first."""

    def __init__(self, hands: int | None = None, *, share_size_min: int = _SHARE_SIZE_MIN) -> None:
        self._hands = hands or os.cpu_count() or 1
        self._share_size_min = share_size_min

    def share(
        self,
        work: Callable[[Sequence[T]], R],
        bundles: Sequence[Sequence[T]],
        *,
        progress: Callable[[int], None] | None = None,
    ) -> list[R]:
        """The results of `work` for each bundle, in their order. Whoever is free takes the next one.

        `progress` is called in this process before each bundle that it does itself, with the number of
        bundles that any process has begun.

        What fails in another process is done again in this one, where its error can be seen whole: `work`
        must give the same result twice.
        """
        hands = min(self._hands, len(bundles), sum(map(len, bundles)) // self._share_size_min)
        gc.freeze()  # the collector must not touch, and so copy, what the others share with this one
        others: list[_Worker[T, R]] = []
        try:
            with _Numbers(len(bundles)) as numbers:
                others += [_Worker(work, bundles, numbers) for _ in range(hands - 1) if _can_fork()]
                done = {}
                for number in numbers:
                    if progress:
                        progress(number)
                    done[number] = work(bundles[number])
            for hand in others:
                done |= hand.results()
            return [done[number] if number in done else work(bundle) for number, bundle in enumerate(bundles)]
        finally:
            for hand in others:
                hand.dismiss()
            gc.unfreeze()


def bundled(items: Sequence[T]) -> list[Sequence[T]]:
    """The items in bundles that are neither worth sharing further nor long to wait for."""
    size = max(_BUNDLE_SIZE_MIN, -(-len(items) // _BUNDLES_MAX))
    return [items[start : start + size] for start in range(0, len(items), size)]


class _Numbers:
    """So many numbers, each given once to whoever of several processes asks first. (A pipe: what one has read
    from it, no other reads.)"""

    def __init__(self, count: int) -> None:
        self._count = count

    def __enter__(self) -> "_Numbers":
        self._from, to = os.pipe()
        os.write(to, b"".join(number.to_bytes(_NUMBER_BYTES) for number in range(self._count)))
        os.close(to)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._from)

    def __iter__(self) -> Iterator[int]:
        while number := os.read(self._from, _NUMBER_BYTES):
            yield int.from_bytes(number)


class _Worker(Generic[T, R]):
    """A forked process: it has everything this one has, and sends back only its results."""

    def __init__(
        self, work: Callable[[Sequence[T]], R], bundles: Sequence[Sequence[T]], numbers: _Numbers
    ) -> None:
        self._receiver, sender = multiprocessing.Pipe(duplex=False)
        context = multiprocessing.get_context("fork")
        self._process = context.Process(target=_work, args=(work, bundles, numbers, sender), daemon=True)
        self._process.start()
        sender.close()

    def results(self) -> dict[int, R]:
        """Those of the bundles it took, by their numbers; of none when the process failed."""
        try:
            done: dict[int, R] = self._receiver.recv()
        except EOFError:
            return {}
        return done

    def dismiss(self) -> None:
        self._receiver.close()
        if self._process.is_alive():
            self._process.terminate()
        self._process.join()


def _work(
    work: Callable[[Sequence[T]], R], bundles: Sequence[Sequence[T]], numbers: _Numbers, sender: Connection
) -> None:
    # Ctrl-C is heard by every process of a terminal: this one is dismissed by who started it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    done: dict[int, R] = {}
    try:
        done |= {number: work(bundles[number]) for number in numbers}
    except Exception:  # noqa: BLE001 - told by doing it again in the parent
        done.clear()
    sender.send(done)
    sender.close()
    # Nothing that the parent opened, a test's server or a lock, is to be closed by its copy.
    os._exit(0)


def _can_fork() -> bool:
    return sys.platform == "linux" and threading.active_count() == 1

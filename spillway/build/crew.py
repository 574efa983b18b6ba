"""Work on many things at once, on every core, with the same result as on one."""

import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

# Below this, a process costs more than it saves.
_SHARE_SIZE_MIN = 100


class Crew:
    """A pool of forked processes. The first share of the work is done in this one."""

    def __init__(self, hands: int | None = None, *, share_size_min: int = _SHARE_SIZE_MIN) -> None:
        self._hands = hands or os.cpu_count() or 1
        self._share_size_min = share_size_min

    def share(self, work: Callable[[Sequence[T]], R], items: Sequence[T]) -> list[R]:
        """The results of `work` for equal shares of `items`.

        A share that fails in another process is done again in this one, where its error can be seen
        whole: `work` must give the same result twice.
        """
        hands = min(self._hands, len(items) // self._share_size_min) if _can_fork() else 1
        shares = _shares(items, max(hands, 1))
        gc.freeze()  # the collector must not touch, and so copy, what the others share with this one
        others = [_Hand(work, share) for share in shares[1:]]
        try:
            results = [work(shares[0])]
            for hand, share in zip(others, shares[1:], strict=True):
                done: tuple[R] | None = hand.result()
                results.append(work(share) if done is None else done[0])
            return results
        finally:
            for hand in others:
                hand.dismiss()
            gc.unfreeze()


class _Hand(Generic[R]):
    """A forked process: it has everything this one has, and sends back only its result."""

    def __init__(self, work: Callable[[Sequence[T]], R], share: Sequence[T]) -> None:
        self._receiver, sender = multiprocessing.Pipe(duplex=False)
        context = multiprocessing.get_context("fork")
        self._process = context.Process(target=_work, args=(work, share, sender), daemon=True)
        self._process.start()
        sender.close()

    def result(self) -> tuple[R] | None:
        """The result, in a tuple; None when the process failed."""
        try:
            done: tuple[R] | None = self._receiver.recv()
        except EOFError:
            return None
        return done

    def dismiss(self) -> None:
        self._receiver.close()
        if self._process.is_alive():
            self._process.terminate()
        self._process.join()


def _work(work: Callable[[Sequence[T]], R], share: Sequence[T], sender: Connection) -> None:
    # Ctrl-C is heard by every process of a terminal: this one is dismissed by who started it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        done: tuple[R] | None = (work(share),)
    except Exception:  # noqa: BLE001 - told by doing it again in the parent
        done = None
    sender.send(done)
    sender.close()
    # Nothing that the parent opened, a test's server or a lock, is to be closed by its copy.
    os._exit(0)


def _can_fork() -> bool:
    return sys.platform == "linux" and threading.active_count() == 1


def _shares(items: Sequence[T], count: int) -> list[Sequence[T]]:
    """Every `count`th item for each: items that take long often stand next to each other."""
    return [items[start::count] for start in range(count)]

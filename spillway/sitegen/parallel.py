"""A function mapped over chunks of work on every core, with the same results as on one.

Processes are forked, so that workers have all that this process has read, and send back only results.
`concurrent.futures.ProcessPoolExecutor` measured a twentieth (cold build) to a fifth (changed template) more
CPU time: its parent process waits instead of working, and loses the templates that workers compiled.
"""

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

T = TypeVar("T")
R = TypeVar("R")

# Below this number of items, a process costs more than it saves.
_ITEMS_PER_WORKER_MIN = 100
_CHUNK_SIZE_MIN = 50
# The numbers of so many chunks fit into a pipe.
_CHUNKS_MAX = 1000
_NUMBER_BYTES = 4
# https://man7.org/linux/man-pages/man2/pr_set_pdeathsig.2const.html
_PR_SET_PDEATHSIG = 1


class WorkerPool:
    """A pool of forked processes; this process is the first of them."""

    def __init__(
        self, workers: int | None = None, *, items_per_worker_min: int = _ITEMS_PER_WORKER_MIN
    ) -> None:
        """Set the bounds of the pool; nothing is forked yet.

        Args:
            workers: The most processes; as many as there are cores without it.
            items_per_worker_min: The fewest items worth a process.
        """
        self._workers = workers or os.cpu_count() or 1
        self._items_per_worker_min = items_per_worker_min

    def map_batches(
        self,
        work: Callable[[Sequence[T]], R],
        chunks: Sequence[Sequence[T]],
        *,
        progress: Callable[[int], None] | None = None,
    ) -> list[R]:
        """Return the results of `work` for each chunk, in the order of chunks.

        A chunk whose worker fails is done again in this process, where its error has a whole traceback:
        `work` must give the same result twice.

        Args:
            work: The function, called for one chunk at a time.
            chunks: The items in parts; each process that is free takes the next one.
            progress: Called in this process before each chunk that it does itself, with the number of chunks
                that any process has begun.
        """
        workers = min(self._workers, len(chunks), sum(map(len, chunks)) // self._items_per_worker_min)
        if workers > 1:
            gc.freeze()  # a collection would write to pages of memory that are shared, and so copy them
        others: list[_Worker[T, R]] = []
        try:
            with _Numbers(len(chunks)) as numbers:
                others += [_Worker(work, chunks, numbers) for _ in range(workers - 1) if _can_fork()]
                done = {}
                for number in numbers:
                    if progress:
                        progress(number)
                    done[number] = work(chunks[number])
            for worker in others:
                done |= worker.results()
            return [done[number] if number in done else work(chunk) for number, chunk in enumerate(chunks)]
        finally:
            for worker in others:
                worker.stop()
            if workers > 1:
                gc.unfreeze()


def chunks_of(items: Sequence[T]) -> list[Sequence[T]]:
    """Return the items in chunks: large enough to be worth a message, small enough to end at one time."""
    size = max(_CHUNK_SIZE_MIN, -(-len(items) // _CHUNKS_MAX))
    return [items[start : start + size] for start in range(0, len(items), size)]


@contextmanager
def collector_off() -> Iterator[None]:
    """Collect no garbage: values without cycles would be looked through again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _Numbers:
    """The numbers below `count`, each given once to the first of several processes that asks.

    A pipe holds them: a number that one process has read from it, no other reads.
    """

    def __init__(self, count: int) -> None:
        self._count = count

    def __enter__(self) -> "_Numbers":
        self._reader, writer = os.pipe()
        os.write(writer, b"".join(number.to_bytes(_NUMBER_BYTES) for number in range(self._count)))
        os.close(writer)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._reader)

    def __iter__(self) -> Iterator[int]:
        while number := os.read(self._reader, _NUMBER_BYTES):
            yield int.from_bytes(number)


class _Worker(Generic[T, R]):
    """A forked process that works on chunks until there is none left."""

    def __init__(
        self, work: Callable[[Sequence[T]], R], chunks: Sequence[Sequence[T]], numbers: _Numbers
    ) -> None:
        # Imported here: a build in which little changed starts no process.
        import multiprocessing

        self._receiver, sender = multiprocessing.Pipe(duplex=False)
        context = multiprocessing.get_context("fork")
        self._process = context.Process(
            target=_run, args=(work, chunks, numbers, sender, os.getpid()), daemon=True
        )
        self._process.start()
        sender.close()

    def results(self) -> dict[int, R]:
        """Return the results of the chunks it took, by their numbers; none when the process failed."""
        try:
            done: dict[int, R] = self._receiver.recv()
        except EOFError:
            return {}
        return done

    def stop(self) -> None:
        """End the process, at once if it still works."""
        self._receiver.close()
        if self._process.is_alive():
            self._process.terminate()
        self._process.join()


def _run(
    work: Callable[[Sequence[T]], R],
    chunks: Sequence[Sequence[T]],
    numbers: _Numbers,
    sender: "Connection",
    parent: int,
) -> None:
    _end_with(parent)
    # Ctrl-C reaches every process of a terminal; the parent stops this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    done: dict[int, R] = {}
    try:
        done |= {number: work(chunks[number]) for number in numbers}
    except Exception:  # noqa: BLE001 - the parent does it again, and raises it
        done.clear()
    sender.send(done)
    sender.close()
    # Nothing that the parent opened, such as a test's server or a lock, may be closed by its copy here.
    os._exit(0)


def _end_with(parent: int) -> None:
    """Let the kernel kill this process when its parent is killed: it would write into the next build."""
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _can_fork() -> bool:
    return sys.platform == "linux" and threading.active_count() == 1

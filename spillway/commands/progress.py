"""Progress bars, and work that is spread over processes with one."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, TypeVar

from spillway.sitegen.parallel import WorkerPool, chunks_of

if TYPE_CHECKING:
    from rich.progress import Progress

# A bar that disappears sooner only flickers.
PROGRESS_AFTER_S = 1.0
T = TypeVar("T")
R = TypeVar("R")
# Shows how much of a phase is done, as a fraction from 0 to 1.
Show = Callable[[float], None]


def progress_bar(*, auto_refresh: bool = True) -> "Progress":
    """Return a bar on standard error that disappears at the end; without a terminal it shows nothing.

    Args:
        auto_refresh: Draw from a thread. Without it, the bar is drawn when an update asks for it.
    """
    # Imported here: a short import does not wait for rich.
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    return Progress(
        console=console, transient=True, auto_refresh=auto_refresh, disable=not console.is_terminal
    )


class SharedWork:
    """Do work on all cores; each phase shows a bar from one second after the command's start."""

    def __init__(
        self,
        *,
        clock_s: Callable[[], float] = time.monotonic,
        bar: Callable[[str], AbstractContextManager[Show]] | None = None,
        pool: WorkerPool | None = None,
    ) -> None:
        """Start the clock.

        Args:
            clock_s: Returns the time, in seconds.
            bar: Opens a bar with the words beside it; the context yields what moves it.
            pool: The processes.
        """
        self._clock_s = clock_s
        self._bar = bar or terminal_bar
        self._pool = pool or WorkerPool()
        self._started_s = clock_s()

    def __call__(self, work: Callable[[Sequence[T]], R], things: Sequence[T], what: str) -> list[R]:
        """Return the result of `work` for each part of `things`, in their order; `what` names the phase."""
        chunks = chunks_of(things)
        with ExitStack() as stack:
            show: Show | None = None

            def progress(begun: int) -> None:
                nonlocal show
                if show is None and self._clock_s() - self._started_s >= PROGRESS_AFTER_S:
                    show = stack.enter_context(self._bar(what))
                if show is not None:
                    show(begun / len(chunks))

            return self._pool.map_batches(work, chunks, progress=progress)


@contextmanager
def terminal_bar(what: str) -> Iterator[Show]:
    """Show a bar on standard error; without a terminal, nothing."""
    if not sys.stderr.isatty():
        yield lambda fraction: None
        return
    # Drawn by hand: a thread that draws would keep other processes from being forked.
    with progress_bar(auto_refresh=False) as bar:
        task = bar.add_task(what, total=1.0)
        yield lambda fraction: bar.update(task, completed=fraction, refresh=True)

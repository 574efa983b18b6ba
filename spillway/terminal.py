"""Speak to a person at a terminal: numbers in words, steps with durations, bars, and requests to stop."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from rich.status import Status
    from rich.table import Table

PIPE_COLUMNS = 160
TICK, CROSS = "[green]✓[/]", "[red]✗[/]"


class Steps:
    """Prints a line for each finished step; a terminal also shows a spinner during it."""

    def __init__(self, console: "Console") -> None:
        self.console = console
        self._title = ""
        self._status: Status | None = None

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Run the block as one step: ticked off at its end, or crossed out if it fails."""
        from rich.markup import escape

        began = time.monotonic()
        mark = CROSS
        try:
            with self.console.status(escape(title)) as status:
                self._title, self._status = title, status
                yield
            mark = TICK
        finally:
            self._status = None
            took = f"[dim]{time.monotonic() - began:.1f} s[/]"
            self.console.print(f"{mark} {escape(title)}  {took}")

    def progress(self, done: int, total: int) -> None:
        """Show the progress of the current step."""
        from rich.markup import escape

        if self._status is not None:
            self._status.update(f"{escape(self._title)}  {done} of {total}")


class StopRequested(BaseException):
    """SIGINT or SIGTERM arrived. It is no Exception, so that only the command itself catches it."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.exit_code = 128 + signal_number


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise `StopRequested` at the first SIGINT or SIGTERM within the block; ignore further ones."""
    asked = False

    def ask(signal_number: int, _: FrameType | None) -> None:
        nonlocal asked
        if not asked:
            asked = True
            raise StopRequested(signal_number)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def pluralize(count: int, one: str, many: str = "") -> str:
    """1 product, 2 products, 1,234 products. `many` is where it takes more than an s."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def moment(at_ms: int) -> str:
    """Return a time in milliseconds since the epoch as 2026-11-27 10:00:00, in UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def output_console() -> "Console":
    """Return a console on standard output; a pipe is wide, so that a program finds a row on one line."""
    # Imported here, as below.
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_COLUMNS)


def print_table(table: "Table") -> None:
    """Print a table; a word that is longer than its column is folded, never cut."""
    for column in table.columns:
        column.overflow = "fold"
    output_console().print(table)


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


# Shows how much of a phase is done, as a fraction from 0 to 1.
Show = Callable[[float], None]


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

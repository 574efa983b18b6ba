"""The terminal of a long-running command: steps with their duration, and requests to stop."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

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

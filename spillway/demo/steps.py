"""Telling a person what is being done, and how long it took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from rich.status import Status

TICK, CROSS = "[green]✓[/]", "[red]✗[/]"


class Steps:
    """One line for each finished step; on a terminal, also a sign of life during it."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._title = ""
        self._status: Status | None = None

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """The block is one step. It is ticked off at its end, or crossed out when it fails."""
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
        """Say how far the step under way has come."""
        if self._status is not None:
            self._status.update(f"{escape(self._title)}  {done} of {total}")

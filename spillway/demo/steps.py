"""Telling a person what is being done, and how long it took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape

TICK, CROSS = "[green]✓[/]", "[red]✗[/]"


class Steps:
    """One line for each finished step; on a terminal, also a sign of life during it."""

    def __init__(self, console: Console) -> None:
        self.console = console

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """The block is one step. It is ticked off at its end, or crossed out when it fails."""
        began = time.monotonic()
        mark = CROSS
        try:
            with self.console.status(escape(title)):
                yield
            mark = TICK
        finally:
            took = f"[dim]{time.monotonic() - began:.1f} s[/]"
            self.console.print(f"{mark} {escape(title)}  {took}", highlight=False, soft_wrap=True)

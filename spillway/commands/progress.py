"""How far a command is, for somebody who looks."""

from rich.console import Console
from rich.progress import Progress


def progress_bar() -> Progress:
    """A bar on standard error that goes when the work is done; nothing at all where no terminal is."""
    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)

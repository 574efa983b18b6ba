"""How far a command is, for somebody who looks."""

from rich.console import Console
from rich.progress import Progress


def progress_bar(*, auto_refresh: bool = True) -> Progress:
    """A bar on standard error that goes when the work is done; nothing at all where no terminal is. Without
    `auto_refresh` it has no thread of its own, and is drawn when it is asked to."""
    console = Console(stderr=True)
    return Progress(
        console=console, transient=True, auto_refresh=auto_refresh, disable=not console.is_terminal
    )

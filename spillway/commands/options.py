"""Options, parameter types and progress bars that several commands share, and work spread over processes."""

import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING, TypeVar

import click

from spillway.pluralize import pluralize
from spillway.project import LOCAL_STAGE
from spillway.sitegen.parallel import WorkerPool, chunks_of

if TYPE_CHECKING:
    from rich.progress import Progress

stage_option = click.option(
    "--stage",
    "stage_name",
    metavar="NAME",
    default=LOCAL_STAGE,
    show_default=True,
    help="The stage: local, or its name on AWS.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
UNITS_S = {"s": 1, "m": 60, "h": 3600}
OVER_S_MAX = 24 * 3600
skip_broken_pictures_option = click.option(
    "--skip-broken-pictures",
    is_flag=True,
    help="Leave out pictures that cannot be shown, and list them at the end.",
)


class Choice(click.Choice[str]):
    """One of several values; an error suggests the nearest one."""

    def get_invalid_choice_message(self, value: object, ctx: click.Context | None) -> str:
        """Return the error about a value that is none of the choices."""
        message = super().get_invalid_choice_message(value, ctx)
        near = get_close_matches(str(value), self.choices, n=1)
        return f"{message} Did you mean {near[0]!r}?" if near else message


class Span(click.ParamType[int]):
    """A length of time: 90s, 20m, 1h."""

    name = "span"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the seconds."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d{1,6})([smh])", str(value))
        if not match or not 0 < (seconds := int(match[1]) * UNITS_S[match[2]]) <= OVER_S_MAX:
            self.fail(f"{value!r} is no time up to 24 h; for example 90s, 20m or 1h", param, ctx)
        return seconds


class Share(click.ParamType[float]):
    """A share of a whole: 5% or 0.05."""

    name = "share"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return a number from 0 to 1."""
        text = str(value)
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = -1.0
        if not 0 <= share <= 1:
            self.fail(f"{value!r} is no share; for example 5% or 0.05", param, ctx)
        return share


def show_left_out(left_out: Sequence[str]) -> None:
    """Print each place that names a picture which was left out."""
    if left_out:
        click.echo(f"{pluralize(len(left_out), 'picture')} left out:", err=True)
    for line in left_out:
        click.echo(f"  {line}", err=True)


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

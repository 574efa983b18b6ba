"""Work on many products at once, with or without other processes and a progress bar."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class Share(Protocol):
    """Does `work` for parts of `things`, in their order, and returns the result for each part."""

    def __call__(self, work: Callable[[Sequence[T]], R], things: Sequence[T], what: str) -> list[R]:
        """Args: `work` gives the same result twice; `what` names it on a progress bar."""
        ...


def alone(work: Callable[[Sequence[T]], R], things: Sequence[T], what: str) -> list[R]:
    """Do all of it here and now."""
    return [work(things)]

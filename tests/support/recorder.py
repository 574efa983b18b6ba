"""Stand-ins for the collaborators of a service: every call is noted, with its arguments and in order."""

from collections.abc import Callable
from typing import Any


class Recorder:
    """Gives out parts, and keeps the calls of all of them together.

    A call is `(part.method, *arguments)`, with the named arguments as a dict at its end, if there are any.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def part(self, name: str, **answers: Any) -> Any:
        """Return a stand-in. `answers` by method: a value, an error to raise, or a function of the call."""
        return _Part(self, name, answers)

    def function(self, name: str, answer: Any = None) -> Callable[..., Any]:
        """Return a stand-in for a single function."""

        def called(*arguments: Any, **named: Any) -> Any:
            self.calls.append((name, *arguments, *([named] if named else [])))
            if isinstance(answer, BaseException):
                raise answer
            return answer(*arguments, **named) if callable(answer) else answer

        return called

    def taken(self) -> list[tuple[Any, ...]]:
        """Return the calls since the last look."""
        calls, self.calls = self.calls, []
        return calls

    def names(self) -> list[str]:
        """Return what was called since the last look."""
        return [call[0] for call in self.taken()]


class _Part:
    def __init__(self, recorder: Recorder, name: str, answers: dict[str, Any]) -> None:
        self._recorder = recorder
        self._name = name
        self.answers = answers

    def __getattr__(self, method: str) -> Callable[..., Any]:
        return self._recorder.function(f"{self._name}.{method}", self.answers.get(method))


def one_after_another(*answers: Any) -> Callable[..., Any]:
    """Return a function that gives these answers, one for each call; errors among them are raised."""
    left = iter(answers)

    def answer(*_: Any, **__: Any) -> Any:
        given = next(left)
        if isinstance(given, BaseException):
            raise given
        return given

    return answer

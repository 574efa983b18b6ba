"""What is wrong with a catalogue: everything at once, each with its place and what was expected there."""

from collections.abc import Sequence
from dataclasses import dataclass

from spillway.errors import BadInput
from spillway.pluralize import pluralize

_VALUE_LENGTH_MAX = 60


@dataclass(frozen=True, slots=True)
class InputError:
    """One value that cannot be taken. `file` is named from the project's root; `line` counts from 1."""

    file: str
    line: int | None
    field: str
    value: object
    expected: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.field} = {_shortened(self.value)}: expected {self.expected}"


class CatalogueInvalid(BadInput):
    """The catalogue cannot be built from. Carries every mistake, in the order of files and lines."""

    def __init__(self, mistakes: Sequence[InputError]) -> None:
        self.mistakes = tuple(sorted(mistakes, key=lambda mistake: (mistake.file, mistake.line or 0)))
        listed = "\n".join(f"  {mistake}" for mistake in self.mistakes)
        super().__init__(
            f"{pluralize(len(self.mistakes), 'mistake')} in the catalogue, nothing was built\n{listed}",
            hint="correct them and build again; what was built before is still there",
        )


def _shortened(value: object) -> str:
    if value is None:
        return "(missing)"
    text = repr(value)
    return text if len(text) <= _VALUE_LENGTH_MAX else f"{text[: _VALUE_LENGTH_MAX - 1]}…"

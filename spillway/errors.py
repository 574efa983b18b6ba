"""The two ways a command ends badly: the input was wrong (exit 2), or the work failed (exit 1).

A third is a person's will: spillway/interrupt.py.
"""


class SpillwayError(Exception):
    """What went wrong, in a sentence for the person at the terminal, and the way out of it."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class BadInput(SpillwayError):
    """A file, an option or a value the command cannot take. Nothing was written."""

    exit_code = 2


class WorkFailed(SpillwayError):
    """The input was right, the work did not succeed."""

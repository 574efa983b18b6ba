"""The errors of a command: bad input (exit 2), work that failed (exit 1), and Ctrl-C (exit 130)."""


class SpillwayError(Exception):
    """An error as a sentence for the person at the terminal, with a hint."""

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


# The state that a command leaves, for commands that work step by step. Others did all or nothing.
LEFT_BY = {
    "build": "pages are moved into place when all are built: each is complete; build again to go on",
    "deploy": "CloudFormation finishes its current update, see spillway doctor; deploy again for the rest",
    "destroy": "CloudFormation finishes its current step; only the data named above is deleted",
    "import": "each product file is complete; import again for the rest",
    "publish": "each page is complete, some may be new already; publish again to go on",
    "reconcile": "differences that were applied count; reconcile again for the rest",
    "redrive": "jobs that were put back are processed, the others stay; redrive again to go on",
    "rollback": "each page is complete, some may be back already; roll back again to go on",
    "waitlist": "each written entry is complete; the same command does the rest",
    "stock": "lines that were imported count; the same file again does the rest",
}


class Interrupted(SpillwayError):
    """Ctrl-C was pressed."""

    exit_code = 130

    def __init__(self, command: str) -> None:
        super().__init__("stopped", hint=LEFT_BY.get(command, ""))

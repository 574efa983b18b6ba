"""Ctrl-C: a command ends, and says what state it leaves things in."""

from spillway.errors import SpillwayError

# Of commands that change something step by step. All others have done nothing, or all of it.
LEFT_BY = {
    "build": "pages are put in place when all are made: each is whole; build again to go on",
    "deploy": "CloudFormation ends what it has begun, spillway doctor says when; deploy again for the rest",
    "destroy": "CloudFormation ends what it has begun; of its data, only what is told above is deleted",
    "import": "product files are whole, and none is half-written; import again for the rest",
    "publish": "nothing visible is half-done, some pages may be new already; publish again to go on",
    "redrive": "what was put back is being tried, the rest is still stuck; redrive again to go on",
    "rollback": "nothing visible is half-done, some pages may be back already; roll back again to go on",
    "waitlist": "entries that were written count, none is half-written; the same command does the rest",
    "stock": "lines that were taken in count; the same file again does the rest",
}


class Interrupted(SpillwayError):
    """Somebody pressed Ctrl-C."""

    exit_code = 130

    def __init__(self, command: str) -> None:
        super().__init__("stopped", hint=LEFT_BY.get(command, ""))

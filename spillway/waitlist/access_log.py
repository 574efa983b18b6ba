"""The log of access: one row in the sending table for every use of a command about people.

A row has the operator, the command, the time and the shopper's id, never an address. It is written before
anything is shown or changed: a command that cannot be logged does nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from chalicelib.tables.expressions import Attr
from chalicelib.tables.sending import Row
from chalicelib.tables.table import Table

KEPT_S = 400 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Access:
    """One use of a command. `subject` is a shopper's id, or a digest of the file or the SKUs it was about."""

    at_ms: int
    operator: str
    command: str
    subject: str


class AccessLog:
    """Rows `access#TIME#ID` of the sending table."""

    def __init__(self, client: Any, name: str, operator: str, new_id: Callable[[], str]) -> None:
        self.table = Table(client, name)
        self._operator = operator
        self._new_id = new_id

    def note(self, command: str, subject: str, *, at_ms: int) -> None:
        """Write down that `command` is used about `subject` now."""
        self.table.put(
            {
                **Row.ACCESS.key(f"{at_ms:013d}#{self._new_id()}"),
                "at_ms": at_ms,
                "operator": self._operator,
                "command": command,
                "subject": subject,
                "expires_at_s": at_ms // 1000 + KEPT_S,
            }
        )


def read_access(client: Any, name: str) -> list[Access]:
    """Return every use that is kept, the oldest first: reads the whole sending table."""
    return sorted(_rows(client, name), key=lambda access: access.at_ms)


def _rows(client: Any, name: str) -> Iterator[Access]:
    for item in Table(client, name).scan(Attr("id").begins_with(Row.ACCESS)):
        yield Access(item["at_ms"], item["operator"], item["command"], item["subject"])

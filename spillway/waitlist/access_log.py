"""The log of access: one row in the sending table for every use of a command about people.

A row has the operator, the command, the time and the shopper's id, never an address. It is written before
anything is shown or changed: a command that cannot be logged does nothing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

ACCESS_PREFIX = "access#"
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
        self._client = client
        self._name = name
        self._operator = operator
        self._new_id = new_id

    def note(self, command: str, subject: str, *, at_ms: int) -> None:
        """Write down that `command` is used about `subject` now."""
        self._client.put_item(
            TableName=self._name,
            Item={
                "id": {"S": f"{ACCESS_PREFIX}{at_ms:013d}#{self._new_id()}"},
                "at_ms": {"N": str(at_ms)},
                "operator": {"S": self._operator},
                "command": {"S": command},
                "subject": {"S": subject},
                "expires_at_s": {"N": str(at_ms // 1000 + KEPT_S)},
            },
        )


def read_access(client: Any, name: str) -> list[Access]:
    """Return every use that is kept, the oldest first: reads the whole sending table."""
    return sorted(_rows(client, name), key=lambda access: access.at_ms)


def _rows(client: Any, name: str) -> Iterator[Access]:
    pages = client.get_paginator("scan").paginate(
        TableName=name,
        FilterExpression="begins_with(id, :prefix)",
        ExpressionAttributeValues={":prefix": {"S": ACCESS_PREFIX}},
    )
    for page in pages:
        for item in page["Items"]:
            texts = (item[name]["S"] for name in ("operator", "command", "subject"))
            yield Access(int(item["at_ms"]["N"]), *texts)

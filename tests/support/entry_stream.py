"""The stream of an entries table in memory: each change of a row as a record, in order within a shard."""

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any
from zlib import crc32

from tests.support.dynamodb import MemoryDynamoDb, Paginator

WRITES = frozenset(
    {"put_item", "update_item", "delete_item", "transact_write_items", "batch_execute_statement"}
)
Record = dict[str, Any]


class StreamedDynamoDb:
    """Passes calls on to DynamoDB in memory, and keeps a record of each row of one table that they change.

    Rows of one shopper have their records in one shard, in order, as DynamoDB's have.
    """

    exceptions = MemoryDynamoDb.exceptions

    def __init__(self, memory: MemoryDynamoDb, clock_ms: Callable[[], int], *, shards: int = 2) -> None:
        self._memory = memory
        self._clock_ms = clock_ms
        self._numbers = count(1)
        self._rows: dict[tuple[str, ...], Mapping[str, Any]] = {}
        self.table = ""
        self.shards: list[list[Record]] = [[] for _ in range(shards)]

    def __getattr__(self, method: str) -> Callable[..., Any]:
        """Return a method of the client whose changes are kept."""

        def call(**request: Any) -> Any:
            try:
                return getattr(self._memory, method)(**request)
            finally:
                if method in WRITES and self.table:
                    self._note()

        return call

    def get_paginator(self, operation: str) -> Paginator:
        """Return pages."""
        return self._memory.get_paginator(operation)

    def _note(self) -> None:
        now: dict[tuple[str, ...], Mapping[str, Any]] = dict(self._memory.items(self.table))
        for key in sorted(self._rows.keys() | now.keys()):
            before, after = self._rows.get(key), now.get(key)
            if before != after:
                self.shards[crc32(key[0].encode()) % len(self.shards)].append(self._record(before, after))
        self._rows = now

    def _record(self, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> Record:
        number = next(self._numbers)
        row = after or before or {}
        change = {
            "Keys": {name: row[name] for name in ("shopper", "sku")},
            "SequenceNumber": f"{number:021d}",
            "ApproximateCreationDateTime": float(self._clock_ms() // 1000),
        }
        if before:
            change["OldImage"] = dict(before)
        if after:
            change["NewImage"] = dict(after)
        name = "MODIFY" if before and after else "INSERT" if after else "REMOVE"
        return {"eventID": f"event-{number}", "eventName": name, "dynamodb": change}

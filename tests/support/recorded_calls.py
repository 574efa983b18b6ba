"""Clients of AWS that keep what is asked of them: DynamoDB in memory, and one with answers from a list."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.support.dynamodb import MemoryDynamoDb, Paginator

# `create_table` adds random digits to a table's name.
RANDOM = re.compile(r"(?<=Table)-[0-9a-f]{8}\b")


class RecordedDynamoDb:
    """DynamoDB in memory; `calls` has its requests as text, each argument on a line of its own."""

    exceptions = MemoryDynamoDb.exceptions

    def __init__(self) -> None:
        self.calls: list[str] = []
        self._memory = MemoryDynamoDb()

    def __getattr__(self, method: str) -> Callable[..., Any]:
        """Return a method of the client that keeps its request."""

        def call(**request: Any) -> Any:
            if method != "create_table":
                self.calls.append(_text(method, request))
            return getattr(self._memory, method)(**request)

        return call

    def get_paginator(self, operation: str) -> Paginator:
        """Return pages; the request of each is kept."""
        return Paginator(getattr(self, operation))


class Scripted:
    """A client that takes its answers from a list, raises those that are errors, and repeats the last one."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, method: str) -> Callable[..., Any]:
        """Return a method that keeps its request and gives the next answer."""

        def call(**request: Any) -> Any:
            self.asked.append((method, request))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


def scripted(*answers: Any) -> Any:
    """Return such a client."""
    return Scripted(*answers)


def _text(method: str, request: Mapping[str, Any]) -> str:
    lines = [f"  {name}: {_short(value)}" for name, value in request.items()]
    return "\n".join([method, *lines])


def _short(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(_sorted(value), ensure_ascii=False)


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        # Sets are sent in no order.
        return {
            str(name): sorted(item) if name in {"SS", "NS"} else _sorted(item) for name, item in value.items()
        }
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return [_sorted(item) for item in value] if isinstance(value, list | tuple) else value

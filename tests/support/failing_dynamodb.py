"""A DynamoDB client that fails at the n-th call, as clients do: before the call takes effect, or after it."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from botocore.exceptions import ClientError

from tests.support.dynamodb import MemoryDynamoDb, Paginator
from tests.support.fakes import WorkerDied

Watch = Callable[[str, Mapping[str, Any]], None]


class Throttled(ClientError):
    """DynamoDB turns a call away, for longer than the SDK tries."""

    def __init__(self) -> None:
        super().__init__(
            {"Error": {"Code": "ProvisionedThroughputExceededException", "Message": "no"}}, "Any"
        )


class FailingDynamoDb:
    """Passes calls on to a client. `before` and `after` see the name and the arguments of each call."""

    exceptions = MemoryDynamoDb.exceptions

    def __init__(self, client: MemoryDynamoDb) -> None:
        self._client = client
        self._calls_left = -1
        self._error: type[BaseException] = WorkerDied
        self._took_effect = False
        # The method of each call so far, and of the one that failed last.
        self.calls: list[str] = []
        self.failed: str | None = None
        self.before: Watch = lambda _method, _request: None
        self.after: Watch = lambda _method, _request: None

    def fail_at(
        self, number: int, error: type[BaseException] = WorkerDied, *, took_effect: bool = False
    ) -> None:
        """Raise `error` at one call, and at no other.

        Args:
            number: The calls from now that still succeed: 0 fails the next one.
            error: The class of the error, made without arguments.
            took_effect: Raise it after the call was carried out.
        """
        self._calls_left, self._error, self._took_effect = number, error, took_effect

    def fail_at_update(self, attribute: str, error: type[BaseException] = WorkerDied) -> None:
        """Raise `error` before the first update that names this attribute, and at no other."""
        errors = iter([error])

        def watch(_method: str, request: Mapping[str, Any]) -> None:
            names = request.get("ExpressionAttributeNames", {}).values()
            if "UpdateExpression" in request and attribute in names:
                for first in errors:
                    raise first

        self.before = watch

    def never_fail(self) -> None:
        """Let every call succeed."""
        self._calls_left = -1

    def __getattr__(self, method: str) -> Callable[..., Any]:
        """Return a method of the client that may fail."""
        carry_out = getattr(self._client, method)

        def call(**request: Any) -> Any:
            self.calls.append(method)
            self.before(method, request)
            fails = self._calls_left == 0
            self._calls_left -= self._calls_left >= 0
            self.failed = method if fails else self.failed
            if fails and not self._took_effect:
                raise self._error
            if fails:
                # Its answer is lost, also when it says that a condition does not hold.
                with suppress(ClientError):
                    carry_out(**request)
                raise self._error
            answer = carry_out(**request)
            self.after(method, request)
            return answer

        # Found there from now on.
        vars(self)[method] = call
        return call

    def get_paginator(self, operation: str) -> Paginator:
        """Return pages; asking for each of them is a call."""
        return Paginator(getattr(self, operation))

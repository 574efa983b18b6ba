"""Connections to one host, kept alive between requests, and the errors of calls.

A TLS handshake costs more than a signup.
"""

from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from socket import IPPROTO_TCP, TCP_NODELAY, create_connection, socket
from ssl import SSLContext, create_default_context
from typing import Any
from urllib.parse import urlsplit

from chalicelib.aws.response import Response, parse_response

CONDITION_FAILED = "ConditionalCheckFailedException"
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
THROTTLES = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",  # SQS's word
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
# Botocore's errors where no answer came, or half of one: the first two are bases of the others.
UNANSWERED = frozenset(
    f"botocore.exceptions.{name}" for name in ("ConnectionError", "HTTPClientError", "IncompleteReadError")
)
# Two writers met at one item, in one region or two: a moment later there is one.
PASSING = THROTTLES | {
    "ReplicatedWriteConflictException",
    "TransactionConflictException",
    "TransactionInProgressException",
}


class AwsError(Exception):
    """A call that failed. It never has the request in it, which may name a shopper."""


class AwsRefused(AwsError):
    """AWS refused a call: `code` is its reason, `status` the HTTP status."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__(f"{code} ({status})")
        self.code = code
        self.status = status


class AwsUnreachable(AwsError):
    """No answer that can be read; the call may have succeeded."""


class NoCredentials(AwsError):
    """The environment names no credentials."""


def code_of(error: BaseException) -> str:
    """Return AWS's code of an error, ours or boto3's (not imported for this); empty when it has none."""
    if isinstance(error, AwsRefused):
        return error.code
    return str(_answer(error).get("Error", {}).get("Code", ""))


def passes(error: BaseException) -> bool:
    """Return whether the same call may succeed a moment later."""
    if isinstance(error, AwsUnreachable) or _is_unanswered(error) or code_of(error) in PASSING:
        return True
    status = error.status if isinstance(error, AwsRefused) else _status(error)
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _is_unanswered(error: BaseException) -> bool:
    """Return whether boto3 (not imported for this) says that no answer came, or not in time."""
    names = {f"{kind.__module__}.{kind.__name__}" for kind in type(error).__mro__}
    return not names.isdisjoint(UNANSWERED)


def _status(error: BaseException) -> int:
    return int(_answer(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _answer(error: BaseException) -> dict[str, Any]:
    answer = getattr(error, "response", None)
    return answer if isinstance(answer, dict) else {}


CONNECT_TIMEOUT_S = 1.0
READ_TIMEOUT_S = 3.0
IDLE_MAX = 16
# The head and the body.
ANSWER_BYTES_MAX = 16 * 1024 * 1024
READ_BYTES_MAX = 64 * 1024
ONE_PACKET_BYTES_MAX = 32 * 1024


class Connections:
    """Connections to `endpoint` (an origin). Any number of threads may send at once."""

    def __init__(self, endpoint: str) -> None:
        parts = urlsplit(endpoint)
        self._encrypted = parts.scheme == "https"
        self.host = parts.netloc
        self._name = parts.hostname or ""
        self._port = parts.port or (443 if self._encrypted else 80)
        self._idle: list[socket] = []
        if self._encrypted:
            _tls()

    def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Send one request and return its answer; redirects are answers.

        Raises:
            AwsUnreachable: no answer came back in time.
        """
        head = _head(method, path, {**headers, "content-length": str(len(body))})
        try:
            connection = self._idle.pop()
        except IndexError:
            return self._on(self._open(), method, head, body)
        try:
            return self._on(connection, method, head, body)
        except AwsUnreachable as error:
            # The server closed the idle connection without reading the request: send it on a new one.
            if not isinstance(error.__cause__, ConnectionError):
                raise
            return self._on(self._open(), method, head, body)

    def close(self) -> None:
        """Close the connections; the next request opens one."""
        while self._idle:
            self._idle.pop().close()

    def _open(self) -> socket:
        try:
            connection = create_connection((self._name, self._port), CONNECT_TIMEOUT_S)
            try:
                connection.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
                if self._encrypted:
                    connection = _tls().wrap_socket(connection, server_hostname=self._name)
            except OSError:
                connection.close()
                raise
        except OSError as error:
            raise AwsUnreachable(f"cannot connect: {type(error).__name__}") from error
        connection.settimeout(READ_TIMEOUT_S)
        return connection

    def _on(self, connection: socket, method: str, head: bytes, body: bytes) -> Response:
        try:
            # One packet where it is small.
            if len(body) <= ONE_PACKET_BYTES_MAX:
                connection.sendall(head + body)
            else:
                connection.sendall(head)
                connection.sendall(body)
            response = _received(connection, method)
        except (OSError, ValueError) as error:
            connection.close()
            raise AwsUnreachable(f"no answer: {type(error).__name__}") from error
        if response.closes or len(self._idle) >= IDLE_MAX:
            connection.close()
        else:
            self._idle.append(connection)
        return response


def _received(connection: socket, method: str) -> Response:
    data = b""
    while True:
        part = connection.recv(READ_BYTES_MAX)
        data += part
        if len(data) > ANSWER_BYTES_MAX:
            raise ValueError("a long response")
        if not data:
            raise ConnectionResetError("the connection was closed before the response")
        response = parse_response(data, ended=not part, method=method)
        if response is not None:
            return response
        if not part:
            raise ValueError("the response is cut off")


def _head(method: str, path: str, headers: Mapping[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("a line break in a request's head")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@cache
def _tls() -> SSLContext:
    # Read once: the list of authorities costs more than everything else in this module.
    return create_default_context()

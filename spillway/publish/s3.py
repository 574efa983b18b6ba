"""An S3 bucket over many kept-alive connections, with requests signed here.

A publish sends ten thousand small objects; what an SDK does around each request costs more than S3 does. Only
the calls of a publish are here: PUT and DELETE in bulk, GET and conditional PUT one by one.
"""

import asyncio
import os
import random
import ssl
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Set, Sized
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from itertools import count as count_from
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import uvloop

from chalicelib.aws.response import Response
from chalicelib.aws.services import aws_origin
from chalicelib.aws.signing import Credentials, Signer
from spillway.errors import WorkFailed, hint_for
from spillway.publish.connection import TIMEOUT_S, Connection

T = TypeVar("T")

# At 30 ms a response, this many connections keep one core busy.
CONNECTIONS_MAX = 256
# Opening a connection pays off from this many requests on.
_REQUESTS_PER_CONNECTION = 4
ATTEMPTS_MAX = 5
# S3 asks clients to slow down while it scales up: more attempts than for a fault.
SLOW_DOWN_ATTEMPTS_MAX = 15
_SLOW_DOWN = frozenset({429, 503})
_BACKOFF_S = 0.1
_BACKOFF_MAX_S = 2.0
# With more bytes in flight, a slow uplink could not send each body before its timeout.
IN_FLIGHT_BYTES_MAX = 16 * 1024 * 1024
_DONE = frozenset({200, 204})
_DIGEST = "x-amz-content-sha256"
# Not 404 for a key: no request to this bucket can succeed.
_NO_BUCKET = "NoSuchBucket"


class PreconditionFailed(Exception):
    """A conditional request found another object than it expected: another client wrote it."""


@dataclass(frozen=True, slots=True)
class S3Request:
    """A request for one key.

    Attributes:
        sha256: the hex digest of the body; S3 refuses a body with another one. None: computed when sent.
        load: returns the body; called when the request is sent.
    """

    method: str
    key: str
    headers: Mapping[str, str] = field(default_factory=dict)
    sha256: str | None = None
    load: Callable[[], bytes] = bytes


class S3Bucket:
    """One bucket.

    Args:
        name: the bucket's name.
        region: the AWS region it is in.
        credentials: returns the credentials to sign with; called once a second at most.
        endpoint: the origin of an S3 other than AWS's.
        clock_s: the time of signatures, in seconds since 1970.
        backoff_s: the pause after the first failed attempt; it doubles with each.
        timeout_s: how long to wait for a connection, and for a response.
    """

    def __init__(
        self,
        name: str,
        region: str,
        credentials: Callable[[], Credentials],
        *,
        endpoint: str | None = None,
        clock_s: Callable[[], float] = time.time,
        backoff_s: float = _BACKOFF_S,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        origin = urlsplit(endpoint or aws_origin(f"{name}.s3", region))
        self._address = origin.hostname or "", origin.port or (443 if origin.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if origin.scheme == "https" else None
        self._prefix = f"/{name}/" if endpoint else "/"
        self._request_headers = RequestHeaders(Signer("s3", region), origin.netloc, credentials, clock_s)
        self._backoff_s = backoff_s
        self._timeout_s = timeout_s

    def get(self, key: str, *, unless: str | None = None) -> Response:
        """Return a response with the object (200), without one (404), or for an ETag `unless` (304)."""
        headers = {"if-none-match": unless} if unless else {}
        return self._send_one(S3Request("GET", key, headers), accepted={200, 304, 404})

    def put_if(self, key: str, body: bytes, headers: Mapping[str, str], *, etag: str | None) -> str:
        """Replace the object whose ETag is `etag`, or create it if `etag` is None; return the new ETag.

        Raises:
            PreconditionFailed: the object has another ETag.
        """
        condition = {"if-match": etag} if etag else {"if-none-match": "*"}
        request = S3Request("PUT", key, {**headers, **condition}, load=lambda: body)
        response = self._send_one(request, accepted={200, 404, 409, 412})
        if response.status != 200:
            raise PreconditionFailed(key)
        return response.headers.get("etag", "")

    def send(
        self,
        requests: Iterable[S3Request],
        on_done: Callable[[], None] = lambda: None,
        *,
        count: int | None = None,
    ) -> None:
        """Send every request, many at once and in no order.

        Args:
            requests: the requests. Each is taken when a connection is free for it.
            on_done: called after each.
            count: the number of requests, or more, where `requests` has no length; None for many.

        Raises:
            WorkFailed: S3 refused a request, or every attempt to reach it failed.
        """
        if isinstance(requests, Sized):
            count = len(requests)
        elif count is None:
            count = CONNECTIONS_MAX * _REQUESTS_PER_CONNECTION
        connections = min(CONNECTIONS_MAX, -(-count // _REQUESTS_PER_CONNECTION))
        if connections:
            _run(self._send_all(iter(requests), connections, on_done))

    def _send_one(self, request: S3Request, *, accepted: set[int]) -> Response:
        async def once() -> Response:
            connection = self._connection()
            try:
                return await self._retry(connection, request, accepted, InFlightLimit())
            finally:
                connection.close()

        return _run(once())

    async def _send_all(
        self, pending: Iterator[S3Request], connections: int, on_done: Callable[[], None]
    ) -> None:
        limit = InFlightLimit()

        async def work() -> None:
            connection = self._connection()
            try:
                # The workers share one iterator: the next request goes to the first that is free.
                for request in pending:
                    await self._retry(connection, request, _DONE, limit)
                    on_done()
            finally:
                connection.close()

        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(connections):
                    workers.create_task(work())
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

    def _connection(self) -> Connection:
        return Connection(self._address, self._tls, self._timeout_s)

    async def _retry(
        self, connection: Connection, request: S3Request, accepted: Set[int], limit: "InFlightLimit"
    ) -> Response:
        """Send a request until its response has an accepted status."""
        hint = "publish again: what is done already is not done twice"
        for attempt in count_from(1):
            try:
                response = await self._attempt(connection, request, limit)
            except (OSError, TimeoutError, ValueError) as error:
                connection.close()
                reason, attempts_max = f"{type(error).__name__} {error}".strip(), ATTEMPTS_MAX
            else:
                code = _error_code(response.body) if response.status >= 300 else ""
                if response.status in accepted and code != _NO_BUCKET:
                    return response
                if response.status == 400:
                    # After a timeout, S3 closes the connection.
                    connection.close()
                reason, hint = f"status {response.status} {code}".strip(), hint_for(code) or hint
                attempts_max = max_attempts(response)
            if attempt >= attempts_max:
                raise WorkFailed(f"{request.method} {request.key}: {reason}", hint=hint)
            # Full jitter: connections that failed together do not retry together.
            await asyncio.sleep(random.random() * min(self._backoff_s * 2**attempt, _BACKOFF_MAX_S))  # noqa: S311
        raise AssertionError("the last attempt returns or raises")

    async def _attempt(self, connection: Connection, request: S3Request, limit: "InFlightLimit") -> Response:
        if limit.reached:
            await limit.wait()
        body = limit.load(request)
        try:
            path = self._prefix + quote(request.key, safe="/~")
            digest = request.sha256 or sha256(body).hexdigest()
            head = self._request_headers.head(request.method, path, request.headers, digest, len(body))
            return await connection.exchange(head + body)
        finally:
            limit.release(body)


class InFlightLimit:
    """Limits the bytes of bodies in flight. The last body admitted may exceed the limit by its size."""

    def __init__(self) -> None:
        self._released = asyncio.Event()
        self._bytes = 0

    @property
    def reached(self) -> bool:
        return self._bytes >= IN_FLIGHT_BYTES_MAX

    async def wait(self) -> None:
        """Return once the limit is no longer reached."""
        while self.reached:
            self._released.clear()
            await self._released.wait()

    def load(self, request: S3Request) -> bytes:
        """Load and count the body of `request`."""
        body = request.load()
        self._bytes += len(body)
        return body

    def release(self, body: bytes) -> None:
        """Uncount a body that was sent, or whose attempt failed."""
        self._bytes -= len(body)
        self._released.set()


@dataclass(frozen=True, slots=True)
class _HeaderSet:
    """Signed headers shared by requests of the same second.

    Attributes:
        before: the canonical lines that sort before the body's digest.
        after: the canonical lines that sort after it.
        names: the signed names.
        lines: the lines as sent.
    """

    credentials: Credentials
    timestamp: str
    before: str
    after: str
    names: str
    lines: str

    @classmethod
    def of(cls, headers: Mapping[str, str], credentials: Credentials, timestamp: str) -> "_HeaderSet":
        sent = {**headers, "x-amz-date": timestamp}
        if credentials.session_token:
            sent["x-amz-security-token"] = credentials.session_token
        for name, value in sent.items():
            if not value.isprintable():
                raise ValueError(f"header {name}: {value!r} is not printable")
        canonical = {name: f"{name}:{' '.join(sent[name].split())}\n" for name in sorted(sent)}
        return cls(
            credentials,
            timestamp,
            "".join(line for name, line in canonical.items() if name < _DIGEST),
            "".join(line for name, line in canonical.items() if name > _DIGEST),
            ";".join(sorted([*sent, _DIGEST])),
            "".join(f"{name}: {value}\r\n" for name, value in sent.items()),
        )


class RequestHeaders:
    """Builds the signed head of each request to one host. Shared headers are built once a second."""

    def __init__(
        self, signer: Signer, host: str, credentials: Callable[[], Credentials], clock_s: Callable[[], float]
    ) -> None:
        self._signer = signer
        self._host = host
        self._credentials = credentials
        self._clock_s = clock_s
        self._second = 0
        self._header_sets: dict[tuple[tuple[str, str], ...], _HeaderSet] = {}

    def head(self, method: str, path: str, headers: Mapping[str, str], sha256: str, size_bytes: int) -> bytes:
        """Return the request line and headers, every one of `headers` signed.

        Args:
            method: the HTTP method.
            path: the path as sent, percent-encoded.
            headers: further headers; names in lower case.
            sha256: the hex digest of the body.
            size_bytes: the size of the body.

        Raises:
            ValueError: a header is not printable.
        """
        shared = self._shared(headers)
        canonical = (
            f"{method}\n{path}\n\n{shared.before}{_DIGEST}:{sha256}\n{shared.after}\n{shared.names}\n{sha256}"
        )
        signature = self._signer.authorization(shared.credentials, shared.timestamp, shared.names, canonical)
        return (
            f"{method} {path} HTTP/1.1\r\n{shared.lines}{_DIGEST}: {sha256}\r\nauthorization: {signature}\r\n"
            f"content-length: {size_bytes}\r\n\r\n"
        ).encode("latin-1")

    def _shared(self, headers: Mapping[str, str]) -> _HeaderSet:
        now_s = self._clock_s()
        if int(now_s) != self._second:
            self._second = int(now_s)
            self._header_sets.clear()
        key = tuple(headers.items())
        if key not in self._header_sets:
            timestamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_s))
            all_headers = {**headers, "host": self._host}
            self._header_sets[key] = _HeaderSet.of(all_headers, self._credentials(), timestamp)
        return self._header_sets[key]


def body_loader(body: bytes | Path) -> Callable[[], bytes]:
    """Return a function that returns `body`, or reads the file."""
    return partial(read_file, str(body)) if isinstance(body, Path) else lambda: body


def read_file(file: str) -> bytes:
    """Return the content of a file."""
    # Four system calls; `Path.read_bytes` makes nine: for a page, half of the time.
    descriptor = os.open(file, os.O_RDONLY)
    try:
        return os.read(descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)


def max_attempts(response: Response) -> int:
    """Return how often to attempt a request that got this response."""
    if response.status in _SLOW_DOWN:
        return SLOW_DOWN_ATTEMPTS_MAX
    # S3 answers 400, not 408, when a body arrives too slowly; the same request may succeed later:
    # https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
    is_timeout = response.status == 400 and _error_code(response.body) == "RequestTimeout"
    return ATTEMPTS_MAX if is_timeout or response.status >= 500 else 1


def _error_code(body: bytes) -> str:
    return body.partition(b"<Code>")[2].partition(b"</Code>")[0].decode("ascii", "replace")


def _run(work: Coroutine[Any, Any, T]) -> T:
    # uvloop takes a fifth less CPU for each object.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)

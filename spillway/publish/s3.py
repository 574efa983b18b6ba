"""S3 over kept-alive connections, signed here: what an SDK does around a request costs more than S3 does.

Only what a publish does ten thousand times lives here, and the few calls it does conditionally.
"""

import asyncio
import random
import ssl
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import chain, count, islice
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import uvloop

from chalicelib.aws.services import aws_origin
from chalicelib.aws.signing import Credentials, Signer
from spillway.errors import WorkFailed
from spillway.publish.answer import Answer
from spillway.publish.connection import TIMEOUT_S, Connection
from spillway.publish.signed_heads import RequestHeaders

T = TypeVar("T")

# So many, 30 ms away, are answered as fast as one core can ask.
CONNECTIONS_MAX = 256
# A connection is worth opening for so many requests.
_REQUESTS_PER_CONNECTION = 4
ATTEMPTS_MAX = 5
# Asked to slow down, all connections wait and come again; S3 grows with what it is asked.
SLOWED_ATTEMPTS_MAX = 15
_SLOW_DOWN = frozenset({429, 503})
_BACKOFF_S = 0.1
_BACKOFF_MAX_S = 2.0
# Of more, a slow line could not send each in time.
_BYTES_ON_THEIR_WAY_MAX = 16 * 1024 * 1024
_DONE = frozenset({200, 204})


class Changed(Exception):
    """What a conditional request expected of an object is not so: somebody else was there."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call about one key. `load` gives the body when its turn comes. With `sha256`, S3 refuses any other
    body than that."""

    method: str
    key: str
    headers: Mapping[str, str] = field(default_factory=dict)
    sha256: str | None = None
    load: Callable[[], bytes] = bytes


class S3Bucket:
    """One bucket. `endpoint` is the origin of another S3 than AWS's; `clock_s` stamps signatures."""

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
        self._heads = RequestHeaders(Signer("s3", region), origin.netloc, credentials, clock_s)
        self._backoff_s = backoff_s
        self._timeout_s = timeout_s

    def get(self, key: str, *, unless: str | None = None) -> Answer:
        """The object, as an answer of status 200; 404 when there is none, 304 when its ETag is `unless`."""
        headers = {"if-none-match": unless} if unless else {}
        return self._one(Request("GET", key, headers), accepted={200, 304, 404})

    def put_if(self, key: str, body: bytes, headers: Mapping[str, str], *, etag: str | None) -> str:
        """Replace the object whose ETag is `etag`, or make it where there is none, and give its new ETag.

        Raises:
            Changed: the object is another one by now.
        """
        condition = {"if-match": etag} if etag else {"if-none-match": "*"}
        request = Request("PUT", key, {**headers, **condition}, load=lambda: body)
        answer = self._one(request, accepted={200, 404, 409, 412})
        if answer.status != 200:
            raise Changed(key)
        return answer.headers.get("etag", "")

    def send(self, requests: Iterable[Request], done: Callable[[], None] = lambda: None) -> None:
        """Send all of them, many at once, in no order. `done` hears of each.

        Raises:
            WorkFailed: S3 refused one, or could not be reached however often it was tried.
        """
        waiting = iter(requests)
        first = list(islice(waiting, CONNECTIONS_MAX * _REQUESTS_PER_CONNECTION))
        if first:
            connections = -(-len(first) // _REQUESTS_PER_CONNECTION)
            _run(self._all(chain(first, waiting), connections, done))

    def _one(self, request: Request, *, accepted: set[int]) -> Answer:
        async def once() -> Answer:
            connection = self._connection()
            try:
                return await self._tried(connection, request, accepted, _Room())
            finally:
                connection.close()

        return _run(once())

    async def _all(self, waiting: Iterator[Request], connections: int, done: Callable[[], None]) -> None:
        room = _Room()

        async def work() -> None:
            connection = self._connection()
            try:
                # All take from the same: each request goes to whoever is free first.
                for request in waiting:
                    await self._tried(connection, request, _DONE, room)
                    done()
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

    async def _tried(
        self, connection: Connection, request: Request, accepted: Set[int], room: "_Room"
    ) -> Answer:
        for attempt in count(1):
            try:
                answer = await self._attempt(connection, request, room)
            except (OSError, TimeoutError, ValueError) as error:
                connection.close()
                reason, attempts_max = f"{type(error).__name__} {error}".strip(), ATTEMPTS_MAX
            else:
                if answer.status in accepted:
                    return answer
                if answer.status == 400:
                    # After a timeout, S3 closes the connection it answered on.
                    connection.close()
                reason = f"status {answer.status} {_code(answer.body)}".strip()
                attempts_max = _patience(answer)
            if attempt >= attempts_max:
                raise WorkFailed(
                    f"{request.method} {request.key}: {reason}",
                    hint="publish again: what is done already is not done twice",
                )
            # Full jitter: connections that failed together do not come back together.
            await asyncio.sleep(random.random() * min(self._backoff_s * 2**attempt, _BACKOFF_MAX_S))  # noqa: S311
        raise AssertionError("the last attempt answers or raises")

    async def _attempt(self, connection: Connection, request: Request, room: "_Room") -> Answer:
        if room.full:
            await room.wait()
        body = room.load(request)
        try:
            path = self._prefix + quote(request.key, safe="/~")
            digest = request.sha256 or sha256(body).hexdigest()
            head = self._heads.head(request.method, path, request.headers, digest, len(body))
            return await connection.exchange(head + body)
        finally:
            room.leave(body)


class _Room:
    """For bodies on their way: as many as fit, and the last of them however large it is."""

    def __init__(self) -> None:
        self._left = asyncio.Event()
        self._bytes = 0

    @property
    def full(self) -> bool:
        return self._bytes >= _BYTES_ON_THEIR_WAY_MAX

    async def wait(self) -> None:
        """Until it is not full."""
        while self.full:
            self._left.clear()
            await self._left.wait()

    def load(self, request: Request) -> bytes:
        """The body of `request`, which takes its place."""
        body = request.load()
        self._bytes += len(body)
        return body

    def leave(self, body: bytes) -> None:
        """It is there, or will be tried again."""
        self._bytes -= len(body)
        self._left.set()


def _run(work: Coroutine[Any, Any, T]) -> T:
    # A loop in C: a fifth less CPU for each object.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def _patience(answer: Answer) -> int:
    """How many attempts such an answer is worth."""
    if answer.status in _SLOW_DOWN:
        return SLOWED_ATTEMPTS_MAX
    # S3 answers 400, not 408, when a body comes too slowly; the same request may do next time:
    # https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
    slow = answer.status == 400 and _code(answer.body) == "RequestTimeout"
    return ATTEMPTS_MAX if slow or answer.status >= 500 else 1


def _code(body: bytes) -> str:
    """S3's word for an error."""
    return body.partition(b"<Code>")[2].partition(b"</Code>")[0].decode("ascii", "replace")

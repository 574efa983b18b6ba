"""S3 over kept-alive connections, signed here: what an SDK does around a request costs more than S3 does.

Only what a publish does ten thousand times lives here, and the few calls it does conditionally.
"""

import asyncio
import random
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import quote, urlsplit

from chalicelib.aws.signing import Credentials, Signer
from spillway.errors import WorkFailed

CONNECTIONS_MAX = 128
# A connection is worth opening for so many requests.
_REQUESTS_PER_CONNECTION = 4
ATTEMPTS_MAX = 5
_BACKOFF_S = 0.1
_TIMEOUT_S = 60.0
_HEAD_BYTES_MAX = 64 * 1024
_NOTHING = sha256(b"").hexdigest()


class Changed(Exception):
    """What a conditional request expected of an object is not so: somebody else was there."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call about one key. `load` gives the body when its turn comes, `sha256` what it must be."""

    method: str
    key: str
    headers: Mapping[str, str] = field(default_factory=dict)
    sha256: str = _NOTHING
    load: Callable[[], bytes] = bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


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
    ) -> None:
        suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        origin = urlsplit(endpoint or f"https://{name}.s3.{region}.{suffix}")
        self._host = origin.netloc
        self._address = origin.hostname or "", origin.port or (443 if origin.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if origin.scheme == "https" else None
        self._prefix = f"/{name}/" if endpoint else "/"
        self._signer = Signer("s3", region)
        self._credentials = credentials
        self._clock_s = clock_s
        self._backoff_s = backoff_s

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
        request = Request("PUT", key, {**headers, **condition}, sha256(body).hexdigest(), lambda: body)
        answer = self._one(request, accepted={200, 404, 409, 412})
        if answer.status != 200:
            raise Changed(key)
        return answer.headers.get("etag", "")

    def send(self, requests: Iterable[Request], done: Callable[[], None] = lambda: None) -> None:
        """Send all of them, many at once, in no order. `done` hears of each.

        Raises:
            WorkFailed: S3 refused one, or could not be reached however often it was tried.
        """
        waiting = list(requests)
        if waiting:
            asyncio.run(self._all(waiting, done))

    def _one(self, request: Request, *, accepted: set[int]) -> Answer:
        async def once() -> Answer:
            connection = _Connection(self._address, self._tls)
            try:
                return await self._tried(connection, request, accepted)
            finally:
                connection.close()

        return asyncio.run(once())

    async def _all(self, waiting: list[Request], done: Callable[[], None]) -> None:
        waiting.reverse()
        count = min(CONNECTIONS_MAX, -(-len(waiting) // _REQUESTS_PER_CONNECTION))

        async def work() -> None:
            connection = _Connection(self._address, self._tls)
            try:
                while waiting:
                    await self._tried(connection, waiting.pop(), {200, 204})
                    done()
            finally:
                connection.close()

        workers = [asyncio.create_task(work()) for _ in range(count)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _tried(self, connection: "_Connection", request: Request, accepted: set[int]) -> Answer:
        reason = ""
        for attempt in range(ATTEMPTS_MAX):
            if attempt:
                # Full jitter: connections that failed together do not come back together.
                await asyncio.sleep(random.random() * self._backoff_s * 2**attempt)  # noqa: S311
            try:
                async with asyncio.timeout(_TIMEOUT_S):
                    answer = await self._attempt(connection, request)
            except (OSError, EOFError, TimeoutError, ValueError) as error:
                connection.close()
                reason = f"{type(error).__name__} {error}".strip()
                continue
            if answer.status in accepted:
                return answer
            reason = f"status {answer.status} {_code(answer.body)}".strip()
            if answer.status < 500 and answer.status != 429:
                break
        raise WorkFailed(
            f"{request.method} {request.key}: {reason}",
            way_out="publish again: what is done already is not done twice",
        )

    async def _attempt(self, connection: "_Connection", request: Request) -> Answer:
        body = request.load()
        path = self._prefix + quote(request.key, safe="/~")
        headers = {**request.headers, "host": self._host, "x-amz-content-sha256": request.sha256}
        signed = self._signer.sign(
            self._credentials(),
            request.method,
            path,
            headers,
            payload_sha256=request.sha256,
            at_s=self._clock_s(),
        )
        lines = "".join([f"{name}: {value}\r\n" for name, value in signed.items()])
        head = f"{request.method} {path} HTTP/1.1\r\n{lines}content-length: {len(body)}\r\n\r\n"
        return await connection.exchange(head.encode("latin-1") + body)


class _Connection:
    """One connection, opened when first needed and again after a failure."""

    def __init__(self, address: tuple[str, int], tls: ssl.SSLContext | None) -> None:
        self._address = address
        self._tls = tls
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def exchange(self, message: bytes) -> Answer:
        """Send a request and read its answer.

        Raises:
            OSError, EOFError, ValueError: there was none that can be read; close, and try again.
        """
        if self._streams is None:
            host, port = self._address
            self._streams = await asyncio.open_connection(host, port, ssl=self._tls, limit=_HEAD_BYTES_MAX)
        reader, writer = self._streams
        writer.write(message)
        await writer.drain()
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        except asyncio.LimitOverrunError as error:
            raise ValueError("an answer without an end to its head") from error
        status = int(head[0].split(" ", 2)[1])
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])
        }
        body = b"" if status in {204, 304} else await _body(reader, headers)
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Answer(status, headers, body)

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    chunks = []
    while size_bytes := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        chunks.append(await reader.readexactly(size_bytes))
        await reader.readexactly(2)
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return b"".join(chunks)


def _code(body: bytes) -> str:
    """S3's word for an error."""
    return body.partition(b"<Code>")[2].partition(b"</Code>")[0].decode("ascii", "replace")

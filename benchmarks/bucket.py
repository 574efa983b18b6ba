"""An S3 to measure publishers by: a process that accepts objects, answers as S3 does, and reads them later.

A publisher that asks first finds an empty bucket; sitemaps and documents can be read. A request without a
signature is refused.
"""

import asyncio
import multiprocessing
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from multiprocessing.connection import Connection
from urllib.parse import unquote

_SIGNED = re.compile(rb"\r\nauthorization: *AWS4-HMAC-SHA256 Credential=", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_IN_PIECES = re.compile(rb"\r\ncontent-encoding: *aws-chunked", re.IGNORECASE)
_CONTINUE = re.compile(rb"\r\nexpect: *100-continue", re.IGNORECASE)
# As long as S3's own.
_HEAD = (
    b"HTTP/1.1 %b\r\nx-amz-id-2: mLfS9q1rX0QeJ0B3yTtVwKZ7kQyJxN5c4s2gH8dPzRmUuWbEoYvAi6FhGkLnCqXa\r\n"
    b"x-amz-request-id: 79104EXAMPLEB723\r\nDate: Mon, 23 Nov 2026 12:00:00 GMT\r\n"
    b'ETag: "1b2cf535f27731c974343645a3985328"\r\nServer: AmazonS3\r\nContent-Length: %d\r\n\r\n'
)
_TAKEN = _HEAD % (b"200 OK", 0)
_NOT_THERE = _HEAD % (b"404 Not Found", 0)
_REFUSED = _HEAD % (b"403 Forbidden", 0)
_NO_LIST = b"<ListBucketResult><IsTruncated>false</IsTruncated><KeyCount>0</KeyCount></ListBucketResult>"
# The names of objects that can be read.
_DOCUMENTS = (b".xml", b".json")
_LISTED = _HEAD % (b"200 OK", len(_NO_LIST)) + _NO_LIST


@dataclass(frozen=True, slots=True)
class Taken:
    """The files since the last time: the SHA-256 of each file by its name, and the CPU it cost to take."""

    digests: Mapping[str, str]
    cpu_s: float


class Bucket:
    """The process, from here."""

    def __init__(self, url: str, line: Connection) -> None:
        self.url = url
        self._line = line

    def taken(self) -> Taken:
        """Return the files since the last call, and forget them."""
        self._line.send(None)
        taken: Taken = self._line.recv()
        return taken


@contextmanager
def bucket(latency_s: float) -> Iterator[Bucket]:
    """Yield one that answers `latency_s` after it has a request whole, for as long as the block lasts."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(latency_s, theirs))
    process.start()
    theirs.close()
    try:
        yield Bucket(ours.recv(), ours)
    finally:
        process.terminate()
        process.join()


class _Store:
    """Bodies by their paths, each with the head it came with; `documents` are those that can be read."""

    def __init__(self, line: Connection) -> None:
        self.put: dict[bytes, tuple[bytes, bytes]] = {}
        self.documents: dict[bytes, bytes] = {}
        self._line = line
        self._cpu_s = 0.0

    def tell(self) -> None:
        """Answer who asks what came."""
        cpu_s, before = time.process_time(), self._cpu_s
        self._line.recv()
        self._line.send(Taken({_name(path): _digest(*it) for path, it in self.put.items()}, cpu_s - before))
        self.put.clear()
        self._cpu_s = time.process_time()


class _Caller(asyncio.Protocol):
    """One connection."""

    def __init__(self, store: _Store, latency_s: float) -> None:
        self._store = store
        self._latency_s = latency_s
        self._data = b""
        self._head_ends = self._ends = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data = data if not self._data else self._data + data
        while self._has_request():
            answer = self._answered(self._data[: self._head_ends], self._data[self._head_ends : self._ends])
            self._data = self._data[self._ends :]
            self._ends = 0
            if self._latency_s:
                asyncio.get_running_loop().call_later(self._latency_s, self._transport.write, answer)
            else:
                self._transport.write(answer)

    def _has_request(self) -> bool:
        if not self._ends:
            end = self._data.find(b"\r\n\r\n")
            if end < 0:
                return False
            length = _LENGTH.search(self._data, 0, end + 2)
            self._head_ends = end + 4
            self._ends = self._head_ends + (int(length[1]) if length else 0)
            if len(self._data) < self._ends and _CONTINUE.search(self._data, 0, end):
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return len(self._data) >= self._ends

    def _answered(self, head: bytes, body: bytes) -> bytes:
        method, path, _ = head.split(b" ", 2)
        if not _SIGNED.search(head):
            return _REFUSED
        if method == b"PUT":
            self._store.put[path] = head, body
            if path.endswith(_DOCUMENTS):
                self._store.documents[path] = body
            return _TAKEN
        if method == b"GET" and path in self._store.documents:
            document = self._store.documents[path]
            return _HEAD % (b"200 OK", len(document)) + document
        if method == b"DELETE":
            return _HEAD % (b"204 No Content", 0)
        return _LISTED if method == b"GET" and b"?" in path else _NOT_THERE


def _name(path: bytes) -> str:
    return unquote(path.partition(b"?")[0].rpartition(b"/")[2].decode("ascii"))


def _digest(head: bytes, body: bytes) -> str:
    if _IN_PIECES.search(head):
        body = b"".join(_pieces(body))
    return sha256(body).hexdigest()


def _pieces(body: bytes) -> Iterator[bytes]:
    """Yield the body in it: the SDKs wrap one in pieces, with a checksum at their end."""
    while body:
        size, _, body = body.partition(b"\r\n")
        size_bytes = int(size.partition(b";")[0], 16)
        if not size_bytes:
            return
        yield body[:size_bytes]
        body = body[size_bytes + 2 :]


def _serve(latency_s: float, line: Connection) -> None:
    async def listen() -> None:
        loop = asyncio.get_running_loop()
        store = _Store(line)
        server = await loop.create_server(lambda: _Caller(store, latency_s), "127.0.0.1", 0, backlog=1024)
        loop.add_reader(line.fileno(), store.tell)
        line.send(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        await server.serve_forever()

    asyncio.run(listen())

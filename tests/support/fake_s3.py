"""An S3 on this machine: keeps objects and requests, and fails on demand."""

import asyncio
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import md5, sha256
from urllib.parse import unquote


@dataclass
class S3Sink:
    """`objects` by "bucket/key". Every request is noted in `asked`; from number `deaf_from` on, connections
    are closed without a word. The answers in `moods` replace the right ones, one for each
    request; who `hangs_up` does so after each answer. `hears` is called with each request, before its
    answer."""

    objects: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    deaf_from: int | None = None
    moods: deque[bytes] = field(default_factory=deque)
    hangs_up: bool = False
    connections: int = 0
    url: str = ""
    hears: Callable[[str, str], None] = lambda method, name: None

    def keys(self, bucket: str) -> set[str]:
        """The objects of a bucket."""
        return {name.partition("/")[2] for name in self.objects if name.startswith(f"{bucket}/")}

    def etag(self, name: str) -> str:
        """The ETag of an object that is there."""
        return f'"{md5(self.objects[name], usedforsecurity=False).hexdigest()}"'

    def answer(self, method: str, name: str, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
        """Status, ETag and body for one request."""
        there = name in self.objects
        if method == "GET":
            if not there:
                return 404, "", b"<Error><Code>NoSuchKey</Code></Error>"
            if headers.get("if-none-match") == self.etag(name):
                return 304, self.etag(name), b""
            return 200, self.etag(name), self.objects[name]
        if method == "DELETE":
            self.objects.pop(name, None)
            return 204, "", b""
        if headers["x-amz-content-sha256"] != sha256(body).hexdigest():
            return 400, "", b"<Error><Code>XAmzContentSHA256Mismatch</Code></Error>"
        wanted = headers.get("if-match")
        if (wanted and (not there or self.etag(name) != wanted)) or (
            there and headers.get("if-none-match") == "*"
        ):
            return 412, "", b"<Error><Code>PreconditionFailed</Code></Error>"
        self.objects[name] = body
        self.headers[name] = headers
        return 200, self.etag(name), b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until it is closed."""
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, path, _ = head[0].split(" ")
                lines = (line.partition(":") for line in head[1:-2])
                headers = {name.lower(): value.strip() for name, _, value in lines}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                name = unquote(path).removeprefix("/")
                self.asked.append((method, name))
                self.hears(method, name)
                if self.deaf_from is not None and len(self.asked) > self.deaf_from:
                    break
                status, etag, content = self.answer(method, name, headers, body)
                right = f"HTTP/1.1 {status} X\r\ncontent-length: {len(content)}\r\netag: {etag}\r\n\r\n"
                writer.write(self.moods.popleft() if self.moods else right.encode() + content)
                if self.hangs_up:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@contextmanager
def running(sink: S3Sink, tls: ssl.SSLContext | None = None) -> Iterator[S3Sink]:
    """The sink, listening on this machine for as long as the block lasts."""
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    stop: asyncio.Event = asyncio.Event()

    async def listen() -> None:
        server = await asyncio.start_server(sink.serve, "127.0.0.1", 0, backlog=512, ssl=tls)
        sink.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready.set()
        await stop.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    def run() -> None:
        loop.run_until_complete(listen())
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait()
    try:
        yield sink
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()

"""An S3 of one's own on this machine: keeps what it is sent, says what it was asked, fails when told to."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import md5, sha256
from urllib.parse import unquote


@dataclass
class S3Sink:
    """`objects` by "bucket/key". Every request is noted in `asked`; from number `deaf_from` on, connections
    are closed without a word. `latency_s` is waited before each answer."""

    objects: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    deaf_from: int | None = None
    latency_s: float = 0.0
    url: str = ""
    keep_bodies: bool = True

    def keys(self, bucket: str) -> set[str]:
        """What a bucket holds."""
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
        if self.keep_bodies and headers["x-amz-content-sha256"] != sha256(body).hexdigest():
            return 400, "", b"<Error><Code>XAmzContentSHA256Mismatch</Code></Error>"
        wanted = headers.get("if-match")
        if (wanted and (not there or self.etag(name) != wanted)) or (
            there and headers.get("if-none-match") == "*"
        ):
            return 412, "", b"<Error><Code>PreconditionFailed</Code></Error>"
        self.objects[name] = body if self.keep_bodies else b""
        self.headers[name] = headers
        return 200, self.etag(name), b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until it is closed."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, path, _ = head[0].split(" ")
                lines = (line.partition(":") for line in head[1:-2])
                headers = {name.lower(): value.strip() for name, _, value in lines}
                if headers.get("expect") == "100-continue":
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                name = unquote(path.partition("?")[0]).removeprefix("/")
                self.asked.append((method, name))
                if self.deaf_from is not None and len(self.asked) > self.deaf_from:
                    break
                if self.latency_s:
                    await asyncio.sleep(self.latency_s)
                status, etag, content = self.answer(method, name, headers, body)
                answer = f"HTTP/1.1 {status} X\r\ncontent-length: {len(content)}\r\netag: {etag}\r\n\r\n"
                writer.write(answer.encode() + content)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@contextmanager
def running(sink: S3Sink) -> Iterator[S3Sink]:
    """The sink, listening on this machine for as long as the block lasts."""
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    stop: asyncio.Event = asyncio.Event()

    async def listen() -> None:
        server = await asyncio.start_server(sink.serve, "127.0.0.1", 0, backlog=512)
        sink.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
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

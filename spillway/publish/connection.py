"""One kept-alive HTTP/1.1 connection: send a request, parse its response.

An asyncio protocol without streams: streams cost as much as all other work for a small object. The parser
knows as much of HTTP/1.1 as S3 uses.
"""

import asyncio
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

TIMEOUT_S = 60.0
HEAD_BYTES_MAX = 64 * 1024
_HEADER = re.compile(r"\r\n([^:\r\n]+):([^\r\n]*)")
_STATUSES_WITHOUT_BODY = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class Response:
    """A response of the server. Header names are in lower case.

    Attributes:
        closes: the server sends nothing more on this connection.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    closes: bool = False


class Connection:
    """A connection that opens on first use, and again after either side has closed it."""

    def __init__(
        self, address: tuple[str, int], tls: ssl.SSLContext | None, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._address = address
        self._tls = tls
        self._timeout_s = timeout_s
        self._protocol: ResponseProtocol | None = None

    async def exchange(self, message: bytes) -> Response:
        """Send a request and return its response.

        Raises:
            OSError: the connection failed; close it and try again.
            TimeoutError: the server did not respond in time.
            ValueError: the response cannot be parsed.
        """
        if self._protocol is None or self._protocol.closed:
            self._protocol = await self._opened()
        return await self._protocol.request(message)

    def close(self) -> None:
        """Close the connection."""
        if self._protocol is not None:
            self._protocol.close()
            self._protocol = None

    async def _opened(self) -> "ResponseProtocol":
        loop = asyncio.get_running_loop()
        host, port = self._address
        async with asyncio.timeout(self._timeout_s):
            _, protocol = await loop.create_connection(
                lambda: ResponseProtocol(loop, self._timeout_s), host, port, ssl=self._tls
            )
        return protocol


class ResponseProtocol(asyncio.Protocol):
    """One request at a time over one open transport. One timer serves all requests."""

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout_s: float) -> None:
        self._loop = loop
        self._timeout_s = timeout_s
        self._requested_s = 0.0
        self._response: asyncio.Future[Response] | None = None
        self._data = b""

    @property
    def closed(self) -> bool:
        return self._transport.is_closing()

    def request(self, message: bytes) -> asyncio.Future[Response]:
        self._data = b""
        self._requested_s = self._loop.time()
        self._response = self._loop.create_future()
        self._transport.write(message)
        return self._response

    def close(self) -> None:
        self._timer.cancel()
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._timer = self._loop.call_later(self._timeout_s, self._check_timeout)

    def data_received(self, data: bytes) -> None:
        self._data = self._data + data if self._data else data
        self._parse(ended=False)

    def eof_received(self) -> None:
        self._parse(ended=True)

    def connection_lost(self, error: Exception | None) -> None:
        self._timer.cancel()
        self._fail(error or ConnectionResetError("the connection was closed before the response"))

    def _parse(self, *, ended: bool) -> None:
        if self._response is None or self._response.done():
            # No request is open: the server announces that it closes the connection.
            self._transport.abort()
            return
        try:
            response = parse_response(self._data, ended=ended)
        except ValueError as error:
            self._fail(error)
            self._transport.abort()
            return
        if response is not None:
            # A server that responds before the whole request was sent does not read the rest.
            if response.closes or self._transport.get_write_buffer_size():
                self._transport.abort()
            self._response.set_result(response)

    def _fail(self, error: Exception) -> None:
        if self._response is not None and not self._response.done():
            self._response.set_exception(error)

    def _check_timeout(self) -> None:
        now_s = self._loop.time()
        due_s = now_s + self._timeout_s
        if self._response is not None and not self._response.done():
            due_s = self._requested_s + self._timeout_s
            if due_s <= now_s:
                self._fail(TimeoutError(f"no response within {self._timeout_s:g} s"))
                self._transport.abort()
                return
        self._timer = self._loop.call_at(due_s, self._check_timeout)


def parse_response(data: bytes, *, ended: bool = False) -> Response | None:
    """Return the response in `data`, or None while it is incomplete.

    Args:
        data: the bytes received since the request was sent.
        ended: the server has closed its side; no more bytes follow.

    Raises:
        ValueError: `data` is no HTTP response, or holds more than one.
    """
    head_end = data.find(b"\r\n\r\n")
    if head_end < 0:
        if len(data) > HEAD_BYTES_MAX:
            raise ValueError(f"response headers of more than {HEAD_BYTES_MAX} bytes")
        return None
    head = data[:head_end].decode("latin-1")
    version, _, rest = head.partition(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError("the response is not HTTP/1")
    status = int(rest[:3])
    if status < 200:
        return parse_response(data[head_end + 4 :], ended=ended)
    headers = {name.lower(): value.strip() for name, value in _HEADER.findall(head)}
    found = _body(data, head_end + 4, status, headers, ended=ended)
    if found is None:
        return None
    body, end = found
    if end < len(data):
        raise ValueError("more than one response")
    closes = version == "HTTP/1.0" or headers.get("connection", "").lower() == "close"
    return Response(status, headers, body, closes or ended)


def _body(
    data: bytes, start: int, status: int, headers: Mapping[str, str], *, ended: bool
) -> tuple[bytes, int] | None:
    """Return the body that begins at `start` and its end, or None while it is incomplete."""
    if status in _STATUSES_WITHOUT_BODY:
        return b"", start
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return _chunked_body(data, start)
    if "content-length" not in headers:
        return (data[start:], len(data)) if ended else None
    end = start + _size(headers["content-length"], 10)
    return (data[start:end], end) if end <= len(data) else None


def _chunked_body(data: bytes, at: int) -> tuple[bytes, int] | None:
    chunks: list[bytes] = []
    while (line_end := data.find(b"\r\n", at)) >= 0:
        size_bytes = _size(data[at:line_end].partition(b";")[0].decode("latin-1").strip(), 16)
        if not size_bytes:
            # Trailers between the last chunk and the empty line are not needed.
            end = data.find(b"\r\n\r\n", line_end)
            return (b"".join(chunks), end + 4) if end >= 0 else None
        start, at = line_end + 2, line_end + 2 + size_bytes + 2
        chunks.append(data[start : at - 2])
    return None


def _size(text: str, base: int) -> int:
    # int() accepts signs and underscores, too.
    if not (text.isascii() and text.isalnum()):
        raise ValueError(f"the response states a size of {text!r} bytes")
    return int(text, base)

"""One kept-alive HTTP/1.1 connection: send a request, parse its response.

An asyncio protocol without streams: streams cost as much as all other work for a small object.
"""

import asyncio
import ssl
from typing import cast

from chalicelib.aws.response import Response, parse_response

TIMEOUT_S = 60.0


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

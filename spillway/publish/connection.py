"""One connection to S3, kept for request after request. A protocol of asyncio's and no streams: they cost as
much as all else that is done for a small object."""

import asyncio
import ssl
from typing import cast

from spillway.publish.answer import Answer, parse_response

TIMEOUT_S = 60.0


class Connection:
    """Opened when first needed, and again after it was closed by either side."""

    def __init__(
        self, address: tuple[str, int], tls: ssl.SSLContext | None, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._address = address
        self._tls = tls
        self._timeout_s = timeout_s
        self._line: _Line | None = None

    async def exchange(self, message: bytes) -> Answer:
        """Send a request and read its answer.

        Raises:
            OSError, TimeoutError, ValueError: there was none that can be read; close, and try again.
        """
        if self._line is None or self._line.closed:
            self._line = await self._opened()
        return await self._line.ask(message)

    def close(self) -> None:
        """Hang up."""
        if self._line is not None:
            self._line.close()
            self._line = None

    async def _opened(self) -> "_Line":
        loop = asyncio.get_running_loop()
        host, port = self._address
        async with asyncio.timeout(self._timeout_s):
            _, line = await loop.create_connection(
                lambda: _Line(loop, self._timeout_s), host, port, ssl=self._tls
            )
        return line


class _Line(asyncio.Protocol):
    """What stands between opening and closing. One timer watches over all of its requests."""

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout_s: float) -> None:
        self._loop = loop
        self._timeout_s = timeout_s
        self._asked_s = 0.0
        self._answer: asyncio.Future[Answer] | None = None
        self._data = b""

    @property
    def closed(self) -> bool:
        return self._transport.is_closing()

    def ask(self, message: bytes) -> asyncio.Future[Answer]:
        self._data = b""
        self._asked_s = self._loop.time()
        self._answer = self._loop.create_future()
        self._transport.write(message)
        return self._answer

    def close(self) -> None:
        self._watch.cancel()
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._watch = self._loop.call_later(self._timeout_s, self._look_at_the_clock)

    def data_received(self, data: bytes) -> None:
        self._data = self._data + data if self._data else data
        self._read(ended=False)

    def eof_received(self) -> None:
        self._read(ended=True)

    def connection_lost(self, error: Exception | None) -> None:
        self._watch.cancel()
        self._fail(error or ConnectionResetError("the connection was closed before the answer"))

    def _read(self, *, ended: bool) -> None:
        if self._answer is None or self._answer.done():
            # Nobody asked: a server says so when it is about to hang up.
            self._transport.abort()
            return
        try:
            answer = parse_response(self._data, ended=ended)
        except ValueError as error:
            self._fail(error)
            self._transport.abort()
            return
        if answer is not None:
            # Who answers before the request is whole will not read the rest of it.
            if answer.hangs_up or self._transport.get_write_buffer_size():
                self._transport.abort()
            self._answer.set_result(answer)

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    def _look_at_the_clock(self) -> None:
        now_s = self._loop.time()
        due_s = now_s + self._timeout_s
        if self._answer is not None and not self._answer.done():
            due_s = self._asked_s + self._timeout_s
            if due_s <= now_s:
                self._fail(TimeoutError(f"no answer within {self._timeout_s:g} s"))
                self._transport.abort()
                return
        self._watch = self._loop.call_at(due_s, self._look_at_the_clock)

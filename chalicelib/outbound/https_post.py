"""One HTTPS POST to an address of another system, within 15 seconds, without redirects.

`connect` opens the connection to a checked address, here and in `fetching`.

The name of the URL is resolved and checked once; the connection goes to a checked address, under the name's
certificate. A proxy of the environment is not used. Only the head of the answer is read.
"""

import re
import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException, HTTPResponse
from io import BytesIO
from typing import Any

from chalicelib.outbound.addresses import NameUnknown, Target, TargetRefused, parse_target, resolve_public
from chalicelib.outbound.deliveries import EndpointResponse

TIMEOUT_S = 15.0
# The next address of a name may answer where the first does not.
ADDRESSES_MAX = 3
HEAD_BYTES_MAX = 16 * 1024
INTERIM = re.compile(rb"HTTP/1\.1 1[0-9][0-9]\b")
USER_AGENT = "Spillway"
# The error of an answer, by the first kind that fits.
ERRORS: Mapping[type[Exception], str] = {
    TargetRefused: "not_public",
    NameUnknown: "name_unknown",
    TimeoutError: "timeout",
    ssl.SSLCertVerificationError: "certificate",
    ssl.SSLError: "tls",
    OSError: "connection",
    HTTPException: "no_http",
}


class HttpsPoster:
    """Posts to public addresses. Every failure is an answer: a delivery is repeated, whatever it was.

    Args:
        context: how certificates are checked; None checks them as the system does.
        resolve: returns the checked addresses of a host, as `resolve_public`.
        monotonic: seconds of a clock that never goes back.
    """

    def __init__(
        self,
        context: ssl.SSLContext | None = None,
        resolve: Callable[[str], Sequence[str]] = resolve_public,
        monotonic: Callable[[], float] = time.monotonic,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._context = context or ssl.create_default_context()
        self._resolve = resolve
        self._monotonic = monotonic
        self._timeout_s = timeout_s

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> EndpointResponse:
        """Post a body and return the answer's status, or the kind of error."""
        try:
            target = parse_target(url)
            return self._exchange(target, self._resolve(target.host), _request(target, headers, body))
        except tuple(ERRORS) as error:
            return EndpointResponse(
                error=next(name for kind, name in ERRORS.items() if isinstance(error, kind))
            )

    def _exchange(self, target: Target, addresses: Sequence[str], request: bytes) -> EndpointResponse:
        deadline = Deadline(self._monotonic, self._timeout_s)
        with (
            connect(addresses, target.port, deadline) as plain,
            self._context.wrap_socket(plain, server_hostname=target.host) as connection,
        ):
            connection.settimeout(deadline.left_s())
            connection.sendall(request)
            return _answer(_head(connection, deadline))


class Deadline:
    """A time limit over several calls.

    Args:
        monotonic: seconds of a clock that never goes back.
        seconds: the limit, from now on.
    """

    def __init__(self, monotonic: Callable[[], float], seconds: float) -> None:
        self._monotonic = monotonic
        self._ends_at = monotonic() + seconds

    def left_s(self) -> float:
        """Return the seconds that are left.

        Raises:
            TimeoutError: there are none.
        """
        left = self._ends_at - self._monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def connect(addresses: Sequence[str], port: int, deadline: Deadline) -> socket.socket:
    """Connect to the first address that takes it; each but the last has an equal share of the time.

    A function without IPv6 reaches the IPv4 address that comes after.

    Args:
        addresses: checked addresses, of which the first few are tried.
        port: the port.
        deadline: the limit; the handshake that follows keeps to it, too.

    Raises:
        OSError: none takes it.
    """
    tried = addresses[:ADDRESSES_MAX]
    for position, address in enumerate(tried, start=1):
        share_s = deadline.left_s() / (len(tried) - position + 1)
        try:
            connection = socket.create_connection((address, port), timeout=share_s)
        except OSError:
            if position == len(tried):
                raise
        else:
            connection.settimeout(deadline.left_s())
            return connection
    raise OSError("no address")


def _request(target: Target, headers: Mapping[str, str], body: bytes) -> bytes:
    lines = {
        "Host": target.authority,
        "User-Agent": USER_AGENT,
        "Accept": "*/*",
        "Connection": "close",
        "Content-Length": str(len(body)),
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {target.path} HTTP/1.1\r\n{head}\r\n".encode("ascii") + body


def _head(connection: socket.socket, deadline: Deadline) -> bytes:
    """Read until the end of the headers; a sender of one byte a second does not extend the time.

    Interim answers come before the one that counts (RFC 9110, section 15.2).
    """
    head = b""
    while len(head) < HEAD_BYTES_MAX:
        first, end, rest = head.partition(b"\r\n\r\n")
        if end and not INTERIM.match(first):
            break
        if end:
            head = rest
            continue
        connection.settimeout(deadline.left_s())
        piece = connection.recv(4096)
        if not piece:
            break
        head += piece
    return head


def _answer(head: bytes) -> EndpointResponse:
    received: Any = _Received(head)
    response = HTTPResponse(received)
    response.begin()
    after = response.headers.get("retry-after", "")
    return EndpointResponse(
        response.status,
        retry_after_s=int(after) if after.isascii() and after.isdigit() and len(after) < 9 else None,
    )


class _Received:
    """Bytes in the form from which `HTTPResponse` reads."""

    def __init__(self, head: bytes) -> None:
        self._head = head

    def makefile(self, _: str) -> BytesIO:
        return BytesIO(self._head)

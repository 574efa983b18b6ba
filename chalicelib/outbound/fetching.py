"""Requests over https to systems that the merchant named, to public addresses alone.

A redirect is not followed: it would lead to an address that nobody checked. Answers are read up to a bound of
bytes and of time. A busy or broken server is asked again, later each time.
"""

import http.client
import random
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from chalicelib.outbound.addresses import NameUnknown, Target, TargetRefused, parse_target, resolve_public
from chalicelib.outbound.https_post import USER_AGENT, Deadline, connect

TIMEOUT_S = 20.0
# The connection with its handshake, over all addresses that are tried.
CONNECT_TIMEOUT_S = 15.0
ANSWER_BYTES_MAX = 20_000_000
ANSWER_S_MAX = 60.0
CHUNK_BYTES = 65_536
ATTEMPTS_MAX = 5
WAIT_S_FIRST = 1.0
WAIT_S_MAX = 60.0
AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


class FetchFailed(Exception):
    """A request had no usable answer. The message names the host and the reason, and no secret."""


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """An answer of a server: its status, its headers by name in lower case, and its body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _Unanswered(Exception):
    """One attempt failed in a way that may pass."""


class HttpsFetcher:
    """Sends requests over https, and again where that may help.

    Args:
        addresses_of: returns the addresses of a host that may be called, as `resolve_public` does.
        context: the certificates that are trusted; None for those of the system.
        sleep: waits for so many seconds.
        jitter: returns a number from 0 to 1.
        attempts_max: the most attempts of one request, the first among them.
    """

    def __init__(
        self,
        *,
        addresses_of: Callable[[str], list[str]] = resolve_public,
        context: ssl.SSLContext | None = None,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
        attempts_max: int = ATTEMPTS_MAX,
    ) -> None:
        self._addresses_of = addresses_of
        self._context = context or ssl.create_default_context()
        self.sleep = sleep
        self._jitter = jitter
        self._attempts_max = attempts_max

    def fetch(
        self, url: str, headers: Mapping[str, str], *, method: str = "GET", body: bytes | None = None
    ) -> HttpResponse:
        """Return the answer of a server, whose status is 200.

        Raises:
            FetchFailed: the address is refused, or no attempt was answered with 200.
        """
        try:
            target = parse_target(url)
        except TargetRefused as refused:
            raise FetchFailed(f"{_shown(url)}: {refused}") from None
        reason = ""
        for attempt in range(self._attempts_max):
            try:
                answer = self._send(target, headers, method, body)
            except TargetRefused as refused:
                raise FetchFailed(f"{target.host}: {refused}") from None
            except _Unanswered as failed:
                reason, wait_s = str(failed), None
            else:
                if answer.status == HTTPStatus.OK:
                    return answer
                if answer.status not in AGAIN:
                    raise FetchFailed(_unusable(target, answer))
                reason, wait_s = f"answered {answer.status}", _retry_after_s(answer)
            if attempt + 1 < self._attempts_max:
                backoff_s = WAIT_S_FIRST * 2**attempt * (1 + self._jitter())
                self.sleep(min(WAIT_S_MAX, backoff_s if wait_s is None else wait_s))
        raise FetchFailed(f"{target.host}: {reason}, {self._attempts_max} times")

    def _send(
        self, target: Target, headers: Mapping[str, str], method: str, body: bytes | None
    ) -> HttpResponse:
        try:
            addresses = self._addresses_of(target.host)
        except NameUnknown as unknown:
            raise _Unanswered(str(unknown)) from None
        connection = _CheckedConnection(target, addresses, self._context)
        try:
            connection.request(
                method, target.path, body, {"Host": target.authority, "User-Agent": USER_AGENT, **headers}
            )
            response = connection.getresponse()
            read = _read(response)
            named = {name.lower(): value for name, value in response.getheaders()}
            return HttpResponse(response.status, named, read)
        except ssl.SSLCertVerificationError as error:
            raise FetchFailed(f"{target.host}: its certificate: {error.verify_message}") from None
        except (OSError, http.client.HTTPException) as error:
            raise _Unanswered(f"no answer ({type(error).__name__})") from None
        finally:
            connection.close()


class _CheckedConnection(http.client.HTTPSConnection):
    """Connects to the first address that answers of those that were checked, under the name's certificate."""

    def __init__(self, target: Target, addresses: Sequence[str], context: ssl.SSLContext) -> None:
        super().__init__(target.host, target.port, timeout=TIMEOUT_S, context=context)
        self._addresses = addresses
        self._tls = context

    def connect(self) -> None:
        """Open the connection, the handshake within the same time."""
        plain = connect(self._addresses, self.port, Deadline(time.monotonic, CONNECT_TIMEOUT_S))
        try:
            self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise
        self.sock.settimeout(TIMEOUT_S)


def _read(response: http.client.HTTPResponse) -> bytes:
    until = time.monotonic() + ANSWER_S_MAX
    parts: list[bytes] = []
    size = 0
    while part := response.read(CHUNK_BYTES):
        parts.append(part)
        size += len(part)
        if size > ANSWER_BYTES_MAX:
            raise FetchFailed(f"the answer is larger than {ANSWER_BYTES_MAX:,} bytes")
        if time.monotonic() > until:
            raise _Unanswered(f"the answer took longer than {ANSWER_S_MAX:.0f} s")
    return b"".join(parts)


def _unusable(target: Target, answer: HttpResponse) -> str:
    if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
        return f"{target.host}: it redirects; name the address that it redirects to"
    if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return f"{target.host}: it refuses the credentials (status {answer.status})"
    return f"{target.host}: answered {answer.status} for {target.path.partition('?')[0]}"


def _retry_after_s(answer: HttpResponse) -> float | None:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else None


def _shown(url: str) -> str:
    """Return an address without what may be secret in it."""
    return url.partition("?")[0].rpartition("@")[2][:200]

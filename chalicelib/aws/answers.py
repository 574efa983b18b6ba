"""The answers of AWS, read from a connection (HTTP/1.1, RFC 9112).

`http.client` reads headers with the parser of emails, which takes a tenth of a signup's CPU and is one more
import of the cold start.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

LINE_BYTES_MAX = 64 * 1024
HEADERS_MAX = 100
# Answers before the one that counts, as 100 Continue.
INTERIM_MAX = 8
BODYLESS = frozenset({204, 304})
STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: |\r?\n)")


class NoHttp(ValueError):
    """Bytes that are no answer of HTTP/1.1, or one that ends before its length."""


class HungUp(ConnectionError):
    """The connection was closed before the first byte of an answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def read_answer(file: BinaryIO, method: str, *, bytes_max: int) -> tuple[Answer, bool]:
    """Read one answer, and return it and whether the connection may be used again.

    Args:
        file: the bytes of the connection.
        method: that of the request: an answer to HEAD has no body.
        bytes_max: the longest body that is read.

    Raises:
        HungUp: there is no answer.
        NoHttp: it is none of HTTP/1.1, it is cut off, or its body is longer than `bytes_max`.
        OSError: the connection broke, or nothing came in time.
    """
    for _ in range(INTERIM_MAX + 1):
        status, is_current = _status(file)
        headers = _headers(file)
        if status >= 200:
            break
    else:
        raise NoHttp("interim answers")
    keeps = is_current and "close" not in headers.get("connection", "").lower()
    if method == "HEAD" or status in BODYLESS:
        return Answer(status, headers, b""), keeps
    if "transfer-encoding" in headers:
        return Answer(status, headers, _chunks(file, headers["transfer-encoding"], bytes_max)), keeps
    length = headers.get("content-length")
    if length is None:
        # It ends with the connection.
        body = file.read(bytes_max + 1)
        if len(body) > bytes_max:
            raise NoHttp("long body")
        return Answer(status, headers, body), False
    return Answer(status, headers, _exactly(file, _number(length, 10, bytes_max))), keeps


def _status(file: BinaryIO) -> tuple[int, bool]:
    """Return the status, and whether the version is one that keeps connections."""
    line = _line(file)
    if not line:
        raise HungUp
    found = STATUS_LINE.match(line)
    if not found:
        raise NoHttp("status line")
    return int(found[2]), found[1] == b"1"


def _headers(file: BinaryIO) -> dict[str, str]:
    """Return the headers, or the trailers after a chunked body. The values of a name are joined."""
    headers: dict[str, str] = {}
    for _ in range(HEADERS_MAX + 1):
        line = _line(file)
        if not line.strip(b"\r\n"):
            if not line:
                raise NoHttp("cut off")
            return headers
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or name != name.strip() or not name:
            raise NoHttp("header")
        name, value = name.lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    raise NoHttp("many headers")


def _chunks(file: BinaryIO, coding: str, bytes_max: int) -> bytes:
    if coding.lower() != "chunked":
        raise NoHttp("transfer coding")
    body = bytearray()
    while size := _number(_chunk_size(file), 16, bytes_max - len(body)):
        body += _exactly(file, size)
        if _line(file).strip(b"\r\n"):
            raise NoHttp("chunk")
    _headers(file)
    return bytes(body)


def _chunk_size(file: BinaryIO) -> str:
    """Return the size's digits, without the extensions that may follow."""
    return _line(file).partition(b";")[0].decode("latin-1").strip()


def _number(text: str, base: int, most: int) -> int:
    if not text.isascii() or not text.isalnum():
        raise NoHttp("length")
    try:
        number = int(text, base)
    except ValueError:
        raise NoHttp("length") from None
    if number > most:
        raise NoHttp("long body")
    return number


def _exactly(file: BinaryIO, size: int) -> bytes:
    body = file.read(size)
    if len(body) < size:
        raise NoHttp("cut off")
    return body


def _line(file: BinaryIO) -> bytes:
    line = file.readline(LINE_BYTES_MAX + 1)
    if len(line) > LINE_BYTES_MAX or (line and not line.endswith(b"\n")):
        raise NoHttp("line")
    return line

"""HTTP/1.1 responses in the bytes that came so far (RFC 9112): for calls to AWS, and for uploads to S3.

`http.client` reads headers with the parser of emails, which takes a tenth of a signup's CPU and is one more
import of the cold start. The parser knows as much of HTTP/1.1 as AWS uses.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

HEAD_BYTES_MAX = 64 * 1024
_STATUS_LINE = re.compile(r"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: |\Z)")
_HEADER = re.compile(r"\r\n([^\s:]+):([^\r\n]*)")
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


def parse_response(data: bytes, *, ended: bool = False, method: str = "GET") -> Response | None:
    """Return the response in `data`, or None while it is incomplete.

    Args:
        data: the bytes received since the request was sent.
        ended: the server has closed its side; no more bytes follow.
        method: that of the request: a response to HEAD has no body.

    Raises:
        ValueError: `data` is no HTTP response, or holds more than one.
    """
    start = 0
    while True:
        head_end = data.find(b"\r\n\r\n", start)
        if head_end < 0:
            if len(data) - start > HEAD_BYTES_MAX:
                raise ValueError(f"response headers of more than {HEAD_BYTES_MAX} bytes")
            return None
        head = data[start:head_end].decode("latin-1")
        first, _, _ = head.partition("\r\n")
        line = _STATUS_LINE.match(first)
        if line is None:
            raise ValueError("the response is not HTTP/1")
        start, status = head_end + 4, int(line[2])
        if status >= 200:
            break
    headers = _headers(head)
    bodiless = method == "HEAD" or status in _STATUSES_WITHOUT_BODY
    found = (b"", start) if bodiless else _body(data, start, headers, ended=ended)
    if found is None:
        return None
    body, end = found
    if end < len(data):
        raise ValueError("more than one response")
    closes = line[1] == "0" or headers.get("connection", "").lower() == "close"
    return Response(status, headers, body, closes or ended)


def _headers(head: str) -> dict[str, str]:
    """Return the headers. The values of one name are joined (RFC 9110, section 5.3)."""
    headers: dict[str, str] = {}
    found = _HEADER.findall(head)
    if len(found) != head.count("\r\n"):
        raise ValueError("a header of the response has no name")
    for written, text in found:
        name, value = written.lower(), text.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _body(data: bytes, start: int, headers: Mapping[str, str], *, ended: bool) -> tuple[bytes, int] | None:
    """Return the body that begins at `start` and its end, or None while it is incomplete."""
    if "transfer-encoding" in headers:
        if headers["transfer-encoding"].lower() != "chunked":
            raise ValueError("the response has an unknown transfer coding")
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
        if not b"\r\n".startswith(data[at - 2 : at]):
            raise ValueError("a chunk of the response is longer than its size")
        chunks.append(data[start : at - 2])
    return None


def _size(text: str, base: int) -> int:
    # int() accepts signs and underscores, too.
    if not (text.isascii() and text.isalnum()):
        raise ValueError(f"the response states a size of {text!r} bytes")
    return int(text, base)

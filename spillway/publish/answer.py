"""What S3 answers, read from its bytes: as much of HTTP/1.1 as an answer without surprises needs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

HEAD_BYTES_MAX = 64 * 1024
_HEADER = re.compile(r"\r\n([^:\r\n]+):([^\r\n]*)")
_WITHOUT_BODY = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Names of headers are in lower case. After one that `hangs_up` nothing more comes."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    hangs_up: bool = False


def parse_response(data: bytes, *, ended: bool = False) -> Answer | None:
    """The answer that `data` is; None while it is not whole. `ended` says that nothing follows.

    Raises:
        ValueError: it is none, or more than one.
    """
    head_end = data.find(b"\r\n\r\n")
    if head_end < 0:
        if len(data) > HEAD_BYTES_MAX:
            raise ValueError("an answer without an end to its head")
        return None
    head = data[:head_end].decode("latin-1")
    version, _, rest = head.partition(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError("an answer that is not HTTP")
    status = int(rest[:3])
    if status < 200:
        return parse_response(data[head_end + 4 :], ended=ended)
    headers = {name.lower(): value.strip() for name, value in _HEADER.findall(head)}
    found = _body(data, head_end + 4, status, headers, ended=ended)
    if found is None:
        return None
    body, end = found
    if end < len(data):
        raise ValueError("more than an answer")
    closes = version == "HTTP/1.0" or headers.get("connection", "").lower() == "close"
    return Answer(status, headers, body, closes or ended)


def _body(
    data: bytes, start: int, status: int, headers: Mapping[str, str], *, ended: bool
) -> tuple[bytes, int] | None:
    """The body that begins at `start`, and where it ends."""
    if status in _WITHOUT_BODY:
        return b"", start
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return _chunked(data, start)
    if "content-length" not in headers:
        return (data[start:], len(data)) if ended else None
    end = start + _number(headers["content-length"], 10)
    return (data[start:end], end) if end <= len(data) else None


def _chunked(data: bytes, at: int) -> tuple[bytes, int] | None:
    chunks: list[bytes] = []
    while (line_end := data.find(b"\r\n", at)) >= 0:
        size_bytes = _number(data[at:line_end].partition(b";")[0].decode("latin-1").strip(), 16)
        if not size_bytes:
            # What may stand between the last chunk and the empty line tells nothing that is needed.
            end = data.find(b"\r\n\r\n", line_end)
            return (b"".join(chunks), end + 4) if end >= 0 else None
        start, at = line_end + 2, line_end + 2 + size_bytes + 2
        chunks.append(data[start : at - 2])
    return None


def _number(text: str, base: int) -> int:
    # int() takes signs and underscores, too.
    if not (text.isascii() and text.isalnum()):
        raise ValueError(f"an answer of {text!r} bytes")
    return int(text, base)

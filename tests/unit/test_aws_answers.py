"""Answers of AWS read from bytes: as `http.client` reads them, or refused."""

from http.client import HTTPException, HTTPResponse
from io import BytesIO
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.aws.answers import (
    HEADERS_MAX,
    INTERIM_MAX,
    LINE_BYTES_MAX,
    Answer,
    HungUp,
    NoHttp,
    read_answer,
)

BYTES_MAX = 1_000
NAMES = ("Content-Type", "x-amz-crc32", "X-AMZN-RequestId", "Date", "connection")
VALUES = ("application/json", "close", "Keep-Alive", "", "  a b  ", "7", "\xe9")
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
BODIES = st.binary(max_size=40)


def read(data: bytes, method: str = "POST") -> tuple[Answer, bool]:
    return read_answer(BytesIO(data), method, bytes_max=BYTES_MAX)


def read_by_the_library(data: bytes, method: str) -> tuple[int, dict[str, str], bytes, bool]:
    class Sock:
        def makefile(self, _mode: str) -> Any:
            return BytesIO(data)

    answer = HTTPResponse(Sock(), method=method)
    answer.begin()
    body = answer.read()
    headers = {name.lower(): value.strip() for name, value in answer.getheaders()}
    return answer.status, headers, body, not answer.will_close


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """An answer as a server may send it: a body by its length, in chunks, or up to the end."""
    status = draw(st.sampled_from([200, 204, 304, 400, 503]))
    head = [f"HTTP/1.{draw(st.sampled_from('01'))} {status} Words"]
    names = draw(st.lists(st.sampled_from(NAMES), unique_by=str.lower, max_size=4))
    head += [f"{name}:{draw(st.sampled_from(['', ' ']))}{draw(st.sampled_from(VALUES))}" for name in names]
    body = draw(BODIES)
    # RFC 9112, section 6.1: an answer without a body has no chunks, which the library would read.
    ways = ["length", "end"] if status in {204, 304} else ["length", "chunks", "end"]
    match draw(st.sampled_from(ways)):
        case "length":
            head.append(f"Content-Length: {len(body)}")
        case "chunks":
            head.append("Transfer-Encoding: chunked")
            parts = [part for part in (body[:7], body[7:]) if part]
            extension = draw(st.sampled_from(["", ";a=b"]))
            body = b"".join(f"{len(part):x}{extension}\r\n".encode() + part + b"\r\n" for part in parts)
            body += b"0\r\n\r\n"
    interim = draw(st.sampled_from([b"", INTERIM]))
    return interim + "\r\n".join([*head, "", ""]).encode("latin-1") + body


@given(answers(), st.sampled_from(["POST", "HEAD"]))
@example(b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\n{}", "GET")
@example(b"HTTP/1.1 200 OK\nContent-Length: 2\n\n{}", "GET")
def test_an_answer_is_read_as_the_library_reads_it(data: bytes, method: str) -> None:
    status, headers, body, keeps = read_by_the_library(data, method)
    answer, ours = read(data, method)
    assert (answer.status, answer.headers, answer.body) == (status, headers, body)
    # The library keeps connections of HTTP/1.0 that ask for it, and others after an answer of no length.
    assert keeps or not ours
    if (
        data.removeprefix(INTERIM).startswith(b"HTTP/1.1")
        and {"content-length", "transfer-encoding"} & headers.keys()
    ):
        assert ours is keeps


@given(answers(), st.data())
def test_an_answer_that_is_cut_off_is_none(data: bytes, draw: st.DataObject) -> None:
    whole, _ = read(data)
    kept = data[: draw.draw(st.integers(0, len(data) - 1))]
    try:
        answer, keeps = read(kept)
    except (NoHttp, HungUp):
        return
    # Without a length it ends where the connection ends.
    assert not keeps or answer == whole
    assert answer.headers == whole.headers
    assert whole.body.startswith(answer.body)


@given(st.binary(max_size=200))
def test_no_bytes_are_anything_but_an_answer_or_none(data: bytes) -> None:
    try:
        read(data)
    except (NoHttp, HungUp):
        return


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no answer of HTTP\r\n", "status line"),
        (b"HTTP/2 200 OK\r\n\r\n", "status line"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "status line"),
        (b"HTTP/1.1 099 OK\r\n\r\n", "status line"),
        (b"HTTP/1.1 200 OK", "line"),
        (b"HTTP/1.1 200 " + b"x" * LINE_BYTES_MAX + b"\r\n\r\n", "line"),
        (b"HTTP/1.1 200 OK\r\n", "cut off"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "header"),
        (b"HTTP/1.1 200 OK\r\na: 1\r\n b: 2\r\n\r\n", "header"),
        (b"HTTP/1.1 200 OK\r\ncontent-length : 1\r\n\r\nx", "header"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: 1\r\n" * (HEADERS_MAX + 1) + b"\r\n", "many headers"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", "length"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1_0\r\n\r\n", "length"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}x", "length"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n", "long body"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{}", "cut off"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (BYTES_MAX + 1), "long body"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n", "transfer coding"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "length"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "length"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n", "long body"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n", "chunk"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * (INTERIM_MAX + 1), "interim answers"),
    ],
)
def test_each_fault_of_an_answer_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(NoHttp, match=f"^{reason}$"):
        read(data)


def test_a_longest_answer_and_values_of_one_name_are_read() -> None:
    body = b"x" * BYTES_MAX
    head = b"HTTP/1.1 200 OK\r\nVary: a\r\nvary:b\r\n"
    answer = Answer(200, {"vary": "a, b", "content-length": "1000"}, body)
    assert read(head + b"Content-Length: 1000\r\n\r\n" + body) == (answer, True)
    assert read(head + b"\r\n" + body) == (Answer(200, {"vary": "a, b"}, body), False)
    many = b"".join(b"h%d: 1\r\n" % number for number in range(HEADERS_MAX))
    assert len(read(b"HTTP/1.1 204 No\r\n" + many + b"\r\n")[0].headers) == HEADERS_MAX
    interim = b"HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n" * INTERIM_MAX
    assert read(interim + b"HTTP/1.1 204 No\r\n\r\n") == (Answer(204, {}, b""), True)


def test_the_library_refuses_what_has_no_status() -> None:
    with pytest.raises(HTTPException):
        read_by_the_library(b"no answer of HTTP\r\n", "GET")
    with pytest.raises(HungUp):
        read(b"")

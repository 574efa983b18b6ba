"""An answer is read right however it comes, and nothing is read that is none."""

from http.client import HTTPResponse
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.aws.response import HEAD_BYTES_MAX, Response, parse_response

BODIES = st.binary(max_size=300)
METHODS = st.sampled_from(["POST", "HEAD"])
LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=8)


class Sock:
    """Bytes in the form from which the library reads."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> Any:
        return BytesIO(self._data)


def in_chunks(body: bytes, sizes: list[int]) -> bytes:
    chunks: list[bytes] = []
    while body:
        size = sizes[len(chunks) % len(sizes)]
        chunks.append(b"%X;name=value\r\n%b\r\n" % (len(body[:size]), body[:size]))
        body = body[size:]
    return b"".join(chunks) + b"0\r\n"


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, Response]:
    """One as it comes, and as it is meant."""
    body, status = draw(BODIES), draw(st.sampled_from([200, 403, 500]))
    framing, framed = draw(
        st.sampled_from(
            [
                ("content-length", (b"Content-Length: %d\r\n\r\n%b", (len(body), body))),
                ("chunked", (b"Transfer-Encoding: chunked\r\n\r\n%b\r\n", (in_chunks(body, draw(LENGTHS)),))),
                ("trailer", (b"Transfer-Encoding: chunked\r\n\r\n%bX: 1\r\n\r\n", (in_chunks(body, [9]),))),
            ]
        )
    )
    header = {"content-length": str(len(body))}
    if framing != "content-length":
        header = {"transfer-encoding": "chunked"}
    before = draw(st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n"]))
    text = before + b'HTTP/1.1 %d Any word\r\nETag:  "a:b" \r\n' % status + framed[0] % framed[1]
    return text, Response(status, {"etag": '"a:b"', **header}, body)


@given(answers())
def test_an_answer_is_whole_with_its_last_byte_and_not_before(answer: tuple[bytes, Response]) -> None:
    text, meant = answer
    assert parse_response(text) == meant
    assert [parse_response(text[:end]) for end in range(len(text))] == [None] * len(text)


@given(answers(), METHODS, st.sampled_from([b"HTTP/1.1 ", b"HTTP/1.0 "]), st.booleans())
def test_a_response_is_read_as_the_library_reads_it(
    answer: tuple[bytes, Response], method: str, version: bytes, closes: bool
) -> None:
    head, end, body = answer[0].rpartition(b"ETag:")[2].partition(b"\r\n\r\n")
    before = answer[0].rpartition(b"ETag:")[0].replace(b"HTTP/1.1 ", version)
    said = b"Connection: Close\r\n" if closes else b""
    text = before + said + b"ETag:" + head + end + (b"" if method == "HEAD" else body)
    read = HTTPResponse(Sock(text), method=method)
    read.begin()
    headers = {name.lower(): value.strip() for name, value in read.getheaders()}
    expected = Response(read.status, headers, read.read(), read.will_close)
    assert parse_response(text, method=method) == expected


@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_are_anything_but_a_response_or_a_part_of_one(data: bytes, ended: bool) -> None:
    for text in (data, b"HTTP/1.1 200 OK\r\n" + data):
        try:
            parse_response(text, ended=ended)
        except ValueError:
            continue


def test_values_of_one_name_are_joined_and_two_thousand_interim_responses_are_skipped() -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n" * 2_000
    text = interim + b"HTTP/1.1 204\r\nVary: a\r\nvary:b\r\n\r\n"
    assert parse_response(text) == Response(204, {"vary": "a, b"}, b"")


def test_a_body_of_no_known_length_ends_with_the_connection() -> None:
    text = b"HTTP/1.1 500 Oh\r\n\r\n<Code>InternalError</Code>"
    assert parse_response(text) is None
    assert parse_response(text, ended=True) == Response(500, {}, b"<Code>InternalError</Code>", closes=True)


@pytest.mark.parametrize("status", [204, 304])
def test_a_response_without_a_body_is_complete_at_once(status: int) -> None:
    answer = parse_response(b"HTTP/1.1 %d X\r\ncontent-length: 7\r\n\r\n" % status)
    assert answer is not None
    assert (answer.status, answer.body) == (status, b"")


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nConnection: Close\r\n", b"HTTP/1.0 200 OK\r\n"], ids=["said", "old"]
)
def test_a_connection_closed_by_the_server_is_not_used_again(head: bytes) -> None:
    answer = parse_response(head + b"content-length: 0\r\n\r\n")
    assert answer is not None
    assert answer.closes


@pytest.mark.parametrize(
    "text",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 twohundred\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\na: 1\r\n b: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length : 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}x",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1_0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1, 1\r\n\r\na",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n+1\r\na\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\naHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"a" * HEAD_BYTES_MAX,
    ],
)
def test_a_malformed_response_or_a_second_one_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"response|invalid literal"):
        parse_response(text)

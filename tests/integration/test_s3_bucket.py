"""Sending to S3: everything arrives, signed, whatever the server does with its connections."""

import ssl
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.aws.signing import Credentials, Signer
from spillway.errors import WorkFailed
from spillway.publish.s3 import (
    ATTEMPTS_MAX,
    SLOW_DOWN_ATTEMPTS_MAX,
    RequestHeaders,
    S3Bucket,
    S3Request,
    body_loader,
)
from tests.support.aws import REGION
from tests.support.certificate import write_certificate
from tests.support.fake_s3 import S3Sink, running

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
# As S3 answers a body that came too slowly, before it hangs up.
TIMED_OUT = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 27\r\n\r\n<Code>RequestTimeout</Code>"
SLOW_DOWN = b"HTTP/1.1 503 Slow Down\r\ncontent-length: 21\r\n\r\n<Code>SlowDown</Code>"
BROKEN = b"HTTP/1.1 500 X\r\ntransfer-encoding: chunked\r\n\r\n7\r\n<Code>O\r\n8\r\nh</Code>\r\n0\r\n\r\n"
SILENCE = b""


def bucket(sink: S3Sink, *, timeout_s: float = 60.0) -> S3Bucket:
    return S3Bucket(
        "pages",
        REGION,
        lambda: Credentials("key", "secret"),
        endpoint=sink.url,
        backoff_s=0.0,
        timeout_s=timeout_s,
    )


def puts(count: int) -> list[S3Request]:
    return [
        S3Request("PUT", f"page-{number}", load=partial(b"%d".__mod__, number)) for number in range(count)
    ]


def test_everything_arrives_once_and_is_heard_of(sink: S3Sink) -> None:
    heard: list[int] = []
    bucket(sink).send(iter(puts(3000)), lambda: heard.append(1))
    assert sink.objects == {f"pages/page-{number}": b"%d" % number for number in range(3000)}
    assert len(sink.asked) == len(heard) == 3000
    assert sink.connections <= 256


@pytest.mark.parametrize(("count", "connections"), [(None, 256), (2000, 256), (30, 8), (1, 1)])
def test_a_request_is_taken_when_a_connection_is_free_for_it(
    sink: S3Sink, count: int | None, connections: int
) -> None:
    taken, ahead, done = 0, 0, 0

    def requests() -> Iterator[S3Request]:
        nonlocal taken, ahead
        for request in puts(600):
            taken += 1
            ahead = max(ahead, taken - done)
            yield request

    def on_done() -> None:
        nonlocal done
        done += 1

    bucket(sink).send(requests(), on_done, count=count)
    assert (taken, done, ahead) == (600, 600, connections)


def test_a_body_is_loaded_when_its_turn_comes(sink: S3Sink) -> None:
    done: list[int] = []
    ahead: list[int] = []

    def load(number: int) -> bytes:
        ahead.append(number - len(done))
        return b"x"

    requests = (S3Request("PUT", str(number), load=partial(load, number)) for number in range(2000))
    bucket(sink).send(requests, lambda: done.append(1))
    assert max(ahead) <= 256


def test_large_bodies_wait_for_room(sink: S3Sink) -> None:
    large, on_their_way, most = b"x" * (5 * 1024 * 1024), 0, 0

    def load() -> bytes:
        nonlocal on_their_way, most
        on_their_way += 1
        most = max(most, on_their_way)
        return large

    def done() -> None:
        nonlocal on_their_way
        on_their_way -= 1

    bucket(sink).send([S3Request("PUT", str(number), load=load) for number in range(40)], done)
    assert len(sink.objects) == 40
    # 16 MB are not full with three of them.
    assert most == 4


@pytest.mark.parametrize("mood", [BROKEN, SLOW_DOWN, TIMED_OUT, b"nonsense\r\n\r\n", OK + OK])
def test_an_error_is_retried(sink: S3Sink, mood: bytes) -> None:
    sink.moods.extend([mood] * (ATTEMPTS_MAX - 1))
    bucket(sink).send(puts(1))
    assert sink.objects == {"pages/page-0": b"0"}
    assert len(sink.asked) == ATTEMPTS_MAX


def test_a_connection_that_is_closed_without_an_answer_is_opened_again(sink: S3Sink) -> None:
    sink.hangs_up = True
    sink.moods.extend([SILENCE] * (ATTEMPTS_MAX - 1))
    bucket(sink).send(puts(1))
    assert sink.connections == ATTEMPTS_MAX


def test_an_error_at_each_attempt_is_reported(sink: S3Sink) -> None:
    sink.moods.extend([BROKEN] * 9)
    with pytest.raises(WorkFailed, match="PUT page-0: status 500 Oh"):
        bucket(sink).send(puts(1))
    assert len(sink.asked) == ATTEMPTS_MAX


def test_s3_asking_to_slow_down_is_waited_for_longer(sink: S3Sink) -> None:
    sink.moods.extend([SLOW_DOWN] * SLOW_DOWN_ATTEMPTS_MAX)
    with pytest.raises(WorkFailed, match="SlowDown"):
        bucket(sink).send(puts(1))
    assert len(sink.asked) == SLOW_DOWN_ATTEMPTS_MAX


def test_a_refusal_is_not_tried_again(sink: S3Sink) -> None:
    sink.moods.append(b"HTTP/1.1 403 No\r\ncontent-length: 25\r\n\r\n<Code>AccessDenied</Code>")
    with pytest.raises(WorkFailed, match="PUT page-0: status 403 AccessDenied"):
        bucket(sink).send(puts(1))
    assert len(sink.asked) == 1


def test_a_server_that_never_answers_is_given_up_and_asked_again(sink: S3Sink) -> None:
    sink.moods.append(SILENCE)
    bucket(sink, timeout_s=0.05).send(puts(1))
    assert len(sink.asked) == sink.connections == 2
    sink.moods.extend([SILENCE] * ATTEMPTS_MAX)
    with pytest.raises(WorkFailed, match=r"TimeoutError no response within 0\.05 s"):
        bucket(sink, timeout_s=0.05).send(puts(1))


@pytest.mark.parametrize("mood", [OK[:-4] + b"\r\nconnection: close\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_connection_that_ends_with_an_answer_costs_no_attempt(sink: S3Sink, mood: bytes) -> None:
    sink.hangs_up = True
    sink.moods.extend([mood] * 4)
    bucket(sink).send(puts(4))
    assert (len(sink.asked), sink.connections) == (4, 4)


def test_a_connection_marked_for_closing_is_not_reused_though_it_is_still_open(sink: S3Sink) -> None:
    sink.moods.extend([OK[:-4] + b"\r\nconnection: close\r\n\r\n"] * 4)
    bucket(sink).send(puts(4))
    assert (len(sink.asked), sink.connections) == (4, 4)


def test_over_tls_the_certificate_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = write_certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with running(S3Sink(), tls) as sink:
        with pytest.raises(WorkFailed, match="CERTIFICATE_VERIFY_FAILED"):
            bucket(sink).send(puts(1))
        assert sink.asked == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        large = b"x" * 1_000_000
        bucket(sink).send([*puts(30), S3Request("PUT", "large", load=lambda: large)])
        assert len(sink.objects) == 31
        assert bucket(sink).get("large").body == large


def test_a_key_cannot_inject_a_header(sink: S3Sink) -> None:
    key = "a b\r\nx-amz-acl: public-read\r\n\r\n?acl#%41/ü"
    bucket(sink).send([S3Request("PUT", key, load=lambda: b"1")])
    assert sink.objects == {f"pages/{key}": b"1"}
    assert "x-amz-acl" not in sink.headers[f"pages/{key}"]


def test_a_header_cannot_inject_another(sink: S3Sink) -> None:
    request = S3Request("PUT", "a", {"content-type": "text/html\r\nx-amz-acl: public-read"})
    with pytest.raises(WorkFailed, match="is not printable"):
        bucket(sink).send([request])
    assert sink.asked == []


def test_a_file_is_sent_as_it_is(sink: S3Sink, tmp_path: Path) -> None:
    file = tmp_path / "picture"
    file.write_bytes(bytes(range(256)) * 4000)
    (tmp_path / "empty").touch()
    bucket(sink).send(
        [
            S3Request("PUT", "a", load=body_loader(file)),
            S3Request("PUT", "b", load=body_loader(tmp_path / "empty")),
        ]
    )
    assert sink.objects == {"pages/a": file.read_bytes(), "pages/b": b""}


HEADERS = st.dictionaries(
    st.sampled_from(["cache-control", "content-type", "if-match", "x-amz-acl", "x-zzz"]),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=30),
)


@given(
    requests=st.lists(
        st.tuples(st.sampled_from(["GET", "PUT"]), HEADERS, st.integers(0, 3 * 86_400)), min_size=1
    ),
    token=st.sampled_from(["", "a+session/token=="]),
)
def test_a_head_bears_the_signers_own_signature(
    requests: list[tuple[str, dict[str, str], int]], token: str
) -> None:
    credentials, now_s = Credentials("AKID", "secret", token), 0
    heads = RequestHeaders(Signer("s3", REGION), "s3.example", lambda: credentials, lambda: now_s)
    for number, (method, headers, at_s) in enumerate(requests):
        now_s, path, digest = at_s, f"/pages/{number}", f"{number:064x}"
        signed = Signer("s3", REGION).sign(
            credentials,
            method,
            path,
            {**headers, "host": "s3.example", "x-amz-content-sha256": digest},
            payload_sha256=digest,
            at_s=at_s,
        )
        lines = heads.head(method, path, headers, digest, 7).decode().split("\r\n")
        assert lines[0] == f"{method} {path} HTTP/1.1"
        assert lines[-2:] == ["", ""]
        sent = dict(line.split(": ", 1) for line in lines[1:-2])
        assert sent == {**signed, "content-length": "7"}

"""Whole values of a publish: each manifest, request, error and argument with every one of its parts."""

import asyncio
import gzip
import hashlib
import json
import ssl
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib.aws.response import HEAD_BYTES_MAX, Response, parse_response
from chalicelib.aws.signing import Credentials
from chalicelib.domain.tokens import FormTokens
from spillway.errors import BadInput, SpillwayError, WorkFailed
from spillway.publish import connection as connection_module
from spillway.publish import sources, target
from spillway.publish.connection import Connection, ResponseProtocol
from spillway.publish.live_manifest import (
    CLAIM_MS,
    CLAIM_RENEWED_AFTER_MS,
    CLAIM_TRUSTED_MS,
    Claimant,
    HeldClaim,
    LiveManifest,
    ManifestStore,
    StaleManifest,
)
from spillway.publish.manifest import KeptRelease, Manifest, PublishClaim
from spillway.publish.plan import (
    RETIRED_KEPT_MS,
    PublishPlan,
    Reason,
    Removal,
    Upload,
    diff,
    fingerprint,
    theme_digest,
)
from spillway.publish.run import PASSES_MAX, Published, refuse_mass_deletion, run_publish
from spillway.publish.s3 import InFlightLimit, PreconditionFailed, S3Bucket, S3Request
from spillway.publish.saved_sources import pack, source_key, unpack
from spillway.publish.sources import LoadedSite, choose_kept, load_folder, load_kept
from spillway.sitegen.pages import StockBySlug
from spillway.sitegen.reading.toml_input import CatalogueInvalid
from spillway.sitegen.release import ObjectKind, PageDates, Release, SiteObject
from tests.support.aws import REGION
from tests.support.clock import Clock
from tests.support.fake_s3 import S3Sink
from tests.support.publish_env import PublishEnv, drop_scarf, edit_privacy, set_scarf_stock

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\netag: x\r\n\r\n"


def error_of(fails: Callable[[], object], kind: type[SpillwayError] = WorkFailed) -> tuple[str, str]:
    """Return what a person reads of an error: what went wrong, and the way out."""
    with pytest.raises(kind) as caught:
        fails()
    return caught.value.message, caught.value.hint


# ---- answers of S3 ----


def test_a_head_may_be_as_long_as_the_limit_says() -> None:
    head = b"HTTP/1.1 200 OK\r\nx: "
    longest = head + b"a" * (HEAD_BYTES_MAX - len(head))
    assert parse_response(longest) is None
    with pytest.raises(ValueError, match=r"^response headers of more than 65536 bytes$"):
        parse_response(longest + b"a")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"SSH-2.0\r\n\r\n", "the response is not HTTP/1"),
        (OK + b"x", "more than one response"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", "the response states a size of '-1' bytes"),
    ],
)
def test_a_malformed_response_is_named(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}$"):
        parse_response(data)


def test_an_answer_after_another_that_says_wait_ends_with_the_connection_too() -> None:
    data = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX-A: b\r\n\r\nbody"
    assert parse_response(data) is None
    assert parse_response(data, ended=True) == Response(200, {"x-a": "b"}, b"body", closes=True)
    assert parse_response(OK) == Response(200, {"content-length": "0", "etag": "x"}, b"", closes=False)
    kept = OK.replace(b"etag: x", b"Connection: keep-alive")
    assert parse_response(kept) == Response(
        200, {"content-length": "0", "connection": "keep-alive"}, b"", False
    )


# ---- connections ----


class FakeLoop:
    """A loop whose time is set by hand. `timers` are the calls due, and their times."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.cancelled = 0
        self.futures: list[asyncio.Future[Response]] = []
        self._real = asyncio.new_event_loop()

    def time(self) -> float:
        return self.now_s

    def create_future(self) -> "asyncio.Future[Response]":
        self.futures.append(self._real.create_future())
        return self.futures[-1]

    def call_at(self, at_s: float, act: Callable[[], None]) -> Any:
        self.timers.append((at_s, act))
        return SimpleNamespace(cancel=self._cancel)

    def call_later(self, after_s: float, act: Callable[[], None]) -> Any:
        return self.call_at(self.now_s + after_s, act)

    def _cancel(self) -> None:
        self.cancelled += 1

    def close(self) -> None:
        self._real.close()


class FakeTransport:
    """Notes what is written. `waiting_bytes` are those that have not left yet."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.aborted = False
        self.waiting_bytes = 0

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.aborted

    def get_write_buffer_size(self) -> int:
        return self.waiting_bytes


@pytest.fixture
def line() -> Any:
    """Yield a line with its loop and its transport, that gives up after 10 s."""
    loop: Any = FakeLoop()
    transport: Any = FakeTransport()
    line = ResponseProtocol(loop, 10.0)
    line.connection_made(transport)
    yield SimpleNamespace(protocol=line, loop=loop, transport=transport)
    loop.close()


def test_one_timer_watches_over_all_requests_of_a_connection(line: Any) -> None:
    ((at_s, look),) = line.loop.timers
    assert at_s == 110.0
    line.loop.now_s = 110.0
    look()
    assert line.loop.timers[-1][0] == 120.0, "nobody asked"
    line.loop.now_s = 113.0
    asked = line.protocol.request(b"one")
    line.loop.now_s = 120.0
    line.loop.timers[-1][1]()
    assert line.loop.timers[-1][0] == 123.0, "since it was asked"
    line.protocol.data_received(OK)
    assert asked.result() == Response(200, {"content-length": "0", "etag": "x"}, b"")
    line.loop.now_s = 123.0
    line.loop.timers[-1][1]()
    assert line.loop.timers[-1][0] == 133.0, "it was answered"
    late = line.protocol.request(b"two")
    line.loop.now_s = 133.0
    line.loop.timers[-1][1]()
    assert str(late.exception()) == "no response within 10 s"
    assert type(late.exception()) is TimeoutError
    assert (len(line.loop.timers), line.transport.written, line.protocol.closed) == (
        4,
        [b"one", b"two"],
        True,
    )


def test_an_answer_that_comes_in_pieces_is_joined_and_the_next_starts_empty(line: Any) -> None:
    for _ in range(2):
        asked = line.protocol.request(b"x")
        for at in range(len(OK)):
            assert not asked.done()
            line.protocol.data_received(OK[at : at + 1])
        assert asked.result().status == 200
    assert not line.protocol.closed


def test_a_connection_is_left_after_an_answer_that_came_too_early_or_that_nobody_asked_for(line: Any) -> None:
    line.transport.waiting_bytes = 1
    asked = line.protocol.request(b"x")
    line.protocol.data_received(OK)
    assert (asked.result().status, line.protocol.closed) == (200, True)
    line.transport.aborted = False
    line.protocol.data_received(OK)
    assert line.protocol.closed


def test_an_unreadable_or_missing_answer_is_reported_and_the_connection_left(line: Any) -> None:
    asked = line.protocol.request(b"x")
    line.protocol.data_received(b"SSH\r\n\r\n")
    assert (str(asked.exception()), line.protocol.closed) == ("the response is not HTTP/1", True)
    asked = line.protocol.request(b"x")
    line.protocol.connection_lost(None)
    assert str(asked.exception()) == "the connection was closed before the response"
    assert (type(asked.exception()), line.loop.cancelled) == (ConnectionResetError, 1)
    asked, error = line.protocol.request(b"x"), OSError("reset")
    line.protocol.connection_lost(error)
    assert asked.exception() is error
    line.protocol.connection_lost(None)
    assert asked.exception() is error, "the first is what counts"
    line.protocol.close()
    assert line.loop.cancelled == 4


def test_an_answer_may_end_with_its_connection(line: Any) -> None:
    asked = line.protocol.request(b"x")
    line.protocol.data_received(b"HTTP/1.1 200 OK\r\n\r\nbody")
    assert not asked.done()
    line.protocol.eof_received()
    assert (asked.result(), line.protocol.closed) == (Response(200, {}, b"body", True), True)


def test_a_connection_is_opened_once_and_again_after_it_was_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []

    class Line:
        def __init__(self, loop: Any, timeout_s: float) -> None:
            self.closed, self.timeout_s = False, timeout_s

        async def request(self, message: bytes) -> bytes:
            return message

        def close(self) -> None:
            self.closed = True

    async def exchanges() -> list[Any]:
        async def create(make: Callable[[], Any], *where: Any, **options: Any) -> Any:
            opened.append((*where, options))
            return None, make()

        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", create, raising=False)
        connection: Any = Connection(("host", 81), None, 7.0)
        connection.close()
        answers = [await connection.exchange(b"1"), await connection.exchange(b"2")]
        first = connection._protocol
        first.closed = True
        answers.append(await connection.exchange(b"3"))
        second = connection._protocol
        assert second is not first
        connection.close()
        assert (second.closed, second.timeout_s, connection._protocol) == (True, 7.0, None)
        return answers

    monkeypatch.setattr(connection_module, "ResponseProtocol", Line)

    class Loop(asyncio.SelectorEventLoop):
        """One whose methods can be replaced."""

    loop = Loop()
    try:
        assert loop.run_until_complete(exchanges()) == [b"1", b"2", b"3"]
    finally:
        loop.close()
    assert opened == [("host", 81, {"ssl": None})] * 2


# ---- S3 ----


def keys() -> Credentials:
    return Credentials("key", "secret")


@pytest.mark.parametrize(
    ("endpoint", "address", "encrypted", "prefix", "host"),
    [
        (
            None,
            (f"pages.s3.{REGION}.amazonaws.com", 443),
            True,
            "/",
            f"pages.s3.{REGION}.amazonaws.com",
        ),
        ("https://s3.example", ("s3.example", 443), True, "/pages/", "s3.example"),
        ("http://S3.example", ("s3.example", 80), False, "/pages/", "S3.example"),
        ("http://127.0.0.1:90", ("127.0.0.1", 90), False, "/pages/", "127.0.0.1:90"),
        ("https://s3.example:444", ("s3.example", 444), True, "/pages/", "s3.example:444"),
    ],
)
def test_a_bucket_is_asked_where_its_endpoint_says(
    endpoint: str | None, address: tuple[str, int], encrypted: bool, prefix: str, host: str
) -> None:
    bucket = S3Bucket("pages", REGION, keys, endpoint=endpoint, clock_s=lambda: 0.0, timeout_s=5.0)
    assert (bucket._address, bucket._tls is not None, bucket._prefix) == (address, encrypted, prefix)
    if bucket._tls:
        assert (bucket._tls.verify_mode, bucket._tls.check_hostname) == (ssl.CERT_REQUIRED, True)
    head = bucket._request_headers.head("GET", "/", {}, "0", 7).decode()
    assert f"\r\nhost: {host}\r\n" in head
    assert "x-amz-date: 19700101T000000Z" in head
    assert f"Credential=key/19700101/{REGION}/s3/aws4_request" in head
    connection = bucket._connection()
    assert (connection._address, connection._tls, connection._timeout_s) == (address, bucket._tls, 5.0)
    usual = S3Bucket("pages", REGION, keys, endpoint="http://s3.example")
    assert (usual._backoff_s, usual._timeout_s) == (0.1, 60.0)


class Asked(S3Bucket):
    """A bucket that answers from a list, and notes what it was asked."""

    def __init__(self, *answers: Any, code: str = "Why") -> None:
        super().__init__("pages", REGION, keys, endpoint="http://s3.example", backoff_s=0.5)
        self.answers = list(answers)
        self.code = code
        self.asked: list[tuple[Any, ...]] = []
        self.closed = 0

    def _connection(self) -> Any:
        async def exchange(message: bytes) -> Response:
            self.asked.append((message.partition(b" HTTP")[0].decode(), message.partition(b"\r\n\r\n")[2]))
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return Response(answer, {"etag": "new"}, f"<Code>{self.code}</Code>".encode())

        def close() -> None:
            self.closed += 1

        return SimpleNamespace(exchange=exchange, close=close)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, each as long as it may be."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr("random.random", lambda: 1.0)
    return pauses


AGAIN = "publish again: what is done already is not done twice"


@pytest.mark.parametrize(
    ("answers", "words", "waited", "closed"),
    [
        ([403], "GET a/b: status 403 Why", [], 1),
        ([400], "GET a/b: status 400 Why", [], 2),
        ([500] * 5, "GET a/b: status 500 Why", [1.0, 2.0, 2.0, 2.0], 1),
        ([499], "GET a/b: status 499 Why", [], 1),
        ([503] * 15, "GET a/b: status 503 Why", [1.0, *[2.0] * 13], 1),
        ([429] * 15, "GET a/b: status 429 Why", [1.0, *[2.0] * 13], 1),
        ([TimeoutError()] * 5, "GET a/b: TimeoutError", [1.0, 2.0, 2.0, 2.0], 6),
        ([OSError("gone")] * 5, "GET a/b: OSError gone", [1.0, 2.0, 2.0, 2.0], 6),
        ([ValueError("odd"), 501] + [503] * 13, "GET a/b: status 503 Why", [1.0, *[2.0] * 13], 2),
    ],
)
def test_attempts_are_as_many_as_the_fault_is_worth_with_growing_pauses(
    pauses: list[float], answers: list[Any], words: str, waited: list[float], closed: int
) -> None:
    bucket = Asked(*answers)
    assert error_of(lambda: bucket.get("a/b")) == (words, AGAIN)
    assert (pauses, bucket.closed, bucket.answers) == (waited, closed, [])


@pytest.mark.parametrize(
    ("status", "code", "helps"),
    [
        (403, "RequestTimeTooSkewed", "set this machine's clock"),
        (400, "ExpiredToken", "sign in with the AWS CLI"),
        (403, "InvalidAccessKeyId", "sign in with the AWS CLI"),
        (403, "AccessDenied", "spillway deploy --print-policy"),
        (404, "NoSuchBucket", "check the account and the region"),
        (403, "AccountProblem", AGAIN),
    ],
)
def test_a_refusal_is_reported_with_what_helps_against_it(
    pauses: list[float], status: int, code: str, helps: str
) -> None:
    bucket = Asked(*[status] * 3, code=code)
    for ask in (lambda: bucket.get("a"), lambda: bucket.put_if("a", b"", {}, etag=None)):
        words, hint = error_of(ask)
        assert words.endswith(f"a: status {status} {code}")
        assert helps in hint
    assert error_of(lambda: bucket.send([S3Request("DELETE", "a")]))[0] == f"DELETE a: status {status} {code}"
    assert pauses == []


def test_an_object_is_asked_for_put_and_replaced_by_what_is_known_of_it(sink: S3Sink) -> None:
    bucket = S3Bucket("pages", REGION, keys, endpoint=sink.url, backoff_s=0.0)
    first = bucket.put_if("a b", b"one", {"content-type": "text/plain"}, etag=None)
    assert first == sink.etag("pages/a b")
    assert {name: value for name, value in sink.headers["pages/a b"].items() if "-" in name} == {
        "content-type": "text/plain",
        "if-none-match": "*",
        "x-amz-date": sink.headers["pages/a b"]["x-amz-date"],
        "x-amz-content-sha256": hashlib.sha256(b"one").hexdigest(),
        "content-length": "3",
    }
    with pytest.raises(PreconditionFailed, match=r"^a b$"):
        bucket.put_if("a b", b"two", {}, etag=None)
    second = bucket.put_if("a b", b"two", {}, etag=first)
    assert sink.headers["pages/a b"]["if-match"] == first
    assert "if-none-match" not in sink.headers["pages/a b"]
    assert bucket.get("a b") == Response(200, {"content-length": "3", "etag": second}, b"two")
    assert bucket.get("a b", unless=first).status == 200
    assert bucket.get("a b", unless=second).status == 304
    assert bucket.get("c").status == 404


@pytest.mark.parametrize("status", [404, 409, 412])
def test_an_object_that_somebody_else_wrote_or_deleted_has_changed(status: int) -> None:
    with pytest.raises(PreconditionFailed, match=r"^a$"):
        Asked(status).put_if("a", b"", {}, etag="x")
    assert Asked(200).put_if("a", b"", {}, etag="x") == "new"


def test_a_connection_is_opened_for_every_four_requests_and_for_none_without_any(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[int] = []

    async def all_of_them(bucket: S3Bucket, waiting: Any, connections: int, done: Any) -> None:
        opened.append(connections)
        assert len(list(waiting)) == count

    monkeypatch.setattr(S3Bucket, "_send_all", all_of_them)
    for count in (0, 1, 4, 5, 1024, 1025, 5000):
        requests = [S3Request("PUT", str(number)) for number in range(count)]
        Asked().send(requests)
        Asked().send(iter(requests), count=count)
    assert opened == [1, 1, 1, 1, 2, 2, *[256] * 6]


def test_each_request_is_sent_with_its_body_and_heard_of_when_it_is_done() -> None:
    done: list[int] = []
    bucket = Asked(200, 204, 404)
    requests = [
        S3Request("PUT", "ü/~a b", load=lambda: b"body"),
        S3Request("DELETE", "b"),
        S3Request("DELETE", "c"),
    ]
    assert error_of(lambda: bucket.send(requests, lambda: done.append(1))) == (
        "DELETE c: status 404 Why",
        AGAIN,
    )
    assert bucket.asked == [
        ("PUT /pages/%C3%BC/~a%20b", b"body"),
        ("DELETE /pages/b", b""),
        ("DELETE /pages/c", b""),
    ]
    assert (len(done), bucket.closed) == (2, 1)
    silent = Asked(200)
    silent.send([S3Request("DELETE", "b")])
    assert silent.asked == [("DELETE /pages/b", b"")]


def test_at_most_sixteen_megabytes_of_bodies_are_in_flight() -> None:
    async def uses() -> None:
        limit, most = InFlightLimit(), 16 * 1024 * 1024
        first = limit.load(S3Request("PUT", "a", load=lambda: b"x" * (most - 1)))
        assert not limit.reached
        second = limit.load(S3Request("PUT", "b", load=lambda: b"x"))
        assert limit.reached
        waits = asyncio.create_task(limit.wait())
        await asyncio.sleep(0)
        limit.release(b"")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not waits.done(), "there is no room yet"
        limit.release(second)
        await asyncio.wait_for(waits, 5)
        limit.release(first)
        assert limit._bytes == 0

    asyncio.run(uses())


# ---- the live release ----


class MemoryBucket:
    """One object in memory. `before_put` is called once, before the next is written."""

    def __init__(self) -> None:
        self.body: bytes | None = None
        self.puts: list[tuple[Any, ...]] = []
        self.gets: list[tuple[str, str | None]] = []
        self.before_put: list[Callable[[], None]] = []
        self.loses_answer = False

    @property
    def etag(self) -> str:
        return hashlib.md5(self.body or b"", usedforsecurity=False).hexdigest()

    @property
    def manifest(self) -> Manifest:
        return Manifest.from_json((self.body or b"").decode())

    def set(self, manifest: Manifest) -> None:
        self.body = manifest.to_json().encode()

    def get(self, key: str, *, unless: str | None = None) -> Response:
        self.gets.append((key, unless))
        if self.body is None:
            return Response(404, {}, b"")
        if unless == self.etag:
            return Response(304, {"etag": self.etag}, b"")
        return Response(200, {"etag": self.etag}, self.body)

    def put_if(self, key: str, body: bytes, headers: dict[str, str], *, etag: str | None) -> str:
        if self.before_put:
            self.before_put.pop(0)()
        if etag != (None if self.body is None else self.etag):
            raise PreconditionFailed(key)
        self.body = body
        self.puts.append((key, body, headers, etag))
        if self.loses_answer:
            self.loses_answer = False
            raise PreconditionFailed(key)
        return self.etag

    def send(
        self,
        requests: Iterable[S3Request],
        on_done: Callable[[], None] = lambda: None,
        *,
        count: int | None = None,
    ) -> None:
        raise AssertionError("a small manifest has no base")


def live_release(bucket: MemoryBucket, folder: Path, clock: Clock, owner: str = "me") -> ManifestStore:
    return ManifestStore(
        bucket, Claimant(owner, frozenset({"ended"})), clock, folder / "a" / "b" / "copy.json"
    )


def plan_of(*keys: str, release: str = "r2") -> PublishPlan:
    removals = tuple(Removal(key, Reason.GONE) for key in keys)
    return PublishPlan((), removals, 0, Manifest(release, {"x": "1"}, theme="t"), False, True, False, ())


TAKEN_OVER = (
    "another publish took over before this one ended",
    "publish again: pages that this one may have written over the other's are put again",
)
GIVEN_UP = "wait for it to end; one that died is given up after half an hour"


@pytest.fixture
def bucket() -> MemoryBucket:
    return MemoryBucket()


def test_the_live_manifest_is_read_once_and_cached_in_a_file(
    bucket: MemoryBucket, tmp_path: Path, clock: Clock
) -> None:
    live = live_release(bucket, tmp_path, clock)
    assert live.read() == LiveManifest(Manifest(), None, presumed=False)
    assert live.presumed() == LiveManifest(Manifest(), None, presumed=False)
    bucket.set(Manifest("r1", {"ü": "1"}))
    seen = LiveManifest(Manifest("r1", {"ü": "1"}), bucket.etag)
    assert (live.read(), live.read()) == (seen, seen)
    assert bucket.gets == [("manifest.json", None)] * 3 + [("manifest.json", bucket.etag)]
    assert live.presumed() == replace(seen, presumed=True)
    copy = tmp_path / "a" / "b" / "copy.json"
    assert json.loads(copy.read_text()) == [bucket.etag, seen.manifest.to_json()]
    assert [file.name for file in copy.parent.iterdir()] == ["copy.json"]
    for broken in ("{", "[1]", "3", '["etag", "{"]'):
        copy.write_text(broken)
        assert live.presumed() == seen
    bucket.set(Manifest("r2"))
    live.confirm(seen)
    with pytest.raises(StaleManifest) as caught:
        live.confirm(replace(seen, presumed=True))
    assert caught.value.live == LiveManifest(Manifest("r2"), bucket.etag)
    live.confirm(LiveManifest(Manifest("r2"), "old", presumed=True))


def test_a_manifest_without_an_etag_is_not_taken_for_none(
    bucket: MemoryBucket, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = Manifest("r1").to_json().encode()
    monkeypatch.setattr(bucket, "get", lambda key, *, unless: Response(200, {}, body))
    assert live_release(bucket, tmp_path, clock).read() == LiveManifest(Manifest("r1"), "")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"release": "r9", "stages": 2}', "unexpected keyword argument 'stages'"),
        ('{"claim": {"owner": "other", "since_ms": 5, "host": "h"}}', "unexpected keyword argument 'host'"),
        ('{"kept": [{"release": "r9"}]}', "missing 3 required positional arguments"),
        ('{"dates": ["a"]}', "AttributeError 'list' object has no attribute 'items'"),
        ("[]", "AttributeError 'list' object has no attribute 'get'"),
        ("<html>", "JSONDecodeError Expecting value"),
    ],
)
def test_a_manifest_of_another_version_is_reported_with_a_way_out_and_left_as_it_is(
    bucket: MemoryBucket, tmp_path: Path, clock: Clock, text: str, why: str
) -> None:
    bucket.body = text.encode()
    store = ManifestStore(bucket, Claimant("me"), clock, tmp_path / "copy.json", hint="go this way")
    for read in (store.read, store.presumed):
        message, hint = error_of(read)
        assert message.startswith("another version of Spillway wrote the live manifest.json: ")
        assert why in message
        assert hint == "go this way"
    assert (bucket.body, bucket.puts) == (text.encode(), [])
    assert not (tmp_path / "copy.json").exists()


def test_after_an_unreadable_manifest_is_deleted_the_next_publish_puts_every_object(env: PublishEnv) -> None:
    env.publish()
    before, manifest = dict(env.sink.objects), env.manifest.read().manifest
    env.sink.objects["release/manifest.json"] = b'{"stages": 2}'
    (env.project.cache / "publish" / "me.json").unlink()
    assert error_of(env.publish)[0].startswith("another version of Spillway wrote the live manifest.json: ")
    del env.sink.objects["release/manifest.json"]
    assert len(env.plan().uploads) == len(manifest.objects)
    env.publish()
    assert env.manifest.read().manifest == manifest
    assert env.sink.objects == before


def test_the_way_out_of_an_unreadable_manifest_depends_on_the_stage() -> None:
    assert target.unreadable_hint("local", "releases") == (
        "spillway demo --fresh deletes the demo's state and starts again"
    )
    assert target.unreadable_hint("live", "releases") == (
        "publish again with that version or a newer one; or delete the manifest and publish again, which puts"
        " every object and forgets the releases to roll back to: aws s3 rm s3://releases/manifest.json"
    )


def test_a_claim_names_who_publishes_what_and_every_key_in_doubt(
    bucket: MemoryBucket, tmp_path: Path, clock: Clock
) -> None:
    before = Manifest("r1", {"a": "1"}, in_doubt=("z", "b"), theme="t")
    bucket.set(before)
    live = live_release(bucket, tmp_path, clock)
    etag = bucket.etag
    hold = live.claim(live.read(), plan_of("c", "b"))
    claimed = replace(before, in_doubt=("b", "c", "z"), claim=PublishClaim("me", clock(), "r2", None))
    assert (bucket.manifest, hold.manifest) == (claimed, claimed)
    assert bucket.puts == [
        ("manifest.json", claimed.to_json().encode(), {"content-type": "application/json"}, etag)
    ]
    assert hold.finish() == LiveManifest(plan_of().manifest, bucket.etag)
    assert bucket.manifest == plan_of().manifest


@pytest.mark.parametrize(
    ("owner", "age_ms", "in_doubt", "expected"),
    [
        ("me", 1, None, None),
        ("me", 1, ("y",), ("y",)),
        ("ended", 1, (), ()),
        ("other", CLAIM_MS, None, ("b", "z")),
        ("other", CLAIM_MS, ("y", "b"), ("b", "y", "z")),
    ],
)
def test_a_claim_takes_up_what_another_left_in_doubt(
    bucket: MemoryBucket,
    tmp_path: Path,
    clock: Clock,
    owner: str,
    age_ms: int,
    in_doubt: tuple[str, ...] | None,
    expected: tuple[str, ...] | None,
) -> None:
    bucket.set(
        Manifest("r1", in_doubt=("z", "b"), claim=PublishClaim(owner, clock() - age_ms, "r0", in_doubt))
    )
    live = live_release(bucket, tmp_path, clock)
    hold = live.claim(live.read(), plan_of())
    assert hold.manifest.claim == PublishClaim("me", clock(), "r2", expected)
    ended = hold.finish().manifest
    assert ended == (plan_of().manifest if expected is None else plan_of().manifest.with_doubts(expected))


@pytest.mark.parametrize(
    ("age_ms", "since"), [(0, ""), (1999, ", since 1 s"), (CLAIM_MS - 1, ", since 1799 s")]
)
def test_another_publish_under_way_is_reported_with_its_age(
    bucket: MemoryBucket, tmp_path: Path, clock: Clock, age_ms: int, since: str
) -> None:
    bucket.set(Manifest("r1", claim=PublishClaim("other", clock() - age_ms)))
    live = live_release(bucket, tmp_path, clock)
    seen = live.read()
    assert error_of(lambda: live.claim(seen, plan_of())) == (f"another publish is under way{since}", GIVEN_UP)
    bucket.set(Manifest("r3"))
    with pytest.raises(StaleManifest):
        live.claim(replace(seen, presumed=True), plan_of())
    assert bucket.puts == []


def test_the_second_claim_is_refused_as_such_or_for_its_wrong_precondition(
    bucket: MemoryBucket, tmp_path: Path, clock: Clock
) -> None:
    live = live_release(bucket, tmp_path, clock)
    seen = live.read()
    bucket.before_put.append(lambda: bucket.set(Manifest("r3")))
    assert error_of(lambda: live.claim(seen, plan_of())) == ("another publish is under way", GIVEN_UP)
    with pytest.raises(StaleManifest) as caught:
        live.claim(replace(seen, presumed=True), plan_of())
    assert caught.value.live == LiveManifest(Manifest("r3"), bucket.etag)
    bucket.loses_answer = True
    hold = live.claim(live.read(), plan_of())
    assert hold.manifest == bucket.manifest == Manifest("r3", claim=PublishClaim("me", clock(), "r2"))


def held(bucket: MemoryBucket, live: ManifestStore, *keys: str) -> HeldClaim:
    bucket.set(Manifest("r1"))
    return live.claim(live.read(), plan_of(*keys))


def test_a_claim_is_looked_at_every_five_seconds_and_renewed_every_ten_minutes(
    bucket: MemoryBucket, tmp_path: Path
) -> None:
    now_ms = 1_000_000
    live = ManifestStore(bucket, Claimant("me"), lambda: now_ms, tmp_path / "copy.json")
    hold = held(bucket, live, "a")
    begun_ms = now_ms
    bucket.gets.clear()
    for passed_ms, trusted in (
        (0, True),
        (CLAIM_TRUSTED_MS - 1, True),
        (CLAIM_TRUSTED_MS, False),
        (-1, False),
    ):
        now_ms = begun_ms + passed_ms
        assert hold.trusted is trusted
    now_ms = begun_ms + CLAIM_TRUSTED_MS - 1
    hold.check()
    assert bucket.gets == []
    now_ms = begun_ms + CLAIM_RENEWED_AFTER_MS - 1
    hold.check()
    assert bucket.gets == [("manifest.json", bucket.etag)]
    assert (hold.trusted, bucket.manifest.claim) == (True, PublishClaim("me", begun_ms, "r2"))
    now_ms = begun_ms + CLAIM_RENEWED_AFTER_MS + CLAIM_TRUSTED_MS
    hold.check()
    renewed = Manifest("r1", in_doubt=("a",), claim=PublishClaim("me", now_ms, "r2"))
    assert bucket.manifest == hold.manifest == renewed
    now_ms += CLAIM_TRUSTED_MS
    bucket.set(replace(renewed, claim=PublishClaim("me", now_ms, "r2", ("d",))))
    hold.check()
    assert hold.manifest.claim == PublishClaim("me", now_ms, "r2", ("d",))
    assert hold.finish().manifest == plan_of().manifest.with_doubts(["d"])


def test_the_end_of_a_publish_is_written_though_others_add_doubts_or_its_answer_is_lost(
    bucket: MemoryBucket, tmp_path: Path, clock: Clock
) -> None:
    live = live_release(bucket, tmp_path, clock)
    hold = held(bucket, live)
    bucket.before_put.append(lambda: bucket.set(bucket.manifest.with_doubts(["d"])))
    assert hold.finish() == LiveManifest(plan_of().manifest.with_doubts(["d"]), bucket.etag)
    hold = held(bucket, live)
    bucket.loses_answer = True
    assert hold.finish() == LiveManifest(plan_of().manifest, bucket.etag)


def test_an_overtaken_publish_leaves_its_keys_in_doubt_and_says_so(
    bucket: MemoryBucket, tmp_path: Path, clock: Clock
) -> None:
    live = live_release(bucket, tmp_path, clock)
    for theirs, left in (
        (
            Manifest("r3", claim=PublishClaim("other", 1)),
            Manifest("r3", claim=PublishClaim("other", 1, in_doubt=("a", "b"))),
        ),
        (Manifest("r3", theme="t"), Manifest("r3", in_doubt=("a", "b"))),
    ):
        hold = held(bucket, live, "b", "a")
        bucket.set(theirs)
        assert error_of(hold.finish) == TAKEN_OVER
        assert bucket.manifest == left
        puts = len(bucket.puts)
        assert error_of(hold.finish) == TAKEN_OVER
        assert len(bucket.puts) == puts, "doubts that are there are not written again"
    hold = held(bucket, live, "a")
    bucket.set(Manifest("r3"))
    bucket.before_put += [lambda: None, lambda: bucket.set(Manifest("r4"))]
    assert error_of(hold.finish) == TAKEN_OVER
    assert bucket.manifest == Manifest("r4", in_doubt=("a",))


def test_a_manifest_that_others_write_all_the_time_is_given_up_after_ten_attempts(
    bucket: MemoryBucket, tmp_path: Path, clock: Clock
) -> None:
    words = ("others wrote the manifest all the time", "publish again when they are done")
    live = live_release(bucket, tmp_path, clock)
    hold = held(bucket, live, "a")
    written: list[int] = []

    def rewrite(claim: PublishClaim | None) -> Callable[[], None]:
        def act() -> None:
            written.append(1)
            bucket.set(Manifest(f"r{len(written)}", claim=claim))

        return act

    claim = bucket.manifest.claim
    bucket.before_put += [rewrite(claim) for _ in range(20)]
    assert error_of(hold.finish) == words
    assert len(written) == 10
    bucket.before_put.clear()
    hold = held(bucket, live, "a")
    bucket.set(Manifest("r3"))
    bucket.before_put += [lambda: None, *(rewrite(None) for _ in range(20))]
    assert error_of(hold.finish) == words
    assert len(written) == 20


# ---- manifests and plans ----


def test_a_manifest_is_sorted_json_and_doubts_are_added_once() -> None:
    manifest = Manifest("r", {"b": "1", "a": "2"}, in_doubt=("c",), theme="t")
    assert json.loads(manifest.to_json()) == {
        "release": "r",
        "objects": {"a": "2", "b": "1"},
        "retired": {},
        "theme": "t",
        "kept": [],
        "dates": {},
        "in_doubt": ["c"],
        "claim": None,
        "base": None,
        "gone": [],
        "undated": [],
    }
    assert manifest.to_json() == json.dumps(
        json.loads(manifest.to_json()), sort_keys=True, separators=(",", ":")
    )
    assert manifest.with_doubts(["d", "c", "a"]) == replace(manifest, in_doubt=("a", "c", "d"), theme="")
    claimed = replace(manifest, claim=PublishClaim("o", 1))
    assert claimed.with_doubts(["d", "a"]) == replace(manifest, claim=PublishClaim("o", 1, "", ("a", "d")))
    again = claimed.with_doubts(["d"]).with_doubts(["a", "d"])
    assert again == replace(manifest, claim=PublishClaim("o", 1, "", ("a", "d")))
    assert Manifest.from_json(again.to_json()) == again
    assert Manifest.from_json('{"claim": {"owner": "o", "since_ms": 1}}') == Manifest(
        claim=PublishClaim("o", 1)
    )


def test_a_fingerprint_is_the_digest_and_each_header() -> None:
    page = SiteObject.of("a", b"x", content_type="t", cache_control="c", kind=ObjectKind.PAGE)
    digest = hashlib.sha256(b"x").hexdigest()
    assert fingerprint(page) == f"{digest}|t|c"
    assert fingerprint(replace(page, language="de")) == f"{digest}|t|c|de"


def test_a_theme_is_known_by_all_but_its_name(small_release: Release) -> None:
    theme = small_release.theme
    nameless = replace(theme, release="").to_json()
    assert theme_digest(theme) == theme_digest(replace(theme, release="x"))
    assert theme_digest(theme) == hashlib.sha256(nameless.encode()).hexdigest()


def with_objects(release: Release, *objects: SiteObject) -> Release:
    return replace(release, objects=objects)


def made(key: str, kind: ObjectKind = ObjectKind.PAGE, body: bytes = b"x") -> SiteObject:
    return SiteObject.of(key, body, content_type="t", cache_control="c", kind=kind)


def test_a_plan_has_every_step_and_the_manifest_that_is_true_after_it(small_release: Release) -> None:
    index, page, asset = (
        made("index.html", ObjectKind.INDEX),
        made("page"),
        made("assets/a", ObjectKind.ASSET),
    )
    kept, sure = made("kept"), made("sure")
    release = with_objects(
        small_release, index, page, asset, kept, sure, made("assets/back", ObjectKind.ASSET)
    )
    week_ago = 1000
    at_ms = week_ago + RETIRED_KEPT_MS
    dead = PublishClaim("o", 1, "begun")
    live = Manifest(
        "old",
        {
            "kept": fingerprint(kept),
            "page": "other",
            "gone": "1",
            "assets/gone": "1",
            "pictures/gone": "1",
            "sure": fingerprint(sure),
        },
        {"assets/back": 5, "assets/unused": week_ago, "assets/waits": week_ago + 1},
        "theme",
        (KeptRelease("old", week_ago, 1, 2),),
        in_doubt=("sure", "never"),
        claim=dead,
    )
    plan = diff(live, release, at_ms=at_ms)
    assert plan == PublishPlan(
        (
            Upload(asset, Reason.NEW),
            Upload(page, Reason.CHANGED),
            Upload(sure, Reason.IN_DOUBT),
            Upload(index, Reason.NEW),
        ),
        (
            Removal("gone", Reason.GONE),
            Removal("never", Reason.GONE),
            Removal("assets/unused", Reason.UNUSED),
        ),
        2,
        Manifest(
            release.id,
            {object_.key: fingerprint(object_) for object_ in release.objects},
            {"assets/gone": at_ms, "pictures/gone": at_ms, "assets/waits": week_ago + 1},
            theme_digest(release.theme),
            (KeptRelease(release.id, at_ms, len(release.products), 4), KeptRelease("old", week_ago, 1, 2)),
            release.dates,
        ),
        True,
        True,
        True,
        ("begun",),
    )
    assert plan.keys == (
        "assets/a",
        "assets/unused",
        "gone",
        "index.html",
        "never",
        "page",
        "sure",
    )
    assert plan.pages_touched == ("/gone", "/", "/never", "/page", "/sure")
    assert plan.pages_removed == ("gone", "never")
    assert not plan.empty
    done = diff(plan.manifest, release, at_ms=at_ms + 1)
    assert (done.empty, done.saves_source, done.dropped_releases) == (True, False, ())
    assert done.manifest == plan.manifest
    for change in (
        {"theme_changed": True},
        {"release_changed": True},
        {"removals": (Removal("a", Reason.GONE),)},
    ):
        changed: Any = change
        assert not replace(done, **changed).empty


def test_an_answers_page_of_a_dropped_locale_is_put_in_the_words_of_the_first(
    small_release: Release,
) -> None:
    first, about = made("waitlist/unsubscribed"), made("about/waitlist/unsubscribed")
    live = Manifest("old", {"de/waitlist/unsubscribed": "1", "de/products/x": "1", "fr/waitlist/none": "1"})
    in_doubt = replace(live, in_doubt=("it/waitlist/unsubscribed",))
    plan = diff(in_doubt, with_objects(small_release, first, about), at_ms=0)
    assert [(upload.site_object, upload.reason) for upload in plan.uploads] == [
        (first, Reason.NEW),
        (about, Reason.NEW),
        (replace(first, key="de/waitlist/unsubscribed"), Reason.CHANGED),
        (replace(first, key="it/waitlist/unsubscribed"), Reason.IN_DOUBT),
    ]
    assert [removal.key for removal in plan.removals] == ["de/products/x", "fr/waitlist/none"]


# ---- what is kept ----


def test_release_sources_are_packed_as_one_document_that_is_always_the_same(small_release: Release) -> None:
    source = small_release.source
    content = pack(source)
    text = gzip.decompress(content)
    assert content == gzip.compress(text, 1, mtime=0)
    document = json.loads(text)
    assert text == json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    assert list(document) == [
        "theme",
        "contents",
        "products",
        "pictures",
        "redirects",
        "root_files",
        "assets",
    ]
    assert list(document["pictures"]) == sorted(source.products.image_variants)
    back = unpack(content, "r")
    assert back.assets == tuple(replace(asset, body=b"") for asset in source.assets)
    assert (back.theme, back.contents) == (source.theme, source.contents)
    assert (back.redirects, back.root_files) == (source.redirects, source.root_files)
    assert back.products.image_variants == {
        name: tuple(replace(item, file=Path()) for item in each_size)
        for name, each_size in source.products.image_variants.items()
    }
    assert source_key("r") == "releases/r.json.gz"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"nothing", "BadGzipFile Not a gzipped file (b'no')"),
        (gzip.compress(b"{}", mtime=0), "KeyError 'theme'"),
        (gzip.compress(b"[]", mtime=0), "TypeError list indices must be integers or slices, not str"),
    ],
    ids=["no gzip", "no theme", "a list"],
)
def test_release_sources_of_another_version_are_reported_with_a_way_out(content: bytes, why: str) -> None:
    assert error_of(lambda: unpack(content, "r1")) == (
        f"release r1 was kept by another version of Spillway: {why}",
        "check out that version and roll back, or the shop's files of then and publish",
    )


# ---- publishing ----


def test_a_publish_says_all_that_it_did(env: PublishEnv) -> None:
    heard: list[tuple[int, int]] = []
    first = env.publish(lambda done, total: heard.append((done, total)))
    count = len(env.sink.keys("pages"))
    assert first == Published(first.release, count, 0, 0, (), (), first.missing_translations, (), ())
    assert heard == [(number, count) for number in range(1, count + 1)]
    theme = env.sink.headers["release/theme.json"]
    assert (theme["content-type"], theme["cache-control"]) == ("application/json", "no-cache")
    kept = env.sink.headers[f"release/{source_key(first.release)}"]
    assert (kept["content-type"], kept["cache-control"]) == ("application/gzip", "no-cache")
    (reference,) = env.cdn.references
    assert reference.startswith(f"{first.release}-{env.clock()}-")
    drop_scarf(env.project)
    env.clock.pass_s(60)
    second = env.publish()
    assert (second.removed, second.abandoned, second.withdrawn) == (1, ("scarf",), ("SCARF",))
    assert second.uploaded + second.skipped == len(env.manifest.read().manifest.objects)
    assert list(env.cdn.references)[1].startswith(f"{second.release}-{env.clock()}-")


def test_a_busy_cdn_is_reported_with_a_way_out_and_the_next_publish_invalidates_again(
    env: PublishEnv,
) -> None:
    env.publish()
    edit_privacy(env.project)
    env.cdn.paths_left = env.cdn.wildcards_left = 0
    assert error_of(env.publish) == (
        "all pages are written, but CloudFront has too many invalidations in progress:"
        " visitors may see older pages for up to a day",
        "publish again in a few minutes; only what may be old in its caches is sent again",
    )
    env.cdn.paths_left = 10
    env.publish()
    assert "/privacy" in env.cdn.paths[-1]


@pytest.mark.parametrize(("pages", "others", "refused"), [(10, 0, False), (11, 0, True), (11, 60, False)])
def test_more_than_ten_pages_and_a_fifth_of_all_are_deleted_only_where_that_is_meant(
    env: PublishEnv, pages: int, others: int, refused: bool
) -> None:
    live = Manifest(objects={str(number): "1" for number in range(5 * pages - 1 + others)})
    plan: Any = SimpleNamespace(pages_removed=[str(number) for number in range(pages)])
    seen = LiveManifest(live, None)
    if not refused:
        refuse_mass_deletion(plan, seen, env.target)
        return
    assert error_of(lambda: refuse_mass_deletion(plan, seen, env.target), BadInput) == (
        f"this would delete {pages} pages of a shop of {len(live.objects)} objects; nothing was changed",
        "if that is meant, publish with --delete-many; --dry-run lists them",
    )
    exactly = LiveManifest(replace(live, objects={**live.objects, "one": "1"}), None)
    refuse_mass_deletion(plan, exactly, env.target)


@pytest.mark.parametrize("moves", [0, 1, 5])
def test_the_site_is_read_once_and_rendered_again_only_when_stock_moved(env: PublishEnv, moves: int) -> None:
    counts = {"read": 0, "rendered": 0}

    def load() -> LoadedSite:
        counts["read"] += 1
        site = load_folder(env.project)

        def render(stock: StockBySlug, form_tokens: FormTokens, dates: PageDates) -> Release:
            counts["rendered"] += 1
            release = site.render(stock, form_tokens, dates)
            if counts["rendered"] <= moves:
                set_scarf_stock(env.products, counts["rendered"])
            return release

        return LoadedSite(site.shop, render)

    env.publish()
    edit_privacy(env.project)
    published = run_publish(load, env.target)
    assert counts == {"read": 1, "rendered": min(moves + 1, PASSES_MAX)}
    assert published.uploaded == 1, "the result is that of the first pass"
    assert published.stock_moved == (moves >= PASSES_MAX)
    assert "More." in env.page("privacy")


# ---- where releases come from ----


def test_a_folder_is_read_once_and_rendered_with_all_that_was_asked_for(
    env: PublishEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    site: Any = SimpleNamespace(source=SimpleNamespace(theme=SimpleNamespace(shop="shop")))

    def read_site(*project: Any, **options: Any) -> Any:
        calls.append((project, options))
        return site

    def render_site(*parts: Any, **options: Any) -> Any:
        calls.append((parts, options))
        return "release"

    monkeypatch.setattr(sources, "read_site", read_site)
    monkeypatch.setattr(sources, "render_site", render_site)
    stock: Any = "stock"
    dates: Any = "dates"
    form_tokens = FormTokens.of(b"identity", at_ms=env.clock())
    load_folder(env.project)
    loaded = load_folder(env.project, base_url="https://b.example", skip_broken_pictures=True)
    given: Any = (loaded.shop, loaded.render(stock, form_tokens, dates))
    assert given == ("shop", "release")
    assert calls == [
        ((env.project,), {"base_url": None, "skip_broken_pictures": False}),
        ((env.project,), {"base_url": "https://b.example", "skip_broken_pictures": True}),
        ((env.project, site), {"stock": "stock", "form_tokens": form_tokens, "dates": "dates"}),
    ]


@pytest.mark.parametrize("wrong_at", ["read_site", "render_site"])
def test_a_wrong_catalogue_is_reported_with_a_way_out(
    env: PublishEnv, monkeypatch: pytest.MonkeyPatch, wrong_at: str
) -> None:
    def fail(*_: Any, **options: Any) -> Any:
        raise wrong

    wrong = CatalogueInvalid.__new__(CatalogueInvalid)
    wrong.message = "site.toml: wrong"
    monkeypatch.setattr(sources, wrong_at, fail)
    nothing: Any = {}
    assert error_of(lambda: load_folder(env.project).render(nothing, nothing, nothing), BadInput) == (
        "site.toml: wrong",
        "correct them and publish again; the live shop is as it was",
    )


def test_a_lost_release_is_reported_with_a_way_out(env: PublishEnv) -> None:
    kept = KeptRelease("r1", 0, 1, 1)
    assert error_of(lambda: load_kept(kept, env.project, env.target)) == (
        "what release r1 was made from is gone",
        "go back to another",
    )
    asset = made("assets/a", ObjectKind.ASSET)
    pages = env.bucket("pages")
    assert error_of(lambda: sources._with_bodies((asset,), Manifest(), pages)) == (
        "assets/a of that release is gone",
        "go back to another",
    )
    env.sink.objects["pages/assets/a"] = b"there"
    touched = Manifest(objects={"assets/a": "1"}, in_doubt=("assets/a",))
    for live in (Manifest(), touched):
        assert sources._with_bodies((asset,), live, pages) == (replace(asset, body=b"there"),)
    for live in (Manifest(objects={"assets/a": "1"}), Manifest(retired={"assets/a": 1})):
        assert sources._with_bodies((asset,), live, pages) == (asset,)


def test_a_release_to_go_back_to_is_chosen_or_the_choices_listed() -> None:
    manifest = Manifest("b1", kept=(KeptRelease("b1", 0, 1, 1), KeptRelease("a2", 0, 1, 1)))
    assert choose_kept(manifest, None) == KeptRelease("a2", 0, 1, 1)
    assert choose_kept(manifest, "b") == KeptRelease("b1", 0, 1, 1)
    listed = "spillway rollback --list names them"
    assert error_of(lambda: choose_kept(manifest, "c"), BadInput) == (
        "c: no release of that name is kept",
        listed,
    )
    assert error_of(lambda: choose_kept(manifest, ""), BadInput) == (": several releases begin so", listed)
    alone = replace(manifest, kept=manifest.kept[:1])
    assert error_of(lambda: choose_kept(alone, None), BadInput) == (
        "no release was live before this one",
        "publish another first",
    )


# ---- a stage ----


class FakeStage:
    """A stage with its outputs. `frozen` are the credentials of its session."""

    def __init__(self, frozen: Any) -> None:
        self.name, self.region, self.endpoint_url = "stage", REGION, "http://127.0.0.1:9"
        found = SimpleNamespace(get_frozen_credentials=lambda: frozen) if frozen else None
        self.session = SimpleNamespace(get_credentials=lambda: found)

    def container(self) -> Any:
        """Return stand-ins for the objects of the stage's container."""
        return SimpleNamespace(
            settings=SimpleNamespace(release_bucket="the releases", pages_bucket="the pages"),
            keys=SimpleNamespace(identity=b"identity"),
            products="products",
            domain_lists="domain lists",
            cdn="cdn",
        )


def test_a_stage_is_published_to_by_the_names_of_its_outputs(env: PublishEnv) -> None:
    stage: Any = FakeStage(SimpleNamespace(access_key="a", secret_key="s", token=None))
    folder = env.project.cache / "publish" / "stage"
    with target.publish_target(stage, env.project, env.clock) as place:
        given: Any = place
        assert (given.products, given.domain_lists, given.cdn) == ("products", "domain lists", "cdn")
        assert given.form_tokens == FormTokens.of(b"identity", at_ms=env.clock())
        assert (given.pages._prefix, given.releases._prefix) == ("/the pages/", "/the releases/")
        assert given.pages._address == ("127.0.0.1", 9)
        head = given.pages._request_headers.head("GET", "/", {}, "0", 0).decode()
        assert f"Credential=a/{head.partition('Credential=a/')[2][:8]}/{REGION}/s3/" in head
        assert "x-amz-security-token" not in head
        store = given.manifest
        assert store._bucket is given.releases
        assert (store._clock_ms, store._copy) == (env.clock, folder / "manifest.json")
        assert store._hint == target.unreadable_hint("stage", "the releases")
        noted = json.loads((folder / "claims.json").read_text())
        assert (noted["tokens"], store._claimant) == (
            [store._claimant.token],
            Claimant(store._claimant.token, frozenset()),
        )
        again = target.publish_target(stage, env.project, env.clock)
        assert error_of(again.__enter__) == (
            "another publish from this folder is under way",
            "wait for it to end",
        )
    with target.publish_target(stage, env.project, env.clock) as place:
        following: Any = place
        assert following.manifest._claimant.ended == {given.manifest._claimant.token}
    nobody: Any = FakeStage(None)
    assert error_of(target.publish_target(nobody, env.project, env.clock).__enter__) == (
        "no AWS credentials",
        "sign in with the AWS CLI, or set AWS_PROFILE",
    )


def test_a_claims_file_remembers_a_hundred_tokens_of_its_lock(tmp_path: Path) -> None:
    file = tmp_path / "claims.json"
    tokens = [target.claimant_of(file, "lock").token for _ in range(101)]
    assert len(set(tokens)) == 101
    assert {len(token) for token in tokens} == {16}
    assert json.loads(file.read_text()) == {"lock": "lock", "tokens": tokens[1:]}
    assert [file_.name for file_ in tmp_path.iterdir()] == ["claims.json"]
    assert target.claimant_of(file, "lock").ended == frozenset(tokens[1:])
    for broken in ("{", "[]", "{}", '{"lock": "lock"}', '{"lock": "lock", "tokens": 3}'):
        file.write_text(broken)
        assert target._stored_tokens(file, "lock") == []
    file.write_text('{"lock": "lock", "tokens": [1, "b"]}')
    assert target._stored_tokens(file, "lock") == ["1", "b"]
    assert target._stored_tokens(file, "other") == target._stored_tokens(tmp_path / "none", "lock") == []

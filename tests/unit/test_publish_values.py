"""Whole values of a publish: each manifest, request, error and argument with every one of its parts."""

import asyncio
import gzip
import hashlib
import json
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chalicelib.aws.signing import Credentials
from chalicelib.domain.form_stamp import FormStamps
from spillway.errors import BadInput, SpillwayError, WorkFailed
from spillway.publish import connection as connection_module
from spillway.publish import s3 as s3_module
from spillway.publish import sources, target
from spillway.publish.answer import HEAD_BYTES_MAX, Answer, parse_response
from spillway.publish.archive import kept_key, packed, unpacked
from spillway.publish.connection import Connection, _Line
from spillway.publish.live import (
    CLAIM_MS,
    CLAIM_RENEWED_AFTER_MS,
    CLAIM_TRUSTED_MS,
    Claimant,
    Hold,
    LiveRelease,
    Outdated,
    Seen,
)
from spillway.publish.manifest import Claim, Kept, Manifest, fingerprint
from spillway.publish.plan import RETIRED_KEPT_MS, Plan, Reason, Removal, Upload, make_plan, theme_digest
from spillway.publish.publisher import Published
from spillway.publish.s3 import Changed, Request, S3Bucket
from spillway.publish.sources import chosen, of_folder, of_kept
from spillway.sitegen.reading.toml_input import CatalogueInvalid
from spillway.sitegen.release import Kind, Release, SiteObject
from tests.support.aws import REGION
from tests.support.clock import Clock
from tests.support.fake_s3 import S3Sink
from tests.support.publish_env import Desk, drop_scarf, edit_privacy

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\netag: x\r\n\r\n"


def told(fails: Callable[[], object], kind: type[SpillwayError] = WorkFailed) -> tuple[str, str]:
    """Return what a person reads of an error: what went wrong, and the way out."""
    with pytest.raises(kind) as caught:
        fails()
    return caught.value.message, caught.value.hint


# ---- answers of S3 ----


def test_a_head_may_be_as_long_as_the_limit_says() -> None:
    head = b"HTTP/1.1 200 OK\r\nx: "
    longest = head + b"a" * (HEAD_BYTES_MAX - len(head))
    assert parse_response(longest) is None
    with pytest.raises(ValueError, match=r"^an answer without an end to its head$"):
        parse_response(longest + b"a")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"SSH-2.0\r\n\r\n", "an answer that is not HTTP"),
        (OK + b"x", "more than an answer"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", "an answer of '-1' bytes"),
    ],
)
def test_what_is_no_answer_is_called_so(data: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}$"):
        parse_response(data)


def test_an_answer_after_another_that_says_wait_ends_with_the_connection_too() -> None:
    data = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX-A: b\r\n\r\nbody"
    assert parse_response(data) is None
    assert parse_response(data, ended=True) == Answer(200, {"x-a": "b"}, b"body", hangs_up=True)
    assert parse_response(OK) == Answer(200, {"content-length": "0", "etag": "x"}, b"", hangs_up=False)
    kept = OK.replace(b"etag: x", b"Connection: keep-alive")
    assert parse_response(kept) == Answer(
        200, {"content-length": "0", "connection": "keep-alive"}, b"", False
    )


# ---- connections ----


class FakeLoop:
    """A loop whose time is set by hand. `timers` are what is to be called, and when."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.cancelled = 0
        self.futures: list[asyncio.Future[Answer]] = []
        self._real = asyncio.new_event_loop()

    def time(self) -> float:
        return self.now_s

    def create_future(self) -> "asyncio.Future[Answer]":
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
    line = _Line(loop, 10.0)
    line.connection_made(transport)
    yield SimpleNamespace(line=line, loop=loop, transport=transport)
    loop.close()


def test_one_timer_watches_over_all_requests_of_a_connection(line: Any) -> None:
    ((at_s, look),) = line.loop.timers
    assert at_s == 110.0
    line.loop.now_s = 110.0
    look()
    assert line.loop.timers[-1][0] == 120.0, "nobody asked"
    line.loop.now_s = 113.0
    asked = line.line.ask(b"one")
    line.loop.now_s = 120.0
    line.loop.timers[-1][1]()
    assert line.loop.timers[-1][0] == 123.0, "since it was asked"
    line.line.data_received(OK)
    assert asked.result() == Answer(200, {"content-length": "0", "etag": "x"}, b"")
    line.loop.now_s = 123.0
    line.loop.timers[-1][1]()
    assert line.loop.timers[-1][0] == 133.0, "it was answered"
    late = line.line.ask(b"two")
    line.loop.now_s = 133.0
    line.loop.timers[-1][1]()
    assert str(late.exception()) == "no answer within 10 s"
    assert type(late.exception()) is TimeoutError
    assert (len(line.loop.timers), line.transport.written, line.line.closed) == (4, [b"one", b"two"], True)


def test_an_answer_that_comes_in_pieces_is_put_together_and_the_next_begins_anew(line: Any) -> None:
    for _ in range(2):
        asked = line.line.ask(b"x")
        for at in range(len(OK)):
            assert not asked.done()
            line.line.data_received(OK[at : at + 1])
        assert asked.result().status == 200
    assert not line.line.closed


def test_a_connection_is_left_after_an_answer_that_came_too_early_or_that_nobody_asked_for(line: Any) -> None:
    line.transport.waiting_bytes = 1
    asked = line.line.ask(b"x")
    line.line.data_received(OK)
    assert (asked.result().status, line.line.closed) == (200, True)
    line.transport.aborted = False
    line.line.data_received(OK)
    assert line.line.closed


def test_what_cannot_be_read_or_does_not_come_is_told_and_the_connection_left(line: Any) -> None:
    asked = line.line.ask(b"x")
    line.line.data_received(b"SSH\r\n\r\n")
    assert (str(asked.exception()), line.line.closed) == ("an answer that is not HTTP", True)
    asked = line.line.ask(b"x")
    line.line.connection_lost(None)
    assert str(asked.exception()) == "the connection was closed before the answer"
    assert (type(asked.exception()), line.loop.cancelled) == (ConnectionResetError, 1)
    asked, error = line.line.ask(b"x"), OSError("reset")
    line.line.connection_lost(error)
    assert asked.exception() is error
    line.line.connection_lost(None)
    assert asked.exception() is error, "the first is what counts"
    line.line.close()
    assert line.loop.cancelled == 4


def test_an_answer_may_end_with_its_connection(line: Any) -> None:
    asked = line.line.ask(b"x")
    line.line.data_received(b"HTTP/1.1 200 OK\r\n\r\nbody")
    assert not asked.done()
    line.line.eof_received()
    assert (asked.result(), line.line.closed) == (Answer(200, {}, b"body", True), True)


def test_a_connection_is_opened_once_and_again_after_it_was_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []

    class Line:
        def __init__(self, loop: Any, timeout_s: float) -> None:
            self.closed, self.timeout_s = False, timeout_s

        async def ask(self, message: bytes) -> bytes:
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
        first = connection._line
        first.closed = True
        answers.append(await connection.exchange(b"3"))
        second = connection._line
        assert second is not first
        connection.close()
        assert (second.closed, second.timeout_s, connection._line) == (True, 7.0, None)
        return answers

    monkeypatch.setattr(connection_module, "_Line", Line)

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
    head = bucket._heads.head("GET", "/", {}, "0", 7).decode()
    assert f"\r\nhost: {host}\r\n" in head
    assert "x-amz-date: 19700101T000000Z" in head
    assert f"Credential=key/19700101/{REGION}/s3/aws4_request" in head
    connection = bucket._connection()
    assert (connection._address, connection._tls, connection._timeout_s) == (address, bucket._tls, 5.0)
    usual = S3Bucket("pages", REGION, keys, endpoint="http://s3.example")
    assert (usual._backoff_s, usual._timeout_s) == (0.1, 60.0)


class Asked(S3Bucket):
    """A bucket that answers from a list, and notes what it was asked."""

    def __init__(self, *answers: Any) -> None:
        super().__init__("pages", REGION, keys, endpoint="http://s3.example", backoff_s=0.5)
        self.answers = list(answers)
        self.asked: list[tuple[Any, ...]] = []
        self.closed = 0

    def _connection(self) -> Any:
        async def exchange(message: bytes) -> Answer:
            self.asked.append((message.partition(b" HTTP")[0].decode(), message.partition(b"\r\n\r\n")[2]))
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return Answer(answer, {"etag": "new"}, b"<Code>Why</Code>")

        def close() -> None:
            self.closed += 1

        return SimpleNamespace(exchange=exchange, close=close)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What is waited for between attempts, each time as long as can be."""
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
    assert told(lambda: bucket.get("a/b")) == (words, AGAIN)
    assert (pauses, bucket.closed, bucket.answers) == (waited, closed, [])


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
    with pytest.raises(Changed, match=r"^a b$"):
        bucket.put_if("a b", b"two", {}, etag=None)
    second = bucket.put_if("a b", b"two", {}, etag=first)
    assert sink.headers["pages/a b"]["if-match"] == first
    assert "if-none-match" not in sink.headers["pages/a b"]
    assert bucket.get("a b") == Answer(200, {"content-length": "3", "etag": second}, b"two")
    assert bucket.get("a b", unless=first).status == 200
    assert bucket.get("a b", unless=second).status == 304
    assert bucket.get("c").status == 404


@pytest.mark.parametrize("status", [404, 409, 412])
def test_an_object_that_somebody_else_wrote_or_deleted_has_changed(status: int) -> None:
    with pytest.raises(Changed, match=r"^a$"):
        Asked(status).put_if("a", b"", {}, etag="x")
    assert Asked(200).put_if("a", b"", {}, etag="x") == "new"


def test_a_connection_is_opened_for_every_four_requests_and_for_none_without_any(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[int] = []

    async def all_of_them(bucket: S3Bucket, waiting: Any, connections: int, done: Any) -> None:
        opened.append(connections)
        assert len(list(waiting)) == count

    monkeypatch.setattr(S3Bucket, "_all", all_of_them)
    for count in (0, 1, 4, 5, 1024, 1025, 5000):
        Asked().send(Request("PUT", str(number)) for number in range(count))
    assert opened == [1, 1, 2, 256, 256, 256]


def test_each_request_is_sent_with_its_body_and_heard_of_when_it_is_done() -> None:
    done: list[int] = []
    bucket = Asked(200, 204, 404)
    requests = [
        Request("PUT", "ü/~a b", load=lambda: b"body"),
        Request("DELETE", "b"),
        Request("DELETE", "c"),
    ]
    assert told(lambda: bucket.send(requests, lambda: done.append(1))) == (
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
    silent.send([Request("DELETE", "b")])
    assert silent.asked == [("DELETE /pages/b", b"")]


def test_room_is_what_bodies_on_their_way_leave_of_sixteen_megabytes() -> None:
    async def uses() -> None:
        room, most = s3_module._Room(), 16 * 1024 * 1024
        first = room.load(Request("PUT", "a", load=lambda: b"x" * (most - 1)))
        assert not room.full
        second = room.load(Request("PUT", "b", load=lambda: b"x"))
        assert room.full
        waits = asyncio.create_task(room.wait())
        await asyncio.sleep(0)
        room.leave(b"")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not waits.done(), "there is no room yet"
        room.leave(second)
        await asyncio.wait_for(waits, 5)
        room.leave(first)
        assert room._bytes == 0

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

    def get(self, key: str, *, unless: str | None = None) -> Answer:
        self.gets.append((key, unless))
        if self.body is None:
            return Answer(404, {}, b"")
        if unless == self.etag:
            return Answer(304, {"etag": self.etag}, b"")
        return Answer(200, {"etag": self.etag}, self.body)

    def put_if(self, key: str, body: bytes, headers: dict[str, str], *, etag: str | None) -> str:
        if self.before_put:
            self.before_put.pop(0)()
        if etag != (None if self.body is None else self.etag):
            raise Changed(key)
        self.body = body
        self.puts.append((key, body, headers, etag))
        if self.loses_answer:
            self.loses_answer = False
            raise Changed(key)
        return self.etag


def live_release(bucket: MemoryBucket, folder: Path, clock: Clock, owner: str = "me") -> LiveRelease:
    return LiveRelease(bucket, Claimant(owner, frozenset({"ended"})), clock, folder / "a" / "b" / "copy.json")


def plan_of(*keys: str, release: str = "r2") -> Plan:
    removals = tuple(Removal(key, Reason.GONE) for key in keys)
    return Plan((), removals, 0, Manifest(release, {"x": "1"}, theme="t"), False, True, False, ())


TAKEN_OVER = (
    "another publish took over before this one ended",
    "publish again: pages that this one may have written over the other's are put again",
)
GIVEN_UP = "wait for it to end; one that died is given up after half an hour"


@pytest.fixture
def bucket() -> MemoryBucket:
    return MemoryBucket()


def test_what_is_live_is_read_once_and_remembered_in_a_file(
    bucket: MemoryBucket, tmp_path: Path, clock: Clock
) -> None:
    live = live_release(bucket, tmp_path, clock)
    assert live.read() == Seen(Manifest(), None, presumed=False)
    assert live.presumed() == Seen(Manifest(), None, presumed=False)
    bucket.set(Manifest("r1", {"ü": "1"}))
    seen = Seen(Manifest("r1", {"ü": "1"}), bucket.etag)
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
    with pytest.raises(Outdated) as caught:
        live.confirm(replace(seen, presumed=True))
    assert caught.value.seen == Seen(Manifest("r2"), bucket.etag)
    live.confirm(Seen(Manifest("r2"), "old", presumed=True))


def test_a_manifest_without_an_etag_is_not_taken_for_none(
    bucket: MemoryBucket, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = Manifest("r1").to_json().encode()
    monkeypatch.setattr(bucket, "get", lambda key, *, unless: Answer(200, {}, body))
    assert live_release(bucket, tmp_path, clock).read() == Seen(Manifest("r1"), "")


def test_a_claim_names_who_publishes_what_and_every_key_in_doubt(
    bucket: MemoryBucket, tmp_path: Path, clock: Clock
) -> None:
    before = Manifest("r1", {"a": "1"}, unsure=("z", "b"), theme="t")
    bucket.set(before)
    live = live_release(bucket, tmp_path, clock)
    etag = bucket.etag
    hold = live.claim(live.read(), plan_of("c", "b"))
    claimed = replace(before, unsure=("b", "c", "z"), claim=Claim("me", clock(), "r2", None))
    assert (bucket.manifest, hold.manifest) == (claimed, claimed)
    assert bucket.puts == [
        ("manifest.json", claimed.to_json().encode(), {"content-type": "application/json"}, etag)
    ]
    assert hold.finish() == Seen(plan_of().manifest, bucket.etag)
    assert bucket.manifest == plan_of().manifest


@pytest.mark.parametrize(
    ("owner", "age_ms", "doubted", "expected"),
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
    doubted: tuple[str, ...] | None,
    expected: tuple[str, ...] | None,
) -> None:
    bucket.set(Manifest("r1", unsure=("z", "b"), claim=Claim(owner, clock() - age_ms, "r0", doubted)))
    live = live_release(bucket, tmp_path, clock)
    hold = live.claim(live.read(), plan_of())
    assert hold.manifest.claim == Claim("me", clock(), "r2", expected)
    ended = hold.finish().manifest
    assert ended == (plan_of().manifest if expected is None else plan_of().manifest.with_doubts(expected))


@pytest.mark.parametrize(
    ("age_ms", "since"), [(0, ""), (1999, ", since 1 s"), (CLAIM_MS - 1, ", since 1799 s")]
)
def test_another_publish_under_way_is_told_with_its_age(
    bucket: MemoryBucket, tmp_path: Path, clock: Clock, age_ms: int, since: str
) -> None:
    bucket.set(Manifest("r1", claim=Claim("other", clock() - age_ms)))
    live = live_release(bucket, tmp_path, clock)
    seen = live.read()
    assert told(lambda: live.claim(seen, plan_of())) == (f"another publish is under way{since}", GIVEN_UP)
    bucket.set(Manifest("r3"))
    with pytest.raises(Outdated):
        live.claim(replace(seen, presumed=True), plan_of())
    assert bucket.puts == []


def test_who_comes_second_with_a_claim_is_told_so_or_that_it_presumed_wrong(
    bucket: MemoryBucket, tmp_path: Path, clock: Clock
) -> None:
    live = live_release(bucket, tmp_path, clock)
    seen = live.read()
    bucket.before_put.append(lambda: bucket.set(Manifest("r3")))
    assert told(lambda: live.claim(seen, plan_of())) == ("another publish is under way", GIVEN_UP)
    with pytest.raises(Outdated) as caught:
        live.claim(replace(seen, presumed=True), plan_of())
    assert caught.value.seen == Seen(Manifest("r3"), bucket.etag)
    bucket.loses_answer = True
    hold = live.claim(live.read(), plan_of())
    assert hold.manifest == bucket.manifest == Manifest("r3", claim=Claim("me", clock(), "r2"))


def held(bucket: MemoryBucket, live: LiveRelease, *keys: str) -> Hold:
    bucket.set(Manifest("r1"))
    return live.claim(live.read(), plan_of(*keys))


def test_a_claim_is_looked_at_every_five_seconds_and_renewed_every_ten_minutes(
    bucket: MemoryBucket, tmp_path: Path
) -> None:
    now_ms = 1_000_000
    live = LiveRelease(bucket, Claimant("me"), lambda: now_ms, tmp_path / "copy.json")
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
    assert (hold.trusted, bucket.manifest.claim) == (True, Claim("me", begun_ms, "r2"))
    now_ms = begun_ms + CLAIM_RENEWED_AFTER_MS + CLAIM_TRUSTED_MS
    hold.check()
    renewed = Manifest("r1", unsure=("a",), claim=Claim("me", now_ms, "r2"))
    assert bucket.manifest == hold.manifest == renewed
    now_ms += CLAIM_TRUSTED_MS
    bucket.set(replace(renewed, claim=Claim("me", now_ms, "r2", ("d",))))
    hold.check()
    assert hold.manifest.claim == Claim("me", now_ms, "r2", ("d",))
    assert hold.finish().manifest == plan_of().manifest.with_doubts(["d"])


def test_the_end_of_a_publish_is_written_though_others_add_doubts_or_its_answer_is_lost(
    bucket: MemoryBucket, tmp_path: Path, clock: Clock
) -> None:
    live = live_release(bucket, tmp_path, clock)
    hold = held(bucket, live)
    bucket.before_put.append(lambda: bucket.set(bucket.manifest.with_doubts(["d"])))
    assert hold.finish() == Seen(plan_of().manifest.with_doubts(["d"]), bucket.etag)
    hold = held(bucket, live)
    bucket.loses_answer = True
    assert hold.finish() == Seen(plan_of().manifest, bucket.etag)


def test_an_overtaken_publish_leaves_its_keys_in_doubt_and_says_so(
    bucket: MemoryBucket, tmp_path: Path, clock: Clock
) -> None:
    live = live_release(bucket, tmp_path, clock)
    for theirs, left in (
        (
            Manifest("r3", claim=Claim("other", 1)),
            Manifest("r3", claim=Claim("other", 1, doubted=("a", "b"))),
        ),
        (Manifest("r3", theme="t"), Manifest("r3", unsure=("a", "b"))),
    ):
        hold = held(bucket, live, "b", "a")
        bucket.set(theirs)
        assert told(hold.finish) == TAKEN_OVER
        assert bucket.manifest == left
        puts = len(bucket.puts)
        assert told(hold.finish) == TAKEN_OVER
        assert len(bucket.puts) == puts, "doubts that are there are not written again"
    hold = held(bucket, live, "a")
    bucket.set(Manifest("r3"))
    bucket.before_put += [lambda: None, lambda: bucket.set(Manifest("r4"))]
    assert told(hold.finish) == TAKEN_OVER
    assert bucket.manifest == Manifest("r4", unsure=("a",))


def test_a_manifest_that_others_write_all_the_time_is_given_up_after_ten_attempts(
    bucket: MemoryBucket, tmp_path: Path, clock: Clock
) -> None:
    words = ("others wrote the manifest all the time", "publish again when they are done")
    live = live_release(bucket, tmp_path, clock)
    hold = held(bucket, live, "a")
    written: list[int] = []

    def rewrite(claim: Claim | None) -> Callable[[], None]:
        def act() -> None:
            written.append(1)
            bucket.set(Manifest(f"r{len(written)}", claim=claim))

        return act

    claim = bucket.manifest.claim
    bucket.before_put += [rewrite(claim) for _ in range(20)]
    assert told(hold.finish) == words
    assert len(written) == 10
    bucket.before_put.clear()
    hold = held(bucket, live, "a")
    bucket.set(Manifest("r3"))
    bucket.before_put += [lambda: None, *(rewrite(None) for _ in range(20))]
    assert told(hold.finish) == words
    assert len(written) == 20


# ---- manifests and plans ----


def test_a_manifest_is_sorted_json_and_doubts_are_added_once() -> None:
    manifest = Manifest("r", {"b": "1", "a": "2"}, unsure=("c",), theme="t")
    assert json.loads(manifest.to_json()) == {
        "release": "r",
        "objects": {"a": "2", "b": "1"},
        "retired": {},
        "theme": "t",
        "kept": [],
        "dates": {},
        "unsure": ["c"],
        "claim": None,
    }
    assert manifest.to_json() == json.dumps(json.loads(manifest.to_json()), sort_keys=True, indent=1)
    assert manifest.with_doubts(["d", "c", "a"]) == replace(manifest, unsure=("a", "c", "d"), theme="")
    claimed = replace(manifest, claim=Claim("o", 1))
    assert claimed.with_doubts(["d", "a"]) == replace(manifest, claim=Claim("o", 1, "", ("a", "d")))
    again = claimed.with_doubts(["d"]).with_doubts(["a", "d"])
    assert again == replace(manifest, claim=Claim("o", 1, "", ("a", "d")))
    assert Manifest.from_json(again.to_json()) == again
    assert Manifest.from_json('{"claim": {"owner": "o", "since_ms": 1}}') == Manifest(claim=Claim("o", 1))


def test_a_fingerprint_is_the_digest_and_each_header() -> None:
    page = SiteObject.of("a", b"x", content_type="t", cache_control="c", kind=Kind.PAGE)
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


def made(key: str, kind: Kind = Kind.PAGE, body: bytes = b"x") -> SiteObject:
    return SiteObject.of(key, body, content_type="t", cache_control="c", kind=kind)


def test_a_plan_has_every_step_and_the_manifest_that_is_true_after_it(small_release: Release) -> None:
    index, page, asset = made("index.html", Kind.INDEX), made("page"), made("assets/a", Kind.ASSET)
    kept, sure = made("kept"), made("sure")
    release = with_objects(small_release, index, page, asset, kept, sure, made("assets/back", Kind.ASSET))
    week_ago = 1000
    at_ms = week_ago + RETIRED_KEPT_MS
    dead = Claim("o", 1, "begun")
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
        (Kept("old", week_ago, 1, 2),),
        unsure=("sure", "never"),
        claim=dead,
    )
    plan = make_plan(live, release, at_ms=at_ms)
    assert plan == Plan(
        (
            Upload(asset, Reason.NEW),
            Upload(page, Reason.CHANGED),
            Upload(sure, Reason.UNSURE),
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
            {each.key: fingerprint(each) for each in release.objects},
            {"assets/gone": at_ms, "pictures/gone": at_ms, "assets/waits": week_ago + 1},
            theme_digest(release.theme),
            (Kept(release.id, at_ms, len(release.products), 4), Kept("old", week_ago, 1, 2)),
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
    done = make_plan(plan.manifest, release, at_ms=at_ms + 1)
    assert (done.empty, done.keeps, done.forgets) == (True, False, ())
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
    unsure = replace(live, unsure=("it/waitlist/unsubscribed",))
    plan = make_plan(unsure, with_objects(small_release, first, about), at_ms=0)
    assert [(each.site_object, each.reason) for each in plan.uploads] == [
        (first, Reason.NEW),
        (about, Reason.NEW),
        (replace(first, key="de/waitlist/unsubscribed"), Reason.CHANGED),
        (replace(first, key="it/waitlist/unsubscribed"), Reason.UNSURE),
    ]
    assert [each.key for each in plan.removals] == ["de/products/x", "fr/waitlist/none"]


# ---- what is kept ----


def test_makings_are_packed_as_one_document_that_is_always_the_same(small_release: Release) -> None:
    source = small_release.source
    content = packed(source)
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
    back = unpacked(content, "r")
    assert back.assets == tuple(replace(each, body=b"") for each in source.assets)
    assert (back.theme, back.contents) == (source.theme, source.contents)
    assert (back.redirects, back.root_files) == (source.redirects, source.root_files)
    assert back.products.image_variants == {
        name: tuple(replace(each, file=Path()) for each in each_size)
        for name, each_size in source.products.image_variants.items()
    }
    assert kept_key("r") == "releases/r.json.gz"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"nothing", "BadGzipFile Not a gzipped file (b'no')"),
        (gzip.compress(b"{}", mtime=0), "KeyError 'theme'"),
        (gzip.compress(b"[]", mtime=0), "TypeError list indices must be integers or slices, not str"),
    ],
    ids=["no gzip", "no theme", "a list"],
)
def test_makings_of_another_version_are_told_with_a_way_out(content: bytes, why: str) -> None:
    assert told(lambda: unpacked(content, "r1")) == (
        f"release r1 was kept by another version of Spillway: {why}",
        "check out that version and roll back, or the shop's files of then and publish",
    )


# ---- publishing ----


def test_a_publish_says_all_that_it_did(desk: Desk) -> None:
    heard: list[tuple[int, int]] = []
    first = desk.publish(lambda done, total: heard.append((done, total)))
    count = len(desk.sink.keys("pages"))
    assert first == Published(first.release, count, 0, 0, (), (), first.missing_translations, (), ())
    assert heard == [(number, count) for number in range(1, count + 1)]
    theme = desk.sink.headers["release/theme.json"]
    assert (theme["content-type"], theme["cache-control"]) == ("application/json", "no-cache")
    kept = desk.sink.headers[f"release/{kept_key(first.release)}"]
    assert (kept["content-type"], kept["cache-control"]) == ("application/gzip", "no-cache")
    (reference,) = desk.cdn.references
    assert reference.startswith(f"{first.release}-{desk.clock()}-")
    drop_scarf(desk.project)
    desk.clock.pass_s(60)
    second = desk.publish()
    assert (second.removed, second.abandoned, second.withdrawn) == (1, ("scarf",), ("SCARF",))
    assert second.uploaded + second.skipped == len(desk.live.read().manifest.objects)
    assert list(desk.cdn.references)[1].startswith(f"{second.release}-{desk.clock()}-")


def test_a_busy_cdn_is_told_with_a_way_out_and_the_next_publish_tells_it_again(desk: Desk) -> None:
    desk.publish()
    edit_privacy(desk.project)
    desk.cdn.paths_left = desk.cdn.wildcards_left = 0
    assert told(desk.publish) == (
        "all pages are written, but CloudFront has too many invalidations in progress:"
        " visitors may see older pages for up to a day",
        "publish again in a few minutes; only what may be old in its caches is sent again",
    )
    desk.cdn.paths_left = 10
    desk.publish()
    assert "/privacy" in desk.cdn.paths[-1]


@pytest.mark.parametrize(("pages", "others", "refused"), [(10, 0, False), (11, 0, True), (11, 60, False)])
def test_more_than_ten_pages_and_a_fifth_of_all_are_deleted_only_where_that_is_meant(
    desk: Desk, pages: int, others: int, refused: bool
) -> None:
    publisher = desk.publisher()
    live = Manifest(objects={str(number): "1" for number in range(5 * pages - 1 + others)})
    plan: Any = SimpleNamespace(pages_removed=[str(number) for number in range(pages)])
    seen = Seen(live, None)
    if not refused:
        publisher._refuse_to_empty(plan, seen)
        return
    assert told(lambda: publisher._refuse_to_empty(plan, seen), BadInput) == (
        f"this would delete {pages} pages of a shop of {len(live.objects)} objects; nothing was changed",
        "if that is meant, publish with --delete-many; --dry-run lists them",
    )
    desk.publisher(delete_many=True)._refuse_to_empty(plan, seen)
    exactly = Seen(replace(live, objects={**live.objects, "one": "1"}), None)
    publisher._refuse_to_empty(plan, exactly)


# ---- where releases come from ----


def test_a_folder_is_built_with_all_that_was_asked_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Any] = []

    def build(*project: Any, **options: Any) -> Any:
        built.append((project, options))
        return "release"

    monkeypatch.setattr(sources, "build", build)
    stock: Any = "stock"
    dates: Any = "dates"
    place, stamps = desk.target, FormStamps.of(b"identity", at_ms=desk.clock())
    made: Any = of_folder(desk.project, place)(stock, dates)
    assert made == "release"
    of_folder(desk.project, place, base_url="https://b.example", skip_broken_pictures=True)(stock, dates)
    options = {"stock": "stock", "stamps": stamps, "dates": "dates"}
    assert built == [
        ((desk.project,), {**options, "base_url": None, "skip_broken_pictures": False}),
        ((desk.project,), {**options, "base_url": "https://b.example", "skip_broken_pictures": True}),
    ]


def test_a_wrong_catalogue_and_a_lost_release_are_told_with_a_way_out(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(*_: Any, **options: Any) -> Any:
        raise wrong

    wrong = CatalogueInvalid.__new__(CatalogueInvalid)
    wrong.message = "site.toml: wrong"
    monkeypatch.setattr(sources, "build", build)
    nothing: Any = {}
    make = of_folder(desk.project, desk.target)
    assert told(lambda: make(nothing, nothing), BadInput) == (
        "site.toml: wrong",
        "correct them and publish again; the live shop is as it was",
    )
    kept = Kept("r1", 0, 1, 1)
    assert told(lambda: of_kept(kept, desk.project, desk.target)) == (
        "what release r1 was made from is gone",
        "go back to another",
    )
    asset = made("assets/a", Kind.ASSET)
    pages = desk.bucket("pages")
    assert told(lambda: sources._at_hand((asset,), Manifest(), pages)) == (
        "assets/a of that release is gone",
        "go back to another",
    )
    desk.sink.objects["pages/assets/a"] = b"there"
    touched = Manifest(objects={"assets/a": "1"}, unsure=("assets/a",))
    for live in (Manifest(), touched):
        assert sources._at_hand((asset,), live, pages) == (replace(asset, body=b"there"),)
    for live in (Manifest(objects={"assets/a": "1"}), Manifest(retired={"assets/a": 1})):
        assert sources._at_hand((asset,), live, pages) == (asset,)


def test_a_release_to_go_back_to_is_chosen_or_the_choice_told() -> None:
    manifest = Manifest("b1", kept=(Kept("b1", 0, 1, 1), Kept("a2", 0, 1, 1)))
    assert chosen(manifest, None) == Kept("a2", 0, 1, 1)
    assert chosen(manifest, "b") == Kept("b1", 0, 1, 1)
    listed = "spillway rollback --list names them"
    assert told(lambda: chosen(manifest, "c"), BadInput) == ("c: no release of that name is kept", listed)
    assert told(lambda: chosen(manifest, ""), BadInput) == (": several releases begin so", listed)
    alone = replace(manifest, kept=manifest.kept[:1])
    assert told(lambda: chosen(alone, None), BadInput) == (
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

    def outputs(self) -> dict[str, str]:
        names = ("ReleaseBucket", "PagesBucket", "ProductsTable", "DistributionId", "SigningKeysSecret")
        return {name: f"the {name}" for name in names}

    def client(self, name: str) -> Any:
        return f"{name} client"


def test_a_stage_is_published_to_by_the_names_of_its_outputs(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Any] = []

    def read_keys(*asked: Any) -> Any:
        read.append(asked)
        return SimpleNamespace(identity=b"identity")

    monkeypatch.setattr(target, "read_keys", read_keys)
    for part in ("ProductsTable", "DomainListsTable", "Cdn", "LiveRelease"):
        monkeypatch.setattr(target, part, lambda *parts: parts)
    stage: Any = FakeStage(SimpleNamespace(access_key="a", secret_key="s", token=None))
    folder = desk.project.cache / "publish" / "stage"
    with target.target_of(stage, desk.project, desk.clock) as place:
        given: Any = place
        assert read == [("secretsmanager client", "the SigningKeysSecret")]
        assert given.products == given.domain_lists == ("dynamodb client", "the ProductsTable")
        assert given.cdn == ("cloudfront client", "the DistributionId")
        assert given.stamps == FormStamps.of(b"identity", at_ms=desk.clock())
        assert (given.pages._prefix, given.releases._prefix) == ("/the PagesBucket/", "/the ReleaseBucket/")
        assert given.pages._address == ("127.0.0.1", 9)
        head = given.pages._heads.head("GET", "/", {}, "0", 0).decode()
        assert f"Credential=a/{head.partition('Credential=a/')[2][:8]}/{REGION}/s3/" in head
        assert "x-amz-security-token" not in head
        assert given.live[0] is given.releases
        assert (given.live[2], given.live[3]) == (desk.clock, folder / "manifest.json")
        noted = json.loads((folder / "claims.json").read_text())
        assert (noted["tokens"], given.live[1]) == (
            [given.live[1].token],
            Claimant(given.live[1].token, frozenset()),
        )
        again = target.target_of(stage, desk.project, desk.clock)
        assert told(again.__enter__) == (
            "another publish from this folder is under way",
            "wait for it to end",
        )
    with target.target_of(stage, desk.project, desk.clock) as place:
        following: Any = place
        assert following.live[1].ended == {given.live[1].token}
    nobody: Any = FakeStage(None)
    assert told(target.target_of(nobody, desk.project, desk.clock).__enter__) == (
        "no AWS credentials",
        "sign in with the AWS CLI, or set AWS_PROFILE",
    )


def test_a_claims_file_remembers_a_hundred_tokens_of_its_lock(tmp_path: Path) -> None:
    file = tmp_path / "claims.json"
    tokens = [target.claimant_of(file, "lock").token for _ in range(101)]
    assert len(set(tokens)) == 101
    assert {len(token) for token in tokens} == {16}
    assert json.loads(file.read_text()) == {"lock": "lock", "tokens": tokens[1:]}
    assert [each.name for each in tmp_path.iterdir()] == ["claims.json"]
    assert target.claimant_of(file, "lock").ended == frozenset(tokens[1:])
    for broken in ("{", "[]", "{}", '{"lock": "lock"}', '{"lock": "lock", "tokens": 3}'):
        file.write_text(broken)
        assert target._tokens(file, "lock") == []
    file.write_text('{"lock": "lock", "tokens": [1, "b"]}')
    assert target._tokens(file, "lock") == ["1", "b"]
    assert target._tokens(file, "other") == target._tokens(tmp_path / "none", "lock") == []

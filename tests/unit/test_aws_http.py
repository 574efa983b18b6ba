"""The HTTP of calls to AWS: each request and answer whole, over a connection that a test scripts."""

import ssl
from io import BytesIO
from typing import Any

import pytest

from chalicelib.aws import connections as connections_module
from chalicelib.aws.connections import (
    Answer,
    AwsUnreachable,
    Connections,
)


class Line:
    """The socket of a connection: answers from a list, an exception in it is raised when sent to."""

    def __init__(self, answers: list[bytes | OSError]) -> None:
        self.answers = answers
        self.sent: list[bytes] = []
        self.timeout_s: float | None = None
        self.meanwhile: Any = None

    def settimeout(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s

    def sendall(self, data: bytes) -> None:
        self.sent.append(data)
        if self.meanwhile:
            act, self.meanwhile = self.meanwhile, None
            act()
        if isinstance(self.answers[0], OSError):
            raise self.answers.pop(0)  # type: ignore[misc]

    def makefile(self, mode: str) -> Any:
        return BytesIO(self.answers.pop(0))


class FakeHttp:
    """Takes the place of http.client's connections. `made` are all of them, `answers` what they answer."""

    made: list["FakeHttp"]
    answers: list[bytes | OSError]
    refuses: OSError | None

    def __init__(self, host: str, **options: Any) -> None:
        self.asked = (type(self).__name__, host, options)
        self.open = False
        self.sock = Line(self.answers)
        self.made.append(self)

    def connect(self) -> None:
        if self.refuses:
            raise self.refuses
        self.open = True

    def close(self) -> None:
        self.open = False


class FakeHttps(FakeHttp):
    """The encrypted one."""


@pytest.fixture
def http(monkeypatch: pytest.MonkeyPatch) -> type[FakeHttp]:
    monkeypatch.setattr(FakeHttp, "made", [], raising=False)
    monkeypatch.setattr(FakeHttp, "answers", [], raising=False)
    monkeypatch.setattr(FakeHttp, "refuses", None, raising=False)
    monkeypatch.setattr(connections_module, "HTTPConnection", FakeHttp)
    monkeypatch.setattr(connections_module, "HTTPSConnection", FakeHttps)
    return FakeHttp


OK = b"HTTP/1.1 200 OK\r\nX-Amz-CRC32: 7\r\nContent-Length: 2\r\n\r\n{}"


HEAD_OK = OK[:-2]


def test_a_request_goes_out_as_one_packet_and_its_answer_comes_back_whole(http: type[FakeHttp]) -> None:
    connections = Connections("http://host:81/ignored")
    http.answers += [OK, OK, OK]
    large = b"x" * (connections_module.ONE_PACKET_BYTES_MAX + 1)
    answers = [connections.send("PUT", "/a?b", {"host": "h", "x": "ü"}, body) for body in (large[1:], large)]
    assert answers == [Answer(200, {"x-amz-crc32": "7", "content-length": "2"}, b"{}")] * 2
    (line,) = http.made
    assert line.asked == ("FakeHttp", "host:81", {"timeout": 1.0})
    assert (line.open, line.sock.timeout_s) == (True, 3.0)
    head = "PUT /a?b HTTP/1.1\r\nhost: h\r\nx: ü\r\ncontent-length: {}\r\n\r\n"
    assert line.sock.sent == [
        head.format(32768).encode("latin-1") + large[1:],
        head.format(32769).encode("latin-1"),
        large,
    ]
    connections.close()
    assert not line.open
    connections.send("GET", "/", {}, b"")
    assert len(http.made) == 2


def test_a_connection_to_aws_is_encrypted_and_looks_at_the_certificate(http: type[FakeHttp]) -> None:
    http.answers.append(OK)
    Connections("https://aws.example").send("GET", "/", {}, b"")
    (line,) = http.made
    assert line.asked == (
        "FakeHttps",
        "aws.example",
        {"timeout": 1.0, "context": connections_module._tls()},
    )
    assert connections_module._tls().verify_mode is ssl.CERT_REQUIRED


def test_an_answer_without_a_body_is_read_as_one_on_every_connection(http: type[FakeHttp]) -> None:
    connections = Connections("http://host")
    http.answers += [HEAD_OK, HEAD_OK, BrokenPipeError(), HEAD_OK]
    for _ in range(3):
        answer = connections.send("HEAD", "/", {"a": "1"}, b"body")
        assert (answer.status, answer.headers["content-length"], answer.body) == (200, "2", b"")
    first, second = http.made
    assert (first.open, second.open) == (False, True)
    packet = b"HEAD / HTTP/1.1\r\na: 1\r\ncontent-length: 4\r\n\r\nbody"
    assert (first.sock.sent, second.sock.sent) == ([packet] * 3, [packet])


@pytest.mark.parametrize(
    ("failures", "message", "opened"),
    [
        ([TimeoutError()], "no answer: TimeoutError", 1),
        ([b"no answer of HTTP\r\n"], "no answer: BadStatusLine", 1),
        ([b""], "no answer: RemoteDisconnected", 2),
        ([ConnectionResetError(), BrokenPipeError()], "no answer: BrokenPipeError", 2),
    ],
)
def test_only_a_connection_that_was_hung_up_while_it_was_idle_is_replaced(
    http: type[FakeHttp], failures: list[bytes | OSError], message: str, opened: int
) -> None:
    connections = Connections("http://host")
    http.answers += [OK, *failures, b""]
    connections.send("GET", "/", {}, b"")
    with pytest.raises(AwsUnreachable) as caught:
        connections.send("GET", "/", {}, b"")
    assert (str(caught.value), len(http.made)) == (message, opened)
    assert not any(line.open for line in http.made)


def test_a_host_that_takes_no_connection_is_reported_without_its_address(http: type[FakeHttp]) -> None:
    http.refuses = ConnectionRefusedError("10.0.0.1")
    with pytest.raises(AwsUnreachable) as caught:
        Connections("http://host").send("GET", "/", {}, b"")
    assert str(caught.value) == "cannot connect: ConnectionRefusedError"


def test_a_connection_is_kept_unless_it_is_to_close_or_has_more_to_say(
    http: type[FakeHttp], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections_module, "ANSWER_BYTES_MAX", 2)
    connections = Connections("http://host")
    closing = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    longer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}x"
    http.answers += [closing, longer, OK]
    bodies = [connections.send("GET", "/", {}, b"").body for _ in range(3)]
    assert bodies == [b"{}"] * 3
    assert [line.open for line in http.made] == [False, False, True]


def test_no_more_connections_are_kept_than_the_limit(
    http: type[FakeHttp], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections_module, "IDLE_MAX", 1)
    connections = Connections("http://host")
    http.answers += [OK] * 4
    connections.send("GET", "/", {}, b"")
    # While the first is on its way, a second connection answers and is kept.
    http.made[0].sock.meanwhile = lambda: connections.send("GET", "/", {}, b"")
    connections.send("GET", "/", {}, b"")
    assert [line.open for line in http.made] == [False, True]


@pytest.mark.parametrize(
    ("method", "value"), [("GET", "a\rb"), ("GET", "a\nb"), ("GET\r", "a"), ("GET\n", "a")]
)
def test_no_line_of_a_head_holds_another(http: type[FakeHttp], method: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"^a line break in a request's head$"):
        Connections("http://host").send(method, "/", {"x": value}, b"")
    assert http.made == []

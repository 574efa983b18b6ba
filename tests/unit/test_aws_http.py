"""The HTTP of calls to AWS: each request and answer whole, over a connection that a test scripts."""

import ssl
from typing import Any

import pytest

from chalicelib.aws import connections as connections_module
from chalicelib.aws.connections import AwsUnreachable, Connections
from chalicelib.aws.response import Response


class Line:
    """A connection: answers from the network's list, an exception in it is raised when sent to."""

    def __init__(self, network: "Network", address: tuple[str, int]) -> None:
        self.answers = network.answers
        self.address = address
        self.sent: list[bytes] = []
        self.timeout_s: float | None = None
        self.options: list[tuple[int, int, int]] = []
        self.name: str | None = None
        self.open = True
        self.meanwhile: Any = None

    def settimeout(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s

    def setsockopt(self, *option: int) -> None:
        self.options.append(option)

    def sendall(self, data: bytes) -> None:
        self.sent.append(data)
        if self.meanwhile:
            act, self.meanwhile = self.meanwhile, None
            act()
        if isinstance(self.answers[0], OSError):
            raise self.answers.pop(0)  # type: ignore[misc]

    def recv(self, size: int) -> Any:
        assert size == connections_module.READ_BYTES_MAX
        return self.answers.pop(0)

    def close(self) -> None:
        self.open = False


class Network:
    """Takes the place of sockets. `made` are the connections, `answers` what they answer.

    It is the context of TLS too: a connection under a server's name is encrypted.
    """

    def __init__(self) -> None:
        self.made: list[Line] = []
        self.answers: list[bytes | OSError] = []
        self.refuses: OSError | None = None
        self.no_tls: OSError | None = None

    def connect(self, address: tuple[str, int], timeout_s: float) -> Line:
        assert timeout_s == connections_module.CONNECT_TIMEOUT_S == 1.0
        if self.refuses:
            raise self.refuses
        self.made.append(Line(self, address))
        return self.made[-1]

    def wrap_socket(self, line: Line, *, server_hostname: str) -> Line:
        if self.no_tls:
            raise self.no_tls
        line.name = server_hostname
        return line


@pytest.fixture
def http(monkeypatch: pytest.MonkeyPatch) -> Network:
    network = Network()
    monkeypatch.setattr(connections_module, "create_connection", network.connect)
    monkeypatch.setattr(connections_module, "_tls", lambda: network)
    return network


OK = b"HTTP/1.1 200 OK\r\nX-Amz-CRC32: 7\r\nContent-Length: 2\r\n\r\n{}"


HEAD_OK = OK[:-2]


def test_a_request_goes_out_as_one_packet_and_its_answer_comes_back_whole(http: Network) -> None:
    connections = Connections("http://host:81/ignored")
    http.answers += [OK, OK, OK]
    large = b"x" * (connections_module.ONE_PACKET_BYTES_MAX + 1)
    answers = [connections.send("PUT", "/a?b", {"host": "h", "x": "ü"}, body) for body in (large[1:], large)]
    assert answers == [Response(200, {"x-amz-crc32": "7", "content-length": "2"}, b"{}")] * 2
    (line,) = http.made
    assert (line.address, line.name, line.open, line.timeout_s) == (("host", 81), None, True, 3.0)
    assert line.options == [(6, 1, 1)]  # TCP_NODELAY
    head = "PUT /a?b HTTP/1.1\r\nhost: h\r\nx: ü\r\ncontent-length: {}\r\n\r\n"
    assert line.sent == [
        head.format(32768).encode("latin-1") + large[1:],
        head.format(32769).encode("latin-1"),
        large,
    ]
    connections.close()
    assert not line.open
    connections.send("GET", "/", {}, b"")
    assert len(http.made) == 2


def test_a_connection_to_aws_is_encrypted_and_looks_at_the_certificate(
    http: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    http.answers.append(OK)
    Connections("https://aws.example").send("GET", "/", {}, b"")
    Connections("https://[2001:db8::1]:8443")._open()
    first, second = http.made
    assert (first.address, first.name) == (("aws.example", 443), "aws.example")
    assert (second.address, second.name) == (("2001:db8::1", 8443), "2001:db8::1")
    http.no_tls = ssl.SSLCertVerificationError("aws.example is somebody else")
    with pytest.raises(AwsUnreachable, match=r"^cannot connect: SSLCertVerificationError$"):
        Connections("https://aws.example").send("GET", "/", {}, b"")
    assert not http.made[-1].open
    monkeypatch.undo()
    context = connections_module._tls()
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_an_answer_without_a_body_is_read_as_one_on_every_connection(http: Network) -> None:
    connections = Connections("http://host")
    http.answers += [HEAD_OK, HEAD_OK, BrokenPipeError(), HEAD_OK]
    for _ in range(3):
        answer = connections.send("HEAD", "/", {"a": "1"}, b"body")
        assert (answer.status, answer.headers["content-length"], answer.body) == (200, "2", b"")
    first, second = http.made
    assert (first.open, second.open) == (False, True)
    packet = b"HEAD / HTTP/1.1\r\na: 1\r\ncontent-length: 4\r\n\r\nbody"
    assert (first.sent, second.sent) == ([packet] * 3, [packet])


@pytest.mark.parametrize(
    ("failures", "message", "opened"),
    [
        ([TimeoutError()], "no answer: TimeoutError", 1),
        ([b"no answer of HTTP\r\n"], "no answer: ValueError", 1),
        ([b""], "no answer: ConnectionResetError", 2),
        ([ConnectionResetError(), BrokenPipeError()], "no answer: BrokenPipeError", 2),
    ],
)
def test_only_a_connection_that_was_hung_up_while_it_was_idle_is_replaced(
    http: Network, failures: list[bytes | OSError], message: str, opened: int
) -> None:
    connections = Connections("http://host")
    http.answers += [OK, *failures, b""]
    connections.send("GET", "/", {}, b"")
    with pytest.raises(AwsUnreachable) as caught:
        connections.send("GET", "/", {}, b"")
    assert (str(caught.value), len(http.made)) == (message, opened)
    assert not any(line.open for line in http.made)


def test_a_host_that_takes_no_connection_is_reported_without_its_address(http: Network) -> None:
    http.refuses = ConnectionRefusedError("10.0.0.1")
    with pytest.raises(AwsUnreachable) as caught:
        Connections("http://host").send("GET", "/", {}, b"")
    assert str(caught.value) == "cannot connect: ConnectionRefusedError"


def test_a_connection_is_kept_unless_it_closes_or_its_answer_is_too_long(
    http: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = Connections("http://host")
    closing = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    longer = closing.replace(b"{}", b"{}x").replace(b": 2", b": 3")
    monkeypatch.setattr(connections_module, "ANSWER_BYTES_MAX", len(closing))
    http.answers += [closing, longer, OK]
    assert connections.send("GET", "/", {}, b"").body == b"{}"
    with pytest.raises(AwsUnreachable, match=r"^no answer: ValueError$"):
        connections.send("GET", "/", {}, b"")
    assert connections.send("GET", "/", {}, b"").body == b"{}"
    assert [line.open for line in http.made] == [False, False, True]


def test_no_more_connections_are_kept_than_the_limit(http: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections_module, "IDLE_MAX", 1)
    connections = Connections("http://host")
    http.answers += [OK] * 4
    connections.send("GET", "/", {}, b"")
    # While the first is on its way, a second connection answers and is kept.
    http.made[0].meanwhile = lambda: connections.send("GET", "/", {}, b"")
    connections.send("GET", "/", {}, b"")
    assert [line.open for line in http.made] == [False, True]


@pytest.mark.parametrize(
    ("method", "value"), [("GET", "a\rb"), ("GET", "a\nb"), ("GET\r", "a"), ("GET\n", "a")]
)
def test_no_line_of_a_head_holds_another(http: Network, method: str, value: str) -> None:
    with pytest.raises(ValueError, match=r"^a line break in a request's head$"):
        Connections("http://host").send(method, "/", {"x": value}, b"")
    assert http.made == []

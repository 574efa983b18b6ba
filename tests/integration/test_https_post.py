"""One POST to another system, over TLS on this machine: name, checked address, time limit, redirect."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from chalicelib.outbound.addresses import NameUnknown, TargetRefused, resolve_public
from chalicelib.outbound.deliveries import EndpointResponse
from chalicelib.outbound.fetching import HttpsFetcher
from chalicelib.outbound.https_post import Deadline, HttpsPoster, connect
from tests.support.certificate import write_certificate

NAME = "hook.example"
OK = b"HTTP/1.1 204 No Content\r\n\r\n"


class Endpoint:
    """A TLS server that records what it is sent and answers what it is given, one connection at a time."""

    def __init__(self, certificate: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)
        self._context.sni_callback = lambda _, name, __: self.names.append(name)
        self.names: list[str | None] = []
        self.received: list[bytes] = []
        self.pieces: list[bytes] = [OK]
        self.between: Callable[[], None] = lambda: None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                plain, _ = self._listener.accept()
                with suppress(OSError), self._context.wrap_socket(plain, server_side=True) as connection:
                    self._answer(connection)

    def _answer(self, connection: ssl.SSLSocket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += connection.recv(4096)
        head, _, body = request.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        while len(body) < length:
            body += connection.recv(4096)
        self.received.append(head + b"\r\n\r\n" + body)
        for piece in self.pieces:
            connection.sendall(piece)
            self.between()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_certificate(tmp_path_factory.mktemp("certificate"), name=NAME)


@contextmanager
def tls_endpoint(certificate: Path) -> Iterator[Endpoint]:
    """A TLS server with this certificate, for as long as the block lasts."""
    server = Endpoint(certificate)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def endpoint(certificate: Path) -> Iterator[Endpoint]:
    with tls_endpoint(certificate) as server:
        yield server


def poster(certificate: Path, *, timeout_s: float = 15.0) -> HttpsPoster:
    """Return one that trusts the test's certificate, and for which every name is this machine."""
    context = ssl.create_default_context(cafile=str(certificate))
    return HttpsPoster(context, lambda _: ["127.0.0.1"], timeout_s=timeout_s)


def test_a_post_goes_to_the_checked_address_under_the_name_of_the_url(
    endpoint: Endpoint, certificate: Path
) -> None:
    url = f"https://{NAME}:{endpoint.port}/in?a=1"
    body = b'{"specversion": "1.0"}' * 5_000
    answer = poster(certificate).post(url, {"webhook-id": "m-1"}, body)
    assert answer == EndpointResponse(204)
    assert endpoint.names == [NAME]
    head, _, sent = endpoint.received[0].partition(b"\r\n\r\n")
    assert head.decode().split("\r\n") == [
        "POST /in?a=1 HTTP/1.1",
        f"Host: {NAME}:{endpoint.port}",
        "User-Agent: Spillway",
        "Accept: */*",
        "Connection: close",
        f"Content-Length: {len(body)}",
        "webhook-id: m-1",
    ]
    assert sent == body


def test_a_redirect_is_not_followed_and_a_later_retry_is_read(endpoint: Endpoint, certificate: Path) -> None:
    url = f"https://{NAME}:{endpoint.port}/"
    endpoint.pieces = [f"HTTP/1.1 307 Elsewhere\r\nLocation: {url}other\r\n\r\n".encode()]
    assert poster(certificate).post(url, {}, b"{}") == EndpointResponse(307)
    endpoint.pieces = [b"HTTP/1.1 429 Slow down\r\nRetry-After: 120\r\n\r\n"]
    assert poster(certificate).post(url, {}, b"{}") == EndpointResponse(429, retry_after_s=120)
    endpoint.pieces = [b"HTTP/1.1 503 \r\nRetry-After: tomorrow\r\n\r\n"]
    assert poster(certificate).post(url, {}, b"{}") == EndpointResponse(503)
    assert len(endpoint.received) == 3


def test_an_answer_in_drops_does_not_outlive_the_time_limit(endpoint: Endpoint, certificate: Path) -> None:
    reached = threading.Event()
    endpoint.pieces = [b"H", b"T", b"T", b"P", OK]

    def wait() -> None:
        reached.wait(0.2)

    endpoint.between = wait
    # Each drop comes within the limit; all of them together do not.
    url = f"https://{NAME}:{endpoint.port}/"
    assert poster(certificate, timeout_s=0.5).post(url, {}, b"{}") == EndpointResponse(error="timeout")
    reached.set()


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([b"SSH-2.0-OpenSSH_9.9\r\n"], EndpointResponse(error="no_http")),
        ([], EndpointResponse(error="connection")),
        ([b"HTTP/1.1 200 OK\r\n", b"X: " + b"y" * 20_000], EndpointResponse(200)),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"], EndpointResponse(200)),
        ([b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", OK], EndpointResponse(204)),
        (
            [b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 \r\n\r\nHTTP/1.1 410 Gone\r\n\r\n"],
            EndpointResponse(410),
        ),
        ([b"HTTP/1.1 103 Early Hints\r\n\r\n"], EndpointResponse(error="connection")),
    ],
    ids=[
        *("another protocol", "nothing", "headers without an end", "a body that never comes"),
        *("an interim answer first", "two interim answers first", "an interim answer alone"),
    ],
)
def test_an_odd_answer_ends_the_attempt(
    endpoint: Endpoint, certificate: Path, pieces: list[bytes], expected: EndpointResponse
) -> None:
    endpoint.pieces = pieces
    assert poster(certificate).post(f"https://{NAME}:{endpoint.port}/", {}, b"{}") == expected


def test_a_certificate_of_another_name_or_of_nobody_known_is_refused(
    endpoint: Endpoint, certificate: Path
) -> None:
    other = f"https://other.example:{endpoint.port}/"
    assert poster(certificate).post(other, {}, b"{}") == EndpointResponse(error="certificate")
    unknown = HttpsPoster(resolve=lambda _: ["127.0.0.1"])
    assert unknown.post(f"https://{NAME}:{endpoint.port}/", {}, b"{}") == EndpointResponse(
        error="certificate"
    )
    assert not endpoint.received


def test_a_private_target_is_never_connected_to(endpoint: Endpoint, certificate: Path) -> None:
    context = ssl.create_default_context(cafile=str(certificate))
    guarded = HttpsPoster(context, resolve_public)
    for host in ("127.0.0.1", "localhost", "[::1]", "2130706433", "169.254.169.254"):
        assert guarded.post(f"https://{host}:{endpoint.port}/", {}, b"{}") == EndpointResponse(
            error="not_public"
        )
    assert guarded.post(f"http://127.0.0.1:{endpoint.port}/", {}, b"{}") == EndpointResponse(
        error="not_public"
    )
    assert not endpoint.names


def test_a_name_that_changes_between_check_and_call_changes_nothing(
    endpoint: Endpoint, certificate: Path
) -> None:
    asked = []

    def rebinding(host: str, *_: object, **__: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        asked.append(host)
        address = "8.8.8.8" if len(asked) > 1 else "127.0.0.1"
        return [(2, 1, 6, "", (address, 0))]

    guarded = HttpsPoster(resolve=lambda host: resolve_public(host, rebinding))
    assert guarded.post(f"https://{NAME}:{endpoint.port}/", {}, b"{}") == EndpointResponse(error="not_public")
    assert asked == [NAME]
    assert not endpoint.names


def test_no_answer_of_the_network_is_named_as_what_it_is(certificate: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert poster(certificate).post(f"https://{NAME}:{port}/", {}, b"{}") == EndpointResponse(
        error="connection"
    )

    def unknown(_: str) -> list[str]:
        raise NameUnknown

    def refused(_: str) -> list[str]:
        raise TargetRefused

    assert HttpsPoster(resolve=unknown).post(f"https://{NAME}/", {}, b"") == EndpointResponse(
        error="name_unknown"
    )
    assert HttpsPoster(resolve=refused).post(f"https://{NAME}/", {}, b"") == EndpointResponse(
        error="not_public"
    )


def test_the_next_address_is_tried_where_the_first_does_not_answer(
    endpoint: Endpoint, certificate: Path
) -> None:
    context = ssl.create_default_context(cafile=str(certificate))
    two = HttpsPoster(context, lambda _: ["127.0.0.2", "127.0.0.1"])
    assert two.post(f"https://{NAME}:{endpoint.port}/", {}, b"{}") == EndpointResponse(204)


def test_a_fetch_tries_the_next_address_by_the_same_connection(endpoint: Endpoint, certificate: Path) -> None:
    endpoint.pieces = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"]
    context = ssl.create_default_context(cafile=str(certificate))
    asked: list[str] = []

    def two(host: str) -> list[str]:
        asked.append(host)
        return ["127.0.0.2", "127.0.0.1"]

    fetcher = HttpsFetcher(addresses_of=two, context=context, attempts_max=1)
    found = fetcher.fetch(f"https://{NAME}:{endpoint.port}/list", {}, method="POST", body=b"{}")
    assert (found.status, found.body, asked, endpoint.names) == (200, b"[]", [NAME], [NAME])


def test_the_addresses_of_a_host_share_the_time_of_a_connection_and_few_are_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[tuple[str, float]] = []
    now_s = 0.0

    def silent(address: tuple[str, int], timeout: float) -> socket.socket:
        nonlocal now_s
        tried.append((address[0], timeout))
        now_s += timeout
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", silent)
    with pytest.raises(TimeoutError):
        connect(["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"], 443, Deadline(lambda: now_s, 15.0))
    assert tried == [("10.0.0.1", 5.0), ("10.0.0.2", 5.0), ("10.0.0.3", 5.0)]

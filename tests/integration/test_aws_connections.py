"""Calls to AWS without its SDK, over real connections."""

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import boto3
import pytest

from chalicelib.aws import connections as connections_module
from chalicelib.aws.connections import (
    AwsUnreachable,
    Connections,
)
from chalicelib.aws.services import (
    Aws,
    DynamoDb,
)
from chalicelib.aws.signing import Credentials, CredentialSource
from chalicelib.tables.expressions import Attr
from chalicelib.tables.table import Table, Update
from tests.integration.test_https_post import tls_endpoint
from tests.support.aws import create_table
from tests.support.certificate import write_certificate
from tests.support.moto_server import HANGS_UP_BEFORE, AwsDoor, aws_door

KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret"}
THROTTLED = (400, "ProvisionedThroughputExceededException")


@pytest.fixture
def door(aws: None) -> Iterator[AwsDoor]:
    with aws_door(AwsDoor) as door:
        yield door


@pytest.fixture
def dynamodb(door: AwsDoor) -> Iterator[DynamoDb]:
    aws = Aws({**KEYS, "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL_DYNAMODB": door.url})
    yield aws.dynamodb()
    aws.close()


def count(dynamodb: Any, name: str, *, first: bool = False) -> bool:
    """Count a visit; with `first` only where none was counted before."""
    table, key, one = Table(dynamodb, name), {"shopper": "ada"}, {"visits": 1}
    if first:
        return table.update_if(key, Attr("shopper").not_exists(), add=one)
    table.make(Update(table, key, add=one))
    return True


def visits(dynamodb: DynamoDb, table: str) -> str | None:
    item = dynamodb.get_item(TableName=table, Key={"shopper": {"S": "ada"}}).get("Item")
    return item["visits"]["N"] if item else None


def test_an_item_is_written_and_read_as_boto3_does_it(dynamodb: DynamoDb) -> None:
    table = create_table(boto3.client("dynamodb"), "SuppressionsTable")
    assert visits(dynamodb, table) is None
    assert count(dynamodb, table)
    assert not count(dynamodb, table, first=True)
    assert visits(dynamodb, table) == "1"


def test_a_connection_that_was_hung_up_is_opened_again(dynamodb: DynamoDb, door: AwsDoor) -> None:
    table = create_table(boto3.client("dynamodb"), "SuppressionsTable")
    assert count(dynamodb, table)
    faults = iter([HANGS_UP_BEFORE])
    door.faults = lambda: next(faults, None)
    assert count(dynamodb, table)
    assert visits(dynamodb, table) == "2"


def test_a_throttled_call_gets_through_when_the_throttling_ends(dynamodb: DynamoDb, door: AwsDoor) -> None:
    table = create_table(boto3.client("dynamodb"), "SuppressionsTable")
    faults = iter([THROTTLED])
    door.faults = lambda: next(faults, None)
    assert count(dynamodb, table)
    assert visits(dynamodb, table) == "1"


def test_one_connection_serves_many_calls() -> None:
    with counting_server() as (url, opened):
        connections = Connections(url)
        for _ in range(5):
            assert connections.send("POST", "/", {"host": connections.host}, b"x").body == b"{}"
        connections.close()
        assert len(opened) == 1


def test_a_large_body_and_a_small_one_arrive_whole_and_no_header_starts_another() -> None:
    with counting_server() as (url, opened):
        connections = Connections(url)
        for size in (0, 1, connections_module.ONE_PACKET_BYTES_MAX + 1):
            assert connections.send("POST", "/", {"host": connections.host}, b"x" * size).status == 200
        with pytest.raises(ValueError, match="line break"):
            connections.send("POST", "/", {"host": "a\r\nx: y"}, b"")
        connections.close()
    assert len(opened) == 1


def test_a_server_that_never_answers_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections_module, "READ_TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connections = Connections(f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(AwsUnreachable, match="TimeoutError"):
            connections.send("POST", "/", {"host": connections.host}, b"")


def test_where_nobody_listens_there_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(AwsUnreachable, match="cannot connect"):
        Connections(f"http://127.0.0.1:{port}").send("POST", "/", {}, b"")


def test_a_call_over_tls_reaches_the_server_that_its_certificate_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = write_certificate(tmp_path, name="aws.example")
    with tls_endpoint(certificate) as endpoint:
        endpoint.pieces = [b"HTTP/1.1 200 OK\r\nContent-Len", b"gth: 2\r\n\r\n{", b"}"]
        strangers = Connections(f"https://127.0.0.1:{endpoint.port}")
        with pytest.raises(AwsUnreachable, match=r"^cannot connect: SSLCertVerificationError$"):
            strangers.send("POST", "/", {}, b"x")
        trusting = ssl.create_default_context(cafile=str(certificate))
        monkeypatch.setattr(connections_module, "_tls", lambda: trusting)
        # Another name for the same machine is not in the certificate.
        with pytest.raises(AwsUnreachable, match=r"^cannot connect: SSLCertVerificationError$"):
            Connections(f"https://localhost:{endpoint.port}").send("POST", "/", {}, b"x")
        connections = Connections(f"https://127.0.0.1:{endpoint.port}")
        answer = connections.send("POST", "/a", {"host": connections.host}, b"x")
        connections.close()
        assert (answer.status, answer.body, endpoint.names[-2]) == (200, b"{}", "localhost")
        assert endpoint.received == [
            f"POST /a HTTP/1.1\r\nhost: 127.0.0.1:{endpoint.port}\r\ncontent-length: 1\r\n\r\nx".encode()
        ]


def test_the_endpoint_beside_the_function_is_asked_again_before_keys_end(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("let-me-in\n")
    now_s = 0.0
    document = {
        "AccessKeyId": "A",
        "SecretAccessKey": "S",
        "Token": "T",
        "Expiration": "1970-01-01T01:00:00Z",
    }
    with counting_server(json.dumps(document).encode()) as (url, asked):
        environment = {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{url}/v2/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token),
        }
        source = CredentialSource(environment, lambda: now_s)
        assert source() == source() == Credentials("A", "S", "T", 3600.0)
        assert asked == ["let-me-in"]
        now_s = 3400.0
        source()
        assert len(asked) == 2


@pytest.mark.parametrize("body", [b"no json", b"{}", b"[]", b'{"AccessKeyId": "A"}'])
def test_an_endpoint_that_talks_nonsense_gives_no_credentials(body: bytes) -> None:
    with counting_server(body) as (url, _), pytest.raises(AwsUnreachable):
        CredentialSource({"AWS_CONTAINER_CREDENTIALS_FULL_URI": url}, lambda: 0.0)()


@contextmanager
def counting_server(body: bytes = b"{}") -> Iterator[tuple[str, list[str]]]:
    """A server that answers `body`; it notes the authorization of each connection's first request."""
    opened: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1

        def handle(self) -> None:
            opened.append("")
            super().handle()

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            opened[-1] = self.headers.get("authorization", "")
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        # A client that keeps its connection must not keep the server from ending.
        server.daemon_threads = True  # type: ignore[attr-defined]
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", opened
        Thread(target=server.shutdown, daemon=True).start()

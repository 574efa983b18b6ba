"""Calls to AWS without its SDK: answered, tried again, given up, over real connections."""

import json
import socket
import ssl
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from http.client import HTTPException
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.aws import connections as connections_module
from chalicelib.aws import services as services_module
from chalicelib.aws.connections import (
    Answer,
    AwsError,
    AwsRefused,
    AwsUnreachable,
    Connections,
    NoCredentials,
    code_of,
    passes,
)
from chalicelib.aws.services import (
    ATTEMPTS_MAX,
    BACKOFF_MAX_S,
    DYNAMODB,
    SECRETS_MANAGER,
    Aws,
    DynamoDb,
    JsonApi,
    SecretsManager,
)
from chalicelib.aws.signing import Credentials, CredentialSource, Signer
from chalicelib.tables.expressions import Attr
from chalicelib.tables.table import Table, Update
from tests.support.aws import create_table
from tests.support.moto_server import HANGS_UP_BEFORE, AwsDoor, aws_door

KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret"}
THROTTLED = (400, "ProvisionedThroughputExceededException")


class ScriptedConnections(Connections):
    """Answers from a list; an exception in it is raised."""

    def __init__(self, *answers: Answer | AwsError) -> None:
        self.host = "dynamodb.example"
        self.answers = list(answers)
        self.sent: list[tuple[Mapping[str, str], bytes]] = []

    def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self.sent.append((headers, body))
        answer = self.answers.pop(0)
        if isinstance(answer, AwsError):
            raise answer
        return answer


def answer(status: int, document: Any, **headers: str) -> Answer:
    return Answer(status, headers, document if isinstance(document, bytes) else json.dumps(document).encode())


def refused(code: str, status: int = 400) -> Answer:
    return answer(
        status, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "ada@example.com"}
    )


def call(*answers: Answer | AwsError) -> tuple[Any, ScriptedConnections, list[float]]:
    pauses: list[float] = []
    connections = ScriptedConnections(*answers)
    api = JsonApi(
        DYNAMODB,
        "us-east-1",
        connections,
        lambda: Credentials("AKID", "secret", "token"),
        clock_s=lambda: 0.0,
        sleep=pauses.append,
        random_share=lambda: 1.0,
    )
    try:
        result: Any = api.call("UpdateItem", {"TableName": "t"})
    except AwsError as error:
        result = error
    return result, connections, pauses


def test_a_call_names_its_operation_and_carries_the_session() -> None:
    result, connections, pauses = call(answer(200, {"Attributes": {}}))
    ((headers, body),) = connections.sent
    assert result == {"Attributes": {}}
    assert headers["x-amz-target"] == "DynamoDB_20120810.UpdateItem"
    assert headers["x-amz-security-token"] == "token"
    assert json.loads(body) == {"TableName": "t"}
    assert pauses == []


@pytest.mark.parametrize(
    "failure",
    [
        refused("ProvisionedThroughputExceededException"),
        refused("ThrottlingException"),
        refused("InternalServerError", 500),
        answer(503, b"<html>busy</html>"),
        AwsUnreachable("no answer"),
        answer(200, b"{}", **{"x-amz-crc32": "1"}),
        answer(200, b"{"),
    ],
)
def test_what_passes_is_tried_again_and_in_the_end_given_up(failure: Answer | AwsError) -> None:
    result, connections, pauses = call(*[failure] * (ATTEMPTS_MAX - 1), answer(200, {}))
    assert result == {}
    assert len(connections.sent) == ATTEMPTS_MAX
    assert pauses == sorted(pauses)
    assert 0 < pauses[-1] <= BACKOFF_MAX_S
    given_up, connections, _ = call(*[failure] * ATTEMPTS_MAX)
    assert passes(given_up)
    assert connections.answers == []


@pytest.mark.parametrize(
    "code", ["ConditionalCheckFailedException", "ValidationException", "AccessDeniedException"]
)
def test_what_does_not_pass_is_not_tried_again(code: str) -> None:
    result, connections, pauses = call(refused(code))
    assert isinstance(result, AwsRefused)
    assert (result.code, result.status) == (code, 400)
    assert len(connections.sent) == 1
    assert pauses == []
    assert "ada" not in str(result)


def test_an_answer_is_held_against_its_checksum() -> None:
    body = b'{"Item": {}}'
    assert call(answer(200, body, **{"x-amz-crc32": str(zlib.crc32(body))}))[0] == {"Item": {}}


@given(st.binary(max_size=200), st.integers(201, 599))
def test_no_answer_whatever_is_anything_but_an_error_of_ours(body: bytes, status: int) -> None:
    result, _, _ = call(*[answer(status, body)] * ATTEMPTS_MAX)
    assert isinstance(result, AwsRefused)
    assert result.code


def test_errors_of_boto3_are_read_the_same_way() -> None:
    theirs = ClientError(
        {"Error": {"Code": "ThrottlingException"}, "ResponseMetadata": {"HTTPStatusCode": 400}},  # type: ignore[typeddict-item]
        "UpdateItem",
    )
    broken = ClientError({"ResponseMetadata": {"HTTPStatusCode": 503}}, "UpdateItem")  # type: ignore[typeddict-item]
    assert (code_of(theirs), passes(theirs), passes(broken)) == ("ThrottlingException", True, True)
    assert (code_of(ValueError()), passes(ValueError())) == ("", False)


# ---- over real connections ----


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


def test_who_never_answers_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.mark.parametrize(
    ("environment", "endpoint"),
    [
        ({"AWS_REGION": "eu-west-1"}, "https://dynamodb.eu-west-1.amazonaws.com"),
        ({"AWS_REGION": "cn-north-1"}, "https://dynamodb.cn-north-1.amazonaws.com.cn"),
        ({"AWS_DEFAULT_REGION": "eu-west-1", "AWS_ENDPOINT_URL": "http://one:1/"}, "http://one:1"),
        ({"AWS_ENDPOINT_URL": "http://one:1", "AWS_ENDPOINT_URL_DYNAMODB": "http://two:2"}, "http://two:2"),
    ],
)
def test_the_variables_of_the_sdks_say_where_a_service_is(environment: dict[str, str], endpoint: str) -> None:
    assert Aws(environment).endpoint(DYNAMODB) == endpoint


# ---- credentials ----


def test_keys_of_the_environment_are_taken_as_they_are() -> None:
    source = CredentialSource({**KEYS, "AWS_SESSION_TOKEN": "token"}, lambda: 0.0)
    assert source() == Credentials("AKID", "secret", "token")


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


@pytest.mark.parametrize("url", ["", "http://evil.example/keys"])
def test_credentials_are_not_asked_of_anybody_else(url: str) -> None:
    with pytest.raises(NoCredentials):
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


# ---- requests, connections and credentials, each with all that is sent ----

SECONDS = 1_790_000_000.0
NO_KEYS = "no credentials from their endpoint: "


def test_a_call_is_one_signed_post_of_the_smallest_json() -> None:
    sent: list[tuple[Any, ...]] = []
    keys = Credentials("AKID", "secret", "token")

    class Noting(ScriptedConnections):
        def send(self, *request: Any) -> Answer:
            sent.append(request)
            return Answer(200, {}, b"")

    for service, prefix, version in (
        (DYNAMODB, "DynamoDB_20120810", "1.0"),
        (SECRETS_MANAGER, "secretsmanager", "1.1"),
    ):
        api = JsonApi(service, "eu-west-1", Noting(), lambda: keys, clock_s=lambda: SECONDS)
        assert api.call("GetItem", {"TableName": "t", "Key": [1, "ü"]}) == {}
        body = b'{"TableName":"t","Key":[1,"\\u00fc"]}'
        headers = {
            "content-type": f"application/x-amz-json-{version}",
            "host": "dynamodb.example",
            "x-amz-target": f"{prefix}.GetItem",
        }
        signed = Signer(service.name, "eu-west-1").sign(
            keys, "POST", "/", headers, payload_sha256=sha256(body).hexdigest(), at_s=SECONDS
        )
        assert sent.pop() == ("POST", "/", signed, body)


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (answer(200, b"{}", **{"x-amz-crc32": "1"}), "the answer was damaged on its way"),
        (answer(200, b"{"), "the answer is not JSON"),
        (answer(400, b"{}"), "Status400 (400)"),
        (answer(403, b"[]"), "Status403 (403)"),
        (answer(400, b"{}", **{"x-amzn-errortype": "ns#Denied:http://x"}), "Denied (400)"),
        (answer(400, {"__type": "Denied"}, **{"x-amzn-errortype": "Other"}), "Denied (400)"),
    ],
)
def test_an_error_says_what_aws_calls_it(failure: Answer, told: str) -> None:
    result, _, _ = call(*[failure] * ATTEMPTS_MAX)
    assert str(result) == told


def test_an_error_of_the_server_passes_and_one_just_below_does_not() -> None:
    assert [passes(AwsRefused("x", status)) for status in (499, 500)] == [False, True]
    for status, expected in ((499, False), (500, True)):
        theirs = ClientError({"ResponseMetadata": {"HTTPStatusCode": status}}, "GetItem")  # type: ignore[typeddict-item]
        assert (code_of(theirs), passes(theirs)) == ("", expected)
    odd = ValueError()
    odd.response = "no dictionary"  # type: ignore[attr-defined]
    assert (code_of(odd), passes(odd)) == ("", False)


def test_each_call_goes_by_its_name_in_aws() -> None:
    called: list[tuple[str, Any]] = []

    class Api:
        def call(self, operation: str, request: Any) -> Any:
            called.append((operation, request))
            return {"answer": operation}

    api: Any = Api()
    assert DynamoDb(api).update_item(TableName="t") == {"answer": "UpdateItem"}
    assert DynamoDb(api).get_item(Key="k") == {"answer": "GetItem"}
    assert SecretsManager(api).get_secret_value(SecretId="s") == {"answer": "GetSecretValue"}
    assert called == [
        ("UpdateItem", {"TableName": "t"}),
        ("GetItem", {"Key": "k"}),
        ("GetSecretValue", {"SecretId": "s"}),
    ]


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
        return BytesIO(self.answers.pop(0))  # type: ignore[arg-type]


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
    ("failures", "told", "opened"),
    [
        ([TimeoutError()], "no answer: TimeoutError", 1),
        ([b"no answer of HTTP\r\n"], "no answer: BadStatusLine", 1),
        ([b""], "no answer: RemoteDisconnected", 2),
        ([ConnectionResetError(), BrokenPipeError()], "no answer: BrokenPipeError", 2),
    ],
)
def test_only_a_connection_that_was_hung_up_while_it_was_idle_is_replaced(
    http: type[FakeHttp], failures: list[bytes | OSError], told: str, opened: int
) -> None:
    connections = Connections("http://host")
    http.answers += [OK, *failures, b""]
    connections.send("GET", "/", {}, b"")
    with pytest.raises(AwsUnreachable) as caught:
        connections.send("GET", "/", {}, b"")
    assert (str(caught.value), len(http.made)) == (told, opened)
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


class KeysHttp:
    """Takes the place of http.client's connections where credentials are asked for."""

    asked: list[tuple[Any, ...]]
    status = 200
    body = b'{"AccessKeyId": "A", "SecretAccessKey": "S"}'
    fails: Exception | None = None

    def __init__(self, host: str, timeout: float) -> None:
        self.asked.append((type(self).__name__, host, timeout))

    def request(self, *request: Any) -> None:
        self.asked.append(request)

    def getresponse(self) -> Any:
        if self.fails:
            raise self.fails
        return self

    def read(self, most: int) -> bytes:
        assert most == 65536
        return self.body

    def close(self) -> None:
        self.asked.append(("closed",))


class KeysHttps(KeysHttp):
    """The encrypted one."""


@pytest.fixture
def keys_http(monkeypatch: pytest.MonkeyPatch) -> type[KeysHttp]:
    monkeypatch.setattr(KeysHttp, "asked", [], raising=False)
    monkeypatch.setattr("http.client.HTTPConnection", KeysHttp)
    monkeypatch.setattr("http.client.HTTPSConnection", KeysHttps)
    return KeysHttp


@pytest.mark.parametrize(
    ("environment", "connected", "path", "authorization"),
    [
        (
            {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/keys?id=1", "AWS_ACCESS_KEY_ID": "A"},
            ("KeysHttp", "169.254.170.2", 2.0),
            "/v2/keys?id=1",
            None,
        ),
        (
            {
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23:80",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN": "token",
                "AWS_SECRET_ACCESS_KEY": "S",
            },
            ("KeysHttp", "169.254.170.23:80", 2.0),
            "/",
            "token",
        ),
        (
            {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "https://keys.example/a?"},
            ("KeysHttps", "keys.example", 2.0),
            "/a",
            None,
        ),
        (
            {
                "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://localhost/a",
                "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN": "not this one",
                "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "token-file",
            },
            ("KeysHttp", "localhost", 2.0),
            "/a",
            "of the file",
        ),
        (
            {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/a"},
            ("KeysHttp", "127.0.0.1:9", 2.0),
            "/a",
            None,
        ),
    ],
)
def test_credentials_are_asked_for_where_the_environment_says_and_with_its_token(
    keys_http: type[KeysHttp],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    connected: tuple[Any, ...],
    path: str,
    authorization: str | None,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "token-file").write_text("\n of the file \n", encoding="ascii")
    source = CredentialSource(environment, lambda: 0.0)
    assert source() == source() == Credentials("A", "S", "", None)
    headers = {"accept": "application/json"} | ({"authorization": authorization} if authorization else {})
    assert keys_http.asked == [connected, ("GET", path, None, headers), ("closed",)]


@pytest.mark.parametrize(
    ("status", "body", "fails", "told"),
    [
        (500, KeysHttp.body, None, "ValueError"),
        (200, b"{", None, "JSONDecodeError"),
        (200, b"{}", None, "KeyError"),
        (200, b"[]", None, "AttributeError"),
        (200, KeysHttp.body, HTTPException(), "OSError"),
        (200, KeysHttp.body, TimeoutError(), "TimeoutError"),
        (200, KeysHttp.body[:-1] + b', "Expiration": 1}', None, "TypeError"),
    ],
)
def test_an_endpoint_without_credentials_is_reported_by_the_kind_of_its_fault(
    keys_http: type[KeysHttp],
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    body: bytes,
    fails: Exception | None,
    told: str,
) -> None:
    for name, value in {"status": status, "body": body, "fails": fails}.items():
        monkeypatch.setattr(KeysHttp, name, value)
    with pytest.raises(AwsUnreachable) as caught:
        CredentialSource({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://localhost"}, lambda: 0.0)()
    assert str(caught.value) == NO_KEYS + told
    assert keys_http.asked[-1] == ("closed",)


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({}, "neither keys nor an endpoint for them in the environment"),
        ({"AWS_ACCESS_KEY_ID": "A"}, "neither keys nor an endpoint for them in the environment"),
        (
            {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://evil.example"},
            "the endpoint for credentials is neither encrypted nor on this machine",
        ),
    ],
)
def test_an_environment_without_credentials_is_reported_as_such(
    environment: dict[str, str], told: str
) -> None:
    with pytest.raises(NoCredentials) as caught:
        CredentialSource(environment, lambda: 0.0)()
    assert str(caught.value) == told


def test_keys_without_a_session_are_taken_as_they_are() -> None:
    assert CredentialSource(KEYS, lambda: 0.0)() == Credentials("AKID", "secret", "", None)


def test_credentials_are_renewed_five_minutes_before_they_end(
    keys_http: type[KeysHttp], monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = KeysHttp.body[:-1] + b', "Token": "T", "Expiration": "1970-01-01T01:00:00Z"}'
    monkeypatch.setattr(KeysHttp, "body", ends)
    now_s = 0.0
    source = CredentialSource({"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://localhost"}, lambda: now_s)
    for at_s, asked in ((0.0, 1), (3299.9, 1), (3300.0, 2), (3300.0, 3)):
        now_s = at_s
        assert source() == Credentials("A", "S", "T", 3600.0)
        assert keys_http.asked.count(("closed",)) == asked


def test_clients_of_one_environment_share_its_region_and_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[Any, ...]] = []
    monkeypatch.setattr(services_module, "JsonApi", lambda *parts: made.append(parts))
    aws = Aws({**KEYS, "AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "us-east-1"}, lambda: 0.0)
    aws.dynamodb()
    aws.secrets_manager()
    assert [(service, region, connections.host) for service, region, connections, _ in made] == [
        (DYNAMODB, "eu-west-1", "dynamodb.eu-west-1.amazonaws.com"),
        (SECRETS_MANAGER, "eu-west-1", "secretsmanager.eu-west-1.amazonaws.com"),
    ]
    assert made[0][3] is made[1][3]
    assert made[0][3]() == Credentials("AKID", "secret", "")
    closed: list[Any] = []

    def close(connections: Connections) -> None:
        closed.append(connections)

    monkeypatch.setattr(Connections, "close", close)
    aws.close()
    assert closed == [made[0][2], made[1][2]]


def test_a_signer_that_signed_before_signs_as_a_new_one() -> None:
    def signed(signer: Signer, secret: str, token: str, at_s: float) -> dict[str, str]:
        return signer.sign(
            Credentials("AKID", secret, token),
            "GET",
            "/a b",
            {"host": "h", "x-a": "  one   two "},
            payload_sha256="0",
            at_s=at_s,
            query="b=2&a",
        )

    for service in ("s3", "dynamodb"):
        signer = Signer(service, "eu-west-1")
        for secret, token, at_s in (
            ("1", "", 0.0),
            ("2", "t", 0.0),
            ("2", "t", 86_400.0),
            ("2", "", 86_401.0),
        ):
            new = Signer(service, "eu-west-1")
            assert signed(signer, secret, token, at_s) == signed(new, secret, token, at_s)

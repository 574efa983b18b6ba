"""Calls to AWS without its SDK: answered, tried again, given up, over real connections."""

import json
import socket
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.aws import connections as connections_module
from chalicelib.aws.connections import Answer, Connections
from chalicelib.aws.credentials import CredentialSource
from chalicelib.aws.errors import AwsError, AwsRefused, AwsUnreachable, NoCredentials, code_of, passes
from chalicelib.aws.json_api import ATTEMPTS_MAX, BACKOFF_MAX_S, DYNAMODB, JsonApi
from chalicelib.aws.services import Aws, DynamoDb
from chalicelib.aws.signing import Credentials
from chalicelib.tables.dynamodb import update_if
from tests.aws import create_table
from tests.aws_door import HANGS_UP_BEFORE, AwsDoor, aws_door

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


def count(dynamodb: DynamoDb, table: str, **condition: Any) -> bool:
    return update_if(
        dynamodb,
        TableName=table,
        Key={"shopper": {"S": "ada"}},
        UpdateExpression="ADD visits :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
        **condition,
    )


def visits(dynamodb: DynamoDb, table: str) -> str | None:
    item = dynamodb.get_item(TableName=table, Key={"shopper": {"S": "ada"}}).get("Item")
    return item["visits"]["N"] if item else None


def test_an_item_is_written_and_read_as_boto3_does_it(dynamodb: DynamoDb) -> None:
    table = create_table(boto3.client("dynamodb"), "SuppressionsTable")
    assert visits(dynamodb, table) is None
    assert count(dynamodb, table)
    assert not count(dynamodb, table, ConditionExpression="attribute_not_exists(shopper)")
    assert visits(dynamodb, table) == "1"


def test_a_connection_that_was_hung_up_is_opened_anew(dynamodb: DynamoDb, door: AwsDoor) -> None:
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

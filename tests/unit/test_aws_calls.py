"""Calls to AWS without its SDK: sent, answered, tried again, given up."""

import json
import zlib
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.aws.connections import (
    AwsError,
    AwsRefused,
    AwsUnreachable,
    Connections,
    code_of,
    passes,
)
from chalicelib.aws.response import Response
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
from chalicelib.aws.signing import Credentials, Signer

KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret"}


THROTTLED = (400, "ProvisionedThroughputExceededException")


class ScriptedConnections(Connections):
    """Answers from a list; an exception in it is raised."""

    def __init__(self, *answers: Response | AwsError) -> None:
        self.host = "dynamodb.example"
        self.answers = list(answers)
        self.sent: list[tuple[Mapping[str, str], bytes]] = []

    def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        self.sent.append((headers, body))
        answer = self.answers.pop(0)
        if isinstance(answer, AwsError):
            raise answer
        return answer


def answer(status: int, document: Any, **headers: str) -> Response:
    return Response(
        status, headers, document if isinstance(document, bytes) else json.dumps(document).encode()
    )


def refused(code: str, status: int = 400) -> Response:
    return answer(
        status, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "ada@example.com"}
    )


def call(*answers: Response | AwsError) -> tuple[Any, ScriptedConnections, list[float]]:
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
def test_a_temporary_error_is_retried_until_the_limit(failure: Response | AwsError) -> None:
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
def test_a_permanent_error_is_not_retried(code: str) -> None:
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


SECONDS = 1_790_000_000.0


def test_a_call_is_one_signed_post_of_the_smallest_json() -> None:
    sent: list[tuple[Any, ...]] = []
    keys = Credentials("AKID", "secret", "token")

    class Noting(ScriptedConnections):
        def send(self, *request: Any) -> Response:
            sent.append(request)
            return Response(200, {}, b"")

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
    ("failure", "message"),
    [
        (answer(200, b"{}", **{"x-amz-crc32": "1"}), "the answer was damaged on its way"),
        (answer(200, b"{"), "the answer is not JSON"),
        (answer(400, b"{}"), "Status400 (400)"),
        (answer(403, b"[]"), "Status403 (403)"),
        (answer(400, b"{}", **{"x-amzn-errortype": "ns#Denied:http://x"}), "Denied (400)"),
        (answer(400, {"__type": "Denied"}, **{"x-amzn-errortype": "Other"}), "Denied (400)"),
    ],
)
def test_an_error_says_what_aws_calls_it(failure: Response, message: str) -> None:
    result, _, _ = call(*[failure] * ATTEMPTS_MAX)
    assert str(result) == message


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

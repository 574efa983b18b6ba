"""Adapters at the request and the answer: requests valid by botocore's models, every documented error meant.

Answers are bytes as AWS sends them, read by botocore, so that a code is the one that an adapter gets.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import xform_name
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from chalicelib.aws.connections import AwsError, AwsRefused, Connections, code_of, passes
from chalicelib.aws.response import Response
from chalicelib.aws.services import (
    ATTEMPTS_MAX,
    BACKOFF_S,
    DYNAMODB,
    SECRETS_MANAGER,
    DynamoDb,
    JsonApi,
    Service,
)
from chalicelib.aws.signing import Credentials
from chalicelib.domain.address import Address
from chalicelib.domain.email import RequestedEmail, SendRefusal, SendRefused
from chalicelib.domain.wave import ShardStep, from_json
from chalicelib.mail.ses import SesAccount
from chalicelib.queues import ConfirmationsQueue, WavesQueue
from chalicelib.services.signups import Signups
from chalicelib.storage import Cdn, CdnBusy, PageContested, PagesBucket, ThemeStore
from chalicelib.tables.demand import DemandTable
from chalicelib.tables.entries import EntriesTable
from chalicelib.tables.expressions import Attr
from chalicelib.tables.products import ProductsTable
from chalicelib.tables.sending import AlertStateTable, WebhooksTable
from chalicelib.tables.sending.deliverability import DeliverabilityTable
from chalicelib.tables.sending.rate import SendingRateTable
from chalicelib.tables.sending.waves import ProgressTable
from chalicelib.tables.shards import RestocksTable
from chalicelib.tables.suppressions import SuppressionsTable
from chalicelib.tables.table import Put, ReadByKey, Table, Update, batch_get
from tests.support.aws import create_table
from tests.support.clock import Clock
from tests.support.dynamodb import MemoryDynamoDb, Paginator
from tests.support.ses_service import held_to
from tests.unit.test_autopilot import autopilot_acted, flooded

Reply = tuple[int, dict[str, str], bytes]
KEY = {"id": {"S": "a"}}
# A service may answer this to any call, beside what its model names:
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/CommonErrors.html
COMMON = {
    "AccessDeniedException": False,
    "ExpiredTokenException": False,
    "IncompleteSignature": False,
    "InternalFailure": True,
    "InvalidSignatureException": False,
    "MissingAuthenticationToken": False,
    "NotAuthorized": False,
    "OptInRequired": False,
    "RequestExpired": False,
    "ServiceUnavailable": True,
    "ThrottlingException": True,
    "UnrecognizedClientException": False,
    "ValidationException": False,
}
STATUSES = {"InternalFailure": 500, "ServiceUnavailable": 503, "InternalServerError": 500}
STATUSES |= {"InternalServiceError": 500}


class Wire:
    """The end of a boto3 client's wire: keeps each request, answers from a list, the last one for ever."""

    def __init__(self, name: str) -> None:
        self.client: Any = boto3.client(
            name,  # type: ignore[call-overload]
            region_name="eu-west-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}),
        )
        self.replies: list[Reply] = []
        self.requests: list[Any] = []
        self.params: list[dict[str, Any]] = []
        self.client.meta.events.register(f"before-parameter-build.{name}", self._build)
        self.client.meta.events.register(f"before-send.{name}", self._send)

    def errors(self, operation: str) -> set[str]:
        """The codes that the model names for an operation."""
        model = self.client.meta.service_model.operation_model(operation)
        return {code_in(shape) for shape in model.error_shapes}

    def _build(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        held_to(model.input_shape, {name: value for name, value in params.items() if name != "Body"})
        self.params.append(params)

    def _send(self, request: Any, **_: Any) -> AWSResponse:
        self.requests.append(request)
        status, headers, body = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        answered: Any = headers
        return AWSResponse(request.url, status, answered, _Raw(body))


class _Raw:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self._body

    def read(self, *_: Any, **__: Any) -> bytes:
        body, self._body = self._body, b""
        return body


def code_in(shape: Any) -> str:
    """The code under which a service reports an error shape."""
    return str(shape.metadata.get("error", {}).get("code") or shape.name)


def model_of(service: str) -> ServiceModel:
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def json_reply(status: int, document: Mapping[str, Any]) -> Reply:
    return status, {"content-type": "application/x-amz-json-1.0"}, json.dumps(document).encode()


def json_error(code: str, **more: Any) -> Reply:
    return json_reply(STATUSES.get(code, 400), {"__type": f"com.amazonaws#{code}", **more})


def xml_error(status: int, code: str) -> Reply:
    return status, {"content-type": "application/xml"}, f"<Error><Code>{code}</Code></Error>".encode()


WIRES: dict[str, Wire] = {}


@pytest.fixture
def wire(request: pytest.FixtureRequest) -> Wire:
    """The wire of the service in the test's name; making a client takes a quarter of a second."""
    name = next(
        item for item in ("dynamodb", "sqs", "s3", "cloudfront", "sesv2") if item in request.node.name
    )
    kept = WIRES.get(name) or WIRES.setdefault(name, Wire(name))
    kept.requests.clear()
    kept.params.clear()
    return kept


# ---- DynamoDB and Secrets Manager, without the SDK ----


class _Scripted(Connections):
    def __init__(self, *answers: Response) -> None:
        self.host = "aws.example"
        self.answers = list(answers)
        self.sent: list[tuple[Mapping[str, str], bytes]] = []

    def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        self.sent.append((headers, body))
        return self.answers.pop(0)


def called(
    service: Service, operation: str, request: dict[str, Any], *answers: Response, share: float = 1.0
) -> tuple[Any, _Scripted, list[float]]:
    pauses: list[float] = []
    connections = _Scripted(*answers)
    api = JsonApi(
        service,
        "eu-west-1",
        connections,
        lambda: Credentials("AKID", "secret"),
        clock_s=lambda: 0.0,
        sleep=pauses.append,
        random_share=lambda: share,
    )
    try:
        return api.call(operation, request), connections, pauses
    except AwsError as error:
        return error, connections, pauses


# Which errors of the model pass, so that the same call may well succeed a moment later.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
DYNAMODB_PASSES = {
    "ConditionalCheckFailedException": False,
    "InternalServerError": True,
    "InvalidEndpointException": False,
    "ItemCollectionSizeLimitExceededException": False,
    "ProvisionedThroughputExceededException": True,
    "ReplicatedWriteConflictException": True,
    "RequestLimitExceeded": True,
    "ResourceNotFoundException": False,
    "TransactionConflictException": True,
}
SECRETS_PASSES = {
    "DecryptionFailure": False,
    "InternalServiceError": True,
    "InvalidParameterException": False,
    "InvalidRequestException": False,
    "ResourceNotFoundException": False,
}
# InvalidEndpointException is about endpoint discovery, which our client does not use.
CALLS: list[tuple[Service, str, str, dict[str, bool]]] = [
    (DYNAMODB, "dynamodb", "UpdateItem", DYNAMODB_PASSES),
    (DYNAMODB, "dynamodb", "GetItem", DYNAMODB_PASSES),
    (SECRETS_MANAGER, "secretsmanager", "GetSecretValue", SECRETS_PASSES),
]


@pytest.mark.parametrize(("service", "name", "operation", "meant"), CALLS, ids=lambda value: str(value)[:20])
def test_every_error_of_a_call_without_the_sdk_is_tried_again_or_raised_as_it_is_meant(
    service: Service, name: str, operation: str, meant: dict[str, bool]
) -> None:
    shapes = model_of(name).operation_model(operation).error_shapes
    assert {code_in(shape) for shape in shapes} <= {*meant, *COMMON}
    for code, again in {**meant, **COMMON}.items():
        status, headers, body = json_error(code)
        result, connections, pauses = called(
            service, operation, {}, *[Response(status, headers, body)] * ATTEMPTS_MAX
        )
        assert isinstance(result, AwsRefused), code
        assert (result.code, result.status) == (code, status)
        assert len(connections.sent) == (ATTEMPTS_MAX if again else 1), code
        assert len(pauses) == len(connections.sent) - 1
        assert passes(result) is again


def test_pauses_between_attempts_are_a_random_share_of_a_growing_limit() -> None:
    status, headers, body = json_error("ThrottlingException")
    for share in (0.0, 0.5, 1.0):
        _, _, pauses = called(
            DYNAMODB, "GetItem", {}, *[Response(status, headers, body)] * ATTEMPTS_MAX, share=share
        )
        assert pauses == [share * BACKOFF_S * 2, share * BACKOFF_S * 4, share * BACKOFF_S * 8]


def test_a_signups_own_request_is_valid_by_the_model_of_dynamodb(clock: Clock) -> None:
    connections = _Scripted(Response(200, {}, b"{}"))
    api = JsonApi(DYNAMODB, "eu-west-1", connections, lambda: Credentials("AKID", "secret"))
    entries = EntriesTable(_any(DynamoDb(api)), "entries")
    Signups(entries, b"identity", clock).sign_up(
        Address.parse("ada@example.com"), ["FJ-M"], page="/products/a", consent="c" * 40
    )
    ((headers, body),) = connections.sent
    operation = headers["x-amz-target"].rpartition(".")[2]
    shape = model_of("dynamodb").operation_model(operation).input_shape
    sent = json.loads(body)
    assert shape is not None
    assert not ParamValidator().validate(sent, shape).has_errors()
    held_to(shape, sent)
    assert (operation, sent["TableName"], set(sent["Key"])) == ("UpdateItem", "entries", {"shopper", "sku"})


# ---- DynamoDB, by boto3 ----

CANCELLED = {
    "ConditionalCheckFailed": True,
    "TransactionConflict": True,
    "ProvisionedThroughputExceeded": True,
    "ThrottlingError": True,
    "ItemCollectionSizeLimitExceeded": False,
    "ValidationError": False,
}
IS_NEW = Attr("id").not_exists()


def update(wire: Wire) -> Update:
    return Update(Table(wire.client, "t"), {"id": "a"}, {"a": "1"})


def transact(wire: Wire) -> tuple[str, ...]:
    return Table(wire.client, "t").transact([update(wire)])


@pytest.mark.parametrize("reason", sorted(CANCELLED))
def test_each_reason_to_cancel_a_dynamodb_transaction_is_given_or_raised(wire: Wire, reason: str) -> None:
    reasons = [{"Code": "None"}, {"Code": reason, "Message": "m"}]
    wire.replies = [json_error("TransactionCanceledException", CancellationReasons=reasons)]
    if CANCELLED[reason]:
        table = Table(wire.client, "t")
        assert table.transact([update(wire), Put(table, {"id": "b"}, IS_NEW)]) == ("None", reason)
    else:
        with pytest.raises(ClientError, match="TransactionCanceledException"):
            transact(wire)


def test_every_other_error_of_a_dynamodb_transaction_is_raised(wire: Wire) -> None:
    codes = wire.errors("TransactWriteItems") - {"TransactionCanceledException"}
    assert {"TransactionInProgressException", "IdempotentParameterMismatchException"} <= codes
    for code in codes | set(COMMON):
        wire.replies = [json_error(code)]
        with pytest.raises(ClientError) as raised:
            transact(wire)
        assert code_of(raised.value) == code
    wire.replies = [json_error("TransactionCanceledException")]
    with pytest.raises(ClientError):
        transact(wire)
    wire.replies = [json_reply(200, {})]
    assert transact(wire) == ()


def test_only_a_failed_condition_is_no_error_of_a_dynamodb_write(wire: Wire) -> None:
    calls: list[tuple[str, Callable[[], bool]]] = [
        ("UpdateItem", lambda: Table(wire.client, "t").update_if({"id": "a"}, IS_NEW, {"a": "1"})),
        ("DeleteItem", lambda: Table(wire.client, "t").delete_if({"id": "a"}, IS_NEW)),
    ]
    for operation, write in calls:
        wire.replies = [json_reply(200, {})]
        assert write() is True
        for code in wire.errors(operation) | set(COMMON):
            wire.replies = [json_error(code)]
            if code == "ConditionalCheckFailedException":
                assert write() is False
                continue
            with pytest.raises(ClientError) as raised:
                write()
            assert code_of(raised.value) == code


def test_each_statement_of_a_dynamodb_batch_has_its_own_reason(wire: Wire) -> None:
    codes = wire.client.meta.service_model.shape_for("BatchStatementErrorCodeEnum").enum
    assert {"ConditionalCheckFailed", "ThrottlingError", "TransactionConflict"} <= set(codes)
    replies: list[dict[str, Any]] = [{}, *({"Error": {"Code": code, "Message": "m"}} for code in codes)]
    wire.replies = [
        json_reply(200, {"Responses": replies + [{}] * (25 - len(replies))}),
        json_reply(200, {"Responses": [{"Error": {"Code": "ThrottlingError"}}]}),
    ]
    reasons = Table(wire.client, "t").execute_each([update(wire).statement()] * 26)
    assert reasons == ("", *codes, *[""] * (24 - len(codes)), "ThrottlingError")
    assert [len(params["Statements"]) for params in wire.params] == [25, 1]


def test_keys_that_dynamodb_leaves_over_are_asked_for_again(wire: Wire) -> None:
    reading = {"Keys": [KEY], "ConsistentRead": True, "ProjectionExpression": "#id"}
    left = {"t": {**reading, "ExpressionAttributeNames": {"#id": "id"}}}
    wire.replies = [
        json_reply(200, {"Responses": {"t": [{"id": {"S": "b"}}]}, "UnprocessedKeys": left}),
        json_reply(200, {"Responses": {"t": [KEY]}, "UnprocessedKeys": {}}),
    ]
    found = batch_get(ReadByKey(Table(wire.client, "t"), [{"id": "a"}, {"id": "b"}], ["id"]))
    assert found == ([{"id": "b"}, {"id": "a"}],)
    assert wire.params[1]["RequestItems"] == left


# ---- SQS ----


def test_messages_to_sqs_are_valid_and_read_back_as_they_were(wire: Wire) -> None:
    wire.replies = [json_reply(200, {"MessageId": "m", "MD5OfMessageBody": ""})]
    step = ShardStep("r", "FJ-M", "FJ-M#3")
    WavesQueue(wire.client, "https://q").put(step, delay_s=900)
    confirmations = ConfirmationsQueue(wire.client, "https://q")
    confirmations.put("s" * 64, "FJ-M")
    confirmations.put_back(RequestedEmail("s", "FJ-M"), delay_s=30)
    confirmations.put_my_waitlists("s")
    confirmations.delete("handle")
    first, second, third, fourth, fifth = wire.params
    assert from_json(first["MessageBody"]) == step
    assert (first["QueueUrl"], first["DelaySeconds"]) == ("https://q", 900)
    assert RequestedEmail.from_json(second["MessageBody"]) == RequestedEmail("s" * 64, "FJ-M")
    assert "DelaySeconds" not in second
    assert (RequestedEmail.from_json(third["MessageBody"]), third["DelaySeconds"]) == (
        RequestedEmail("s", "FJ-M"),
        30,
    )
    assert RequestedEmail.from_json(fourth["MessageBody"]) == RequestedEmail("s")
    assert fifth == {"QueueUrl": "https://q", "ReceiptHandle": "handle"}


def test_no_error_of_sqs_is_taken_for_a_message_that_was_queued(wire: Wire) -> None:
    codes = wire.errors("SendMessage")
    assert codes
    for code in codes | {"ServiceUnavailable", "ThrottlingException"}:
        wire.replies = [json_error(code)]
        with pytest.raises(ClientError) as raised:
            ConfirmationsQueue(wire.client, "https://q").put("s", "FJ-M")
        assert code_of(raised.value) == code
        with pytest.raises(ClientError):
            WavesQueue(wire.client, "https://q").put(ShardStep("r", "FJ-M", "FJ-M#3"))


# ---- S3 ----

HEAD = (200, {"etag": '"e"', "content-type": "text/html"}, b"")
NOT_THERE: Reply = (404, {}, b"")
WRITTEN = (200, {"etag": '"new"', "x-amz-version-id": "v1"}, b"")


def turn(wire: Wire) -> Any:
    return PagesBucket(wire.client, "pages").refresh("/a", lambda: "new", language="en", event="e1")


@pytest.mark.parametrize("missing", [404, 403])
def test_a_page_that_s3_has_not_is_made_where_there_is_none(wire: Wire, missing: int) -> None:
    wire.replies = [(missing, {}, b""), WRITTEN]
    change = turn(wire)
    assert (change.path, change.version) == ("/a", 'v1 "new"')
    assert wire.params[1]["IfNoneMatch"] == "*"
    assert "IfMatch" not in wire.params[1]


@pytest.mark.parametrize(
    ("status", "code"), [(412, "PreconditionFailed"), (409, "ConditionalRequestConflict"), (404, "NoSuchKey")]
)
def test_a_write_that_s3_refuses_as_overtaken_is_made_once_more(wire: Wire, status: int, code: str) -> None:
    wire.replies = [HEAD, xml_error(status, code), NOT_THERE, WRITTEN]
    assert turn(wire).version == 'v1 "new"'
    assert [params.get("IfMatch", params.get("IfNoneMatch")) for params in wire.params] == [
        None,
        '"e"',
        None,
        "*",
    ]
    wire.replies = [HEAD, xml_error(status, code)] * 6 + [HEAD]
    with pytest.raises(PageContested, match="/a"):
        turn(wire)


@pytest.mark.parametrize(
    ("status", "code"),
    [(403, "AccessDenied"), (500, "InternalError"), (503, "SlowDown"), (404, "NoSuchBucket")],
)
def test_any_other_refusal_of_s3_is_raised(wire: Wire, status: int, code: str) -> None:
    wire.replies = [HEAD, xml_error(status, code)]
    with pytest.raises(ClientError) as raised:
        turn(wire)
    assert code_of(raised.value) == code
    wire.replies = [(503, {}, b"")]
    with pytest.raises(ClientError):
        turn(wire)


@pytest.mark.parametrize(("status", "code"), [(404, "NoSuchKey"), (403, "AccessDenied")])
def test_an_edit_of_what_s3_has_not_changes_nothing(wire: Wire, status: int, code: str) -> None:
    wire.replies = [xml_error(status, code)]
    assert PagesBucket(wire.client, "pages").edit("/sitemap.xml", str.upper, event="e1") is None
    assert len(wire.requests) == 1
    wire.replies = [xml_error(503, "SlowDown")]
    with pytest.raises(ClientError):
        PagesBucket(wire.client, "pages").edit("/sitemap.xml", str.upper, event="e1")


def test_a_theme_that_s3_has_not_is_an_error_and_not_an_empty_one(wire: Wire) -> None:
    for status, code in ((404, "NoSuchKey"), (403, "AccessDenied"), (304, "NotModified")):
        wire.replies = [xml_error(status, code)]
        with pytest.raises(ClientError):
            ThemeStore(wire.client, "release").live()


# ---- CloudFront ----


def test_only_too_many_in_progress_makes_cloudfront_busy(wire: Wire) -> None:
    codes = wire.errors("CreateInvalidation")
    assert codes == {
        "AccessDenied",
        "BatchTooLarge",
        "InconsistentQuantities",
        "InvalidArgument",
        "MissingBody",
        "NoSuchDistribution",
        "TooManyInvalidationsInProgress",
    }
    cdn = Cdn(wire.client, "E1", sleep=lambda seconds: None)
    for code in codes | {"Throttling", "InvalidationBatchAlreadyExists", "ServiceUnavailable"}:
        wire.requests.clear()
        wire.replies = [_cloudfront_error(code)]
        if code == "TooManyInvalidationsInProgress":
            with pytest.raises(CdnBusy):
                cdn.invalidate(["/a"], reference="r")
            assert len(wire.requests) == 4, "its path, and the wildcard three times"
            continue
        with pytest.raises(ClientError) as raised:
            cdn.invalidate(["/a"], reference="r")
        assert code_of(raised.value) == code
        assert len(wire.requests) == 1


def test_a_cloudfront_invalidation_names_each_path_once(wire: Wire) -> None:
    wire.replies = [(201, {}, b"<Invalidation><Id>I</Id></Invalidation>")]
    assert Cdn(wire.client, "E1").invalidate(["/", "/a"], reference="r") == ("/", "/a", "/index.html")
    (params,) = wire.params
    assert params["InvalidationBatch"]["Paths"] == {"Quantity": 3, "Items": ["/", "/a", "/index.html"]}
    assert wire.requests[0].url.endswith("/distribution/E1/invalidation")


def _any(value: Any) -> Any:
    return value


def _cloudfront_error(code: str) -> Reply:
    body = f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code></Error></ErrorResponse>"
    return 503 if code == "ServiceUnavailable" else 400, {"content-type": "text/xml"}, body.encode()


# ---- SES's limits ----


def test_limits_of_a_sesv2_account_are_read_and_a_throttle_says_later(wire: Wire) -> None:
    codes = wire.errors("GetAccount")
    assert codes == {"BadRequestException", "TooManyRequestsException"}
    for code in codes | {"ThrottlingException", "Throttling", "AccessDeniedException"}:
        wire.replies = [(400, {"x-amzn-errortype": code}, b"{}")]
        if code in {"TooManyRequestsException", "ThrottlingException", "Throttling"}:
            with pytest.raises(SendRefused) as refused:
                SesAccount(wire.client).limits()
            assert (refused.value.refusal, refused.value.reason) == (SendRefusal.RETRY, code)
        else:
            with pytest.raises(ClientError) as raised:
                SesAccount(wire.client).limits()
            assert code_of(raised.value) == code
    quota = {"Max24HourSend": 200.0, "MaxSendRate": 14.0, "SentLast24Hours": 250.5}
    wire.replies = [(200, {}, json.dumps({"SendQuota": quota, "SendingEnabled": False}).encode())]
    limits = SesAccount(wire.client).limits()
    assert (limits.rate_per_s, limits.emails_left, limits.sending_enabled) == (14.0, 0, False)


# ---- what is read strongly: a read that may be old would undo what was decided since ----


class Reads:
    """DynamoDB in memory. `strong` says of each read whether it asked for what is so now."""

    def __init__(self) -> None:
        self.client = MemoryDynamoDb()
        self.strong: list[bool] = []

    def __getattr__(self, method: str) -> Any:
        if method not in {"get_item", "batch_get_item", "query", "scan"}:
            return getattr(self.client, method)

        def read(**request: Any) -> Any:
            reads = request["RequestItems"].values() if "RequestItems" in request else [request]
            self.strong += [read.get("ConsistentRead", False) for read in reads]
            return getattr(self.client, method)(**request)

        return read

    def get_paginator(self, operation: str) -> Paginator:
        return Paginator(getattr(self, operation))


STRONG_READS: dict[str, tuple[str, Callable[[Any, str], object]]] = {
    "an entry": ("EntriesTable", lambda client, name: EntriesTable(client, name).get("ada", "A")),
    "emails asked for": (
        "EntriesTable",
        lambda client, name: EntriesTable(client, name).count_requested_email("i", at_ms=0, budget="confirm"),
    ),
    "deliveries": (
        "EntriesTable",
        lambda client, name: DeliverabilityTable(client, name, name).delivered("ada"),
    ),
    "a product": ("ProductsTable", lambda client, name: ProductsTable(client, name).get("scarf")),
    "all products": ("ProductsTable", lambda client, name: list(ProductsTable(client, name).scan())),
    "the pace": ("SendingTable", lambda client, name: SendingRateTable(client, name).state()),
    "a wave": ("SendingTable", lambda client, name: ProgressTable(client, name).wave("A")),
    "progress": ("SendingTable", lambda client, name: ProgressTable(client, name).of("r", ["A#1"])),
    "a notice": ("SendingTable", lambda client, name: AlertStateTable(client, name).dead_letters()),
    "a webhook": ("SendingTable", lambda client, name: WebhooksTable(client, name).is_known("d")),
    "bounces of a day": (
        "SendingTable",
        lambda client, name: DeliverabilityTable(client, name, name).bounced_and_complained(
            [date(2026, 11, 23)]
        ),
    ),
    "demand": ("DemandTable", lambda client, name: DemandTable(client, name).of(["A"])),
    "a restock": ("RestocksTable", lambda client, name: RestocksTable(client, name).live("A")),
    "a suppression": (
        "SuppressionsTable",
        lambda client, name: SuppressionsTable(client, name).history("ada"),
    ),
}


@pytest.mark.parametrize("kind", STRONG_READS)
def test_reads_that_decide_are_consistent(kind: str) -> None:
    table, read = STRONG_READS[kind]
    reads: Any = Reads()
    read(reads, create_table(reads, table))
    assert reads.strong == [True]


# ---- what autopilot asks ----


def test_each_call_of_the_autopilot_is_valid_by_its_model(tmp_path: Path) -> None:
    place = flooded(bounces=[0.06])
    autopilot_acted(place, tmp_path)
    calls = [(name, *call) for name, client in place.clients.items() for call in client.calls]
    assert {name for name, *_ in calls} >= {"cloudwatch", "dynamodb", "lambda", "sns", "sqs"}
    for service, method, asked in calls:
        model = model_of(service)
        (operation,) = (item for item in model.operation_names if xform_name(item) == method)
        shape = model.operation_model(operation).input_shape
        assert shape is not None
        assert ParamValidator().validate(asked, shape).generate_report() == ""
        held_to(shape, asked)


def test_the_autopilot_asks_for_the_metrics_that_it_decides_by(tmp_path: Path) -> None:
    place = flooded()
    autopilot_acted(place, tmp_path)
    (asked,) = (asked for name, asked in place.clients["cloudwatch"].calls if name == "get_metric_data")
    queries = {query["Id"]: query["MetricStat"] for query in asked["MetricDataQueries"]}
    metrics = {
        key: (query["Metric"]["Namespace"], query["Metric"]["MetricName"], query["Stat"], query["Period"])
        for key, query in queries.items()
    }
    assert metrics == {
        "writes": ("AWS/DynamoDB", "ConsumedWriteCapacityUnits", "Sum", 60),
        "concurrent": ("AWS/Lambda", "ConcurrentExecutions", "Maximum", 60),
        "bounces": ("AWS/SES", "Reputation.BounceRate", "Maximum", 60),
        "complaints": ("AWS/SES", "Reputation.ComplaintRate", "Maximum", 60),
    }
    named = {
        key: [dimension["Name"] for dimension in queries[key]["Metric"]["Dimensions"]] for key in queries
    }
    assert named == {"writes": ["TableName"], "concurrent": ["FunctionName"], "bounces": [], "complaints": []}

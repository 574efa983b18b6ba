"""A request of boto3 is read back to the arguments of boto3, in every protocol, and held to the model."""

from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import boto3
import pytest
from botocore.config import Config
from hypothesis import given, settings
from hypothesis import strategies as st

from spillway.local_cloud.strict.refusals import Refusal, answer_of, refusal_of
from spillway.local_cloud.strict.requests import (
    AwsCall,
    HttpRequest,
    UnknownOperation,
    read_call,
    service_model,
)
from spillway.local_cloud.strict.validation import ANYTHING, MalformedRequest, compiled, first_violation

# Actions that the stack, its functions and the operator's commands call, as each is named in signatures.
SERVICES = {
    "apigateway": "apigateway",
    "cloudformation": "cloudformation",
    "cloudfront": "cloudfront",
    "cloudwatch": "monitoring",
    "dynamodb": "dynamodb",
    "events": "events",
    "lambda": "lambda",
    "logs": "logs",
    "s3": "s3",
    "secretsmanager": "secretsmanager",
    "service-quotas": "servicequotas",
    "sesv2": "ses",
    "sns": "sns",
    "sqs": "sqs",
    "sts": "sts",
    "wafv2": "wafv2",
}
ROLE = "arn:aws:iam::000000000000:role/x"
TOPIC = "arn:aws:sns:us-east-1:000000000000:x"


class Caught(Exception):
    """A request was about to be sent."""


class Senders:
    """Clients whose requests are caught before they leave."""

    def __init__(self) -> None:
        self.clients: dict[str, Any] = {}
        self.caught: list[Any] = []

    def request(self, service: str, operation: str, **members: Any) -> HttpRequest:
        """Give the request that a client makes of a call."""
        if service not in self.clients:
            unchecked = Config(parameter_validation=False)
            client = boto3.client(service, endpoint_url="http://127.0.0.1:9", config=unchecked)  # type: ignore[call-overload]
            client.meta.events.register("before-send.*", self._catch)
            self.clients[service] = client
        with pytest.raises(Caught):
            getattr(self.clients[service], operation)(**members)
        sent = self.caught.pop()
        body = sent.body.read() if hasattr(sent.body, "read") else sent.body or b""
        address = urlsplit(sent.url)
        headers = {
            name.lower(): value.decode() if isinstance(value, bytes) else value
            for name, value in sent.headers.items()
        }
        body = body.encode() if isinstance(body, str) else body
        return HttpRequest(sent.method, address.path, address.query, headers, body)

    def call(self, service: str, operation: str, **members: Any) -> AwsCall:
        """Give what is read from that request."""
        return read_call(SERVICES[service], self.request(service, operation, **members))

    def _catch(self, request: Any, **_: Any) -> None:
        self.caught.append(request)
        raise Caught


@pytest.fixture(scope="module")
def senders() -> Senders:
    """Clients for the whole module: making one takes longer than a call."""
    return Senders()


@pytest.mark.parametrize(
    ("service", "operation", "members"),
    [
        ("dynamodb", "put_item", {"TableName": "abc", "Item": {"k": {"S": "é"}, "b": {"B": b"\x00\xff"}}}),
        ("sqs", "send_message", {"QueueUrl": "u", "MessageBody": "x", "DelaySeconds": 3}),
        ("sqs", "set_queue_attributes", {"QueueUrl": "u", "Attributes": {"VisibilityTimeout": "3"}}),
        ("secretsmanager", "get_secret_value", {"SecretId": "x"}),
        ("s3", "copy_object", {"Bucket": "bucket", "Key": "a/b c", "CopySource": "bucket/y"}),
        ("s3", "head_object", {"Bucket": "bucket", "Key": "a//b", "IfMatch": '"x"'}),
        ("s3", "get_object_acl", {"Bucket": "bucket", "Key": "acl"}),
        ("s3", "list_parts", {"Bucket": "bucket", "Key": "k", "UploadId": "u"}),
        (
            "cloudfront",
            "create_invalidation",
            {
                "DistributionId": "E1",
                "InvalidationBatch": {
                    "CallerReference": "r",
                    "Paths": {"Quantity": 2, "Items": ["/a", "/b&c"]},
                },
            },
        ),
        (
            "cloudformation",
            "create_change_set",
            {
                "StackName": "stack",
                "ChangeSetName": "change",
                "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
                "Parameters": [{"ParameterKey": "a", "ParameterValue": ""}],
                "OnStackFailure": "DELETE",
            },
        ),
        ("lambda", "invoke", {"FunctionName": "f", "InvocationType": "Event", "Payload": b"{}"}),
        (
            "lambda",
            "create_event_source_mapping",
            {"FunctionName": "f", "ScalingConfig": {"MaximumConcurrency": 2}, "Enabled": False},
        ),
        (
            "sesv2",
            "send_email",
            {
                "FromEmailAddress": "a@example.com",
                "Destination": {"ToAddresses": ["b@example.com"]},
                "Content": {"Simple": {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "t"}}}},
            },
        ),
        ("sesv2", "get_account", {}),
        (
            "sns",
            "publish",
            {
                "TopicArn": TOPIC,
                "Message": "m",
                "MessageAttributes": {"a": {"DataType": "String", "StringValue": "b"}},
            },
        ),
        ("cloudwatch", "describe_alarms", {"AlarmNames": ["x"], "MaxRecords": 3}),
        ("apigateway", "get_rest_apis", {"limit": 5}),
        ("sts", "get_caller_identity", {}),
    ],
)  # fmt: skip
def test_a_call_is_read_back_whole(
    senders: Senders, service: str, operation: str, members: dict[str, Any]
) -> None:
    call = senders.call(service, operation, **members)
    assert (call.service, call.operation) == (service, "".join(word.title() for word in operation.split("_")))
    assert call.members == members
    assert call.shape is None or first_violation(call.members, call.shape) is None


def test_members_that_the_sdk_adds_are_read_too(senders: Senders) -> None:
    call = senders.call("s3", "put_object", Bucket="bucket", Key="k", Body=b"xy", Metadata={"a": "b"})
    assert call.operation == "PutObject"
    assert call.members["Metadata"] == {"a": "b"}
    assert call.members["ContentLength"] == 2
    assert call.members["ChecksumAlgorithm"] == "CRC32"


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=12)
attributes = st.recursive(
    st.builds(lambda text: {"S": text}, texts) | st.builds(lambda data: {"B": data}, st.binary(max_size=8)),
    lambda inner: (
        st.builds(lambda items: {"L": items}, st.lists(inner, max_size=3))
        | st.builds(lambda items: {"M": items}, st.dictionaries(texts, inner, max_size=3))
    ),
    max_leaves=6,
)


@settings(max_examples=40, deadline=None)
@given(item=st.dictionaries(texts, attributes, max_size=4))
def test_any_item_of_dynamodb_is_read_back(senders: Senders, item: dict[str, Any]) -> None:
    assert senders.call("dynamodb", "put_item", TableName="abc", Item=item).members["Item"] == item


@settings(max_examples=40, deadline=None)
@given(
    parameters=st.lists(st.fixed_dictionaries({"ParameterKey": texts, "ParameterValue": texts}), max_size=12),
    tags=st.lists(st.fixed_dictionaries({"Key": texts, "Value": texts}), max_size=3),
)
def test_any_lists_of_the_query_protocol_are_read_back(
    senders: Senders, parameters: list[dict[str, str]], tags: list[dict[str, str]]
) -> None:
    given_members = {"StackName": "abc", "Parameters": parameters, "Tags": tags}
    assert senders.call("cloudformation", "create_stack", **given_members).members == given_members


@settings(max_examples=40, deadline=None)
@given(keys=st.lists(texts.filter(bool), max_size=6), quiet=st.booleans())
def test_any_list_in_xml_is_read_back(senders: Senders, keys: list[str], quiet: bool) -> None:
    deleted = {"Objects": [{"Key": key} for key in keys], "Quiet": quiet}
    assert senders.call("s3", "delete_objects", Bucket="bucket", Delete=deleted).members["Delete"] == (
        deleted if keys else {"Quiet": quiet}
    )


def answered(call: AwsCall) -> tuple[str, int, str]:
    """The code, status and message that a call is refused with."""
    assert call.shape is not None
    violation = first_violation(call.members, call.shape)
    assert violation is not None
    refusal = refusal_of(violation, call.service, call.protocol)
    return refusal.code, refusal.status, refusal.message


@pytest.mark.parametrize(
    ("service", "operation", "members", "code", "said"),
    [
        (
            "dynamodb",
            "batch_execute_statement",
            {"Statements": [{"Statement": "x"}] * 26},
            "ValidationException",
            "at 'statements' failed to satisfy constraint: Member must have length less than or equal to 25",
        ),
        (
            "dynamodb",
            "put_item",
            {"Item": {}},
            "ValidationException",
            "Value null at 'tableName' failed to satisfy constraint: Member must not be null",
        ),
        (
            "dynamodb",
            "put_item",
            {"TableName": "abc", "Item": {}, "ReturnValues": "ALL"},
            "ValidationException",
            "Value 'ALL' at 'returnValues' failed to satisfy constraint: Member must satisfy enum value set",
        ),
        (
            "sqs",
            "send_message",
            {"QueueUrl": "u"},
            "MissingParameter",
            "Value null at 'messageBody'",
        ),
        (
            "lambda",
            "create_event_source_mapping",
            {"FunctionName": "f", "ScalingConfig": {"MaximumConcurrency": 1}},
            "ValidationException",
            "Value '1' at 'scalingConfig.maximumConcurrency' failed to satisfy constraint: "
            "Member must have value greater than or equal to 2",
        ),
        (
            "lambda",
            "get_function",
            {"FunctionName": "no spaces"},
            "ValidationException",
            "at 'functionName' failed to satisfy constraint: Member must satisfy regular expression pattern",
        ),
        (
            "sesv2",
            "send_bulk_email",
            {
                "DefaultContent": {"Template": {"TemplateData": "{}"}},
                "BulkEmailEntries": [
                    {
                        "Destination": {"ToAddresses": ["a@example.com"]},
                        "ReplacementHeaders": [{"Name": "X-Shop", "Value": "Café"}],
                    }
                ],
            },
            "BadRequestException",
            "Value 'Café' at 'bulkEmailEntries.1.member.replacementHeaders.1.member.value' failed",
        ),
        (
            "cloudformation",
            "create_stack",
            {"StackName": "s", "OnFailure": "PANIC"},
            "ValidationError",
            "Value 'PANIC' at 'onFailure'",
        ),
        (
            "s3",
            "put_bucket_versioning",
            {"Bucket": "bucket", "VersioningConfiguration": {"Status": "Maybe"}},
            "InvalidArgument",
            "Value 'Maybe' at 'versioningConfiguration.status'",
        ),
    ],
)  # fmt: skip
def test_a_call_that_breaks_its_model_is_refused_in_the_words_of_aws(
    senders: Senders, service: str, operation: str, members: dict[str, Any], code: str, said: str
) -> None:
    got, status, message = answered(senders.call(service, operation, **members))
    assert (got, status) == (code, 400)
    assert said in message


RECEIVE, MESSAGE = {"QueueUrl": "u"}, {"QueueUrl": "u", "MessageBody": "x"}
ATTRIBUTE = {"DataType": "String", "StringValue": "x"}


def tagged(value: str) -> list[dict[str, Any]]:
    return [{"Destination": {}, "ReplacementTags": [{"Name": "kind", "Value": value}]}]


def with_attributes(count: int) -> list[dict[str, Any]]:
    attributes = {f"a{number}": ATTRIBUTE for number in range(count)}
    return [{"Id": "1", "MessageBody": "x", "MessageAttributes": attributes}]


@pytest.mark.parametrize(
    ("service", "operation", "members", "member", "taken", "refused"),
    [
        ("sqs", "receive_message", RECEIVE, "WaitTimeSeconds", 20, 21),
        ("sqs", "receive_message", RECEIVE, "VisibilityTimeout", 43_200, 43_201),
        ("sqs", "change_message_visibility", RECEIVE | {"ReceiptHandle": "r"}, "VisibilityTimeout", 0, -1),
        ("sqs", "create_queue", {}, "QueueName", "q" * 75 + ".fifo", "q" * 76 + ".fifo"),
        ("sqs", "send_message", MESSAGE, "MessageGroupId", "g" * 128, "g g"),
        ("sqs", "send_message", MESSAGE, "MessageAttributes", {"a.b": ATTRIBUTE}, {"AWS.b": ATTRIBUTE}),
        ("sqs", "send_message_batch", RECEIVE, "Entries", with_attributes(10), with_attributes(11)),
        ("sns", "publish", {"TopicArn": TOPIC, "Message": "m"}, "Subject", "ü" * 100, "a" * 101),
        ("sns", "publish", {"TopicArn": TOPIC, "Message": "m"}, "Subject", "a", "a\nb"),
        ("sns", "publish", {"TopicArn": TOPIC}, "Message", "m", ""),
        (
            "sesv2",
            "send_bulk_email",
            {"DefaultContent": {}},
            "BulkEmailEntries",
            tagged("a_1-b"),
            tagged("A#1"),
        ),
        ("sesv2", "create_configuration_set", {}, "ConfigurationSetName", "a" * 64, "a" * 65),
        ("secretsmanager", "create_secret", {}, "Name", "shop/key+1", "a b"),
        ("events", "put_rule", {"Name": "r"}, "ScheduleExpression", "rate(1 hour)", "rate(1 hours)"),
        ("events", "put_rule", {"Name": "r"}, "ScheduleExpression", "cron(0 3 * * ? *)", "cron(0 3 * * *)"),
        ("dynamodb", "query", {"TableName": "abc"}, "ExpressionAttributeNames", {"#a_1": "x"}, {"a": "x"}),
        (
            "dynamodb",
            "put_item",
            {"TableName": "abc", "Item": {}},
            "ExpressionAttributeValues",
            {":" + "a" * 254: {"S": "x"}},
            {":" + "a" * 255: {"S": "x"}},
        ),
    ],
)
def test_limits_that_pages_say_in_words_are_those_of_the_model(
    senders: Senders, service: str, operation: str, members: Any, member: str, taken: Any, refused: Any
) -> None:
    good = senders.call(service, operation, **members, **{member: taken})
    assert first_violation(good.members, good.shape) is None
    codes = {"sns": "InvalidParameter", "sqs": "InvalidParameterValue", "sesv2": "BadRequestException"}
    code, status, _ = answered(senders.call(service, operation, **members, **{member: refused}))
    assert (code, status) == (codes.get(service, "ValidationException"), 400)


def test_a_control_character_leaves_an_answer_in_xml_readable() -> None:
    answer = answer_of(Refusal("InvalidParameter", "Value 'a\x01b'"), "sns", "query")
    assert ElementTree.fromstring(answer.body).findtext("Error/Message") == "Value 'a?b'"


def request_of(target: str, body: bytes) -> HttpRequest:
    return HttpRequest("POST", "/", "", {"x-amz-target": target}, body)


def test_members_that_the_model_does_not_know_are_refused() -> None:
    call = read_call(
        "dynamodb", request_of("DynamoDB_20120810.PutItem", b'{"TableName":"abc","Item":{},"Itme":{}}')
    )
    assert answered(call) == ("SerializationException", 400, "Unknown member Itme")


def test_a_value_of_another_type_is_refused_before_any_constraint() -> None:
    body = b'{"TableName":"a","Item":{"k":{"S":5}}}'
    code, _, message = answered(read_call("dynamodb", request_of("DynamoDB_20120810.PutItem", body)))
    assert (code, message) == ("SerializationException", "item.k.s: int is not of the member's type")


def test_null_members_count_as_left_out() -> None:
    body = b'{"TableName":"abc","Item":{},"ReturnValues":null}'
    assert read_call("dynamodb", request_of("DynamoDB_20120810.PutItem", body)).members == {
        "TableName": "abc",
        "Item": {},
    }


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'"x"', b'{"TableName":"abc","Item":{"b":{"B":"not base64"}}}']
)
def test_a_body_that_is_no_request_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedRequest):
        read_call("dynamodb", request_of("DynamoDB_20120810.PutItem", body))


@pytest.mark.parametrize(
    ("signed_as", "request_"),
    [
        ("dynamodb", request_of("DynamoDB_20120810.DropEverything", b"{}")),
        ("no-such-service", request_of("X.Y", b"{}")),
        ("lambda", HttpRequest("BREW", "/2015-03-31/functions", "", {}, b"")),
    ],
)
def test_a_request_without_an_operation_of_aws_is_unknown(signed_as: str, request_: HttpRequest) -> None:
    with pytest.raises(UnknownOperation):
        read_call(signed_as, request_)


@pytest.mark.parametrize(
    ("service", "protocol", "kept"),
    [
        ("dynamodb", "json", b'"__type": "com.amazon.coral.validate#ValidationException"'),
        ("sqs", "json", b'"__type": "com.amazonaws.sqs#InvalidParameterValue"'),
        ("cloudformation", "query", b"<Type>Sender</Type><Code>ValidationException</Code>"),
        ("s3", "rest-xml", b"<Error><Code>ValidationException</Code><Message>a &lt; b</Message>"),
        ("cloudwatch", "cbor", b"ValidationException"),
        ("lambda", "rest-json", b'{"message": "a < b"}'),
    ],
)
def test_a_refusal_is_sent_in_the_form_of_each_protocol(service: str, protocol: str, kept: bytes) -> None:
    code = "InvalidParameterValue" if service == "sqs" else "ValidationException"
    answer = answer_of(Refusal(code, "a < b"), service, protocol)
    assert answer.status == 400
    assert kept in answer.body
    if protocol == "rest-json":
        assert answer.headers["x-amzn-errortype"] == "ValidationException"


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_every_pattern_of_a_service_that_is_called_can_be_judged(service: str) -> None:
    model = service_model(service)
    shapes = [model.shape_for(name) for name in model.shape_names]
    patterns = {shape.metadata["pattern"] for shape in shapes if "pattern" in shape.metadata}
    assert [pattern for pattern in patterns if compiled(pattern) is ANYTHING] == []

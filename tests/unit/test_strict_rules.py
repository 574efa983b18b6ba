"""Rules that AWS documents beside its models: of each, a call that breaks it and one that just does not."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from spillway.deploy.template import import_template
from spillway.local_cloud.strict import checks, functions, rules
from spillway.local_cloud.strict.refusals import Refusal
from spillway.local_cloud.strict.requests import AwsCall, HttpRequest
from tests.support.uploaded import translated

Make = Callable[..., Refusal | None]
ROOT = Path(__file__).parents[2]


@dataclass
class Surroundings:
    """An account that a test arranges."""

    now_s: float = 0.0
    objects: dict[tuple[str, str], bytes] = field(default_factory=dict)
    reserved: dict[str, int] = field(default_factory=dict)
    tables: dict[str, Any] = field(default_factory=dict)
    account: checks.AccountState = field(init=False)

    def __post_init__(self) -> None:
        self.account = checks.AccountState(
            lambda: self.now_s,
            lambda bucket, key: self.objects.get((bucket, key)),
            lambda: self.reserved,
            lambda name: self.tables.get(name, {}),
        )

    def answer(self, service: str, operation: str, **members: Any) -> Refusal | None:
        """How a call is refused, or None; `body` is that of its request."""
        request = HttpRequest("POST", "/", "", {}, members.pop("body", b""))
        return rules.first_refusal(AwsCall(service, operation, "json", None, members, request), self.account)


@pytest.fixture
def aws() -> Surroundings:
    return Surroundings()


def bulk(
    *headers: tuple[str, str], default: tuple[tuple[str, str], ...] = (), **members: Any
) -> dict[str, Any]:
    def listed(pairs: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
        return [{"Name": name, "Value": value} for name, value in pairs]

    return {
        "FromEmailAddress": "shop@example.com",
        "DefaultContent": {"Template": {"Headers": listed(default)}},
        "BulkEmailEntries": [
            {"Destination": {"ToAddresses": ["ada@example.com"]}, "ReplacementHeaders": listed(headers)}
        ],
        **members,
    }


@pytest.mark.parametrize("name", ["Reply-To", "reply-to", "From", "Subject", "Return-Path", "Message-ID"])
def test_headers_that_ses_sets_itself_are_refused(aws: Surroundings, name: str) -> None:
    refused = Refusal("BadRequestException", f"Header name {name} is not allowed: SES sets it itself.")
    assert aws.answer("sesv2", "SendBulkEmail", **bulk((name, "x"))) == refused
    assert aws.answer("sesv2", "SendBulkEmail", **bulk(default=((name, "x"),))) == refused
    simple = {"Content": {"Simple": {"Headers": [{"Name": name, "Value": "x"}]}}}
    assert aws.answer("sesv2", "SendEmail", **simple) == refused


def test_headers_that_a_shop_sends_are_taken(aws: Surroundings) -> None:
    sent = bulk(("List-Unsubscribe", "<https://x>"), ("List-Unsubscribe-Post", "y"), ("Auto-Submitted", "z"))
    assert aws.answer("sesv2", "SendBulkEmail", ReplyToAddresses=["help@example.com"], **sent) is None


def test_fifteen_headers_are_taken_and_sixteen_are_not(aws: Surroundings) -> None:
    named = tuple((f"X-{number}", "v") for number in range(16))
    assert aws.answer("sesv2", "SendBulkEmail", **bulk(*named[:8], default=named[8:15])) is None
    refused = aws.answer("sesv2", "SendBulkEmail", **bulk(*named[:8], default=named[8:]))
    assert refused == Refusal("BadRequestException", "A message may have 15 headers.")
    # A replacement takes the place of the default of its name.
    assert aws.answer("sesv2", "SendBulkEmail", **bulk(*named[:8], default=named[:15])) is None


def test_a_header_twice_or_too_long_is_refused(aws: Surroundings) -> None:
    twice = aws.answer("sesv2", "SendBulkEmail", **bulk(("X-A", "1"), ("x-a", "2")))
    assert twice == Refusal("BadRequestException", "A header may not appear more than once.")
    assert aws.answer("sesv2", "SendBulkEmail", **bulk(("X-A", "v" * 993))) is None
    assert aws.answer("sesv2", "SendBulkEmail", **bulk(("X-A", "v" * 994))) == Refusal(
        "BadRequestException", "Name and value of a header may have 996 characters together."
    )


@pytest.mark.parametrize(
    "members",
    [
        {"FromEmailAddress": "Café <shop@example.com>"},
        {"ReplyToAddresses": ["Café <help@example.com>"]},
        {"FromEmailAddress": "shop@müller.example"},
        {"FromEmailAddress": "A\nBcc: x <shop@example.com>"},
    ],
)
def test_addresses_that_are_not_encoded_are_refused(aws: Surroundings, members: dict[str, Any]) -> None:
    refused = aws.answer("sesv2", "SendBulkEmail", **bulk() | members)
    assert refused is not None
    assert refused.code == "BadRequestException"
    assert refused.message.startswith("Local address contains control or non-ASCII characters")


def test_an_encoded_name_is_taken(aws: Surroundings) -> None:
    assert (
        aws.answer(
            "sesv2", "SendBulkEmail", **bulk() | {"FromEmailAddress": "=?utf-8?q?Caf=C3=A9?= <a@b.example>"}
        )
        is None
    )


def test_fifty_entries_and_fifty_recipients_are_taken(aws: Surroundings) -> None:
    entry = {"Destination": {"ToAddresses": ["ada@example.com"]}}
    assert aws.answer("sesv2", "SendBulkEmail", **bulk() | {"BulkEmailEntries": [entry] * 50}) is None
    assert aws.answer("sesv2", "SendBulkEmail", **bulk() | {"BulkEmailEntries": [entry] * 51}) == Refusal(
        "BadRequestException", "A call may have 50 entries."
    )
    many = {"Destination": {"ToAddresses": ["a@b.example"] * 30, "BccAddresses": ["a@b.example"] * 21}}
    assert aws.answer("sesv2", "SendEmail", **many) == Refusal(
        "BadRequestException", "Recipient count exceeds 50."
    )


def test_get_account_is_answered_once_a_second(aws: Surroundings) -> None:
    assert aws.answer("sesv2", "GetAccount") is None
    aws.now_s = 0.9
    assert aws.answer("sesv2", "GetAccount") == Refusal("TooManyRequestsException", "Rate exceeded", 429)
    aws.now_s = 1.0
    assert aws.answer("sesv2", "GetAccount") is None


def invalidation(*paths: str, quantity: int | None = None) -> dict[str, Any]:
    count = len(paths) if quantity is None else quantity
    return {
        "DistributionId": "E1",
        "InvalidationBatch": {"CallerReference": "r", "Paths": {"Quantity": count, "Items": [*paths]}},
    }


@pytest.mark.parametrize("path", ["products/cap", "", "/a b", "/café", "/a%2", "/<b>", "/" + "a" * 4_000])
def test_a_path_that_is_none_is_refused(aws: Surroundings, path: str) -> None:
    refused = Refusal("InvalidArgument", "Your request contains one or more invalid invalidation paths.")
    assert aws.answer("cloudfront", "CreateInvalidation", **invalidation("/", path)) == refused


def test_paths_of_pages_are_taken(aws: Surroundings) -> None:
    assert (
        aws.answer(
            "cloudfront", "CreateInvalidation", **invalidation("/", "/index.html", "/caf%C3%A9", "/a/*")
        )
        is None
    )


def test_a_quantity_that_is_not_the_number_of_paths_is_refused(aws: Surroundings) -> None:
    refused = aws.answer("cloudfront", "CreateInvalidation", **invalidation("/a", quantity=2))
    assert refused == Refusal(
        "InconsistentQuantities", "The value of Quantity and the size of Items do not match."
    )


def test_three_thousand_files_and_fifteen_wildcards_may_be_in_progress(aws: Surroundings) -> None:
    files = [f"/{number}" for number in range(3_000)]
    assert aws.answer("cloudfront", "CreateInvalidation", **invalidation(*files)) is None
    assert (
        aws.answer("cloudfront", "CreateInvalidation", **invalidation(*(f"/{n}*" for n in range(15)))) is None
    )
    for path, kind in (("/x", "invalidations"), ("/x*", "wildcard invalidations")):
        refused = aws.answer("cloudfront", "CreateInvalidation", **invalidation(path))
        assert refused == Refusal(
            "TooManyInvalidationsInProgress",
            f"Processing your request will cause you to exceed the maximum number of in-progress {kind}.",
        )
    aws.now_s = checks.CLOUDFRONT_IN_PROGRESS_S
    assert aws.answer("cloudfront", "CreateInvalidation", **invalidation("/x", "/x*")) is None


ALIASED = "a: &anchor {b: 1}\nc: *anchor\n"
ALIASES = Refusal(
    "ValidationError", "Template format error: YAML aliases are not allowed in CloudFormation templates"
)


@pytest.mark.parametrize("operation", rules.TEMPLATE_OPERATIONS)
def test_a_template_with_aliases_is_refused_wherever_it_is_handed_in(
    aws: Surroundings, operation: str
) -> None:
    aws.objects["bucket", "key.template"] = ALIASED.encode()
    assert aws.answer("cloudformation", operation, TemplateBody=ALIASED) == ALIASES
    assert (
        aws.answer("cloudformation", operation, TemplateURL="http://127.0.0.1:1/bucket/key.template")
        == ALIASES
    )


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("Metadata: &anchor 1\n", ALIASES),
        ("Metadata: {<<: *missing}\n", ALIASES),
        ("Description: b &c\n", None),
        ("Description: 'x *y &z'\n", None),
        ("# see *this*\nMetadata: 1\n", None),
        ('{"Description": "&b *c", "Resources": {"Q": {"Type": "AWS::SQS::Queue"}}}', None),
    ],
)
def test_only_aliases_and_anchors_are_taken_for_such(
    aws: Surroundings, text: str, refused: Refusal | None
) -> None:
    body = text if text.startswith("{") else f"{text}Resources: {{Q: {{Type: 'AWS::SQS::Queue'}}}}\n"
    assert aws.answer("cloudformation", "ValidateTemplate", TemplateBody=body) == refused


def test_a_template_of_another_size_than_cloudformation_takes_is_refused(aws: Surroundings) -> None:
    def template(size: int) -> str:
        head = '{"Resources": {"Q": {"Type": "AWS::SQS::Queue"}}, "Description": "'
        return head + "x" * (size - len(head) - 2) + '"}'

    assert aws.answer("cloudformation", "CreateStack", TemplateBody=template(51_200)) is None
    inline = aws.answer("cloudformation", "CreateStack", TemplateBody=template(51_201))
    assert inline is not None
    assert inline.code == "ValidationError"
    assert inline.message.endswith("Member must have length less than or equal to 51200")
    aws.objects |= {("b", "fits"): template(1_000_000).encode(), ("b", "large"): template(1_000_001).encode()}
    assert aws.answer("cloudformation", "CreateStack", TemplateURL="https://x/b/fits") is None
    assert aws.answer("cloudformation", "CreateStack", TemplateURL="https://x/b/large") == Refusal(
        "ValidationError", "Template may not exceed 1000000 bytes in size."
    )
    assert aws.answer("cloudformation", "CreateStack", TemplateURL="https://x/b/gone") == Refusal(
        "ValidationError", "S3 error: Access Denied"
    )


TEMPLATE = """
Parameters: {Seconds: {Type: Number, Default: 30}}
Conditions: {Deep: !Equals [!Ref Seconds, 30]}
Resources:
  Waves:
    Type: AWS::SQS::Queue
    Condition: Deep
    DeletionPolicy: Retain
    DependsOn: Dead
    Properties:
      QueueName: !Sub "${AWS::StackName}-${Seconds}-${!literal}"
      RedrivePolicy: {deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 5}
  Dead: {Type: AWS::SQS::Queue}
Outputs: {Waves: {Value: !Ref Waves}}
"""


def test_a_template_that_is_whole_is_taken(aws: Surroundings) -> None:
    given = [{"ParameterKey": "Seconds", "ParameterValue": "60"}]
    assert aws.answer("cloudformation", "CreateStack", TemplateBody=TEMPLATE, Parameters=given) is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Resources:", "Resource:", "At least one Resources member"),
        ("Parameters:", "AWSTemplateFormatVersion: '2020-01-01'\nParameters:", "AWSTemplateFormatVersion"),
        ("Outputs:", "Globals: {}\nOutputs:", "Invalid template property or properties [Globals]"),
        ("  Dead:", "  Dead-Letters:", "Resource name Dead-Letters is non alphanumeric"),
        ("{Type: AWS::SQS::Queue}", "{Properties: {}}", "[/Resources/Dead] Every Resources object"),
        ("{Type: AWS::SQS::Queue}", "{Type: AWS::SQS::Queue, Kind: x}", "resource property 'Kind'"),
        ("Policy: Retain", "Policy: Keep", "Unrecognized DeletionPolicy Keep for resource Waves"),
        ("Condition: Deep", "Condition: Shallow", "Unresolved condition dependency Shallow"),
        ("DependsOn: Dead", "DependsOn: Gone", "dependencies [Gone] in the Resources block"),
        ("GetAtt Dead.Arn", "GetAtt Gone.Arn", "dependencies [Gone] in the Resources block"),
        ("${Seconds}", "${Minutes}", "dependencies [Minutes] in the Resources block"),
        ("!Ref Waves", "!Ref Wave", "dependencies [Wave] in the Outputs block"),
        (
            "{Type: AWS::SQS::Queue}",
            "{Type: AWS::SQS::Queue, DependsOn: [Waves]}",
            "resources: [Dead, Waves]",
        ),
        ("Resources:", "Resources: [", "unsupported structure"),
    ],
)
def test_a_template_with_a_wrong_part_is_refused(aws: Surroundings, old: str, new: str, said: str) -> None:
    assert old in TEMPLATE
    refused = aws.answer("cloudformation", "CreateStack", TemplateBody=TEMPLATE.replace(old, new, 1))
    assert refused is not None
    assert refused.code == "ValidationError"
    assert said in refused.message


@pytest.mark.parametrize("imported", [False, True], ids=["after the macro", "import"])
def test_the_template_of_the_stack_is_whole(aws: Surroundings, *, imported: bool) -> None:
    document = translated()
    document.pop("Transform", None)
    if imported:
        kept = [name for name, part in document["Resources"].items() if "DeletionPolicy" in part]
        document = import_template(document, dict.fromkeys(kept, "x"))
    aws.objects["bucket", "key"] = json.dumps(document).encode()
    answer = aws.answer("cloudformation", "CreateChangeSet", TemplateURL="https://x/bucket/key")
    assert answer is None


def test_a_macro_may_add_what_a_template_refers_to(aws: Surroundings) -> None:
    text = "Transform: AWS::Serverless-2016-10-31\n" + TEMPLATE.replace("!Ref Waves", "!Ref WavesStage")
    assert aws.answer("cloudformation", "CreateStack", TemplateBody=text) is None


def test_a_parameter_that_the_template_does_not_have_is_refused(aws: Surroundings) -> None:
    given = [{"ParameterKey": "Minutes", "ParameterValue": "1"}]
    refused = aws.answer("cloudformation", "CreateStack", TemplateBody=TEMPLATE, Parameters=given)
    assert refused == Refusal("ValidationError", "Parameters: [Minutes] do not exist in the template")


def test_a_hundred_executions_stay_unreserved(aws: Surroundings) -> None:
    aws.reserved = {"other": 400, "same": 300}
    reserve = {"FunctionName": "arn:aws:lambda:us-east-1:000000000000:function:same"}
    assert aws.answer("lambda", "PutFunctionConcurrency", **reserve, ReservedConcurrentExecutions=500) is None
    refused = aws.answer("lambda", "PutFunctionConcurrency", **reserve, ReservedConcurrentExecutions=501)
    assert refused is not None
    assert refused.code == "InvalidParameterValueException"
    assert refused.message.endswith("below its minimum value of [100].")


def test_a_new_account_can_reserve_nothing(aws: Surroundings) -> None:
    aws.account.concurrency = 10
    refused = aws.answer("lambda", "PutFunctionConcurrency", FunctionName="f", ReservedConcurrentExecutions=1)
    assert refused is not None
    assert refused.code == "InvalidParameterValueException"


@pytest.mark.parametrize(("kind", "most"), [("RequestResponse", 6 * 1024 * 1024), ("Event", 1024 * 1024)])
def test_a_payload_may_be_as_large_as_lambda_takes(aws: Surroundings, kind: str, most: int) -> None:
    invoke = {"FunctionName": "f", "InvocationType": kind}
    assert aws.answer("lambda", "Invoke", body=bytes(most), **invoke) is None
    assert aws.answer("lambda", "Invoke", body=bytes(most + 1), **invoke) == Refusal(
        "RequestEntityTooLargeException",
        f"Request must be smaller than {most} bytes for the InvokeFunction operation",
        413,
    )


def test_an_expression_has_four_kilobytes_at_most_alone_and_in_a_transaction(aws: Surroundings) -> None:
    most, over = (
        {"UpdateExpression": "SET a = :a", "ConditionExpression": "é" * 2048 + more} for more in ("", "x")
    )
    refused = Refusal(
        "ValidationException",
        "Invalid ConditionExpression: Expression size has exceeded the maximum allowed size;"
        " expression size: 4097",
    )
    assert aws.answer("dynamodb", "UpdateItem", TableName="t", **most) is None
    assert aws.answer("dynamodb", "UpdateItem", TableName="t", **over) == refused
    for write, answer in ((most, None), (over, refused)):
        items = [{"Update": most}, {"Update": write}]
        assert aws.answer("dynamodb", "TransactWriteItems", TransactItems=items) == answer


def test_a_message_waits_for_fifteen_minutes_at_most(aws: Surroundings) -> None:
    assert aws.answer("sqs", "SendMessage", DelaySeconds=900) is None
    refused = Refusal(
        "InvalidParameterValue",
        "Value 901 for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.",
    )
    assert aws.answer("sqs", "SendMessage", DelaySeconds=901) == refused
    entries = [{"Id": "a", "DelaySeconds": 900}, {"Id": "b", "DelaySeconds": 901}]
    assert aws.answer("sqs", "SendMessageBatch", Entries=entries) == refused


def test_a_conditional_write_beside_another_is_a_conflict(aws: Surroundings) -> None:
    put = {"Bucket": "b", "Key": "k", "IfNoneMatch": "*"}
    assert aws.answer("s3", "PutObject", **put) is None
    aws.account.writing.add(("b", "k"))
    refused = aws.answer("s3", "PutObject", **put)
    assert refused is not None
    assert (refused.code, refused.status) == ("ConditionalRequestConflict", 409)
    assert aws.answer("s3", "PutObject", Bucket="b", Key="k") is None
    assert aws.answer("s3", "PutObject", **put | {"Key": "other"}) is None


def test_a_thousand_keys_are_deleted_at_once(aws: Surroundings) -> None:
    keys = [{"Key": str(number)} for number in range(1_001)]
    assert aws.answer("s3", "DeleteObjects", Bucket="b", Delete={"Objects": keys[:1_000]}) is None
    refused = aws.answer("s3", "DeleteObjects", Bucket="b", Delete={"Objects": keys})
    assert refused is not None
    assert (refused.code, refused.status) == ("MalformedXML", 400)


@pytest.mark.parametrize(
    ("members", "code", "status"),
    [
        ({"Key": "é" * 513}, "KeyTooLongError", 400),
        ({"Key": "k", "Metadata": {"by": "x" * 2_047}}, "MetadataTooLarge", 400),
        ({"Key": "k", "ExpectedBucketOwner": "111111111111"}, "AccessDenied", 403),
        ({"Key": "k", "IfNoneMatch": '"etag"'}, "NotImplemented", 501),
    ],
)
def test_an_object_that_s3_does_not_take_is_refused(
    aws: Surroundings, members: dict[str, Any], code: str, status: int
) -> None:
    refused = aws.answer("s3", "PutObject", Bucket="b", **members)
    assert refused is not None
    assert (refused.code, refused.status) == (code, status)


def test_an_object_within_the_limits_of_s3_is_taken(aws: Surroundings) -> None:
    members = {"Key": "é" * 512, "Metadata": {"by": "x" * 2_046}, "ExpectedBucketOwner": "000000000000"}
    assert aws.answer("s3", "PutObject", Bucket="b", IfNoneMatch="*", **members) is None


SIMPLE = {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "t"}}}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"Content": {}}, "exactly one of"),
        ({"Content": {"Simple": SIMPLE, "Raw": {"Data": b"x"}}}, "exactly one of"),
        ({"Content": {"Simple": SIMPLE | {"Body": {}}}}, "Text or Html"),
        ({"Destination": {"ToAddresses": []}}, "needs a recipient"),
        ({"Destination": {"ToAddresses": ["nobody"]}}, "Missing final '@domain'"),
        ({"Destination": {"CcAddresses": ["x" * 65 + "@b.example"]}}, "Local address too long"),
    ],
)
def test_an_email_without_a_part_is_refused(aws: Surroundings, changed: dict[str, Any], said: str) -> None:
    email = {
        "FromEmailAddress": "Shop <shop@example.com>",
        "Destination": {"ToAddresses": ["x" * 64 + "@b.example"]},
        "Content": {"Simple": SIMPLE},
    }
    assert aws.answer("sesv2", "SendEmail", **email) is None
    refused = aws.answer("sesv2", "SendEmail", **email | changed)
    assert refused is not None
    assert refused.code == "BadRequestException"
    assert said in refused.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SET a = :v, a = :v", "Two document paths overlap with each other"),
        ("SET #n.x = :v REMOVE b", "path one: [b, x], path two: [b]"),
        ("SET a = :v SET b = :v", 'The "SET" section can only be used once'),
        ("SET a-b = :v", "Syntax error"),
        ("SET 1a = :v", "Syntax error"),
        ("ADD a 1", "Syntax error"),
        ("SET a = size(b)", "not allowed in an update expression; function: size"),
        ("SET a = now()", "Invalid function name; function: now"),
        ("SET a = b" + " + :v" * 301, "too many operators"),
    ],
)
def test_an_update_that_dynamodb_does_not_take_is_refused(aws: Surroundings, text: str, said: str) -> None:
    update = {"TableName": "t", "Key": {}, "UpdateExpression": text, "ExpressionAttributeNames": {"#n": "b"}}
    refused = aws.answer("dynamodb", "UpdateItem", **update)
    assert refused is not None
    assert refused.code == "ValidationException"
    assert said in refused.message
    assert aws.answer("dynamodb", "TransactWriteItems", TransactItems=[{"Update": update}]) == refused


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("if_not_exists(a, :a)", "not allowed in a condition expression; function: if_not_exists"),
        ("missing(a)", "Invalid function name; function: missing"),
        ("a = a", "The first operand must be distinct"),
        ("a BETWEEN :a AND :n", "requires same data type for lower and upper bounds"),
        ("attribute_type(a, :a)", "Invalid attribute type name found; type: x"),
        (f"a IN ({', '.join([':a'] * 101)})", "too many operands"),
        (" OR ".join(["a = :a"] * 151), "too many operators"),
    ],
)
def test_a_condition_that_dynamodb_does_not_take_is_refused(aws: Surroundings, text: str, said: str) -> None:
    values = {":a": {"S": "x"}, ":n": {"N": "1"}}
    for member, operation in (("ConditionExpression", "DeleteItem"), ("FilterExpression", "Scan")):
        refused = aws.answer("dynamodb", operation, **{member: text}, ExpressionAttributeValues=values)
        assert refused is not None
        assert refused.code == "ValidationException"
        assert said in refused.message


TABLE = {
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "shard",
            "KeySchema": [{"AttributeName": "shard", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["mailbox"]},
        }
    ],
}


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"KeyConditionExpression": "id = :i OR id = :j"}, "KeyConditionExpression: OR"),
        ({"KeyConditionExpression": "id = :i AND pos <> :j"}, "KeyConditionExpression: <>"),
        ({"KeyConditionExpression": "id = :i AND contains(pos, :j)"}, "KeyConditionExpression: CONTAINS"),
        ({"FilterExpression": "a = :a AND #i > :j"}, "Primary key attribute: id"),
        ({"IndexName": "shard", "ProjectionExpression": "mailbox, page"}, "does not project [page]"),
        ({"IndexName": "shard", "Select": "ALL_ATTRIBUTES"}, "projection type is not ALL"),
    ],
)
def test_a_query_that_the_table_does_not_answer_is_refused(
    aws: Surroundings, members: dict[str, Any], said: str
) -> None:
    aws.tables["t"] = TABLE
    query = {
        "TableName": "t",
        "KeyConditionExpression": "shard = :s AND begins_with(pos, :p)",
        "ExpressionAttributeNames": {"#i": "id"},
    }
    index = {
        "IndexName": "shard",
        "ProjectionExpression": "id, shard, mailbox",
        "FilterExpression": "#i = :i",
    }
    assert aws.answer("dynamodb", "Query", **query | index) is None
    refused = aws.answer("dynamodb", "Query", **query | members)
    assert refused is not None
    assert refused.code == "ValidationException"
    assert said in refused.message


def test_a_write_of_a_batch_is_one_operation(aws: Surroundings) -> None:
    put: Any = {"PutRequest": {"Item": {}}}
    delete: Any = {"DeleteRequest": {"Key": {}}}
    assert aws.answer("dynamodb", "BatchWriteItem", RequestItems={"t": [put, delete]}) is None
    for operation, both in (
        ("BatchWriteItem", {"RequestItems": {"t": [put | delete]}}),
        ("TransactWriteItems", {"TransactItems": [{"Put": {"Item": {}}, "Delete": {"Key": {}}}]}),
    ):
        refused = aws.answer("dynamodb", operation, **both)
        assert refused is not None
        assert refused.code == "ValidationException"


def test_each_expression_of_the_tables_is_one_that_dynamodb_takes(aws: Surroundings) -> None:
    said = (ROOT / "tests" / "unit" / "table_requests.txt").read_text()
    requests = [
        dict(re.findall(r"^ *(\w+Expression|ExpressionAttribute\w+): (.*)$", request, re.MULTILINE))
        for request in said.split("\n\n")
    ]
    assert sum("UpdateExpression" in request for request in requests) > 40
    for request in requests:
        parsed = {
            name: value if name.endswith("Expression") else json.loads(value)
            for name, value in request.items()
        }
        assert aws.answer("dynamodb", "UpdateItem", **parsed) is None, request


def test_the_environment_of_a_function_has_4_kilobytes_and_no_name_of_lambdas(aws: Surroundings) -> None:
    def answer(variables: dict[str, str]) -> Refusal | None:
        return aws.answer("lambda", "UpdateFunctionConfiguration", Environment={"Variables": variables})

    # {"AB":"..."} has nine characters around the value.
    assert answer({"AB": "x" * 4_087}) is None
    for variables, said in (({"AB": "x" * 4_088}, "4KB limit"), ({"AWS_REGION": "x"}, "reserved keys")):
        refused = answer(variables)
        assert refused is not None
        assert refused.code == "InvalidParameterValueException"
        assert said in refused.message


QUEUE = {"EventSourceArn": "arn:aws:sqs:us-east-1:000000000000:q"}
STREAM = {
    "EventSourceArn": "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/1",
    "StartingPosition": "LATEST",
}
GOOD_FILTER = {"Filters": [{"Pattern": '{"a": {"b": ["c"]}}'}]}


@pytest.mark.parametrize(
    ("mapping", "said"),
    [
        (QUEUE | {"BatchSize": 11}, "batch window"),
        (QUEUE | {"StartingPosition": "LATEST"}, "Unsupported parameter StartingPosition"),
        (QUEUE | {"MaximumRetryAttempts": 2}, "Unsupported parameter MaximumRetryAttempts"),
        (QUEUE | {"FilterCriteria": {"Filters": [{"Pattern": "{}"}] * 6}}, "5 filters"),
        (QUEUE | {"FilterCriteria": {"Filters": [{"Pattern": '{"a": "b"}'}]}}, "Invalid filter pattern"),
        (QUEUE | {"FilterCriteria": {"Filters": [{"Pattern": "{"}]}}, "Invalid filter pattern"),
        (STREAM | {"ScalingConfig": {"MaximumConcurrency": 2}}, "Unsupported parameter ScalingConfig"),
        (STREAM | {"MaximumRecordAgeInSeconds": 59}, "at least 60"),
        ({"EventSourceArn": STREAM["EventSourceArn"]}, "startingPosition"),
    ],
)
def test_a_mapping_that_its_source_does_not_take_is_refused(
    aws: Surroundings, mapping: dict[str, Any], said: str
) -> None:
    refused = aws.answer("lambda", "CreateEventSourceMapping", FunctionName="f", **mapping)
    assert refused == functions.mapping_refusal(mapping)
    assert refused is not None
    assert refused.code == "InvalidParameterValueException"
    assert said in refused.message


def test_mappings_of_queues_and_streams_are_taken(aws: Surroundings) -> None:
    for mapping in (
        QUEUE | {"BatchSize": 11, "MaximumBatchingWindowInSeconds": 1, "FilterCriteria": GOOD_FILTER},
        STREAM | {"MaximumRecordAgeInSeconds": -1, "BisectBatchOnFunctionError": True},
    ):
        assert aws.answer("lambda", "CreateEventSourceMapping", FunctionName="f", **mapping) is None


def policy(**changed: Any) -> str:
    statement = {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": "arn:aws:s3:::b/*"} | changed
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.mark.parametrize(
    "document",
    [
        "{",
        "[]",
        policy().replace("2012-10-17", "2013-10-17"),
        policy(Effect="allow"),
        policy(Action="GetObject"),
        policy(Resource="b/*"),
        policy(Principal="*"),
        policy(Sid="not a sid"),
        policy(Condition={"StringEqualz": {"s3:prefix": "a"}}),
        policy(Condition={"StringLike": {"prefix": "a"}}),
        json.dumps({"Statement": [json.loads(policy(Sid="a"))["Statement"][0]] * 2}),
    ],
)
def test_a_policy_that_is_none_is_refused(aws: Surroundings, document: str) -> None:
    refused = aws.answer("iam", "PutRolePolicy", RoleName="r", PolicyName="p", PolicyDocument=document)
    assert refused == Refusal("MalformedPolicyDocument", "Syntax errors in policy.")


def test_a_policy_has_a_size_without_its_white_space(aws: Surroundings) -> None:
    key = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["a#*"]}}
    spare = functions.ROLE_POLICY_CHARS_MAX - len("".join(policy(Condition=key).split()))
    for more, code in ((0, None), (1, "LimitExceeded")):
        document = policy(Condition=key, Resource="arn:aws:s3:::b/*" + "x" * (spare + more)) + " " * 100
        refused = aws.answer("iam", "PutRolePolicy", RoleName="r", PolicyDocument=document)
        assert (refused and refused.code) == code


def test_the_architecture_shows_every_rule() -> None:
    shown = (ROOT / "docs" / "aws-rules.md").read_text()
    assert "\n".join(rules.as_table()) in shown, "print it with python -m spillway.local_cloud.strict.rules"


def test_every_rule_has_a_source_and_says_where_it_is_enforced() -> None:
    for rule in rules.RULES:
        assert rule.source.startswith("https://"), rule
        assert rule.enforced in {rules.LAYER, rules.EMULATOR, rules.MODEL}, rule
        assert bool(rule.check) <= bool(rule.operations), rule

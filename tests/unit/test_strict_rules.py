"""Rules that AWS documents beside its models: of each, a call that breaks it and one that just does not."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from spillway.local_cloud.strict import checks, rules
from spillway.local_cloud.strict.refusals import Refusal
from spillway.local_cloud.strict.requests import AwsCall, HttpRequest

Make = Callable[..., Refusal | None]
ROOT = Path(__file__).parents[2]


@dataclass
class Surroundings:
    """An account that a test arranges."""

    now_s: float = 0.0
    objects: dict[tuple[str, str], bytes] = field(default_factory=dict)
    reserved: dict[str, int] = field(default_factory=dict)
    account: checks.AccountState = field(init=False)

    def __post_init__(self) -> None:
        self.account = checks.AccountState(
            lambda: self.now_s, lambda bucket, key: self.objects.get((bucket, key)), lambda: self.reserved
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
        ("a: &anchor 1\n", ALIASES),
        ("a: {<<: *missing}\n", ALIASES),
        ("a: b &c\n", None),
        ("a: 'x *y &z'\n", None),
        ("# see *this*\na: 1\n", None),
        ('{"a": "&b *c"}', None),
    ],
)
def test_only_aliases_and_anchors_are_taken_for_such(
    aws: Surroundings, text: str, refused: Refusal | None
) -> None:
    assert aws.answer("cloudformation", "ValidateTemplate", TemplateBody=text) == refused


def test_a_template_of_another_size_than_cloudformation_takes_is_refused(aws: Surroundings) -> None:
    def template(size: int) -> str:
        return '{"Description": "' + "x" * (size - 19) + '"}'

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


def test_the_architecture_shows_every_rule() -> None:
    shown = (ROOT / "docs" / "aws-rules.md").read_text()
    assert "\n".join(rules.as_table()) in shown, "print it with python -m spillway.local_cloud.strict.rules"


def test_every_rule_has_a_source_and_says_where_it_is_enforced() -> None:
    for rule in rules.RULES:
        assert rule.source.startswith("https://"), rule
        assert rule.enforced in {rules.LAYER, rules.EMULATOR, rules.MODEL}, rule
        assert bool(rule.check) <= bool(rule.operations), rule

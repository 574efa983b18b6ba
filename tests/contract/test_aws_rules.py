"""The local cloud refuses, over HTTP: who may call it at all, and what the emulator itself holds."""

import io
import json
import sys
import time
import zipfile
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import boto3
import httpx
import pytest
from botocore.exceptions import ClientError

from spillway.local_cloud.record import DOOR_HEADER
from spillway.local_cloud.strict import rules
from tests.conftest import KEYS

pytestmark = pytest.mark.local_cloud

WITHIN_S = 60.0
ANYONE = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
LAMBDA_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com", "AWS": "*"},
            "Action": "sts:AssumeRole",
        }
    ],
}
# Queues to itself as a fan-out does, up to 20 times, and leaves a trail of how far it came.
REQUEUER = """
import os
import boto3

sqs = boto3.client("sqs")

def handle(event, context):
    for record in event["Records"]:
        hop = int(record["body"])
        sqs.send_message(QueueUrl=os.environ["TRAIL"], MessageBody=str(hop))
        if hop < 20:
            sqs.send_message(QueueUrl=os.environ["OWN"], MessageBody=str(hop + 1))
"""


@pytest.fixture(scope="module")
def aws(local_cloud_url: str) -> Callable[..., Any]:
    """Clients of the account's root."""
    made: dict[str, Any] = {}

    def client(service: str) -> Any:
        if service not in made:
            made[service] = boto3.client(service, endpoint_url=local_cloud_url)  # type: ignore[call-overload]
        return made[service]

    return client


def code_of(call: Callable[..., Any], **members: Any) -> tuple[str, int]:
    """The error code and HTTP status that a call is refused with."""
    with pytest.raises(ClientError) as refused:
        call(**members)
    answer = refused.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


# ---------------------------------------------------------------------------------------------------
# The door

CREATE_FUNCTION = json.dumps(
    {"FunctionName": "evil", "Role": "arn:aws:iam::000000000000:role/x", "Code": {"ZipFile": "UEsFBg=="}}
)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.nip.io"}, 421),
        ({DOOR_HEADER: "guessed"}, 403),
        ({"Authorization": "Bearer x"}, 403),
        ({"Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/lambda/aws4_request"}, 403),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/2015-03-31/functions"),
        ("GET", "/2015-03-31/functions"),
        ("OPTIONS", "/2015-03-31/functions"),
        ("GET", "/_ministack/ses/messages"),
        ("POST", "/_ministack/reset"),
        ("GET", "/_ministack/health"),
        ("GET", "/restapis/x/api/_user_request_/"),
    ],
)
def test_a_request_without_signature_and_secret_is_refused(
    local_cloud_url: str,
    aws: Callable[..., Any],
    method: str,
    path: str,
    headers: dict[str, str],
    status: int,
) -> None:
    answer = httpx.request(
        method, local_cloud_url + path, headers=headers, content=CREATE_FUNCTION, trust_env=False
    )
    assert answer.status_code == status
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    assert code_of(aws("lambda").get_function, FunctionName="evil") == ("ResourceNotFoundException", 404)


@pytest.mark.parametrize(
    ("access_key", "secret_key"),
    [
        (KEYS.access_key, "wrong"),
        ("test", "test"),
        ("000000000000", "test"),
        ("000000000000", "wrong"),
        ("AKIAUNKNOWN", "wrong"),
        ("ASIAUNKNOWN", "wrong"),
    ],
    # The keys are random: as names of tests they would differ between workers.
    ids=["root", "test", "account", "account-wrong", "unknown", "unknown-temporary"],
)
def test_a_wrong_secret_is_refused_for_every_access_key(
    local_cloud_url: str, access_key: str, secret_key: str
) -> None:
    client = boto3.client(
        "dynamodb",
        endpoint_url=local_cloud_url,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
    )
    code, status = code_of(client.list_tables)
    assert code in {"InvalidSignatureException", "UnrecognizedClientException"}
    assert status in {400, 403}


def test_a_signed_body_cannot_be_exchanged(aws: Callable[..., Any]) -> None:
    def exchange(request: Any, **_: Any) -> None:
        request.body = b'{"TableName": "other"}'

    client = aws("dynamodb")
    client.meta.events.register("before-send.dynamodb.DescribeTable", exchange)
    try:
        assert code_of(client.describe_table, TableName="table")[0] == "InvalidSignatureException"
    finally:
        client.meta.events.unregister("before-send.dynamodb.DescribeTable", exchange)


def test_no_answer_may_be_read_by_a_page_of_another_origin(
    local_cloud_url: str, aws: Callable[..., Any]
) -> None:
    for answer in (aws("dynamodb").list_tables(), aws("s3").list_buckets()):
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        assert not [name for name in headers if name.startswith("access-control-")]
    health = httpx.get(
        f"{local_cloud_url}/_ministack/health", headers={DOOR_HEADER: KEYS.door_secret}, trust_env=False
    )
    assert health.status_code == 200
    assert not [name for name in health.headers if name.startswith("access-control-")]


# ---------------------------------------------------------------------------------------------------
# Models and rules, on their way through the layer


def test_a_call_that_breaks_its_model_does_not_reach_the_emulator(aws: Callable[..., Any]) -> None:
    table = f"t{uuid4().hex[:8]}"
    statements = [{"Statement": f'SELECT * FROM "{table}"'}] * 26
    assert code_of(aws("dynamodb").batch_execute_statement, Statements=statements) == (
        "ValidationException",
        400,
    )


def test_a_template_with_aliases_is_refused(aws: Callable[..., Any]) -> None:
    template = "Resources: &r {Q: {Type: AWS::SQS::Queue}}\nMetadata: *r\n"
    assert code_of(aws("cloudformation").get_template_summary, TemplateBody=template) == (
        "ValidationError",
        400,
    )


def test_get_account_is_answered_once_a_second(aws: Callable[..., Any]) -> None:
    from botocore.config import Config

    config = Config(retries={"mode": "standard", "total_max_attempts": 1})
    client = boto3.client("sesv2", endpoint_url=aws("sts").meta.endpoint_url, config=config)
    answers = []
    for _ in range(2):
        try:
            client.get_account()
            answers.append("answered")
        except ClientError as error:
            answers.append(error.response["Error"]["Code"])
    assert answers[1] == "TooManyRequestsException"


# ---------------------------------------------------------------------------------------------------
# What the emulator holds by itself: a row of the table each


@pytest.fixture(scope="module")
def table(aws: Callable[..., Any]) -> str:
    """A table with a key named `id`."""
    name = f"rules-{uuid4().hex[:8]}"
    aws("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    return name


def test_reserved_words_need_a_placeholder(aws: Callable[..., Any], table: str) -> None:
    key = {"id": {"S": "a"}}
    refused = code_of(
        aws("dynamodb").update_item,
        TableName=table,
        Key=key,
        UpdateExpression="SET #s = :s REMOVE status",
        ExpressionAttributeNames={"#s": "state"},
        ExpressionAttributeValues={":s": {"S": "x"}},
    )
    assert refused == ("ValidationException", 400)
    assert code_of(aws("dynamodb").get_item, TableName=table, Key=key, ProjectionExpression="name") == (
        "ValidationException",
        400,
    )


def test_items_and_transactions_have_a_size(aws: Callable[..., Any], table: str) -> None:
    def item(number: int, size: int) -> dict[str, Any]:
        return {"id": {"S": str(number)}, "text": {"S": "x" * size}}

    aws("dynamodb").put_item(TableName=table, Item=item(0, 409_000))
    assert code_of(aws("dynamodb").put_item, TableName=table, Item=item(0, 410_000)) == (
        "ValidationException",
        400,
    )
    puts = [{"Put": {"TableName": table, "Item": item(number, 400_000)}} for number in range(11)]
    assert code_of(aws("dynamodb").transact_write_items, TransactItems=puts)[0] == "ValidationException"
    twice = [puts[0] | {}, {"Delete": {"TableName": table, "Key": {"id": {"S": "0"}}}}]
    assert code_of(aws("dynamodb").transact_write_items, TransactItems=twice)[0] == "ValidationException"


def test_messages_have_a_size_a_delay_and_a_batch(aws: Callable[..., Any]) -> None:
    sqs = aws("sqs")
    url = sqs.create_queue(QueueName=f"rules-{uuid4().hex[:8]}")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="x" * 1_048_576)
    assert code_of(sqs.send_message, QueueUrl=url, MessageBody="x" * 1_048_577)[1] == 400
    assert code_of(sqs.send_message, QueueUrl=url, MessageBody="x", DelaySeconds=901)[1] == 400
    entries = [{"Id": str(number), "MessageBody": "x"} for number in range(11)]
    code, status = code_of(sqs.send_message_batch, QueueUrl=url, Entries=entries)
    assert (code.rpartition(".")[2], status) == ("TooManyEntriesInBatchRequest", 400)
    large = [{"Id": str(number), "MessageBody": "x" * 600_000} for number in range(2)]
    code, status = code_of(sqs.send_message_batch, QueueUrl=url, Entries=large)
    assert (code.rpartition(".")[2], status) == ("BatchRequestTooLong", 400)


def test_a_condition_of_s3_that_does_not_hold_is_answered_412(aws: Callable[..., Any]) -> None:
    s3, bucket = aws("s3"), f"rules-{uuid4().hex[:8]}"
    s3.create_bucket(Bucket=bucket)
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
    put = {"Bucket": bucket, "Key": "k", "Body": b"2"}
    assert code_of(s3.put_object, **put, IfNoneMatch="*") == ("PreconditionFailed", 412)
    assert code_of(s3.put_object, **put, IfMatch='"other"') == ("PreconditionFailed", 412)
    s3.put_object(**put, IfMatch=etag)


def test_a_missing_key_is_forbidden_to_who_may_not_list(aws: Callable[..., Any]) -> None:
    bucket, role = (f"rules-{uuid4().hex[:8]}" for _ in range(2))
    aws("s3").create_bucket(Bucket=bucket)
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}],
    }
    reader = session_of(aws, role, policy).client("s3", endpoint_url=aws("s3").meta.endpoint_url)
    assert code_of(reader.head_object, Bucket=bucket, Key="gone") == ("403", 403)
    assert code_of(reader.get_object, Bucket=bucket, Key="gone") == ("AccessDenied", 403)
    assert code_of(reader.put_object, Bucket=bucket, Key="gone", Body=b"") == ("AccessDenied", 403)
    assert code_of(aws("s3").head_object, Bucket=bucket, Key="gone") == ("404", 404)


def test_a_caller_reference_is_of_one_set_of_paths(aws: Callable[..., Any]) -> None:
    cloudfront = aws("cloudfront")
    origin = {
        "Id": "o",
        "DomainName": "pages.s3.us-east-1.amazonaws.com",
        "S3OriginConfig": {"OriginAccessIdentity": ""},
    }
    made = cloudfront.create_distribution(
        DistributionConfig={
            "CallerReference": uuid4().hex,
            "Comment": "",
            "Enabled": True,
            "Origins": {"Quantity": 1, "Items": [origin]},
            "DefaultCacheBehavior": {
                "TargetOriginId": "o",
                "ViewerProtocolPolicy": "allow-all",
                "CachePolicyId": "658327ea-f89d-4fab-a63d-7e88639e58f6",
            },
        }
    )["Distribution"]["Id"]

    def invalidate(*paths: str) -> Any:
        batch = {"CallerReference": "event-1", "Paths": {"Quantity": len(paths), "Items": [*paths]}}
        return cloudfront.create_invalidation(DistributionId=made, InvalidationBatch=batch)

    first = invalidate("/a", "/b")["Invalidation"]["Id"]
    assert invalidate("/b", "/a")["Invalidation"]["Id"] == first
    assert code_of(lambda: invalidate("/a")) == ("InvalidationBatchAlreadyExists", 400)


def session_of(aws: Callable[..., Any], role: str, policy: dict[str, Any]) -> boto3.Session:
    """A session of a new role that may do what `policy` says."""
    arn = aws("iam").create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps(LAMBDA_TRUST))["Role"][
        "Arn"
    ]
    aws("iam").put_role_policy(RoleName=role, PolicyName="p", PolicyDocument=json.dumps(policy))
    issued = aws("sts").assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    return boto3.Session(issued["AccessKeyId"], issued["SecretAccessKey"], issued["SessionToken"])


# ---------------------------------------------------------------------------------------------------
# Recursive loops


@pytest.mark.parametrize(("allowed", "invocations"), [(False, 16), (True, 21)])
def test_a_function_that_queues_to_itself_is_stopped_after_sixteen_invocations(
    aws: Callable[..., Any], allowed: bool, invocations: int
) -> None:
    name = f"requeuer-{uuid4().hex[:8]}"
    session_of(aws, name, ANYONE)
    sqs, functions = aws("sqs"), aws("lambda")
    own, trail = (sqs.create_queue(QueueName=f"{name}-{end}")["QueueUrl"] for end in ("own", "trail"))
    functions.create_function(
        FunctionName=name,
        Runtime=f"python3.{sys.version_info.minor}",
        Role=f"arn:aws:iam::000000000000:role/{name}",
        Handler="requeuer.handle",
        Timeout=20,
        Code={"ZipFile": zipped("requeuer.py", REQUEUER)},
        Environment={"Variables": {"OWN": own, "TRAIL": trail}},
    )
    if allowed:
        functions.put_function_recursion_config(FunctionName=name, RecursiveLoop="Allow")
    source = functions.create_event_source_mapping(
        FunctionName=name, EventSourceArn=arn_of(sqs, own), BatchSize=1
    )
    sqs.send_message(QueueUrl=own, MessageBody="0")
    hops: set[int] = set()
    deadline = time.monotonic() + WITHIN_S
    while len(hops) < invocations:
        assert time.monotonic() < deadline, f"the chain came as far as {sorted(hops)}"
        got = sqs.receive_message(QueueUrl=trail, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        hops |= {int(message["Body"]) for message in got.get("Messages", [])}
    while dropped(aws, name) == 0 and not allowed:
        assert time.monotonic() < deadline, "nothing says that the chain was stopped"
        time.sleep(0.05)
    functions.delete_event_source_mapping(UUID=source["UUID"])
    assert hops == set(range(invocations))
    assert dropped(aws, name) == (0 if allowed else 1)


def dropped(aws: Callable[..., Any], function: str) -> float:
    """How many invocations of a function the metric says were stopped."""
    points = aws("cloudwatch").get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName="RecursiveInvocationsDropped",
        Dimensions=[{"Name": "FunctionName", "Value": function}],
        StartTime=time.time() - 600,
        EndTime=time.time() + 600,
        Period=60,
        Statistics=["Sum"],
    )["Datapoints"]
    total: float = sum(point["Sum"] for point in points)
    return total


def arn_of(sqs: Any, url: str) -> str:
    """The ARN of a queue."""
    arn: str = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    return arn


def zipped(name: str, text: str) -> bytes:
    """A deployment package of one file."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(name, text)
    return content.getvalue()


def test_the_table_names_the_emulator_for_what_is_tested_here() -> None:
    held = {rule.service for rule in rules.RULES if rule.enforced == rules.EMULATOR}
    assert held == {"every service", "cloudfront", "dynamodb", "s3", "sqs"}

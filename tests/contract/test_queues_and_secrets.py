"""Promises of queues, secrets and buckets, in memory, over moto and over the local cloud alike."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import boto3
import pytest
from botocore.exceptions import ClientError

from chalicelib.queues import depth
from chalicelib.stores import boto3_client
from tests.support.memory_aws import MemoryAws

Clients = Callable[[str], Any]


@pytest.fixture(
    scope="module", params=["memory", "moto", pytest.param("local_cloud", marks=pytest.mark.local_cloud)]
)
def clients(request: pytest.FixtureRequest) -> Iterator[Clients]:
    """AWS three times, by the names of its services."""
    if request.param == "memory":
        yield MemoryAws().client
    elif request.param == "moto":
        from moto import mock_aws

        with mock_aws():
            yield boto3_client
    else:
        url = request.getfixturevalue("local_cloud_url")
        yield lambda service: boto3.client(service, endpoint_url=url)  # type: ignore[call-overload]


@pytest.fixture
def queue(clients: Clients) -> tuple[Any, str]:
    """A queue, empty, and the client."""
    sqs = clients("sqs")
    return sqs, sqs.create_queue(QueueName=f"queue-{uuid4().hex}")["QueueUrl"]


def bodies(answer: Any) -> list[str]:
    return [message["Body"] for message in answer.get("Messages", [])]


def test_a_message_is_hidden_once_it_is_received_and_gone_once_it_is_deleted(queue: tuple[Any, str]) -> None:
    sqs, url = queue
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
    assert sqs.send_message(QueueUrl=url, MessageBody="a")["MessageId"]
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    assert message["Body"] == "a"
    assert bodies(sqs.receive_message(QueueUrl=url)) == []
    assert depth(sqs, url) == 1
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert depth(sqs, url) == 0


def test_a_message_received_for_no_time_comes_again_with_its_id_and_another_handle(
    queue: tuple[Any, str],
) -> None:
    sqs, url = queue
    sent = sqs.send_message(QueueUrl=url, MessageBody="a")["MessageId"]
    (first,) = sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)["Messages"]
    (again,) = sqs.receive_message(QueueUrl=url)["Messages"]
    assert first["MessageId"] == again["MessageId"] == sent
    assert first["ReceiptHandle"] != again["ReceiptHandle"]


def test_a_batch_is_queued_and_received_one_by_one_or_as_many_as_are_asked_for(
    queue: tuple[Any, str],
) -> None:
    sqs, url = queue
    entries = [{"Id": str(number), "MessageBody": f"body {number}"} for number in range(4)]
    answer = sqs.send_message_batch(QueueUrl=url, Entries=entries)
    assert [entry["Id"] for entry in answer["Successful"]] == ["0", "1", "2", "3"]
    assert not answer.get("Failed")
    received = bodies(sqs.receive_message(QueueUrl=url))
    assert len(received) == 1
    received += bodies(sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10))
    assert sorted(received) == [entry["MessageBody"] for entry in entries]


def test_a_delayed_message_counts_and_is_not_received_yet(queue: tuple[Any, str]) -> None:
    sqs, url = queue
    sqs.send_message(QueueUrl=url, MessageBody="later", DelaySeconds=900)
    sqs.send_message(QueueUrl=url, MessageBody="now", DelaySeconds=0)
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed"]
    counted = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    assert counted == dict.fromkeys(names, "1")
    assert bodies(sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)) == ["now"]
    assert depth(sqs, url) == 2


def test_a_purged_queue_is_empty_and_another_one_is_not(clients: Clients, queue: tuple[Any, str]) -> None:
    sqs, url = queue
    other = clients("sqs").create_queue(QueueName=f"queue-{uuid4().hex}")["QueueUrl"]
    for target in (url, other):
        sqs.send_message(QueueUrl=target, MessageBody="a")
    sqs.purge_queue(QueueUrl=url)
    assert (depth(sqs, url), depth(sqs, other)) == (0, 1)


def test_a_queue_that_nobody_made_is_refused(queue: tuple[Any, str]) -> None:
    sqs, url = queue
    with pytest.raises(ClientError, match="NonExistentQueue"):
        sqs.send_message(QueueUrl=f"{url}-other", MessageBody="a")


def test_a_secret_is_read_as_it_was_last_put(clients: Clients) -> None:
    secrets, name = clients("secretsmanager"), f"secret-{uuid4().hex}"
    arn = secrets.create_secret(Name=name, SecretString="first")["ARN"]
    assert secrets.get_secret_value(SecretId=arn)["SecretString"] == "first"
    secrets.put_secret_value(SecretId=arn, SecretString="second")
    answer = secrets.get_secret_value(SecretId=arn)
    assert (answer["ARN"], answer["SecretString"]) == (arn, "second")
    with pytest.raises(ClientError) as there:
        secrets.create_secret(Name=name, SecretString="third")
    assert there.value.response["Error"]["Code"] == "ResourceExistsException"
    other = {"SecretId": f"{arn}-other"}
    for call, request in (
        (secrets.get_secret_value, other),
        (secrets.put_secret_value, {**other, "SecretString": "x"}),
    ):
        with pytest.raises(ClientError) as gone:
            call(**request)
        assert gone.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_an_object_is_of_its_own_bucket(clients: Clients) -> None:
    s3, names = clients("s3"), [f"bucket-{uuid4().hex}" for _ in range(2)]
    for name in names:
        s3.create_bucket(Bucket=name)
    etag = s3.put_object(Bucket=names[0], Key="a/1", Body=b"one")["ETag"]
    answer = s3.get_object(Bucket=names[0], Key="a/1")
    assert (answer["Body"].read(), answer["ETag"]) == (b"one", etag)
    assert s3.head_object(Bucket=names[0], Key="a/1")["ETag"] == etag
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=names[0], Prefix="a/")
    assert [item["Key"] for page in pages for item in page.get("Contents", ())] == ["a/1"]
    for code, call, request in (
        ("NoSuchKey", s3.get_object, {"Bucket": names[1]}),
        ("NoSuchBucket", s3.get_object, {"Bucket": f"{names[0]}x"}),
        ("304", s3.get_object, {"Bucket": names[0], "IfNoneMatch": etag}),
        ("PreconditionFailed", s3.put_object, {"Bucket": names[0], "Body": b"x", "IfNoneMatch": "*"}),
    ):
        with pytest.raises(ClientError) as refused:
            call(Key="a/1", **request)
        assert refused.value.response["Error"]["Code"] == code

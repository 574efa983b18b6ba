"""AWS in memory, called as boto3's clients are: queues, secrets and buckets beside `MemoryDynamoDb`.

It does what the shop asks of these services and no more. Each request is held to botocore's model. The
contract tests hold it to the same promises as moto and the emulator; a call takes a tenth of moto's time.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.aws_models import check_request
from tests.support.dynamodb import MemoryDynamoDb
from tests.support.memory_s3 import MemoryS3

# As SQS has them where a queue or a request says nothing else.
VISIBILITY_TIMEOUT_S = 30
MESSAGES_PER_CALL = 1


class MemoryAws:
    """The services of one account; `client` stands in for `boto3_client`."""

    def __init__(self, clock_s: Callable[[], float] = time.time) -> None:
        self.dynamodb = MemoryDynamoDb()
        self.secrets = MemorySecrets()
        self.sqs = MemorySqs(clock_s)
        self.s3 = MemoryBuckets()
        self._services: dict[str, Any] = {
            "dynamodb": self.dynamodb,
            "secretsmanager": self.secrets,
            "sqs": self.sqs,
            "s3": self.s3,
            "sesv2": MemorySuppressions(),
        }

    def client(self, service: str, *, attempts_max: int = 1) -> Any:
        """Return the client of a service. It never fails by itself: attempts make no difference."""
        _ = attempts_max
        return self._services.get(service) or _NotPlayed(service)


class _NotPlayed:
    """A client that a container may build, and that no test may call."""

    def __init__(self, service: str) -> None:
        self._service = service

    def __getattr__(self, method: str) -> Any:
        """Fail, naming the call; no code of the shop catches this."""
        pytest.fail(f"AWS in memory does not play {self._service}: {method}")


class MemorySecrets:
    """Secrets Manager: secrets by their ARN, the newest version of each."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def create_secret(self, **request: Any) -> dict[str, Any]:
        """Secrets Manager's CreateSecret."""
        check_request("secretsmanager", "CreateSecret", request)
        arn = f"arn:aws:secretsmanager:us-east-1:123456789012:secret:{request['Name']}-AbCdEf"
        if arn in self._texts:
            raise _error("ResourceExistsException", "CreateSecret")
        self._texts[arn] = request["SecretString"]
        return {"ARN": arn, "Name": request["Name"]}

    def get_secret_value(self, **request: Any) -> dict[str, Any]:
        """Secrets Manager's GetSecretValue."""
        check_request("secretsmanager", "GetSecretValue", request)
        arn = self._known(request, "GetSecretValue")
        return {"ARN": arn, "SecretString": self._texts[arn]}

    def put_secret_value(self, **request: Any) -> dict[str, Any]:
        """Secrets Manager's PutSecretValue."""
        check_request("secretsmanager", "PutSecretValue", request)
        arn = self._known(request, "PutSecretValue")
        self._texts[arn] = request["SecretString"]
        return {"ARN": arn}

    def _known(self, request: Mapping[str, Any], operation: str) -> str:
        arn = str(request["SecretId"])
        if arn not in self._texts:
            raise _error("ResourceNotFoundException", operation)
        return arn


@dataclass(slots=True)
class _Message:
    id: str
    body: str
    visible_s: float
    receipt: str | None = None


class MemorySqs:
    """SQS's standard queues, in the order of sending; a message that was received is hidden for some time."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._queues: dict[str, list[_Message]] = {}
        self._ids = count(1)

    def create_queue(self, **request: Any) -> dict[str, Any]:
        """SQS's CreateQueue; a queue that is there stays as it is."""
        check_request("sqs", "CreateQueue", request)
        url = f"https://sqs.us-east-1.amazonaws.com/123456789012/{request['QueueName']}"
        self._queues.setdefault(url, [])
        return {"QueueUrl": url}

    def send_message(self, **request: Any) -> dict[str, Any]:
        """SQS's SendMessage."""
        check_request("sqs", "SendMessage", request)
        return {"MessageId": self._put(self._queue(request, "SendMessage"), request)}

    def send_message_batch(self, **request: Any) -> dict[str, Any]:
        """SQS's SendMessageBatch: each of at most ten is queued."""
        check_request("sqs", "SendMessageBatch", request)
        entries = request["Entries"]
        if not 1 <= len(entries) <= 10:
            raise _error("TooManyEntriesInBatchRequest", "SendMessageBatch")
        queue = self._queue(request, "SendMessageBatch")
        return {
            "Successful": [{"Id": entry["Id"], "MessageId": self._put(queue, entry)} for entry in entries]
        }

    def receive_message(self, **request: Any) -> dict[str, Any]:
        """SQS's ReceiveMessage: the messages that are visible, hidden from now on."""
        check_request("sqs", "ReceiveMessage", request)
        queue, now_s = self._queue(request, "ReceiveMessage"), self._clock_s()
        hidden_s = request.get("VisibilityTimeout", VISIBILITY_TIMEOUT_S)
        visible = [message for message in queue if message.visible_s <= now_s]
        messages = visible[: request.get("MaxNumberOfMessages", MESSAGES_PER_CALL)]
        for message in messages:
            message.visible_s = now_s + hidden_s
            message.receipt = f"{message.id}-{next(self._ids)}"
        if not messages:
            return {}
        return {
            "Messages": [
                {"MessageId": message.id, "ReceiptHandle": message.receipt, "Body": message.body}
                for message in messages
            ]
        }

    def delete_message(self, **request: Any) -> dict[str, Any]:
        """SQS's DeleteMessage, by the handle of the last time it was received."""
        check_request("sqs", "DeleteMessage", request)
        queue = self._queue(request, "DeleteMessage")
        queue[:] = [message for message in queue if message.receipt != request["ReceiptHandle"]]
        return {}

    def purge_queue(self, **request: Any) -> dict[str, Any]:
        """SQS's PurgeQueue."""
        check_request("sqs", "PurgeQueue", request)
        self._queue(request, "PurgeQueue").clear()
        return {}

    def get_queue_attributes(self, **request: Any) -> dict[str, Any]:
        """SQS's GetQueueAttributes, of how many messages there are."""
        check_request("sqs", "GetQueueAttributes", request)
        queue, now_s = self._queue(request, "GetQueueAttributes"), self._clock_s()
        hidden = [message for message in queue if message.visible_s > now_s]
        numbers = {
            "ApproximateNumberOfMessages": len(queue) - len(hidden),
            "ApproximateNumberOfMessagesNotVisible": sum(message.receipt is not None for message in hidden),
            "ApproximateNumberOfMessagesDelayed": sum(message.receipt is None for message in hidden),
        }
        return {"Attributes": {name: str(numbers[name]) for name in request["AttributeNames"]}}

    def _queue(self, request: Mapping[str, Any], operation: str) -> list[_Message]:
        try:
            return self._queues[request["QueueUrl"]]
        except KeyError:
            raise _error("AWS.SimpleQueueService.NonExistentQueue", operation) from None

    def _put(self, queue: list[_Message], request: Mapping[str, Any]) -> str:
        message = _Message(
            f"m-{next(self._ids)}", request["MessageBody"], self._clock_s() + request.get("DelaySeconds", 0)
        )
        queue.append(message)
        return message.id


class MemorySuppressions:
    """SES's list of suppressed addresses, empty."""

    def delete_suppressed_destination(self, **request: Any) -> dict[str, Any]:
        """SES's DeleteSuppressedDestination of an address that is not on the list."""
        check_request("sesv2", "DeleteSuppressedDestination", request)
        raise _error("NotFoundException", "DeleteSuppressedDestination")


class MemoryBuckets:
    """S3 with any number of buckets, each a `MemoryS3`; every call names its bucket."""

    def __init__(self) -> None:
        self._buckets: dict[str, MemoryS3] = {}

    def create_bucket(self, **request: Any) -> dict[str, Any]:
        """S3's CreateBucket; a bucket that is there stays as it is."""
        check_request("s3", "CreateBucket", request)
        self._buckets.setdefault(request["Bucket"], MemoryS3())
        return {}

    def head_object(self, **request: Any) -> dict[str, Any]:
        """S3's HeadObject."""
        return self._bucket(request).head_object(**request)

    def get_object(self, **request: Any) -> dict[str, Any]:
        """S3's GetObject."""
        return self._bucket(request).get_object(**request)

    def put_object(self, **request: Any) -> dict[str, Any]:
        """S3's PutObject."""
        return self._bucket(request).put_object(**request)

    def get_paginator(self, operation: str) -> "MemoryBuckets":
        """Return the pages of a listing."""
        assert operation == "list_objects_v2"
        return self

    def paginate(self, **request: Any) -> list[dict[str, Any]]:
        """Return the keys below a prefix, as `MemoryS3` does."""
        return self._bucket(request).paginate(**request)

    def _bucket(self, request: Mapping[str, Any]) -> MemoryS3:
        try:
            return self._buckets[request["Bucket"]]
        except KeyError:
            raise _error("NoSuchBucket", "S3") from None


def _error(code: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, operation)

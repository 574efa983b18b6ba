"""A stage whose AWS is made of hand-written answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import ClientError

from spillway.operate.state import QUEUES
from spillway.stage import Stage
from tests.support.aws import REGION

QUEUE_OUTPUTS = [
    output for queue in QUEUES.values() for output in (queue.output, queue.dead_output) if output is not None
]
OUTPUTS = (*QUEUE_OUTPUTS, "EntriesTable", "SendingTable", "PagesBucket", "ReleaseBucket")


class Client:
    """Answers by operation: a value, an error to raise, or a function of the call's arguments."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            self.calls.append((operation, arguments))
            answer = self.answers[operation]
            if isinstance(answer, Exception):
                raise answer
            return answer(**arguments) if callable(answer) else answer

        return call

    def get_paginator(self, operation: str) -> "Pages":
        return Pages([self.answers[operation]])


@dataclass
class Pages:
    pages: list[Any]

    def paginate(self, **_: Any) -> list[Any]:
        return self.pages


@dataclass(frozen=True)
class FakeStage(Stage):
    """A stage whose AWS is made of fakes, by service."""

    clients: Any = None

    def client(self, service: str) -> Any:
        return self.clients[service]

    def outputs(self) -> dict[str, str]:
        return {name: name.lower() for name in OUTPUTS}


def stage(name: str = "production", **clients: Client) -> FakeStage:
    return FakeStage(name, REGION, boto3.Session(region_name=REGION), clients=clients)


def error(code: str, message: str = "") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "Operation")


def waiting(counts: dict[str, int]) -> Client:
    def attributes(**asked: Any) -> Any:
        count = counts.get(asked["QueueUrl"], 0)
        return {"Attributes": dict(zip(asked["AttributeNames"], (str(count), "0"), strict=False))}

    return Client(get_queue_attributes=attributes)


def account(**facts: Any) -> Client:
    quota = {"MaxSendRate": 14.0, "Max24HourSend": 50_000.0, "SentLast24Hours": 120.0}
    return Client(
        get_account={"SendQuota": quota, "ProductionAccessEnabled": True, "SendingEnabled": True} | facts
    )


def well(**others: Client) -> FakeStage:
    table = {"ItemCount": 42, "WarmThroughput": {"WriteUnitsPerSecond": 4_000}}
    clients = {
        "cloudformation": Client(describe_stacks={"Stacks": [{"StackStatus": "UPDATE_COMPLETE"}]}),
        "sqs": waiting({}),
        "dynamodb": Client(describe_table={"Table": table}, get_item={}, scan={"Items": []}),
        "sesv2": account(),
        "cloudwatch": Client(describe_alarms={"MetricAlarms": []}),
        **others,
    }
    return stage("production", **clients)

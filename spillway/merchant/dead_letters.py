"""What could not be done, and waits for a person: to look at, and to try once more."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient

# By its name for people: the queue of the dead, and the one they came from (outputs of the stack).
QUEUES: Mapping[str, tuple[str, str | None]] = {
    "confirmations": ("ConfirmationsDeadLetters", "ConfirmationsQueue"),
    "waves": ("WavesDeadLetters", "WavesQueue"),
    "feedback": ("FeedbackDeadLetters", "FeedbackQueue"),
    # What Lambda leaves of a stream names records, and holds none: there is nothing to put back.
    "streams": ("StreamDeadLetters", None),
}
BATCH_MAX = 10
LOOK_S = 5
# Long enough to be put back, short enough for another try soon after one that was broken off.
MOVE_S = 60


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that failed too often. `facts` are what it says, without anybody's address."""

    queue: str
    message_id: str
    facts: Mapping[str, Any]
    received: int


def count(sqs: "SQSClient", outputs: Mapping[str, str], queue: str) -> int:
    """About how many wait in a dead letter queue."""
    answer = sqs.get_queue_attributes(
        QueueUrl=outputs[QUEUES[queue][0]],
        AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
    )
    return sum(int(number) for number in answer["Attributes"].values())


def look(sqs: "SQSClient", outputs: Mapping[str, str], queue: str, *, most: int) -> Iterator[DeadLetter]:
    """Some of them, to see what they are about. They stay where they are."""
    for message in islice(_received(sqs, outputs[QUEUES[queue][0]], hidden_s=LOOK_S), most):
        yield DeadLetter(
            queue,
            message["MessageId"],
            _facts(message["Body"]),
            int(message.get("Attributes", {}).get("ApproximateReceiveCount", 0)),
        )


def redrive(sqs: "SQSClient", outputs: Mapping[str, str], queue: str) -> Iterator[str]:
    """Put them back to where they failed, one by one, and name each.

    Put back first and deleted then: one that is broken off in between is there twice, which every
    reaction takes, and never lost. What is out of date by now does nothing when it comes.
    """
    dead, source = QUEUES[queue]
    if source is None:
        raise ValueError(f"{queue} cannot be put back")
    for message in _received(sqs, outputs[dead], hidden_s=MOVE_S):
        sqs.send_message(QueueUrl=outputs[source], MessageBody=message["Body"])
        sqs.delete_message(QueueUrl=outputs[dead], ReceiptHandle=message["ReceiptHandle"])
        yield message["MessageId"]


def _received(sqs: "SQSClient", url: str, *, hidden_s: int) -> Iterator[Any]:
    seen: set[str] = set()
    while True:
        answer = sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=BATCH_MAX,
            VisibilityTimeout=hidden_s,
            AttributeNames=["ApproximateReceiveCount"],
        )
        fresh = [message for message in answer.get("Messages", []) if message["MessageId"] not in seen]
        if not fresh:
            return
        seen.update(message["MessageId"] for message in fresh)
        yield from fresh


def _facts(body: str) -> Mapping[str, Any]:
    try:
        facts = json.loads(body)
    except ValueError:
        return {"unreadable": True}
    known = ("kind", "restock_id", "sku", "line", "shopper", "tries", "requestContext", "DDBStreamBatchInfo")
    return {name: facts[name] for name in known if name in facts} if isinstance(facts, dict) else {}

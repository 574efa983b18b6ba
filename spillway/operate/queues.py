"""The queues of a stage: what waits in each, and where what failed too often is put."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types_boto3_sqs import SQSClient


@dataclass(frozen=True, slots=True)
class Queue:
    """`what` waits in a queue, and in another one when it failed too often: both are outputs of the stack.

    `output` is None for the streams: their dead letters name records, which go back to their function.
    """

    what: str
    output: str | None
    dead_output: str

    @property
    def dead(self) -> str:
        """What its dead letters are called."""
        return f"dead: {self.what}"


# By the name that an operator picks them with.
QUEUES: Mapping[str, Queue] = {
    "confirmations": Queue("confirmation emails", "ConfirmationsQueue", "ConfirmationsDeadLetters"),
    "waves": Queue("steps of fan-outs", "WavesQueue", "WavesDeadLetters"),
    "feedback": Queue("what became of emails", "FeedbackQueue", "FeedbackDeadLetters"),
    "streams": Queue("reactions to changes", None, "StreamDeadLetters"),
}


def depth(sqs: "SQSClient", queue_url: str) -> int:
    """About how many messages a queue holds, with those that are worked on or put back for later."""
    answer = sqs.get_queue_attributes(
        QueueUrl=queue_url,
        AttributeNames=[
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ],
    )
    return sum(int(count) for count in answer["Attributes"].values())

"""Dead letters: show what they are about, and put them back to be processed again.

A dead letter of a queue is the message itself. A dead letter of a stream only names records that a function
gave up on. DynamoDB keeps stream records for 24 hours; until then they are read back and passed to their
function. https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import TYPE_CHECKING, Any

from chalicelib.aws.connections import code_of
from chalicelib.queues import depth
from chalicelib.services.traffic import delivered_keys

if TYPE_CHECKING:
    from types_boto3_lambda import LambdaClient
    from types_boto3_sqs import SQSClient

# By their names, in the order in which the template lists their dead letter queues to a function.
QUEUES = ("confirmations", "waves", "streams", "feedback", "inbound", "events", "webhooks", "traffic")
BATCH_MAX = 10
LOOK_S = 5
# Asks all of SQS's servers; without, some are asked, and an answer without messages proves nothing.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html
RECEIVE_WAIT_S = 1
# Long enough to put a message back, short enough to try again soon after an interruption.
MOVE_S = 60
# The counts in a message that end its retries (`chalicelib.domain.sending_limits`).
COUNTS = ("hops", "tries")
# A call's payload is limited to 6 MB; a record has up to twice the 400 KB of an item.
RECORDS_PER_CALL_MAX = 5
PAGES_MAX = 1_000
GONE_CODES = frozenset(
    {"TrimmedDataAccessException", "ResourceNotFoundException", "ExpiredIteratorException"}
)


@dataclass(frozen=True, slots=True)
class QueueUrls:
    """A queue and the dead letter queue behind it; the streams have no queue to put a message back to."""

    dead: str
    source: str | None = None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that failed too often; `facts` are its contents without addresses."""

    queue: str
    message_id: str
    facts: Mapping[str, Any]


class Redriven(StrEnum):
    """The outcome of redriving a dead letter."""

    PUT_BACK = "put_back"
    FAILED = "failed"
    """It failed again, and stays."""
    GONE = "gone"
    """DynamoDB no longer keeps its records; it stays, or is deleted with `forget_gone`."""


class DeadLetters:
    """The dead letters of one stage.

    Args:
        sqs: boto3's client of the queues.
        queues: the addresses of each queue, by its name; "streams" has no source.
        streams: boto3's client of streams; None where their records may not be read, nor redriven.
        functions: boto3's client of Lambda; None as for `streams`.
    """

    def __init__(
        self,
        sqs: "SQSClient",
        queues: Mapping[str, QueueUrls],
        *,
        streams: Any = None,
        functions: "LambdaClient | None" = None,
    ) -> None:
        self._sqs = sqs
        self._queues = queues
        self._streams = streams
        self._functions = functions

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the queues."""
        return tuple(self._queues)

    def count(self, queue: str) -> int:
        """Return the approximate number of dead letters in a queue."""
        return depth(self._sqs, self._queues[queue].dead)

    def look(self, queue: str, *, most: int, hidden_s: int = LOOK_S) -> Iterator[DeadLetter]:
        """Yield up to `most` dead letters of a queue; they stay in it.

        For `hidden_s` seconds nobody else receives them. Without, at most ten are found, and a retry that
        follows at once finds them too.
        """
        read = self._facts_of_records if self._queues[queue].source is None else _facts
        for message in islice(self._received(queue, hidden_s=hidden_s), most):
            yield DeadLetter(queue, message["MessageId"], read(message["Body"]))

    def redrive(self, queue: str, *, forget_gone: bool = False) -> Counter[Redriven]:
        """Put all dead letters of a queue back to where they failed; return the number of each outcome.

        A message is put back first, then deleted: an interruption leaves it twice, which every reaction
        tolerates, and never loses it. A message that is out of date has no effect.

        Args:
            queue: The queue, by its name.
            forget_gone: Delete dead letters whose records are no longer kept.
        """
        became: Counter[Redriven] = Counter()
        for message in self._received(queue, hidden_s=MOVE_S):
            outcome = self._put_back(queue, message["Body"])
            if outcome is Redriven.PUT_BACK or (outcome is Redriven.GONE and forget_gone):
                self._sqs.delete_message(
                    QueueUrl=self._queues[queue].dead, ReceiptHandle=message["ReceiptHandle"]
                )
            became[outcome] += 1
        return became

    def _put_back(self, queue: str, body: str) -> Redriven:
        source = self._queues[queue].source
        if source is not None:
            self._sqs.send_message(QueueUrl=source, MessageBody=_with_counts_reset(body))
            return Redriven.PUT_BACK
        try:
            left = RecordsLeft.from_body(body)
            records = read_back(self._streams, left)
        except RecordsGone:
            return Redriven.GONE
        except ValueError:
            return Redriven.FAILED
        if self._functions is None or not hand_over(self._functions, left, records):
            return Redriven.FAILED
        return Redriven.PUT_BACK

    def _facts_of_records(self, body: str) -> Mapping[str, Any]:
        try:
            left = RecordsLeft.from_body(body)
        except ValueError:
            return {"unreadable": True}
        if self._streams is None:
            return left.facts()
        try:
            return {**left.facts(), "about": about(read_back(self._streams, left))}
        except RecordsGone:
            return {**left.facts(), "gone": True}

    def _received(self, queue: str, *, hidden_s: int) -> Iterator[Any]:
        seen: set[str] = set()
        while True:
            answer = self._sqs.receive_message(
                QueueUrl=self._queues[queue].dead,
                MaxNumberOfMessages=BATCH_MAX,
                VisibilityTimeout=hidden_s,
                WaitTimeSeconds=RECEIVE_WAIT_S,
            )
            fresh = [message for message in answer.get("Messages", []) if message["MessageId"] not in seen]
            if not fresh:
                return
            seen.update(message["MessageId"] for message in fresh)
            yield from fresh


def _facts(body: str) -> Mapping[str, Any]:
    try:
        facts = json.loads(body)
        if isinstance(facts, dict) and "Records" in facts:
            return {"logs": delivered_keys(body)}
    except (ValueError, KeyError, TypeError):
        return {"unreadable": True}
    known = (
        *("kind", "restock_id", "sku", "line", "shopper", "source", "type", "endpoint", "event_id"),
        *("tries", "hops", "deferrals"),
    )
    return {name: facts[name] for name in known if name in facts} if isinstance(facts, dict) else {}


def _with_counts_reset(body: str) -> str:
    """Return the body with its counts at zero: a person decided to try again."""
    try:
        facts = json.loads(body)
    except ValueError:
        return body
    counts = {name: 0 for name in COUNTS if name in facts} if isinstance(facts, dict) else {}
    return json.dumps({**facts, **counts}, sort_keys=True) if any(facts[name] for name in counts) else body


class RecordsGone(Exception):
    """The stream no longer keeps these records."""


@dataclass(frozen=True, slots=True)
class RecordsLeft:
    """Records `first` to `last` of a shard that `function` failed to process; `why` is Lambda's reason."""

    function: str
    stream: str
    shard: str
    first: str
    last: str
    count: int
    why: str
    since: str

    @classmethod
    def from_body(cls, body: str) -> "RecordsLeft":
        """Parse the body of a dead letter.

        Raises:
            ValueError: Lambda did not write it.
        """
        try:
            letter = json.loads(body)
            context, batch = letter["requestContext"], letter["DDBStreamBatchInfo"]
            return cls(
                function=context["functionArn"],
                stream=batch["streamArn"],
                shard=batch["shardId"],
                first=batch["startSequenceNumber"],
                last=batch["endSequenceNumber"],
                count=int(batch["batchSize"]),
                why=context["condition"],
                since=batch["approximateArrivalOfFirstRecord"],
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"no dead letter of a stream: {error}") from None

    def facts(self) -> Mapping[str, Any]:
        """Return the names in it, without any content."""
        return {
            "function": self.function.partition(":function:")[2].partition(":")[0],
            "table": self.stream.partition(":table/")[2].partition("/")[0],
            "records": self.count,
            "since": self.since,
            "why": self.why,
        }


def read_back(streams: Any, left: RecordsLeft) -> list[dict[str, Any]]:
    """Read the records from the stream, in the form in which Lambda passes them to a function.

    Raises:
        RecordsGone: The stream no longer keeps all of them.
    """
    try:
        iterator: str | None = streams.get_shard_iterator(
            StreamArn=left.stream,
            ShardId=left.shard,
            ShardIteratorType="AT_SEQUENCE_NUMBER",
            SequenceNumber=left.first,
        )["ShardIterator"]
        records: list[dict[str, Any]] = []
        for _ in range(PAGES_MAX):
            if iterator is None:
                break
            page = streams.get_records(ShardIterator=iterator)
            for record in page["Records"]:
                if int(record["dynamodb"]["SequenceNumber"]) > int(left.last):
                    return records
                records.append(_as_handed_over(record, left.stream))
                if record["dynamodb"]["SequenceNumber"] == left.last:
                    return records
            iterator = page.get("NextShardIterator")
    except Exception as error:
        if code_of(error) in GONE_CODES:
            raise RecordsGone(left.first) from error
        raise
    raise RecordsGone(left.last)


def hand_over(functions: "LambdaClient", left: RecordsLeft, records: list[dict[str, Any]]) -> bool:
    """Invoke the function with the records, in order; return False if it fails again."""
    for start in range(0, len(records), RECORDS_PER_CALL_MAX):
        part = {"Records": records[start : start + RECORDS_PER_CALL_MAX]}
        answer = functions.invoke(FunctionName=left.function, Payload=json.dumps(part).encode())
        if "FunctionError" in answer or json.load(answer["Payload"])["batchItemFailures"]:
            return False
    return True


def about(records: list[dict[str, Any]]) -> list[str]:
    """Return the keys of the records' rows, each once; they are ids and names."""
    keys = (record["dynamodb"]["Keys"] for record in records)
    return list(dict.fromkeys(" ".join(value["S"] for _, value in sorted(key.items())) for key in keys))


def _as_handed_over(record: Any, stream: str) -> dict[str, Any]:
    change = dict(record["dynamodb"])
    if "ApproximateCreationDateTime" in change:
        # Boto3 converts to a date; Lambda passes seconds.
        change["ApproximateCreationDateTime"] = change["ApproximateCreationDateTime"].timestamp()
    return {**record, "dynamodb": change, "eventSourceARN": stream}

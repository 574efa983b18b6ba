"""Dead letters of the streams: each names records that a function gave up on, and holds none of them.

DynamoDB keeps what it streamed for 24 hours. Until then the records are read back and handed to their
function once more, as the stream would; what it does about an old record is what holds by now.
https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from types_boto3_lambda import LambdaClient

# A call's payload has 6 MB at most, a record up to twice the 400 KB of an item.
RECORDS_PER_CALL_MAX = 5
PAGES_MAX = 1_000
GONE_CODES = frozenset(
    {"TrimmedDataAccessException", "ResourceNotFoundException", "ExpiredIteratorException"}
)


class RecordsGone(Exception):
    """The stream keeps these records no longer."""


@dataclass(frozen=True, slots=True)
class RecordsLeft:
    """The records of a shard, from `first` to `last`, that `function` gave up on; `why` is Lambda's word."""

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
        """What a dead letter names.

        Raises:
            ValueError: it is none of Lambda's.
        """
        try:
            email = json.loads(body)
            context, batch = email["requestContext"], email["DDBStreamBatchInfo"]
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
            raise ValueError(f"no email about a stream: {error}") from None

    def facts(self) -> Mapping[str, Any]:
        """What is shown of it: names, no content."""
        return {
            "function": self.function.partition(":function:")[2].partition(":")[0],
            "table": self.stream.partition(":table/")[2].partition("/")[0],
            "records": self.count,
            "since": self.since,
            "why": self.why,
        }


def read_back(streams: Any, left: RecordsLeft) -> list[dict[str, Any]]:
    """The records, as Lambda hands them to a function. `streams` is boto3's client of that name.

    Raises:
        RecordsGone: not all of them are there any more.
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
    except ClientError as error:
        if error.response["Error"]["Code"] in GONE_CODES:
            raise RecordsGone(left.first) from error
        raise
    raise RecordsGone(left.last)


def hand_over(functions: "LambdaClient", left: RecordsLeft, records: list[dict[str, Any]]) -> bool:
    """Have the function react to them, in order; false when it fails again."""
    for start in range(0, len(records), RECORDS_PER_CALL_MAX):
        part = {"Records": records[start : start + RECORDS_PER_CALL_MAX]}
        answer = functions.invoke(FunctionName=left.function, Payload=json.dumps(part).encode())
        if "FunctionError" in answer or json.load(answer["Payload"])["batchItemFailures"]:
            return False
    return True


def about(records: list[dict[str, Any]]) -> list[str]:
    """What they are about: the keys of their rows, which are ids and names, each once."""
    keys = (record["dynamodb"]["Keys"] for record in records)
    return list(dict.fromkeys(" ".join(value["S"] for _, value in sorted(key.items())) for key in keys))


def _as_handed_over(record: Any, stream: str) -> dict[str, Any]:
    change = dict(record["dynamodb"])
    if "ApproximateCreationDateTime" in change:
        # Boto3 makes a date of what Lambda gives as seconds.
        change["ApproximateCreationDateTime"] = change["ApproximateCreationDateTime"].timestamp()
    return {**record, "dynamodb": change, "eventSourceARN": stream}

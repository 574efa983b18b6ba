"""Dead letters: listed without addresses, put back to where they failed, or reported as gone."""

import json
from collections import Counter
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.services.dead_letters import RECORDS_PER_CALL_MAX, DeadLetters, Redriven
from spillway.operate.state import queue_urls
from tests.support.aws_models import check_request
from tests.support.stubbed_stage import QUEUE_OUTPUTS

STREAM = "arn:aws:dynamodb:us-east-1:123456789012:table/spillway-products/stream/2026-11-23T17:00:00.000"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:spillway-on-product-changed:$LATEST"


class Queues:
    """SQS: what is received stays hidden until the next `show`."""

    def __init__(self) -> None:
        self.messages: dict[str, dict[str, str]] = {}
        self.hidden: set[str] = set()

    def put(self, url: str, *bodies: str) -> None:
        for body in bodies:
            self.messages.setdefault(url, {})[f"{url}-{len(self.messages.get(url, {}))}"] = body

    def bodies(self, url: str) -> list[str]:
        return list(self.messages.get(url, {}).values())

    def get_queue_attributes(self, **asked: Any) -> Any:
        check_request("sqs", "GetQueueAttributes", asked)
        waiting, *others = asked["AttributeNames"]
        counts = dict.fromkeys(others, "0") | {waiting: str(len(self.bodies(asked["QueueUrl"])))}
        return {"Attributes": counts}

    def receive_message(self, **asked: Any) -> Any:
        check_request("sqs", "ReceiveMessage", asked)
        if not asked.get("WaitTimeSeconds"):
            # Only some of the servers were asked, those without messages.
            return {}
        waiting = self.messages.get(asked["QueueUrl"], {})
        shown = [item for item in waiting if item not in self.hidden][: asked["MaxNumberOfMessages"]]
        self.hidden.update(shown)
        return {"Messages": [{"MessageId": i, "ReceiptHandle": i, "Body": waiting[i]} for i in shown]}

    def send_message(self, **asked: Any) -> None:
        check_request("sqs", "SendMessage", asked)
        self.put(asked["QueueUrl"], asked["MessageBody"])

    def delete_message(self, **asked: Any) -> None:
        check_request("sqs", "DeleteMessage", asked)
        del self.messages[asked["QueueUrl"]][asked["ReceiptHandle"]]


class Streams:
    """One shard of records 101 to 112, three a page; what is before `horizon` is gone."""

    def __init__(self) -> None:
        self.horizon = 101

    def get_shard_iterator(self, SequenceNumber: str, **_: Any) -> Any:  # noqa: N803
        if int(SequenceNumber) < self.horizon:
            raise ClientError({"Error": {"Code": "TrimmedDataAccessException"}}, "GetShardIterator")
        return {"ShardIterator": SequenceNumber}

    def get_records(self, ShardIterator: str) -> Any:  # noqa: N803
        first = int(ShardIterator)
        page = [self._record(number) for number in range(first, min(first + 3, 113))]
        return {"Records": page, **({"NextShardIterator": str(first + 3)} if first + 3 < 113 else {})}

    def _record(self, number: int) -> Any:
        return {
            "eventID": f"e{number}",
            "dynamodb": {
                "Keys": {"id": {"S": f"product#p{number % 2}"}},
                "SequenceNumber": str(number),
                "ApproximateCreationDateTime": datetime(2026, 11, 23, 17, 0, tzinfo=UTC),
            },
        }


class Functions:
    """Reacts to all records but those whose sequence number is in `failing`."""

    def __init__(self) -> None:
        self.calls: list[list[dict[str, Any]]] = []
        self.failing: set[str] = set()
        self.ends = False

    def invoke(self, FunctionName: str, Payload: bytes) -> Any:  # noqa: N803
        assert FunctionName == FUNCTION
        records = json.loads(Payload)["Records"]
        self.calls.append(records)
        numbers = [record["dynamodb"]["SequenceNumber"] for record in records]
        failures = [{"itemIdentifier": number} for number in numbers if number in self.failing]
        answer: Any = {"errorMessage": "timed out"} if self.ends else {"batchItemFailures": failures}
        error = {"FunctionError": "Unhandled"} if self.ends else {}
        return {"Payload": BytesIO(json.dumps(answer).encode()), **error}

    @property
    def numbers(self) -> list[int]:
        return [int(record["dynamodb"]["SequenceNumber"]) for call in self.calls for record in call]


class Stage:
    """A stage with dead letters."""

    def __init__(self) -> None:
        self.queues, self.streams, self.functions = Queues(), Streams(), Functions()
        names = dict(zip(QUEUE_OUTPUTS, QUEUE_OUTPUTS, strict=True))
        self.dead = DeadLetters(
            self.queues, queue_urls(names), streams=self.streams, functions=self.functions
        )

    def give_up_on(self, first: int, last: int) -> None:
        """As Lambda puts it: https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html"""
        letter = {
            "requestContext": {
                "requestId": "316aa6d0-8154-xmpl-9af7-85d5f4a6bc81",
                "functionArn": FUNCTION,
                "condition": "RetryAttemptsExhausted",
                "approximateInvokeCount": 9,
            },
            "responseContext": {
                "statusCode": 200,
                "executedVersion": "$LATEST",
                "functionError": "Unhandled",
            },
            "version": "1.0",
            "timestamp": "2026-11-23T18:13:49.717Z",
            "DDBStreamBatchInfo": {
                "shardId": "shardId-00000001573689847184-864758bb",
                "startSequenceNumber": str(first),
                "endSequenceNumber": str(last),
                "approximateArrivalOfFirstRecord": "2026-11-23T17:00:00Z",
                "approximateArrivalOfLastRecord": "2026-11-23T17:00:00Z",
                "batchSize": last - first + 1,
                "streamArn": STREAM,
            },
        }
        self.queues.put("StreamDeadLetterQueue", json.dumps(letter))

    def redrive(self, **how: bool) -> Counter[Redriven]:
        self.queues.hidden.clear()
        return self.dead.redrive("streams", **how)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_failed_jobs_are_listed_without_addresses_and_redriven(stage: Stage) -> None:
    sent = [
        json.dumps({"kind": "one", "sku": "A", "shopper": f"s{n}", "mailbox": "a@b.c"}) for n in range(13)
    ]
    stage.queues.put("WavesDeadLetterQueue", *sent, "poison")
    assert stage.dead.count("waves") == 14
    seen = list(stage.dead.look("waves", most=14))
    assert {"unreadable": True} in [letter.facts for letter in seen]
    assert all("mailbox" not in letter.facts for letter in seen)
    stage.queues.hidden.clear()
    assert stage.dead.redrive("waves") == {Redriven.PUT_BACK: 14}
    assert stage.dead.count("waves") == 0
    assert stage.queues.bodies("WavesQueue") == [*sent, "poison"]


def test_a_notification_of_an_access_log_is_looked_at_by_the_logs_name_and_put_back(stage: Stage) -> None:
    log = {"object": {"key": "logs/E1.2026-11-27-10.a%2Bb.gz"}}
    body = json.dumps({"Records": [{"s3": log, "requestParameters": {"sourceIPAddress": "192.0.2.7"}}]})
    stage.queues.put("TrafficDeadLetterQueue", body, '{"Records": [{}]}')
    assert [letter.facts for letter in stage.dead.look("traffic", most=9)] == [
        {"logs": ["logs/E1.2026-11-27-10.a+b.gz"]},
        {"unreadable": True},
    ]
    stage.queues.hidden.clear()
    assert stage.dead.redrive("traffic") == {Redriven.PUT_BACK: 2}
    assert stage.queues.bodies("TrafficQueue")[0] == body


def test_a_dead_letter_is_deleted_after_it_was_put_back(stage: Stage) -> None:
    stage.queues.put("WavesDeadLetterQueue", "a")

    def broken(**_: Any) -> None:
        raise ConnectionError

    stage.queues.send_message = broken  # type: ignore[method-assign]
    with pytest.raises(ConnectionError):
        stage.dead.redrive("waves")
    assert stage.queues.bodies("WavesDeadLetterQueue") == ["a"]


def test_records_of_a_stream_are_read_back_and_handed_over_once_more(stage: Stage) -> None:
    stage.give_up_on(102, 109)
    assert stage.redrive() == {Redriven.PUT_BACK: 1}
    assert stage.functions.numbers == list(range(102, 110))
    assert max(len(call) for call in stage.functions.calls) <= RECORDS_PER_CALL_MAX
    first = stage.functions.calls[0][0]
    assert first["dynamodb"]["ApproximateCreationDateTime"] == 1795453200.0
    assert first["eventSourceARN"] == STREAM
    assert stage.dead.count("streams") == 0


def test_a_dead_letter_of_a_stream_names_its_records(stage: Stage) -> None:
    stage.give_up_on(102, 105)
    (letter,) = stage.dead.look("streams", most=5)
    assert letter.facts == {
        "function": "spillway-on-product-changed",
        "table": "spillway-products",
        "records": 4,
        "since": "2026-11-23T17:00:00Z",
        "why": "RetryAttemptsExhausted",
        "about": ["product#p0", "product#p1"],
    }


@pytest.mark.parametrize("ends", [True, False])
def test_records_that_fail_again_stay(stage: Stage, ends: bool) -> None:
    stage.give_up_on(101, 103)
    stage.functions.ends, stage.functions.failing = ends, {"102"}
    assert stage.redrive() == {Redriven.FAILED: 1}
    assert stage.dead.count("streams") == 1
    stage.functions.ends, stage.functions.failing = False, set()
    assert stage.redrive() == {Redriven.PUT_BACK: 1}


def test_records_that_are_no_longer_kept_are_listed_apart_and_forgotten_when_asked(stage: Stage) -> None:
    stage.give_up_on(101, 103)
    stage.streams.horizon = 102
    (letter,) = stage.dead.look("streams", most=5)
    assert letter.facts["gone"] is True
    assert stage.redrive() == {Redriven.GONE: 1}
    assert stage.dead.count("streams") == 1
    assert stage.redrive(forget_gone=True) == {Redriven.GONE: 1}
    assert stage.dead.count("streams") == 0
    assert stage.functions.calls == []


def test_a_shard_that_ends_before_the_last_record_has_lost_it(stage: Stage) -> None:
    stage.give_up_on(110, 115)
    assert stage.redrive() == {Redriven.GONE: 1}


def test_a_dead_letter_of_another_sender_stays(stage: Stage) -> None:
    stage.queues.put("StreamDeadLetterQueue", "poison", "{}")
    assert [letter.facts for letter in stage.dead.look("streams", most=5)] == [{"unreadable": True}] * 2
    assert stage.redrive(forget_gone=True) == {Redriven.FAILED: 2}


def test_a_redriven_message_has_a_new_budget_of_hops(stage: Stage) -> None:
    step = {"kind": "step", "restock_id": "r", "sku": "A", "line": "A#1", "tries": 5771, "hops": 9000}
    email = {"shopper": "s", "sku": "A", "hops": 654, "deferrals": 2}
    stage.queues.put("WavesDeadLetterQueue", json.dumps(step))
    stage.queues.put("ConfirmationsDeadLetterQueue", json.dumps(email))
    assert next(stage.dead.look("waves", most=1)).facts["hops"] == 9000
    stage.queues.hidden.clear()
    stage.dead.redrive("waves")
    stage.dead.redrive("confirmations")
    (waves,), (emails,) = (stage.queues.bodies(name) for name in ("WavesQueue", "ConfirmationsQueue"))
    assert json.loads(waves) == {**step, "tries": 0, "hops": 0}
    assert json.loads(emails) == {**email, "hops": 0}

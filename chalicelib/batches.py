"""Batches of stream records and queue messages: react to each record, and report the ones that fail.

A failed record is never swallowed and never takes its neighbours along (ReportBatchItemFailures):
https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
"""

from collections.abc import Callable, Iterable
from typing import Any

from chalicelib.log import begin_record, log, where

BatchFailures = dict[str, list[dict[str, str]]]


class FirstRecordFailed(Exception):
    """The first of several stream records failed. It ends the invocation, so that Lambda splits the batch."""


def react_to_stream(
    records: Iterable[dict[str, Any]], react: Callable[[dict[str, Any]], None]
) -> BatchFailures:
    """React to stream records in order; stop at the first failure, where Lambda then starts again.

    A record without a number is reported by an empty one: Lambda then takes the whole batch as failed, and
    nothing is dropped.

    Raises:
        FirstRecordFailed: no record of the batch is done. Lambda splits a batch at the number that is
            reported; a batch that begins with the bad record would stay whole, and be given up with its
            neighbours. After an error Lambda halves the batch.
    """
    batch = list(records)
    for position, record in enumerate(batch):
        begin_record(record.get("eventID", ""))
        if not succeeds(react, record):
            if position == 0 and len(batch) > 1:
                raise FirstRecordFailed(f"the first of {len(batch)} records")
            number = record.get("dynamodb", {}).get("SequenceNumber", "")
            return batch_failures([number])
    return batch_failures([])


def react_to_queue(
    records: Iterable[dict[str, Any]],
    react: Callable[[str], None],
    settled: Callable[[str], None] = lambda _: None,
) -> BatchFailures:
    """React to the body of each queue message, and report the ones that fail.

    Args:
        records: the messages.
        react: is called with a message's body.
        settled: is called with the receipt handle of each message that is done, at once: Lambda deletes the
            messages of a batch only when the function returns, and after a crash all of them come again.
    """

    def settle(record: dict[str, Any]) -> None:
        settled(record.get("receiptHandle", ""))

    return batch_failures(failed_messages(records, lambda record: react(record["body"]), settle))


def failed_messages(
    records: Iterable[dict[str, Any]],
    react: Callable[[dict[str, Any]], None],
    settle: Callable[[dict[str, Any]], None] = lambda record: None,
) -> list[str]:
    """React to each queue message, `settle` the ones that succeed, and return the ids of those that fail."""
    failed = []
    for record in records:
        begin_record(record["messageId"])
        if succeeds(react, record):
            succeeds(settle, record)
        else:
            failed.append(record["messageId"])
    return failed


def batch_failures(ids: Iterable[str]) -> BatchFailures:
    """Return Lambda's report of the records of a batch that failed, by their ids.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
    """
    return {"batchItemFailures": [{"itemIdentifier": record_id} for record_id in ids]}


def succeeds(react: Callable[[Any], None], record: Any) -> bool:
    """React to one record; return whether that raised nothing. The log has the error's type and place."""
    try:
        react(record)
    except Exception as error:  # noqa: BLE001 - after any error the record is reported and comes again
        log("record_failed", error=type(error).__name__, at=where(error))
        return False
    return True

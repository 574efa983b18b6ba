"""Batches of records: each is reacted to, and what failed is reported, so that it comes again.

A batch failure is never swallowed and never takes its neighbours along (ReportBatchItemFailures):
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
    """React to stream records in order; stop at the first that fails, which Lambda then begins again at.

    A record without a number is answered by an empty one: Lambda then takes the whole batch as failed, and
    nothing is dropped.

    Raises:
        FirstRecordFailed: nothing of the batch is done. Lambda splits a batch at the number it is given. A
            batch that begins with the bad record would stay whole, and be given up with its neighbours. It
            halves the batch of an invocation that fails.
    """
    batch = list(records)
    for place, record in enumerate(batch):
        begin_record(record.get("eventID", ""))
        if not _succeeds(react, record):
            if place == 0 and len(batch) > 1:
                raise FirstRecordFailed(f"the first of {len(batch)} records")
            number = record.get("dynamodb", {}).get("SequenceNumber", "")
            return {"batchItemFailures": [{"itemIdentifier": number}]}
    return {"batchItemFailures": []}


def react_to_queue(
    records: Iterable[dict[str, Any]],
    react: Callable[[str], None],
    settled: Callable[[str], None] = lambda _: None,
) -> BatchFailures:
    """React to the body of each queue message; those that fail come again, the others are done.

    `settled` hears the result handle of each that is done, at once: Lambda deletes the messages of a batch
    only when the function has come back, and a function that dies has the whole batch come again.
    """
    failed = []
    for record in records:
        begin_record(record["messageId"])
        if not _succeeds(lambda message: react(message["body"]), record):
            failed.append(record["messageId"])
        else:
            _succeeds(lambda message: settled(message.get("receiptHandle", "")), record)
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def _succeeds(react: Callable[[dict[str, Any]], None], record: dict[str, Any]) -> bool:
    try:
        react(record)
    except Exception as error:  # noqa: BLE001 - whatever it is, the record is reported and comes again
        log("record_failed", error=type(error).__name__, at=where(error))
        return False
    return True

"""Structured log lines: one JSON object each. Ids only; never an address, a token or a body.

A line may carry metrics, which CloudWatch takes out of the log by itself (embedded metric format):
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
import os
import sys
import traceback
from collections.abc import Mapping
from contextvars import ContextVar
from types import MappingProxyType

NAMESPACE = "Spillway"

# The ids of the request and the record under way, by their names in a line; empty ones are left out.
_origin: ContextVar[Mapping[str, str]] = ContextVar("origin", default=MappingProxyType({}))


def begin_request(request_id: str) -> None:
    """Name this request in the lines that follow: a shopper's, or Lambda's with a batch of records."""
    _origin.set({"request": request_id} if request_id else {})


def begin_record(record_id: str) -> None:
    """Name this record in the lines that follow: a queue's message, a stream's event."""
    _origin.set({**_origin.get(), "record": record_id})


def log(event: str, **facts: object) -> None:
    """Write one line to the function's log. `facts` must be JSON-ready."""
    sys.stdout.write(json.dumps({"event": event, **_origin.get(), **facts}, sort_keys=True) + "\n")


def where(error: Exception) -> list[str]:
    """Return the last three frames of an error: its message may hold data, which the log must not."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{frame.name}:{frame.lineno}" for frame in frames[-3:]]


def measure(event: str, counts: Mapping[str, int], *, at_ms: int, by: Mapping[str, str]) -> None:
    """Write one line that carries metrics, in the namespace that the stage's stack sets.

    Each stage has a namespace of its own: metrics of one name in one region are one metric.

    Args:
        event: the line's name.
        counts: the metrics by name.
        at_ms: their time in milliseconds since the epoch.
        by: their dimensions, which must have few values.
    """
    directive = {
        "Namespace": os.environ.get("METRICS_NAMESPACE", NAMESPACE),
        "Dimensions": [sorted(by)],
        "Metrics": [{"Name": name, "Unit": "Count"} for name in sorted(counts)],
    }
    log(event, _aws={"Timestamp": at_ms, "CloudWatchMetrics": [directive]}, **by, **counts)

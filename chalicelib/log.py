"""Structured log lines: one JSON object each. Ids only; never an address, a token or a body.

A line may carry metrics, which CloudWatch takes out of the log by itself (embedded metric format):
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
import sys
from collections.abc import Mapping
from contextvars import ContextVar

NAMESPACE = "Spillway"

# The request that is being answered; empty where none is.
_request_id: ContextVar[str] = ContextVar("request_id", default="")


def begin_request(request_id: str) -> None:
    """From here on, lines belong to this request."""
    _request_id.set(request_id)


def log(event: str, **facts: object) -> None:
    """Write one line to the function's log. `facts` must be JSON-ready."""
    request_id = _request_id.get()
    request = {"request": request_id} if request_id else {}
    sys.stdout.write(json.dumps({"event": event, **request, **facts}, sort_keys=True) + "\n")


def measure(event: str, counts: Mapping[str, int], *, at_ms: int, by: Mapping[str, str]) -> None:
    """Write one line that counts: `counts` by the dimensions `by`, of which there must be few values."""
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [sorted(by)],
        "Metrics": [{"Name": name, "Unit": "Count"} for name in sorted(counts)],
    }
    log(event, _aws={"Timestamp": at_ms, "CloudWatchMetrics": [directive]}, **by, **counts)

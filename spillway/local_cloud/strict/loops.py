"""Lambda's recursive loop detection, along the chain that AWS follows it: SQS, SNS, S3 and Lambda itself.

AWS writes into the trace header how often each function ran in a chain of requests; the SDK sends that
header on from a function, SQS keeps it with the message, and the next invocation goes on counting.
The emulator counts direct invocations alone.
https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
"""

import secrets
import time
import zlib
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

TRACE_HEADER = "x-amzn-trace-id"
LINEAGE = "Lineage="
# Set for the request being answered: what the caller's SDK says of the chain it is part of.
request_trace: ContextVar[str] = ContextVar("request_trace", default="")
_invocation_trace: ContextVar[str] = ContextVar("invocation_trace", default="")

Lineage = dict[str, int]


def lineage_of(header: str) -> Lineage:
    """Return how often each function ran in the chain a trace header is of."""
    for part in header.split(";"):
        if part.startswith(LINEAGE):
            counts = (pair.partition(":") for pair in part.removeprefix(LINEAGE).split("|"))
            return {function: int(count) for function, _, count in counts if count.isdigit()}
    return {}


def trace_of(lineage: Mapping[str, int], at_s: float) -> str:
    """Return a trace header with this lineage, as Lambda hands it to a function."""
    counts = "|".join(f"{function}:{count}" for function, count in lineage.items())
    root = f"Root=1-{int(at_s):08x}-{secrets.token_hex(12)}"
    return f"{root};Parent={secrets.token_hex(8)};Sampled=0;{LINEAGE}{counts}"


def function_mark(arn: str) -> str:
    """Return the eight digits that stand for a function in a lineage."""
    return f"{zlib.crc32(arn.encode()):08x}"


def next_lineage(arn: str, headers: list[str]) -> Lineage:
    """Return the lineage of an invocation that follows these headers; of a batch, the longest of each."""
    merged: Lineage = {}
    for function, count in (pair for header in headers for pair in lineage_of(header).items()):
        merged[function] = max(count, merged.get(function, 0))
    mark = function_mark(arn)
    return merged | {mark: merged.get(mark, 0) + 1}


def headers_of(event: Any) -> list[str]:
    """Return the trace headers that the messages of an SQS event carry."""
    records = event.get("Records") if isinstance(event, dict) else None
    if not isinstance(records, list):
        return []
    attributes = [record.get("attributes", {}) for record in records if isinstance(record, dict)]
    return [
        held["AWSTraceHeader"] for held in attributes if isinstance(held, dict) and "AWSTraceHeader" in held
    ]


def detect_loops(invocations_max: int, on_invocation: Callable[[Any], dict[str, Any] | None]) -> None:
    """Have every invocation in this process counted, and stopped past `invocations_max` of one chain.

    Args:
        invocations_max: how many invocations of one function a chain may have.
        on_invocation: looks at the outcome of an invocation, and may put another in its place.
    """
    from ministack.services import lambda_svc, sqs

    dispatch, attributes = lambda_svc._execute_function_dispatch, sqs._build_send_sys_attrs

    def dispatch_counted(
        func: dict[str, Any], config: dict[str, Any], event: Any, *rest: Any
    ) -> dict[str, Any]:
        arn = config.get("FunctionArn", "")
        carried = headers_of(event)
        lineage = next_lineage(arn, carried or [request_trace.get()])
        allowed = (func.get("recursive_loop") or "Terminate") == "Allow"
        if lineage[function_mark(arn)] > invocations_max and not allowed:
            return _stopped(config.get("FunctionName", ""), arn, invocations_max)
        token = _invocation_trace.set(trace_of(lineage, time.time()))
        try:
            outcome: dict[str, Any] = dispatch(func, config, event, *rest)
        finally:
            _invocation_trace.reset(token)
        return on_invocation(outcome) or outcome

    def attributes_with_trace(now: float, given: dict[str, Any]) -> dict[str, Any]:
        built: dict[str, Any] = attributes(now, given)
        if request_trace.get():
            built.setdefault("AWSTraceHeader", request_trace.get())
        return built

    lambda_svc._execute_function_dispatch = dispatch_counted
    lambda_svc._xray_trace_id_for_invocation = lambda _config, _inbound=None: _invocation_trace.get() or None
    sqs._build_send_sys_attrs = attributes_with_trace


def _stopped(name: str, arn: str, invocations_max: int) -> dict[str, Any]:
    from ministack.services import cloudwatch, lambda_svc

    cloudwatch.record_metric("AWS/Lambda", "RecursiveInvocationsDropped", 1, "Count", {"FunctionName": name})
    lambda_svc.logger.warning(
        "Interrupted %s: it ran %d times in one chain of requests", name, invocations_max
    )
    message = (
        "Lambda has detected your function being invoked in a recursive loop with other Amazon Web Services "
        f"resources and stopped your function's invocation: {arn}"
    )
    # A message that started it stays in its queue, and goes to that queue's dead letters in the end.
    return {"error": True, "body": {"errorType": "RecursiveInvocationException", "errorMessage": message}}

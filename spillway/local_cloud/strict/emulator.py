"""Set the strict layer before the emulator, in the emulator's own process, and add what it leaves out.

Lambda's recursive loop detection follows a chain through SQS, SNS, S3 and Lambda itself; the emulator counts
direct invocations alone. AWS writes into the trace header how often each function ran in a chain of requests;
the SDK sends that header on from a function, SQS keeps it with the message, and the next invocation goes on
counting. The emulator's streams have no record of a PartiQL statement or a deletion by TTL: it is added here.
https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
"""

import hashlib
import hmac
import json
import secrets
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import partial
from typing import Any

from spillway.local_cloud.record import LayerSettings, save_regularly
from spillway.local_cloud.servers import BrowserGuard, hosts_of
from spillway.local_cloud.strict import checks, functions
from spillway.local_cloud.strict.cdn import EdgeCache
from spillway.local_cloud.strict.layer import StrictLayer
from spillway.local_cloud.strict.refusals import Refusal
from spillway.local_cloud.strict.requests import AwsCall, request_trace

RESPONSE_BYTES_MAX = 6 * checks.MIB + 100
FUNCTION, MAPPING, ROLE = "AWS::Lambda::Function", "AWS::Lambda::EventSourceMapping", "AWS::IAM::Role"
Judge = Callable[[Mapping[str, Any]], Refusal | None]
# The emulator's thread that deletes what has expired.
TTL_THREAD = "dynamodb-ttl-reaper"


def install(settings: LayerSettings) -> None:
    """Put the layer in the place of the emulator's application, before it starts to serve."""
    from ministack import app

    account = checks.AccountState(time.monotonic, _stored_object, _reserved, _table, settings.concurrency)
    hosts = frozenset[str]().union(*map(hosts_of, settings.ports))
    detect_loops(settings.invocations_max, _outcome)
    authorize_batches_of_messages()
    issue_secrets_of_this_run(settings.door_secret)
    hold_functions_of_stacks(account)
    stream_every_change()
    app.app = StrictLayer(
        app.app,
        BrowserGuard(hosts),
        settings.door_secret,
        account,
        EdgeCache(time.monotonic),
        _may_list,
        refuse_members=settings.refuse_members,
        log=app.logger.warning,
        background=partial(save_regularly, settings.save_every_s),
    )


def _stored_object(bucket: str, key: str) -> bytes | None:
    from ministack.services import s3

    data: bytes | None = s3._get_object_data(bucket, key)
    return data


def _table(name: str) -> Mapping[str, Any]:
    from ministack.services import dynamodb

    table: Mapping[str, Any] = dynamodb._tables.get(name.rpartition("/")[2], {})
    return table


def authorize_batches_of_messages() -> None:
    """Have a batch of messages need the permission of one message, as SQS has it.

    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-api-permissions-reference.html
    """
    from ministack.core import iam_actions

    named = iam_actions._action_from_target

    def action_from_target(headers: dict[str, str]) -> str | None:
        action: str | None = named(headers)
        is_batch = headers.get("x-amz-target", "").startswith("AmazonSQS.") and action is not None
        return action.removesuffix("Batch") if is_batch and action else action

    iam_actions._action_from_target = action_from_target


def _may_list(call: AwsCall, access_key: str) -> bool:
    from ministack import app
    from ministack.core import iam_evaluator
    from ministack.core.responses import get_region

    bucket = f"arn:aws:s3:::{call.members['Bucket']}"
    action = ("s3:ListBucket", "s3", get_region())
    return not app.AUTH or iam_evaluator.enforce(access_key, *action, resource_arn=bucket) is None


def _reserved() -> dict[str, int]:
    from ministack.services import lambda_svc

    return {
        name: func["concurrency"] for name, func in lambda_svc._functions.items() if func.get("concurrency")
    }


def _outcome(outcome: dict[str, Any]) -> dict[str, Any] | None:
    """Return what becomes of an outcome that is larger than Lambda passes on."""
    body = outcome.get("body")
    size = len(body.encode() if isinstance(body, str) else json.dumps(body, ensure_ascii=False).encode())
    if size <= RESPONSE_BYTES_MAX:
        return None
    message = f"Response payload size exceeded maximum allowed payload size ({RESPONSE_BYTES_MAX} bytes)."
    error = {"errorType": "Function.ResponseSizeTooLarge", "errorMessage": message}
    return {"error": True, "body": error, "log": outcome.get("log", "")}


def issue_secrets_of_this_run(seed: str) -> None:
    """Have functions sign with secrets that nobody can work out from their names.

    Each role of a function gets them once. The emulator would issue them again with each instance that it
    starts, and until they are replaced it would refuse the calls of the instances that run.
    """
    from ministack.core import lambda_runtime
    from ministack.services import lambda_svc, sts

    issue, issuing = lambda_runtime.execution_credentials, threading.Lock()
    issued: dict[tuple[str, str], dict[str, str]] = {}

    def issue_secret(config: dict[str, Any]) -> dict[str, str]:
        of = config.get("FunctionArn", ""), config.get("Role", "")
        with issuing:
            if of not in issued:
                issued[of] = replace_secret(issue(config))
            return issued[of]

    def replace_secret(guessable: dict[str, str]) -> dict[str, str]:
        session = sts._sessions.get(guessable["AWS_ACCESS_KEY_ID"])
        if session is None:  # without IAM, functions sign as the account
            return guessable
        secret, token = (
            hmac.digest(
                seed.encode(), f"{purpose}:{guessable['AWS_ACCESS_KEY_ID']}".encode(), hashlib.sha256
            ).hex()
            for purpose in ("secret", "token")
        )
        session |= {"SecretAccessKey": secret, "SessionToken": token}
        return guessable | {"AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token}

    lambda_runtime.execution_credentials = issue_secret
    lambda_svc.execution_credentials = issue_secret


def hold_functions_of_stacks(account: checks.AccountState) -> None:
    """Have stacks set what the emulator leaves out of a function, and refuse what Lambda refuses of one."""
    from ministack.services.cloudformation import provisioners

    def held(kind: str, judge: Judge, hold: Callable[..., None] | None = None) -> None:
        handlers = provisioners._RESOURCE_HANDLERS[kind]

        def handler(handle: Callable[..., Any], properties_at: int) -> Callable[..., Any]:
            def handle_and_hold(*arguments: Any, **named: Any) -> Any:
                _raise(judge(arguments[properties_at]))
                done = handle(*arguments, **named)
                if hold:
                    hold(done[0], arguments[properties_at], account)
                return done

            return handle_and_hold

        provisioners._RESOURCE_HANDLERS[kind] = handlers | {
            "create": handler(handlers["create"], 1),
            "update": handler(handlers["update"], 2),
        }

    held(FUNCTION, functions.environment_refusal, _hold)
    held(MAPPING, functions.mapping_refusal)
    held(ROLE, functions.policies_refusal)


def _hold(name: str, properties: dict[str, Any], account: checks.AccountState) -> None:
    from ministack.services import lambda_svc

    function = lambda_svc._functions[name]
    function["recursive_loop"] = properties.get("RecursiveLoop", "Terminate")
    wanted = properties.get("ReservedConcurrentExecutions")
    if wanted is not None:
        _raise(functions.reserved_concurrency_refusal(name, int(wanted), account))
    function["concurrency"] = int(wanted) if wanted is not None else None


def _raise(refusal: Refusal | None) -> None:
    if refusal is not None:
        raise ValueError(f"{refusal.message} ({refusal.code}, status {int(refusal.status)})")


def stream_every_change() -> None:
    """Have streams carry what the emulator leaves out of them: PartiQL statements, and deletions by TTL."""
    from ministack.services import dynamodb

    update, remove = dynamodb._partiql_update, dynamodb._remove_item

    def update_streamed(table: dict[str, Any], parsed: dict[str, Any], data: Any = None) -> Any:
        partition, sort_key, _, error = dynamodb._partiql_key_target(table, parsed)
        before = None if error else table["items"].get(partition, {}).get(sort_key)
        answer = update(table, parsed, data)
        # The emulator replaces an item, and does not change it.
        after = None if error else table["items"].get(partition, {}).get(sort_key)
        if before is not None and after is not None and after is not before:
            dynamodb._emit_stream_event(parsed["table"], "MODIFY", before, after)
        return answer

    def remove_streamed(table: dict[str, Any], partition: str, sort_key: str) -> Any:
        before = table["items"].get(partition, {}).get(sort_key)
        removed = remove(table, partition, sort_key)
        if before is not None and threading.current_thread().name == TTL_THREAD:
            dynamodb._emit_stream_event(table["TableName"], "REMOVE", before, None)
        return removed

    dynamodb._partiql_update = update_streamed
    dynamodb._remove_item = remove_streamed


LINEAGE = "Lineage="
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

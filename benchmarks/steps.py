"""Measure each step of a shopper: CPU and calls, by the real handlers and their real events.

    python -m benchmarks steps

The emulated cloud answers about a hundred calls a second, and is no measure of us. Here the handlers
run in this process, against a cloud that answers at once: their CPU is what Lambda will charge. The
peer is one `put_item` of a bare boto3 client, in the same rounds.
"""

import gc
import json
import os
import platform
import time
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote

from benchmarks.played_cloud import SKU, SOLD_OUT_SKU, counts, played_cloud
from benchmarks.tables import write_table

ROUNDS = 7
TIMES_PER_ROUND = 120
BATCH = 25
COUNTED_BATCH = 50
SHOP_FILE = Path(__file__).parents[1] / "spillway" / "preflight" / "figures.json"
# CloudWatch charges each line of a log as so many bytes more.
LOG_EVENT_BYTES = 26
PEER = "bare boto3 put_item"


@dataclass
class Step:
    """`units`: how many shoppers one call of `run` serves."""

    name: str
    run: Callable[[], Any]
    units: int = 1
    cpu_ms: list[float] = field(default_factory=list)
    calls: dict[str, float] = field(default_factory=dict)
    log_bytes: float = 0.0


def main() -> None:
    """Measure, print, and leave the figures where preflight reads them."""
    with played_cloud() as url:
        steps = _steps()
        for step in steps:
            with redirect_stdout(StringIO()):
                step.run()  # what only the first one pays is the cold start's, and measured there
            counts(url)
            with redirect_stdout(StringIO()) as said:
                step.run()
            step.log_bytes = sum(len(line) + LOG_EVENT_BYTES for line in said.getvalue().splitlines())
            step.calls = {name: count / step.units for name, count in sorted(counts(url).items())}
        for _ in range(ROUNDS):
            for step in steps:
                step.cpu_ms.append(_cpu_ms(step))
    _report(steps)


def _cpu_ms(step: Step) -> float:
    gc.collect()
    times = max(1, TIMES_PER_ROUND // step.units)
    with redirect_stdout(StringIO()):
        started = time.process_time()
        for _ in range(times):
            step.run()
        return (time.process_time() - started) * 1000 / times / step.units


def _steps() -> list[Step]:
    import boto3

    import app as application
    from chalicelib.domain.tokens import LinkSubject, Offer, Purpose

    client = boto3.client("dynamodb")
    numbers = iter(range(10**9))
    page, form_token = "%2Fproducts%2Ffield-jacket", application.container.form_tokens().sign(Offer.of([SKU]))

    def peer() -> None:
        client.put_item(TableName="entries", Item={"shopper": {"S": f"s{next(numbers)}"}, "sku": {"S": SKU}})

    def sign_up() -> None:
        form = (
            f"email=shopper{next(numbers)}%40example.com&sku={SKU}&page={page}&form_token={form_token}&knot="
        )
        _expect(application.app(_api_event("POST", "/waitlist", form), _Context()), 202)

    token = application.container.links.sign(Purpose.CONFIRM, LinkSubject("shopper", SKU))

    def show() -> None:
        event = _api_event("GET", "/confirm", "", query={"token": token})
        _expect(application.app(event, _Context()), 200)

    def confirm() -> None:
        event = _api_event("POST", "/confirm", f"token={quote(token)}")
        _expect(application.app(event, _Context()), 303)

    def reacting(records: list[dict[str, Any]], handler: Any) -> Callable[[], None]:
        def react() -> None:
            answer = handler({"Records": records}, _Context())
            if answer["batchItemFailures"]:
                raise RuntimeError(f"records failed: {answer['batchItemFailures']}")

        return react

    pending = [_stream_record(number, None, "pending") for number in range(BATCH)]
    confirmed = [_stream_record(number, "pending", "confirmed") for number in range(BATCH)]
    counted = [_stream_record(number, "pending", "confirmed") for number in range(COUNTED_BATCH)]
    emails = [_message(number, {"shopper": f"s{number}", "sku": SKU}) for number in range(10)]
    heard = [_message(number, _delivery(number)) for number in range(10)]
    wave = {"kind": "step", "restock_id": "r", "sku": SKU, "shard": f"{SKU}#0", "after": "", "sweep": False}
    return [
        Step(PEER, peer),
        Step("sign up", sign_up),
        Step("show the confirmation page", show),
        Step("confirm", confirm),
        Step("react to a signup", reacting(pending, application.on_entry_written), BATCH),
        Step("react to a confirmation", reacting(confirmed, application.on_entry_written), BATCH),
        Step("count a change of an entry", reacting(counted, application.count_demand), COUNTED_BATCH),
        Step("send a confirmation email", reacting(emails, application.send_confirmations), 10),
        Step("notify a shopper", reacting([_message(0, wave)], application.send_wave), 50),
        Step("store that an email was delivered", reacting(heard, application.on_feedback), 10),
    ]


class _Context:
    """As much of Lambda's context as Chalice and the handlers ask for."""

    function_name = "spillway"
    aws_request_id = "1"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:us-east-1:000000000000:function:spillway"

    def get_remaining_time_in_millis(self) -> int:
        return 20_000


def _api_event(method: str, path: str, body: str, query: dict[str, str] | None = None) -> dict[str, Any]:
    headers = {"accept": "application/json" if path == "/waitlist" else "text/html"}
    if method == "POST":
        headers["content-type"] = "application/x-www-form-urlencoded"
    context = {"httpMethod": method, "resourcePath": path, "path": f"/api{path}", "requestId": "1"}
    return {
        "resource": path,
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": query,
        "multiValueQueryStringParameters": {name: [value] for name, value in (query or {}).items()} or None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {**context, "identity": {"sourceIp": "8.8.8.8"}},
        "body": body or None,
        "isBase64Encoded": False,
    }


def _stream_record(number: int, before: str | None, after: str) -> dict[str, Any]:
    after_image = _image(number, after)
    keys = {name: after_image[name] for name in ("shopper", "sku")}
    change: dict[str, Any] = {"SequenceNumber": str(number), "Keys": keys, "NewImage": after_image}
    if before:
        change["OldImage"] = _image(number, before)
    return {"eventID": str(number), "eventName": "MODIFY" if before else "INSERT", "dynamodb": change}


def _image(number: int, state: str) -> dict[str, Any]:
    return {
        "shopper": {"S": f"shopper{number}"},
        "sku": {"S": SOLD_OUT_SKU},
        "mailbox": {"S": f"shopper{number}@example.com"},
        "state": {"S": state},
        "signed_up_at_ms": {"N": "1790000000000"},
    }


def _delivery(number: int) -> dict[str, Any]:
    """Return SES's event as SNS delivers it."""
    tags = {"ses:configuration-set": ["configuration-set"], "shopper": [f"s{number}"], "sku": [SKU]}
    mail = {"messageId": f"m{number}", "timestamp": "2026-11-23T12:00:00.000Z", "tags": tags}
    event = json.dumps({"eventType": "Delivery", "mail": mail})
    return {"Type": "Notification", "TopicArn": "feedback-topic", "Message": event}


def _message(number: int, body: dict[str, Any]) -> dict[str, Any]:
    return {
        "messageId": str(number),
        "receiptHandle": str(number),
        "body": json.dumps(body),
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1790000000000"},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:queue",
        "awsRegion": "us-east-1",
    }


def _expect(answer: Any, status: int) -> None:
    if answer["statusCode"] != status:
        raise RuntimeError(f"expected {status}, was answered {answer['statusCode']}: {answer['body'][:300]}")


def _report(steps: list[Step]) -> None:
    peer_ms = median(steps[0].cpu_ms)
    rows = []
    figures: dict[str, Any] = {}
    for step in steps:
        cpu_ms = median(step.cpu_ms)
        calls = ", ".join(f"{count:g} {name}" for name, count in step.calls.items())
        per_core_s = f"{1000 / cpu_ms:,.0f}"
        rows.append((step.name, f"{cpu_ms:.2f}", f"{cpu_ms / peer_ms:.2f}", per_core_s, calls))
        if step.name != PEER:
            units = {unit: step.calls.pop(unit, 0) for unit in ("write units", "read units")}
            figures[step.name] = {
                "cpu_ms": round(cpu_ms, 3),
                "calls": step.calls,
                "write_units": units["write units"],
                "read_units": units["read units"],
                "log_bytes": step.log_bytes / step.units,
            }
    write_table(
        "Cost of each step",
        "python -m benchmarks steps",
        ("step, for one shopper", "CPU ms", "x peer", "a second and core", "calls"),
        rows,
    )
    record = {
        "measured_on": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "command": "python -m benchmarks steps",
        "rounds": ROUNDS,
        "steps": figures,
    }
    with suppress(OSError):  # a checkout that may not be written to still gets its table
        SHOP_FILE.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

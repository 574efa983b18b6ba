"""A cloud that answers at once and keeps nothing: what is left of a step's time is ours.

Runs in a process of its own, so that its work is not counted. It answers the calls of the handlers
with canned rows, and counts them: GET /counts returns how often each was called since the
last request for it.
"""

import hashlib
import json
import socketserver
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import ceil
from pathlib import Path
from typing import Any, ClassVar

from chalicelib.tables.entries import COUNTER_PREFIX

FAR_AHEAD_S = 4_000_000_000
SHOPPERS_PER_STEP = 50
READ_UNIT_BYTES = 4096
# Attributes of an entry in the index of a shard.
INDEXED = ("shopper", "sku", "shard", "shard_position", "mailbox", "state", "signed_up_at_ms")
# No limit that is ever felt, read in the far future: the account is not asked.
PACE = {
    "id": {"S": "sending-rate"},
    "rate_per_s": {"N": "1000000"},
    "emails_left": {"N": "1000000000000"},
    "ready_at_us": {"N": "0"},
    "read_at_ms": {"N": str(FAR_AHEAD_S * 1000)},
}


class Sink(BaseHTTPRequestHandler):
    """Answers one kept-alive connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    # A head and a body in two small packets would wait for each other.
    wbufsize = -1
    counts: ClassVar[dict[str, float]] = defaultdict(float)
    shop: ClassVar[dict[str, Any]] = {}

    def do_GET(self) -> None:
        """Answer with the counts, or with the theme."""
        if self.path == "/counts":
            self._answer(json.dumps(self.counts).encode())
            self.counts.clear()
            return
        self.counts["s3.GetObject"] += 1
        if "if-none-match" in self.headers:
            self._answer(b"", status=304)
        else:
            self._answer(self.shop["theme"].encode())

    def do_POST(self) -> None:
        """Answer a call of one of AWS's JSON protocols."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])) or b"{}")
        target = self.headers.get("x-amz-target", "ses.SendBulkEmail")
        service, _, operation = target.rpartition(".")
        name = service.split("_", maxsplit=1)[0].lower().removeprefix("amazon")
        self.counts[f"{name}.{operation}"] += 1
        answer = ANSWERS[operation](body, self.shop) if operation in ANSWERS else {}
        charged = units_of(operation, body, answer) if name == "dynamodb" else None
        if charged:
            unit, count = charged
            self.counts[unit] += count
        self._answer(json.dumps(answer).encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _answer(self, body: bytes, *, status: int = 200) -> None:
        self.send_response_only(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.send_header("ETag", '"theme"')
        self.end_headers()
        self.wfile.write(body)


def _get_secret(_: Any, __: Any) -> Any:
    return {"SecretString": json.dumps({"root": "r"}), "Name": "keys", "ARN": "arn"}


def _get_item(body: Any, shop: Any) -> Any:
    key = body["Key"]
    if "shopper" in key and "sku" not in key:
        return {}
    if "shopper" in key:
        if key["sku"]["S"].startswith(COUNTER_PREFIX):
            return {}  # the first email asked for today
        return {"Item": _entry(key["shopper"]["S"], key["sku"]["S"], "pending")}
    if key.get("id") == {"S": "sending-rate"}:
        return {"Item": PACE}
    if key.get("id", {}).get("S", "").startswith("sku#"):
        return {"Item": {"id": key["id"], "slug": {"S": shop["slug"]}}}
    return {"Item": shop["product"]}


def _query(body: Any, shop: Any) -> Any:
    if "IndexName" in body:
        return _waiting(body, shop)
    shopper = body["ExpressionAttributeValues"].get(":shopper")
    if shopper:
        return {"Items": [_entry(shopper["S"], shop["sku"], "pending")]}
    restock = {
        "id": {"S": "r"},
        "sku": body["ExpressionAttributeValues"][":sku"],
        "slug": {"S": shop["slug"]},
        "observed_at_ms": {"N": "1790000000000"},
        "opened_at_ms": {"N": "1790000000000"},
    }
    return {"Items": [restock]}


def _waiting(body: Any, shop: Any) -> Any:
    """Return the entries of a shard: as many as its name has after a colon, or those of one step."""
    values = body["ExpressionAttributeValues"]
    count = int(values[":shard"]["S"].partition(":")[2] or SHOPPERS_PER_STEP)
    after = values[":shard_position"]["S"].partition("#")[0]
    first = int(after) + 1 if after.isdigit() else 0
    last = min(first + body["Limit"], count)
    items = [
        _projected(_entry(_name(number), shop["sku"], "confirmed", number), INDEXED)
        for number in range(first, last)
    ]
    return {"Items": items, **({"LastEvaluatedKey": {}} if last < count else {})}


def _batch_get_item(body: Any, _: Any) -> Any:
    """Answer that every entry waits, and that nobody is suppressed."""
    found = {
        table: [
            _projected(
                _entry(key["shopper"]["S"], key["sku"]["S"], "confirmed", int(key["shopper"]["S"][7:])),
                _names_of(request),
            )
            for key in request["Keys"]
            if "sku" in key
        ]
        for table, request in body["RequestItems"].items()
    }
    return {"Responses": found, "UnprocessedKeys": {}}


def _update_item(body: Any, _: Any) -> Any:
    returned = {"UPDATED_NEW": {"ready_at_us": {"N": "0"}}, "ALL_NEW": {}}
    asked = body.get("ReturnValues")
    return {"Attributes": returned[asked]} if asked in returned else {}


def _batch_execute_statement(body: Any, _: Any) -> Any:
    return {"Responses": [{} for _ in body["Statements"]]}


def _send_message(body: Any, _: Any) -> Any:
    digest = hashlib.md5(body["MessageBody"].encode()).hexdigest()
    return {"MessageId": "m", "MD5OfMessageBody": digest}


def _send_bulk_email(body: Any, _: Any) -> Any:
    results = [{"Status": "SUCCESS", "MessageId": "m"} for _ in body.get("BulkEmailEntries", ())]
    return {"BulkEmailEntryResults": results}


ANSWERS: dict[str, Callable[[Any, Any], Any]] = {
    "BatchExecuteStatement": _batch_execute_statement,
    "BatchGetItem": _batch_get_item,
    "GetItem": _get_item,
    "GetSecretValue": _get_secret,
    "Query": _query,
    "SendBulkEmail": _send_bulk_email,
    "SendMessage": _send_message,
    "UpdateItem": _update_item,
}


def units_of(operation: str, body: Any, answer: Any) -> tuple[str, float] | None:
    """Return the capacity that DynamoDB charges a call: items are rounded up, to 1 KB written, 4 KB read.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
    """
    if operation in {"UpdateItem", "PutItem", "DeleteItem"}:
        return ("write units", 1)
    if operation == "BatchExecuteStatement":
        return ("write units", len(body["Statements"]))
    if operation == "TransactWriteItems":
        return ("write units", 2 * len(body["TransactItems"]))
    if operation == "BatchGetItem":
        return ("read units", sum(len(request["Keys"]) for request in body["RequestItems"].values()))
    if operation in {"GetItem", "Query"}:
        items = answer.get("Items", [answer.get("Item", {})])
        whole = ceil(sum(len(json.dumps(item)) for item in items) / READ_UNIT_BYTES)
        return ("read units", whole if body.get("ConsistentRead") else whole / 2)
    return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # without asking who 127.0.0.1 is
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]


def _names_of(request: dict[str, Any]) -> Iterable[str]:
    names = request["ExpressionAttributeNames"]
    return [names.get(word, word) for word in request["ProjectionExpression"].split(", ")]


def _name(number: int) -> str:
    return f"shopper{number}"


def _projected(item: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: item[name] for name in names if name in item}


def _entry(shopper: str, sku: str, state: str, number: int = 0) -> dict[str, Any]:
    return {
        "shopper": {"S": shopper},
        "sku": {"S": sku},
        "mailbox": {"S": f"{shopper}@example.com"},
        "state": {"S": state},
        "page": {"S": "/products/field-jacket"},
        "signed_up_at_ms": {"N": "1790000000000"},
        "expires_at_s": {"N": str(FAR_AHEAD_S)},
        "shard_position": {"S": f"{number:013d}#{shopper}"},
        "shard": {"S": f"{sku}#0"},
        # A real shopper has a network; confirmed entries need it no more.
        **({"source": {"S": "network"}} if state == "pending" else {}),
    }


if __name__ == "__main__":
    Sink.shop = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    with _Server(("127.0.0.1", 0), Sink) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()

"""Clients of AWS behind HTTP, for code that speaks HTTP and not boto3; the door fails on demand."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, TypeVar

import boto3
from botocore.exceptions import ClientError

from tests.support.aws import REGION

# A fault that a test sets instead of an answer: a status and AWS's word for it.
Fault = tuple[int, str]
# The connection is closed without an answer: before the call is carried out, or after.
HANGS_UP_BEFORE: Fault = (0, "before")
HANGS_UP_AFTER: Fault = (0, "after")
JSON = "application/x-amz-json-1.0"


class AwsDoor:
    """The requests so far, and the fault of the next one.

    `clients` makes the client of a service that answers; without it moto does, which must be on.
    """

    def __init__(self, url: str, clients: Callable[[str], Any] | None = None) -> None:
        self.url = url
        self.calls: list[str] = []
        self.faults: Callable[[], Fault | None] = lambda: None
        make = clients or _moto_client
        self._clients: dict[str, Any] = {service: make(service) for service in ("dynamodb", "secretsmanager")}

    def answer(self, target: str, request: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """The status and the document of one call."""
        prefix, _, operation = target.partition(".")
        self.calls.append(operation)
        fault = self.faults()
        if fault and fault != HANGS_UP_AFTER:
            return fault[0], refused(fault[1])
        status, document = self.carry_out(prefix, operation, request)
        return (0, {}) if fault else (status, document)

    def carry_out(
        self, prefix: str, operation: str, request: Mapping[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        """The same, with nothing going wrong."""
        client = self._clients["dynamodb" if prefix.startswith("DynamoDB") else prefix]
        method = re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()
        try:
            answer = getattr(client, method)(**request)
        except ClientError as error:
            return 400, refused(error.response["Error"]["Code"])
        answer.pop("ResponseMetadata", None)
        return 200, answer


def _moto_client(service: str) -> Any:
    # An endpoint of its own keeps the client inside moto, whatever the environment says.
    return boto3.client(service, endpoint_url=f"https://{service}.{REGION}.amazonaws.com")  # type: ignore[call-overload]


def refused(code: str) -> dict[str, str]:
    """The document of an error."""
    return {"__type": f"com.amazonaws.test#{code}"}


Door = TypeVar("Door", bound=AwsDoor)


@contextmanager
def aws_door(kind: Callable[[str], Door]) -> Iterator[Door]:
    """A door that is open for as long as the block lasts; `kind` makes it from its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Headers and body leave in one packet: the far end's delayed acknowledgement costs 40 ms.
        wbufsize = -1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, document = door.answer(self.headers["X-Amz-Target"], json.loads(body))
            if not status:
                self.close_connection = True
                return
            content = json.dumps(document, default=str).encode()
            self.send_response(status)
            self.send_header("Content-Type", JSON)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    with Server(("127.0.0.1", 0), Handler) as server:
        door = kind(f"http://127.0.0.1:{server.server_address[1]}")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield door
        finally:
            server.shutdown()
            thread.join()

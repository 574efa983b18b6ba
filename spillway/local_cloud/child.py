"""The emulator's own process, bound to the life of the command that started it.

Started as `python -m spillway.local_cloud.child HOME` in a process group of its own. HOME shows in
the process list. Standard input is a pipe held by the parent: when the parent is gone,
however it went, the pipe ends, and so do the emulator and the functions it runs.

The patches of the emulator stand here too: bounded workers, IAM checks for senders and PartiQL, and the names
of the APIs on AWS. The emulator's CloudFront calls no host of Amazon's, so an origin like ID.execute-
api.REGION.amazonaws.com is resolved to the API that runs beside it. The deployed template is the same
everywhere; what differs on a laptop stands in this process.
"""

import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from email.utils import parseaddr
from typing import Any

from spillway.local_cloud.processes import HOST
from spillway.local_cloud.record import DOOR_HEADER, LayerSettings

STOP_WITHIN_S = 10.0


def main() -> None:
    """Run the emulator until a signal stops it or its parent is gone."""
    orphaned = threading.Event()
    threading.Thread(target=_end_with_parent, args=(orphaned,), daemon=True).start()
    os.umask(0o077)
    settings = LayerSettings.take_from(os.environ)
    sys.argv = ["ministack"]
    from ministack.app import main as serve

    from spillway.local_cloud.strict.emulator import install

    make_own_apis_reachable(int(os.environ["GATEWAY_PORT"]), settings.door_secret)
    bound_workers()
    judge_by_sender()
    judge_by_statement()
    install(settings)
    try:
        serve()
    finally:
        if orphaned.is_set():
            _end_group()


def _end_with_parent(orphaned: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    orphaned.set()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOP_WITHIN_S)
    _end_group()


def _end_group() -> None:
    # Functions in mid-call are our children. Only our own group: a person may have started us by hand.
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)


WORKERS_MIN = 2  # with one alone, nothing would ever happen at the same time


def bounded(wanted: int, processors: int | None) -> int:
    """Return how many of the `wanted` workers run at once on a machine with so many processors."""
    return min(wanted, max(WORKERS_MIN, processors or 1))


def bound_workers() -> None:
    """Have the emulator in this process start no more workers for a queue than `bounded` says."""
    from ministack.services import lambda_svc

    allowed = lambda_svc._sqs_esm_concurrency

    def allowed_here(*args: Any) -> int:
        return bounded(allowed(*args), os.cpu_count())

    lambda_svc._sqs_esm_concurrency = allowed_here


SENDING_PATHS = ("/v2/email/outbound-emails", "/v2/email/outbound-bulk-emails")


def sender_of(path: str, body: bytes) -> str | None:
    """Return the address that a SES v2 call sends from; None when it does not send."""
    if path.rstrip("/") not in SENDING_PATHS:
        return None
    try:
        return parseaddr(str(json.loads(body)["FromEmailAddress"]))[1]
    except (ValueError, KeyError, TypeError):
        return None


def judge_by_sender() -> None:
    """Have every policy check of a sending call in this process see the sender's identity and address."""
    from ministack import app
    from ministack.core.responses import get_account_id, get_region

    check_call, check = app._enforce_ses_v2, app._enforce_data_plane
    sender: ContextVar[str | None] = ContextVar("sender", default=None)

    def check_call_of_sender(method: str, path: str, headers: Any, body: bytes, *rest: Any) -> Any:
        token = sender.set(sender_of(path, body))
        try:
            return check_call(method, path, headers, body, *rest)
        finally:
            sender.reset(token)

    def check_sender(service: str, *rest: Any, **named: Any) -> Any:
        if service == "sesv2" and (address := sender.get()):
            named["resource_arn"] = f"arn:aws:ses:{get_region()}:{get_account_id()}:identity/{address}"
            named["service_context"] = {"ses:FromAddress": address}
        return check(service, *rest, **named)

    app._enforce_ses_v2, app._enforce_data_plane = check_call_of_sender, check_sender


Checks = list[tuple[str, str]]

# The first word of a statement and the table it names.
STATEMENT = re.compile(
    r'\s*(SELECT|INSERT|UPDATE|DELETE)\b(?:.*?\b(?:FROM|INTO))?\s*"([A-Za-z0-9_.-]+)"', re.DOTALL
)


def statement_checks(body: bytes, table_arn: Callable[[str], str]) -> Checks:
    """Return the rights that a batch needs, as (action, ARN of the table) of each statement."""
    statements = [each["Statement"] for each in json.loads(body)["Statements"]]
    found = [match.groups() for match in map(STATEMENT.match, statements) if match]
    return list(dict.fromkeys((f"dynamodb:PartiQL{verb.title()}", table_arn(table)) for verb, table in found))


def judge_by_statement() -> None:
    """Have every policy check of such a batch in this process see its statements."""
    from ministack.core import iam_actions

    checks_of_transaction = iam_actions.dynamodb_transaction_checks

    def checks(iam_action: str, body: bytes, region: str, account_id: str) -> Checks:
        if iam_action == "dynamodb:BatchExecuteStatement":
            return statement_checks(
                body, lambda table: f"arn:aws:dynamodb:{region}:{account_id}:table/{table}"
            )
        found: Checks = checks_of_transaction(iam_action, body, region, account_id)
        return found

    iam_actions.dynamodb_transaction_checks = checks


API_DOMAIN = re.compile(r"(?P<id>[a-z0-9]+)\.execute-api\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?")


def reachable(origin: Mapping[str, Any], *, port: int, door_secret: str) -> dict[str, Any]:
    """Return the emulator's view of an origin, with an API's AWS name replaced by where it answers locally.

    The emulator's own door opens to `door_secret`.
    """
    api = API_DOMAIN.fullmatch(origin["domain_name"])
    if api is None:
        return dict(origin)
    return dict(origin) | {
        "domain_name": HOST,
        "http_port": port,
        "protocol_policy": "http-only",
        "custom_headers": [*origin.get("custom_headers", ()), (DOOR_HEADER, door_secret)],
        "origin_path": f"/_aws/execute-api/{api['id']}{origin.get('origin_path') or ''}",
    }


def make_own_apis_reachable(port: int, door_secret: str) -> None:
    """Apply `reachable` to every distribution of the emulator in this process, which answers on `port`."""
    from ministack.services import cloudfront

    parse = cloudfront.parse_distribution_dataplane_config

    def parse_reachable(distribution: Mapping[str, Any]) -> dict[str, Any]:
        config: dict[str, Any] = parse(distribution)
        origins = {
            name: reachable(origin, port=port, door_secret=door_secret)
            for name, origin in config["origins"].items()
        }
        return config | {"origins": origins}

    cloudfront.parse_distribution_dataplane_config = parse_reachable


if __name__ == "__main__":
    main()

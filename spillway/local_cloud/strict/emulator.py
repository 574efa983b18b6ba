"""Sets the strict layer before the emulator, in the emulator's own process."""

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from spillway.local_cloud.checkpoints import save_regularly
from spillway.local_cloud.servers import BrowserGuard, hosts_of
from spillway.local_cloud.strict import checks, loops
from spillway.local_cloud.strict.cdn import EdgeCache
from spillway.local_cloud.strict.layer import StrictLayer
from spillway.local_cloud.strict.requests import Call
from spillway.local_cloud.strict.settings import LayerSettings

RESPONSE_BYTES_MAX = 6 * checks.MIB + 100
FUNCTION = "AWS::Lambda::Function"


def install(settings: LayerSettings) -> None:
    """Put the layer in the place of the emulator's application, before it starts to serve."""
    from ministack import app

    account = checks.Account(time.monotonic, _stored_object, _reserved, settings.concurrency)
    hosts = frozenset[str]().union(*map(hosts_of, settings.ports))
    loops.detect_loops(settings.invocations_max, _outcome)
    issue_secrets_of_this_run(settings.door_secret)
    hold_functions_of_stacks(account)
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


def _may_list(call: Call, access_key: str) -> bool:
    from ministack import app
    from ministack.core import iam_evaluator
    from ministack.core.responses import get_region

    bucket = f"arn:aws:s3:::{call.members['Bucket']}"
    asked = ("s3:ListBucket", "s3", get_region())
    return not app.AUTH or iam_evaluator.enforce(access_key, *asked, resource_arn=bucket) is None


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
    """Have functions sign with secrets that nobody can work out from their names."""
    from ministack.core import lambda_runtime
    from ministack.services import lambda_svc, sts

    issue = lambda_runtime.execution_credentials

    def issue_secret(config: dict[str, Any]) -> dict[str, str]:
        issued: dict[str, str] = issue(config)
        session = sts._sessions.get(issued["AWS_ACCESS_KEY_ID"])
        if session is None:  # without IAM, functions sign as the account
            return issued
        secret, token = (
            hmac.digest(
                seed.encode(), f"{purpose}:{issued['AWS_ACCESS_KEY_ID']}".encode(), hashlib.sha256
            ).hex()
            for purpose in ("secret", "token")
        )
        session |= {"SecretAccessKey": secret, "SessionToken": token}
        return issued | {"AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token}

    lambda_runtime.execution_credentials = issue_secret
    lambda_svc.execution_credentials = issue_secret


def hold_functions_of_stacks(account: checks.Account) -> None:
    """Have stacks set what the emulator leaves out of a function: recursion and reserved concurrency."""
    from ministack.services.cloudformation import provisioners

    handlers = provisioners._RESOURCE_HANDLERS[FUNCTION]

    def held(handle: Callable[..., Any], properties_at: int) -> Callable[..., Any]:
        def handle_and_hold(*arguments: Any, **named: Any) -> Any:
            done = handle(*arguments, **named)
            _hold(done[0], arguments[properties_at], account)
            return done

        return handle_and_hold

    provisioners._RESOURCE_HANDLERS[FUNCTION] = handlers | {
        "create": held(handlers["create"], 1),
        "update": held(handlers["update"], 2),
    }


def _hold(name: str, properties: dict[str, Any], account: checks.Account) -> None:
    from ministack.services import lambda_svc

    function = lambda_svc._functions[name]
    function["recursive_loop"] = properties.get("RecursiveLoop", "Terminate")
    wanted = properties.get("ReservedConcurrentExecutions")
    if wanted is not None:
        refusal = checks.reserved_concurrency_refusal(name, int(wanted), account)
        if refusal is not None:
            raise ValueError(f"{refusal.message} (Service: Lambda, Status Code: 400)")
    function["concurrency"] = int(wanted) if wanted is not None else None

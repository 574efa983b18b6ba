"""Lower the stage's API Gateway throttle during a flood, by the call that an operator would use.

Calls are rejected where AWS rejects them, in front of Lambda, with the template's answer: 429 and
Retry-After. The local cloud enforces the settings of the deployed stage.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from spillway.stage import Stage

API_STAGE = "api"  # .chalice/config.json
EVERY_METHOD = "*/*"
SETTINGS = ("rateLimit", "burstLimit")


@contextmanager
def throttled(stage: Stage, calls_per_s_max: float) -> Iterator[None]:
    """Let each method of the API take so many calls a second; as before when the block ends. 0: leave it."""
    if not calls_per_s_max:
        yield
        return
    client, api = stage.client("apigateway"), _api(stage)
    settings = client.get_stage(restApiId=api, stageName=API_STAGE)["methodSettings"][EVERY_METHOD]
    before = {"rateLimit": settings["throttlingRateLimit"], "burstLimit": settings["throttlingBurstLimit"]}
    _set(client, api, {"rateLimit": calls_per_s_max, "burstLimit": burst_of(calls_per_s_max)})
    try:
        yield
    finally:
        _set(client, api, before)


def burst_of(calls_per_s_max: float) -> int:
    """Return the burst limit: the calls of one second."""
    return max(1, round(calls_per_s_max))


def _set(client: Any, api: str, limits: dict[str, float]) -> None:
    client.update_stage(
        restApiId=api,
        stageName=API_STAGE,
        patchOperations=[
            {"op": "replace", "path": f"/{EVERY_METHOD}/throttling/{name}", "value": f"{limits[name]:g}"}
            for name in SETTINGS
        ],
    )


def _api(stage: Stage) -> str:
    detail = stage.client("cloudformation").describe_stack_resource(
        StackName=stage.stack_name, LogicalResourceId="RestAPI"
    )["StackResourceDetail"]
    return str(detail["PhysicalResourceId"])

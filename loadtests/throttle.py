"""The stage's own throttle, turned down for a while: API Gateway's, by the call an operator would use.

What is refused is refused where AWS would refuse it, in front of Lambda, with the answer the template
has for it: 429 and Retry-After. The local cloud enforces it as the deployed stage says.
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
    """How many calls may come at once: a second's."""
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

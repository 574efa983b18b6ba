"""The stage's throttle, turned down for a flood by the calls of API Gateway."""

from typing import Any

import boto3
import pytest

from loadtests.shapes import CALLS_PER_S_MAX, Shape
from loadtests.throttle import throttled
from spillway.stage import Stage
from tests.support.aws import REGION

AS_DEPLOYED = {"throttlingRateLimit": 5000.0, "throttlingBurstLimit": 5000.0}


class Gateway:
    """A stage's API, whose throttle is looked at and set by the calls of AWS."""

    def __init__(self) -> None:
        self.limits = dict(AS_DEPLOYED)

    def describe_stack_resource(self, **_: str) -> dict[str, Any]:
        return {"StackResourceDetail": {"PhysicalResourceId": "api1"}}

    def get_stage(self, **asked: str) -> dict[str, Any]:
        assert asked == {"restApiId": "api1", "stageName": "api"}
        return {"methodSettings": {"*/*": dict(self.limits)}}

    def update_stage(self, **asked: Any) -> None:
        for operation in asked["patchOperations"]:
            name = operation["path"].removeprefix("/*/*/throttling/")
            self.limits[f"throttling{name[0].upper()}{name[1:]}"] = float(operation["value"])


class GatewayStage(Stage):
    """A stage with nothing but that API."""

    gateway = Gateway()

    def client(self, service: str) -> Any:
        return self.gateway


@pytest.fixture
def stage() -> GatewayStage:
    GatewayStage.gateway = Gateway()
    return GatewayStage("local", REGION, boto3.Session(region_name=REGION))


def flood_that_is_stopped(stage: Stage, seen: list[float]) -> None:
    with throttled(stage, 2.5):
        seen += GatewayStage.gateway.limits.values()
        raise KeyboardInterrupt


def test_the_stages_throttle_is_turned_down_for_the_flood_and_as_before_after_it(stage: Stage) -> None:
    seen: list[float] = []
    with pytest.raises(KeyboardInterrupt):
        flood_that_is_stopped(stage, seen)
    assert seen == [2.5, 2]
    assert GatewayStage.gateway.limits == AS_DEPLOYED


def test_no_throttle_leaves_the_stage_alone(stage: Stage) -> None:
    with throttled(stage, 0):
        assert GatewayStage.gateway.limits == AS_DEPLOYED


def test_spikes_are_turned_away_and_the_other_shapes_are_not() -> None:
    assert {shape for shape, limit in CALLS_PER_S_MAX.items() if limit} == {Shape.SPIKE, Shape.DOUBLE_SPIKE}
    assert set(CALLS_PER_S_MAX) == set(Shape)

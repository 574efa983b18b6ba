"""The very stack of this tree, as two stages and in two regions of one account, on the local cloud."""

from dataclasses import dataclass
from typing import Any

import boto3
import httpx
import pytest

from spillway.deploy.stack import DeployOutcome, deploy
from spillway.local_cloud.record import DOOR_HEADER
from spillway.stage import Stage
from tests.conftest import KEYS
from tests.support.uploaded import GLOBAL_KINDS, made_package

pytestmark = [pytest.mark.local_cloud, pytest.mark.slow]

# Viewers and who goes around the distribution do not sign: the local cloud lets them in by this.
DOOR = {DOOR_HEADER: KEYS.door_secret}
SENDER = {"SenderAddress": "hello@shop.example", "SenderIdentity": "shop.example"}
DESCRIPTION = "/api/openapi.json"


@dataclass
class Deployed:
    """One stage of the shop, and the physical names of what it is made of."""

    stage: Stage
    names: dict[str, str]
    kinds: dict[str, str]

    def position_of(self, logical_id: str) -> tuple[str, str]:
        """The physical name, and the region it must be one of its kind in; none for all of them."""
        everywhere = self.kinds[logical_id].startswith(GLOBAL_KINDS)
        return "" if everywhere else self.stage.region, self.names[logical_id]


def deployed(url: str, name: str, region: str, **given: str) -> Deployed:
    """Deploy this tree's package as a stage."""
    session = boto3.Session(
        aws_access_key_id=KEYS.access_key, aws_secret_access_key=KEYS.secret_key, region_name=region
    )
    stage = Stage(name, region, session, url)
    assert deploy(stage, made_package(), SENDER | given, lambda _: True) is DeployOutcome.CHANGED
    cloudformation: Any = stage.client("cloudformation")
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stage.stack_name)
    summaries = [summary for page in pages for summary in page["StackResourceSummaries"]]
    assert {summary["ResourceStatus"] for summary in summaries} == {"CREATE_COMPLETE"}
    names = {summary["LogicalResourceId"]: summary["PhysicalResourceId"] for summary in summaries}
    return Deployed(
        stage, names, {summary["LogicalResourceId"]: summary["ResourceType"] for summary in summaries}
    )


@pytest.fixture(scope="module")
def stages(local_cloud_url: str) -> list[Deployed]:
    """Two stages in one region, and one of them in another region too."""
    return [
        deployed(local_cloud_url, name, region)
        for name, region in (("side-a", "us-east-1"), ("side-b", "us-east-1"), ("side-b", "eu-west-1"))
    ]


def through_the_distribution(stage: Stage, headers: dict[str, str] | None = None) -> httpx.Response:
    host = {"Host": stage.outputs()["DistributionDomain"], "X-Forwarded-Proto": "https"}
    with httpx.Client(trust_env=False, timeout=60) as client:
        return client.get(f"{stage.endpoint_url}{DESCRIPTION}", headers={**DOOR, **host, **(headers or {})})


def around_it(one: Deployed, headers: dict[str, str] | None = None) -> httpx.Response:
    address = f"{one.stage.endpoint_url}/_aws/execute-api/{one.names['RestAPI']}{DESCRIPTION}"
    with httpx.Client(trust_env=False, timeout=60) as client:
        return client.get(address, headers=DOOR | (headers or {}))


def test_stages_and_regions_share_nothing(stages: list[Deployed]) -> None:
    shared = {
        stages[0].kinds[logical_id]
        for logical_id in stages[0].names
        if len({one.position_of(logical_id) for one in stages}) < len(stages)
    }
    # A stage is one of its API. Generated names end in random letters, which the emulator repeats for roles.
    assert shared <= {"AWS::IAM::Role", "AWS::ApiGateway::Stage"}


def test_each_apis_key_opens_that_api_alone(stages: list[Deployed]) -> None:
    for one in stages:
        assert through_the_distribution(one.stage).json()["info"]["title"] == "Spillway"
        assert around_it(one).status_code in {403, 404}
        assert "openapi" not in around_it(one).text
        # The distribution's own key replaces a value that a shopper sends under its name.
        assert through_the_distribution(one.stage, {"x-api-key": "guessed"}).status_code == 200
    keys = [key_of(one) for one in stages]
    assert len({*keys}) == len(stages)
    assert all(len(key) == 64 for key in keys)
    for one, key in zip(stages, keys, strict=True):
        assert around_it(one, {"x-api-key": key}).status_code == 200
    first, second, _ = stages
    assert around_it(first, {"x-api-key": key_of(second)}).status_code in {403, 404}


def key_of(one: Deployed) -> str:
    gateway: Any = one.stage.client("apigateway")
    return str(gateway.get_api_key(apiKey=one.names["OriginApiKey"], includeValue=True)["value"])


def test_the_next_number_replaces_the_key_everywhere(stages: list[Deployed]) -> None:
    one = stages[0]
    before = key_of(one)
    given = {"OriginKeyNumber": "2"}
    assert deploy(one.stage, made_package(), given, lambda _: True) is DeployOutcome.CHANGED
    cloudformation: Any = one.stage.client("cloudformation")
    asked = {"StackName": one.stage.stack_name, "LogicalResourceId": "OriginApiKey"}
    now = cloudformation.describe_stack_resource(**asked)["StackResourceDetail"]["PhysicalResourceId"]
    one.names["OriginApiKey"] = now
    assert key_of(one) != before
    assert through_the_distribution(one.stage).status_code == 200
    assert around_it(one, {"x-api-key": before}).status_code in {403, 404}

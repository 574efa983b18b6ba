"""A stack is brought up to date by change set; the same code runs against the local cloud and AWS."""

import uuid
from pathlib import Path

import pytest

from spillway.deploy.change_set import Change, ChangeSet
from spillway.deploy.package import Package
from spillway.deploy.stack import Outcome, deploy
from spillway.deploy.stage import Stage, local_stage
from spillway.errors import BadInput, WorkFailed

pytestmark = pytest.mark.local_cloud

TEMPLATE = """
AWSTemplateFormatVersion: "2010-09-09"
Parameters:
  Seconds: {Type: Number}
Resources:
  Letters:
    Type: AWS::SQS::Queue
    Properties: {VisibilityTimeout: !Ref Seconds}
Outputs:
  Letters: {Value: !GetAtt Letters.QueueName}
"""
SECONDS_TOO_MANY = "999999"


@pytest.fixture
def stage(local_cloud_url: str) -> Stage:
    """A stage of its own name on the local cloud."""
    local = local_stage(local_cloud_url, "us-east-1", "http://shop.test")
    return Stage(f"test-{uuid.uuid4().hex[:8]}", local.region, local.session, local.endpoint_url)


def package_of(template: str, folder: Path) -> Package:
    archive, file = folder / "deployment.zip", folder / "sam.yaml"
    archive.write_bytes(b"code")
    file.write_text(template)
    return Package(archive, file)


class Operator:
    """Says yes or no to every change set, and remembers what they were."""

    def __init__(self, *, says_yes: bool) -> None:
        self.says_yes = says_yes
        self.asked: list[ChangeSet] = []

    def approve(self, change_set: ChangeSet) -> bool:
        self.asked.append(change_set)
        return self.says_yes


def test_a_stack_is_created_once_and_then_only_changed(stage: Stage, tmp_path: Path) -> None:
    operator = Operator(says_yes=True)
    package = package_of(TEMPLATE, tmp_path)
    assert deploy(stage, package, {"Seconds": "30"}, operator.approve) is Outcome.CHANGED
    assert stage.outputs()["Letters"].startswith(stage.stack_name)
    assert deploy(stage, package, {}, operator.approve) is Outcome.UNCHANGED
    assert deploy(stage, package, {"Seconds": "60"}, operator.approve) is Outcome.CHANGED
    created, changed = operator.asked
    assert (created.creates_stack, created.changes) == (True, (Change("Add", "Letters", "AWS::SQS::Queue"),))
    assert (changed.creates_stack, changed.changes) == (
        False,
        (Change("Modify", "Letters", "AWS::SQS::Queue"),),
    )


def test_nothing_is_executed_without_a_yes(stage: Stage, tmp_path: Path) -> None:
    operator = Operator(says_yes=False)
    package = package_of(TEMPLATE, tmp_path)
    assert deploy(stage, package, {"Seconds": "30"}, operator.approve) is Outcome.DECLINED
    with pytest.raises(BadInput, match="nothing is deployed"):
        stage.outputs()
    operator.says_yes = True
    assert deploy(stage, package, {"Seconds": "30"}, operator.approve) is Outcome.CHANGED


def test_a_failed_deployment_tells_which_resource_and_why(stage: Stage, tmp_path: Path) -> None:
    package, operator = package_of(TEMPLATE, tmp_path), Operator(says_yes=True)
    with pytest.raises(WorkFailed, match="VisibilityTimeout") as failed:
        deploy(stage, package, {"Seconds": SECONDS_TOO_MANY}, operator.approve)
    assert "Letters (AWS::SQS::Queue)" in failed.value.message
    with pytest.raises(WorkFailed, match="first deployment failed") as stuck:
        deploy(stage, package, {"Seconds": "30"}, operator.approve)
    assert "delete-stack" in stuck.value.way_out


def test_a_missing_parameter_is_bad_input_and_nothing_is_made(stage: Stage, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Seconds"):
        deploy(stage, package_of(TEMPLATE, tmp_path), {}, Operator(says_yes=True).approve)
    with pytest.raises(BadInput, match="nothing is deployed"):
        stage.outputs()

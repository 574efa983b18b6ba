"""A stack is updated by change set; the same code runs against the local cloud and AWS."""

import json
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from spillway.deploy.package import Package
from spillway.deploy.stack import DeployOutcome, adopt, deploy
from spillway.deploy.template import ChangeSet, ResourceChange, import_template, resources_to_import
from spillway.errors import BadInput, WorkFailed
from spillway.local_cloud.record import CloudRecord
from spillway.operate.teardown import destroy, plan_destruction
from spillway.stage import Stage, local_stage
from tests.conftest import KEYS
from tests.support.aws import REGION
from tests.support.aws import template as template_of_the_stack

pytestmark = pytest.mark.local_cloud

QUEUE = "AWS::SQS::Queue"
TEMPLATE: dict[str, Any] = {
    "AWSTemplateFormatVersion": "2010-09-09",
    "Parameters": {"Seconds": {"Type": "Number"}},
    "Resources": {"Emails": {"Type": QUEUE, "Properties": {"VisibilityTimeout": {"Ref": "Seconds"}}}},
    "Outputs": {"Emails": {"Value": {"Fn::GetAtt": ["Emails", "QueueName"]}}},
}
KEPT = {"DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain"}
SECONDS_TOO_MANY = "999999"


@pytest.fixture
def stage(local_cloud_url: str) -> Stage:
    """A stage of its own name on the local cloud."""
    record = CloudRecord(
        local_cloud_url, REGION, "http://shop.test", "http://inbox.test", KEYS.access_key, KEYS.secret_key
    )
    local = local_stage(record)
    return Stage(f"test-{uuid.uuid4().hex[:8]}", local.region, local.session, local.endpoint_url)


def package_of(template: dict[str, Any], folder: Path) -> Package:
    archive, file = folder / "deployment.zip", folder / "sam.json"
    archive.write_bytes(b"code")
    file.write_text(json.dumps(template))
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
    assert deploy(stage, package, {"Seconds": "30"}, operator.approve) is DeployOutcome.CHANGED
    assert stage.outputs()["Emails"].startswith(stage.stack_name)
    assert deploy(stage, package, {}, operator.approve) is DeployOutcome.UNCHANGED
    assert deploy(stage, package, {"Seconds": "60"}, operator.approve) is DeployOutcome.CHANGED
    created, changed = operator.asked
    assert (created.creates_stack, created.changes) == (
        True,
        (ResourceChange("Add", "Emails", "AWS::SQS::Queue"),),
    )
    assert (changed.creates_stack, changed.changes) == (
        False,
        (ResourceChange("Modify", "Emails", "AWS::SQS::Queue"),),
    )


def test_nothing_is_executed_without_a_yes(stage: Stage, tmp_path: Path) -> None:
    operator = Operator(says_yes=False)
    package = package_of(TEMPLATE, tmp_path)
    assert deploy(stage, package, {"Seconds": "30"}, operator.approve) is DeployOutcome.DECLINED
    with pytest.raises(BadInput, match="nothing is deployed"):
        stage.outputs()
    operator.says_yes = True
    assert deploy(stage, package, {"Seconds": "30"}, operator.approve) is DeployOutcome.CHANGED


def test_a_question_that_is_broken_off_leaves_no_stack(stage: Stage, tmp_path: Path) -> None:
    def break_off(_: ChangeSet) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deploy(stage, package_of(TEMPLATE, tmp_path), {"Seconds": "30"}, break_off)
    with pytest.raises(ClientError, match="does not exist"):
        stage.client("cloudformation").describe_stacks(StackName=stage.stack_name)


def test_a_failed_deployment_names_the_resource_and_the_reason(stage: Stage, tmp_path: Path) -> None:
    package, operator = package_of(TEMPLATE, tmp_path), Operator(says_yes=True)
    with pytest.raises(WorkFailed, match="VisibilityTimeout") as failed:
        deploy(stage, package, {"Seconds": SECONDS_TOO_MANY}, operator.approve)
    assert "Emails (AWS::SQS::Queue)" in failed.value.message


TRUST = {"Version": "2012-10-17", "Statement": []}
NO_POLICY = {"Statement": [{"Effect": "Allow", "Action": "GetObject", "Resource": "*"}]}
ROLE = {
    "AssumeRolePolicyDocument": TRUST,
    "Policies": [{"PolicyName": "p", "PolicyDocument": NO_POLICY}],
}
FROM_QUEUE = {"FunctionName": "f", "EventSourceArn": "arn:aws:sqs:us-east-1:000000000000:q", "BatchSize": 11}


@pytest.mark.parametrize(
    ("kind", "properties", "said"),
    [
        ("IAM::Role", ROLE, "MalformedPolicyDocument"),
        ("Lambda::EventSourceMapping", FROM_QUEUE, "Maximum batch window"),
        ("Lambda::Function", {"Environment": {"Variables": {"AB": "x" * 4_096}}}, "4KB limit"),
    ],
)
def test_a_resource_that_aws_refuses_fails_its_stack(
    stage: Stage, tmp_path: Path, kind: str, properties: dict[str, Any], said: str
) -> None:
    template = TEMPLATE | {"Resources": {"Emails": {"Type": f"AWS::{kind}", "Properties": properties}}}
    del template["Outputs"]
    with pytest.raises(WorkFailed, match=said):
        deploy(stage, package_of(template, tmp_path), {"Seconds": "1"}, Operator(says_yes=True).approve)


def with_a_kept_table(policy: dict[str, str]) -> dict[str, Any]:
    """The template, with a table that is made before the queue."""
    table = {
        "Type": "AWS::DynamoDB::Table",
        **policy,
        "Properties": {
            "TableName": {"Fn::Sub": "${AWS::StackName}-entries"},
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        },
    }
    emails = {**TEMPLATE["Resources"]["Emails"], "DependsOn": "Entries"}
    return {**TEMPLATE, "Resources": {"Entries": table, "Emails": emails}}


def test_a_failed_first_deployment_leaves_nothing_that_stops_the_next(stage: Stage, tmp_path: Path) -> None:
    package, operator = package_of(with_a_kept_table(KEPT), tmp_path), Operator(says_yes=True)
    with pytest.raises(WorkFailed, match="VisibilityTimeout"):
        deploy(stage, package, {"Seconds": SECONDS_TOO_MANY}, operator.approve)
    # The stack is the second one of its name; the table's own name is free again.
    said: list[str] = []
    assert deploy(stage, package, {"Seconds": "30"}, operator.approve, said.append) is DeployOutcome.CHANGED
    assert said == [
        f"Stack {stage.stack_name}: its first deployment failed. It is deleted before the next one."
    ]
    assert operator.asked[-1].creates_stack
    table = stage.client("dynamodb").describe_table(TableName=f"{stage.stack_name}-entries")["Table"]
    assert table["TableStatus"] == "ACTIVE"


def test_a_table_that_outlived_its_stack_is_taken_into_a_new_one(stage: Stage, tmp_path: Path) -> None:
    package, operator = package_of(with_a_kept_table(KEPT), tmp_path), Operator(says_yes=True)
    deploy(stage, package, {"Seconds": "30"}, operator.approve)
    name, dynamodb = f"{stage.stack_name}-entries", stage.client("dynamodb")
    dynamodb.put_item(TableName=name, Item={"id": {"S": "ada"}})
    said: list[str] = []
    destroy(stage, plan_destruction(stage, with_data=False), said.append)
    assert adopt(stage, package, {"Entries": name}, operator.approve) is DeployOutcome.CHANGED
    assert [(change.action, change.logical_id) for change in operator.asked[-1].changes] == [
        ("Import", "Entries")
    ]
    assert deploy(stage, package, {"Seconds": "60"}, operator.approve) is DeployOutcome.CHANGED
    # The table is changed by nothing, and beside it stands a new queue.
    assert {(change.action, change.logical_id) for change in operator.asked[-1].changes} == {
        ("Add", "Emails")
    }
    assert dynamodb.get_item(TableName=name, Key={"id": {"S": "ada"}})["Item"] == {"id": {"S": "ada"}}
    with pytest.raises(BadInput, match="only a new stack adopts resources"):
        adopt(stage, package, {"Entries": name}, operator.approve)


def test_only_what_outlives_its_stack_is_adopted_and_no_parameter_decides_of_it() -> None:
    names = {
        "EntriesTable": "t",
        "PagesBucket": "p",
        "SigningKeysSecret": "arn:aws:secretsmanager:us-east-1:123456789012:secret:S-1",
    }
    template = import_template(template_of_the_stack(), names)
    assert "Fn::If" not in json.dumps(template)
    assert set(template) == {"AWSTemplateFormatVersion", "Resources"}
    assert all("DeletionPolicy" in resource for resource in template["Resources"].values())
    assert [item["ResourceIdentifier"] for item in resources_to_import(template, names)] == [
        {"TableName": "t"},
        {"BucketName": "p"},
        {"Id": names["SigningKeysSecret"]},
    ]
    # CloudFormation refuses a reference to a resource that the import leaves out.
    resources = template_of_the_stack()["Resources"]
    every = {name: "x" for name, resource in resources.items() if "DeletionPolicy" in resource}
    alone = import_template(template_of_the_stack(), every)["Resources"]
    assert len(alone) == 16
    assert not re.search(r'"(Ref|Fn::\w+|DependsOn)":', json.dumps(alone))
    assert alone["TrafficBucket"]["Properties"].keys() == (
        resources["TrafficBucket"]["Properties"].keys() - {"NotificationConfiguration"}
    )
    assert alone["EntriesTable"]["Properties"]["GlobalSecondaryIndexes"][0]["IndexName"] == "shard"
    with pytest.raises(BadInput, match="--adopt WavesQueue: no resource that outlives its stack"):
        import_template(template_of_the_stack(), {"WavesQueue": "q"})


def test_remains_of_a_failed_deployment_are_named(stage: Stage, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("before", "now")]
    for folder in folders:
        folder.mkdir()
    before = package_of(with_a_kept_table(KEPT | {"DeletionPolicy": "Retain"}), folders[0])
    with pytest.raises(WorkFailed, match="VisibilityTimeout"):
        deploy(stage, before, {"Seconds": SECONDS_TOO_MANY}, Operator(says_yes=True).approve)
    said: list[str] = []
    now = package_of(TEMPLATE, folders[1])
    assert (
        deploy(stage, now, {"Seconds": "30"}, Operator(says_yes=True).approve, said.append)
        is DeployOutcome.CHANGED
    )
    assert said[1:] == [f"  left behind: Entries (AWS::DynamoDB::Table) {stage.stack_name}-entries"]


def test_a_template_that_cloudformation_refuses_is_bad_input(stage: Stage, tmp_path: Path) -> None:
    package = package_of({**TEMPLATE, "Resources": {"Emails": {"Type": "AWS::SQS::Nothing"}}}, tmp_path)
    with pytest.raises(BadInput, match="Nothing"):
        deploy(stage, package, {"Seconds": "30"}, Operator(says_yes=True).approve)


def test_a_missing_parameter_is_bad_input_and_nothing_is_made(stage: Stage, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Seconds"):
        deploy(stage, package_of(TEMPLATE, tmp_path), {}, Operator(says_yes=True).approve)
    with pytest.raises(BadInput, match="nothing is deployed"):
        stage.outputs()

"""Delete a stage: its stack, and its data only when asked to."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from spillway.deploy.template import KEEPS_DATA
from spillway.errors import BadInput, WorkFailed
from spillway.stage import Stage

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_s3 import S3Client

DESTROY_WITHIN_S = 45 * 60


@dataclass(frozen=True, slots=True)
class RetainedResource:
    """A resource with data in it, which deleting the stack leaves alone."""

    logical_id: str
    resource_type: str
    name: str


@dataclass(frozen=True, slots=True)
class Teardown:
    """The plan of a teardown: so many resources go; `kept` stay, or go too if `with_data`."""

    stack_name: str
    goes: int
    kept: tuple[RetainedResource, ...]
    with_data: bool


def plan_destruction(stage: Stage, *, with_data: bool) -> Teardown:
    """Return what destroying the stage does, without a change.

    Raises:
        BadInput: nothing is deployed as this stage, or there is data of a kind that cannot be deleted here.
    """
    stage.outputs()
    client: CloudFormationClient = stage.client("cloudformation")
    template: Any = client.get_template(StackName=stage.stack_name, TemplateStage="Original")["TemplateBody"]
    retained = retained_ids(template)
    kept, goes = [], 0
    for page in client.get_paginator("list_stack_resources").paginate(StackName=stage.stack_name):
        for resource in page["StackResourceSummaries"]:
            if resource["LogicalResourceId"] in retained:
                name = resource.get("PhysicalResourceId", "")
                kept.append(RetainedResource(resource["LogicalResourceId"], resource["ResourceType"], name))
            else:
                goes += 1
    if with_data:
        _require_deletable(kept)
    return Teardown(stage.stack_name, goes, tuple(kept), with_data)


def _require_deletable(kept: Iterable[RetainedResource]) -> None:
    # Before the stack goes: without it, nobody finds again what was left.
    strange = [
        f"{each.logical_id} ({each.resource_type})" for each in kept if each.resource_type not in DELETERS
    ]
    if strange:
        raise BadInput(
            f"--with-data: do not know how to delete {', '.join(strange)}; nothing was done",
            hint="without --with-data the stack goes and all data stays",
        )


def retained_ids(template: Any) -> frozenset[str]:
    """Return the resources of a template that outlive their stack."""
    if isinstance(template, str):
        import yaml

        template = yaml.safe_load(template)
    resources = template["Resources"]
    return frozenset(name for name, each in resources.items() if each.get("DeletionPolicy") in KEEPS_DATA)


def destroy(stage: Stage, plan: Teardown, progress: Callable[[str], None]) -> None:
    """Carry a plan out.

    Raises:
        WorkFailed: CloudFormation could not delete the stack, and the data has not been touched; or some of
            the data could not be deleted, which the message names.
    """
    client: CloudFormationClient = stage.client("cloudformation")
    client.delete_stack(StackName=plan.stack_name)
    _await_deleted(client, stage, plan.stack_name)
    progress(f"stack {plan.stack_name} is deleted")
    left = []
    for kept in plan.kept if plan.with_data else ():
        try:
            DELETERS[kept.resource_type](stage, kept.name)
            progress(f"{kept.logical_id} is deleted")
        except (BotoCoreError, ClientError) as error:
            # Without the stack, nobody finds it again: the others go, and this one is named.
            left.append(f"  {kept.logical_id} ({kept.resource_type}, {kept.name}): {error}")
    if left:
        raise WorkFailed(
            "\n".join([f"stack {plan.stack_name} is deleted, and not all of its data:", *left]),
            hint="delete these by hand: no stack names them any more",
        )


def _await_deleted(client: "CloudFormationClient", stage: Stage, name: str) -> None:
    deadline = time.monotonic() + DESTROY_WITHIN_S
    while time.monotonic() < deadline:
        try:
            status = client.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
        except ClientError as error:
            if "does not exist" in str(error):
                return
            raise
        if status == "DELETE_COMPLETE":
            return
        if status == "DELETE_FAILED":
            break
        time.sleep(stage.poll_s)
    raise WorkFailed(
        f"stack {name} could not be deleted", hint="its events in the CloudFormation console say why"
    )


def _delete_table(stage: Stage, name: str) -> None:
    dynamodb: DynamoDBClient = stage.client("dynamodb")
    dynamodb.delete_table(TableName=name)


def _delete_bucket(stage: Stage, bucket: str) -> None:
    s3: S3Client = stage.client("s3")
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
    for page in pages:
        versions: Any = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        objects: Any = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in versions]
        if objects:
            # An object that is not deleted leaves its bucket, which S3 then refuses to delete.
            s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
    s3.delete_bucket(Bucket=bucket)


def _delete_secret(stage: Stage, name: str) -> None:
    # For a week it can still be restored: without it, no old link can be read again.
    stage.client("secretsmanager").delete_secret(SecretId=name, RecoveryWindowInDays=7)


# How what holds data is deleted, by the type of the resource.
DELETERS: dict[str, Callable[[Stage, str], None]] = {
    "AWS::DynamoDB::Table": _delete_table,
    "AWS::S3::Bucket": _delete_bucket,
    "AWS::SecretsManager::Secret": _delete_secret,
}

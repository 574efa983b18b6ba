"""Deploying: a change set is made, shown, executed and waited for. The same on a laptop and on AWS."""

import hashlib
import json
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from spillway.deploy.package import Package
from spillway.deploy.template import (
    ChangeSet,
    ResourceChange,
    import_template,
    is_empty,
    parameters_for,
    require_region,
    resources_to_import,
)
from spillway.errors import BadInput, WorkFailed
from spillway.stage import Stage

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient
if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

# A first distribution takes CloudFront some minutes.
DEPLOY_WITHIN_S = 45 * 60
DESCRIBE_WITHIN_S = 5 * 60
# A stack that was never made, or whose change set was never executed.
NOT_YET = frozenset({"", "REVIEW_IN_PROGRESS"})
DONE = frozenset(
    {"CREATE_COMPLETE", "IMPORT_COMPLETE", "UPDATE_COMPLETE", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"}
)
# A stack whose first deployment failed takes no other one. It never worked, so nothing in it is anybody's.
NEVER_WORKED = frozenset({"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED"})
# States that a person has to lead out of, by an operation of CloudFormation.
LED_OUT_BY = {"UPDATE_ROLLBACK_FAILED": "continue-update-rollback", "DELETE_FAILED": "delete-stack"}
IN_PROGRESS = "_IN_PROGRESS"
NO_REASON = "CloudFormation gave no reason"


class DeployOutcome(StrEnum):
    """The outcome of a deployment that did not fail."""

    UNCHANGED = "unchanged"
    CHANGED = "changed"
    DECLINED = "declined"


def _say_nothing(_: str) -> None:
    pass


def deploy(
    stage: Stage,
    package: Package,
    given: Mapping[str, str],
    approve: Callable[[ChangeSet], bool],
    report: Callable[[str], None] = _say_nothing,
) -> DeployOutcome:
    """Create or update the stage's stack from `package`. `approve` sees the changes before they are executed.

    A stack whose first deployment failed is deleted first, which `report` says.

    Raises:
        BadInput: the region lacks a service, CloudFormation refuses the template, or the parameters do not
            fit it.
        WorkFailed: CloudFormation failed; the message holds the reasons it gave.
    """
    require_region(stage.region)
    template_url = upload(stage, package)
    deployment = _Deployment(stage, report)
    change_set = deployment.describe(template_url, given)
    return DeployOutcome.UNCHANGED if change_set is None else deployment.carry_out(change_set, approve)


def adopt(
    stage: Stage,
    package: Package,
    names: Mapping[str, str],
    approve: Callable[[ChangeSet], bool],
) -> DeployOutcome:
    """Make the stage's stack of resources that outlived one, given by logical id. `deploy` adds the rest.

    Raises:
        BadInput: the stage has a stack, or a name is of no such resource.
        WorkFailed: CloudFormation failed; the message holds the reasons it gave.
    """
    require_region(stage.region)
    deployment = _Deployment(stage, _say_nothing)
    template = import_template(json.loads(package.template.read_text()), names)
    return deployment.carry_out(deployment.describe_import(template, names), approve)


class _Deployment:
    def __init__(self, stage: Stage, report: Callable[[str], None]) -> None:
        self.stage = stage
        self.report = report
        self.cloudformation: CloudFormationClient = stage.client("cloudformation")

    def describe(self, template_url: str, given: Mapping[str, str]) -> ChangeSet | None:
        """Return the changes that the deployment makes; None when there are none."""
        stack = self._stack()
        status = stack.get("StackStatus", "")
        self._require_deployable(status)
        creates = status in NOT_YET | NEVER_WORKED
        deployed = () if creates else stack.get("Parameters", ())
        known = frozenset(parameter["ParameterKey"] for parameter in deployed)
        parameters = parameters_for(self._declared(template_url), given, known)
        if status in NEVER_WORKED:
            self._remove_what_never_worked()
        change_set_id = self._create_change_set(template_url, parameters, creates=creates)
        return self._described(change_set_id, creates=creates)

    def describe_import(self, template: Mapping[str, Any], names: Mapping[str, str]) -> ChangeSet:
        """Return the resources that a new stack would begin with."""
        status = self._stack().get("StackStatus", "")
        if status not in NOT_YET:
            raise BadInput(
                f"stack {self.stage.stack_name} is {status}: only a new stack adopts resources",
                hint="deploy without --adopt, or destroy the stage first",
            )
        change_set_id = self.cloudformation.create_change_set(
            StackName=self.stage.stack_name,
            ChangeSetName=f"spillway-{uuid.uuid4().hex}",
            ChangeSetType="IMPORT",
            TemplateBody=json.dumps(template),
            ResourcesToImport=resources_to_import(template, names),  # type: ignore[arg-type]
        )["Id"]
        described = self._described(change_set_id, creates=True)
        if described is None:
            raise WorkFailed(f"stack {self.stage.stack_name}: there is nothing to adopt")
        return described

    def _require_deployable(self, status: str) -> None:
        name = self.stage.stack_name
        if status in LED_OUT_BY:
            raise WorkFailed(
                f"stack {name} is {status}: it takes no deployment",
                hint=f"aws cloudformation {LED_OUT_BY[status]} --stack-name {name}",
            )
        if status.endswith(IN_PROGRESS) and status not in NOT_YET | DONE:
            raise WorkFailed(f"stack {name} is {status}", hint="wait for its end, then deploy again")

    def _declared(self, template_url: str) -> Any:
        """Return the parameters that the template declares."""
        try:
            return self.cloudformation.get_template_summary(TemplateURL=template_url)["Parameters"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":
                raise
            raise BadInput(
                f"CloudFormation refuses the template: {error.response['Error']['Message']}",
                hint="it is build/package/sam.json, made from app.py and .chalice/resources/",
            ) from error

    def _remove_what_never_worked(self) -> None:
        name = self.stage.stack_name
        self.report(f"Stack {name}: its first deployment failed. It is deleted before the next one.")
        # A resource that was deleted at a second try has a later event.
        newest = {event["LogicalResourceId"]: event for event in reversed(list(self._events()))}
        for logical_id, event in sorted(newest.items()):
            if event["ResourceStatus"] in {"DELETE_SKIPPED", "DELETE_FAILED"}:
                what = f"{logical_id} ({event['ResourceType']}) {event.get('PhysicalResourceId', '')}"
                self.report(f"  left behind: {what}")
        seen = self._newest_event()
        self.cloudformation.delete_stack(StackName=name)
        status = self._await_end()
        if status != "DELETE_COMPLETE":
            raise self._failed(status, after=seen)

    def _create_change_set(
        self, template_url: str, parameters: list[dict[str, Any]], *, creates: bool
    ) -> str:
        try:
            return self.cloudformation.create_change_set(
                StackName=self.stage.stack_name,
                ChangeSetName=f"spillway-{uuid.uuid4().hex}",
                ChangeSetType="CREATE" if creates else "UPDATE",
                TemplateURL=template_url,
                Parameters=parameters,  # type: ignore[arg-type]
                Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
            )["Id"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":
                raise
            raise BadInput(
                f"stack {self.stage.stack_name}: {error.response['Error']['Message']}",
                hint="--param NAME=VALUE sets a parameter; the rest is .chalice/resources/",
            ) from error

    def carry_out(self, change_set: ChangeSet, approve: Callable[[ChangeSet], bool]) -> DeployOutcome:
        """Execute the changes if `approve` returns true; otherwise, also where it raises, discard them."""
        approved = False
        try:
            approved = approve(change_set)
        finally:
            if not approved:
                self._discard(change_set)
        if approved:
            self._execute(change_set)
        return DeployOutcome.CHANGED if approved else DeployOutcome.DECLINED

    def _execute(self, change_set: ChangeSet) -> None:
        seen = self._newest_event()
        self.cloudformation.execute_change_set(ChangeSetName=change_set.id)
        status = self._await_end()
        if status not in DONE:
            raise self._failed(status, after=seen)

    def _failed(self, status: str, *, after: str) -> WorkFailed:
        reasons = "\n".join(f"    {reason}" for reason in failures(self._events(), after=after))
        return WorkFailed(f"stack {self.stage.stack_name} ended as {status}:\n{reasons}")

    def _discard(self, change_set: ChangeSet) -> None:
        """Forget a change set, and the empty stack that was to hold it."""
        self.cloudformation.delete_change_set(ChangeSetName=change_set.id)
        if change_set.creates_stack:
            self.cloudformation.delete_stack(StackName=self.stage.stack_name)

    def _described(self, change_set_id: str, *, creates: bool) -> ChangeSet | None:
        deadline = time.monotonic() + DESCRIBE_WITHIN_S
        while True:
            answer: Any = self.cloudformation.describe_change_set(ChangeSetName=change_set_id)
            if answer["Status"] not in {"CREATE_PENDING", "CREATE_IN_PROGRESS"}:
                break
            self._pause(deadline, "describe the changes")
        if answer["Status"] == "FAILED":
            self.cloudformation.delete_change_set(ChangeSetName=change_set_id)
            if is_empty(answer.get("StatusReason", "")):
                return None
            raise WorkFailed(f"stack {self.stage.stack_name}: {answer.get('StatusReason', NO_REASON)}")
        changes = list(answer["Changes"])
        while answer.get("NextToken"):
            answer = self.cloudformation.describe_change_set(
                ChangeSetName=change_set_id, NextToken=answer["NextToken"]
            )
            changes += answer["Changes"]
        found = tuple(ResourceChange.from_answer(change) for change in changes)
        return ChangeSet(change_set_id, self.stage.stack_name, creates, found)

    def _stack(self) -> Any:
        try:
            return self.cloudformation.describe_stacks(StackName=self.stage.stack_name)["Stacks"][0]
        except ClientError as error:
            if "does not exist" in str(error):
                return {}
            raise

    def _await_end(self) -> str:
        deadline = time.monotonic() + DEPLOY_WITHIN_S
        while True:
            status = str(self._stack().get("StackStatus", "DELETE_COMPLETE"))
            if status in DONE or not status.endswith(IN_PROGRESS):
                return status
            self._pause(deadline, "deploy")

    def _newest_event(self) -> str:
        try:
            return next((event["EventId"] for event in self._events()), "")
        except ClientError:  # there is no stack yet
            return ""

    def _events(self) -> Iterator[Mapping[str, Any]]:
        """Yield the events of the stack, newest first."""
        pages = self.cloudformation.get_paginator("describe_stack_events")
        for page in pages.paginate(StackName=self.stage.stack_name):
            yield from page["StackEvents"]

    def _pause(self, deadline: float, what: str) -> None:
        if time.monotonic() > deadline:
            raise WorkFailed(f"stack {self.stage.stack_name}: CloudFormation took too long to {what}")
        time.sleep(self.stage.poll_s)


def failures(events: Iterable[Mapping[str, Any]], *, after: str) -> list[str]:
    """Why resources failed since the event `after`, first cause first; `events` are newest first."""
    fresh = takewhile(lambda event: event["EventId"] != after, events)
    failed = [
        (event, event.get("ResourceStatusReason", NO_REASON))
        for event in fresh
        if event["ResourceStatus"].endswith("_FAILED")
    ]
    # A resource that was stopped because another one failed explains nothing.
    reasons = [
        f"{event['LogicalResourceId']} ({event['ResourceType']}): {reason}"
        for event, reason in reversed(failed)
        if "cancelled" not in reason
    ]
    return reasons or [NO_REASON]


def upload(stage: Stage, package: Package) -> str:
    """Put the package where CloudFormation finds it. Returns the template's address.

    Raises:
        WorkFailed: the bucket of this account's name is another account's, or may not be used.
    """
    s3: S3Client = stage.client("s3")
    account = stage.client("sts").get_caller_identity()["Account"]
    bucket = _Bucket(s3, f"spillway-artefacts-{account}-{stage.region}", account)
    bucket.ensure(stage.region)
    bucket.put_once(package.key, package.archive.read_bytes())
    template = package.template_for(bucket.name, stage.region).encode()
    key = f"{hashlib.sha256(template).hexdigest()}.template"
    bucket.put_once(key, template)
    return f"{s3.meta.endpoint_url}/{bucket.name}/{key}"


@dataclass(frozen=True, slots=True)
class _Bucket:
    """A bucket whose name anybody can guess, and take first: each call names the owner it must have."""

    s3: "S3Client"
    name: str
    owner: str

    def ensure(self, region: str) -> None:
        if self._exists(lambda: self.s3.head_bucket(Bucket=self.name, ExpectedBucketOwner=self.owner)):
            return
        if region == "us-east-1":  # the one region that may not be named
            self.s3.create_bucket(Bucket=self.name)
        else:
            self.s3.create_bucket(
                Bucket=self.name,
                CreateBucketConfiguration={"LocationConstraint": region},  # type: ignore[typeddict-item]
            )

    def put_once(self, key: str, content: bytes) -> None:
        # The key is the content's digest: what is there already is the same.
        location: Any = {"Bucket": self.name, "Key": key, "ExpectedBucketOwner": self.owner}
        if not self._exists(lambda: self.s3.head_object(**location)):
            self.s3.put_object(**location, Body=content)

    def _exists(self, look: Callable[[], Any]) -> bool:
        try:
            look()
        except ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status == 404:
                return False
            if status == 403:
                raise WorkFailed(
                    f"bucket {self.name} is not account {self.owner}'s, or may not be read",
                    hint="nothing was uploaded; it takes s3:ListBucket, GetObject and PutObject on it",
                ) from error
            raise
        return True

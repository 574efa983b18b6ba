"""A stack in a state that takes no deployment, and a template that CloudFormation does not read."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spillway.deploy.package import Package
from spillway.deploy.stack import deploy
from spillway.errors import BadInput, SpillwayError, WorkFailed
from tests.support.stubbed_stage import Client, error, stage

ALIASES = "Template format error: YAML aliases are not allowed in CloudFormation templates"


@pytest.fixture
def package(tmp_path: Path) -> Package:
    """The least that can be uploaded."""
    made = Package(tmp_path / "deployment.zip", tmp_path / "sam.json")
    made.archive.write_bytes(b"code")
    made.template.write_text("{}")
    return made


def refusal(package: Package, region: str = "us-east-1", **cloudformation: Any) -> SpillwayError:
    """Why a deployment was refused before anything was changed."""
    s3 = Client(head_bucket={}, head_object={})
    s3.meta = type("Meta", (), {"endpoint_url": "https://s3.example"})  # type: ignore[attr-defined]
    clients = {
        "s3": s3,
        "sts": Client(get_caller_identity={"Account": "123456789012"}),
        "cloudformation": Client(**cloudformation),
    }
    with pytest.raises(SpillwayError) as refused:
        deploy(replace(stage("production", **clients), region=region), package, {}, lambda _: True)
    return refused.value


def stack(status: str) -> Any:
    return {"Stacks": [{"StackStatus": status}]}


def test_a_template_that_cannot_be_read_is_bad_input_in_cloudformations_words(package: Package) -> None:
    refused = refusal(
        package,
        describe_stacks=error("ValidationError", "Stack with id x does not exist"),
        get_template_summary=error("ValidationError", ALIASES),
    )
    assert isinstance(refused, BadInput)
    assert refused.message == f"CloudFormation refuses the template: {ALIASES}"
    assert "build/package/sam.json" in refused.hint


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        ("UPDATE_IN_PROGRESS", "wait for its end, then deploy again"),
        ("ROLLBACK_IN_PROGRESS", "wait for its end, then deploy again"),
        (
            "UPDATE_ROLLBACK_FAILED",
            "aws cloudformation continue-update-rollback --stack-name spillway-production",
        ),
        ("DELETE_FAILED", "aws cloudformation delete-stack --stack-name spillway-production"),
    ],
)
def test_a_stack_that_takes_no_deployment_says_so_with_the_way_out(
    package: Package, status: str, hint: str
) -> None:
    refused = refusal(package, describe_stacks=stack(status))
    assert isinstance(refused, WorkFailed)
    assert f"stack spillway-production is {status}" in refused.message
    assert refused.hint == hint


def test_a_region_without_a_service_is_refused_before_anything_is_uploaded(package: Package) -> None:
    refused = refusal(package, region="ap-east-1")
    assert isinstance(refused, BadInput)
    assert refused.message == "region ap-east-1: not every service of the stack is known to be there"


def test_a_bucket_that_somebody_else_took_first_gets_nothing(package: Package) -> None:
    forbidden = error("403")
    forbidden.response["ResponseMetadata"] = {"HTTPStatusCode": 403}  # type: ignore[typeddict-item]
    s3 = Client(head_bucket=forbidden)
    clients = {"s3": s3, "sts": Client(get_caller_identity={"Account": "123456789012"})}
    with pytest.raises(WorkFailed, match="is not account 123456789012's") as refused:
        deploy(stage("production", **clients), package, {}, lambda _: True)
    assert "nothing was uploaded" in refused.value.hint
    name = "spillway-artefacts-123456789012-us-east-1"
    assert s3.calls == [("head_bucket", {"Bucket": name, "ExpectedBucketOwner": "123456789012"})]

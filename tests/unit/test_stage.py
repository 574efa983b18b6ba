"""Where a stage is, and what AWS's errors mean to a person who meets them for the first time."""

import pytest
from botocore.exceptions import (
    ClientError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    UnauthorizedSSOTokenError,
)

from spillway.deploy.template import parameters_for
from spillway.errors import BadInput
from spillway.local_cloud.record import CloudRecord
from spillway.project import Project
from spillway.stage import explained, local_stage, missing_right, region_in, stage_named
from tests.support.aws import ROOT
from tests.support.stubbed_stage import Client, FakeStage, error, stage


@pytest.mark.parametrize(
    ("environment", "region"),
    [
        ({"AWS_REGION": "eu-west-1"}, "eu-west-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-2"),
        ({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-1"),
        ({"AWS_REGION": "", "AWS_DEFAULT_REGION": "eu-west-2"}, "eu-west-2"),
        ({}, None),
    ],
)
def test_aws_region_counts_before_aws_default_region(environment: dict[str, str], region: str | None) -> None:
    assert region_in(environment) == region


def test_a_stage_and_its_clients_are_in_the_region_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    place = stage_named(Project(ROOT), "production")
    assert (place.region, place.client("sqs").meta.region_name) == ("eu-north-1", "eu-north-1")


def test_a_profile_that_is_not_there_is_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(BadInput, match=r"nobody.*could not be found") as refused:
        stage_named(Project(ROOT), "production")
    assert "aws configure list-profiles" in refused.value.hint


class RealOutputs(FakeStage):
    """A stage that asks its stack."""

    def outputs(self) -> dict[str, str]:
        return super(FakeStage, self).outputs()


def test_a_stack_that_is_not_there_may_be_in_another_region() -> None:
    gone = stage(cloudformation=Client(describe_stacks=error("ValidationError", "Stack x does not exist")))
    place = RealOutputs(gone.name, gone.region, gone.session, clients=gone.clients)
    for ask in (place.outputs, place.parameters):
        with pytest.raises(BadInput, match="nothing is deployed in us-east-1") as refused:
            ask()
        assert "set AWS_REGION to that one" in refused.value.hint


DENIED = (
    "User: arn:aws:iam::123456789012:user/ann is not authorized to perform: cloudformation:CreateChangeSet"
    " on resource: arn:aws:cloudformation:us-east-1:123456789012:stack/spillway-production/*"
    " because no identity-based policy allows the cloudformation:CreateChangeSet action"
)


@pytest.mark.parametrize(
    ("wrong", "status", "said", "hint"),
    [
        (
            error("AccessDenied", DENIED),
            1,
            "AWS: these credentials may not perform cloudformation:CreateChangeSet on"
            " arn:aws:cloudformation:us-east-1:123456789012:stack/spillway-production/*",
            "spillway deploy --print-policy --stage NAME",
        ),
        (error("403", "Forbidden"), 1, "AWS: these credentials may not perform Operation", "--print-policy"),
        (error("ExpiredToken", "x"), 1, "AWS: the credentials have expired (ExpiredToken)", "aws sso login"),
        (
            error("InvalidClientTokenId", "x"),
            1,
            "AWS: it does not know these credentials (InvalidClientTokenId)",
            "aws configure",
        ),
        (
            error("SignatureDoesNotMatch", "Signature expired: 20261128T180000Z is now earlier than ..."),
            1,
            "AWS: this machine's clock is wrong (SignatureDoesNotMatch)",
            "set this machine's clock",
        ),
        (
            error("SignatureDoesNotMatch", "The signature ..."),
            1,
            "does not know these credentials",
            "sign in",
        ),
        (error("RequestTimeTooSkewed", "x"), 1, "clock is wrong", "set this machine's clock"),
        (UnauthorizedSSOTokenError(), 1, "AWS: the sign-in is over", "aws sso login"),
        (
            CredentialRetrievalError(provider="sso", error_msg="gone"),
            1,
            "AWS: the sign-in is over",
            "AWS_PROFILE",
        ),
        (NoCredentialsError(), 2, "no AWS credentials", "aws sso login"),
        (NoRegionError(), 2, "no AWS region", "set AWS_REGION"),
        (EndpointConnectionError(endpoint_url="https://sqs.eu-westt-1"), 1, "sqs.eu-westt-1", "AWS_REGION"),
        (error("Throttling", "Rate exceeded"), 1, "Rate exceeded", "check the credentials"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_of_aws_is_a_sentence_with_a_way_out(
    wrong: Exception, status: int, said: str, hint: str
) -> None:
    explanation = explained(wrong)
    assert explanation.exit_code == status
    assert said in explanation.message
    assert hint in explanation.hint


def test_a_missing_right_is_named_as_a_policy_names_it() -> None:
    assert missing_right(error("AccessDeniedException", DENIED)) == "cloudformation:CreateChangeSet"
    without_words = ClientError({"Error": {"Code": "AccessDenied", "Message": "Access Denied"}}, "PutObject")
    assert missing_right(without_words) == "PutObject"
    assert missing_right(error("ValidationError", DENIED)) is None


def test_a_parameter_that_is_missing_is_named_with_its_meaning() -> None:
    declared = [
        {"ParameterKey": "SenderAddress", "Description": "The address emails come from."},
        {"ParameterKey": "DomainName", "DefaultValue": ""},
    ]
    with pytest.raises(BadInput) as refused:
        parameters_for(declared, {}, frozenset())
    assert refused.value.message == (
        "--param SenderAddress=VALUE: needed, since it has no default. The address emails come from."
    )
    assert "docs/reference/parameters.md" in refused.value.hint


def test_emails_of_the_local_stage_pass_through_the_inbox_and_nothing_else_does() -> None:
    record = CloudRecord(
        "http://cloud.test:1", "us-east-1", "http://shop.test", "http://inbox.test:2", "k", "s"
    )
    place = local_stage(record)
    assert place.client("sesv2").meta.endpoint_url == "http://inbox.test:2"
    assert place.client("dynamodb").meta.endpoint_url == "http://cloud.test:1"

"""The uploaded text is one that CloudFormation takes: in each region, and for one stage beside another."""

import json
import re
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
import yaml

from spillway.deploy.runtimes import RUNTIMES
from spillway.deploy.template import COMPLETE, WITHOUT_BUDGETS, for_region, require_region
from spillway.errors import BadInput
from spillway.local_cloud.strict.functions import ENVIRONMENT_BYTES_MAX
from tests.support.uploaded import GLOBAL_KINDS, PSEUDO, resolved, translated, uploaded_text

# cfn-lint's import takes a second: tests that use it import it themselves, not while all are collected.
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
TEMPLATE_BYTES_MAX = 1_000_000
COUNTS_MAX = {"Parameters": 200, "Outputs": 200, "Resources": 500, "Mappings": 200}
DESCRIPTION_BYTES_MAX = 1024
OTHER_PARTITIONS = ("cn-", "us-gov-", "us-iso", "eu-iso", "eusc-")

NAMES = frozenset(
    {
        *(
            "AlarmName",
            "BucketName",
            "BudgetName",
            "DashboardName",
            "FunctionName",
            "GroupName",
            "LogGroupName",
        ),
        *("ManagedPolicyName", "MetricName", "Name", "QueueName", "RoleName", "TableName", "TopicName"),
        "UsagePlanName",
    }
)
# Names within something that has a name of its own, or of a metric that AWS defines.
NOT_OURS = {
    ("AWS::CloudWatch::Alarm", "MetricName"),
    ("AWS::CloudWatch::Alarm", "Name"),
    ("AWS::SES::ConfigurationSetEventDestination", "Name"),
    ("AWS::WAFv2::WebACL", "Name"),
    ("AWS::S3::Bucket", "Name"),
    ("AWS::ApiGateway::RestApi", "name"),
}
STAGES = [("spillway-test", "us-east-1"), ("spillway-live", "us-east-1"), ("spillway-live", "eu-west-1")]


class Refused(Exception):
    """CloudFormation takes no such template."""


def check_format(text: str) -> None:
    """Read a template as CloudFormation does, which knows no aliases, anchors, merge keys or foreign tags."""
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise Refused(f"an alias or anchor: {event}")
        if isinstance(event, yaml.ScalarEvent) and event.value == "<<":
            raise Refused("a merge key")
        tag = getattr(event, "tag", None)
        if tag:
            raise Refused(f"a tag: {tag}")


def test_the_text_is_one_that_cloudformation_reads() -> None:
    check_format(uploaded_text())
    assert json.loads(uploaded_text())["Transform"] == "AWS::Serverless-2016-10-31"


@pytest.mark.parametrize(
    "text", ["A: &a {x: 1}\nB: *a\n", "A: {<<: {x: 1}}\n", "A: !Nothing x\n"], ids=["alias", "merge", "tag"]
)
def test_a_text_that_cloudformation_refuses_is_seen(text: str) -> None:
    with pytest.raises(Refused):
        check_format(text)


@pytest.mark.parametrize("as_translated", [False, True], ids=["uploaded", "translated"])
def test_the_template_is_within_the_limits(*, as_translated: bool) -> None:
    document = translated() if as_translated else json.loads(uploaded_text())
    assert len(json.dumps(document)) < TEMPLATE_BYTES_MAX
    assert len(document.get("Description", "")) <= DESCRIPTION_BYTES_MAX
    for section, most in COUNTS_MAX.items():
        assert len(document.get(section, {})) <= most, section


def test_the_uploaded_bytes_are_within_the_limit() -> None:
    assert len(uploaded_text().encode()) < TEMPLATE_BYTES_MAX


# The longest that a stage, a region and a shop's domain are here.
STACK, LONG_REGION, DOMAIN = "spillway-" + "s" * 31, "ap-southeast-1", f"{'d' * 59}.com"
ACCOUNT = PSEUDO["AWS::AccountId"]
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
ROLE_POLICY_CHARS_MAX = 10_240
# Where CloudFormation makes a name, how long one may be.
NAMED = {
    "AWS::DynamoDB::Table": 255, "AWS::IAM::Role": 64, "AWS::Lambda::Function": 64, "AWS::S3::Bucket": 63,
    "AWS::Logs::LogGroup": 512, "AWS::SecretsManager::Secret": 512, "AWS::SNS::Topic": 256,
    "AWS::SQS::Queue": 80,
}  # fmt: skip
GIVEN_IN_FULL = {
    "DomainName": DOMAIN,
    "SenderIdentity": DOMAIN,
    "SenderAddress": f"hello@{DOMAIN}",
    "SmtpSecretArn": f"arn:aws:secretsmanager:{LONG_REGION}:{ACCOUNT}:secret:mail-server-of-the-shop-1A2B3C",
    "MerchantAddresses": "m" * 256,
    "DomainEventBus": "events-of-the-shop",
}


def in_full(value: Any, document: dict[str, Any]) -> Any:
    """A value of the template as it is deployed, with the longest names that it may have."""
    if isinstance(value, list):
        return [in_full(part, document) for part in value]
    if not isinstance(value, dict):
        return str(value)
    word, part = next(iter(value.items()), ("", ""))
    if len(value) != 1 or not (word == "Ref" or word.startswith("Fn::")):
        return {key: in_full(part, document) for key, part in value.items()}
    if word == "Fn::If":
        return in_full(part[1], document)
    if word == "Fn::Join":
        return part[0].join(in_full(part[1], document))
    if word == "Fn::Sub":
        return re.sub(r"\$\{([^}]+)\}", lambda found: longest(found[1], document), part)
    return longest(".".join(part) if word == "Fn::GetAtt" else part, document)


def longest(reference: str, document: dict[str, Any]) -> str:
    """The longest text that `reference`, from a Ref or a GetAtt of the template, may stand for."""
    known = {**PSEUDO, "AWS::StackName": STACK, "AWS::Region": LONG_REGION, **GIVEN_IN_FULL}
    name, _, attribute = reference.partition(".")
    if name in known or name not in document["Resources"]:
        return known.get(name) or str(document["Parameters"][name]["Default"])
    kind = document["Resources"][name]["Type"]
    made = f"{STACK}-{name}-{'X' * 12}"[: NAMED.get(kind, 64)]
    if kind == "AWS::SQS::Queue" and not attribute:
        return f"https://sqs.{LONG_REGION}.amazonaws.com/{ACCOUNT}/{made}"
    if attribute or kind in {"AWS::SNS::Topic", "AWS::SecretsManager::Secret"}:
        stream = "/stream/2026-11-28T00:00:00.000" if attribute == "StreamArn" else ""
        return f"arn:aws:service:{LONG_REGION}:{ACCOUNT}:resource/{made}{stream}"
    return made


def test_the_environment_of_each_function_is_within_4_kilobytes_in_the_longest_case() -> None:
    # Lambda measures the variables as JSON.
    document = translated()
    for name, resource in document["Resources"].items():
        if resource["Type"] == "AWS::Lambda::Function":
            variables = in_full(resource["Properties"]["Environment"]["Variables"], document)
            assert len(json.dumps(variables, separators=(",", ":"))) <= ENVIRONMENT_BYTES_MAX, name
    assert document["Parameters"]["MerchantAddresses"]["MaxLength"] == len(GIVEN_IN_FULL["MerchantAddresses"])


def test_the_policy_of_each_role_is_within_its_limit_in_the_longest_case() -> None:
    document = translated()
    for name, resource in document["Resources"].items():
        if resource["Type"] == "AWS::IAM::Role":
            policies = in_full(resource["Properties"]["Policies"], document)
            text = "".join(json.dumps(policy["PolicyDocument"]) for policy in policies)
            assert len("".join(text.split())) <= ROLE_POLICY_CHARS_MAX, name


@pytest.mark.parametrize(
    ("resource", "path", "chars_max"),
    [
        ("PagesOriginAccessControl", ("OriginAccessControlConfig", "Name"), 64),
        ("SecurityHeadersPolicy", ("ResponseHeadersPolicyConfig", "Name"), 128),
        ("TrafficSource", ("Name",), 60),
        ("TrafficDestination", ("Name",), 60),
        ("FloodGuardWebAcl", ("VisibilityConfig", "MetricName"), 128),
        ("Dashboard", ("DashboardName",), 255),
    ],
)
def test_a_name_that_the_template_chooses_is_no_longer_than_its_service_takes(
    resource: str, path: tuple[str, ...], chars_max: int
) -> None:
    document = translated()
    value = in_full(document["Resources"][resource]["Properties"], document)
    for key in path:
        value = value[key]
    assert STACK in value
    assert len(value) <= chars_max


NEEDED = {"SenderAddress": "hello@shop.example", "SenderIdentity": "shop.example"}
CERTIFICATE = f"arn:aws:acm:us-east-1:{ACCOUNT}:certificate/0a-1b"


def refusal(**given: str) -> str:
    """How CloudFormation refuses these parameters before it changes a resource; empty if it takes them."""
    from ministack.services.cloudformation import engine

    document = json.loads(uploaded_text())
    asked = [{"Key": name, "Value": value} for name, value in (NEEDED | given).items()]
    try:
        engine._evaluate_rules(document, engine._resolve_parameters(document, asked), {})
    except ValueError as refused:
        return str(refused)
    return ""


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"DomainName": "www.shop.example", "CertificateArn": CERTIFICATE},
        {"SenderAddress": "hello+shop@xn--bcher-kva.example", "SenderIdentity": "hello+shop@shop.example"},
        {"ApiRequestsPerSourceMax": "10", "TrafficLogs": "yes", "LogRetentionDays": "365"},
        {"AlarmAddress": "you@example.com", "DomainEventBus": "default", "MerchantAddresses": "m" * 256},
        {"SmtpSecretArn": GIVEN_IN_FULL["SmtpSecretArn"], "MailFromDomain": "bounce.shop.example"},
    ],
)
def test_parameters_that_the_services_take_are_taken(given: dict[str, str]) -> None:
    assert refusal(**given) == ""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"SenderAddress": "Shop <hello@shop.example>"}, "SenderAddress.*without a name"),
        ({"SenderAddress": "hello@bücher.example"}, "SenderAddress.*in ASCII"),
        ({"SenderIdentity": "https://shop.example"}, "SenderIdentity.*a domain or an address"),
        ({"MailFromDomain": "bounce@shop.example"}, "MailFromDomain.*a domain"),
        ({"DomainName": "https://shop.example", "CertificateArn": CERTIFICATE}, "DomainName.*without https"),
        ({"DomainName": "shop.example"}, "DomainName needs CertificateArn"),
        ({"CertificateArn": CERTIFICATE.replace("us-east-1", "eu-west-1")}, "CertificateArn.*us-east-1"),
        ({"SmtpSecretArn": "mail-server"}, "SmtpSecretArn.*ARN of a secret"),
        ({"LogRetentionDays": "10"}, "LogRetentionDays.*10"),
        ({"ApiRequestsPerSourceMax": "9"}, "0 or at least 10"),
        ({"ApiRequestsPerSecondMax": "0"}, "ApiRequestsPerSecondMax.*not less than 1"),
        ({"ApiConcurrencyReserved": "-1"}, "ApiConcurrencyReserved.*not less than 0"),
        ({"AlarmAddress": "nobody"}, "AlarmAddress.*an address"),
        ({"DomainEventBus": "a bus"}, "DomainEventBus.*event bus"),
        ({"MerchantAddresses": "m" * 257}, "MerchantAddresses.*at most 256"),
    ],
)
def test_a_parameter_that_a_service_would_refuse_is_refused_before_anything_changes(
    given: dict[str, str], said: str
) -> None:
    assert re.search(said, refusal(**given))


@pytest.mark.parametrize("given", [{"ApiRequestsPerSourceMax": "10"}, {"TrafficLogs": "yes"}])
def test_a_resource_of_one_region_is_refused_in_another(
    given: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ministack.services.cloudformation import engine

    monkeypatch.setattr(engine, "get_region", lambda: "eu-west-1")
    assert refusal(**given).endswith("needs a stack in us-east-1.")


def missing_in(region: str, document: dict[str, Any]) -> set[str]:
    """The types of a translated template that `region` does not have."""
    types = {resource["Type"] for resource in document["Resources"].values()}
    from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

    return types - set(PROVIDER_SCHEMA_MANAGER.get_resource_types(region))


def test_each_region_has_all_that_is_uploaded_to_it() -> None:
    from cfnlint.helpers import REGIONS

    ours = {region for region in REGIONS if not region.startswith(OTHER_PARTITIONS)}
    document = translated()
    missing = {region: missing_in(region, document) for region in ours}
    assert {region for region, types in missing.items() if not types} == COMPLETE
    assert {
        region for region, types in missing.items() if types == {"AWS::Budgets::Budget"}
    } == WITHOUT_BUDGETS
    for region in WITHOUT_BUDGETS:
        assert not missing_in(region, for_region(translated(), region))


def test_without_budgets_nothing_of_one_is_uploaded() -> None:
    document = json.loads(uploaded_text("eu-north-1"))
    assert "MonthlyBudgetUsd" in uploaded_text("eu-west-1")
    assert "Budget" not in json.dumps(document)


def test_a_region_without_a_service_is_refused_and_the_others_are_named() -> None:
    with pytest.raises(BadInput, match="region ap-east-1: not every service") as refused:
        require_region("ap-east-1")
    assert "eu-north-1" in refused.value.hint
    require_region("eu-north-1")


@pytest.mark.slow
@pytest.mark.parametrize("regions", [COMPLETE, WITHOUT_BUDGETS], ids=["complete", "without budgets"])
def test_cfn_lint_finds_nothing_in_any_region(regions: frozenset[str]) -> None:
    (region, *_) = sorted(regions)
    from cfnlint.api import lint
    from cfnlint.config import ManualArgs

    asked = ManualArgs(regions=sorted(regions))
    for text in (uploaded_text(region), json.dumps(for_region(translated(), region))):
        assert [str(match) for match in lint(text, config=asked)] == []


def test_the_runtimes_end_when_cfn_lint_says() -> None:
    from cfnlint import data as cfnlint_data
    from cfnlint.helpers import load_resource

    known = load_resource(cfnlint_data.AdditionalSpecs, "LmbdRuntimeLifecycle.json")
    for runtime in RUNTIMES:
        ends = known[runtime.name]
        assert runtime.create_blocked_on == date.fromisoformat(ends["create-block"])
        assert runtime.update_blocked_on == date.fromisoformat(ends["update-block"])


def names_in(kind: str, value: Any) -> Iterator[str]:
    """Every name that a resource's properties choose; a reference to another resource is none."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        if key in NAMES and (kind, key) not in NOT_OURS and isinstance(part, str):
            yield part
        elif key not in {"Body", "PolicyDocument", "Dimensions", "Environment"}:
            yield from names_in(kind, part)


def names(document: dict[str, Any], stack: str, region: str) -> set[tuple[str, str, str]]:
    """The names that one stage takes: where each must be unique, its kind and itself."""
    found = set()
    for resource in document["Resources"].values():
        kind = resource["Type"]
        scope = "" if kind.startswith(GLOBAL_KINDS) else region
        properties = resolved(resource.get("Properties", {}), stack, region)
        found |= {(scope, kind, name) for name in names_in(kind, properties)}
    exports = [output["Export"]["Name"] for output in document["Outputs"].values() if "Export" in output]
    found |= {(region, "export", resolved(name, stack, region)) for name in exports}
    namespaces = {
        resource["Properties"]["Environment"]["Variables"]["METRICS_NAMESPACE"]["Fn::Sub"]
        for resource in document["Resources"].values()
        if resource["Type"] == "AWS::Lambda::Function"
    }
    found |= {
        (region, "metrics", resolved({"Fn::Sub": namespace}, stack, region)) for namespace in namespaces
    }
    return found


def colliding(document: dict[str, Any]) -> set[tuple[str, str, str]]:
    """The names that two stages, or one in two regions, both take."""
    taken: set[tuple[str, str, str]] = set()
    twice: set[tuple[str, str, str]] = set()
    for stack, region in STAGES:
        mine = names(document, stack, region)
        twice |= taken & mine
        taken |= mine
    return twice


def test_no_name_is_taken_by_two_stages_or_regions() -> None:
    taken = names(translated(), "spillway-live", "eu-west-1")
    assert {(kind, name) for _, kind, name in taken} == {
        ("AWS::ApiGateway::RestApi", "spillway-live"),
        ("AWS::CloudFront::OriginAccessControl", "spillway-live-eu-west-1-pages"),
        ("AWS::CloudFront::ResponseHeadersPolicy", "spillway-live-eu-west-1-security"),
        ("AWS::CloudWatch::Dashboard", "spillway-live-eu-west-1"),
        ("AWS::Logs::DeliveryDestination", "spillway-live-traffic"),
        ("AWS::Logs::DeliverySource", "spillway-live-traffic"),
        ("AWS::WAFv2::WebACL", "spillway-live-FloodGuard"),
        ("metrics", "Spillway/spillway-live"),
    }
    assert colliding(translated()) == set()


@pytest.mark.parametrize(
    ("resource", "path", "name"),
    [
        ("Dashboard", ("DashboardName",), {"Ref": "AWS::StackName"}),
        ("Dashboard", ("DashboardName",), {"Fn::Sub": "spillway-${AWS::Region}"}),
        (
            "PagesOriginAccessControl",
            ("OriginAccessControlConfig", "Name"),
            {"Fn::Sub": "${AWS::StackName}-pages"},
        ),
        ("RestAPI", ("Name",), "spillway"),
        ("AlarmsTopic", ("TopicName",), "alarms"),
        ("PagesBucket", ("BucketName",), {"Fn::Sub": "${AWS::StackName}-pages"}),
    ],
)
def test_a_name_that_collides_is_seen(resource: str, path: tuple[str, ...], name: Any) -> None:
    document = translated()
    *above, last = path
    part = document["Resources"][resource].setdefault("Properties", {})
    for key in above:
        part = part[key]
    part[last] = name
    assert len(colliding(document)) == 1


def test_the_alarm_and_the_dashboard_watch_the_api_of_their_own_stage() -> None:
    resources = resolved(translated()["Resources"], "spillway-live", "eu-west-1")
    name = resources["RestAPI"]["Properties"]["Name"]
    assert resources["RestAPI"]["Properties"]["Body"]["info"]["title"] == name == "spillway-live"
    dimensions = {
        dimension["Name"]: dimension["Value"]
        for dimension in resources["ApiErrorsAlarm"]["Properties"]["Dimensions"]
    }
    assert dimensions == {"ApiName": name, "Stage": "api"}
    assert (
        '"ApiName", "spillway-live", "Stage", "api"' in resources["Dashboard"]["Properties"]["DashboardBody"]
    )

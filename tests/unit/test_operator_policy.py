"""The operator's policy grants what commands call and CloudFormation needs, on the stage's own resources."""

import ast
import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from click.testing import CliRunner
from ministack.core.iam_evaluator import EvalContext, evaluate, fnmatch_iam, parse_policy_document

from spillway.__main__ import cli
from spillway.commands import COMMANDS
from spillway.deploy.operator_policy import MANAGED_POLICY_CHARS_MAX, SCOPES, PolicyPart, operator_policy
from spillway.errors import BadInput
from spillway.project import Project
from tests.support.aws import REGION, ROOT
from tests.support.uploaded import translated

ACCOUNT = "123456789012"
# Commands that speak to the local cloud alone, or to nothing.
LOCAL_ONLY = frozenset({"build", "demo", "import", "load", "package", "serve", "messages"})
DEPLOYING = frozenset({"deploy", "destroy"})
SERVICES = (
    *(
        "acm",
        "apigateway",
        "cloudformation",
        "cloudfront",
        "cloudwatch",
        "dynamodb",
        "dynamodbstreams",
        "lambda",
        "logs",
    ),
    *("s3", "secretsmanager", "sesv2", "sns", "sqs", "sts"),
)
PREFIXES = {"sesv2": "ses", "dynamodbstreams": "dynamodb"}
# Operations that are not called as the action they need.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
ACTIONS: dict[tuple[str, str], set[str]] = {
    ("apigateway", "GetAccount"): {"apigateway:GET"},
    # Each part of a transaction or a batch is judged by itself; batches of statements are the functions'.
    ("dynamodb", "TransactWriteItems"): {"dynamodb:PutItem", "dynamodb:UpdateItem"},
    ("dynamodb", "BatchExecuteStatement"): set(),
    ("lambda", "Invoke"): {"lambda:InvokeFunction"},
    ("sqs", "SendMessageBatch"): {"sqs:SendMessage"},
    ("s3", "DeleteObjects"): {"s3:DeleteObject", "s3:DeleteObjectVersion"},
    ("s3", "GetPublicAccessBlock"): {"s3:GetBucketPublicAccessBlock"},
    ("s3", "HeadBucket"): {"s3:ListBucket"},
    ("s3", "ListObjectsV2"): {"s3:ListBucket"},
    # Without ListBucket, S3 answers 403 for a key that is not there.
    ("s3", "HeadObject"): {"s3:GetObject", "s3:ListBucket"},
    ("s3", "ListObjectVersions"): {"s3:ListBucketVersions"},
    ("sts", "GetCallerIdentity"): set(),
}
# Requests of spillway/publish/s3.py to S3 without the SDK, by HTTP method.
WITHOUT_SDK = {"GET": "s3:GetObject", "PUT": "s3:PutObject", "DELETE": "s3:DeleteObject"}
# AWS knows a resource for them, and commands name none, or one that has no name yet.
FOR_EVERYTHING = {
    *("cloudformation:GetTemplateSummary", "cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData"),
    # A tenant may be named; the list of an account, which has none, is everything.
    "ses:DeleteSuppressedDestination",
    *("lambda:DeleteEventSourceMapping", "lambda:GetEventSourceMapping", "lambda:UpdateEventSourceMapping"),
}


@cache
def operations() -> dict[str, set[tuple[str, str]]]:
    """Every operation of the services that commands use, by the name of its method."""
    session = botocore.session.get_session()
    found: dict[str, set[tuple[str, str]]] = {}
    for service in SERVICES:
        for operation in session.get_service_model(service).operation_names:
            found.setdefault(xform_name(operation), set()).add((service, operation))
    return found


@cache
def nodes(file: Path) -> tuple[ast.AST, ...]:
    """Imports, names of attributes and texts of a module: all that the checks below look at, in one walk."""
    looked_at = (ast.ImportFrom, ast.Import, ast.Attribute, ast.Constant)
    return tuple(node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, looked_at))


@cache
def imported(file: Path) -> frozenset[Path]:
    """Our own modules that a module imports."""
    found: set[Path] = set()
    for node in nodes(file):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {path for name in names for path in own_files(name)}
    return frozenset(found)


@cache
def own_files(module: str) -> tuple[Path, ...]:
    """The files of this tree that a module's name may stand for."""
    path = ROOT / module.replace(".", "/")
    return tuple(file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file())


def reached(commands: frozenset[str]) -> set[Path]:
    """Return every module that the commands import, directly or through another."""
    todo = [ROOT / f"{COMMANDS[name].partition(':')[0].replace('.', '/')}.py" for name in commands]
    seen: set[Path] = set()
    while todo:
        file = todo.pop()
        if file not in seen:
            seen.add(file)
            todo += [item for item in imported(file) if ROOT in item.parents]
    return seen


@cache
def called_by(file: Path) -> frozenset[str]:
    """Return the actions that a module needs for what it calls.

    A method of that name is taken for a call to AWS whatever it belongs to: an action too many is asked for
    rather than one too few.
    """
    needed: set[str] = set()
    for node in nodes(file):
        name = node.attr if isinstance(node, ast.Attribute) else None
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            name = node.value  # get_paginator("list_stack_resources")
        for service, operation in operations().get(name or "", ()):
            action = f"{PREFIXES.get(service, service)}:{operation}"
            needed |= ACTIONS.get((service, operation), {action})
    return frozenset(needed)


def called(commands: frozenset[str]) -> set[str]:
    """Return the actions that the commands need for what they call."""
    return set().union(*map(called_by, reached(commands)))


OPERATING = frozenset(COMMANDS) - LOCAL_ONLY - DEPLOYING
# Methods of other things than clients, by the same name.
OF_OTHERS = {"cloudformation:GetTemplate", "sns:Unsubscribe"}
# Only a function makes the salts of visitors.
OF_FUNCTIONS = {"secretsmanager:PutSecretValue"}


def granted(part: PolicyPart) -> set[str]:
    """The actions that a part of the policy lists."""
    return {action for item in operator_policy("production", part)["Statement"] for action in item["Action"]}


def missing(needed: set[str], part: PolicyPart) -> set[str]:
    return {action for action in needed if not any(fnmatch_iam(action, item) for item in granted(part))}


def test_the_policy_grants_what_commands_call() -> None:
    assert missing(called(OPERATING) - OF_OTHERS - OF_FUNCTIONS, PolicyPart.OPERATE) == set()
    assert missing(set(WITHOUT_SDK.values()), PolicyPart.OPERATE) == set()
    assert missing(called(OPERATING | DEPLOYING) - OF_FUNCTIONS, PolicyPart.ALL) == set()
    deployers = {*called(frozenset({"deploy"}))} - OF_FUNCTIONS
    assert missing(deployers, PolicyPart.ALL) == set()
    assert "cloudformation:CreateChangeSet" in deployers


def test_commands_are_granted_nothing_that_none_calls() -> None:
    used = called(OPERATING | DEPLOYING) | {*WITHOUT_SDK.values()}
    # CloudFormation reads the template and the code from the bucket with the rights of who deploys.
    assert granted(PolicyPart.OPERATE) - used == set()
    for scope in SCOPES:
        deploying = {f"{scope.service}:{name}" for name in scope.deploying.split()}
        assert deploying - used == set(), scope.sid


def test_a_call_that_no_policy_grants_is_seen() -> None:
    needed = called(OPERATING) - OF_OTHERS
    for action in ("s3:ListBucket", "dynamodb:Scan", "ses:GetEmailIdentity", "cloudformation:DescribeStacks"):
        assert action in needed
    assert missing({"s3:PutBucketAcl", "sqs:PurgeQueue"}, PolicyPart.ALL) == {
        "s3:PutBucketAcl",
        "sqs:PurgeQueue",
    }


def test_every_type_of_the_template_has_the_actions_that_cloudformation_needs() -> None:
    covered = {kind for scope in SCOPES for kind in scope.types}
    assert covered == {resource["Type"] for resource in translated()["Resources"].values()}
    for scope in SCOPES:
        for kind, names in scope.types.items():
            needed = {f"{scope.service}:{name}" for name in names.split()}
            assert missing({item for item in needed if "*" not in item}, PolicyPart.ALL) == set(), kind


def test_every_action_is_one_that_iam_knows() -> None:
    # cfn-lint's list of IAM's actions, read without cfn-lint: its import takes some seconds of CPU.
    spec = find_spec("cfnlint")
    assert spec is not None
    assert spec.origin is not None
    known = json.loads((Path(spec.origin).parent / "data/AdditionalSpecs/Policies.json").read_bytes())
    for statement in operator_policy("production")["Statement"]:
        for action in statement["Action"]:
            service, _, name = action.partition(":")
            names = [item for item in known[service]["Actions"] if fnmatch_iam(item, name)]
            assert names, action
            if statement["Resource"] == "*" and action not in FOR_EVERYTHING:
                assert not any(known[service]["Actions"][item].get("Resources") for item in names), action


def allowed(
    action: str,
    resource: str,
    *,
    stage: str = "production",
    part: PolicyPart = PolicyPart.ALL,
    context: Any = None,
) -> bool:
    """Tell whether the policy of a stage allows an action on a resource, by the emulator's IAM."""
    policy = parse_policy_document(operator_policy(stage, part, region=REGION, account=ACCOUNT))
    asked = EvalContext(
        f"arn:aws:iam::{ACCOUNT}:user/ann",
        "User",
        ACCOUNT,
        action,
        resource,
        REGION,
        service_context=context or {},
    )
    return bool(evaluate(asked, [policy]).decision == "Allow")


OWN: list[tuple[str, str]] = [
    ("cloudformation:CreateChangeSet", "arn:aws:cloudformation:us-east-1:123456789012:stack/{stack}/1f"),
    ("dynamodb:CreateTable", "arn:aws:dynamodb:us-east-1:123456789012:table/{stack}-EntriesTable-1X"),
    ("dynamodb:Query", "arn:aws:dynamodb:us-east-1:123456789012:table/{stack}-EntriesTable-1X/index/line"),
    (
        "dynamodb:GetRecords",
        "arn:aws:dynamodb:us-east-1:123456789012:table/{stack}-EntriesTable-1X/stream/2026",
    ),
    ("sqs:ReceiveMessage", "arn:aws:sqs:us-east-1:123456789012:{stack}-WavesDeadLetterQueue-1X"),
    ("sns:Unsubscribe", "arn:aws:sns:us-east-1:123456789012:{stack}-Alarms-1X:5be8"),
    ("s3:PutBucketPolicy", "arn:aws:s3:::{stack}-pagesbucket-1x"),
    ("s3:PutObject", "arn:aws:s3:::{stack}-pagesbucket-1x/products/scarf"),
    ("lambda:UpdateFunctionCode", "arn:aws:lambda:us-east-1:123456789012:function:{stack}-APIHandler-1X"),
    ("iam:PutRolePolicy", "arn:aws:iam::123456789012:role/{stack}-SendWaveRole-1X"),
    (
        "logs:PutRetentionPolicy",
        "arn:aws:logs:us-east-1:123456789012:log-group:{stack}-AutopilotLogGroup-1X:*",
    ),
    ("events:PutTargets", "arn:aws:events:us-east-1:123456789012:rule/{stack}-AutopilotAutopilotEvent-1X"),
    (
        "cloudwatch:PutMetricAlarm",
        "arn:aws:cloudwatch:us-east-1:123456789012:alarm:{stack}-ApiErrorsAlarm-1X",
    ),
    ("cloudwatch:PutDashboard", "arn:aws:cloudwatch::123456789012:dashboard/{stack}-us-east-1"),
]


@pytest.mark.parametrize(("action", "resource"), OWN, ids=[action for action, _ in OWN])
def test_a_stages_operator_reaches_that_stage_alone(action: str, resource: str) -> None:
    assert allowed(action, resource.format(stack="spillway-production"))
    assert not allowed(action, resource.format(stack="spillway-staging"))
    assert not allowed(action, resource.format(stack="payroll"))
    assert not allowed(
        action, resource.format(stack="spillway-production").replace(ACCOUNT, "999999999999")
    ) or (resource.startswith("arn:aws:s3:::"))


def test_names_that_cloudformation_shortens_are_covered() -> None:
    role = "arn:aws:iam::123456789012:role/spillway-a-stage-with-a--OnProductChangedRole-1X"
    assert allowed("iam:CreateRole", role, stage="a-stage-with-a-very-long-name")


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        (
            "secretsmanager:GetSecretValue",
            "arn:aws:secretsmanager:us-east-1:123456789012:secret:OriginKeySecret-1X-a",
        ),
        ("apigateway:POST", "arn:aws:apigateway:us-east-1::/apikeys"),
        ("apigateway:DELETE", "arn:aws:apigateway:us-east-1::/usageplans/a1/keys/b2"),
        ("apigateway:PUT", "arn:aws:apigateway:us-east-1::/restapis/a1"),
        ("cloudfront:CreateDistribution", "*"),
        ("cloudfront:UpdateDistribution", "arn:aws:cloudfront::123456789012:distribution/E1"),
        ("s3:GetObject", "arn:aws:s3:::spillway-artefacts-123456789012-us-east-1/f00.zip"),
        (
            "cloudformation:CreateChangeSet",
            "arn:aws:cloudformation:us-east-1:aws:transform/Serverless-2016-10-31",
        ),
        ("ses:CreateEmailIdentity", "arn:aws:ses:us-east-1:123456789012:identity/shop.example"),
        ("wafv2:CreateWebACL", "arn:aws:wafv2:us-east-1:123456789012:global/webacl/FloodGuardWebAcl-1X/a1"),
    ],
)
def test_actions_without_resources_of_the_stage_are_granted_in_its_account(
    action: str, resource: str
) -> None:
    assert allowed(action, resource)


def test_roles_are_passed_to_lambda_alone_and_mappings_feed_own_functions_alone() -> None:
    role = "arn:aws:iam::123456789012:role/spillway-production-AutopilotRole-1X"
    assert allowed("iam:PassRole", role, context={"iam:passedtoservice": "lambda.amazonaws.com"})
    assert not allowed("iam:PassRole", role, context={"iam:passedtoservice": "ec2.amazonaws.com"})
    function = "arn:aws:lambda:us-east-1:123456789012:function:{}-SendWave-1X"
    for stack, yes in (("spillway-production", True), ("payroll", False)):
        context = {"lambda:functionarn": function.format(stack)}
        assert allowed("lambda:CreateEventSourceMapping", "*", context=context) is yes


def test_the_policy_of_an_operator_allows_neither_deploy_nor_destroy() -> None:
    stack = "arn:aws:cloudformation:us-east-1:123456789012:stack/spillway-production/1f"
    table = "arn:aws:dynamodb:us-east-1:123456789012:table/spillway-production-EntriesTable-1X"
    assert allowed("cloudformation:DescribeStacks", stack, part=PolicyPart.OPERATE)
    assert allowed("dynamodb:UpdateItem", table, part=PolicyPart.OPERATE)
    for action, resource in (
        ("cloudformation:DeleteStack", stack),
        ("dynamodb:DeleteTable", table),
        ("iam:CreateRole", "arn:aws:iam::123456789012:role/spillway-production-AutopilotRole-1X"),
    ):
        assert not allowed(action, resource, part=PolicyPart.OPERATE)


@pytest.mark.parametrize("part", [part for part in PolicyPart if part is not PolicyPart.ALL])
def test_each_part_is_one_managed_policy(part: PolicyPart) -> None:
    policy = operator_policy("a" * 31, part, region="ap-southeast-1", account=ACCOUNT)
    assert len(json.dumps(policy, separators=(",", ":"))) <= MANAGED_POLICY_CHARS_MAX


def test_the_parts_are_the_whole() -> None:
    def pairs(part: PolicyPart) -> set[tuple[str, str]]:
        statements = operator_policy("production", part)["Statement"]
        return {
            (statement["Sid"], action)
            for statement in statements
            for action in statement["Action"]
            if "*" not in action
        }

    parts = set().union(*(pairs(part) for part in PolicyPart if part is not PolicyPart.ALL))
    assert pairs(PolicyPart.ALL) <= parts


def printed(*words: str) -> Any:
    ended = CliRunner().invoke(cli, ["deploy", "--print-policy", *words], obj=Project(ROOT))
    assert ended.exit_code == 0, ended.output
    return json.loads(ended.stdout)


def test_the_policy_is_printed_without_an_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    assert printed() == operator_policy("production")
    assert printed("--stage", "staging", "--policy-part", "operate") == operator_policy(
        "staging", PolicyPart.OPERATE
    )
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert printed("--policy-account", ACCOUNT) == operator_policy(
        "production", region="eu-west-1", account=ACCOUNT
    )


def test_a_deployment_still_wants_its_stage_said() -> None:
    ended = CliRunner().invoke(cli, ["deploy"], obj=Project(ROOT))
    assert isinstance(ended.exception, BadInput)
    assert ended.exception.message == "--stage NAME: needed"


def test_each_secret_of_the_stack_is_one_that_an_operator_may_read_and_write() -> None:
    (scope,) = [scope for scope in SCOPES if scope.sid == "Secrets"]
    named = {name.rpartition(":*")[2].removesuffix("-*") for name in scope.resources}
    resources = translated()["Resources"].items()
    assert named == {name for name, part in resources if part["Type"] == "AWS::SecretsManager::Secret"}

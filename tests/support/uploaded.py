"""The text that a deployment uploads, and what SAM makes of it: the stack as CloudFormation gets it."""

import fcntl
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from spillway.deploy.package import Package, packaged
from spillway.project import Project
from tests.support.aws import REGION, ROOT

PSEUDO = {"AWS::Partition": "aws", "AWS::AccountId": "123456789012", "AWS::URLSuffix": "amazonaws.com"}
# Names of these kinds are one for all of an account's regions.
GLOBAL_KINDS = (
    "AWS::CloudFront::",
    "AWS::CloudWatch::Dashboard",
    "AWS::IAM::",
    "AWS::Budgets::",
    "AWS::S3::",
)
LOCK = ROOT / ".cache" / "tests-package.lock"


@cache
def made_package() -> Package:
    """The package of this tree, made by one test process at a time."""
    LOCK.parent.mkdir(exist_ok=True)
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return packaged(Project(ROOT), "local")


@cache
def uploaded_text(region: str = REGION) -> str:
    """The very text that a deployment to `region` uploads."""
    return made_package().template_for("artefacts", region)


class NoManagedPolicies:
    """SAM asks IAM for managed policies by name; the template names none."""

    def load(self) -> Mapping[str, str]:
        """Return none."""
        return {}


@cache
def _translated() -> str:
    # Its import takes a second: not while tests are collected.
    from samtranslator.translator.transform import transform

    document = json.loads(uploaded_text())
    defaults = {
        name: str(parameter.get("Default", "x")) for name, parameter in document["Parameters"].items()
    }
    return json.dumps(transform(document, defaults, NoManagedPolicies()))


def translated() -> dict[str, Any]:
    """The template that SAM makes of the uploaded text; a copy that a test may break."""
    document: dict[str, Any] = json.loads(_translated())
    return document


def resolved(value: Any, stack: str, region: str) -> Any:
    """`value` with the pseudo parameters filled in; a reference to a resource stays what it is."""
    known = {**PSEUDO, "AWS::StackName": stack, "AWS::Region": region}
    if isinstance(value, dict):
        if set(value) == {"Ref"} and value["Ref"] in known:
            return known[value["Ref"]]
        if set(value) == {"Fn::Sub"} and isinstance(value["Fn::Sub"], str):
            text = value["Fn::Sub"]
            for name, word in known.items():
                text = text.replace(f"${{{name}}}", word)
            return text
        return {key: resolved(part, stack, region) for key, part in value.items()}
    if isinstance(value, list):
        return [resolved(part, stack, region) for part in value]
    return value


if __name__ == "__main__":
    print(f"The package of the tests: {made_package().archive}")

"""The docs about deploying agree with the template and the commands."""

import re

from spillway.operate.doctor import CHECKS
from tests.support.aws import ROOT, template
from tests.support.documents import DOCS, README

DEPLOYING = (ROOT / "docs" / "deploying.md").read_text()
STAGE = re.compile(r"--stage[ =]([a-z][a-z0-9-]*)")


def test_every_parameter_has_a_meaning() -> None:
    for name, parameter in template()["Parameters"].items():
        assert parameter.get("Description"), name


def test_a_stage_of_the_docs_is_called_production() -> None:
    # Help texts show a second stage, too.
    files = [README, *(file for file in DOCS if file.parent.name != "reference")]
    named = {(file.name, name) for file in files for name in STAGE.findall(file.read_text())}
    assert named
    assert not [(file, name) for file, name in named if name not in {"production", "local"}]


def test_every_check_of_the_doctor_that_a_step_of_deploying_needs_is_named() -> None:
    named = set(re.findall(r"`(\w+)`", DEPLOYING))
    assert {*CHECKS} & named >= {
        "settings",
        "domain",
        "concurrency",
        "sender",
        "DKIM",
        "SPF",
        "DMARC",
        "sandbox",
    }
    cited = set(re.findall(r"checks? `(\w+)`", DEPLOYING)) | set(re.findall(r", `([A-Z]+)`", DEPLOYING))
    assert cited <= {*CHECKS}


def test_every_parameter_that_deploying_names_is_one() -> None:
    named = set(re.findall(r"--param (\w+)=", DEPLOYING)) | set(
        re.findall(r"`([A-Z][a-z]+[A-Z]\w+)`", DEPLOYING)
    )
    others = {
        "DistributionDomain",  # an output
        "ReservedConcurrentExecutions",  # what CloudFormation calls it
        "DeletionPolicy",
        *(name for name, resource in template()["Resources"].items() if "DeletionPolicy" in resource),
    }
    assert named - others <= set(template()["Parameters"])

"""The docs about deploying agree with the template and the commands."""

import re

import pytest

from spillway.deploy.template import TEMPLATE, read_parameters, reference
from spillway.operate.doctor import CHECKS
from tests.support.aws import ROOT, template
from tests.support.documents import DOCS, README

DEPLOYING = (ROOT / "docs" / "deploying.md").read_text()
PARAMETERS = ROOT / "docs" / "parameters.md"
STAGE = re.compile(r"--stage[ =]([a-z][a-z0-9-]*)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def test_the_reference_of_parameters_is_that_of_the_template() -> None:
    made = reference(read_parameters(TEMPLATE.read_text()))
    assert PARAMETERS.read_text() == made, (
        "make it again: python -m spillway.deploy.template > docs/parameters.md"
    )
    assert (
        "| `SenderAddress` | The address emails come from; SES lets nothing else be sent. | text | needed |"
        in made
    )
    assert "| `AutopilotMode` |" in made
    assert "`off`, `on`, `dry-run` | `off` |" in made
    assert "a number, at least 1 | `1` |" in made


def test_every_parameter_has_a_meaning() -> None:
    for name, parameter in template()["Parameters"].items():
        assert parameter.get("Description"), name


@pytest.mark.parametrize("file", [README, *DOCS], ids=lambda file: file.name)
def test_a_stage_of_the_docs_is_called_production(file: object) -> None:
    names = set(STAGE.findall(file.read_text()))  # type: ignore[attr-defined]
    assert names <= {"production", "local"}


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


def test_links_between_documents_lead_to_a_heading() -> None:
    for file in (README, *DOCS):
        for path, anchor in re.findall(r"\]\(((?:docs/)?[\w/-]+\.md)(?:#([\w-]+))?\)", file.read_text()):
            target = file.parent / path
            assert target.is_file(), f"{file.name}: {path}"
            headings = {
                re.sub(r"[^\w -]", "", found).lower().replace(" ", "-")
                for found in HEADING.findall(target.read_text())
            }
            assert not anchor or anchor in headings, f"{file.name}: {path}#{anchor}"

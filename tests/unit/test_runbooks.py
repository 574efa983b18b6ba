"""Every alarm has a page that says what to do, and every command on it exists."""

import re
import shlex
from collections import Counter
from importlib import import_module
from typing import TYPE_CHECKING

import botocore.session
import pytest
from botocore import xform_name

from loadtests.__main__ import load
from spillway.__main__ import cli
from spillway.commands import COMMANDS
from tests.support.aws import ROOT, template
from tests.support.documents import SHELL, commands, spillway_commands

if TYPE_CHECKING:
    import click

# Options of the AWS CLI itself.
EVERYWHERE = {"region", "profile"}
RUNBOOKS = {file.name: file.read_text() for file in sorted((ROOT / "docs" / "runbooks").glob("*.md"))}


def alarms() -> set[str]:
    resources = template()["Resources"]
    return {name for name, resource in resources.items() if resource.get("Type") == "AWS::CloudWatch::Alarm"}


def test_every_alarm_has_one_runbook_and_no_runbook_explains_an_alarm_that_is_not_there() -> None:
    named = Counter(
        name
        for text in RUNBOOKS.values()
        for name in re.findall(r"`(\w+Alarm)`", text.partition("Alarms: ")[2].partition("\n")[0])
    )
    assert set(named) == alarms()
    assert set(named.values()) == {1}


@pytest.mark.parametrize("name", RUNBOOKS)
def test_a_runbook_says_what_it_means_what_to_look_at_and_what_to_type(name: str) -> None:
    for heading in ("## Meaning", "## Look at", "## Commands", "## When it is over"):
        assert heading in RUNBOOKS[name]
    assert SHELL.search(RUNBOOKS[name])


def test_every_alarm_notifies_somebody() -> None:
    resources = template()["Resources"]
    assert all(resources[name]["Properties"]["AlarmActions"] for name in alarms())
    assert all(resources[name]["Properties"]["AlarmDescription"] for name in alarms())


@pytest.mark.parametrize("words", spillway_commands(), ids=" ".join)
def test_every_spillway_command_in_the_docs_is_one_that_can_be_typed(words: list[str]) -> None:
    module, _, attribute = COMMANDS[words[1]].partition(":")
    command: click.Command = getattr(import_module(module), attribute)
    command.make_context(words[1], words[2:], **cli.context_settings)


@pytest.mark.parametrize("words", [words for words in commands() if words[0] == "aws"], ids=" ".join)
def test_every_aws_command_in_the_docs_names_an_operation_that_exists(words: list[str]) -> None:
    service, operation = words[1], words[2]
    if (service, operation) == ("logs", "tail"):  # the CLI's own, made of several operations
        return
    model = botocore.session.get_session().get_service_model(service)
    names = {_typed(name): name for name in model.operation_names}
    assert operation in names
    asked = model.operation_model(names[operation]).input_shape
    members = {_typed(name) for name in (asked.members if asked else ())}
    options = {word.removeprefix("--").removeprefix("no-") for word in words if word.startswith("--")}
    assert options - EVERYWHERE <= members


def _typed(name: str) -> str:
    """The name of an operation or a parameter as it is typed."""
    return str(xform_name(name, "-"))


@pytest.mark.parametrize(
    "words", [words for words in commands() if words[:2] == ["make", "load"]], ids=" ".join
)
def test_every_flood_in_the_docs_is_one_that_can_be_asked_for(words: list[str]) -> None:
    given = [word.removeprefix("ARGS=") for word in words[2:]]
    load.make_context("load", shlex.split(" ".join(given)), **cli.context_settings)


def test_every_target_of_make_in_the_docs_is_one() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {words[1] for words in commands() if words[0] == "make"} <= targets


def test_commands_and_checks_in_the_docs_are_nothing_else() -> None:
    assert {words[0] for words in commands()} <= {"spillway", "aws", "make"}

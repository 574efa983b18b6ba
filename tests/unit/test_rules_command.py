"""`spillway rules`: check the file, try it on recorded events, show what was done."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from chalicelib.domain.autopilot import RuleBounds
from chalicelib.domain.domain_event import DomainEvent, EventType
from chalicelib.rules.rule import Firing, FiringOutcome, Rule, RuleAction
from chalicelib.settings import clock_ms
from chalicelib.tables.rules import RulesTable
from chalicelib.tables.sending import RuleBoundsTable
from spillway.commands import rules
from spillway.errors import BadInput
from spillway.project import Project
from tests.support.aws import create_table
from tests.support.containers import container_with
from tests.support.dynamodb import MemoryDynamoDb

Run = Callable[..., Result]
RULE = """[[rules]]
name = "many"
on = "demand.passed"
when.data.waiting = [{ numeric = [">=", 100] }]
do = "resume"
"""


@pytest.fixture
def rows() -> RulesTable:
    client: Any = MemoryDynamoDb()
    return RulesTable(client, create_table(client, "EventsTable"))


@pytest.fixture
def bounds() -> RuleBoundsTable:
    client: Any = MemoryDynamoDb()
    return RuleBoundsTable(client, create_table(client, "SendingTable"))


@pytest.fixture
def run(rows: RulesTable, bounds: RuleBoundsTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    class OneStage:
        def container(self) -> object:
            return container_with(rule_rows=rows, rule_bounds=bounds)

    monkeypatch.setattr(rules, "stage_named", lambda _project, _name: OneStage())
    project = Project(tmp_path)
    project.site.mkdir()
    (project.site / "rules.toml").write_text(RULE)

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(rules.rules_command, arguments, obj=project)

    return invoke


def passed(name: str, waiting: int, *, hours_ago: int) -> DomainEvent:
    at_ms = clock_ms() - hours_ago * 3_600_000
    return DomainEvent(name, EventType.DEMAND_PASSED, at_ms, "MUG", {"sku": "MUG", "waiting": waiting})


def test_check_lists_the_rules_with_their_versions(run: Run) -> None:
    result = run("check")

    assert result.exit_code == 0, result.output
    assert result.output.endswith("do resume, 10 an hour\n1 rule, no mistake\n")
    (listed,) = json.loads(run("check", "--json").output)
    rule = Rule.from_document(listed)
    assert (rule.name, listed["version"]) == ("many", rule.version)


def test_check_refuses_a_mistake_with_its_place(run: Run, tmp_path: Path) -> None:
    (tmp_path / "site" / "rules.toml").write_text(RULE.replace("resume", "resum"))

    result = run("check")

    assert isinstance(result.exception, BadInput)
    refusal = "site/rules.toml:5: rules[0].do = 'resum': expected a known name; did you mean resume?"
    assert refusal in str(result.exception)


def test_try_shows_what_the_rules_of_the_file_would_have_done_and_does_nothing(
    run: Run, rows: RulesTable
) -> None:
    for event in (
        passed("e1", 100, hours_ago=30),
        passed("e2", 250, hours_ago=2),
        passed("e3", 50, hours_ago=1),
    ):
        rows.record(event)

    result = run("try", "--last", "2d")

    assert result.exit_code == 0, result.output
    *lines, total = result.output.splitlines()
    assert [line.split("  ")[2] for line in lines] == ["demand.passed MUG e1", "demand.passed MUG e2"]
    assert total == "3 recorded events: many 2"
    assert run("try", "--last", "24h").output.splitlines()[-1] == "2 recorded events: many 1"
    assert rows.firings() == []


def test_log_shows_what_was_done_and_why(run: Run, rows: RulesTable) -> None:
    rule = Rule("many", EventType.DEMAND_PASSED, {}, RuleAction.RESUME)
    firing = Firing.of(rule, passed("e1", 100, hours_ago=1), FiringOutcome.FIRED, at_ms=clock_ms())
    rows.decide(firing, budget=1)
    rows.finish(firing, "done")

    assert run("log").output.endswith(f"many ({rule.version})  demand.passed MUG e1  fired resume: done\n")
    (shown,) = json.loads(run("log", "--json").output)
    assert (shown["values"], shown["result"]) == ({"sku": "MUG", "waiting": 100}, "done")


@pytest.mark.parametrize("span", ["31d", "0h", "5", "1w"])
def test_a_time_that_is_none_is_refused(run: Run, span: str) -> None:
    result = run("log", "--last", span)

    assert result.exit_code == 2
    assert f"'{span}' is not a time such as 24h or 30d, 30d at most" in " ".join(result.output.split())


def test_the_bounds_that_a_rule_set_are_shown_and_cleared(run: Run, bounds: RuleBoundsTable) -> None:
    nothing = "write units as the stack says, instances as the stack says\n"
    assert run("bounds").output == nothing
    bounds.put(RuleBounds(api_concurrency_max=1_200), rule="small", at_ms=5)

    assert run("bounds").output == "write units as the stack says, instances 1,200\n"
    assert (
        run("bounds", "--clear").output == "cleared; before: write units as the stack says, instances 1,200\n"
    )
    assert run("bounds").output == nothing

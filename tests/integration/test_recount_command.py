"""`spillway waitlist recount`, typed: what it prints, its exit status, and when it refuses to repair."""

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner, Result

from chalicelib.domain.entry import DAY_MS, HOUR_MS, OptIn, Signup
from chalicelib.tables.demand import DemandTable
from chalicelib.tables.entries import EntriesTable
from loadtests.shop import recounted
from spillway.__main__ import cli
from spillway.commands import recount
from spillway.errors import BadInput, WorkFailed
from spillway.project import Project
from tests.integration.test_merchant_commands import SmallStage
from tests.support.aws import REGION, create_table
from tests.support.clock import Clock
from tests.support.dynamodb import MemoryDynamoDb

SIGNUP = Signup("ada", "ada@example.com", "A", "/", "c", opt_in=OptIn.SINGLE)


class Metrics:
    """Has the age of the record that is counted now."""

    def __init__(self, *ages_ms: float) -> None:
        self.ages_ms = ages_ms

    def get_metric_data(self, **asked: Any) -> Any:
        (query,) = asked["MetricDataQueries"]
        dimensions = query["MetricStat"]["Metric"]["Dimensions"]
        assert dimensions == [{"Name": "FunctionName", "Value": "stack-CountDemand"}]
        return {"MetricDataResults": [{"Id": "age", "Values": list(self.ages_ms)}]}


class Stack:
    """Knows the name of each resource."""

    def describe_stack_resource(self, **asked: str) -> Any:
        return {"StackResourceDetail": {"PhysicalResourceId": f"stack-{asked['LogicalResourceId']}"}}


class Counted:
    """A stage with one entry that nobody counted."""

    def __init__(self, name: str, monkeypatch: pytest.MonkeyPatch, *ages_ms: float) -> None:
        self.clock, memory = Clock(), MemoryDynamoDb()
        client: Any = memory
        names = {table: create_table(client, table) for table in ("EntriesTable", "DemandTable")}
        client.describe_table = lambda **_: {"Table": {"ItemCount": 1, "TableSizeBytes": 4_096_000_000}}
        EntriesTable(client, names["EntriesTable"]).sign_up(SIGNUP, at_ms=self.clock())
        self.demand = DemandTable(client, names["DemandTable"])
        stage = SmallStage(name, REGION, boto3.Session(region_name=REGION))
        clients = {"dynamodb": client, "cloudwatch": Metrics(*ages_ms), "cloudformation": Stack()}
        object.__setattr__(stage, "clients", clients)
        object.__setattr__(stage, "names", names)
        self.stage = stage
        monkeypatch.setattr(recount, "stage_named", lambda _project, _name: stage)
        monkeypatch.setattr(recount, "sleep", self.clock.pass_s)
        monkeypatch.setattr(recount, "clock_ms", self.clock)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted("local", monkeypatch)


def typed(*words: str) -> Result:
    return CliRunner().invoke(cli, ["waitlist", "recount", *words], obj=Project(Path.cwd()))


def test_counters_that_differ_are_named_and_end_in_status_1(counted: Counted) -> None:
    ran = typed()
    assert isinstance(ran.exception, WorkFailed)
    assert (ran.exception.message, ran.exception.exit_code) == ("3 counters differ, by 3 in all", 1)
    assert ran.exception.hint == "repair them with --repair"
    assert ran.stdout.splitlines() == [
        "A: signups from 2026-09-21 14:00 UTC on: 1 in the table, 0 counted, +1",
        "A: waiting since 2026-09-21: 1 in the table, 0 counted, +1",
        "A: waiting: 1 in the table, 0 counted, +1",
    ]
    assert ran.stderr.splitlines() == [
        "reading the whole entries table, about 1 row and 4,096.0 MB: $0.1250 each time, 3 times at most",
        "1 SKU differs: look 2 of 3, records may be on their way",
        "1 SKU differs: look 3 of 3, records may be on their way",
    ]
    assert counted.demand.all() == {}


def test_a_repair_makes_them_right_and_says_so(counted: Counted) -> None:
    ran = typed("--repair")
    assert ran.exit_code == 0
    assert ran.stdout.splitlines() == ["repaired 3 counters", "1 entry of 1 SKU: every counter is right"]
    assert counted.demand.all()["A"].waiting == 1
    again = typed("--repair")
    assert (again.exit_code, again.stdout) == (0, "1 entry of 1 SKU: every counter is right\n")


def test_a_program_gets_each_counter_that_differs(counted: Counted) -> None:
    hour, day = counted.clock() // HOUR_MS, counted.clock() // DAY_MS
    ran = typed("--json")
    said = json.loads(ran.stdout)
    assert isinstance(ran.exception, WorkFailed)
    assert said == {
        "entries": 1,
        "skus": 1,
        "looks": 3,
        "drifts": [
            {"sku": "A", "counter": name, "counted": 1, "stored": 0, "difference": 1}
            for name in (f"h{hour}", f"w{day}", "waiting")
        ],
        "drift": 3,
        "repaired": 0,
    }
    ran = typed("--json", "--repair")
    assert (ran.exit_code, json.loads(ran.stdout)["repaired"]) == (0, 3)


def test_no_repair_is_made_while_records_wait_to_be_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted("production", monkeypatch, 180_000.0, 10.0)
    ran = typed("--repair", "--stage", "production")
    assert isinstance(ran.exception, WorkFailed)
    assert ran.exception.message == "the counting is 3 minutes behind: a repair now would count twice"
    assert counted.demand.all() == {}


@pytest.mark.parametrize("ages_ms", [(), (900.0, 180_000.0)])
def test_a_repair_is_made_once_the_counting_has_caught_up(
    monkeypatch: pytest.MonkeyPatch, ages_ms: tuple[float, ...]
) -> None:
    counted = Counted("production", monkeypatch, *ages_ms)
    assert typed("--repair", "--stage", "production").exit_code == 0
    assert counted.demand.all()["A"].waiting == 1


def test_a_stage_of_an_earlier_version_says_what_to_do(counted: Counted) -> None:
    del counted.stage.names["DemandTable"]
    ran = typed()
    assert isinstance(ran.exception, BadInput)
    assert ran.exception.hint == "deploy this version first: spillway deploy --stage local"
    assert ran.exception.exit_code == 2


def test_a_load_test_waits_until_its_flood_is_counted(counted: Counted) -> None:
    missing = {"waiting": 1, f"h{counted.clock() // HOUR_MS}": 1, f"w{counted.clock() // DAY_MS}": 1}
    began_ms = counted.clock()

    def sleep(seconds: float) -> None:
        counted.clock.pass_s(seconds)
        if counted.clock() - began_ms > 40_000 and missing:
            counted.demand.add("A", missing)
            missing.clear()

    assert recounted(counted.stage, clock_ms=counted.clock, sleep=sleep).drifts == ()
    assert counted.clock() - began_ms < 60_000


def test_a_load_test_does_not_wait_for_ever(counted: Counted) -> None:
    began_ms = counted.clock()
    found = recounted(counted.stage, clock_ms=counted.clock, sleep=counted.clock.pass_s)
    assert len(found.drifts) == 3
    assert 180_000 <= counted.clock() - began_ms < 200_000

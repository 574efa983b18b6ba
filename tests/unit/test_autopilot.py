"""The autopilot reacts within bounds, with an action log, from a terminal and from the cloud's schedule."""

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.domain.autopilot import (
    CONTROL_OF,
    AutopilotAction,
    AutopilotDecision,
    Bounds,
    Control,
    Observation,
    RuleBounds,
    decide,
)
from chalicelib.services.autopilot import Autopilot, CloudActionLog, Resources
from chalicelib.tables.sending import AlertStateTable
from spillway.errors import BadInput
from spillway.operate.state import FileActionLog, resources_of, run_autopilot
from tests.support.aws import template
from tests.support.log_lines import logged
from tests.support.stubbed_stage import Client, FakeStage, stage, waiting, well

CALM = Observation(writes_per_s=10, warm_write_units=4_000, concurrent=2, concurrency_reserved=0)
BOUNDS = Bounds(entries_write_units_max=20_000, api_concurrency_max=500)


def test_a_calm_shop_is_left_alone() -> None:
    assert decide(CALM, BOUNDS) == ()


def test_a_spike_warms_the_table_within_bounds_and_sets_environments_aside() -> None:
    spike = replace(CALM, writes_per_s=3_000, concurrent=100)
    warm, reserve = decide(spike, BOUNDS)
    assert (warm.action, warm.value) == (AutopilotAction.WARM_TABLE, 9_000)
    assert (reserve.action, reserve.value) == (AutopilotAction.RAISE_CONCURRENCY, 300)
    flood = replace(CALM, writes_per_s=50_000, concurrent=5_000)
    assert [decision.value for decision in decide(flood, BOUNDS)] == [20_000, 500]
    assert decide(flood, Bounds()) == ()


def test_raised_concurrency_is_not_raised_again_and_is_lowered_after_the_flood() -> None:
    raised = replace(CALM, concurrent=100, concurrency_reserved=300)
    assert decide(raised, BOUNDS) == ()
    (lowered,) = decide(replace(raised, concurrent=3), BOUNDS)
    assert (lowered.action, lowered.value) == (AutopilotAction.LOWER_CONCURRENCY, 0)


@pytest.mark.parametrize("rates", [{"complaint_rate": 0.0041}, {"bounce_rate": 0.081}])
def test_sending_is_paused_once_before_ses_would_pause_the_account(rates: dict[str, float]) -> None:
    (paused,) = decide(replace(CALM, **rates), Bounds())
    assert paused.action is AutopilotAction.PAUSE_SENDING
    assert decide(replace(CALM, sending=False, **rates), Bounds()) == ()


def test_dead_letters_raise_one_notice() -> None:
    assert [decision.value for decision in decide(replace(CALM, dead_letters=3), Bounds())] == [3]
    assert decide(replace(CALM, dead_letters=3, dead_letters_before=3), Bounds()) == ()


def test_dead_letters_that_come_after_a_redrive_raise_an_alert_again() -> None:
    (fewer,) = decide(replace(CALM, dead_letters=1, dead_letters_before=3), Bounds())
    assert (fewer.action, fewer.value) == (AutopilotAction.RESET_DEAD_LETTER_COUNT, 1)
    (more,) = decide(replace(CALM, dead_letters=2, dead_letters_before=fewer.value), Bounds())
    assert more.action is AutopilotAction.ALERT_DEAD_LETTERS


def flooded(**metrics: list[float]) -> FakeStage:
    """A production stage in the middle of a flood, with two dead letters."""
    values = {"writes": [240_000.0, 60.0], "concurrent": [80.0], "bounces": [], "complaints": []} | metrics
    results = [{"Id": key, "Values": found} for key, found in values.items()]
    table = {"ItemCount": 1, "WarmThroughput": {"WriteUnitsPerSecond": 4_000}}
    return well(
        cloudformation=Client(
            describe_stack_resource=lambda **asked: {
                "StackResourceDetail": {"PhysicalResourceId": f"physical-{asked['LogicalResourceId']}"}
            },
        ),
        cloudwatch=Client(get_metric_data={"MetricDataResults": results}),
        dynamodb=Client(
            describe_table={"Table": table}, update_table={}, get_item={}, update_item={}, put_item={}
        ),
        sqs=waiting({"streamdeadletterqueue": 2}),
        sns=Client(publish={}),
        **{
            "lambda": Client(
                get_function_concurrency={}, put_function_concurrency={}, delete_function_concurrency={}
            )
        },
    )


CHANGES = {
    "update_table",
    "update_item",
    "put_item",
    "publish",
    "put_function_concurrency",
    "delete_function_concurrency",
}


def changed(place: FakeStage) -> list[str]:
    """The changes, by the names of the calls."""
    return [name for client in place.clients.values() for name, _ in client.calls if name in CHANGES]


def autopilot_acted(
    place: FakeStage, tmp_path: Path, *controls: Control, dry_run: bool = False
) -> tuple[list[AutopilotAction], FileActionLog]:
    log = FileActionLog(tmp_path / "tend" / "production.jsonl")
    wanted = controls or tuple(Control)
    decisions = run_autopilot(place, BOUNDS, log, lambda: 1_790_000_000_000, dry_run=dry_run, controls=wanted)
    return [decision.action for decision in decisions], log


IN_A_FLOOD = [
    AutopilotAction.WARM_TABLE,
    AutopilotAction.RAISE_CONCURRENCY,
    AutopilotAction.ALERT_DEAD_LETTERS,
]


def test_the_autopilot_does_what_was_decided_and_logs_the_reason(tmp_path: Path) -> None:
    place = flooded()
    actions, log = autopilot_acted(place, tmp_path)
    assert actions == IN_A_FLOOD
    calls = {name: asked for client in place.clients.values() for name, asked in client.calls}
    assert calls["update_table"]["WarmThroughput"]["WriteUnitsPerSecond"] == 12_000
    assert calls["put_function_concurrency"] == {
        "FunctionName": "physical-APIHandler",
        "ReservedConcurrentExecutions": 240,
    }
    assert calls["publish"]["TopicArn"] == "physical-AlarmsTopic"
    assert log.dead_letters_alerted() == 2
    assert all(json.loads(line)["why"] for line in log.file.read_text().splitlines())
    assert autopilot_acted(place, tmp_path)[0] == IN_A_FLOOD[:2]  # notified once


def test_complaints_pause_the_shops_sending_and_not_the_accounts(tmp_path: Path) -> None:
    place = flooded(complaints=[0.0041])
    actions, _ = autopilot_acted(place, tmp_path, Control.SENDING)
    assert actions == [AutopilotAction.PAUSE_SENDING]
    ((_, paused),) = [call for call in place.client("dynamodb").calls if call[0] == "update_item"]
    assert paused["TableName"] == "sendingtable"
    assert paused["ExpressionAttributeValues"] == {":paused": {"S": "complaints at 0.41%"}}


@pytest.mark.parametrize("control", list(Control))
def test_a_dry_run_of_each_loop_says_the_same_and_does_nothing(control: Control, tmp_path: Path) -> None:
    place = flooded(bounces=[0.09])
    actions, log = autopilot_acted(place, tmp_path, control, dry_run=True)
    assert [CONTROL_OF[action] for action in actions] == [control]
    assert changed(place) == []
    assert log.dead_letters_alerted() == 0


def test_every_action_belongs_to_a_loop() -> None:
    assert set(CONTROL_OF) == set(AutopilotAction)


def test_the_autopilot_in_the_cloud_acts_and_remembers_its_alerts(capsys: pytest.CaptureFixture[str]) -> None:
    place, alert_state = flooded(), AlertStateTable(Client(get_item={}, put_item={}), "sending")
    autopilot = Autopilot(place.client, resources_of(place), BOUNDS, CloudActionLog(alert_state), lambda: 1)
    assert [decision.action for decision in autopilot.run(dry_run=False)] == IN_A_FLOOD
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["action"] for line in lines] == IN_A_FLOOD
    assert all(line["event"] == "autopilot_acted" and line["done"] and line["why"] for line in lines)


def test_the_alerts_sent_are_read_back() -> None:
    rows = Client(get_item={}, put_item={})
    alert_state = AlertStateTable(rows, "sending")
    assert alert_state.dead_letters() == 0
    alert_state.alerted(3)
    ((_, put),) = [call for call in rows.calls if call[0] == "put_item"]
    rows.answers["get_item"] = {"Item": put["Item"]}
    assert alert_state.dead_letters() == 3


def test_the_cloud_tends_only_where_the_stack_says_so() -> None:
    made = template()
    function = made["Resources"]["Autopilot"]["Properties"]
    assert made["Parameters"]["AutopilotMode"]["Default"] == "off"
    assert function["Events"]["AutopilotEvent"]["Properties"]["State"] == {
        "Fn::If": ["AutopilotRuns", "ENABLED", "DISABLED"]
    }
    assert made["Parameters"]["AutopilotEntriesWriteUnitsMax"]["Default"] == 0
    assert made["Parameters"]["AutopilotApiConcurrencyMax"]["Default"] == 0


def test_the_local_stage_has_nothing_to_tend(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no metrics"):
        run_autopilot(stage("local"), BOUNDS, FileActionLog(tmp_path / "log"), lambda: 0, dry_run=True)


PLACES = Resources("entries", "sending", "api", "topic", ("dead-1", "dead-2"))


class Watched:
    """A stage that keeps every request and the alerts sent before."""

    def __init__(self, alerted: int = 1, **answers: Any) -> None:
        values = {"writes": [600.0, 240_000.0], "concurrent": [80.0, 7.0], "bounces": [], "complaints": [0.1]}
        results = [{"Id": key, "Values": found} for key, found in values.items()]
        self.client = Client(
            get_metric_data={"MetricDataResults": results},
            describe_table={"Table": {"WarmThroughput": {"WriteUnitsPerSecond": 5_000}}},
            get_item={},
            # Visible, received by somebody, and put back for later.
            get_queue_attributes=lambda **asked: {
                "Attributes": dict(
                    zip(
                        asked["AttributeNames"],
                        {"dead-1": "300", "dead-2": "211"}[asked["QueueUrl"]],
                        strict=True,
                    )
                )
            },
            get_function_concurrency={"ReservedConcurrentExecutions": 9},
            update_table={},
            update_item={},
            put_item={},
            publish={},
            put_function_concurrency={},
            delete_function_concurrency={},
        )
        self.client.answers |= answers
        self.asked: list[str] = []
        self.written: list[tuple[str, int, bool]] = []
        self.notified = alerted

    def service(self, name: str) -> Client:
        self.asked.append(name)
        return self.client

    def dead_letters_alerted(self) -> int:
        return self.notified

    def write(self, decision: AutopilotDecision, *, at_ms: int, done: bool) -> None:
        self.written.append((decision.action, at_ms, done))

    def autopilot(self, bounds: Bounds = BOUNDS) -> Autopilot:
        return Autopilot(self.service, PLACES, bounds, self, lambda: 1_790_000_000_000)

    def requests(self) -> list[tuple[str, dict[str, Any]]]:
        calls, self.client.calls = self.client.calls, []
        return calls


def metric(key: str, namespace: str, name: str, statistic: str, **dimensions: str) -> dict[str, Any]:
    named = [{"Name": dimension, "Value": value} for dimension, value in dimensions.items()]
    about = {"Namespace": namespace, "MetricName": name, "Dimensions": named}
    return {"Id": key, "MetricStat": {"Metric": about, "Period": 60, "Stat": statistic}}


def test_a_look_asks_for_the_last_five_minutes_and_says_what_they_were_like() -> None:
    watched = Watched()
    assert watched.autopilot().look() == Observation(
        writes_per_s=4_000,
        warm_write_units=5_000,
        concurrent=80.0,
        concurrency_reserved=9,
        bounce_rate=0.0,
        complaint_rate=0.1,
        sending=True,
        dead_letters=7,
        dead_letters_before=1,
    )
    assert watched.asked == ["cloudwatch", "lambda", "dynamodb", "dynamodb", "sqs", "sqs"]
    queries = [
        metric("writes", "AWS/DynamoDB", "ConsumedWriteCapacityUnits", "Sum", TableName="entries"),
        metric("concurrent", "AWS/Lambda", "ConcurrentExecutions", "Maximum", FunctionName="api"),
        metric("bounces", "AWS/SES", "Reputation.BounceRate", "Maximum"),
        metric("complaints", "AWS/SES", "Reputation.ComplaintRate", "Maximum"),
    ]
    ends = datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)
    names = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]
    assert watched.requests() == [
        (
            "get_metric_data",
            {"MetricDataQueries": queries, "StartTime": ends.replace(minute=8), "EndTime": ends},
        ),
        ("get_function_concurrency", {"FunctionName": "api"}),
        ("describe_table", {"TableName": "entries"}),
        ("get_item", {"TableName": "sending", "Key": {"id": {"S": "sending-rate"}}, "ConsistentRead": True}),
        *(
            ("get_queue_attributes", {"QueueUrl": url, "AttributeNames": names})
            for url in ("dead-1", "dead-2")
        ),
    ]


@pytest.mark.parametrize(
    ("answers", "observation"),
    [
        ({"describe_table": {"Table": {}}}, {"warm_write_units": 4_000}),
        ({"describe_table": {"Table": {"WarmThroughput": {}}}}, {"warm_write_units": 4_000}),
        ({"get_function_concurrency": {}}, {"concurrency_reserved": 0}),
        ({"get_item": {"Item": {"id": {"S": "sending-rate"}}}}, {"sending": True}),
        ({"get_item": {"Item": {"id": {"S": "sending-rate"}, "paused": {"S": "why"}}}}, {"sending": False}),
    ],
)
def test_a_look_knows_a_stage_where_some_of_it_is_not_set(
    answers: dict[str, Any], observation: dict[str, Any]
) -> None:
    looked = asdict(Watched(**answers).autopilot().look())
    assert {name: looked[name] for name in observation} == observation


@pytest.mark.parametrize(
    ("watched", "bounds", "control", "action", "request_"),
    [
        (
            Watched(),
            BOUNDS,
            Control.TABLE,
            AutopilotAction.WARM_TABLE,
            (
                "update_table",
                {"TableName": "entries", "WarmThroughput": {"WriteUnitsPerSecond": 12_000}},
            ),
        ),
        (
            Watched(),
            BOUNDS,
            Control.CONCURRENCY,
            AutopilotAction.RAISE_CONCURRENCY,
            ("put_function_concurrency", {"FunctionName": "api", "ReservedConcurrentExecutions": 240}),
        ),
        (
            Watched(get_function_concurrency={"ReservedConcurrentExecutions": 900}),
            BOUNDS,
            Control.CONCURRENCY,
            AutopilotAction.LOWER_CONCURRENCY,
            ("delete_function_concurrency", {"FunctionName": "api"}),
        ),
        (
            Watched(),
            Bounds(),
            Control.SENDING,
            AutopilotAction.PAUSE_SENDING,
            (
                "update_item",
                {
                    "TableName": "sending",
                    "Key": {"id": {"S": "sending-rate"}},
                    "UpdateExpression": "SET #paused = :paused",
                    "ConditionExpression": "attribute_not_exists(#paused)",
                    "ExpressionAttributeNames": {"#paused": "paused"},
                    "ExpressionAttributeValues": {":paused": {"S": "complaints at 10.00%"}},
                },
            ),
        ),
        (
            Watched(),
            Bounds(),
            Control.DEAD_LETTERS,
            AutopilotAction.ALERT_DEAD_LETTERS,
            (
                "publish",
                {
                    "TopicArn": "topic",
                    "Subject": "dead letters",
                    "Message": "7 wait for a person, 1 of them reported before."
                    " What to do: docs/runbooks/dead-letters.md",
                },
            ),
        ),
        (Watched(alerted=8), Bounds(), Control.DEAD_LETTERS, AutopilotAction.RESET_DEAD_LETTER_COUNT, None),
    ],
)
def test_each_action_is_one_request_and_one_line_of_the_journal(
    watched: Watched, bounds: Bounds, control: Control, action: AutopilotAction, request_: Any
) -> None:
    (decision,) = watched.autopilot(bounds).run(dry_run=False, controls=[control])
    assert decision.action is action
    assert watched.written == [(action, 1_790_000_000_000, True)]
    assert [call for call in watched.requests() if call[0] in CHANGES] == ([request_] if request_ else [])
    (decision,) = watched.autopilot(bounds).run(dry_run=True, controls=[control])
    assert watched.written[1:] == [(action, 1_790_000_000_000, False)]
    assert [call for call in watched.requests() if call[0] in CHANGES] == []


def test_an_action_that_aws_refuses_stops_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    """An account with a low limit of concurrency can reserve none."""

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "InvalidParameterValueException"}}, "PutFunctionConcurrency")

    watched = Watched(put_function_concurrency=refuse)
    with pytest.raises(ClientError, match="InvalidParameterValueException"):
        watched.autopilot().run(dry_run=False)
    assert [action for action, _, _ in watched.written] == [
        AutopilotAction.WARM_TABLE,
        AutopilotAction.PAUSE_SENDING,
        AutopilotAction.ALERT_DEAD_LETTERS,
    ]
    assert logged(capsys) == [
        {
            "event": "autopilot_failed",
            "action": "raise_concurrency",
            "error": "InvalidParameterValueException",
        }
    ]


def test_the_action_log_of_the_cloud_has_the_decision_and_remembers_the_alerts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = Client(get_item={"Item": {"dead_letters": {"N": "5"}}}, put_item={})
    action_log = CloudActionLog(AlertStateTable(rows, "sending"))
    assert action_log.dead_letters_alerted() == 5
    rows.calls.clear()
    noticed = AutopilotDecision(AutopilotAction.ALERT_DEAD_LETTERS, 3, "because")
    action_log.write(AutopilotDecision(AutopilotAction.WARM_TABLE, 9, "because"), at_ms=4, done=True)
    action_log.write(noticed, at_ms=5, done=False)
    assert rows.calls == []
    action_log.write(noticed, at_ms=6, done=True)
    row = {"id": {"S": "alert-state"}, "dead_letters": {"N": "3"}}
    assert rows.calls == [("put_item", {"TableName": "sending", "Item": row})]
    line = {"event": "autopilot_acted", "value": 3, "why": "because", "action": "alert_dead_letters"}
    assert logged(capsys) == [
        {**line, "action": "warm_table", "value": 9, "at_ms": 4, "done": True},
        {**line, "at_ms": 5, "done": False},
        {**line, "at_ms": 6, "done": True},
    ]


def test_the_bounds_of_a_rule_hold_from_the_next_look_on(tmp_path: Path) -> None:
    fake = flooded(writes=[3_000_000.0])
    set_by_rule = [RuleBounds(), RuleBounds(entries_write_units_max=6_000), RuleBounds(0, 0)]
    rule_bounds = iter(set_by_rule)
    log = FileActionLog(tmp_path / "log")
    autopilot = Autopilot(fake.client, resources_of(fake), BOUNDS, log, lambda: 1, lambda: next(rule_bounds))
    looks = [autopilot.run(dry_run=False, controls=[Control.TABLE]) for _ in set_by_rule]
    assert [[decision.value for decision in look] for look in looks] == [[20_000], [6_000], []]


@pytest.mark.parametrize("line", [b'{"at_ms": 1, "acti', b"[]", b'{"done": true, "action": "x"}', b"\xff"])
def test_a_damaged_line_of_the_log_is_named(line: bytes, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b'{"done": false}\n' + line + b"\n")
    with pytest.raises(BadInput, match="log:2: no line of this log"):
        FileActionLog(tmp_path / "log").dead_letters_alerted()

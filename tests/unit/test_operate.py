"""Running a stage: how it is, what is wrong, what reacts by itself, and its end."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from spillway.deploy.stage import Stage
from spillway.errors import BadInput, WorkFailed
from spillway.operate.destruction import destroy, plan_destruction, retained_ids
from spillway.operate.diagnosis import Finding, Health, diagnose
from spillway.operate.reactions import Action, Bounds, Reaction, Seen, decide
from spillway.operate.state import QUEUES, state_of
from spillway.operate.tending import HANDS, Log, tend
from tests.aws import REGION, template

CALM = Seen(writes_per_s=10, warm_write_units=4_000, concurrent=2, concurrency_reserved=0)
BOUNDS = Bounds(entries_write_units_max=20_000, api_concurrency_max=500)


class Client:
    """Answers by operation: a value, an error to raise, or a function of the call's arguments."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            self.calls.append((operation, arguments))
            answer = self.answers[operation]
            if isinstance(answer, Exception):
                raise answer
            return answer(**arguments) if callable(answer) else answer

        return call

    def get_paginator(self, operation: str) -> "Pages":
        return Pages([self.answers[operation]])


@dataclass
class Pages:
    pages: list[Any]

    def paginate(self, **_: Any) -> list[Any]:
        return self.pages


@dataclass(frozen=True)
class FakeStage(Stage):
    """A stage whose AWS is made of fakes, by service."""

    clients: Any = None

    def client(self, service: str) -> Any:
        return self.clients[service]

    def outputs(self) -> dict[str, str]:
        return {name: name.lower() for name in (*QUEUES, "EntriesTable", "PagesBucket", "ReleaseBucket")}


def stage(name: str = "production", **clients: Client) -> FakeStage:
    return FakeStage(name, REGION, boto3.Session(region_name=REGION), clients=clients)


def error(code: str, message: str = "") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "Operation")


def waiting(counts: dict[str, int]) -> Client:
    def attributes(**asked: Any) -> Any:
        count = counts.get(asked["QueueUrl"], 0)
        return {"Attributes": dict(zip(asked["AttributeNames"], (str(count), "0"), strict=True))}

    return Client(get_queue_attributes=attributes)


def account(**facts: Any) -> Client:
    quota = {"MaxSendRate": 14.0, "Max24HourSend": 50_000.0, "SentLast24Hours": 120.0}
    return Client(
        get_account={"SendQuota": quota, "ProductionAccessEnabled": True, "SendingEnabled": True} | facts
    )


def well(**others: Client) -> FakeStage:
    table = {"ItemCount": 42, "WarmThroughput": {"WriteUnitsPerSecond": 4_000}}
    clients = {
        "cloudformation": Client(describe_stacks={"Stacks": [{"StackStatus": "UPDATE_COMPLETE"}]}),
        "sqs": waiting({}),
        "dynamodb": Client(describe_table={"Table": table}),
        "sesv2": account(),
        "cloudwatch": Client(describe_alarms={"MetricAlarms": []}),
        **others,
    }
    return stage("production", **clients)


def test_a_stage_is_well_when_nothing_waits_for_a_person() -> None:
    state = state_of(well())
    assert state.well
    assert (state.entries_about, state.entries_write_units, state.unknown) == (42, 4_000, ())
    assert json.loads(json.dumps(state.to_document()))["well"] is True


@pytest.mark.parametrize(
    "sick",
    [
        {"sqs": waiting({"wavesdeadletters": 3})},
        {"sesv2": account(SendingEnabled=False)},
        {"cloudwatch": Client(describe_alarms={"MetricAlarms": [{"AlarmName": "spillway-x"}]})},
    ],
)
def test_dead_letters_paused_mail_and_alarms_need_somebody(sick: dict[str, Client]) -> None:
    assert not state_of(well(**sick)).well


def test_what_cannot_be_asked_is_named_and_the_rest_is_shown() -> None:
    state = state_of(well(sesv2=Client(get_account=error("AccessDenied"))))
    assert state.unknown == ("mail (ClientError)",)
    assert state.entries_about == 42


def findings(place: Stage) -> dict[str, Finding]:
    return {finding.check: finding for finding in diagnose(place, "Shop <shop@example.com>")}


def test_every_check_answers_even_where_nothing_can_be_asked() -> None:
    found = findings(stage())
    assert len(found) == 9
    assert {finding.health for finding in found.values()} == {Health.UNKNOWN, Health.GOOD}


def test_the_doctor_finds_what_is_wrong_and_says_the_way_out() -> None:
    blocked = {"BlockPublicAcls": True, "BlockPublicPolicy": False}
    found = findings(
        stage(
            cloudformation=Client(describe_stacks={"Stacks": [{"StackStatus": "UPDATE_ROLLBACK_COMPLETE"}]}),
            s3=Client(
                get_public_access_block={"PublicAccessBlockConfiguration": blocked}, head_object=error("404")
            ),
            sesv2=Client(
                get_email_identity=error("NotFoundException"),
                get_account={"ProductionAccessEnabled": False, "SendingEnabled": True},
            ),
        )
    )
    for check in ("stack", "buckets", "release", "sender", "sandbox"):
        assert found[check].health is Health.BAD, check
        assert found[check].way_out, check


def test_a_calm_shop_is_left_alone() -> None:
    assert decide(CALM, BOUNDS) == ()


def test_a_spike_warms_the_table_within_bounds_and_sets_environments_aside() -> None:
    spike = replace(CALM, writes_per_s=3_000, concurrent=100)
    warm, reserve = decide(spike, BOUNDS)
    assert (warm.action, warm.value) == (Action.WARM_TABLE, 9_000)
    assert (reserve.action, reserve.value) == (Action.RAISE_CONCURRENCY, 300)
    flood = replace(CALM, writes_per_s=50_000, concurrent=5_000)
    assert [reaction.value for reaction in decide(flood, BOUNDS)] == [20_000, 500]
    assert decide(flood, Bounds()) == ()


def test_what_was_raised_is_not_raised_again_and_is_lowered_when_the_flood_is_over() -> None:
    raised = replace(CALM, concurrent=100, concurrency_reserved=300)
    assert decide(raised, BOUNDS) == ()
    (lowered,) = decide(replace(raised, concurrent=3), BOUNDS)
    assert (lowered.action, lowered.value) == (Action.LOWER_CONCURRENCY, 0)


@pytest.mark.parametrize("rates", [{"complaint_rate": 0.0041}, {"bounce_rate": 0.081}])
def test_sending_is_paused_once_before_ses_would_pause_the_account(rates: dict[str, float]) -> None:
    (paused,) = decide(replace(CALM, **rates), Bounds())  # type: ignore[arg-type]
    assert paused.action is Action.PAUSE_SENDING
    assert decide(replace(CALM, sending=False, **rates), Bounds()) == ()  # type: ignore[arg-type]


def test_dead_letters_raise_one_notice() -> None:
    assert [reaction.value for reaction in decide(replace(CALM, dead_letters=3), Bounds())] == [3]
    assert decide(replace(CALM, dead_letters=3, dead_letters_before=3), Bounds()) == ()


def tended(tmp_path: Path, *, dry_run: bool) -> tuple[FakeStage, tuple[Reaction, ...], Log]:
    values = {"writes": [240_000.0, 60.0], "concurrent": [80.0], "bounces": [], "complaints": []}
    results = [{"Id": key, "Values": found} for key, found in values.items()]
    table = {"ItemCount": 1, "WarmThroughput": {"WriteUnitsPerSecond": 4_000}}
    place = well(
        cloudformation=Client(
            describe_stacks={"Stacks": [{"StackStatus": "CREATE_COMPLETE"}]},
            describe_stack_resource=lambda **asked: {
                "StackResourceDetail": {"PhysicalResourceId": f"physical-{asked['LogicalResourceId']}"}
            },
        ),
        cloudwatch=Client(
            describe_alarms={"MetricAlarms": []}, get_metric_data={"MetricDataResults": results}
        ),
        dynamodb=Client(describe_table={"Table": table}, update_table={}),
        sqs=waiting({"streamdeadletters": 2}),
        sns=Client(publish={}),
        **{"lambda": Client(get_function_concurrency={}, put_function_concurrency={})},
    )
    log = Log(tmp_path / "tend" / "production.jsonl")
    return place, tend(place, BOUNDS, log, lambda: 1_790_000_000_000, dry_run=dry_run), log


def test_tending_does_what_was_decided_and_writes_down_why(tmp_path: Path) -> None:
    place, reactions, log = tended(tmp_path, dry_run=False)
    assert [reaction.action for reaction in reactions] == [
        Action.WARM_TABLE,
        Action.RAISE_CONCURRENCY,
        Action.NOTICE_DEAD_LETTERS,
    ]
    warmed = [
        arguments for operation, arguments in place.client("dynamodb").calls if operation == "update_table"
    ]
    assert warmed[0]["WarmThroughput"]["WriteUnitsPerSecond"] == 12_000
    assert log.dead_letters_told() == 2
    assert all(json.loads(line)["why"] for line in log.file.read_text().splitlines())


def test_a_dry_run_says_the_same_and_does_nothing(tmp_path: Path) -> None:
    place, reactions, log = tended(tmp_path, dry_run=True)
    assert reactions
    assert not any(operation == "update_table" for operation, _ in place.client("dynamodb").calls)
    assert not place.client("sns").calls
    assert log.dead_letters_told() == 0


def test_every_action_has_hands() -> None:
    assert set(HANDS) == set(Action)


def test_the_local_stage_has_nothing_to_tend(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no metrics"):
        tend(stage("local"), BOUNDS, Log(tmp_path / "log"), lambda: 0, dry_run=True)


def doomed(status: Any) -> FakeStage:
    resources = [
        {
            "LogicalResourceId": "EntriesTable",
            "ResourceType": "AWS::DynamoDB::Table",
            "PhysicalResourceId": "e",
        },
        {"LogicalResourceId": "PagesBucket", "ResourceType": "AWS::S3::Bucket", "PhysicalResourceId": "p"},
        {"LogicalResourceId": "WavesQueue", "ResourceType": "AWS::SQS::Queue", "PhysicalResourceId": "q"},
    ]
    return stage(
        cloudformation=Client(
            get_template={"TemplateBody": template()},
            list_stack_resources={"StackResourceSummaries": resources},
            delete_stack={},
            describe_stacks=status,
        ),
        dynamodb=Client(delete_table={}),
        s3=Client(
            list_object_versions={"Versions": [{"Key": "about", "VersionId": "1"}]},
            delete_objects={},
            delete_bucket={},
        ),
    )


GONE = error("ValidationError", "Stack does not exist")


def test_destroying_a_stage_keeps_its_data() -> None:
    place = doomed(GONE)
    said: list[str] = []
    plan = plan_destruction(place, with_data=False)
    assert (plan.goes, [kept.name for kept in plan.kept]) == (1, ["e", "p"])
    destroy(place, plan, said.append)
    assert said == ["stack spillway-production is deleted"]
    assert not place.client("dynamodb").calls


def test_destroying_with_its_data_deletes_the_data_last() -> None:
    place = doomed(GONE)
    said: list[str] = []
    destroy(place, plan_destruction(place, with_data=True), said.append)
    assert said[1:] == ["EntriesTable is deleted", "PagesBucket is deleted"]
    assert [operation for operation, _ in place.client("s3").calls] == ["delete_objects", "delete_bucket"]


def test_a_stack_that_cannot_be_deleted_leaves_the_data_alone() -> None:
    place = doomed({"Stacks": [{"StackStatus": "DELETE_FAILED"}]})
    with pytest.raises(WorkFailed):
        destroy(place, plan_destruction(place, with_data=True), print)
    assert not place.client("dynamodb").calls


def test_every_table_bucket_and_secret_outlives_the_stack() -> None:
    holds_data = {"AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::SecretsManager::Secret"}
    resources = template()["Resources"]
    assert retained_ids(template()) >= {
        name for name, each in resources.items() if each.get("Type") in holds_data
    }

"""Running a stage: how it is, what is wrong, and its end. The autopilot is in test_autopilot."""

import json
from typing import Any

import pytest

from chalicelib.domain.feedback import Feedback, FeedbackState
from chalicelib.tables.sending.deliverability import DeliverabilityTable
from spillway.commands.health import _received_words, _show_state
from spillway.errors import BadInput, WorkFailed
from spillway.operate import state as operate_state
from spillway.operate.state import SesState, StageState, state_of
from spillway.operate.teardown import DELETERS, destroy, plan_destruction, retained_ids
from spillway.sitegen.release import Release
from tests.support.aws import template
from tests.support.clock import Clock
from tests.support.shop import TestShop
from tests.support.stubbed_stage import Client, FakeStage, account, error, stage, waiting, well


def test_a_stage_is_well_when_nothing_waits_for_a_person() -> None:
    state = state_of(well())
    assert state.well
    assert (state.entries_rows_about, state.entries_write_units, state.unknown) == (42, 4_000, ())
    assert json.loads(json.dumps(state.to_document()))["well"] is True


@pytest.mark.parametrize(
    "sick",
    [
        {"sqs": waiting({"wavesdeadletterqueue": 3})},
        {"sesv2": account(SendingEnabled=False)},
        {"cloudwatch": Client(describe_alarms={"MetricAlarms": [{"AlarmName": "spillway-x"}]})},
    ],
)
def test_dead_letters_paused_mail_and_alarms_need_somebody(sick: dict[str, Client]) -> None:
    assert not state_of(well(**sick)).well


def test_a_shop_that_stopped_sending_itself_needs_somebody_and_says_why() -> None:
    row = {"id": {"S": "sending-rate"}, "paused": {"S": "bounces 6.0 %"}}
    dynamodb = Client(describe_table={"Table": {"ItemCount": 42}}, get_item={"Item": row})
    state = state_of(well(dynamodb=dynamodb))
    assert (state.paused, state.well, state.mail and state.mail.paused) == ("bounces 6.0 %", False, False)
    assert state.to_document()["paused"] == "bounces 6.0 %"


def test_how_emails_of_the_judged_days_were_received_is_shown(
    small_release: Release, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = TestShop(small_release, clock, slug="field-jacket", sku="FJ-MOSS-M")
    monkeypatch.setattr(operate_state, "clock_ms", clock)
    shop.rate_limiter.acquire(4_000)
    health = DeliverabilityTable(shop.dynamodb, shop.entries_name, shop.sending_name)
    for number in range(12):
        complaint = Feedback(FeedbackState.COMPLAINED, f"m{number}", clock(), "s", "A", counts=True)
        assert health.count(complaint, at_ms=clock())
    shop.dynamodb.describe_table = lambda **_: {"Table": {"ItemCount": 42}}
    place = well(dynamodb=shop.dynamodb)
    named = {**place.outputs(), **shop.table_names}
    monkeypatch.setattr(FakeStage, "outputs", lambda _: named)
    shop.join("ada")
    state = state_of(place)
    assert state.unknown == ()
    assert (state.waiting, state.waiting_about, state.emails_today) == (1, False, 4_000)
    assert state.to_document()["received"] == {
        "first": "2026-09-21",
        "last": "2026-09-21",
        "emails": 4_000,
        "bounced": 0,
        "complained": 12,
    }
    assert state.received is not None
    assert _received_words(state.received) == (
        "2026-09-21: 4,000 emails, 0 bounced (0.0 %), 12 complained (0.30 %)"
    )


def test_the_status_begins_with_people_waiting_emails_and_failed_jobs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    queues = {"confirmation emails": 3, "dead: steps of fan-outs": 2, "dead: confirmation emails": 0}
    _show_state(
        StageState(
            *("production", "eu-west-1", "UPDATE_COMPLETE"),
            waiting=1_204,
            emails_today=310,
            queues=queues,
            mail=SesState(14, 50_000, 310, sandbox=True, paused=False),
            paused="by [hand]",
        )
    )
    assert [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()] == [
        "people waiting 1,204",
        "emails today 310 since midnight UTC",
        "failed jobs 2; spillway failed --stage production",
        "",
        "in the queue 3 confirmation emails",
        "failed 2 batches of restock emails",
        "SES's limits 310 of 50,000 emails in 24 h, 14 a second, in its sandbox",
        "sending PAUSED: by [hand]; spillway resume --stage production",
        "alarms none",
        "stage production in eu-west-1, UPDATE_COMPLETE",
    ]


def test_a_quota_without_limit_is_not_shown_as_minus_one(capsys: pytest.CaptureFixture[str]) -> None:
    mail = SesState(14, -1, 310, sandbox=False, paused=False)
    _show_state(StageState("production", "eu-west-1", "UPDATE_COMPLETE", mail=mail))
    assert "SES's limits  310 emails in 24 h, 14 a second" in capsys.readouterr().out


def test_a_large_shop_is_not_counted_variant_by_variant(
    small_release: Release, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = TestShop(small_release, clock, slug="field-jacket", sku="FJ-MOSS-M")
    index = {"ItemCount": 90_000}
    shop.dynamodb.describe_table = lambda **_: {"Table": {"ItemCount": 42, "GlobalSecondaryIndexes": [index]}}
    place = well(dynamodb=shop.dynamodb)
    named = {**place.outputs(), **shop.table_names}
    monkeypatch.setattr(FakeStage, "outputs", lambda _: named)
    monkeypatch.setattr(operate_state, "VARIANTS_COUNTED_MAX", 1)
    state = state_of(place)
    assert (state.waiting, state.waiting_about) == (90_000, True)


def test_emails_put_back_for_later_are_counted_among_those_that_wait() -> None:
    held = {"ApproximateNumberOfMessages": 1, "ApproximateNumberOfMessagesDelayed": 2}
    sqs = Client(
        get_queue_attributes=lambda **asked: {
            "Attributes": {name: str(held.get(name, 0)) for name in asked["AttributeNames"]}
        }
    )
    assert state_of(well(sqs=sqs)).queues["confirmation emails"] == 3


def test_an_unreachable_service_is_named_and_the_rest_is_shown() -> None:
    state = state_of(well(sesv2=Client(get_account=error("AccessDenied"))))
    assert state.unknown == ("mail (ClientError)",)
    assert state.entries_rows_about == 42


def doomed(status: Any, *others: dict[str, str]) -> FakeStage:
    resources = [
        *others,
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


def test_data_that_aws_does_not_delete_is_named_and_the_rest_goes() -> None:
    place = doomed(GONE)
    place.client("dynamodb").answers["delete_table"] = error("ResourceInUseException", "being updated")
    said: list[str] = []
    with pytest.raises(WorkFailed) as failed:
        destroy(place, plan_destruction(place, with_data=True), said.append)
    assert said[1:] == ["PagesBucket is deleted"]
    first, *left = failed.value.message.splitlines()
    assert first == "stack spillway-production is deleted, and not all of its data:"
    assert len(left) == 1
    assert left[0].startswith("  EntriesTable (AWS::DynamoDB::Table, e): ")


def test_a_stack_that_cannot_be_deleted_leaves_the_data_alone() -> None:
    place = doomed({"Stacks": [{"StackStatus": "DELETE_FAILED"}]})
    with pytest.raises(WorkFailed):
        destroy(place, plan_destruction(place, with_data=True), print)
    assert not place.client("dynamodb").calls


def test_data_that_cannot_be_deleted_is_reported_before_anything_goes() -> None:
    # A resource that outlives its stack by the template, of a type that a later release might have.
    strange = {
        "LogicalResourceId": "SigningKeysSecret",
        "ResourceType": "AWS::KMS::Key",
        "PhysicalResourceId": "k",
    }
    place = doomed(GONE, strange)
    with pytest.raises(BadInput, match=r"SigningKeysSecret \(AWS::KMS::Key\)"):
        plan_destruction(place, with_data=True)
    assert len(plan_destruction(place, with_data=False).kept) == 3
    assert "delete_stack" not in [operation for operation, _ in place.client("cloudformation").calls]


def test_resources_that_outlive_the_stack_can_be_deleted_with_it() -> None:
    resources = template()["Resources"]
    assert {resources[name]["Type"] for name in retained_ids(template())} <= set(DELETERS)


def test_every_table_bucket_and_secret_outlives_the_stack() -> None:
    holds_data = {"AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::SecretsManager::Secret"}
    resources = template()["Resources"]
    held = {name for name, resource in resources.items() if resource.get("Type") in holds_data}
    # The key of the distribution and the salts of visitors are no data: the next deployment makes others.
    assert retained_ids(template()) == held - {"OriginKeySecret", "TrafficSaltsSecret"}

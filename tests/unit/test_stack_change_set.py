"""The changes of a deployment, and its messages, are values."""

from typing import Any

import pytest
from rich.console import Console

from spillway.commands.deploy import _is_approved
from spillway.deploy.stack import NO_REASON, failures
from spillway.deploy.template import ChangeSet, ResourceChange, is_empty, parameters_for
from spillway.errors import BadInput

DECLARED = [
    {"ParameterKey": "SenderAddress"},
    {"ParameterKey": "SenderIdentity"},
    {"ParameterKey": "PriceClass", "DefaultValue": "PriceClass_100"},
]
BOTH = {"SenderAddress": "post@shop.example", "SenderIdentity": "shop.example"}


def event(event_id: str, status: str, reason: str | None = None) -> dict[str, Any]:
    fields = {"EventId": event_id, "ResourceStatus": status, "LogicalResourceId": f"Resource{event_id}"}
    return fields | {"ResourceType": "AWS::SQS::Queue"} | ({"ResourceStatusReason": reason} if reason else {})


@pytest.mark.parametrize(
    ("replacement", "shown"), [("True", "yes"), ("Conditional", "maybe"), ("False", "no"), (None, "no")]
)
def test_a_change_says_whether_the_resource_is_replaced(replacement: str | None, shown: str) -> None:
    change = {"Action": "Modify", "LogicalResourceId": "PagesBucket", "ResourceType": "AWS::S3::Bucket"}
    answer = {"ResourceChange": change | ({"Replacement": replacement} if replacement else {})}
    assert ResourceChange.from_answer(answer) == ResourceChange(
        "Modify", "PagesBucket", "AWS::S3::Bucket", shown
    )


def test_the_table_shows_the_most_drastic_changes_first() -> None:
    changes = (
        ResourceChange("Add", "WavesQueue", "AWS::SQS::Queue"),
        ResourceChange("Modify", "APIHandler", "AWS::Lambda::Function"),
        ResourceChange("Remove", "OldQueue", "AWS::SQS::Queue"),
        ResourceChange("Modify", "EntriesTable", "AWS::DynamoDB::Table", "yes"),
    )
    console = Console(width=100, no_color=True)
    with console.capture() as shown:
        console.print(ChangeSet("id", "spillway-test", creates_stack=False, changes=changes).table())
    rows = [line.split() for line in shown.get().splitlines()]
    assert rows == [
        ["Action", "Resource", "Type", "Replaced"],
        ["Modify", "EntriesTable", "AWS::DynamoDB::Table", "yes"],
        ["Remove", "OldQueue", "AWS::SQS::Queue", "no"],
        ["Modify", "APIHandler", "AWS::Lambda::Function", "no"],
        ["Add", "WavesQueue", "AWS::SQS::Queue", "no"],
    ]


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (ResourceChange("Modify", "EntriesTable", "AWS::DynamoDB::Table", "yes"), ("EntriesTable",)),
        (ResourceChange("Remove", "PagesBucket", "AWS::S3::Bucket"), ("PagesBucket",)),
        (
            ResourceChange("Remove", "SigningKeysSecret", "AWS::SecretsManager::Secret"),
            ("SigningKeysSecret",),
        ),
        (ResourceChange("Modify", "EntriesTable", "AWS::DynamoDB::Table", "maybe"), ()),
        (ResourceChange("Add", "EventsTable", "AWS::DynamoDB::Table"), ()),
        (ResourceChange("Remove", "WavesQueue", "AWS::SQS::Queue"), ()),
    ],
)
def test_a_change_that_the_data_does_not_survive_is_named(
    change: ResourceChange, left: tuple[str, ...]
) -> None:
    change_set = ChangeSet("id", "spillway-test", creates_stack=False, changes=(change,))
    assert change_set.leaves_data == left
    console = Console(width=100, no_color=True, quiet=True)
    if left:
        with pytest.raises(BadInput, match=f"--yes: {left[0]} would be replaced or removed"):
            _is_approved(change_set, console, yes=True)
    else:
        assert _is_approved(change_set, console, yes=True)


def test_parameters_not_given_stay_as_they_are_deployed() -> None:
    sent = parameters_for(DECLARED, {"PriceClass": "PriceClass_All"}, frozenset({*BOTH, "Forgotten"}))
    assert sent == [
        {"ParameterKey": "PriceClass", "ParameterValue": "PriceClass_All"},
        {"ParameterKey": "SenderAddress", "UsePreviousValue": True},
        {"ParameterKey": "SenderIdentity", "UsePreviousValue": True},
    ]


def test_parameters_with_a_default_need_not_be_given() -> None:
    sent = parameters_for(DECLARED, BOTH, frozenset())
    assert {item["ParameterKey"] for item in sent} == set(BOTH)


def test_every_wrong_parameter_is_reported_at_once() -> None:
    with pytest.raises(BadInput) as refused:
        parameters_for(DECLARED, {"Colour": "red"}, frozenset())
    for name in ("Colour", "SenderAddress", "SenderIdentity"):
        assert f"--param {name}" in refused.value.message
    assert "PriceClass" in refused.value.hint


@pytest.mark.parametrize(
    ("reason", "empty"),
    [
        ("The submitted information didn't contain changes. Submit different information.", True),
        ("No updates are to be performed.", True),
        ("Template error: resource Nowhere does not exist", False),
    ],
)
def test_a_change_set_without_changes_is_not_a_failed_one(reason: str, empty: bool) -> None:
    assert is_empty(reason) is empty


def test_reasons_are_listed_in_the_order_they_came_and_only_since_this_deployment() -> None:
    events = [
        event("5", "CREATE_FAILED", "Resource creation cancelled"),
        event("4", "CREATE_FAILED", "No such role"),
        event("3", "CREATE_FAILED", "Name is taken"),
        event("2", "CREATE_IN_PROGRESS"),
        event("1", "CREATE_FAILED", "Long ago"),
    ]
    assert failures(events, after="2") == [
        "Resource3 (AWS::SQS::Queue): Name is taken",
        "Resource4 (AWS::SQS::Queue): No such role",
    ]


def test_a_failure_without_a_reason_says_so() -> None:
    assert failures([event("1", "CREATE_COMPLETE")], after="") == [NO_REASON]

"""Promises of the stack about streams: nothing is lost in silence before DynamoDB forgets it after a day."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import app as cloud
from chalicelib import events
from chalicelib.domain.demand import DemandEvent
from chalicelib.domain.entry import EntryState
from spillway.deploy.template import merged_resources
from tests.support.containers import container_with
from tests.unit.test_handlers import entry_image, stream_event

ROOT = Path(__file__).parents[2]
STREAM_KEPT_S = 24 * 3600


class Loader(yaml.CSafeLoader):
    """Reads CloudFormation's short forms as plain values."""


def _plain(loader: yaml.CSafeLoader, _: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    assert isinstance(node, yaml.MappingNode)
    return loader.construct_mapping(node, deep=True)


Loader.add_multi_constructor("!", _plain)
RESOURCES: dict[str, Any] = yaml.load(merged_resources(ROOT), Loader)["Resources"]


def mapping_of(function: str) -> Any:
    """How Lambda feeds a function from its stream."""
    (mapping,) = (
        event["Properties"]
        for event in RESOURCES[function]["Properties"]["Events"].values()
        if "Stream" in event["Properties"]
    )
    return mapping


@pytest.mark.parametrize(
    ("function", "alarm"),
    [
        ("OnEntryWritten", "EntriesStreamAgeAlarm"),
        ("CountDemand", "DemandStreamAgeAlarm"),
        ("OnProductChanged", "ProductsStreamAgeAlarm"),
    ],
)
def test_a_stream_that_falls_behind_rings_and_gives_up_to_a_queue_before_records_are_lost(
    function: str, alarm: str
) -> None:
    mapping = mapping_of(function)
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["BisectBatchOnFunctionError"] is True
    assert mapping["MaximumRetryAttempts"] == 8
    assert mapping["DestinationConfig"]["OnFailure"] == {
        "Type": "SQS",
        "Destination": "StreamDeadLetterQueue.Arn",
    }
    rings = RESOURCES[alarm]["Properties"]
    assert rings["Dimensions"] == [{"Name": "FunctionName", "Value": function}]
    assert (rings["MetricName"], rings["AlarmActions"]) == ("IteratorAge", ["AlarmsTopic"])
    rings_after_s = rings["Threshold"] / 1000 + rings["Period"] * rings["EvaluationPeriods"]
    # Hours lie between the alarm, giving up, and the end of the stream.
    assert rings_after_s <= 3600
    assert rings_after_s < mapping["MaximumRecordAgeInSeconds"] <= STREAM_KEPT_S // 2


def hand_over(
    batch: list[dict[str, Any]], mapping: Any, invoke: Callable[[Any, Any], Any]
) -> list[tuple[list[str], int]]:
    """Hand a batch over as Lambda's documentation says; the numbers it gives up together, and their attempts.

    A split does not count as an attempt. A batch is split at the number that is reported, and only what
    remains is tried again; it is halved where an invocation fails:
    https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
    https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
    """
    given_up: list[tuple[list[str], int]] = []
    waiting = [(batch, 0)]
    while waiting:
        batch, attempts = waiting.pop(0)
        numbers = [record["dynamodb"]["SequenceNumber"] for record in batch]
        try:
            failed = [
                failure["itemIdentifier"] for failure in invoke({"Records": batch}, None)["batchItemFailures"]
            ]
        except Exception:  # noqa: BLE001 - as for Lambda, whatever it is
            if mapping["BisectBatchOnFunctionError"] and len(batch) > 1:
                half = len(batch) // 2
                waiting[:0] = [(batch[:half], attempts), (batch[half:], attempts)]
                continue
            failed = numbers[:1]
        if not failed:
            continue
        attempts += 1
        if attempts > mapping["MaximumRetryAttempts"]:
            given_up.append((numbers, attempts))
            continue
        waiting.insert(0, (batch[numbers.index(failed[0]) :], attempts))
    return given_up


@pytest.mark.parametrize("poison", [[0], [3], [9], [0, 1], [4, 9]])
def test_a_poison_record_is_given_up_alone_and_its_neighbours_are_done_once(
    monkeypatch: pytest.MonkeyPatch, poison: list[int]
) -> None:
    done: list[str] = []

    def react(_: Any, record: Any) -> None:
        number = record["dynamodb"]["SequenceNumber"]
        if number in {f"s{item}" for item in poison}:
            raise KeyError(number)
        done.append(number)

    monkeypatch.setattr(events, "react_to_entry", react)
    batch = stream_event(*[(None, entry_image(EntryState.PENDING))] * 10)["Records"]
    given_up = hand_over(batch, mapping_of("OnEntryWritten"), cloud.on_entry_written)
    assert [numbers for numbers, _ in given_up] == [[f"s{item}"] for item in poison]
    assert done == [f"s{item}" for item in range(10) if item not in poison]
    assert all(attempts == 9 for _, attempts in given_up)


@pytest.mark.parametrize("poison", [[0], [3], [9], [0, 1], [4, 9]])
def test_a_record_that_cannot_be_counted_is_given_up_alone_and_its_neighbours_are_counted_once(
    monkeypatch: pytest.MonkeyPatch, poison: list[int]
) -> None:
    counted: list[str] = []

    class Counting:
        def count(self, batch: list[DemandEvent]) -> None:
            counted.extend(event.id for event in batch)

    monkeypatch.setattr(cloud, "container", container_with(demand=Counting()))
    batch = stream_event(*[(None, entry_image(EntryState.PENDING))] * 10)["Records"]
    for number in poison:
        change = batch[number]["dynamodb"]
        change["NewImage"] = {**change["NewImage"], "state": {"S": "unheard of"}}
    given_up = hand_over(batch, mapping_of("CountDemand"), cloud.count_demand)
    assert [numbers for numbers, _ in given_up] == [[f"s{item}"] for item in poison]
    assert counted == [f"e{item}" for item in range(10) if item not in poison]
    assert all(attempts == 9 for _, attempts in given_up)

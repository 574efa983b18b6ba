"""What the stack promises of streams: nothing is lost in silence before DynamoDB forgets it after a day."""

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
TEMPLATE = ROOT / ".chalice" / "resources.yaml"
STREAM_KEPT_S = 24 * 3600


class Loader(yaml.SafeLoader):
    """Reads CloudFormation's short forms as plain values."""


def _plain(loader: yaml.SafeLoader, _: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    assert isinstance(node, yaml.MappingNode)
    return loader.construct_mapping(node, deep=True)


Loader.add_multi_constructor("!", _plain)
RESOURCES: dict[str, Any] = yaml.load(TEMPLATE.read_text(), Loader)["Resources"]


@pytest.mark.parametrize(
    ("function", "alarm"),
    [("OnEntryWritten", "EntriesStreamAgeAlarm"), ("OnProductChanged", "ProductsStreamAgeAlarm")],
)
def test_a_stream_that_falls_behind_rings_and_gives_up_to_a_queue_before_records_are_lost(
    function: str, alarm: str
) -> None:
    (mapping,) = (
        event["Properties"]
        for event in RESOURCES[function]["Properties"]["Events"].values()
        if "Stream" in event["Properties"]
    )
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["BisectBatchOnFunctionError"] is True
    assert mapping["MaximumRetryAttempts"] == 8
    assert mapping["DestinationConfig"]["OnFailure"] == {
        "Type": "SQS",
        "Destination": "StreamDeadLetters.Arn",
    }
    rings = RESOURCES[alarm]["Properties"]
    assert rings["Dimensions"] == [{"Name": "FunctionName", "Value": function}]
    assert (rings["MetricName"], rings["AlarmActions"]) == ("IteratorAge", ["Alarms"])
    rings_after_s = rings["Threshold"] / 1000 + rings["Period"] * rings["EvaluationPeriods"]
    # Hours lie between the alarm, giving up, and the end of the stream.
    assert rings_after_s <= 3600
    assert rings_after_s < mapping["MaximumRecordAgeInSeconds"] <= STREAM_KEPT_S // 2

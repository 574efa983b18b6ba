"""The hands and eyes of the closed loops: metrics in, changes out, a log of what was done and why."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spillway.deploy.stage import LOCAL, Stage
from spillway.errors import BadInput
from spillway.operate.reactions import Action, Bounds, Reaction, Seen, decide
from spillway.operate.state import state_of

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_lambda import LambdaClient

LOOKS_BACK_S = 300
PERIOD_S = 60
# On-demand tables begin with this: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/warm-throughput.html
WARM_WRITE_UNITS = 4_000
WARM_READ_UNITS = 12_000


@dataclass(frozen=True, slots=True)
class Log:
    """What was done so far: one JSON object a line."""

    file: Path

    def write(self, reaction: Reaction, *, at_ms: int, done: bool) -> None:
        """Add a line. `done` is false for a dry run."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        line = {"at_ms": at_ms, "done": done, **reaction.to_document()}
        with self.file.open("a", encoding="utf-8") as log:
            log.write(json.dumps(line, sort_keys=True) + "\n")

    def dead_letters_told(self) -> int:
        """How many dead letters the last notice told of."""
        told = 0
        for line in self.file.read_text(encoding="utf-8").splitlines() if self.file.exists() else ():
            entry = json.loads(line)
            if entry["done"] and entry["action"] == Action.NOTICE_DEAD_LETTERS:
                told = entry["value"]
        return told


def tend(
    stage: Stage, bounds: Bounds, log: Log, clock: Callable[[], int], *, dry_run: bool
) -> tuple[Reaction, ...]:
    """Look once, decide, and do it. `clock` is in milliseconds; a dry run does nothing but say.

    Raises:
        BadInput: the stage is the local one, which has no metrics to go by.
    """
    if stage.name == LOCAL:
        raise BadInput(
            "--stage local: the local cloud keeps no metrics to go by", way_out="name a stage on AWS"
        )
    seen = look(stage, log, clock)
    reactions = decide(seen, bounds)
    for reaction in reactions:
        if not dry_run:
            HANDS[reaction.action](stage, reaction)
        log.write(reaction, at_ms=clock(), done=not dry_run)
    return reactions


def look(stage: Stage, log: Log, clock: Callable[[], int]) -> Seen:
    """What the last minutes were like."""
    outputs, state = stage.outputs(), state_of(stage)
    function = _function(stage)
    metrics = _metrics(
        stage,
        datetime.fromtimestamp(clock() / 1000, UTC),
        {
            "writes": (
                "AWS/DynamoDB",
                "ConsumedWriteCapacityUnits",
                {"TableName": outputs["EntriesTable"]},
                "Sum",
            ),
            "concurrent": ("AWS/Lambda", "ConcurrentExecutions", {"FunctionName": function}, "Maximum"),
            "bounces": ("AWS/SES", "Reputation.BounceRate", {}, "Maximum"),
            "complaints": ("AWS/SES", "Reputation.ComplaintRate", {}, "Maximum"),
        },
    )
    client: LambdaClient = stage.client("lambda")
    reserved: Any = client.get_function_concurrency(FunctionName=function)
    return Seen(
        writes_per_s=metrics["writes"] / PERIOD_S,
        warm_write_units=state.entries_write_units or WARM_WRITE_UNITS,
        concurrent=metrics["concurrent"],
        concurrency_reserved=reserved.get("ReservedConcurrentExecutions", 0),
        bounce_rate=metrics["bounces"],
        complaint_rate=metrics["complaints"],
        sending=not (state.mail and state.mail.paused),
        dead_letters=state.dead_letters,
        dead_letters_before=log.dead_letters_told(),
    )


Metric = tuple[str, str, Mapping[str, str], str]


def _metrics(stage: Stage, now: datetime, wanted: Mapping[str, Metric]) -> dict[str, float]:
    queries: Any = [
        {
            "Id": key,
            "MetricStat": {
                "Metric": {
                    "Namespace": namespace,
                    "MetricName": name,
                    "Dimensions": [{"Name": each, "Value": value} for each, value in dimensions.items()],
                },
                "Period": PERIOD_S,
                "Stat": statistic,
            },
        }
        for key, (namespace, name, dimensions, statistic) in wanted.items()
    ]
    answer = stage.client("cloudwatch").get_metric_data(
        MetricDataQueries=queries, StartTime=now - timedelta(seconds=LOOKS_BACK_S), EndTime=now
    )
    return {result["Id"]: max(result["Values"], default=0.0) for result in answer["MetricDataResults"]}


def _function(stage: Stage) -> str:
    answer = stage.client("cloudformation").describe_stack_resource(
        StackName=stage.stack_name, LogicalResourceId="APIHandler"
    )
    return str(answer["StackResourceDetail"]["PhysicalResourceId"])


def _warm_table(stage: Stage, reaction: Reaction) -> None:
    client: DynamoDBClient = stage.client("dynamodb")
    client.update_table(
        TableName=stage.outputs()["EntriesTable"],
        WarmThroughput={"WriteUnitsPerSecond": reaction.value, "ReadUnitsPerSecond": WARM_READ_UNITS},
    )


def _set_concurrency(stage: Stage, reaction: Reaction) -> None:
    client: LambdaClient = stage.client("lambda")
    if reaction.value:
        client.put_function_concurrency(
            FunctionName=_function(stage), ReservedConcurrentExecutions=reaction.value
        )
    else:
        client.delete_function_concurrency(FunctionName=_function(stage))


def _pause_sending(stage: Stage, _: Reaction) -> None:
    stage.client("sesv2").put_account_sending_attributes(SendingEnabled=False)


def _notice(stage: Stage, reaction: Reaction) -> None:
    answer = stage.client("cloudformation").describe_stack_resource(
        StackName=stage.stack_name, LogicalResourceId="Alarms"
    )
    stage.client("sns").publish(
        TopicArn=answer["StackResourceDetail"]["PhysicalResourceId"],
        Subject=f"{stage.stack_name}: dead letters",
        Message=f"{reaction.why}. What to do: docs/runbooks/dead-letters.md",
    )


HANDS: dict[Action, Callable[[Stage, Reaction], None]] = {
    Action.WARM_TABLE: _warm_table,
    Action.RAISE_CONCURRENCY: _set_concurrency,
    Action.LOWER_CONCURRENCY: _set_concurrency,
    Action.PAUSE_SENDING: _pause_sending,
    Action.NOTICE_DEAD_LETTERS: _notice,
}

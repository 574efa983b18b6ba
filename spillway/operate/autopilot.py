"""The closed controls from an operator's terminal: a stage's resources, and an action log in a file."""

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from chalicelib.domain.autopilot import CONTROL_OF, Action, Bounds, Control, Decision
from chalicelib.services.autopilot import Autopilot, Resources
from spillway.errors import BadInput
from spillway.operate.state import QUEUES
from spillway.stage import LOCAL, Stage


@dataclass(frozen=True, slots=True)
class Log:
    """The actions so far: one JSON object a line."""

    file: Path

    def write(self, decision: Decision, *, at_ms: int, done: bool) -> None:
        """Add a line. `done` is false for a dry run."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        line = {"at_ms": at_ms, "done": done, **decision.to_document()}
        with self.file.open("a", encoding="utf-8") as log:
            log.write(json.dumps(line, sort_keys=True) + "\n")

    def dead_letters_alerted(self) -> int:
        """Return how many dead letters the last alert named, or were left when there were fewer."""
        told = 0
        for line in self.file.read_text(encoding="utf-8").splitlines() if self.file.exists() else ():
            entry = json.loads(line)
            if entry["done"] and CONTROL_OF[Action(entry["action"])] is Control.DEAD_LETTERS:
                told = entry["value"]
        return told


def run(
    stage: Stage,
    bounds: Bounds,
    log: Log,
    clock_ms: Callable[[], int],
    *,
    dry_run: bool,
    controls: Collection[Control] = tuple(Control),
) -> tuple[Decision, ...]:
    """Look once, decide, and do it. A dry run does nothing but say.

    Raises:
        BadInput: the stage is the local one, which has no metrics to go by.
    """
    if stage.name == LOCAL:
        raise BadInput("--stage local: the local cloud keeps no metrics to go by", hint="name a stage on AWS")
    autopilot = Autopilot(stage.client, resources_of(stage), bounds, log, clock_ms)
    return autopilot.run(dry_run=dry_run, controls=controls)


def resources_of(stage: Stage) -> Resources:
    """Return the resources of a stage that the autopilot observes."""
    outputs = stage.outputs()
    return Resources(
        entries_table=outputs["EntriesTable"],
        sending_table=outputs["SendingTable"],
        api_function=_physical_id(stage, "APIHandler"),
        alarms_topic=_physical_id(stage, "Alarms"),
        dead_letter_queue_urls=tuple(
            outputs[queue.dead_output] for queue in QUEUES.values() if queue.dead_output in outputs
        ),
    )


def _physical_id(stage: Stage, logical_id: str) -> str:
    answer = stage.client("cloudformation").describe_stack_resource(
        StackName=stage.stack_name, LogicalResourceId=logical_id
    )
    return str(answer["StackResourceDetail"]["PhysicalResourceId"])

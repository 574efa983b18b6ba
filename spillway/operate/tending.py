"""The closed loops from an operator's terminal: a stage's places, and a journal in a file."""

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from chalicelib.domain.tending import LOOP_OF, Bounds, Decision, Loop
from chalicelib.services.tending import Places, Tender
from spillway.deploy.stage import LOCAL, Stage
from spillway.errors import BadInput
from spillway.operate.queues import QUEUES


@dataclass(frozen=True, slots=True)
class Log:
    """What was done so far: one JSON object a line."""

    file: Path

    def write(self, decision: Decision, *, at_ms: int, done: bool) -> None:
        """Add a line. `done` is false for a dry run."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        line = {"at_ms": at_ms, "done": done, **decision.to_document()}
        with self.file.open("a", encoding="utf-8") as log:
            log.write(json.dumps(line, sort_keys=True) + "\n")

    def dead_letters_told(self) -> int:
        """How many dead letters the last notice told of, or were left when there were fewer."""
        told = 0
        for line in self.file.read_text(encoding="utf-8").splitlines() if self.file.exists() else ():
            entry = json.loads(line)
            if entry["done"] and LOOP_OF[entry["action"]] is Loop.DEAD_LETTERS:
                told = entry["value"]
        return told


def tend(
    stage: Stage,
    bounds: Bounds,
    log: Log,
    clock_ms: Callable[[], int],
    *,
    dry_run: bool,
    loops: Collection[Loop] = tuple(Loop),
) -> tuple[Decision, ...]:
    """Look once, decide, and do it. A dry run does nothing but say.

    Raises:
        BadInput: the stage is the local one, which has no metrics to go by.
    """
    if stage.name == LOCAL:
        raise BadInput(
            "--stage local: the local cloud keeps no metrics to go by", way_out="name a stage on AWS"
        )
    tender = Tender(stage.client, places_of(stage), bounds, log, clock_ms)
    return tender.tend(dry_run=dry_run, loops=loops)


def places_of(stage: Stage) -> Places:
    """What there is to tend on a stage."""
    outputs = stage.outputs()
    return Places(
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

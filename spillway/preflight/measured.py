"""The measured cost of each step of a shopper, in CPU and AWS calls; `make bench` writes figures.json."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

FIGURES = Path(__file__).with_name("figures.json")
# At 1,769 MB a function has the equivalent of one virtual CPU; below, a share of it.
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html (2026-11)
ONE_CPU_MB = 1_769
# Time a step waits for an answer. It cannot be measured on a laptop: these are typical values within a
# region, on the slow side. DynamoDB promises single-digit milliseconds.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Introduction.html (2026-11)
ROUND_TRIP_MS = {"dynamodb": 6.0, "sqs": 10.0, "s3": 20.0, "ses": 60.0, "secretsmanager": 20.0}
OTHER_ROUND_TRIP_MS = 20.0


class Step(StrEnum):
    """The steps of a shopper, by their names in the benchmarks."""

    SIGN_UP = "sign up"
    SHOW = "show the confirmation page"
    CONFIRM = "confirm"
    REACT_TO_SIGNUP = "react to a signup"
    REACT_TO_CONFIRMATION = "react to a confirmation"
    SEND_CONFIRMATION = "send a confirmation email"
    TELL = "tell a shopper"
    HEAR = "hear of a delivered email"


@dataclass(frozen=True, slots=True)
class StepFigures:
    """One step for one shopper: CPU on the measuring machine, and calls by "service.Operation"."""

    cpu_ms: float
    calls: Mapping[str, float]
    write_units: float = 0.0
    read_units: float = 0.0
    log_bytes: float = 0.0

    def duration_ms(self, memory_mb: int) -> float:
        """Return the step's duration in a function of `memory_mb`, in milliseconds."""
        waiting_ms = sum(
            count * ROUND_TRIP_MS.get(name.partition(".")[0], OTHER_ROUND_TRIP_MS)
            for name, count in self.calls.items()
        )
        return self.cpu_ms * max(1.0, ONE_CPU_MB / memory_mb) + waiting_ms

    def called(self, service: str, *operations: str) -> float:
        """Return the number of calls to a service, limited to `operations` if any are given."""
        return sum(
            count
            for name, count in self.calls.items()
            if name.partition(".")[0] == service and (not operations or name.partition(".")[2] in operations)
        )


@dataclass(frozen=True, slots=True)
class Measured:
    """The figures of all steps, with the place and the date of the measurement."""

    measured_on: str
    machine: str
    command: str
    steps: Mapping[Step, StepFigures]

    def duration_ms(self, step: Step, memory_mb: int) -> float:
        """Return a step's duration in a function of `memory_mb`, in milliseconds."""
        return self.steps[step].duration_ms(memory_mb)

    @classmethod
    def read(cls, file: Path = FIGURES) -> "Measured":
        """Read the figures that ship with this build."""
        document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        steps = {Step(name): StepFigures(**figures) for name, figures in document["steps"].items()}
        return cls(document["measured_on"], document["machine"], document["command"], steps)

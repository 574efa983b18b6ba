"""Amounts of what AWS charges for, and the measured work that they are computed from.

Time, units and calls of a step are measured: `make bench` writes figures.json.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any


class Item(StrEnum):
    """An item that AWS charges for; its value is its name on the bill."""

    CDN_BYTES = "CloudFront bytes"
    CDN_REQUESTS = "CloudFront requests"
    INVALIDATIONS = "CloudFront invalidations"
    S3_READS = "S3 reads"
    S3_WRITES = "S3 writes"
    S3_STORAGE = "S3 storage"
    API_CALLS = "API calls"
    LAMBDA_CALLS = "Lambda calls"
    LAMBDA_TIME = "Lambda time"
    LAMBDA_READY = "Lambda kept ready"
    WRITE_UNITS = "DynamoDB writes"
    READ_UNITS = "DynamoDB reads"
    TABLE_STORAGE = "DynamoDB storage"
    QUEUE_REQUESTS = "SQS requests"
    NOTICES = "SNS notices"
    EMAILS = "emails"
    SECRET_READS = "secret reads"  # noqa: S105 - the name of an item
    LOG_BYTES = "logs"


class BillPart(StrEnum):
    """A part of the bill: its lines are added up by part."""

    BYTES = "bytes"
    REQUESTS = "page requests"
    MAIL = "emails"
    FEEDBACK = "delivery events"
    REFRESH = "page refreshes"
    DEMAND = "counters of demand"
    WATCHING = "the merchant's page"
    STOCK_EVENTS = "stock events of other systems"
    SHOP_EVENTS = "events of the shop"
    RULES = "rules that fire"
    DELIVERIES = "events to other systems"
    BACKEND = "everything else"


PART_OF = {Item.CDN_BYTES: BillPart.BYTES, Item.CDN_REQUESTS: BillPart.REQUESTS, Item.EMAILS: BillPart.MAIL}


@dataclass(frozen=True, slots=True)
class UsedAmount:
    """An amount of one item.

    Attributes:
        item: The item.
        amount: The amount, in the item's smallest unit.
        why: The calculation, in words.
        cause: The part of the bill that it belongs to; None for the part that its item has.
    """

    item: Item
    amount: float
    why: str
    cause: BillPart | None = None

    @property
    def part(self) -> BillPart:
        """Return the part of the bill that this amount belongs to."""
        return self.cause or PART_OF.get(self.item, BillPart.BACKEND)


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
    NOTIFY = "notify a shopper"
    DELIVERED = "store that an email was delivered"
    COUNT = "count a change of an entry"


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


MEMORY_MB = 512  # .chalice/config.json; a test holds this and the batches to what is deployed
# Lambda's own lines for each call, START, END and REPORT, with the 26 bytes that CloudWatch adds to each.
# https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html (2026-11)
LAMBDA_LOG_BYTES = 400
QUEUE_BATCH = 10  # app.py
# A message is sent, received and deleted; Lambda receives and deletes in batches, on the shop's bill.
QUEUE_REQUESTS_PER_MESSAGE = 1 + 2 / QUEUE_BATCH

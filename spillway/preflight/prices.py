"""Prices of AWS in us-east-1 on `AS_OF`, and the measured cost of each step of a shopper.

Each price has the page to check it against; change the date with the figures. AWS's own bill is
authoritative. `make bench` writes figures.json: CPU and AWS calls of each step.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any

AS_OF = date(2026, 11, 23)
REGION = "us-east-1"
GIB = 2**30


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


@dataclass(frozen=True, slots=True)
class Price:
    """A price of `usd` for each `per` units; `free` units a month are free, also after the first year."""

    item: Item
    usd: float
    per: float
    unit: str
    source: str
    free: float = 0.0

    def of(self, amount: float, *, free_tier: bool) -> float:
        """Return the cost of `amount` units, in dollars."""
        charged = max(0.0, amount - self.free) if free_tier else amount
        return charged / self.per * self.usd


_CLOUDFRONT = "https://aws.amazon.com/cloudfront/pricing/pay-as-you-go/"
_S3 = "https://aws.amazon.com/s3/pricing/"
_LAMBDA = "https://aws.amazon.com/lambda/pricing/"
_SQS = "https://aws.amazon.com/sqs/pricing/"
_SECRETS = "https://aws.amazon.com/secrets-manager/pricing/"
_CLOUDWATCH = "https://aws.amazon.com/cloudwatch/pricing/"
_DYNAMODB = "https://aws.amazon.com/dynamodb/pricing/on-demand/"

PRICES = {
    price.item: price
    for price in (
        Price(Item.CDN_BYTES, 0.085, GIB, "GiB out, North America and Europe", _CLOUDFRONT, free=1024 * GIB),
        Price(Item.CDN_REQUESTS, 0.0100, 10_000, "10,000 HTTPS requests", _CLOUDFRONT, free=10e6),
        Price(Item.INVALIDATIONS, 0.005, 1, "path", _CLOUDFRONT, free=1_000),
        Price(Item.S3_READS, 0.0004, 1_000, "1,000 GET", _S3),
        Price(Item.S3_WRITES, 0.005, 1_000, "1,000 PUT", _S3),
        Price(Item.S3_STORAGE, 0.023, GIB, "GiB and month", _S3),
        Price(Item.API_CALLS, 3.50, 1e6, "million REST calls", "https://aws.amazon.com/api-gateway/pricing/"),
        Price(Item.LAMBDA_CALLS, 0.20, 1e6, "million calls", _LAMBDA, free=1e6),
        Price(Item.LAMBDA_TIME, 0.0000133334, 1, "GB-second, arm64", _LAMBDA, free=400_000),
        Price(Item.LAMBDA_READY, 0.0000033334, 1, "GB-second kept ready, arm64", _LAMBDA),
        Price(Item.WRITE_UNITS, 0.625, 1e6, "million write units", _DYNAMODB),
        Price(Item.READ_UNITS, 0.125, 1e6, "million read units", _DYNAMODB),
        Price(Item.TABLE_STORAGE, 0.25, GIB, "GiB and month", _DYNAMODB, free=25 * GIB),
        Price(Item.QUEUE_REQUESTS, 0.40, 1e6, "million requests", _SQS, free=1e6),
        Price(Item.NOTICES, 0.50, 1e6, "million published", "https://aws.amazon.com/sns/pricing/", free=1e6),
        Price(Item.EMAILS, 0.10, 1_000, "1,000 emails", "https://aws.amazon.com/ses/pricing/"),
        Price(Item.SECRET_READS, 0.05, 10_000, "10,000 calls", _SECRETS),
        Price(Item.LOG_BYTES, 0.50, GIB, "GiB taken in", _CLOUDWATCH, free=5 * GIB),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class FlatPlan:
    """A CloudFront plan at one price a month; past its allowance, CloudFront may slow the shop down."""

    name: str
    usd_per_month: float
    requests_per_month: float
    bytes_per_month: float


# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/flat-rate-pricing-plan.html
FLAT_PLANS = (
    FlatPlan("Free", 0, 1e6, 100 * GIB),
    FlatPlan("Pro", 15, 10e6, 50 * 1024 * GIB),
    FlatPlan("Business", 200, 125e6, 50 * 1024 * GIB),
    FlatPlan("Premium", 1000, 500e6, 50 * 1024 * GIB),
)


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

"""Limits: documented by AWS, set by the template, or read from the stage's account."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from spillway.errors import SpillwayError
from spillway.stage import LOCAL, Stage

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_lambda import LambdaClient
    from types_boto3_sesv2 import SESV2Client

AS_OF = date(2026, 11, 23)
_DOCS = "https://docs.aws.amazon.com"
_CLOUDFRONT = f"{_DOCS}/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html"
_S3 = f"{_DOCS}/AmazonS3/latest/userguide/optimizing-performance.html"
_API = f"{_DOCS}/apigateway/latest/developerguide/limits.html"
_LAMBDA = f"{_DOCS}/lambda/latest/dg/gettingstarted-limits.html"
_SCALING = f"{_DOCS}/lambda/latest/dg/scaling-behavior.html"
_WARM = f"{_DOCS}/amazondynamodb/latest/developerguide/warm-throughput.html"
_PARTITION = f"{_DOCS}/amazondynamodb/latest/developerguide/bp-partition-key-design.html"
_SES = f"{_DOCS}/ses/latest/dg/quotas.html"
_SECRETS = f"{_DOCS}/secretsmanager/latest/userguide/reference_limits.html"
_TEMPLATE = ".chalice/resources/"
# SES's sandbox, in which each account starts.
SANDBOX_EMAILS_PER_DAY = 200
UNLIMITED_EMAILS_PER_DAY = 1e9
LOCAL_CANNOT_TELL = "the local cloud has no quotas of its own: its answers are not AWS's limits"
Answer = tuple[Mapping[str, float], list[str]]


class Origin(StrEnum):
    """The origin of a limit's value."""

    DOCUMENTED = "documented default"
    TEMPLATE = "template"
    ACCOUNT = "read from the account"
    GIVEN = "given"


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit, with its source."""

    value: float
    unit: str
    source: str
    origin: Origin = Origin.DOCUMENTED

    def now(self, value: float, origin: Origin) -> "Limit":
        """Return this limit with another value."""
        return replace(self, value=value, origin=origin)


@dataclass(frozen=True, slots=True)
class FloodLimits:
    """Each limit that a flood can reach. The defaults are documented values of a production account.

    New accounts start with a lower concurrency, and each account starts in SES's sandbox: read the account to
    know.
    """

    cdn_requests_per_s: Limit = Limit(250_000, "requests/s", _CLOUDFRONT)
    cdn_bits_per_s: Limit = Limit(150e9, "bit/s", _CLOUDFRONT)
    origin_reads_per_s: Limit = Limit(5_500, "GET/s", _S3)
    api_calls_per_s: Limit = Limit(5_000, "calls/s", _TEMPLATE, Origin.TEMPLATE)
    api_burst_calls: Limit = Limit(5_000, "calls", _TEMPLATE, Origin.TEMPLATE)
    account_api_calls_per_s: Limit = Limit(10_000, "calls/s", _API)
    concurrency: Limit = Limit(1_000, "instances", _LAMBDA)
    provisioned: Limit = Limit(0, "instances", _TEMPLATE, Origin.TEMPLATE)
    new_instances_per_10_s: Limit = Limit(1_000, "instances/10 s", _SCALING)
    calls_per_instance_s: Limit = Limit(10, "calls/s", _SCALING)
    table_write_units_per_s: Limit = Limit(4_000, "write units/s", _WARM)
    index_write_units_per_s: Limit = Limit(4_000, "write units/s", _WARM)
    partition_write_units_per_s: Limit = Limit(1_000, "write units/s", _PARTITION)
    emails_per_s: Limit = Limit(14, "emails/s", _SES)
    emails_per_day: Limit = Limit(50_000, "emails/24 h", _SES)
    secret_reads_per_s: Limit = Limit(10_000, "calls/s", _SECRETS)

    def known(self, origin: Origin, **values: float) -> "FloodLimits":
        """Return these limits with some other values.

        Raises:
            TypeError: A name is no limit.
        """
        return replace(
            self, **{name: getattr(self, name).now(value, origin) for name, value in values.items()}
        )

    def raised(self, **values: float) -> "FloodLimits":
        """Return these limits with some raised to at least the given values."""
        higher = {name: max(value, getattr(self, name).value) for name, value in values.items()}
        return self.known(Origin.GIVEN, **higher)

    def to_document(self) -> dict[str, Any]:
        """Return each limit with its source as JSON values."""
        return {
            field.name: {
                "value": getattr(self, field.name).value,
                "unit": getattr(self, field.name).unit,
                "origin": getattr(self, field.name).origin,
                "source": getattr(self, field.name).source,
                "as_of": AS_OF.isoformat(),
            }
            for field in fields(self)
        }


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """Limits, and remarks about limits that could not be read or need attention."""

    limits: FloodLimits
    remarks: tuple[str, ...] = ()


def read_limits(stage: Stage) -> AccountLimits:
    """Return the limits of a stage's account and stack; a request that fails becomes a remark."""
    if stage.name == LOCAL:
        return AccountLimits(FloodLimits(), (LOCAL_CANNOT_TELL,))
    limits, remarks = FloodLimits(), []
    for question in (_lambda, _api, _emails, _parameters, _tables):
        try:
            values, said = question(stage)
        except (BotoCoreError, ClientError, SpillwayError, KeyError) as error:
            remarks.append(f"{question.__name__.strip('_')} could not be read ({type(error).__name__})")
            continue
        limits = limits.known(Origin.ACCOUNT, **{name: value for name, value in values.items() if value > 0})
        remarks += said
    remarks.append("CloudFront does not report its plan: the cost with a flat plan is below the bill")
    return AccountLimits(limits, tuple(remarks))


def _lambda(stage: Stage) -> Answer:
    client: LambdaClient = stage.client("lambda")
    limit = client.get_account_settings()["AccountLimit"]
    return {"concurrency": limit["UnreservedConcurrentExecutions"]}, []


def _api(stage: Stage) -> Answer:
    throttle = stage.client("apigateway").get_account()["throttleSettings"]
    return {"account_api_calls_per_s": throttle["rateLimit"]}, []


def _emails(stage: Stage) -> Answer:
    client: SESV2Client = stage.client("sesv2")
    account: Any = client.get_account()
    quota = account["SendQuota"]
    # -1 stands for no limit.
    limited = quota["Max24HourSend"] >= 0
    left = quota["Max24HourSend"] - quota["SentLast24Hours"] if limited else UNLIMITED_EMAILS_PER_DAY
    said = []
    if not account.get("ProductionAccessEnabled", True):
        said.append("SES is in its sandbox: emails go to verified addresses only; ask for production access")
    if not account.get("SendingEnabled", True):
        said.append("SES has paused sending for this account")
    if limited and quota["SentLast24Hours"]:
        said.append(
            f"{quota['SentLast24Hours']:,.0f} emails of the last 24 hours count against the day's quota"
        )
    return {"emails_per_s": quota["MaxSendRate"], "emails_per_day": max(left, 1)}, said


def _parameters(stage: Stage) -> Answer:
    stack = stage.client("cloudformation").describe_stacks(StackName=stage.stack_name)["Stacks"][0]
    given = {entry["ParameterKey"]: entry["ParameterValue"] for entry in stack.get("Parameters", ())}
    names = {"api_calls_per_s": "ApiRequestsPerSecondMax", "api_burst_calls": "ApiBurstRequestsMax"}
    values = {name: float(given[key]) for name, key in names.items() if key in given}
    reserved = float(given.get("ApiConcurrencyReserved", 0))
    return ({**values, "concurrency": reserved} if reserved else values), []


def _tables(stage: Stage) -> Answer:
    client: DynamoDBClient = stage.client("dynamodb")
    table: Any = client.describe_table(TableName=stage.outputs()["EntriesTable"])["Table"]
    (index,) = table["GlobalSecondaryIndexes"]
    return {
        "table_write_units_per_s": table["WarmThroughput"]["WriteUnitsPerSecond"],
        "index_write_units_per_s": index["WarmThroughput"]["WriteUnitsPerSecond"],
    }, []


def sandbox(limits: FloodLimits) -> bool:
    """Return whether the daily email limit is that of SES's sandbox."""
    return limits.emails_per_day.value <= SANDBOX_EMAILS_PER_DAY

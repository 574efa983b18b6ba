"""Limits: documented by AWS, set by the template, or read from the stage's account."""

from collections.abc import Callable, Mapping
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
_TEMPLATE = ".chalice/resources.yaml"
# SES's sandbox: every account begins in it.
SANDBOX_EMAILS_PER_DAY = 200
LOCAL_CANNOT_TELL = "the local cloud has no quotas of its own: what it answers is not what AWS allows"
Answer = tuple[Mapping[str, float], list[str]]
Question = Callable[[Stage], Answer]


class Origin(StrEnum):
    """How a limit is known."""

    DOCUMENTED = "documented default"
    TEMPLATE = "template"
    ACCOUNT = "read from the account"
    GIVEN = "given"


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit, with where it stands written."""

    value: float
    unit: str
    source: str
    origin: Origin = Origin.DOCUMENTED

    def now(self, value: float, origin: Origin) -> "Limit":
        """This limit, with a value that is better known."""
        return replace(self, value=value, origin=origin)


@dataclass(frozen=True, slots=True)
class Limits:
    """Every limit that a flood can run into. Documented ones are those of a grown account in production.

    New accounts begin with a lower concurrency, and every account with SES's sandbox: only reading
    the account tells.
    """

    cdn_requests_per_s: Limit = Limit(250_000, "requests/s", _CLOUDFRONT)
    cdn_bits_per_s: Limit = Limit(150e9, "bit/s", _CLOUDFRONT)
    origin_reads_per_s: Limit = Limit(5_500, "GET/s", _S3)
    api_calls_per_s: Limit = Limit(5_000, "calls/s", _TEMPLATE, Origin.TEMPLATE)
    api_burst_calls: Limit = Limit(5_000, "calls", _TEMPLATE, Origin.TEMPLATE)
    account_api_calls_per_s: Limit = Limit(10_000, "calls/s", _API)
    concurrency: Limit = Limit(1_000, "environments", _LAMBDA)
    provisioned: Limit = Limit(0, "environments", _TEMPLATE, Origin.TEMPLATE)
    new_environments_per_10_s: Limit = Limit(1_000, "environments/10 s", _SCALING)
    calls_per_environment_s: Limit = Limit(10, "calls/s", _SCALING)
    table_write_units_per_s: Limit = Limit(4_000, "write units/s", _WARM)
    index_write_units_per_s: Limit = Limit(4_000, "write units/s", _WARM)
    partition_write_units_per_s: Limit = Limit(1_000, "write units/s", _PARTITION)
    emails_per_s: Limit = Limit(14, "emails/s", _SES)
    emails_per_day: Limit = Limit(50_000, "emails/24 h", _SES)
    secret_reads_per_s: Limit = Limit(10_000, "calls/s", _SECRETS)

    def known(self, origin: Origin, **values: float) -> "Limits":
        """These limits, with some of them better known.

        Raises:
            TypeError: a name is none of a limit.
        """
        return replace(
            self, **{name: getattr(self, name).now(value, origin) for name, value in values.items()}
        )

    def raised(self, **values: float) -> "Limits":
        """These limits, with some of them at least as high as given: the account after its fixes."""
        higher = {name: max(value, getattr(self, name).value) for name, value in values.items()}
        return self.known(Origin.GIVEN, **higher)

    def to_document(self) -> dict[str, Any]:
        """Every limit with its source, ready for JSON."""
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
    """Limits, and what could not be read or is worth a word."""

    limits: Limits
    remarks: tuple[str, ...] = ()


def read_limits(stage: Stage) -> AccountLimits:
    """The limits of a stage's account and stack. A question that fails becomes a remark."""
    if stage.name == LOCAL:
        return AccountLimits(Limits(), (LOCAL_CANNOT_TELL,))
    limits, remarks = Limits(), []
    for question in (_lambda, _api, _emails, _parameters, _tables):
        try:
            values, said = question(stage)
        except (BotoCoreError, ClientError, SpillwayError, KeyError) as error:
            remarks.append(f"{question.__name__.strip('_')} could not be read ({type(error).__name__})")
            continue
        limits = limits.known(Origin.ACCOUNT, **{name: value for name, value in values.items() if value > 0})
        remarks += said
    remarks.append("CloudFront does not tell its plan: see what a flat plan would cost below the bill")
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
    left = quota["Max24HourSend"] - quota["SentLast24Hours"]
    said = []
    if not account.get("ProductionAccessEnabled", True):
        said.append("SES is in its sandbox: emails go to verified addresses only; ask for production access")
    if not account.get("SendingEnabled", True):
        said.append("SES has paused sending for this account")
    if quota["SentLast24Hours"]:
        said.append(
            f"{quota['SentLast24Hours']:,.0f} emails of the last 24 hours count against the day's quota"
        )
    return {"emails_per_s": quota["MaxSendRate"], "emails_per_day": max(left, 1)}, said


def _parameters(stage: Stage) -> Answer:
    stack = stage.client("cloudformation").describe_stacks(StackName=stage.stack_name)["Stacks"][0]
    given = {each["ParameterKey"]: each["ParameterValue"] for each in stack.get("Parameters", ())}
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


def sandbox(limits: Limits) -> bool:
    """Whether the day's emails are those of SES's sandbox."""
    return limits.emails_per_day.value <= SANDBOX_EMAILS_PER_DAY

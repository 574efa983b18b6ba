"""The account's real limits, where it can be asked. What it does not tell stays as documented."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from spillway.errors import SpillwayError
from spillway.preflight.limits import SANDBOX_EMAILS_PER_DAY, Limits, Origin
from spillway.stage import LOCAL, Stage

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_lambda import LambdaClient
    from types_boto3_sesv2 import SESV2Client

LOCAL_CANNOT_TELL = "the local cloud has no quotas of its own: what it answers is not what AWS allows"


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


Answer = tuple[Mapping[str, float], list[str]]
Question = Callable[[Stage], Answer]


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

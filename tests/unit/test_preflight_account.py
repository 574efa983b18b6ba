"""The account's real limits: what is read takes the place of what is documented."""

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from spillway.preflight.limits import (
    LOCAL_CANNOT_TELL,
    UNLIMITED_EMAILS_PER_DAY,
    FloodLimits,
    Origin,
    read_limits,
    sandbox,
)
from spillway.stage import Stage
from tests.support.aws import REGION

TABLE = {
    "WarmThroughput": {"WriteUnitsPerSecond": 9_000},
    "GlobalSecondaryIndexes": [{"WarmThroughput": {"WriteUnitsPerSecond": 6_000}}],
}
PARAMETERS = {"ApiRequestsPerSecondMax": "700", "ApiBurstRequestsMax": "800", "ApiConcurrencyReserved": "0"}
SANDBOX = {"Max24HourSend": 200.0, "MaxSendRate": 1.0, "SentLast24Hours": 20.0}


class Account:
    """Answers every operation that preflight asks, or refuses those in `refuses`."""

    def __init__(
        self, refuses: frozenset[str] = frozenset(), *, quota: Any = SANDBOX, **parameters: str
    ) -> None:
        self._refuses = refuses
        self._quota = quota
        self._parameters = {**PARAMETERS, **parameters}

    def __getattr__(self, operation: str) -> Any:
        def call(**_: Any) -> Any:
            if operation in self._refuses:
                raise ClientError({"Error": {"Code": "AccessDenied", "Message": ""}}, operation)
            return self._answers()[operation]

        return call

    def _answers(self) -> dict[str, Any]:
        parameters = [{"ParameterKey": key, "ParameterValue": text} for key, text in self._parameters.items()]
        outputs = [{"OutputKey": "EntriesTable", "OutputValue": "entries"}]
        # Two services have an operation of this name; each finds its own part of the answer.
        account = {"SendQuota": self._quota, "ProductionAccessEnabled": False, "SendingEnabled": True}
        account["throttleSettings"] = {"rateLimit": 9_999.0}
        return {
            "get_account_settings": {"AccountLimit": {"UnreservedConcurrentExecutions": 50}},
            "get_account": account,
            "describe_stacks": {"Stacks": [{"Parameters": parameters, "Outputs": outputs}]},
            "describe_table": {"Table": TABLE},
        }


class AccountStage(Stage):
    """A stage in that account."""

    account = Account()

    def client(self, service: str) -> Any:
        return self.account


def stage(account: Account, name: str = "production") -> Stage:
    made = AccountStage(name, REGION, boto3.Session(region_name=REGION))
    AccountStage.account = account
    return made


def test_limits_of_the_account_and_the_stack_replace_the_documented_ones() -> None:
    limits = read_limits(stage(Account())).limits
    read = {
        "concurrency": 50,
        "account_api_calls_per_s": 9_999,
        "api_calls_per_s": 700,
        "api_burst_calls": 800,
        "table_write_units_per_s": 9_000,
        "index_write_units_per_s": 6_000,
        "emails_per_s": 1,
        "emails_per_day": 180,  # the day's quota, but for those sent already
    }
    assert {name: getattr(limits, name).value for name in read} == read
    assert {getattr(limits, name).origin for name in read} == {Origin.ACCOUNT}
    assert limits.cdn_requests_per_s.origin is Origin.DOCUMENTED


def test_the_sandbox_is_reported() -> None:
    read = read_limits(stage(Account()))
    assert any("sandbox" in remark for remark in read.remarks)
    assert sandbox(read.limits)
    assert not sandbox(FloodLimits())


def test_a_quota_without_limit_is_no_quota_of_one_email() -> None:
    read = read_limits(stage(Account(quota={**SANDBOX, "Max24HourSend": -1.0})))
    assert read.limits.emails_per_day.value == UNLIMITED_EMAILS_PER_DAY
    assert not any("count against the day's quota" in remark for remark in read.remarks)


def test_environments_set_aside_are_all_that_the_api_has() -> None:
    assert read_limits(stage(Account(ApiConcurrencyReserved="30"))).limits.concurrency.value == 30


@pytest.mark.parametrize(
    ("operation", "question"),
    [("get_account_settings", "lambda"), ("get_account", "emails"), ("describe_table", "tables")],
)
def test_a_limit_that_may_not_be_read_stays_as_documented_and_is_reported(
    operation: str, question: str
) -> None:
    read = read_limits(stage(Account(frozenset({operation}))))
    assert any(remark.startswith(f"{question} could not be read") for remark in read.remarks)
    assert read.limits.secret_reads_per_s == FloodLimits().secret_reads_per_s


def test_the_local_cloud_is_not_asked() -> None:
    read = read_limits(stage(Account(), "local"))
    assert read.limits == FloodLimits()
    assert read.remarks == (LOCAL_CANNOT_TELL,)

"""Errors of calls to AWS, by this package or by boto3."""

from http import HTTPStatus
from typing import Any

CONDITION_FAILED = "ConditionalCheckFailedException"
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
THROTTLES = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
# Two writers met at one item, in one region or two: a moment later there is one.
PASSING = THROTTLES | {
    "ReplicatedWriteConflictException",
    "TransactionConflictException",
    "TransactionInProgressException",
}


class AwsError(Exception):
    """A call that failed. It never has the request in it, which may name a shopper."""


class AwsRefused(AwsError):
    """AWS refused a call: `code` is its reason, `status` the HTTP status."""

    def __init__(self, code: str, status: int) -> None:
        super().__init__(f"{code} ({status})")
        self.code = code
        self.status = status


class AwsUnreachable(AwsError):
    """No answer that can be read; the call may have succeeded."""


class NoCredentials(AwsError):
    """The environment names no credentials."""


def code_of(error: BaseException) -> str:
    """Return AWS's code of an error, ours or boto3's (not imported for this); empty when it has none."""
    if isinstance(error, AwsRefused):
        return error.code
    return str(_answer(error).get("Error", {}).get("Code", ""))


def passes(error: BaseException) -> bool:
    """Return whether the same call may succeed a moment later."""
    if isinstance(error, AwsUnreachable) or code_of(error) in PASSING:
        return True
    status = error.status if isinstance(error, AwsRefused) else _status(error)
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _status(error: BaseException) -> int:
    return int(_answer(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _answer(error: BaseException) -> dict[str, Any]:
    answer = getattr(error, "response", None)
    return answer if isinstance(answer, dict) else {}

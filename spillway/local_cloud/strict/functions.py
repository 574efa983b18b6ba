"""The checks of functions: environment, concurrency, payloads, event sources, and the policies of roles.

https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
"""

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from spillway.local_cloud.strict.checks import MIB, AccountState
from spillway.local_cloud.strict.refusals import Refusal
from spillway.local_cloud.strict.requests import AwsCall

UNRESERVED_MIN = 100
ENVIRONMENT_BYTES_MAX = 4_096
PAYLOAD_BYTES_MAX = 6 * MIB
ASYNC_PAYLOAD_BYTES_MAX = MIB
FILTERS_MAX = 5
RECORD_AGE_S_MIN = 60
BATCH_WITHOUT_WINDOW_MAX = 10
ROLE_POLICY_CHARS_MAX = 10_240
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
OWN_VARIABLES = re.compile(
    r"_HANDLER|_X_AMZN_TRACE_ID|LAMBDA_(TASK_ROOT|RUNTIME_DIR)"
    r"|AWS_(REGION|DEFAULT_REGION|EXECUTION_ENV|ACCESS_KEY(_ID)?|SECRET_ACCESS_KEY|SESSION_TOKEN)"
    r"|AWS_LAMBDA_(FUNCTION_NAME|FUNCTION_MEMORY_SIZE|FUNCTION_VERSION|INITIALIZATION_TYPE|LOG_GROUP_NAME"
    r"|LOG_STREAM_NAME|RUNTIME_API)"
)
# The elements of a statement in the policy of a role, and how each value of it is written.
ELEMENTS = {
    "Effect": re.compile(r"Allow|Deny"),
    "Sid": re.compile(r"[A-Za-z0-9]*"),
    **dict.fromkeys(("Action", "NotAction"), re.compile(r"\*|[A-Za-z0-9-]+:[A-Za-z0-9*?]+")),
    **dict.fromkeys(("Resource", "NotResource"), re.compile(r"\*|arn:[^:]*:[^:]*:[^:]*:[^:]*:.+")),
}
CONDITION_OPERATOR = re.compile(
    r"((ForAllValues|ForAnyValue):)?(Arn(Not)?(Equals|Like)|String((Not)?(Equals(IgnoreCase)?|Like))"
    r"|(Date|Numeric)((Not)?Equals|(Less|Greater)Than(Equals)?)|(Not)?IpAddress|BinaryEquals|Bool|Null)(IfExists)?"
)
CONDITION_KEY = re.compile(r"[\w-]+:.+")


def reserved_concurrency_refusal(function: str, wanted: int, account: AccountState) -> Refusal | None:
    """Return how AWS answers a reservation that leaves too little of the account's concurrency, or None."""
    others = sum(count for name, count in account.reserved().items() if name != function)
    if account.concurrency - others - wanted >= UNRESERVED_MIN:
        return None
    return Refusal(
        "InvalidParameterValueException",
        "Specified ReservedConcurrentExecutions for function decreases account's "
        f"UnreservedConcurrentExecution below its minimum value of [{UNRESERVED_MIN}].",
    )


def reserved_concurrency(call: AwsCall, account: AccountState) -> Refusal | None:
    name = call.members["FunctionName"].rpartition(":")[2]
    return reserved_concurrency_refusal(name, call.members["ReservedConcurrentExecutions"], account)


def environment_refusal(function: Mapping[str, Any]) -> Refusal | None:
    """Return how AWS answers a function with more than 4 kB of variables or one of Lambda's own, or None."""
    variables = function.get("Environment", {}).get("Variables", {})
    if own := [name for name in variables if OWN_VARIABLES.fullmatch(name)]:
        return Refusal(
            "InvalidParameterValueException",
            "Lambda was unable to configure your environment variables because the environment variables you "
            "have provided contains reserved keys that are currently not supported for modification. "
            f"Reserved keys used in this request: {', '.join(own)}",
        )
    measured = json.dumps(variables, separators=(",", ":"), ensure_ascii=False)
    if len(measured.encode()) <= ENVIRONMENT_BYTES_MAX:
        return None
    return Refusal(
        "InvalidParameterValueException",
        "Lambda was unable to configure your environment variables because the environment variables you "
        f"have provided exceeded the 4KB limit. String measured: {measured[:200]}",
    )


def environment(call: AwsCall, _: AccountState) -> Refusal | None:
    return environment_refusal(call.members)


# Members of a mapping that its kind of source does not have.
OF_STREAMS = (
    *("BisectBatchOnFunctionError", "DestinationConfig", "MaximumRecordAgeInSeconds", "MaximumRetryAttempts"),
    *("ParallelizationFactor", "StartingPosition", "StartingPositionTimestamp", "TumblingWindowInSeconds"),
)


def mapping_refusal(members: Mapping[str, Any]) -> Refusal | None:
    """Return how AWS answers an event source mapping that its source does not take, or None."""
    from_queue = ":sqs:" in members.get("EventSourceArn", "")
    foreign = [name for name in (OF_STREAMS if from_queue else ("ScalingConfig",)) if name in members]
    filters = members.get("FilterCriteria", {}).get("Filters", ())
    batch = int(members.get("BatchSize", 0))
    why = None
    if foreign:
        why = f"Unsupported parameter {foreign[0]} for this event source."
    elif (
        from_queue and batch > BATCH_WITHOUT_WINDOW_MAX and not members.get("MaximumBatchingWindowInSeconds")
    ):
        why = (
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
        )
    elif not from_queue and "StartingPosition" not in members:
        why = "1 validation error detected: Value null at 'startingPosition' must not be null."
    elif 0 <= int(members.get("MaximumRecordAgeInSeconds", -1)) < RECORD_AGE_S_MIN:
        why = f"MaximumRecordAgeInSeconds must be -1 or at least {RECORD_AGE_S_MIN}."
    elif len(filters) > FILTERS_MAX:
        why = f"A mapping may have {FILTERS_MAX} filters."
    elif not all(_is_pattern(held.get("Pattern", "{}")) for held in filters):
        why = "Invalid filter pattern definition."
    return Refusal("InvalidParameterValueException", why) if why else None


def _is_pattern(text: Any) -> bool:
    """Return whether a text is a filter: a JSON object whose values are objects or lists."""
    try:
        todo = [json.loads(text)]
    except (TypeError, ValueError):
        return False
    for part in todo:
        if not isinstance(part, dict):
            return False
        todo += [value for value in part.values() if not isinstance(value, list)]
    return True


def event_source(call: AwsCall, _: AccountState) -> Refusal | None:
    return mapping_refusal(call.members)


def payload(call: AwsCall, _: AccountState) -> Refusal | None:
    asynchronous = call.members.get("InvocationType") == "Event"
    most = ASYNC_PAYLOAD_BYTES_MAX if asynchronous else PAYLOAD_BYTES_MAX
    if len(call.request.body) <= most:
        return None
    message = f"Request must be smaller than {most} bytes for the InvokeFunction operation"
    return Refusal("RequestEntityTooLargeException", message, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)


def role_policy(call: AwsCall, _: AccountState) -> Refusal | None:
    return policy_refusal(call.members["RoleName"], call.members["PolicyDocument"])


def policies_refusal(role: Mapping[str, Any]) -> Refusal | None:
    """Return how AWS answers a stack's role for its policies, or None."""
    documents = [json.dumps(policy["PolicyDocument"]) for policy in role.get("Policies", ())]
    found = (policy_refusal(str(role.get("RoleName", "of the stack")), document) for document in documents)
    return next(filter(None, found), None)


def policy_refusal(role: str, text: str) -> Refusal | None:
    """Return how AWS answers the text of a role's policy, or None."""
    if len("".join(text.split())) > ROLE_POLICY_CHARS_MAX:
        message = f"Maximum policy size of {ROLE_POLICY_CHARS_MAX} bytes exceeded for role {role}"
        return Refusal("LimitExceeded", message, HTTPStatus.CONFLICT)
    try:
        document = json.loads(text)
        statements = _listed(document["Statement"])
        sids = [statement["Sid"] for statement in statements if statement.get("Sid")]
        valid = all(map(_is_statement, statements)) and len(set(sids)) == len(sids)
        valid = valid and document.get("Version", "2012-10-17") in {"2008-10-17", "2012-10-17"}
    except (ValueError, KeyError, TypeError, AttributeError):
        valid = False
    return None if valid else Refusal("MalformedPolicyDocument", "Syntax errors in policy.")


def _is_statement(statement: Mapping[str, Any]) -> bool:
    elements = statement.keys() - {"Condition"}
    conditions = statement.get("Condition", {}).items()
    return (
        "Effect" in elements
        and len(elements & {"Action", "NotAction"}) == 1
        and len(elements & {"Resource", "NotResource"}) == 1
        and all(ELEMENTS[name].fullmatch(value) for name in elements for value in _listed(statement[name]))
        and all(CONDITION_OPERATOR.fullmatch(name) for name, _ in conditions)
        and all(CONDITION_KEY.fullmatch(key) for _, keys in conditions for key in keys)
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]

"""The checks behind the rules: what each of them asks of a call, and how AWS refuses it."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from email.utils import parseaddr
from http import HTTPStatus
from typing import Any

from spillway.local_cloud.record import LAMBDA_CONCURRENCY
from spillway.local_cloud.strict.refusals import OWN_ACCOUNT, Refusal
from spillway.local_cloud.strict.requests import AwsCall

MIB = 1024 * 1024

SES_HEADERS_SET_BY_SES = frozenset(
    [
        "bcc",
        "cc",
        "content-disposition",
        "content-type",
        "date",
        "from",
        "message-id",
        "mime-version",
        "reply-to",
        "return-path",
        "subject",
        "to",
    ]
)
SES_HEADERS_MAX = 15
SES_HEADER_LENGTH_MAX = 996
SES_LOCAL_PART_LENGTH_MAX = 64
SES_BULK_ENTRIES_MAX = 50
SES_RECIPIENTS_MAX = 50
SES_GET_ACCOUNT_EVERY_S = 1.0
CLOUDFRONT_FILES_IN_PROGRESS_MAX = 3_000
CLOUDFRONT_WILDCARDS_IN_PROGRESS_MAX = 15
CLOUDFRONT_IN_PROGRESS_S = 10.0
"""How long an invalidation counts as in progress here; AWS documents no figure."""
CLOUDFRONT_PATH_LENGTH_MAX = 4_000
API_BODY_BYTES_MAX = 10 * MIB
S3_KEY_BYTES_MAX = 1_024
S3_METADATA_BYTES_MAX = 2 * 1024
SQS_DELAY_S_MAX = 900
DYNAMODB_EXPRESSION_BYTES_MAX = 4096
S3_DELETED_KEYS_MAX = 1_000
# RFC 3986 allows these in a path as they are; whatever else there is has to be encoded.
PATH = re.compile(r"/(?:[A-Za-z0-9._~:@!$&'()*+,;=/?-]|%[0-9A-Fa-f]{2})*")


@dataclass(slots=True)
class AccountState:
    """The state of the account just now, as far as rules ask for it.

    Args:
        clock_s: a clock that never goes back.
        stored_object: the bytes in S3 under a bucket and key, or None.
        reserved: the reserved concurrency of each function that has some.
        table: a table's description by its name; empty where there is none.
        concurrency: the account's quota of concurrent executions.
    """

    clock_s: Callable[[], float]
    stored_object: Callable[[str, str], bytes | None]
    reserved: Callable[[], Mapping[str, int]]
    table: Callable[[str], Mapping[str, Any]] = field(default=lambda _: {})
    concurrency: int = LAMBDA_CONCURRENCY
    account_read_s: float = float("-inf")
    invalidating: list[tuple[float, int, int]] = field(default_factory=list)
    """Invalidations in progress, each with its end, its number of files and of wildcards."""
    writing: set[tuple[str, str]] = field(default_factory=set)
    """Objects of S3 that a conditional write is under way to."""


Check = Callable[[AwsCall, AccountState], Refusal | None]


# ---------------------------------------------------------------------------------------------------
# SES


def _header_lists(call: AwsCall) -> Iterable[list[dict[str, str]]]:
    content = call.members.get("Content", {})
    for part in (content.get("Simple", {}), content.get("Template", {})):
        yield part.get("Headers", [])
    default = call.members.get("DefaultContent", {}).get("Template", {}).get("Headers", [])
    yield default
    for entry in call.members.get("BulkEmailEntries", []):
        own = entry.get("ReplacementHeaders", [])
        named = {header["Name"].lower() for header in own}
        yield [*own, *(header for header in default if header["Name"].lower() not in named)]


def custom_headers(call: AwsCall, _: AccountState) -> Refusal | None:
    for headers in _header_lists(call):
        names = [header["Name"].lower() for header in headers]
        reserved = [header["Name"] for header in headers if header["Name"].lower() in SES_HEADERS_SET_BY_SES]
        if reserved:
            return _bad_request(f"Header name {reserved[0]} is not allowed: SES sets it itself.")
        if len(set(names)) < len(names):
            return _bad_request("A header may not appear more than once.")
        if len(names) > SES_HEADERS_MAX:
            return _bad_request(f"A message may have {SES_HEADERS_MAX} headers.")
        if any(len(header["Name"]) + len(header["Value"]) > SES_HEADER_LENGTH_MAX for header in headers):
            return _bad_request(
                f"Name and value of a header may have {SES_HEADER_LENGTH_MAX} characters together."
            )
    return None


def encoded_addresses(call: AwsCall, _: AccountState) -> Refusal | None:
    members = call.members
    destinations = [
        members.get("Destination", {}),
        *(e["Destination"] for e in members.get("BulkEmailEntries", [])),
    ]
    addresses = [members.get("FromEmailAddress", ""), *members.get("ReplyToAddresses", [])]
    addresses += [
        address for destination in destinations for held in destination.values() for address in held
    ]
    for address in addresses:
        if not address.isascii() or not address.isprintable():
            return _bad_request(f"Local address contains control or non-ASCII characters: {address!a}")
        local, at, domain = parseaddr(address)[1].rpartition("@")
        if address and not (at and domain):
            return _bad_request("Missing final '@domain'")
        if len(local) > SES_LOCAL_PART_LENGTH_MAX:
            return _bad_request("Local address too long")
    return None


def recipients(call: AwsCall, _: AccountState) -> Refusal | None:
    entries = call.members.get("BulkEmailEntries", [])
    if len(entries) > SES_BULK_ENTRIES_MAX:
        return _bad_request(f"A call may have {SES_BULK_ENTRIES_MAX} entries.")
    destinations = [call.members.get("Destination", {}), *(entry["Destination"] for entry in entries)]
    counts = [sum(map(len, destination.values())) for destination in destinations]
    if any(count > SES_RECIPIENTS_MAX for count in counts):
        return _bad_request(f"Recipient count exceeds {SES_RECIPIENTS_MAX}.")
    if call.operation == "SendEmail" and not any(counts):
        return _bad_request("An email needs a recipient.")
    return None


def one_content(call: AwsCall, _: AccountState) -> Refusal | None:
    content = call.members["Content"]
    if len(content) != 1:
        return _bad_request("Content must have exactly one of Simple, Raw and Template.")
    if "Simple" in content and not content["Simple"]["Body"]:
        return _bad_request("Body must have Text or Html.")
    return None


def get_account_rate(_: AwsCall, account: AccountState) -> Refusal | None:
    now = account.clock_s()
    if now - account.account_read_s < SES_GET_ACCOUNT_EVERY_S:
        return Refusal("TooManyRequestsException", "Rate exceeded", HTTPStatus.TOO_MANY_REQUESTS)
    account.account_read_s = now
    return None


def _bad_request(message: str) -> Refusal:
    return Refusal("BadRequestException", message)


# ---------------------------------------------------------------------------------------------------
# CloudFront


def invalidated_paths(call: AwsCall) -> list[str]:
    """Return the paths that a CreateInvalidation names."""
    paths: list[str] = call.members["InvalidationBatch"]["Paths"].get("Items", [])
    return paths


def path_quantity(call: AwsCall, _: AccountState) -> Refusal | None:
    said = call.members["InvalidationBatch"]["Paths"]["Quantity"]
    if said != len(invalidated_paths(call)):
        return Refusal("InconsistentQuantities", "The value of Quantity and the size of Items do not match.")
    return None


def path_syntax(call: AwsCall, _: AccountState) -> Refusal | None:
    for path in invalidated_paths(call):
        if not PATH.fullmatch(path) or len(path) > CLOUDFRONT_PATH_LENGTH_MAX:
            return Refusal("InvalidArgument", "Your request contains one or more invalid invalidation paths.")
    return None


def invalidations_in_progress(call: AwsCall, account: AccountState) -> Refusal | None:
    now, paths = account.clock_s(), invalidated_paths(call)
    account.invalidating = [running for running in account.invalidating if running[0] > now]
    wildcards = sum(path.endswith("*") for path in paths)
    invalidation = (now + CLOUDFRONT_IN_PROGRESS_S, len(paths) - wildcards, wildcards)
    files = sum(running[1] for running in [*account.invalidating, invalidation])
    wild = sum(running[2] for running in [*account.invalidating, invalidation])
    if files > CLOUDFRONT_FILES_IN_PROGRESS_MAX or wild > CLOUDFRONT_WILDCARDS_IN_PROGRESS_MAX:
        kind = "wildcard invalidations" if wild > CLOUDFRONT_WILDCARDS_IN_PROGRESS_MAX else "invalidations"
        return Refusal(
            "TooManyInvalidationsInProgress",
            f"Processing your request will cause you to exceed the maximum number of in-progress {kind}.",
        )
    account.invalidating.append(invalidation)
    return None


# ---------------------------------------------------------------------------------------------------
# DynamoDB


def expression_size(call: AwsCall, _: AccountState) -> Refusal | None:
    """Refuse an expression of more than 4 KB, also in one write of a transaction."""
    items = call.members.get("TransactItems", ())
    for members in (call.members, *(write for item in items for write in item.values())):
        for name, value in members.items():
            size = len(value.encode()) if name.endswith("Expression") else 0
            if size > DYNAMODB_EXPRESSION_BYTES_MAX:
                reason = "Expression size has exceeded the maximum allowed size"
                return Refusal("ValidationException", f"Invalid {name}: {reason}; expression size: {size}")
    return None


# ---------------------------------------------------------------------------------------------------
# SQS


def delay(call: AwsCall, _: AccountState) -> Refusal | None:
    """Refuse a delay of more than 15 minutes. AWS refuses that message of a batch; here, the call."""
    messages = [call.members, *call.members.get("Entries", [])]
    delays_s = [message.get("DelaySeconds", 0) for message in messages]
    wrong = [delay_s for delay_s in delays_s if not 0 <= delay_s <= SQS_DELAY_S_MAX]
    if not wrong:
        return None
    reason = f"DelaySeconds must be >= 0 and <= {SQS_DELAY_S_MAX}."
    message = f"Value {wrong[0]} for parameter DelaySeconds is invalid. Reason: {reason}"
    return Refusal("InvalidParameterValue", message)


# ---------------------------------------------------------------------------------------------------
# S3


def conditional_write(call: AwsCall) -> tuple[str, str] | None:
    """Return the bucket and key of a write with a condition, or None for any other call."""
    conditions = {"IfMatch", "IfNoneMatch"} & call.members.keys()
    writes = call.service == "s3" and call.operation in {
        "PutObject",
        "CompleteMultipartUpload",
        "DeleteObject",
    }
    return (call.members["Bucket"], call.members["Key"]) if writes and conditions else None


def conditional_conflict(call: AwsCall, account: AccountState) -> Refusal | None:
    if conditional_write(call) not in account.writing:
        return None
    message = "The conditional request cannot succeed due to a conflicting operation against this resource."
    return Refusal("ConditionalRequestConflict", message, HTTPStatus.CONFLICT)


def deleted_keys(call: AwsCall, _: AccountState) -> Refusal | None:
    if len(call.members["Delete"]["Objects"]) <= S3_DELETED_KEYS_MAX:
        return None
    return Refusal(
        "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published schema",
    )


def object_headers(call: AwsCall, _: AccountState) -> Refusal | None:
    """Refuse a long key, long metadata, an owner that is not ours, and a condition that S3 does not have."""
    members = call.members
    metadata = members.get("Metadata", {})
    if len(members.get("Key", "").encode()) > S3_KEY_BYTES_MAX:
        return Refusal("KeyTooLongError", "Your key is too long")
    if (
        sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items())
        > S3_METADATA_BYTES_MAX
    ):
        return Refusal("MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size")
    if members.get("ExpectedBucketOwner", OWN_ACCOUNT) != OWN_ACCOUNT:
        return Refusal("AccessDenied", "Access Denied", HTTPStatus.FORBIDDEN)
    if call.operation == "PutObject" and members.get("IfNoneMatch", "*") != "*":
        message = "A header you provided implies functionality that is not implemented"
        return Refusal("NotImplemented", message, HTTPStatus.NOT_IMPLEMENTED)
    return None

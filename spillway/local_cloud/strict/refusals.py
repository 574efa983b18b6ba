"""How AWS refuses a call, in each protocol's own form, and first of all one that is not signed right.

Every signature is checked, with IAM and without.
"""

import hashlib
import json
import re
import struct
import uuid
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from ministack.core.iam_evaluator import (
    CredentialResolutionError,
    find_iam_access_key_account,
    resolve_credential,
)
from ministack.core.responses import _account_from_sts_session
from ministack.core.sigv4 import (
    HeaderSignature,
    header_signature_failure,
    parse_header_signature,
    parse_query_signature,
    presigned_request_is_expired,
    request_time_failure,
)

from spillway.local_cloud.strict.requests import HttpRequest
from spillway.local_cloud.strict.validation import CONSTRAINT, MISSING, TYPE, UNKNOWN, Violation

JSON_1_0 = frozenset({"dynamodb", "dynamodbstreams", "sqs", "stepfunctions"})
# The part before "#" in the errors of services that name their models there.
NAMESPACES = {
    "dynamodb": "com.amazonaws.dynamodb.v20120810",
    "dynamodbstreams": "com.amazonaws.dynamodb.v20120810",
    "sqs": "com.amazonaws.sqs",
}
CORAL = {
    "ValidationException": "com.amazon.coral.validate",
    "SerializationException": "com.amazon.coral.service",
}
# The code of a violated constraint, where it is neither ValidationError nor ValidationException.
CONSTRAINT_CODES = {
    "apigateway": "BadRequestException",
    "cloudfront": "InvalidArgument",
    "logs": "InvalidParameterException",
    "s3": "InvalidArgument",
    "ses": "InvalidParameterValue",
    "sesv2": "BadRequestException",
    "sns": "InvalidParameter",
    "sqs": "InvalidParameterValue",
    "wafv2": "WAFInvalidParameterException",
}
MISSING_CODES = {"sqs": "MissingParameter", "cloudfront": "MissingBody"}
REST_XML_MALFORMED = "MalformedXML"
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Refusal:
    """The error that AWS answers with."""

    code: str
    message: str
    status: int = HTTPStatus.BAD_REQUEST


@dataclass(frozen=True, slots=True)
class AwsResponse:
    """An HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes


def refusal_of(violation: Violation, service: str, protocol: str) -> Refusal:
    """Return how `service` answers a call that is not what its model says."""
    if violation.kind in {TYPE, UNKNOWN} and protocol != "query":
        # AWS itself passes over members it does not know; nothing that we send may be lost that way.
        code = REST_XML_MALFORMED if protocol == "rest-xml" else "SerializationException"
        return Refusal(code, violation.message)
    default = "ValidationError" if protocol == "query" else "ValidationException"
    code = CONSTRAINT_CODES.get(service, default)
    if violation.kind == MISSING:
        code = MISSING_CODES.get(service, code)
    assert violation.kind in {MISSING, CONSTRAINT, TYPE, UNKNOWN}  # noqa: S101 - there is no other
    return Refusal(code, violation.message)


def answer_of(refusal: Refusal, service: str, protocol: str) -> AwsResponse:
    """Return a refusal as the service's protocol sends it."""
    request_id = str(uuid.uuid4())
    headers = {"x-amzn-requestid": request_id}
    if protocol in {"query", "rest-xml"}:
        headers["content-type"] = "application/xml" if protocol == "rest-xml" else "text/xml"
        return AwsResponse(refusal.status, headers, _xml(refusal, service, request_id))
    if protocol == "cbor":
        headers |= {"content-type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}
        return AwsResponse(
            refusal.status, headers, _cbor({"__type": refusal.code, "message": refusal.message})
        )
    message = {"message": refusal.message}
    if protocol == "rest-json":
        headers |= {"content-type": "application/json", "x-amzn-errortype": refusal.code}
        return AwsResponse(refusal.status, headers, json.dumps(message).encode())
    version = "1.0" if service in JSON_1_0 else "1.1"
    headers["content-type"] = f"application/x-amz-json-{version}"
    if service == "sqs":
        headers["x-amzn-query-error"] = f"{refusal.code};Sender"
    namespace = CORAL.get(refusal.code) if service in NAMESPACES else None
    namespace = namespace or NAMESPACES.get(service)
    named = f"{namespace}#{refusal.code}" if namespace else refusal.code
    return AwsResponse(refusal.status, headers, json.dumps({"__type": named} | message).encode())


def _xml(refusal: Refusal, service: str, request_id: str) -> bytes:
    # XML has no control characters, which a value that is quoted in a message may hold.
    code, message = escape(refusal.code), escape(CONTROL.sub("?", refusal.message))
    if service == "s3":
        said = f"<Code>{code}</Code><Message>{message}</Message><RequestId>{request_id}</RequestId>"
        inner = f"<Error>{said}</Error>"
    else:
        inner = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{inner}'.encode()


def _cbor(texts: dict[str, str]) -> bytes:
    # A map of short texts is all that an error is (RFC 8949, 3.1: types 5 and 3).
    return bytes([0xA0 | len(texts)]) + b"".join(
        map(_cbor_text, (text for pair in texts.items() for text in pair))
    )


def _cbor_text(text: str) -> bytes:
    held = text.encode()
    return b"\x7a" + struct.pack(">I", len(held)) + held


ACCOUNT_ID = re.compile(r"\d{12}")
OWN_ACCOUNT = "000000000000"
SHA256_HEX = re.compile(r"[0-9a-f]{64}")
FORBIDDEN = 403
HASH_MISMATCH = "The provided 'x-amz-content-sha256' header does not match what was computed."


def caller_of(request: HttpRequest, raw_path: str) -> HeaderSignature | Refusal:
    """Return the checked signature of a request.

    Args:
        request: the request as it came, with its body.
        raw_path: its path as it was sent, still encoded.
    """
    query: dict[str, Any] = parse_qs(request.query, keep_blank_values=True)
    presigned = "authorization" not in request.headers and "X-Amz-Signature" in query
    if not presigned and not request.headers.get("authorization", "").startswith("AWS4-HMAC-SHA256 "):
        return Refusal("MissingAuthenticationToken", "Request is missing Authentication Token", FORBIDDEN)
    signature = parse_query_signature(query) if presigned else parse_header_signature(request.headers)
    if isinstance(signature, tuple):
        return Refusal(signature[0], signature[1], FORBIDDEN)
    failure = _late(query, signature) if presigned else request_time_failure(signature)
    failure = failure or _forged(signature, request, raw_path, query, presigned=presigned)
    if failure:
        return Refusal(failure[0], failure[1], FORBIDDEN)
    # The body's hash was signed as the header has it: the body has to be that one.
    hashed = "" if presigned else request.headers.get("x-amz-content-sha256", "")
    if SHA256_HEX.fullmatch(hashed) and hashlib.sha256(request.body).hexdigest() != hashed:
        return Refusal("XAmzContentSHA256Mismatch", HASH_MISMATCH)
    return signature


def _forged(
    signature: HeaderSignature, request: HttpRequest, raw_path: str, query: dict[str, Any], *, presigned: bool
) -> tuple[str, str] | None:
    token = request.headers.get("x-amz-security-token", "")
    if presigned:
        token = query.get("X-Amz-Security-Token", [""])[0]
    known = resolve_credential(signature.access_key_id, _account_of(signature.access_key_id), token)
    if isinstance(known, CredentialResolutionError):
        return "UnrecognizedClientException", "The security token included in the request is invalid."
    failure: tuple[str, str] | None = header_signature_failure(
        signature,
        known.secret_access_key,
        request.method,
        raw_path,
        query,
        request.headers,
        request.body,
        presigned=presigned,
    )
    return failure


def _account_of(access_key: str) -> str:
    if ACCOUNT_ID.fullmatch(access_key):
        return access_key
    return _account_from_sts_session(access_key) or find_iam_access_key_account(access_key) or OWN_ACCOUNT


def _late(query: dict[str, Any], signature: HeaderSignature) -> tuple[str, str] | None:
    try:
        late = presigned_request_is_expired(signature.amz_date, query.get("X-Amz-Expires", ["0"])[0])
    except ValueError:
        late = True
    return ("AccessDenied", "Request has expired") if late else None

"""The caller that signed a call to AWS: every signature is checked, with IAM and without."""

import hashlib
import re
from typing import Any
from urllib.parse import parse_qs

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

from spillway.local_cloud.strict.answers import Refusal
from spillway.local_cloud.strict.requests import HttpRequest

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

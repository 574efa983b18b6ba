"""Errors of AWS in a sentence, each with its way out: for a person who meets them at the first try."""

import re

from botocore.exceptions import (
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's own, of an endpoint that does not answer
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    SSOError,
    TokenRetrievalError,
)

from spillway.errors import BadInput, SpillwayError, WorkFailed

SIGN_IN = "sign in with the AWS CLI (aws login, aws sso login or aws configure), or set AWS_PROFILE"
POLICY = (
    "ask an administrator of the account to attach the policy that"
    " spillway deploy --print-policy --stage NAME prints (docs/deploying.md)"
)
# https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
DENIED = re.compile(r"not authorized to perform: ([\w-]+:\w+)(?: on resource: (\S+))?")
ACCESS_DENIED = frozenset(
    {"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation", "403"}
)
# https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html, and what other services call the same
EXPIRED = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired", "InvalidToken"}
)
UNKNOWN_KEYS = frozenset(
    {
        *("InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "AuthFailure"),
        *("SignatureDoesNotMatch", "IncompleteSignature", "MissingAuthenticationToken"),
    }
)


def explained(error: Exception) -> SpillwayError:
    """Return what an error of botocore means for the person at the terminal.

    Missing credentials and regions are input (exit status 2); AWS's refusals are work that failed (1).
    """
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return BadInput("no AWS credentials", hint=f"{SIGN_IN}; --stage local needs none")
    if isinstance(error, NoRegionError):
        return BadInput("no AWS region", hint="set AWS_REGION, or the region of the profile")
    if isinstance(error, SSOError | TokenRetrievalError | CredentialRetrievalError):
        return WorkFailed(f"AWS: the sign-in is over or cannot be read: {error}", hint=SIGN_IN)
    if isinstance(error, ClientError):
        return _refused(error)
    if isinstance(error, EndpointConnectionError | ConnectionError):
        return WorkFailed(f"AWS: {error}", hint="check the region (AWS_REGION) and the network")
    return WorkFailed(f"AWS: {error}", hint="check the credentials, the region and the network")


def missing_right(error: ClientError) -> str | None:
    """Return the action that the caller may not perform, as a policy names it; None for another error."""
    if error.response["Error"].get("Code") not in ACCESS_DENIED:
        return None
    found = DENIED.search(error.response["Error"].get("Message", ""))
    return found[1] if found else error.operation_name


def _refused(error: ClientError) -> SpillwayError:
    code = error.response["Error"].get("Code", "")
    action = missing_right(error)
    if action:
        found = DENIED.search(error.response["Error"].get("Message", ""))
        where = f" on {found[2].rstrip('.')}" if found and found[2] else ""
        return WorkFailed(f"AWS: these credentials may not perform {action}{where}", hint=POLICY)
    if code in EXPIRED:
        return WorkFailed(f"AWS: the credentials have expired ({code})", hint=SIGN_IN)
    if code in UNKNOWN_KEYS:
        return WorkFailed(f"AWS: it does not know these credentials ({code})", hint=SIGN_IN)
    return WorkFailed(f"AWS: {error}", hint="check the credentials, the region and the network")

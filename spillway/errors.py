"""The errors of a command: bad input (exit 2), work that failed (exit 1), and Ctrl-C (exit 130).

An error of AWS becomes a sentence with a hint, for a person who meets it for the first time.
"""

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


class SpillwayError(Exception):
    """An error as a sentence for the person at the terminal, with a hint."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class BadInput(SpillwayError):
    """A file, an option or a value the command cannot take. Nothing was written."""

    exit_code = 2


class WorkFailed(SpillwayError):
    """The input was right, the work did not succeed."""


# The state that a command leaves, for commands that work step by step. Others did all or nothing.
LEFT_BY = {
    "build": "pages are moved into place when all are built: each is complete; build again to go on",
    "deploy": "CloudFormation finishes its current update, see spillway doctor; deploy again for the rest",
    "destroy": "CloudFormation finishes its current step; only the data named above is deleted",
    "import": "each product file is complete; import again for the rest",
    "publish": "each page is complete, some may be new already; publish again to go on",
    "redrive": "jobs that were put back are processed, the others stay; redrive again to go on",
    "rollback": "each page is complete, some may be back already; roll back again to go on",
    "waitlist": "each written entry is complete; the same command does the rest",
    "stock": "lines that were imported count; the same file again does the rest",
}


class Interrupted(SpillwayError):
    """Ctrl-C was pressed."""

    exit_code = 130

    def __init__(self, command: str) -> None:
        super().__init__("stopped", hint=LEFT_BY.get(command, ""))


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

"""The errors of a command: bad input (exit 2), work that failed (exit 1), and Ctrl-C (exit 130).

AWS's refusals are here by their codes, with what helps against them.
"""


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
    "reconcile": "differences that were applied count; reconcile again for the rest",
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
# S3 has a code for it; other services say it in words, under a code that has other reasons as well.
CLOCK_WRONG = frozenset({"RequestTimeTooSkewed", "RequestInTheFuture"})
CLOCK_WORDS = ("Signature expired", "Signature not yet current")
SET_CLOCK = "set this machine's clock by the network: AWS takes requests of the last and the next 15 minutes"


def hint_for(code: str) -> str | None:
    """Return what helps against a refusal by AWS with this error code; None where nothing of it is known."""
    if code in CLOCK_WRONG:
        return SET_CLOCK
    if code in EXPIRED | UNKNOWN_KEYS:
        return SIGN_IN
    if code == "NoSuchBucket":
        return "check the account and the region (AWS_PROFILE, AWS_REGION); a bucket that was deleted is gone"
    return POLICY if code in ACCESS_DENIED else None

"""What the SES account may send: https://docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas.html"""

from typing import TYPE_CHECKING, Protocol

from botocore.exceptions import ClientError

from chalicelib.domain.rate_limits import UNLIMITED, Limits
from chalicelib.mail.sender import SendRefused

if TYPE_CHECKING:
    from types_boto3_sesv2 import SESV2Client

THROTTLED_CODES = frozenset({"TooManyRequestsException", "ThrottlingException", "Throttling"})


class SendingAccount(Protocol):
    """Where the sending limits are asked for."""

    def limits(self) -> Limits:
        """The limits as they are now.

        Raises:
            SendRefused: the transport does not say just now.
        """


class SesAccount:
    """Asks SES. Quotas count recipients of the last 24 hours, so what was used comes back bit by bit."""

    def __init__(self, client: "SESV2Client") -> None:
        self._client = client

    def limits(self) -> Limits:
        """See `SendingAccount.limits`."""
        try:
            account = self._client.get_account()
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in THROTTLED_CODES:
                raise SendRefused(code) from error
            raise
        quota = account["SendQuota"]
        unlimited = quota["Max24HourSend"] < 0
        left = UNLIMITED if unlimited else int(quota["Max24HourSend"] - quota["SentLast24Hours"])
        return Limits(float(quota["MaxSendRate"]), max(left, 0), account.get("SendingEnabled", True))

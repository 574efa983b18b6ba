"""What the SES account may send: https://docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas.html"""

from typing import TYPE_CHECKING, Protocol

from chalicelib.domain.pace import UNLIMITED, Limits

if TYPE_CHECKING:
    from types_boto3_sesv2 import SESV2Client


class SendingAccount(Protocol):
    """Where the sending limits are asked for."""

    def limits(self) -> Limits:
        """The limits as they are now."""


class SesAccount:
    """Asks SES. Quotas count recipients of the last 24 hours, so what was used comes back bit by bit."""

    def __init__(self, client: "SESV2Client") -> None:
        self._client = client

    def limits(self) -> Limits:
        """See `SendingAccount.limits`."""
        account = self._client.get_account()
        quota = account["SendQuota"]
        unlimited = quota["Max24HourSend"] < 0
        left = UNLIMITED if unlimited else int(quota["Max24HourSend"] - quota["SentLast24Hours"])
        return Limits(float(quota["MaxSendRate"]), max(left, 0), account.get("SendingEnabled", True))

"""Amazon SES: up to 50 letters in one SendBulkEmail call, a status for each.

Each recipient's data is complete (subject, text, html), so SES fills three placeholders and never
reads a word of ours as a template. SES does not escape the data it fills in:
https://docs.aws.amazon.com/ses/latest/dg/send-personalized-email-advanced.html
"""

import json
from collections.abc import Sequence
from email.utils import formataddr, parseaddr
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
)

from chalicelib.mail.postbox import Delivery, Envelope, OutcomeUnknown, PostboxRefused, Receipt, Refusal

if TYPE_CHECKING:
    from types_boto3_sesv2 import SESV2Client
    from types_boto3_sesv2.type_defs import EmailTemplateContentTypeDef

BULK_ENVELOPES_MAX = 50
# Statuses that will be the same next time; every other one but SUCCESS is worth another try.
PERMANENT_STATUSES = frozenset({"MESSAGE_REJECTED", "INVALID_PARAMETER"})
# https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendBulkEmail.html#API_SendBulkEmail_Errors
STOPPED_CODES = frozenset({"AccountSuspendedException", "SendingPausedException"})
WRONG_CODES = frozenset(
    {
        "AccessDeniedException",
        "BadRequestException",
        "MailFromDomainNotVerifiedException",
        "MessageRejected",
        "NotFoundException",
        "ValidationException",
    }
)
TEMPLATE: "EmailTemplateContentTypeDef" = {"Subject": "{{subject}}", "Text": "{{text}}", "Html": "{{html}}"}


class SesPostbox:
    """Keeps the promise of `Postbox` with SES."""

    def __init__(self, client: "SESV2Client", configuration_set: str) -> None:
        self._client = client
        self._configuration_set = configuration_set

    def send(self, sender: str, envelopes: Sequence[Envelope]) -> tuple[Receipt, ...]:
        """See `Postbox.send`."""
        if len(envelopes) > BULK_ENVELOPES_MAX:
            raise ValueError(f"{len(envelopes)} letters at once, {BULK_ENVELOPES_MAX} is the most")
        name, mailbox = parseaddr(sender)
        entries: Any = [_bulk_entry(envelope) for envelope in envelopes]
        try:
            answer = self._client.send_bulk_email(
                FromEmailAddress=formataddr((name, mailbox)),
                ConfigurationSetName=self._configuration_set,
                DefaultContent={
                    "Template": {
                        "TemplateContent": TEMPLATE,
                        "TemplateData": json.dumps(dict.fromkeys(("subject", "text", "html"), "")),
                    }
                },
                BulkEmailEntries=entries,
            )
        except (ConnectTimeoutError, EndpointConnectionError) as error:
            raise PostboxRefused(type(error).__name__) from error
        except (HTTPClientError, BotoCoreError) as error:
            raise OutcomeUnknown(type(error).__name__) from error
        except ClientError as error:
            raise _refusal(error) from error
        return tuple(_receipt(result) for result in answer["BulkEmailEntryResults"])


def _refusal(error: ClientError) -> Exception:
    code = error.response["Error"]["Code"]
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return OutcomeUnknown(code)
    if code in STOPPED_CODES:
        return PostboxRefused(code, Refusal.STOPPED)
    return PostboxRefused(code, Refusal.WRONG if code in WRONG_CODES else Refusal.BUSY)


def _bulk_entry(envelope: Envelope) -> dict[str, Any]:
    letter = envelope.letter
    data = {"subject": letter.subject, "text": letter.text, "html": letter.html}
    return {
        "Destination": {"ToAddresses": [envelope.mailbox]},
        "ReplacementEmailContent": {
            "ReplacementTemplate": {"ReplacementTemplateData": json.dumps(data, ensure_ascii=False)}
        },
        "ReplacementHeaders": [{"Name": name, "Value": value} for name, value in envelope.headers.items()],
        "ReplacementTags": [{"Name": name, "Value": value} for name, value in envelope.tags.items()],
    }


def _receipt(result: Any) -> Receipt:
    status = result["Status"]
    if status == "SUCCESS":
        return Receipt(Delivery.ACCEPTED, message_id=result["MessageId"])
    delivery = Delivery.REJECTED if status in PERMANENT_STATUSES else Delivery.DEFERRED
    return Receipt(delivery, reason=status)

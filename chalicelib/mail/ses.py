"""Amazon SES: up to 50 letters in one SendBulkEmail call, a status for each.

Each recipient's data is complete (subject, text, html), so SES fills three placeholders and never
reads a word of ours as a template. SES does not escape the data it fills in:
https://docs.aws.amazon.com/ses/latest/dg/send-personalized-email-advanced.html
"""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
)

from chalicelib.mail.headers import check_headers, check_recipient, parse_mailbox
from chalicelib.mail.postbox import (
    NOT_WRITTEN,
    Delivery,
    Envelope,
    OutcomeUnknown,
    PostboxRefused,
    Receipt,
    Refusal,
    not_written,
)

if TYPE_CHECKING:
    from types_boto3_sesv2 import SESV2Client
    from types_boto3_sesv2.type_defs import EmailTemplateContentTypeDef

BULK_ENVELOPES_MAX = 50
# One refused call says nothing of which letter is to blame: halves are tried, with so many calls at most.
# Enough for four bad letters of fifty, and for a dozen at the head before the fault counts as ours.
CALLS_MAX = 24
# Each status of SES's BulkEmailStatus and what it means for its letter:
# https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_BulkEmailEntryResult.html
STATUSES: Mapping[str, Receipt] = MappingProxyType(
    {
        "SUCCESS": Receipt(Delivery.ACCEPTED),
        # For good, for this shopper; where a whole batch meets it, our mistake (`_blamed`).
        "MESSAGE_REJECTED": Receipt(Delivery.REJECTED),
        "INVALID_PARAMETER": Receipt(Delivery.REJECTED),
        # Try this one later, the others need not wait.
        "TRANSIENT_FAILURE": Receipt(Delivery.DEFERRED),
        "FAILED": Receipt(Delivery.DEFERRED),
        # Too fast or too many: all that follow wait alike.
        "ACCOUNT_THROTTLED": Receipt(Delivery.POSTPONED),
        "ACCOUNT_DAILY_QUOTA_EXCEEDED": Receipt(Delivery.POSTPONED),
        # Sending is stopped or paused.
        "ACCOUNT_SUSPENDED": Receipt(Delivery.POSTPONED, refusal=Refusal.STOPPED),
        "ACCOUNT_SENDING_PAUSED": Receipt(Delivery.POSTPONED, refusal=Refusal.STOPPED),
        "CONFIGURATION_SET_SENDING_PAUSED": Receipt(Delivery.POSTPONED, refusal=Refusal.STOPPED),
        # Our mistake, or the settings'.
        "MAIL_FROM_DOMAIN_NOT_VERIFIED": Receipt(Delivery.POSTPONED, refusal=Refusal.WRONG),
        "CONFIGURATION_SET_NOT_FOUND": Receipt(Delivery.POSTPONED, refusal=Refusal.WRONG),
        "TEMPLATE_NOT_FOUND": Receipt(Delivery.POSTPONED, refusal=Refusal.WRONG),
        "INVALID_SENDING_POOL_NAME": Receipt(Delivery.POSTPONED, refusal=Refusal.WRONG),
    }
)
# https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendBulkEmail.html#API_SendBulkEmail_Errors
STOPPED_CODES = frozenset({"AccountSuspendedException", "SendingPausedException"})
WRONG_CODES = frozenset(
    {"AccessDeniedException", "MailFromDomainNotVerifiedException", "NotFoundException"},
)
# One letter of a call is enough to have all of it refused.
LETTER_CODES = frozenset({"BadRequestException", "MessageRejected", "ValidationException"})
# What SES calls the content of one letter, where it could be checked: a virus.
REJECTED_REASONS = frozenset({"MESSAGE_REJECTED", "MessageRejected"})
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
        if len({envelope.reply_to for envelope in envelopes}) > 1:
            raise ValueError("letters of one call have one Reply-To")
        receipts: list[Receipt | None] = [None] * len(envelopes)
        written: list[tuple[int, Any]] = []
        for place, envelope in enumerate(envelopes):
            try:
                written.append((place, _bulk_entry(envelope)))
            except Exception as error:  # noqa: BLE001 - whatever one letter's fault is, it is its own
                receipts[place] = not_written(error)
        call = self._call(sender, envelopes[0].reply_to if envelopes else "")
        answered = _Halving(call).send([entry for _, entry in written]) if written else []
        for (place, _), receipt in zip(written, answered, strict=True):
            receipts[place] = receipt
        return _blamed([receipt for receipt in receipts if receipt is not None])

    def _call(self, sender: str, reply_to: str) -> "_Call":
        common: dict[str, Any] = {
            "FromEmailAddress": parse_mailbox(sender).encoded,
            "ConfigurationSetName": self._configuration_set,
            "DefaultContent": {
                "Template": {
                    "TemplateContent": TEMPLATE,
                    "TemplateData": json.dumps(dict.fromkeys(("subject", "text", "html"), "")),
                }
            },
        }
        if reply_to:
            # As a custom header, SES refuses it.
            common["ReplyToAddresses"] = [parse_mailbox(reply_to).encoded]
        return _Call(self._client, common)


class _Call:
    """One SendBulkEmail."""

    def __init__(self, client: "SESV2Client", common: Mapping[str, Any]) -> None:
        self._client = client
        self._common = common

    def __call__(self, entries: Sequence[Any]) -> list[Receipt]:
        try:
            answer = self._client.send_bulk_email(**self._common, BulkEmailEntries=entries)
        except (ConnectTimeoutError, EndpointConnectionError) as error:
            raise PostboxRefused(type(error).__name__) from error
        except (HTTPClientError, BotoCoreError) as error:
            raise OutcomeUnknown(type(error).__name__) from error
        except ClientError as error:
            raise _refusal(error) from error
        results = answer["BulkEmailEntryResults"]
        missing = [Receipt(Delivery.UNKNOWN, reason="no result")] * (len(entries) - len(results))
        return [*map(_receipt, results), *missing]


class _Halving:
    """Sends what a call refuses as a whole by halves, until only the bad letters are left out.

    What is refused as a whole was not taken, so nothing is sent twice. What was taken before something
    else went wrong keeps its receipt.
    """

    def __init__(self, call: _Call) -> None:
        self._call = call
        self._calls_left = CALLS_MAX
        self._sent = False

    def send(self, entries: Sequence[Any]) -> list[Receipt]:
        """Send `entries`, a receipt for each."""
        self._calls_left -= 1
        try:
            receipts = self._call(entries)
        except PostboxRefused as refused:
            if refused.about_letters:
                return self._halves(entries, refused)
            if not self._sent:
                raise
            receipt = Receipt(Delivery.POSTPONED, reason=refused.reason, refusal=refused.refusal)
            return [receipt] * len(entries)
        except OutcomeUnknown as unknown:
            if self._calls_left == CALLS_MAX - 1:
                raise
            # Of these alone nobody knows: each comes again by itself.
            return [Receipt(Delivery.DEFERRED, reason=unknown.reason)] * len(entries)
        self._sent = True
        return receipts

    def _halves(self, entries: Sequence[Any], refused: PostboxRefused) -> list[Receipt]:
        if len(entries) > 1 and self._calls_left > 1:
            half = len(entries) // 2
            first = self.send(entries[:half])
            if self._calls_left:
                return [*first, *self.send(entries[half:])]
            return [*first, *self._given_up(entries[half:], refused)]
        if len(entries) > 1:
            return self._given_up(entries, refused)
        return [Receipt(Delivery.REJECTED, reason=refused.reason)]

    def _given_up(self, entries: Sequence[Any], refused: PostboxRefused) -> list[Receipt]:
        """No calls are left: where none of many was taken, they are refused alike; else these come later."""
        delivery = Delivery.POSTPONED if self._sent else Delivery.REJECTED
        return [Receipt(delivery, reason=refused.reason)] * len(entries)


def _blamed(receipts: list[Receipt]) -> tuple[Receipt, ...]:
    """The receipts, unless not one letter of a batch was found right: then the fault is ours.

    Raises:
        PostboxRefused: all were refused for what they hold, or could not be written.
    """
    deliveries = {receipt.delivery for receipt in receipts}
    if Delivery.ACCEPTED in deliveries or not receipts:
        return tuple(receipts)
    at_fault = [receipt for receipt in receipts if _is_about_letter(receipt)]
    if len(receipts) == 1 and receipts[0].reason in REJECTED_REASONS:
        return tuple(receipts)
    if len(at_fault) == len(receipts):
        raise PostboxRefused(receipts[0].reason, Refusal.WRONG, about_letters=True)
    if Delivery.POSTPONED in deliveries:
        # The call ended before anything could be told from anything: none of it was for good.
        later = next(receipt for receipt in receipts if receipt.delivery is Delivery.POSTPONED)
        return tuple(later if receipt in at_fault else receipt for receipt in receipts)
    return tuple(receipts)


def _is_about_letter(receipt: Receipt) -> bool:
    return receipt.delivery is Delivery.REJECTED or receipt.reason.startswith(NOT_WRITTEN)


def _refusal(error: ClientError) -> Exception:
    code = error.response["Error"]["Code"]
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return OutcomeUnknown(code)
    if code in STOPPED_CODES:
        return PostboxRefused(code, Refusal.STOPPED)
    if code in LETTER_CODES:
        return PostboxRefused(code, Refusal.WRONG, about_letters=True)
    return PostboxRefused(code, Refusal.WRONG if code in WRONG_CODES else Refusal.BUSY)


def _bulk_entry(envelope: Envelope) -> dict[str, Any]:
    check_headers(envelope.headers)
    check_recipient(envelope.mailbox)
    letter = envelope.letter
    data = {"subject": letter.subject, "text": letter.text, "html": letter.html}
    written = json.dumps(data, ensure_ascii=False)
    # Half a pair of surrogates fails here, alone, and not the whole call.
    written.encode()
    return {
        "Destination": {"ToAddresses": [envelope.mailbox]},
        "ReplacementEmailContent": {"ReplacementTemplate": {"ReplacementTemplateData": written}},
        "ReplacementHeaders": [{"Name": name, "Value": value} for name, value in envelope.headers.items()],
        "ReplacementTags": [{"Name": name, "Value": value} for name, value in envelope.tags.items()],
    }


def _receipt(result: Any) -> Receipt:
    status = result.get("Status", "FAILED")
    # One that SES adds later: not taken, and no reason to have others wait.
    meaning = STATUSES.get(status, STATUSES["FAILED"])
    if meaning.delivery is Delivery.ACCEPTED:
        return Receipt(Delivery.ACCEPTED, message_id=result.get("MessageId", ""))
    return Receipt(meaning.delivery, reason=status, refusal=meaning.refusal)

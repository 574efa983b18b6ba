"""Amazon SES: up to 50 emails in one SendBulkEmail call, a status for each.

Each recipient's data is complete (subject, text, html), so SES fills three placeholders and never
reads a word of ours as a template. SES does not escape the data it fills in:
https://docs.aws.amazon.com/ses/latest/dg/send-personalized-email-advanced.html
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ProxyConnectionError,
)

from chalicelib.domain.email import (
    NOT_WRITTEN,
    DeliveryOutcome,
    OutcomeUnknown,
    OutgoingEmail,
    SendRefusal,
    SendRefused,
    SendResult,
    not_written,
)
from chalicelib.domain.sending_limits import UNLIMITED, SendingLimits
from chalicelib.mail.headers import check_headers, check_recipient, parse_mailbox

if TYPE_CHECKING:
    from types_boto3_sesv2 import SESV2Client
    from types_boto3_sesv2.type_defs import EmailTemplateContentTypeDef


BULK_EMAILS_MAX = 50
# A refused call does not name its bad email: halves are tried, with so many calls at most.
# Enough for four bad emails of fifty, and for a dozen at the head before the fault counts as ours.
CALLS_MAX = 24
PAUSED = SendResult(DeliveryOutcome.POSTPONED, refusal=SendRefusal.PAUSED)
OUR_MISTAKE = SendResult(DeliveryOutcome.POSTPONED, refusal=SendRefusal.INVALID)
# Each status of SES's BulkEmailStatus and what it means for its email. Three have other names on the page:
# https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_BulkEmailEntryResult.html
STATUSES: Mapping[str, SendResult] = MappingProxyType(
    {
        "SUCCESS": SendResult(DeliveryOutcome.ACCEPTED),
        # For good, for this shopper; where a whole batch meets it, our mistake (`_blamed`).
        "MESSAGE_REJECTED": SendResult(DeliveryOutcome.REJECTED),
        "INVALID_PARAMETER": SendResult(DeliveryOutcome.REJECTED),
        "INVALID_PARAMETER_VALUE": SendResult(DeliveryOutcome.REJECTED),
        # Try this one later, the others need not wait.
        "TRANSIENT_FAILURE": SendResult(DeliveryOutcome.DEFERRED),
        "FAILED": SendResult(DeliveryOutcome.DEFERRED),
        # Too fast or too many: all that follow wait alike.
        "ACCOUNT_THROTTLED": SendResult(DeliveryOutcome.POSTPONED),
        "ACCOUNT_DAILY_QUOTA_EXCEEDED": SendResult(DeliveryOutcome.POSTPONED),
        # Sending is stopped or paused.
        "ACCOUNT_SUSPENDED": PAUSED,
        "ACCOUNT_SENDING_PAUSED": PAUSED,
        "CONFIGURATION_SET_SENDING_PAUSED": PAUSED,
        # Our mistake, or the settings'.
        "MAIL_FROM_DOMAIN_NOT_VERIFIED": OUR_MISTAKE,
        "CONFIGURATION_SET_NOT_FOUND": OUR_MISTAKE,
        "CONFIGURATION_SET_DOES_NOT_EXIST": OUR_MISTAKE,
        "TEMPLATE_NOT_FOUND": OUR_MISTAKE,
        "TEMPLATE_DOES_NOT_EXIST": OUR_MISTAKE,
        "INVALID_SENDING_POOL_NAME": OUR_MISTAKE,
    }
)
# Errors of the SDK before it sends anything: nobody was emailed.
_NEVER_SENT = (ConnectTimeoutError, EndpointConnectionError, NoCredentialsError, ProxyConnectionError)
# https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendBulkEmail.html#API_SendBulkEmail_Errors
PAUSED_CODES = frozenset({"AccountSuspendedException", "SendingPausedException"})
INVALID_CODES = frozenset(
    {"AccessDeniedException", "MailFromDomainNotVerifiedException", "NotFoundException"},
)
# One email of a call suffices for a refusal of the whole call.
EMAIL_CODES = frozenset({"BadRequestException", "MessageRejected", "ValidationException"})
# SES's reasons for the content of one email, for example a virus.
REJECTED_REASONS = frozenset({"MESSAGE_REJECTED", "MessageRejected"})
# The sandbox has the same reason for a shopper whose address is not verified, in these words: our settings.
# https://repost.aws/knowledge-center/ses-554-400-message-rejected-error
NOT_VERIFIED = "Email address is not verified"
TEMPLATE: "EmailTemplateContentTypeDef" = {"Subject": "{{subject}}", "Text": "{{text}}", "Html": "{{html}}"}


class SesSender:
    """Sends through SES; see `EmailSender`."""

    def __init__(self, client: "SESV2Client", configuration_set: str) -> None:
        self._client = client
        self._configuration_set = configuration_set

    def send(self, sender: str, emails: Sequence[OutgoingEmail]) -> tuple[SendResult, ...]:
        """See `EmailSender.send`."""
        if len(emails) > BULK_EMAILS_MAX:
            raise ValueError(f"{len(emails)} emails at once, {BULK_EMAILS_MAX} is the most")
        if len({outgoing.reply_to for outgoing in emails}) > 1:
            raise ValueError("emails of one call have one Reply-To")
        results: list[SendResult | None] = [None] * len(emails)
        written: list[tuple[int, Any]] = []
        for place, outgoing in enumerate(emails):
            try:
                written.append((place, _bulk_entry(outgoing)))
            except Exception as error:  # noqa: BLE001 - whatever one email's fault is, it is its own
                results[place] = not_written(error)
        answered: Sequence[SendResult] = ()
        if written:
            call = partial(self._call, self._common(sender, emails[0].reply_to))
            answered = _Halving(call).send([entry for _, entry in written])
        for (place, _), result in zip(written, answered, strict=True):
            results[place] = result
        return _blamed([result for result in results if result is not None])

    def _common(self, sender: str, reply_to: str | None) -> dict[str, Any]:
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
        return common

    def _call(self, common: dict[str, Any], entries: Sequence[Any]) -> list[SendResult]:
        """Make one SendBulkEmail."""
        try:
            answer = self._client.send_bulk_email(**common, BulkEmailEntries=entries)
        except ParamValidationError as error:
            raise SendRefused(type(error).__name__, SendRefusal.INVALID, about_emails=True) from error
        except _NEVER_SENT as error:
            raise SendRefused(type(error).__name__) from error
        except BotoCoreError as error:
            raise OutcomeUnknown(type(error).__name__) from error
        except ClientError as error:
            raise _refusal(error) from error
        results = answer["BulkEmailEntryResults"]
        missing = [SendResult(DeliveryOutcome.UNKNOWN, reason="no result")] * (len(entries) - len(results))
        return [*map(_result, results), *missing]


class _Halving:
    """Sends a refused call again by halves, until only the bad emails are left.

    SES takes no email of a refused call, so nothing is sent twice. Results from before another error stay.
    """

    def __init__(self, call: Callable[[Sequence[Any]], list[SendResult]]) -> None:
        self._call = call
        self._calls_left = CALLS_MAX
        self._sent = False

    def send(self, entries: Sequence[Any]) -> list[SendResult]:
        """Send `entries`, a result for each."""
        self._calls_left -= 1
        try:
            results = self._call(entries)
        except SendRefused as refused:
            if refused.about_emails:
                return self._halves(entries, refused)
            if not self._sent:
                raise
            result = SendResult(DeliveryOutcome.POSTPONED, reason=refused.reason, refusal=refused.refusal)
            return [result] * len(entries)
        except OutcomeUnknown as unknown:
            if self._calls_left == CALLS_MAX - 1:
                raise
            # The outcome of these alone is unknown: each comes again by itself.
            return [SendResult(DeliveryOutcome.DEFERRED, reason=unknown.reason)] * len(entries)
        self._sent = True
        return results

    def _halves(self, entries: Sequence[Any], refused: SendRefused) -> list[SendResult]:
        if len(entries) > 1 and self._calls_left > 1:
            half = len(entries) // 2
            first = self.send(entries[:half])
            if self._calls_left:
                return [*first, *self.send(entries[half:])]
            return [*first, *self._given_up(entries[half:], refused)]
        if len(entries) > 1:
            return self._given_up(entries, refused)
        return [SendResult(DeliveryOutcome.REJECTED, reason=refused.reason)]

    def _given_up(self, entries: Sequence[Any], refused: SendRefused) -> list[SendResult]:
        """Return the results without calls left: rejected if SES took no email at all, else for later."""
        delivery = DeliveryOutcome.POSTPONED if self._sent else DeliveryOutcome.REJECTED
        return [SendResult(delivery, reason=refused.reason)] * len(entries)


def _blamed(results: list[SendResult]) -> tuple[SendResult, ...]:
    """Return the results, unless each email of a batch is at fault: then the fault is ours.

    Raises:
        SendRefused: each was refused for its content, or could not be written.
    """
    deliveries = {result.delivery for result in results}
    if DeliveryOutcome.ACCEPTED in deliveries or not results:
        return tuple(results)
    at_fault = [result for result in results if _is_about_email(result)]
    if len(results) == 1 and results[0].reason in REJECTED_REASONS:
        return tuple(results)
    if len(at_fault) == len(results):
        raise SendRefused(results[0].reason, SendRefusal.INVALID, about_emails=True)
    if DeliveryOutcome.POSTPONED in deliveries:
        # The call ended before the bad emails were found: no result is final.
        later = next(result for result in results if result.delivery is DeliveryOutcome.POSTPONED)
        return tuple(later if result in at_fault else result for result in results)
    return tuple(results)


def _is_about_email(result: SendResult) -> bool:
    return result.delivery is DeliveryOutcome.REJECTED or result.reason.startswith(NOT_WRITTEN)


def _refusal(error: ClientError) -> Exception:
    code = error.response["Error"]["Code"]
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return OutcomeUnknown(code)
    if code in PAUSED_CODES:
        return SendRefused(code, SendRefusal.PAUSED)
    if code in EMAIL_CODES and NOT_VERIFIED not in error.response["Error"].get("Message", ""):
        return SendRefused(code, SendRefusal.INVALID, about_emails=True)
    return SendRefused(
        code, SendRefusal.INVALID if code in INVALID_CODES | EMAIL_CODES else SendRefusal.RETRY
    )


def _bulk_entry(outgoing: OutgoingEmail) -> dict[str, Any]:
    check_headers(outgoing.headers)
    check_recipient(outgoing.mailbox)
    email = outgoing.email
    data = {"subject": email.subject, "text": email.text, "html": email.html}
    written = json.dumps(data, ensure_ascii=False)
    # Half a pair of surrogates fails here, alone, and not the whole call.
    written.encode()
    return {
        "Destination": {"ToAddresses": [outgoing.mailbox]},
        "ReplacementEmailContent": {"ReplacementTemplate": {"ReplacementTemplateData": written}},
        "ReplacementHeaders": [{"Name": name, "Value": value} for name, value in outgoing.headers.items()],
        "ReplacementTags": [{"Name": name, "Value": value} for name, value in outgoing.tags.items()],
    }


def _result(result: Any) -> SendResult:
    status = result.get("Status", "FAILED")
    # One that SES adds later: not taken, and no reason to have others wait.
    meaning = STATUSES.get(status, STATUSES["FAILED"])
    if NOT_VERIFIED in result.get("Error", ""):
        meaning = OUR_MISTAKE
    if meaning.delivery is DeliveryOutcome.ACCEPTED:
        return SendResult(DeliveryOutcome.ACCEPTED, message_id=result.get("MessageId", ""))
    return SendResult(meaning.delivery, reason=status, refusal=meaning.refusal)


THROTTLED_CODES = frozenset({"TooManyRequestsException", "ThrottlingException", "Throttling"})


class SesAccount:
    """Reads the limits of SES. Quotas count recipients of the last 24 hours, so they recover gradually."""

    def __init__(self, client: "SESV2Client") -> None:
        self._client = client

    def limits(self) -> SendingLimits:
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
        return SendingLimits(float(quota["MaxSendRate"]), max(left, 0), account.get("SendingEnabled", True))

"""Any mail server that speaks SMTP, for shops that are not on SES. Always over TLS, always signed in.

One connection for a batch, one transaction for an email, and its answer is that email's result. When
the connection breaks, the email that was under way is deferred (it alone can come twice) and the others
go on over a new connection; what is not reached is postponed, and none is lost. A server says nothing of
its limits: rate and quota are the secret's, and what it says when they are exceeded all the same is
"later", never "no".
"""

import json
import smtplib
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime
from enum import StrEnum
from typing import Any

from chalicelib.domain.email import (
    NOT_WRITTEN,
    DeliveryOutcome,
    OutgoingEmail,
    SendRefusal,
    SendRefused,
    SendResult,
    not_written,
)
from chalicelib.domain.sending_limits import UNLIMITED, SendingLimits
from chalicelib.mail.headers import (
    Mailbox,
    check_headers,
    check_recipient,
    machine_line,
    mailbox_line,
    parse_mailbox,
    text_line,
)

TIMEOUT_S = 5
# Then the rest of a batch is put off: well within a function's life, whatever the server's pace.
SEND_MS_MAX = 8_000
# A batch whose connection breaks goes on over a new one, so often at most.
CONNECTIONS_MAX = 3
# RFC 5321, 4.2.1: 4yz may be otherwise next time, 5yz will not.
PERMANENT = 500
# RFC 5321, 3.8: the server ends the connection, whatever the email.
CLOSING = 421
# RFC 3463, 3.5: what the mail system refuses for its own load, big mail houses for the day's quota.
QUOTA_STATUS = b"5.4.5"


class Security(StrEnum):
    """The start of encryption: with the first byte, or with STARTTLS before the login."""

    TLS = "tls"
    STARTTLS = "starttls"


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """A mail server, its credentials and its limits."""

    host: str
    port: int
    username: str
    password: str
    security: Security = Security.TLS
    rate_per_s: float = 5.0
    emails_per_day: int | None = None

    @classmethod
    def from_json(cls, text: str) -> "SmtpServer":
        """Return the server of a secret: {"host", "port", "username", "password"}.

        Optional are "security" ("tls" or "starttls"), "rate_per_s" and "emails_per_day". A number may be a
        text: the console of Secrets Manager writes each value as one, an empty one where none is given.
        """
        given = {name: value for name, value in json.loads(text).items() if value not in (None, "")}
        return cls(**{name: _KINDS.get(name, str)(value) for name, value in given.items()})

    def limits(self) -> SendingLimits:
        """See `SendingAccount.limits`. The secret has them."""
        per_day = self.emails_per_day
        return SendingLimits(
            self.rate_per_s, UNLIMITED if per_day is None else per_day, emails_per_day=per_day
        )


_KINDS: Mapping[str, Callable[[Any], Any]] = {
    "port": int,
    "security": Security,
    "rate_per_s": float,
    "emails_per_day": int,
}


class SmtpSender:
    """Sends through a mail server; see `EmailSender`.

    `new_id` makes Message-IDs; `tls` has the trusted certificates.
    """

    def __init__(
        self,
        server: SmtpServer,
        clock_ms: Callable[[], int],
        new_id: Callable[[], str],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._server = server
        self._clock_ms = clock_ms
        self._new_id = new_id
        self._tls = tls or ssl.create_default_context()

    def send(self, sender: str, emails: Sequence[OutgoingEmail]) -> tuple[SendResult, ...]:
        """See `EmailSender.send`."""
        results: list[SendResult] = []
        until_ms = self._clock_ms() + SEND_MS_MAX
        later = SendResult(DeliveryOutcome.POSTPONED, reason="slow")
        for attempt in range(CONNECTIONS_MAX):
            try:
                connection = self._connected()
            except SendRefused as refused:
                if not attempt:
                    raise
                later = SendResult(DeliveryOutcome.POSTPONED, reason=refused.reason, refusal=refused.refusal)
                break
            try:
                self._send_over(connection, sender, emails, results, until_ms)
                break
            except smtplib.SMTPSenderRefused as refused:
                # About us, not about any email.
                if not results:
                    raise _refusal_of_us(refused) from refused
                meaning = _refusal_of_us(refused).refusal
                later = SendResult(DeliveryOutcome.POSTPONED, reason=str(refused.smtp_code), refusal=meaning)
                break
            except (smtplib.SMTPException, OSError) as error:
                later = SendResult(DeliveryOutcome.POSTPONED, reason=type(error).__name__)
                results.append(SendResult(DeliveryOutcome.DEFERRED, reason=type(error).__name__))
            finally:
                connection.close()
        settled = (*results, *[later] * (len(emails) - len(results)))
        if settled and all(result.reason.startswith(NOT_WRITTEN) for result in settled):
            raise SendRefused(settled[0].reason, SendRefusal.INVALID, about_emails=True)
        return settled

    def _send_over(
        self,
        connection: smtplib.SMTP,
        sender: str,
        emails: Sequence[OutgoingEmail],
        results: list[SendResult],
        until_ms: int,
    ) -> None:
        """Send the emails without a result, and add theirs one by one, so that an error keeps them."""
        for outgoing in emails[len(results) :]:
            if self._clock_ms() >= until_ms:
                return
            results.append(self._send_one(connection, sender, outgoing))

    def _connected(self) -> smtplib.SMTP:
        server = self._server
        try:
            with ExitStack() as unless_signed_in:
                if server.security is Security.TLS:
                    connection: smtplib.SMTP = smtplib.SMTP_SSL(
                        server.host, server.port, timeout=TIMEOUT_S, context=self._tls
                    )
                    unless_signed_in.callback(connection.close)
                else:
                    connection = smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_S)
                    unless_signed_in.callback(connection.close)
                    connection.starttls(context=self._tls)
                connection.login(server.username, server.password)
                unless_signed_in.pop_all()
        except (smtplib.SMTPAuthenticationError, smtplib.SMTPNotSupportedError, ssl.SSLError) as error:
            raise SendRefused(type(error).__name__, SendRefusal.INVALID) from error
        except (smtplib.SMTPException, OSError) as error:
            raise SendRefused(type(error).__name__) from error
        return connection

    def _send_one(self, connection: smtplib.SMTP, sender: str, outgoing: OutgoingEmail) -> SendResult:
        mailbox = parse_mailbox(sender).address
        message_id = f"{self._new_id()}@{mailbox.partition('@')[2]}"
        sent_at = datetime.fromtimestamp(self._clock_ms() / 1000, UTC)
        try:
            message = message_of(sender, outgoing, message_id=message_id, sent_at=sent_at)
        except Exception as error:  # noqa: BLE001 - whatever one email's fault is, it is its own
            return not_written(error)
        try:
            connection.sendmail(mailbox, [outgoing.mailbox], message)
        except smtplib.SMTPRecipientsRefused as refused:
            answer: tuple[int, bytes | str] = refused.recipients[outgoing.mailbox]
        except smtplib.SMTPDataError as refused:
            answer = refused.smtp_code, refused.smtp_error
        else:
            return SendResult(DeliveryOutcome.ACCEPTED, message_id=message_id)
        if answer[0] == CLOSING:
            raise smtplib.SMTPServerDisconnected(str(CLOSING))
        return _refused(*answer)


def _refused(code: int, words: bytes | str) -> SendResult:
    delivery = DeliveryOutcome.REJECTED if _for_good(code, words) else DeliveryOutcome.DEFERRED
    return SendResult(delivery, reason=str(code))


def _refusal_of_us(refused: smtplib.SMTPResponseException) -> SendRefused:
    wrong = _for_good(refused.smtp_code, refused.smtp_error)
    return SendRefused(str(refused.smtp_code), SendRefusal.INVALID if wrong else SendRefusal.RETRY)


def _for_good(code: int, words: bytes | str) -> bool:
    said = words if isinstance(words, bytes) else words.encode()
    return code >= PERMANENT and not said.startswith(QUOTA_STATUS)


# Seven bits: no server needs to offer 8BITMIME.
BODY = policy.SMTP.clone(cte_type="7bit")


def message_of(sender: str, outgoing: OutgoingEmail, *, message_id: str, sent_at: datetime) -> bytes:
    """Write an outgoing email as a message (RFC 5322).

    Raises:
        ValueError: a header that cannot be sent (`HeaderRefused`), or text that UTF-8 cannot encode.
    """
    check_headers(outgoing.headers)
    check_recipient(outgoing.mailbox)
    lines = [
        mailbox_line("From", parse_mailbox(sender)),
        mailbox_line("To", Mailbox("", outgoing.mailbox)),
        text_line("Subject", outgoing.email.subject),
        machine_line("Date", format_datetime(sent_at)),
        machine_line("Message-ID", f"<{message_id}>"),
    ]
    if outgoing.reply_to:
        lines.append(mailbox_line("Reply-To", parse_mailbox(outgoing.reply_to)))
    lines += [machine_line(name, value) for name, value in outgoing.headers.items()]
    body = EmailMessage(policy=BODY)
    body.set_content(outgoing.email.text)
    body.add_alternative(outgoing.email.html, subtype="html")
    return "".join(lines).encode("ascii") + body.as_bytes()

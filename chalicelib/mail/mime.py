"""An email as it travels (RFC 5322): folded headers, then text and HTML side by side.

The headers are written here: the standard library's message classes decode what looks encoded, and turn a
long link into encoded words, which mail programs do not follow.
"""

from datetime import datetime
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime

from chalicelib.mail.headers import (
    Mailbox,
    check_headers,
    check_recipient,
    machine_line,
    mailbox_line,
    parse_mailbox,
    text_line,
)
from chalicelib.mail.sender import OutgoingEmail

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

"""A letter as it travels: RFC 5322, text and HTML side by side, every header on one line of its own."""

from datetime import datetime
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime

from chalicelib.mail.postbox import Envelope

# Folding would turn a long link into an encoded word, which mail programs do not press.
WIRE = policy.SMTP.clone(max_line_length=998)


def message_of(sender: str, envelope: Envelope, *, message_id: str, sent_at: datetime) -> EmailMessage:
    """The message of an envelope.

    Raises:
        ValueError: a header holds a line break, or what a header cannot hold.
    """
    message = EmailMessage(policy=WIRE)
    message["From"] = sender
    message["To"] = envelope.mailbox
    message["Subject"] = envelope.letter.subject
    message["Date"] = format_datetime(sent_at)
    message["Message-ID"] = f"<{message_id}>"
    for name, value in envelope.headers.items():
        message[name] = value
    message.set_content(envelope.letter.text)
    message.add_alternative(envelope.letter.html, subtype="html")
    return message

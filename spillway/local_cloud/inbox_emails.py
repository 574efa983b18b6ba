"""The emails inside a call to SES, as their readers receive them, kept as one numbered .eml file each."""

import base64
import json
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path
from typing import Any

Document = Mapping[str, Any]
Headers = tuple[tuple[str, str], ...]

# Headers go out on one line each: folding would turn a long link into an encoded word.
WIRE = policy.SMTP.clone(max_line_length=None)
PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")
# Headers that every raw email has, so none that the shop chose.
STANDARD_HEADERS = frozenset({"from", "to", "cc", "bcc", "subject", "date", "message-id", "mime-version"})


@dataclass(frozen=True, slots=True)
class InboxEmail:
    """One email to one person."""

    sender: str
    recipient: str
    subject: str
    text: str
    html: str
    headers: Headers = ()

    def to_bytes(self, *, message_id: str, sent_at: datetime) -> bytes:
        """Return the email as it travels.

        Raises:
            ValueError: a header holds a line break, or what a header cannot hold.
        """
        message = EmailMessage(policy=policy.SMTP)
        message["From"] = self.sender
        message["To"] = self.recipient
        message["Subject"] = self.subject
        message["Date"] = format_datetime(sent_at)
        message["Message-ID"] = f"<{message_id}>"
        for name, value in self.headers:
            message[name] = value
        message.set_content(self.text)
        if self.html:
            message.add_alternative(self.html, subtype="html")
        return message.as_bytes(policy=WIRE)


def emails_of_send(call: Document) -> tuple[InboxEmail, ...]:
    """Return the emails of one SendEmail call: one for each person it names."""
    content: Document = call.get("Content", {})
    sender = str(call.get("FromEmailAddress", ""))
    recipients = _recipients(call.get("Destination", {}))
    if "Raw" in content:
        return tuple(_raw_emails(content["Raw"], sender, recipients))
    if "Template" in content:
        template: Document = content["Template"]
        return _filled(template, template.get("TemplateData"), sender, recipients, _headers(template))
    simple: Document = content.get("Simple", {})
    body: Document = simple.get("Body", {})
    return tuple(
        InboxEmail(
            sender,
            recipient,
            _data(simple, "Subject"),
            _data(body, "Text"),
            _data(body, "Html"),
            _headers(simple),
        )
        for recipient in recipients
    )


def emails_of_bulk(call: Document) -> tuple[tuple[InboxEmail, ...], ...]:
    """Return the emails of one SendBulkEmail call, entry by entry: SES answers for each entry apart."""
    template: Document = call.get("DefaultContent", {}).get("Template", {})
    return tuple(_emails_of_entry(entry, template, call) for entry in call.get("BulkEmailEntries", ()))


def _emails_of_entry(entry: Document, template: Document, call: Document) -> tuple[InboxEmail, ...]:
    replacement: Document = entry.get("ReplacementEmailContent", {}).get("ReplacementTemplate", {})
    own = _headers({"Headers": entry.get("ReplacementHeaders", ())})
    replaced = {name.lower() for name, _ in own}
    headers = tuple(pair for pair in _headers(template) if pair[0].lower() not in replaced) + own
    data = replacement.get("ReplacementTemplateData", template.get("TemplateData"))
    sender = str(call.get("FromEmailAddress", ""))
    return _filled(template, data, sender, _recipients(entry.get("Destination", {})), headers)


def _filled(
    template: Document, data: str | None, sender: str, recipients: Iterable[str], headers: Headers
) -> tuple[InboxEmail, ...]:
    # SES escapes nothing when it fills a template: what the shop hands over must be safe already.
    values: Document = json.loads(data or "{}")
    content: Document = template.get("TemplateContent", {})

    def fill(text: str) -> str:
        return PLACEHOLDER.sub(lambda found: str(values.get(found[1], "")), text)

    return tuple(
        InboxEmail(
            sender,
            recipient,
            fill(content.get("Subject", "")),
            fill(content.get("Text", "")),
            fill(content.get("Html", "")),
            tuple((name, fill(value)) for name, value in headers),
        )
        for recipient in recipients
    )


def _raw_emails(raw: Document, sender: str, recipients: tuple[str, ...]) -> Iterator[InboxEmail]:
    message = message_from_bytes(base64.b64decode(raw.get("Data", "")), policy=policy.default)
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    headers = tuple(
        (name, str(value))
        for name, value in message.items()
        if name.lower() not in STANDARD_HEADERS and not name.lower().startswith("content-")
    )
    named = tuple(address for name in ("To", "Cc", "Bcc") for address in message.get_all(name, ()))
    for recipient in recipients or named:
        yield InboxEmail(
            sender or str(message["From"] or ""),
            str(recipient),
            str(message["Subject"] or ""),
            text.get_content() if text else "",
            html.get_content() if html else "",
            headers,
        )


def _recipients(destination: Document) -> tuple[str, ...]:
    return tuple(
        str(address)
        for kind in ("ToAddresses", "CcAddresses", "BccAddresses")
        for address in destination.get(kind) or ()
    )


def _headers(content: Document) -> Headers:
    return tuple((str(header["Name"]), str(header["Value"])) for header in content.get("Headers") or ())


def _data(content: Document, part: str) -> str:
    return str((content.get(part) or {}).get("Data", ""))


@dataclass(frozen=True, slots=True)
class EmailSummary:
    """An email as a list shows it."""

    number: int
    sender: str
    recipient: str
    subject: str
    sent_at: datetime

    def to_document(self) -> dict[str, Any]:
        """Return a JSON-ready document."""
        return asdict(self) | {"sent_at": self.sent_at.isoformat()}


@dataclass(frozen=True, slots=True)
class KeptEmail:
    """An email taken out of the mailbox."""

    outgoing: EmailSummary
    headers: tuple[tuple[str, str], ...]
    text: str
    html: str

    def to_document(self) -> dict[str, Any]:
        """Return a JSON-ready document."""
        return self.outgoing.to_document() | {"headers": self.headers, "text": self.text, "html": self.html}


@dataclass(slots=True)
class InboxFolder:
    """A folder of emails, numbered in the order they were sent. An email is there whole or not at all."""

    folder: Path
    _envelopes: dict[int, EmailSummary] = field(default_factory=dict)
    _writing: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, email: bytes) -> int:
        """Store an email. Returns its number."""
        with self._writing:
            self.folder.mkdir(parents=True, exist_ok=True)
            number = max(self._numbers(), default=0) + 1
            draft = self.folder / "draft"
            draft.write_bytes(email)
            os.replace(draft, self.file(number))  # noqa: PTH105 - atomic, and it says so
        return number

    def emails(self) -> tuple[EmailSummary, ...]:
        """Return every email, newest first."""
        return tuple(self._envelope(number) for number in sorted(self._numbers(), reverse=True))

    def email(self, number: int) -> KeptEmail | None:
        """Return the email of that number, or None."""
        try:
            content = self.file(number).read_bytes()
        except FileNotFoundError:
            return None
        message = message_from_bytes(content, policy=policy.default)
        text, html = message.get_body(("plain",)), message.get_body(("html",))
        return KeptEmail(
            self._envelope(number),
            tuple((name, str(value)) for name, value in message.items()),
            text.get_content() if text else "",
            html.get_content() if html else "",
        )

    def file(self, number: int) -> Path:
        """Return where the email of that number is kept."""
        return self.folder / f"{number:06}.eml"

    def _numbers(self) -> list[int]:
        return [int(file.stem) for file in self.folder.glob("[0-9]*.eml")]

    def _envelope(self, number: int) -> EmailSummary:
        # A kept email never changes, so its headers are read once.
        if number not in self._envelopes:
            with self.file(number).open("rb") as content:
                headers = BytesHeaderParser(policy=policy.default).parse(content)
            self._envelopes[number] = EmailSummary(
                number,
                str(headers["From"]),
                str(headers["To"]),
                str(headers["Subject"]),
                parsedate_to_datetime(str(headers["Date"])),
            )
        return self._envelopes[number]

"""The emails kept: one numbered .eml file each, in a folder that any mail program can read."""

import os
import threading
from dataclasses import asdict, dataclass, field
from datetime import datetime
from email import message_from_bytes, policy
from email.parser import BytesHeaderParser
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class EmailSummary:
    """What a list of emails shows."""

    number: int
    sender: str
    recipient: str
    subject: str
    sent_at: datetime

    def to_document(self) -> dict[str, Any]:
        """A JSON-ready document."""
        return asdict(self) | {"sent_at": self.sent_at.isoformat()}


@dataclass(frozen=True, slots=True)
class KeptEmail:
    """An email taken out of the mailbox."""

    outgoing: EmailSummary
    headers: tuple[tuple[str, str], ...]
    text: str
    html: str

    def to_document(self) -> dict[str, Any]:
        """A JSON-ready document."""
        return self.outgoing.to_document() | {"headers": self.headers, "text": self.text, "html": self.html}


@dataclass(slots=True)
class Mailbox:
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
        """Every email, newest first."""
        return tuple(self._envelope(number) for number in sorted(self._numbers(), reverse=True))

    def email(self, number: int) -> KeptEmail | None:
        """The email of that number, or None."""
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
        """Where the email of that number is kept."""
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

"""The letters kept: one numbered .eml file each, in a folder that any mail program can read."""

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
class Envelope:
    """What a list of letters shows."""

    number: int
    sender: str
    recipient: str
    subject: str
    sent_at: datetime

    def to_document(self) -> dict[str, Any]:
        """A JSON-ready document."""
        return asdict(self) | {"sent_at": self.sent_at.isoformat()}


@dataclass(frozen=True, slots=True)
class KeptLetter:
    """A letter taken out of the mailbox."""

    envelope: Envelope
    headers: tuple[tuple[str, str], ...]
    text: str
    html: str

    def to_document(self) -> dict[str, Any]:
        """A JSON-ready document."""
        return self.envelope.to_document() | {"headers": self.headers, "text": self.text, "html": self.html}


@dataclass(slots=True)
class Mailbox:
    """A folder of letters, numbered in the order they were sent. A letter is there whole or not at all."""

    folder: Path
    _envelopes: dict[int, Envelope] = field(default_factory=dict)
    _writing: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, letter: bytes) -> int:
        """Store a letter. Returns its number."""
        with self._writing:
            self.folder.mkdir(parents=True, exist_ok=True)
            number = max(self._numbers(), default=0) + 1
            draft = self.folder / "draft"
            draft.write_bytes(letter)
            os.replace(draft, self.file(number))  # noqa: PTH105 - atomic, and it says so
        return number

    def envelopes(self) -> tuple[Envelope, ...]:
        """Every letter, newest first."""
        return tuple(self._envelope(number) for number in sorted(self._numbers(), reverse=True))

    def letter(self, number: int) -> KeptLetter | None:
        """The letter of that number, or None."""
        try:
            content = self.file(number).read_bytes()
        except FileNotFoundError:
            return None
        message = message_from_bytes(content, policy=policy.default)
        text, html = message.get_body(("plain",)), message.get_body(("html",))
        return KeptLetter(
            self._envelope(number),
            tuple((name, str(value)) for name, value in message.items()),
            text.get_content() if text else "",
            html.get_content() if html else "",
        )

    def file(self, number: int) -> Path:
        """Where the letter of that number is kept."""
        return self.folder / f"{number:06}.eml"

    def _numbers(self) -> list[int]:
        return [int(file.stem) for file in self.folder.glob("[0-9]*.eml")]

    def _envelope(self, number: int) -> Envelope:
        # A kept letter never changes, so its headers are read once.
        if number not in self._envelopes:
            with self.file(number).open("rb") as content:
                headers = BytesHeaderParser(policy=policy.default).parse(content)
            self._envelopes[number] = Envelope(
                number,
                str(headers["From"]),
                str(headers["To"]),
                str(headers["Subject"]),
                parsedate_to_datetime(str(headers["Date"])),
            )
        return self._envelopes[number]

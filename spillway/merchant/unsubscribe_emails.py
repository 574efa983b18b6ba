"""Emails that ask to unsubscribe, read from the file of a mail program.

Mail programs send them to the mailto link of List-Unsubscribe (RFC 2369): the token of an unsubscribe link
stands in the subject. Spillway receives no email; a mailbox export holds them. Emails of any quality are in
such a mailbox: one that cannot be read is counted, and the next one is read.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.errors import MessageError
from email.header import decode_header, make_header
from email.parser import BytesHeaderParser
from itertools import pairwise
from pathlib import Path

from chalicelib.domain.tokens import LinkRefused
from chalicelib.services.waitlist import Waitlist
from spillway.errors import BadInput

MAILBOX_BYTES_MAX = 200_000_000
FOLDS_MAX = 40
# Stands for a line break of a folded subject. Python counts it as white space, as the decoder of words needs.
FOLD = "\x1f"
SUBJECT = re.compile(
    rf"unsubscribe(?:[\s+:<]|%20)+(?=([\w.-]+(?:{FOLD}[\w.-]+){{0,{FOLDS_MAX}}}))", re.IGNORECASE
)
TOKEN = re.compile(r"[\w.-]{20,2000}", re.ASCII)
# The line before an email of an mbox file, and the headers after it; a sentence may begin with "From ", too.
SEPARATOR = re.compile(rb"From ([^\n]*)\n(?:>From [^\n]*\n){0,2}(?=[!-9;-~]{1,200}[ \t]*:)")
TIME = re.compile(rb"\d:\d\d")
# Apple Mail begins an .emlx file with the number of bytes of the email.
BYTE_COUNT = re.compile(rb"\d{1,10}[ \t]*\n(?=[!-9;-~]+[ \t]*:)")
MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


@dataclass(frozen=True, slots=True)
class Unsubscribed:
    """Counts of emails: `done` had a valid token in the subject, `refused` an invalid one, `others` none."""

    done: int
    refused: int
    others: int


def unsubscribe_by(file: Path, waitlist: Waitlist) -> Unsubscribed:
    """Unsubscribe people by the emails of `file`. Repeating it changes nothing.

    A token names a shopper and a variant, so the sender's address does not matter.

    Raises:
        BadInput: The file is too large, cannot be read, or has no email.
    """
    counts = {"done": 0, "refused": 0, "others": 0}
    for subject in _subjects(_content(file)):
        tokens = tokens_in(subject)
        if not tokens:
            counts["others"] += 1
        elif any(_unsubscribes(token, waitlist) for token in tokens):
            counts["done"] += 1
        else:
            counts["refused"] += 1
    if not any(counts.values()):
        raise BadInput(f"{file}: no email in it", hint="export the mailbox as mbox, or one email as .eml")
    return Unsubscribed(**counts)


def tokens_in(subject: str) -> list[str]:
    """Return the texts of a subject that may be its token: it may be folded, and a full stop may follow."""
    texts: list[str] = []
    for found in SUBJECT.finditer(subject):
        pieces = found[1].split(FOLD)
        texts += ["".join(pieces[: count + 1]).rstrip(".") for count in range(len(pieces))]
    return [text for text in texts if TOKEN.fullmatch(text)]


def _unsubscribes(token: str, waitlist: Waitlist) -> bool:
    try:
        waitlist.unsubscribe(token)
    except LinkRefused:
        return False
    return True


def _content(file: Path) -> bytes:
    """Return the bytes of a file in an encoding that extends ASCII, each line ended by a line feed."""
    try:
        if file.stat().st_size > MAILBOX_BYTES_MAX:
            raise BadInput(f"{file}: over {MAILBOX_BYTES_MAX:,} bytes", hint="export it in parts")
        content = file.read_bytes()
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}") from error
    encoding = MARKS.get(content[:2]) or {b"\0": "utf-16-le"}.get(content[1:2])
    if content[:1] == b"\0":
        encoding = "utf-16-be"
    if encoding:
        content = content.decode(encoding, "replace").removeprefix("\ufeff").encode("utf-8", "replace")
    content = content.removeprefix(codecs.BOM_UTF8)
    return content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").lstrip()


def _subjects(content: bytes) -> Iterator[str]:
    """Yield the subject of each email; empty if it has none."""
    starts = _mbox_starts(content) if content.startswith(b"From ") else []
    if not starts:
        counted = BYTE_COUNT.match(content)
        starts = [counted.end() if counted else 0]
    for start, limit in pairwise([*starts, len(content)]):
        end = content.find(b"\n\n", start, limit)
        headers = BytesHeaderParser().parsebytes(content[start : end if end >= 0 else limit])
        if headers.keys():
            named = (value for name, value in headers.raw_items() if name.lower() == "subject")
            yield _decoded(str(next(named, "")))


def _mbox_starts(content: bytes) -> list[int]:
    """Return the places where the emails of an mbox file begin.

    Thunderbird separates emails by "From " alone, and other programs by an address or a time, some without an
    empty line before that.
    """
    return [
        found.end()
        for found in SEPARATOR.finditer(content)
        if (
            (before := content[max(found.start() - 2, 0) : found.start()]) in {b"", b"\n\n"}
            and (b"@" in found[1] or found[1].strip() in {b"", b"-"})
        )
        or (before[-1:] in {b"", b"\n"} and TIME.search(found[1]))
    ]


def _decoded(raw: str) -> str:
    """Return a subject as its reader sees it, with FOLD for its line breaks."""
    octets = raw.encode("ascii", "surrogateescape")
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        text = octets.decode("latin-1")
    text = re.sub(r"\n[ \t]+", FOLD, text)
    try:
        return str(make_header(decode_header(text)))
    except (LookupError, ValueError, MessageError):
        return text

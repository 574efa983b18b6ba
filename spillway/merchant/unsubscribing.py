"""Emails to unsubscribe by, as a mailbox exports them: the token of a leave link stands in the subject.

The mailto link of List-Unsubscribe (RFC 2369) makes mail programs write such emails. Spillway receives none.
"""

import mailbox
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from email.header import decode_header, make_header
from pathlib import Path
from typing import TYPE_CHECKING

from chalicelib.domain.links import LinkRefused
from chalicelib.services.waitlist import Waitlist
from spillway.errors import BadInput

if TYPE_CHECKING:
    from email.message import Message

MAILBOX_BYTES_MAX = 200_000_000
SUBJECT = re.compile(r"unsubscribe\s+([\w.~-]{20,2000})", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Unsubscribed:
    """Counts of emails: `done` had a token of ours in the subject, `refused` another one, `others` none."""

    done: int
    refused: int
    others: int


def unsubscribe_by(file: Path, waitlist: Waitlist) -> Unsubscribed:
    """Unsubscribe by every email of `file`. Doing so twice is doing so once.

    A token names a shopper and a variant, so the address an email comes from is not asked for.

    Raises:
        BadInput: the file is too large, cannot be read, or holds no email.
    """
    counts = {"done": 0, "refused": 0, "others": 0}
    for subject in _subjects(file):
        found = SUBJECT.search(subject)
        if found is None:
            counts["others"] += 1
            continue
        try:
            waitlist.leave(found[1])
            counts["done"] += 1
        except LinkRefused:
            counts["refused"] += 1
    if not any(counts.values()):
        raise BadInput(f"{file}: no email in it", hint="export the mailbox as mbox, or one email as .eml")
    return Unsubscribed(**counts)


def _subjects(file: Path) -> Iterator[str]:
    """Give the subject of each email, decoded and unfolded; empty where it has none."""
    with ExitStack() as stack:
        yield from _read(file, stack)


def _read(file: Path, stack: ExitStack) -> Iterator[str]:
    try:
        if file.stat().st_size > MAILBOX_BYTES_MAX:
            raise BadInput(f"{file}: over {MAILBOX_BYTES_MAX:,} bytes", hint="export it in parts")
        with file.open("rb") as opened:
            is_mbox = opened.read(5) == b"From "
        messages: Iterable[Message] = (
            stack.enter_context(closing(mailbox.mbox(file, create=False)))
            if is_mbox
            else [mailbox.mboxMessage(file.read_bytes())]
        )
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}") from error
    for message in messages:
        if not message.keys():
            continue
        raw = str(message.get("Subject", ""))
        try:
            text = str(make_header(decode_header(raw)))
        except (LookupError, ValueError):
            text = raw
        # A folded token has lost nothing but a line break.
        yield re.sub(r"\r?\n[ \t]", " ", text)

"""Files from other tools: suppressions to import or export, and emails that ask to unsubscribe.

A suppressions file has a header and the columns address, reason and date, in any order and with the names
that other tools give them; unknown columns are ignored. Mistakes are listed all at once, with their lines.

Emails to unsubscribe by are what mail programs send to the mailto link of List-Unsubscribe (RFC 2369): the
token of an unsubscribe link stands in the subject. Spillway receives no email; a mailbox export holds them.
"""

import csv
import mailbox
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.header import decode_header, make_header
from pathlib import Path
from typing import TYPE_CHECKING

from chalicelib.domain.address import Address, AddressRefused
from chalicelib.domain.ids import ShopperId
from chalicelib.domain.suppression import MailboxHistory, SuppressionReason
from chalicelib.domain.tokens import LinkRefused
from chalicelib.services.shopper_records import iso_time
from chalicelib.services.waitlist import Waitlist
from chalicelib.tables.suppressions import Suppressed, history_of
from spillway.errors import BadInput
from spillway.importing.table import read_table
from spillway.merchant.waitlist_report import safe_cell
from spillway.project import private_file

if TYPE_CHECKING:
    from email.message import Message

LINES_MAX = 100_000
SHOWN_MISTAKES_MAX = 20
SHOPPER_ID = re.compile(r"[a-z2-7]{26}")
HEADER = ["shopper", "reason", "since", "address"]
# The names of each column, in lower case, without spaces, hyphens and underscores.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "address": ("address", "email", "emailaddress", "recipient"),
    "reason": ("reason", "type", "status", "suppressionreason", "suppressiontype"),
    "date": ("date", "since", "created", "createdat", "timestamp", "suppressedat", "lastupdatetime"),
    "shopper": ("shopper",),
}
# The words for each reason, in lower case, without spaces, hyphens and underscores.
REASONS: Mapping[str, SuppressionReason] = {
    **dict.fromkeys(
        ("complained", "complaint", "spam", "spamcomplaint", "spamreport", "abuse"),
        SuppressionReason.COMPLAINED,
    ),
    **dict.fromkeys(
        (
            "bounced",
            "bounce",
            "hardbounce",
            "hard",
            "invalid",
            "invalidemail",
            "bouncedsoft",
            "softbounce",
            "soft",
            "cleaned",
        ),
        SuppressionReason.BOUNCED,
    ),
    **dict.fromkeys(("unsubscribed", "unsubscribe", "optout"), SuppressionReason.UNSUBSCRIBED),
    **dict.fromkeys(
        ("blocked", "block", "manual", "usersuppressed", "suppressed"), SuppressionReason.BLOCKED
    ),
}
ACCEPTED = "complaint, bounce, soft bounce, unsubscribed or blocked"
MAILBOX_BYTES_MAX = 200_000_000
SUBJECT = re.compile(r"unsubscribe\s+([\w.~-]{20,2000})", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class SuppressedLine:
    """One line of a file: a shopper who must not be emailed since `since_ms`, None if it has no date."""

    line: int
    shopper: ShopperId
    reason: SuppressionReason
    since_ms: int | None


def read_suppressions(
    file: Path, *, shopper_id: Callable[[Address], ShopperId], now_ms: int
) -> list[SuppressedLine]:
    """Read a file of suppressions; `shopper_id` returns the id for an address.

    Raises:
        BadInput: The file or some lines cannot be read; the error names the line, column and value of each.
    """
    rows = _rows(file)
    found: list[SuppressedLine] = []
    mistakes: list[str] = []
    for line, row in rows:
        try:
            found.append(_line(line, row, shopper_id, now_ms))
        except ValueError as error:
            mistakes.append(f"line {line}: {error}")
    if mistakes:
        more = len(mistakes) - SHOWN_MISTAKES_MAX
        listed = "\n  ".join([*mistakes[:SHOWN_MISTAKES_MAX], *([f"and {more} more"] if more > 0 else [])])
        raise BadInput(
            f"{file}: nothing was imported\n  {listed}", hint="correct these lines, or delete them"
        )
    return found


def with_line(line: SuppressedLine, known: MailboxHistory, *, now_ms: int) -> MailboxHistory:
    """Return the history of a mailbox with a line added; a line without a date counts only if it is new."""
    if line.since_ms is not None:
        return known.joined(history_of(line.reason, line.since_ms))
    reasons = list(SuppressionReason)
    if known.suppression and reasons.index(known.suppression.reason) <= reasons.index(line.reason):
        return known
    return known.joined(history_of(line.reason, now_ms))


def write_suppressions(
    file: Path, found: Iterable[Suppressed], address_of: Callable[[ShopperId], str]
) -> int:
    """Write suppressions to a new file that only its owner may read; return their number.

    `address_of` returns a shopper's address, empty if unknown. The file appears when it is complete.

    Raises:
        BadInput: The file exists, or it cannot be written.
    """
    count = 0
    with private_file(file) as written:
        rows = csv.writer(written)
        rows.writerow(HEADER)
        for row in found:
            count += 1
            since = iso_time(row.suppression.since_ms)
            address = safe_cell(address_of(row.shopper))
            rows.writerow([row.shopper, row.suppression.reason.value, since, address])
    return count


def _rows(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    table = read_table(file)
    # If several columns share a name, the first counts.
    by_plain = {_plain(name): name for name in reversed(table.columns)}
    named = {
        column: next((by_plain[name] for name in names if name in by_plain), "")
        for column, names in COLUMNS.items()
    }
    missing = [] if named["reason"] else ["reason"]
    missing += [] if named["address"] or named["shopper"] else ["address"]
    if missing:
        raise BadInput(
            f"{file}:{table.header_line}: no column {' and none '.join(missing)}",
            hint="begin the file with the header address,reason,date;"
            f" its columns: {', '.join(table.columns)}",
        )
    if len(table.rows) > LINES_MAX:
        raise BadInput(f"{file}: over {LINES_MAX:,} lines", hint="split it")
    for row in table.rows:
        yield row.line, {column: row[name] for column, name in named.items()}


def _line(
    line: int, row: Mapping[str, str], shopper_id: Callable[[Address], ShopperId], now_ms: int
) -> SuppressedLine:
    reason = REASONS.get(_plain(row["reason"]))
    if reason is None:
        raise ValueError(f"reason {row['reason']!r}: expected {ACCEPTED}")
    since_ms = _time_ms(row["date"]) if row["date"] else None
    if row["date"] and (since_ms is None or not 0 < since_ms <= now_ms):
        raise ValueError(
            f"date {row['date']!r}: expected a day of the past, as 2026-11-20, or seconds since 1970"
        )
    if not row["address"] and SHOPPER_ID.fullmatch(row["shopper"]):
        return SuppressedLine(line, ShopperId(row["shopper"]), reason, since_ms)
    try:
        # `export` writes an apostrophe, so that a spreadsheet does not calculate.
        address = Address.parse(row["address"].removeprefix("'"))
    except AddressRefused as refused:
        raise ValueError(f"address {row['address']!r}: {refused.reason}") from None
    return SuppressedLine(line, shopper_id(address), reason, since_ms)


def _plain(text: str) -> str:
    return re.sub(r"[\s_-]+", "", text).lower()


def _time_ms(text: str) -> int | None:
    try:
        if text.isascii() and text.isdigit():
            # Milliseconds have 13 digits.
            return int(text) * (1 if len(text) > 11 else 1000)
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


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
    for subject in _subjects(file):
        found = SUBJECT.search(subject)
        if found is None:
            counts["others"] += 1
            continue
        try:
            waitlist.unsubscribe(found[1])
            counts["done"] += 1
        except LinkRefused:
            counts["refused"] += 1
    if not any(counts.values()):
        raise BadInput(f"{file}: no email in it", hint="export the mailbox as mbox, or one email as .eml")
    return Unsubscribed(**counts)


def _subjects(file: Path) -> Iterator[str]:
    """Yield the subject of each email, decoded and unfolded; empty if it has none."""
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
        # Folding a token adds a line break only.
        yield re.sub(r"\r?\n[ \t]", " ", text)

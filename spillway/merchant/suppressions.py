"""Suppressions as files: what another tool had suppressed comes in, all there is goes out.

A file to read has a header and the columns address, reason and date, in any order and with the names that
other tools give them; columns it does not know are passed over. Mistakes are listed all at once, with their
lines.
"""

import csv
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

from chalicelib.domain.address import Address, AddressRefused
from chalicelib.domain.suppression import MailboxHistory, SuppressionReason
from chalicelib.tables.suppressions import Suppressed, history_of
from spillway.errors import BadInput
from spillway.merchant.export import safe_cell

LINES_MAX = 100_000
BYTES_MAX = 20_000_000
SHOWN_MISTAKES_MAX = 20
SEPARATORS = ",;\t"
SHOPPER_ID = re.compile(r"[a-z2-7]{26}")
HEADER = ["shopper", "reason", "since", "address"]
# The names of a column, in lower case, without spaces, hyphens and underscores.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "address": ("address", "email", "emailaddress", "recipient"),
    "reason": ("reason", "type", "status", "suppressionreason", "suppressiontype"),
    "date": ("date", "since", "created", "createdat", "timestamp", "suppressedat", "lastupdatetime"),
    "shopper": ("shopper",),
}
# The words for a reason, in lower case, without spaces, hyphens and underscores.
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


@dataclass(frozen=True, slots=True)
class SuppressedLine:
    """One line of a file: a shopper who must not be emailed since `since_ms`; None where no date is given."""

    line: int
    shopper: str
    reason: SuppressionReason
    since_ms: int | None


def read_suppressions(
    file: Path, *, shopper_id: Callable[[Address], str], now_ms: int
) -> list[SuppressedLine]:
    """Read a file of suppressions; `shopper_id` makes a shopper's id of an address.

    Raises:
        BadInput: the file or some of its lines cannot be read; each is named with its line, column and value.
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
            f"{file}: nothing was imported\n  {listed}", way_out="correct these lines, or delete them"
        )
    return found


def with_line(line: SuppressedLine, known: MailboxHistory, *, now_ms: int) -> MailboxHistory:
    """Return what is known of a mailbox, with a line added to it; without a date, only where it is news."""
    if line.since_ms is not None:
        return known.joined(history_of(line.reason, line.since_ms))
    reasons = list(SuppressionReason)
    if known.suppression and reasons.index(known.suppression.reason) <= reasons.index(line.reason):
        return known
    return known.joined(history_of(line.reason, now_ms))


def write_suppressions(file: Path, found: Iterable[Suppressed], address_of: Callable[[str], str]) -> int:
    """Write suppressions into a new file that its owner alone may read, and return how many there are.

    `address_of` gives a shopper's address, empty where it is not known. The file appears when it is whole.

    Raises:
        BadInput: there is such a file already, or it cannot be written.
    """
    if file.exists():
        raise BadInput(f"{file}: exists already", way_out="name another file, or delete that one")
    part = file.with_name(f"{file.name}.part")
    try:
        part.unlink(missing_ok=True)
        opened = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}") from None
    try:
        with os.fdopen(opened, "w", encoding="utf-8", newline="") as written:
            rows = csv.writer(written)
            rows.writerow(HEADER)
            count = 0
            for each in found:
                count += 1
                since = iso_time(each.suppression.since_ms)
                address = safe_cell(address_of(each.shopper))
                rows.writerow([each.shopper, each.suppression.reason.value, since, address])
        part.rename(file)
    finally:
        part.unlink(missing_ok=True)
    return count


def iso_time(at_ms: int) -> str:
    """Return a time in milliseconds as text in UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")


def _rows(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}") from None
    if len(raw) > BYTES_MAX:
        raise BadInput(f"{file}: over {BYTES_MAX:,} bytes", way_out="split it")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{file}: byte {error.start}: not UTF-8", way_out="save it as UTF-8") from None
    first = text.partition("\n")[0]
    separator = max(SEPARATORS, key=first.count)
    rows = csv.reader(StringIO(text, newline=""), delimiter=separator)
    header = [_plain(cell) for cell in next(rows, [])]
    places = {
        column: next((header.index(name) for name in names if name in header), None)
        for column, names in COLUMNS.items()
    }
    missing = [name for name in ("reason",) if places[name] is None]
    missing += ["address"] if places["address"] is None and places["shopper"] is None else []
    if missing:
        raise BadInput(
            f"{file}: line 1: {first.strip()!r} has no column {' and none '.join(missing)}",
            way_out="begin the file with the header address,reason,date",
        )
    for row in rows:
        if rows.line_num > LINES_MAX:
            raise BadInput(f"{file}: over {LINES_MAX:,} lines", way_out="split it")
        if any(cell.strip() for cell in row):
            yield (
                rows.line_num,
                {
                    column: row[place].strip() if place is not None and place < len(row) else ""
                    for column, place in places.items()
                },
            )


def _line(
    line: int, row: Mapping[str, str], shopper_id: Callable[[Address], str], now_ms: int
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
        return SuppressedLine(line, row["shopper"], reason, since_ms)
    try:
        # As `export` writes it: the apostrophe keeps a spreadsheet from calculating.
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

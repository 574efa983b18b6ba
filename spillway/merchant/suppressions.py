"""Files of suppressions: to import from other tools, or to export.

A suppressions file has a header and the columns address, reason and date, in any order and with the names
that other tools give them; unknown columns are ignored. Mistakes are listed all at once, with their lines.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from chalicelib.domain.address import Address, AddressRefused
from chalicelib.domain.ids import ShopperId
from chalicelib.domain.suppression import MailboxHistory, SuppressionReason
from chalicelib.services.shopper_records import iso_time
from chalicelib.tables.suppressions import Suppressed, history_of
from spillway.errors import BadInput
from spillway.importing.table import read_table
from spillway.merchant.waitlist_report import safe_cell, text_of_cell
from spillway.project import private_file

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


@dataclass(frozen=True, slots=True)
class SuppressedLine:
    """One line of a file: a shopper who must not be emailed since `since_ms`, None if it has no date."""

    line: int
    shopper: ShopperId
    reason: SuppressionReason
    since_ms: int | None


def read_suppressions(
    file: Path, *, shopper_id: Callable[[Address], ShopperId], now_ms: int, encoding: str = ""
) -> list[SuppressedLine]:
    """Read a file of suppressions; `shopper_id` returns the id for an address. See `read_table`.

    Raises:
        BadInput: The file or some lines cannot be read; the error names the line, column and value of each.
    """
    rows = _rows(file, encoding)
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


def _rows(file: Path, encoding: str) -> Iterator[tuple[int, dict[str, str]]]:
    table = read_table(file, encoding=encoding)
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
        address = Address.parse(text_of_cell(row["address"]))
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

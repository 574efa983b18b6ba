"""Files of suppressions: to import from other tools, or to export.

A suppressions file has a header and the columns address, reason and date, in any order and with the names
that other tools give them; unknown columns are ignored. Mistakes are listed all at once, with their lines.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from chalicelib.domain.address import Address, AddressRefused
from chalicelib.domain.ids import ShopperId
from chalicelib.domain.suppression import MailboxHistory, SuppressionReason
from chalicelib.services.shopper_records import iso_time
from chalicelib.tables.suppressions import Suppressed, history_of
from spillway.errors import BadInput
from spillway.importing.table import read_table
from spillway.merchant.export_columns import rough
from spillway.merchant.export_rows import time_of
from spillway.merchant.export_words import UnreadableCell
from spillway.merchant.waitlist_report import safe_cell, text_of_cell
from spillway.project import private_file

LINES_MAX = 100_000
SHOWN_MISTAKES_MAX = 20
SHOPPER_ID = re.compile(r"[a-z2-7]{26}")
HEADER = ["shopper", "reason", "since", "address"]
# The names of each column, without case, signs and spaces. The first that the file has counts.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "address": ("address", "email", "emailaddress", "recipient", "customeremail", "subscriberemail"),
    "reason": ("reason", "type", "status", "suppressionreason", "suppressiontype"),
    "date": (
        *(
            "date",
            "since",
            "created",
            "createdat",
            "timestamp",
            "suppressedat",
            "lastupdatetime",
            "unsubtime",
        ),
        *("cleantime", "bouncedat", "unsubscribedat", "complainedat", "blockedat", "addedat", "dateadded"),
    ),
    "shopper": ("shopper",),
}
# The words for each reason, in the same way.
REASONS: Mapping[str, SuppressionReason] = {
    word: reason
    for reason, words in {
        SuppressionReason.COMPLAINED: """complained complaint spam spamcomplaint spamreport markedasspam
            contactflaggedasspam abuse""",
        SuppressionReason.BOUNCED: """bounced bounce hardbounce hard permanentbounce invalid invalidemail
            bouncedsoft softbounce soft cleaned""",
        SuppressionReason.UNSUBSCRIBED: """unsubscribed unsubscribe unsub optout optedout listunsubscribe
            unsubscribelink unsubscribedviaemail unsubscribedviaapi""",
        SuppressionReason.BLOCKED: """blocked block manual manualsuppression manuallyadded adminblocked custom
            blacklisted blocklisted usersuppressed suppressed""",
    }.items()
    for word in words.split()
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
    file: Path,
    *,
    shopper_id: Callable[[Address], ShopperId],
    now_ms: int,
    encoding: str = "",
    reason: SuppressionReason | None = None,
) -> list[SuppressedLine]:
    """Read a file of suppressions; see `read_table` for the encoding.

    Args:
        file: the file.
        shopper_id: returns the id for an address.
        now_ms: the time of now; no line is later.
        encoding: the file's encoding; empty for UTF-8.
        reason: the reason of every line; None where a column has it.

    Raises:
        BadInput: The file or some lines cannot be read; the error names the line, column and value of each.
    """
    found: list[SuppressedLine] = []
    mistakes: list[str] = []
    for line, row in _rows(file, encoding, has_reason=reason is not None):
        try:
            found.append(_line(line, row, reason or _reason(row["reason"]), shopper_id, now_ms))
        except ValueError as error:
            mistakes.append(f"line {line}: {error}")
    if mistakes:
        more = len(mistakes) - SHOWN_MISTAKES_MAX
        listed = "\n  ".join([*mistakes[:SHOWN_MISTAKES_MAX], *([f"and {more} more"] if more > 0 else [])])
        raise BadInput(
            f"{file}: nothing was imported\n  {listed}", hint="correct these lines, or delete them"
        )
    return found


def with_lines(lines: Iterable[SuppressedLine], known: MailboxHistory, *, now_ms: int) -> MailboxHistory:
    """Return the history of a mailbox with its lines added; one without a date counts only if it is new."""
    reasons = list(SuppressionReason)
    for line in lines:
        is_new = not known.suppression or reasons.index(line.reason) < reasons.index(known.suppression.reason)
        if line.since_ms is not None or is_new:
            since_ms = now_ms if line.since_ms is None else line.since_ms
            known = known.joined(history_of(line.reason, since_ms))
    return known


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


def _rows(file: Path, encoding: str, *, has_reason: bool) -> Iterator[tuple[int, dict[str, str]]]:
    table = read_table(file, encoding=encoding, columns_min=1)
    # If several columns share a name, the first counts.
    by_rough = {rough(name): name for name in reversed(table.columns)}
    named = {
        column: next((by_rough[name] for name in names if name in by_rough), "")
        for column, names in COLUMNS.items()
    }
    missing = [] if named["reason"] or has_reason else ["reason"]
    missing += [] if named["address"] or named["shopper"] else ["address"]
    if missing:
        raise BadInput(
            f"{file}:{table.header_line}: no column {' and none '.join(missing)}",
            hint="begin the file with the header address,reason,date; --reason is for a file without reasons;"
            f" its columns: {', '.join(table.columns)}",
        )
    if len(table.rows) > LINES_MAX:
        raise BadInput(f"{file}: over {LINES_MAX:,} lines", hint="split it")
    for row in table.rows:
        yield row.line, {column: row[name] for column, name in named.items()}


def _reason(written: str) -> SuppressionReason:
    reason = REASONS.get(rough(written))
    if reason is None:
        raise ValueError(f"reason {written!r}: expected {ACCEPTED}, or one for all rows by --reason")
    return reason


def _line(
    line: int,
    row: Mapping[str, str],
    reason: SuppressionReason,
    shopper_id: Callable[[Address], ShopperId],
    now_ms: int,
) -> SuppressedLine:
    try:
        since_ms = time_of(row["date"], now_ms=now_ms)
    except UnreadableCell:
        raise ValueError(
            f"date {row['date']!r}: expected a day of the past, as 2026-11-20, or seconds since 1970"
        ) from None
    if not row["address"] and SHOPPER_ID.fullmatch(row["shopper"]):
        return SuppressedLine(line, ShopperId(row["shopper"]), reason, since_ms)
    try:
        # `export` writes an apostrophe, so that a spreadsheet does not calculate.
        address = Address.parse(text_of_cell(row["address"]))
    except AddressRefused as refused:
        raise ValueError(f"address {row['address']!r}: {refused.reason}") from None
    return SuppressedLine(line, shopper_id(address), reason, since_ms)

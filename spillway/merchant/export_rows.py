"""Read the rows of another tool's export: who asked for which SKU, when, and with whose consent.

Exports differ between versions and shops, so columns are found by many names, and those that are needed can
be named on the command line instead. Nothing is guessed: a word or a date that is not understood is a mistake
of that row.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from chalicelib.domain.address import Address, AddressRefused
from chalicelib.domain.ids import Sku, SkuRefused, parse_sku
from spillway.errors import BadInput
from spillway.importing.table import TableFile, TableRow
from spillway.merchant.export_columns import ANSWERS, Column, Columns, Tool, find_columns
from spillway.merchant.export_words import (
    ENDED_BY,
    IS_SHORTENED,
    SHORTENED,
    WORDS,
    RowOutcome,
    UnreadableCell,
    ended,
    meaning,
)
from spillway.merchant.rows import CONSENT_TEXT_CHARS_MAX
from spillway.merchant.waitlist_report import text_of_cell

ROWS_MAX = 500_000
# No waitlist is older; a number below it is no time in milliseconds, and none in seconds either.
FIRST_YEAR = 2000
EPOCH_S = range(946_684_800, 10_000_000_000)


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """How to read the file, as the command line says it.

    Args:
        tool: the tool that wrote the file.
        sku: the SKU that every row is about; None where a column has it.
        columns: columns named on the command line.
        skus: SKUs of this shop by what the file says instead, as variant ids.
        consent_text: the text that everybody in the file agreed to; None where the file says who did.
        zone: the time zone of times that have none.
        date_format: how the file writes times, as strptime takes it; None for ISO 8601 and epochs.
    """

    tool: Tool
    sku: Sku | None = None
    columns: Mapping[Column, str] = field(default_factory=dict)
    skus: Mapping[str, Sku] = field(default_factory=dict)
    consent_text: str | None = None
    zone: tzinfo = UTC
    date_format: str | None = None


@dataclass(frozen=True, slots=True)
class ExportRow:
    """One row as it was read. `time_ms` is None without a time in the file, `problem` without a mistake.

    `said` is the outcome by the words of the row alone: a refusal counts, whatever else is wrong in the row.
    `ended_ms` is when the row's signup ended there, None where no column has that date. `sku` is as it was
    written where it is no SKU, `address` None where `email` is no address.
    """

    line: int
    outcome: RowOutcome
    email: str
    sku: Sku
    address: Address | None = None
    time_ms: int | None = None
    written_time: str = ""
    text: str = ""
    said: RowOutcome = RowOutcome.ADD
    ended_ms: int | None = None
    problem: str | None = None


def read_rows(file: Path, table: TableFile, options: ExportOptions, *, now_ms: int) -> list[ExportRow]:
    """Return every row of a table, in the order of the file.

    Raises:
        BadInput: a column that is needed is missing, or there are too many rows.
    """
    if len(table.rows) > ROWS_MAX:
        raise BadInput(f"{file}: {len(table.rows):,} rows, {ROWS_MAX:,} is the most", hint="split it")
    columns = columns_of(file, table, options)
    _require(file, table, options, columns)
    return [_Reader(options, columns, now_ms).read(row) for row in table.rows]


def columns_of(file: Path, table: TableFile, options: ExportOptions) -> Columns:
    """Return the columns of a table by their kind.

    Raises:
        BadInput: a column named on the command line is missing.
    """
    ignored = {Column.SKU} if options.sku else set[Column]()
    return find_columns(file, table, options.tool, options.columns, ignored)


def reading_note(file: Path, columns: Columns) -> str | None:
    """Return a sentence about a file without a column of times, and about columns that are not read."""
    no_times = "no column of times was found (--time-column NAME), the rows count in their order"
    notes = [] if Column.TIME in columns else [no_times]
    if columns.unread:
        notes.append(f"these columns were not read: {', '.join(columns.unread)}")
    return f"{file}: {'; '.join(notes)}" if notes else None


def _require(file: Path, table: TableFile, options: ExportOptions, found: Columns) -> None:
    has = f"its columns: {', '.join(table.columns)}"
    if Column.EMAIL not in found:
        raise BadInput(
            f"{file}:{table.header_line}: no column of addresses", hint=f"--email-column NAME; {has}"
        )
    if Column.SKU not in found and not options.sku:
        raise BadInput(
            f"{file}:{table.header_line}: no column of SKUs",
            hint=f"--sku-column NAME, or --sku SKU where all rows are about one; {has}",
        )
    says_who = Column.CONSENT in found or Column.STATUS in found
    if options.tool in {Tool.CSV, Tool.KLAVIYO} and not (says_who or options.consent_text):
        raise BadInput(
            f"{file}:{table.header_line}: no column says who agreed to be emailed",
            hint="--consent-column NAME, --status-column NAME, or --consent-text with the text that"
            f" all of them agreed to; {has}",
        )


class _Reader:
    """Reads one row after another."""

    def __init__(self, options: ExportOptions, columns: Columns, now_ms: int) -> None:
        self._options = options
        self._columns = columns
        self._now_ms = now_ms

    def read(self, row: TableRow) -> ExportRow:
        """Return what a row says; a mistake in one cell hides nothing that another cell says."""
        email, written = self._cell(row, Column.EMAIL), self._cell(row, Column.TIME)
        if named := _NAMED.fullmatch(email):
            email = named[1]
        sku = self._options.sku or Sku(self._cell(row, Column.SKU))
        text = self._cell(row, Column.TEXT) or self._options.consent_text or ""
        address, time_ms, problems = None, None, []
        try:
            address = Address.parse(email)
        except AddressRefused as refused:
            problems.append(f"address {email!r}: {refused.reason}")
        if SHORTENED.fullmatch(sku):
            problems.append(f"SKU {sku!r}: {IS_SHORTENED}")
        sku = self._options.skus.get(sku, sku)
        try:
            sku = parse_sku(sku)
        except SkuRefused as refused:
            problems.append(f"SKU {sku!r}: {refused.reason}")
        try:
            time_ms = self._time_ms(written)
        except UnreadableCell as misread:
            problems.append(str(misread))
        said, misread_words = self._stated_outcome(row)
        problems += misread_words
        if address is None and self._is_phone_alone(row, email):
            return ExportRow(row.line, RowOutcome.PHONE_ALONE, email, sku)
        if len(text) > CONSENT_TEXT_CHARS_MAX:
            problems.append(
                f"consent text of {len(text):,} characters, {CONSENT_TEXT_CHARS_MAX:,} is the most"
            )
        if problems:
            mistakes = "; ".join(problems)
            return ExportRow(row.line, RowOutcome.WRONG, email, sku, address, said=said, problem=mistakes)
        ended_ms = self._ended_ms(row)
        return ExportRow(row.line, said, email, sku, address, time_ms, written, text, said, ended_ms)

    def _is_phone_alone(self, row: TableRow, email: str) -> bool:
        if email:
            return _PHONE.fullmatch(email) is not None
        return any(row[name] for name in self._columns.unread if _PHONE_NAME.search(name))

    def _cell(self, row: TableRow, column: Column) -> str:
        """Return a cell, without the apostrophe that our exports and details put before a formula."""
        return next((text_of_cell(row[name].strip()) for name in self._columns[column]), "")

    def _stated_outcome(self, row: TableRow) -> tuple[RowOutcome, list[str]]:
        """Return the strongest "no" of a row, or its "yes", and the mistakes in the cells that say it."""
        said, problems = [RowOutcome.ADD], []
        for column in ENDED_BY:
            for name in self._columns[column]:
                try:
                    said.append(ended(column, row[name]) or RowOutcome.ADD)
                except UnreadableCell as misread:
                    problems.append(f"{name} {misread}")
        for column in ANSWERS:
            # An empty cell says nothing beside another of its kind, and "no" alone; "Active" may be unused.
            names = self._columns[column]
            alone = names[:1] if column is not Column.ACTIVE else ()
            for name in [name for name in names if row[name].strip()] or alone:
                try:
                    said.append(self._meaning(name, row[name].strip()))
                except UnreadableCell as misread:
                    problems.append(str(misread))
        return min(said, key=list(WORDS).index), problems

    def _meaning(self, name: str, written: str) -> RowOutcome:
        if self._options.consent_text and not written:
            return RowOutcome.ADD
        outcome = meaning(self._options.tool, name, written)
        dates = self._columns[Column.CONSENT]
        if outcome is None and not (name in dates and self._known_time_ms(written)):
            raise UnreadableCell(
                f"{name} {written!r}: not a word for it; a person who waits is subscribed, waiting or yes,"
                " and another is unsubscribed, sent or no"
            )
        return outcome or RowOutcome.ADD

    def _ended_ms(self, row: TableRow) -> int | None:
        """Return the last date in a row of the columns of ends; None without one."""
        cells = (row[name] for column in ENDED_BY for name in self._columns[column])
        return max((time_ms for cell in cells if (time_ms := self._known_time_ms(cell))), default=None)

    def _known_time_ms(self, written: str) -> int | None:
        try:
            return self._time_ms(written)
        except UnreadableCell:
            return None

    def _time_ms(self, written: str) -> int | None:
        return time_of(
            written, now_ms=self._now_ms, zone=self._options.zone, date_format=self._options.date_format
        )


def time_of(written: str, *, now_ms: int, zone: tzinfo = UTC, date_format: str | None = None) -> int | None:
    """Return a time in milliseconds as a file writes it; None for an empty one.

    Args:
        written: the time.
        now_ms: the time of now; no time is later.
        zone: the zone of a time without one.
        date_format: how the file writes times, as strptime takes it; None for those that name their parts.

    Raises:
        UnreadableCell: it is no time, in the future, or before the year 2000.
    """
    if not written:
        return None
    moment = _moment(written, date_format)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    time_ms = round(moment.timestamp() * 1000)
    if moment.year < FIRST_YEAR:
        raise UnreadableCell(f"time {written!r}: before the year {FIRST_YEAR}")
    if time_ms > now_ms:
        raise UnreadableCell(
            f"time {written!r}: in the future; --timezone names the zone of times without one"
        )
    return time_ms


def _moment(written: str, date_format: str | None) -> datetime:
    if date_format:
        try:
            return _formatted(date_format)(written)
        except UnreadableCell:
            raise
        except ValueError:
            raise UnreadableCell(
                f"time {written!r}: not as --date-format {date_format!r} writes it"
            ) from None
    if _SHORTENED.fullmatch(written):
        raise UnreadableCell(f"time {written!r}: {IS_SHORTENED}")
    # Seconds come first: their digits could be a day and an hour.
    for read in (_epoch, _spelled):
        try:
            return read(written)
        except (ValueError, OverflowError):
            continue
    raise UnreadableCell(
        f"time {written!r}: expected 2026-05-17, 2026-05-17 09:30:00 or seconds since 1970;"
        " name another way with --date-format, for example %d/%m/%Y"
    )


def _epoch(written: str) -> datetime:
    if not _DIGITS.fullmatch(written):
        raise ValueError(written)
    number = float(written)
    seconds = number if int(number) in EPOCH_S else number / 1000
    if int(seconds) not in EPOCH_S:
        raise ValueError(written)
    return datetime.fromtimestamp(seconds, UTC)


def _spelled(written: str) -> datetime:
    """Read ISO 8601 and its neighbours: 09.45, 9:45 pm, GMT, and days as 2026/5/7 or May 7th, 2026.

    Python's own reader takes 09.45 for a fraction of a second.
    """
    text = " ".join(written.split())
    if day := _DAY.match(text):
        part = day.groupdict()
        month, number, year = (part[name] or part[f"{name}2"] or part[f"{name}3"] for name in "mdy")
        month = month if month.isdecimal() else str(_MONTHS.index(month.lower()[:3]) // 3 + 1)
        text = f"{year}-{month:0>2}-{number:0>2}{text[day.end() :]}"
    found = _ISO.fullmatch(text)
    if found is None:
        raise ValueError(written)
    part = found.groupdict("")
    hour, half = part["hour"], part["half"].lower()
    if half:
        if not 1 <= int(hour) <= 12:
            raise ValueError(written)
        hour = str(int(hour) % 12 + 12 * (half == "p"))
    clock = ":".join(digits.zfill(2) for digits in (hour, part["minute"], part["second"]))
    date = part["day"] if "-" in part["day"] else f"{part['day'][:4]}-{part['day'][4:6]}-{part['day'][6:]}"
    offset = re.sub("utc|gmt", "", part["zone"].lower()) or ("z" if part["zone"] else "")
    return datetime.fromisoformat(f"{date}T{clock}{part['fraction']}{offset.upper()}")


def _formatted(date_format: str) -> Callable[[str], datetime]:
    """Return a reader of a format. UTC, GMT or Z is the zone of a time, as a text or by %Z."""
    plain = date_format.replace("%%", "")

    def read(written: str) -> datetime:
        moment = datetime.strptime(written, date_format)  # noqa: DTZ007 - the zone follows
        if moment.tzinfo is None and "%Z" in plain:
            # Python matches the name of a zone, and leaves it out of the time.
            name = time.strptime(written, date_format).tm_zone
            if name.upper() not in {"UTC", "GMT"}:
                raise UnreadableCell(
                    f"time {written!r}: the zone {name} has no fixed offset; write +02:00, for %z"
                )
            return moment.replace(tzinfo=UTC)
        return moment.replace(tzinfo=UTC) if _UTC.search(plain) else moment

    return read


_DIGITS = re.compile(r"[0-9]+(\.[0-9]+)?")
_SHORTENED = re.compile(r"[0-9]+([.,][0-9]+)?E[+]?[0-9]+", re.IGNORECASE)
_MONTHS = "janfebmaraprmayjunjulaugsepoctnovdec"
_MONTH = """(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?
    |oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"""
_DAY = re.compile(
    rf"""(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?\.?,?\ )?
    (?: (?P<y>[0-9]{{4}})(?P<sign>[-/.])(?P<m>[0-9]{{1,2}})(?P=sign)(?P<d>[0-9]{{1,2}})(?![0-9])
    | (?P<d2>[0-9]{{1,2}})(?:st|nd|rd|th)?(?P<sign2>[\ -])(?P<m2>{_MONTH})\.?,?(?P=sign2)(?P<y2>[0-9]{{4}})
    | (?P<m3>{_MONTH})\.?\ (?P<d3>[0-9]{{1,2}})(?:st|nd|rd|th)?,?\ (?P<y3>[0-9]{{4}}))
    (?:,?(?:\ at)?(?=\ ))?""",
    re.IGNORECASE | re.VERBOSE,
)
_ISO = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8})"
    r"(?:[T ](?P<hour>[0-9]{1,2}(?=[:.])|[0-9]{2})"
    r"(?:(?P<sign>[:.]?)(?P<minute>[0-9]{2})(?:(?P=sign)(?P<second>[0-9]{2})(?P<fraction>[.,][0-9]+)?)?"
    r"(?: ?(?P<half>[ap])\.?m\.?)?)?)?"
    r"(?: ?(?P<zone>Z|UTC|GMT|(?(hour)(?:UTC|GMT)?[+-][0-9]{2}(?::?[0-9]{2})?|[+-][0-9]{2}:[0-9]{2}))"
    r"(?: UTC| \([\w .+-]+\)|\[[\w/+-]+\])?)?",
    re.IGNORECASE,
)
# An address with the name of its owner: Ada <ada@example.com>.
_NAMED = re.compile(r"[^<>]*<([^<>]+)>")
# A phone number in the column of addresses, and a column of them beside it.
_PHONE = re.compile(r"\+?[0-9(][0-9 ()./-]{5,20}")
_PHONE_NAME = re.compile("phone|mobile|sms|whatsapp", re.IGNORECASE)
_UTC = re.compile(r"(UTC|GMT|(?<!%)Z)$")


def in_order(rows: Sequence[ExportRow], *, now_ms: int) -> Iterator[tuple[ExportRow, int]]:
    """Yield the rows with the time in ms that each stands in line by, first come first.

    Equal times, and rows without one, keep the order of the file, backwards where it has the newest first.
    Rows without a time come last: they stand in line by now, one millisecond apart.
    """
    timed = [row for row in rows if row.time_ms is not None]
    ordered = list(rows)
    if len(timed) > 1 and (timed[0].time_ms or 0) > (timed[-1].time_ms or 0):
        ordered.reverse()
    last_ms = 0
    for row in sorted((row for row in ordered if row.time_ms is not None), key=lambda row: row.time_ms or 0):
        last_ms = min(now_ms, max(row.time_ms or 0, last_ms + 1))
        yield row, last_ms
    untimed = [row for row in ordered if row.time_ms is None]
    first_ms = max(last_ms + 1, now_ms - len(untimed))
    for number, row in enumerate(untimed):
        yield row, min(now_ms, first_ms + number)

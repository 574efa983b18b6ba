"""Read a gzipped log file in bounded memory: whole lines in, columns of one hour out, the rest aside by kind.

The format is that of CloudFront's standard logging (v2), output format W3C: a line `#Fields:` names the
fields, separated by spaces; each further line has their values, separated by tabs and percent-encoded.
https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logs-reference.html

The distribution logs the fields in the order of `LOGGED_FIELDS`: values that differ from line to line first,
then those which many lines share. A line is split up to the latter, which are one value, read once. A log
with another order is read as well, more slowly.
"""

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from itertools import compress
from operator import itemgetter
from typing import Protocol, Self

from chalicelib.domain.traffic.request import LoggedRequest
from chalicelib.domain.traffic.sketch import NamedCounts

# The fields that are needed. Never cs-uri-query, which holds the tokens of links in emails.
OWN_FIELDS = ("time", "sc-bytes", "c-ip", "cs(Referer)", "cs(User-Agent)")
SHARED_FIELDS = ("date", "cs-method", "cs-uri-stem", "sc-status", "x-edge-result-type")
FIELDS = (*OWN_FIELDS, *SHARED_FIELDS)
COUNTRY = "c-country"
# The fields that the distribution logs.
LOGGED_FIELDS = (*OWN_FIELDS, COUNTRY, *SHARED_FIELDS)
READ_BYTES = 16 * 1024
# About what a processor's cache holds with all the values of its lines.
TEXT_BYTES = 64 * 1024
# CloudFront takes headers of 20 KB, address included; percent-encoding makes three bytes of one. No less than
# TEXT_BYTES, so that a line within a piece of text is not too long.
LINE_BYTES_MAX = 64 * 1024
REQUESTS_MAX = 4_096
GZIP = 16 + zlib.MAX_WBITS
_TIME = re.compile(rb"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d")
_DATE = re.compile(rb"\d{4}-\d\d-\d\d")
_STATUS = re.compile(rb"\d{3}")
DIGITS_MAX = 12
NUMBER_MAX = 10**DIGITS_MAX


class SkipReason(StrEnum):
    """Why a line, or the rest of a file, is not read."""

    FIELD_COUNT = "field_count"
    LONG = "long"
    TIME = "time"
    NUMBER = "number"
    STATUS = "status"
    FAR = "far"
    NO_FIELDS = "no_fields"
    GZIP = "gzip"


class Source(Protocol):
    """A file that is open for reading."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes; none at the end."""


@dataclass(frozen=True, slots=True)
class LogColumns:
    """Some lines of one hour as columns.

    Attributes:
        minutes: minutes of the hour.
        ips: addresses of viewers.
        referrers: referrers as they are logged.
        agents: user agents as they are logged.
        requests: requests; two that are equal are one object, unless many others were read between them.
        countries: countries, or None where the log lacks the field.
    """

    minutes: list[int]
    ips: list[bytes]
    referrers: list[bytes]
    agents: list[bytes]
    requests: list[LoggedRequest]
    countries: list[bytes] | None

    def where(self, chosen: Sequence[bool]) -> Self:
        """Return the lines that are chosen."""
        return type(self)(
            list(compress(self.minutes, chosen)),
            list(compress(self.ips, chosen)),
            list(compress(self.referrers, chosen)),
            list(compress(self.agents, chosen)),
            list(compress(self.requests, chosen)),
            self.countries and list(compress(self.countries, chosen)),
        )


@dataclass(frozen=True, slots=True)
class Bundle:
    """Some lines with valid values, their hour as b"2026-11-27T10", and the sum of the bytes sent."""

    stamp: bytes
    bytes_sent: int
    lines: LogColumns


class _Mixed(ValueError):
    """Some lines are not all valid lines of one hour."""


class _Layout:
    """Where a line has the values of our fields."""

    def __init__(self, names: list[str]) -> None:
        ours = LOGGED_FIELDS if COUNTRY in names else FIELDS
        self.own_count = len(ours) - len(SHARED_FIELDS)
        self._tabs = len(names) - 1
        self._reordered = None if tuple(names) == ours else itemgetter(*map(names.index, ours))

    def values(self, line: bytes) -> list[bytes] | None:
        """Return the values of a line, the shared ones as one; None for another number of fields."""
        if line.count(b"\t") != self._tabs:
            return None
        return self._in_order(line).split(b"\t", self.own_count)

    def flat(self, lines: list[bytes]) -> list[bytes]:
        """Return the values of some lines one after the other.

        Raises:
            _Mixed: some line has fewer fields, or is a header. One with more is found by its shared values.
        """
        if self._reordered:
            if any(line.count(b"\t") != self._tabs or line.startswith(b"#") for line in lines):
                raise _Mixed
            lines = list(map(self._in_order, lines))
        values: list[bytes] = []
        for line in lines:
            values += line.split(b"\t", self.own_count)
        if len(values) != len(lines) * (self.own_count + 1):
            raise _Mixed
        return values

    def _in_order(self, line: bytes) -> bytes:
        return b"\t".join(self._reordered(line.split(b"\t"))) if self._reordered else line


class _Requests(dict[bytes, LoggedRequest]):
    """The requests of one day, by the shared values of a line; at most `REQUESTS_MAX` are remembered."""

    def __init__(self, day: bytes) -> None:
        super().__init__()
        self.day = day

    def __missing__(self, shared: bytes) -> LoggedRequest:
        values = shared.split(b"\t")
        if len(values) != len(SHARED_FIELDS) or values[0] != self.day or not _STATUS.fullmatch(values[3]):
            raise _Mixed
        if len(self) >= REQUESTS_MAX:
            self.clear()
        request = self[shared] = LoggedRequest.of(*values[1:])
        return request


class _Minutes(dict[bytes, int]):
    """The minutes of the times of one hour: at most 3,600 times."""

    def __init__(self, hour: bytes) -> None:
        super().__init__()
        self._hour = hour

    def __missing__(self, time: bytes) -> int:
        if not _TIME.fullmatch(time) or time[:2] != self._hour:
            raise _Mixed
        minute = self[time] = int(time[3:5])
        return minute


class LineReader:
    """Reads one log file. `aside` counts the lines that it does not hand on, by kind."""

    def __init__(self, source: Source) -> None:
        self.aside = NamedCounts(len(SkipReason))
        self._source = source
        self._layout: _Layout | None = None
        # The times and shared values that are known to be valid, of the hour that was read last.
        self._stamp = b""
        self._minutes = _Minutes(b"")
        self._requests = _Requests(b"")

    def bundles(self) -> Iterator[Bundle]:
        """Return the lines in bundles of about `TEXT_BYTES`, in the order of the file but for mixed hours."""
        for lines in self._whole_lines():
            try:
                yield self._bundle(lines)
            except _Mixed:
                yield from self._sorted_out(lines)

    def _bundle(self, lines: list[bytes]) -> Bundle:
        """Return some lines as columns.

        Raises:
            _Mixed: they are not all valid lines of the hour that was read last.
        """
        layout = self._layout
        if layout is None:
            raise _Mixed
        flat = layout.flat(lines)
        width = layout.own_count + 1
        columns = [flat[place::width] for place in range(width)]
        times, sizes, ips, referrers, agents, *others, shared = columns
        minutes = list(map(self._minutes.__getitem__, times))
        requests = list(map(self._requests.__getitem__, shared))
        valid = LogColumns(minutes, ips, referrers, agents, requests, others[0] if others else None)
        return Bundle(self._stamp, _sum(sizes), valid)

    def _sorted_out(self, lines: list[bytes]) -> Iterator[Bundle]:
        """Return the valid lines hour by hour, and count the others aside; read the headers among them.

        Each file of a joined one has its own header.
        """
        hours: dict[bytes, list[bytes]] = {}
        for line in lines:
            if line.startswith(b"#"):
                yield from self._by_hour(hours)
                hours = {}
                if line.startswith(b"#Fields:"):
                    names = line.removeprefix(b"#Fields:").decode("latin-1").split()
                    self._layout = _Layout(names) if set(FIELDS) <= set(names) else None
                continue
            found = self._hour_of(line)
            if isinstance(found, SkipReason):
                self.aside[found] += 1
            else:
                hours.setdefault(found, []).append(line)
        yield from self._by_hour(hours)

    def _by_hour(self, hours: dict[bytes, list[bytes]]) -> Iterator[Bundle]:
        # The hour of most lines last: the next lines are probably of it, too.
        for stamp, lines in sorted(hours.items(), key=lambda hour: len(hour[1])):
            if stamp != self._stamp:
                self._stamp, self._minutes = stamp, _Minutes(stamp[-2:])
                day = stamp.partition(b"T")[0]
                if day != self._requests.day:
                    self._requests = _Requests(day)
            yield self._bundle(lines)

    def _hour_of(self, line: bytes) -> bytes | SkipReason:
        """Return the stamp of a valid line's hour, or what is wrong with the line."""
        if self._layout is None:
            return SkipReason.NO_FIELDS
        values = self._layout.values(line)
        if values is None:
            return SkipReason.FIELD_COUNT
        time, size, *_, shared = values
        day, _, _, status, _ = shared.split(b"\t")
        if not _is_date(day) or not _TIME.fullmatch(time):
            return SkipReason.TIME
        if not size.isdigit() or len(size) > DIGITS_MAX:
            return SkipReason.NUMBER
        if not _STATUS.fullmatch(status):
            return SkipReason.STATUS
        return day + b"T" + time[:2]

    def _whole_lines(self) -> Iterator[list[bytes]]:
        """Return the file's lines, some at a time; one that is too long is counted aside."""
        begun = b""
        skipping = False
        for text in self._inflated():
            lines = text.split(b"\n")
            lines[0] = begun + lines[0]
            if len(lines[0]) > LINE_BYTES_MAX:
                self.aside[SkipReason.LONG] += 1
                skipping = True
            if skipping:
                lines[0] = b""
            begun = lines.pop()
            if lines and skipping:
                skipping = False
                del lines[0]
            if lines:
                yield lines
        # The last line of a file that is cut off is not whole.
        if begun and not self.aside.get(SkipReason.GZIP):
            yield [begun]

    def _inflated(self) -> Iterator[bytes]:
        """Return the text of each member of the gzip file, in pieces of at most `TEXT_BYTES`.

        As gzip does, ignore zeros after a member. Values are encoded, so a carriage return ends a line.
        """
        inflate = zlib.decompressobj(GZIP)
        within = begun = False
        while packed := self._source.read(READ_BYTES):
            packed, pending = packed.lstrip(b"\0") if begun and not within else packed, False
            while packed or pending:
                try:
                    text = inflate.decompress(packed, TEXT_BYTES)
                except zlib.error:
                    self.aside[SkipReason.GZIP] += 1
                    return
                within, begun, pending = True, True, len(text) == TEXT_BYTES
                packed = inflate.unconsumed_tail
                if inflate.eof:
                    packed, pending, within = inflate.unused_data.lstrip(b"\0"), False, False
                    inflate = zlib.decompressobj(GZIP)
                if text:
                    yield text.replace(b"\r", b"")
        if within:
            self.aside[SkipReason.GZIP] += 1


def _sum(sizes: list[bytes]) -> int:
    """Return the sum of some numbers.

    Raises:
        _Mixed: one is no number, or has more than `DIGITS_MAX` digits.
    """
    # int() alone would take a sign, a space and an underscore.
    if not b"".join(sizes).isdigit():
        raise _Mixed
    try:
        total = sum(map(int, sizes))
    except ValueError as error:
        raise _Mixed from error
    if total >= NUMBER_MAX and max(map(len, sizes)) > DIGITS_MAX:
        raise _Mixed
    return total


def _is_date(value: bytes) -> bool:
    if not _DATE.fullmatch(value):
        return False
    try:
        date.fromisoformat(value.decode("ascii"))
    except ValueError:
        return False
    return True

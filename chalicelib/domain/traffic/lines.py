"""Read a gzipped log file in bounded memory: whole lines in, columns of fields out, the rest aside by kind.

The format is that of CloudFront's standard logging (v2), output format W3C: a line `#Fields:` names the
fields, separated by spaces; each further line has their values, separated by tabs and percent-encoded.
https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logs-reference.html
"""

import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Protocol

from chalicelib.domain.traffic.sketch import NamedCounts

# The fields that the distribution logs. Never cs-uri-query, which holds the tokens of links in emails.
FIELDS = (
    "date",
    "time",
    "sc-bytes",
    "c-ip",
    "cs-method",
    "cs-uri-stem",
    "sc-status",
    "cs(Referer)",
    "cs(User-Agent)",
    "x-edge-result-type",
)
COUNTRY = "c-country"
READ_BYTES = 32 * 1024
TEXT_BYTES = 96 * 1024
# CloudFront takes headers of 20 KB, address included; percent-encoding makes three bytes of one.
LINE_BYTES_MAX = 64 * 1024
GZIP = 16 + zlib.MAX_WBITS
_DATE = re.compile(rb"\d{4}-\d\d-\d\d")
_TIME = re.compile(rb"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d")
_STATUS = re.compile(rb"\d{3}")
DIGITS_MAX = 12
NUMBER_MAX = 10**DIGITS_MAX


class Aside(StrEnum):
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
class Columns:
    """Some lines as columns, in the order of `FIELDS`; `country` is None where the log lacks the field.

    `bytes_sent` is the sum of the column sc-bytes.
    """

    values: tuple[list[bytes], ...]
    country: list[bytes] | None
    bytes_sent: int


@dataclass(slots=True)
class LineReader:
    """Reads one log file. `aside` counts the lines that it does not hand on, by kind."""

    source: Source
    aside: NamedCounts = field(default_factory=lambda: NamedCounts(len(Aside)))
    _names: list[str] | None = None

    def columns(self) -> Iterator[Columns]:
        """Return the lines in bundles of about `TEXT_BYTES`, each line with valid fields."""
        for text in self._texts():
            if text.startswith(b"#") or b"\n#" in text:
                yield from self._between_headers(text)
            elif columns := self._columns(text):
                yield columns

    def _between_headers(self, text: bytes) -> Iterator[Columns]:
        """Return the lines of a text with headers: each file of a joined one has its own."""
        lines: list[bytes] = []
        for line in text.removesuffix(b"\n").split(b"\n"):
            if not line.startswith(b"#"):
                lines.append(line)
                continue
            if columns := self._columns(_joined(lines)):
                yield columns
            lines = []
            if line.startswith(b"#Fields:"):
                self._names = line.removeprefix(b"#Fields:").decode("latin-1").split()
        if columns := self._columns(_joined(lines)):
            yield columns

    def _columns(self, text: bytes) -> Columns | None:
        if not text:
            return None
        names = self._names
        count = text.count(b"\n")
        if names is None or not set(FIELDS) <= set(names):
            self.aside[Aside.NO_FIELDS] += count
            return None
        # A newline is a value of its own: it stands at the end of each line with the right number of fields.
        width = len(names) + 1
        flat = text.replace(b"\n", b"\t\n\t").split(b"\t")
        if len(flat) != count * width + 1 or flat[width - 1 :: width].count(b"\n") != count:
            return self._columns(self._lines_that(text, self._has_all_fields, Aside.FIELD_COUNT))
        flat.pop()
        values = tuple(flat[names.index(name) :: width] for name in FIELDS)
        bytes_sent = _sum(values[2])
        wrong = _first_wrong(values, bytes_sent)
        if wrong is None and bytes_sent is not None:
            country = flat[names.index(COUNTRY) :: width] if COUNTRY in names else None
            return Columns(values, country, bytes_sent)
        assert wrong is not None  # noqa: S101 - a sum that cannot be is a wrong column
        place, valid = names.index(FIELDS[wrong.column]), wrong.valid
        return self._columns(self._lines_that(text, lambda line: valid(line.split(b"\t")[place]), wrong.kind))

    def _has_all_fields(self, line: bytes) -> bool:
        return line.count(b"\t") + 1 == len(self._names or ())

    def _lines_that(self, text: bytes, holds: Callable[[bytes], bool], kind: Aside) -> bytes:
        """Return the lines for which a condition holds; count the others aside."""
        lines = text.split(b"\n")
        lines.pop()
        kept = [line for line in lines if holds(line)]
        self.aside[kind] += len(lines) - len(kept)
        return _joined(kept)

    def _texts(self) -> Iterator[bytes]:
        """Return the file's text in pieces that end with a newline; a longer line is counted aside."""
        rest = b""
        skipping = False
        for inflated in self._inflated():
            piece = inflated
            if skipping:
                _, newline, piece = piece.partition(b"\n")
                skipping = not newline
            end = piece.rfind(b"\n") + 1
            text = rest + piece[:end] if end else b""
            rest = piece[end:] if end else rest + piece
            if len(rest) > LINE_BYTES_MAX:
                self.aside[Aside.LONG] += 1
                rest, skipping = b"", True
            if text:
                yield self._without_long(text)
        # The last line of a file that is cut off is not whole.
        if rest and not self.aside.get(Aside.GZIP):
            yield rest + b"\n"

    def _without_long(self, text: bytes) -> bytes:
        if len(text) <= LINE_BYTES_MAX:
            return text
        lines = text.split(b"\n")
        if max(map(len, lines)) <= LINE_BYTES_MAX:
            return text
        return self._lines_that(text, lambda line: len(line) <= LINE_BYTES_MAX, Aside.LONG)

    def _inflated(self) -> Iterator[bytes]:
        """Return the text of each member of the gzip file, in pieces of at most `TEXT_BYTES`."""
        inflate = zlib.decompressobj(GZIP)
        within = False
        while packed := self.source.read(READ_BYTES):
            pending = False
            while packed or pending:
                try:
                    text = inflate.decompress(packed, TEXT_BYTES)
                except zlib.error:
                    self.aside[Aside.GZIP] += 1
                    return
                within, pending = True, len(text) == TEXT_BYTES
                packed = inflate.unconsumed_tail
                if inflate.eof:
                    packed, pending, within = inflate.unused_data, False, False
                    inflate = zlib.decompressobj(GZIP)
                if text:
                    yield text
        if within:
            self.aside[Aside.GZIP] += 1


@dataclass(frozen=True, slots=True)
class _Wrong:
    """The first column with a value that cannot be: its place in `FIELDS`, what can be, and the kind."""

    column: int
    valid: Callable[[bytes], bool]
    kind: Aside


def _first_wrong(values: tuple[list[bytes], ...], bytes_sent: int | None) -> _Wrong | None:
    dates, times, _, _, _, _, statuses, *_ = values
    if not all(map(_is_date, set(dates))):
        return _Wrong(0, _is_date, Aside.TIME)
    if not all(map(_TIME.fullmatch, set(times))):
        return _Wrong(1, lambda value: bool(_TIME.fullmatch(value)), Aside.TIME)
    if bytes_sent is None:
        return _Wrong(2, _is_number, Aside.NUMBER)
    if not all(map(_STATUS.fullmatch, set(statuses))):
        return _Wrong(6, lambda value: bool(_STATUS.fullmatch(value)), Aside.STATUS)
    return None


def _sum(values: list[bytes]) -> int | None:
    """Return the sum of some numbers; None if one is no number, or too large a one."""
    # int() alone would take a sign, a space and an underscore.
    if not b"".join(values).isdigit():
        return None
    try:
        total = sum(map(int, values))
    except ValueError:
        return None
    return total if total < NUMBER_MAX else None


def _is_number(value: bytes) -> bool:
    return value.isdigit() and len(value) <= DIGITS_MAX


def _is_date(value: bytes) -> bool:
    if not _DATE.fullmatch(value):
        return False
    try:
        date.fromisoformat(value.decode("ascii"))
    except ValueError:
        return False
    return True


def _joined(lines: list[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)

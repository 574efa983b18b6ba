"""Parse the text of a TOML file: its values, the line of each key, and the place where it is not TOML."""

import datetime
import re
import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import rtoml

_PARSER_LINE = re.compile(r"\s*\(at line (\d+), column (\d+)\)|\s*\(at end of document\)")
_EXCERPT_LENGTH_MAX = 80
# The errors of Python's parser by their first words, and what belongs in that place.
_WAYS_OUT = {
    "invalid value": 'a value: "text in straight quotes", 12, true, 2026-09-01 or ["a", "list"]',
    "expected '=' after a key": 'an equals sign after the name: name = "value"',
    "expected newline": "the end of the line; one pair of quotes has to enclose the whole text",
    "cannot overwrite a value": "each name once in its table",
    "cannot declare": "each table once",
    "unterminated string": "a closing quote",
    "illegal character": 'the closing quote in the same line; a text of several lines has """ around it',
    "unescaped": "single quotes around a text with backslashes",
    "unclosed array": "a closing ] and a comma between values",
    "expected ']'": "a closing ]",
    "nested too deeply": "fewer brackets inside of each other",
}
_REASONS_OF_NAMES = ("expected '=' after", "expected ']", "invalid initial character", "invalid statement")
_BEFORE_VALUES = ("=", "[", ",")
_CURLY_QUOTES = "\u201c\u201d\u201e\u201a\u2018\u2019\u00ab\u00bb"
# A word of a value, and a name of a key that may lack its quotes.
_WORD = re.compile(r"[^\s,=\[\]{}#\"']+")
_NAME = re.compile(r"[\w$/@&+%-]*[^\W_][\w$/@&+%-]*")
_BARE_NAME = re.compile(r"[A-Za-z0-9_-]+")
_DAY_FIRST = re.compile(r"(\d{1,2})[./-](\d{1,2})[./-](\d{4})")
_YEAR_FIRST = re.compile(r"(\d{4})[./-](\d{1,2})[./-](\d{1,2})")
_LEADING_ZEROS = re.compile(r"([+-]?)0+(\d+(?:\.\d+)?)")
_HEADER = re.compile(r"^\s*(\[\[?)\s*([\w.-]+)\s*\]")
_KEY_PART = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)+)"|'([^']+)'|([\w-]+))\s*([.=])""")


def parsed(text: str) -> dict[str, Any]:
    """Return the values of a TOML text.

    Raises:
        TOMLDecodeError: it is not TOML.
    """
    try:
        return rtoml.loads(text)
    except ValueError:
        # Slower, but it reads some texts that rtoml refuses, and its errors carry a line.
        try:
            return tomllib.loads(text)
        except RecursionError:
            line = max(enumerate(text.split("\n"), 1), key=lambda numbered: len(numbered[1]))[0]
            raise tomllib.TOMLDecodeError(f"Nested too deeply (at line {line}, column 1)") from None


@dataclass(frozen=True, slots=True)
class TomlSlip:
    """The first place where a text is not TOML.

    Attributes:
        line: Its line, from 1.
        reason: The parser's words.
        expected: What belongs there.
        excerpt: The line, and a caret below the place.
    """

    line: int
    reason: str
    expected: str
    excerpt: tuple[str, str]

    @classmethod
    def of(cls, error: tomllib.TOMLDecodeError, text: str) -> "TomlSlip":
        """Return the place that the parser's `error` names; "end of document" is the last line of `text`."""
        lines = text.split("\n")
        found = _PARSER_LINE.search(str(error))
        if found and found[1]:
            number, column = int(found[1]), int(found[2])
        else:
            number = max((place for place, line in enumerate(lines, 1) if line.strip()), default=1)
            column = len(lines[number - 1]) + 1
        reason = _PARSER_LINE.sub("", str(error))
        reason = reason[:1].lower() + reason[1:]
        number, column = _start_of_open_text(lines, number, column)
        line = lines[min(number, len(lines)) - 1]
        ways_out = (words for start, words in _WAYS_OUT.items() if reason.startswith(start))
        hint = (
            _header_hint(line, reason)
            or _sign_hint(line[column - 1 : column])
            or _name_hint(line, column, reason)
            or _value_hint(line, column)
        )
        expected = hint or next(ways_out, f'lines such as name = "value" ({reason})')
        return cls(number, reason, expected, _with_caret(line, column))


def _start_of_open_text(lines: list[str], number: int, column: int) -> tuple[int, int]:
    """Return the line and the column of triple quotes that no line closes, or else the place itself."""
    started, quotes = 0, ""
    for place, line in enumerate(lines, 1):
        before, quotes = quotes, _open_quotes(line, quotes)
        if quotes and (not before or line.count(quotes) > 1):
            started = place
    # An error before the open text is another one.
    if not quotes or number < started:
        return number, column
    return started, lines[started - 1].rfind(quotes) + 1


def _header_hint(line: str, reason: str) -> str | None:
    """Return that a table of several needs two pairs of brackets, where its header is there again."""
    header = _HEADER.match(line)
    if not header or not reason.startswith(("cannot declare", "cannot overwrite")):
        return None
    return f"each table [{header[2]}] once, or [[{header[2]}]] in each place where there are several"


def _sign_hint(sign: str) -> str | None:
    """Return what belongs in the place of a sign that looks like one of TOML's, or like nothing."""
    if sign and sign in _CURLY_QUOTES:
        return f'straight quotes instead of {sign}: name = "text"'
    if sign and not sign.isascii() and not sign.isprintable():
        return f"a plain space or nothing: the sign here is invisible (U+{ord(sign):04X})"
    return None


def _name_hint(line: str, column: int, reason: str) -> str | None:
    """Return that a name needs quotes, where a sign that no bare name has is the fault; None elsewhere."""
    name = next((found[0] for found in _NAME.finditer(line) if found.start() < column <= found.end()), "")
    sign = line[column - 1 : column]
    if not name or not reason.startswith(_REASONS_OF_NAMES) or _BARE_NAME.fullmatch(sign):
        return None
    return f'quotes around a name with {sign}: "{name}"'


def _value_hint(line: str, column: int) -> str | None:
    """Return what belongs in the place of a date, a number or a text that is not closed; None elsewhere."""
    if (quotes := line[column - 1 : column + 2]) in {'"""', "'''"}:
        return f"a closing {quotes} for the text that begins here"
    for found in _WORD.finditer(line):
        if found.start() < column <= found.end() + 1 and line[: found.start()].rstrip().endswith(
            _BEFORE_VALUES
        ):
            return _word_hint(found[0])
    return None


def _word_hint(word: str) -> str | None:
    if found := _DAY_FIRST.fullmatch(word):
        day, month = (
            sorted((found[1], found[2]), key=int, reverse=True) if int(found[2]) > 12 else found.group(1, 2)
        )
        return _day_hint(word, found[3], month, day)
    if found := _YEAR_FIRST.match(word):
        return _day_hint(found[0], *found.groups())
    if found := _LEADING_ZEROS.fullmatch(word):
        return f"a number without leading zeros: {found[1]}{found[2]}, or a text in quotes"
    return None


def _day_hint(word: str, year: str, month: str, day: str) -> str:
    try:
        meant = datetime.date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        return f"a day that exists, such as 2026-12-31: there is no {word}"
    return f"a date written as {meant}"


def _with_caret(line: str, column: int) -> tuple[str, str]:
    """Return a line, cut to fit a terminal, and a caret below its `column`, which counts from 1."""
    start = max(0, min(column - _EXCERPT_LENGTH_MAX * 3 // 4, len(line) - _EXCERPT_LENGTH_MAX))
    part = line[start : start + _EXCERPT_LENGTH_MAX]
    shown = "".join(sign if sign.isprintable() else " " for sign in part)
    before = shown[: column - 1 - start]
    # Signs of Chinese, Japanese and Korean take two columns.
    wide = sum(unicodedata.east_asian_width(sign) in {"W", "F"} for sign in before)
    return shown, " " * (column - 1 - start + wide) + "^"


class KeyLines:
    """The line of each key of a TOML text. The text is searched only when there is an error to report."""

    def __init__(
        self, text: str, first_line: int = 1, outside: Mapping[str, int] = MappingProxyType({})
    ) -> None:
        """Take a text that begins at `first_line` of its file; `outside` has the lines of other fields."""
        self._text = text
        self._first_line = first_line
        self._outside = outside

    def of(self, field: str, line: int = 1) -> int | None:
        """Return the line of a field such as "variants[2].sku", or else that of the table it belongs to.

        A row of a list in one line, [{ sku = "A" }], has the line of its list. `line` is a line of a text
        outside of the TOML, from 1.
        """
        if field in self._outside and field not in self._by_field:
            return self._outside[field] + line - 1
        place = field
        while place and place not in self._by_field:
            # "a.b[2]" is in "a.b[2]", "a.b" and "a", in this order.
            place = place[: max(place.rfind("."), place.rfind("["), 0)]
        return self._by_field.get(place)

    @cached_property
    def _by_field(self) -> dict[str, int]:
        lines: dict[str, int] = {}
        counts: dict[str, int] = {}
        place, quotes = "", ""
        for number, line in enumerate(self._text.split("\n"), self._first_line):
            inside, quotes = quotes, _open_quotes(line, quotes)
            if inside:
                continue
            if header := _HEADER.match(line):
                name = header[2]
                if header[1] == "[[":
                    lines.setdefault(name, number)
                    counts[name] = counts.get(name, -1) + 1
                    name = f"{name}[{counts[name]}]"
                lines[name] = number
                place = f"{name}."
            elif key := _key_of(line):
                lines.setdefault(f"{place}{key}", number)
        return lines


def _key_of(line: str) -> str:
    """Return the key that a line begins with, such as "when.data.sku" without quotes; "" for another line."""
    parts: list[str] = []
    start = 0
    while found := _KEY_PART.match(line, start):
        parts.append(found[1] or found[2] or found[3])
        if found[4] == "=":
            return ".".join(parts)
        start = found.end()
    return ""


def _open_quotes(line: str, within: str) -> str:
    """Return the triple quotes that are open after `line`, where `within` were open before it."""
    while True:
        if within:
            end = line.find(within)
            if end < 0:
                return within
            line, within = line[end + 3 :], ""
        starts = [(line.find(quotes), quotes) for quotes in ('"""', "'''") if quotes in line]
        if not starts:
            return ""
        start, within = min(starts)
        line = line[start + 3 :]

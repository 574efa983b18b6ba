"""Read a merchant's TOML field by field; every error keeps its file, line, field and value."""

import datetime
import difflib
import re
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import rtoml

from spillway.errors import BadInput
from spillway.pluralize import pluralize

_VALUE_LENGTH_MAX = 60


@dataclass(frozen=True, slots=True)
class InputError:
    """One value that cannot be taken. `file` is named from the project's root; `line` counts from 1."""

    file: str
    line: int | None
    field: str
    value: object
    expected: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.field} = {_shortened(self.value)}: expected {self.expected}"


class CatalogueInvalid(BadInput):
    """The catalogue cannot be built from. Carries every mistake, in the order of files and lines."""

    def __init__(self, mistakes: Sequence[InputError]) -> None:
        self.mistakes = tuple(sorted(mistakes, key=lambda mistake: (mistake.file, mistake.line or 0)))
        listed = "\n".join(f"  {mistake}" for mistake in self.mistakes)
        super().__init__(
            f"{pluralize(len(self.mistakes), 'mistake')} in the catalogue, nothing was built\n{listed}",
            hint="correct them and build again; what was built before is still there",
        )


def _shortened(value: object) -> str:
    if value is None:
        return "(missing)"
    text = repr(value)
    return text if len(text) <= _VALUE_LENGTH_MAX else f"{text[: _VALUE_LENGTH_MAX - 1]}…"


_HEADER = re.compile(r"^\s*(\[\[?)\s*([\w.-]+)\s*\]")
_KEY = re.compile(r"""^\s*(?:"((?:[^"\\]|\\.)+)"|'([^']+)'|([\w-]+))\s*=""")


class Lines:
    """Where each key of a text stands. Looked up only when something is wrong."""

    def __init__(self, text: str, first_line: int = 1) -> None:
        self._text = text
        self._first_line = first_line

    def of(self, field: str) -> int | None:
        """The line of a field named as a table names it, "variants[2].sku", or else that of its table."""
        return self._known.get(field) or self._known.get(field.rpartition(".")[0])

    @cached_property
    def _known(self) -> dict[str, int]:
        return _lines_of(self._text, self._first_line)


def _lines_of(text: str, first_line: int) -> dict[str, int]:
    """The line of every key, named as the table names it: "title", "variants[2].sku"."""
    lines: dict[str, int] = {}
    counts: dict[str, int] = {}
    place, within = "", ""
    for number, line in enumerate(text.splitlines(), first_line):
        inside, within = within, _open_quotes(line, within)
        if inside:
            continue
        if header := _HEADER.match(line):
            name = header[2]
            if header[1] == "[[":
                counts[name] = counts.get(name, -1) + 1
                name = f"{name}[{counts[name]}]"
            lines[name] = number
            place = f"{name}."
        elif key := _KEY.match(line):
            lines.setdefault(f"{place}{key[1] or key[2] or key[3]}", number)
    return lines


def _open_quotes(line: str, within: str) -> str:
    """The triple quotes that are open after `line`, when `within` were open before it."""
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


_ERROR_LINE = re.compile(r"\s*\(at line (\d+), column \d+\)|\s*\(at end of document\)")
# Marks that turn the reading direction around: on a page they make one text look like another.
_TURNING_MARKS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

_NO_BREAKS = {ord("\n"): None, ord("\t"): None}


class TomlTable:
    """One table of a file. A field that is wrong is noted and answered with a harmless stand-in, so
    that reading goes on and all mistakes are found in one run."""

    def __init__(
        self,
        values: Mapping[str, Any],
        *,
        file: str,
        lines: Lines,
        mistakes: list[InputError],
        place: str = "",
    ) -> None:
        self._values = values
        self._file = file
        self._lines = lines
        self._mistakes = mistakes
        self._place = place
        self._asked: set[str] = set()

    @classmethod
    def parse(
        cls,
        text: str,
        *,
        file: str,
        mistakes: list[InputError],
        first_line: int = 1,
        also: Mapping[str, Any] = MappingProxyType({}),
    ) -> "TomlTable | None":
        """The table of a whole text, or None (and a mistake noted) when it is no TOML. `also` are fields
        that the file has elsewhere."""
        try:
            values = _parsed(text)
        except tomllib.TOMLDecodeError as error:
            found = _ERROR_LINE.search(str(error))
            line = int(found[1]) + first_line - 1 if found and found[1] else None
            reason = _ERROR_LINE.sub("", str(error))
            mistakes.append(InputError(file, line, "TOML", reason, "a file that parses as TOML"))
            return None
        table = cls({**values, **also}, file=file, lines=Lines(text, first_line), mistakes=mistakes)
        for name in also.keys() & values.keys():
            table.wrong(name, values[name], "this only once in a file")
        return table

    def wrong(self, name: str, value: object, expected: str) -> None:
        """Note that the field `name` holds `value` where something else is needed."""
        field = f"{self._place}{name}"
        self._mistakes.append(InputError(self._file, self._lines.of(field), field, value, expected))

    @property
    def names(self) -> tuple[str, ...]:
        """Every field there is."""
        return tuple(self._values)

    def has(self, name: str) -> bool:
        return name in self._values

    def has_any(self, names: Set[str]) -> bool:
        """Return whether one of the fields is there: one question for many that most tables leave out."""
        return not names.isdisjoint(self._values)

    def is_table(self, name: str) -> bool:
        return isinstance(self._values.get(name), dict)

    def text(self, name: str, *, length_max: int, optional: bool = False, lines: bool = False) -> str:
        """A text that is neither empty nor longer than `length_max`; a single line unless `lines`."""
        value = self._take(name)
        if value is None and optional:
            return ""
        if _is_plain(value, length_max):
            return str(value)
        expected = text_problem(value, length_max=length_max, lines=lines)
        if expected:
            self.wrong(name, value, expected)
            return ""
        return str(value)

    def texts(self, name: str, *, length_max: int, count_max: int, optional: bool = False) -> tuple[str, ...]:
        """A list of single-line texts."""
        values = self._list(name, count_max=count_max, optional=optional)
        for value in values:
            expected = text_problem(value, length_max=length_max)
            if expected:
                self.wrong(name, value, expected)
        return tuple(str(value) for value in values)

    def pairs(self, name: str, *, length_max: int, count_max: int) -> tuple[tuple[str, str], ...]:
        """A list of [name, value] pairs; none when the field is absent."""
        pairs = []
        for row in self._list(name, count_max=count_max, optional=True):
            if not isinstance(row, list) or len(row) != 2:
                self.wrong(name, row, 'a pair of texts: ["Fabric", "Cotton"]')
                continue
            for value in row:
                if expected := text_problem(value, length_max=length_max):
                    self.wrong(name, value, expected)
            pairs.append((str(row[0]), str(row[1])))
        return tuple(pairs)

    def options(self, name: str, *, length_max: int) -> tuple[tuple[str, str], ...]:
        """An inline table of texts, in its written order: { Colour = "Moss", Size = "M" }."""
        value = self._take(name)
        if value is None:
            return ()
        if not isinstance(value, dict):
            self.wrong(name, value, 'a table of texts: { Colour = "Moss" }')
            return ()
        for text in (*value, *value.values()):
            if _is_plain(text, length_max):
                continue
            if expected := text_problem(text, length_max=length_max):
                self.wrong(name, text, expected)
        return tuple((str(key), str(text)) for key, text in value.items())

    def whole_number(self, name: str, *, at_most: int) -> int:
        """A whole number from 0 to `at_most`."""
        value = self._take(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= at_most:
            self.wrong(name, value, f"a whole number from 0 to {at_most}")
            return 0
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """Return a truth value, `default` where the field is absent."""
        value = self._take(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.wrong(name, value, "true or false, without quotes")
            return default
        return value

    def day(self, name: str) -> str | None:
        """A date as "2026-09-01", or None when the field is absent."""
        value = self._take(name)
        if value is None:
            return None
        if not isinstance(value, datetime.date) or isinstance(value, datetime.datetime):
            self.wrong(name, value, "a date without quotes: 2026-09-01")
            return None
        return value.isoformat()

    def value(self, name: str) -> Any:
        """Whatever the field holds, unchecked; None when it is absent."""
        return self._take(name)

    def table(self, name: str, *, optional: bool = False) -> "TomlTable":
        """The table [name]; an empty one where it is absent and `optional`."""
        value = self._take(name)
        if value is None and optional:
            value = {}
        if not isinstance(value, dict):
            self.wrong(name, value, f"a table [{name}]")
            value = {}
        return self._inner(value, f"{self._place}{name}.")

    def tables(self, name: str, *, count_max: int, optional: bool = False) -> Iterator["TomlTable"]:
        """The tables [[name]], in order."""
        for number, value in enumerate(self._list(name, count_max=count_max, optional=optional)):
            if isinstance(value, dict):
                yield self._inner(value, f"{self._place}{name}[{number}].")
            else:
                self.wrong(name, value, f"tables [[{name}]]")

    def done(self, *, also: Set[str] = frozenset()) -> None:
        """Note every field that nothing asked for: mostly a misspelled one. `also` are fields that a table
        may have and that nobody asked this one for."""
        unknown = self._values.keys() - self._asked
        known = self._asked | also if unknown else self._asked
        for name in sorted(unknown):
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(sorted(known))}"
            self.wrong(name, self._values[name], f"a known field; {hint}")

    def _take(self, name: str) -> Any:
        self._asked.add(name)
        return self._values.get(name)

    def _list(self, name: str, *, count_max: int, optional: bool) -> list[Any]:
        value = self._take(name)
        if value is None and optional:
            return []
        if not isinstance(value, list) or not (value or optional) or len(value) > count_max:
            self.wrong(name, value, f"a list of {0 if optional else 1} to {count_max}")
            return []
        return value

    def _inner(self, values: Mapping[str, Any], place: str) -> "TomlTable":
        return TomlTable(values, file=self._file, lines=self._lines, mistakes=self._mistakes, place=place)


def _is_plain(value: object, length_max: int) -> bool:
    """Whether nothing can be wrong with a text: the answer for nearly all, and a quick one."""
    return (
        isinstance(value, str) and len(value) <= length_max and value.isprintable() and not value.isspace()
    ) and value != ""


def text_problem(value: object, *, length_max: int, lines: bool = False) -> str | None:
    """What was expected instead of `value`; None when it is a text that can go on a page."""
    if not isinstance(value, str) or not value.strip():
        return "a text"
    if len(value) > length_max:
        return f"at most {length_max} characters, not {len(value)}"
    breaks = "\n\t" if lines else ""
    if (value.translate(_NO_BREAKS) if breaks else value).isprintable():
        return None
    for sign in value:
        if sign not in breaks and (unicodedata.category(sign) in {"Cc", "Zl", "Zp"}):
            return "text without control characters" if lines else "a single line without control characters"
        if sign in _TURNING_MARKS:
            return "text without marks that turn its direction"
    return None


def _parsed(text: str) -> dict[str, Any]:
    """What the text says. The fast parser reads; what it cannot, the exact one explains (or reads)."""
    try:
        return rtoml.loads(text)
    except ValueError:
        return tomllib.loads(text)

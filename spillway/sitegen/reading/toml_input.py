"""Read a merchant's TOML field by field; an error keeps its file, line, field, value and hint."""

import datetime
import json
import tomllib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from spillway.errors import BadInput
from spillway.sitegen.reading.did_you_mean import did_you_mean
from spillway.sitegen.reading.toml_text import KeyLines, TomlSlip, parsed
from spillway.terminal import pluralize

_VALUE_LENGTH_MAX = 60
_UNKNOWN = "a known field"
# Marks that reverse the reading direction: with them, one text can look like another on a page.
_DIRECTION_MARKS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

_NO_BREAKS = {ord("\n"): None, ord("\t"): None}


@dataclass(frozen=True, slots=True)
class InputError:
    """One value that cannot be used. `file` is relative to the project's root; `line` counts from 1."""

    file: str
    line: int | None
    field: str
    value: object
    expected: str
    excerpt: tuple[str, ...] = ()
    """The line of a text that is not TOML, with a caret below the place."""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        if self.excerpt:
            return f"{place}: not TOML: expected {self.expected}"
        return f"{place}: {self.field} = {_shortened(self.value)}: expected {self.expected}"


class CatalogueInvalid(BadInput):
    """The catalogue has errors, so nothing is built. Carries every error, in the order of files and lines."""

    def __init__(self, mistakes: Sequence[InputError]) -> None:
        self.mistakes = tuple(sorted(mistakes, key=lambda mistake: (mistake.file, mistake.line or 0)))
        listed = "\n".join(
            "\n".join((f"  {mistake}", *(f"    {line}" for line in mistake.excerpt)))
            for mistake in self.mistakes
        )
        super().__init__(
            f"{pluralize(len(self.mistakes), 'mistake')} in the catalogue, nothing was built\n{listed}",
            hint="correct them and build again; what was built before is still there",
        )


def _shortened(value: object) -> str:
    if value is None:
        return "(missing)"
    text = _shown(value)
    return text if len(text) <= _VALUE_LENGTH_MAX else f"{text[: _VALUE_LENGTH_MAX - 1]}…"


def _shown(value: object, nesting_max: int = 5) -> str:
    """Return a value as a file states it, as far as TOML and Python differ: true, 2026-09-01."""
    if not nesting_max:
        return "…"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, list):
        return f"[{', '.join(_shown(inner, nesting_max - 1) for inner in value)}]"
    if isinstance(value, dict):
        inside = (f"{name!r}: {_shown(inner, nesting_max - 1)}" for name, inner in value.items())
        return f"{{{', '.join(inside)}}}"
    return repr(value)


class TomlTable:
    """One table of a file, read field by field.

    A method that finds an error appends it to `mistakes` and returns a harmless default, so that one run
    finds all errors of a file.
    """

    def __init__(
        self,
        values: Mapping[str, Any],
        *,
        file: str,
        lines: KeyLines,
        mistakes: list[InputError],
        place: str = "",
    ) -> None:
        self._values = values
        self._file = file
        self._lines = lines
        self._mistakes = mistakes
        self._place = place
        self._known: set[str] = set()

    @classmethod
    def parse(
        cls,
        text: str,
        *,
        file: str,
        mistakes: list[InputError],
        first_line: int = 1,
        also: Mapping[str, Any] = MappingProxyType({}),
        also_from: int = 1,
    ) -> "TomlTable | None":
        """Parse the TOML in `text`.

        Args:
            text: the whole TOML.
            file: the name that errors give.
            mistakes: the list that errors are appended to.
            first_line: the line of the file that `text` starts at.
            also: fields that the file states outside its TOML.
            also_from: the line of the file that each of them starts at.

        Returns:
            The top table; None after an error was noted because the text is not TOML.
        """
        try:
            values = parsed(text)
        except tomllib.TOMLDecodeError as error:
            slip = TomlSlip.of(error, text)
            line = slip.line + first_line - 1
            mistakes.append(InputError(file, line, "TOML", slip.reason, slip.expected, slip.excerpt))
            return None
        lines = KeyLines(text, first_line, dict.fromkeys(also, also_from))
        table = cls({**values, **also}, file=file, lines=lines, mistakes=mistakes)
        for name in also.keys() & values.keys():
            table.error(name, values[name], "this only once in a file")
        return table

    def error(self, name: str, value: object, expected: str, *, line: int = 1) -> None:
        """Note that `name` holds `value`, in line `line` of its text, instead of what is `expected`."""
        field = f"{self._place}{name}"
        self._mistakes.append(InputError(self._file, self._lines.of(field, line), field, value, expected))

    @property
    def names(self) -> tuple[str, ...]:
        """Name every field that the table has."""
        return tuple(self._values)

    def has(self, name: str) -> bool:
        """Return whether the table has the field, which is a known one of it."""
        self._known.add(name)
        return name in self._values

    def has_any(self, names: Set[str]) -> bool:
        """Return whether the table has one of the fields: one check for many fields that most tables omit."""
        return not names.isdisjoint(self._values)

    def is_table(self, name: str) -> bool:
        """Return whether the field is a table itself."""
        return isinstance(self._values.get(name), dict)

    def text(self, name: str, *, length_max: int, optional: bool = False, lines: bool = False) -> str:
        """Return a non-empty text of at most `length_max` characters, on a single line unless `lines`.

        An absent field is an error unless `optional`; it reads as an empty text.
        """
        value = self._take(name)
        if value is None and optional:
            return ""
        if _is_plain(value, length_max):
            return str(value)
        expected = text_problem(value, length_max=length_max, lines=lines)
        if expected:
            self.error(name, value, expected)
            return ""
        return str(value)

    def texts(self, name: str, *, length_max: int, count_max: int, optional: bool = False) -> tuple[str, ...]:
        """Return a list of single-line texts."""
        texts = []
        for value in self._list(name, count_max=count_max, optional=optional):
            if expected := text_problem(value, length_max=length_max):
                self.error(name, value, expected)
            else:
                texts.append(str(value))
        return tuple(texts)

    def pairs(self, name: str, *, length_max: int, count_max: int) -> tuple[tuple[str, str], ...]:
        """Return a list of [name, value] pairs, empty when the field is absent."""
        if self.is_table(name):
            self.error(name, self._take(name), 'a list of pairs: [["Fabric", "Cotton"]]')
            return ()
        pairs = []
        for row in self._list(name, count_max=count_max, optional=True):
            if not isinstance(row, list) or len(row) != 2:
                self.error(name, row, 'a pair of texts: ["Fabric", "Cotton"]')
                continue
            for value in row:
                if expected := text_problem(value, length_max=length_max):
                    self.error(name, value, expected)
            pairs.append((str(row[0]), str(row[1])))
        return tuple(pairs)

    def options(self, name: str, *, length_max: int) -> tuple[tuple[str, str], ...]:
        """Return an inline table of texts in its written order: { Colour = "Moss", Size = "M" }."""
        value = self._take(name)
        if value is None:
            return ()
        if not isinstance(value, dict):
            self.error(name, value, 'a table of texts: { Colour = "Moss" }')
            return ()
        for text in (*value, *value.values()):
            if _is_plain(text, length_max):
                continue
            if expected := text_problem(text, length_max=length_max):
                self.error(name, text, expected)
        return tuple((str(key), str(text)) for key, text in value.items())

    def whole_number(self, name: str, *, at_most: int) -> int:
        """Return a whole number from 0 to `at_most`."""
        value = self._take(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= at_most:
            quoted = " without quotes" if isinstance(value, str) else ""
            self.error(name, value, f"a whole number from 0 to {at_most}{quoted}")
            return 0
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """Return a boolean, `default` when the field is absent."""
        value = self._take(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.error(name, value, "true or false, without quotes")
            return default
        return value

    def day(self, name: str) -> str | None:
        """Return a date in ISO 8601, None when the field is absent."""
        value = self._take(name)
        if value is None:
            return None
        if not isinstance(value, datetime.date) or isinstance(value, datetime.datetime):
            self.error(name, value, "a date without quotes: 2026-09-01")
            return None
        return value.isoformat()

    def value(self, name: str) -> Any:
        """Return the value of any type without a check, None when the field is absent."""
        return self._take(name)

    def table(self, name: str, *, optional: bool = False) -> "TomlTable":
        """Return the table [name], an empty one when it is absent."""
        value = self._take(name)
        if value is None and optional:
            value = {}
        if not isinstance(value, dict):
            self.error(name, value, f"a table [{name}]")
            value = {}
        return self._inner(value, f"{self._place}{name}.")

    def tables(self, name: str, *, count_max: int, optional: bool = False) -> Iterator["TomlTable"]:
        """Yield the tables [[name]] in order."""
        if self.is_table(name):
            self.error(name, self._take(name), f"[[{name}]] with two pairs of brackets: there may be several")
            return
        if not optional and self._take(name) is None:
            self.error(name, None, f"at least one table [[{name}]]")
            return
        for number, value in enumerate(self._list(name, count_max=count_max, optional=optional)):
            if isinstance(value, dict):
                yield self._inner(value, f"{self._place}{name}[{number}].")
            else:
                self.error(name, value, f"tables [[{name}]]")

    def done(self, *, also: Set[str] = frozenset()) -> None:
        """Note an error for each field that no method has read: usually a misspelled one.

        Args:
            also: fields that are valid although this table was not asked for them.
        """
        unknown = self._values.keys() - self._known
        known = self._known | also if unknown else self._known
        others = f"; one of {', '.join(sorted(known))}" if known else "; there is none here"
        for name in sorted(unknown):
            self.error(name, self._values[name], f"{_UNKNOWN}{did_you_mean(name, known) or others}")
        if self._mistakes and not self._place:
            self._explain_strays(self._known | also)

    def _explain_strays(self, known: Set[str]) -> None:
        """Change the errors about unknown fields of tables that are fields of the file, below a header."""
        missing = known - self._values.keys()
        for number, mistake in enumerate(self._mistakes):
            table, _, name = mistake.field.rpartition(".")
            if (
                mistake.file == self._file
                and table
                and name in missing
                and mistake.expected.startswith(_UNKNOWN)
            ):
                header = f"[[{table.partition('[')[0]}]]" if "[" in table else f"[{table}]"
                expected = f"{name} above the first [table] of the file: here it belongs to {header}"
                self._mistakes[number] = replace(mistake, expected=expected)

    def _take(self, name: str) -> Any:
        self._known.add(name)
        return self._values.get(name)

    def _list(self, name: str, *, count_max: int, optional: bool) -> list[Any]:
        value = self._take(name)
        if value is None and optional:
            return []
        if not isinstance(value, list) or not (value or optional) or len(value) > count_max:
            example = f": [{json.dumps(value, ensure_ascii=False)}]" if isinstance(value, str) else ""
            self.error(name, value, f"a list of {0 if optional else 1} to {count_max}{example}")
            return []
        return value

    def _inner(self, values: Mapping[str, Any], place: str) -> "TomlTable":
        return TomlTable(values, file=self._file, lines=self._lines, mistakes=self._mistakes, place=place)


def text_problem(value: object, *, length_max: int, lines: bool = False) -> str | None:
    """Return what was expected instead of `value`, None when it is a text that a page can show.

    Args:
        value: any value of a field.
        length_max: in characters.
        lines: whether the text may have line breaks and tabs.
    """
    if not isinstance(value, str) or not is_visible(value):
        return "a text"
    if len(value) > length_max:
        return f"at most {length_max} characters, not {len(value)}"
    breaks = "\n\t" if lines else ""
    if (value.translate(_NO_BREAKS) if breaks else value).isprintable():
        return None
    for sign in value:
        if sign not in breaks and (unicodedata.category(sign) in {"Cc", "Zl", "Zp"}):
            return "text without control characters" if lines else "a single line without control characters"
        if sign in _DIRECTION_MARKS:
            return "text without marks that turn its direction"
    return None


def is_visible(text: str) -> bool:
    """Return whether a text has a sign that a page shows: no space, and no mark without a width."""
    return any(not sign.isspace() and unicodedata.category(sign) not in {"Cc", "Cf"} for sign in text)


def _is_plain(value: object, length_max: int) -> bool:
    """Return whether a text is certainly valid: a quick check that nearly all texts pass."""
    return (
        isinstance(value, str) and len(value) <= length_max and value.isprintable() and not value.isspace()
    ) and value != ""

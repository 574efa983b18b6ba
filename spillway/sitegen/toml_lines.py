"""Where each key of a TOML text stands, for mistakes to be told with their line."""

import re
from functools import cached_property

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

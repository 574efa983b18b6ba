"""A Markdown file with TOML at its top, between two lines of +++."""

import re
from dataclasses import dataclass

from spillway.sitegen.input_error import InputError
from spillway.sitegen.toml_table import TomlTable

_FRONT_MATTER = re.compile(r"\A\+\+\+[ \t]*\n(.*?\n)\+\+\+[ \t]*(?:\n|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """The TOML at the top, the Markdown below, and how many lines are above that."""

    front: str
    body: str
    lines_before: int

    @classmethod
    def of(cls, text: str, *, file: str, mistakes: list[InputError]) -> "FrontMatter | None":
        """The two parts; None (and a mistake noted) where they are not set apart."""
        text = text.replace("\r\n", "\n")
        front = _FRONT_MATTER.match(text)
        if not front:
            first_line = text.partition("\n")[0]
            mistakes.append(InputError(file, 1, "front matter", first_line, "TOML between two lines of +++"))
            return None
        return cls(front[1], text[front.end() :], text[: front.end()].count("\n"))

    def table(self, *, file: str, mistakes: list[InputError], **also: str) -> TomlTable | None:
        """The table of the top, with fields that are said below it; None when it is no TOML."""
        return TomlTable.parse(self.front, file=file, mistakes=mistakes, first_line=2, also=also)

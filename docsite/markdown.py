"""Put values into Markdown."""

from collections.abc import Iterable, Sequence

# A page that is made says so, to a person who opens the file.
MADE = "<!-- Made by `make reference`: change its source instead. -->"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a bar within a cell is escaped."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def fenced(text: str, language: str) -> str:
    """Return a block of code."""
    return f"```{language}\n{text.strip()}\n```"


def page(*parts: str) -> str:
    """Return a page of these parts, with an empty line between them."""
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"

"""Commands that the docs have people type."""

import re
import shlex
from pathlib import Path

from tests.support.aws import ROOT

DOCS = sorted((ROOT / "docs").rglob("*.md"))
README = ROOT / "README.md"
SHELL = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
# The README has its commands indented, or after a prompt.
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()
TYPED = re.compile(r"^ *```text\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
EDIT = re.compile(r'^```toml title="([^"]+)"\n(.*?)^```', re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^(?:    \$? ?|\$ )((?:\.venv/bin/spillway|make) .*)$", re.MULTILINE)


def commands() -> list[list[str]]:
    """Every command of the docs and the README, in words."""
    lines = [
        line.strip()
        for file in DOCS
        for block in SHELL.findall(file.read_text())
        for line in block.splitlines()
        if line.strip() and not line.startswith("#")
    ]
    lines += [line.partition(" # ")[0] for line in INDENTED.findall(README.read_text())]
    return [_words(line) for line in lines]


def spillway_commands() -> list[list[str]]:
    """The ones that are ours."""
    return [words for words in commands() if words[0] == "spillway"]


def _words(line: str) -> list[str]:
    first, *rest = shlex.split(line)
    return [first.removeprefix(".venv/bin/"), *rest]


def tutorial_step(number: int) -> str:
    """The text of a step of the tutorial."""
    return TUTORIAL.split(f"## {number}. ")[1].split("\n## ", maxsplit=1)[0]


def typed_in(text: str) -> list[str]:
    """The lines that a reader of the tutorial types."""
    return [line.strip() for block in TYPED.findall(text) for line in block.splitlines() if line.strip()]


def make_edits(text: str, folder: Path) -> None:
    """Edit files as a reader of the tutorial does: a line replaces the one that begins with its field."""
    for name, lines in EDIT.findall(text):
        file = folder / name
        content = file.read_text()
        for line in lines.splitlines():
            field = line.partition(" = ")[0]
            content, count = re.subn(rf"^{field} = .*$", line, content, count=1, flags=re.MULTILINE)
            assert count == 1, f"{file} has no {field}"
        file.write_text(content)

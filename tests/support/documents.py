"""Commands that the docs have people type."""

import re
import shlex

from tests.support.aws import ROOT

DOCS = sorted((ROOT / "docs").rglob("*.md"))
README = ROOT / "README.md"
SHELL = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
# The README has its commands indented, or after a prompt.
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

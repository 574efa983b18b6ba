"""Finds sentences that are not plain technical English: banned openers and words in docstrings, comments and docs."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

OPENERS = re.compile(
    r"(?:^|(?<=[.!?:] )|(?<=\n\n))(Who|Whom|Whose|What|Whoever|Whatever|Whether|Those|Of|All)\b(?! of (?:the|this|these)\b)"
)
WORDS = re.compile(
    r"\b(told|tells|teller|anew|whoever|whosoever|henceforth|nought|can be had|could be had|in the way of|is to (?=[a-z])|are to (?=[a-z])|brings?|brought)\b",
    re.IGNORECASE,
)
CODE = re.compile(r"```.*?```|`[^`\n]*`|^ {4,}.*$|<[^>]+>|^\|?[-| :]+\|?$", re.MULTILINE | re.DOTALL)


def faults(text: str) -> Iterator[str]:
    """Yield the banned openers and words of a text; code in it does not count."""
    plain = CODE.sub("`code`", text)
    for found in OPENERS.finditer(plain):
        yield f"a sentence starts with {found[1]!r}"
    for found in WORDS.finditer(plain):
        yield f"the word {found[0].strip()!r}"


def of_python(file: Path) -> Iterator[tuple[int, str]]:
    """Yield line and fault of the docstrings and comments of a Python file."""
    source = file.read_text()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                line = node.body[0].lineno
                yield from ((line, fault) for fault in faults(text))
    comments: list[tuple[int, str]] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            comments.append((token.start[0], token.string.lstrip("#").strip()))
    joined: list[tuple[int, str]] = []
    for line, text in comments:
        if joined and joined[-1][0] + joined[-1][1].count("\n") + 1 == line:
            joined[-1] = (joined[-1][0], joined[-1][1] + "\n" + text)
        else:
            joined.append((line, text))
    for line, text in joined:
        yield from ((line, fault) for fault in faults(text.replace("\n", " ")))


def of_markdown(file: Path) -> Iterator[tuple[int, str]]:
    """Yield line and fault of a Markdown file, cell by cell and paragraph by paragraph."""
    text = re.sub(r"```.*?```", lambda found: "\n" * found[0].count("\n"), file.read_text(), flags=re.DOTALL)
    for number, line in enumerate(text.splitlines(), start=1):
        for cell in line.split("|"):
            yield from ((number, fault) for fault in faults(cell.strip(" -#*").strip()))

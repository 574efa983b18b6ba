"""Find sentences that are not plain technical English: openers and words in docstrings, comments and docs."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

_START = r"(?:^|(?<=[.!?:] )|(?<=\n\n))"
_OPENER = r"(Who|Whom|Whose|What|Whoever|Whatever|Whether|Those|Of|All)\b"
OPENERS = re.compile(f"{_START}{_OPENER}")
WORDS = re.compile(
    r"\b(told|tells|teller|anew|whoever|whosoever|nought|can be had|could be had|in the way of"
    r"|is to (?=[a-z])|are to (?=[a-z])|brings?|brought)\b",
    re.IGNORECASE,
)
# A file without any of these words has none in a docstring, and is not parsed.
EVERY_WORD = (re.compile(rf"\b{_OPENER}"), WORDS)
# A comment without such a word needs no tokenizer, which takes half of the time.
SUSPECTS = (re.compile(rf"#.*\b{_OPENER}"), re.compile(f"#.*{WORDS.pattern}", re.IGNORECASE))
CODE = re.compile(r"```.*?```|`[^`\n]*`|^ {4,}.*$|<[^>]+>|^\|?[-| :]+\|?$", re.MULTILINE | re.DOTALL)
TEMPLATE_COMMENT = re.compile(r"\{#-?(.*?)-?#\}", re.DOTALL)
TEST_NAME = re.compile(r" *(?:async )?def test_(\w+)")
FENCED = re.compile(r"```.*?```", re.DOTALL)

Fault = tuple[int, str]


def faults(text: str) -> Iterator[str]:
    """Yield the banned openers and words of a text; code in it does not count."""
    plain = CODE.sub("`code`", text)
    for found in OPENERS.finditer(plain):
        yield f"a sentence starts with {found[1]!r}"
    for found in WORDS.finditer(plain):
        yield f"the word {found[0].strip()!r}"


def of_python(file: Path) -> Iterator[Fault]:
    """Yield line and fault of the docstrings and comments of a Python file."""
    source = file.read_text()
    if not any(word.search(source) for word in EVERY_WORD):
        return
    for node in _statements(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node) or ""
            yield from ((node.body[0].lineno, fault) for fault in faults(text))
    if any(suspect.search(source) for suspect in SUSPECTS):
        for line, text in _comments(source):
            yield from ((line, fault) for fault in faults(text))


def of_test_names(file: Path) -> Iterator[Fault]:
    """Yield line and fault of the names of a file's tests, which are sentences."""
    for number, line in enumerate(file.read_text().splitlines(), start=1):
        if found := TEST_NAME.match(line):
            yield from ((number, fault) for fault in faults(found[1].replace("_", " ").capitalize()))


def of_markdown(file: Path) -> Iterator[Fault]:
    """Yield line and fault of a Markdown file, cell by cell."""
    text = FENCED.sub(lambda found: "\n" * found[0].count("\n"), file.read_text())
    for number, line in enumerate(text.splitlines(), start=1):
        for cell in line.split("|"):
            yield from ((number, fault) for fault in faults(cell.strip(" -#*")))


def of_template(file: Path) -> Iterator[Fault]:
    """Yield line and fault of the comments of a Jinja template."""
    source = file.read_text()
    for found in TEMPLATE_COMMENT.finditer(source):
        line = source.count("\n", 0, found.start()) + 1
        yield from ((line, fault) for fault in faults(" ".join(found[1].split())))


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and the statements in it; expressions hold no docstring."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
            yield from _statements(child)


def _comments(source: str) -> Iterator[Fault]:
    """Yield first line and text of each comment; lines that follow each other are one."""
    block: list[str] = []
    start = last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        line = token.start[0]
        if block and line != last + 1:
            yield start, " ".join(block)
            block = []
        start, last = start if block else line, line
        block.append(token.string.lstrip("#").strip())
    if block:
        yield start, " ".join(block)

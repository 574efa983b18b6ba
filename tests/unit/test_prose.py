"""The prose of the code and the docs is plain technical English: no banned openers, no banned words."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from spillway.project import DEFAULT_THEME
from tests.support import prose
from tests.support.aws import ROOT

CODE = [
    ROOT / "app.py",
    *(
        file
        for top in ("chalicelib", "spillway", "benchmarks", "docsite", "loadtests", "tests")
        for file in (ROOT / top).rglob("*.py")
    ),
]
TESTS = [*(ROOT / "tests").rglob("test_*.py")]
TEMPLATES = [file for folder in ("templates", "emails") for file in (DEFAULT_THEME / folder).rglob("*.*")]
DOCS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def faults_in(files: list[Path], read: Callable[[Path], Iterable[prose.Fault]]) -> list[str]:
    """Return every fault in the files, as FILE:LINE: FAULT."""
    return [f"{file.relative_to(ROOT)}:{line}: {fault}" for file in files for line, fault in read(file)]


def test_docstrings_and_comments_have_no_banned_opener_or_word() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{line}: {fault}" for file in CODE for line, fault in prose.of_python(file)
    ]
    assert CODE
    assert found == []


def test_docs_have_no_banned_opener_or_word() -> None:
    found = [
        f"{file.relative_to(ROOT)}:{line}: {fault}"
        for file in DOCS
        for line, fault in prose.of_markdown(file)
    ]
    assert DOCS
    assert found == []


def test_names_of_tests_have_no_banned_opener_or_word() -> None:
    assert TESTS
    assert faults_in(TESTS, prose.of_test_names) == []


def test_comments_of_templates_have_no_banned_opener_or_word() -> None:
    assert TEMPLATES
    assert faults_in(TEMPLATES, prose.of_template) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Return the entry.", []),
        ("What a page shows.", ["a sentence starts with 'What'"]),
        (
            "Send one batch. Whoever waits is told.",
            ["a sentence starts with 'Whoever'", "the word 'Whoever'", "the word 'told'"],
        ),
        ("Read `told_at_ms` of the row.", []),
        ("The form is to be sent again.", ["the word 'is to'"]),
    ],
)
def test_a_fault_is_found_and_code_is_not(text: str, expected: list[str]) -> None:
    assert list(prose.faults(text)) == expected


def test_comments_that_follow_each_other_are_one_text(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("# It sends what\n# What is left.\n\n# All of it.\nx = 1\n")
    assert list(prose.of_python(file)) == [(4, "a sentence starts with 'All'")]

"""An unchanged shop is recognised by the signatures of its files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spillway.project import Project
from spillway.sitegen.cache import Report, UpToDate

LONG_AGO_NS = 10**18
REPORT = Report("1 product", ["hat: no title in a table [de]"], [["site/products/hat.toml", "2026-12-31"]])


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A shop whose files were left alone for long."""
    monkeypatch.setattr("spillway.sitegen.cache._UNSETTLED_NS", -LONG_AGO_NS)
    for name in ("site/products/hat.toml", "build/site/products/hat"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("a hat")
    return Project(tmp_path)


def up_to_date(project: Project, base_url: str | None = None) -> UpToDate:
    return UpToDate(project, project.root / "build" / "site", base_url=base_url)


def edit(file: Path) -> None:
    """Change what a file says, though not how much."""
    file.write_text("a cap")
    os.utime(file, ns=(LONG_AGO_NS, LONG_AGO_NS))


def test_a_build_that_changed_nothing_is_known_by_its_looks(project: Project) -> None:
    assert up_to_date(project).report() is None

    up_to_date(project).record(REPORT)

    assert up_to_date(project).report() == REPORT
    assert up_to_date(project, "https://other.example").report() is None


@pytest.mark.parametrize("name", ["site/products/hat.toml", "build/site/products/hat"])
def test_what_was_touched_is_built_again(project: Project, name: str) -> None:
    up_to_date(project).record(REPORT)

    edit(project.root / name)

    assert up_to_date(project).report() is None


def test_what_is_edited_while_a_build_runs_is_built_next(project: Project) -> None:
    running = up_to_date(project)
    edit(project.root / "site/products/hat.toml")
    running.record(REPORT)

    assert up_to_date(project).report() is None


def test_nothing_is_known_of_a_file_that_is_still_being_written(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spillway.sitegen.cache._UNSETTLED_NS", LONG_AGO_NS * 10)
    up_to_date(project).record(REPORT)

    assert up_to_date(project).report() is None


def test_nothing_is_loaded_that_is_not_needed_to_see_that_nothing_changed() -> None:
    slow = "{'boto3', 'jinja2', 'babel', 'PIL', 'rtoml', 'rich'}"
    code = f"import spillway.commands.shop, sys; print({slow} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout == "set()\n"

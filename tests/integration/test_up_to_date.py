"""An unchanged shop is recognised by the signatures of its files."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from spillway.errors import BadInput
from spillway.project import Project
from spillway.sitegen.cache import Report
from spillway.sitegen.incremental import FileComparison
from spillway.sitegen.last_build import LastBuild, Written, signatures_under

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


def changed(project: Project, base_url: str | None = None) -> tuple[str, ...] | None:
    """The files that changed since the last build; None where anything can have."""
    folder = project.root / "build" / "site"
    with LastBuild(project, folder) as last:
        return FileComparison(project, folder, base_url=base_url).changed_inputs(last)


def record(project: Project, while_it_runs: Callable[[], None] = lambda: None) -> None:
    """A build with `REPORT` that writes one file."""
    folder = project.root / "build" / "site"
    with LastBuild(project, folder) as last:
        running = FileComparison(project, folder, base_url=None)
        while_it_runs()
        made = {path: Written("job", "sha", text) for path, text in signatures_under(folder).items()}
        last.keep_written(made, last.written())
        running.record(last, REPORT)


def edit(file: Path) -> None:
    """Change what a file says, though not how much."""
    file.write_text("a cap")
    os.utime(file, ns=(LONG_AGO_NS, LONG_AGO_NS))


def test_a_build_that_changed_nothing_is_known_by_its_looks(project: Project) -> None:
    assert changed(project) is None

    record(project)

    assert changed(project) == ()
    assert changed(project, "https://other.example") is None
    with LastBuild(project, project.root / "build" / "site") as last:
        assert Report(*last.get("report")) == REPORT


def test_a_file_that_was_touched_is_named(project: Project) -> None:
    record(project)
    edit(project.root / "site/products/hat.toml")

    assert changed(project) == ("site/products/hat.toml",)


def test_a_clock_that_was_set_back_hides_no_edit_of_the_same_length(project: Project) -> None:
    file = project.root / "site/products/hat.toml"
    before = file.stat()
    record(project)
    file.write_text("a cap")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert changed(project) == ("site/products/hat.toml",)


@pytest.mark.parametrize("touch", ["edited", "added", "removed", "renamed"])
def test_anything_can_have_changed_when_the_output_or_the_names_of_files_did(
    project: Project, touch: str
) -> None:
    record(project)
    file = project.root / "site/products/hat.toml"
    match touch:
        case "edited":
            edit(project.root / "build/site/products/hat")
        case "added":
            file.with_name("cap.toml").write_text("a cap")
        case "removed":
            file.unlink()
        case "renamed":
            file.rename(file.with_name("cap.toml"))

    assert changed(project) is None


def test_an_edit_during_a_build_is_built_next(project: Project) -> None:
    record(project, lambda: edit(project.root / "site/products/hat.toml"))

    assert changed(project) == ("site/products/hat.toml",)


def test_a_file_that_is_still_being_written_counts_as_changed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spillway.sitegen.cache._UNSETTLED_NS", LONG_AGO_NS * 10)
    record(project)

    assert "site/products/hat.toml" in (changed(project) or ())


def test_a_second_build_into_the_same_folder_is_refused_while_one_runs(project: Project) -> None:
    folder = project.root / "build" / "site"

    def build_beside() -> None:
        with LastBuild(project, folder), LastBuild(project, project.root / "elsewhere"):
            LastBuild(project, folder).__enter__()

    with pytest.raises(BadInput, match="another build into this folder is running"):
        build_beside()
    assert changed(project) is None


def test_a_build_that_dies_leaves_what_was_known_before(project: Project) -> None:
    record(project)

    def dying() -> None:
        with LastBuild(project, project.root / "build" / "site") as last:
            last.keep_written({}, last.written())
            last.set("report", None)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        dying()

    assert changed(project) == ()


@pytest.mark.parametrize("damage", [b"", b"no database", None])
def test_a_damaged_or_older_database_is_made_again(project: Project, damage: bytes | None) -> None:
    record(project)
    (database,) = (project.cache / "output-dirs").glob("*.sqlite")
    if damage is None:
        with sqlite3.connect(database) as connection:
            connection.execute("PRAGMA user_version = 99")
        connection.close()
    else:
        database.write_bytes(damage)

    assert changed(project) is None
    record(project)
    assert changed(project) == ()


def test_nothing_is_loaded_that_is_not_needed_to_see_that_nothing_changed() -> None:
    slow = "{'boto3', 'jinja2', 'babel', 'PIL', 'rtoml', 'rich', 'tomllib', 'difflib', 'shutil', 'secrets'}"
    code = f"import spillway.commands.shop, sys; print({slow} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout == "set()\n"

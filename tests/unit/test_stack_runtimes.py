"""A package is made for the runtime that Lambda keeps longest, by an interpreter of that version."""

import stat
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from spillway.deploy.package import interpreter_for
from spillway.deploy.runtimes import Interpreter, best_interpreter, described, packaging_python
from spillway.errors import WorkFailed
from spillway.project import Project

# Older than the runtimes it is compared with, whichever version runs the tests.
RUNNING = Interpreter(Path(sys.executable), "python3.11")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any interpreter but the running one; programs go into its folder `bin`."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setattr(Interpreter, "running", lambda: RUNNING)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    return tmp_path


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Forget, before and after, which interpreter another machine has."""
    best_interpreter.cache_clear()
    yield
    best_interpreter.cache_clear()


def program(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_the_longest_lived_runtime_is_packaged_for(machine: Path) -> None:
    program(machine / "bin" / "python3.12", "echo python3.12")
    newest = program(machine / "bin" / "python3.13", "echo python3.13")
    program(machine / "bin" / "python3.14", "echo python3.14")
    assert best_interpreter() == Interpreter(newest, "python3.13")


def test_a_pyenv_is_looked_through_where_its_shim_does_not_run(machine: Path) -> None:
    program(machine / "bin" / "python3.13", "exit 127")
    held = program(machine / "pyenv" / "versions" / "3.13.0" / "bin" / "python3.13", "echo python3.13")
    assert best_interpreter() == Interpreter(held, "python3.13")


@pytest.mark.parametrize("script", ["exit 1", "echo python2.7"], ids=["without venv", "another version"])
def test_a_file_that_is_no_interpreter_is_skipped(machine: Path, script: str) -> None:
    program(machine / "bin" / "python3.13", script)
    assert best_interpreter() == RUNNING


def test_without_another_interpreter_the_running_one_packages(machine: Path) -> None:
    assert best_interpreter() == RUNNING
    assert packaging_python(RUNNING, Project(machine)) == Path(sys.executable)


def test_the_local_cloud_gets_a_package_for_the_interpreter_it_runs_in(machine: Path) -> None:
    held = program(machine / "bin" / "python3.13", "echo python3.13")
    assert interpreter_for("local") == RUNNING
    assert interpreter_for("production") == Interpreter(held, "python3.13")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "python3.13",
            "python3.13: Lambda creates functions with it until 2029-07-31, updates them until 2029-08-31",
        ),
        (
            "python3.11",
            "python3.11: Lambda creates functions with it until 2027-07-31, updates them until 2027-08-31;"
            " install python3.13 to have until 2029-07-31",
        ),
        ("python3.15", "python3.15: when Lambda closes it is not known here"),
    ],
)
def test_how_long_a_runtime_is_taken_is_said(name: str, said: str) -> None:
    assert described(name) == said


def test_an_environment_is_made_once_and_again_when_its_requirements_change(machine: Path) -> None:
    project = Project(machine)
    (machine / ".chalice").mkdir()
    for name in ("app.py", ".chalice/config.json"):
        (machine / name).touch()
    (machine / "requirements.txt").write_text("jinja2==3.1.6\n")
    made = machine / "made"
    # An uv that makes what it is asked for, and writes down what that was.
    python = 'for last; do :; done; mkdir -p "$last/bin"; /bin/ln -s /bin/true "$last/bin/python"'
    program(machine / "bin" / "mkdir", 'exec /bin/mkdir "$@"')
    program(machine / "bin" / "uv", f'echo "$@" >> {made}; if [ "$1" = venv ]; then {python}; fi')
    other = Interpreter(machine / "bin" / "python3.13", "python3.13")
    for _ in range(2):
        found = packaging_python(other, project)
    assert found == project.cache / "packaging" / "python3.13" / "bin" / "python"
    venv, chalice, requirements = made.read_text().splitlines()
    assert f"--python {other.path}" in venv
    assert chalice.endswith(f"chalice=={version('chalice')}")
    assert requirements.endswith(f"-r {machine / 'requirements.txt'}")
    (machine / "requirements.txt").write_text("jinja2==3.1.7\n")
    packaging_python(other, project)
    assert len(made.read_text().splitlines()) == 6


def test_an_environment_that_cannot_be_made_says_why_and_is_not_taken_for_one(machine: Path) -> None:
    project = Project(machine)
    (machine / "requirements.txt").write_text("")
    program(machine / "bin" / "uv", "echo no index >&2; exit 1")
    for _ in range(2):
        with pytest.raises(WorkFailed, match="no index"):
            packaging_python(Interpreter(machine / "python3.13", "python3.13"), project)

"""The Python runtimes of Lambda, and the interpreter on this machine that packages for the best of them.

A zip holds compiled modules and wheels of one Python version, so an interpreter of that version makes it.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.metadata import distributions, version
from pathlib import Path

from spillway.errors import WorkFailed
from spillway.project import Project

LOOK_WITHIN_S = 20
INSTALL_WITHIN_S = 300
READY = "ready"
REQUIREMENTS = "requirements.txt"
# Where `make setup` puts an uv, if none is installed. Without one, pip does the same, slower.
OWN_UV = ".tools/bin/uv"
# An interpreter without its venv module cannot be given Chalice.
ASK_VERSION = "import sys, ensurepip, venv; print('python%d.%d' % sys.version_info[:2])"


@dataclass(frozen=True, slots=True)
class Runtime:
    """A runtime of Lambda: the days from which no function is created with it, and none updated.

    https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
    """

    name: str
    create_blocked_on: date
    update_blocked_on: date

    def __str__(self) -> str:
        return (
            f"{self.name}: Lambda creates functions with it until {self.create_blocked_on},"
            f" updates them until {self.update_blocked_on}"
        )


# The best one first. 3.14 ends on the day 3.13 does, and has not been tried.
RUNTIMES = (
    Runtime("python3.13", date(2029, 7, 31), date(2029, 8, 31)),
    Runtime("python3.14", date(2029, 7, 31), date(2029, 8, 31)),
    Runtime("python3.12", date(2028, 11, 30), date(2029, 1, 10)),
    Runtime("python3.11", date(2027, 7, 31), date(2027, 8, 31)),
)


def described(name: str) -> str:
    """Say how long Lambda takes the runtime `name`, and how to get a longer-lived one."""
    known = next((runtime for runtime in RUNTIMES if runtime.name == name), None)
    if known is None:
        return f"{name}: when Lambda closes it is not known here"
    if known.create_blocked_on < RUNTIMES[0].create_blocked_on:
        return f"{known}; install {RUNTIMES[0].name} to have until {RUNTIMES[0].create_blocked_on}"
    return str(known)


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python on this machine, and the runtime it packages for."""

    path: Path
    runtime: str

    @classmethod
    def running(cls) -> "Interpreter":
        """Return the interpreter that runs this very command."""
        return cls(Path(sys.executable), f"python{sys.version_info[0]}.{sys.version_info[1]}")


@cache
def best_interpreter() -> Interpreter:
    """Return the interpreter of the best runtime that is installed here; without any, the running one."""
    running = Interpreter.running()
    for runtime in RUNTIMES:
        if runtime.name == running.runtime:
            return running
        for path in _candidates(runtime.name):
            if _answers(path) == runtime.name:
                return Interpreter(path, runtime.name)
    return running


def packaging_python(interpreter: Interpreter, project: Project) -> Path:
    """Return a Python of the interpreter's version that has Chalice and what the functions import.

    The running one has. For another one, an environment is made once in the project's cache, with the
    versions that are installed here; that needs a package index.

    Raises:
        WorkFailed: the environment cannot be made.
    """
    if interpreter == Interpreter.running():
        return interpreter.path
    folder = project.cache / "packaging" / interpreter.runtime
    python, ready = folder / "bin" / "python", folder / READY
    facts = (str(interpreter.path), version("chalice"), (project.code / REQUIREMENTS).read_text())
    wanted = hashlib.sha256("\0".join(facts).encode()).hexdigest()
    if not (python.exists() and ready.exists() and ready.read_text() == wanted):
        _make_environment(interpreter, folder, project)
        ready.write_text(wanted)
    return python


def _candidates(name: str) -> Iterator[Path]:
    """Yield the places where an interpreter called `name` may be.

    Also in a pyenv that is switched elsewhere.
    """
    found = shutil.which(name)
    if found:
        yield Path(found)
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted((pyenv / "versions").glob(f"{name.removeprefix('python')}.*/bin/{name}"), reverse=True)


def _answers(path: Path) -> str:
    """Return the version that `path` says it is; nothing if it does not run, as an idle pyenv shim."""
    try:
        ran = subprocess.run(  # noqa: S603 - an interpreter of this machine, no shell
            [path, "-I", "-c", ASK_VERSION],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=LOOK_WITHIN_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return ran.stdout.strip() if ran.returncode == 0 else ""


def _make_environment(interpreter: Interpreter, folder: Path, project: Project) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    constraints = folder.with_suffix(".constraints")
    # A package that is installed here in parts has no name or version.
    installed = {f"{each.name}=={each.version}\n" for each in distributions() if each.name and each.version}
    constraints.write_text("".join(sorted(installed)))
    uv = shutil.which("uv") or shutil.which(project.code / OWN_UV)
    python = folder / "bin" / "python"
    if uv:
        _run([uv, "venv", "--quiet", "--no-config", "--python", str(interpreter.path), str(folder)])
        install = [uv, "pip", "install", "--quiet", "--no-config", "--python", str(python)]
    else:
        _run([str(interpreter.path), "-m", "venv", str(folder)])
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*install, "-c", str(constraints), f"chalice=={version('chalice')}"])
    # By itself: its files are held to their digests, and then pip wants one of every file it installs.
    _run([*install, "-r", str(project.code / REQUIREMENTS)])
    constraints.unlink()


def _run(words: list[str]) -> None:
    try:
        ran = subprocess.run(  # noqa: S603 - tools of this machine, no shell
            words,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=INSTALL_WITHIN_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise WorkFailed(f"{words[0]}: {error}") from error
    if ran.returncode != 0:
        said = "\n".join(f"    {line}" for line in (ran.stdout + ran.stderr).strip().splitlines())
        raise WorkFailed(
            f"an environment to package in could not be made:\n{said}",
            hint="a package index must be reachable; it is asked only once",
        )

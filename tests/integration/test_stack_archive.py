"""The archive for Lambda is compiled ahead, holds nothing needless, and is the same bytes each time."""

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from spillway.deploy.package import WHY, contents, finish
from spillway.errors import WorkFailed
from tests.support.uploaded import made_package

PYTHON = Path(sys.executable)
PACKAGE_BYTES_MAX = 1_500_000
FILES = {
    "app.py": "from chalicelib.words import WORD\n",
    "chalicelib/__init__.py": "",
    "chalicelib/words.py": "WORD = {'b', 'a', 'c'} and 'compiled'\n",
    "dns/__init__.py": "",
    "dnspython-2.9.2.dist-info/METADATA": "",
    "idna-3.20.dist-info/RECORD": "",
    "idna-3.20.dist-info/licenses/LICENSE.md": "free",
}


def made_by_chalice(archive: Path, files: dict[str, str], *, day: int = 1) -> Path:
    with ZipFile(archive, "w") as made:
        for name, text in files.items():
            made.writestr(name, text)
            made.getinfo(name).date_time = (2026, 1, day, 0, 0, 0)
    return archive


def run(folder: Path, code: str) -> str:
    """The output of a fresh interpreter that knows only the standard library and `folder`."""
    environment = {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.environ["PATH"]}
    words = [sys.executable, "-S", "-c", code]
    ran = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, cwd=folder)
    return ran.stdout.strip() + ran.stderr


def test_the_compiled_modules_are_what_runs(tmp_path: Path) -> None:
    archive = made_by_chalice(tmp_path / "deployment.zip", FILES)
    finish(archive, PYTHON)
    folder = tmp_path / "task"
    ZipFile(archive).extractall(folder)
    assert not list(folder.rglob("*.py"))
    assert run(folder, "import app; print(app.WORD)") == "compiled"
    # A traceback names the file as Lambda has it.
    assert run(folder, "import app; print(app.__loader__.get_code('app').co_filename)") == "/var/task/app.py"


def test_the_same_files_become_the_same_bytes(tmp_path: Path) -> None:
    first = made_by_chalice(tmp_path / "first.zip", FILES)
    second = made_by_chalice(tmp_path / "second.zip", dict(reversed(FILES.items())), day=2)
    finish(first, PYTHON)
    finish(second, PYTHON)
    assert first.read_bytes() == second.read_bytes()
    finish(second, PYTHON)
    assert first.read_bytes() == second.read_bytes()


def test_unused_modules_are_left_out_of_the_package_and_licences_are_not(tmp_path: Path) -> None:
    archive = made_by_chalice(tmp_path / "deployment.zip", FILES)
    finish(archive, PYTHON)
    names = ZipFile(archive).namelist()
    assert not [name for name in names if name.startswith("dns") or name.endswith("RECORD")]
    assert "idna-3.20.dist-info/licenses/LICENSE.md" in names


def test_a_module_that_does_not_compile_fails_the_package(tmp_path: Path) -> None:
    archive = made_by_chalice(tmp_path / "deployment.zip", {"app.py": "def\n"})
    with pytest.raises(WorkFailed, match=r"app\.py"):
        finish(archive, PYTHON)


def test_the_package_is_small_and_every_part_of_it_has_its_reason() -> None:
    archive = made_package().archive
    assert archive.stat().st_size < PACKAGE_BYTES_MAX
    parts = contents(archive)
    assert {part.name for part in parts} == set(WHY)
    with ZipFile(archive) as package:
        names = set(package.namelist())
    sources = {name for name in names if name.endswith(".py")}
    compiled = {name for name in names if name.endswith(".pyc")}
    assert not sources
    assert {"app.pyc", "chalicelib/container.pyc", "jinja2/environment.pyc"} <= compiled

"""The zip that Lambda unpacks: what is in it and why, compiled ahead, the same bytes each time.

Lambda's folder is read-only. Without compiled modules in the zip every cold start compiles everything
it imports; Chalice leaves them out.
"""

import os
import subprocess
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from spillway.errors import WorkFailed

# Where Lambda unpacks it: the name a compiled module keeps, and not that of a folder of ours.
LAMBDA_ROOT = "/var/task"
EARLIEST = (1980, 1, 1, 0, 0, 0)
READABLE = 0o100644 << 16
# What a dependency brings along and nothing of ours ever imports.
LEFT_OUT = {
    "dns": "email-validator looks domains up with it, and is never asked to",
    "dnspython": "the same",
}
WHY = {
    "app.py": "the routes and handlers",
    "chalicelib": "all they call",
    "chalice": "routes a request to its handler",
    "email_validator": "knows what an address is",
    "idna": "international domain names, for email_validator",
    "itsdangerous": "signs and reads the links in emails",
    "jinja2": "renders pages and emails",
    "markupsafe": "escapes what a page shows, for jinja2",
}


@dataclass(frozen=True, slots=True)
class Part:
    """One thing in the zip: its files under one name, in bytes as sent to Lambda, and what it is for."""

    name: str
    files: int
    packed_bytes: int
    why: str


def finish(archive: Path, python: Path) -> None:
    """Compile the modules of a zip that Chalice made, and leave out what is never imported.

    `python` is of the version that Lambda will run: another one's compiled modules are not looked at.
    The same zip always becomes the same bytes. A compiled module is taken without a look at its
    source ("unchecked hash"), which dates in a zip could not be trusted for.

    Raises:
        WorkFailed: a module cannot be compiled.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        with ZipFile(archive) as made:
            made.extractall(folder, [entry for entry in made.namelist() if not _left_out(entry)])
        _compile(folder, python)
        unfinished = archive.with_suffix(".unfinished")
        with ZipFile(unfinished, "w", ZIP_DEFLATED, compresslevel=9) as finished:
            for file in sorted(file for file in folder.rglob("*") if file.is_file()):
                entry = ZipInfo(file.relative_to(folder).as_posix(), EARLIEST)
                entry.compress_type, entry.external_attr = ZIP_DEFLATED, READABLE
                finished.writestr(entry, file.read_bytes())
        unfinished.replace(archive)


def contents(archive: Path) -> tuple[Part, ...]:
    """What is in the zip, largest first."""
    files: Counter[str] = Counter()
    packed: Counter[str] = Counter()
    with ZipFile(archive) as made:
        for entry in made.infolist():
            name = _part(entry.filename)
            files[name] += 1
            packed[name] += entry.compress_size
    parts = (Part(name, files[name], packed[name], WHY.get(name, "")) for name in files)
    return tuple(sorted(parts, key=lambda part: (-part.packed_bytes, part.name)))


def _part(entry: str) -> str:
    path = PurePosixPath(entry)
    if path.parts[0] == "__pycache__":
        return f"{path.name.partition('.')[0]}.py"
    return path.parts[0].partition("-")[0]


def _left_out(entry: str) -> bool:
    # A RECORD lists files with their digests, which no longer are all there is.
    return _part(entry) in LEFT_OUT or entry.endswith((".pyc", ".dist-info/RECORD"))


def _compile(folder: Path, python: Path) -> None:
    words = [
        *(str(python), "-m", "compileall", "-q", "-j", "1", "--invalidation-mode", "unchecked-hash"),
        *("-s", str(folder), "-p", LAMBDA_ROOT, str(folder)),
    ]
    # A set's constants are stored in the order of their hashes, which must be the same in each run.
    environment = os.environ | {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    ran = subprocess.run(  # noqa: S603 - our own interpreter, no shell
        words, env=environment, capture_output=True, text=True, check=False
    )
    if ran.returncode != 0:
        raise WorkFailed(f"a module cannot be compiled:\n{ran.stdout}{ran.stderr}")

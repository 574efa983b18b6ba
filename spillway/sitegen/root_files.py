"""site/root/: files served at the root unchanged, such as ads.txt and /.well-known/security.txt.

The one exception is robots.txt: its lines follow those that the build writes.
"""

import json
from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path

from spillway.project import Project
from spillway.sitegen.reading.toml_input import InputError

ROOT_FOLDER = "site/root"
ROBOTS_KEY = "robots.txt"
ROOT_FILES_MAX = 200
# Each release that a rollback can restore keeps them.
ROOT_FILE_BYTES_MAX = 1_000_000
ROOT_BYTES_MAX = 5_000_000

_RESERVED = ("api/", "assets/", "pictures/")
_WELL_KNOWN = ".well-known"
_TEXT = "text/plain; charset=utf-8"
_JSON = "application/json"
_BYTES = "application/octet-stream"
_TYPES = {
    "txt": _TEXT,
    "html": "text/html; charset=utf-8",
    "htm": "text/html; charset=utf-8",
    "xml": "application/xml",
    "json": _JSON,
    "webmanifest": "application/manifest+json",
    "ico": "image/x-icon",
    "png": "image/png",
    "svg": "image/svg+xml",
    "jpg": "image/jpeg",
    "webp": "image/webp",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "pdf": "application/pdf",
    "asc": "application/pgp-keys",
}


@dataclass(frozen=True, slots=True)
class RootFile:
    """A file: the key it is served under, its type and its bytes."""

    key: str
    content_type: str
    body: bytes


def read_root_files(project: Project, mistakes: list[InputError]) -> tuple[RootFile, ...]:
    """Return the files of the folder by key, and add what is wrong with them to `mistakes`.

    Names that begin with a dot are skipped, /.well-known/ aside. Links are refused: they can lead to files
    that are not meant to be public. No folder is no mistake.
    """
    folder = project.root / ROOT_FOLDER
    files = []
    size_bytes = 0
    for file in sorted(folder.rglob("*")) if folder.is_dir() else ():
        key = file.relative_to(folder).as_posix()
        if any(part.startswith(".") for part in key.removeprefix(f"{_WELL_KNOWN}/").split("/")):
            continue
        if problem := _file_problem(file):
            mistakes.append(InputError(f"{ROOT_FOLDER}/{key}", None, "file", key, problem))
        elif file.is_file():
            body = file.read_bytes()
            size_bytes += len(body)
            files.append(RootFile(key, _content_type(file.suffix, body), body))
    if len(files) > ROOT_FILES_MAX or size_bytes > ROOT_BYTES_MAX:
        found = f"{len(files)} files of {size_bytes} bytes"
        expected = f"at most {ROOT_FILES_MAX} files of {ROOT_BYTES_MAX} bytes together"
        mistakes.append(InputError(ROOT_FOLDER, None, "folder", found, expected))
    return tuple(files)


def root_mistakes(files: tuple[RootFile, ...], keys: Set[str]) -> list[InputError]:
    """Return a mistake for each file whose key collides with one of the shop's own `keys`."""
    folders = {parent for key in keys for parent in _parents(key)}
    return [
        InputError(
            f"{ROOT_FOLDER}/{file.key}",
            None,
            "file",
            file.key,
            "another name: the shop itself has a page or a file there",
        )
        for file in files
        if file.key != ROBOTS_KEY
        and (
            file.key in keys
            or file.key in folders
            or file.key.startswith(_RESERVED)
            or any(parent in keys for parent in _parents(file.key))
        )
    ]


def robots_text(own: str, files: tuple[RootFile, ...]) -> str:
    """Return robots.txt: the build's `own` lines, then the merchant's."""
    added = next((file.body for file in files if file.key == ROBOTS_KEY), b"")
    text = added.decode("utf-8-sig").replace("\r\n", "\n").strip()
    return f"{own}\n{text}\n" if text else own


def _file_problem(file: Path) -> str | None:
    if file.is_symlink():
        return "a file or a folder, not a link"
    if not file.is_file():
        return None
    if file.stat().st_size > ROOT_FILE_BYTES_MAX:
        return f"at most {ROOT_FILE_BYTES_MAX} bytes"
    if "\\" in file.name or not file.name.isprintable():
        return "a name without backslashes and control characters"
    if file.name == ROBOTS_KEY and _content_type("", file.read_bytes()) == _BYTES:
        return "a text in UTF-8"
    return None


def _content_type(suffix: str, body: bytes) -> str:
    """Return the type of a file by its suffix; by its content where the suffix is none or unknown."""
    known = _TYPES.get(suffix.lower().removeprefix("."))
    if known:
        return known
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return _BYTES
    if "\0" in text:
        return _BYTES
    try:
        return _JSON if isinstance(json.loads(text), dict | list) else _TEXT
    except (ValueError, RecursionError):
        return _TEXT


def _parents(key: str) -> list[str]:
    parts = key.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]

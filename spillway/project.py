"""The files of a shop: where they are, found from any folder inside it, and how private ones are written.

Private files hold addresses, tokens and keys: their owner alone may read them.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from spillway.errors import BadInput

MARKER = Path("site/site.toml")
# The theme that fills in for every file which a shop does not have itself.
DEFAULT_THEME = Path(__file__).parent / "theme"
# The record of an import lies beside the products, to be kept with them. No build reads it.
IMPORT_RECORD = "imported.json"
# Where the code of the cloud can lie when the shop is no checkout: in a wheel, and in a checkout elsewhere.
_CODE_FOLDERS = (Path(__file__).parent / "cloud", Path(__file__).parents[1])
_CODE = ("app.py", ".chalice/config.json")
# The name of the stage on this machine; here, where commands that build need no library for AWS.
LOCAL_STAGE = "local"


@dataclass(frozen=True, slots=True)
class Project:
    """A shop. Every path the operator's commands read or write starts here."""

    root: Path
    default_theme: Path = DEFAULT_THEME

    @classmethod
    def find(cls, start: Path) -> "Project":
        """Return the project that holds `start`.

        Raises:
            BadInput: neither `start` nor a folder above it has a site/site.toml.
        """
        for folder in (start, *start.parents):
            if (folder / MARKER).is_file():
                return cls(folder)
        raise BadInput(
            f"{start}: no {MARKER} here or in a folder above",
            hint="run spillway in a shop's folder, or name it: spillway -C DIR COMMAND",
        )

    @property
    def code(self) -> Path:
        """The folder with app.py, .chalice/, requirements.txt and loadtests/.

        It is the shop's own when the shop is a checkout, else that of the installed package.

        Raises:
            BadInput: neither has them.
        """
        for folder in (self.root, *_CODE_FOLDERS):
            if all((folder / name).is_file() for name in _CODE):
                return folder
        raise BadInput(
            f"{_CODE_FOLDERS[0]}: no {', no '.join(_CODE)}: this installation of spillway is damaged",
            hint="install it again",
        )

    @property
    def site(self) -> Path:
        """The folder that a merchant edits."""
        return self.root / "site"

    @property
    def output(self) -> Path:
        """The output of the commands; may be deleted at any time."""
        return self.root / "build"

    @property
    def cache(self) -> Path:
        """The caches of earlier builds; may be deleted at any time."""
        return self.root / ".cache"

    @property
    def state(self) -> Path:
        """The state of the local cloud between two starts."""
        return self.root / ".spillway"


OWNER_ONLY = 0o600


@contextmanager
def private_file(file: Path, *, replaces: bool = False) -> Iterator[TextIO]:
    """Open a text file for writing (UTF-8, mode 0600); it appears under its name once it is whole.

    Args:
        file: the file to make.
        replaces: take the place of a file of that name; without it, such a file is an error.

    Raises:
        BadInput: there is such a file already, or it cannot be written.
    """
    if not replaces and file.exists():
        raise BadInput(f"{file}: exists already", hint="name another file, or delete that one")
    part, descriptor = _part_of(file)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as written:
            yield written
        part.rename(file)
    finally:
        part.unlink(missing_ok=True)


def require_writable(file: Path) -> None:
    """Check that `private_file` can write a file of that name; nothing stays behind.

    Raises:
        BadInput: it cannot be written.
    """
    part, descriptor = _part_of(file)
    os.close(descriptor)
    part.unlink()


def _part_of(file: Path) -> tuple[Path, int]:
    """Create the file beside `file` that takes its name once it is whole; return its path and descriptor."""
    part = file.with_name(f"{file.name}.part")
    try:
        part.unlink(missing_ok=True)
        return part, os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}", hint="name a file that can be written") from None

"""What tells a file apart from its earlier self without reading it."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# A file changed this lately might change again within one tick of the file system's clock, and keep
# its signature: it is read again next time.
_UNSETTLED_NS = 100_000_000


class Signature(NamedTuple):
    """Equal signatures of one name, once settled, mean equal bytes. (A NamedTuple: there are many.)"""

    size_bytes: int
    modified_ns: int
    changed_ns: int
    inode: int

    @classmethod
    def of(cls, found: os.stat_result) -> "Signature":
        """The signature in what the file system says of a file."""
        return cls(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)

    @property
    def settled(self) -> bool:
        """Whether the file has been left alone for long enough to be known by its signature."""
        return time.time_ns() - self.changed_ns > _UNSETTLED_NS


def signature_of(file: Path | os.DirEntry[str]) -> Signature:
    """The signature of a file that exists."""
    return Signature.of(file.stat())


def files_under(folder: str, prefix: str = "") -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Every file under `folder`, with its path inside it, in no order."""
    try:
        entries = os.scandir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    with entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from files_under(entry.path, f"{prefix}{entry.name}/")
            else:
                yield f"{prefix}{entry.name}", entry

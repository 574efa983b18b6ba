"""File signatures: a changed file is known without being read."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

# Of a file: its size in bytes, when it and its entry were last changed (ns), its inode. Equal ones of one
# name, once settled, mean equal bytes. (A plain tuple: there are many, and they are remembered.)
Signature = tuple[int, int, int, int]

# A file changed this lately might change again within one tick of the file system's clock, and keep
# its signature: it is read again next time.
_UNSETTLED_NS = 100_000_000


def signature_of(file: str | Path | os.DirEntry[str]) -> Signature:
    """The signature of a file that exists."""
    found = file.stat() if isinstance(file, os.DirEntry) else os.stat(file)  # noqa: PTH116 - thousands of times
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def is_settled(signature: Signature) -> bool:
    """Whether the file has been left alone for long enough to be known by its signature."""
    _, _, changed_ns, _ = signature
    return time.time_ns() - changed_ns > _UNSETTLED_NS


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

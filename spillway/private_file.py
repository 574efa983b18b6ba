"""New files that their owner alone may read: addresses, tokens and keys stand in them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from spillway.errors import BadInput

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
    part = file.with_name(f"{file.name}.part")
    try:
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}", hint="name a file that can be written") from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as written:
            yield written
        part.rename(file)
    finally:
        part.unlink(missing_ok=True)

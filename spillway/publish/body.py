"""Bodies of what is sent, read when their turn comes."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path


def loader(body: bytes | Path) -> Callable[[], bytes]:
    """What gives the body, a file's content where it is a file."""
    return partial(content, str(body)) if isinstance(body, Path) else lambda: body


def content(file: str) -> bytes:
    """All of a file."""
    # Four calls to the system, where `Path.read_bytes` makes nine: for a page, that is half of its time.
    descriptor = os.open(file, os.O_RDONLY)
    try:
        return os.read(descriptor, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)

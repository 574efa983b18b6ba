"""Memory and open files of the demo's processes during a flood, read from Linux's /proc."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from spillway.local_cloud.processes import orphan_of

PROC = Path("/proc")
EVERY_S = 5.0
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Group(StrEnum):
    """A group of processes; the first two run the shop's code."""

    FRONT = "front door and inbox"
    FUNCTIONS = "functions"
    EMULATOR = "emulator"


@dataclass(frozen=True, slots=True)
class Held:
    """The memory and files of one process at one moment."""

    at_s: float
    group: Group
    pid: int
    memory_bytes: int
    files: int


@dataclass(frozen=True, slots=True)
class Family:
    """A demo's processes.

    The front door and the inbox are in its own, the functions in the emulator's children, which come and go.
    """

    demo: int
    emulator: int
    proc: Path = PROC

    @classmethod
    def of(cls, home: Path, *, proc: Path = PROC) -> "Family | None":
        """Return the processes of the demo that runs in `home`; None where there is no /proc to look into."""
        emulator = orphan_of(home)
        if emulator is None or not (proc / str(emulator) / "statm").exists():
            return None
        status = (proc / str(emulator) / "status").read_text()
        return cls(int(status.partition("PPid:")[2].split()[0]), emulator, proc)

    def look(self, *, at_s: float) -> Iterator[Held]:
        """Return the current memory and files of each process."""
        groups = {self.demo: Group.FRONT, self.emulator: Group.EMULATOR}
        groups |= dict.fromkeys(self._children(self.emulator), Group.FUNCTIONS)
        for pid, group in groups.items():
            folder = self.proc / str(pid)
            try:
                pages = int((folder / "statm").read_text().split()[1])
                files = sum(1 for _ in (folder / "fd").iterdir())
            except OSError:  # ended since it was found
                continue
            yield Held(at_s, group, pid, pages * PAGE_BYTES, files)

    def _children(self, pid: int) -> list[int]:
        found = []
        for thread in (self.proc / str(pid) / "task").glob("*/children"):
            try:
                found += [int(child) for child in thread.read_text().split()]
            except OSError:  # a thread that ended
                continue
        return found


@contextmanager
def watched(
    family: Family | None, *, every_s: float = EVERY_S, clock: Callable[[], float] = time.monotonic
) -> Iterator[list[Held]]:
    """Look every few seconds for as long as the block lasts. The list is complete when it has ended."""
    samples: list[Held] = []
    if family is None:
        yield samples
        return
    began_s, over = clock(), threading.Event()

    def look() -> None:
        while True:
            samples.extend(family.look(at_s=clock() - began_s))
            if over.wait(every_s):
                return

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        over.set()
        thread.join()

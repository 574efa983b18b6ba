"""A process from its start to its end: how long it took, on how much CPU, in how much memory."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_LOOKED_AT_EVERY_S = 0.05
_MB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Run:
    """The cost of a command.

    `cpu_s` is of all its processes. `largest_mb` is the peak of the largest of them; `together_mb` of all at
    once, with what they share counted once: looked at now and then, and 0 where it was not.
    """

    elapsed_s: float
    cpu_s: float
    largest_mb: float
    together_mb: float = 0.0


def run(
    command: Sequence[str],
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
    weighed: bool = False,
) -> Run:
    """Run it once. To be weighed costs time, so what is weighed is not timed."""
    started = time.perf_counter()
    given = {**(os.environ if environment is None else environment)}
    # An installed program has its modules compiled; one that may not keep them compiles them at each start.
    given.pop("PYTHONDONTWRITEBYTECODE", None)
    process = subprocess.Popen(command, cwd=folder, env=given, stdout=subprocess.DEVNULL)
    scales = _Scales(process.pid)
    if weighed:
        scales.start()
    _, status, usage = os.wait4(process.pid, 0)
    elapsed_s = time.perf_counter() - started
    scales.ended.set()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Run(elapsed_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, scales.together_mb)


class _Scales(threading.Thread):
    """Weighs a process and all below it, until it has ended."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self.ended = threading.Event()
        self.together_mb = 0.0

    def run(self) -> None:
        while not self.ended.wait(_LOOKED_AT_EVERY_S):
            weight = sum(_proportional_bytes(pid) for pid in _family(self._pid))
            self.together_mb = max(self.together_mb, weight / _MB)


def _family(pid: int) -> Iterator[int]:
    yield pid
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # it has ended since
            for child in file.read_text().split():
                yield from _family(int(child))


def _proportional_bytes(pid: int) -> int:
    """Return its memory, of which a page shared by two counts half."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0

"""A local cloud that outlived its demo: found by its recorded process id, checked, and stopped."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

FILE_NAME = "cloud.pid"
MODULE = "spillway.local_cloud.child"


def remember(home: Path, pid: int) -> None:
    """Record the process id of the cloud that runs for `home`."""
    (home / FILE_NAME).write_text(json.dumps({"pid": pid}) + "\n")


def forget(home: Path) -> None:
    """Remove the record of the cloud of `home`, which was stopped."""
    (home / FILE_NAME).unlink(missing_ok=True)


def leftover(home: Path) -> int | None:
    """Return the process id of a cloud of `home` that still runs, or None.

    A recorded id may long belong to another program: it counts only when the process says that it is
    the cloud of this very folder.
    """
    try:
        pid = int(json.loads((home / FILE_NAME).read_text())["pid"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    words = command_line(pid)
    return pid if MODULE in words and str(home) in words else None


def stop_leftover(home: Path, *, within_s: float) -> bool:
    """Stop a cloud that outlived its demo. True when there was one."""
    pid = leftover(home)
    if pid is None:
        forget(home)
        return False
    end_group(pid, signal.SIGTERM, leader_only=True)
    deadline = time.monotonic() + within_s
    while leftover(home) is not None and time.monotonic() < deadline:
        time.sleep(0.05)
    end_group(pid, signal.SIGKILL)
    forget(home)
    return True


def end_group(pid: int, signal_number: signal.Signals, *, leader_only: bool = False) -> None:
    """Signal the process `pid` or the whole group it leads; one that is gone is fine."""
    try:
        if leader_only:
            os.kill(pid, signal_number)
        else:
            os.killpg(pid, signal_number)
    except ProcessLookupError:
        pass


def command_line(pid: int) -> tuple[str, ...]:
    """Return the words process `pid` was started with; none when it is gone or not to be seen."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        return tuple(word for word in words if word)  # none: it has ended, and nobody has asked how
    except OSError:
        pass
    ps = shutil.which("ps")
    if ps is None or Path("/proc/self").exists():
        return ()
    ask = [ps, "-ww", "-o", "command=", "-p", str(pid)]
    shown = subprocess.run(ask, capture_output=True, text=True, check=False)  # noqa: S603 - no shell
    return tuple(shown.stdout.split())

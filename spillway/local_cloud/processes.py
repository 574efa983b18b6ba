"""A demo on a machine it shares: claim its ports before any work, and stop a cloud that outlived its demo."""

import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from spillway.errors import BadInput

PID_FILE = "cloud.pid"
MODULE = "spillway.local_cloud.child"


def write_pid(home: Path, pid: int) -> None:
    """Record the process id of the cloud that runs for `home`."""
    (home / PID_FILE).write_text(json.dumps({"pid": pid}) + "\n")


def remove_pid(home: Path) -> None:
    """Remove the record of the cloud of `home`, which was stopped."""
    (home / PID_FILE).unlink(missing_ok=True)


def orphan_of(home: Path) -> int | None:
    """Return the process id of a cloud of `home` that still runs, or None.

    A recorded id may long belong to another program: it counts only when the process says that it is
    the cloud of this very folder.
    """
    try:
        pid = int(json.loads((home / PID_FILE).read_text())["pid"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    words = command_line(pid)
    return pid if MODULE in words and str(home) in words else None


def stop_orphan(home: Path, *, within_s: float) -> bool:
    """Stop a cloud that outlived its demo. True when there was one."""
    pid = orphan_of(home)
    if pid is None:
        remove_pid(home)
        return False
    end_group(pid, signal.SIGTERM, leader_only=True)
    deadline = time.monotonic() + within_s
    while orphan_of(home) is not None and time.monotonic() < deadline:
        time.sleep(0.05)
    end_group(pid, signal.SIGKILL)
    remove_pid(home)
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


HOST = "127.0.0.1"
ANSWER_WITHIN_S = 0.5
# The shop, the inbox and the local cloud.
DEMO_PORTS = 3
# The state of a socket that listens, in /proc/net/tcp.
_LISTEN = "0A"
# The words of a command line that name a program; later ones may hold secrets.
_WORDS_SHOWN_MAX = 3


def claim_port(port: int, purpose: str, *, in_a_row: int = 1) -> socket.socket:
    """Return a socket bound to `port` on this machine alone, not listening yet.

    Args:
        port: the port.
        purpose: the use of it, for a person.
        in_a_row: how many ports the command's --port stands for.

    Raises:
        BadInput: another program has the port, or it may not be used.
    """
    claimed = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    claimed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        claimed.bind((HOST, port))
    except OSError as error:
        claimed.close()
        raise _refused(port, purpose, error, in_a_row) from error
    return claimed


def require_free(port: int, purpose: str, *, in_a_row: int = 1) -> None:
    """Check that `port` can be claimed now, and release it."""
    claim_port(port, purpose, in_a_row=in_a_row).close()


def port_answers(port: int) -> bool:
    """Return whether a server listens on `port` of this machine."""
    try:
        socket.create_connection((HOST, port), timeout=ANSWER_WITHIN_S).close()
    except OSError:
        return False
    return True


def port_holder(port: int) -> str | None:
    """Return the program that listens on `port` with its process id, None where /proc does not say."""
    inodes = {f"socket:[{inode}]" for inode in _listening(port)}
    for folder in Path("/proc").glob("[0-9]*") if inodes else ():
        try:
            held = any(str(link.readlink()) in inodes for link in (folder / "fd").iterdir())
        except OSError:  # a process of somebody else, or one that has ended
            continue
        if held:
            words = command_line(int(folder.name))[:_WORDS_SHOWN_MAX]
            program = " ".join(Path(word).name if word.startswith("/") else word for word in words)
            return f"process {folder.name} ({program or 'name unknown'})"
    return None


def _listening(port: int) -> Iterator[str]:
    """Yield the inodes of sockets that listen on `port`; see proc_net_tcp in Linux's documentation."""
    for table in ("tcp", "tcp6"):
        try:
            rows = Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _refused(port: int, purpose: str, error: OSError, in_a_row: int) -> BadInput:
    others = "another one" if in_a_row == 1 else f"{in_a_row} others in a row"
    choice = f"choose {others} with --port"
    if error.errno != errno.EADDRINUSE:
        return BadInput(f"port {port}, for {purpose}, cannot be used: {error}", hint=choice)
    holder = port_holder(port) or "another program"
    return BadInput(f"port {port}, for {purpose}, is taken by {holder}", hint=f"stop it, or {choice}")

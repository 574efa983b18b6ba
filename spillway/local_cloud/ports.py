"""Claiming the ports a demo listens on, before any work is done."""

import errno
import socket

from spillway.errors import BadInput

HOST = "127.0.0.1"
ANSWER_WITHIN_S = 0.5


def claim(port: int, purpose: str) -> socket.socket:
    """Return a socket bound to `port` on this machine alone, not listening yet.

    Raises:
        BadInput: another program has the port, or it may not be used.
    """
    claimed = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    claimed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        claimed.bind((HOST, port))
    except OSError as error:
        claimed.close()
        raise _refused(port, purpose, error) from error
    return claimed


def require_free(port: int, purpose: str) -> None:
    """Check that `port` can be claimed now, and release it."""
    claim(port, purpose).close()


def answers(port: int) -> bool:
    """Return whether a server listens on `port` of this machine."""
    try:
        socket.create_connection((HOST, port), timeout=ANSWER_WITHIN_S).close()
    except OSError:
        return False
    return True


def _refused(port: int, purpose: str, error: OSError) -> BadInput:
    reason = "is taken by another program" if error.errno == errno.EADDRINUSE else f"cannot be used: {error}"
    return BadInput(
        f"port {port}, for {purpose}, {reason}",
        hint="free it, or choose three others in a row with --port",
    )

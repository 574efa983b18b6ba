"""No load leaves this machine: a flood sent to a shop of somebody's is an attack on it."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from spillway.errors import BadInput


def require_loopback(host: str | None) -> str:
    """The origin to send load to, if it is this very machine.

    Names are not looked up: `localhost` and loopback addresses are taken, every other name is not,
    wherever it leads today.

    Raises:
        BadInput: it is another machine, or no origin at all.
    """
    try:
        parts = urlsplit(host or "")
        name, scheme = parts.hostname or "", parts.scheme
    except ValueError:
        name, scheme = "", ""
    if not host or scheme not in {"http", "https"} or not _is_loopback(name):
        raise BadInput(
            f"--host {host}: load is sent to this machine alone",
            way_out="start the demo and use its address, for example --host http://127.0.0.1:8000",
        )
    return host


def _is_loopback(name: str) -> bool:
    try:
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False

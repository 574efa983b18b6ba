"""Load goes to this machine, or to the shop's own domain: sent to anybody else's it is an attack."""

from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import rtoml

from spillway.errors import BadInput


def require_own(host: str | None, base_url: str) -> str:
    """The origin to send load to, if it is this very machine or the shop at `base_url`.

    Names are not looked up: `localhost`, loopback addresses and the shop's own origin, to the email, are
    taken; every other name is not, wherever it leads today.

    Raises:
        BadInput: it is another machine, or no origin at all.
    """
    if host and host == base_url and host.startswith("https://"):
        return host
    try:
        parts = urlsplit(host or "")
        name, scheme = parts.hostname or "", parts.scheme
    except ValueError:
        name, scheme = "", ""
    if not host or scheme not in {"http", "https"} or not _is_loopback(name):
        raise BadInput(
            f"--host {host}: load is sent to this machine or to the shop's own {base_url}, nowhere else",
            hint="start the demo and use its address, for example --host http://127.0.0.1:8000",
        )
    return host


def own_base_url(site: Path) -> str:
    """Where the shop under `site` says that it is."""
    return str(rtoml.load(site / "site.toml")["base_url"])


def _is_loopback(name: str) -> bool:
    try:
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False

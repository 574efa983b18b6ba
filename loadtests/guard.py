"""Allow load to this machine and to the shop's own domain only: elsewhere it would be an attack."""

from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import rtoml

from spillway.errors import BadInput


def require_own(host: str | None, base_url: str) -> str:
    """Return the origin to send load to, if it is this machine or the shop at `base_url`.

    Names are not resolved: `localhost`, loopback addresses and exactly the shop's origin are accepted, and no
    other name, whatever it resolves to.

    Raises:
        BadInput: It is another machine, or no origin.
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
    """Return the base_url of the shop under `site`."""
    return str(rtoml.load(site / "site.toml")["base_url"])


def _is_loopback(name: str) -> bool:
    try:
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False

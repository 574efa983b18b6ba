"""Addresses on the internet that the shop may call: https, and never a machine of a private network.

A name is resolved once, every address that it has is checked, and the connection goes to a checked address.
A name that answers with another address a moment later (DNS rebinding) changes nothing.
https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import urlsplit

URL_CHARS_MAX = 2048
HTTPS_PORT = 443
# Addresses for networks of the internet; the rest of IPv6 is for machines and links, or reserved.
# https://www.iana.org/assignments/ipv6-address-space/ipv6-address-space.xhtml
GLOBAL_UNICAST = IPv6Network("2000::/3")
# Addresses that hold an IPv4 address to go on to: Teredo and 6to4.
TUNNELS = (IPv6Network("2001::/32"), IPv6Network("2002::/16"))

# Like `socket.getaddrinfo`: raises OSError for a name that it does not know.
Resolver = Callable[..., list[tuple[Any, ...]]]


class TargetRefused(Exception):
    """An address that the shop does not call; the message says why, for the person who chose it."""


class NameUnknown(OSError):
    """A name has no address now. It may have one later."""


@dataclass(frozen=True, slots=True)
class Target:
    """An https address in its parts.

    `host` is in ASCII, without the brackets of an IPv6 address; `path` begins with a slash and has the query.
    """

    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == HTTPS_PORT else f"{host}:{self.port}"


def parse_target(url: str) -> Target:
    """Return the parts of an https address.

    Raises:
        TargetRefused: it is no https address, or has a name and password, a fragment, a space or a control
            character.
    """
    if len(url) > URL_CHARS_MAX:
        raise TargetRefused(f"it has {len(url)} characters, more than {URL_CHARS_MAX}")
    if not url.isprintable() or " " in url:
        raise TargetRefused("it has a space or a control character")
    try:
        parts = urlsplit(url)
        port = HTTPS_PORT if parts.port is None else parts.port
    except ValueError:
        raise TargetRefused("it is no address") from None
    if parts.scheme != "https":
        raise TargetRefused("it does not begin with https://")
    if parts.username is not None or parts.password is not None:
        raise TargetRefused("it has a user name or a password before the host")
    if "#" in url:
        raise TargetRefused("it has a fragment (#), which no server sees")
    if not parts.hostname or port == 0:
        raise TargetRefused("it names no host")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not path.isascii():
        raise TargetRefused("its path is not written in ASCII; encode other characters as %XX")
    return Target(_ascii_host(parts.hostname), port, path)


def _ascii_host(host: str) -> str:
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        raise TargetRefused("its host is no name of the DNS") from None


def is_public(address: str) -> bool:
    """Return whether an IP address belongs to the internet at large.

    Loopback, private, link-local (which has the metadata of clouds), shared, documentation, multicast and
    reserved addresses do not, in IPv4 nor written as IPv6.
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv4Address):
        return ip.is_global and not ip.is_multicast and not ip.is_reserved
    if ip.scope_id is not None or ip not in GLOBAL_UNICAST or any(ip in tunnel for tunnel in TUNNELS):
        return False
    return ip.is_global


def resolve_public(host: str, resolve: Resolver = socket.getaddrinfo) -> list[str]:
    """Return the addresses of a host, all of them checked, in the order of the resolver.

    The system's resolver bounds its own time; a Lambda function's is about ten seconds.

    Args:
        host: A name or an IP address.
        resolve: Is called as `socket.getaddrinfo`.

    Raises:
        TargetRefused: one of its addresses is not public. The others are not called either: an attacker's
            name may have both.
        NameUnknown: it has no address now.
    """
    try:
        found = resolve(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NameUnknown(f"{host} has no address") from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not addresses:
        raise NameUnknown(f"{host} has no address")
    if not all(map(is_public, addresses)):
        raise TargetRefused(f"{host} leads to a private or local network")
    return addresses

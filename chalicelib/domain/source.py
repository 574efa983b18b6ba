"""The network that a request came from, as an id: a cap counts by it, and no address is stored.

A carrier's NAT (RFC 6598) spreads thousands of subscribers over a block of addresses, so an IPv4 network is
a /24. A /64 is the least that one home or one phone has of IPv6 (RFC 6177, RFC 7934).
"""

import hmac
from base64 import b32encode
from ipaddress import IPv6Address, ip_address, ip_network

IPV4_PREFIX_BITS = 24
IPV6_PREFIX_BITS = 64
SOURCE_ID_BYTES = 10
# Also tells such a row from a shopper's, whose id has no dash.
MARK_IPV4, MARK_IPV6 = "net4-", "net6-"


def source_id(address: str, identity_key: bytes) -> str:
    """Return the id of the network that an IP address is of: "net4-" or "net6-" and a keyed hash.

    Empty for any other text and for addresses outside the public internet: they tell no two viewers apart.
    """
    try:
        parsed = ip_address(address.strip())
    except ValueError:
        return ""
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    if not parsed.is_global:
        return ""
    is_v6 = isinstance(parsed, IPv6Address)
    prefix = IPV6_PREFIX_BITS if is_v6 else IPV4_PREFIX_BITS
    network = ip_network((parsed, prefix), strict=False)
    digest = hmac.digest(identity_key, f"network {network}".encode("ascii"), "sha256")[:SOURCE_ID_BYTES]
    return (MARK_IPV6 if is_v6 else MARK_IPV4) + b32encode(digest).decode("ascii").lower()


def is_ipv6(source: str) -> bool:
    """Return whether an id is that of an IPv6 network."""
    return source.startswith(MARK_IPV6)

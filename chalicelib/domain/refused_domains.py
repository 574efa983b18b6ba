"""Domains whose addresses a shop does not take: those that are thrown away after one email."""

import hashlib
from collections.abc import Collection, Set

NAME_CHARS = 12


def list_name(domains: Collection[str]) -> str:
    """What a list is called: another list, another name. Empty for none."""
    if not domains:
        return ""
    return hashlib.sha256("\n".join(sorted(domains)).encode("ascii")).hexdigest()[:NAME_CHARS]


def is_listed(domain: str, listed: Set[str]) -> bool:
    """Whether a domain, or one that it is a part of, is among those `listed` (A-labels, lower case)."""
    while domain:
        if domain in listed:
            return True
        domain = domain.partition(".")[2]
    return False

"""Lists of email domains: rows `domains#NAME` of the products table, written by a publish.

A list is named by its content and never changes, so it is read once.
"""

import zlib
from base64 import b64decode, b64encode
from collections.abc import Collection
from typing import TYPE_CHECKING

from chalicelib.tables.table import Table

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

DOMAINS_PREFIX = "domains#"
# DynamoDB takes items of 400 KB.
PACKED_BYTES_MAX = 380_000


def packed(domains: Collection[str]) -> str:
    """Return a list as it is stored, of at most PACKED_BYTES_MAX."""
    text = "\n".join(sorted(domains))
    return b64encode(zlib.compress(text.encode("ascii"), 9)).decode("ascii")


class DomainListsTable:
    """Reads lists, and keeps them in memory: signed forms alone name lists, and name few."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self.table = Table(client, name)
        self._read: dict[str, frozenset[str]] = {}

    def named(self, name: str) -> frozenset[str]:
        """Return the list of that name; an empty one when there is none."""
        if name not in self._read:
            item = self.table.get({"id": DOMAINS_PREFIX + name}, consistent=False)
            self._read[name] = _unpacked(item["domains"]) if item else frozenset()
        return self._read[name]

    def put(self, name: str, domains: Collection[str]) -> None:
        """Store a list. Older lists stay, since pages name them for months."""
        self.table.put({"id": DOMAINS_PREFIX + name, "domains": packed(domains)})


def _unpacked(text: str) -> frozenset[str]:
    return frozenset(zlib.decompress(b64decode(text)).decode("ascii").split("\n"))

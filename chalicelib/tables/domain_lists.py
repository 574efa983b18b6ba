"""Lists of domains, each one row beside the products: rows `domains#NAME`, written by a publish.

A list is named by its content and never changes: whoever has read it once need not look again.
"""

import zlib
from base64 import b64decode, b64encode
from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

DOMAINS_PREFIX = "domains#"
# DynamoDB takes items of 400 KB.
PACKED_BYTES_MAX = 380_000


def packed(domains: Collection[str]) -> str:
    """A list as it is stored; at most PACKED_BYTES_MAX can be."""
    text = "\n".join(sorted(domains))
    return b64encode(zlib.compress(text.encode("ascii"), 9)).decode("ascii")


class DomainListsTable:
    """Keeps in memory what it has read: signed forms alone name lists, and name a handful."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self._client = client
        self._name = name
        self._read: dict[str, frozenset[str]] = {}

    def named(self, name: str) -> frozenset[str]:
        """The list of that name; an empty one when there is none."""
        if name not in self._read:
            answer = self._client.get_item(TableName=self._name, Key={"id": {"S": DOMAINS_PREFIX + name}})
            item = answer.get("Item")
            self._read[name] = _unpacked(item["domains"]["S"]) if item else frozenset()
        return self._read[name]

    def put(self, name: str, domains: Collection[str]) -> None:
        """Store a list. Pages that name older ones stay good for months: those are kept."""
        item = {"id": {"S": DOMAINS_PREFIX + name}, "domains": {"S": packed(domains)}}
        self._client.put_item(TableName=self._name, Item=item)


def _unpacked(text: str) -> frozenset[str]:
    return frozenset(zlib.decompress(b64decode(text)).decode("ascii").split("\n"))

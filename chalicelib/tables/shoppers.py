"""All that is kept of one shopper: their partition of the entries table."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chalicelib.domain.entry import Entry
from chalicelib.tables.entries import COUNTER_PREFIX, entry_from

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True, slots=True)
class Kept:
    """One entry, and all that stands in its row, by name."""

    entry: Entry
    facts: Mapping[str, str | int]


class ShoppersTable:
    """Sees and forgets a shopper."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self._client = client
        self._name = name

    def kept(self, shopper: str) -> tuple[Kept, ...]:
        """The shopper's entries, expired ones too until they are gone (strongly consistent reads)."""
        items = (item for item in self._rows(shopper) if not item["sku"]["S"].startswith(COUNTER_PREFIX))
        return tuple(Kept(entry_from(item), _facts(item)) for item in items)

    def erase(self, shopper: str) -> int:
        """Forget the shopper; gives the number of rows there were. Erasing twice is erasing once.

        Whether the shopper is suppressed stays known, by an id that only we can make of an address.
        """
        rows = list(self._rows(shopper))
        for item in rows:
            self._client.delete_item(
                TableName=self._name, Key={"shopper": item["shopper"], "sku": item["sku"]}
            )
        return len(rows)

    def _rows(self, shopper: str) -> Iterator[dict[str, Any]]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._name,
            KeyConditionExpression="shopper = :shopper",
            ExpressionAttributeValues={":shopper": {"S": shopper}},
            ConsistentRead=True,
        )
        for page in pages:
            yield from page["Items"]


def _facts(item: Mapping[str, Any]) -> dict[str, str | int]:
    facts: dict[str, str | int] = {}
    for name, value in sorted(item.items()):
        kind, content = next(iter(value.items()))
        text = " ".join(sorted(content)) if kind == "SS" else str(content)
        facts[name] = int(content) if kind == "N" else text
    return facts

"""Everything that is stored of one shopper: their partition of the entries table."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.domain.entry import Entry
from chalicelib.tables.entries import COUNTER_PREFIX, entry_of
from chalicelib.tables.expressions import Attr, Item
from chalicelib.tables.table import Table

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True, slots=True)
class Kept:
    """One entry, and every attribute of its row by name."""

    entry: Entry
    facts: Mapping[str, str | int]


class ShoppersTable:
    """Reads and erases a shopper."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self.table = Table(client, name)

    def kept(self, shopper: str) -> tuple[Kept, ...]:
        """Return the shopper's entries, expired ones too until they are gone (strongly consistent reads)."""
        entries = (row for row in self._rows(shopper) if not row["sku"].startswith(COUNTER_PREFIX))
        return tuple(Kept(entry_of(row), plain(row)) for row in entries)

    def erase(self, shopper: str) -> int:
        """Delete every row of the shopper, and return their number. A repeat deletes nothing.

        A suppression of the shopper stays, by an id that only this shop can make from an address.
        """
        rows = list(self._rows(shopper))
        for row in rows:
            self.table.delete({"shopper": row["shopper"], "sku": row["sku"]})
        return len(rows)

    def _rows(self, shopper: str) -> Iterator[Item]:
        return self.table.query_all(Attr("shopper").eq(shopper))


def plain(item: Item) -> dict[str, str | int]:
    """Return an item's numbers and texts by name; a set is a text of its members."""
    return {
        name: " ".join(sorted(map(str, value))) if isinstance(value, frozenset) else value
        for name, value in sorted(item.items())
    }

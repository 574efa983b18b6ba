"""The demand table: counters of entries by SKU, and a marker for each event that they count.

Partition key `part`, sort key `sku`. A row `demand#NN` has counters of one SKU as numbers (their names are
those of `chalicelib.domain.demand`); a SKU's demand is the sum of its rows in all parts. A row
`counted#EVENT` says that a record of the entries' stream is counted; DynamoDB's TTL deletes it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING
from zlib import crc32

from chalicelib.domain.demand import Demand
from chalicelib.domain.ids import Sku
from chalicelib.tables.expressions import Attr, Item
from chalicelib.tables.table import Read, Table, batch_get

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

PARTS = 16
PART_PREFIX = "demand#"
KEYS_AT_ONCE = 100


def part_name(number: int) -> str:
    """Return the partition key of a part."""
    return f"{PART_PREFIX}{number % PARTS:02d}"


def home_part(sku: Sku) -> str:
    """Return the part that counts a SKU, unless a flood spreads it over all."""
    return part_name(crc32(sku.encode()))


class DemandTable:
    """Reads the demand."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self.table = Table(client, name)

    def all(self) -> dict[Sku, Demand]:
        """Return the demand for each SKU that has any counter, by SKU.

        One query for each of the 16 parts (strongly consistent). They are not one moment: a write between
        two of them may be counted by half.
        """
        return _demands(self.counters())

    def of(self, skus: Iterable[Sku]) -> dict[Sku, Demand]:
        """Return the demand for each of `skus`, also where nothing was ever counted.

        One call for each six SKUs (strongly consistent); above some dozens, `all` is cheaper.
        """
        wanted = tuple(dict.fromkeys(skus))
        sums: dict[Sku, Counter[str]] = {sku: Counter() for sku in wanted}
        keys = [{"part": part_name(number), "sku": sku} for sku in wanted for number in range(PARTS)]
        for start in range(0, len(keys), KEYS_AT_ONCE):
            (rows,) = batch_get(Read(self.table, keys[start : start + KEYS_AT_ONCE]))
            for row in rows:
                sums[row["sku"]].update(counters_of(row))
        return _demands(sums)

    def counters(self) -> dict[Sku, Counter[str]]:
        """Return each SKU's counters, summed over the parts as they are: see `all`."""
        sums: dict[Sku, Counter[str]] = {}
        for row in self.rows():
            sums.setdefault(row["sku"], Counter()).update(counters_of(row))
        return sums

    def rows(self) -> Iterator[Item]:
        """Yield the row of each SKU in each part, as stored."""
        for number in range(PARTS):
            yield from self.table.query_all(Attr("part").eq(part_name(number)))


def counters_of(row: Item) -> dict[str, int]:
    """Return the counters of a row."""
    return {name: value for name, value in row.items() if name not in {"part", "sku"}}


def _demands(sums: Mapping[Sku, Mapping[str, int]]) -> dict[Sku, Demand]:
    return {sku: Demand.of(sku, counters) for sku, counters in sums.items()}

"""The restocks table: every restock of a SKU. The newest one is live."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from chalicelib.domain.stock import Restock
from chalicelib.domain.wave import EVERYONE, WavePolicy
from chalicelib.tables.expressions import Attr, Item
from chalicelib.tables.table import Table

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


class RestocksTable:
    """Partition key `sku`, sort key `opened` (time of observation, then the stock's version)."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self.table = Table(client, name)

    def open(self, restock: Restock) -> None:
        """Write a restock. A repeat changes nothing."""
        self.table.put(
            {
                "sku": restock.sku,
                "opened": f"{restock.observed_at_ms:013d}#{restock.version:012d}#{restock.id}",
                "id": restock.id,
                "slug": restock.slug,
                "observed_at_ms": restock.observed_at_ms,
                "opened_at_ms": restock.opened_at_ms,
                "version": restock.version,
                **({} if restock.units is None else {"units": restock.units}),
                "policy": json.dumps(asdict(restock.policy), sort_keys=True),
            }
        )

    def live(self, sku: str) -> Restock | None:
        """Return the newest restock of a SKU (a strongly consistent read); None when there is none."""
        newest = self.newest(sku, most=1)
        return newest[0] if newest else None

    def newest(self, sku: str, *, most: int) -> tuple[Restock, ...]:
        """Return at most `most` restocks of a SKU, newest first (a strongly consistent read)."""
        items, _ = self.table.query(Attr("sku").eq(sku), limit=most, newest_first=True)
        return tuple(map(_restock_of, items))


def _restock_of(item: Item) -> Restock:
    return Restock(
        id=item["id"],
        slug=item["slug"],
        sku=item["sku"],
        units=item.get("units"),
        observed_at_ms=item["observed_at_ms"],
        opened_at_ms=item["opened_at_ms"],
        policy=WavePolicy(**json.loads(item["policy"])) if "policy" in item else EVERYONE,
        version=item.get("version", 0),
    )

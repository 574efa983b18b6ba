"""The restocks table: every restock of a variant, newest last. Only the newest one is live."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from chalicelib.domain.stock import Restock
from chalicelib.domain.wave import EVERYONE, WavePolicy

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


class RestocksTable:
    """Partition key `sku`, sort key `opened` (time of observation, then the stock's version)."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self._client = client
        self._name = name

    def open(self, restock: Restock) -> None:
        """Write a restock down. Writing the same one again changes nothing."""
        self._client.put_item(
            TableName=self._name,
            Item={
                "sku": {"S": restock.sku},
                "opened": {"S": f"{restock.observed_at_ms:013d}#{restock.version:012d}#{restock.id}"},
                "id": {"S": restock.id},
                "slug": {"S": restock.slug},
                "observed_at_ms": {"N": str(restock.observed_at_ms)},
                "opened_at_ms": {"N": str(restock.opened_at_ms)},
                "version": {"N": str(restock.version)},
                **({} if restock.units is None else {"units": {"N": str(restock.units)}}),
                "policy": {"S": json.dumps(asdict(restock.policy), sort_keys=True)},
            },
        )

    def live(self, sku: str) -> Restock | None:
        """The newest restock of a variant (a strongly consistent read); None when there was none."""
        newest = self.newest(sku, most=1)
        return newest[0] if newest else None

    def newest(self, sku: str, *, most: int) -> tuple[Restock, ...]:
        """The newest restocks of a variant, newest first (a strongly consistent read)."""
        answer = self._client.query(
            TableName=self._name,
            KeyConditionExpression="sku = :sku",
            ExpressionAttributeValues={":sku": {"S": sku}},
            ScanIndexForward=False,
            Limit=most,
            ConsistentRead=True,
        )
        return tuple(_restock_from(item) for item in answer["Items"])


def _restock_from(item: Mapping[str, Any]) -> Restock:
    return Restock(
        id=item["id"]["S"],
        slug=item["slug"]["S"],
        sku=item["sku"]["S"],
        units=int(item["units"]["N"]) if "units" in item else None,
        observed_at_ms=int(item["observed_at_ms"]["N"]),
        opened_at_ms=int(item["opened_at_ms"]["N"]),
        policy=WavePolicy(**json.loads(item["policy"]["S"])) if "policy" in item else EVERYONE,
        version=int(item["version"]["N"]) if "version" in item else 0,
    )

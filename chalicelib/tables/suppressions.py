"""The suppressions table: whom we must not mail, by shopper id (a keyed hash), whatever entries say."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from chalicelib.tables.dynamodb import batch_get

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


class SuppressionsTable:
    """Partition key `shopper`; a row is a suppression, its `reason` a word for the merchant."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self._client = client
        self._name = name

    def suppress(self, shopper: str, *, reason: str, at_ms: int) -> None:
        """Never mail this shopper again. Suppressing twice is suppressing once."""
        self._client.put_item(
            TableName=self._name,
            Item={"shopper": {"S": shopper}, "reason": {"S": reason}, "since_ms": {"N": str(at_ms)}},
        )

    def among(self, shoppers: Iterable[str]) -> frozenset[str]:
        """Those of `shoppers` who are suppressed (strongly consistent reads)."""
        keys = [{"shopper": {"S": shopper}} for shopper in dict.fromkeys(shoppers)]
        items = batch_get(self._client, self._name, keys, attributes=["shopper"])
        return frozenset(item["shopper"]["S"] for item in items)

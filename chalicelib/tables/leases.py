"""Leases in the sending table: who walks a shard of a shard right now.

A lease ends by itself, and it outlasts the longest life of a function: one that has ended belonged
to a worker that is surely dead.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from chalicelib.tables.dynamodb import transact, update_if

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


class LeasesTable:
    """Rows `lease#SHARD` of the sending table."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self._client = client
        self._name = name

    def take(self, shards: Sequence[str], *, holder: str, at_ms: int, lease_ms: int) -> bool:
        """Take all of `shards` (at most 100), or none of them: false when somebody holds one."""
        requests = [self._taking(shard, holder, at_ms, lease_ms) for shard in shards]
        if len(requests) == 1:
            return update_if(self._client, **requests[0])
        return not transact(self._client, [{"Update": request} for request in requests])

    def release(self, shards: Sequence[str], *, holder: str) -> None:
        """Give `shards` back; one that another holds by now stays theirs."""
        for shard in shards:
            update_if(
                self._client,
                TableName=self._name,
                Key=_key(shard),
                UpdateExpression="REMOVE holder, lease_until_ms",
                ConditionExpression="holder = :holder",
                ExpressionAttributeValues={":holder": {"S": holder}},
            )

    def _taking(self, shard: str, holder: str, at_ms: int, lease_ms: int) -> dict[str, Any]:
        return {
            "TableName": self._name,
            "Key": _key(shard),
            "UpdateExpression": "SET holder = :holder, lease_until_ms = :until",
            "ConditionExpression": "attribute_not_exists(holder) OR lease_until_ms < :now",
            "ExpressionAttributeValues": {
                ":holder": {"S": holder},
                ":until": {"N": str(at_ms + lease_ms)},
                ":now": {"N": str(at_ms)},
            },
        }


def _key(shard: str) -> dict[str, Any]:
    return {"id": {"S": f"lease#{shard}"}}

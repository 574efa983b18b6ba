"""Signed webhooks that were taken in, so that each is taken in once: rows of the sending table."""

from typing import TYPE_CHECKING

from chalicelib.tables.dynamodb import update_if

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

# Far longer than a signature is good for.
KEPT_S = 3600


class WebhooksTable:
    """Rows `webhook#DIGEST` of the sending table."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self._client = client
        self._name = name

    def is_known(self, digest: str) -> bool:
        """Return whether the request of this digest was taken in (a strongly consistent read)."""
        key = {"id": {"S": f"webhook#{digest}"}}
        return "Item" in self._client.get_item(TableName=self._name, Key=key, ConsistentRead=True)

    def first_time(self, digest: str, *, at_ms: int) -> bool:
        """Note that the request of this digest was taken in; false when that was noted before."""
        return update_if(
            self._client,
            TableName=self._name,
            Key={"id": {"S": f"webhook#{digest}"}},
            UpdateExpression="SET expires_at_s = :expires",
            ConditionExpression="attribute_not_exists(id)",
            ExpressionAttributeValues={":expires": {"N": str(at_ms // 1000 + KEPT_S)}},
        )

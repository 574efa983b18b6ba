"""Alerts that were sent already, so that none is repeated: one row of the sending table."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

KEY = {"id": {"S": "alert-state"}}


class AlertStateTable:
    """Store the number of dead letters that the last alert named."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self._client = client
        self._name = name

    def dead_letters(self) -> int:
        """Return how many dead letters the last alert named; 0 before the first."""
        item = self._client.get_item(TableName=self._name, Key=KEY, ConsistentRead=True).get("Item")
        return int(item["dead_letters"]["N"]) if item else 0

    def alerted(self, dead_letters: int) -> None:
        """Store how many dead letters an alert named, or are left."""
        self._client.put_item(TableName=self._name, Item={**KEY, "dead_letters": {"N": str(dead_letters)}})

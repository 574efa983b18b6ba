"""What somebody was told of already, so that nobody is told twice: one row of the sending table."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

KEY = {"id": {"S": "told"}}


class NoticesTable:
    """Remembers notices."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self._client = client
        self._name = name

    def dead_letters(self) -> int:
        """How many dead letters the last notice told of; none before the first."""
        item = self._client.get_item(TableName=self._name, Key=KEY, ConsistentRead=True).get("Item")
        return int(item["dead_letters"]["N"]) if item else 0

    def tell(self, dead_letters: int) -> None:
        """Remember that so many were told of, or are left."""
        self._client.put_item(TableName=self._name, Item={**KEY, "dead_letters": {"N": str(dead_letters)}})

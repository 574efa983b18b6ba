"""The two DynamoDB requests that need a word around them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

BATCH_GET_MAX = 100


def update_if(client: "DynamoDBClient", **request: Any) -> bool:
    """One conditional UpdateItem; false when its condition does not hold, and nothing has changed."""
    try:
        client.update_item(**request)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
            return False
        raise
    return True


def batch_get(
    client: "DynamoDBClient", table: str, keys: Sequence[Mapping[str, Any]], *, attributes: Iterable[str]
) -> Iterator[dict[str, Any]]:
    """Items by key, `attributes` of them, strongly consistent; in pages of 100, until none is left over."""
    names = {f"#{place}": name for place, name in enumerate(attributes)}
    for start in range(0, len(keys), BATCH_GET_MAX):
        request: Any = {
            "Keys": list(keys[start : start + BATCH_GET_MAX]),
            "ConsistentRead": True,
            "ProjectionExpression": ", ".join(names),
            "ExpressionAttributeNames": names,
        }
        while request:
            answer = client.batch_get_item(RequestItems={table: request})
            yield from answer["Responses"].get(table, [])
            request = answer["UnprocessedKeys"].get(table)

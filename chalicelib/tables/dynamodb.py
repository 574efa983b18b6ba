"""The DynamoDB requests that need a word around them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from chalicelib.aws.errors import CONDITION_FAILED, code_of

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

BATCH_GET_MAX = 100


class Updates(Protocol):
    """Anything that carries out an UpdateItem: boto3's client, or ours for a shopper's calls."""

    @property
    def update_item(self) -> Callable[..., Any]:
        """DynamoDB's UpdateItem."""


def update_if(client: Updates, **request: Any) -> bool:
    """One conditional UpdateItem; false when its condition does not hold, and nothing has changed."""
    try:
        client.update_item(**request)
    except Exception as error:
        if code_of(error) == CONDITION_FAILED:
            return False
        raise
    return True


def transact(client: "DynamoDBClient", writes: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """At most 100 conditional writes, all of them or none; empty when they are done.

    Else the reason of each write in order: "None" (nothing against it), "ConditionalCheckFailed",
    "TransactionConflict" (another wrote to the same item just then).
    """
    try:
        client.transact_write_items(TransactItems=list(writes))  # type: ignore[arg-type]
    except Exception as error:
        if code_of(error) != "TransactionCanceledException":
            raise
        reasons: Any = getattr(error, "response", {}).get("CancellationReasons", ())
        return tuple(reason.get("Code", "None") for reason in reasons)
    return ()


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

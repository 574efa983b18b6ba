"""DynamoDB requests that need more than a call: conditions that may fail, answers that come in parts."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from chalicelib.aws.errors import CONDITION_FAILED, code_of

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

BATCH_GET_MAX = 100
STATEMENTS_MAX = 25
CONDITION_NOT_MET = "ConditionalCheckFailed"
# Why a transaction is cancelled although nothing is wrong with it: a condition, other writers, or the load.
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
CANCELLED_BY_OTHERS = frozenset(
    {"None", CONDITION_NOT_MET, "TransactionConflict", "ProvisionedThroughputExceeded", "ThrottlingError"}
)


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


def delete_if(client: "DynamoDBClient", **request: Any) -> bool:
    """Make one conditional DeleteItem; false when its condition does not hold, and nothing has changed."""
    try:
        client.delete_item(**request)
    except Exception as error:
        if code_of(error) == CONDITION_FAILED:
            return False
        raise
    return True


def put_if(client: "DynamoDBClient", **request: Any) -> bool:
    """Make one conditional PutItem; false when its condition does not hold, and nothing has changed."""
    try:
        client.put_item(**request)
    except Exception as error:
        if code_of(error) == CONDITION_FAILED:
            return False
        raise
    return True


def transact(client: "DynamoDBClient", writes: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """At most 100 conditional writes, all of them or none; empty when they are done.

    Else the reason of each write in order: "None" (nothing against it), "ConditionalCheckFailed", or one that
    passes: "TransactionConflict" (another wrote to the same item just then), "ThrottlingError" and
    "ProvisionedThroughputExceeded".

    Raises:
        ClientError: the call was refused, or cancelled for a reason that no repeat changes.
    """
    try:
        client.transact_write_items(TransactItems=list(writes))  # type: ignore[arg-type]
    except Exception as error:
        if code_of(error) != "TransactionCanceledException":
            raise
        answer: Any = getattr(error, "response", {})
        reasons = tuple(reason.get("Code", "None") for reason in answer.get("CancellationReasons", ()))
        if not reasons or not CANCELLED_BY_OTHERS.issuperset(reasons):
            raise
        return reasons
    return ()


def execute_each(client: "DynamoDBClient", statements: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Conditional writes in PartiQL, each done or not for itself, at half a transaction's price.

    The reason why each was not done, in order; empty where it was.
    """
    reasons: list[str] = []
    for start in range(0, len(statements), STATEMENTS_MAX):
        part: Any = statements[start : start + STATEMENTS_MAX]
        answer = client.batch_execute_statement(Statements=part)
        reasons += [response.get("Error", {}).get("Code", "") for response in answer["Responses"]]
    return tuple(reasons)


def batch_get_both(
    client: "DynamoDBClient", requests: Mapping[str, tuple[Sequence[Mapping[str, Any]], Iterable[str]]]
) -> dict[str, list[dict[str, Any]]]:
    """Items of several tables in one call: {table: (keys, attributes)}, at most 100 keys in all."""
    remaining: Any = {table: _reading(keys, attributes) for table, (keys, attributes) in requests.items()}
    found: dict[str, list[dict[str, Any]]] = {table: [] for table in requests}
    while remaining:
        answer = client.batch_get_item(RequestItems=remaining)
        for table, items in answer["Responses"].items():
            found[table] += items
        remaining = answer["UnprocessedKeys"]
    return found


def batch_get(
    client: "DynamoDBClient", table: str, keys: Sequence[Mapping[str, Any]], *, attributes: Iterable[str]
) -> Iterator[dict[str, Any]]:
    """Items by key, `attributes` of them, strongly consistent; in pages of 100, until none is left over."""
    wanted = tuple(attributes)
    for start in range(0, len(keys), BATCH_GET_MAX):
        part = keys[start : start + BATCH_GET_MAX]
        yield from batch_get_both(client, {table: (part, wanted)})[table]


def _reading(keys: Sequence[Mapping[str, Any]], attributes: Iterable[str]) -> dict[str, Any]:
    names = {f"#{place}": name for place, name in enumerate(attributes)}
    return {
        "Keys": list(keys),
        "ConsistentRead": True,
        "ProjectionExpression": ", ".join(names),
        "ExpressionAttributeNames": names,
    }

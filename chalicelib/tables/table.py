"""One DynamoDB table that takes and returns Python values.

The modules of the tables name attributes, values and conditions; requests are made here, and nowhere else.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from chalicelib.aws.connections import CONDITION_FAILED, code_of
from chalicelib.tables.expressions import (
    Attr,
    Condition,
    Item,
    Operand,
    Param,
    Parameters,
    Path,
    Placeholders,
    Values,
    Words,
    decode_item,
    encode,
    encode_item,
)

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

Key = Mapping[str, str]

BATCH_GET_MAX = 100
STATEMENTS_MAX = 25
CONDITION_NOT_MET = "ConditionalCheckFailed"
# Reasons to cancel a transaction that a repeat may change: a condition, other writers, or the load.
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
CANCELLED_BY_OTHERS = frozenset(
    {"None", CONDITION_NOT_MET, "TransactionConflict", "ProvisionedThroughputExceeded", "ThrottlingError"}
)


class Table:
    """Reads and writes of one table. A write with `_if` returns whether its condition holds."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self.client = client
        self.name = name

    def get(self, key: Key, *, consistent: bool = True) -> Item | None:
        """Return an item; None when there is none."""
        request = {"TableName": self.name, "Key": encode_item(key), **_consistent(consistent)}
        answer: Any = self.client.get_item(**request)
        return decode_item(answer["Item"]) if "Item" in answer else None

    def batch_get(self, keys: Sequence[Key], attributes: Iterable[str]) -> Iterator[Item]:
        """Yield `attributes` of the items that exist, in no order (strongly consistent reads)."""
        wanted = tuple(attributes)
        for start in range(0, len(keys), BATCH_GET_MAX):
            (items,) = batch_get(ReadByKey(self, keys[start : start + BATCH_GET_MAX], wanted))
            yield from items

    def query(
        self, condition: Condition, *, limit: int, index: str | None = None, newest_first: bool = False
    ) -> tuple[list[Item], bool]:
        """Return at most `limit` items in the order of the sort key, and whether more may follow.

        Reads of the table are strongly consistent; those of an index cannot be.
        """
        order: Any = {"ScanIndexForward": False} if newest_first else {}
        answer: Any = self.client.query(**self._query(condition, index), **order, Limit=limit)
        return [decode_item(item) for item in answer["Items"]], "LastEvaluatedKey" in answer

    def query_all(self, condition: Condition) -> Iterator[Item]:
        """Yield every item under a partition key (strongly consistent reads)."""
        for page in self.client.get_paginator("query").paginate(**self._query(condition, None)):
            yield from map(decode_item, page["Items"])

    def count(self, condition: Condition, *, index: str) -> int:
        """Return the number of an index's items."""
        pages = self.client.get_paginator("query").paginate(**self._query(condition, index), Select="COUNT")
        return sum(page["Count"] for page in pages)

    def scan(
        self,
        condition: Condition | None = None,
        *,
        consistent: bool = False,
        attributes: Iterable[str] = (),
    ) -> Iterator[Item]:
        """Yield every item that fulfils the condition, in no order. Reads the whole table.

        Naming `attributes` saves bytes, not read units.
        """
        expressions = Placeholders()
        request: dict[str, Any] = {"TableName": self.name, **_consistent(consistent)}
        names = ", ".join(expressions.name(name) for name in attributes)
        if names:
            request["ProjectionExpression"] = names
        if condition:
            request["FilterExpression"] = condition.write(expressions)
        for page in self.client.get_paginator("scan").paginate(**request, **expressions.as_arguments()):
            yield from map(decode_item, page["Items"])

    def put(self, item: Item) -> None:
        """Write an item in place of the one with its key."""
        self.client.put_item(**Put(self, item).request())

    def put_if(self, item: Item, condition: Condition) -> bool:
        """Write an item; false when the item with its key does not fulfil the condition."""
        return _holds(lambda: self.client.put_item(**Put(self, item, condition).request()))

    def make(self, update: "Update") -> None:
        """Make an update without a condition."""
        self.client.update_item(**update.request())

    def update_if(self, key: Key, condition: Condition, values: Values | None = None, **changes: Any) -> bool:
        """Change an item, see `Update`; false when it does not fulfil the condition."""
        update = Update(self, key, values, condition=condition, **changes)
        return _holds(lambda: self.client.update_item(**update.request()))

    def update_and_get(
        self, update: "Update", *, returning: Literal["ALL_NEW", "UPDATED_NEW"] = "ALL_NEW"
    ) -> Item | None:
        """Change an item and return its attributes after that; None when its condition does not hold."""
        answers: list[Any] = []
        done = _holds(
            lambda: answers.append(self.client.update_item(**update.request(), ReturnValues=returning))
        )
        return decode_item(answers[0]["Attributes"]) if done else None

    def delete(self, key: Key) -> None:
        """Delete an item, if there is one."""
        self.client.delete_item(TableName=self.name, Key=encode_item(key))

    def delete_if(self, key: Key, condition: Condition) -> bool:
        """Delete an item; false when it does not fulfil the condition."""
        expressions = Placeholders()
        request = {"ConditionExpression": condition.write(expressions), **expressions.as_arguments()}
        return _holds(lambda: self.client.delete_item(TableName=self.name, Key=encode_item(key), **request))

    def transact(self, writes: "Sequence[Update | Put]", *, token: str | None = None) -> tuple[str, ...]:
        """Make at most 100 writes, of this table and others: all of them or none.

        Args:
            writes: each of another item.
            token: at most 36 characters. The same writes with the same token take effect once in ten minutes.

        Returns:
            Nothing when they are done. Else a reason for each write in order: "None" (nothing against it),
            "ConditionalCheckFailed", or one that passes: "TransactionConflict" (another writer),
            "ThrottlingError" and "ProvisionedThroughputExceeded".

        Raises:
            ClientError: the call was refused, or cancelled for a reason that no repeat changes.
        """
        once: Any = {"ClientRequestToken": token} if token else {}
        items: Any = [{type(write).__name__: write.request()} for write in writes]
        try:
            self.client.transact_write_items(TransactItems=items, **once)
        except Exception as error:
            if code_of(error) != "TransactionCanceledException":
                raise
            answer: Any = getattr(error, "response", {})
            reasons = tuple(reason.get("Code", "None") for reason in answer.get("CancellationReasons", ()))
            if not reasons or not CANCELLED_BY_OTHERS.issuperset(reasons):
                raise
            return reasons
        return ()

    def execute_each(self, statements: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
        """Make separate conditional updates in PartiQL, at half a transaction's price.

        Args:
            statements: the updates, as `Update.statement` and `PreparedStatement.each` return them.

        Returns:
            For each update the reason why it was not made, in order; "" when it was.
        """
        reasons: list[str] = []
        for start in range(0, len(statements), STATEMENTS_MAX):
            part: Any = statements[start : start + STATEMENTS_MAX]
            answer = self.client.batch_execute_statement(Statements=part)
            reasons += [response.get("Error", {}).get("Code", "") for response in answer["Responses"]]
        return tuple(reasons)

    def _query(self, condition: Condition, index: str | None) -> dict[str, Any]:
        expressions = Placeholders()
        return {
            "TableName": self.name,
            **({"IndexName": index} if index else {"ConsistentRead": True}),
            "KeyConditionExpression": condition.write(expressions),
            **expressions.as_arguments(),
        }


# Plain classes: a dataclass costs a cold start most of a millisecond.
class ReadByKey:
    """Items to read by key, and the attributes to return of them: none named means each."""

    def __init__(self, table: Table, keys: Sequence[Key], attributes: Iterable[str] = ()) -> None:
        self.table = table
        self.keys = keys
        self.attributes = tuple(attributes)

    def request(self) -> dict[str, Any]:
        """Return the request for one table of a BatchGetItem."""
        expressions = Placeholders()
        names = ", ".join(expressions.name(name) for name in self.attributes)
        return {
            "Keys": [encode_item(key) for key in self.keys],
            "ConsistentRead": True,
            **({"ProjectionExpression": names} if names else {}),
            **expressions.as_arguments(),
        }


def batch_get(*reads: ReadByKey) -> tuple[list[Item], ...]:
    """Read items of several tables by one call, at most 100 keys in all; those that exist, by table."""
    remaining: Any = {read.table.name: read.request() for read in reads if read.keys}
    found: dict[str, list[Item]] = {read.table.name: [] for read in reads}
    while remaining:
        answer = reads[0].table.client.batch_get_item(RequestItems=remaining)
        for table, items in answer["Responses"].items():
            found[table] += map(decode_item, items)
        remaining = answer["UnprocessedKeys"]
    return tuple(found.values())


class Put:
    """One item to write, alone or in a transaction."""

    def __init__(self, table: Table, item: Item, condition: Condition | None = None) -> None:
        self.table = table
        self.item = item
        self.condition = condition

    def request(self) -> dict[str, Any]:
        """Return the request of a PutItem."""
        expressions = Placeholders()
        return {
            "TableName": self.table.name,
            "Item": encode_item(self.item),
            **_condition(self.condition, expressions),
            **expressions.as_arguments(),
        }


class Update:
    """Changes of one item, made alone, in a transaction, or as a statement.

    `values` are set, `remove` are deleted, `add` adds numbers to numbers and members to sets.
    """

    def __init__(
        self,
        table: Table,
        key: Key,
        values: Values | None = None,
        *,
        remove: Sequence[Path] = (),
        add: Values | None = None,
        condition: Condition | None = None,
    ) -> None:
        self.table = table
        self.key = key
        self.values = values or {}
        self.remove = remove
        self.add = add or {}
        self.condition = condition

    def request(self) -> dict[str, Any]:
        """Return the request of an UpdateItem."""
        expressions = Placeholders()
        actions = {name: ", ".join(texts) for name, texts in self._actions(expressions).items() if texts}
        return {
            "TableName": self.table.name,
            "Key": encode_item(self.key),
            "UpdateExpression": " ".join(f"{name} {text}" for name, text in actions.items()),
            **_condition(self.condition, expressions),
            **expressions.as_arguments(),
        }

    def statement(self) -> dict[str, Any]:
        """Return the PartiQL statement with the same meaning."""
        parameters = Parameters()
        actions = [f"{name} {text}" for name, texts in self._actions(parameters).items() for text in texts]
        conditions = [Attr(name).eq(value) for name, value in self.key.items()]
        if self.condition:
            conditions.append(self.condition)
        where = " AND ".join(condition.write(parameters) for condition in conditions)
        text = f'UPDATE "{self.table.name}" {" ".join(actions)} WHERE {where}'
        return {"Statement": text, "Parameters": parameters.values}

    def _actions(self, words: Words) -> dict[str, list[str]]:
        return {
            "SET": [
                f"{words.name(path)} = {_operand(value, path, words)}" for path, value in self.values.items()
            ],
            "REMOVE": [words.name(path) for path in self.remove],
            "ADD": [f"{words.name(path)} {words.value(value, path)}" for path, value in self.add.items()],
        }


class PreparedUpdate:
    """A conditional update whose expressions are written once, for a request that is made very often.

    Its values may be `Param`: each call gives them by name.
    """

    def __init__(self, update: Update) -> None:
        self._table = update.table
        request = update.request()
        values = request.pop("ExpressionAttributeValues")
        self._request = request
        self._known = {alias: value for alias, value in values.items() if type(value) is not Param}
        self._given = {alias: value.name for alias, value in values.items() if type(value) is Param}

    def make(self, key: Key, **given: Any) -> bool:
        """Change an item; false when it does not fulfil the condition."""
        values = {alias: encode(given[name]) for alias, name in self._given.items()}
        return _holds(
            lambda: self._table.client.update_item(
                **{**self._request, "Key": encode_item(key)},
                ExpressionAttributeValues={**self._known, **values},
            )
        )


class PreparedStatement:
    """A conditional update as a statement whose text is written once, for the same change of many items.

    Its values and its key may be `Param`.
    """

    def __init__(self, update: Update) -> None:
        statement = update.statement()
        self._text = statement["Statement"]
        self._parameters = statement["Parameters"]

    def each(self, given: Iterable[Mapping[str, Any]], **common: Any) -> list[dict[str, Any]]:
        """Return a statement for each mapping of names to values; `common` are values of all of them."""
        shared = {name: encode(value) for name, value in common.items()}
        known = [
            shared.get(parameter.name, parameter) if type(parameter) is Param else parameter
            for parameter in self._parameters
        ]
        return [
            {
                "Statement": self._text,
                "Parameters": [
                    encode(values[parameter.name]) if type(parameter) is Param else parameter
                    for parameter in known
                ],
            }
            for values in given
        ]


def _operand(value: Any, path: Path, words: Words) -> str:
    return value.write(words) if isinstance(value, Operand) else words.value(value, path)


def _condition(condition: Condition | None, words: Words) -> dict[str, Any]:
    return {"ConditionExpression": condition.write(words)} if condition else {}


def _consistent(consistent: bool) -> dict[str, Any]:
    return {"ConsistentRead": True} if consistent else {}


def _holds(write: Callable[[], Any]) -> bool:
    try:
        write()
    except Exception as error:
        if code_of(error) == CONDITION_FAILED:
            return False
        raise
    return True

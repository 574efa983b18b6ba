"""DynamoDB in memory, called as boto3's client is: microseconds for a call where moto takes milliseconds.

It does what the tables ask of DynamoDB and no more. Each request is held to botocore's model and to the
table's schema: a wrong one fails as it does with boto3. The contract tests hold it to the same promises as
moto and the emulator.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count, islice
from threading import RLock
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

from tests.support.aws_models import check_request
from tests.support.expressions import (
    Condition,
    InvalidExpression,
    Item,
    Names,
    Place,
    Values,
    check_words,
    condition_of,
    key_condition_of,
    name_of,
    projection_of,
    sort_value,
    updated,
)
from tests.support.stored_table import Index, Key, KeyMismatch, StoredTable

PAGE_BYTES_MAX = 1024 * 1024
TRANSACTION_WRITES_MAX = 100
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
EXPRESSION_BYTES_MAX = 4096
STATEMENT = re.compile(r'UPDATE "(?P<table>[^"]+)" (?P<update>.+) WHERE (?P<condition>.+)')
EXPRESSIONS = (
    "UpdateExpression",
    "ConditionExpression",
    "KeyConditionExpression",
    "FilterExpression",
    "ProjectionExpression",
)
NOTHING: Mapping[str, Any] = {}


class ConditionFailed(ClientError):
    """The condition of a write does not hold."""

    def __init__(self) -> None:
        super().__init__({"Error": {"Code": "ConditionalCheckFailedException", "Message": "no"}}, "Write")


class MemoryDynamoDb:
    """As many tables as are created. One request at a time takes effect, as seen from outside.

    `checked=False` leaves out botocore's model, the use of placeholders, the types of index keys and the
    megabyte of a page: for millions of requests whose form other tests hold to them.
    """

    exceptions = SimpleNamespace(ConditionalCheckFailedException=ConditionFailed)

    def __init__(self, *, checked: bool = True) -> None:
        self._tables: dict[str, StoredTable] = {}
        self._tokens: dict[str, Any] = {}
        self._alone = RLock()
        self._checked = checked

    def clear(self, table: str) -> None:
        """Delete every item of a table."""
        self._tables[table].clear()

    def create_table(
        self,
        *,
        TableName: str,  # noqa: N803 - boto3's name
        KeySchema: Sequence[Mapping[str, str]],  # noqa: N803
        AttributeDefinitions: Sequence[Mapping[str, str]],  # noqa: N803
        GlobalSecondaryIndexes: Sequence[Mapping[str, Any]] = (),  # noqa: N803
        **_: Any,
    ) -> None:
        """DynamoDB's CreateTable."""
        keys = _attributes(KeySchema)
        self._tables[TableName] = StoredTable(
            keys,
            {index["IndexName"]: _index(index, keys) for index in GlobalSecondaryIndexes},
            {attribute["AttributeName"]: attribute["AttributeType"] for attribute in AttributeDefinitions},
        )

    def list_tables(self) -> dict[str, list[str]]:
        """DynamoDB's ListTables, in one page."""
        return {"TableNames": sorted(self._tables)}

    def get_item(self, **request: Any) -> dict[str, Any]:
        """DynamoDB's GetItem."""
        self._check("GetItem", request)
        self._check_words(request)
        item = self._item(request["TableName"], request["Key"])
        return {"Item": _projected([item], request)[0]} if item else {}

    def put_item(self, **request: Any) -> dict[str, Any]:
        """DynamoDB's PutItem."""
        self._check("PutItem", request)
        return self._write("Put", request)

    def update_item(self, **request: Any) -> dict[str, Any]:
        """DynamoDB's UpdateItem. `UPDATED_NEW` answers with the whole item: more than was asked for."""
        self._check("UpdateItem", request)
        with self._alone:
            self._write("Update", request)
            if "ReturnValues" not in request:
                return {}
            return {"Attributes": dict(self._item(request["TableName"], request["Key"]) or {})}

    def delete_item(self, **request: Any) -> dict[str, Any]:
        """DynamoDB's DeleteItem."""
        self._check("DeleteItem", request)
        return self._write("Delete", request)

    def transact_write_items(self, **request: Any) -> dict[str, Any]:
        """DynamoDB's TransactWriteItems."""
        self._check("TransactWriteItems", request)
        with self._alone:
            token = request.get("ClientRequestToken")
            if token in self._tokens:
                if self._tokens[token] != request:
                    raise _error("IdempotentParameterMismatchException", token)
                return {}
            writes = [(kind, write) for item in request["TransactItems"] for kind, write in item.items()]
            places = [(write["TableName"], self._place(kind, write)) for kind, write in writes]
            if len(writes) > TRANSACTION_WRITES_MAX or len(set(places)) < len(places):
                raise _invalid("one write of an item, and a hundred in all, is the most")
            held = [
                self._condition_holds(write, place)
                for (_, write), (_, place) in zip(writes, places, strict=True)
            ]
            if not all(held):
                reasons = [{"Code": "None" if holds else "ConditionalCheckFailed"} for holds in held]
                canceled: Any = {
                    "Error": {"Code": "TransactionCanceledException", "Message": "no"},
                    "CancellationReasons": reasons,
                }
                raise ClientError(canceled, "TransactWriteItems")
            for (kind, write), (_, place) in zip(writes, places, strict=True):
                self._carry_out(kind, write, place)
            if token:
                self._tokens[token] = request
        return {}

    def items(self, table: str) -> Mapping[Key, Item]:
        """Return the items of a table by key, as they are stored."""
        return self._tables[table].items

    def forget_tokens(self) -> None:
        """Let the ten minutes pass in which DynamoDB knows the tokens of transactions."""
        self._tokens.clear()

    def batch_execute_statement(self, **request: Any) -> dict[str, Any]:
        """DynamoDB's BatchExecuteStatement, of conditional updates."""
        self._check("BatchExecuteStatement", request)
        responses: list[dict[str, Any]] = []
        for statement in request["Statements"]:
            try:
                self._execute(statement["Statement"], statement["Parameters"])
            except ConditionFailed:
                responses.append({"Error": {"Code": "ConditionalCheckFailed", "Message": "no"}})
            else:
                responses.append({})
        return {"Responses": responses}

    def batch_get_item(self, **request: Any) -> dict[str, Any]:
        """DynamoDB's BatchGetItem."""
        self._check("BatchGetItem", request)
        found: dict[str, list[Item]] = {}
        for name, wanted in request["RequestItems"].items():
            self._check_words(wanted)
            table = self._tables[name]
            try:
                keys = [table.check_key(key) for key in wanted["Keys"]]
            except KeyMismatch as error:
                raise _invalid(str(error)) from error
            if len(set(keys)) < len(keys):
                raise _invalid("Provided list of item keys contains duplicates")
            items = [table.items.get(key) for key in keys]
            found[name] = _projected([item for item in items if item], wanted)
        return {"Responses": found, "UnprocessedKeys": {}}

    def query(self, **request: Any) -> dict[str, Any]:
        """DynamoDB's Query."""
        self._check("Query", request)
        self._check_words(request)
        table = self._tables[request["TableName"]]
        index = table.indexes[request["IndexName"]] if "IndexName" in request else table.own
        with self._alone:
            items = _in_order(table, index.attributes, request)
            return self._page(index, items, request)

    def scan(self, **request: Any) -> dict[str, Any]:
        """DynamoDB's Scan."""
        self._check("Scan", request)
        self._check_words(request)
        table = self._tables[request["TableName"]]
        with self._alone:
            keys = sorted(table.items)
            if "ExclusiveStartKey" in request:
                keys = keys[bisect_right(keys, table.key_of(request["ExclusiveStartKey"])) :]
            return self._page(table.own, (table.items[key] for key in keys), request)

    def get_paginator(self, operation: str) -> "Paginator":
        """Pages of a query or a scan."""
        return Paginator(getattr(self, operation))

    def _check(self, operation: str, request: Mapping[str, Any]) -> None:
        if self._checked:
            check_request("dynamodb", operation, request)

    def _check_words(self, request: Mapping[str, Any]) -> None:
        if not self._checked:
            return
        expressions = tuple([request[name] for name in EXPRESSIONS if name in request])
        if any(len(expression.encode()) > EXPRESSION_BYTES_MAX for expression in expressions):
            raise _invalid("Expression size has exceeded the maximum allowed size")
        try:
            check_words(expressions, *_meanings(request))
        except InvalidExpression as error:
            raise _invalid(str(error)) from error

    def _item(self, name: str, key: Item) -> Item | None:
        table = self._tables[name]
        try:
            return table.items.get(table.check_key(key))
        except KeyMismatch as error:
            raise _invalid(str(error)) from error

    def _page(self, index: Index, items: Iterator[Item], request: Mapping[str, Any]) -> dict[str, Any]:
        limit = request.get("Limit")
        page: list[Item] = []
        page_bytes = 0
        if not self._checked:
            page += islice(items, limit)
        else:
            for item in islice(items, limit):
                page.append(item)
                page_bytes += len(repr(item))
                if page_bytes > PAGE_BYTES_MAX:
                    break
        if index.projected is not None:
            page = [_with(index.projected, item) for item in page]
        chosen = page
        if "FilterExpression" in request:
            chosen = [item for item in page if _holds("FilterExpression", item, request)]
        answer: dict[str, Any] = {"Count": len(chosen), "ScannedCount": len(page)}
        if request.get("Select") != "COUNT":
            is_copy = index.projected is not None and "ProjectionExpression" not in request
            answer["Items"] = chosen if is_copy else _projected(chosen, request)
        # As DynamoDB does: a page that is full says that more may follow, whether or not it does.
        if page and (len(page) == limit or next(items, None) is not None):
            answer["LastEvaluatedKey"] = _with(index.keys, page[-1])
        return answer

    def _write(self, kind: str, request: Mapping[str, Any]) -> dict[str, Any]:
        with self._alone:
            place = self._place(kind, request)
            if not self._condition_holds(request, place):
                raise ConditionFailed
            self._carry_out(kind, request, place)
        return {}

    def _place(self, kind: str, write: Mapping[str, Any]) -> Key:
        table = self._tables[write["TableName"]]
        try:
            if kind != "Put":
                return table.check_key(write["Key"])
            if self._checked:
                table.check_types(write["Item"])
            return table.key_of(write["Item"])
        except KeyMismatch as error:
            raise _invalid(str(error)) from error

    def _condition_holds(self, write: Mapping[str, Any], place: Key) -> bool:
        self._check_words(write)
        if "ConditionExpression" not in write:
            return True
        return _holds("ConditionExpression", self._tables[write["TableName"]].items.get(place, {}), write)

    def _carry_out(self, kind: str, write: Mapping[str, Any], place: Key) -> None:
        table = self._tables[write["TableName"]]
        if kind == "Put":
            table.put(place, dict(write["Item"]))
        elif kind == "Update":
            before = table.items.get(place) or dict(write["Key"])
            self._update(table, place, write["UpdateExpression"], before, *_meanings(write))
        elif kind == "Delete":
            table.drop(place)

    def _update(
        self, table: StoredTable, place: Key, expression: str, before: Item, names: Names, values: Values
    ) -> None:
        try:
            after = updated(expression, before, names, values)
            if self._checked:
                table.check_types(after)
        except (InvalidExpression, KeyMismatch) as error:
            raise _invalid(str(error)) from error
        table.put(place, after)

    def _execute(self, text: str, parameters: Sequence[Mapping[str, Any]]) -> None:
        """Carry out one conditional UPDATE; its condition compares the attributes of the key."""
        statement = _statement(text)
        if len(statement.placeholders) != len(parameters):
            raise _invalid(text)
        values = dict(zip(statement.placeholders, parameters, strict=True))
        table, compared = self._tables[statement.table], statement.compared
        with self._alone:
            try:
                place = tuple([values[compared[name]][table.types[name]] for name in table.keys])
            except KeyError:
                raise _invalid(f"a part of the key is missing, or of another type: {text}") from None
            # It compares the key: without an item it does not hold.
            before = table.items.get(place, {})
            if not statement.holds(before, NOTHING, values):
                raise ConditionFailed
            self._update(table, place, statement.update, before, NOTHING, values)


@dataclass(frozen=True, slots=True)
class Statement:
    """An UPDATE of PartiQL as the update of an UpdateItem, and a function that evaluates its condition.

    `placeholders` are those of its parameters, in order; `compared` has the one of each attribute that the
    condition compares.
    """

    table: str
    update: str
    holds: Condition
    compared: Mapping[str, str]
    placeholders: tuple[str, ...]


@cache
def _statement(text: str) -> Statement:
    match = STATEMENT.fullmatch(text)
    if match is None:
        raise _invalid(text)
    numbers = count()
    update, condition = (
        re.sub(r"\?", lambda _: f":p{next(numbers)}", match[part]).replace('"', "")
        for part in ("update", "condition")
    )
    compared = dict(comparison.split(" = ") for comparison in condition.split(" AND "))
    placeholders = tuple(f":p{number}" for number in range(next(numbers)))
    return Statement(match["table"], update, condition_of(condition), compared, placeholders)


class Paginator:
    """Asks for page after page."""

    def __init__(self, operation: Any) -> None:
        self._operation = operation

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        """Every page, the first one also when it is empty."""
        while True:
            page = self._operation(**request)
            yield page
            if "LastEvaluatedKey" not in page:
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def _attributes(schema: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    return tuple(attribute["AttributeName"] for attribute in schema)


def _index(index: Mapping[str, Any], table_keys: tuple[str, ...]) -> Index:
    attributes = _attributes(index["KeySchema"])
    keys = tuple(dict.fromkeys((*table_keys, *attributes)))
    projection = index["Projection"]
    if projection["ProjectionType"] == "ALL":
        return Index(attributes, keys)
    return Index(attributes, keys, (*keys, *projection.get("NonKeyAttributes", ())))


def _with(names: Sequence[str], item: Item) -> Item:
    """Return those of an item's attributes that have one of these names."""
    return {name: item[name] for name in names if name in item}


def _meanings(request: Mapping[str, Any]) -> tuple[Names, Values]:
    """Return what the placeholders of a request stand for."""
    names = request.get("ExpressionAttributeNames", NOTHING)
    return names, request.get("ExpressionAttributeValues", NOTHING)


def _holds(expression: str, item: Item, request: Mapping[str, Any]) -> bool:
    return condition_of(request[expression])(item, *_meanings(request))


def _in_order(table: StoredTable, attributes: tuple[str, ...], request: Mapping[str, Any]) -> Iterator[Item]:
    """Iterate over the items that a query's key condition names, from where it starts."""
    names, values = _meanings(request)
    partition: str | None = None
    first: Place | None = None
    end: Place | None = None
    for part in key_condition_of(request["KeyConditionExpression"]):
        name = name_of(part.word, names)
        if name == attributes[0] and part.operator == "=":
            (operand,) = part.operands
            partition = sort_value(operand({}, names, values))
        elif name in attributes[1:]:
            try:
                first, end = part.bounds(names, values)
            except InvalidExpression as error:
                raise _invalid(str(error)) from error
        else:
            raise _invalid("Query key condition not supported")
    if not partition:
        raise _invalid(f"Query condition missed key schema element: {attributes[0]}")
    backwards = request.get("ScanIndexForward") is False
    start = request.get("ExclusiveStartKey")
    if start:
        at = table.place_of(attributes, start)
        # A place right after this one: keys are compared last.
        first, end = (first, at) if backwards else ((at[0], (*at[1], "")), end)
    places = table.partition(attributes, partition).between(first, end)
    return (table.items[key] for _, key in (reversed([*places]) if backwards else places))


def _projected(items: Sequence[Item], request: Mapping[str, Any]) -> list[Item]:
    if "ProjectionExpression" not in request:
        return [dict(item) for item in items]
    names = request.get("ExpressionAttributeNames", NOTHING)
    wanted = [names.get(word, word) for word in projection_of(request["ProjectionExpression"])]
    return [_with(wanted, item) for item in items]


def _invalid(why: str) -> ClientError:
    return _error("ValidationException", why)


def _error(code: str, why: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": why}}, "DynamoDB")

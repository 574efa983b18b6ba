"""DynamoDB in memory, called as boto3's client is: microseconds for a call where moto takes milliseconds.

It does what the tables ask of DynamoDB and no more. Each request is held to botocore's model and to the
table's schema: a wrong one fails as it does with boto3. The contract tests hold it to the same promises as
moto and the emulator.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from threading import RLock
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

from tests.support.aws_models import check_request
from tests.support.expressions import (
    InvalidExpression,
    Item,
    Scope,
    check_words,
    comparable,
    condition_of,
    updated,
)

Key = tuple[str, ...]
PAGE_BYTES_MAX = 1024 * 1024
STATEMENT = re.compile(r'UPDATE "(?P<table>[^"]+)" (?P<update>.+) WHERE (?P<condition>.+)')
EXPRESSIONS = (
    "UpdateExpression",
    "ConditionExpression",
    "KeyConditionExpression",
    "FilterExpression",
    "ProjectionExpression",
)


class ConditionFailed(ClientError):
    """The condition of a write does not hold."""

    def __init__(self) -> None:
        super().__init__({"Error": {"Code": "ConditionalCheckFailedException", "Message": "no"}}, "Write")


@dataclass(slots=True)
class Table:
    """Items by key; `indexes` has the key attributes of each index, `types` the type of each of them."""

    keys: tuple[str, ...]
    indexes: dict[str, tuple[str, ...]]
    types: dict[str, str]
    items: dict[Key, Item] = field(default_factory=dict)

    def key_of(self, item: Mapping[str, Any]) -> Key:
        """Where an item is kept."""
        return tuple(str(next(iter(item[name].values()))) for name in self.keys)

    def check_key(self, key: Mapping[str, Any]) -> None:
        """Raise DynamoDB's error for a key of other attributes than the table's, or of other types."""
        if key.keys() != set(self.keys):
            raise _invalid("The provided key element does not match the schema")
        self.check_types(key)

    def check_types(self, item: Mapping[str, Any]) -> None:
        """Raise DynamoDB's error for a key attribute, of the table or an index, that is of another type."""
        for name, kind in self.types.items():
            if name in item and item[name].keys() != {kind}:
                raise _invalid(f"Type mismatch for key {name} expected: {kind} actual: {[*item[name]]}")
        missing = [name for name in self.keys if name not in item]
        if missing:
            raise _invalid(f"Missing the key {missing[0]} in the item")

    def sorted_by(self, attributes: Sequence[str]) -> list[Item]:
        """Every item that has these attributes, by their values; those of the key settle what is equal."""
        having = [item for item in self.items.values() if all(name in item for name in attributes)]
        order = (*attributes, *self.keys)
        return sorted(having, key=lambda item: [comparable(item[name]) for name in order])


class MemoryDynamoDb:
    """As many tables as one makes. One request at a time, as seen from outside."""

    exceptions = SimpleNamespace(ConditionalCheckFailedException=ConditionFailed)

    def __init__(self) -> None:
        self._tables: dict[str, Table] = {}
        self._alone = RLock()

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
        self._tables[TableName] = Table(
            _attributes(KeySchema),
            {index["IndexName"]: _attributes(index["KeySchema"]) for index in GlobalSecondaryIndexes},
            {each["AttributeName"]: each["AttributeType"] for each in AttributeDefinitions},
        )

    def get_item(self, **request: Any) -> dict[str, Any]:
        """DynamoDB's GetItem."""
        check_request("dynamodb", "GetItem", request)
        return self._get(request)

    def put_item(self, **request: Any) -> dict[str, Any]:
        """DynamoDB's PutItem."""
        check_request("dynamodb", "PutItem", request)
        return self._write("Put", request)

    def update_item(self, **request: Any) -> dict[str, Any]:
        """DynamoDB's UpdateItem. `UPDATED_NEW` answers with the whole item: more than was asked for."""
        check_request("dynamodb", "UpdateItem", request)
        self._write("Update", request)
        if "ReturnValues" not in request:
            return {}
        return {"Attributes": self._get({"TableName": request["TableName"], "Key": request["Key"]})["Item"]}

    def delete_item(self, **request: Any) -> dict[str, Any]:
        """DynamoDB's DeleteItem."""
        check_request("dynamodb", "DeleteItem", request)
        return self._write("Delete", request)

    def transact_write_items(self, **request: Any) -> dict[str, Any]:
        """DynamoDB's TransactWriteItems."""
        check_request("dynamodb", "TransactWriteItems", request)
        with self._alone:
            writes = [(kind, write) for each in request["TransactItems"] for kind, write in each.items()]
            places = [(write["TableName"], self._place(kind, write)) for kind, write in writes]
            if len(writes) > 100 or len(set(places)) < len(places):
                raise _invalid("one write of an item, and a hundred in all, is the most")
            held = [self._condition_holds(kind, write) for kind, write in writes]
            if not all(held):
                reasons = [{"Code": "None" if holds else "ConditionalCheckFailed"} for holds in held]
                canceled: Any = {
                    "Error": {"Code": "TransactionCanceledException", "Message": "no"},
                    "CancellationReasons": reasons,
                }
                raise ClientError(canceled, "TransactWriteItems")
            for kind, write in writes:
                self._carry_out(kind, write)
        return {}

    def batch_execute_statement(self, **request: Any) -> dict[str, Any]:
        """DynamoDB's BatchExecuteStatement, of conditional updates."""
        check_request("dynamodb", "BatchExecuteStatement", request)
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
        check_request("dynamodb", "BatchGetItem", request)
        found: dict[str, list[Item]] = {}
        for name, wanted in request["RequestItems"].items():
            one = {word: value for word, value in wanted.items() if word != "Keys"}
            answers = [self._get({"TableName": name, "Key": key, **one}) for key in wanted["Keys"]]
            found[name] = [answer["Item"] for answer in answers if answer]
        return {"Responses": found, "UnprocessedKeys": {}}

    def query(self, **request: Any) -> dict[str, Any]:
        """DynamoDB's Query."""
        check_request("dynamodb", "Query", request)
        _check(request)
        table = self._tables[request["TableName"]]
        index = request.get("IndexName")
        return self._page(table, table.indexes[index] if index else table.keys, request)

    def scan(self, **request: Any) -> dict[str, Any]:
        """DynamoDB's Scan."""
        check_request("dynamodb", "Scan", request)
        _check(request)
        table = self._tables[request["TableName"]]
        return self._page(table, table.keys, request)

    def get_paginator(self, operation: str) -> "Paginator":
        """Pages of a query or a scan."""
        return Paginator(getattr(self, operation))

    def _get(self, request: Mapping[str, Any]) -> dict[str, Any]:
        _check(request)
        table = self._tables[request["TableName"]]
        table.check_key(request["Key"])
        item = table.items.get(table.key_of(request["Key"]))
        return {"Item": _projected(item, request)} if item else {}

    def _page(self, table: Table, order: tuple[str, ...], request: Mapping[str, Any]) -> dict[str, Any]:
        with self._alone:
            items = table.sorted_by(order)
        if request.get("ScanIndexForward") is False:
            items.reverse()
        if "KeyConditionExpression" in request:
            items = [item for item in items if _holds(request["KeyConditionExpression"], item, request)]
        start = request.get("ExclusiveStartKey")
        if start:
            places = [table.key_of(item) for item in items]
            items = items[places.index(table.key_of(start)) + 1 :]
        page = list(_first_page(items, request.get("Limit", len(items))))
        chosen = [item for item in page if _holds(request.get("FilterExpression"), item, request)]
        answer: dict[str, Any] = {"Count": len(chosen), "ScannedCount": len(page)}
        if request.get("Select") != "COUNT":
            answer["Items"] = [_projected(item, request) for item in chosen]
        # As DynamoDB does: a page that is full says that more may follow, whether or not it does.
        if page and (len(page) < len(items) or len(page) == request.get("Limit")):
            answer["LastEvaluatedKey"] = {name: page[-1][name] for name in {*table.keys, *order}}
        return answer

    def _write(self, kind: str, request: Mapping[str, Any]) -> dict[str, Any]:
        with self._alone:
            if not self._condition_holds(kind, request):
                raise ConditionFailed
            self._carry_out(kind, request)
        return {}

    def _place(self, kind: str, write: Mapping[str, Any]) -> Key:
        table = self._tables[write["TableName"]]
        if kind == "Put":
            table.check_types(write["Item"])
            return table.key_of(write["Item"])
        table.check_key(write["Key"])
        return table.key_of(write["Key"])

    def _condition_holds(self, kind: str, write: Mapping[str, Any]) -> bool:
        _check(write)
        item = self._tables[write["TableName"]].items.get(self._place(kind, write), {})
        return _holds(write.get("ConditionExpression"), item, write)

    def _carry_out(self, kind: str, write: Mapping[str, Any]) -> None:
        items, place = self._tables[write["TableName"]].items, self._place(kind, write)
        if kind == "Put":
            items[place] = dict(write["Item"])
        elif kind == "Update":
            before = items.get(place, dict(write["Key"]))
            try:
                after = updated(write["UpdateExpression"], _scope(before, write))
            except InvalidExpression as error:
                raise _invalid(str(error)) from error
            self._tables[write["TableName"]].check_types(after)
            items[place] = after
        elif kind == "Delete":
            items.pop(place, None)

    def _execute(self, statement: str, parameters: Sequence[Mapping[str, Any]]) -> None:
        """One conditional UPDATE; the attributes of the key are among those its condition compares."""
        match = STATEMENT.fullmatch(statement)
        if match is None or statement.count("?") != len(parameters):
            raise _invalid(statement)
        numbers = count()
        update, condition = (
            re.sub(r"\?", lambda _: f":p{next(numbers)}", match[part]).replace('"', "")
            for part in ("update", "condition")
        )
        values = {f":p{number}": value for number, value in enumerate(parameters)}
        compared = dict(each.split(" = ") for each in condition.split(" AND "))
        key = {name: values[compared[name]] for name in self._tables[match["table"]].keys}
        self._write(
            "Update",
            {
                "TableName": match["table"],
                "Key": key,
                "UpdateExpression": update,
                "ConditionExpression": condition,
                "ExpressionAttributeValues": values,
            },
        )


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
    return tuple(each["AttributeName"] for each in schema)


def _check(request: Mapping[str, Any]) -> None:
    expressions = [request[name] for name in EXPRESSIONS if name in request]
    names, values = (request.get(f"ExpressionAttribute{kind}", {}) for kind in ("Names", "Values"))
    try:
        check_words(expressions, names, values)
    except InvalidExpression as error:
        raise _invalid(str(error)) from error


def _scope(item: Item, request: Mapping[str, Any]) -> Scope:
    names, values = (request.get(f"ExpressionAttribute{kind}", {}) for kind in ("Names", "Values"))
    return Scope(item, names, values)


def _holds(condition: str | None, item: Item, request: Mapping[str, Any]) -> bool:
    return condition is None or condition_of(condition)(_scope(item, request))


def _projected(item: Item, request: Mapping[str, Any]) -> Item:
    if "ProjectionExpression" not in request:
        return dict(item)
    names = request.get("ExpressionAttributeNames", {})
    wanted = [names.get(word.strip(), word.strip()) for word in request["ProjectionExpression"].split(",")]
    return {name: item[name] for name in wanted if name in item}


def _first_page(items: Sequence[Item], limit: int) -> Iterator[Item]:
    page_bytes = 0
    for item in islice(items, limit):
        yield item
        page_bytes += len(json.dumps(item))
        if page_bytes > PAGE_BYTES_MAX:
            return


def _invalid(why: str) -> ClientError:
    return ClientError({"Error": {"Code": "ValidationException", "Message": why}}, "DynamoDB")

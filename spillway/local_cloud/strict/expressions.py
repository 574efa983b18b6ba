"""The checks of DynamoDB's requests: what its documents say of expressions, and the emulator passes over.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import combinations
from typing import Any

from spillway.local_cloud.strict.checks import AccountState
from spillway.local_cloud.strict.refusals import Refusal
from spillway.local_cloud.strict.requests import AwsCall

OPERATORS_MAX = 300
IN_OPERANDS_MAX = 100
TYPES = frozenset({"B", "BOOL", "BS", "L", "M", "N", "NS", "NULL", "S", "SS"})
CONDITION_FUNCTIONS = frozenset(
    {"attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains", "size"}
)
UPDATE_FUNCTIONS = frozenset({"if_not_exists", "list_append"})
FUNCTIONS = CONDITION_FUNCTIONS | UPDATE_FUNCTIONS
KEYWORDS = frozenset({"AND", "BETWEEN", "IN", "NOT", "OR"})
_PATH = r"(?:#\w+|[A-Za-z]\w*)(?:\.(?:#\w+|[A-Za-z]\w*)|\[\d+\])*"
_OPERAND = rf"(?:(?:if_not_exists|list_append)?\s*\(.+\)|:\w+|{_PATH})"
SECTION = re.compile(r"(?<![#:\w.])(SET|REMOVE|ADD|DELETE)\s", re.IGNORECASE)
ACTIONS = {
    "SET": re.compile(rf"({_PATH})\s*=\s*{_OPERAND}(?:\s*[+-]\s*{_OPERAND})*", re.DOTALL),
    "REMOVE": re.compile(rf"({_PATH})"),
    "ADD": re.compile(rf"({_PATH})\s+:\w+"),
    "DELETE": re.compile(rf"({_PATH})\s+:\w+"),
}
CALL = re.compile(r"(?<![#:\w.])([A-Za-z]\w*)\s*\(")
COMPARED = re.compile(rf"({_PATH}|:\w+)\s*(<>|<=|>=|=|<|>)\s*({_PATH}|:\w+)")
CHOSEN = re.compile(r"\bIN\s*\(([^)]*)\)", re.IGNORECASE)
BETWEEN = re.compile(r"\bBETWEEN\s+(:\w+)\s+AND\s+(:\w+)", re.IGNORECASE)
TYPE_ASKED = re.compile(r"\battribute_type\s*\([^,]+,\s*(:\w+)\s*\)")
OPERATOR = re.compile(
    r"<>|<=|>=|[<>+-]|(?<![#:\w.])(?:(?:AND|BETWEEN|IN|NOT|OR)\b|[a-z_]+\s*\()", re.IGNORECASE
)
# A key condition joins two comparisons by AND; BETWEEN has one of its own.
KEY_CONDITION_BREAKS = re.compile(r"<>|(?<![#:\w.])(OR|NOT|IN|contains|size|attribute_\w+)\b", re.IGNORECASE)


def expressions(call: AwsCall, account: AccountState) -> Refusal | None:
    """Refuse what is wrong in the expressions of a call, or of a write in it."""
    members = call.members
    batches = members["RequestItems"].values() if call.operation == "BatchWriteItem" else ()
    writes = [*members.get("TransactItems", ()), *(write for batch in batches for write in batch)]
    if any(len(write) != 1 for write in writes):
        return Refusal("ValidationException", "A write must be exactly one of the operations that it may be")
    parts = [part for write in writes for part in write.values()] or [members]
    fault = next(filter(None, map(first_fault, parts)), None) or _read_fault(members, account)
    return Refusal("ValidationException", fault) if fault else None


def _read_fault(members: Mapping[str, Any], account: AccountState) -> str | None:
    """Return what DynamoDB says against a read of a table or an index, by what the table is."""
    table = account.table(str(members.get("TableName", "")))
    named = members.get("IndexName")
    index = next(
        (held for held in table.get("GlobalSecondaryIndexes") or () if held["IndexName"] == named), None
    )
    names = members.get("ExpressionAttributeNames", {})
    keys = {held["AttributeName"] for held in (index or table).get("KeySchema", ())}
    filtered = attributes_of(members.get("FilterExpression", ""), names) & keys
    if filtered and "KeyConditionExpression" in members:
        return (
            "Filter Expression can only contain non-primary key attributes: "
            f"Primary key attribute: {min(filtered)}"
        )
    projection = index.get("Projection", {}) if index else {}
    if projection.get("ProjectionType", "ALL") == "ALL":
        return None
    if members.get("Select") == "ALL_ATTRIBUTES":
        return (
            "One or more parameter values were invalid: Select type ALL_ATTRIBUTES is not supported for "
            f"global secondary index {named} because its projection type is not ALL"
        )
    held = (
        keys
        | {key["AttributeName"] for key in table["KeySchema"]}
        | {*projection.get("NonKeyAttributes", ())}
    )
    asked = attributes_of(members.get("ProjectionExpression", ""), names) - held
    if asked:
        return (
            f"One or more parameter values were invalid: Global secondary index {named} does not project "
            f"[{min(asked)}]"
        )
    return None


def first_fault(members: Mapping[str, Any]) -> str | None:
    """Return what DynamoDB says against the expressions of a request or a write in it; None for nothing."""
    return next(_faults(members), None)


def attributes_of(text: str, names: Mapping[str, str]) -> set[str]:
    """Return the attributes that an expression is about, without the words of the language."""
    words = re.findall(rf"(?<![:\w]){_PATH}(?!\s*\()", text)
    return {_steps(word, names)[0] for word in words if word.upper() not in KEYWORDS}


def _faults(members: Mapping[str, Any]) -> Iterator[str]:
    names = members.get("ExpressionAttributeNames", {})
    values = members.get("ExpressionAttributeValues", {})
    if text := members.get("UpdateExpression"):
        faults = _update_faults(text, tuple(names.items()))
        yield from (f"Invalid UpdateExpression: {fault}" for fault in faults)
    for member in ("ConditionExpression", "FilterExpression", "KeyConditionExpression"):
        if text := members.get(member):
            faults = (*_condition_faults(text), *_value_faults(text, values))
            yield from (f"Invalid {member}: {fault}" for fault in faults)
    if broken := KEY_CONDITION_BREAKS.search(members.get("KeyConditionExpression", "")):
        yield f"Invalid operator used in KeyConditionExpression: {broken[0].upper()}"


# A program writes few texts, each with many values: a text is looked at once.
@lru_cache(1_000)
def _update_faults(text: str, names: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    return tuple(_faults_of_update(text, dict(names)))


@lru_cache(1_000)
def _condition_faults(text: str) -> tuple[str, ...]:
    return tuple(_faults_of_condition(text))


def _faults_of_update(text: str, names: Mapping[str, str]) -> Iterator[str]:
    yield from _misplaced(text, UPDATE_FUNCTIONS, "an update")
    yield from _too_many(len(OPERATOR.findall(text)))
    _, *parts = SECTION.split(f" {text.strip()} ")
    sections = [word.upper() for word in parts[::2]]
    if twice := [word for word, count in Counter(sections).items() if count > 1]:
        yield f'The "{twice[0]}" section can only be used once in an update expression;'
    paths: list[tuple[str, ...]] = []
    for section, body in zip(sections, parts[1::2], strict=True):
        for action in _split(body):
            found = ACTIONS[section].fullmatch(action)
            if found is None:
                yield f'Syntax error; token: "{action}", near: "{section} {action}"'
            else:
                paths.append(_steps(found[1], names))
    for one, two in combinations(paths, 2):
        if one[: len(two)] == two[: len(one)]:
            yield (
                "Two document paths overlap with each other; must remove or rewrite one of these paths; "
                f"path one: {_shown(one)}, path two: {_shown(two)}"
            )


def _faults_of_condition(text: str) -> Iterator[str]:
    yield from _misplaced(text, CONDITION_FUNCTIONS, "a condition")
    yield from _too_many(len(OPERATOR.findall(text)) + len(re.findall(r"(?<![<>])=", text)))
    if any(len(_split(chosen)) > IN_OPERANDS_MAX for chosen in CHOSEN.findall(text)):
        yield f"The IN operator is provided with too many operands; maximum: {IN_OPERANDS_MAX}"
    for left, operator, right in COMPARED.findall(text):
        if left == right:
            yield (
                "The first operand must be distinct from the remaining operands for this operator or "
                f"function; operator: {operator}, first operand: [{left}]"
            )


def _value_faults(text: str, values: Mapping[str, Any]) -> Iterator[str]:
    for low, high in BETWEEN.findall(text):
        if values.get(low, {}).keys() != values.get(high, {}).keys():
            yield "The BETWEEN operator requires same data type for lower and upper bounds"
    for asked in TYPE_ASKED.findall(text):
        if values.get(asked, {}).get("S") not in TYPES:
            yield f"Invalid attribute type name found; type: {values.get(asked, {}).get('S')}"


def _too_many(operators: int) -> Iterator[str]:
    if operators > OPERATORS_MAX:
        yield (
            "The expression contains too many operators; "
            f"maximum allowed operators per expression: {OPERATORS_MAX}"
        )


def _misplaced(text: str, allowed: frozenset[str], where: str) -> Iterator[str]:
    for name in CALL.findall(text):
        if name.upper() not in KEYWORDS and name not in FUNCTIONS:
            yield f"Invalid function name; function: {name}"
        elif name.upper() not in KEYWORDS and name not in allowed:
            yield f"The function is not allowed in {where} expression; function: {name}"


def _split(text: str) -> list[str]:
    """Return the parts of a list at its commas, except those within parentheses."""
    parts, depth = [""], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def _steps(path: str, names: Mapping[str, str]) -> tuple[str, ...]:
    words = re.findall(r"#\w+|\w+|\[\d+\]", path)
    return tuple(names.get(word, word) for word in words)


def _shown(path: tuple[str, ...]) -> str:
    return f"[{', '.join(path)}]"

"""DynamoDB's expressions, compiled once for each text: conditions, updates, key conditions, projections.

Only the part of the language that the tables use.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from operator import eq, ge, gt, le, lt, ne
from typing import Any

Value = Mapping[str, Any]
Item = dict[str, Any]
Condition = Callable[["Scope"], bool]
Operand = Callable[["Scope"], Value | None]
# The words of a path: the attribute, then the keys of the maps below it.
Path = tuple[str, ...]
Action = tuple[str, Path, Operand]
# Where an item stands in an order: the value of its sort key, then its key in the table.
Place = tuple[Any, tuple[str, ...]]

TOKEN = re.compile(r"\s*(<>|<=|>=|[()=<>,+-]|[:#\w][\w#.]*)")
SECTIONS = ("SET", "REMOVE", "ADD")
COMPARISONS = {"=": eq, "<>": ne, "<": lt, "<=": le, ">": gt, ">=": ge}
# Above and below every string that a key may be.
LAST = chr(0x10FFFF)


class InvalidExpression(ValueError):
    """DynamoDB would answer with a ValidationException."""


@dataclass(slots=True)
class Scope:
    """The item an expression is evaluated against (empty when absent), and the values of its placeholders."""

    item: Item
    names: Mapping[str, str]
    values: Mapping[str, Value]

    def name(self, word: str) -> str:
        """Return the name that a word of a path stands for."""
        return self.names[word] if word[0] == "#" else word

    def find(self, path: Path) -> Value | None:
        """Return the value at a path, None when there is none."""
        found: Value | None = self.item.get(self.name(path[0]))
        for word in path[1:]:
            found = found.get("M", {}).get(self.name(word)) if found else None
        return found


@dataclass(frozen=True, slots=True)
class KeyPart:
    """One comparison of a key condition: an attribute, an operator and its operands."""

    word: str
    operator: str
    operands: tuple[Operand, ...]

    def bounds(self, scope: Scope) -> tuple[Place, Place]:
        """Return the first place that the comparison allows, and the first one after those.

        Raises:
            InvalidExpression: The operator is not one of a sort key.
        """
        first, *rest = [sort_value(operand(scope)) for operand in self.operands]
        match self.operator:
            case "=":
                return (first, ()), (first, (LAST,))
            case "BETWEEN":
                return (first, ()), (rest[0], (LAST,))
            case "BEGINS_WITH":
                return (first, ()), (f"{first}{LAST}", ())
        raise InvalidExpression(f"{self.operator} of a sort key is not played")


def check_words(expressions: tuple[str, ...], names: Mapping[str, str], values: Mapping[str, Value]) -> None:
    """Hold expressions to their placeholders: each is defined, and each definition is used.

    Raises:
        InvalidExpression: A placeholder is undefined, or one is never used.
    """
    used = _placeholders(expressions)
    if len(used) != len(names) + len(values) or not (used >= names.keys() and used >= values.keys()):
        known = names.keys() | values.keys()
        raise InvalidExpression(f"not explained: {sorted(used - known)}, not used: {sorted(known - used)}")


@cache
def condition_of(text: str) -> Condition:
    """Compile a condition or a filter: a function that evaluates it."""
    words = _Words(_tokens(text))
    condition = words.condition()
    words.expect_end()
    return condition


@cache
def key_condition_of(text: str) -> tuple[KeyPart, ...]:
    """Compile a key condition into its comparisons."""
    words = _Words(_tokens(text))
    parts = [words.key_part()]
    while words.took("AND"):
        parts.append(words.key_part())
    words.expect_end()
    return tuple(parts)


@cache
def projection_of(text: str) -> tuple[str, ...]:
    """Return the words of a projection."""
    return tuple(word.strip() for word in text.split(","))


def updated(text: str, scope: Scope) -> Item:
    """Return the item that an update makes; the item in the scope stays as it was.

    Raises:
        InvalidExpression: A value is missing, or a path leads through what is not a map.
    """
    after = dict(scope.item)
    for section, path, operand in _actions_of(text):
        holder = after if len(path) == 1 else _innermost(after, [scope.name(word) for word in path])
        last = scope.name(path[-1])
        if section == "REMOVE":
            holder.pop(last, None)
            continue
        value = operand(scope)
        if value is None:
            raise InvalidExpression(f"nothing to {section} for {'.'.join(path)}")
        holder[last] = _added(scope.find(path), value) if section == "ADD" else value
    return after


@cache
def _actions_of(text: str) -> tuple[Action, ...]:
    words = _Words(_tokens(text))
    actions: list[Action] = []
    while words.left():
        section = words.take().upper()
        if section not in SECTIONS:
            raise InvalidExpression(f"{section} is none of {', '.join(SECTIONS)}")
        actions.append(words.action(section))
        while words.took(","):
            actions.append(words.action(section))
    return tuple(actions)


@cache
def _placeholders(expressions: tuple[str, ...]) -> frozenset[str]:
    parts = [part for text in expressions for token in _tokens(text) for part in token.split(".")]
    return frozenset(part for part in parts if part[0] in "#:")


@cache
def _tokens(text: str) -> tuple[str, ...]:
    tokens: list[str] = []
    end = 0
    while end < len(text.rstrip()):
        match = TOKEN.match(text, end)
        if match is None:
            raise InvalidExpression(f"not understood: {text[end:]}")
        tokens.append(match[1])
        end = match.end()
    return tuple(tokens)


class _Words:
    """Parses an expression from left to right."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self._tokens = tokens
        self._at = 0

    def left(self) -> bool:
        return self._at < len(self._tokens)

    def take(self) -> str:
        if not self.left():
            raise InvalidExpression("it ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def took(self, word: str) -> bool:
        if self.left() and self._tokens[self._at].upper() == word:
            self._at += 1
            return True
        return False

    def expect(self, word: str) -> None:
        if not self.took(word):
            raise InvalidExpression(f"{word} is missing")

    def expect_end(self) -> None:
        if self.left():
            raise InvalidExpression(f"more than expected: {self._tokens[self._at :]}")

    def condition(self) -> Condition:
        either = [self._all_of()]
        while self.took("OR"):
            either.append(self._all_of())
        return either[0] if len(either) == 1 else lambda scope: any(one(scope) for one in either)

    def key_part(self) -> KeyPart:
        if self.took("BEGINS_WITH"):
            self.expect("(")
            word = self.take()
            self.expect(",")
            prefix = self._operand()
            self.expect(")")
            return KeyPart(word, "BEGINS_WITH", (prefix,))
        word, operator = self.take(), self.take().upper()
        operands = [self._operand()]
        if operator == "BETWEEN":
            self.expect("AND")
            operands.append(self._operand())
        return KeyPart(word, operator, tuple(operands))

    def action(self, section: str) -> Action:
        path = self._path()
        if section == "REMOVE":
            return section, path, lambda _: None
        if section == "SET":
            self.expect("=")
        return section, path, self._sum()

    def _all_of(self) -> Condition:
        every = [self._one()]
        while self.took("AND"):
            every.append(self._one())
        return every[0] if len(every) == 1 else lambda scope: all(one(scope) for one in every)

    def _one(self) -> Condition:
        if self.took("NOT"):
            one = self._one()
            return lambda scope: not one(scope)
        if self.took("("):
            inner = self.condition()
            self.expect(")")
            return inner
        word = self._tokens[self._at] if self.left() else ""
        if word in {"attribute_exists", "attribute_not_exists", "begins_with", "contains"}:
            return self._function(self.take())
        return self._comparison()

    def _function(self, name: str) -> Condition:
        self.expect("(")
        path = self._path()
        if name in {"begins_with", "contains"}:
            self.expect(",")
            part = self._operand()
            self.expect(")")
            has = _begins_with if name == "begins_with" else _contains
            return lambda scope: has(scope.find(path), part(scope))
        self.expect(")")
        wanted = name == "attribute_exists"
        return lambda scope: (scope.find(path) is not None) is wanted

    def _comparison(self) -> Condition:
        left = self._operand()
        if self.took("BETWEEN"):
            low = self._operand()
            self.expect("AND")
            high = self._operand()
            return lambda scope: (
                _compare(ge, left(scope), low(scope)) and _compare(le, left(scope), high(scope))
            )
        if self.took("IN"):
            self.expect("(")
            choices = [self._operand()]
            while self.took(","):
                choices.append(self._operand())
            self.expect(")")
            return lambda scope: any(_compare(eq, left(scope), choice(scope)) for choice in choices)
        word = self.take()
        if word not in COMPARISONS:
            raise InvalidExpression(f"{word} compares nothing")
        right = self._operand()
        return lambda scope: _compare(COMPARISONS[word], left(scope), right(scope))

    def _sum(self) -> Operand:
        left = self._operand()
        for sign, word in ((1, "+"), (-1, "-")):
            if self.took(word):
                right = self._operand()
                return lambda scope, sign=sign: _sum(left(scope), right(scope), sign)  # type: ignore[misc]
        return left

    def _operand(self) -> Operand:
        word = self.take()
        if word == "if_not_exists":
            self.expect("(")
            path = self._path()
            self.expect(",")
            other = self._operand()
            self.expect(")")
            return lambda scope: scope.find(path) or other(scope)
        if word == "size":
            self.expect("(")
            path = self._path()
            self.expect(")")
            return lambda scope: _size(scope.find(path))
        if word.startswith(":"):
            return lambda scope: scope.values[word]
        path = tuple(word.split("."))
        return lambda scope: scope.find(path)

    def _path(self) -> Path:
        return tuple(self.take().split("."))


def sort_value(value: Value | None) -> Any:
    """Return a scalar as what it is ordered by: text as text, a number by its size.

    Raises:
        InvalidExpression: There is no value.
    """
    if value is None:
        raise InvalidExpression("a key is compared with nothing")
    ((kind, plain),) = value.items()
    return Decimal(plain) if kind == "N" else plain


def _compare(comparison: Callable[[Any, Any], bool], left: Value | None, right: Value | None) -> bool:
    if left is None or right is None:
        return False
    ((left_kind, left_plain),), ((right_kind, right_plain),) = left.items(), right.items()
    if left_kind != right_kind:
        return comparison is ne
    if left_kind == "N":
        return comparison(Decimal(left_plain), Decimal(right_plain))
    return comparison(left_plain, right_plain)


def _begins_with(value: Value | None, prefix: Value | None) -> bool:
    return bool(value and prefix and str(value.get("S", "")).startswith(prefix["S"]))


def _contains(value: Value | None, part: Value | None) -> bool:
    return bool(value and part and part["S"] in (value.get("SS") or value.get("S", "")))


def _size(value: Value | None) -> Value | None:
    return None if value is None else {"N": str(len(next(iter(value.values()))))}


def _added(before: Value | None, value: Value) -> Value:
    if "SS" in value:
        return {"SS": sorted({*(before or {"SS": ()})["SS"], *value["SS"]})}
    return _sum(before or {"N": "0"}, value, 1)


def _sum(left: Value | None, right: Value | None, sign: int) -> Value:
    if left is None or right is None or "N" not in left or "N" not in right:
        raise InvalidExpression("only numbers are added")
    return {"N": str(Decimal(left["N"]) + sign * Decimal(right["N"]))}


def _innermost(item: Item, keys: Sequence[str]) -> Item:
    """Return the map that holds the last of `keys`, after copying the maps on the way to it."""
    for key in keys[:-1]:
        if "M" not in item.get(key, {}):
            raise InvalidExpression(f"the path {'.'.join(keys)} leads nowhere")
        item[key] = {"M": dict(item[key]["M"])}
        item = item[key]["M"]
    return item

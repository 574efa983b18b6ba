"""DynamoDB's expressions, read once and then asked of an item: conditions, updates, keys.

As much of the language as the tables speak.
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
Action = tuple[str, str, Operand]

TOKEN = re.compile(r"\s*(<>|<=|>=|[()=<>,+-]|[:#\w][\w#.]*)")
SECTIONS = ("SET", "REMOVE", "ADD")
COMPARISONS = {"=": eq, "<>": ne, "<": lt, "<=": le, ">": gt, ">=": ge}


class InvalidExpression(ValueError):
    """DynamoDB would answer with a ValidationException."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What an expression is asked of: an item (empty when there is none), and what its words stand for."""

    item: Item
    names: Mapping[str, str]
    values: Mapping[str, Value]

    def path(self, text: str) -> list[str]:
        """The attribute's name, and the keys of maps below it."""
        return [self.names[part] if part.startswith("#") else part for part in text.split(".")]

    def find(self, text: str) -> Value | None:
        """What stands at a path."""
        first, *below = self.path(text)
        found: Value | None = self.item.get(first)
        for key in below:
            found = found.get("M", {}).get(key) if found else None
        return found


def check_words(expressions: Sequence[str], names: Mapping[str, str], values: Mapping[str, Value]) -> None:
    """Every word that stands for something is explained, and none is explained in vain."""
    parts = [part for text in expressions for token in _tokens(text) for part in token.split(".")]
    used = {part for part in parts if part[0] in "#:"}
    known = names.keys() | values.keys()
    if used != known:
        raise InvalidExpression(f"not explained: {sorted(used - known)}, not used: {sorted(known - used)}")


@cache
def condition_of(text: str) -> Condition:
    """Whether an item is as `text` says. Also for filters and keys: their language is part of this one."""
    words = _Words(_tokens(text))
    condition = words.condition()
    words.expect_end()
    return condition


def updated(text: str, scope: Scope) -> Item:
    """The item that an update makes; the one it is made of stays as it was."""
    after = dict(scope.item)
    for section, path, operand in _actions_of(text):
        value = operand(scope)
        keys = scope.path(path)
        if section == "REMOVE":
            _innermost(after, keys).pop(keys[-1], None)
        elif value is None:
            raise InvalidExpression(f"nothing to {section} for {path}")
        else:
            before = scope.find(path)
            _innermost(after, keys)[keys[-1]] = _added(before, value) if section == "ADD" else value
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
    """Reads an expression from left to right."""

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
        return either[0] if len(either) == 1 else lambda scope: any(each(scope) for each in either)

    def action(self, section: str) -> Action:
        path = self.take()
        if section == "REMOVE":
            return section, path, lambda _: None
        if section == "SET":
            self.expect("=")
        return section, path, self._sum()

    def _all_of(self) -> Condition:
        every = [self._one()]
        while self.took("AND"):
            every.append(self._one())
        return every[0] if len(every) == 1 else lambda scope: all(each(scope) for each in every)

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
        path = self.take()
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
            path = self.take()
            self.expect(",")
            other = self._operand()
            self.expect(")")
            return lambda scope: scope.find(path) or other(scope)
        if word == "size":
            self.expect("(")
            path = self.take()
            self.expect(")")
            return lambda scope: _size(scope.find(path))
        if word.startswith(":"):
            return lambda scope: scope.values[word]
        return lambda scope: scope.find(word)


def comparable(value: Value) -> tuple[str, Any]:
    """A scalar with its type: values of one type have an order."""
    ((kind, plain),) = value.items()
    return kind, Decimal(plain) if kind == "N" else plain


def _compare(comparison: Callable[[Any, Any], bool], left: Value | None, right: Value | None) -> bool:
    if left is None or right is None:
        return False
    (left_kind, left_plain), (right_kind, right_plain) = comparable(left), comparable(right)
    if left_kind != right_kind:
        return comparison is ne
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
    """The map that the last of `keys` stands in. Maps on the way are made anew, so that who holds the item
    as it was keeps it so."""
    for key in keys[:-1]:
        if "M" not in item.get(key, {}):
            raise InvalidExpression(f"the path {'.'.join(keys)} leads nowhere")
        item[key] = {"M": dict(item[key]["M"])}
        item = item[key]["M"]
    return item

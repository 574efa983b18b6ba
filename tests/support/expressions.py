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
Names = Mapping[str, str]
Values = Mapping[str, Value]
# A compiled condition takes an item (empty when absent), and the values of the placeholders of the request.
Condition = Callable[[Item, Names, Values], bool]
Operand = Callable[[Item, Names, Values], Value | None]
# The words of a path: the attribute, then the keys of the maps below it.
Path = tuple[str, ...]
# Changes the copy (the second item) as the item as it was before says.
Action = Callable[[Item, Item, Names, Values], None]
# Where an item stands in an order: the value of its sort key, then its key in the table.
Place = tuple[Any, tuple[str, ...]]

TOKEN = re.compile(r"\s*(<>|<=|>=|[()=<>,+-]|[:#\w][\w#.]*)")
SECTIONS = ("SET", "REMOVE", "ADD")
COMPARISONS = {"=": eq, "<>": ne, "<": lt, "<=": le, ">": gt, ">=": ge}
# Above and below every string that a key may be.
LAST = chr(0x10FFFF)
EMPTY_KEY = "The AttributeValue for a key attribute cannot contain an empty string value"


class InvalidExpression(ValueError):
    """DynamoDB would answer with a ValidationException."""


@dataclass(frozen=True, slots=True)
class KeyPart:
    """One comparison of a key condition: an attribute, an operator and its operands."""

    word: str
    operator: str
    operands: tuple[Operand, ...]

    def bounds(self, names: Names, values: Values) -> tuple[Place, Place]:
        """Return the first place that the comparison allows, and the first one after those.

        Raises:
            InvalidExpression: The operator is not one of a sort key, or its operands are none.
        """
        first, *rest = found = [sort_value(operand({}, names, values)) for operand in self.operands]
        if "" in found:
            raise InvalidExpression(EMPTY_KEY)
        if found != sorted(found):
            raise InvalidExpression(
                "The BETWEEN operator requires an upper bound that is not below the lower"
            )
        match self.operator:
            case "=":
                return (first, ()), (first, (LAST,))
            case "BETWEEN":
                return (first, ()), (rest[0], (LAST,))
            case "BEGINS_WITH":
                return (first, ()), (f"{first}{LAST}", ())
        raise InvalidExpression(f"{self.operator} of a sort key is not played")


def check_words(expressions: tuple[str, ...], names: Names, values: Values) -> None:
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


def name_of(word: str, names: Names) -> str:
    """Return the name that a word of a path stands for."""
    return names[word] if word[0] == "#" else word


def updated(text: str, item: Item, names: Names, values: Values) -> Item:
    """Return the item that an update makes; `item` stays as it was.

    Raises:
        InvalidExpression: A value is missing, or a path leads through what is not a map.
    """
    after = dict(item)
    for act in _actions_of(text):
        act(after, item, names, values)
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
        return either[0] if len(either) == 1 else _any_of(either)

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
            return _removal(path)
        if section == "SET":
            self.expect("=")
        return _change(section, path, self._sum())

    def _all_of(self) -> Condition:
        every = [self._one()]
        while self.took("AND"):
            every.append(self._one())
        return every[0] if len(every) == 1 else _all_of(every)

    def _one(self) -> Condition:
        if self.took("NOT"):
            one = self._one()
            return lambda item, names, values: not one(item, names, values)
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
        find = _finder(self._path())
        if name in {"begins_with", "contains"}:
            self.expect(",")
            part = self._operand()
            self.expect(")")
            has = _begins_with if name == "begins_with" else _contains
            return lambda item, names, values: has(find(item, names, values), part(item, names, values))
        self.expect(")")
        if name == "attribute_exists":
            return lambda item, names, values: find(item, names, values) is not None
        return lambda item, names, values: find(item, names, values) is None

    def _comparison(self) -> Condition:
        left = self._operand()
        if self.took("BETWEEN"):
            low = self._operand()
            self.expect("AND")
            high = self._operand()
            return _all_of([_comparison(ge, left, low), _comparison(le, left, high)])
        if self.took("IN"):
            self.expect("(")
            choices = [_comparison(eq, left, self._operand())]
            while self.took(","):
                choices.append(_comparison(eq, left, self._operand()))
            self.expect(")")
            return _any_of(choices)
        word = self.take()
        if word not in COMPARISONS:
            raise InvalidExpression(f"{word} compares nothing")
        return _comparison(COMPARISONS[word], left, self._operand())

    def _sum(self) -> Operand:
        left = self._operand()
        for sign, word in ((1, "+"), (-1, "-")):
            if self.took(word):
                right = self._operand()
                return lambda item, names, values, sign=sign: _sum(  # type: ignore[misc]
                    left(item, names, values), right(item, names, values), sign
                )
        return left

    def _operand(self) -> Operand:
        word = self.take()
        if word == "if_not_exists":
            self.expect("(")
            find = _finder(self._path())
            self.expect(",")
            other = self._operand()
            self.expect(")")
            return lambda item, names, values: find(item, names, values) or other(item, names, values)
        if word == "size":
            self.expect("(")
            find = _finder(self._path())
            self.expect(")")
            return lambda item, names, values: _size(find(item, names, values))
        if word.startswith(":"):
            return lambda item, names, values: values[word]
        return _finder(tuple(word.split(".")))

    def _path(self) -> Path:
        return tuple(self.take().split("."))


def _finder(path: Path) -> Operand:
    """Return what finds the value at a path, or None."""
    first, *further = path
    if further:
        return lambda item, names, values: _found(item, [name_of(word, names) for word in path])
    if first[0] == "#":
        return lambda item, names, values: item.get(names[first])
    return lambda item, names, values: item.get(first)


def _found(item: Item, keys: Sequence[str]) -> Value | None:
    found: Value | None = item.get(keys[0])
    for key in keys[1:]:
        found = found.get("M", {}).get(key) if found else None
    return found


def _equality(left: Operand, right: Operand) -> Condition:
    def hold(item: Item, names: Names, values: Values) -> bool:
        found, wanted = left(item, names, values), right(item, names, values)
        # Numbers may be the same and be written in two ways.
        return found is not None and (found == wanted or _compare(eq, found, wanted))

    return hold


def _all_of(every: Sequence[Condition]) -> Condition:
    def hold(item: Item, names: Names, values: Values) -> bool:
        for one in every:  # noqa: SIM110 - `all` takes twice as long, by its generator
            if not one(item, names, values):
                return False
        return True

    return hold


def _any_of(either: Sequence[Condition]) -> Condition:
    return lambda item, names, values: any(one(item, names, values) for one in either)


def _comparison(comparison: Callable[[Any, Any], bool], left: Operand, right: Operand) -> Condition:
    if comparison is eq:
        return _equality(left, right)
    return lambda item, names, values: _compare(
        comparison, left(item, names, values), right(item, names, values)
    )


def _removal(path: Path) -> Action:
    word = path[0]
    if len(path) == 1 and word[0] != "#":
        return lambda after, before, names, values: after.pop(word, None) and None

    def act(after: Item, _before: Item, names: Names, _values: Values) -> None:
        holder, last = _holder(after, path, names)
        holder.pop(last, None)

    return act


def _change(section: str, path: Path, operand: Operand) -> Action:
    find = _finder(path) if section == "ADD" else None
    word = path[0] if len(path) == 1 and path[0][0] != "#" and find is None else None

    def act(after: Item, before: Item, names: Names, values: Values) -> None:
        value = operand(before, names, values)
        if value is None:
            raise InvalidExpression(f"nothing to {section} for {'.'.join(path)}")
        if word is not None:
            after[word] = value
            return
        holder, last = _holder(after, path, names)
        holder[last] = _added(find(before, names, values), value) if find else value

    return act


def _holder(after: Item, path: Path, names: Names) -> tuple[Item, str]:
    """Return the map that a path leads to, and its key in there."""
    if len(path) == 1:
        return after, name_of(path[0], names)
    keys = [name_of(word, names) for word in path]
    return _innermost(after, keys), keys[-1]


def sort_value(value: Value | None) -> Any:
    """Return a scalar as what it is ordered by: text as text, a number by its size.

    Raises:
        InvalidExpression: There is no value.
    """
    if value is None:
        raise InvalidExpression("a key is compared with nothing")
    if "S" in value:
        return value["S"]
    ((kind, plain),) = value.items()
    return Decimal(plain) if kind == "N" else plain


def _compare(comparison: Callable[[Any, Any], bool], left: Value | None, right: Value | None) -> bool:
    if left is None or right is None:
        return False
    if "S" in left and "S" in right:
        return comparison(left["S"], right["S"])
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

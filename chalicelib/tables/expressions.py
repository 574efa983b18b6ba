"""DynamoDB's expressions and AttributeValues, made from attribute names and Python values.

An attribute name is sent as a placeholder, so that reserved words need no care. A name with an underscore is
sent as it is, which makes a signup's request shorter: no reserved word has one.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ReservedWords.html
"""

from collections.abc import Callable, Mapping, Sequence
from types import NoneType
from typing import Any

Item = Mapping[str, Any]
# An attribute, or an attribute and the keys of the maps below it.
Path = str | tuple[str, ...]
# Values by path. A mapping is invariant in its keys: `Mapping[Path, Any]` would not take `dict[str, Any]`.
Values = Mapping[Any, Any]


class Operand:
    """A value that DynamoDB computes from the item."""

    __slots__ = ("path", "write")

    def __init__(self, write: "Callable[[Words], str]", path: Path) -> None:
        self.write = write
        self.path = path

    def __add__(self, number: int) -> "Operand":
        """Add a number."""
        return Operand(lambda words: f"{self.write(words)} + {words.value(number, self.path)}", self.path)

    def __sub__(self, number: int) -> "Operand":
        """Subtract a number."""
        return Operand(lambda words: f"{self.write(words)} - {words.value(number, self.path)}", self.path)


def if_not_exists(path: Path, default: Any) -> Operand:
    """Return what stands at `path`, or `default` where nothing does."""
    return Operand(lambda words: f"if_not_exists({words.name(path)}, {words.value(default, path)})", path)


class Attr(Operand):
    """An attribute, or a value in a map: `Attr("stock", sku, "version")`. Its methods make conditions."""

    __slots__ = ()

    def __init__(self, *path: str) -> None:
        words_of = path[0] if len(path) == 1 else path
        # Not of `self`: an object that its own function refers to waits for the garbage collector.
        super().__init__(lambda words: words.name(words_of), words_of)

    def eq(self, value: Any) -> "Condition":
        """Require the value."""
        return self._test("{} = {}", value)

    def ne(self, value: Any) -> "Condition":
        """Require another value."""
        return self._test("{} <> {}", value)

    def lt(self, value: Any) -> "Condition":
        """Require less than the value."""
        return self._test("{} < {}", value)

    def lte(self, value: Any) -> "Condition":
        """Require at most the value."""
        return self._test("{} <= {}", value)

    def gt(self, value: Any) -> "Condition":
        """Require more than the value."""
        return self._test("{} > {}", value)

    def gte(self, value: Any) -> "Condition":
        """Require at least the value."""
        return self._test("{} >= {}", value)

    def between(self, low: Any, high: Any) -> "Condition":
        """Require a value in a range, both ends included."""
        return self._test("{} BETWEEN {} AND {}", low, high)

    def is_in(self, *values: Any) -> "Condition":
        """Require one of the values."""
        return self._test(f"{{}} IN ({', '.join(['{}'] * len(values))})", *values)

    def exists(self) -> "Condition":
        """Require the attribute."""
        return self._test("attribute_exists({})")

    def not_exists(self) -> "Condition":
        """Require the absence of the attribute; for a key attribute, the absence of the item."""
        return self._test("attribute_not_exists({})")

    def contains(self, member: Any) -> "Condition":
        """Require a member of a set."""
        return self._test("contains({}, {})", member)

    def begins_with(self, prefix: str) -> "Condition":
        """Require a text with a prefix."""
        return self._test("begins_with({}, {})", prefix)

    def is_smaller_than(self, size: int) -> "Condition":
        """Require fewer members of a set, or fewer characters of a text."""
        return self._test("size({}) < {}", size)

    def _test(self, template: str, *values: Any) -> "Condition":
        path = self.path

        def write(words: Words) -> str:
            return template.format(words.name(path), *[words.value(value, path) for value in values])

        return Condition(write)


class Condition:
    """A requirement on an item; `&` and `|` join two."""

    __slots__ = ("_is_choice", "write")

    def __init__(self, write: "Callable[[Words], str]", *, is_choice: bool = False) -> None:
        self.write = write
        self._is_choice = is_choice

    def __and__(self, other: "Condition") -> "Condition":
        """Require both."""
        return Condition(lambda words: f"{self._grouped(words)} AND {other._grouped(words)}")

    def __or__(self, other: "Condition") -> "Condition":
        """Require one of both."""
        return Condition(lambda words: f"{self.write(words)} OR {other.write(words)}", is_choice=True)

    def _grouped(self, words: "Words") -> str:
        return f"({self.write(words)})" if self._is_choice else self.write(words)


class Param:
    """A value that is given each time a prepared request or statement is made, under a name."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Placeholders:
    """Names and values of one request, behind placeholders."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._values: dict[str, Any] = {}

    def name(self, path: Path) -> str:
        """Return the words for a path: placeholders, except for a name with an underscore.

        A key of a map may be an SKU, of any characters and length: its placeholder is a number.
        """
        if isinstance(path, str):
            return path if "_" in path else self._alias(path, path)
        words = [
            self._alias(part, f"_{len(self._names)}" if place else part) for place, part in enumerate(path)
        ]
        return ".".join(words)

    def value(self, value: Any, path: Path) -> str:
        """Return the placeholder of a value, named after the attribute at `path`."""
        name = path if isinstance(path, str) else path[0]
        alias, number = f":{name}", 2
        while alias in self._values:
            alias, number = f":{name}{number}", number + 1
        self._values[alias] = value if type(value) is Param else encode(value)
        return alias

    def as_arguments(self) -> dict[str, Any]:
        """Return the arguments of the request that explain the placeholders."""
        arguments: dict[str, Any] = {}
        if self._names:
            arguments["ExpressionAttributeNames"] = {alias: name for name, alias in self._names.items()}
        if self._values:
            arguments["ExpressionAttributeValues"] = self._values
        return arguments

    def _alias(self, name: str, word: str) -> str:
        return self._names.setdefault(name, f"#{word}")


class Parameters:
    """Names and values of one PartiQL statement."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def name(self, path: Path) -> str:
        """Return the quoted path."""
        parts = (path,) if isinstance(path, str) else path
        return ".".join(f'"{part}"' for part in parts)

    def value(self, value: Any, _: Path) -> str:
        """Add a parameter."""
        self.values.append(value if type(value) is Param else encode(value))
        return "?"


Words = Placeholders | Parameters


# ---- AttributeValues ----


def encode_item(item: Item) -> dict[str, Any]:
    """Return an item as DynamoDB takes it."""
    return {name: encode(value) for name, value in item.items()}


def encode(value: Any) -> dict[str, Any]:
    """Return a value as an AttributeValue.

    Raises:
        TypeError: DynamoDB has no type for it.
    """
    # Most values are one of these two.
    if type(value) is str:
        return {"S": value}
    if type(value) is int:
        return {"N": str(value)}
    for types, encoded in _ENCODERS:
        if isinstance(value, types):
            return encoded(value)
    raise TypeError(f"no AttributeValue for {type(value).__name__}")


def decode_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the Python values of an item, or of a stream record's image."""
    # Most values are texts: a call for each of them would take most of the time.
    return {name: value["S"] if "S" in value else decode(value) for name, value in item.items()}


def decode(value: Mapping[str, Any]) -> Any:
    """Return the Python value of an AttributeValue; a set becomes a frozenset."""
    if "N" in value:
        return _number(value["N"])
    ((kind, content),) = value.items()
    decoder = _DECODERS.get(kind)
    return decoder(content) if decoder else content


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _encode_set(members: frozenset[Any]) -> dict[str, Any]:
    kind = "SS" if all(isinstance(member, str) for member in members) else "NS"
    return {kind: [str(member) for member in sorted(members)]}


# In this order: an enumeration's member is a str, and a bool is an int.
_ENCODERS: Sequence[tuple[type | tuple[type, ...], Callable[[Any], dict[str, Any]]]] = (
    (str, lambda text: {"S": str(text)}),
    (bool, lambda flag: {"BOOL": flag}),
    ((int, float), lambda number: {"N": str(number)}),
    (NoneType, lambda _: {"NULL": True}),
    (bytes, lambda body: {"B": body}),
    ((set, frozenset), _encode_set),
    ((list, tuple), lambda members: {"L": [encode(member) for member in members]}),
    (Mapping, lambda values: {"M": encode_item(values)}),
)
_DECODERS: Mapping[str, Callable[[Any], Any]] = {
    "M": decode_item,
    "L": lambda members: [decode(member) for member in members],
    "SS": frozenset,
    "NS": lambda numbers: frozenset(map(_number, numbers)),
    "NULL": lambda _: None,
    # boto3 wraps the bytes of an answer.
    "B": bytes,
}

"""EventBridge's pattern language: does a JSON document match?

The same pattern works in a rule of an event bus, below `detail`.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html

A pattern is an object. Each of its names must match: a name leads to another object, or to a list of values
and comparisons of which one must hold. `$or` leads to a list of patterns of which one must match.
"""

import datetime
import ipaddress
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import inf
from typing import Any

OR = "$or"
IGNORE_CASE = "equals-ignore-case"
DEPTH_MAX = 8
LEAVES_MAX = 100
_NUMERIC: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
}


class _Absent:
    """Stands for a value that a document does not have; None is a value of JSON."""


ABSENT = _Absent()


def matches(pattern: Mapping[str, Any], document: Any) -> bool:
    """Return whether a document matches a valid pattern. An empty pattern matches every document.

    A list in the document matches if one of its members does.
    """
    return all(_matches_name(name, wanted, document) for name, wanted in pattern.items())


def problem_of(pattern: Any) -> tuple[str, str] | None:
    """Return the path of the first fault of a pattern, and what is expected there; None for a valid one."""
    leaves = 0
    for path, expected in _leaves(pattern, "", 0):
        if expected is not None:
            return path, expected
        leaves += 1
    if leaves > LEAVES_MAX:
        return "", f"at most {LEAVES_MAX} values and comparisons, not {leaves}"
    return None


# ---- Matching ----


def _matches_name(name: str, wanted: Any, document: Any) -> bool:
    if name == OR:
        return any(matches(choice, document) for choice in wanted)
    value = document.get(name, ABSENT) if isinstance(document, Mapping) else ABSENT
    if isinstance(wanted, Mapping):
        members = value if isinstance(value, list) else [value]
        return any(matches(wanted, member) for member in members or [ABSENT])
    if isinstance(value, Mapping):
        value = ABSENT
    return any(_holds(test, value) for test in wanted)


def _holds(test: Any, value: Any) -> bool:
    if isinstance(test, Mapping) and "exists" in test:
        return (value is not ABSENT) is test["exists"]
    if value is ABSENT:
        return False
    return any(_compares(test, member) for member in (value if isinstance(value, list) else [value]))


def _compares(test: Any, value: Any) -> bool:
    if not isinstance(test, Mapping):
        return _equal(test, value)
    ((name, wanted),) = test.items()
    if name == "anything-but":
        # A comparison, a value, or a list of values.
        return not any(_compares(other, value) for other in _listed(wanted))
    if name == "cidr":
        return _is_in_network(value, wanted)
    if name == "numeric":
        pairs = zip(wanted[::2], wanted[1::2], strict=True)
        return _is_number(value) and all(_NUMERIC[sign](value, bound) for sign, bound in pairs)
    if isinstance(wanted, Mapping):
        return _compares_text(_TEXTS[name], value, wanted[IGNORE_CASE], fold=True)
    return any(_compares_text(_TEXTS[name], value, text) for text in _listed(wanted))


def _compares_text(
    compare: Callable[[str, str], bool], value: Any, wanted: str, *, fold: bool = False
) -> bool:
    if not isinstance(value, str):
        return False
    return compare(value.lower(), wanted.lower()) if fold else compare(value, wanted)


def _equal(wanted: Any, value: Any) -> bool:
    """Return whether two values of JSON are equal: `true` is no number there."""
    return isinstance(wanted, bool) is isinstance(value, bool) and bool(wanted == value)


def _equals_ignoring_case(value: str, wanted: str) -> bool:
    return value.lower() == wanted.lower()


def _matches_wildcard(value: str, wanted: str) -> bool:
    r"""Return whether a text has these parts in this order: `*` stands for any characters, `\*` for itself.

    Each part is looked for once, from the left: the time grows with the text alone.
    """
    # No text of a rule has control characters.
    marked = wanted.replace("\\\\", "\2").replace("\\*", "\1")
    parts = [part.replace("\1", "*").replace("\2", "\\") for part in marked.split("*")]
    if len(parts) == 1:
        return value == parts[0]
    first, *middle, last = parts
    start, end = len(first), len(value) - len(last)
    if not value.startswith(first) or not value.endswith(last) or end < start:
        return False
    for part in middle:
        found = value.find(part, start, end)
        if found < 0:
            return False
        start = found + len(part)
    return True


def _network(text: Any) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _is_in_network(value: Any, text: str) -> bool:
    network = _network(text)
    try:
        return network is not None and isinstance(value, str) and ipaddress.ip_address(value) in network
    except ValueError:
        return False


# Comparisons of texts, which `anything-but` may negate.
_TEXTS: Mapping[str, Callable[[str, str], bool]] = {
    "prefix": str.startswith,
    "suffix": str.endswith,
    IGNORE_CASE: _equals_ignoring_case,
    "wildcard": _matches_wildcard,
}


# ---- Validity ----


def _leaves(pattern: Any, path: str, depth: int) -> Iterator[tuple[str, str | None]]:
    """Yield each leaf of a pattern with its fault; None for a valid leaf."""
    if not isinstance(pattern, Mapping) or (depth and not pattern):
        yield path, "a table, or a list of values and comparisons"
        return
    if depth > DEPTH_MAX:
        yield path, f"at most {DEPTH_MAX} tables in each other"
        return
    for name, wanted in pattern.items():
        place = f"{path}.{name}" if path else name
        if name == OR:
            if not isinstance(wanted, list) or len(wanted) < 2:
                yield place, "a list of two patterns or more"
                continue
            for number, choice in enumerate(wanted):
                yield from _leaves(choice, f"{place}[{number}]", depth + 1)
        elif name in _OPERANDS:
            # No event has a field of this name: the brackets are missing.
            yield path, f"brackets around the comparison: [{{ {name} = … }}]"
        elif isinstance(wanted, list):
            if not wanted:
                yield place, "a list of at least one value or comparison"
            yield from ((place, _fault(test)) for test in wanted)
        else:
            yield from _leaves(wanted, place, depth + 1)


def _fault(test: Any) -> str | None:
    if isinstance(test, datetime.date):
        return 'a date in quotes: "2026-11-27"'
    if not isinstance(test, Mapping):
        return None if _is_scalar(test) else "a text, a number, true, false or a comparison"
    if len(test) != 1:
        return "one comparison in each pair of braces"
    ((name, wanted),) = test.items()
    if name not in _OPERANDS:
        return f"a comparison: one of {', '.join(sorted(_OPERANDS))}"
    is_valid, expected = _OPERANDS[name]
    return None if is_valid(wanted) else expected


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | bool) or _is_number(value)


def _is_number(value: Any) -> bool:
    # TOML has `inf` and `nan`, JSON has neither.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < inf


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]


def _are_texts(wanted: Any) -> bool:
    listed = _listed(wanted)
    return bool(listed) and all(isinstance(text, str) for text in listed)


def _is_affix(wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        return wanted.keys() == {IGNORE_CASE} and isinstance(wanted[IGNORE_CASE], str)
    return _are_texts(wanted)


def _can_be_negated(wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        return len(wanted) == 1 and all(name in _TEXTS and _are_texts(text) for name, text in wanted.items())
    listed = _listed(wanted)
    return bool(listed) and all(map(_is_scalar, listed))


def _are_bounds(wanted: Any) -> bool:
    if not isinstance(wanted, list) or len(wanted) not in {2, 4}:
        return False
    signs, bounds = wanted[::2], wanted[1::2]
    return all(isinstance(sign, str) and sign in _NUMERIC for sign in signs) and all(map(_is_number, bounds))


_AFFIX = f'a text, a list of texts, or {{ {IGNORE_CASE} = "text" }}'
# For each comparison, a check of what it compares with, and what it expects there.
_OPERANDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "anything-but": (
        _can_be_negated,
        "a value, a list of values, or a prefix, suffix, wildcard or equals-ignore-case",
    ),
    "cidr": (lambda wanted: _network(wanted) is not None, 'a network such as { cidr = "10.0.0.0/24" }'),
    "exists": (lambda wanted: isinstance(wanted, bool), "{ exists = true } or { exists = false }"),
    "numeric": (_are_bounds, '{ numeric = [">=", 10] } or { numeric = [">", 0, "<=", 5] }'),
    "prefix": (_is_affix, _AFFIX),
    "suffix": (_is_affix, _AFFIX),
    IGNORE_CASE: (_are_texts, "a text, or a list of texts"),
    "wildcard": (_are_texts, "a text, or a list of texts"),
}

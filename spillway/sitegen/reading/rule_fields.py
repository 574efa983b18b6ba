"""The fields of each event's data that a rule can compare, and the values that each of them can have."""

import datetime
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import floor
from typing import TYPE_CHECKING, Any, NamedTuple

from chalicelib.domain.domain_event import WEEKDAYS, EventType
from chalicelib.domain.emissions import DEMAND_STEPS
from chalicelib.domain.ids import Sku, Slug
from chalicelib.domain.stock import UNITS_MAX, Availability
from chalicelib.rules.pattern import OR, matches
from spillway.sitegen.reading.did_you_mean import did_you_mean

if TYPE_CHECKING:
    from spillway.sitegen.reading.catalogue import ProductRow

# The document of an event has these; what is in `data` depends on the type.
ATTRIBUTES = frozenset({"type", "subject", "data", "id", "time", "source", "causationid", "chaindepth"})
_TEXT_COMPARISONS = frozenset({"prefix", "suffix", "wildcard", "equals-ignore-case", "cidr"})
# Above each count that an event can have.
_COUNT_MAX = 10**12


class ShopNames(NamedTuple):
    """The SKUs and the slugs that a shop has; None where not all of them are known."""

    skus: frozenset[Sku] | None = None
    slugs: frozenset[Slug] | None = None

    @classmethod
    def of(cls, rows: "Sequence[ProductRow]", slugs: frozenset[Slug]) -> "ShopNames":
        """Return the names of a shop.

        Args:
            rows: the products that can be read.
            slugs: the slugs of all products. One that cannot be read has SKUs that are not known.
        """
        skus = frozenset(sku for row in rows for sku in row.skus)
        return cls(skus if slugs and len(rows) == len(slugs) else None, slugs or None)

    def problem(self, name: str, value: str) -> str | None:
        """Return what is expected instead of an SKU ("sku") or a slug ("product") that the shop lacks."""
        known: frozenset[str] | None = self.skus if name == "sku" else self.slugs
        if known is None or value in known:
            return None
        expected = "the SKU of a variant" if name == "sku" else "the slug of a product"
        return f"{expected}{did_you_mean(value, known)}"


NO_NAMES = ShopNames()


@dataclass(frozen=True, slots=True)
class EventField:
    """One field of an event.

    Args:
        is_text: whether its values are texts; else they are numbers.
        accepts: returns something true for a value of that type which it can have.
        expected: the values it can have.
        values: these values where they are few; the least and the most of other numbers.
    """

    is_text: bool
    accepts: Callable[[Any], object]
    expected: str
    values: tuple[Any, ...] = ()

    def problem(self, value: Any) -> str | None:
        """Return what is expected instead of a value that the field never has."""
        if isinstance(value, str) is not self.is_text or isinstance(value, bool):
            return self.expected
        if self.accepts(value):
            return None
        return f"{self.expected}{did_you_mean(str(value), self.values) if self.is_text else ''}"

    def never_meets(self, comparison: Mapping[str, Any]) -> bool:
        """Return whether a comparison holds for no value that the field can have, where these are known."""
        met = list(self.values)
        if not self.is_text:
            others = comparison.get("anything-but", ())
            named = [*comparison.get("numeric", ()), *(others if isinstance(others, list) else [others])]
            bounds = [number for number in named if isinstance(number, int | float)]
            # A number that fits is one of these: a bound, one beside it, or one in between.
            met += [*bounds, *(floor(bound) + step for bound in bounds for step in (-1, 0, 1, 2))]
            met += [(low + high) / 2 for low, high in combinations([*self.values, *bounds], 2)]
            met = [number for number in met if self.accepts(number)]
        return bool(self.values) and not matches({"value": [comparison]}, {"value": met})


def _numbers(most: int, least: int = 0, *, fractions: bool = False) -> EventField:
    kind = "number" if fractions else "whole number"
    return EventField(
        False,
        lambda value: least <= value <= most and (fractions or value == floor(value)),
        f"a {kind} from {least} to {most}, without quotes",
        (least, most),
    )


def _one_of(words: Sequence[str]) -> EventField:
    return EventField(True, lambda value: value in words, f"one of {', '.join(words)}", tuple(words))


def _moments(form: str, example: str) -> EventField:
    """Return a field of days or times, in a form that `strptime` takes."""

    def accepts(value: str) -> bool:
        try:
            moment = datetime.datetime.strptime(value, form)  # noqa: DTZ007 - only its form matters
        except ValueError:
            return False
        return moment.strftime(form) == value

    return EventField(True, accepts, f'a text such as "{example}"')


def _written(example: str, form: str = ".+") -> EventField:
    return EventField(True, re.compile(form, re.DOTALL).fullmatch, f'a text such as "{example}"')


_SKU, _PRODUCT = _written("FJ-OLIVE-M"), _written("field-jacket")
_REASON, _NAME = _written("too many complaints"), _written("much-wanted")
_RESTOCK = _written("FJ-OLIVE-M:1795773600000:4711")
_AVAILABILITY, _UNITS, _COUNT = _one_of(tuple(Availability)), _numbers(UNITS_MAX), _numbers(_COUNT_MAX)
_WEBHOOK = {
    "endpoint": _written("crm"),
    "answer": _written("503"),
    "since": _written("2026-11-27T10:00:00.000Z"),
}
_WAITING = EventField(
    False,
    lambda value: value in DEMAND_STEPS,
    f"one of {', '.join(str(step) for step in DEMAND_STEPS)}",
    DEMAND_STEPS,
)
_ATTRIBUTE_FIELDS: Mapping[str, EventField] = {
    **dict.fromkeys(("subject", "id", "time", "source", "causationid"), _written("FJ-OLIVE-M")),
    "chaindepth": _numbers(3),
}

# The fields of `data`, by the type of the event; None for a field with fields of its own.
EVENT_FIELDS: Mapping[EventType, Mapping[str, EventField | None]] = {
    EventType.AVAILABILITY_CHANGED: {
        "sku": _SKU,
        "product": _PRODUCT,
        "availability": _AVAILABILITY,
        "units": _UNITS,
        "availability_before": _AVAILABILITY,
        "units_before": _UNITS,
    },
    EventType.RESTOCK_OPENED: {"sku": _SKU, "product": _PRODUCT, "units": _UNITS, "restock": _RESTOCK},
    EventType.WAVE_FINISHED: {
        "sku": _SKU,
        "product": _PRODUCT,
        "restock": _RESTOCK,
        "wave": _written("1"),
    },
    EventType.SIGNUP_CONFIRMED: {"sku": _SKU, "page": _written("/products/field-jacket")},
    EventType.DEMAND_PASSED: {"sku": _SKU, "waiting": _WAITING},
    EventType.EMAIL_BOUNCED: {"sku": _SKU},
    EventType.EMAIL_COMPLAINED: {"sku": _SKU, "complaints_of_day": _COUNT},
    EventType.ORDER_REPORTED: {
        "sku": _SKU,
        "quantity": _COUNT,
        "amount_minor": _COUNT,
        "currency": _written("EUR", "[A-Z]{3}"),
        "restock": _RESTOCK,
    },
    EventType.SENDING_PAUSED: {"reason": _REASON, "rule": _NAME},
    EventType.WEBHOOK_FAILING: _WEBHOOK,
    EventType.WEBHOOK_DISABLED: _WEBHOOK,
    EventType.TRAFFIC_SPIKE: {
        "minute": _moments("%Y-%m-%dT%H:%M", "2026-11-27T10:05"),
        "requests": _COUNT,
    },
    EventType.TRAFFIC_COVERAGE_FELL: {
        "hour": _moments("%Y-%m-%dT%H", "2026-11-27T10"),
        "logged": _COUNT,
        "counted": _COUNT,
        "share": _numbers(1, fractions=True),
    },
    EventType.SCHEDULE: {
        "hour": _numbers(23),
        "weekday": _one_of(WEEKDAYS),
        "day": _numbers(31, 1),
        "month": _numbers(12, 1),
        "date": _moments("%Y-%m-%d", "2026-11-27"),
    },
    EventType.RULE_FIRED: {
        "name": _NAME,
        "rule": _NAME,
        "type": _one_of(tuple(EventType)),
        "data": None,
    },
}


def pattern_problems(
    pattern: Mapping[str, Any], on: EventType, names: ShopNames = NO_NAMES
) -> Iterator[tuple[str, Any, str]]:
    """Yield the path, the value and what is expected for each part of a valid pattern that never matches.

    Args:
        pattern: the pattern of a rule, without faults of the language.
        on: the type of the events it is compared with.
        names: the SKUs and slugs that the shop has.
    """
    for name, wanted, place in _names_of(pattern, ""):
        if name == "data":
            if isinstance(wanted, Mapping):
                yield from _data_problems(wanted, place, on, names)
            else:
                yield place, wanted, "when.data.NAME, with the name of a field of the event"
        elif name not in ATTRIBUTES:
            known = ", ".join(sorted(ATTRIBUTES))
            yield place, wanted, f"when.data.{name}, or one of {known}{did_you_mean(name, ATTRIBUTES)}"
        else:
            field = _one_of((on.value,)) if name == "type" else _ATTRIBUTE_FIELDS[name]
            yield from _field_problems(wanted, field, place, name, NO_NAMES)


def _data_problems(
    data: Mapping[str, Any], path: str, on: EventType, names: ShopNames
) -> Iterator[tuple[str, Any, str]]:
    known = EVENT_FIELDS[on]
    for name, wanted, place in _names_of(data, path):
        if name not in known:
            near = did_you_mean(name, known)
            yield place, wanted, f"a field of {on.value}: one of {', '.join(known)}{near}"
        elif field := known[name]:
            yield from _field_problems(wanted, field, place, name, names)


def _names_of(pattern: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any, str]]:
    """Yield each name of a pattern and of its alternatives, with its value and its path."""
    for name, wanted in pattern.items():
        place = f"{path}.{name}" if path else name
        if name == OR:
            for number, choice in enumerate(wanted):
                yield from _names_of(choice, f"{place}[{number}]")
        else:
            yield name, wanted, place


def _field_problems(
    wanted: Any, field: EventField, place: str, name: str, names: ShopNames
) -> Iterator[tuple[str, Any, str]]:
    if isinstance(wanted, Mapping):
        yield place, wanted, "a list of values and comparisons"
        return
    for test in wanted:
        if problem := _comparison_problem(test, field):
            yield place, test, problem
            continue
        for value in _values_of(test):
            problem = field.problem(value)
            if problem is None and name in {"sku", "product"}:
                problem = names.problem(name, value)
            if problem:
                yield place, value, problem


def _comparison_problem(test: Any, field: EventField) -> str | None:
    """Return what is expected instead of a comparison of numbers for a text, or of texts for a number."""
    if not isinstance(test, Mapping):
        return None
    ((name, wanted),) = test.items()
    if (
        name == "anything-but"
        and isinstance(wanted, Mapping)
        and (inner := _comparison_problem(wanted, field))
    ):
        return inner
    if field.is_text and name == "numeric":
        return f"{field.expected}; numeric compares numbers"
    if not field.is_text and name in _TEXT_COMPARISONS:
        return f"{field.expected}, or a comparison with numeric; {name} compares texts"
    return f"{field.expected}; no such value fits" if name != "exists" and field.never_meets(test) else None


def _values_of(test: Any) -> Sequence[Any]:
    """Return the values that a test compares with whole values of a field."""
    if not isinstance(test, Mapping):
        return [test]
    wanted = test.get("anything-but", [])
    if isinstance(wanted, Mapping):
        return []
    return wanted if isinstance(wanted, list) else [wanted]

"""Validation of a call's members by botocore's own model of the service, in every point.

botocore checks types, required members and lower bounds before it sends, and leaves out what only the
service would check: upper bounds, patterns and enumerations. Our functions send without even that.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from botocore.validate import ParamValidator, ValidationErrors

from spillway.local_cloud.strict.members import AnyShape

if TYPE_CHECKING:
    # The stubs know a validator by its one public method.
    _Base: type[Any] = object
else:
    _Base = ParamValidator

# Java's names for classes of characters that Python's regular expressions call otherwise.
JAVA_CLASSES = {
    r"\p{Print}": r"[ -~]",
    r"\p{L}": r"\w",
    r"\p{N}": r"\d",
    r"\p{Z}": r"\s",
    r"\w-_": r"\w_\-",
    # Surrogates are how Java writes characters beyond the first plane, which Python has as they are.
    r"\uD800\uDC00-\uDBFF\uDFFF": r"\U00010000-\U0010FFFF",
}
ANYTHING = re.compile(r"(?s).*")
MISSING, TYPE, UNKNOWN, CONSTRAINT = "missing", "type", "unknown", "constraint"
# A value is quoted in a message up to here.
SHOWN_MAX = 200


@dataclass(frozen=True, slots=True)
class Violation:
    """One way in which a call is not what the model says. `kind` chooses AWS's error code."""

    kind: str
    member: str
    message: str


def first_violation(members: Mapping[str, Any], shape: AnyShape) -> Violation | None:
    """Return what AWS would complain of first, or None."""
    report = _VALIDATOR.validate(members, shape)
    found = report.violations
    # AWS reads a request before it judges it: a wrong type is answered before anything else.
    return min(found, key=lambda violation: violation.kind != TYPE) if found else None


class _Report(ValidationErrors):
    """Collects violations in AWS's words."""

    def __init__(self) -> None:
        super().__init__()
        self.violations: list[Violation] = []

    def report(self, name: str, reason: str, **facts: Any) -> None:
        """Take a violation from botocore's validator, or from ours."""
        self.violations.append(_violation(name, reason, facts))


class _StrictValidator(_Base):  # type: ignore[misc]
    """botocore's validator, with the constraints that it leaves to the service."""

    def validate(self, params: Mapping[str, Any], shape: AnyShape) -> _Report:
        errors = _Report()
        self._validate(params, shape, errors, name="")
        return errors

    def _shape_has_constraints(self, shape: AnyShape) -> bool:
        return bool(shape.metadata)

    def _validate_string(self, param: Any, shape: AnyShape, errors: _Report, name: str) -> None:
        super()._validate_string(param, shape, errors, name)
        if not isinstance(param, str) or not shape.metadata:
            return
        self._upper(len(param), param, shape, errors, name, "length")
        allowed = shape.metadata.get("enum")
        if allowed and param not in allowed:
            errors.report(name, "enum", param=param, allowed=allowed)
        pattern = shape.metadata.get("pattern")
        if pattern and not compiled(pattern).fullmatch(param):
            errors.report(name, "pattern", param=param, pattern=pattern)

    def _validate_list(self, param: Any, shape: AnyShape, errors: _Report, name: str) -> None:
        super()._validate_list(param, shape, errors, name)
        if isinstance(param, list) and shape.metadata:
            self._upper(len(param), param, shape, errors, name, "length")

    def _validate_map(self, param: Any, shape: AnyShape, errors: _Report, name: str) -> None:
        super()._validate_map(param, shape, errors, name)
        if isinstance(param, dict) and shape.metadata:
            if len(param) < shape.metadata.get("min", 0):
                errors.report(name, "invalid length", param=param, min_allowed=shape.metadata["min"])
            self._upper(len(param), param, shape, errors, name, "length")

    def _validate_blob(self, param: Any, shape: AnyShape, errors: _Report, name: str) -> None:
        super()._validate_blob(param, shape, errors, name)
        if isinstance(param, bytes) and shape.metadata:
            self._upper(len(param), "(binary)", shape, errors, name, "length")

    def _validate_integer(self, param: Any, shape: AnyShape, errors: _Report, name: str) -> None:
        if isinstance(param, bool):
            errors.report(name, "invalid type", param=param)
            return
        super()._validate_integer(param, shape, errors, name)
        if isinstance(param, int) and shape.metadata:
            self._upper(param, param, shape, errors, name, "value")

    _validate_long = _validate_integer

    def _upper(
        self, size: float, param: Any, shape: AnyShape, errors: _Report, name: str, measured: str
    ) -> None:
        maximum = shape.metadata.get("max")
        if maximum is not None and size > maximum:
            errors.report(name, "above", param=param, max_allowed=maximum, measured=measured)


_VALIDATOR = _StrictValidator()


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern of a model, written for Java, as Python matches it: against the whole value."""
    for java, python in JAVA_CLASSES.items():
        pattern = pattern.replace(java, python)
    try:
        return re.compile(pattern)
    except re.error:  # of services that nothing here calls: a test looks through those that something does
        return ANYTHING


def _violation(name: str, reason: str, facts: Mapping[str, Any]) -> Violation:
    member = _java_name(name)
    if reason == "missing required field":
        wanted = _java_name(f"{name}.{facts['required_name']}")
        return Violation(MISSING, wanted, _failed("null", wanted, "Member must not be null"))
    if reason == "unknown field":
        unknown = f"{name}.{facts['unknown_param']}".lstrip(".")
        return Violation(UNKNOWN, unknown, f"Unknown member {unknown}")
    if reason in {"invalid type", "invalid type for document", "unable to encode to json"}:
        return Violation(
            TYPE, member, f"{member}: {type(facts.get('param')).__name__} is not of the member's type"
        )
    if reason in {"more than one input", "empty input"}:
        return Violation(CONSTRAINT, member, f"{member}: exactly one member must be set")
    return Violation(CONSTRAINT, member, _failed(facts["param"], member, _constraint(reason, facts)))


def _constraint(reason: str, facts: Mapping[str, Any]) -> str:
    if reason == "enum":
        return f"Member must satisfy enum value set: [{', '.join(facts['allowed'])}]"
    if reason == "pattern":
        return f"Member must satisfy regular expression pattern: {facts['pattern']}"
    if reason == "above":
        return f"Member must have {facts['measured']} less than or equal to {facts['max_allowed']}"
    measured = "length" if reason == "invalid length" else "value"
    return f"Member must have {measured} greater than or equal to {facts['min_allowed']}"


def _failed(value: Any, member: str, constraint: str) -> str:
    shown = str(value)
    shown = value if value == "null" else f"'{shown[:SHOWN_MAX]}'"
    return (
        f"1 validation error detected: Value {shown} at '{member}' failed to satisfy constraint: {constraint}"
    )


def _java_name(name: str) -> str:
    """Return botocore's `.Items[0].Name` as AWS says it: `items.1.member.name`."""
    said = re.sub(r"\[(\d+)\]", lambda found: f".{int(found[1]) + 1}.member", name.lstrip("."))
    return ".".join(part[:1].lower() + part[1:] for part in said.split("."))

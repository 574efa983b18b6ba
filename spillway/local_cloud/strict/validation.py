"""Validation of a call's members by botocore's own model of the service, in every point.

botocore checks types, required members and lower bounds before it sends, and leaves out what only the
service would check: upper bounds, patterns and enumerations. Our functions send without even that.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from botocore.validate import ParamValidator, ValidationErrors

if TYPE_CHECKING:
    # The stubs know a validator by its one public method.
    _Base: type[Any] = object
else:
    _Base = ParamValidator

# botocore's stubs know one class of shape: which of them has members or a key is known by `type_name`.
AnyShape = Any

NAMESPACE = re.compile(r"\{.*\}")
NUMBERS = {"integer": int, "long": int, "float": float, "double": float}


class MalformedRequest(ValueError):
    """The request cannot be read as any call; the message says what is wrong with it."""


def from_json(shape: AnyShape, value: Any) -> Any:
    """Return a JSON value by the names of the model's members; null members are left out."""
    if isinstance(value, dict) and shape.type_name == "structure":
        if shape.is_document_type:
            return value
        named = _json_names(shape)
        return {
            name: from_json(shape.members[name], held) if name in shape.members else held
            for name, held in ((named.get(sent_as, sent_as), held) for sent_as, held in value.items())
            if held is not None
        }
    if isinstance(value, list) and shape.type_name == "list":
        return [from_json(shape.member, held) for held in value]
    if isinstance(value, dict) and shape.type_name == "map":
        return {key: from_json(shape.value, held) for key, held in value.items() if held is not None}
    if shape.type_name == "blob" and isinstance(value, str):
        return _decoded(value)
    return value


def _json_names(shape: AnyShape) -> Mapping[str, str]:
    names = shape.__dict__.get("spillway_json_names")
    if names is None:
        names = {member.serialization.get("name", name): name for name, member in shape.members.items()}
        shape.__dict__["spillway_json_names"] = names
    found: Mapping[str, str] = names
    return found


def from_form(shape: AnyShape, pairs: Mapping[str, str]) -> dict[str, Any]:
    """Return the members that form fields of the query protocol name, unknown ones included."""
    tree: dict[str, Any] = {}
    for path, value in pairs.items():
        *way, last = path.split(".")
        node = tree
        for step in way:
            node = node.setdefault(step, {})
            if not isinstance(node, dict):
                raise MalformedRequest(f"{path} names a member of a plain value")
        node[last] = value
    return as_object(_from_tree(shape, tree))


def _from_tree(shape: AnyShape, node: Any) -> Any:
    if shape.type_name == "structure" and isinstance(node, dict):
        sent = {member.serialization.get("name", name): name for name, member in shape.members.items()}
        flat = {
            member.member.serialization["name"]: name
            for name, member in shape.members.items()
            if member.type_name == "list"
            and member.serialization.get("flattened")
            and "name" in member.member.serialization
        }
        names = sent | flat
        return {
            names.get(key, key): _from_tree(shape.members[names[key]], held) if key in names else held
            for key, held in node.items()
        }
    if shape.type_name == "list":
        if node == "":
            return []
        if not isinstance(node, dict):
            return node
        inner = shape.member.serialization.get("name", "member")
        items = node if shape.serialization.get("flattened") else node.get(inner, node)
        return [_from_tree(shape.member, items[key]) for key in sorted(items, key=_position)]
    if shape.type_name == "map" and isinstance(node, dict):
        items = node if shape.serialization.get("flattened") else node.get("entry", node)
        key_name, value_name = (
            part.serialization.get("name", default)
            for part, default in ((shape.key, "key"), (shape.value, "value"))
        )
        return {held.get(key_name): _from_tree(shape.value, held.get(value_name)) for held in items.values()}
    return from_text(shape, node) if isinstance(node, str) else node


def _position(key: str) -> int:
    if not key.isdigit():
        raise MalformedRequest(f"{key} is no position in a list")
    return int(key)


def from_xml(shape: AnyShape, node: ElementTree.Element) -> Any:
    """Return an XML element as the members of `shape`, unknown ones included."""
    if shape.type_name == "structure":
        names = {_xml_name(name, member): name for name, member in shape.members.items()}
        found: dict[str, Any] = {}
        for child in node:
            tag = NAMESPACE.sub("", child.tag)
            name = names.get(tag, tag)
            member = shape.members.get(name)
            if member is None:
                found[name] = child.text or ""
            elif member.type_name == "list" and member.serialization.get("flattened"):
                found.setdefault(name, []).append(from_xml(member.member, child))
            else:
                found[name] = from_xml(member, child)
        return found
    if shape.type_name == "list":
        return [from_xml(shape.member, child) for child in node]
    if shape.type_name == "map":
        pairs = [{NAMESPACE.sub("", part.tag): part for part in entry} for entry in node]
        key, value = (
            shape.key.serialization.get("name", "key"),
            shape.value.serialization.get("name", "value"),
        )
        return {pair[key].text or "": from_xml(shape.value, pair[value]) for pair in pairs}
    return from_text(shape, node.text or "")


def _xml_name(name: str, member: AnyShape) -> str:
    if member.type_name == "list" and member.serialization.get("flattened"):
        name = member.member.serialization.get("name", name)
    sent_as: str = member.serialization.get("name", name)
    return sent_as


def from_text(shape: AnyShape, text: str) -> Any:
    """Return a value that came as text; what is not of its type stays text, for the validation to refuse."""
    if shape.type_name == "boolean":
        return {"true": True, "false": False}.get(text.lower(), text)
    if shape.type_name in NUMBERS:
        try:
            return NUMBERS[shape.type_name](text)
        except ValueError:
            return text
    if shape.type_name == "blob":
        return _decoded(text)
    return text


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise MalformedRequest("A binary value is not base64") from error


def as_object(value: Any) -> dict[str, Any]:
    """Return a value that has to be an object.

    Raises:
        MalformedRequest: it is something else.
    """
    if not isinstance(value, dict):
        raise MalformedRequest("The request body is no object")
    return value


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

"""The members of a request by the names of the model: from JSON, form fields, XML and plain text.

Members that the model does not know stay as they came, for the validation to find.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

# botocore's stubs know one class of shape: which of them has members or a key is known by `type_name`.
AnyShape = Any

NAMESPACE = re.compile(r"\{.*\}")
NUMBERS = {"integer": int, "long": int, "float": float, "double": float}


class Malformed(ValueError):
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
                raise Malformed(f"{path} names a member of a plain value")
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
        raise Malformed(f"{key} is no position in a list")
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
        raise Malformed("A binary value is not base64") from error


def as_object(value: Any) -> dict[str, Any]:
    """Return a value that has to be an object.

    Raises:
        Malformed: it is something else.
    """
    if not isinstance(value, dict):
        raise Malformed("The request body is no object")
    return value

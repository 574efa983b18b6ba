"""Make the reference of the HTTP API from its OpenAPI document."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from docsite.markdown import MADE, page, table

OPENAPI = Path("chalicelib/http/openapi.json")

HEAD = """\
# HTTP API

Each path begins with `/api` at the shop's own address. The shop serves the same description as JSON at
`/api/openapi.json`.

A program that signs somebody up reads the product's page first: the form there has the `form_token` that
`POST /api/waitlist` needs.
"""
METHODS = ("get", "post", "put", "patch", "delete")
AUTHORISED_BY = {
    "merchantKey": "`Authorization: Bearer KEY`, with the key of the secret `MerchantKeysSecret`",
    "merchantSignature": "`Spillway-Signature`, made with the same key"
    " ([how to sign](../inventory.md#sign-a-webhook))",
    "sourceSignature": "the signature of the source ([other systems](../inventory.md#other-systems))",
    "merchantSession": "the cookie of a merchant who is signed in"
    " ([merchants and roles](../merchant-page.md#merchants-and-roles))",
}

Document = Mapping[str, Any]


def http_api_page(root: Path) -> str:
    """Return the page: each operation with its authorisation, parameters, fields and answers."""
    document = json.loads((root / OPENAPI).read_text(encoding="utf-8"))
    parts = [MADE, HEAD, document["info"]["description"]]
    for path, operations in document["paths"].items():
        for method in METHODS:
            if method in operations:
                parts += _operation(document, f"{method.upper()} /api{path}", operations[method])
    problem = document["components"]["schemas"]["Problem"]
    parts += [
        "## Problem documents",
        "An error is answered with a problem document (RFC 9457), or with a page for a browser.",
        _fields(document, problem),
    ]
    return page(*parts)


def _operation(document: Document, title: str, operation: Document) -> list[str]:
    parts = [f"## {title}", operation["summary"]]
    for requirement in operation.get("security", ()):
        parts += [f"Authorisation: {AUTHORISED_BY[name]}." for name in requirement]
    parameters = [_resolved(document, parameter) for parameter in operation.get("parameters", ())]
    if parameters:
        rows = [
            [f"`{one['name']}`", one.get("description", ""), "yes" if one.get("required") else "no"]
            for one in parameters
        ]
        parts.append(table(["query parameter", "meaning", "needed"], rows))
    content = operation.get("requestBody", {}).get("content", {})
    if content:
        types = ", ".join(f"`{name}`" for name in content)
        parts.append(f"Body: {types}.")
        parts += dict.fromkeys(
            _fields(document, schema) for body in content.values() for schema in _schemas(document, body)
        )
    statuses: dict[tuple[str, str], list[str]] = {}
    for status, answer in sorted(operation["responses"].items()):
        resolved = _resolved(document, answer)
        kinds = ", ".join(f"`{name}`" for name in resolved.get("content", {})) or "none"
        statuses.setdefault((kinds, resolved["description"]), []).append(status)
    rows = [[", ".join(group), meaning, kinds] for (kinds, meaning), group in statuses.items()]
    return [*parts, table(["status", "meaning", "body"], rows)]


def _schemas(document: Document, body: Document) -> Iterator[Document]:
    """Yield the objects that a body may be."""
    schema = _resolved(document, body["schema"])
    for option in schema.get("anyOf", [schema]) if "properties" not in schema else [schema]:
        resolved = _resolved(document, option)
        if "properties" in resolved:
            yield resolved


def _fields(document: Document, schema: Document) -> str:
    needed = schema.get("required", ())
    rows = []
    for name, value in schema["properties"].items():
        resolved = _resolved(document, value)
        rows.append(
            [
                f"`{name}`",
                _meaning(document, resolved),
                _type(document, resolved),
                "yes" if name in needed else "no",
            ]
        )
    return table(["field", "meaning", "value", "needed"], rows)


def _meaning(document: Document, schema: Document) -> str:
    """Return a schema's description, or else that of its first option."""
    first = next((_resolved(document, option) for option in schema.get("oneOf", ())), schema)
    return str(schema.get("description") or first.get("description", ""))


def _type(document: Document, schema: Document) -> str:
    """Say in words which values a schema allows."""
    schema = _resolved(document, schema)
    if "oneOf" in schema:
        return ", or ".join(_type(document, option) for option in schema["oneOf"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        size = f", {schema.get('minItems', 0)} to {schema['maxItems']}" if "maxItems" in schema else ""
        return f"list of {_type(document, schema['items'])}{size}"
    kind = str(schema.get("format") or schema.get("type", "any"))
    words = {
        "string": "text",
        "integer": "whole number",
        "date-time": "time with its offset",
        "email": "address",
    }
    text = words.get(kind, kind)
    if "maxLength" in schema:
        text += f", at most {schema['maxLength']:,} characters"
    if "maximum" in schema:
        text += f", at most {schema['maximum']:,}"
    return text


def _resolved(document: Document, value: Document) -> Document:
    """Follow a reference within the document."""
    while "$ref" in value:
        target: Any = document
        for step in value["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        value = target
    return value

"""Bodies of requests, read strictly: a size limit, known fields only, text that is text."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from chalicelib.http.problem import FieldError, Problem

BODY_BYTES_MAX = 8 * 1024
FIELDS_MAX = 40
FORM_TYPE = "application/x-www-form-urlencoded"
JSON_TYPE = "application/json"

# Control characters, and halves of a pair: no keyboard makes them.
UNFIT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")

Fields = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Body:
    """A request's body as it came, with its media type."""

    content_type: str
    raw: bytes

    def refuse_large(self) -> None:
        """Let a body of a usual size pass.

        Raises:
            Problem: 413 too large.
        """
        if len(self.raw) > BODY_BYTES_MAX:
            raise Problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A request has at most {BODY_BYTES_MAX} bytes."
            )

    def fields(self, known: frozenset[str]) -> Fields:
        """The fields of a form or of a flat JSON object, each with its values in order.

        Raises:
            Problem: 413 too large, 415 neither form nor JSON, 400 malformed or with unknown fields.
        """
        self.refuse_large()
        media_type = self.content_type.partition(";")[0].strip().lower()
        if media_type == FORM_TYPE:
            fields = _form_fields(self.raw)
        elif media_type == JSON_TYPE:
            fields = _text_fields(self.json_object())
        else:
            raise Problem(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Send a form ({FORM_TYPE}) or an object ({JSON_TYPE})."
            )
        _check(fields, known)
        return fields

    def json_object(self) -> dict[str, Any]:
        """The JSON object that the body is, each of its names once.

        Raises:
            Problem: 413 too large, 400 something else.
        """
        self.refuse_large()
        try:
            document = json.loads(
                self.raw.decode("utf-8"), object_pairs_hook=_no_repeats, parse_constant=_refuse
            )
        except (ValueError, RecursionError):
            raise Problem(HTTPStatus.BAD_REQUEST, "The body is not valid JSON.") from None
        if not isinstance(document, dict):
            raise Problem(HTTPStatus.BAD_REQUEST, "The body must be one JSON object.")
        return document


def _refuse_many(count: int) -> None:
    if count > FIELDS_MAX:
        raise Problem(HTTPStatus.BAD_REQUEST, f"A request has at most {FIELDS_MAX} fields, not {count}.")


def _form_fields(raw: bytes) -> Fields:
    _refuse_many(raw.count(b"&") + 1)
    try:
        pairs = parse_qsl(raw.decode("utf-8"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise Problem(HTTPStatus.BAD_REQUEST, "The form cannot be read: it is not UTF-8 text.") from None
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields


def _text_fields(document: Mapping[str, Any]) -> Fields:
    _refuse_many(len(document))
    fields: dict[str, list[str]] = {}
    for name, value in document.items():
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(item, str) for item in values):
            raise Problem(
                HTTPStatus.BAD_REQUEST,
                "The body must be an object of texts.",
                (FieldError(name, "Must be a text, or a list of texts."),),
            )
        fields[name] = values
    return fields


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a name stands twice")
    return document


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _check(fields: Fields, known: frozenset[str]) -> None:
    unknown = sorted(fields.keys() - known)
    if unknown:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "The request has fields that nothing here knows.",
            tuple(FieldError(name, "Unknown field.") for name in unknown),
        )
    for name, values in fields.items():
        if any(UNFIT.search(value) for value in values):
            raise Problem(
                HTTPStatus.BAD_REQUEST,
                "The request has characters that no form can hold.",
                (FieldError(name, "Has a control character or half a character in it."),),
            )

"""Which texts a shop says, and where: what a catalogue of another language has to have."""

import ast
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, TemplateSyntaxError

_CODE = Path(__file__).parents[2]
# Code that has words for shoppers, and which arguments of which calls those are.
_FILES = (
    *("chalicelib/http/forms.py", "chalicelib/http/origins.py", "chalicelib/http/refusals.py"),
    *(
        "chalicelib/http/signup_form.py",
        "chalicelib/http/token_form.py",
        "chalicelib/http/my_waitlists_form.py",
    ),
    "spillway/sitegen/listings.py",
)
_CALLS = {"FieldError": (1,), "Problem": (1,), "one": (0,), "of_number": (0, 1)}


class Message(NamedTuple):
    """A text as its template or its code has it, in English; `plural` where it depends on a number."""

    text: str
    plural: str
    place: str


def messages_of(templates: Mapping[str, str]) -> list[Message]:
    """Every text once, in the order of the places it is first found at."""
    found: dict[str, Message] = {}
    said = [each for name, source in sorted(templates.items()) for each in _of_template(name, source)]
    for each in (*said, *(each for name in _FILES for each in _of_code(name))):
        known = found.setdefault(each.text, each)
        if each.plural and not known.plural:
            found[each.text] = each
    return list(found.values())


@cache
def _of_template(name: str, source: str) -> tuple[Message, ...]:
    folder = "site" if name.startswith("emails/") else "site/templates"
    try:
        found = list(_language().extract_translations(source))
    except TemplateSyntaxError:  # told, with its line, when it is rendered
        return ()
    both = [(line, (texts, "") if isinstance(texts, str) else texts) for line, _, texts in found]
    return tuple(
        Message(texts[0], texts[1] or "", f"{folder}/{name}:{line}")
        for line, texts in both
        if texts and texts[0]
    )


@cache
def _language() -> Any:
    environment: Any = Environment(autoescape=True, extensions=["jinja2.ext.i18n"])
    environment.policies["ext.i18n.trimmed"] = True
    environment.newstyle_gettext = True
    return environment


@cache
def _of_code(name: str) -> tuple[Message, ...]:
    tree = ast.parse((_CODE / name).read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return tuple(
        Message(said[0], said[1] if said[1:] else "", f"{name}:{call.lineno}")
        for call in sorted(calls, key=lambda call: (call.lineno, call.col_offset))
        if (said := _said(call))
    )


def _said(call: ast.Call) -> list[str]:
    """The texts of a call that has words for shoppers, if it says them right there."""
    places = _CALLS.get(_called(call.func), ())
    arguments = [call.args[place] for place in places if place < len(call.args)]
    said = [each.value for each in arguments if isinstance(each, ast.Constant)]
    texts = [each for each in said if isinstance(each, str)]
    return texts if len(texts) == len(places) else []


def _called(function: ast.expr) -> str:
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")

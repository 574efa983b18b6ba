"""Which texts a shop says, and where: what a catalogue of another language has to have."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, TemplateSyntaxError

_CODE = Path(__file__).parents[2]
# Code that has words for shoppers, and which arguments of which calls those are.
_FILES = (
    *("chalicelib/http/forms.py", "chalicelib/http/origins.py", "chalicelib/http/refusals.py"),
    *("chalicelib/http/signup_form.py", "chalicelib/http/token_form.py", "chalicelib/http/yours_form.py"),
    "spillway/build/listings.py",
)
_CALLS = {"FieldError": (1,), "Problem": (1,), "one": (0,), "of_number": (0, 1)}


class Msgid(NamedTuple):
    """A text as its template or its code has it, in English; `plural` where it depends on a number."""

    text: str
    plural: str
    place: str


def msgids(templates: Mapping[str, str]) -> list[Msgid]:
    """Every text once, in the order of the places it is first found at."""
    found: dict[str, Msgid] = {}
    for each in (*_of_templates(templates), *_of_code()):
        known = found.setdefault(each.text, each)
        if each.plural and not known.plural:
            found[each.text] = each
    return list(found.values())


def _of_templates(templates: Mapping[str, str]) -> Iterator[Msgid]:
    environment = Environment(autoescape=True, extensions=["jinja2.ext.i18n"])
    environment.policies["ext.i18n.trimmed"] = True
    environment.newstyle_gettext = True  # type: ignore[attr-defined]
    extract = environment.extract_translations  # type: ignore[attr-defined]
    for name, source in sorted(templates.items()):
        folder = "site" if name.startswith("letters/") else "site/templates"
        try:
            for line, _, texts in extract(source):
                text, plural = (texts, "") if isinstance(texts, str) else (texts or ("", ""))[:2]
                if text:
                    yield Msgid(text, plural or "", f"{folder}/{name}:{line}")
        except TemplateSyntaxError:  # told, with its line, when it is rendered
            continue


def _of_code() -> Iterator[Msgid]:
    for name in _FILES:
        tree = ast.parse((_CODE / name).read_text(encoding="utf-8"))
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        for node in sorted(calls, key=lambda call: (call.lineno, call.col_offset)):
            if places := _CALLS.get(_called(node.func)):
                texts = [node.args[place] for place in places if place < len(node.args)]
                said = [each.value for each in texts if isinstance(each, ast.Constant)]
                if len(said) == len(places) and all(isinstance(each, str) for each in said):
                    yield Msgid(str(said[0]), str(said[1]) if said[1:] else "", f"{name}:{node.lineno}")


def _called(function: ast.expr) -> str:
    return function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")

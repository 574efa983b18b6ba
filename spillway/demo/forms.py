"""HTML forms as a browser without scripts reads and sends them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser

CHOSEN_TYPES = frozenset({"checkbox", "radio"})
UNSENT_TYPES = frozenset({"submit", "button", "reset", "image", "file"})


@dataclass(frozen=True, slots=True)
class Field:
    """One control with a name. `sent`: whether it goes along when nobody touches it."""

    name: str
    value: str
    type: str = "text"
    sent: bool = True


@dataclass(frozen=True, slots=True)
class Form:
    """One form of a page."""

    action: str
    method: str
    fields: tuple[Field, ...]

    def choices(self, name: str) -> tuple[str, ...]:
        """The values the form offers for `name`."""
        return tuple(field.value for field in self.fields if field.name == name)

    def filled(self, answers: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
        """What is sent when a person fills in `answers` and leaves the rest as it is.

        Raises:
            KeyError: the form has no such field, or does not offer that choice.
        """
        for name, values in answers.items():
            self._check(name, values)
        sent = []
        for field in self.fields:
            if field.name not in answers:
                sent += [(field.name, field.value)] if field.sent else []
            elif field.type in CHOSEN_TYPES:
                sent += [(field.name, field.value)] if field.value in answers[field.name] else []
            else:
                sent += [(field.name, value) for value in answers[field.name]]
        return sent

    def _check(self, name: str, values: Sequence[str]) -> None:
        fields = [field for field in self.fields if field.name == name]
        fixed = CHOSEN_TYPES | {"hidden"}
        if not fields or (fields[0].type in fixed and not set(values) <= set(self.choices(name))):
            raise KeyError(f"{name}={values}")


def forms_of(html: str) -> tuple[Form, ...]:
    """Every form of a page, in its order."""
    reader = _FormReader()
    reader.feed(html)
    reader.close()
    return tuple(Form(action, method, tuple(fields)) for action, method, fields in reader.found)


class _FormReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str, list[Field]]] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._inside = True
            self.found.append((attributes.get("action", ""), attributes.get("method", "get").lower(), []))
        elif tag == "input" and self._inside and attributes.get("name"):
            self._take(attributes)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False

    def _take(self, attributes: dict[str, str]) -> None:
        kind = attributes.get("type", "text").lower()
        if kind in UNSENT_TYPES or "disabled" in attributes:
            return
        chosen = kind not in CHOSEN_TYPES or "checked" in attributes
        value = attributes.get("value", "on" if kind in CHOSEN_TYPES else "")
        self.found[-1][2].append(Field(attributes["name"], value, kind, chosen))

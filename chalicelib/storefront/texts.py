"""The words of templates in one language, as gettext keeps them.

Reading a catalogue takes a large library, which the operator's build has. What it read travels with
the theme: every text, and the rule that says which plural a number takes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from gettext import c2py
from hashlib import sha256
from typing import Any

ENGLISH_PLURALS = "n != 1"


@dataclass(frozen=True)
class Texts:
    """Translations by the text of the template, one for each plural form. What is missing is said as the
    template has it, which is in English. `plurals` is gettext's expression: "n != 1"."""

    messages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    plurals: str = ENGLISH_PLURALS

    @cached_property
    def digest(self) -> str:
        """The same for the same texts."""
        return sha256(repr((sorted(self.messages.items()), self.plurals)).encode()).hexdigest()

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Texts":
        """The texts of a document made by `dataclasses.asdict`, after a round through JSON."""
        messages = {text: tuple(forms) for text, forms in document["messages"].items()}
        return cls(messages, document["plurals"])

    def one(self, text: str) -> str:
        """The text in this language."""
        forms = self.messages.get(text)
        return forms[0] if forms else text

    def of_number(self, singular: str, plural: str, number: int) -> str:
        """The form of the text that goes with a number of things."""
        forms = self.messages.get(singular)
        if not forms:
            return singular if number == 1 else plural
        return forms[min(c2py(self.plurals)(number), len(forms) - 1)]

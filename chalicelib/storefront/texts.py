"""The words of templates in one language, as gettext keeps them.

Reading a catalogue takes a large library, which the operator's build has. What it read travels with
the theme: every text, and the rule that says which plural a number takes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from gettext import c2py
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

ENGLISH_PLURALS = "n != 1"
# A text by itself, as most stand in a template: {{ _("Sold out") }}.
_SAID = re.compile(r'\{\{ _\("([^"\\]*)"\) \}\}')


@dataclass(frozen=True, slots=True)
class Texts:
    """Translations by the text of the template, one for each plural form. What is missing is said as the
    template has it, which is in English. `plurals` is gettext's expression: "n != 1"."""

    messages: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    plurals: str = ENGLISH_PLURALS

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


def spoken(source: str, texts: Texts) -> str:
    """A template's source with the texts that need no values said already: nothing is left to look up for
    them each time a page is made."""

    def said(found: re.Match[str]) -> str:
        text = texts.one(found[1])
        # What may be more than a text is left to the template.
        return found[0] if set(text) & {"{", "%"} else text

    return _SAID.sub(said, source)


def speak(environment: "Environment", texts: Texts) -> None:
    """Make templates say `{% trans %}` and `_()` in the language of `texts`."""
    # Where a text's lines break is the template's business.
    environment.policies["ext.i18n.trimmed"] = True
    extended: Any = environment
    extended.install_gettext_callables(texts.one, texts.of_number, newstyle=True)

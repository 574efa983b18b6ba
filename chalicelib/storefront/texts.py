"""The words of templates in one language, as gettext keeps them.

Reading a catalogue takes a large library, which the operator's build has. What it read travels with
the theme: every text, and the rule that says which plural a number takes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from gettext import c2py
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment
    from jinja2.nodes import EvalContext

ENGLISH_PLURALS = "n != 1"


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


def speak(environment: "Environment", texts: Texts) -> None:
    """Make templates say `{% trans %}` and `_()` in the language of `texts`.

    Jinja's own functions for its extension i18n look up and wrap a text anew each time. A page says the
    same few on and on, so what needs no values is kept as it goes onto the page.
    """
    from jinja2 import pass_eval_context
    from markupsafe import Markup

    kept: dict[bool, dict[str, str]] = {True: {}, False: {}}

    def placed(autoescape: bool, text: str, values: dict[str, Any]) -> str:
        # A translation is a template's words, and markup like it; values are escaped into it.
        return (Markup(text) if autoescape else text) % values  # noqa: S704

    @pass_eval_context
    def gettext(where: "EvalContext", text: str, /, **values: Any) -> str:
        autoescape = bool(where.autoescape)
        if values:
            return placed(autoescape, texts.one(text), values)
        said = kept[autoescape].get(text)
        if said is None:
            said = kept[autoescape][text] = placed(autoescape, texts.one(text), values)
        return said

    @pass_eval_context
    def ngettext(where: "EvalContext", singular: str, plural: str, number: int, /, **values: Any) -> str:
        values.setdefault("num", number)
        return placed(bool(where.autoescape), texts.of_number(singular, plural, number), values)

    # Where a text's lines break is the template's business.
    environment.policies["ext.i18n.trimmed"] = True
    extended: Any = environment
    extended.newstyle_gettext = True
    environment.globals.update({"_": gettext, "gettext": gettext, "ngettext": ngettext})

"""site/locales/*.po: the words of templates in another language, as gettext keeps them."""

import re
from collections.abc import Iterator, Sequence
from gettext import c2py
from io import StringIO
from typing import TYPE_CHECKING

from chalicelib.storefront.texts import Texts
from spillway.sitegen.reading.toml_input import InputError

if TYPE_CHECKING:
    from babel.messages.catalog import Catalog

# What stands in a text for something else, and what is markup: a translation may have no other.
_PLACE = re.compile(r"%\(\w+\)s|\{\w+\}")
_ESCAPED = re.compile(r"%%|%\(\w+\)s")
_TAG = re.compile(r"</?[a-z]+[^>]*>")
# Rules of real languages go by the last digits, two of them at most.
_NUMBERS_TRIED = 1000
# Arabic has the most. Every text with a number is given as many places as the file says.
_FORMS_MAX = 6
_FORMS = re.compile(r'^(?!#).*\bnplurals *= *([^;\s"\\]*)', re.MULTILINE)


def text_files_of(locale: str) -> tuple[str, ...]:
    """Where the texts of a locale may be, the nearest first: de-AT.po, de.po."""
    names = dict.fromkeys((locale, locale.partition("-")[0]))
    return tuple(f"site/locales/{name}.po" for name in names)


def read_texts(text: str, *, locale: str, file: str, mistakes: list[InputError]) -> Texts:
    """The texts of a file. What is empty, fuzzy or obsolete is left out; mistakes are added to `mistakes`."""
    catalog = _parsed(text, locale, file, mistakes)
    if catalog is None:
        return Texts()
    messages: dict[str, tuple[str, ...]] = {}
    for message in catalog:
        said = _listed(message.string)
        if not message.id or message.fuzzy or not said or not all(said):
            continue
        originals = _listed(message.id)
        problem = next((found for each in said if (found := _problem(each, originals))), None)
        if problem:
            mistakes.append(InputError(file, message.lineno, originals[0], " | ".join(said), problem))
        else:
            messages[originals[0]] = said
    if not _counts(catalog.plural_expr, catalog.num_plurals):
        expected = "gettext's rule for the language's plurals"
        mistakes.append(InputError(file, None, "Plural-Forms", catalog.plural_forms, expected))
    return Texts(messages, catalog.plural_expr)


def forms_mistake(text: str, file: str) -> InputError | None:
    """Of a file that claims more forms of a plural than any language has, or no number of them."""
    for said in _FORMS.finditer(text):
        if said[1] not in map(str, range(1, _FORMS_MAX + 1)):
            line = text.count("\n", 0, said.start(1)) + 1
            return InputError(file, line, "nplurals", said[1], f"a whole number from 1 to {_FORMS_MAX}")
    return None


def _counts(plurals: str, forms: int) -> bool:
    """Whether the rule has a form for every number that a shop is likely to say."""
    try:
        form_of = c2py(plurals)
        return all(0 <= form_of(number) < forms for number in range(_NUMBERS_TRIED))
    except (ValueError, ArithmeticError):
        return False


def _parsed(text: str, locale: str, file: str, mistakes: list[InputError]) -> "Catalog | None":
    from babel.messages.pofile import PoFileError, read_po

    if mistake := forms_mistake(text, file):
        mistakes.append(mistake)
        return None
    try:
        return read_po(StringIO(text), locale=locale.replace("-", "_"), abort_invalid=True)
    except PoFileError as error:
        mistakes.append(InputError(file, error.lineno + 1, "text", error.line, "a gettext catalogue"))
    except ValueError as error:  # a date of its head, say
        mistakes.append(InputError(file, None, "head", str(error), "a gettext catalogue"))
    return None


def _listed(said: str | Sequence[str] | None) -> tuple[str, ...]:
    return (said,) if isinstance(said, str) else tuple(said or ())


def _problem(said: str, originals: tuple[str, ...]) -> str | None:
    """What was expected instead of a translation that a page could not hold."""
    for pattern in (_PLACE, _TAG):
        known = {found for original in originals for found in pattern.findall(original)}
        if strange := next(_strange(pattern.findall(said), known), None):
            return f"no {strange}, which the text has not" if known else f"a text without {strange}"
    if "<" in _TAG.sub("", said):
        return "&lt; for a sign that begins no tag"
    if '"' in said and '"' not in "".join(originals):
        return "other quotation marks: these end an attribute of a page"
    return "%% for a per cent sign" if "%" in _ESCAPED.sub("", said) else None


def _strange(found: list[str], known: set[str]) -> Iterator[str]:
    return (each for each in found if each not in known)

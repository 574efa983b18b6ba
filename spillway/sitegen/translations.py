"""Translations: the texts that a shop says, the .po file of each locale, and what has no translation yet.

Templates, emails and the API's answers have their texts in English. `messages_of` extracts them; the .po
files in site/locales translate them, and those of the default theme the rest. `read_texts` reads such a file,
`update_catalogue` adds new texts to it. `missing_translations` lists what shoppers see in the shop's first
language instead.

The default theme's own files are updated by

    python -m spillway.sitegen.translations de
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from functools import cache
from gettext import c2py
from io import BytesIO, StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from chalicelib.storefront.localization import Texts
from chalicelib.storefront.theme import Edition, Theme
from spillway.errors import BadInput
from spillway.sitegen.cache import BuildCache, digest_of
from spillway.sitegen.reading.catalogue import Catalogue
from spillway.sitegen.reading.locales import usual_spelling
from spillway.sitegen.reading.product_sheet import SHEET_FILE
from spillway.sitegen.reading.toml_input import InputError
from spillway.sitegen.theme_files import LOCALES, ThemeFiles, file_of_template

if TYPE_CHECKING:
    from babel.messages import catalog as babel

_ROOT = Path(__file__).parents[2]
# Code with texts for shoppers. Calls can stand within each other, so each pass looks for one set of calls;
# the numbers are those of the arguments that are texts, as gettext's tools count them.
_CODE_FILES = (
    "chalicelib/http/request.py",
    "chalicelib/http/responses.py",
    "chalicelib/http/signup.py",
    "chalicelib/http/link_forms.py",
    "chalicelib/http/merchant_session.py",
    "chalicelib/http/merchant_actions.py",
    "chalicelib/merchant_action_routes.py",
    "chalicelib/merchant_people_routes.py",
    "spillway/sitegen/listings.py",
)
_CODE_PASSES: tuple[dict[str, tuple[int, ...]], ...] = (
    {"FieldError": (2,)},
    {"Problem": (2,)},
    {"add": (2,), "text": (3,)},
    {"one": (1,), "of_number": (1, 2)},
)
_TEMPLATE_OPTIONS = {"extensions": "jinja2.ext.i18n", "trimmed": "true", "newstyle_gettext": "true"}

# A translation can hold no placeholder and no markup that its original does not have.
_PLACEHOLDER = re.compile(r"%\(\w+\)s|\{\w+\}")
_ESCAPED = re.compile(r"%%|%\(\w+\)s")
_TAG = re.compile(r"</?[a-z]+[^>]*>")
# The plural rules of real languages depend on the last two digits at most.
_NUMBERS_TRIED = 1000
# Arabic has the most. Babel makes room for as many forms of every text as the file claims.
_PLURAL_FORMS_MAX = 6
_NPLURALS = re.compile(r'^(?!#).*\bnplurals *= *([^;\s"\\]*)', re.MULTILINE)
# Headers that gettext's tools write and that change from day to day, or say nothing of a shop's catalogue.
_UNUSED_HEADERS = (
    *('"Project-Id-', '"Report-Msgid-', '"Last-', '"Language-Team'),
    *('"Generated-By', '"POT-', '"PO-'),
)
# Further lines of one kind become a number: a merchant who begins a language knows that it is not done.
_LISTED_MAX = 10


class Message(NamedTuple):
    """A text in English; `plural` where it depends on a number; `place` as file:line."""

    text: str
    plural: str | None
    place: str


def messages_of(templates: Mapping[str, str]) -> list[Message]:
    """Return every text of `templates` (by name) and of the API once, in the order of their first places."""
    found: dict[str, Message] = {}
    of_templates = (_messages_of_template(name, source) for name, source in sorted(templates.items()))
    for messages in (*of_templates, *map(_messages_of_code, _CODE_FILES)):
        for message in messages:
            known = found.setdefault(message.text, message)
            if message.plural and not known.plural:
                found[message.text] = message
    return list(found.values())


@dataclass(frozen=True, slots=True)
class UpdatedCatalogue:
    """The text of a .po file, the number of its texts, and how many of them lack a translation."""

    text: str
    count: int
    missing: int


def update_catalogue(
    before: str, *, locale: str, templates: Mapping[str, str], known: Texts | None = None
) -> UpdatedCatalogue:
    """Return the catalogue `before` with every text of `templates` and of the API, and no other.

    Translations and translators' comments stay; `known` fills in where there is none. A translation of a
    text that has since gained or lost its plural stays as well, marked as fuzzy. The same texts always make
    the same file.

    Raises:
        BadInput: the locale is unknown or has another usual spelling, or `before` is no catalogue.
    """
    from babel import Locale, UnknownLocaleError
    from babel.messages.catalog import Catalog
    from babel.messages.pofile import PoFileError, read_po, write_po

    if mistake := plural_forms_mistake(before, f"site/locales/{locale}.po"):
        raise BadInput(str(mistake), hint="correct it")
    try:
        language = Locale.parse(locale, sep="-")
        catalogue = read_po(StringIO(before), locale=language, abort_invalid=True)
    except (UnknownLocaleError, ValueError) as error:
        raise BadInput(f"{locale}: {error}", hint="name a language, as in site.toml: de, de-AT") from error
    except PoFileError as error:
        raise BadInput(f"site/locales/{locale}.po:{error.lineno + 1}: {error}", hint="correct it") from error
    if locale != (usual := usual_spelling(locale)):
        raise BadInput(f"{locale}: is usually spelt {usual}", hint=f"use spillway messages {usual}")
    template = Catalog(locale=language, fuzzy=False)
    for text, plural, place in messages_of(templates):
        # Without its line, which would change with every edit of a template.
        file: tuple[str, int] = (place.rpartition(":")[0], None)  # type: ignore[assignment]
        template.add((text, plural) if plural else text, locations=[file])
    catalogue.update(template, no_fuzzy_matching=True)
    catalogue.header_comment = f"# Texts of the shop in {language.english_name}."
    catalogue.fuzzy = False
    _fill_in(catalogue, known or Texts())
    written = BytesIO()
    write_po(written, catalogue, width=0, ignore_obsolete=True)
    lines = written.getvalue().decode().splitlines(keepends=True)
    text = "".join(line for line in lines if not line.startswith(_UNUSED_HEADERS))
    missing = sum(1 for message in catalogue if message.id and not _translations_of(message))
    return UpdatedCatalogue(text, len(catalogue), missing)


def read_texts(text: str, *, locale: str, file: str, mistakes: list[InputError]) -> Texts:
    """Return the translations in the text of a .po file, and add what is wrong with it to `mistakes`.

    Empty, fuzzy and obsolete translations are left out, and so are wrong ones.
    """
    catalogue = _parsed(text, locale, file, mistakes)
    if catalogue is None:
        return Texts()
    messages: dict[str, tuple[str, ...]] = {}
    for message in catalogue:
        translations = _translations_of(message)
        if not message.id or not translations:
            continue
        originals = _strings(message.id)
        problems = (_translation_problem(translation, originals) for translation in translations)
        if problem := next(filter(None, problems), None):
            mistakes.append(InputError(file, message.lineno, originals[0], " | ".join(translations), problem))
        else:
            messages[originals[0]] = translations
    if not _has_form_for_every_number(catalogue.plural_expr, catalogue.num_plurals):
        expected = "gettext's rule for the language's plurals"
        mistakes.append(InputError(file, None, "Plural-Forms", catalogue.plural_forms, expected))
    return Texts(messages, catalogue.plural_expr)


def text_files_of(locale: str) -> tuple[str, ...]:
    """Return the names that a locale's .po file can have, the first choice first: de-AT.po, de.po."""
    return tuple(f"{name}.po" for name in dict.fromkeys((locale, locale.partition("-")[0])))


def default_file_of(default_theme: Path, locale: str) -> Path | None:
    """Return the default theme's .po file for `locale`, or for its language; None without any."""
    files = (default_theme / LOCALES / name for name in text_files_of(locale))
    return next((file for file in files if file.is_file()), None)


def default_texts(default_theme: Path, locale: str) -> Texts:
    """Return the translations of the default theme into `locale`, or into its language."""
    file = default_file_of(default_theme, locale)
    if file is None:
        return Texts()
    return read_texts(file.read_text(encoding="utf-8"), locale=locale, file=str(file), mistakes=[])


def texts_over(own: Texts, default: Texts) -> Texts:
    """Return the translations of `own`, and those of `default` for the texts that it does not translate.

    Forms of a plural go by their own file's rule: where the two rules differ, only single texts are taken.
    """
    same_rule = own.plurals == default.plurals
    taken = {text: forms for text, forms in default.messages.items() if same_rule or len(forms) == 1}
    return Texts(taken | dict(own.messages), own.plurals)


def missing_translations(catalogue: Catalogue, theme: Theme, *, cache: BuildCache) -> Iterator[str]:
    """Yield a line for each text, page and product that is not in each of the shop's locales.

    `cache` keeps the texts of templates and code that did not change.
    """
    # English needs no translation: templates are written in it.
    translated = [edition for edition in theme.editions if edition.shop.locale.partition("-")[0] != "en"]
    if translated:
        code = [(_ROOT / name).read_bytes() for name in _CODE_FILES]
        key = f"messages {digest_of(sorted(theme.templates.items()), code)}"
        messages = cache.get_or_compute(key, lambda: messages_of(theme.templates))
        for edition in translated:
            yield from _missing_texts(edition, messages)
    for edition in theme.editions[1:]:
        locale = edition.shop.locale
        pages = [page.slug for page in catalogue.pages_in(locale) if page.language != locale]
        yield from _first_lines([f"site/pages/{slug}.{locale}.md: not there" for slug in pages], locale)
        files = [row.file for row in catalogue.rows if locale not in dict(row.titles)]
        yield from _first_lines([f"{file}: {_product_hint(file, locale)}" for file in files], locale)


def plural_forms_mistake(text: str, file: str) -> InputError | None:
    """Return the mistake of a .po file with more forms of a plural than any language has, or no number."""
    for found in _NPLURALS.finditer(text):
        if found[1] not in map(str, range(1, _PLURAL_FORMS_MAX + 1)):
            line = text.count("\n", 0, found.start(1)) + 1
            expected = f"a whole number from 1 to {_PLURAL_FORMS_MAX}"
            return InputError(file, line, "nplurals", found[1], expected)
    return None


@cache
def _messages_of_template(name: str, source: str) -> tuple[Message, ...]:
    from babel.messages.extract import extract
    from jinja2.ext import babel_extract

    # Named as `spillway theme` names it: the shop's own file, or that of the default theme.
    # A template with a syntax error has no texts here; rendering names the error with its line.
    method: Any = babel_extract
    found = extract(method, BytesIO(source.encode()), options=_TEMPLATE_OPTIONS)
    return tuple(_messages(file_of_template(name), ((line, text) for line, text, _, _ in found)))


@cache
def _messages_of_code(name: str) -> tuple[Message, ...]:
    from babel.messages.extract import extract, extract_python

    method: Any = extract_python
    source = (_ROOT / name).read_bytes()
    passes = [calls for calls in _CODE_PASSES if any(f"{call}(".encode() in source for call in calls)]
    # Babel writes a line for each text that is put together by code: such a text is no message.
    with redirect_stderr(StringIO()):
        found = [row for calls in passes for row in extract(method, BytesIO(source), calls)]
    return tuple(_messages(name, sorted((line, text) for line, text, _, _ in found)))


def _messages(file: str, found: Iterable[tuple[int, str | tuple[str, ...]]]) -> Iterator[Message]:
    for line, text in found:
        singular, plural = (text, None) if isinstance(text, str) else (text[0], text[1])
        if singular:
            yield Message(singular, plural, f"{file}:{line}")


def _parsed(text: str, locale: str, file: str, mistakes: list[InputError]) -> "babel.Catalog | None":
    from babel.messages.pofile import PoFileError, read_po

    if mistake := plural_forms_mistake(text, file):
        mistakes.append(mistake)
        return None
    try:
        return read_po(StringIO(text), locale=locale.replace("-", "_"), abort_invalid=True)
    except PoFileError as error:
        mistakes.append(InputError(file, error.lineno + 1, "text", error.line, "a gettext catalogue"))
    except ValueError as error:  # a malformed date in its head, for example
        mistakes.append(InputError(file, None, "head", str(error), "a gettext catalogue"))
    return None


def _fill_in(catalogue: "babel.Catalog", known: Texts) -> None:
    """Translate the texts of `catalogue` that have no translation by those that are `known`."""
    for message in catalogue:
        forms = known.messages.get(_strings(message.id)[0]) if message.id else None
        wanted = catalogue.num_plurals if message.pluralizable else 1
        if forms and len(forms) == wanted and not any(_strings(message.string)):
            message.string = forms if message.pluralizable else forms[0]


def _translations_of(message: "babel.Message") -> tuple[str, ...] | None:
    """Return every form of a translation; None when one is missing, or only a guess."""
    forms = _strings(message.string)
    return forms if forms and all(forms) and not message.fuzzy else None


def _strings(text: str | Sequence[str] | None) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text or ())


def _has_form_for_every_number(rule: str, forms: int) -> bool:
    try:
        form_of = c2py(rule)
        return all(0 <= form_of(number) < forms for number in range(_NUMBERS_TRIED))
    except (ValueError, ArithmeticError):
        return False


def _translation_problem(translation: str, originals: tuple[str, ...]) -> str | None:
    """Return what was expected instead of a translation that would break a page; None for any other."""
    for pattern in (_PLACEHOLDER, _TAG):
        known = {found for original in originals for found in pattern.findall(original)}
        if unknown := next((found for found in pattern.findall(translation) if found not in known), None):
            return f"no {unknown}, which the text has not" if known else f"a text without {unknown}"
    if "<" in _TAG.sub("", translation):
        return "&lt; for a sign that begins no tag"
    if '"' in translation and '"' not in "".join(originals):
        return "other quotation marks: these end an attribute of a page"
    return "%% for a per cent sign" if "%" in _ESCAPED.sub("", translation) else None


def _missing_texts(edition: Edition, messages: Sequence[Message]) -> Iterator[str]:
    locale = edition.shop.locale
    file = f"site/locales/{text_files_of(locale)[-1]}"
    missing = [message for message in messages if message.text not in edition.texts.messages]
    lines = [f'{file}: no text for "{message.text}" ({message.place})' for message in missing]
    yield from _first_lines(lines, locale)


def _product_hint(file: str, locale: str) -> str:
    if file.startswith(SHEET_FILE):
        return f"not in {locale}: a sheet has one language, a product file of its own has each"
    return f"no title in a table [{locale}]"


def _first_lines(lines: list[str], locale: str) -> Iterator[str]:
    yield from lines[:_LISTED_MAX]
    if len(lines) > _LISTED_MAX:
        yield f"and {len(lines) - _LISTED_MAX} more in {locale}"


def _update_default_theme(locales: Sequence[str]) -> None:
    files = ThemeFiles(own=None)
    for locale in locales:
        file = files.default / LOCALES / f"{locale}.po"
        before = file.read_text(encoding="utf-8") if file.is_file() else ""
        made = update_catalogue(before, locale=locale, templates=files.texts())
        file.write_text(made.text, encoding="utf-8")
        sys.stdout.write(f"{file}: {made.missing} to translate\n")


if __name__ == "__main__":
    _update_default_theme(sys.argv[1:])

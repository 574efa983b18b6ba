"""A catalogue of texts brought up to date with the templates, for somebody to translate what is missing."""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO, StringIO
from typing import TYPE_CHECKING

from spillway.errors import BadInput
from spillway.sitegen.message_extraction import messages_of
from spillway.sitegen.reading.locales import usual_spelling
from spillway.sitegen.text_file import forms_mistake

if TYPE_CHECKING:
    from babel.messages.catalog import Catalog, Message

# What gettext's tools put at the top that changes from day to day, or says nothing of a shop's.
_UNKEPT = ("Project-Id-", "Report-Message-", "Last-", "Language-Team", "Generated-By", "POT-", "PO-")


@dataclass(frozen=True, slots=True)
class TextCatalogue:
    """The text of a .po file; how many texts it has, and how many of them say nothing yet."""

    text: str
    count: int
    missing: int


def updated(before: str, *, locale: str, templates: Mapping[str, str]) -> TextCatalogue:
    """The catalogue with every text of `templates` and of the API, and what `before` has of them.

    Raises:
        BadInput: the locale is unknown or spelt in a way of its own, or `before` is no catalogue.
    """
    from babel import Locale, UnknownLocaleError
    from babel.messages.catalog import Catalog
    from babel.messages.pofile import PoFileError, read_po, write_po

    if mistake := forms_mistake(before, f"site/locales/{locale}.po"):
        raise BadInput(str(mistake), hint="correct it")
    try:
        known = Locale.parse(locale, sep="-")
        old = read_po(StringIO(before), locale=known, abort_invalid=True)
    except (UnknownLocaleError, ValueError) as error:
        raise BadInput(f"{locale}: {error}", hint="name a language, as in site.toml: de, de-AT") from error
    except PoFileError as error:
        raise BadInput(f"site/locales/{locale}.po:{error.lineno + 1}: {error}", hint="correct it") from error
    if locale != (usual := usual_spelling(locale)):
        raise BadInput(f"{locale}: is usually spelt {usual}", hint=f"say spillway messages {usual}")
    header = f"# What the shop says in {known.english_name}."
    new = Catalog(locale=known, fuzzy=False, header_comment=header)
    for each in messages_of(templates):
        said = old.get(each.text)
        kept = said if said and said.pluralizable == bool(each.plural) else None
        new.add(
            (each.text, each.plural) if each.plural else each.text,
            kept.string if kept else "",
            [(each.place.rpartition(":")[0], None)],  # type: ignore[list-item]
            flags={"fuzzy"} if kept and kept.fuzzy else (),
            user_comments=kept.user_comments if kept else (),
        )
    written = BytesIO()
    write_po(written, new, width=0, omit_header=False)
    return TextCatalogue(_plain(written.getvalue().decode()), len(new), _missing(new))


def _missing(catalog: "Catalog") -> int:
    return sum(1 for each in catalog if each.id and (each.fuzzy or not _says_all(each)))


def _says_all(message: "Message") -> bool:
    said = message.string
    return bool(said) and (isinstance(said, str) or all(said or ()))


def _plain(text: str) -> str:
    """Without headers that change from run to run: the same texts make the same file."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(tuple(f'"{name}' for name in _UNKEPT)))

"""Texts, pages and products without a translation. Shoppers see those in the shop's first language."""

from collections.abc import Iterator

from chalicelib.storefront.theme import Edition, Theme
from spillway.sitegen.message_extraction import messages_of
from spillway.sitegen.reading.catalogue import Catalogue
from spillway.sitegen.reading.product_sheet import SHEET_FILE
from spillway.sitegen.text_file import text_files_of

# More of one kind are a number: who has begun a language knows that it is not done.
_NAMED_MAX = 10


def missing_translations(catalogue: Catalogue, theme: Theme) -> Iterator[str]:
    """A line for each text, page and product that is missing."""
    for edition in theme.editions:
        yield from _texts(edition, theme)
    for edition in theme.editions[1:]:
        locale = edition.shop.locale
        pages = [each.slug for each in catalogue.pages_in(locale) if each.language != locale]
        yield from _listed([f"site/pages/{slug}.{locale}.md: not there" for slug in pages], locale)
        rows = [row.file for row in catalogue.rows if locale not in row.translated_locales]
        yield from _listed([f"{file}: {_way_to_say(file, locale)}" for file in rows], locale)


def _way_to_say(file: str, locale: str) -> str:
    if file.startswith(SHEET_FILE):
        return f"not in {locale}: a sheet has one language, a product file of its own has each"
    return f"no title in a table [{locale}]"


def _texts(edition: Edition, theme: Theme) -> Iterator[str]:
    """Templates speak English: that needs no catalogue, but may have one."""
    locale = edition.shop.locale
    if locale.partition("-")[0] == "en":
        return
    file = text_files_of(locale)[-1]
    missing = [each for each in messages_of(theme.templates) if each.text not in edition.texts.messages]
    yield from _listed([f'{file}: no text for "{each.text}" ({each.place})' for each in missing], locale)


def _listed(lines: list[str], locale: str) -> Iterator[str]:
    yield from lines[:_NAMED_MAX]
    if len(lines) > _NAMED_MAX:
        yield f"and {len(lines) - _NAMED_MAX} more in {locale}"

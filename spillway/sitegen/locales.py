"""The locales of a shop: which there are, what each is called, and where its pages lie."""

import re
from collections.abc import Sequence, Set

from chalicelib.domain.locales import root_asked_for, slug_of_locale
from spillway.sitegen.toml_table import TomlTable

LOCALE_LENGTH_MAX = 20
_LOCALES_MAX = 20
# https://www.unicode.org/cldr/charts/latest/supplemental/scripts_languages_and_territories.html
_RIGHT_TO_LEFT_SCRIPTS = frozenset({"Adlm", "Arab", "Hebr", "Mand", "Nkoo", "Rohg", "Samr", "Syrc", "Thaa"})
_LOCALE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*", re.ASCII)


def read_locales(table: TomlTable, page_slugs: Set[str]) -> tuple[str, ...]:
    """The locales a shop names, those that are none left out; the first is the one its files are in."""
    from babel import Locale, UnknownLocaleError

    known: list[str] = []
    for locale in table.texts("locales", length_max=LOCALE_LENGTH_MAX, count_max=_LOCALES_MAX):
        try:
            Locale.parse(locale, sep="-")
        except (UnknownLocaleError, ValueError):
            table.wrong("locales", locale, "a language, perhaps with a country: en-GB, de, de-AT")
            continue
        slug = slug_of_locale(locale)
        if slug in map(slug_of_locale, known):
            table.wrong("locales", locale, "each locale once")
        elif locale != (usual := usual_spelling(locale)):
            table.wrong("locales", locale, f"{usual}: files and tables go by that")
        elif known and slug in page_slugs:
            table.wrong("locales", locale, f"no page of the name: site/pages/{slug}.md lies where it is to")
        else:
            known.append(locale)
    return tuple(known)


def usual_spelling(locale: str) -> str:
    """The one that files and tables of a locale go by: de-AT for "DE-at", zh-Hant for "zh-hant"."""
    language, *others = locale.split("-")
    spelt = (each.title() if len(each) == 4 and each.isalpha() else each.upper() for each in others)
    return "-".join((language.lower(), *spelt))


def root_of_locale(locale: str) -> str:
    """Where the pages of a locale lie that is not the first."""
    return root_asked_for(slug_of_locale(locale))


def direction_of_locale(locale: str) -> str:
    """Return "rtl" for a locale whose characters run from right to left, by CLDR; else "ltr".

    A script that the locale names decides: az-Arab, ar-Latn.
    """
    script = next((part for part in locale.split("-")[1:] if len(part) == 4 and part.isalpha()), "")
    if script:
        return "rtl" if script in _RIGHT_TO_LEFT_SCRIPTS else "ltr"
    if not locale:
        return "ltr"
    from babel import Locale

    return "rtl" if Locale.parse(locale, sep="-").character_order == "right-to-left" else "ltr"


def name_of_locale(locale: str, locales: Sequence[str]) -> str:
    """What speakers call it: "Deutsch"; with the country where the shop has the language twice."""
    from babel import Locale

    if not locale:
        return ""
    known = Locale.parse(locale, sep="-")
    languages = [each.partition("-")[0] for each in locales]
    alone = languages.count(locale.partition("-")[0]) == 1
    name = known.languages.get(known.language) if alone else known.get_display_name()
    name = name or locale
    return name[0].upper() + name[1:]


def skip_other_locales(table: TomlTable) -> None:
    """Pass over what a file says in locales that the shop does not have just now."""
    for name in table.names:
        if _LOCALE.fullmatch(name) and table.is_table(name):
            table.value(name)

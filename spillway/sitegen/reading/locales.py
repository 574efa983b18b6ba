"""Read a shop's locales, and look up what CLDR knows of one: direction, days, countries and money."""

import re
from collections.abc import Sequence, Set

from chalicelib.domain.locales import root_asked_for, slug_of_locale
from chalicelib.storefront.day_format import DayFormat
from chalicelib.storefront.money import MoneyFormat
from spillway.sitegen.reading.toml_input import TomlTable

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


# The fields of a date in CLDR's patterns that a day in words is made of; anything quoted is text.
# https://unicode.org/reports/tr35/tr35-dates.html#Date_Field_Symbol_Table
# The era (G) of a Gregorian day goes without saying.
_FIELD = re.compile(r"'([^']*)'|d{1,2}|[ML]{1,4}|y{1,4}|G{1,5} ?|[{}]")
_PLACES = {"G": "", "d": "{day}", "M": "{month}", "L": "{month}", "y": "{year}"}


def day_format(locale: str) -> DayFormat:
    """Return how `locale` writes a day in words: CLDR's long format, in the Gregorian calendar.

    Raises:
        ValueError: the locale is unknown.
    """
    from babel import Locale, UnknownLocaleError

    try:
        known = Locale.parse(locale, sep="-")
    except UnknownLocaleError as error:
        raise ValueError(locale) from error
    pattern = known.date_formats["long"].pattern
    standing_alone = re.search("L{3,4}", pattern)
    names = known.months["stand-alone" if standing_alone else "format"]["wide"]
    months = tuple(str(names[number]) for number in range(1, 13))
    if not re.search("[ML]{3,4}", pattern):
        months = tuple(str(number) for number in range(1, 13))
    return DayFormat(_FIELD.sub(_place, pattern), months)


def country_name(country: str, locale: str) -> str | None:
    """Return the name of an ISO 3166-1 country in `locale`; None when there is no such country."""
    from babel import Locale

    if not re.fullmatch("[A-Z]{2}", country):
        return None
    name = Locale.parse(locale, sep="-").territories.get(country)
    return str(name) if name else None


def _place(found: re.Match[str]) -> str:
    sign = found[0]
    if sign in "{}":
        return sign * 2
    return (found[1] or "'") if sign.startswith("'") else _PLACES[sign[0]]


_PRICE = re.compile(r"[0-9]{1,8}(\.[0-9]{1,4})?", re.ASCII)


def money_format(currency: str, locale: str) -> MoneyFormat:
    """The format that a theme carries.

    Raises:
        ValueError: the locale or the currency is unknown.
    """
    # A large library, needed only where a shop's settings are read anew.
    from babel import Locale, UnknownLocaleError
    from babel.numbers import (
        get_currency_precision,
        get_currency_symbol,
        get_decimal_symbol,
        get_group_symbol,
        is_currency,
    )

    try:
        known = Locale.parse(locale, sep="-")
    except UnknownLocaleError as error:
        raise ValueError(locale) from error
    if not is_currency(currency, known):
        raise ValueError(currency)
    pattern = known.currency_formats["standard"]
    symbol = get_currency_symbol(currency, known)
    return MoneyFormat(
        prefix=pattern.prefix[0].replace("¤", symbol),
        suffix=pattern.suffix[0].replace("¤", symbol),
        decimal_sign=get_decimal_symbol(known),
        group_sign=get_group_symbol(known),
        fraction_digits=get_currency_precision(currency),
        group_sizes=pattern.grouping,
    )


def minor_units(price: object, *, fraction_digits: int) -> int:
    """Return the price "148.00" as 14800; "0.00", a free product, as 0.

    Raises:
        ValueError: no text of a plain decimal number, or finer than the smallest coin.
    """
    if not isinstance(price, str) or not _PRICE.fullmatch(price):
        raise ValueError(price)
    whole, _, fraction = price.partition(".")
    coins = fraction.rstrip("0")
    minor = int(whole + coins.ljust(fraction_digits, "0"))
    if len(coins) > fraction_digits:
        raise ValueError(price)
    return minor

"""Read a shop's locales, and look up what CLDR says of one: direction, name, days, countries and money."""

import re
from collections.abc import Sequence, Set

from chalicelib.domain.locales import requested_root_of, slug_of_locale
from chalicelib.storefront.localization import DayFormat, MoneyFormat
from spillway.sitegen.reading.toml_input import TomlTable

# Babel is a large library, needed only when a shop's settings are read again: functions import it themselves.

LOCALE_LENGTH_MAX = 20
_LOCALES_MAX = 20
# https://www.unicode.org/cldr/charts/latest/supplemental/scripts_languages_and_territories.html
_RIGHT_TO_LEFT_SCRIPTS = frozenset({"Adlm", "Arab", "Hebr", "Mand", "Nkoo", "Rohg", "Samr", "Syrc", "Thaa"})
_LOCALE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*", re.ASCII)
# The fields of a date in CLDR's patterns; quoted text stands for itself, and an era (G) is left out.
# https://unicode.org/reports/tr35/tr35-dates.html#Date_Field_Symbol_Table
_DATE_FIELD = re.compile(r"'([^']*)'|d{1,2}|[ML]{1,4}|y{1,4}|G{1,5} ?|[{}]")
_PLACEHOLDERS = {"G": "", "d": "{day}", "M": "{month}", "L": "{month}", "y": "{year}"}
_PRICE = re.compile(r"[0-9]{1,8}(\.[0-9]{1,4})?", re.ASCII)
_DECIMAL_COMMA = re.compile(r"^(\d+),(\d{1,2})$", re.ASCII)
# Signs and codes of currencies around a number; a minus stays, so that no price changes its sign.
_AROUND_PRICE = re.compile(r"^[^\d.,-]+|[^\d.,-]+$")


def read_locales(table: TomlTable, page_slugs: Set[str]) -> tuple[str, ...]:
    """Read the locales of site.toml and leave out the invalid ones; the files are in the first one.

    Args:
        table: the top table of the file.
        page_slugs: the slugs of pages, which the root of a locale may not have as its name.
    """
    from babel import Locale, UnknownLocaleError

    known: list[str] = []
    for locale in table.texts("locales", length_max=LOCALE_LENGTH_MAX, count_max=_LOCALES_MAX):
        try:
            Locale.parse(locale, sep="-")
        except (UnknownLocaleError, ValueError):
            table.error("locales", locale, "a language, perhaps with a country: en-GB, de, de-AT")
            continue
        slug = slug_of_locale(locale)
        if slug in map(slug_of_locale, known):
            table.error("locales", locale, "each locale once")
        elif locale != (usual := usual_spelling(locale)):
            table.error("locales", locale, f"{usual}: files and tables go by that")
        elif known and slug in page_slugs:
            table.error("locales", locale, f"no page of the name: site/pages/{slug}.md has the same path")
        else:
            known.append(locale)
    return tuple(known)


def usual_spelling(locale: str) -> str:
    """Return the spelling that files and tables have: de-AT for "DE-at", zh-Hant for "zh-hant"."""
    language, *subtags = locale.split("-")
    spelt = (tag.title() if len(tag) == 4 and tag.isalpha() else tag.upper() for tag in subtags)
    return "-".join((language.lower(), *spelt))


def root_of_locale(locale: str) -> str:
    """Return the path that the pages of a locale other than the first are under."""
    return requested_root_of(slug_of_locale(locale))


def skip_other_locales(table: TomlTable) -> None:
    """Accept the tables of locales that the shop does not have at present, in their usual spelling."""
    for name in table.names:
        is_locale = _LOCALE.fullmatch(name) and name == usual_spelling(name)
        if is_locale and table.is_table(name) and _is_known(name):
            table.value(name)


def _is_known(locale: str) -> bool:
    from babel import Locale, UnknownLocaleError

    try:
        Locale.parse(locale, sep="-")
    except (UnknownLocaleError, ValueError):
        return False
    return True


def direction_of_locale(locale: str) -> str:
    """Return "rtl" for a locale whose characters run from right to left, by CLDR; else "ltr".

    A script in the name of the locale decides: az-Arab, ar-Latn.
    """
    script = next((part for part in locale.split("-")[1:] if len(part) == 4 and part.isalpha()), "")
    if script:
        return "rtl" if script in _RIGHT_TO_LEFT_SCRIPTS else "ltr"
    if not locale:
        return "ltr"
    from babel import Locale

    return "rtl" if Locale.parse(locale, sep="-").character_order == "right-to-left" else "ltr"


def name_of_locale(locale: str, locales: Sequence[str]) -> str:
    """Return the locale's name in its own language: "Deutsch".

    The name includes the country where `locales`, those of the shop, have the language twice.
    """
    from babel import Locale

    if not locale:
        return ""
    known = Locale.parse(locale, sep="-")
    languages = [other.partition("-")[0] for other in locales]
    alone = languages.count(locale.partition("-")[0]) == 1
    name = known.languages.get(known.language) if alone else known.get_display_name()
    name = name or locale
    return name[0].upper() + name[1:]


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
    return DayFormat(_DATE_FIELD.sub(_placeholder, pattern), months)


def _placeholder(found: re.Match[str]) -> str:
    sign = found[0]
    if sign in "{}":
        return sign * 2
    return (found[1] or "'") if sign.startswith("'") else _PLACEHOLDERS[sign[0]]


def country_name(country: str, locale: str) -> str | None:
    """Return the name of an ISO 3166-1 country in `locale`, None when there is no such country."""
    from babel import Locale

    if not re.fullmatch("[A-Z]{2}", country):
        return None
    name = Locale.parse(locale, sep="-").territories.get(country)
    return str(name) if name else None


def money_format(currency: str, locale: str) -> MoneyFormat:
    """Return how `locale` writes amounts of an ISO 4217 currency.

    Raises:
        ValueError: the locale is unknown, or no country pays with the currency.
    """
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
    if not is_currency(currency, known) or not _is_money(currency):
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


def _is_money(currency: str) -> bool:
    """Return whether people pay with a currency somewhere: by CLDR, not with gold (XAU) or a test code."""
    from babel.core import get_global

    return any(
        code == currency and tender and end is None
        for used in get_global("territory_currencies").values()
        for code, _, end, tender in used
    )


def minor_units(price: object, *, fraction_digits: int) -> int:
    """Return the price "148.00" as 14800; "0.00", a free product, as 0.

    Raises:
        ValueError: `price` is not the text of a decimal number, or is finer than the smallest coin.
    """
    if not isinstance(price, str) or not _PRICE.fullmatch(price):
        raise ValueError(price)
    whole, _, fraction = price.partition(".")
    coins = fraction.rstrip("0")
    minor = int(whole + coins.ljust(fraction_digits, "0"))
    if len(coins) > fraction_digits:
        raise ValueError(price)
    return minor


def price_meant(price: object, fraction_digits: int) -> str:
    """Return how a refused price is written right: 32, "$32" and "32,00 EUR" as 32.00; else an example."""
    number = _DECIMAL_COMMA.sub(r"\1.\2", _AROUND_PRICE.sub("", str(price)))
    whole, _, fraction = number.partition(".")
    if not _PRICE.fullmatch(number) or len(fraction.rstrip("0")) > fraction_digits:
        whole, fraction = "148", ""
    digits = fraction[:fraction_digits].ljust(fraction_digits, "0")
    return f"{whole}.{digits}" if digits else whole

"""Words of a locale that a large library knows and a theme carries: days, and names of countries."""

import re

from chalicelib.storefront.day_format import DayFormat

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

"""Read the prices of an export as numbers.

Babel reads each price strictly (`parse_decimal`, CLDR's signs and groups) in the shop's locale and in one
locale for each other way of writing numbers. A text that can be two numbers is neither.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, lru_cache

_DIGITS_MAX = 12
_LENGTH_MAX = 60
_PLAIN = re.compile(r"\d{1,8}(?:\.\d{1,2})?", re.ASCII)
# Read alike by every locale that reads it at all, where a currency has two decimals.
_GROUPED = re.compile(r"[1-9]\d{0,2}(?:,\d{3})+\.\d{2}", re.ASCII)
_NUMBER = re.compile(
    r"(\D*?)([0-9](?:[0-9.,'\u2019\u00a0\u202f ]*[0-9])?)(\s?[.,]\s?[-\u2013\u2014]{1,2}|/[-=])?(\D*)",
    re.ASCII,
)
_NEGATIVE = re.compile(r"\A\D*[-\u2212\u2012\u2013(]\s*\D{0,4}\d|\d\s*[-\u2212]\Z")
# Arabic signs, and those of full width.
_OTHER_SEPARATORS = str.maketrans("\u066b\u066c\uff0e\uff0c\uff0d", ".,.,-")
# One locale for each way to write 1234567.89 that shops use.
_WAYS = ("en", "de", "de-CH", "fr", "en-IN")
_SPACES = "\u00a0\u202f "
# A point after these ends an abbreviation: "Rs.50" is 50.
_ABBREVIATIONS = frozenset(
    {"rs", "re", "kr", "fr", "sfr", "dhs", "tk", "s/", "\u0440\u0443\u0431", "\u043b\u0432"}
)
# Currency signs of shops beside the symbols of CLDR.
_OTHER_SIGNS = {
    **dict.fromkeys(("INR", "PKR", "LKR", "NPR", "MUR", "SCR"), ("rs", "re", "rs/")),
    **dict.fromkeys(("SEK", "NOK", "DKK", "ISK"), ("kr", ":-")),
    "CHF": ("fr", "sfr"),
    "GBP": ("\u00a3",),
    "EUR": ("euro", "euros"),
    "PLN": ("zl",),
    "CZK": ("kc",),
    "RON": ("lei", "leu"),
    "RSD": ("din", "\u0434\u0438\u043d"),
    "RUB": ("\u0440\u0443\u0431", "\u0440"),
    "UAH": ("\u0433\u0440\u043d",),
    "KZT": ("\u0442\u0433",),
    "JPY": ("円", "\uffe5", "\u00a5"),
    "CNY": ("元", "rmb", "\uffe5", "\u00a5"),
    "TWD": ("元",),
    "KRW": ("원",),
    "THB": ("บาท",),
    "VND": ("đ", "vnđ"),
    "BDT": ("tk",),
    "AED": ("dhs", "dh"),
    "MAD": ("dhs", "dh"),
    "EGP": ("le", "l.e"),
    "ILS": ('ש"ח', "ש״ח"),
    "SAR": ("sr",),
    "QAR": ("qr",),
    "JOD": ("jd",),
    "KWD": ("kd",),
    "BHD": ("bd",),
    "TRY": ("tl",),
    "USD": ("us$", "us $"),
    "AUD": ("a$", "au$", "au $"),
    "CAD": ("c$", "ca$", "ca $", "$ ca"),
    "NZD": ("nz$",),
    "SGD": ("s$",),
    "UYU": ("$u",),
    "ZAR": ("r",),
}


class PriceRefused(ValueError):
    """Says why a text is not a price of the shop. `kind` is the same words for every case like it."""

    def __init__(self, reason: str, kind: str = "prices that cannot be read") -> None:
        super().__init__(reason)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class PriceReader:
    """Reads prices of one shop.

    Attributes:
        currency: The shop's currency, an ISO 4217 code.
        locale: The locale whose way of writing numbers decides, such as "de-DE".
        currency_as_is: Take a price in another currency by its number.
        decimal_point: The export always writes a decimal point, whatever the shop's locale.
        groups: The export may set thousands apart.
    """

    currency: str
    locale: str
    currency_as_is: bool = False
    decimal_point: bool = False
    groups: bool = True

    def read(self, text: str) -> str:
        """Return the price as a plain decimal with the currency's digits: "1480.00".

        Raises:
            PriceRefused: the text is no price, is negative, is in another currency, or can be two numbers.
        """
        locale = "en" if self.decimal_point else self.locale
        return _read(text, self.currency, locale, self.currency_as_is, self.groups)


@lru_cache(maxsize=20_000)
def _read(text: str, currency: str, locale: str, currency_as_is: bool, groups: bool) -> str:
    digits = _fraction_digits(currency)
    if digits == 2 and _PLAIN.fullmatch(text):
        return f"{Decimal(text):.2f}"
    if digits == 2 and len(text) <= _DIGITS_MAX and _GROUPED.fullmatch(text):
        return text.replace(",", "")
    text = text.strip().translate(_OTHER_SEPARATORS)
    if len(text) > _LENGTH_MAX:
        raise PriceRefused("it is no number")
    if not text:
        raise PriceRefused("it is empty", "variants without a price")
    # Digits of other scripts are read as the same numbers.
    text = "".join(str(int(sign)) if sign.isdecimal() else sign for sign in text)
    if _NEGATIVE.search(text):
        raise PriceRefused("it is below zero", "prices below zero")
    found = _NUMBER.fullmatch(text)
    if not found:
        raise PriceRefused("it is no number")
    before, number, _, after = found.groups()
    before, number = _with_whole(before, number, digits)
    for affix in (before, after):
        _judge_currency(affix, currency, locale, currency_as_is=currency_as_is)
    value = _value(re.sub(r"\s", "\u00a0", number), digits, locale, groups=groups)
    if value.adjusted() >= _DIGITS_MAX:
        raise PriceRefused("it is too large")
    return f"{value:.{digits}f}"


def _with_whole(before: str, number: str, digits: int) -> tuple[str, str]:
    """Move a decimal sign from the end of `before` to the number: "GBP .50" is 0.50, and "Rs.50" is 50.

    Raises:
        PriceRefused: the sign can be either, or a space follows it.
    """
    sign = before.rstrip()[-1:]
    if not sign or sign not in ".,":
        return before, number
    currency = before.rstrip()[:-1]
    word = (currency.split() or [""])[-1].casefold() if sign == "." else ""
    word = word if word[-1:].isalpha() or word in _ABBREVIATIONS else ""
    # A code is no abbreviation.
    if word and _codes().get(word) != word.upper():
        is_short = number.isdecimal() and len(number) <= digits
        if word in _ABBREVIATIONS or not is_short or not before.endswith(sign):
            return before, number
        raise PriceRefused(f"it can be 0.{number} or {number}", "prices that can be two numbers")
    if not before.endswith(sign):
        raise PriceRefused("it is no number")
    return currency, f"0{sign}{number}"


def _value(number: str, digits: int, locale: str, *, groups: bool) -> Decimal:
    if number.isdecimal():
        return Decimal(number)
    readings = set(_readings(number, (*_WAYS, locale)))
    values = {value for value, _ in readings}
    if not values:
        raise PriceRefused("it is no number")
    sensible = {value for value in values if _fits(value, digits, sole=len(values) == 1)}
    if not sensible:
        raise PriceRefused(f"the currency has {digits} decimals")
    own = next(((value, grouped) for value, grouped in _readings(number, (locale,))), None)
    # A lone sign before three digits is a decimal sign or sets thousands apart.
    lone = len(values) > 1 and re.fullmatch(r"[0-9]{1,3}[.,][0-9]{3}", number)
    if lone and digits == 3 and not groups:
        return Decimal(number.replace(",", "."))
    if lone:
        if own is None or own[0] not in sensible or (own[1] and (digits == 3 or not groups)):
            both = " or ".join(str(value) for value in sorted(values))
            raise PriceRefused(f"it can be {both}", "prices that can be two numbers")
        return own[0]
    if len(sensible) > 1:
        if own is None or own[0] not in sensible:
            both = " or ".join(str(value) for value in sorted(sensible))
            raise PriceRefused(f"it can be {both}", "prices that can be two numbers")
        return own[0]
    return sensible.pop()


def readings_of(number: str, locale: str) -> tuple[frozenset[Decimal], Decimal | None]:
    """Return each value that a number can have, and the one it has in the locale; None where it has none.

    Args:
        number: Digits with points, commas, apostrophes or spaces.
        locale: The locale whose way of writing numbers the shop uses.
    """
    number = re.sub(r"\s", "\u00a0", number.strip())
    own = next((value for value, _ in _readings(number, (locale,))), None)
    return frozenset(value for value, _ in _readings(number, (*_WAYS, locale))), own


def _fits(value: Decimal, digits: int, *, sole: bool) -> bool:
    """Return whether a price is written with no more decimals than the currency's; zeros may follow.

    Three zeros may be those of a thousand, unless the value is the `sole` one that the text can have.
    """
    exponent = value.as_tuple().exponent
    written = -exponent if isinstance(exponent, int) and exponent < 0 else 0
    if written <= digits:
        return True
    return (sole or written != 3) and value == value.quantize(Decimal(1).scaleb(-digits))


def _readings(number: str, locales: tuple[str, ...]) -> Iterator[tuple[Decimal, bool]]:
    """Yield (value, whether it has groups) for each of the locales that can read the number."""
    from babel.numbers import NumberFormatError, get_decimal_symbol, get_group_symbol, parse_decimal

    for name in locales:
        locale = _known(name)
        group = get_group_symbol(locale)
        text = number
        if group in {*_SPACES, "'", "\u2019"}:
            text = re.sub(r"['\u2019\u00a0\u202f]", group, number)
        # Babel itself lets a point pass where the locale has none.
        if set(re.sub(r"[0-9]", "", text)) - {group, get_decimal_symbol(locale)}:
            continue
        try:
            value = parse_decimal(text, locale=locale, strict=True)
        except NumberFormatError:
            continue
        if value.is_finite():
            yield value, group in text


@cache
def _known(locale: str) -> str:
    from babel import Locale

    return str(Locale.parse(locale, sep="-" if "-" in locale else "_"))


@cache
def _fraction_digits(currency: str) -> int:
    from babel.numbers import get_currency_precision

    return get_currency_precision(currency) if currency else 2


def _judge_currency(affix: str, currency: str, locale: str, *, currency_as_is: bool) -> None:
    sign = " ".join(affix.split()).strip(" .\u200e\u200f").casefold()
    if not sign:
        return
    for part in [sign] if sign in _signs(currency, locale) else sign.split():
        if part.strip(".") in _signs(currency, locale):
            continue
        other = _codes().get(part)
        if other is None:
            raise PriceRefused(f"{affix.strip()!r} is no sign of {currency}")
        if not currency_as_is:
            raise PriceRefused(
                f"it is in {other}, and the shop sells in {currency}: --currency-as-is takes its number",
                "prices in another currency",
            )


@cache
def _signs(currency: str, locale: str) -> frozenset[str]:
    """Return what people write for a currency: its code and its symbols, in its own countries too."""
    from babel.core import Locale, UnknownLocaleError, get_global
    from babel.numbers import get_currency_symbol

    locales = {_known(locale), "en"}
    likely = get_global("likely_subtags")
    for territory, currencies in get_global("territory_currencies").items():
        if any(entry[0] == currency and entry[2] is None and entry[3] for entry in currencies):
            name = likely.get(f"und_{territory}", "")
            language = name.partition("_")[0]
            locales |= {f"{language}_{territory}"} if language else set()
    signs = {currency.casefold(), *_OTHER_SIGNS.get(currency, ())}
    for name in sorted(locales):
        try:
            symbol = get_currency_symbol(currency, Locale.parse(name))
        except (ValueError, UnknownLocaleError):
            continue
        signs.add(symbol.strip(" .\u200e\u200f\u00a0").casefold())
    return frozenset(signs)


@cache
def _codes() -> dict[str, str]:
    """Return the name of a currency by its code and by its symbol in English, in lower case."""
    from babel.numbers import get_currency_symbol, list_currencies

    names: dict[str, str] = {}
    for code in sorted(list_currencies()):
        names.setdefault(get_currency_symbol(code, "en").casefold(), code)
    for signs in _OTHER_SIGNS.items():
        for sign in signs[1]:
            names.setdefault(sign, signs[0])
    return names | {code.casefold(): code for code in list_currencies()}

"""The values of an export, in one shape for every program that writes one, and its prices as numbers.

Babel reads each price strictly (`parse_decimal`, CLDR's signs and groups) in the shop's locale and in one
locale for each other way of writing numbers. A text that can be two numbers is neither.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, lru_cache
from typing import Protocol, TypeVar


@dataclass(frozen=True, slots=True)
class ImportedVariant:
    """One row that can be bought.

    `units` is None where the shop does not count; `sells_on` says that it
    is for sale even when there are none; `availability` is schema.org's word, empty where the export says
    nothing. `price` and `compare_at_price` (the former price) are plain decimal numbers. `position` is
    its place among the variants of its product where the export says one. `available_on` is the day on which
    it ships when it is sold ahead. Other texts are as the export has
    them, unchecked.
    """

    place: str
    sku: str
    price: str
    options: tuple[tuple[str, str], ...]
    units: int | None
    sells_on: bool = False
    picture: str = ""
    availability: str = ""
    compare_at_price: str = ""
    sale_ends_on: str = ""
    gtin: str = ""
    mpn: str = ""
    weight_g: int | None = None
    variant_id: str = ""
    checkout_url: str = ""
    position: int | None = None
    available_on: str = ""


@dataclass(frozen=True, slots=True)
class ImportedPicture:
    """A picture by the address the export gives, and what it shows.

    `position` is its place among those of
    its product where the export numbers them, or its place within a cell; None where only rows order them.
    """

    url: str
    alt: str
    position: int | None = None


@dataclass(frozen=True, slots=True)
class ImportedProduct:
    """One product.

    `place` is where it stands in the export: "line 12"; `handle` its address in the other
    shop, empty where the export names none: its page is then called by its title, or by `page_name`.
    `categories` are further ones beside `category`; `old_paths` are the paths the product had in the other
    shop; `description` is Markdown when `body_html` is empty.
    """

    place: str
    handle: str
    title: str
    body_html: str
    category: str
    summary: str
    details: tuple[tuple[str, str], ...]
    tags: tuple[str, ...]
    variants: tuple[ImportedVariant, ...]
    pictures: tuple[ImportedPicture, ...]
    page_name: str = ""
    description: str = ""
    categories: tuple[str, ...] = ()
    brand: str = ""
    condition: str = ""
    seo_title: str = ""
    seo_description: str = ""
    released_on: str = ""
    old_paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NotTaken:
    """Something of the export that the shop does not hold as it was.

    Attributes:
        place: Where it stands in the export: "line 12".
        what: The value, or the part of the product.
        outcome: The result: "left out".
        kind: The same words for every case like it, for a line with a count on the screen and a heading in
            the report: "prices that are no number"; `outcome` where it is empty.
        product: The handle or title of the product it belongs to; empty where there is none.
    """

    place: str
    what: str
    outcome: str
    kind: str = ""
    product: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.what}: {self.outcome}"


@dataclass(frozen=True, slots=True)
class Export:
    """Everything that was read of one export."""

    products: tuple[ImportedProduct, ...]
    not_taken: tuple[NotTaken, ...]


T = TypeVar("T")
R = TypeVar("R")


class Share(Protocol):
    """Does `work` for parts of `things`, in their order, and returns the result for each part."""

    def __call__(self, work: Callable[[Sequence[T]], R], things: Sequence[T], what: str) -> list[R]:
        """Args: `work` gives the same result twice; `what` names it on a progress bar."""
        ...


def alone(work: Callable[[Sequence[T]], R], things: Sequence[T], what: str) -> list[R]:
    """Do all of it here and now."""
    return [work(things)]


_DIGITS_MAX = 12
_LENGTH_MAX = 60
_PLAIN = re.compile(r"\d{1,8}(?:\.\d{1,2})?", re.ASCII)
# Read alike by every locale that reads it at all, where a currency has two decimals.
_GROUPED = re.compile(r"[1-9]\d{0,2}(?:,\d{3})+\.\d{2}", re.ASCII)
_NUMBER = re.compile(r"(\D*?)([0-9](?:[0-9.,'\u2019\u00a0\u202f ]*[0-9])?)([.,]-)?(\D*)", re.ASCII)
_NEGATIVE = re.compile(r"\A\D*[-\u2212\u2012\u2013(]\s*\D{0,4}\d|\d\s*[-\u2212]\Z")
_ARABIC_SIGNS = str.maketrans("\u066b\u066c", ".,")
# One locale for each way to write 1234567.89 that shops use.
_WAYS = ("en", "de", "de-CH", "fr", "en-IN")
_SPACES = "\u00a0\u202f "
# Currency signs of shops beside the symbols of CLDR.
_OTHER_SIGNS = {
    **dict.fromkeys(("INR", "PKR", "LKR", "NPR", "MUR", "SCR"), ("rs", "re", "rs/")),
    **dict.fromkeys(("SEK", "NOK", "DKK", "ISK"), ("kr", ":-")),
    "CHF": ("fr", "sfr"),
    "GBP": ("\u00a3",),
    "EUR": ("euro", "euros"),
    "PLN": ("zl",),
    "CZK": ("kc",),
    "JPY": ("\u5186", "\uffe5", "\u00a5"),
    "CNY": ("\u5143", "rmb", "\uffe5", "\u00a5"),
    "KWD": ("kd",),
    "BHD": ("bd",),
    "TRY": ("tl",),
    "USD": ("us$",),
    "AUD": ("a$", "au$"),
    "CAD": ("c$", "ca$"),
    "NZD": ("nz$",),
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
    text = text.strip().translate(_ARABIC_SIGNS)
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
    if re.search(r"(\A|[^\w\s])[.,]\Z", before):  # ".50" and "$.50", but not "Rs.50"
        before, number = before[:-1], f"0{before[-1]}{number}"
    for affix in (before, after):
        _judge_currency(affix, currency, locale, currency_as_is=currency_as_is)
    value = _value(re.sub(r"\s", "\u00a0", number), digits, locale, groups=groups)
    if value.adjusted() >= _DIGITS_MAX:
        raise PriceRefused("it is too large")
    return f"{value:.{digits}f}"


def _value(number: str, digits: int, locale: str, *, groups: bool) -> Decimal:
    if number.isdecimal():
        return Decimal(number)
    readings = set(_readings(number, (*_WAYS, locale)))
    sensible = {value for value, grouped in readings if _fits(value, digits)}
    if not readings:
        raise PriceRefused("it is no number")
    if not sensible:
        raise PriceRefused(f"the currency has {digits} decimals")
    own = next(((value, grouped) for value, grouped in _readings(number, (locale,))), None)
    # A lone sign before three digits is a decimal sign or sets thousands apart.
    lone = re.fullmatch(r"[0-9]{1,3}[.,][0-9]{3}", number)
    if lone and digits == 3 and not groups:
        return Decimal(number.replace(",", "."))
    if lone:
        if own is None or own[0] not in sensible or (own[1] and (digits == 3 or not groups)):
            both = " or ".join(str(value) for value in sorted({value for value, _ in readings}))
            raise PriceRefused(f"it can be {both}", "prices that can be two numbers")
        return own[0]
    if len(sensible) > 1:
        if own is None or own[0] not in sensible:
            both = " or ".join(str(value) for value in sorted(sensible))
            raise PriceRefused(f"it can be {both}", "prices that can be two numbers")
        return own[0]
    return sensible.pop()


def _fits(value: Decimal, digits: int) -> bool:
    """Return whether a price is written with no more decimals than the currency's; zeros may follow."""
    exponent = value.as_tuple().exponent
    written = -exponent if isinstance(exponent, int) and exponent < 0 else 0
    return written <= digits or (written != 3 and value == value.quantize(Decimal(1).scaleb(-digits)))


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

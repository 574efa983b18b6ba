"""How a currency is written in a locale, looked up once at build time."""

import re

from chalicelib.storefront.money import MoneyFormat

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

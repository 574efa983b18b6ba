"""The tables [shipping] and [returns] of site.toml: what a parcel costs and how it can be returned."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from chalicelib.storefront.theme import ReturnBy, ReturnPolicy, ShippingPolicy, Shop
from spillway.sitegen.locale_words import country_name
from spillway.sitegen.money_format import minor_units
from spillway.sitegen.toml_table import TomlTable

# A year: longer promises are mistakes.
_DAYS_MAX = 366
_COUNTRY_EXPECTED = "a country's ISO 3166-1 code: GB, DE"
_PAID_BY = {"shop": True, "shopper": False}

T = TypeVar("T")


def with_policies(shop: Shop, table: TomlTable, *, fraction_digits: int) -> Shop:
    """Return the shop with the policies that the table of its file has; mistakes are noted."""
    shipping = _shipping(table.table("shipping"), fraction_digits) if table.has("shipping") else None
    returns = _returns(table.table("returns")) if table.has("returns") else None
    return replace(shop, shipping=shipping, returns=returns)


def with_place_named(shop: Shop) -> Shop:
    """Return the shop with the country it ships to named in its locale."""
    if shop.shipping is None or not shop.locale:
        return shop
    place = country_name(shop.shipping.country, shop.locale) or shop.shipping.country
    return replace(shop, shipping=replace(shop.shipping, place=place))


def _shipping(table: TomlTable, fraction_digits: int) -> ShippingPolicy:
    def cost(name: str) -> int:
        try:
            return minor_units(table.value(name), fraction_digits=fraction_digits)
        except ValueError:
            table.wrong(
                name, table.value(name), 'a decimal number in quotes: "3.95", or "0" where it is free'
            )
            return 0

    policy = ShippingPolicy(
        country=_country(table),
        place="",
        cost_minor=cost("cost"),
        free_from_minor=cost("free_from") if table.has("free_from") else None,
        handling_days=_days(table, "handling_days"),
        transit_days=_days(table, "transit_days"),
    )
    table.done(also=frozenset({"free_from"}))
    return policy


def _returns(table: TomlTable) -> ReturnPolicy:
    policy = ReturnPolicy(
        country=_country(table),
        days=table.whole_number("days", at_most=_DAYS_MAX),
        is_free=bool(_one_of(table, "paid_by", _PAID_BY.get, "shop or shopper: who pays the way back")),
        by=_one_of(table, "by", _return_by, f"one of {', '.join(ReturnBy)}") or ReturnBy.MAIL,
    )
    table.done()
    return policy


def _country(table: TomlTable) -> str:
    country = table.text("country", length_max=2)
    if country and country_name(country, "en") is None:
        table.wrong("country", country, _COUNTRY_EXPECTED)
    return country


def _days(table: TomlTable, name: str) -> tuple[int, int]:
    value = table.value(name)
    match value:
        case [int(fewest), int(most)] if 0 <= fewest <= most <= _DAYS_MAX:
            return fewest, most
    table.wrong(name, value, "the fewest and the most business days: [1, 3]")
    return 0, 0


def _return_by(value: str) -> ReturnBy | None:
    return ReturnBy(value) if value in list(ReturnBy) else None


def _one_of(table: TomlTable, name: str, read: Callable[[str], T | None], expected: str) -> T | None:
    value = table.value(name)
    found = read(value) if isinstance(value, str) else None
    if found is None:
        table.wrong(name, value, expected)
    return found

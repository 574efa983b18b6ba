"""Read the shop itself from site/site.toml: its name, addresses, currency, waitlist, shipping and returns."""

import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

from chalicelib.domain.entry import OptIn
from chalicelib.mail.headers import HeaderRefused, parse_mailbox
from chalicelib.storefront.checkout import (
    CHECKOUT_LENGTH_MAX,
    NO_CHECKOUT,
    CheckoutRefused,
    CheckoutTemplate,
    Placeholder,
)
from chalicelib.storefront.localization import MoneyFormat
from chalicelib.storefront.theme import ReturnBy, ReturnPolicy, ShippingPolicy, Shop
from chalicelib.tables.products import PACKED_BYTES_MAX, packed
from spillway.sitegen.reading.locales import country_name, minor_units, money_format, read_locales
from spillway.sitegen.reading.toml_input import InputError, TomlTable

NAME_LENGTH_MAX = 80
SENTENCE_LENGTH_MAX = 300
URL_LENGTH_MAX = 300

# Replaces a currency that cannot be read, so that prices are still checked.
_ANY_MONEY = MoneyFormat("", "", ".", ",", 2)
# A year: a longer promise is a typing error.
_DAYS_MAX = 366
# A page that counts down from more says nothing of scarcity.
_LOW_STOCK_MAX = 100
_PAID_BY = {"shop": True, "shopper": False}
_RETURN_BY = {by.value: by for by in ReturnBy}
_CHECKOUT_EXPECTED = 'an address with {sku}, {variant_id} or {product} in it, or "none"'
_SAY_WHAT_IS_BOUGHT = frozenset({Placeholder.SKU, Placeholder.VARIANT_ID, Placeholder.PRODUCT})
_PLAIN_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}", re.ASCII)

T = TypeVar("T")


class ShopSettings(NamedTuple):
    """The shop in its first locale.

    `money` is the currency's format by locale, the first locale first; `domains_file` is the name of the
    file in site/ that lists the domains of addresses the waitlist refuses.
    """

    shop: Shop
    money: Mapping[str, MoneyFormat]
    domains_file: str | None

    @property
    def first_money(self) -> MoneyFormat:
        """The currency's format in the first locale."""
        return self.money.get(self.shop.locale, _ANY_MONEY)


def read_settings(table: TomlTable, page_slugs: Set[str]) -> ShopSettings:
    """Read the settings of the top table of site.toml, and note their errors.

    Args:
        table: the whole file.
        page_slugs: the slugs of the pages under site/pages, which a checkout URL may lead to.
    """
    currency = table.text("currency", length_max=3)
    locales = read_locales(table, page_slugs)
    waitlist = table.table("waitlist", optional=True)
    emails = table.table("emails", optional=True)
    sender = _mailbox(table, "sender")
    shop = Shop(
        name=table.text("name", length_max=NAME_LENGTH_MAX),
        tagline=table.text("tagline", length_max=SENTENCE_LENGTH_MAX, optional=True),
        base_url=_base_url(table),
        currency=currency,
        locale=locales[0] if locales else "",
        sender=sender,
        reply_to=_mailbox(table, "reply_to") if table.has("reply_to") else sender,
        checkout=_checkout(table, page_slugs),
        postal_address=table.texts("postal_address", length_max=NAME_LENGTH_MAX, count_max=8),
        opt_in=_opt_in(waitlist),
        unsubscribe_mailbox=_unsubscribe_mailbox(waitlist),
        low_stock=_low_stock(table),
        count_clicks=emails.flag("count_clicks", default=False),
    )
    emails.done()
    settings = ShopSettings(shop, _money(table, currency, locales), None)
    digits = settings.first_money.fraction_digits
    shop = replace(
        shop,
        shipping=_shipping(table.table("shipping"), digits) if table.has("shipping") else None,
        returns=_returns(table.table("returns")) if table.has("returns") else None,
    )
    domains_file = _domains_file(waitlist)
    waitlist.done()
    return settings._replace(shop=shop, domains_file=domains_file)


def base_url_problem(url: str) -> str | None:
    """Return what was expected instead of `url`, None when pages can be built for it."""
    expected = "https://HOST, or http://HOST:PORT, with no path and no slash at the end"
    try:
        address = urlsplit(url)
        port_is_fine = address.port is None or address.port > 0
    except ValueError:
        return expected
    if address.hostname and not url.isascii() and (host := _a_label(address.hostname)):
        return f"the host in ASCII: {url.replace(address.hostname, host, 1)}"
    extras = address.path or address.query or address.fragment or address.username or url.endswith("?")
    has_host = bool(address.hostname) and address.scheme in {"https", "http"}
    safe = url.isascii() and not set(url) & set(" \"'<>\\")
    return None if has_host and port_is_fine and safe and not extras else expected


def read_domains(text: str, *, file: str, mistakes: list[InputError]) -> tuple[str, ...]:
    """Read a file of domains whose addresses the waitlist refuses: one in each line, # begins a comment.

    Returns:
        The domains as A-labels, sorted, each once.
    """
    domains: set[str] = set()
    for number, line in enumerate(text.splitlines(), 1):
        domain = line.partition("#")[0].strip()
        if not domain:
            continue
        encoded = _a_label(domain)
        if encoded is None:
            mistakes.append(InputError(file, number, "domain", domain, "one domain in a line: example.com"))
        else:
            domains.add(encoded)
    if not domains:
        mistakes.append(InputError(file, None, "domains", None, "at least one domain"))
    elif (size_bytes := len(packed(domains))) > PACKED_BYTES_MAX:
        expected = f"at most {PACKED_BYTES_MAX} bytes once it is packed, some 25,000 domains"
        mistakes.append(InputError(file, None, "domains", f"{len(domains)} in {size_bytes} bytes", expected))
    return tuple(sorted(domains))


def _a_label(domain: str) -> str | None:
    if _PLAIN_DOMAIN.fullmatch(domain.lower()):
        return domain.lower()
    # A large library, needed only for a domain that is not written in ASCII.
    from email_validator import EmailNotValidError, validate_email

    try:
        return validate_email(f"anybody@{domain}", check_deliverability=False).ascii_domain.lower()
    except EmailNotValidError:
        return None


def _base_url(table: TomlTable) -> str:
    url = table.text("base_url", length_max=URL_LENGTH_MAX)
    if url and (problem := base_url_problem(url)):
        table.error("base_url", url, problem)
    return url


def _mailbox(table: TomlTable, name: str) -> str:
    mailbox = table.text(name, length_max=NAME_LENGTH_MAX * 2)
    if not mailbox:
        return ""
    try:
        parse_mailbox(mailbox)
    except HeaderRefused:
        table.error(name, mailbox, "a mailbox: Shop Name <hello@shop.example>")
    return mailbox


def _checkout(table: TomlTable, page_slugs: Set[str]) -> str | None:
    """Read `checkout`, or `checkout_url`, its name in shops of before; None for "none"."""
    name = "checkout_url" if "checkout_url" in table.names else "checkout"
    if name != "checkout" and table.has("checkout"):
        table.error(name, table.value(name), "nothing beside checkout, which is the same setting")
        name = "checkout"
    if not table.has(name):
        table.error(name, None, _CHECKOUT_EXPECTED)
        return None
    url = table.text(name, length_max=CHECKOUT_LENGTH_MAX)
    if not url or url == NO_CHECKOUT:
        return None
    if url.strip().casefold() == NO_CHECKOUT:
        table.error(name, url, f'"{NO_CHECKOUT}", in small letters, for a shop without a checkout')
        return None
    try:
        template = CheckoutTemplate.parse(url)
    except CheckoutRefused as refused:
        table.error(name, url, str(refused))
        return None
    own_path = template.own_path
    if not template.placeholders & _SAY_WHAT_IS_BOUGHT:
        table.error(name, url, _CHECKOUT_EXPECTED)
    elif own_path is not None and own_path.removeprefix("/") not in page_slugs:
        table.error(name, url, f"a page of this shop: site/pages{own_path}.md does not exist")
    return url


def _low_stock(table: TomlTable) -> int | None:
    value = table.value("low_stock")
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _LOW_STOCK_MAX:
        return value
    table.error("low_stock", value, f"a whole number from 1 to {_LOW_STOCK_MAX}: so few are said to be left")
    return None


def _money(table: TomlTable, currency: str, locales: Sequence[str]) -> dict[str, MoneyFormat]:
    if currency:
        try:
            return {locale: money_format(currency, locale) for locale in locales}
        except ValueError:  # the locales are valid, so the currency is not
            table.error("currency", currency, "an ISO 4217 code: GBP, EUR")
    return dict.fromkeys(locales, _ANY_MONEY)


def _opt_in(waitlist: TomlTable) -> OptIn:
    value = waitlist.value("opt_in") if waitlist.has("opt_in") else OptIn.DOUBLE
    if value not in list(OptIn):
        waitlist.error(
            "opt_in", value, "double (an email asks whether it was really them) or single (it counts at once)"
        )
        value = OptIn.DOUBLE
    return OptIn(value)


def _unsubscribe_mailbox(waitlist: TomlTable) -> str | None:
    mailbox = waitlist.text("unsubscribe_mailbox", length_max=NAME_LENGTH_MAX * 2, optional=True)
    if not mailbox:
        return None
    try:
        parsed = parse_mailbox(mailbox)
    except HeaderRefused:
        parsed = None
    # RFC 6068: signs that would end the address in a mailto link, or need encoding there, are left out.
    if parsed is None or parsed.name or set(parsed.address) & set('?&%#/"<>, '):
        waitlist.error("unsubscribe_mailbox", mailbox, "an address alone: unsubscribe@shop.example")
        return None
    return parsed.address


def _domains_file(waitlist: TomlTable) -> str | None:
    name = waitlist.text("disposable_domains", length_max=NAME_LENGTH_MAX, optional=True)
    if name and Path(name).name != name:
        waitlist.error("disposable_domains", name, "the name of a file in site")
        return None
    return name or None


def _shipping(table: TomlTable, fraction_digits: int) -> ShippingPolicy:
    def cost(name: str) -> int:
        try:
            return minor_units(table.value(name), fraction_digits=fraction_digits)
        except ValueError:
            table.error(
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
    table.done()
    return policy


def _returns(table: TomlTable) -> ReturnPolicy:
    policy = ReturnPolicy(
        country=_country(table),
        days=table.whole_number("days", at_most=_DAYS_MAX),
        is_free=bool(_one_of(table, "paid_by", _PAID_BY.get, "shop or shopper: who pays the way back")),
        by=_one_of(table, "by", _RETURN_BY.get, f"one of {', '.join(ReturnBy)}") or ReturnBy.MAIL,
    )
    table.done()
    return policy


def _country(table: TomlTable) -> str:
    country = table.text("country", length_max=2)
    if country and country_name(country, "en") is None:
        table.error("country", country, "a country's ISO 3166-1 code: GB, DE")
    return country


def _days(table: TomlTable, name: str) -> tuple[int, int]:
    value = table.value(name)
    match value:
        case [int(fewest), int(most)] if 0 <= fewest <= most <= _DAYS_MAX:
            return fewest, most
    table.error(name, value, "the fewest and the most business days: [1, 3]")
    return 0, 0


def _one_of(table: TomlTable, name: str, read: Callable[[str], T | None], expected: str) -> T | None:
    value = table.value(name)
    found = read(value) if isinstance(value, str) else None
    if found is None:
        table.error(name, value, expected)
    return found

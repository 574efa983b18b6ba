"""site/site.toml: who the shop is, its shelves, its home page and its footer, in each of its locales."""

import re
from collections.abc import Callable, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from chalicelib.domain.entry import OptIn
from chalicelib.mail.headers import HeaderRefused, parse_mailbox
from chalicelib.storefront.checkout import CheckoutForm
from chalicelib.storefront.day_format import DayFormat
from chalicelib.storefront.money import MoneyFormat
from chalicelib.storefront.theme import Link, ReturnBy, ReturnPolicy, ShippingPolicy, Shop
from chalicelib.tables.domain_lists import PACKED_BYTES_MAX, packed
from spillway.sitegen.reading.catalogue import (
    FILE_NAME_LENGTH_MAX,
    PICTURE_EXPECTED,
    Category,
    Home,
    SourceImage,
    Storefront,
)
from spillway.sitegen.reading.locales import (
    country_name,
    day_format,
    minor_units,
    name_of_locale,
    read_locales,
    root_of_locale,
    skip_other_locales,
)
from spillway.sitegen.reading.slugs import CATEGORIES_MAX, slug_problem
from spillway.sitegen.reading.toml_input import InputError, TomlTable

_FILE = "site/site.toml"
_NAME_LENGTH_MAX = 80
_SENTENCE_LENGTH_MAX = 300
_URL_LENGTH_MAX = 300
# Stands in for a currency that could not be read, so that the prices can still be checked.
_ANY_MONEY = MoneyFormat("", "", ".", ",", 2)


def read_storefront(
    text: str | None,
    *,
    site: Path,
    page_slugs: Set[str],
    mistakes: list[InputError],
) -> tuple[Storefront, ...]:
    """The storefronts of a file's text, one for each locale; none when there is no reading it. Mistakes are
    added to `mistakes`."""
    table = TomlTable.parse(text, file=_FILE, mistakes=mistakes) if text is not None else None
    if table is None:
        return ()
    currency = table.text("currency", length_max=3)
    locales = read_locales(table, page_slugs)
    locale = locales[0] if locales else ""
    waitlist = table.table("waitlist")
    shop = Shop(
        name=table.text("name", length_max=_NAME_LENGTH_MAX),
        tagline=table.text("tagline", length_max=_SENTENCE_LENGTH_MAX),
        base_url=_base_url(table),
        currency=currency,
        locale=locale,
        sender=_mailbox(table, "sender"),
        reply_to=_mailbox(table, "reply_to"),
        checkout_url=_checkout_url(table, page_slugs),
        postal_address=table.texts("postal_address", length_max=_NAME_LENGTH_MAX, count_max=8),
        opt_in=_opt_in(waitlist),
        unsubscribe_mailbox=_unsubscribe_mailbox(waitlist),
    )
    money = _money(table, currency, locales)
    shop = with_policies(shop, table, fraction_digits=money.get(locale, _ANY_MONEY).fraction_digits)
    domains_file = _domains_file(waitlist)
    waitlist.done()
    categories = tuple(_categories(table))
    home = _home(table.table("home"), site / "pictures")
    listed = {f"/shop/{category.slug}" for category in categories} | {"/", "/shop/all"}
    navigation = tuple(_navigation(table, listed | {f"/{slug}" for slug in page_slugs}))
    # Every signup form links to what becomes of the address.
    if "privacy" not in page_slugs:
        mistakes.append(
            InputError("site/pages/privacy.md", None, "file", None, "a page that signup forms link to")
        )
    first = Storefront(
        shop,
        money.get(locale, _ANY_MONEY),
        categories,
        home,
        navigation,
        name_of_locale(locale, locales),
        domains_file=domains_file,
    )
    others = tuple(
        translated(first, table, locale=each, money=money[each], name=name_of_locale(each, locales))
        for each in locales[1:]
    )
    skip_other_locales(table)
    table.done(also=frozenset({"shipping", "returns"}))
    return tuple(_in_words_of_its_locale(each) for each in (first, *others))


def _in_words_of_its_locale(storefront: Storefront) -> Storefront:
    shop = with_place_named(storefront.shop)
    return replace(storefront, shop=shop, days=day_format(shop.locale) if shop.locale else DayFormat())


def _opt_in(waitlist: TomlTable) -> OptIn:
    value = waitlist.value("opt_in")
    if value not in list(OptIn):
        waitlist.wrong(
            "opt_in", value, "double (an email asks whether it was really them) or single (it counts at once)"
        )
        value = OptIn.DOUBLE
    return OptIn(value)


def _unsubscribe_mailbox(waitlist: TomlTable) -> str:
    mailbox = waitlist.text("unsubscribe_mailbox", length_max=_NAME_LENGTH_MAX * 2, optional=True)
    if not mailbox:
        return ""
    try:
        parsed = parse_mailbox(mailbox)
    except HeaderRefused:
        parsed = None
    # RFC 6068: signs that would end the address in a mailto link, or need encoding there, are left out.
    if parsed is None or parsed.name or set(parsed.address) & set('?&%#/"<>, '):
        waitlist.wrong("unsubscribe_mailbox", mailbox, "an address alone: unsubscribe@shop.example")
        return ""
    return parsed.address


def _domains_file(waitlist: TomlTable) -> str:
    name = waitlist.text("disposable_domains", length_max=_NAME_LENGTH_MAX, optional=True)
    if name and Path(name).name != name:
        waitlist.wrong("disposable_domains", name, "the name of a file in site")
        return ""
    return name


def _money(table: TomlTable, currency: str, locales: Sequence[str]) -> dict[str, MoneyFormat]:
    if currency:
        from spillway.sitegen.reading.locales import money_format

        try:
            return {locale: money_format(currency, locale) for locale in locales}
        except ValueError:  # the locales are known to be some
            table.wrong("currency", currency, "an ISO 4217 code: GBP, EUR")
    return dict.fromkeys(locales, _ANY_MONEY)


def _base_url(table: TomlTable) -> str:
    url = table.text("base_url", length_max=_URL_LENGTH_MAX)
    if url and base_url_problem(url):
        table.wrong("base_url", url, base_url_problem(url) or "")
    return url


def base_url_problem(url: str) -> str | None:
    """What was expected instead of `url`; None when pages can be built for it."""
    expected = "https://HOST, or http://HOST:PORT, with no path and no slash at the end"
    try:
        address = urlsplit(url)
        port_is_fine = address.port is None or address.port > 0
    except ValueError:
        return expected
    bare = not (address.path or address.query or address.fragment or address.username) and not url.endswith(
        "?"
    )
    named = bool(address.hostname) and address.scheme in {"https", "http"}
    return (
        None
        if bare and named and port_is_fine and url.isascii() and not set(url) & set(" \"'<>\\")
        else expected
    )


def _mailbox(table: TomlTable, name: str) -> str:
    mailbox = table.text(name, length_max=_NAME_LENGTH_MAX * 2)
    if not mailbox:
        return ""
    try:
        parse_mailbox(mailbox)
    except HeaderRefused:
        table.wrong(name, mailbox, "a mailbox: Shop Name <hello@shop.example>")
    return mailbox


def _checkout_url(table: TomlTable, page_slugs: Set[str]) -> str:
    url = table.text("checkout_url", length_max=_URL_LENGTH_MAX)
    if not url:
        return ""
    try:
        form = CheckoutForm.of(url)
        address = urlsplit(form.action)
    except ValueError:
        table.wrong(
            "checkout_url", url, "an address with {sku} as the value of one parameter: /checkout?sku={sku}"
        )
        return url
    if address.scheme or address.netloc:
        if address.scheme != "https" or not address.hostname:
            table.wrong("checkout_url", url, "an https:// address or a path of this shop")
    elif address.path.removeprefix("/") not in page_slugs:
        table.wrong("checkout_url", url, f"a page of this shop: site/pages{address.path}.md does not exist")
    return url


def _categories(table: TomlTable) -> list[Category]:
    categories: list[Category] = []
    for row in table.tables("categories", count_max=CATEGORIES_MAX):
        slug = row.text("slug", length_max=_NAME_LENGTH_MAX)
        if slug and (problem := slug_problem(slug)):
            row.wrong("slug", slug, problem)
        if slug in {category.slug for category in categories}:
            row.wrong("slug", slug, "each category once")
        title = row.text("title", length_max=_NAME_LENGTH_MAX)
        categories.append(Category(slug, title, row.text("description", length_max=_SENTENCE_LENGTH_MAX)))
        row.done()
    return categories


def _home(table: TomlTable, pictures: Path) -> Home:
    file = table.text("picture", length_max=FILE_NAME_LENGTH_MAX)
    if file and Path(file).name != file:
        table.wrong("picture", file, PICTURE_EXPECTED)
    featured = table.texts("featured", length_max=_NAME_LENGTH_MAX, count_max=24)
    for slug in featured:
        if featured.count(slug) > 1:
            table.wrong("featured", slug, "each product once")
    home = Home(
        headline=table.text("headline", length_max=_NAME_LENGTH_MAX),
        lede=table.text("lede", length_max=_SENTENCE_LENGTH_MAX),
        shot=SourceImage(pictures / file, table.text("picture_alt", length_max=_SENTENCE_LENGTH_MAX)),
        featured=featured,
    )
    table.done()
    return home


def _navigation(table: TomlTable, paths: Set[str]) -> list[Link]:
    links = []
    for row in table.tables("navigation", count_max=20, optional=True):
        title, path = (
            row.text("title", length_max=_NAME_LENGTH_MAX),
            row.text("path", length_max=_URL_LENGTH_MAX),
        )
        if path and path not in paths:
            row.wrong("path", path, "the path of a page or a category of this shop")
        row.done()
        links.append(Link(title, path))
    return links


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


_WORD_LENGTH_MAX = 40


def translated(
    first: Storefront, table: TomlTable, *, locale: str, money: MoneyFormat, name: str
) -> Storefront:
    """The storefront in `locale`, from the table of that name if there is one."""
    told = table.table(locale, optional=True)
    tagline = told.text("tagline", length_max=_SENTENCE_LENGTH_MAX, optional=True)
    storefront = replace(
        first,
        shop=replace(first.shop, locale=locale, tagline=tagline or first.shop.tagline),
        money=money,
        home=_translated_home(first.home, told.table("home", optional=True)),
        categories=_translated_categories(first.categories, told.table("categories", optional=True)),
        navigation=_translated_navigation(first.navigation, told.table("navigation", optional=True)),
        name=name,
        root=root_of_locale(locale),
        words=dict(told.options("options", length_max=_WORD_LENGTH_MAX)),
    )
    told.done()
    return storefront


def _translated_home(first: Home, told: TomlTable) -> Home:
    alt = told.text("picture_alt", length_max=_SENTENCE_LENGTH_MAX, optional=True)
    home = replace(
        first,
        headline=told.text("headline", length_max=_NAME_LENGTH_MAX, optional=True) or first.headline,
        lede=told.text("lede", length_max=_SENTENCE_LENGTH_MAX, optional=True) or first.lede,
        shot=replace(first.shot, alt=alt or first.shot.alt),
    )
    told.done()
    return home


def _translated_categories(first: tuple[Category, ...], told: TomlTable) -> tuple[Category, ...]:
    categories = tuple(_translated_category(each, told.table(each.slug, optional=True)) for each in first)
    told.done()
    return categories


def _translated_category(first: Category, told: TomlTable) -> Category:
    title = told.text("title", length_max=_NAME_LENGTH_MAX, optional=True)
    description = told.text("description", length_max=_SENTENCE_LENGTH_MAX, optional=True)
    told.done()
    return replace(first, title=title or first.title, description=description or first.description)


def _translated_navigation(first: tuple[Link, ...], told: TomlTable) -> tuple[Link, ...]:
    links = tuple(
        Link(told.text(each.path, length_max=_NAME_LENGTH_MAX, optional=True) or each.title, each.path)
        for each in first
    )
    told.done()
    return links


_PLAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}", re.ASCII)


def read_domains(text: str, *, file: str, mistakes: list[InputError]) -> tuple[str, ...]:
    """The domains of a file's text as A-labels, sorted, each once. Mistakes are added to `mistakes`."""
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
    if _PLAIN.fullmatch(domain.lower()):
        return domain.lower()
    # A large library, needed only for a domain that is not written in plain letters.
    from email_validator import EmailNotValidError, validate_email

    try:
        return validate_email(f"anybody@{domain}", check_deliverability=False).ascii_domain.lower()
    except EmailNotValidError:
        return None

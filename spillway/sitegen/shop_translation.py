"""What site.toml says in another locale, in a table of its name: [de]. What it leaves out is told as in
the first."""

from dataclasses import replace

from chalicelib.storefront.money import MoneyFormat
from chalicelib.storefront.theme import Link
from spillway.sitegen.catalogue import Category, Home, Storefront
from spillway.sitegen.locales import root_of_locale
from spillway.sitegen.toml_table import TomlTable

_TITLE_LENGTH_MAX = 80
_SENTENCE_LENGTH_MAX = 300
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
        home=_home(first.home, told.table("home", optional=True)),
        categories=_categories(first.categories, told.table("categories", optional=True)),
        navigation=_navigation(first.navigation, told.table("navigation", optional=True)),
        name=name,
        root=root_of_locale(locale),
        words=dict(told.options("options", length_max=_WORD_LENGTH_MAX)),
    )
    told.done()
    return storefront


def _home(first: Home, told: TomlTable) -> Home:
    alt = told.text("picture_alt", length_max=_SENTENCE_LENGTH_MAX, optional=True)
    home = replace(
        first,
        headline=told.text("headline", length_max=_TITLE_LENGTH_MAX, optional=True) or first.headline,
        lede=told.text("lede", length_max=_SENTENCE_LENGTH_MAX, optional=True) or first.lede,
        shot=replace(first.shot, alt=alt or first.shot.alt),
    )
    told.done()
    return home


def _categories(first: tuple[Category, ...], told: TomlTable) -> tuple[Category, ...]:
    categories = tuple(_category(each, told.table(each.slug, optional=True)) for each in first)
    told.done()
    return categories


def _category(first: Category, told: TomlTable) -> Category:
    title = told.text("title", length_max=_TITLE_LENGTH_MAX, optional=True)
    description = told.text("description", length_max=_SENTENCE_LENGTH_MAX, optional=True)
    told.done()
    return replace(first, title=title or first.title, description=description or first.description)


def _navigation(first: tuple[Link, ...], told: TomlTable) -> tuple[Link, ...]:
    links = tuple(
        Link(told.text(each.path, length_max=_TITLE_LENGTH_MAX, optional=True) or each.title, each.path)
        for each in first
    )
    told.done()
    return links

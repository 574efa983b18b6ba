"""Read site/site.toml into storefronts: the shop, its categories, home page and footer in each locale.

The file states everything in the first locale; a table named after another locale, [de], translates it.
"""

from collections.abc import Set
from dataclasses import replace
from pathlib import Path

from chalicelib.domain.ids import Slug
from chalicelib.storefront.localization import DayFormat, MoneyFormat
from chalicelib.storefront.theme import MenuLink, Shop
from spillway.sitegen.reading.catalogue import (
    FILE_NAME_LENGTH_MAX,
    PICTURE_EXPECTED,
    Category,
    HomePage,
    SourceImage,
    Storefront,
)
from spillway.sitegen.reading.did_you_mean import did_you_mean
from spillway.sitegen.reading.locales import (
    country_name,
    day_format,
    name_of_locale,
    root_of_locale,
    skip_other_locales,
)
from spillway.sitegen.reading.markdown import to_html
from spillway.sitegen.reading.shop_settings import (
    NAME_LENGTH_MAX,
    SENTENCE_LENGTH_MAX,
    URL_LENGTH_MAX,
    read_settings,
)
from spillway.sitegen.reading.slugs import CATEGORIES_MAX, slug_problem
from spillway.sitegen.reading.theme_section import read_theme, translated_theme
from spillway.sitegen.reading.toml_input import InputError, TomlTable

SITE_FILE = "site/site.toml"

_FEATURED_MAX = 24
_NAVIGATION_MAX = 20
_OPTION_LENGTH_MAX = 40
_HOME_TEXT_LENGTH_MAX = 5_000


def read_storefronts(
    text: str | None,
    *,
    site: Path,
    page_slugs: Set[str],
    mistakes: list[InputError],
) -> tuple[Storefront, ...]:
    """Read the storefront of each locale, the first locale first.

    Args:
        text: the text of the file, None when it cannot be read.
        site: the folder site/.
        page_slugs: the slugs of the pages under site/pages.
        mistakes: the list that errors are appended to.

    Returns:
        The storefronts, none when the text is not TOML.
    """
    table = TomlTable.parse(text, file=SITE_FILE, mistakes=mistakes) if text is not None else None
    if table is None:
        return ()
    settings = read_settings(table, page_slugs)
    locales = tuple(settings.money)
    categories = tuple(_categories(table))
    home = _home(table.table("home", optional=True), site / "pictures", settings.shop)
    listings = {f"/shop/{category.slug}" for category in categories} | {"/", "/shop/all"}
    paths = listings | {f"/{slug}" for slug in page_slugs}
    navigation = tuple(_navigation(table, paths))
    theme = read_theme(table.table("theme", optional=True), paths, has_text=home.text_html is not None)
    # Every signup form links to this page.
    if "privacy" not in page_slugs:
        mistakes.append(
            InputError("site/pages/privacy.md", None, "file", None, "a page that signup forms link to")
        )
    first = Storefront(
        settings.shop,
        settings.first_money,
        categories,
        home,
        navigation,
        name_of_locale(settings.shop.locale, locales),
        theme=theme,
        domains_file=settings.domains_file,
    )
    others = tuple(
        _translated(
            first, table, locale=locale, money=settings.money[locale], name=name_of_locale(locale, locales)
        )
        for locale in locales[1:]
    )
    skip_other_locales(table)
    table.done()
    return tuple(_with_words_of_locale(storefront) for storefront in (first, *others))


def _categories(table: TomlTable) -> list[Category]:
    categories: list[Category] = []
    for row in table.tables("categories", count_max=CATEGORIES_MAX):
        slug = row.text("slug", length_max=NAME_LENGTH_MAX)
        if slug and (problem := slug_problem(slug)):
            row.error("slug", slug, problem)
        if slug in {category.slug for category in categories}:
            row.error("slug", slug, "each category once")
        title = row.text("title", length_max=NAME_LENGTH_MAX)
        description = row.text("description", length_max=SENTENCE_LENGTH_MAX, optional=True)
        categories.append(Category(slug, title, description))
        row.done()
    return categories


def _home(table: TomlTable, pictures: Path, shop: Shop) -> HomePage:
    """Read the home page; without [home] it shows the shop's name, its tagline and its newest products."""
    file = table.text("picture", length_max=FILE_NAME_LENGTH_MAX, optional=True)
    alt = table.text("picture_alt", length_max=SENTENCE_LENGTH_MAX, optional=not file)
    if file and Path(file).name != file:
        table.error("picture", file, f"{PICTURE_EXPECTED}: {Path(file).name}")
    featured = table.texts("featured", length_max=NAME_LENGTH_MAX, count_max=_FEATURED_MAX, optional=True)
    for slug in sorted({slug for slug in featured if featured.count(slug) > 1}):
        table.error("featured", slug, "each product once")
    home = HomePage(
        text_html=_home_text(table),
        headline=table.text("headline", length_max=NAME_LENGTH_MAX, optional=True) or shop.name,
        lede=table.text("lede", length_max=SENTENCE_LENGTH_MAX, optional=True) or shop.tagline,
        image=SourceImage(pictures / file, alt) if file else None,
        featured=tuple(Slug(slug) for slug in featured),
    )
    table.done()
    return home


def _home_text(table: TomlTable, root: str = "") -> str | None:
    """Read the text of the home page, in Markdown; None where it has none."""
    text = table.text("text", length_max=_HOME_TEXT_LENGTH_MAX, optional=True, lines=True)
    if not text:
        return None
    return to_html(
        text,
        heading_level_min=2,
        refuse=lambda _, value, expected: table.error("text", value, expected),
        root=root,
    )


def _navigation(table: TomlTable, paths: Set[str]) -> list[MenuLink]:
    links = []
    for row in table.tables("navigation", count_max=_NAVIGATION_MAX, optional=True):
        title = row.text("title", length_max=NAME_LENGTH_MAX)
        path = row.text("path", length_max=URL_LENGTH_MAX)
        if path and path not in paths:
            row.error(
                "path", path, f"the path of a page or a category of this shop{did_you_mean(path, paths)}"
            )
        row.done()
        links.append(MenuLink(title, path))
    return links


def _translated(
    first: Storefront, table: TomlTable, *, locale: str, money: MoneyFormat, name: str
) -> Storefront:
    """Return the storefront in `locale`; what its table leaves out stays in the first locale."""
    translation = table.table(locale, optional=True)
    tagline = translation.text("tagline", length_max=SENTENCE_LENGTH_MAX, optional=True)
    storefront = replace(
        first,
        shop=replace(first.shop, locale=locale, tagline=tagline or first.shop.tagline),
        money=money,
        home=_translated_home(first.home, translation.table("home", optional=True), root_of_locale(locale)),
        theme=translated_theme(first.theme, translation.table("theme", optional=True)),
        categories=_translated_categories(first.categories, translation.table("categories", optional=True)),
        navigation=_translated_navigation(first.navigation, translation.table("navigation", optional=True)),
        name=name,
        root=root_of_locale(locale),
        words=dict(translation.options("options", length_max=_OPTION_LENGTH_MAX)),
    )
    translation.done()
    return storefront


def _translated_home(first: HomePage, translation: TomlTable, root: str) -> HomePage:
    alt = translation.text("picture_alt", length_max=SENTENCE_LENGTH_MAX, optional=True)
    headline = translation.text("headline", length_max=NAME_LENGTH_MAX, optional=True)
    lede = translation.text("lede", length_max=SENTENCE_LENGTH_MAX, optional=True)
    text_html = _home_text(translation, root)
    translation.done()
    return replace(
        first,
        headline=headline or first.headline,
        lede=lede or first.lede,
        text_html=text_html or first.text_html,
        image=replace(first.image, alt=alt or first.image.alt) if first.image else None,
    )


def _translated_categories(first: tuple[Category, ...], translation: TomlTable) -> tuple[Category, ...]:
    categories = []
    for category in first:
        table = translation.table(category.slug, optional=True)
        title = table.text("title", length_max=NAME_LENGTH_MAX, optional=True)
        description = table.text("description", length_max=SENTENCE_LENGTH_MAX, optional=True)
        table.done()
        categories.append(
            replace(category, title=title or category.title, description=description or category.description)
        )
    translation.done()
    return tuple(categories)


def _translated_navigation(first: tuple[MenuLink, ...], translation: TomlTable) -> tuple[MenuLink, ...]:
    links = tuple(
        MenuLink(
            translation.text(link.path, length_max=NAME_LENGTH_MAX, optional=True) or link.title, link.path
        )
        for link in first
    )
    translation.done()
    return links


def _with_words_of_locale(storefront: Storefront) -> Storefront:
    shop = storefront.shop
    if not shop.locale:
        return replace(storefront, days=DayFormat())
    return replace(storefront, shop=_with_place(shop), days=day_format(shop.locale))


def _with_place(shop: Shop) -> Shop:
    """Return the shop with the name, in its locale, of the country it ships to."""
    if shop.shipping is None:
        return shop
    place = country_name(shop.shipping.country, shop.locale) or shop.shipping.country
    return replace(shop, shipping=replace(shop.shipping, place=place))

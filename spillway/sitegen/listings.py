"""The listings of a release, and the search that shows its products."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence

from chalicelib.domain.product import Picture
from chalicelib.storefront.theme import EVERYTHING, HOME, Edition, Link, Listing, covers_of
from spillway.sitegen.cache import digest_of
from spillway.sitegen.products import Products
from spillway.sitegen.reading.catalogue import (
    ProductRow,
    Storefront,
)
from spillway.sitegen.reading.slugs import tagged

# The newest products on the home page, by cards in a row on a desk: whole rows there and on a phone.
_NEWEST_ON_HOME = {2: 8, 3: 6, 4: 8, 5: 10}
SEARCH_PATH = "/search"
INDEX_PATH = "/search.json"
# A page of cards that a phone on a slow network shows at once; divides by 2, 3 and 4 columns.
CARDS_MAX = 48
# A search page that lists more products is heavier than a visit to the categories.
_SEARCH_PAGE_PRODUCTS_MAX = 500


def newest_first(rows: Sequence[ProductRow]) -> list[ProductRow]:
    """Return products in the order of every listing: by date, then by title."""
    by_title = sorted(rows, key=lambda row: row.title)
    return sorted(by_title, key=lambda row: row.released_on or "", reverse=True)


def of_front_page(rows: Sequence[ProductRow], products: Products) -> list[ProductRow]:
    """Return `rows`, the newest first, so that the first few show what the shop has.

    Where products have the same date, or none, the ones with a picture stand first, and each category has its
    turn: by title alone, a shop of one import would show all that begins with A. Discontinued ones come last.
    """
    dates = {date: number for number, date in enumerate(dict.fromkeys(row.released_on for row in rows))}
    turns: Counter[tuple[object, ...]] = Counter()

    def place(row: ProductRow) -> tuple[bool, int, bool, int]:
        group = (row.is_discontinued, dates[row.released_on], not products.has_pictures(row))
        turns[*group, row.category] += 1
        return *group, turns[*group, row.category]

    return sorted(rows, key=place)


def listings_of(
    storefront: Storefront, rows: Sequence[ProductRow], products: Products, hero: Picture | None
) -> tuple[Listing, ...]:
    """Return every listing of one edition: the home page, categories, the page of everything, tags.

    Args:
        storefront: The shop in the locale of the edition.
        rows: Its products, the newest first.
        products: The same, for the pictures that stand for categories.
        hero: The picture of the home page.
    """
    texts = storefront.texts
    by_category: dict[str, list[ProductRow]] = {}
    for row in rows:
        for slug in row.categories:
            by_category.setdefault(slug, []).append(row)
    listings = [_home_page(storefront, rows, products, hero)]
    for category in storefront.categories:
        listed = by_category.get(category.slug, [])
        path, cover = f"/shop/{category.slug}", _cover(listed, products, storefront)
        listings += pages_of_listing(path, category.title, category.description, listed, cover)
    title = texts.one("Everything")
    description = texts.of_number("One product.", "%(count)s products, the newest first.", len(rows))
    description %= {"count": storefront.money.number(len(rows))}
    listings += pages_of_listing(EVERYTHING, title, description, rows, None)
    for tag, tagged_rows in tagged(rows).items():
        title = storefront.words.get(tag.name, tag.name)
        description = texts.one("All with the tag “%(tag)s”, the newest first.") % {"tag": title}
        title = title[:1].upper() + title[1:]
        listings += pages_of_listing(tag.path, title, description, tagged_rows, None, tags=tag.spellings)
    return tuple(listings)


def _home_page(
    storefront: Storefront, rows: Sequence[ProductRow], products: Products, hero: Picture | None
) -> Listing:
    """Return the home page; without featured products it shows the newest ones, once."""
    home, sections = storefront.home, storefront.theme.sections
    count = _NEWEST_ON_HOME[storefront.theme.cards_per_row]
    newest = tuple(row.slug for row in of_front_page(rows, products)[:count])
    of_section = {"featured": home.featured, "newest": newest}
    if not home.featured and "newest" not in sections:
        of_section["featured"] = newest
    featured, newest = (of_section[name] if name in sections else () for name in of_section)
    return Listing(
        HOME,
        "home.html",
        home.headline,
        home.lede,
        tuple(dict.fromkeys((*featured, *newest))),
        hero if "hero" in sections else None,
        featured=featured,
        newest=newest,
        text_html=home.text_html,
    )


def pages_of_listing(
    path: str,
    title: str,
    description: str,
    rows: Sequence[ProductRow],
    cover: Picture | None,
    tags: tuple[str, ...] = (),
) -> list[Listing]:
    """Return a listing of `rows` as pages of at most `CARDS_MAX` cards; one page without any for no rows."""
    count = max(1, -(-len(rows) // CARDS_MAX))
    # No slug has an underscore: the second page of a category is never the path of another category.
    paths = [path, *(f"{path}_{number}" for number in range(2, count + 1))]
    return [
        Listing(
            path=paths[index],
            template="listing.html",
            title=title,
            description=description,
            slugs=tuple(row.slug for row in rows[index * CARDS_MAX : (index + 1) * CARDS_MAX]),
            picture=None if index else cover,
            number=index + 1,
            count=count,
            previous_path=paths[index - 1] if index else None,
            next_path=paths[index + 1] if index + 1 < count else None,
            tags=tags,
        )
        for index in range(count)
    ]


class Search:
    """The content of an edition's search page, and of the index that its script looks through.

    The index has no stock, so that no stock event changes it.
    """

    def __init__(
        self,
        edition: Edition,
        products: Products,
        *,
        translated: bool,
        listed_max: int = _SEARCH_PAGE_PRODUCTS_MAX,
    ) -> None:
        """Prepare the search of `edition`.

        Args:
            edition: The edition.
            products: The products of the shop.
            translated: Says that titles come from translations where there are any.
            listed_max: The most products that the search page lists.
        """
        self._edition = edition
        self._products = products
        self._locale = edition.shop.locale if translated else None
        self._listed_max = listed_max
        self._categories = {cover.path: cover.title for cover in covers_of(edition.listings)}
        self._tags = {tag: listing.title for listing in edition.listings for tag in listing.tags}

    @property
    def page_digest(self) -> str:
        """Return a digest that changes with anything the page shows."""
        rows = [(row.slug, self._title(row), row.categories) for row in self._products.rows]
        return digest_of(rows, self._categories, self._tags)

    @property
    def index_digest(self) -> str:
        """Return a digest that changes with anything the script looks through or shows."""
        rows = [
            (
                *(row.slug, self._title(row), row.categories, row.tags),
                *(row.price_minor, row.price_minor_max, self._products.thumbnail(row)),
            )
            for row in self._products.rows
        ]
        return digest_of(rows, self._categories, self._tags, self._edition.money)

    def index(self) -> str:
        """Return the JSON that the script fetches.

        Each product is its slug, its title, the titles of its categories and tags, its price, and the name of
        its smallest picture, if it has one. A price of a range begins with "+".
        """
        edition, products = self._edition, []
        for row in self._products.rows:
            more = "+" if row.price_minor_max > row.price_minor else ""
            price = f"{more}{edition.money.write(row.price_minor)}"
            words = " ".join(self._listing_titles(row))
            thumbnail = self._products.thumbnail(row)
            products.append((row.slug, self._title(row), words, price, *([thumbnail] if thumbnail else [])))
        document = {"root": edition.root, "products": products}
        return json.dumps(document, ensure_ascii=False, separators=(",", ":"))

    def categories(self) -> list[tuple[Link, Sequence[Link]]]:
        """Return every category with its products by title; without products where there are too many."""
        by_category: dict[str, list[Link]] = {}
        if len(self._products) <= self._listed_max:
            for row in self._products.rows:
                for category in row.categories:
                    link = Link(self._title(row), f"/products/{row.slug}")
                    by_category.setdefault(f"/shop/{category}", []).append(link)
        return [
            (Link(title, path), sorted(by_category.get(path, ()), key=lambda link: link.title))
            for path, title in self._categories.items()
        ]

    def tags(self) -> list[Listing]:
        """Return the first page of every tag."""
        return [listing for listing in self._edition.listings if listing.tags and listing.number == 1]

    def _listing_titles(self, row: ProductRow) -> Iterator[str]:
        yield from (self._categories.get(f"/shop/{category}", "") for category in row.categories)
        yield from (self._tags.get(tag, tag) for tag in row.tags)

    def _title(self, row: ProductRow) -> str:
        return row.title_in(self._locale) if self._locale else row.title


def _cover(rows: Sequence[ProductRow], products: Products, storefront: Storefront) -> Picture | None:
    """Return the picture of a category: the first of its newest product that has one."""
    first = next((row for row in rows if products.has_pictures(row)), None)
    if first is None:
        return None
    product = products.named(first.slug).product
    return product.in_locale(storefront.shop.locale, storefront.words).pictures[0]

"""The listings of a release, and the search that shows its products."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from chalicelib.domain.ids import Slug
from chalicelib.domain.product import Picture
from chalicelib.storefront.theme import EVERYTHING, HOME, Edition, Listing, MenuLink, covers_of
from spillway.sitegen.cache import digest_of
from spillway.sitegen.products import Products
from spillway.sitegen.reading.catalogue import ProductRow, Storefront
from spillway.sitegen.reading.slugs import tagged

# The newest products on the home page, by cards in a row on a desk: whole rows there and on a phone.
NEWEST_ON_HOME = {2: 8, 3: 6, 4: 8, 5: 10}
# A page of cards that a phone on a slow network shows at once; divides by 2, 3 and 4 columns.
CARDS_MAX = 48
# A search page that lists more products is heavier than a visit to the categories.
SEARCH_PAGE_PRODUCTS_MAX = 500


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
        path, cover = (
            f"/shop/{category.slug}",
            cover_of(listed, products, storefront.shop.locale, storefront.words),
        )
        slugs = [row.slug for row in listed]
        listings += pages_of_listing(path, category.title, category.description, slugs, cover)
    title = texts.one("Everything")
    description = texts.of_number("One product.", "%(count)s products, the newest first.", len(rows))
    description %= {"count": storefront.money.number(len(rows))}
    listings += pages_of_listing(EVERYTHING, title, description, [row.slug for row in rows], None)
    for tag, tagged_rows in tagged(rows).items():
        title = storefront.words.get(tag.name, tag.name)
        description = texts.one("All with the tag “%(tag)s”, the newest first.") % {"tag": title}
        title = title[:1].upper() + title[1:]
        slugs = [row.slug for row in tagged_rows]
        listings += pages_of_listing(tag.path, title, description, slugs, None, tags=tag.spellings)
    return tuple(listings)


def _home_page(
    storefront: Storefront, rows: Sequence[ProductRow], products: Products, hero: Picture | None
) -> Listing:
    """Return the home page; without featured products it shows the newest ones, once."""
    home, sections = storefront.home, storefront.theme.sections
    count = NEWEST_ON_HOME[storefront.theme.cards_per_row]
    newest = tuple(row.slug for row in of_front_page(rows, products)[:count])
    featured, newest = sections_of_home(sections, home.featured, newest)
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


def sections_of_home(
    sections: Sequence[str], featured: tuple[Slug, ...], newest: tuple[Slug, ...]
) -> tuple[tuple[Slug, ...], tuple[Slug, ...]]:
    """Return the products that the home page features, and the newest that it shows, by its `sections`."""
    of_section = {"featured": featured, "newest": newest}
    if not featured and "newest" not in sections:
        of_section["featured"] = newest
    shown_as_featured, shown_as_newest = (of_section[name] if name in sections else () for name in of_section)
    return shown_as_featured, shown_as_newest


def pages_of_listing(
    path: str,
    title: str,
    description: str,
    slugs: Sequence[Slug],
    cover: Picture | None,
    tags: tuple[str, ...] = (),
) -> list[Listing]:
    """Return a listing of products as pages of at most `CARDS_MAX` cards; one page for no product."""
    count = max(1, -(-len(slugs) // CARDS_MAX))
    # No slug has an underscore: the second page of a category is never the path of another category.
    paths = [path, *(f"{path}_{number}" for number in range(2, count + 1))]
    return [
        Listing(
            path=paths[index],
            template="listing.html",
            title=title,
            description=description,
            slugs=tuple(slugs[index * CARDS_MAX : (index + 1) * CARDS_MAX]),
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
        listed_max: int = SEARCH_PAGE_PRODUCTS_MAX,
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
        listed = self._products.rows if len(self._products) <= self._listed_max else ()
        rows = [(row.slug, self._title(row), row.categories) for row in listed]
        return digest_of(rows, self._categories, self._tags)

    def index(self) -> str:
        """Return the JSON that the script fetches.

        Each product is its slug, its title, the titles of its categories and tags, its price, and the name of
        its smallest picture, if it has one. A price of a range begins with "+".
        """
        products = [self.entry(row) for row in self._products.rows]
        return _json({"root": self._edition.root, "products": products})

    def entry(self, row: ProductRow) -> Sequence[str]:
        """Return one product of the index."""
        more = "+" if row.price_minor_max > row.price_minor else ""
        price = f"{more}{self._edition.money.write(row.price_minor)}"
        words = " ".join(self._listing_titles(row))
        thumbnail = self._products.thumbnail(row)
        return (row.slug, self._title(row), words, price, *([thumbnail] if thumbnail else []))

    def with_entry(self, index: str, row: ProductRow) -> str:
        """Return the text of an index with the entry of a product that it has already made again."""
        start = index.index(f"[{_json(row.slug)},")
        _, end = json.JSONDecoder().raw_decode(index, start)
        return f"{index[:start]}{_json(self.entry(row))}{index[end:]}"

    def categories(self) -> list[tuple[MenuLink, Sequence[MenuLink]]]:
        """Return every category with its products by title; without products where there are too many."""
        by_category: dict[str, list[MenuLink]] = {}
        if len(self._products) <= self._listed_max:
            for row in self._products.rows:
                for category in row.categories:
                    link = MenuLink(self._title(row), f"/products/{row.slug}")
                    by_category.setdefault(f"/shop/{category}", []).append(link)
        return [
            (MenuLink(title, path), sorted(by_category.get(path, ()), key=lambda link: link.title))
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


def cover_of(
    rows: Iterable[ProductRow], products: Products, locale: str, words: Mapping[str, str]
) -> Picture | None:
    """Return the picture of a category: the first of its newest product that has one."""
    first = next((row for row in rows if products.has_pictures(row)), None)
    if first is None:
        return None
    return products.named(first.slug).product.in_locale(locale, words).pictures[0]


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

"""The listings of an edition: which products stand on which page, in which order."""

from collections.abc import Sequence

from chalicelib.domain.product import Picture
from chalicelib.storefront.theme import EVERYTHING, HOME, Listing
from spillway.sitegen.products import Products
from spillway.sitegen.reading.catalogue import ProductRow, Storefront
from spillway.sitegen.reading.slugs import tagged

# A page of cards that a phone on a slow network still gets at once; divides by 2, 3 and 4 columns.
CARDS_MAX = 48


def listings_of(
    storefront: Storefront, shelf: Sequence[ProductRow], products: Products, hero: Picture | None
) -> tuple[Listing, ...]:
    """Every listing of one edition: home, categories, everything, tags. `shelf` has the products in the order
    in which they are shown."""
    home, texts = storefront.home, storefront.texts
    held: dict[str, list[ProductRow]] = {}
    for row in shelf:
        for slug in row.categories:
            held.setdefault(slug, []).append(row)
    listings = [Listing(HOME, "home.html", home.headline, home.lede, home.featured, hero)]
    for category in storefront.categories:
        rows = held.get(category.slug, [])
        first = next((row.slug for row in rows if products.has_pictures(row)), None)
        cover = _cover(products, first, storefront) if first else None
        listings += _pages_of_shelf(
            f"/shop/{category.slug}", category.title, category.description, rows, cover
        )
    words = _of_all(storefront, len(shelf))
    listings += _pages_of_shelf(EVERYTHING, texts.one("Everything"), words, shelf, None)
    for tag, tagged_rows in tagged(shelf).items():
        title = storefront.words.get(tag.name, tag.name)
        words = texts.one("All with the tag “%(tag)s”, the newest first.") % {"tag": title}
        title = title[:1].upper() + title[1:]
        listings += _pages_of_shelf(tag.path, title, words, tagged_rows, None, tags=tag.spellings)
    return tuple(listings)


def _cover(products: Products, slug: str, storefront: Storefront) -> Picture:
    return products.named(slug).product.in_locale(storefront.shop.locale, storefront.words).pictures[0]


def _of_all(storefront: Storefront, count: int) -> str:
    words = storefront.texts.of_number(
        "The one thing we make.", "All %(count)s things we make, the newest first.", count
    )
    return words % {"count": storefront.money.number(count)}


def _pages_of_shelf(
    path: str,
    title: str,
    description: str,
    rows: Sequence[ProductRow],
    cover: Picture | None,
    tags: tuple[str, ...] = (),
) -> list[Listing]:
    count = max(1, -(-len(rows) // CARDS_MAX))
    # A sign that no slug has: whatever a merchant names a category, it is never taken for a page of another.
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

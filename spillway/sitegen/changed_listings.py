"""Find what listings are after a small change: their order, their covers, and the home page."""

from bisect import insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from chalicelib.domain.ids import Slug
from chalicelib.domain.product import Picture
from chalicelib.storefront.theme import EVERYTHING, Edition, Listing
from spillway.sitegen.edited_products import ProductEdit
from spillway.sitegen.known_shop import KnownShop, place_of
from spillway.sitegen.listings import (
    NEWEST_ON_HOME,
    cover_of,
    newest_first,
    of_front_page,
    pages_of_listing,
    sections_of_home,
)
from spillway.sitegen.products import Products
from spillway.sitegen.reading.catalogue import ProductRow
from spillway.sitegen.reading.slugs import PRODUCTS_OF_TAG_MIN


class TooMuch(Exception):
    """A change that is left to a whole build."""


class ListingPages(NamedTuple):
    """The pages of a listing in each edition, before a change and after it."""

    before: tuple[tuple[Listing, ...], ...]
    now: tuple[tuple[Listing, ...], ...]


class ShownPage(NamedTuple):
    """A page of a listing in each edition, before a change and after it."""

    before: tuple[Listing, ...]
    now: tuple[Listing, ...]


class ChangedListings:
    """The listings of a shop that knows its edited products as they are now."""

    def __init__(self, shop: KnownShop, edits: Mapping[Slug, ProductEdit], pictures: Path) -> None:
        """Take the shop, its edited products, and the folder of its pictures."""
        self._shop = shop
        self._edits = edits
        self._pictures = pictures
        self._theme = shop.frame.theme

    def by_path(self) -> dict[str, ListingPages]:
        """Return the pages of the listings that show the products, or did, and keep their order.

        Raises:
            TooMuch: a listing came, went, or has another number of pages.
        """
        firsts = {page.path: number for number, page in enumerate(self._theme.editions[0].listings)}
        rows = [row for edit in self._edits.values() for row in (edit.before.row, edit.now.row)]
        found = {}
        for path in dict.fromkeys(path for row in rows for path in self._shop.paths_of(row)):
            before = self._shop.listing(path)
            if before is None:
                raise TooMuch
            now = self._in_order(path, before)
            listed = self._theme.editions[0].listings[firsts[path]]
            if listed.tags and len(now) < PRODUCTS_OF_TAG_MIN:
                raise TooMuch
            if now != before:
                self._shop.put_listing(path, now)
            pages = ListingPages(*zip(*self._pages_of(firsts[path], before, now), strict=True))
            if len(pages.before[0]) != len(pages.now[0]):
                raise TooMuch
            found[path] = pages
        return found

    def _in_order(self, path: str, before: list[Slug]) -> list[Slug]:
        """Return the products of a listing in their order now."""
        edited = self._edits.items()
        if not any(
            (path in self._shop.paths_of(edit.before.row)) != (path in self._shop.paths_of(edit.now.row))
            or place_of(edit.before.row) != place_of(edit.now.row)
            for _, edit in edited
        ):
            return before

        def place(slug: Slug) -> tuple[int, str, Slug]:
            return place_of(next(self._shop.in_order([slug])))

        now = [slug for slug in before if slug not in self._edits]
        for slug, edit in edited:
            if path in self._shop.paths_of(edit.now.row):
                insort(now, slug, key=place)
        return now

    def _pages_of(
        self, number: int, before: Sequence[Slug], now: Sequence[Slug]
    ) -> Iterator[tuple[tuple[Listing, ...], tuple[Listing, ...]]]:
        """Yield the pages of a listing in each edition, before and now."""
        for edition in self._theme.editions:
            first = edition.listings[number]
            is_category = first.path.startswith("/shop/") and first.path != EVERYTHING
            cover = self._cover(edition, first, now) if is_category else first.picture
            yield tuple(  # type: ignore[misc]
                tuple(
                    pages_of_listing(
                        first.path, first.title, first.description, slugs, picture, tags=first.tags
                    )
                )
                for slugs, picture in ((before, first.picture), (now, cover))
            )

    def _cover(self, edition: Edition, first: Listing, slugs: Sequence[Slug]) -> Picture | None:
        # Without a cover, no product had a picture.
        looked_at = slugs if first.picture else [slug for slug in slugs if slug in self._edits]
        names = self._shop.picture_names() if looked_at else set[str]()
        rows = (row for row in self._shop.in_order(looked_at) if not names.isdisjoint(row.image_names))
        row = next(rows, None)
        if row is None:
            return None
        products = Products([row], self._pictures, self._shop.image_variants([row]), related={})
        return cover_of([row], products, edition.shop.locale, edition.words)

    def home(self) -> ListingPages:
        """Return the home page in each edition, with the newest products of now."""
        before = [edition.listings[0] for edition in self._theme.editions]
        settings = self._theme.editions[0].settings
        newest: tuple[Slug, ...] = ()
        if "newest" in settings.sections or not self._shop.frame.featured:
            newest = self._newest(NEWEST_ON_HOME[settings.cards_per_row])
        featured, newest = sections_of_home(settings.sections, self._shop.frame.featured, newest)
        slugs = tuple(dict.fromkeys((*featured, *newest)))
        now = [replace(page, slugs=slugs, featured=featured, newest=newest) for page in before]
        return ListingPages(tuple((page,) for page in before), tuple((page,) for page in now))

    def _newest(self, count: int) -> tuple[Slug, ...]:
        """Return what `of_front_page` puts first of all products, from as few of them as decide it."""
        rows = sorted(self._first(count), key=lambda row: row.slug)
        shown = dict.fromkeys(self._shop.picture_names(), ())
        products = Products(rows, self._pictures, shown, related={})
        return tuple(row.slug for row in of_front_page(newest_first(rows), products)[:count])

    def _first(self, count: int) -> Iterator[ProductRow]:
        """Yield the products of the newest dates, whole dates, until there are `count`."""
        group: object = None
        for number, row in enumerate(self._shop.by_place()):
            if number >= count and group != (row.is_discontinued, row.released_on):
                return
            group = row.is_discontinued, row.released_on
            yield row

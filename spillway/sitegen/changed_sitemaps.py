"""Date the pages of a small change in the sitemap: of a shop that was built, or of one that is published."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from chalicelib.domain.ids import Slug
from chalicelib.domain.tokens import FormTokens
from chalicelib.storefront.sitemaps import part_key, with_dates
from chalicelib.storefront.theme import Theme
from spillway.sitegen.changed_listings import ShownPage
from spillway.sitegen.edited_products import ProductEdit
from spillway.sitegen.known_shop import KnownShop
from spillway.sitegen.pages import SITEMAP_TYPE, StockBySlug, StockedProducts, text_job
from spillway.sitegen.products import Products
from spillway.sitegen.release import DatedDigest, PageDates, PageJob


class LiveShop(Protocol):
    """A published shop: what its pages show that no file of the shop states."""

    @property
    def form_tokens(self) -> FormTokens:
        """Signs the tokens of signup forms."""

    @property
    def now_ms(self) -> int:
        """The time of the publish."""

    def stock(self, slugs: Iterable[Slug]) -> StockBySlug:
        """Return the stock of these products."""

    def sitemap(self, key: str) -> str:
        """Return a file of the sitemap as it is: refreshed pages are dated in it."""


class ChangedSitemaps:
    """The sitemap of a shop that knows its edited products as they are now."""

    def __init__(self, shop: KnownShop, theme: Theme, edits: Mapping[Slug, ProductEdit]) -> None:
        """Take the shop, its theme as it is now, and the edited products."""
        self._shop = shop
        self._theme = theme
        self._edits = edits
        self.dates: dict[str, DatedDigest] = {}
        """The dates that `published` gave to pages which have other content than before."""

    def built(self, folder: Path, shown: Iterable[ShownPage]) -> Iterator[PageJob]:
        """Yield the jobs of the parts in `folder` in which a page has another date.

        Args:
            folder: The output directory.
            shown: The pages of listings that are others, or show an edited product.
        """
        dates: dict[str, str | None] = {
            f"/products/{slug}": edit.now.row.released_on
            for slug, edit in self._edits.items()
            if edit.before.row.released_on != edit.now.row.released_on
        }
        pages = [(page.before[0].slugs, page.now[0]) for page in shown]
        released = self._shop.released_on(slug for before, now in pages for slug in (*before, *now.slugs))
        dates_before = {slug: edit.before.row.released_on for slug, edit in self._edits.items()}
        for slugs_before, page in pages:
            before = _latest(slugs_before, {**released, **dates_before})
            now = _latest(page.slugs, released)
            if before != now:
                dates[page.path] = now
        localized = {
            edition.localized_path(path): date
            for edition in self._theme.editions
            for path, date in dates.items()
        }
        yield from self._dated(localized, lambda key: (folder / key).read_text("utf-8"))

    def published(
        self, live: LiveShop, shown: Sequence[ShownPage], stocked: StockedProducts
    ) -> Iterator[PageJob]:
        """Yield the jobs of the published parts in which a page has another date; see `PageDates.of_all`.

        Args:
            live: The published shop.
            shown: See `built`.
            stocked: The products that these pages show, with their stock.
        """
        changed: dict[str, str | None] = {}
        rows = {row.slug: row for row in stocked.all.rows}
        for number, edition in enumerate(self._theme.editions):
            pages = [page.now[number] for page in shown if self._redates(page)]
            slugs = dict.fromkeys((*self._edits, *(slug for page in pages for slug in page.slugs)))
            wanted = [*(f"/products/{slug}" for slug in self._edits), *(page.path for page in pages)]
            paths = [*(f"/products/{slug}" for slug in slugs), *wanted]
            known = self._shop.dates(map(edition.localized_path, paths))
            dates = PageDates(known, live.now_ms)
            dated = Products([rows[slug] for slug in slugs], Path(), stocked.all.image_variants, related={})
            times = dates.of_all(replace(edition, listings=tuple(pages)), dated, (), stocked.observed)
            changed |= {edition.localized_path(path): times[path] for path in wanted}
            self.dates |= {path: now for path, now in dates.pages.items() if known.get(path) != now}
        yield from self._dated(changed, live.sitemap)

    def _redates(self, page: ShownPage) -> bool:
        """Return whether a page of a listing can have another date: it is another, or shows an edit."""
        return page.before != page.now or not self._edits.keys().isdisjoint(page.now[0].slugs)

    def _dated(self, dates: Mapping[str, str | None], read: Callable[[str], str]) -> Iterator[PageJob]:
        """Yield the jobs of the parts with these dates of pages, given by their paths."""
        base_url, parts = self._theme.shop.base_url, self._theme.sitemap_parts
        by_part: dict[str, dict[str, str | None]] = defaultdict(dict)
        for path, date in dates.items():
            by_part[part_key(path, parts)][path] = date
        for key, changed in by_part.items():
            yield text_job(key, with_dates(read(key), base_url, changed), SITEMAP_TYPE)


def _latest(slugs: Iterable[Slug], released: Mapping[Slug, str | None]) -> str | None:
    return max((date for slug in slugs if (date := released.get(slug))), default=None)

"""Make the pages that a change inside a few product files changes, and read nothing else.

A product's page, the pages that show it below another product, the listings whose cards or order change, the
home page, covers, the feed, the search and the sitemap: each is found by questions to `KnownShop`. A change
of something that every page depends on, such as a new tag, and every mistake, is left to a whole build.
"""

import hashlib
import os
import shutil
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from chalicelib.domain.ids import Slug
from chalicelib.storefront.json_ld import part_key, with_dates
from chalicelib.storefront.renderer import Renderer
from chalicelib.storefront.theme import HOME, Listing, Theme
from spillway.project import Project
from spillway.sitegen.cache import Report, signature_of
from spillway.sitegen.changed_listings import ChangedListings, ListingPages, TooMuch
from spillway.sitegen.edited_products import Edit, read_edits
from spillway.sitegen.feeds import ATOM_ENTRIES_MAX
from spillway.sitegen.known_shop import KnownProduct, KnownShop
from spillway.sitegen.last_build import LastBuild, Written
from spillway.sitegen.listings import (
    SEARCH_PAGE_PRODUCTS_MAX,
)
from spillway.sitegen.pages import (
    SITEMAP_TYPE,
    EditionPages,
    StockedProducts,
    text_job,
    try_cloud_templates,
)
from spillway.sitegen.products import Products
from spillway.sitegen.reading.catalogue import ProductRow
from spillway.sitegen.related import RELATED_REACH, related_of
from spillway.sitegen.release import PageJob, listing_part, product_part, release_name
from spillway.sitegen.theming import load_templates

# More pages are worth every core, which a whole build uses.
_PAGES_MAX = 1000


class _Made(NamedTuple):
    """A file: its job, its content, and its record from before."""

    job: PageJob
    body: bytes
    record: Written


def make_small_change(
    project: Project, folder: Path, last: LastBuild, changed: Sequence[str], report: Report
) -> Report | None:
    """Make the files of `folder` that show a change; None, with no file written, for a whole build to do it.

    Args:
        project: The shop.
        folder: The output directory, which is as the last build left it.
        last: What that build knew.
        changed: The files that changed since, as `Comparison.changed_inputs` names them.
        report: The report of that build.

    Returns:
        The report of the shop as it is now.
    """
    shop = KnownShop.of(last)
    if shop is None or report.left_out:
        return None
    edits = read_edits(project, shop, changed)
    if edits is None:
        return None
    change = _SmallChange(project, folder, shop, last, edits)
    try:
        made = change.make()
    except Exception:  # noqa: BLE001 - a template that cannot render it, too: a whole build says where
        return None
    last.keep_rewritten(_write(folder, made))
    name = release_name(shop.frame.frame_digest, change.parts)
    shop.put_frame(shop.frame._replace(theme=change.theme, parts=change.parts))
    summary = report.summary.replace(last.get("release"), name, 1)
    last.set("release", name)
    return report._replace(summary=summary, sales=shop.sales())


class _SmallChange:
    """A change of a few products, in a shop that is known otherwise.

    `theme` is the shop's after `make`, and `parts` the sum in its release's name.
    """

    def __init__(
        self, project: Project, folder: Path, shop: KnownShop, last: LastBuild, edits: Mapping[Slug, Edit]
    ) -> None:
        self._project = project
        self._folder = folder
        self._shop = shop
        self._last = last
        self._edits = edits
        self._known: dict[Slug, KnownProduct] = {slug: edit.now for slug, edit in edits.items()}
        self._dates_before = {slug: edit.before.row.released_on for slug, edit in edits.items()}
        self.theme = shop.frame.theme
        self.parts = shop.frame.parts

    def make(self) -> list[_Made]:
        """Return the files that have to change.

        Raises:
            TooMuch: a whole build has to do it.
        """
        newest_before = self._shop.newest_dated(ATOM_ENTRIES_MAX)
        self._shop.put(self._known.values())
        for slug, edit in self._edits.items():
            self.parts += product_part(slug, edit.now.digest) - product_part(slug, edit.before.digest)
        product_slugs = {*self._edits, *self._with_other_related()}
        product_slugs |= {
            other
            for slug, edit in self._edits.items()
            for other in self._shop.shown_by(slug, edit.now.row.category)
        }
        changed_listings = ChangedListings(self._shop, self._edits, self._pictures)
        listings = changed_listings.by_path()
        listings[HOME] = changed_listings.home()
        self.theme = self._with_listings(listings)
        changed = [self._changed_pages(pages) for pages in listings.values()]
        if sum(map(len, changed)) + len(product_slugs) > _PAGES_MAX:
            raise TooMuch
        newest = self._shop.newest_dated(ATOM_ENTRIES_MAX)
        fed = newest if newest != newest_before or self._edits.keys() & set(newest) else ()
        shown = list(chain.from_iterable(changed))
        products = self._products(product_slugs, shown, fed)
        load_templates(self._project)
        jobs: list[PageJob] = []
        stocked = StockedProducts(products, {})
        for number, renderer in enumerate(Renderer(self.theme).editions):
            pages = EditionPages(renderer, stocked, (), None)
            jobs += pages.product_pages(self._known[slug].row for slug in sorted(product_slugs))
            jobs += (pages.listing_page(of_editions[number]) for _, of_editions in shown)
            jobs += [pages.feed(fed)] if fed else []
            jobs += self._search(pages)
            if self._shop.frame.first in self._edits:
                try_cloud_templates(renderer, products.named(self._shop.frame.first).product)
        jobs += self._sitemaps(shown)
        return self._made(jobs)

    def _with_other_related(self) -> Iterator[Slug]:
        """Yield the products whose pages show others than before, which are kept."""
        if not self.theme.editions[0].settings.related:
            return
        near: dict[str, list[tuple[int, Slug]]] = defaultdict(list)
        for slug, edit in self._edits.items():
            if _likeness(edit.before.row) != _likeness(edit.now.row):
                for row in (edit.before.row, edit.now.row):
                    near[row.category].append((row.price_minor, slug))
        for category, places in near.items():
            ordered = self._shop.by_likeness(category)
            looked_at, sure = _near(ordered, places)
            known = self._shop.products(looked_at)
            related = related_of(known[slug].row for slug in looked_at)
            for slug in sure:
                if known[slug].related != related.get(slug, ()):
                    self._known[slug] = known[slug]._replace(related=related.get(slug, ()))
                    self._shop.put([self._known[slug]])
                    yield slug

    def _with_listings(self, listings: Mapping[str, ListingPages]) -> Theme:
        """Return the theme with the first pages of listings as they are now."""
        editions = []
        for number, edition in enumerate(self.theme.editions):
            firsts = {path: pages.now[number][0] for path, pages in listings.items()}
            pages = tuple(firsts.get(page.path, page) for page in edition.listings)
            editions.append(edition if pages == edition.listings else replace(edition, listings=pages))
        return replace(self.theme, editions=tuple(editions))

    def _changed_pages(self, pages: ListingPages) -> list[tuple[Listing, tuple[Listing, ...]]]:
        """Return the pages of a listing that are others now, or show an edited product.

        Each is (the page before in the first edition, the page in each edition); `parts` follows.
        """
        changed = []
        for before, now in zip(zip(*pages.before, strict=True), zip(*pages.now, strict=True), strict=True):
            if before != now:
                for edition, old, new in zip(self.theme.editions, before, now, strict=True):
                    self.parts += listing_part(edition, new) - listing_part(edition, old)
            if before != now or now[0].path == HOME or not self._edits.keys().isdisjoint(now[0].slugs):
                changed.append((before[0], now))
        return changed

    def _products(
        self,
        slugs: Iterable[Slug],
        listings: Iterable[tuple[Listing, tuple[Listing, ...]]],
        fed: Sequence[Slug],
    ) -> Products:
        """Return the products that pages show: those of `slugs` with what is below them, and of listings."""
        if len(self._shop) <= SEARCH_PAGE_PRODUCTS_MAX:  # the search page lists them
            self._known = self._shop.all_products()
        else:
            self._read(slugs)
            self._read(other for slug in slugs for other in self._known[slug].related)
            self._read(chain(fed, (slug for _, now in listings for slug in now[0].slugs)))
        rows = [self._known[slug].row for slug in sorted(self._known)]
        related = {slug: of.related for slug, of in self._known.items() if of.related}
        # Other pictures than before, too: the index had one of them.
        pictured = (*rows, *(edit.before.row for edit in self._edits.values()))
        return Products(rows, self._pictures, self._shop.image_variants(pictured), related=related)

    def _read(self, slugs: Iterable[Slug]) -> None:
        self._known |= self._shop.products({*slugs} - self._known.keys())

    def _search(self, pages: EditionPages) -> Iterator[PageJob]:
        """Yield the jobs of the index with other entries, and of the search page, if it lists products."""
        search, index = pages.search(), None
        for edit in self._edits.values():
            if search.entry(edit.before.row) != search.entry(edit.now.row):
                index = index or (self._folder / pages.search_key).read_text("utf-8")
                index = search.with_entry(index, edit.now.row)
        if index:
            yield text_job(pages.search_key, index, "application/json")
        if len(self._shop) <= SEARCH_PAGE_PRODUCTS_MAX:
            yield pages.search_page()

    def _sitemaps(self, listings: Iterable[tuple[Listing, tuple[Listing, ...]]]) -> Iterator[PageJob]:
        """Yield the jobs of the sitemap's parts in which a date is another."""
        base_url, parts = self.theme.shop.base_url, self.theme.sitemap_parts
        dates: dict[str, str | None] = {
            f"/products/{slug}": edit.now.row.released_on
            for slug, edit in self._edits.items()
            if edit.before.row.released_on != edit.now.row.released_on
        }
        pages = [(before.slugs, now[0]) for before, now in listings]
        released = self._shop.released_on(slug for before, now in pages for slug in (*before, *now.slugs))
        for slugs_before, page in pages:
            before = _latest(slugs_before, {**released, **self._dates_before})
            now = _latest(page.slugs, released)
            if before != now:
                dates[page.path] = now
        by_part: dict[str, dict[str, str | None]] = defaultdict(dict)
        for edition in self.theme.editions:
            for path, date in dates.items():
                localized = edition.localized_path(path)
                by_part[part_key(localized, parts)][localized] = date
        for key, changed in by_part.items():
            text = (self._folder / key).read_text("utf-8")
            yield text_job(key, with_dates(text, base_url, changed), SITEMAP_TYPE)

    def _made(self, jobs: Sequence[PageJob]) -> list[_Made]:
        """Return the files of the jobs that changed.

        Raises:
            TooMuch: one of them is no file of the last build.
        """
        found = self._last.query_each("SELECT * FROM files WHERE path IN (...)", (job.file for job in jobs))
        records = {path: Written(job, sha256, None) for path, job, sha256 in found}
        if any(job.file not in records for job in jobs):
            raise TooMuch
        return [
            _Made(job, job.make(), records[job.file])
            for job in jobs
            if job.digest != records[job.file].job_digest
        ]

    @property
    def _pictures(self) -> Path:
        return self._project.site / "pictures"


def _near(
    ordered: Sequence[tuple[int, Slug, bool]], places: Iterable[tuple[int, Slug]]
) -> tuple[list[Slug], list[Slug]]:
    """Return the products of a category that can show others for a change at `places`, and their neighbours.

    Args:
        ordered: (price, slug, is discontinued) of the category's products, in order.
        places: (price, slug) of products that came to these places, or went from them.

    Returns:
        The slugs that decide it, in order, and among them those of which all neighbours are there.
    """
    looked_at: set[int] = set()
    sure: set[int] = set()
    for price_minor, slug in places:
        at = bisect_left(ordered, (price_minor, slug, False))
        for reach, found in ((RELATED_REACH, sure), (2 * RELATED_REACH, looked_at)):
            for numbers in (range(at - 1, -1, -1), range(at, len(ordered))):
                offered = 0
                for number in numbers:
                    found.add(number)
                    offered += not ordered[number][2]
                    if offered > reach:
                        break
    return [ordered[number][1] for number in sorted(looked_at)], [
        ordered[number][1] for number in sorted(sure)
    ]


def _likeness(row: ProductRow) -> tuple[object, ...]:
    """Return what `related_of` compares of a product."""
    return row.category, row.tags, row.price_minor, row.is_discontinued


def _latest(slugs: Iterable[Slug], released: Mapping[Slug, str | None]) -> str | None:
    return max((date for slug in slugs if (date := released.get(slug))), default=None)


def _write(folder: Path, made: Iterable[_Made]) -> dict[str, Written]:
    """Write the files whose bytes change, each at once under its name, and return the records of all."""
    beside = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    unfinished = beside / "file"
    records = {}
    for job, body, before in made:
        file = folder / job.file
        sha256 = hashlib.sha256(body).hexdigest()
        if sha256 != before.sha256:
            unfinished.write_bytes(body)
            os.replace(unfinished, file)  # noqa: PTH105 - as in `OutputDir`
        records[job.file] = Written(job.digest, sha256, signature_of(file))
    shutil.rmtree(beside)
    return records

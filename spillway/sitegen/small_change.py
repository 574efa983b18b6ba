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
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from chalicelib.domain.ids import Slug
from chalicelib.storefront.renderer import Renderer
from chalicelib.storefront.theme import HOME, Listing, Theme
from spillway.project import Project
from spillway.sitegen.cache import Report, signature_of
from spillway.sitegen.changed_listings import ChangedListings, ListingPages, ShownPage, TooMuch
from spillway.sitegen.changed_sitemaps import ChangedSitemaps, LiveShop
from spillway.sitegen.edited_products import ProductEdit, read_edits
from spillway.sitegen.feeds import ATOM_ENTRIES_MAX
from spillway.sitegen.known_shop import Frame, KnownProduct, KnownShop
from spillway.sitegen.last_build import LastBuild, Written
from spillway.sitegen.listings import SEARCH_PAGE_PRODUCTS_MAX, pages_of_listing
from spillway.sitegen.pages import EditionPages, StockedProducts, text_job, try_cloud_templates
from spillway.sitegen.products import Products
from spillway.sitegen.reading.catalogue import ProductRow
from spillway.sitegen.related import RELATED_REACH, related_of
from spillway.sitegen.release import DatedDigest, PageJob, listing_part, product_part, release_name
from spillway.sitegen.theming import load_templates

# More pages are worth every core, which a whole build uses.
_PAGES_MAX = 1000


class RenderedFile(NamedTuple):
    """A file: its job, its content with a digest of it, and its record from before."""

    job: PageJob
    body: bytes
    sha256: str
    record: Written

    @property
    def is_new(self) -> bool:
        """True if its bytes are others than before."""
        return self.sha256 != self.record.sha256


def plan_small_change(
    project: Project,
    folder: Path,
    last: LastBuild,
    changed: Sequence[str],
    report: Report,
    live: LiveShop | None = None,
) -> "SmallChange | None":
    """Return the files that show a change, made in memory; None for a whole build to do it.

    Args:
        project: The shop.
        folder: The output directory, which is as the last build left it.
        last: What that build knew. It has the products as they are after the change, so roll it back unless
            the change is written.
        changed: The files that changed since, as `Comparison.changed_inputs` names them.
        report: The report of that build.
        live: The published shop, if `folder` was made for it.
    """
    shop = KnownShop.of(last)
    if shop is None or report.left_out:
        return None
    edits = read_edits(project, shop, changed)
    if edits is None:
        return None
    change = SmallChange(project, folder, shop, last, edits, live)
    try:
        change.make()
    except Exception:  # noqa: BLE001 - a template that cannot render it, too: a whole build says where
        return None
    return change


class SmallChange:
    """A change of a few products, in a shop that is known otherwise.

    `edits` are the edited products. After `make`, `files` are those that show the change, `theme` is the
    shop's with the first pages of listings, `parts` the sum in its release's name, `products` are those that
    were looked at, `catalogued` those of them that are others than before, and `dates` those of published
    pages that became others.
    """

    def __init__(
        self,
        project: Project,
        folder: Path,
        shop: KnownShop,
        last: LastBuild,
        edits: Mapping[Slug, ProductEdit],
        live: LiveShop | None = None,
    ) -> None:
        self._project = project
        self._folder = folder
        self._shop = shop
        self._last = last
        self.edits = edits
        self._live = live
        self.files: list[RenderedFile] = []
        self.dates: dict[str, DatedDigest] = {}
        self.changes_listings = False
        self._known: dict[Slug, KnownProduct] = {slug: edit.now for slug, edit in edits.items()}
        self.theme = shop.frame.theme
        self.parts = shop.frame.parts

    @property
    def release(self) -> str:
        """The name of the release with the change."""
        return release_name(self._shop.frame.frame_digest, self.parts)

    def write(self, report: Report) -> Report:
        """Write the files, keep what is known of the shop now, and return its report.

        `report` is that of the shop before.
        """
        self._last.keep_rewritten(_write(self._folder, self.files))
        release = self.release
        self._shop.put_frame(self._shop.frame._replace(theme=self.theme, parts=self.parts))
        self._shop.put_dates(self.dates)
        summary = report.summary.replace(self._last.get("release"), release, 1)
        self._last.set("release", release)
        return report._replace(summary=summary, sales=self._shop.sales())

    @property
    def frame(self) -> Frame:
        """The shop but its products and listings."""
        return self._shop.frame

    @cached_property
    def complete_theme(self) -> Theme:
        """Return the theme of the release, with every page of every listing."""
        editions = []
        for edition in self.theme.editions:
            pages: list[Listing] = []
            for first in edition.listings:
                slugs = self._shop.listing(first.path)
                if slugs is None or first.path == HOME:
                    pages.append(first)
                    continue
                pages += pages_of_listing(
                    first.path, first.title, first.description, slugs, first.picture, tags=first.tags
                )
            editions.append(replace(edition, listings=tuple(pages)))
        return replace(self.theme, release=self.release, editions=tuple(editions))

    def make(self) -> None:
        """Make the files that have to change.

        Raises:
            TooMuch: a whole build has to do it.
        """
        newest_before = self._shop.newest_dated(ATOM_ENTRIES_MAX)
        self._shop.put(self._known.values())
        for slug, edit in self.edits.items():
            self.parts += product_part(slug, edit.now.digest) - product_part(slug, edit.before.digest)
        self.catalogued = [*self.edits, *self._with_other_related()]
        product_slugs = {*self.catalogued}
        product_slugs |= {
            other
            for slug, edit in self.edits.items()
            for other in self._shop.shown_by(slug, edit.now.row.category)
        }
        changed_listings = ChangedListings(self._shop, self.edits, self._pictures)
        listings = changed_listings.by_path()
        listings[HOME] = changed_listings.home()
        self.theme = self._with_listings(listings)
        changed = [self._changed_pages(pages) for pages in listings.values()]
        if sum(map(len, changed)) + len(product_slugs) > _PAGES_MAX:
            raise TooMuch
        newest = self._shop.newest_dated(ATOM_ENTRIES_MAX)
        fed = newest if newest != newest_before or self.edits.keys() & set(newest) else ()
        shown = list(chain.from_iterable(changed))
        self.products = products = self._products(product_slugs, shown, fed)
        load_templates(self._project)
        jobs: list[PageJob] = []
        stocked = StockedProducts(products, self._live.stock(products.slugs) if self._live else {})
        form_tokens = self._live.form_tokens if self._live else None
        for number, renderer in enumerate(Renderer(self.theme).editions):
            pages = EditionPages(renderer, stocked, (), form_tokens)
            jobs += pages.product_pages(self._known[slug].row for slug in sorted(product_slugs))
            jobs += (pages.listing_page(page.now[number]) for page in shown)
            jobs += [pages.feed(fed)] if fed else []
            jobs += self._search(pages)
            if self._shop.frame.first in self.edits:
                try_cloud_templates(renderer, products.named(self._shop.frame.first).product)
        sitemaps = ChangedSitemaps(self._shop, self.theme, self.edits)
        jobs += (
            sitemaps.published(self._live, shown, stocked)
            if self._live
            else sitemaps.built(self._folder, shown)
        )
        self.dates = sitemaps.dates
        self.files = self._made(jobs)

    def _with_other_related(self) -> Iterator[Slug]:
        """Yield the products whose pages show others than before, which are kept."""
        if not self.theme.editions[0].settings.related:
            return
        near: dict[str, list[tuple[int, Slug]]] = defaultdict(list)
        for slug, edit in self.edits.items():
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

    def _changed_pages(self, pages: ListingPages) -> list[ShownPage]:
        """Return the pages of a listing that are others now, or show an edited product; `parts` follows."""
        changed = []
        for before, now in zip(zip(*pages.before, strict=True), zip(*pages.now, strict=True), strict=True):
            if before != now:
                self.changes_listings = True
                for edition, old, new in zip(self.theme.editions, before, now, strict=True):
                    self.parts += listing_part(edition, new) - listing_part(edition, old)
            if before != now or now[0].path == HOME or not self.edits.keys().isdisjoint(now[0].slugs):
                changed.append(ShownPage(before, now))
        return changed

    def _products(
        self,
        slugs: Iterable[Slug],
        listings: Iterable[ShownPage],
        fed: Sequence[Slug],
    ) -> Products:
        """Return the products that pages show: those of `slugs` with what is below them, and of listings."""
        if len(self._shop) <= SEARCH_PAGE_PRODUCTS_MAX:  # the search page lists them
            self._known = self._shop.all_products()
        else:
            self._read(slugs)
            self._read(other for slug in slugs for other in self._known[slug].related)
            self._read(chain(fed, (slug for page in listings for slug in page.now[0].slugs)))
        rows = [self._known[slug].row for slug in sorted(self._known)]
        related = {slug: of.related for slug, of in self._known.items() if of.related}
        # Other pictures than before, too: the index had one of them.
        pictured = (*rows, *(edit.before.row for edit in self.edits.values()))
        return Products(rows, self._pictures, self._shop.image_variants(pictured), related=related)

    def _read(self, slugs: Iterable[Slug]) -> None:
        self._known |= self._shop.products({*slugs} - self._known.keys())

    def _search(self, pages: EditionPages) -> Iterator[PageJob]:
        """Yield the jobs of the index with other entries, and of the search page, if it lists products."""
        search, index = pages.search(), None
        for edit in self.edits.values():
            if search.entry(edit.before.row) != search.entry(edit.now.row):
                index = index or (self._folder / pages.search_key).read_text("utf-8")
                index = search.with_entry(index, edit.now.row)
        if index:
            yield text_job(pages.search_key, index, "application/json")
        if len(self._shop) <= SEARCH_PAGE_PRODUCTS_MAX:
            yield pages.search_page()

    def _made(self, jobs: Sequence[PageJob]) -> list[RenderedFile]:
        """Return the files of the jobs that changed.

        Raises:
            TooMuch: one of them is no file of the last build.
        """
        found = self._last.query_each("SELECT * FROM files WHERE path IN (...)", (job.file for job in jobs))
        records = {path: Written(job, sha256, None) for path, job, sha256 in found}
        if any(job.file not in records for job in jobs):
            raise TooMuch
        made = []
        for job in jobs:
            if job.digest != records[job.file].job_digest:
                body = job.make()
                made.append(RenderedFile(job, body, hashlib.sha256(body).hexdigest(), records[job.file]))
        return made

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


def _write(folder: Path, made: Iterable[RenderedFile]) -> dict[str, Written]:
    """Write the files whose bytes change, each at once under its name, and return the records of all."""
    beside = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir()
    unfinished = beside / "file"
    records = {}
    for made_file in made:
        file = folder / made_file.job.file
        if made_file.is_new:
            unfinished.write_bytes(made_file.body)
            os.replace(unfinished, file)  # noqa: PTH105 - as in `OutputDir`
        records[made_file.job.file] = Written(made_file.job.digest, made_file.sha256, signature_of(file))
    shutil.rmtree(beside)
    return records

"""The values of a release, and the folder that holds one, file by file.

A file whose job has not changed, and that nobody has touched, stays where it is. Others are written to a
folder beside it, and replace the old ones only when all are complete: an error leaves the folder as it was.
"""

import gc
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from chalicelib.domain.ids import Slug
from chalicelib.domain.stock import Stock
from chalicelib.storage import PAGE_CACHE_CONTROL
from chalicelib.storefront.sitemaps import written_time
from chalicelib.storefront.theme import Edition, Listing, Theme
from spillway.sitegen.cache import digest_of
from spillway.sitegen.feeds import RootFile
from spillway.sitegen.last_build import LastBuild, Written, signatures_under
from spillway.sitegen.parallel import WorkerPool, chunks_of
from spillway.sitegen.products import Products
from spillway.sitegen.reading.catalogue import ContentPage, Launch
from spillway.sitegen.reading.redirects import Redirect

_DIGEST_LENGTH = 12
# The values of a rendered page refer to each other: they are garbage that only the collector finds. It looks
# through what is new after so many pages, which takes less than its own habit.
_PAGES_A_COLLECTION = 50
_PARTS_END = 2**256


class ObjectKind(StrEnum):
    """When an upload writes an object: assets before the pages that need them, indexes after the pages."""

    ASSET = "asset"
    PAGE = "page"
    INDEX = "index"


@dataclass(frozen=True, slots=True)
class PageJob:
    """A file that can be made: its content as a function, and a digest of all that the content depends on.

    Equal digests make equal bytes. `key` is the object's key; `file` is the path in an output directory,
    which differs where other files lie under that key. `language` is the locale of a page's text, empty for
    none.
    """

    key: str
    file: str
    kind: ObjectKind
    content_type: str
    language: str
    digest: str
    make: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class SiteObject:
    """One object of the site, under the key of its URL path.

    `body` is a file when it is large; `language` is the locale of a page's text, empty for none.
    """

    key: str
    body: bytes | Path
    sha256: str
    content_type: str
    cache_control: str
    kind: ObjectKind
    language: str = ""

    @classmethod
    def of(
        cls, key: str, body: bytes | Path, *, content_type: str, cache_control: str, kind: ObjectKind
    ) -> "SiteObject":
        """Return the object with the digest of its body."""
        content = body if isinstance(body, bytes) else body.read_bytes()
        return cls(key, body, hashlib.sha256(content).hexdigest(), content_type, cache_control, kind)

    def read(self) -> bytes:
        """Return the body."""
        return self.body if isinstance(self.body, bytes) else self.body.read_bytes()


@dataclass(frozen=True, slots=True)
class ReleaseSource:
    """The values that a release is rendered from, apart from stock.

    `theme.release` is the release's name, a digest of all of it: of `frame_digest`, which is one of all but
    products and listings, and of `parts`, the sum of the digests of these.
    """

    theme: Theme
    products: Products
    contents: tuple[ContentPage, ...]
    assets: tuple[SiteObject, ...]
    redirects: tuple[Redirect, ...] = ()
    root_files: tuple[RootFile, ...] = ()
    frame_digest: str = ""
    parts: int = 0

    @classmethod
    def of(
        cls,
        theme: Theme,
        products: Products,
        contents: Sequence[ContentPage],
        assets: Sequence[SiteObject],
        redirects: tuple[Redirect, ...] = (),
        root_files: tuple[RootFile, ...] = (),
    ) -> "ReleaseSource":
        """Return the source, named."""
        frame_digest = digest_of(
            [(asset.key, asset.sha256, asset.content_type, asset.cache_control) for asset in assets],
            replace(
                theme, release="", editions=tuple(replace(edition, listings=()) for edition in theme.editions)
            ).to_json(),
            contents,
            [(redirect.source, redirect.target) for redirect in redirects],
            root_files,
        )
        parts = sum(product_part(slug, products.digest(slug)) for slug in products.slugs)
        parts += sum(listing_part(edition, page) for edition in theme.editions for page in edition.listings)
        named = replace(theme, release=release_name(frame_digest, parts))
        return cls(
            named, products, tuple(contents), tuple(assets), redirects, root_files, frame_digest, parts
        )


def release_name(frame_digest: str, parts: int) -> str:
    """Return the name of a release; see `ReleaseSource`.

    A sum does not depend on an order, so that one changed part does not need the others.
    """
    return digest_of(frame_digest, parts % _PARTS_END)[:16]


def product_part(slug: Slug, digest: str) -> int:
    """Return the part of a product in the name of a release; `digest` changes with the product."""
    return int(digest_of("product", slug, digest), 16)


def listing_part(edition: Edition, page: Listing) -> int:
    """Return the part of a page of an edition's listing in the name of a release."""
    return int(digest_of("listing", edition.root, page), 16)


class DatedDigest(NamedTuple):
    """A digest of a page's content, and since when it has that content (ms). A NamedTuple: there are many."""

    digest: str
    since_ms: int


@dataclass(frozen=True, slots=True)
class Release:
    """The objects that a build made, by key. Equal ids, stock, tokens and dates make equal bytes."""

    objects: tuple[SiteObject, ...]
    source: ReleaseSource
    missing_translations: tuple[str, ...] = ()
    """A line for each thing that a language of the shop lacks: pages have it in the first language."""
    refused_domains: tuple[str, ...] = ()
    """Email domains that signups are refused for; the theme names the list by a digest."""
    notes: tuple[str, ...] = ()
    """A line for each picture that is shown otherwise than its file is, and for what no page shows."""
    left_out: tuple[str, ...] = ()
    """A line for each place that names a broken picture, where broken pictures are skipped."""
    dates: Mapping[str, DatedDigest] = field(default_factory=dict)
    sales: tuple[tuple[str, str], ...] = ()
    """See `Catalogue.sales`."""
    launches: tuple[Launch, ...] = ()
    """The variants that are coming soon on a stated day."""

    @property
    def id(self) -> str:
        """Return the release's name."""
        return self.source.theme.release

    @property
    def theme(self) -> Theme:
        """Return the theme that its pages are rendered with."""
        return self.source.theme

    @property
    def products(self) -> Products:
        """Return the products it shows."""
        return self.source.products


class PageDates:
    """The dates of the pages of one release.

    A page with the content it has in `before`, the dates of the previous release, keeps its date; a new or
    changed page gets `now_ms`. Without `now_ms`, in a build that is not published, a page has no date but
    the one its file states.
    """

    def __init__(self, before: Mapping[str, DatedDigest] | None = None, now_ms: int | None = None) -> None:
        self._before = before or {}
        self._now_ms = now_ms
        self.pages: dict[str, DatedDigest] = {}

    def of(self, path: str, content: object, stated: str | None, stock: Iterable[Stock] = ()) -> str | None:
        """Return the time of a page's last change (ISO 8601): of its `content`, or of the `stock` it shows.

        `stated` is the date in the merchant's file, used where no other is known.
        """
        observed_ms = max((known.observed_at_ms for known in stock), default=0)
        if self._now_ms is not None:
            digest = digest_of(content)[:_DIGEST_LENGTH]
            known = self._before.get(path)
            kept = known if known and known.digest == digest else DatedDigest(digest, self._now_ms)
            self.pages[path] = kept
            observed_ms = max(observed_ms, kept.since_ms)
        return written_time(observed_ms) if observed_ms else stated

    def of_all(
        self,
        edition: Edition,
        products: Products,
        contents: Iterable[ContentPage],
        observed: Callable[[Slug], Iterable[Stock]],
    ) -> dict[str, str | None]:
        """Return the time of the last change of every page of an edition, by its path in the first edition.

        A listing changes by itself and with its products. `observed` returns a product's observed stock.
        """
        of_products = {
            row.slug: self.of(
                edition.localized_path(f"/products/{row.slug}"),
                products.digest(row.slug),
                row.released_on,
                observed(row.slug),
            )
            for row in products.rows
        }
        of_listings = {}
        for listing in edition.listings:
            own = self.of(edition.localized_path(listing.path), listing, None)
            times = (own, *(of_products.get(slug) for slug in listing.slugs))
            of_listings[listing.path] = max((time for time in times if time), default=None)
        return {
            **of_listings,
            **{f"/products/{slug}": time for slug, time in of_products.items()},
            **{page.path: self.of(edition.localized_path(page.path), page, None) for page in contents},
        }


class OutputDir:
    """A folder with one release."""

    def __init__(self, folder: Path, last: LastBuild) -> None:
        """Take the folder as it is; `last` keeps the records of its files."""
        self._folder = folder
        self._beside = folder.with_name(f"{folder.name}.unfinished")
        self._last = last

    def sync(
        self, jobs: Sequence[PageJob], assets: Sequence[SiteObject], pool: WorkerPool
    ) -> tuple[SiteObject, ...]:
        """Make the folder hold exactly these files, and return them as objects: its pages are bodies."""
        # Another release than the published one is here from now on.
        self._last.set("published", None)
        before = self._last.written()
        present = signatures_under(self._folder)
        valid = {
            path: written
            for path, written in before.items()
            if written.signature is not None and written.signature == present.get(path)
        }
        stale = [job for job in jobs if _job_digest(valid, job.file) != job.digest]
        new = [asset for asset in assets if _job_digest(valid, asset.key) != asset.sha256]
        shutil.rmtree(self._beside, ignore_errors=True)
        written = self._write(stale, new, pool)
        self._remove(present.keys() - {job.file for job in jobs} - {asset.key for asset in assets})
        self._replace(written)
        records = self._records(jobs, assets, valid, written)
        self._last.keep_written(records, before)
        return self._objects(jobs, assets, records)

    def _write(
        self, stale: Sequence[PageJob], new: Sequence[SiteObject], pool: WorkerPool
    ) -> Mapping[str, str]:
        """Write the files beside the folder, and return the digest of each one's bytes."""
        for folder in _folders_of([*(job.file for job in stale), *(asset.key for asset in new)]):
            (self._beside / folder).mkdir(parents=True, exist_ok=True)
        root = f"{self._beside}/"

        def make(jobs: Sequence[PageJob]) -> list[tuple[str, str]]:
            made = []
            for number, job in enumerate(jobs, 1):
                body = job.make()
                with open(root + job.file, "wb", buffering=0) as file:  # noqa: PTH123 - ten thousand times
                    file.write(body)
                made.append((job.file, hashlib.sha256(body).hexdigest()))
                if number % _PAGES_A_COLLECTION == 0:
                    gc.collect(0)
            return made

        written = dict(row for rows in pool.map_batches(make, _chunks(stale)) for row in rows)
        for asset in new:
            if isinstance(asset.body, Path):
                shutil.copyfile(asset.body, self._beside / asset.key)
            else:
                (self._beside / asset.key).write_bytes(asset.body)
            written[asset.key] = asset.sha256
        return written

    def _replace(self, written: Iterable[str]) -> None:
        if not self._folder.exists() and self._beside.exists():
            self._beside.rename(self._folder)
            return
        for folder in _folders_of(written):
            (self._folder / folder).mkdir(parents=True, exist_ok=True)
        for path in written:
            try:
                os.replace(f"{self._beside}/{path}", f"{self._folder}/{path}")  # noqa: PTH105 - thousands of times
            except IsADirectoryError:  # an empty folder
                (self._folder / path).rmdir()
                (self._beside / path).replace(self._folder / path)
        shutil.rmtree(self._beside, ignore_errors=True)

    def _remove(self, vanished: Iterable[str]) -> None:
        for path in vanished:
            file = self._folder / path
            file.unlink(missing_ok=True)
            for folder in file.parents:
                if folder == self._folder or not _removed_if_empty(folder):
                    break

    def _records(
        self,
        jobs: Sequence[PageJob],
        assets: Sequence[SiteObject],
        valid: Mapping[str, Written],
        written: Mapping[str, str],
    ) -> dict[str, Written]:
        digests = {job.file: job.digest for job in jobs} | {asset.key: asset.sha256 for asset in assets}
        now = signatures_under(self._folder)
        return {
            path: Written(digest, written[path], now.get(path)) if path in written else valid[path]
            for path, digest in digests.items()
        }

    def _objects(
        self, jobs: Sequence[PageJob], assets: Sequence[SiteObject], records: Mapping[str, Written]
    ) -> tuple[SiteObject, ...]:
        pages = [
            SiteObject(
                job.key,
                self._folder / job.file,
                records[job.file].sha256,
                job.content_type,
                PAGE_CACHE_CONTROL,
                job.kind,
                job.language,
            )
            for job in jobs
        ]
        return tuple(sorted((*pages, *assets), key=lambda site_object: site_object.key))


def _job_digest(valid: Mapping[str, Written], path: str) -> str | None:
    """Return the digest of the job that wrote a file; None where no file can be relied on."""
    written = valid.get(path)
    return written.job_digest if written else None


def _chunks(jobs: Sequence[PageJob]) -> list[Sequence[PageJob]]:
    """Return jobs in chunks, the longest first.

    Listings of one language are a chunk: they show the same cards, which one process then renders once.
    """
    listings: dict[str, list[PageJob]] = {}
    for job in jobs:
        if job.kind is ObjectKind.INDEX:
            listings.setdefault(job.language, []).append(job)
    return [*listings.values(), *chunks_of([job for job in jobs if job.kind is not ObjectKind.INDEX])]


def _folders_of(paths: Iterable[str]) -> set[str]:
    return {path.rpartition("/")[0] for path in paths}


def _removed_if_empty(folder: Path) -> bool:
    """Remove a folder if it is empty: to look into it first takes longer with each file in it."""
    try:
        folder.rmdir()
    except OSError:
        return False
    return True

"""The values of a release: its objects, the source they are rendered from, and the dates of its pages."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from chalicelib.domain.stock import Stock
from chalicelib.storefront.sitemap import written_time
from chalicelib.storefront.theme import Edition, Theme
from spillway.sitegen.cache import digest_of
from spillway.sitegen.products import Products
from spillway.sitegen.reading.catalogue import ContentPage
from spillway.sitegen.reading.redirects import Redirect
from spillway.sitegen.root_files import RootFile

_DIGEST_LENGTH = 12


class Kind(StrEnum):
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
    kind: Kind
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
    kind: Kind
    language: str = ""

    @classmethod
    def of(
        cls, key: str, body: bytes | Path, *, content_type: str, cache_control: str, kind: Kind
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

    `theme.release` is the release's name, a digest of all of it.
    """

    theme: Theme
    products: Products
    contents: tuple[ContentPage, ...]
    assets: tuple[SiteObject, ...]
    redirects: tuple[Redirect, ...] = ()
    root_files: tuple[RootFile, ...] = ()

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
        digest = digest_of(
            [(asset.key, asset.sha256, asset.content_type, asset.cache_control) for asset in assets],
            replace(theme, release="").to_json(),
            [(slug, products.digest(slug)) for slug in products.slugs],
            contents,
            [(redirect.source, redirect.target) for redirect in redirects],
            root_files,
        )
        named = replace(theme, release=digest[:16])
        return cls(named, products, tuple(contents), tuple(assets), redirects, root_files)


class Dated(NamedTuple):
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
    """A line for each picture that is shown otherwise than its file is."""
    left_out: tuple[str, ...] = ()
    """A line for each place that names a broken picture, where broken pictures are skipped."""
    dates: Mapping[str, Dated] = field(default_factory=dict)
    sales: tuple[tuple[str, str], ...] = ()
    """See `Catalogue.sales`."""

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


class Dates:
    """The dates of the pages of one release.

    A page with the content it has in `before`, the dates of the previous release, keeps its date; a new or
    changed page gets `now_ms`. Without `now_ms`, in a build that is not published, a page has no date but
    the one its file states.
    """

    def __init__(self, before: Mapping[str, Dated] | None = None, now_ms: int | None = None) -> None:
        self._before = before or {}
        self._now_ms = now_ms
        self.pages: dict[str, Dated] = {}

    def of(self, path: str, content: object, stated: str | None, stock: Iterable[Stock] = ()) -> str | None:
        """Return the time of a page's last change (ISO 8601): of its `content`, or of the `stock` it shows.

        `stated` is the date in the merchant's file, used where no other is known.
        """
        observed_ms = max((known.observed_at_ms for known in stock), default=0)
        if self._now_ms is not None:
            digest = digest_of(content)[:_DIGEST_LENGTH]
            known = self._before.get(path)
            kept = known if known and known.digest == digest else Dated(digest, self._now_ms)
            self.pages[path] = kept
            observed_ms = max(observed_ms, kept.since_ms)
        return written_time(observed_ms) if observed_ms else stated

    def of_all(
        self,
        edition: Edition,
        products: Products,
        contents: Iterable[ContentPage],
        observed: Callable[[str], Iterable[Stock]],
    ) -> dict[str, str | None]:
        """Return the time of the last change of every page of an edition, by its path in the first edition.

        A listing changes by itself and with its products. `observed` returns the observed stock of a
        product, given its slug.
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

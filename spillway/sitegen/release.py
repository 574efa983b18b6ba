"""A release: what a build makes, as one value, and what it is made from. Publishing it comes after."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from chalicelib.storefront.theme import Theme
from spillway.sitegen.cache import digest_of
from spillway.sitegen.dates import Dated
from spillway.sitegen.products import Products
from spillway.sitegen.reading.catalogue import ContentPage
from spillway.sitegen.reading.redirects import Redirect
from spillway.sitegen.root_files import RootFile


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
    """See `spillway.sitegen.sales.sales_of`."""

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

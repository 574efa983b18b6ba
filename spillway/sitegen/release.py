"""A release: everything a build made, as one value. Publishing it comes after."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from chalicelib.storefront.theme import Theme
from spillway.sitegen.build_cache import digest_of
from spillway.sitegen.dates import Dated
from spillway.sitegen.products import Products
from spillway.sitegen.reading.catalogue import ContentPage
from spillway.sitegen.reading.redirects import Redirect
from spillway.sitegen.root_files import RootFile


class Kind(StrEnum):
    """When an object may appear: what a page asks for comes before it, what leads to it comes after."""

    ASSET = "asset"
    PAGE = "page"
    INDEX = "index"


@dataclass(frozen=True, slots=True)
class SiteObject:
    """One object of the site, kept under the path a shopper types. `body` is a file when it is large;
    `language` is that of a page's words."""

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
        content = body if isinstance(body, bytes) else body.read_bytes()
        return cls(key, body, hashlib.sha256(content).hexdigest(), content_type, cache_control, kind)

    def read(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else self.body.read_bytes()


@dataclass(frozen=True, slots=True)
class ReleaseSource:
    """All that the objects of a release are made from, whatever is in stock. `theme` bears the release's
    name, which is made from all of it."""

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
        """The source with their name."""
        content = digest_of(
            [(each.key, each.sha256, each.content_type, each.cache_control) for each in assets],
            replace(theme, release="").to_json(),
            [(slug, products.digest(slug)) for slug in products.slugs],
            contents,
            [(each.source, each.target) for each in redirects],
            root_files,
        )
        named = replace(theme, release=content[:16])
        return cls(named, products, tuple(contents), tuple(assets), redirects, root_files)


@dataclass(frozen=True, slots=True)
class Release:
    """What a build made. Equal ids make equal bytes, for equal stock, stamps and dates. The theme names the
    list of `refused_domains` by its content."""

    objects: tuple[SiteObject, ...]
    source: ReleaseSource
    missing_translations: tuple[str, ...] = ()
    """What the shop does not say in a language it has, a line each: it is said in the first instead."""
    refused_domains: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """Things a merchant would not expect of a picture, a line each."""
    left_out: tuple[str, ...] = ()
    """Places that name a picture which cannot be shown, where the build goes on as asked, a line each."""
    dates: Mapping[str, Dated] = field(default_factory=dict)
    sales: tuple[tuple[str, str], ...] = ()
    """See `spillway.sitegen.sales.sales_of`."""

    @property
    def id(self) -> str:
        return self.source.theme.release

    @property
    def theme(self) -> Theme:
        return self.source.theme

    @property
    def products(self) -> Products:
        return self.source.products

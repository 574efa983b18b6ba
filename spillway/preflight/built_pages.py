"""Read from the built site what one page view downloads, and what one availability change refreshes.

A view is a first one, with an empty browser cache: a flood consists of first views. Every picture of a
product page counts, because browsers fetch lazy pictures up to about 2,500 px ahead. On listings, pictures
below the first screens do not count, and on a product page those of other products, which a script fetches
once a reader comes near them.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from statistics import mean
from urllib.parse import unquote, urljoin, urlsplit

import brotli

from chalicelib.storage import HOME_KEY, invalidation_paths
from chalicelib.storefront.sitemaps import part_key
from spillway.errors import BadInput

# CloudFront compresses objects of 1,000 to 10,000,000 bytes when a browser takes it.
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/ServingCompressedFiles.html (2026-11)
COMPRESSED_BYTES_MIN = 1_000
# CloudFront compresses on the fly at an undocumented brotli level; a medium one is not optimistic.
BROTLI_QUALITY = 5
# A phone with 390 CSS pixels at three device pixels each. From `srcset`, a browser takes the narrowest
# candidate that is wide enough, else the widest.
VIEWPORT_CSS_PX = 390
DEVICE_PIXELS_PER_CSS_PX = 3
LISTING_PICTURES_MAX = 9
# The header lines that CloudFront sends with an object of the shop.
RESPONSE_HEAD = """HTTP/2 200
content-type: text/html; charset=utf-8
content-length: 13056
last-modified: Mon, 23 Nov 2026 17:07:00 GMT
x-amz-server-side-encryption: AES256
x-amz-version-id: aBcDeFgHiJkLmNoPqRsTuVwXyZ012345
accept-ranges: bytes
server: AmazonS3
date: Mon, 23 Nov 2026 17:08:00 GMT
cache-control: public, max-age=0, s-maxage=86400, must-revalidate
content-encoding: br
etag: W/"d41d8cd98f00b204e9800998ecf8427e"
vary: Accept-Encoding
x-cache: Hit from cloudfront
via: 1.1 0123456789abcdef0123456789abcdef.cloudfront.net (CloudFront)
x-amz-cf-pop: IAD55-P3
alt-svc: h3=":443"; ma=86400
x-amz-cf-id: AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfGhIjKlMnOpQrSt==
age: 60
strict-transport-security: max-age=63072000; includeSubDomains
content-security-policy: script-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; \
frame-ancestors 'none'
x-content-type-options: nosniff
x-frame-options: DENY
referrer-policy: strict-origin-when-cross-origin
"""
HEAD_BYTES = len(RESPONSE_HEAD)
TEXT_SUFFIXES = frozenset({"", ".html", ".css", ".js", ".svg", ".xml", ".txt", ".json"})
_PRODUCTS = "products"
# The folders of pages with product cards; home pages have cards as well.
_LISTINGS = ("shop", "tags")
# `(min-width: 40rem)` of an image's `sizes`, and a size in CSS pixels or in device pixels for one of them.
# Another one, calc() for example, counts as the width of the screen.
_CONDITION = re.compile(r"([a-z-]+)\s*:\s*([^\s)]+)")
_UNITS = {"px": 1, "rem": 16, "em": 16, "vw": VIEWPORT_CSS_PX / 100, "dppx": 1, "x": 1, "dpi": 1 / 96}
_SIZE = re.compile(rf"([0-9]*\.?[0-9]+)({'|'.join(_UNITS)})")
_PRODUCT_LINK = re.compile(rf'href="(?:/[a-zA-Z-]+)?/{_PRODUCTS}/([a-z0-9-]+)"')


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """One response of a page view: its path, and the size of its body as sent."""

    path: str
    body_bytes: int


@dataclass(frozen=True, slots=True)
class PageWeight:
    """One page view; `bytes_sent` counts the bodies and the headers of all responses."""

    path: str
    requests: float
    bytes_sent: float
    fetched: tuple[FetchedFile, ...] = ()


def page_weight(site: Path, path: str) -> PageWeight:
    """Return what a first view of the page at `path` downloads.

    Raises:
        BadInput: The build has no such page.
    """
    page = site / path.removeprefix("/")
    page = page / "index.html" if page.is_dir() else page
    if not page.is_file():
        raise BadInput(f"{path}: the build has no such page", hint="name one, like /products/NAME")
    wanted = _Wanted(path)
    wanted.feed(page.read_text(encoding="utf-8"))
    pictures = wanted.pictures if "products/" in path else wanted.pictures[:LISTING_PICTURES_MAX]
    paths = [*dict.fromkeys([*wanted.assets, *pictures])]
    fetched = (
        FetchedFile(path, sent_bytes(page)),
        *(FetchedFile(asset, sent_bytes(site / asset.removeprefix("/"))) for asset in paths),
    )
    total = sum(response.body_bytes + HEAD_BYTES for response in fetched)
    return PageWeight(path, len(fetched), total, fetched)


def mean_product_weight(site: Path) -> PageWeight:
    """Return the mean over all product pages, for a flood whose landing page is not known.

    Raises:
        BadInput: Nothing has been built.
    """
    products = site / "products"
    names = sorted(file.name for file in products.iterdir()) if products.is_dir() else []
    if not names:
        raise BadInput(f"{products}: no page of a product", hint="spillway build")
    weights = [page_weight(site, f"/products/{name}") for name in names]
    return PageWeight(
        f"mean of {len(weights)} product pages",
        mean(weight.requests for weight in weights),
        mean(weight.bytes_sent for weight in weights),
    )


def sent_bytes(file: Path) -> int:
    """Return the size of a file as CloudFront sends it to a current browser, in bytes; 0 if it is missing."""
    content = file.read_bytes() if file.is_file() else b""
    if file.suffix not in TEXT_SUFFIXES or len(content) < COMPRESSED_BYTES_MIN:
        return len(content)
    return len(brotli.compress(content, quality=BROTLI_QUALITY))


class _Wanted(HTMLParser):
    """Collects the files of the shop that a browser downloads for a page, by their paths in the build."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = f"/{path.removeprefix('/')}"
        self.assets: list[str] = []
        self.pictures: list[str] = []
        self._best: str | None = None
        self._is_without_script = False

    def handle_endtag(self, tag: str) -> None:
        if tag == "noscript":
            self._is_without_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        match tag:
            case _ if self._is_without_script:  # a browser with scripts reads it as a text
                return
            case "noscript":
                self._is_without_script = True
            case "script" if "src" in found:
                self.assets += self._own(found["src"])
            case "link" if found.get("rel") in {"stylesheet", "icon"}:
                self.assets += self._own(found.get("href", ""))
            case "picture":
                self._best = None
            case "source" if self._best is None and found.get("type") == "image/avif":
                self._best = chosen(found.get("srcset", ""), found.get("sizes", "100vw"))
            case "img":
                self.pictures += self._own(self._best or found.get("src", ""))
                self._best = None

    def _own(self, address: str) -> list[str]:
        # An address with a scheme or a host is data in the page, or costs the shop nothing.
        parts = urlsplit(urljoin(self._path, address))
        return [] if parts.scheme or parts.netloc or not address else [unquote(parts.path)]


def chosen(srcset: str, sizes: str) -> str | None:
    """Return the candidate of `srcset` that the phone downloads."""
    needed_px = _shown_css_px(sizes) * DEVICE_PIXELS_PER_CSS_PX
    candidates = sorted(_candidates(srcset))
    wide_enough = [url for width, url in candidates if width >= needed_px]
    if wide_enough:
        return wide_enough[0]
    return candidates[-1][1] if candidates else None


def _candidates(srcset: str) -> Iterator[tuple[int, str]]:
    for candidate in srcset.split(","):
        url, _, width = candidate.strip().partition(" ")
        if width.endswith("w"):
            yield int(width[:-1]), url


def _shown_css_px(sizes: str) -> float:
    # The first entry whose condition holds; the last one has none. A theme of the shop may have any CSS.
    for entry in sizes.split(","):
        condition, _, length = entry.rpartition(") ")
        if all(_holds(feature, value) for feature, value in _CONDITION.findall(condition)):
            return _size(length)
    return VIEWPORT_CSS_PX


def _holds(feature: str, value: str) -> bool:
    if feature == "min-resolution":
        return _size(value) <= DEVICE_PIXELS_PER_CSS_PX
    if feature == "max-width":
        return _size(value) >= VIEWPORT_CSS_PX
    return feature == "min-width" and _size(value) <= VIEWPORT_CSS_PX


def _size(value: str) -> float:
    found = _SIZE.fullmatch(value.strip())
    return float(found[1]) * _UNITS[found[2]] if found else VIEWPORT_CSS_PX


@dataclass(frozen=True, slots=True)
class RefreshWork:
    """The work of one availability change: `objects` written, with the sitemap, and `paths` invalidated.

    Both are upper limits: a card with unchanged text changes no listing. Only a change that pages show costs
    anything; a new number of units that changes no byte of a page writes and invalidates nothing.
    """

    objects: float = 0.0
    paths: float = 0.0


NO_REFRESH = RefreshWork()


def page_refresh(site: Path, path: str | None = None) -> RefreshWork:
    """Return the work of refreshing the pages of the product at `path`.

    Without a path, or with the path of another page, it is the mean of all products. It reads the listings
    and home pages of each language, not the products' own pages.
    """
    pages = _pages_by_slug(site)
    parts = len(list(site.glob("sitemap-*.xml"))) or 1
    refreshes = {slug: _refresh(paths, parts) for slug, paths in pages.items()}
    slug = path.rpartition(f"/{_PRODUCTS}/")[2] if path else ""
    if slug in refreshes:
        return refreshes[slug]
    if not refreshes:
        return NO_REFRESH
    return RefreshWork(
        mean(refresh.objects for refresh in refreshes.values()),
        mean(refresh.paths for refresh in refreshes.values()),
    )


def _refresh(paths: set[str], parts: int) -> RefreshWork:
    changed = paths | {f"/{part_key(path, parts)}" for path in paths}
    return RefreshWork(len(changed), len(invalidation_paths(changed)))


def _pages_by_slug(site: Path) -> dict[str, set[str]]:
    """Return the paths of the pages that show each product: its own pages, and pages with its card."""
    pages: dict[str, set[str]] = defaultdict(set)
    for root, folder in _roots(site):
        for file in sorted((folder / _PRODUCTS).iterdir()):
            pages[file.name].add(f"{root}/{_PRODUCTS}/{file.name}")
    for path, file in _listings(site):
        for slug in set(_PRODUCT_LINK.findall(file.read_text(encoding="utf-8"))):
            if slug in pages:
                pages[slug].add(path)
    return pages


def _listings(site: Path) -> Iterator[tuple[str, Path]]:
    for root, folder in _roots(site):
        yield root or "/", folder / HOME_KEY
        for name in _LISTINGS:
            if (folder / name).is_dir():
                for file in sorted((folder / name).iterdir()):
                    yield f"{root}/{name}/{file.name}", file


def _roots(site: Path) -> Iterator[tuple[str, Path]]:
    """Yield the root of each language's pages, "" for the first, and its folder."""
    for folder in (site, *sorted(child for child in site.iterdir() if child.is_dir())):
        if (folder / _PRODUCTS).is_dir() and (folder / HOME_KEY).is_file():
            yield ("" if folder == site else f"/{folder.name}"), folder

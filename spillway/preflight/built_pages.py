"""Read from the built site what one page view downloads, and what one availability change refreshes.

A view is a first one, with an empty browser cache: a flood consists of first views. Every picture of a
product page counts, because browsers fetch lazy pictures up to about 2,500 px ahead. On listings, pictures
below the first screens do not count.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from statistics import mean

import brotli

from chalicelib.storage.pages import HOME_KEY, invalidation_paths
from chalicelib.storefront.sitemap import part_key
from spillway.errors import BadInput

# CloudFront compresses objects of 1,000 to 10,000,000 bytes when a browser takes it.
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/ServingCompressedFiles.html (2026-11)
COMPRESSED_BYTES_MIN = 1_000
# CloudFront packs on the fly; its brotli level is not documented: a middle one, so as not to flatter.
BROTLI_QUALITY = 5
# A telephone: 390 CSS pixels at three device pixels each. Of the candidates of `srcset`, a browser
# takes the narrowest that is wide enough, or else the widest there is.
VIEWPORT_CSS_PX = 390
DEVICE_PIXELS_PER_CSS_PX = 3
LISTING_PICTURES_MAX = 9
# The lines of a response's head as CloudFront sends them for an object of ours.
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
content-security-policy: script-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self' https:; \
frame-ancestors 'none'
x-content-type-options: nosniff
x-frame-options: DENY
referrer-policy: strict-origin-when-cross-origin
"""
HEAD_BYTES = len(RESPONSE_HEAD)
TEXT_SUFFIXES = frozenset({"", ".html", ".css", ".js", ".svg", ".xml", ".txt", ".json"})
_PRODUCTS = "products"
# The folders of the pages that have cards; home pages have some as well.
_LISTINGS = ("shop", "tags")
_PRODUCT_LINK = re.compile(rf'href="(?:/[a-zA-Z-]+)?/{_PRODUCTS}/([a-z0-9-]+)"')


@dataclass(frozen=True, slots=True)
class Fetched:
    """One response of a view: its path, and its body as sent."""

    path: str
    body_bytes: int


@dataclass(frozen=True, slots=True)
class PageWeight:
    """One view. `bytes_sent` has the bodies and the heads of all responses."""

    path: str
    requests: float
    bytes_sent: float
    fetched: tuple[Fetched, ...] = ()


def page_weight(site: Path, path: str) -> PageWeight:
    """What a first view of the page at `path` fetches.

    Raises:
        BadInput: the build has no such page.
    """
    page = site / path.removeprefix("/")
    page = page / "index.html" if page.is_dir() else page
    if not page.is_file():
        raise BadInput(f"{path}: the build has no such page", hint="name one, like /products/NAME")
    wanted = _Wanted()
    wanted.feed(page.read_text(encoding="utf-8"))
    pictures = wanted.pictures if "products/" in path else wanted.pictures[:LISTING_PICTURES_MAX]
    paths = [*dict.fromkeys([*wanted.assets, *pictures])]
    fetched = (
        Fetched(path, sent_bytes(page)),
        *(Fetched(each, sent_bytes(site / each.removeprefix("/"))) for each in paths),
    )
    total = sum(each.body_bytes + HEAD_BYTES for each in fetched)
    return PageWeight(path, len(fetched), total, fetched)


def mean_product_weight(site: Path) -> PageWeight:
    """The mean over every product's page: nobody knows yet which one the flood will ask for.

    Raises:
        BadInput: nothing has been built.
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
    """The size of a file's content as CloudFront sends it to a browser of today."""
    content = file.read_bytes()
    if file.suffix not in TEXT_SUFFIXES or len(content) < COMPRESSED_BYTES_MIN:
        return len(content)
    return len(brotli.compress(content, quality=BROTLI_QUALITY))


class _Wanted(HTMLParser):
    """Collects what a browser fetches for a page."""

    def __init__(self) -> None:
        super().__init__()
        self.assets: list[str] = []
        self.pictures: list[str] = []
        self._best: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        match tag:
            case "script" if "src" in found:
                self.assets.append(found["src"])
            case "link" if found.get("rel") in {"stylesheet", "icon"}:
                self._own(found.get("href", ""))
            case "picture":
                self._best = None
            case "source" if self._best is None and found.get("type") == "image/avif":
                self._best = chosen(found.get("srcset", ""), found.get("sizes", "100vw"))
            case "img":
                shown = self._best or found.get("src", "")
                self.pictures += [] if shown.startswith("data:") else [shown]
                self._best = None

    def _own(self, address: str) -> None:
        if address.startswith("/"):  # and not "data:", which is in the page already
            self.assets.append(address)


def chosen(srcset: str, sizes: str) -> str | None:
    """The candidate that the telephone takes."""
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
    # The first entry whose condition holds; the last one has none.
    for entry in sizes.split(","):
        *condition, length = entry.split()
        if all(_holds(each) for each in condition):
            return _css_px(length)
    return VIEWPORT_CSS_PX


def _holds(condition: str) -> bool:
    feature, _, least = condition.strip("()").partition(":")
    if feature == "min-resolution":
        return float(least.removesuffix("dppx")) <= DEVICE_PIXELS_PER_CSS_PX
    return feature == "min-width" and _css_px(least) <= VIEWPORT_CSS_PX


def _css_px(length: str) -> float:
    if length.endswith("vw"):
        return VIEWPORT_CSS_PX * float(length[:-2]) / 100
    if length.endswith("rem"):
        return float(length[:-3]) * 16
    return float(length.removesuffix("px"))


@dataclass(frozen=True, slots=True)
class PageRefresh:
    """One change of availability: `objects` that are written, the sitemap among them, and `paths` that are
    invalidated. Both are the most it can be: a card that says the same as before changes no listing."""

    objects: float = 0.0
    paths: float = 0.0


NO_REFRESH = PageRefresh()


def page_refresh(site: Path, path: str | None = None) -> PageRefresh:
    """Return what a change of the product at `path` refreshes; the mean of all products without a path, or
    with that of another page.

    Reads the listings and home pages of every language, not the products' own pages.
    """
    pages = _pages_by_slug(site)
    parts = len(list(site.glob("sitemap-*.xml"))) or 1
    refreshes = {slug: _refresh(paths, parts) for slug, paths in pages.items()}
    slug = path.rpartition(f"/{_PRODUCTS}/")[2] if path else ""
    if slug in refreshes:
        return refreshes[slug]
    if not refreshes:
        return NO_REFRESH
    return PageRefresh(
        mean(refresh.objects for refresh in refreshes.values()),
        mean(refresh.paths for refresh in refreshes.values()),
    )


def _refresh(paths: set[str], parts: int) -> PageRefresh:
    changed = paths | {f"/{part_key(path, parts)}" for path in paths}
    return PageRefresh(len(changed), len(invalidation_paths(changed)))


def _pages_by_slug(site: Path) -> dict[str, set[str]]:
    """The paths of the pages that show a product: its own in each language, and those with its card."""
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
    """The root of each language's pages, "" for the first, and its folder."""
    for folder in (site, *sorted(each for each in site.iterdir() if each.is_dir())):
        if (folder / _PRODUCTS).is_dir() and (folder / HOME_KEY).is_file():
            yield ("" if folder == site else f"/{folder.name}"), folder

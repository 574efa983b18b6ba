"""What a change of availability refreshes, taken from the build: pages written, and paths invalidated.

Only a change that pages show costs anything: availability, not a number of units. A stock event that changes
no byte of a page writes and invalidates nothing.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from chalicelib.storage.pages import HOME_KEY, invalidation_paths
from chalicelib.storefront.sitemap import part_key

_PRODUCTS = "products"
# The folders of the pages that have cards; home pages have some as well.
_LISTINGS = ("shop", "tags")
_PRODUCT_LINK = re.compile(rf'href="(?:/[a-zA-Z-]+)?/{_PRODUCTS}/([a-z0-9-]+)"')


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

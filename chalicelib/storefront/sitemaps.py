"""Sitemaps: files that name each page, with the time of its last change (https://www.sitemaps.org/protocol.html).

The build writes them whole; the cloud changes the time of a page that it refreshes.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from zlib import crc32

from chalicelib.storefront.theme import Edition

# The protocol takes 50,000 pages in a file. An event rewrites the file its pages are in: smaller ones.
PAGES_IN_PART = 10_000
_SITEMAPS = "http://www.sitemaps.org/schemas/sitemap/0.9"
_XHTML = "http://www.w3.org/1999/xhtml"
_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
INDEX_KEY = "sitemap.xml"


def parts_for(pages: int) -> int:
    """Return the number of files for `pages`."""
    return max(1, -(-pages // PAGES_IN_PART))


def part_key(path: str, parts: int) -> str:
    """Return the key of the file that names `path`; it depends on the path and the number of files alone."""
    return INDEX_KEY if parts == 1 else _key(crc32(path.encode()) % parts)


def sitemaps(
    base_url: str, editions: Sequence[tuple[Edition, Mapping[str, str | None]]], parts: int
) -> dict[str, str]:
    """Return the files, by key, that name each page of each edition.

    An edition has the paths of its pages in the first edition, with the time of their last change where it is
    known. A page of several editions names each of them, itself included, as search engines want it.
    """
    all_editions = [edition for edition, _ in editions]
    keys = [INDEX_KEY] if parts == 1 else [_key(number) for number in range(parts)]
    rows: dict[str, list[str]] = {key: [] for key in keys}
    for edition, dated in editions:
        for path, changed in dated.items():
            localized = edition.localized_path(path)
            date = f"<lastmod>{changed}</lastmod>" if changed else ""
            others = _alternates(base_url, path, all_editions)
            rows[part_key(localized, parts)].append(f"<url>{_loc(base_url, localized)}{date}{others}</url>\n")
    files = {key: _document("urlset", urls) for key, urls in rows.items()}
    if parts > 1:
        listed = [f"<sitemap>{_loc(base_url, f'/{key}')}</sitemap>\n" for key in keys]
        files[INDEX_KEY] = _document("sitemapindex", listed)
    return files


def with_lastmod(sitemap: str, base_url: str, paths: Iterable[str], changed: str) -> str:
    """Return the file with `changed` as the time of these pages, except pages with a later time."""
    for path in paths:
        loc = _loc(base_url, path)
        before, found, after = sitemap.partition(loc)
        if not found:
            continue
        if after.startswith("<lastmod>"):
            known, _, after = after.removeprefix("<lastmod>").partition("</lastmod>")
            changed_last = max(known, changed)
        else:
            changed_last = changed
        sitemap = f"{before}{loc}<lastmod>{changed_last}</lastmod>{after}"
    return sitemap


def with_dates(sitemap: str, base_url: str, dates: Mapping[str, str | None]) -> str:
    """Return the file with these times of the last changes of pages that it names; None for no time."""
    places = []
    for path, changed in dates.items():
        loc = _loc(base_url, path)
        start = sitemap.index(loc) + len(loc)
        end = start
        if sitemap.startswith("<lastmod>", start):
            end = sitemap.index("</lastmod>", start) + len("</lastmod>")
        places.append((start, end, f"<lastmod>{changed}</lastmod>" if changed else ""))
    parts, done = [], 0
    for start, end, text in sorted(places):
        parts += [sitemap[done:start], text]
        done = end
    return "".join((*parts, sitemap[done:]))


def written_time(at_ms: int) -> str:
    """Return a time as sitemaps have it; times sort as texts."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _key(number: int) -> str:
    return f"sitemap-{number + 1}.xml"


def _loc(base_url: str, path: str) -> str:
    return f"<loc>{escape(base_url + path)}</loc>"


def _alternates(base_url: str, path: str, editions: Sequence[Edition]) -> str:
    if len(editions) == 1:
        return ""
    named = [(edition.shop.locale, f"{base_url}{edition.localized_path(path)}") for edition in editions]
    return "".join(
        f'<xhtml:link rel="alternate" hreflang="{locale}" href="{escape(address)}"/>'
        for locale, address in (*named, ("x-default", f"{base_url}{path}"))
    )


def _document(root: str, rows: Sequence[str]) -> str:
    others = f' xmlns:xhtml="{_XHTML}"' if rows and "<xhtml:" in rows[0] else ""
    return f'{_DECLARATION}<{root} xmlns="{_SITEMAPS}"{others}>\n{"".join(rows)}</{root}>\n'

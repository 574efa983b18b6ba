"""Sitemaps: which file names a page, and since when the page is as it is.

The build writes them whole; the cloud dates a page anew when it turns.
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
    """Into how many files so many pages go."""
    return max(1, -(-pages // PAGES_IN_PART))


def part_key(path: str, parts: int) -> str:
    """The file that names `path`: the same one whatever else comes or goes, as long as there are so many."""
    return INDEX_KEY if parts == 1 else _key(crc32(path.encode()) % parts)


def sitemaps(
    base_url: str, editions: Sequence[tuple[Edition, Mapping[str, str | None]]], parts: int
) -> dict[str, str]:
    """The files, by key, that name every page of every edition.

    Of each edition, the paths its pages have in the first, with the time of their last change where that is
    known. A page of several editions names them all, itself included, as search engines want it.
    """
    all_editions = [edition for edition, _ in editions]
    keys = [INDEX_KEY] if parts == 1 else [_key(number) for number in range(parts)]
    rows: dict[str, list[str]] = {key: [] for key in keys}
    for edition, dated in editions:
        for path, changed in dated.items():
            here = edition.at(path)
            date = f"<lastmod>{changed}</lastmod>" if changed else ""
            others = _alternates(base_url, path, all_editions)
            rows[part_key(here, parts)].append(f"<url>{_loc(base_url, here)}{date}{others}</url>\n")
    files = {key: _document("urlset", each) for key, each in rows.items()}
    if parts > 1:
        listed = [f"<sitemap>{_loc(base_url, f'/{key}')}</sitemap>\n" for key in keys]
        files[INDEX_KEY] = _document("sitemapindex", listed)
    return files


def with_lastmod(sitemap: str, base_url: str, paths: Iterable[str], changed: str) -> str:
    """The file with `changed` as the time of these pages, those aside that it does not name or that it says
    have changed later."""
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


def written_time(at_ms: int) -> str:
    """A time as sitemaps have it: of two, the later one sorts last."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _key(number: int) -> str:
    return f"sitemap-{number + 1}.xml"


def _loc(base_url: str, path: str) -> str:
    return f"<loc>{escape(base_url + path)}</loc>"


def _alternates(base_url: str, path: str, editions: Sequence[Edition]) -> str:
    if len(editions) == 1:
        return ""
    named = [(each.shop.locale, f"{base_url}{each.at(path)}") for each in editions]
    return "".join(
        f'<xhtml:link rel="alternate" hreflang="{locale}" href="{escape(address)}"/>'
        for locale, address in (*named, ("x-default", f"{base_url}{path}"))
    )


def _document(root: str, rows: Sequence[str]) -> str:
    others = f' xmlns:xhtml="{_XHTML}"' if rows and "<xhtml:" in rows[0] else ""
    return f'{_DECLARATION}<{root} xmlns="{_SITEMAPS}"{others}>\n{"".join(rows)}</{root}>\n'

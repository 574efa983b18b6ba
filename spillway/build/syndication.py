"""What machines follow a shop by: sitemaps for search engines, a feed of what is new for readers."""

from collections.abc import Iterator, Sequence
from html import escape

from chalicelib.domain.product import Product
from chalicelib.storefront.theme import Shop

# The protocol takes 50,000 addresses and 50 MB in one file; addresses are never longer than 500 bytes.
SITEMAP_PATHS_MAX = 50_000
FEED_ENTRIES_MAX = 20
_SITEMAPS = "http://www.sitemaps.org/schemas/sitemap/0.9"
_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


def sitemaps(
    base_url: str, paths: Sequence[str], *, paths_max: int = SITEMAP_PATHS_MAX
) -> Iterator[tuple[str, str]]:
    """The files, by key, that name every path: one, or an index and as many as it takes."""
    parts = [paths[start : start + paths_max] for start in range(0, len(paths), paths_max)]
    if len(parts) <= 1:
        yield "sitemap.xml", _listed("urlset", "url", base_url, paths)
        return
    keys = [f"sitemap-{number}.xml" for number in range(1, len(parts) + 1)]
    yield "sitemap.xml", _listed("sitemapindex", "sitemap", base_url, [f"/{key}" for key in keys])
    for key, part in zip(keys, parts, strict=True):
        yield key, _listed("urlset", "url", base_url, part)


def feed(shop: Shop, newest: Sequence[Product]) -> str:
    """An Atom feed of products that say when they came, the newest first."""
    updated = _time(newest[0]) if newest else "1970-01-01T00:00:00Z"
    entries = "".join(
        f"<entry>\n<title>{escape(product.title)}</title>\n"
        f'<link href="{escape(shop.base_url + product.path)}"/>\n'
        f"<id>{escape(shop.base_url + product.path)}</id>\n<updated>{_time(product)}</updated>\n"
        f"<summary>{escape(product.summary)}</summary>\n</entry>\n"
        for product in newest
    )
    return (
        f'{_DECLARATION}<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="{escape(shop.locale)}">\n'
        f"<title>{escape(shop.name)}</title>\n<subtitle>{escape(shop.tagline)}</subtitle>\n"
        f'<link href="{escape(shop.base_url)}/"/>\n'
        f'<link rel="self" href="{escape(shop.base_url)}/feed.xml"/>\n'
        f"<id>{escape(shop.base_url)}/</id>\n<updated>{updated}</updated>\n"
        f"<author><name>{escape(shop.name)}</name></author>\n{entries}</feed>\n"
    )


def _listed(root: str, row: str, base_url: str, paths: Sequence[str]) -> str:
    rows = "".join(f"<{row}><loc>{escape(base_url + path)}</loc></{row}>\n" for path in paths)
    return f'{_DECLARATION}<{root} xmlns="{_SITEMAPS}">\n{rows}</{root}>\n'


def _time(product: Product) -> str:
    return f"{product.released_on}T00:00:00Z"

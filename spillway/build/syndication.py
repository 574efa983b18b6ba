"""What machines follow a shop by: sitemaps for search engines, a feed of what is new for readers."""

from collections.abc import Iterator, Sequence
from html import escape

from chalicelib.domain.product import Product
from chalicelib.storefront.theme import Edition

# The protocol takes 50,000 addresses and 50 MB in one file; addresses are never longer than 500 bytes.
SITEMAP_PATHS_MAX = 50_000
FEED_ENTRIES_MAX = 20
_SITEMAPS = "http://www.sitemaps.org/schemas/sitemap/0.9"
_XHTML = "http://www.w3.org/1999/xhtml"
_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


def sitemaps(
    base_url: str, paths: Sequence[str], editions: Sequence[Edition], *, paths_max: int = SITEMAP_PATHS_MAX
) -> Iterator[tuple[str, str]]:
    """The files, by key, that name every path in every edition: one, or an index and as many as it takes.

    A page of several editions names them all, itself included, as search engines want it.
    """
    rows = [
        _row("url", f"{base_url}{edition.at(path)}", _alternates(base_url, path, editions))
        for edition in editions
        for path in paths
    ]
    # Each edition makes every row longer: the files stay within the protocol's size all the same.
    rows_max = max(1, paths_max // len(editions))
    parts = [rows[start : start + rows_max] for start in range(0, len(rows), rows_max)]
    if len(parts) <= 1:
        yield "sitemap.xml", _listed("urlset", rows)
        return
    keys = [f"sitemap-{number}.xml" for number in range(1, len(parts) + 1)]
    yield "sitemap.xml", _listed("sitemapindex", [_row("sitemap", f"{base_url}/{key}") for key in keys])
    for key, part in zip(keys, parts, strict=True):
        yield key, _listed("urlset", part)


def feed(edition: Edition, newest: Sequence[Product]) -> str:
    """An Atom feed of products that say when they came, the newest first, in the words of an edition."""
    shop = edition.shop
    home, own = (f"{shop.base_url}{edition.at(path)}" for path in ("/", "/feed.xml"))
    addresses = [escape(f"{shop.base_url}{edition.at(product.path)}") for product in newest]
    updated = _time(newest[0]) if newest else "1970-01-01T00:00:00Z"
    entries = "".join(
        f"<entry>\n<title>{escape(product.title)}</title>\n"
        f'<link href="{address}"/>\n'
        f"<id>{address}</id>\n<updated>{_time(product)}</updated>\n"
        f"<summary>{escape(product.summary)}</summary>\n</entry>\n"
        for product, address in zip(newest, addresses, strict=True)
    )
    return (
        f'{_DECLARATION}<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="{escape(shop.locale)}">\n'
        f"<title>{escape(shop.name)}</title>\n<subtitle>{escape(shop.tagline)}</subtitle>\n"
        f'<link href="{escape(home)}"/>\n'
        f'<link rel="self" href="{escape(own)}"/>\n'
        f"<id>{escape(home)}</id>\n<updated>{updated}</updated>\n"
        f"<author><name>{escape(shop.name)}</name></author>\n{entries}</feed>\n"
    )


def _alternates(base_url: str, path: str, editions: Sequence[Edition]) -> str:
    if len(editions) == 1:
        return ""
    named = [(each.shop.locale, f"{base_url}{each.at(path)}") for each in editions]
    return "".join(
        f'<xhtml:link rel="alternate" hreflang="{locale}" href="{escape(address)}"/>'
        for locale, address in (*named, ("x-default", f"{base_url}{path}"))
    )


def _row(kind: str, address: str, alternates: str = "") -> str:
    return f"<{kind}><loc>{escape(address)}</loc>{alternates}</{kind}>\n"


def _listed(root: str, rows: Sequence[str]) -> str:
    others = f' xmlns:xhtml="{_XHTML}"' if rows and "<xhtml:" in rows[0] else ""
    return f'{_DECLARATION}<{root} xmlns="{_SITEMAPS}"{others}>\n{"".join(rows)}</{root}>\n'


def _time(product: Product) -> str:
    return f"{product.released_on}T00:00:00Z"

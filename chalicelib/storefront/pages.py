"""How a page is kept: under the very path a shopper types, so that nothing rewrites or redirects."""

PAGE_CONTENT_TYPE = "text/html; charset=utf-8"

# A browser asks again every time (304 when nothing changed): whoever follows the letter "it is back"
# must not meet the sold-out page they saw an hour ago. The CDN shields the bucket for a minute, and
# is told at once when a page turns.
PAGE_CACHE_CONTROL = "public, max-age=0, s-maxage=60"


def object_key(path: str) -> str:
    """The key of the page at `path`: "/products/scarf" is kept as "products/scarf", "/" as "index.html"."""
    return path.removeprefix("/") or "index.html"

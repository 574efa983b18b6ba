"""The addresses of a release: pages and files that every shop has, and old addresses that redirect."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Set

from spillway.sitegen.reading.redirects import Redirect, page_of

# Pages that show nothing of the catalogue, by path.
FIXED_PAGES = {
    "/waitlist/thanks": "waitlist-thanks.html",
    "/waitlist/confirmed": "waitlist-confirmed.html",
    "/waitlist/unsubscribed": "waitlist-unsubscribed.html",
    "/waitlist/notified": "waitlist-notified.html",
    "/waitlist/undone": "waitlist-undone.html",
    "/waitlist/my-waitlists": "waitlist-my-waitlists.html",
    "/waitlist/sent": "waitlist-sent.html",
    "/waitlist/erased": "waitlist-erased.html",
    "/merchant/sent": "merchant-sent.html",
}
# The merchant's page, under its address with a slash at the end; without it, an address that leads there.
MERCHANT_PATH = "/merchant/"
# The one page without a URL of its own, and so in the first language only.
NOT_FOUND_PATH = "/404"
SEARCH_PATH = "/search"
INDEX_PATH = "/search.json"
FEED_PATH = "/feed.xml"
REDIRECTS_FOLDER = "_redirects"

_ALWAYS_THERE = frozenset(
    {"", "/index.html", "/shop/all", "/robots.txt", MERCHANT_PATH.rstrip("/"), NOT_FOUND_PATH}
    | {SEARCH_PATH, INDEX_PATH, FEED_PATH, *FIXED_PAGES}
)
# A large shop has several; the pages of tags depend on the products.
_MAYBE_THERE = re.compile(r"/sitemap(-\d+)?\.xml|/tags/.*")
# The further pages of a listing.
_NUMBER = re.compile(r"_\d+\Z")
# Paths of the pages that every edition has.
_OWN_KINDS = ("/products/", "/shop/")


def page_at(path: str, pages: Set[str], roots: Iterable[str]) -> str:
    """Return the path of the page or file that a shop has, or may get, at `path`; empty for none.

    Args:
        path: A decoded path without a slash at the end.
        pages: The paths of the shop's products, categories and pages of words in its first edition.
        roots: The roots of its further editions, such as "/de".

    Returns:
        The path in the first edition.
    """
    root = next((root for root in roots if f"{path}/".startswith(f"{root}/")), "")
    bare = path.removeprefix(root)
    if bare in pages or bare in _ALWAYS_THERE or _MAYBE_THERE.fullmatch(bare):
        return bare or "/"
    first = _NUMBER.sub("", bare)
    return bare if first in pages or first in _ALWAYS_THERE else ""


def redirect_file(key: str) -> str:
    """Return the file in the build's folder for the page that redirects from `key`.

    The name is a digest: a key may be below that of a page, or longer than the name of a file may be.
    """
    return f"{REDIRECTS_FOLDER}/{hashlib.sha256(key.encode()).hexdigest()[:32]}.html"


def redirects_of_editions(
    redirects: tuple[Redirect, ...], roots: tuple[str, ...], keys: Set[str]
) -> Iterator[tuple[str, Redirect]]:
    """Yield every redirect with the root of the edition whose language its page is in.

    An old address under /products/ or /shop/ redirects in every edition.

    Args:
        redirects: the redirects of the file.
        roots: the root of each edition.
        keys: the S3 keys of the pages.
    """
    given = {redirect.source for redirect in redirects}
    for redirect in redirects:
        yield _root_of(redirect.target, roots), redirect
        if redirect.source.startswith(_OWN_KINDS) and redirect.target.startswith("/"):
            for root in roots:
                source, target = f"{root}{redirect.source}", f"{root}{redirect.target}"
                there = page_of(target)[1:] in keys
                if root and there and source not in given and source[1:] not in keys:
                    yield root, Redirect(source, target)


def _root_of(target: str, roots: tuple[str, ...]) -> str:
    return next((root for root in roots if root and f"{target}/".startswith(f"{root}/")), "")

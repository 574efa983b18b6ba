"""Read the locale of a page from its path, as each locale but the first has a root of its own.

The root of German pages is "/de", that of the shop's first locale is empty. A signup needs the root and
nothing of products: this module keeps their classes out of the cold start.
"""

import re

_SLUG = r"[a-z]{2,3}(?:-[a-z0-9]{2,8})*"
_ROOT = re.compile(rf"(/{_SLUG})/(?:products|shop|waitlist|merchant)/", re.ASCII)
_ASKED = re.compile(_SLUG, re.ASCII)
SLUG_CHARS_MAX = 20


def slug_of_locale(locale: str) -> str:
    """Return the name of a locale in addresses: "de-at" for "de-AT"."""
    return locale.lower()


def root_of(path: str) -> str:
    """Return the root of the path of a product, a listing, or a page of the waitlist or the merchant."""
    found = _ROOT.match(path)
    return found[1] if found else ""


def requested_root_of(slug: str) -> str:
    """Return the root of the locale with a slug; empty for a text that is no slug."""
    return f"/{slug}" if len(slug) <= SLUG_CHARS_MAX and _ASKED.fullmatch(slug) else ""

"""Which of a shop's languages an address is about: a locale other than the first has a root of its own.

The root of German pages is "/de", that of the shop's first locale is empty. Folders of the shop are
few, so a path says where its root ends, and whoever has only the path needs to ask nobody.
"""

import re

_SLUG = r"[a-z]{2,3}(?:-[a-z0-9]{2,8})*"
_ROOT = re.compile(rf"(/{_SLUG})/(?:products|shop|waitlist)/", re.ASCII)
_ASKED = re.compile(_SLUG, re.ASCII)
SLUG_CHARS_MAX = 20


def slug_of_locale(locale: str) -> str:
    """What stands in an address for a locale: "de-at" for "de-AT"."""
    return locale.lower()


def root_of(path: str) -> str:
    """The root that a product, a listing or a page of the waitlist lies under."""
    found = _ROOT.match(path)
    return found[1] if found else ""


def root_asked_for(slug: str) -> str:
    """The root of the locale that an address names by its slug; empty for what is no slug."""
    return f"/{slug}" if len(slug) <= SLUG_CHARS_MAX and _ASKED.fullmatch(slug) else ""

"""Names that become part of an address."""

import re

_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
_SLUG_LENGTH_MAX = 80
# What the shop's own parts answer at, or what a server takes for something else.
_RESERVED = frozenset(
    {"404", "admin", "all", "api", "assets", "index", "pictures", "products", "robots", "shop"}
    | {"sitemap", "waitlist"}
)
SLUG_EXPECTED = f"a-z, 0-9 and single hyphens, at most {_SLUG_LENGTH_MAX} characters"


def slug_problem(slug: object) -> str | None:
    """What was expected instead of `slug`; None when it is one."""
    if not isinstance(slug, str) or len(slug) > _SLUG_LENGTH_MAX or not _SLUG.fullmatch(slug):
        return SLUG_EXPECTED
    if slug in _RESERVED:
        return f"another name: {slug} is taken by the shop itself"
    return None

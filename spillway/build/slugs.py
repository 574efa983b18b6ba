"""Names that become part of an address."""

import re
import unicodedata

_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
SLUG_LENGTH_MAX = 255
# What the shop's own parts answer at, or what a server takes for something else.
_RESERVED = frozenset(
    {"404", "admin", "all", "api", "assets", "index", "pictures", "products", "robots", "shop"}
    | {"search", "sitemap", "tags", "waitlist"}
)
SLUG_EXPECTED = f"a-z, 0-9 and single hyphens, at most {SLUG_LENGTH_MAX} characters"

# Letters that fall apart into none of a to z.
_LETTERS = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d"}
)


def slug_problem(slug: object) -> str | None:
    """What was expected instead of `slug`; None when it is one."""
    if not isinstance(slug, str) or len(slug) > SLUG_LENGTH_MAX or not _SLUG.fullmatch(slug):
        return SLUG_EXPECTED
    if slug in _RESERVED:
        return f"another name: {slug} is taken by the shop itself"
    return None


def latin(text: str) -> str:
    """The letters a to z and the digits of a text, in their own case, with a hyphen between its words."""
    plain = unicodedata.normalize("NFKD", text.translate(_LETTERS)).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9]+", "-", plain).strip("-")

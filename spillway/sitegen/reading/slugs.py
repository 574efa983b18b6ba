"""Derive the names that become part of an address: slugs, file stems and tags' paths."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from anyascii import anyascii

from spillway.sitegen.reading.catalogue import ProductRow

_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
SLUG_LENGTH_MAX = 255
# Far above what a shop has. A bound on the pages and sitemap entries that an error can make.
CATEGORIES_MAX = 1000
# With a width and a digest, a name stays below the 255 bytes that file systems accept.
_STEM_LENGTH_MAX = 60
# Paths of the shop itself, and names that a server treats specially.
_RESERVED = frozenset(
    {"404", "admin", "all", "api", "assets", "index", "pictures", "products", "robots", "shop"}
    | {"merchant", "search", "sitemap", "tags", "waitlist"}
)
SLUG_EXPECTED = f"a-z, 0-9 and single hyphens, at most {SLUG_LENGTH_MAX} characters"

_DIGEST_LENGTH = 8
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_NO_LETTERS = re.compile(r"[^A-Za-z0-9]+")
# Separate the words of a name. Any other sign is part of a word: "$5" is not "5".
_SEPARATORS = re.compile(r"[\s_/.,;:'\"()\[\]{}&!?|\\\u2010-\u2015\u2018\u2019\u201c\u201d\u2026-]+")
# Marks on a Latin letter: "É" and "E" are one letter in an address.
_ACCENTS = re.compile(r"(?<=[a-z])[\u0300-\u036f]+")
_APOSTROPHES = str.maketrans("\u2018\u2019", "''")
# Signs that people read as words.
_SIGN_WORDS = ((re.compile(r"(?<=[A-Za-z0-9+])\s*\+"), "-plus-"), (re.compile(r"(?<=[A-Za-z])#"), "-sharp-"))


def slug_problem(slug: object) -> str | None:
    """Return what was expected instead of `slug`, None when it is valid."""
    if not isinstance(slug, str) or len(slug) > SLUG_LENGTH_MAX or not _SLUG.fullmatch(slug):
        suggested = f", such as {base_slug(slug)}" if slug and isinstance(slug, str) else ""
        return f"{SLUG_EXPECTED}{suggested}"
    if slug in _RESERVED:
        return f"another name: {slug} is taken by the shop itself"
    return None


def latin(text: str) -> str:
    """Write a text in Latin letters and digits, with a hyphen between its words; case stays.

    Other scripts are transliterated; "+" and "#" after a letter become words: "C#" is "C-sharp".
    """
    plain = text
    if not text.isascii():
        plain = unicodedata.normalize("NFKC", text).translate(_APOSTROPHES)
        plain = _NOT_ASCII.sub(_transliterated, plain)
    for sign, word in _SIGN_WORDS:
        plain = sign.sub(word, plain)
    return _NO_LETTERS.sub("-", plain).strip("-")


def base_slug(text: str, *, length_max: int = SLUG_LENGTH_MAX) -> str:
    """Derive the slug of `text` alone. Two texts may have the same one; see `distinct_slugs`.

    Returns:
        A slug of at most `length_max` characters. Where the slug cannot hold the whole text, or the text has
        no letter to write, it ends with a digest of the text.
    """
    slug = latin(text).lower()
    if slug and len(slug) <= length_max:
        return slug
    return with_digest(slug, text, length_max=length_max)


def with_digest(slug: str, of: str, *, length_max: int = SLUG_LENGTH_MAX) -> str:
    """Append a digest of `of`, which the slug stands for, so that it differs from equal slugs."""
    digest = hashlib.sha256(unicodedata.normalize("NFC", of).encode()).hexdigest()[:_DIGEST_LENGTH]
    return f"{slug[: length_max - _DIGEST_LENGTH - 1].strip('-')}-{digest}".strip("-")


def distinct_slugs(texts: Mapping[str, str], *, length_max: int = SLUG_LENGTH_MAX) -> dict[str, str]:
    """Derive distinct slugs, the same ones in any order of `texts`.

    Args:
        texts: the text that each slug is derived from, by the id of the item it names.
        length_max: in characters.

    Returns:
        The slug of each item by its id. Where several items would have one slug, the item whose id is that
        slug keeps it, and the slugs of the others end with a digest of their id.
    """
    wanted = {item: base_slug(text, length_max=length_max) for item, text in texts.items()}
    by_slug: dict[str, list[str]] = {}
    for item, slug in wanted.items():
        by_slug.setdefault(slug, []).append(item)
    return {
        item: slug
        if len(by_slug[slug]) == 1 or item == slug
        else with_digest(slug, item, length_max=length_max)
        for item, slug in wanted.items()
    }


def folded(text: str) -> str:
    """Reduce a name to a key that its spellings share.

    Case, accents of Latin letters and the separators of words are dropped. Letters of other scripts, and
    signs such as "#", stay.
    """
    plain = unicodedata.normalize("NFKD", text).casefold()
    words = _SEPARATORS.sub("-", unicodedata.normalize("NFC", _ACCENTS.sub("", plain))).strip("-")
    return words or text


def _transliterated(found: re.Match[str]) -> str:
    # A soft sign is no apostrophe: "Обувь" is one word.
    return anyascii(found[0]).replace("'", "")


def safe_stem(name: str) -> str:
    """Return the stem of a file's name in signs that need no encoding in HTML, `srcset`, JSON or an S3 key.

    Two files may have the same stem: their names differ by the digest that follows it.
    """
    return latin(name.rpartition(".")[0] or name)[:_STEM_LENGTH_MAX].strip("-") or "picture"


# A tag of one product alone links to no other product.
PRODUCTS_OF_TAG_MIN = 2
_SLUG_LENGTH_MAX = 80


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag: the name that pages show, and every spelling that products use."""

    name: str
    path: str
    spellings: tuple[str, ...]


def tagged(products: Sequence[ProductRow]) -> Mapping[Tag, Sequence[ProductRow]]:
    """Return the products of each tag that several have, in the order of `products`; tags are sorted.

    "Waxed cotton" and "waxed-cotton" are spellings of one tag; "C", "C#" and "C++" are three.
    """
    rows: dict[str, list[ProductRow]] = {}
    spellings: dict[str, set[str]] = {}
    slugs = _slugs(row.tags for row in products)
    for tag, slug in slugs.items():
        spellings.setdefault(slug, set()).add(tag)
    for row in products:
        for slug in dict.fromkeys(slugs[tag] for tag in row.tags):
            rows.setdefault(slug, []).append(row)
    tags = (
        Tag(min(spellings[slug]), f"/tags/{slug}", tuple(sorted(spellings[slug])))
        for slug, found in rows.items()
        if len(found) >= PRODUCTS_OF_TAG_MIN
    )
    return {tag: rows[tag.path.removeprefix("/tags/")] for tag in sorted(tags, key=lambda tag: tag.path)}


def tag_paths(tags_of_products: Sequence[Sequence[str]]) -> frozenset[str]:
    """Return the paths of the pages that `tagged` gives products with these tags."""
    slugs = _slugs(tags_of_products)
    counts = Counter(slug for tags in tags_of_products for slug in {slugs[tag] for tag in tags})
    return frozenset(f"/tags/{slug}" for slug, count in counts.items() if count >= PRODUCTS_OF_TAG_MIN)


def _slugs(tags_of_products: Iterable[Iterable[str]]) -> dict[str, str]:
    """Return the slug of each tag; the spellings of one tag share it."""
    names = {tag: folded(tag) for tag in {tag for tags in tags_of_products for tag in tags}}
    addresses = distinct_slugs({name: name for name in names.values()}, length_max=_SLUG_LENGTH_MAX)
    return {tag: addresses[name] for tag, name in names.items()}

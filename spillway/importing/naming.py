"""Names that the shop can use, made from names that other systems could: stable, so that a second
import makes the same ones."""

import hashlib

from spillway.build.slugs import latin, slug_problem

_SLUG_LENGTH_MAX = 80
_SKU_LENGTH_MAX = 40


def slug_of(text: str) -> str:
    """The slug of a handle or a title; one made of a digest where there is no Latin letter in it."""
    slug = latin(text).lower()[:_SLUG_LENGTH_MAX].strip("-")
    if not slug:
        return f"product-{_digest(text).lower()}"
    return slug if slug_problem(slug) is None else f"{slug[: _SLUG_LENGTH_MAX - 3].strip('-')}-1"


def sku_of(sku: str, *, slug: str, label: str) -> str:
    """The SKU as the shop writes one; a variant that has none gets one by its product and its options."""
    made = latin(sku).upper()
    if not made:
        made = latin(f"{slug} {label}").upper()
    return made if len(made) <= _SKU_LENGTH_MAX else with_digest(made[:_SKU_LENGTH_MAX], sku or slug + label)


def with_digest(name: str, of: str) -> str:
    """`name`, told apart from its likes by a digest of what it stands for."""
    return f"{name[: _SKU_LENGTH_MAX - 7].strip('-')}-{_digest(of)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:6].upper()

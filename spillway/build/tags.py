"""Tags: words that products have in common, each with a page of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spillway.build.catalogue import ProductRow
from spillway.build.memory import digest_of
from spillway.build.slugs import latin

# What only one product has leads nowhere new.
_PRODUCTS_MIN = 2
_SLUG_LENGTH_MAX = 80


@dataclass(frozen=True, slots=True)
class Tag:
    """A tag by its name as it is shown, and in every spelling that products have of it."""

    name: str
    path: str
    spellings: tuple[str, ...]


def tagged(shelf: Sequence[ProductRow]) -> Mapping[Tag, Sequence[ProductRow]]:
    """The products of each tag that several have, in the order of the shelf; tags by their names.

    "Waxed cotton" and "waxed-cotton" are one tag: they would have one address.
    """
    rows: dict[str, list[ProductRow]] = {}
    spellings: dict[str, set[str]] = {}
    slugs = {tag: _slug_of(tag) for tag in {tag for row in shelf for tag in row.tags}}
    for tag, slug in slugs.items():
        spellings.setdefault(slug, set()).add(tag)
    for row in shelf:
        for slug in dict.fromkeys(slugs[tag] for tag in row.tags):
            rows.setdefault(slug, []).append(row)
    tags = (
        Tag(min(spellings[slug]), f"/tags/{slug}", tuple(sorted(spellings[slug])))
        for slug, found in rows.items()
        if len(found) >= _PRODUCTS_MIN
    )
    return {tag: rows[tag.path.removeprefix("/tags/")] for tag in sorted(tags, key=lambda tag: tag.path)}


def _slug_of(tag: str) -> str:
    """A tag's part of an address; a digest where it has no Latin letter, or more than an address takes."""
    slug = latin(tag).lower()
    if len(slug) > _SLUG_LENGTH_MAX:
        return f"{slug[:_SLUG_LENGTH_MAX].strip('-')}-{digest_of(slug)[:10]}"
    return slug or digest_of(tag)[:10]

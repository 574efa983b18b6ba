"""Tags: words that products have in common, each with a page of its own."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from spillway.sitegen.catalogue import ProductRow
from spillway.sitegen.slugs import distinct_slugs, folded

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

    "Waxed cotton" and "waxed-cotton" are spellings of one tag; "C", "C#" and "C++" are three.
    """
    rows: dict[str, list[ProductRow]] = {}
    spellings: dict[str, set[str]] = {}
    slugs = _slugs(row.tags for row in shelf)
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


def tag_paths(tags_of_products: Sequence[Sequence[str]]) -> frozenset[str]:
    """Return the paths of the pages that `tagged` gives products with these tags."""
    slugs = _slugs(tags_of_products)
    counts = Counter(slug for tags in tags_of_products for slug in {slugs[tag] for tag in tags})
    return frozenset(f"/tags/{slug}" for slug, count in counts.items() if count >= _PRODUCTS_MIN)


def _slugs(tags_of_products: Iterable[Iterable[str]]) -> dict[str, str]:
    """The slug of each tag; spellings of one tag have one."""
    names = {tag: folded(tag) for tag in {tag for tags in tags_of_products for tag in tags}}
    addresses = distinct_slugs({name: name for name in names.values()}, length_max=_SLUG_LENGTH_MAX)
    return {tag: addresses[name] for tag, name in names.items()}

"""The products that a product's page shows below it: "You may also like".

They come from the same category, and have tags and a price like its own. The choice depends on the catalogue
alone: a stock event changes no page but those that show its stock. A changed price or tag changes the choice
of a few neighbours in price, so that a build renders few pages again.
"""

from collections.abc import Iterable, Iterator, Sequence

from chalicelib.domain.ids import Slug
from spillway.sitegen.reading.catalogue import ProductRow

RELATED_MAX = 4
# One card below a page looks lost.
RELATED_MIN = 2
# In the order of prices, these many of a category on either side are compared by their tags.
_NEIGHBOURS = 4
# A product is shown by none that has more offered ones between them.
RELATED_REACH = _NEIGHBOURS + 2


def related_of(rows: Iterable[ProductRow]) -> dict[Slug, tuple[Slug, ...]]:
    """Return `RELATED_MIN` to `RELATED_MAX` products for each product that has so many, the best first."""
    return {
        row.slug: tuple(other.slug for other in found)
        for category in _by_category(rows)
        for row, found in _of_category(category)
        if len(found) >= RELATED_MIN
    }


def by_likeness(rows: Iterable[ProductRow]) -> list[ProductRow]:
    """Return products so that those which show each other stand near each other."""
    return sorted(rows, key=lambda row: (row.category, row.price_minor, row.slug))


def _by_category(rows: Iterable[ProductRow]) -> Iterator[Sequence[ProductRow]]:
    """Yield the products of each main category in the order of prices."""
    found: dict[str, list[ProductRow]] = {}
    for row in by_likeness(rows):
        found.setdefault(row.category, []).append(row)
    yield from found.values()


def _of_category(rows: Sequence[ProductRow]) -> Iterator[tuple[ProductRow, Sequence[ProductRow]]]:
    """Yield each product with the others that suit it."""
    offered = [(frozenset(row.tags), row) for row in rows if not row.is_discontinued]
    after = 0  # how many of the offered products stand before this one, itself included
    for row in rows:
        after += not row.is_discontinued
        near = offered[max(0, after - 1 - _NEIGHBOURS) : after + _NEIGHBOURS]
        suited = sorted(
            (-len(tags.intersection(row.tags)), abs(other.price_minor - row.price_minor), other.slug, other)
            for tags, other in near
            if other is not row
        )
        yield row, [other for *_, other in suited[:RELATED_MAX]]

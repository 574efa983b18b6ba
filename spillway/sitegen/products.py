"""The products of a release with their pictures in place, each unpacked only when it is asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import overload

from chalicelib.domain.product import Picture, PictureSource
from spillway.sitegen.build_cache import digest_of
from spillway.sitegen.catalogue import CatalogueProduct, ProductRow, SourceImage
from spillway.sitegen.gallery import ImageVariant

Renditions = Mapping[str, Sequence[ImageVariant]]


class Products(Sequence[CatalogueProduct]):
    """In the order of their slugs. `renditions` are those of every picture that can be shown, by its name."""

    def __init__(self, rows: Sequence[ProductRow], pictures: Path, renditions: Renditions) -> None:
        self._rows = {row.slug: row for row in rows}
        self._slugs = tuple(self._rows)
        self._pictures = pictures
        self._renditions = renditions

    def __len__(self) -> int:
        return len(self._slugs)

    @overload
    def __getitem__(self, index: int) -> CatalogueProduct: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[CatalogueProduct]: ...
    def __getitem__(self, index: int | slice) -> CatalogueProduct | Sequence[CatalogueProduct]:
        if isinstance(index, slice):
            return [self.named(slug) for slug in self._slugs[index]]
        return self.named(self._slugs[index])

    @property
    def slugs(self) -> tuple[str, ...]:
        """Every slug, in order."""
        return self._slugs

    @property
    def rows(self) -> tuple[ProductRow, ...]:
        """Every product, packed."""
        return tuple(self._rows.values())

    @property
    def renditions(self) -> Renditions:
        """Those of every picture, by its name."""
        return self._renditions

    def named(self, slug: str) -> CatalogueProduct:
        """The product of that slug.

        Raises:
            KeyError: there is none.
        """
        entry = self._rows[slug].open(self._pictures)
        pictures = tuple(
            placed(shot, self._renditions[shot.file.name])
            for shot in entry.shots
            if shot.file.name in self._renditions
        )
        return replace(entry, product=replace(entry.product, pictures=pictures))

    def digest(self, slug: str) -> str:
        """Changes with anything known of the product, its pictures included."""
        row = self._rows[slug]
        if not row.shots:
            return row.digest
        made = [each.name for name in row.shots for each in self._renditions.get(name, ())]
        return digest_of(row.digest, made)

    def has_pictures(self, row: ProductRow) -> bool:
        """Say whether there is a picture of the product to show."""
        return any(name in self._renditions for name in row.shots)


def placed(shot: SourceImage, renditions: Sequence[ImageVariant]) -> Picture:
    """The picture of a page: the last encoding is for those who know none of the others."""
    by_type: dict[str, list[ImageVariant]] = {}
    for rendition in renditions:
        by_type.setdefault(rendition.media_type, []).append(rendition)
    *better, fallback = by_type.items()
    largest = fallback[1][-1]
    return Picture(
        url=f"/pictures/{largest.name}",
        width=largest.width,
        height=largest.height,
        alt=shot.alt,
        sources=tuple(
            PictureSource(media_type, tuple((f"/pictures/{each.name}", each.width) for each in same_type))
            for media_type, same_type in better
        ),
        options=shot.options,
        blur=largest.blur,
    )

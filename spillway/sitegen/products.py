"""The products of a release with their pictures in place, each unpacked only when it is asked for."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import overload

from chalicelib.domain.product import Picture, PictureSource
from spillway.sitegen.build_cache import BuildCache, digest_of
from spillway.sitegen.file_stat import Signature, is_settled, signature_of
from spillway.sitegen.reading.catalogue import PICTURE_EXPECTED, CatalogueProduct, ProductRow, SourceImage


@dataclass(frozen=True, slots=True)
class ImageVariant:
    """One file made from a master. `name` changes whenever its bytes do. `blur` is a few pixels of it, as an
    address to show until the file has come; only one rendition of a master needs it."""

    name: str
    media_type: str
    width: int
    height: int
    sha256: str
    file: Path
    blur: str = ""


@dataclass(frozen=True, slots=True)
class Developed:
    """The outcome of developing a master.

    `notes` are sentences about what a merchant would not expect of it; `problem`
    says what was expected of one that cannot be decoded and has no renditions."""

    renditions: tuple[ImageVariant, ...] = ()
    notes: tuple[str, ...] = ()
    problem: str | None = None


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


class Gallery:
    """The pictures of one shop. `cache` keeps what was made of them."""

    def __init__(self, folder: Path, cache: Path, memory: BuildCache) -> None:
        self._folder = folder
        self._cache = cache
        self._memory = memory

    def problem(self, name: str) -> str | None:
        """What was expected instead of the picture `name`; None when it can be shown."""
        signature = self._signature(name) if Path(name).name == name else None
        if signature is None:
            return PICTURE_EXPECTED
        key = f"picture problem {name}"
        known = self._memory.get(key)
        if known is None or known[0] != signature:
            from spillway.sitegen.reading.picture_file import picture_problem

            known = (signature, picture_problem(self._folder, self._file(name).name))
        if is_settled(signature):
            self._memory.note(key, known)
        problem: str | None = known[1]
        return problem

    def develop(self, names: Iterable[str]) -> Mapping[str, Developed]:
        """Return the outcome for each picture, best encoding first and narrowest first within it."""
        developed: dict[str, Developed] = {}
        signatures = {name: signature_of(self._file(name)) for name in sorted(names)}
        for name, signature in signatures.items():
            known = self._memory.get(f"picture {name}")
            if known and known[0] == signature and all(each.file.is_file() for each in known[1].renditions):
                developed[name] = known[1]
        new = {name: self._file(name) for name in signatures if name not in developed}
        if new:
            from spillway.sitegen.pictures import Darkroom

            made = Darkroom(self._cache).develop(new.values())
            developed |= {name: made[file] for name, file in new.items()}
        for name, signature in signatures.items():
            if is_settled(signature) and not developed[name].problem:
                self._memory.note(f"picture {name}", (signature, developed[name]))
        return developed

    def _signature(self, name: str) -> Signature | None:
        try:
            return signature_of(self._file(name))
        except (OSError, ValueError):
            return None

    def _file(self, name: str) -> Path:
        """Return the file of a name. Systems write the same accents in two ways (Unicode's NFC and NFD)."""
        file = self._folder / name
        if name.isascii() or file.exists():
            return file
        return self._folder / self._by_emails.get(unicodedata.normalize("NFC", name), name)

    @cached_property
    def _by_emails(self) -> Mapping[str, str]:
        try:
            return {
                unicodedata.normalize("NFC", each): each
                for each in sorted(file.name for file in self._folder.iterdir())
            }
        except OSError:
            return {}

"""The products of a release, with their processed pictures."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import overload

from chalicelib.domain.ids import Slug
from chalicelib.domain.product import Picture, PictureSource
from spillway.sitegen.cache import BuildCache, Signature, digest_of, is_settled, signature_of
from spillway.sitegen.reading.catalogue import PICTURE_EXPECTED, CatalogueProduct, ProductRow, SourceImage
from spillway.sitegen.reading.did_you_mean import did_you_mean_file
from spillway.sitegen.reading.text_file import link_problem

# Each compares a name with those of all files: thousands of missing pictures are a missing folder.
_HINTS_MAX = 20


@dataclass(frozen=True, slots=True)
class ImageVariant:
    """One image file made from a merchant's picture.

    `name` changes whenever the bytes do. `blur` is a data URL of a few pixels, shown until the file has
    loaded; only the variant that a page falls back to has one.
    """

    name: str
    media_type: str
    width: int
    height: int
    sha256: str
    file: Path
    blur: str = ""


@dataclass(frozen=True, slots=True)
class ProcessedPicture:
    """The image variants made of one picture.

    `notes` are sentences about what a merchant would not expect of the result; `problem` is what was
    expected instead of a file that cannot be decoded, which has no variants.
    """

    variants: tuple[ImageVariant, ...] = ()
    notes: tuple[str, ...] = ()
    problem: str | None = None


ImageVariants = Mapping[str, Sequence[ImageVariant]]


class Products(Sequence[CatalogueProduct]):
    """The products in the order of their slugs, each unpacked when it is first needed.

    `image_variants` are the image variants of each picture that can be shown, by its file name; `related` are
    the products that a product's page shows, by its slug.
    """

    def __init__(
        self,
        rows: Sequence[ProductRow],
        pictures: Path,
        image_variants: ImageVariants,
        *,
        related: Mapping[Slug, tuple[Slug, ...]],
    ) -> None:
        self._rows = {row.slug: row for row in rows}
        self._slugs = tuple(self._rows)
        self._pictures = pictures
        self._image_variants = image_variants
        self._related = related

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
    def slugs(self) -> tuple[Slug, ...]:
        """The slug of each product, in order."""
        return self._slugs

    @property
    def rows(self) -> tuple[ProductRow, ...]:
        """The row of each product, in the order of slugs."""
        return tuple(self._rows.values())

    @property
    def image_variants(self) -> ImageVariants:
        """The image variants of each picture, by its file name."""
        return self._image_variants

    def named(self, slug: Slug) -> CatalogueProduct:
        """Return the product with this slug, its pictures in place.

        Raises:
            KeyError: there is no such product.
        """
        row = self._rows[slug]
        return row.unpack(self._pictures, picture_of=self._picture_of, related=self.related(slug))

    def _picture_of(self, image: SourceImage) -> Picture | None:
        variants = self._image_variants.get(image.file.name)
        return None if variants is None else picture_of(image, variants)

    def related(self, slug: Slug) -> tuple[Slug, ...]:
        """Return the products that the page of this one shows below it."""
        return self._related.get(slug, ())

    def digest(self, slug: Slug) -> str:
        """Return a digest that changes with the product and the image variants of its pictures."""
        row = self._rows[slug]
        if not row.image_names:
            return row.digest
        made = [variant.name for name in row.image_names for variant in self._image_variants.get(name, ())]
        return digest_of(row.digest, made)

    def thumbnail(self, row: ProductRow) -> str | None:
        """Return the name of the smallest file of the product's first picture; None without a picture."""
        for name in row.image_names:
            if variants := self._image_variants.get(name):
                narrowest, *_, widest = (*variants, variants[-1])
                return (narrowest if narrowest.media_type != widest.media_type else widest).name
        return None

    def has_pictures(self, row: ProductRow) -> bool:
        """Return whether a page can show a picture of the product."""
        return any(name in self._image_variants for name in row.image_names)


def picture_of(image: SourceImage, variants: Sequence[ImageVariant]) -> Picture:
    """Return the picture that a page shows; browsers that know no better encoding use the last one."""
    by_type: dict[str, list[ImageVariant]] = {}
    for variant in variants:
        by_type.setdefault(variant.media_type, []).append(variant)
    *better, fallback = by_type.items()
    largest = fallback[1][-1]
    return Picture(
        url=f"/pictures/{largest.name}",
        width=largest.width,
        height=largest.height,
        alt=image.alt,
        sources=tuple(
            PictureSource(media_type, tuple((f"/pictures/{file.name}", file.width) for file in same_type))
            for media_type, same_type in better
        ),
        options=image.options,
        blur=largest.blur,
    )


def _is_kept(made: ImageVariant) -> bool:
    """Return whether the cache has the file of a variant; an empty one is no picture."""
    try:
        return made.file.stat().st_size > 0
    except FileNotFoundError:
        return False


class MerchantPictures:
    """The pictures of one shop.

    A picture that an earlier build judged and processed is recognised by its file's signature, so that a
    build in which no picture changed loads no picture library. `variants_cache` is the folder that keeps
    image variants, and `cache` has the results of earlier builds.
    """

    def __init__(self, folder: Path, variants_cache: Path, cache: BuildCache) -> None:
        self._folder = folder
        self._variants_cache = variants_cache
        self._cache = cache
        self._hints_left = _HINTS_MAX

    def problem(self, name: str) -> str | None:
        """Return what was expected instead of the picture `name`, None when it can be shown."""
        signature = self._signature(name) if Path(name).name == name else None
        if signature is None:
            broken = link_problem(str(self._folder / name))
            return f"{PICTURE_EXPECTED}{f', not {broken}' if broken else self._hint(name)}"
        key = f"picture problem {name}"
        known = self._cache.get(key)
        if known is None or known[0] != signature:
            from spillway.sitegen.pictures import header_problem

            known = (signature, header_problem(self._folder, self._file(name).name))
        if is_settled(signature):
            self._cache.set(key, known)
        problem: str | None = known[1]
        return problem

    def process(self, names: Iterable[str]) -> Mapping[str, ProcessedPicture]:
        """Return the image variants of each picture, best encoding first and narrowest first within it."""
        processed: dict[str, ProcessedPicture] = {}
        signatures = {name: signature_of(self._file(name)) for name in sorted(names)}
        for name, signature in signatures.items():
            known = self._cache.get(f"picture {name}")
            if known and known[0] == signature and all(map(_is_kept, known[1].variants)):
                processed[name] = known[1]
        new = {name: self._file(name) for name in signatures if name not in processed}
        if new:
            from spillway.sitegen.pictures import make_variants

            made = make_variants(new.values(), self._variants_cache)
            processed |= {name: made[file] for name, file in new.items()}
        for name, signature in signatures.items():
            if is_settled(signature) and not processed[name].problem:
                self._cache.set(f"picture {name}", (signature, processed[name]))
        # In an order that does not depend on earlier builds: the release is named by it, too.
        return {name: processed[name] for name in signatures}

    def _signature(self, name: str) -> Signature | None:
        try:
            return signature_of(self._file(name))
        except (OSError, ValueError):
            return None

    def _hint(self, name: str) -> str:
        """Return a question with the name of a file that is nearly called so; empty where there is none."""
        if not self._hints_left:
            return ""
        self._hints_left -= 1
        return did_you_mean_file(name, self._by_nfc_name)

    def _file(self, name: str) -> Path:
        """Return the file of a name in either Unicode form: systems write accents as NFC or as NFD."""
        file = self._folder / name
        if name.isascii() or file.exists():
            return file
        return self._folder / self._by_nfc_name.get(unicodedata.normalize("NFC", name), name)

    @cached_property
    def _by_nfc_name(self) -> Mapping[str, str]:
        try:
            return {
                unicodedata.normalize("NFC", name): name
                for name in sorted(file.name for file in self._folder.iterdir())
            }
        except OSError:
            return {}

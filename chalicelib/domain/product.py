"""A product as the catalogue knows it: what the shop says about it, never how many are left."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from chalicelib.domain.sku import sku_id


@dataclass(frozen=True, slots=True)
class PictureSource:
    """One encoding of a picture, in the widths it exists in.

    `candidates` are (url, width in pixels), narrowest first.
    """

    media_type: str
    candidates: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture ready for a page: best encodings first, `url` for those who know none of them. `blur` is a
    few pixels of it, as an address: what is shown until it comes."""

    url: str
    width: int
    height: int
    alt: str
    sources: tuple[PictureSource, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    blur: str = ""

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Picture":
        """The picture of a document made by `dataclasses.asdict`, after a round through JSON."""
        sources = tuple(
            PictureSource(source["media_type"], tuple((url, width) for url, width in source["candidates"]))
            for source in document["sources"]
        )
        return cls(**{**document, "sources": sources, "options": _pairs(document["options"])})


@dataclass(frozen=True, slots=True)
class Variant:
    """One purchasable choice. A shopper waits for a variant, not for a product."""

    sku: str
    price_minor: int
    options: tuple[tuple[str, str], ...] = ()

    @property
    def sku_id(self) -> str:
        """A name for the SKU that an HTML id and the fragment of an address can hold."""
        return sku_id(self.sku)

    @property
    def label(self) -> str:
        """What a person calls it: "Moss, M"; empty when there is nothing to choose."""
        return ", ".join(value for _, value in self.options)


@dataclass(frozen=True, slots=True)
class Translation:
    """What a product says in another locale than the shop's first. What is empty is said as there.

    `alts` are those of its pictures, in their order; `words` are names and values of options.
    """

    locale: str
    title: str = ""
    summary: str = ""
    description_html: str = ""
    details: tuple[tuple[str, str], ...] = ()
    alts: tuple[str, ...] = ()
    words: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Translation":
        """The translation of a document made by `dataclasses.asdict`, after a round through JSON."""
        pairs = {name: _pairs(document[name]) for name in ("details", "words")}
        return cls(**{**document, **pairs, "alts": tuple(document["alts"])})


@dataclass(frozen=True, slots=True)
class Product:
    """One page of the shop and the variants sold from it. Prices are in minor units (cents, pence)."""

    slug: str
    title: str
    summary: str
    description_html: str
    category: str
    pictures: tuple[Picture, ...]
    variants: tuple[Variant, ...]
    details: tuple[tuple[str, str], ...] = ()
    tags: tuple[str, ...] = ()
    released_on: str | None = None
    translations: tuple[Translation, ...] = ()

    @property
    def path(self) -> str:
        """The path a shopper types, and the object key it is stored under (without the slash)."""
        return f"/products/{self.slug}"

    @property
    def price_minor_min(self) -> int:
        """The price a card shows: that of the cheapest variant."""
        return min([variant.price_minor for variant in self.variants])

    @property
    def price_minor_max(self) -> int:
        """The price of the dearest variant."""
        return max([variant.price_minor for variant in self.variants])

    @property
    def skus(self) -> frozenset[str]:
        """What its variants are sold as."""
        return frozenset(variant.sku for variant in self.variants)

    def variant(self, sku: str) -> Variant:
        """The variant sold as `sku`.

        Raises:
            KeyError: no variant of this product has that SKU.
        """
        for variant in self.variants:
            if variant.sku == sku:
                return variant
        raise KeyError(sku)

    def picture_of(self, variant: Variant) -> Picture | None:
        """The first picture that shows what sets `variant` apart, or else the first there is."""
        for picture in self.pictures:
            if picture.options and set(picture.options) <= set(variant.options):
                return picture
        return self.pictures[0] if self.pictures else None

    def in_locale(self, locale: str, words: Mapping[str, str]) -> "Product":
        """The product as it is told in `locale`; `words` are the shop's own for names and values of
        options, where the product has none."""
        told = next((each for each in self.translations if each.locale == locale), Translation(locale))
        words = {**words, **dict(told.words)}
        alts = (*told.alts, *("" for _ in self.pictures))
        return replace(
            self,
            title=told.title or self.title,
            summary=told.summary or self.summary,
            description_html=told.description_html or self.description_html,
            details=told.details or self.details,
            pictures=tuple(
                replace(each, alt=alt or each.alt, options=_said(each.options, words))
                for each, alt in zip(self.pictures, alts, strict=False)
            ),
            variants=tuple(replace(each, options=_said(each.options, words)) for each in self.variants),
        )

    def to_document(self) -> dict[str, Any]:
        """A JSON-ready document; `from_document` gives the same product back."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Product":
        """The product of a document made by `to_document`, after a round through JSON."""
        return cls(
            **{
                **document,
                "pictures": tuple(Picture.from_document(picture) for picture in document["pictures"]),
                "variants": tuple(
                    Variant(**{**variant, "options": _pairs(variant["options"])})
                    for variant in document["variants"]
                ),
                "details": _pairs(document["details"]),
                "tags": tuple(document["tags"]),
                # A product that was published before shops had several languages has none.
                "translations": tuple(
                    Translation.from_document(each) for each in document.get("translations", ())
                ),
            }
        )


def _said(options: tuple[tuple[str, str], ...], words: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((words.get(name, name), words.get(value, value)) for name, value in options)


def _pairs(rows: Sequence[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in rows)

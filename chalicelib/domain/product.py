"""A product of the catalogue, without its stock."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from operator import itemgetter
from typing import Any
from urllib.parse import quote

from chalicelib.domain.ids import Sku, Slug, sku_id

_VALUE = itemgetter(1)


class ProductCondition(StrEnum):
    """The condition of a product, in the words of Google's product data specification."""

    NEW = "new"
    USED = "used"
    REFURBISHED = "refurbished"


class WhenSoldOut(StrEnum):
    """The availability of a variant from the moment a stock event counts none of it.

    They are schema.org's words, as in `chalicelib.domain.stock.Availability`; without one of them it is
    OutOfStock.
    """

    BACK_ORDER = "BackOrder"
    PRE_ORDER = "PreOrder"
    DISCONTINUED = "Discontinued"


@dataclass(frozen=True, slots=True)
class PictureSource:
    """One encoding of a picture, in the widths it exists in.

    `candidates` are (url, width in pixels), narrowest first.
    """

    media_type: str
    candidates: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture for a page: best encodings first, `url` for browsers that know none of them.

    `blur` is a few pixels of it in a data address, which a browser shows first.
    """

    url: str
    width: int
    height: int
    alt: str
    sources: tuple[PictureSource, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    blur: str = ""

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Picture":
        """Return the picture of a document made by `dataclasses.asdict`, after a round through JSON."""
        sources = tuple(
            PictureSource(source["media_type"], tuple((url, width) for url, width in source["candidates"]))
            for source in document["sources"]
        )
        return cls(**{**document, "sources": sources, "options": _pairs(document["options"])})


@dataclass(frozen=True, slots=True)
class Variant:
    """One purchasable choice. A shopper waits for a variant, not for a product.

    `compare_at_minor` is the former price of a variant on sale, above `price_minor`; both are in minor units
    (pence). `sale_ends_on` and `available_on` (when a pre-order or a back-order ships, or a variant that is
    coming soon goes on sale) are ISO 8601 dates, days on a calendar without a time zone.
    `gtin` has 8, 12, 13 or 14 digits, `weight_g` is in grams, `variant_id` is the checkout's own id;
    `checkout_url` replaces the checkout of the product or the shop, such as a payment link.
    """

    sku: Sku
    price_minor: int
    options: tuple[tuple[str, str], ...] = ()
    compare_at_minor: int | None = None
    sale_ends_on: str | None = None
    available_on: str | None = None
    when_sold_out: WhenSoldOut | None = None
    gtin: str | None = None
    mpn: str | None = None
    weight_g: int | None = None
    variant_id: str | None = None
    checkout_url: str | None = None

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Variant":
        """Return the variant of a document made by `to_document`, after a round through JSON."""
        variant = cls(**{**document, "options": _pairs(document["options"])})
        stated = variant.when_sold_out
        return replace(variant, when_sold_out=WhenSoldOut(stated)) if stated else variant

    def to_document(self) -> dict[str, Any]:
        """Return a JSON-ready document without empty fields.

        Each stock event pays for a product's bytes.
        """
        plain = {"sku": self.sku, "price_minor": self.price_minor, "options": self.options}
        return {**plain, **self.stated()}

    def stated(self) -> dict[str, Any]:
        """Return the fields that a variant may leave out, by name, where they say something."""
        return {name: value for name in _OF_VARIANT if (value := getattr(self, name)) is not None}

    @property
    def sku_id(self) -> str:
        """The SKU in a form for HTML ids and fragments of addresses."""
        return sku_id(self.sku)

    @property
    def label(self) -> str:
        """The label for a person: "Moss, M"; empty when there is no choice."""
        return ", ".join(map(_VALUE, self.options))


@dataclass(frozen=True, slots=True)
class Translation:
    """A product's texts in another locale than the shop's first; an empty text stays as there.

    `alts` are those of its pictures, in their order; `words` are names and values of options.
    """

    locale: str
    title: str = ""
    summary: str = ""
    description_html: str = ""
    details: tuple[tuple[str, str], ...] = ()
    alts: tuple[str, ...] = ()
    words: tuple[tuple[str, str], ...] = ()
    seo_title: str = ""
    seo_description: str = ""

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Translation":
        """Return the translation of a document made by `dataclasses.asdict`, after a round through JSON."""
        pairs = {name: _pairs(document[name]) for name in ("details", "words")}
        return cls(**{**document, **pairs, "alts": tuple(document["alts"])})


@dataclass(frozen=True, slots=True)
class Product:
    """One page of the shop and the variants sold from it. Prices are in minor units (cents, pence).

    `category` is the main category, `categories` are the further ones that list the product too.
    `seo_title` and `seo_description` replace the title and the summary where a search engine reads them.
    `checkout_url` replaces the shop's checkout. `related` are the products that its page shows below it.
    """

    slug: Slug
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
    categories: tuple[str, ...] = ()
    brand: str | None = None
    condition: ProductCondition = ProductCondition.NEW
    seo_title: str | None = None
    seo_description: str | None = None
    checkout_url: str | None = None
    related: tuple[Slug, ...] = ()

    @property
    def path(self) -> str:
        """The path a shopper types, and the object key it is stored under (without the slash)."""
        return f"/products/{self.slug}"

    def link_of(self, variant: Variant) -> str:
        """Return the path of the page with this variant picked by its script, for search engines."""
        return f"{self.path}?sku={quote(variant.sku, safe='')}" if len(self.variants) > 1 else self.path

    def path_of(self, variant: Variant) -> str:
        """Return the path of the page with this variant picked; the fragment is for pages without script."""
        return f"{self.path}?sku={quote(variant.sku, safe='')}#v-{variant.sku_id}"

    @property
    def price_minor_min(self) -> int:
        """The price a card shows: that of the cheapest variant."""
        return min([variant.price_minor for variant in self.variants])

    @property
    def price_minor_max(self) -> int:
        """The price of the dearest variant."""
        return max([variant.price_minor for variant in self.variants])

    @property
    def compare_at_minor(self) -> int | None:
        """The former price of the whole product; None unless all its variants have the same two prices."""
        first = self.variants[0]
        former = first.compare_at_minor
        if former is None or any(
            (variant.price_minor, variant.compare_at_minor) != (first.price_minor, former)
            for variant in self.variants
        ):
            return None
        return former

    @property
    def sale_ends_on(self) -> str | None:
        """The last day of a sale of all its variants; None without one, or where they have different days."""
        ends_on = self.variants[0].sale_ends_on
        return ends_on if all(variant.sale_ends_on == ends_on for variant in self.variants) else None

    @property
    def option_values(self) -> list[tuple[str, list[str]]]:
        """The name of each option with the values that its variants have, in catalogue order."""
        values: dict[str, dict[str, None]] = {}
        for variant in self.variants:
            for name, value in variant.options:
                values.setdefault(name, {})[value] = None
        return [(name, list(found)) for name, found in values.items()]

    @property
    def skus(self) -> frozenset[Sku]:
        """The SKUs of its variants."""
        return frozenset(variant.sku for variant in self.variants)

    def variant(self, sku: Sku) -> Variant:
        """Return the variant sold as `sku`.

        Raises:
            KeyError: no variant of this product has that SKU.
        """
        for variant in self.variants:
            if variant.sku == sku:
                return variant
        raise KeyError(sku)

    def picture_of(self, variant: Variant) -> Picture | None:
        """Return the first picture that shows the options of `variant`, or else the first."""
        options = set(variant.options)
        for picture in self.pictures:
            if picture.options and options.issuperset(picture.options):
                return picture
        return self.pictures[0] if self.pictures else None

    def in_locale(self, locale: str, words: Mapping[str, str]) -> "Product":
        """Return the product in `locale`.

        `words` are the shop's own for names and values of options, where the product has none.
        """
        found = [translation for translation in self.translations if translation.locale == locale]
        local = found[0] if found else Translation(locale)
        words = {**words, **dict(local.words)}
        alts = (*local.alts, *("" for _ in self.pictures))
        return replace(
            self,
            title=local.title or self.title,
            summary=local.summary or self.summary,
            description_html=local.description_html or self.description_html,
            details=local.details or self.details,
            pictures=tuple(
                replace(picture, alt=alt or picture.alt, options=_translated(picture.options, words))
                for picture, alt in zip(self.pictures, alts, strict=False)
            ),
            variants=tuple(
                replace(variant, options=_translated(variant.options, words)) for variant in self.variants
            ),
            # A title in this language fits the page better than a search title in another one.
            seo_title=local.seo_title or (None if local.title else self.seo_title),
            seo_description=local.seo_description or (None if local.summary else self.seo_description),
        )

    def to_document(self) -> dict[str, Any]:
        """Return a JSON-ready document; `from_document` returns an equal product."""
        return {
            "slug": self.slug,
            "title": self.title,
            "summary": self.summary,
            "description_html": self.description_html,
            "category": self.category,
            "pictures": [asdict(picture) for picture in self.pictures],
            "variants": [variant.to_document() for variant in self.variants],
            "details": self.details,
            "tags": self.tags,
            "released_on": self.released_on,
            "translations": [asdict(translation) for translation in self.translations],
            **self.stated(),
        }

    def stated(self) -> dict[str, Any]:
        """Return the fields that a product may leave out, by name, where they say something."""
        plain = {name: value for name in _OF_PRODUCT if (value := getattr(self, name))}
        return plain if self.condition is ProductCondition.NEW else {**plain, "condition": self.condition}

    @staticmethod
    def read_stated(document: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of `stated`, after a round through JSON, as `Product` takes them."""
        if not document:
            return {}
        return {
            **document,
            "categories": tuple(document.get("categories", ())),
            "related": tuple(document.get("related", ())),
            "condition": ProductCondition(document.get("condition", ProductCondition.NEW)),
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Product":
        """Return the product of a document made by `to_document`, after a round through JSON."""
        return cls(
            **{
                **cls.read_stated(document),
                "pictures": tuple(Picture.from_document(picture) for picture in document["pictures"]),
                "variants": tuple(Variant.from_document(variant) for variant in document["variants"]),
                "details": _pairs(document["details"]),
                "tags": tuple(document["tags"]),
                # A product that was published before shops had several languages has none.
                "translations": tuple(
                    Translation.from_document(translation) for translation in document.get("translations", ())
                ),
            }
        )


def _translated(
    options: tuple[tuple[str, str], ...], words: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    return tuple((words.get(name, name), words.get(value, value)) for name, value in options)


def _pairs(rows: Sequence[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in rows)


# The fields that a document has only where they say something.
_OF_VARIANT = (
    *("compare_at_minor", "sale_ends_on", "available_on", "when_sold_out"),
    *("gtin", "mpn", "weight_g", "variant_id", "checkout_url"),
)
_OF_PRODUCT = ("categories", "brand", "seo_title", "seo_description", "checkout_url", "related")

"""The catalogue: the values of a merchant's files under site/, as `load_catalogue` returns them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from chalicelib.domain.product import Product, Translation, Variant
from chalicelib.domain.stock import Availability, Stock
from chalicelib.storefront.day_format import DayFormat
from chalicelib.storefront.money import MoneyFormat
from chalicelib.storefront.texts import Texts
from chalicelib.storefront.theme import Link, Shop
from spillway.sitegen.reading.redirects import Redirect
from spillway.sitegen.root_files import RootFile

PICTURE_EXPECTED = "the name of a file in site/pictures"
# File systems take names of 255 bytes.
FILE_NAME_LENGTH_MAX = 255


@dataclass(frozen=True, slots=True)
class SourceImage:
    """A picture as the merchant keeps it: the master file, and what it shows."""

    file: Path
    alt: str
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class CatalogueProduct:
    """A product with its masters and the stock it starts with; `product.pictures` is still empty."""

    product: Product
    shots: tuple[SourceImage, ...]
    stock: Mapping[str, Stock]


class ProductRow(NamedTuple):
    """What shelves, the sitemap and the search index need of a product, which stays packed until a page
    of it is made. `categories` are all that list it, the main one first; `sale_ends_on` is the first day on
    which a sale of its variants ends. `digest` changes with anything the product's file says. (A NamedTuple:
    there are many.)
    """

    file: str
    slug: str
    title: str
    category: str
    categories: tuple[str, ...]
    tags: tuple[str, ...]
    released_on: str | None
    sale_ends_on: str | None
    translated_locales: tuple[str, ...]
    skus: tuple[str, ...]
    shots: tuple[str, ...]
    digest: str
    packed: bytes

    @classmethod
    def of(
        cls, file: str, product: Product, shots: Sequence[SourceImage], stock: Sequence[tuple[str, Stock]]
    ) -> "ProductRow":
        """The row of a product as its file states it, pictures still in the merchant's folder."""
        return cls._of_packed(file, _packed(product, shots, stock), product, shots)

    @classmethod
    def unpacked(cls, packed: bytes) -> "ProductRow":
        """The row that `packed` was taken from, without the name of its file."""
        entry = _unpacked(packed, Path())
        return cls._of_packed("", packed, entry.product, entry.shots)

    @classmethod
    def _of_packed(
        cls, file: str, packed: bytes, product: Product, shots: Sequence[SourceImage]
    ) -> "ProductRow":
        return cls(
            file=file,
            slug=product.slug,
            title=product.title,
            category=product.category,
            categories=(product.category, *product.categories),
            tags=product.tags,
            released_on=product.released_on,
            sale_ends_on=min(
                (each.sale_ends_on for each in product.variants if each.sale_ends_on), default=None
            ),
            translated_locales=tuple(each.locale for each in product.translations if each.title),
            skus=tuple(variant.sku for variant in product.variants),
            shots=tuple(shot.file.name for shot in shots),
            digest=hashlib.sha256(packed).hexdigest(),
            packed=packed,
        )

    def open(self, pictures: Path) -> CatalogueProduct:
        """The whole product; `pictures` is the merchant's folder."""
        return _unpacked(self.packed, pictures)


# Plain tuples, for speed: a big shop packs and unpacks ten thousand products in one build. JSON, for
# its bytes are the same whenever the content is, which makes them a digest's food as well. What most products
# leave out comes last, and only where it is stated.
def _packed(product: Product, shots: Sequence[SourceImage], stock: Sequence[tuple[str, Stock]]) -> bytes:
    content = (
        (
            product.slug,
            product.title,
            product.summary,
            product.description_html,
            product.category,
            product.details,
            product.tags,
            product.released_on,
        ),
        [_packed_variant(variant) for variant in product.variants],
        [(shot.file.name, shot.alt, shot.options) for shot in shots],
        [(sku, each.availability, each.units, each.observed_at_ms, each.event_id) for sku, each in stock],
        [asdict(each) for each in product.translations],
        product.stated(),
    )
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _packed_variant(variant: Variant) -> Sequence[object]:
    plain = (variant.sku, variant.price_minor, variant.options)
    stated = variant.stated()
    return (*plain, stated) if stated else plain


def _unpacked_variant(sku: str, price_minor: int, options: list[list[str]], stated: Any) -> Variant:
    return Variant.from_document({"sku": sku, "price_minor": price_minor, "options": options, **stated})


def _unpacked(packed: bytes, pictures: Path) -> CatalogueProduct:
    about, variants, shots, stock, translations, stated = json.loads(packed)
    slug, title, summary, description_html, category, details, tags, released_on = about
    return CatalogueProduct(
        Product(
            slug=slug,
            title=title,
            summary=summary,
            description_html=description_html,
            category=category,
            pictures=(),
            variants=tuple(
                [
                    Variant(row[0], row[1], _pairs(row[2])) if len(row) == 3 else _unpacked_variant(*row)
                    for row in variants
                ]
            ),
            details=_pairs(details),
            tags=tuple(tags),
            released_on=released_on,
            translations=tuple(Translation.from_document(each) for each in translations),
            **Product.read_stated(stated),
        ),
        tuple(SourceImage(pictures / name, alt, _pairs(options)) for name, alt, options in shots),
        {
            sku: Stock(Availability(availability), units, observed_at_ms, event_id)
            for sku, availability, units, observed_at_ms, event_id in stock
        },
    )


def _pairs(rows: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple([(name, value) for name, value in rows])


@dataclass(frozen=True, slots=True)
class Category:
    """One shelf of the shop."""

    slug: str
    title: str
    description: str


@dataclass(frozen=True, slots=True)
class Home:
    """How the home page opens, and which products it shows."""

    headline: str
    lede: str
    shot: SourceImage
    featured: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContentPage:
    """A page of words: about, shipping, privacy; `language` is what `locale` reads it in."""

    slug: str
    locale: str
    language: str
    title: str
    description: str
    body_html: str

    @property
    def path(self) -> str:
        return f"/{self.slug}"


@dataclass(frozen=True, slots=True)
class Storefront:
    """All that site.toml says, in one locale: who the shop is, its shelves, its home page and its footer;
    and the domains of the file it names, whose addresses are not taken.

    `name`, `root`, `texts`, `words` and `days` are those of the edition it becomes.
    """

    shop: Shop
    money: MoneyFormat
    categories: tuple[Category, ...]
    home: Home
    navigation: tuple[Link, ...]
    name: str
    root: str = ""
    texts: Texts = field(default_factory=Texts)
    words: Mapping[str, str] = field(default_factory=dict)
    days: DayFormat = field(default_factory=DayFormat)
    domains_file: str = ""
    refused_domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Catalogue:
    """A whole shop without a mistake. Storefronts are in the order of its locales, products and pages in
    that of their slugs."""

    storefronts: tuple[Storefront, ...]
    rows: tuple[ProductRow, ...]
    pages: tuple[ContentPage, ...]
    pictures: Path
    redirects: tuple[Redirect, ...] = ()
    root_files: tuple[RootFile, ...] = ()

    @property
    def storefront(self) -> Storefront:
        """The shop in its first locale."""
        return self.storefronts[0]

    def pages_in(self, locale: str) -> tuple[ContentPage, ...]:
        """Every page of words as `locale` reads it."""
        return tuple(page for page in self.pages if page.locale == locale)

    @property
    def products(self) -> tuple[CatalogueProduct, ...]:
        """Every product, opened."""
        return tuple(row.open(self.pictures) for row in self.rows)

    @property
    def picture_names(self) -> frozenset[str]:
        """Every picture the shop shows."""
        return frozenset(
            (self.storefront.home.shot.file.name, *(name for row in self.rows for name in row.shots))
        )

"""The catalogue: what a merchant wrote under site/, as values. `spillway.build.loading` reads it."""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from chalicelib.domain.product import Product
from chalicelib.domain.stock import Stock
from chalicelib.storefront.money import MoneyFormat
from chalicelib.storefront.theme import Link, Shop
from spillway.build.memory import digest_of


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture as the merchant keeps it: the master file, and what it shows."""

    file: Path
    alt: str
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class CatalogueProduct:
    """A product with its masters and the stock it starts with; `product.pictures` is still empty."""

    product: Product
    shots: tuple[Shot, ...]
    stock: Mapping[str, Stock]


class ProductRow(NamedTuple):
    """What shelves, the sitemap and the search index need of a product, which stays packed until a page
    of it is made. `digest` changes with anything the product's file says. (A NamedTuple: there are many.)
    """

    file: str
    slug: str
    title: str
    category: str
    tags: tuple[str, ...]
    released_on: str | None
    skus: tuple[str, ...]
    shots: tuple[str, ...]
    digest: str
    packed: bytes

    @classmethod
    def of(
        cls,
        file: str,
        product: Product,
        shots: tuple[Shot, ...],
        skus: tuple[str, ...],
        stock: Mapping[str, Stock],
    ) -> "ProductRow":
        """The row of a product as its file states it, pictures still in the merchant's folder."""
        content = (product, tuple((shot.file.name, shot.alt, shot.options) for shot in shots), dict(stock))
        return cls(
            file=file,
            slug=product.slug,
            title=product.title,
            category=product.category,
            tags=product.tags,
            released_on=product.released_on,
            skus=skus,
            shots=tuple(shot.file.name for shot in shots),
            digest=digest_of(content),
            packed=pickle.dumps(content, pickle.HIGHEST_PROTOCOL),
        )

    def open(self, pictures: Path) -> CatalogueProduct:
        """The whole product; `pictures` is the merchant's folder."""
        product, shots, stock = pickle.loads(self.packed)  # noqa: S301 - packed above, kept by Memory
        return CatalogueProduct(
            product, tuple(Shot(pictures / name, alt, options) for name, alt, options in shots), stock
        )


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
    shot: Shot
    featured: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContentPage:
    """A page of words: about, shipping, privacy."""

    slug: str
    title: str
    description: str
    body_html: str

    @property
    def path(self) -> str:
        return f"/{self.slug}"


@dataclass(frozen=True, slots=True)
class Storefront:
    """All that site.toml says: who the shop is, its shelves, its home page and its footer."""

    shop: Shop
    money: MoneyFormat
    categories: tuple[Category, ...]
    home: Home
    navigation: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """A whole shop without a mistake. Products and pages are in the order of their slugs."""

    storefront: Storefront
    rows: tuple[ProductRow, ...]
    pages: tuple[ContentPage, ...]
    pictures: Path

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

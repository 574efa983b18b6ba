"""The catalogue: what a merchant wrote under site/, as values. `spillway.build.loading` reads it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from chalicelib.domain.product import Product
from chalicelib.domain.stock import Stock
from chalicelib.storefront.money import MoneyFormat
from chalicelib.storefront.theme import Link, Shop


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
    products: tuple[CatalogueProduct, ...]
    pages: tuple[ContentPage, ...]

    @property
    def shots(self) -> tuple[Shot, ...]:
        """Every picture the shop shows, the opening one first."""
        return (self.storefront.home.shot, *(shot for entry in self.products for shot in entry.shots))

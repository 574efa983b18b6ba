"""The catalogue: the values of a merchant's files under site/, as `load_catalogue` returns them."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from chalicelib.domain.ids import Sku, Slug
from chalicelib.domain.product import Picture, Product, Translation, Variant
from chalicelib.domain.stock import Availability, Stock
from chalicelib.storefront.choices import availability_of
from chalicelib.storefront.localization import DayFormat, MoneyFormat, Texts
from chalicelib.storefront.theme import MenuLink, Shop
from spillway.sitegen.feeds import RootFile
from spillway.sitegen.reading.redirects import Redirect
from spillway.sitegen.reading.theme_section import ThemeSection

if TYPE_CHECKING:
    from chalicelib.rules.rule import Rule

PICTURE_EXPECTED = "the name of a file in site/pictures"
# In the HTML that `to_html` makes, within JSON.
_OWN_LINK = re.compile(rb'href=\\"(/[^"\\]*)')
# File systems take names of 255 bytes.
FILE_NAME_LENGTH_MAX = 255


@dataclass(frozen=True, slots=True)
class SourceImage:
    """A merchant's picture file, its alternative text, and the options of the variants it shows."""

    file: Path
    alt: str
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class CatalogueProduct:
    """A product, its picture files and the stock that its file states.

    `product.pictures` is empty until the pictures of a release are made.
    """

    product: Product
    images: tuple[SourceImage, ...]
    stock: Mapping[Sku, Stock]


class ProductRow(NamedTuple):
    """The fields of a product that listings, the sitemap and search need; the rest stays packed.

    `categories` are those that list the product, the main one first; `sale_ends_on` is the first day (ISO
    8601) on which a sale of its variants ends; `without_id` are the numbers of variants for sale, or to be
    again, that state no id of the checkout; `own_checkouts` are fields such as "variants[2].checkout_url"
    with their addresses; `launches` are the variants that are coming soon on a stated day, as (number, day);
    `titles` are its translated titles by locale; `price_minor` is the lowest price, `price_minor_max` the
    highest; `is_discontinued` says that the file states it of all variants;
    `digest` changes with anything that the product's file states. A NamedTuple, because a big shop has ten
    thousand.
    """

    file: str
    slug: Slug
    title: str
    category: str
    categories: tuple[str, ...]
    tags: tuple[str, ...]
    released_on: str | None
    sale_ends_on: str | None
    titles: tuple[tuple[str, str], ...]
    skus: tuple[Sku, ...]
    image_names: tuple[str, ...]
    without_id: tuple[int, ...]
    own_checkouts: tuple[tuple[str, str], ...]
    launches: tuple[tuple[int, str], ...]
    price_minor: int
    price_minor_max: int
    is_discontinued: bool
    digest: str
    packed: bytes

    @classmethod
    def of(
        cls, file: str, product: Product, images: Sequence[SourceImage], stock: Sequence[tuple[Sku, Stock]]
    ) -> "ProductRow":
        """Pack a product as `file` states it."""
        return cls._of_packed(file, _packed(product, images, stock), product, images, dict(stock))

    @classmethod
    def from_packed(cls, packed: bytes) -> "ProductRow":
        """Return the row that `packed` was taken from, without the name of its file."""
        entry = _unpacked(packed, Path(), lambda _: None, ())
        return cls._of_packed("", packed, entry.product, entry.images, entry.stock)

    @classmethod
    def _of_packed(
        cls,
        file: str,
        packed: bytes,
        product: Product,
        images: Sequence[SourceImage],
        stock: Mapping[Sku, Stock],
    ) -> "ProductRow":
        numbered = tuple(enumerate(product.variants))
        sold = frozenset(
            number
            for number, variant in numbered
            if availability_of(variant, stock) is not Availability.DISCONTINUED
        )
        own = {f"variants[{number}].checkout_url": variant.checkout_url for number, variant in numbered}
        return cls(
            file=file,
            slug=product.slug,
            title=product.title,
            category=product.category,
            categories=(product.category, *product.categories),
            tags=product.tags,
            released_on=product.released_on,
            sale_ends_on=min(
                (variant.sale_ends_on for variant in product.variants if variant.sale_ends_on), default=None
            ),
            titles=tuple(
                (translation.locale, translation.title)
                for translation in product.translations
                if translation.title
            ),
            skus=tuple(variant.sku for variant in product.variants),
            image_names=tuple(image.file.name for image in images),
            without_id=tuple(
                number for number, variant in numbered if variant.variant_id is None and number in sold
            ),
            own_checkouts=tuple(
                (field, url) for field, url in {"checkout_url": product.checkout_url, **own}.items() if url
            ),
            launches=tuple(
                (number, variant.available_on)
                for number, variant in numbered
                if variant.available_on and availability_of(variant, stock) is Availability.COMING_SOON
            ),
            price_minor=min((variant.price_minor for variant in product.variants), default=0),
            price_minor_max=max((variant.price_minor for variant in product.variants), default=0),
            is_discontinued=not sold,
            digest=hashlib.sha256(packed).hexdigest(),
            packed=packed,
        )

    @property
    def own_links(self) -> tuple[str, ...]:
        """The links of its descriptions to paths of this shop."""
        return tuple(unescape(link.decode()) for link in _OWN_LINK.findall(self.packed))

    def title_in(self, locale: str) -> str:
        """Return the title in `locale`; without a translation, that of the shop's first locale."""
        return next((title for of, title in self.titles if of == locale), self.title)

    def unpack(
        self,
        pictures: Path,
        *,
        picture_of: Callable[[SourceImage], Picture | None] = lambda _: None,
        related: tuple[Slug, ...] = (),
    ) -> CatalogueProduct:
        """Return the whole product.

        Args:
            pictures: The folder of the merchant's pictures.
            picture_of: Returns the picture of a file, None where it cannot be shown.
            related: The products that its page shows.
        """
        return _unpacked(self.packed, pictures, picture_of, related)


# Plain tuples, for speed: a big shop packs and unpacks ten thousand products in one build. JSON, because
# equal content has equal bytes, which a digest can be taken of. Fields that most products omit come last, and
# only where they are stated.
def _packed(product: Product, images: Sequence[SourceImage], stock: Sequence[tuple[Sku, Stock]]) -> bytes:
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
        [(image.file.name, image.alt, image.options) for image in images],
        [
            (sku, known.availability, known.units, known.observed_at_ms, known.event_id)
            for sku, known in stock
        ],
        [asdict(translation) for translation in product.translations],
        product.stated(),
    )
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def _packed_variant(variant: Variant) -> Sequence[object]:
    plain = (variant.sku, variant.price_minor, variant.options)
    stated = variant.stated()
    return (*plain, stated) if stated else plain


def _unpacked_variant(sku: Sku, price_minor: int, options: list[list[str]], stated: Any) -> Variant:
    return Variant.from_document({"sku": sku, "price_minor": price_minor, "options": options, **stated})


def _unpacked(
    packed: bytes,
    folder: Path,
    picture_of: Callable[[SourceImage], Picture | None],
    related: tuple[Slug, ...],
) -> CatalogueProduct:
    about, variants, named, stock, translations, stated = json.loads(packed)
    slug, title, summary, description_html, category, details, tags, released_on = about
    images = tuple([SourceImage(folder / name, alt, _pairs(options)) for name, alt, options in named])
    return CatalogueProduct(
        Product(
            slug=slug,
            title=title,
            summary=summary,
            description_html=description_html,
            category=category,
            pictures=tuple([picture for image in images if (picture := picture_of(image))]),
            variants=tuple(
                [
                    Variant(row[0], row[1], _pairs(row[2])) if len(row) == 3 else _unpacked_variant(*row)
                    for row in variants
                ]
            ),
            details=_pairs(details),
            tags=tuple(tags),
            released_on=released_on,
            translations=tuple([Translation.from_document(document) for document in translations]),
            **{**Product.read_stated(stated), "related": related},
        ),
        images,
        {
            sku: Stock(Availability(availability), units, observed_at_ms, event_id)
            for sku, availability, units, observed_at_ms, event_id in stock
        },
    )


def _pairs(rows: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple([(name, value) for name, value in rows])


class Launch(NamedTuple):
    """A variant that its file states as coming soon on a day (ISO 8601), and its place: file and line."""

    place: str
    sku: Sku
    day: str


def launches_of(rows: Iterable[ProductRow], place_of: Callable[[str, int], str]) -> tuple[Launch, ...]:
    """Return the launches of products; `place_of` returns the place of a variant by its file and number."""
    return tuple(
        Launch(place_of(row.file, number), row.skus[number], day)
        for row in rows
        for number, day in row.launches
    )


@dataclass(frozen=True, slots=True)
class Category:
    """A category of products, with a listing of its own."""

    slug: str
    title: str
    description: str


@dataclass(frozen=True, slots=True)
class HomePage:
    """The home page: its text, its picture if it has one, and the slugs of the products it features.

    Without `featured` it shows the newest products. `text_html` is a text of its own, sanitised.
    """

    headline: str
    lede: str
    image: SourceImage | None
    featured: tuple[Slug, ...]
    text_html: str | None = None


@dataclass(frozen=True, slots=True)
class ContentPage:
    """A page under site/pages as `locale` shows it; its text is written in the locale `language`."""

    slug: str
    locale: str
    language: str
    title: str
    description: str
    body_html: str

    @property
    def path(self) -> str:
        """The page's path in the first edition."""
        return f"/{self.slug}"


@dataclass(frozen=True, slots=True)
class Storefront:
    """Everything that site.toml states, in one locale.

    `theme` has the settings of the theme. `name`, `root`, `texts`, `words` and `days` are those of the
    edition made from it. `domains_file` lists the `refused_domains`, whose addresses the waitlist refuses.
    """

    shop: Shop
    money: MoneyFormat
    categories: tuple[Category, ...]
    home: HomePage
    navigation: tuple[MenuLink, ...]
    name: str
    root: str = ""
    texts: Texts = field(default_factory=Texts)
    words: Mapping[str, str] = field(default_factory=dict)
    days: DayFormat = field(default_factory=DayFormat)
    theme: ThemeSection = field(default_factory=ThemeSection)
    domains_file: str | None = None
    refused_domains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Catalogue:
    """A whole shop without an error: storefronts in the order of its locales, the rest in that of slugs."""

    storefronts: tuple[Storefront, ...]
    rows: tuple[ProductRow, ...]
    pages: tuple[ContentPage, ...]
    pictures: Path
    redirects: tuple[Redirect, ...] = ()
    root_files: tuple[RootFile, ...] = ()
    launches: tuple[Launch, ...] = ()
    rules: "tuple[Rule, ...]" = ()

    @property
    def storefront(self) -> Storefront:
        """The storefront in the first locale."""
        return self.storefronts[0]

    def pages_in(self, locale: str) -> tuple[ContentPage, ...]:
        """Return the pages under site/pages as `locale` shows them."""
        return tuple(page for page in self.pages if page.locale == locale)

    @property
    def products(self) -> tuple[CatalogueProduct, ...]:
        """Every product, unpacked."""
        return tuple(row.unpack(self.pictures) for row in self.rows)

    @property
    def sales(self) -> tuple[tuple[str, str], ...]:
        """The file and the last day (ISO 8601) of each product with a sale that has an end."""
        return tuple((row.file, row.sale_ends_on) for row in self.rows if row.sale_ends_on)

    @property
    def picture_names(self) -> frozenset[str]:
        """The file name of every picture that the shop shows."""
        hero = self.storefront.home.image
        of_products = (name for row in self.rows for name in row.image_names)
        return frozenset((*([hero.file.name] if hero else []), *of_products))

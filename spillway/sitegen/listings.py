"""The products of a release with their pictures, and the listings and the search that show them."""

import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import overload

from chalicelib.domain.ids import Slug
from chalicelib.domain.product import Picture, PictureSource
from chalicelib.storefront.theme import EVERYTHING, HOME, Edition, Link, Listing, covers_of
from spillway.sitegen.cache import BuildCache, Signature, digest_of, is_settled, signature_of
from spillway.sitegen.reading.catalogue import (
    PICTURE_EXPECTED,
    CatalogueProduct,
    ProductRow,
    SourceImage,
    Storefront,
)
from spillway.sitegen.reading.slugs import tagged

# The newest products on the home page, by cards in a row on a desk: whole rows there and on a phone.
_NEWEST_ON_HOME = {2: 8, 3: 6, 4: 8, 5: 10}


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

    `image_variants` are the image variants of each picture that can be shown, by its file name.
    """

    def __init__(self, rows: Sequence[ProductRow], pictures: Path, image_variants: ImageVariants) -> None:
        self._rows = {row.slug: row for row in rows}
        self._slugs = tuple(self._rows)
        self._pictures = pictures
        self._image_variants = image_variants

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
        entry = self._rows[slug].unpack(self._pictures)
        pictures = tuple(
            picture_of(image, self._image_variants[image.file.name])
            for image in entry.images
            if image.file.name in self._image_variants
        )
        return replace(entry, product=replace(entry.product, pictures=pictures))

    def digest(self, slug: Slug) -> str:
        """Return a digest that changes with the product and the image variants of its pictures."""
        row = self._rows[slug]
        if not row.image_names:
            return row.digest
        made = [variant.name for name in row.image_names for variant in self._image_variants.get(name, ())]
        return digest_of(row.digest, made)

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

    def problem(self, name: str) -> str | None:
        """Return what was expected instead of the picture `name`, None when it can be shown."""
        signature = self._signature(name) if Path(name).name == name else None
        if signature is None:
            return PICTURE_EXPECTED
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
            if known and known[0] == signature and all(made.file.is_file() for made in known[1].variants):
                processed[name] = known[1]
        new = {name: self._file(name) for name in signatures if name not in processed}
        if new:
            from spillway.sitegen.pictures import make_variants

            made = make_variants(new.values(), self._variants_cache)
            processed |= {name: made[file] for name, file in new.items()}
        for name, signature in signatures.items():
            if is_settled(signature) and not processed[name].problem:
                self._cache.set(f"picture {name}", (signature, processed[name]))
        return processed

    def _signature(self, name: str) -> Signature | None:
        try:
            return signature_of(self._file(name))
        except (OSError, ValueError):
            return None

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


SEARCH_PATH = "/search"
INDEX_PATH = "/search.json"
PICTURES_PATH = "/pictures/"
# A page of cards that a phone on a slow network shows at once; divides by 2, 3 and 4 columns.
CARDS_MAX = 48
# A search page that lists more products is heavier than a visit to the categories.
_SEARCH_PAGE_PRODUCTS_MAX = 500


def newest_first(rows: Sequence[ProductRow]) -> list[ProductRow]:
    """Return products in the order of every listing: by date, then by title."""
    by_title = sorted(rows, key=lambda row: row.title)
    return sorted(by_title, key=lambda row: row.released_on or "", reverse=True)


def listings_of(
    storefront: Storefront, rows: Sequence[ProductRow], products: Products, hero: Picture | None
) -> tuple[Listing, ...]:
    """Return every listing of one edition: the home page, categories, the page of everything, tags.

    Args:
        storefront: The shop in the locale of the edition.
        rows: Its products, the newest first.
        products: The same, for the pictures that stand for categories.
        hero: The picture of the home page.
    """
    texts = storefront.texts
    by_category: dict[str, list[ProductRow]] = {}
    for row in rows:
        for slug in row.categories:
            by_category.setdefault(slug, []).append(row)
    listings = [_home_page(storefront, rows, hero)]
    for category in storefront.categories:
        listed = by_category.get(category.slug, [])
        path, cover = f"/shop/{category.slug}", _cover(listed, products, storefront)
        listings += pages_of_listing(path, category.title, category.description, listed, cover)
    title = texts.one("Everything")
    description = texts.of_number("One product.", "%(count)s products, the newest first.", len(rows))
    description %= {"count": storefront.money.number(len(rows))}
    listings += pages_of_listing(EVERYTHING, title, description, rows, None)
    for tag, tagged_rows in tagged(rows).items():
        title = storefront.words.get(tag.name, tag.name)
        description = texts.one("All with the tag “%(tag)s”, the newest first.") % {"tag": title}
        title = title[:1].upper() + title[1:]
        listings += pages_of_listing(tag.path, title, description, tagged_rows, None, tags=tag.spellings)
    return tuple(listings)


def _home_page(storefront: Storefront, rows: Sequence[ProductRow], hero: Picture | None) -> Listing:
    """Return the home page; without featured products it shows the newest ones, once."""
    home, sections = storefront.home, storefront.theme.sections
    count = _NEWEST_ON_HOME[storefront.theme.cards_per_row]
    newest = tuple(row.slug for row in rows[:count])
    of_section = {"featured": home.featured, "newest": newest}
    if not home.featured and "newest" not in sections:
        of_section["featured"] = newest
    featured, newest = (of_section[name] if name in sections else () for name in of_section)
    return Listing(
        HOME,
        "home.html",
        home.headline,
        home.lede,
        tuple(dict.fromkeys((*featured, *newest))),
        hero if "hero" in sections else None,
        featured=featured,
        newest=newest,
        text_html=home.text_html,
    )


def pages_of_listing(
    path: str,
    title: str,
    description: str,
    rows: Sequence[ProductRow],
    cover: Picture | None,
    tags: tuple[str, ...] = (),
) -> list[Listing]:
    """Return a listing of `rows` as pages of at most `CARDS_MAX` cards; one page without any for no rows."""
    count = max(1, -(-len(rows) // CARDS_MAX))
    # No slug has an underscore: the second page of a category is never the path of another category.
    paths = [path, *(f"{path}_{number}" for number in range(2, count + 1))]
    return [
        Listing(
            path=paths[index],
            template="listing.html",
            title=title,
            description=description,
            slugs=tuple(row.slug for row in rows[index * CARDS_MAX : (index + 1) * CARDS_MAX]),
            picture=None if index else cover,
            number=index + 1,
            count=count,
            previous_path=paths[index - 1] if index else None,
            next_path=paths[index + 1] if index + 1 < count else None,
            tags=tags,
        )
        for index in range(count)
    ]


class Search:
    """The content of an edition's search page, and of the index that its script looks through.

    The index has no stock, so that no stock event changes it.
    """

    def __init__(
        self,
        edition: Edition,
        products: Products,
        *,
        translated: bool,
        listed_max: int = _SEARCH_PAGE_PRODUCTS_MAX,
    ) -> None:
        """Prepare the search of `edition`.

        Args:
            edition: The edition.
            products: The products of the shop.
            translated: Says that titles come from translations, and not from `ProductRow.title`.
            listed_max: The most products that the search page lists.
        """
        self._edition = edition
        self._products = products
        self._translated = translated
        self._listed_max = listed_max
        self._categories = {cover.path: cover.title for cover in covers_of(edition.listings)}
        self._tags = {tag: listing.title for listing in edition.listings for tag in listing.tags}

    @property
    def page_digest(self) -> str:
        """Return a digest that changes with anything the page shows."""
        if self._translated:
            return self.index_digest
        rows = [(row.slug, row.title, row.categories) for row in self._products.rows]
        return digest_of(rows, self._categories, self._tags)

    @property
    def index_digest(self) -> str:
        """Return a digest that changes with anything the script looks through or shows."""
        made = [self._products.digest(slug) for slug in self._products.slugs]
        return digest_of(made, self._categories, self._tags, self._edition.money)

    def index(self) -> str:
        """Return the JSON that the script fetches.

        Each product is its slug, its title, the titles of its categories and tags, its price, and the name of
        its smallest picture, if it has one. A price of a range begins with "+".
        """
        edition, products = self._edition, []
        for row in self._products.rows:
            product = self._products.named(row.slug).product
            title = product.in_locale(edition.shop.locale, {}).title if self._translated else product.title
            more = "+" if product.price_minor_max > product.price_minor_min else ""
            price = f"{more}{edition.money.write(product.price_minor_min)}"
            words = " ".join(self._listing_titles(row))
            products.append((row.slug, title, words, price, *_thumbnail(product.pictures[:1])))
        document = {"root": edition.root, "products": products}
        return json.dumps(document, ensure_ascii=False, separators=(",", ":"))

    def categories(self) -> list[tuple[Link, Sequence[Link]]]:
        """Return every category with its products by title; without products where there are too many."""
        by_category: dict[str, list[Link]] = {}
        if len(self._products) <= self._listed_max:
            for row, title in self._titled():
                for category in row.categories:
                    link = Link(title, f"/products/{row.slug}")
                    by_category.setdefault(f"/shop/{category}", []).append(link)
        return [
            (Link(title, path), sorted(by_category.get(path, ()), key=lambda link: link.title))
            for path, title in self._categories.items()
        ]

    def tags(self) -> list[Listing]:
        """Return the first page of every tag."""
        return [listing for listing in self._edition.listings if listing.tags and listing.number == 1]

    def _listing_titles(self, row: ProductRow) -> Iterator[str]:
        yield from (self._categories.get(f"/shop/{category}", "") for category in row.categories)
        yield from (self._tags.get(tag, tag) for tag in row.tags)

    def _titled(self) -> Iterator[tuple[ProductRow, str]]:
        locale = self._edition.shop.locale
        for row in self._products.rows:
            if self._translated:
                yield row, self._products.named(row.slug).product.in_locale(locale, {}).title
            else:
                yield row, row.title


def _thumbnail(pictures: Sequence[Picture]) -> list[str]:
    """Return the name of the smallest file of each picture."""
    smallest = [shown.sources[0].candidates[0][0] if shown.sources else shown.url for shown in pictures]
    return [url.removeprefix(PICTURES_PATH) for url in smallest]


def _cover(rows: Sequence[ProductRow], products: Products, storefront: Storefront) -> Picture | None:
    """Return the picture of a category: the first of its newest product that has one."""
    first = next((row for row in rows if products.has_pictures(row)), None)
    if first is None:
        return None
    product = products.named(first.slug).product
    return product.in_locale(storefront.shop.locale, storefront.words).pictures[0]

"""Deciding what of an export the shop takes, and as what. Everything else becomes a line of the report."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from chalicelib.domain.availability import UNITS_MAX
from spillway.build.money_format import minor_units
from spillway.build.product_text import (
    ALT_LENGTH_MAX,
    DESCRIPTION_LENGTH_MAX,
    DETAIL_LENGTH_MAX,
    OPTION_LENGTH_MAX,
    TITLE_LENGTH_MAX,
)
from spillway.importing.body import lost_in, markdown_of
from spillway.importing.imported import Export, ImportedProduct, ImportedVariant, NotTaken
from spillway.importing.naming import sku_of, slug_of, with_digest
from spillway.importing.wording import clean, cut, one_line, plain_price, summary_of

# What a product file may hold: see spillway.build.product_file, which has the last word.
_TAGS_MAX = 20
_PICTURES_MAX = 12
_VARIANTS_MAX = 100
# Stands for "not counted": a shop that does not count has some.
UNCOUNTED_UNITS = 1000

FindPicture = Callable[[str], str | None]
Options = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class TakenVariant:
    """A variant as a product file has it. `price` has the currency's own digits."""

    sku: str
    price: str
    options: Options
    units: int
    availability: str | None


@dataclass(frozen=True, slots=True)
class TakenPicture:
    """A picture by the name of its file in site/pictures."""

    file: str
    alt: str
    options: Options


@dataclass(frozen=True, slots=True)
class TakenProduct:
    """A product as its file will have it. `category` is a title; its slug is made from it."""

    slug: str
    title: str
    summary: str
    description: str
    category: str
    tags: tuple[str, ...]
    details: tuple[tuple[str, str], ...]
    variants: tuple[TakenVariant, ...]
    pictures: tuple[TakenPicture, ...]


@dataclass(frozen=True, slots=True)
class Taken:
    """What becomes of an export. `left_out` are whole products, `not_taken` parts of the others."""

    products: tuple[TakenProduct, ...]
    left_out: tuple[NotTaken, ...]
    not_taken: tuple[NotTaken, ...]


def take(export: Export, *, fraction_digits: int, picture: FindPicture, fallback_category: str) -> Taken:
    """Decide about all of `export`. `picture` gives the file's name for an address; None without one."""
    return _Taking(fraction_digits, picture, fallback_category).all(export)


class _Taking:
    def __init__(self, fraction_digits: int, picture: FindPicture, fallback_category: str) -> None:
        self._fraction_digits = fraction_digits
        self._picture = picture
        self._fallback_category = fallback_category
        self._not_taken: list[NotTaken] = []
        self._left_out: list[NotTaken] = []
        self._slugs: set[str] = set()
        self._skus: set[str] = set()

    def all(self, export: Export) -> Taken:
        self._not_taken += export.not_taken
        products = [taken for each in export.products if (taken := self._product(each))]
        return Taken(tuple(products), tuple(self._left_out), tuple(self._not_taken))

    def _product(self, product: ImportedProduct) -> TakenProduct | None:
        place, title = product.place, one_line(product.title)
        if not title:
            what = f"{product.handle or 'a product'} without a title"
            self._left_out.append(NotTaken(place, what, "left out"))
            return None
        slug = self._slug(product)
        variants = tuple(self._variants(product, slug))
        if not variants:
            self._left_out.append(NotTaken(place, title, "left out: none of its variants can be sold"))
            return None
        description = self._description(product, title)
        pairs = {each.sku: each for each in variants}
        return TakenProduct(
            slug=slug,
            title=self._short(place, "title", title, TITLE_LENGTH_MAX),
            summary=summary_of(one_line(product.summary), description, title),
            description=description,
            category=cut(one_line(product.category), 80) or self._fallback_category,
            tags=self._tags(product),
            details=tuple(
                (one_line(name), cut(one_line(value), DETAIL_LENGTH_MAX))
                for name, value in product.details
                if value
            ),
            variants=tuple(pairs.values()),
            pictures=tuple(self._pictures(product, title)),
        )

    def _slug(self, product: ImportedProduct) -> str:
        named = product.handle or product.page_name or product.title
        wanted = slug_of(named)
        slug, number = wanted, 2
        while slug in self._slugs:
            slug, number = f"{wanted[:76]}-{number}", number + 1
        self._slugs.add(slug)
        if slug != (product.handle or wanted):
            what = "handle" if product.handle else "title"
            self._lost(product.place, f"{what} {named!r}", f"its page is /products/{slug}")
        return slug

    def _variants(self, product: ImportedProduct, slug: str) -> Iterator[TakenVariant]:
        names = [name for name, _ in product.variants[0].options] if product.variants else []
        seen: set[Options] = set()
        for variant in product.variants:
            options = tuple(
                (
                    cut(one_line(name), OPTION_LENGTH_MAX),
                    cut(one_line(dict(variant.options).get(name, "")), OPTION_LENGTH_MAX) or "-",
                )
                for name in names
            )
            price = self._price(variant)
            if price is None:
                continue
            if options in seen or len(seen) == _VARIANTS_MAX:
                reason = (
                    "the same options twice" if options in seen else f"more than {_VARIANTS_MAX} variants"
                )
                self._lost(variant.place, f"{slug}, SKU {variant.sku or '(none)'}", f"left out: {reason}")
                continue
            seen.add(options)
            label = " ".join(value for _, value in options)
            units, availability = self._stock(variant, slug)
            yield TakenVariant(self._sku(variant, slug, label), price, options, units, availability)

    def _sku(self, variant: ImportedVariant, slug: str, label: str) -> str:
        sku = sku_of(variant.sku, slug=slug, label=label)
        if sku in self._skus:
            sku = with_digest(sku, f"{slug} {label}")
        self._skus.add(sku)
        if sku != variant.sku:
            was = f"SKU {variant.sku!r}" if variant.sku else f"{slug} {label}".strip() + " without an SKU"
            self._lost(variant.place, was, f"is {sku} here")
        return sku

    def _price(self, variant: ImportedVariant) -> str | None:
        price = plain_price(variant.price, fraction_digits=self._fraction_digits)
        try:
            # Nothing at all is no price, and a price of 0 is one.
            minor_units(
                price if re.search("[0-9]", variant.price) else "", fraction_digits=self._fraction_digits
            )
        except ValueError:
            self._lost(variant.place, f"price {variant.price!r}", "the variant is left out")
            return None
        return price

    def _stock(self, variant: ImportedVariant, slug: str) -> tuple[int, str | None]:
        if variant.units is None:
            self._lost(variant.place, f"{slug}: not counted", f"taken for {UNCOUNTED_UNITS} in stock")
            return UNCOUNTED_UNITS, None
        if variant.units == 0 and variant.sells_on:
            return 0, "BackOrder"
        return min(variant.units, UNITS_MAX), None

    def _description(self, product: ImportedProduct, title: str) -> str:
        for element in lost_in(product.body_html):
            self._lost(product.place, f"<{element}> in the description", "left out")
        text = clean(markdown_of(product.body_html), lines=True).strip()
        if len(text) > DESCRIPTION_LENGTH_MAX:
            self._lost(product.place, f"a description of {len(text)} characters", "cut short")
            text = text[:DESCRIPTION_LENGTH_MAX].rpartition("\n\n")[0] or text[:DESCRIPTION_LENGTH_MAX]
        return text or f"{re.sub(r'[^A-Za-z0-9 ]', ' ', title).strip() or 'Product'}."

    def _tags(self, product: ImportedProduct) -> tuple[str, ...]:
        tags = [tag for each in product.tags if (tag := one_line(each))]
        kept = [tag for tag in tags if len(tag) <= OPTION_LENGTH_MAX][:_TAGS_MAX]
        for tag in tags:
            if tag not in kept:
                self._lost(product.place, f"tag {tag!r}", "left out: too long, or one too many")
        return tuple(kept)

    def _pictures(self, product: ImportedProduct, title: str) -> Iterator[TakenPicture]:
        files: set[str] = set()
        for picture in product.pictures:
            file = self._picture(picture.url)
            if file is None:
                self._lost(
                    product.place, f"picture {picture.url}", "not found: give its folder with --images"
                )
            elif len(files) == _PICTURES_MAX:
                self._lost(product.place, f"picture {picture.url}", f"left out: more than {_PICTURES_MAX}")
            elif file not in files:
                files.add(file)
                options = _shown_options(product, picture.url)
                alt = one_line(picture.alt)
                if not alt:
                    alt = ", ".join([title, *(value for _, value in options)])
                    self._lost(product.place, f"{file} without a text for who cannot see it", f"is {alt!r}")
                yield TakenPicture(file, cut(alt, ALT_LENGTH_MAX), options)

    def _short(self, place: str, what: str, text: str, length_max: int) -> str:
        if len(text) > length_max:
            self._lost(place, f"a {what} of {len(text)} characters", "cut short")
        return cut(text, length_max)

    def _lost(self, place: str, what: str, outcome: str) -> None:
        self._not_taken.append(NotTaken(place, what, outcome))


def picture_name(url: str) -> str:
    """The name of the file behind the address of a picture."""
    return PurePosixPath(unquote(urlsplit(url).path)).name


def _shown_options(product: ImportedProduct, url: str) -> Options:
    """What all variants with this picture have in common, and no other variant has."""
    shown = [set(variant.options) for variant in product.variants if variant.picture == url]
    others = [set(variant.options) for variant in product.variants if variant.picture != url]
    if not shown or not others:
        return ()
    common = set.intersection(*shown) - set[tuple[str, str]]().union(*others)
    order = product.variants[0].options
    names = [name for name, _ in order]
    return tuple(
        sorted(common, key=lambda pair: names.index(pair[0]) if pair[0] in names else len(names))[:1]
    )

"""Decide which parts of an export the shop takes, and how. The rest becomes findings of the report."""

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from chalicelib.domain.ids import Sku, SkuRefused, Slug
from chalicelib.domain.stock import UNITS_MAX
from spillway.importing.description import escaped
from spillway.importing.imported import (
    VARIANT_LEFT_OUT,
    WITHOUT_VARIANTS,
    Export,
    FindPicture,
    ImportedPicture,
    ImportedProduct,
    ImportedVariant,
    MapBatches,
    Omission,
    alone,
)
from spillway.importing.names import (
    ChosenOptions,
    Options,
    clean,
    cut,
    one_line,
    own_sku,
    page_slugs,
    shown_options,
    slug_of,
    summary_of,
)
from spillway.sitegen.reading.locales import minor_units
from spillway.sitegen.reading.product_fields import DESCRIPTION_LENGTH_MAX, OPTION_LENGTH_MAX

# The longest category title that site.toml takes, in characters.
CATEGORY_LENGTH_MAX = 80
# In the file, a line break ends it.
_DESCRIPTION_LENGTH_MAX = DESCRIPTION_LENGTH_MAX - 1
_LAST = 1_000_000
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class NormalizedVariant:
    """A variant as a product file has it.

    `price` has the currency's own digits; `units` is None where the shop does not count; `sku` is empty until
    one is derived.
    """

    place: str
    sku: Sku
    price: str
    options: Options
    units: int | None
    availability: str = ""
    when_sold_out: str = ""
    compare_at_price: str = ""
    sale_ends_on: str = ""
    gtin: str = ""
    mpn: str = ""
    weight_g: int | None = None
    variant_id: str = ""
    checkout_url: str = ""
    available_on: str = ""


@dataclass(frozen=True, slots=True)
class NormalizedPicture:
    """A picture by the name of its file in site/pictures."""

    file: str
    alt: str
    options: Options


@dataclass(frozen=True, slots=True)
class NormalizedProduct:
    """A product as its file will have it.

    `place` and `handle` are the export's; `category` and `categories` are titles, whose slugs are made from
    them.
    """

    place: str
    handle: str
    slug: Slug
    title: str
    summary: str
    description: str
    category: str
    tags: tuple[str, ...]
    details: tuple[tuple[str, str], ...]
    variants: tuple[NormalizedVariant, ...]
    pictures: tuple[NormalizedPicture, ...]
    categories: tuple[str, ...] = ()
    brand: str = ""
    condition: str = ""
    seo_title: str = ""
    seo_description: str = ""
    released_on: str = ""
    checkout_url: str = ""
    old_paths: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return the name that a merchant knows it by."""
        return self.handle or self.title


@dataclass(frozen=True, slots=True)
class NormalizedExport:
    """The outcome of an export. `left_out` are whole products, `not_taken` parts of the others."""

    products: tuple[NormalizedProduct, ...]
    left_out: tuple[Omission, ...]
    not_taken: tuple[Omission, ...]


@dataclass(frozen=True, slots=True)
class NormalizeOptions:
    """How an export is taken.

    Attributes:
        fraction_digits: The number of decimals that the shop's currency has.
        fallback_category: The title of the category for products without one.
    """

    fraction_digits: int
    fallback_category: str


def normalize(
    export: Export, options: NormalizeOptions, *, picture: FindPicture, share: MapBatches = alone
) -> NormalizedExport:
    """Decide about all of `export`, in an order that does not depend on the export's.

    Args:
        export: what was read.
        options: the shop's.
        picture: finds the file for the address of a picture.
        share: does the work for many products.
    """
    slugs = page_slugs(export.products)
    # A reader that found no price said why.
    priceless = frozenset(finding.place for finding in export.not_taken if "price" in finding.what)

    def work(part: Sequence[tuple[ImportedProduct, Slug | None]]) -> NormalizedExport:
        return _Normalizer(options, picture, priceless).all(part)

    parts = share(work, list(zip(export.products, slugs, strict=True)), "Taking products")
    products = sorted((product for part in parts for product in part.products), key=lambda part: part.slug)
    left_out = tuple(finding for part in parts for finding in part.left_out)
    not_taken = tuple(finding for part in parts for finding in part.not_taken)
    return NormalizedExport(tuple(products), left_out, (*export.not_taken, *not_taken))


class _Normalizer:
    def __init__(self, options: NormalizeOptions, picture: FindPicture, priceless: Set[str]) -> None:
        self._options = options
        self._priceless = priceless
        self._picture = picture
        self._not_taken: list[Omission] = []
        self._left_out: list[Omission] = []

    def all(self, products: Sequence[tuple[ImportedProduct, Slug | None]]) -> NormalizedExport:
        found = [taken for product, slug in products if (taken := self._product(product, slug))]
        return NormalizedExport(tuple(found), tuple(self._left_out), tuple(self._not_taken))

    def _product(self, product: ImportedProduct, slug: Slug | None) -> NormalizedProduct | None:
        title = one_line(product.title)
        name = product.handle or title
        if not title:
            self._leave_out(product, f"{name or 'a product'} without a title", "products without a title")
            return None
        if slug is None:
            self._leave_out(product, name, "products that are in the export twice, all alike")
            return None
        choices = ChosenOptions(product.variants, value_length_max=OPTION_LENGTH_MAX)
        variants = tuple(self._variants(product, choices, name))
        if not variants:
            self._leave_out(product, title, WITHOUT_VARIANTS)
            return None
        self._say_page(product, slug, name)
        return NormalizedProduct(
            place=product.place,
            handle=product.handle,
            slug=slug,
            title=title,
            summary=one_line(product.summary) or summary_of(product.opening or f"{title}."),
            description=self._description(product, title),
            category=self._category(product.category, product) or self._options.fallback_category,
            categories=tuple(
                dict.fromkeys(
                    category for item in product.categories if (category := self._category(item, product))
                )
            ),
            brand=one_line(product.brand),
            condition=one_line(product.condition),
            seo_title=one_line(product.seo_title),
            seo_description=one_line(product.seo_description),
            released_on=self._day(product.released_on, "released_on", product.place, name),
            tags=tuple(dict.fromkeys(tag for item in product.tags if (tag := one_line(item)))),
            details=tuple(
                (one_line(name), one_line(value)) for name, value in product.details if one_line(value)
            ),
            variants=variants,
            pictures=tuple(self._pictures(product, title, choices, variants)),
            old_paths=product.old_paths,
        )

    def _say_page(self, product: ImportedProduct, slug: Slug, name: str) -> None:
        """Say where a product is that its handle does not name, or its title together with others."""
        path = f"its page is /products/{slug}"
        named = product.page_name or product.title
        if product.handle and slug != product.handle:
            kind = "handles that are written differently"
            self._lost(product.place, f"handle {product.handle!r}", path, kind, name)
        elif not product.handle and slug != slug_of(named):
            kind = "products with the name of another one, set apart by a digest"
            self._lost(product.place, f"title {named!r}", path, kind, name)

    def _variants(
        self, product: ImportedProduct, choices: ChosenOptions, name: str
    ) -> Iterator[NormalizedVariant]:
        for long, short in choices.shortened:
            self._lost(
                product.place, f"option {long!r}", f"is {short!r} here", "long options, cut short", name
            )
        seen: set[Options] = set()
        for variant in choices.sorted(product.variants):
            price = self._price(variant, name)
            if price is None:
                continue
            options = choices.of(variant)
            if options in seen:
                what = f"SKU {variant.sku or '(none)'}"
                outcome = "left out: the same options twice"
                self._lost(variant.place, what, outcome, "variants with the same options as another", name)
                continue
            seen.add(options)
            units, availability, when_sold_out = self._stock(variant, name)
            yield NormalizedVariant(
                place=variant.place,
                sku=self._sku(variant, name),
                price=price,
                options=options,
                units=units,
                availability=availability,
                when_sold_out=when_sold_out,
                compare_at_price=self._former_price(variant, price, name),
                sale_ends_on=self._day(variant.sale_ends_on, "end of a sale", variant.place, name),
                gtin=one_line(variant.gtin),
                mpn=one_line(variant.mpn),
                weight_g=variant.weight_g,
                variant_id=one_line(variant.variant_id),
                checkout_url=one_line(variant.checkout_url),
                available_on=self._day(variant.available_on, "available_on", variant.place, name),
            )

    def _sku(self, variant: ImportedVariant, name: str) -> Sku:
        try:
            return own_sku(variant.sku)
        except SkuRefused as refused:
            kind = "SKUs that cannot be used, replaced by derived ones"
            self._lost(variant.place, f"SKU {cut(variant.sku, 80)!r}", refused.reason, kind, name)
            return Sku("")

    def _price(self, variant: ImportedVariant, name: str) -> str | None:
        price = self._plain(variant.price)
        if price is None and (variant.price or variant.place not in self._priceless):
            what = f"price {variant.price!r}" if variant.price else "no price"
            kind = "variants without a price" if not variant.price else "prices that cannot be taken"
            self._lost(variant.place, what, VARIANT_LEFT_OUT, kind, name)
        return price

    def _former_price(self, variant: ImportedVariant, price: str, name: str) -> str:
        former = self._plain(variant.compare_at_price)
        if former is not None and Decimal(former) > Decimal(price):
            return former
        # Shops write the price itself, or 0, where there is no former one.
        none = {"", price, f"{Decimal(0):.{self._options.fraction_digits}f}"}
        if (variant.compare_at_price if former is None else former) not in none:
            what = f"compare-at price {variant.compare_at_price!r}"
            kind = "compare-at prices that are not above the price"
            self._lost(variant.place, what, "left out", kind, name)
        return ""

    def _day(self, text: str, what: str, place: str, name: str) -> str:
        if not text:
            return ""
        try:
            return date.fromisoformat(text.strip()[:10]).isoformat()
        except ValueError:
            self._lost(place, f"{what} {text!r}", "left out", "dates that cannot be read", name)
            return ""

    def _plain(self, text: str) -> str | None:
        """Return a price with the currency's own digits; None when the build would refuse it."""
        digits = self._options.fraction_digits
        plain = text.strip()
        if not _NUMBER.fullmatch(plain):
            return None
        try:
            amount = Decimal(plain)
            price = f"{amount:.{max(digits, -int(amount.normalize().as_tuple().exponent))}f}"
            minor_units(price, fraction_digits=digits)
        except ValueError:
            return None
        return price

    def _stock(self, variant: ImportedVariant, name: str) -> tuple[int | None, str, str]:
        """Units, availability and what it becomes when sold out."""
        if variant.units is None:
            stated = "" if variant.availability in {"", "InStock"} else variant.availability
            return None, stated, ""
        if variant.units > UNITS_MAX:
            kind = "more units than a shop can count"
            self._lost(variant.place, f"stock {variant.units}", f"is {UNITS_MAX:,} here", kind, name)
        units = max(0, min(variant.units, UNITS_MAX))
        if units:
            stated = "" if variant.availability in {"", "InStock", "OutOfStock"} else variant.availability
            return units, stated, "BackOrder" if variant.sells_on else ""
        stated = "" if variant.availability in {"InStock", "OutOfStock"} else variant.availability
        return 0, stated, "BackOrder" if variant.sells_on else ""

    def _description(self, product: ImportedProduct, title: str) -> str:
        name = product.handle or title
        text = clean(product.description, lines=True).strip()
        if len(text) > _DESCRIPTION_LENGTH_MAX:
            outcome = f"cut to {DESCRIPTION_LENGTH_MAX}"
            what = f"a description of {len(text)} characters"
            self._lost(product.place, what, outcome, "long descriptions, cut short", name)
            text = text[:_DESCRIPTION_LENGTH_MAX]
            text = text.rpartition("\n\n")[0] or text.rpartition(" ")[0] or text
        return text or f"{escaped(title)}."

    def _category(self, title: str, product: ImportedProduct) -> str:
        category = one_line(title)
        if len(category) > CATEGORY_LENGTH_MAX:
            kind = "long categories, cut short"
            self._lost(product.place, f"category {category!r}", "cut short", kind, product.handle)
        return cut(category, CATEGORY_LENGTH_MAX)

    def _pictures(
        self,
        product: ImportedProduct,
        title: str,
        choices: ChosenOptions,
        variants: Sequence[NormalizedVariant],
    ) -> Iterator[NormalizedPicture]:
        name = product.handle or title
        order = {variant.place: number for number, variant in enumerate(variants)}
        found: set[str] = set()
        for picture in sorted(product.pictures, key=lambda picture: _position(picture, product, order)):
            choice = self._picture(picture.url)
            if not choice.file:
                self._lost(product.place, f"picture {picture.url}", choice.outcome, choice.kind, name)
            elif choice.file not in found:
                found.add(choice.file)
                options = shown_options(product, choices, picture.url)
                alt = one_line(picture.alt)
                if not alt:
                    alt = ", ".join([title, *(value for _, value in options)])
                    kind = "pictures without a text for people who cannot see them"
                    self._lost(product.place, choice.file, f"the text is {alt!r}", kind, name)
                yield NormalizedPicture(choice.file, alt, options)

    def _leave_out(self, product: ImportedProduct, what: str, kind: str) -> None:
        self._left_out.append(Omission(product.place, what, "left out", kind, product.handle))

    def _lost(self, place: str, what: str, outcome: str, kind: str, product: str) -> None:
        self._not_taken.append(Omission(place, what, outcome, kind, product))


def _position(
    picture: ImportedPicture, product: ImportedProduct, order: Mapping[str, int]
) -> tuple[int, int, str]:
    """Return the position of a picture: as the export numbers it, then by its variants."""
    numbers = [
        order[item.place] for item in product.variants if item.picture == picture.url and item.place in order
    ]
    alone = len({variant.place for variant in product.variants}) == 1
    number = picture.position
    if number is None:
        number = product.pictures.index(picture) if alone else _LAST
    return number, min(numbers, default=_LAST), picture.url

"""Judge a product by the build's own reader, before its file is written.

The reader reports what it refuses. A text that is too long is cut, an optional part is left out, and so is a
product without a required part; each with the reader's own reason. Redirects of the shop whose page an import
takes away are left out too: the build refuses them.
"""

import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from urllib.parse import unquote

from spillway.importing.description import escaped
from spillway.importing.imported import Omission
from spillway.importing.names import cut
from spillway.importing.normalize import NormalizedPicture, NormalizedProduct, NormalizedVariant
from spillway.importing.product_text import product_text
from spillway.importing.shop_files import ImportRecord, MovedProduct, ShopFile
from spillway.sitegen.reading.product_file import ProductFile
from spillway.sitegen.reading.redirects import Redirect
from spillway.sitegen.reading.slugs import tag_paths
from spillway.sitegen.reading.toml_input import InputError

T = TypeVar("T", NormalizedProduct, NormalizedVariant)
# Each round finds what the one before could not see; what is wrong then is wrong for good.
_ROUNDS_MAX = 6
_TOO_LONG = re.compile(r"at most (\d+) characters")
_TOO_MANY = re.compile(r"a list of \d+ to (\d+)")
_INDEXED = re.compile(r"(variants|pictures)\[(\d+)\]\.?(.*)")
_PRODUCT_PARTS: Mapping[str, Any] = {
    **dict.fromkeys(("brand", "condition", "seo_title", "seo_description"), ""),
    **dict.fromkeys(("released_on", "checkout_url"), ""),
    **dict.fromkeys(("tags", "details", "categories", "pictures"), ()),
}
_OFFER = ("compare_at_price", "sale_ends_on")
_VARIANT_PARTS: Mapping[str, Any] = {
    **dict.fromkeys((*_OFFER, "availability", "when_sold_out", "available_on"), ""),
    **dict.fromkeys(("gtin", "mpn", "variant_id", "checkout_url"), ""),
    "weight_g": None,
}
_SHARED_PARTS = (*_OFFER, "weight_g")
_LISTS = frozenset({"tags", "details", "pictures", "variants", "categories"})
_TEXTS = ("title", "summary", "brand", "seo_title", "seo_description")


@dataclass(frozen=True, slots=True)
class AcceptedProduct:
    """A product that the build takes, and the text of its file."""

    product: NormalizedProduct
    text: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """Products that the build takes; `left_out` are whole products, `not_taken` parts of the others."""

    taken: tuple[AcceptedProduct, ...]
    left_out: tuple[Omission, ...]
    not_taken: tuple[Omission, ...]


def judge(
    products: Sequence[NormalizedProduct], reader: ProductFile, slug_of: Callable[[str], str]
) -> Judgement:
    """Judge products by `reader`, the build's; `slug_of` gives the slug of a category by its title."""
    judge = _Judge(reader, slug_of)
    taken = tuple(found for product in products if (found := judge.judged(product)))
    return Judgement(taken, tuple(judge.left_out), tuple(judge.not_taken))


class _Judge:
    def __init__(self, reader: ProductFile, slug_of: Callable[[str], str]) -> None:
        self._reader = reader
        self._slug_of = slug_of
        self.left_out: list[Omission] = []
        self.not_taken: list[Omission] = []

    def judged(self, product: NormalizedProduct) -> AcceptedProduct | None:
        """Return the product as the build takes it; None, and a finding noted, when it takes none of it."""
        mistakes: list[InputError] = []
        for _ in range(_ROUNDS_MAX):
            text = product_text(
                product,
                category=self._slug_of(product.category),
                categories=[self._slug_of(title) for title in product.categories],
            )
            mistakes = []
            file = f"site/products/{product.slug}.toml"
            row = self._reader.read(text, slug=product.slug, file=file, mistakes=mistakes)
            if row and not mistakes:
                return AcceptedProduct(product, text)
            better = self._without(product, mistakes)
            if better is None or better == product:
                break
            product = better
        for mistake in mistakes[:1]:
            what = f"{_shown(mistake)}: expected {mistake.expected}"
            self._note(self.left_out, product.place, what, "left out", _kind("products", mistake), product)
        return None

    def _without(self, product: NormalizedProduct, mistakes: list[InputError]) -> NormalizedProduct | None:
        """Return the product without its wrong parts; None when a part is required.

        Lists are shortened last, because errors count their places.
        """
        dropped: set[tuple[str, int]] = set()
        better = product
        for mistake in mistakes:
            found = _INDEXED.fullmatch(mistake.field)
            if found:
                better = self._part_without(better, found[1], int(found[2]), found[3], mistake, dropped)
                continue
            shorter = self._field_without(better, mistake)
            if shorter is None:
                return None
            better = shorter
        variants = [
            variant for number, variant in enumerate(better.variants) if ("variants", number) not in dropped
        ]
        pictures = [
            picture for number, picture in enumerate(better.pictures) if ("pictures", number) not in dropped
        ]
        return replace(better, variants=tuple(variants), pictures=tuple(pictures)) if variants else None

    def _part_without(
        self,
        product: NormalizedProduct,
        table: str,
        number: int,
        field: str,
        mistake: InputError,
        dropped: set[tuple[str, int]],
    ) -> NormalizedProduct:
        if table == "pictures" and number < len(product.pictures):
            picture = product.pictures[number]
            shorter = _cut_to(picture.alt, mistake) if field == "alt" else ""
            if shorter:
                self._lost(product, product.place, mistake, "cut short")
                return _with_picture(product, number, replace(picture, alt=shorter))
            self._lost(product, product.place, mistake, "the picture is left out")
        elif table == "variants" and number < len(product.variants):
            variant = product.variants[number]
            if field in _VARIANT_PARTS and getattr(variant, field) != _VARIANT_PARTS[field]:
                self._lost(product, variant.place, mistake, "left out")
                return _with_variant(product, number, _with(variant, field, _VARIANT_PARTS[field]))
            self._lost(product, variant.place, mistake, f"the variant {variant.sku} is left out")
        dropped.add((table, number))
        return product

    def _field_without(self, product: NormalizedProduct, mistake: InputError) -> NormalizedProduct | None:
        field = mistake.field
        if field in _TEXTS and (shorter := _cut_to(getattr(product, field), mistake)):
            self._lost(product, product.place, mistake, "cut short")
            return _with(product, field, shorter)
        if field in _LISTS and (shortened := self._shortened(product, field, mistake)):
            return shortened
        if field == "description":
            return self._in_plain_words(product, mistake)
        return self._without_field(product, field, mistake)

    def _without_field(
        self, product: NormalizedProduct, field: str, mistake: InputError
    ) -> NormalizedProduct | None:
        if field in _SHARED_PARTS:
            self._lost(product, product.place, mistake, "left out")
            variants = (_with(variant, field, _VARIANT_PARTS[field]) for variant in product.variants)
            return replace(product, variants=tuple(variants))
        if field in _PRODUCT_PARTS:
            self._lost(product, product.place, mistake, "left out")
            return _with(product, field, _PRODUCT_PARTS[field])
        if field == "summary" and product.summary != product.title:
            self._lost(product, product.place, mistake, "the title stands for it")
            return replace(product, summary=product.title)
        return None

    def _in_plain_words(self, product: NormalizedProduct, mistake: InputError) -> NormalizedProduct | None:
        plain = "\n\n".join(escaped(part) for part in product.description.split("\n\n"))
        self._lost(product, product.place, mistake, "the description is taken as plain words")
        return None if plain == product.description else replace(product, description=plain)

    def _shortened(
        self, product: NormalizedProduct, field: str, mistake: InputError
    ) -> NormalizedProduct | None:
        """Return the list without the one value that is wrong, or with no more of them than there may be."""
        held: tuple[Any, ...] = getattr(product, field)
        if too_many := _TOO_MANY.fullmatch(mistake.expected):
            for extra in held[int(too_many[1]) :]:
                place = extra.place if isinstance(extra, NormalizedVariant) else product.place
                what = f"{_named(field)} {_name_of(extra)!r}"
                kind = f"{field} beyond the {too_many[1]} that a product may have"
                self._note(self.not_taken, place, what, "left out", kind, product)
            return _with(product, field, held[: int(too_many[1])])
        if field == "details":
            limit = _TOO_LONG.search(mistake.expected)
            pairs = [
                [cut(text, int(limit[1])) if limit and text == mistake.value else text for text in pair]
                for pair in held
            ]
            self._lost(product, product.place, mistake, "cut short" if limit else "left out")
            kept = [(name, value) for name, value in pairs if limit or mistake.value not in {name, value}]
            return replace(product, details=tuple(kept))
        if mistake.value in held:
            self._lost(product, product.place, mistake, "left out")
            return _with(product, field, tuple(item for item in held if item != mistake.value))
        return None

    def _lost(self, product: NormalizedProduct, place: str, mistake: InputError, outcome: str) -> None:
        what = f"{_shown(mistake)}: expected {mistake.expected}"
        self._note(self.not_taken, place, what, outcome, _kind(_named(mistake.field), mistake), product)

    def _note(
        self,
        findings: list[Omission],
        place: str,
        what: str,
        outcome: str,
        kind: str,
        product: NormalizedProduct,
    ) -> None:
        findings.append(Omission(place, what, outcome, kind, product.name))


def _cut_to(text: str, mistake: InputError) -> str:
    limit = _TOO_LONG.search(mistake.expected)
    return cut(text, int(limit[1])) if limit and len(text) > int(limit[1]) else ""


def _with(thing: T, field: str, value: object) -> T:
    """Return a copy of a product or a variant with another value in the field of that name."""
    changed: Mapping[str, Any] = {field: value}
    return replace(thing, **changed)


def _with_picture(product: NormalizedProduct, number: int, picture: NormalizedPicture) -> NormalizedProduct:
    pictures = (*product.pictures[:number], picture, *product.pictures[number + 1 :])
    return replace(product, pictures=pictures)


def _with_variant(product: NormalizedProduct, number: int, variant: NormalizedVariant) -> NormalizedProduct:
    variants = (*product.variants[:number], variant, *product.variants[number + 1 :])
    return replace(product, variants=variants)


def _named(field: str) -> str:
    """Return a field as a merchant reads it: "compare at price", not "variants[3].compare_at_price"."""
    return field.rpartition(".")[2].replace("_", " ")


def _shown(mistake: InputError) -> str:
    value = "(missing)" if mistake.value is None else cut(repr(mistake.value), 80)
    return f"{_named(mistake.field)} {value}"


def _name_of(value: Any) -> str:
    if isinstance(value, NormalizedVariant):
        return value.sku
    return value.file if isinstance(value, NormalizedPicture) else str(value)


def _kind(what: str, mistake: InputError) -> str:
    """Return the same words for every value of one field that is refused for one reason."""
    expected = re.sub(r", not .*|: .*", "", mistake.expected)
    return f"{what} that a shop cannot show, {_named(mistake.field)}: expected {expected}"


def gone_pages(
    files: Sequence[ShopFile],
    record: ImportRecord,
    moved: Sequence[MovedProduct],
    judged: Sequence[AcceptedProduct],
) -> frozenset[str]:
    """Return the paths of product and tag pages that the shop no longer has after an import.

    Args:
        files: The products before it.
        record: Files of earlier imports; a file of theirs may have been deleted since.
        moved: The files that other pages take over.
        judged: Products that the import writes.
    """
    tags = {file.name: _tags(file.values) for file in files}
    pages = {f"/products/{file.slug}" for file in files}
    noted = {f"/products/{name.removesuffix('.toml')}" for name in record.files}
    before = pages | noted | tag_paths([*tags.values()])
    for item in moved:
        pages.discard(f"/products/{item.file.slug}")
        if not item.kept:
            tags.pop(item.file.name, None)
    for product in (item.product for item in judged):
        pages.add(f"/products/{product.slug}")
        tags[f"{product.slug}.toml"] = product.tags
    pages |= {f"/products/{item.slug}" for item in moved}
    return frozenset(before - pages - tag_paths([*tags.values()]))


def stale_redirects(redirects: Sequence[Redirect], new: Mapping[str, str], gone: Set[str]) -> dict[str, str]:
    """Return the redirects that lead to a page that is gone, by source, with that page.

    Args:
        redirects: The shop's lines.
        new: Redirects that the import adds. A chain that ends at a page leads there.
        gone: The paths of the pages.
    """
    targets = {redirect.source: redirect.target for redirect in redirects} | dict(new)
    stale = {}
    for redirect in redirects:
        here, seen = _page(redirect.target), {redirect.source}
        while here in targets and here not in seen:
            seen.add(here)
            here = _page(targets[here])
        # Each further language has its pages under a root of its own.
        if here in gone or here[here.find("/", 1) :] in gone:
            stale[redirect.source] = here
    return stale


def _page(target: str) -> str:
    return unquote(target.partition("?")[0].partition("#")[0]).rstrip("/")


def _tags(values: Mapping[str, Any]) -> tuple[str, ...]:
    tags = values.get("tags")
    return tuple(str(tag) for tag in tags) if isinstance(tags, list) else ()

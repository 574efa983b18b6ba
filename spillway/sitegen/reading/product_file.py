"""site/products/SLUG.toml: one product, its pictures, and its variants with the stock they start with.

SLUG.md is the same with the description as Markdown below the TOML.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from chalicelib.domain.availability import UNITS_MAX
from chalicelib.domain.product import Product, Variant
from chalicelib.domain.sku import SkuRefused, parse_sku
from chalicelib.domain.stock import Availability, Stock
from spillway.sitegen.build_cache import BuildCache
from spillway.sitegen.file_stat import Signature, is_settled, signature_of
from spillway.sitegen.parallel import WorkerPool, bundled
from spillway.sitegen.reading.catalogue import FILE_NAME_LENGTH_MAX, PICTURE_EXPECTED, ProductRow, SourceImage
from spillway.sitegen.reading.locales import minor_units, skip_other_locales
from spillway.sitegen.reading.markdown import FrontMatter
from spillway.sitegen.reading.product_fields import (
    ALT_LENGTH_MAX,
    DETAIL_LENGTH_MAX,
    DETAILS_MAX,
    OF_PRODUCT,
    OF_VARIANT,
    OPTION_LENGTH_MAX,
    SUMMARY_LENGTH_MAX,
    TAG_LENGTH_MAX,
    TAGS_MAX,
    TITLE_LENGTH_MAX,
    VariantDefaults,
    description,
    read_defaults,
    read_translation,
    with_product_fields,
    with_variant_fields,
)
from spillway.sitegen.reading.toml_input import InputError, TomlTable

# Stock that a catalogue states was never observed: any event is newer.
INITIAL_EVENT_ID = "catalogue"
INITIAL_OBSERVED_AT_MS = 0

_PICTURES_MAX = 12
_VARIANTS_MAX = 100


class ProductFile:
    """The reader of product files. What needs more than one file to be judged is `loading`'s business.

    `locales` are those of the shop but the first, which the file is in. With `judged_only`, mistakes are
    noted as ever, and descriptions are not made into markup where they can have none.
    """

    def __init__(
        self,
        *,
        pictures: Path,
        fraction_digits: int,
        locales: Sequence[str] = (),
        judged_only: bool = False,
    ) -> None:
        self._pictures = pictures
        self._fraction_digits = fraction_digits
        self._locales = locales
        self._judged_only = judged_only

    def read(self, text: str, *, slug: str, file: str, mistakes: list[InputError]) -> ProductRow | None:
        """The product of a file's text; None when there is no reading it. Mistakes are noted."""
        table = _table_of(text, file, mistakes)
        return self.product_of(table, slug=slug, file=file) if table else None

    def product_of(self, table: TomlTable, *, slug: str, file: str) -> ProductRow:
        """The product of a table, wherever that is from."""
        price_minor = self._price(table, "price")
        shots = tuple(self._shots(table))
        defaults = read_defaults(table, price_minor, self._price)
        variants, stock = self._variants(table, price_minor, defaults)
        product = Product(
            slug=slug,
            title=table.text("title", length_max=TITLE_LENGTH_MAX),
            summary=table.text("summary", length_max=SUMMARY_LENGTH_MAX),
            description_html=description(table, judged_only=self._judged_only),
            category=table.text("category", length_max=TITLE_LENGTH_MAX),
            pictures=(),
            variants=variants,
            details=table.pairs("details", length_max=DETAIL_LENGTH_MAX, count_max=DETAILS_MAX),
            tags=table.texts("tags", length_max=TAG_LENGTH_MAX, count_max=TAGS_MAX, optional=True),
            released_on=table.day("released_on"),
            translations=tuple(
                read_translation(table.table(locale), locale, shots)
                for locale in self._locales
                if table.has(locale)
            ),
        )
        product = with_product_fields(product, table)
        skip_other_locales(table)
        table.done(also=OF_PRODUCT)
        return ProductRow.of(file, product, shots, tuple(stock.items()))

    def _price(self, table: TomlTable, name: str) -> int:
        price = table.value(name)
        try:
            price_minor = minor_units(price, fraction_digits=self._fraction_digits)
        except ValueError:
            example = "148" + (f".{'0' * self._fraction_digits}" if self._fraction_digits else "")
            table.error(name, price, f'a decimal number in quotes: "{example}"')
            return 1
        return price_minor

    def _shots(self, table: TomlTable) -> list[SourceImage]:
        shots = []
        for row in table.tables("pictures", count_max=_PICTURES_MAX, optional=True):
            file = row.text("file", length_max=FILE_NAME_LENGTH_MAX)
            alt = row.text("alt", length_max=ALT_LENGTH_MAX)
            options = row.options("options", length_max=OPTION_LENGTH_MAX)
            if file and Path(file).name == file:
                shots.append(SourceImage(self._pictures / file, alt, options))
            elif file:
                row.error("file", file, PICTURE_EXPECTED)
            row.done()
        return shots

    def _variants(
        self, table: TomlTable, price_minor: int, defaults: VariantDefaults
    ) -> tuple[tuple[Variant, ...], dict[str, Stock]]:
        variants: list[Variant] = []
        stock: dict[str, Stock] = {}
        seen: set[tuple[tuple[str, str], ...]] = set()
        for row in table.tables("variants", count_max=_VARIANTS_MAX):
            sku = _sku(row)
            options = row.options("options", length_max=OPTION_LENGTH_MAX)
            if variants and [name for name, _ in options] != [name for name, _ in variants[0].options]:
                row.error("options", dict(options), "the same options, in the same order, for every variant")
            elif options in seen or (variants and not options):
                row.error("options", dict(options), "each choice once")
            seen.add(options)
            own_price = self._price(row, "price") if row.has("price") else price_minor
            variant = with_variant_fields(Variant(sku, own_price, options), row, defaults, self._price)
            variants.append(variant)
            stock[sku] = _initial_stock(row, variant)
            row.done(also=OF_VARIANT)
        return tuple(variants), stock


def _table_of(text: str, file: str, mistakes: list[InputError]) -> TomlTable | None:
    if not file.endswith(".md"):
        return TomlTable.parse(text, file=file, mistakes=mistakes)
    parted = FrontMatter.of(text, file=file, mistakes=mistakes)
    return parted.table(file=file, mistakes=mistakes, description=parted.body) if parted else None


def _sku(row: TomlTable) -> str:
    """Return the SKU of a variant, or an empty one after noting what is wrong with it."""
    value = row.value("sku")
    if not isinstance(value, str):
        # A number has lost its leading zeros: nobody can say what the SKU was.
        row.error("sku", value, "an SKU" if value is None else 'an SKU in quotes: "0042"')
        return ""
    try:
        return parse_sku(value)
    except SkuRefused as refused:
        row.error("sku", value, f"another SKU. {refused.reason}")
        return ""


def _initial_stock(row: TomlTable, variant: Variant) -> Stock:
    units: int | None = None
    if row.flag("counted", default=True):
        units = row.whole_number("stock", at_most=UNITS_MAX)
    elif row.has("stock"):
        row.error("stock", row.value("stock"), "no stock where counted = false")
    stated = row.value("availability")
    availability = Availability.IN_STOCK
    if units == 0:
        availability = Availability(variant.when_sold_out or Availability.OUT_OF_STOCK)
    if stated is not None:
        try:
            availability = Availability(stated)
        except ValueError:
            row.error("availability", stated, f"one of {', '.join(Availability)}")
        if availability is Availability.IN_STOCK and units == 0:
            row.error("availability", stated, "OutOfStock, or a stock above 0")
    return Stock(availability, units, INITIAL_OBSERVED_AT_MS, INITIAL_EVENT_ID)


# What is remembered of the files is written in so many parts: of one that changed, only its own.
_BUNDLES = 32


class _Read(NamedTuple):
    """What a file said, remembered with what it looked like then. (A NamedTuple: there are many.)"""

    signature: Signature
    sha256: str
    row: ProductRow | None
    mistakes: tuple[InputError, ...]


class ProductLoading:
    """The product files of a shop. `text_of` reads one, and notes a mistake where it cannot be read."""

    def __init__(
        self,
        root: Path,
        memory: BuildCache,
        pool: WorkerPool,
        text_of: Callable[[str, list[InputError] | None], str | None],
    ) -> None:
        self._root = root
        self._memory = memory
        self._pool = pool
        self._text_of = text_of

    def rows(
        self, reader: ProductFile, files: Sequence[tuple[str, str]], *, key: str
    ) -> tuple[tuple[ProductRow, ...], list[InputError]]:
        """The products of `files`, given as (slug, name), and all that is wrong with them. `key` changes with
        anything that makes `reader` read the same file differently."""
        before: dict[str, _Read] = {}
        for number in range(_BUNDLES):
            before |= self._memory.get(f"{key} {number}") or {}
        now: dict[str, _Read] = {}
        anew: list[tuple[str, str]] = []
        signatures = self._signatures()
        for slug, file in files:
            known = before.get(file)
            if known and known.signature == signatures[file]:
                now[file] = known
            else:
                anew.append((slug, file))

        def read(bundle: Sequence[tuple[str, str]]) -> list[tuple[str, _Read]]:
            return [(file, self._read(reader, slug, file, before.get(file))) for slug, file in bundle]

        for reads in self._pool.share(read, bundled(anew)):
            now.update(reads)
        self._remember(now, key)
        mistakes = [mistake for _, file in files for mistake in now[file].mistakes]
        return tuple(row for _, file in files if (row := now[file].row)), mistakes

    def _remember(self, now: Mapping[str, _Read], key: str) -> None:
        bundles: list[dict[str, _Read]] = [{} for _ in range(_BUNDLES)]
        for file, each in now.items():
            if is_settled(each.signature) and not each.mistakes:
                bundles[crc32(file.encode()) % _BUNDLES][file] = each
        for number, bundle in enumerate(bundles):
            self._memory.note(f"{key} {number}", bundle)

    def _read(self, reader: ProductFile, slug: str, file: str, known: _Read | None) -> _Read:
        mistakes: list[InputError] = []
        signature = signature_of(f"{self._root}/{file}")
        text = self._text_of(file, mistakes)
        sha256 = hashlib.sha256((text or "").encode()).hexdigest()
        if known and known.sha256 == sha256:
            return known._replace(signature=signature)
        row = reader.read(text, slug=slug, file=file, mistakes=mistakes) if text is not None else None
        return _Read(signature, sha256, row, tuple(mistakes))

    def _signatures(self) -> dict[str, Signature]:
        folder = self._root / "site" / "products"
        if not folder.is_dir():
            return {}
        with os.scandir(folder) as entries:
            return {f"site/products/{entry.name}": signature_of(entry) for entry in entries}


def repeated_slugs(places: Iterable[tuple[str, str]]) -> Iterator[InputError]:
    """Products that are in two places, given as (slug, name of its file)."""
    seen: dict[str, str] = {}
    for slug, file in places:
        if slug in seen:
            expected = f"one product in one place; it is in {seen[slug]} already"
            yield InputError(file, None, "slug", slug, expected)
        seen.setdefault(slug, file)

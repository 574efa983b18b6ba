"""Read site/products/SLUG.toml: one product, its pictures, and its variants with their initial stock.

SLUG.md has the description as Markdown below the same TOML.
"""

import hashlib
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from chalicelib.domain.ids import Sku, SkuRefused, Slug, parse_sku
from chalicelib.domain.product import Product, Variant
from chalicelib.domain.stock import UNITS_MAX, Availability, Stock
from spillway.sitegen.cache import NOT_THERE, BuildCache, Signature, is_settled, signatures_by_folder
from spillway.sitegen.parallel import WorkerPool, chunks_of
from spillway.sitegen.reading.catalogue import FILE_NAME_LENGTH_MAX, PICTURE_EXPECTED, ProductRow, SourceImage
from spillway.sitegen.reading.did_you_mean import did_you_mean
from spillway.sitegen.reading.locales import minor_units, price_meant, skip_other_locales
from spillway.sitegen.reading.markdown import FrontMatter
from spillway.sitegen.reading.product_fields import (
    ALT_LENGTH_MAX,
    DETAIL_LENGTH_MAX,
    DETAILS_MAX,
    OPTION_LENGTH_MAX,
    OPTIONAL_PRODUCT_FIELDS,
    OPTIONAL_VARIANT_FIELDS,
    SUMMARY_LENGTH_MAX,
    TAG_LENGTH_MAX,
    TAGS_MAX,
    TITLE_LENGTH_MAX,
    VariantDefaults,
    options_problem,
    read_defaults,
    read_description,
    read_translation,
    with_product_fields,
    with_variant_fields,
)
from spillway.sitegen.reading.toml_input import InputError, TomlTable

# Stock in a file was never observed, so any event is newer.
INITIAL_EVENT_ID = "catalogue"
INITIAL_OBSERVED_AT_MS = 0

# A change to one file rewrites only its part of the cache.
_CACHE_PARTS = 32

_PICTURES_MAX = 12
VARIANTS_MAX = 100


class ProductFile:
    """Reads product files one by one; `loading` checks what several files have to agree on.

    Args:
        pictures: the folder of the merchant's pictures.
        fraction_digits: the decimal places of the currency.
        locales: the shop's locales other than the first, which the file is in.
        judged_only: whether only errors matter; then descriptions are not rendered if they are clearly valid.
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

    def read(self, text: str, *, slug: Slug, file: str, mistakes: list[InputError]) -> ProductRow | None:
        """Read the text of a file; return None and note an error when it is not TOML."""
        table = _table_of(text, file, mistakes)
        return self.product_of(table, slug=slug, file=file) if table else None

    def product_of(self, table: TomlTable, *, slug: Slug, file: str) -> ProductRow:
        """Read a product from a table, which a file or the rows of a sheet are made into."""
        price_minor = self._price(table, "price")
        defaults = read_defaults(table, price_minor, self._price)
        variants, stock = self._variants(table, price_minor, defaults)
        images = tuple(self._images(table, variants))
        product = Product(
            slug=slug,
            title=table.text("title", length_max=TITLE_LENGTH_MAX),
            summary=table.text("summary", length_max=SUMMARY_LENGTH_MAX),
            description_html=read_description(table, judged_only=self._judged_only),
            category=table.text("category", length_max=TITLE_LENGTH_MAX),
            pictures=(),
            variants=variants,
            details=table.pairs("details", length_max=DETAIL_LENGTH_MAX, count_max=DETAILS_MAX),
            tags=table.texts("tags", length_max=TAG_LENGTH_MAX, count_max=TAGS_MAX, optional=True),
            released_on=table.day("released_on"),
            translations=tuple(
                read_translation(table.table(locale), locale, images)
                for locale in self._locales
                if table.has(locale)
            ),
        )
        product = with_product_fields(product, table)
        skip_other_locales(table)
        table.done(also=OPTIONAL_PRODUCT_FIELDS)
        return ProductRow.of(file, product, images, tuple(stock.items()))

    def _price(self, table: TomlTable, name: str) -> int:
        price = table.value(name)
        try:
            price_minor = minor_units(price, fraction_digits=self._fraction_digits)
        except ValueError:
            example = price_meant(price, self._fraction_digits)
            table.error(name, price, f'a decimal number in quotes: "{example}"')
            return 1
        return price_minor

    def _images(self, table: TomlTable, variants: Sequence[Variant]) -> list[SourceImage]:
        images = []
        for row in table.tables("pictures", count_max=_PICTURES_MAX, optional=True):
            file = row.text("file", length_max=FILE_NAME_LENGTH_MAX)
            alt = row.text("alt", length_max=ALT_LENGTH_MAX)
            options = row.options("options", length_max=OPTION_LENGTH_MAX)
            if problem := options_problem(options, variants):
                row.error("options", dict(options), problem)
            if file and Path(file).name == file:
                images.append(SourceImage(self._pictures / file, alt, options))
            elif file:
                row.error("file", file, f"{PICTURE_EXPECTED}: {Path(file).name}")
            row.done()
        return images

    def _variants(
        self, table: TomlTable, price_minor: int, defaults: VariantDefaults
    ) -> tuple[tuple[Variant, ...], dict[Sku, Stock]]:
        variants: list[Variant] = []
        stock: dict[Sku, Stock] = {}
        seen: set[tuple[tuple[str, str], ...]] = set()
        for row in table.tables("variants", count_max=VARIANTS_MAX):
            sku = _sku(row)
            options = row.options("options", length_max=OPTION_LENGTH_MAX)
            looks = tuple((name, _as_it_looks(value)) for name, value in options)
            if variants and [name for name, _ in options] != [name for name, _ in variants[0].options]:
                row.error("options", dict(options), "the same options, in the same order, for every variant")
            elif looks in seen or (variants and not options):
                row.error("options", dict(options), "each choice once")
            seen.add(looks)
            own_price = self._price(row, "price") if row.has("price") else price_minor
            variant = with_variant_fields(Variant(sku, own_price, options), row, defaults, self._price)
            variants.append(variant)
            stock[sku] = _initial_stock(row, variant)
            row.done(also=OPTIONAL_VARIANT_FIELDS)
        return tuple(variants), stock


def _table_of(text: str, file: str, mistakes: list[InputError]) -> TomlTable | None:
    if not file.endswith(".md"):
        return TomlTable.parse(text, file=file, mistakes=mistakes)
    parts = FrontMatter.of(text, file=file, mistakes=mistakes)
    return parts.table(file=file, mistakes=mistakes, description=parts.body) if parts else None


def _as_it_looks(text: str) -> str:
    """Return a text as a page shows it: spaces around it do not, nor how an accent is stored."""
    return unicodedata.normalize("NFC", " ".join(text.split()))


def _sku(row: TomlTable) -> Sku:
    """Return the SKU of a variant; note an error and return an empty one when it is invalid."""
    value = row.value("sku")
    if not isinstance(value, str):
        # A number has lost its leading zeros, so the SKU is unknown.
        row.error("sku", value, "an SKU" if value is None else 'an SKU in quotes: "0042"')
        return Sku("")
    try:
        return parse_sku(value)
    except SkuRefused as refused:
        row.error("sku", value, f"another SKU. {refused.reason}")
        return Sku("")


def _initial_stock(row: TomlTable, variant: Variant) -> Stock:
    units: int | None = None
    stated = row.value("availability")
    is_coming = stated == Availability.COMING_SOON
    if not row.flag("counted", default=True):
        if row.has("stock"):
            row.error("stock", row.value("stock"), "no stock where counted = false")
    elif is_coming and not row.has("stock"):
        # Nothing is there to count yet.
        units = 0
    else:
        units = row.whole_number("stock", at_most=UNITS_MAX)
    availability = Availability.IN_STOCK
    if units == 0 and not is_coming:
        availability = Availability(variant.when_sold_out or Availability.OUT_OF_STOCK)
    if stated is not None:
        try:
            availability = Availability(stated)
        except ValueError:
            hint = did_you_mean(str(stated), Availability)
            row.error("availability", stated, f"one of {', '.join(Availability)}{hint}")
        if availability is Availability.IN_STOCK and units == 0:
            row.error("availability", stated, "OutOfStock, or a stock above 0")
    return Stock(availability, units, INITIAL_OBSERVED_AT_MS, INITIAL_EVENT_ID)


class _ReadFile(NamedTuple):
    """The result of reading a file that had this signature and content. A NamedTuple: there are many."""

    signature: Signature
    sha256: str
    row: ProductRow | None
    mistakes: tuple[InputError, ...]


def read_product_files(
    files: Sequence[tuple[Slug, str]],
    reader: ProductFile,
    *,
    root: Path,
    text_of: Callable[[str, list[InputError] | None], str | None],
    cache: BuildCache,
    pool: WorkerPool,
    key: str,
) -> tuple[tuple[ProductRow, ...], list[InputError]]:
    """Read the products of `files`, except those that did not change since an earlier build.

    Args:
        files: (slug, name from the project's root) of each file.
        reader: reads the text of one file.
        root: the project's root.
        text_of: returns the text of a file, or notes an error and returns None.
        cache: the results of earlier builds.
        pool: the workers among which files are divided.
        key: the key of `cache`; it changes with every setting that changes what `reader` returns.

    Returns:
        The products that can be read, and the errors of all files.
    """
    before: dict[str, _ReadFile] = {}
    for number in range(_CACHE_PARTS):
        before |= cache.get(f"{key} {number}") or {}
    now: dict[str, _ReadFile] = {}
    changed: list[tuple[Slug, str]] = []
    signatures = _signatures(root) if files else {}
    for slug, file in files:
        known = before.get(file)
        if known and known.signature == signatures.get(file):
            now[file] = known
        else:
            changed.append((slug, file))

    def read(chunk: Sequence[tuple[Slug, str]]) -> list[tuple[str, _ReadFile]]:
        return [(file, read_one(slug, file, before.get(file))) for slug, file in chunk]

    def read_one(slug: Slug, file: str, known: _ReadFile | None) -> _ReadFile:
        mistakes: list[InputError] = []
        signature = signatures.get(file, NOT_THERE)
        text = text_of(file, mistakes)
        sha256 = hashlib.sha256((text or "").encode()).hexdigest()
        if known and known.sha256 == sha256:
            return known._replace(signature=signature)
        row = reader.read(text, slug=slug, file=file, mistakes=mistakes) if text is not None else None
        return _ReadFile(signature, sha256, row, tuple(mistakes))

    for reads in pool.map_batches(read, chunks_of(changed)):
        now.update(reads)
    _remember(now, cache, key)
    mistakes = [mistake for _, file in files for mistake in now[file].mistakes]
    return tuple(row for _, file in files if (row := now[file].row)), mistakes


def _remember(now: Mapping[str, _ReadFile], cache: BuildCache, key: str) -> None:
    parts: list[dict[str, _ReadFile]] = [{} for _ in range(_CACHE_PARTS)]
    for file, read in now.items():
        if is_settled(read.signature) and not read.mistakes:
            parts[crc32(file.encode()) % _CACHE_PARTS][file] = read
    for number, part in enumerate(parts):
        cache.set(f"{key} {number}", part)


def _signatures(root: Path) -> dict[str, Signature]:
    files = signatures_by_folder(str(root / "site" / "products")).get("", {})
    return {f"site/products/{name}": signature for name, signature in files.items()}

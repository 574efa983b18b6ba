"""Import stock from a file into a stage: the numbers of its locale, and SKUs that are spelled nearly alike.

chalicelib.domain.stock_file reads the lines, chalicelib.services.stock_import compares and applies them.

SKUs are compared exactly. A message may name similar SKUs, always in full and with the product they belong
to: no command acts on an SKU that was not typed.
"""

import difflib
import shlex
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from babel import Locale
from babel.numbers import get_decimal_symbol, get_group_symbol

from chalicelib.domain.ids import Sku, Slug
from chalicelib.domain.stock_file import NumberFormat, StockFile, StockFileRefused, parse_stock_file
from chalicelib.services.availability import Availabilities
from chalicelib.services.stock_import import StockFileChange, StockImport, plan_import
from chalicelib.tables.products import TRANSACTION_PRODUCTS_MAX, ProductsTable
from chalicelib.tables.shards import ShardsTable
from spillway.errors import BadInput
from spillway.stage import LOCAL

SIMILAR_SHOWN_MAX = 3
SIMILAR_SHARE_MIN = 0.75


class SkuIndex:
    """The SKUs of a shop with the slugs of their products, to find similar ones."""

    def __init__(self, sold: Iterable[tuple[Sku, Slug]]) -> None:
        self._slugs = dict(sold)
        self._alike: dict[str, list[Sku]] = {}
        for sku in sorted(self._slugs):
            self._alike.setdefault(_rough(sku), []).append(sku)

    @classmethod
    def of(cls, products: ProductsTable) -> "SkuIndex":
        """Return the SKUs of all products of a stage."""
        return cls(
            (variant.sku, stocked.product.slug)
            for stocked in products.scan()
            for variant in stocked.product.variants
        )

    def near_miss(self, sku: Sku) -> str | None:
        """Return a sentence that names SKUs other in case, spaces or leading zeros alone; None without."""
        found = [
            (other, _difference(sku, other)) for other in self._alike.get(_rough(sku), ()) if other != sku
        ]
        if not found:
            return None
        listed = " and ".join(f"{self._shown(other)} differs in {difference}" for other, difference in found)
        return f"SKUs are compared exactly: {listed}"

    def similar(self, sku: Sku) -> str | None:
        """Return a sentence that names SKUs spelled nearly like it; None without."""
        near = difflib.get_close_matches(sku, self._slugs, n=SIMILAR_SHOWN_MAX, cutoff=SIMILAR_SHARE_MIN)
        listed = ", ".join(self._shown(Sku(other)) for other in near)
        return f"other SKUs of this stage: {listed}" if near else None

    def _shown(self, sku: Sku) -> str:
        return f"{sku!r} (product {self._slugs[sku]})"


def require_sold(products: ProductsTable, sku: Sku, stage: str) -> None:
    """Check that the stage sells `sku`.

    Raises:
        BadInput: The stage does not sell it.
    """
    if products.slug_of(sku) is None:
        raise not_sold(sku, stage, SkuIndex.of(products))


def not_sold(sku: Sku, stage: str, index: SkuIndex) -> BadInput:
    """Return the error about an SKU that the stage does not sell, with similar ones of `index`."""
    hint = index.near_miss(sku) or "; ".join(
        words
        for words in (index.similar(sku), "SKUs are in site/products/*.toml; publish first if it is new")
        if words
    )
    return BadInput(f"SKU {sku!r}: stage {stage} sells nothing under that name", hint=hint)


def typed(command: str, sku: Sku, *options: str) -> str:
    """Return a command about an SKU, quoted for a shell: "available 'a b' --stock 5"."""
    if sku.startswith("-"):
        return shlex.join([command, *options, "--", sku])
    return shlex.join([command, sku, *options])


def typed_move(sku: Sku, stage: str) -> str:
    """Return the command that moves people from an SKU to another, quoted for a shell."""
    options = () if stage == LOCAL else ("--stage", stage)
    words = ["--", sku, "NEW-SKU"] if sku.startswith("-") else [sku, "NEW-SKU"]
    return shlex.join(["spillway", "waitlist", "move", *options, *words])


def _rough(text: str) -> str:
    """Return a text without case, spaces, leading zeros and compatibility forms."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split()).lstrip("0")


def _difference(sku: Sku, other: str) -> str:
    if sku.casefold() == other.casefold():
        return "upper and lower case"
    if "".join(sku.split()) == "".join(other.split()):
        return "spaces"
    if sku.lstrip("0") == other.lstrip("0"):
        return "leading zeros"
    return "case, spaces, leading zeros or the form of its characters"


def read_stock_file(file: Path, *, locale: str = "en") -> StockFile:
    """Read a stock file, with numbers in the format of `locale` ("de", "en-GB").

    Raises:
        BadInput: It is no stock file.
    """
    try:
        return parse_stock_file(file.read_bytes(), number_format(locale), name=file.name)
    except StockFileRefused as refused:
        raise BadInput(f"{file}: {refused}", hint=refused.hint) from None


def number_format(locale: str) -> NumberFormat:
    """Return the format of whole numbers of a locale ("de", "en-GB")."""
    parsed = Locale.parse(locale, sep="-") if "-" in locale else Locale.parse(locale)
    first, others = parsed.decimal_formats[None].grouping
    return NumberFormat(get_decimal_symbol(parsed), get_group_symbol(parsed), (first, others))


def plan(
    file: StockFile, products: ProductsTable, shards: ShardsTable, *, at_ms: int, new_id: Callable[[], str]
) -> StockImport:
    """Compare a stock file with the stage; return the changes and the emails. Nothing is written."""
    sold = {
        variant.sku: stocked
        for stocked in products.scan()
        for variant in stocked.product.variants
        if variant.sku in stocked.stock
    }
    return plan_import(
        file,
        sold,
        emails_for=lambda restocked: {sku: shards.count(sku) for sku in restocked},
        at_ms=at_ms,
        new_id=new_id,
        near_miss=SkuIndex((sku, stocked.product.slug) for sku, stocked in sold.items()).near_miss,
    )


def apply_all_or_nothing(changes: Sequence[StockFileChange], availabilities: Availabilities) -> bool:
    """Apply the changes in one transaction; return False if a newer event overtook one.

    Raises:
        BadInput: There are more products than a transaction can change.
    """
    if not changes:
        return True
    count = len({change.slug for change in changes})
    if count > TRANSACTION_PRODUCTS_MAX:
        raise BadInput(
            f"--atomic: {count} products would change, {TRANSACTION_PRODUCTS_MAX} can at once",
            hint="split the file, or leave --atomic out",
        )
    return availabilities.apply_all([(change.slug, change.event) for change in changes])

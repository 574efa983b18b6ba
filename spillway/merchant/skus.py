"""SKUs that a merchant types: parse them, and explain one that the stage does not sell.

SKUs are compared exactly. A message may name similar SKUs, always in full and with the product they belong
to: no command acts on an SKU that was not typed.
"""

import difflib
import shlex
import unicodedata
from collections.abc import Iterable

from chalicelib.domain.ids import SkuRefused, parse_sku
from chalicelib.tables.products import ProductsTable
from spillway.errors import BadInput
from spillway.stage import LOCAL

SIMILAR_SHOWN_MAX = 3
SIMILAR_SHARE_MIN = 0.75


class SkuIndex:
    """The SKUs of a shop with the slugs of their products, to find similar ones."""

    def __init__(self, sold: Iterable[tuple[str, str]]) -> None:
        self._slugs = dict(sold)
        self._alike: dict[str, list[str]] = {}
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

    def near_miss(self, sku: str) -> str:
        """Return a sentence that names an SKU which differs in case, spaces or leading zeros, or nothing."""
        found = [
            (other, _difference(sku, other)) for other in self._alike.get(_rough(sku), ()) if other != sku
        ]
        if not found:
            return ""
        listed = " and ".join(f"{self._shown(other)} differs in {difference}" for other, difference in found)
        return f"SKUs are compared exactly: {listed}"

    def similar(self, sku: str) -> str:
        """Return a sentence that names SKUs spelled nearly like it, or nothing."""
        near = difflib.get_close_matches(sku, self._slugs, n=SIMILAR_SHOWN_MAX, cutoff=SIMILAR_SHARE_MIN)
        return f"other SKUs of this stage: {', '.join(self._shown(other) for other in near)}" if near else ""

    def _shown(self, sku: str) -> str:
        return f"{sku!r} (product {self._slugs[sku]})"


def require_sku(text: str) -> str:
    """Return the SKU that a merchant typed.

    Raises:
        BadInput: The text is no SKU.
    """
    try:
        return parse_sku(text)
    except SkuRefused as refused:
        raise BadInput(f"SKU {text!r}: not an SKU", hint=refused.reason) from None


def require_sold(products: ProductsTable, sku: str, stage: str) -> None:
    """Check that the stage sells `sku`.

    Raises:
        BadInput: The stage does not sell it.
    """
    if products.slug_of(sku) is None:
        raise not_sold(sku, stage, SkuIndex.of(products))


def not_sold(sku: str, stage: str, index: SkuIndex) -> BadInput:
    """Return the error about an SKU that the stage does not sell, with similar ones of `index`."""
    hint = index.near_miss(sku) or "; ".join(
        words
        for words in (index.similar(sku), "SKUs are in site/products/*.toml; publish first if it is new")
        if words
    )
    return BadInput(f"SKU {sku!r}: stage {stage} sells nothing under that name", hint=hint)


def typed(command: str, sku: str, *options: str) -> str:
    """Return a command about an SKU, quoted for a shell: "available 'a b' --stock 5"."""
    if sku.startswith("-"):
        return shlex.join([command, *options, "--", sku])
    return shlex.join([command, sku, *options])


def typed_move(sku: str, stage: str) -> str:
    """Return the command that moves people from an SKU to another, quoted for a shell."""
    options = () if stage == LOCAL else ("--stage", stage)
    words = ["--", sku, "NEW-SKU"] if sku.startswith("-") else [sku, "NEW-SKU"]
    return shlex.join(["spillway", "waitlist", "move", *options, *words])


def _rough(text: str) -> str:
    """Return a text without case, spaces, leading zeros and compatibility forms."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split()).lstrip("0")


def _difference(sku: str, other: str) -> str:
    if sku.casefold() == other.casefold():
        return "upper and lower case"
    if "".join(sku.split()) == "".join(other.split()):
        return "spaces"
    if sku.lstrip("0") == other.lstrip("0"):
        return "leading zeros"
    return "case, spaces, leading zeros or the form of its characters"

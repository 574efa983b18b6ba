"""What a merchant may name: a SKU that can be one, and that the stage sells or once sold."""

from chalicelib.domain.entry import SKU
from chalicelib.tables.products import ProductsTable
from spillway.errors import BadInput


def require_sku(sku: str) -> None:
    """Check that `sku` can be one, before anybody is asked about it.

    Raises:
        BadInput: it cannot.
    """
    if SKU.fullmatch(sku):
        return
    meant = sku.strip().upper()
    if SKU.fullmatch(meant):
        raise BadInput(f"SKU {sku!r}: not a SKU", way_out=f"did you mean {meant}?")
    raise BadInput(
        f"SKU {sku!r}: not a SKU", way_out="SKUs are capitals, digits and hyphens, at most 40: FJ-INK-L"
    )


def require_sold(products: ProductsTable, sku: str, stage: str) -> None:
    """Check that the stage sells `sku`.

    Raises:
        BadInput: it does not.
    """
    if products.slug_of(sku) is None:
        raise not_sold(sku, stage)


def not_sold(sku: str, stage: str) -> BadInput:
    """What to say of a SKU that the stage does not sell."""
    return BadInput(
        f"SKU {sku!r}: stage {stage} sells nothing under that name",
        way_out="SKUs are in site/products/*.toml; publish first if it is new",
    )

"""What of the shop is sold out just now."""

from dataclasses import dataclass

from chalicelib.domain.stock import Availability, StockedProduct
from spillway.stage import Stage
from spillway.stage_tables import StageTables

SHOWN_FIRST = "/products/field-jacket"


@dataclass(frozen=True, slots=True)
class SoldOut:
    """A variant that shoppers can only wait for, and the page they do it on."""

    sku: str
    path: str


def sold_out(stage: Stage) -> list[SoldOut]:
    """Every variant that is sold out, in the order of their SKUs, the best product to show first."""
    products = StageTables.of(stage).products
    found = [variant for product in products.scan() for variant in sold_out_of(product)]
    return sorted(found, key=lambda variant: (variant.path != SHOWN_FIRST, variant.sku))


def still_available(stage: Stage) -> list[tuple[str, list[str]]]:
    """Return the path of each product with what is left of it, by SKU; those with the fewest left first."""
    found = []
    for product in StageTables.of(stage).products.scan():
        gone = {variant.sku for variant in sold_out_of(product)}
        left = [variant.sku for variant in product.product.variants if variant.sku not in gone]
        if left:
            found.append((product.product.path, left))
    return sorted(found, key=lambda each: (len(each[1]), each))


def sold_out_of(stocked: StockedProduct) -> list[SoldOut]:
    """The variants of one product that are sold out."""
    return [
        SoldOut(variant.sku, stocked.product.path)
        for variant in stocked.product.variants
        if variant.sku in stocked.stock
        and stocked.stock[variant.sku].availability is Availability.OUT_OF_STOCK
    ]

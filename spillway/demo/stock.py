"""What of the shop is sold out just now."""

from dataclasses import dataclass

from chalicelib.domain.stock import Availability, StockedProduct
from spillway.deploy.stage import Stage
from spillway.deploy.tables import StageTables

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


def sold_out_of(stocked: StockedProduct) -> list[SoldOut]:
    """The variants of one product that are sold out."""
    return [
        SoldOut(variant.sku, stocked.product.path)
        for variant in stocked.product.variants
        if variant.sku in stocked.stock
        and stocked.stock[variant.sku].availability is Availability.OUT_OF_STOCK
    ]

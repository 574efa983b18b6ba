"""What of the shop is sold out just now."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chalicelib.domain.stock import Availability, StockedProduct
from chalicelib.tables.products import PRODUCT_PREFIX, stocked_product_from
from spillway.deploy.stage import Stage

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True, slots=True)
class SoldOut:
    """A variant that shoppers can only wait for, and the page they do it on."""

    sku: str
    path: str


def sold_out(stage: Stage) -> list[SoldOut]:
    """Every variant that is sold out, in the order of their SKUs."""
    dynamodb: DynamoDBClient = stage.client("dynamodb")
    pages = dynamodb.get_paginator("scan").paginate(
        TableName=stage.outputs()["ProductsTable"],
        FilterExpression="begins_with(id, :prefix)",
        ExpressionAttributeValues={":prefix": {"S": PRODUCT_PREFIX}},
    )
    products = (stocked_product_from(item) for page in pages for item in page["Items"])
    found = [variant for product in products for variant in _sold_out(product)]
    return sorted(found, key=lambda variant: variant.sku)


def _sold_out(stocked: StockedProduct) -> list[SoldOut]:
    return [
        SoldOut(variant.sku, stocked.product.path)
        for variant in stocked.product.variants
        if variant.sku in stocked.stock
        and stocked.stock[variant.sku].availability is Availability.OUT_OF_STOCK
    ]

"""The products table: one row per product, and one small row per SKU that says whose it is.

A product's row holds two things with two owners: `document`, the catalogue's, written by publish;
and `stock`, a map by SKU, written by availability events. Neither ever touches the other.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chalicelib.domain.product import Product
from chalicelib.domain.stock import Availability, Stock, StockedProduct
from chalicelib.tables.dynamodb import batch_get, transact, update_if

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

PRODUCT_PREFIX = "product#"
SKU_PREFIX = "sku#"
TRANSACTION_PRODUCTS_MAX = 100


class ProductsTable:
    """The only module that knows how a product is stored."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self._client = client
        self._name = name

    def slug_of(self, sku: str) -> str | None:
        """The product a SKU belongs to; None when the shop does not sell it."""
        answer = self._client.get_item(TableName=self._name, Key={"id": {"S": SKU_PREFIX + sku}})
        item = answer.get("Item")
        return item["slug"]["S"] if item else None

    def get(self, slug: str) -> StockedProduct | None:
        """A product as it is now (a strongly consistent read)."""
        answer = self._client.get_item(
            TableName=self._name, Key={"id": {"S": PRODUCT_PREFIX + slug}}, ConsistentRead=True
        )
        item = answer.get("Item")
        return stocked_product_from(item) if item else None

    def get_many(self, slugs: Iterable[str]) -> dict[str, StockedProduct]:
        """The products of `slugs` that exist, by slug (strongly consistent reads)."""
        keys = [{"id": {"S": PRODUCT_PREFIX + slug}} for slug in dict.fromkeys(slugs)]
        items = batch_get(self._client, self._name, keys, attributes=["document", "stock"])
        products = (stocked_product_from(item) for item in items)
        return {stocked.product.slug: stocked for stocked in products}

    def scan(self) -> Iterator[StockedProduct]:
        """Every product of the table, in no order: for publishing, not for anything a shopper waits on."""
        pages = self._client.get_paginator("scan").paginate(
            TableName=self._name,
            ConsistentRead=True,
            FilterExpression="begins_with(id, :prefix)",
            ExpressionAttributeValues={":prefix": {"S": PRODUCT_PREFIX}},
        )
        for page in pages:
            yield from (stocked_product_from(item) for item in page["Items"])

    def observe(self, slug: str, sku: str, stock: Stock, *, known: Stock) -> bool:
        """Store what an availability event makes of a variant; false when it is not as `known` any more.

        One conditional write: of two events at once, the later one is made to look again.
        """
        return update_if(self._client, **self._observing(slug, {sku: (stock, known)}))

    def observe_all(self, observed: Sequence[tuple[str, str, Stock, Stock]]) -> bool:
        """Store what events make of many variants, as (slug, SKU, stock, known), or none of it.

        False when one of them is not as known any more, and nothing has changed.

        Raises:
            ValueError: they are about more products than one transaction takes.
        """
        by_slug: dict[str, dict[str, tuple[Stock, Stock]]] = {}
        for slug, sku, stock, known in observed:
            by_slug.setdefault(slug, {})[sku] = (stock, known)
        if len(by_slug) > TRANSACTION_PRODUCTS_MAX:
            raise ValueError(f"{len(by_slug)} products, {TRANSACTION_PRODUCTS_MAX} is the most")
        writes = [{"Update": self._observing(slug, stock)} for slug, stock in by_slug.items()]
        return not writes or not transact(self._client, writes)

    def put_catalogue(
        self, product: Product, initial_stock: Mapping[str, Stock], *, known: StockedProduct | None
    ) -> int:
        """Write what the catalogue says of a product; stock that events own is left as it is.

        `initial_stock` counts for the variants that have none yet. `known` is the product as just
        read: what is known already is not written again. Returns the number of writes.
        """
        known_skus = known.product.skus if known else frozenset()
        for sku in product.skus - known_skus:
            self._client.put_item(
                TableName=self._name, Item={"id": {"S": SKU_PREFIX + sku}, "slug": {"S": product.slug}}
            )
        if known is None or known.product != product:
            self._put_document(product, initial_stock)
        unstocked = product.skus - known.stock.keys() if known else frozenset()
        for sku in unstocked:
            self._update(
                product.slug,
                "SET stock.#sku = :stock",
                "attribute_not_exists(stock.#sku)",
                {":stock": _stock_to(initial_stock[sku])},
                {"#sku": sku},
            )
        dropped = known_skus - product.skus
        for sku in dropped:
            self._disown(sku, product.slug)
        changed = known is None or known.product != product
        return len(product.skus - known_skus) + changed + len(unstocked) + len(dropped)

    def withdraw(self, product: Product) -> None:
        """The shop sells this product no more: it has no variants, and events about its SKUs find
        nothing. Its row stays, with its stock, for the shoppers who wait for it."""
        for sku in product.skus:
            self._disown(sku, product.slug)
        self._put_document(replace(product, variants=()), {})

    def _disown(self, sku: str, slug: str) -> None:
        try:
            self._client.delete_item(
                TableName=self._name,
                Key={"id": {"S": SKU_PREFIX + sku}},
                # A SKU may have moved to another product, which keeps it.
                ConditionExpression="slug = :slug",
                ExpressionAttributeValues={":slug": {"S": slug}},
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return

    def _observing(self, slug: str, stock: Mapping[str, tuple[Stock, Stock]]) -> dict[str, Any]:
        as_known: list[str] = []
        values: dict[str, Any] = {}
        for n, (observed, known) in enumerate(stock.values()):
            values[f":stock{n}"] = _stock_to(observed)
            if known.version:
                as_known.append(f"stock.#s{n}.version = :known{n}")
                values[f":known{n}"] = {"N": str(known.version)}
            else:
                # As the catalogue began it.
                as_known += [f"attribute_exists(stock.#s{n})", f"attribute_not_exists(stock.#s{n}.version)"]
        return {
            "TableName": self._name,
            "Key": {"id": {"S": PRODUCT_PREFIX + slug}},
            "UpdateExpression": "SET " + ", ".join(f"stock.#s{n} = :stock{n}" for n in range(len(stock))),
            "ConditionExpression": " AND ".join(as_known),
            "ExpressionAttributeNames": {f"#s{n}": sku for n, sku in enumerate(stock)},
            "ExpressionAttributeValues": values,
        }

    def _put_document(self, product: Product, initial_stock: Mapping[str, Stock]) -> None:
        document = json.dumps(product.to_document(), sort_keys=True, ensure_ascii=False)
        self._client.update_item(
            TableName=self._name,
            Key={"id": {"S": PRODUCT_PREFIX + product.slug}},
            UpdateExpression="SET document = :document, stock = if_not_exists(stock, :stock)",
            ExpressionAttributeValues={
                ":document": {"S": document},
                ":stock": {"M": {sku: _stock_to(stock) for sku, stock in initial_stock.items()}},
            },
        )

    def _update(
        self,
        slug: str,
        update: str,
        condition: str,
        values: Mapping[str, Any],
        names: Mapping[str, str] | None = None,
    ) -> bool:
        aliases: dict[str, Any] = {"ExpressionAttributeNames": names} if names else {}
        return update_if(
            self._client,
            TableName=self._name,
            Key={"id": {"S": PRODUCT_PREFIX + slug}},
            UpdateExpression=update,
            ConditionExpression=condition,
            ExpressionAttributeValues=values,
            **aliases,
        )


def stocked_product_from(item: Mapping[str, Any]) -> StockedProduct:
    """The product of a stored item, or of a stream record's image."""
    return StockedProduct(
        product=Product.from_document(json.loads(item["document"]["S"])),
        stock=stock_from(item),
    )


def stock_from(item: Mapping[str, Any]) -> dict[str, Stock]:
    """The stock map of a stored item, or of a stream record's image; empty when it has none."""
    return {
        sku: Stock(
            availability=Availability(value["M"]["availability"]["S"]),
            units=int(value["M"]["units"]["N"]) if "units" in value["M"] else None,
            observed_at_ms=int(value["M"]["observed_at_ms"]["N"]),
            event_id=value["M"]["event_id"]["S"],
            version=int(value["M"].get("version", {"N": "0"})["N"]),
            seen=tuple(key["S"] for key in value["M"].get("seen", {"L": ()})["L"]),
        )
        for sku, value in item.get("stock", {}).get("M", {}).items()
    }


def _stock_to(stock: Stock) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "availability": {"S": stock.availability},
        "observed_at_ms": {"N": str(stock.observed_at_ms)},
        "event_id": {"S": stock.event_id},
    }
    if stock.units is not None:
        attributes["units"] = {"N": str(stock.units)}
    if stock.version:
        attributes["version"] = {"N": str(stock.version)}
        attributes["seen"] = {"L": [{"S": key} for key in stock.seen]}
    return {"M": attributes}

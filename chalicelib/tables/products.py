"""The products table: one row per product, and one small row per SKU with the slug of its product.

A product's row has two attributes with two owners: `document`, the catalogue's, written by publish; and
`stock`, a map by SKU, written by availability events. Neither writes the other's.

Rows `domains#NAME` are lists of email domains that the shop refuses, written by publish. A list is named by
its content and never changes, so it is read once.
"""

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, reduce
from operator import and_
from typing import TYPE_CHECKING, Any, Protocol

from chalicelib.domain.ids import Sku, Slug
from chalicelib.domain.product import Product
from chalicelib.domain.stock import Availability, Stock, StockedProduct
from chalicelib.tables.expressions import Attr, Condition, Item, decode, if_not_exists
from chalicelib.tables.table import Table, Update

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

PRODUCT_PREFIX = "product#"
SKU_PREFIX = "sku#"
TRANSACTION_PRODUCTS_MAX = 100
FRESH_FOR_MS = 10_000
RECENT_PRODUCTS_MAX = 200
DOCUMENTS_KEPT_MAX = 32


class ProductsTable:
    """Reads and writes products and their stock."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self.table = Table(client, name)

    def slug_of(self, sku: Sku) -> Slug | None:
        """Return the slug of the product that a SKU belongs to; None when the shop does not sell it."""
        item = self.table.get(_sku_key(sku), consistent=False)
        return Slug(item["slug"]) if item else None

    def get(self, slug: Slug) -> StockedProduct | None:
        """Return a product as it is now (a strongly consistent read)."""
        item = self.table.get(_product_key(slug))
        return _stocked_product_of(item) if item else None

    def get_many(self, slugs: Iterable[Slug]) -> dict[Slug, StockedProduct]:
        """Return the products that exist, by slug (strongly consistent reads)."""
        keys = [_product_key(slug) for slug in dict.fromkeys(slugs)]
        items = self.table.batch_get(keys, ["document", "stock"])
        return {stocked.product.slug: stocked for stocked in map(_stocked_product_of, items)}

    def slugs_of(self, skus: Iterable[Sku]) -> dict[Sku, Slug]:
        """Return the slug of the product of each SKU that the shop sells (strongly consistent reads)."""
        keys = [_sku_key(sku) for sku in dict.fromkeys(skus)]
        items = self.table.batch_get(keys, ["id", "slug"])
        return {Sku(item["id"].removeprefix(SKU_PREFIX)): Slug(item["slug"]) for item in items}

    def selling(self, skus: Iterable[Sku]) -> dict[Sku, StockedProduct]:
        """Return the product of each SKU that the shop sells, by two rounds of reads of 100 rows each."""
        slugs = self.slugs_of(skus)
        stocked = self.get_many(slugs.values())
        return {
            sku: stocked[slug]
            for sku, slug in slugs.items()
            if slug in stocked and sku in stocked[slug].product.skus & stocked[slug].stock.keys()
        }

    def stock_of(self, slugs: Collection[Slug]) -> dict[Sku, Stock]:
        """Return the stock of all variants of these products (strongly consistent reads)."""
        items = self.table.batch_get([_product_key(slug) for slug in sorted(slugs)], ["stock"])
        return {sku: stock for item in items for sku, stock in _stock_of(item.get("stock", {})).items()}

    def scan(self) -> Iterator[StockedProduct]:
        """Yield every product, in no order: for publish, and for nothing that a shopper waits for."""
        items = self.table.scan(Attr("id").begins_with(PRODUCT_PREFIX), consistent=True)
        yield from map(_stocked_product_of, items)

    def stock_of_all(self) -> dict[Slug, dict[Sku, Stock]]:
        """Return the stock of every product: for publish, which has read the products before."""
        items = self.table.scan(
            Attr("id").begins_with(PRODUCT_PREFIX), consistent=True, attributes=("id", "stock")
        )
        return {
            Slug(item["id"].removeprefix(PRODUCT_PREFIX)): _stock_of(item.get("stock", {})) for item in items
        }

    def documents(self) -> Iterator[tuple[dict[str, Any], dict[Sku, Stock]]]:
        """Yield the document and the stock of every product, in no order (eventually consistent reads)."""
        for item in self.table.scan(Attr("id").begins_with(PRODUCT_PREFIX)):
            yield json.loads(item["document"]), _stock_of(item.get("stock", {}))

    def observe(self, slug: Slug, sku: Sku, stock: Stock, *, known: Stock) -> bool:
        """Store the stock that results from an availability event; false when `known` is outdated.

        One conditional write: the later one of two concurrent events has to read again.
        """
        values = {("stock", sku): stock_values(stock)}
        return self.table.update_if(_product_key(slug), _is_as_known(sku, known), values)

    def observe_all(self, observed: Sequence[tuple[Slug, Sku, Stock, Stock]]) -> bool:
        """Store the stock of many SKUs, as (slug, SKU, stock, known), or nothing of it.

        False when one `known` is outdated.

        Raises:
            ValueError: they are about more products than one transaction takes.
        """
        by_slug: dict[Slug, dict[Sku, tuple[Stock, Stock]]] = {}
        for slug, sku, stock, known in observed:
            by_slug.setdefault(slug, {})[sku] = (stock, known)
        if len(by_slug) > TRANSACTION_PRODUCTS_MAX:
            raise ValueError(f"{len(by_slug)} products, {TRANSACTION_PRODUCTS_MAX} is the most")
        writes = [self._observation(slug, stock) for slug, stock in by_slug.items()]
        return not writes or not self.table.transact(writes)

    def put_catalogue(
        self, product: Product, initial_stock: Mapping[Sku, Stock], *, known: StockedProduct | None
    ) -> int:
        """Write a product of the catalogue; its stock, which events own, stays as it is.

        Args:
            product: the product.
            initial_stock: stock for the SKUs that have none yet.
            known: the product as just read; nothing that it has already is written again.

        Returns:
            The number of writes.
        """
        known_skus = known.product.skus if known else frozenset()
        for sku in product.skus - known_skus:
            self.table.put({**_sku_key(sku), "slug": product.slug})
        changed = known is None or known.product != product
        if changed:
            self._put_document(product, initial_stock)
        unstocked = product.skus - known.stock.keys() if known else frozenset()
        for sku in unstocked:
            self.table.update_if(
                _product_key(product.slug),
                Attr("stock", sku).not_exists(),
                {("stock", sku): stock_values(initial_stock[sku])},
            )
        dropped = known_skus - product.skus
        for sku in dropped:
            self._disown(sku, product.slug)
        return len(product.skus - known_skus) + changed + len(unstocked) + len(dropped)

    def withdraw(self, product: Product) -> None:
        """Remove the variants of a product that the shop sells no more.

        Events about its SKUs find nothing. Its row and its stock stay for the shoppers who wait for it.
        """
        for sku in product.skus:
            self._disown(sku, product.slug)
        self._put_document(replace(product, variants=()), {})

    def _disown(self, sku: Sku, slug: Slug) -> None:
        # A SKU that has moved to another product belongs to that.
        self.table.delete_if(_sku_key(sku), Attr("slug").eq(slug))

    def _observation(self, slug: Slug, stock: Mapping[Sku, tuple[Stock, Stock]]) -> Update:
        requirements = [_is_as_known(sku, known) for sku, (_, known) in stock.items()]
        return Update(
            self.table,
            _product_key(slug),
            {("stock", sku): stock_values(observed) for sku, (observed, _) in stock.items()},
            condition=reduce(and_, requirements),
        )

    def _put_document(self, product: Product, initial_stock: Mapping[Sku, Stock]) -> None:
        stock = {sku: stock_values(stock) for sku, stock in initial_stock.items()}
        document = json.dumps(product.to_document(), sort_keys=True, ensure_ascii=False)
        values = {"document": document, "stock": if_not_exists("stock", stock)}
        self.table.make(Update(self.table, _product_key(product.slug), values))


class ProductReader(Protocol):
    """Looks up products, as the table or as `RecentProducts` does."""

    def slug_of(self, sku: Sku) -> Slug | None:
        """Return the slug of the product that a SKU belongs to; None when the shop does not sell it."""

    def get(self, slug: Slug) -> StockedProduct | None:
        """Return a product; None when there is none of that slug."""


def stocked_with(products: ProductReader, sku: Sku) -> StockedProduct | None:
    """Return the product that has this SKU; None when the shop does not sell it."""
    slug = products.slug_of(sku)
    stocked = products.get(slug) if slug else None
    # A variant may have left a catalogue whose product stays.
    return stocked if stocked is not None and sku in stocked.product.skus else None


class RecentProducts:
    """Reads each product once in ten seconds, for emails and pages that show a title.

    In a flood everybody asks for the same product. Nothing is decided by its stock, which may be that old.
    """

    def __init__(self, products: ProductReader, clock_ms: Callable[[], int]) -> None:
        self._products = products
        self._clock_ms = clock_ms
        self._cleared_at_ms = 0
        self._slugs: dict[Sku, Slug | None] = {}
        self._found: dict[Slug, StockedProduct | None] = {}

    def slug_of(self, sku: Sku) -> Slug | None:
        """Return the slug of the product that a SKU belonged to."""
        self._clear_old()
        if sku not in self._slugs:
            self._slugs[sku] = self._products.slug_of(sku)
        return self._slugs[sku]

    def get(self, slug: Slug) -> StockedProduct | None:
        """Return a product as it was."""
        self._clear_old()
        if slug not in self._found:
            self._found[slug] = self._products.get(slug)
        return self._found[slug]

    def _clear_old(self) -> None:
        # Everything at once: simpler than a time for each product, and never older.
        now_ms = self._clock_ms()
        is_full = max(len(self._slugs), len(self._found)) >= RECENT_PRODUCTS_MAX
        if is_full or not 0 <= now_ms - self._cleared_at_ms < FRESH_FOR_MS:
            self._slugs.clear()
            self._found.clear()
            self._cleared_at_ms = now_ms


def stock_from(image: Mapping[str, Any]) -> dict[Sku, Stock]:
    """Return the stock by SKU of a stream record's image, which has AttributeValues."""
    return _stock_of(decode(image["stock"])) if "stock" in image else {}


def stock_values(stock: Stock) -> dict[str, Any]:
    """Return the values that are stored for the stock of one SKU."""
    values: dict[str, Any] = {
        "availability": stock.availability,
        "observed_at_ms": stock.observed_at_ms,
        "event_id": stock.event_id,
    }
    if stock.units is not None:
        values["units"] = stock.units
    if stock.version:
        values |= {"version": stock.version, "seen": stock.seen}
    if stock.is_launch:
        values["is_launch"] = True
    return values


def _product_key(slug: Slug) -> dict[str, str]:
    return {"id": PRODUCT_PREFIX + slug}


def _sku_key(sku: Sku) -> dict[str, str]:
    return {"id": SKU_PREFIX + sku}


def _is_as_known(sku: Sku, known: Stock) -> Condition:
    if known.version:
        return Attr("stock", sku, "version").eq(known.version)
    # As the catalogue began it. One comparison: an expression has at most 4 KB, a product up to 100 variants.
    return Attr("stock", sku).eq(stock_values(known))


def _stocked_product_of(item: Item) -> StockedProduct:
    return StockedProduct(product=_product_of(item["document"]), stock=_stock_of(item.get("stock", {})))


@lru_cache(maxsize=DOCUMENTS_KEPT_MAX)
def _product_of(document: str) -> Product:
    """Return the product of a document. A fan-out reads the same one twice for each batch."""
    return Product.from_document(json.loads(document))


def _stock_of(values: Mapping[str, Any]) -> dict[Sku, Stock]:
    return {
        Sku(sku): Stock(
            availability=Availability(value["availability"]),
            units=value.get("units"),
            observed_at_ms=value["observed_at_ms"],
            event_id=value["event_id"],
            version=value.get("version", 0),
            seen=tuple(value.get("seen", ())),
            is_launch=value.get("is_launch", False),
        )
        for sku, value in values.items()
    }


DOMAINS_PREFIX = "domains#"
# DynamoDB takes items of 400 KB.
PACKED_BYTES_MAX = 380_000


def packed(domains: Collection[str]) -> str:
    """Return a list as it is stored, of at most PACKED_BYTES_MAX."""
    text = "\n".join(sorted(domains))
    return b64encode(zlib.compress(text.encode("ascii"), 9)).decode("ascii")


class DomainListsTable:
    """Reads lists, and keeps them in memory: signed forms alone name lists, and name few."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self.table = Table(client, name)
        self._read: dict[str, frozenset[str]] = {}

    def named(self, name: str) -> frozenset[str]:
        """Return the list of that name; an empty one when there is none."""
        if name not in self._read:
            item = self.table.get({"id": DOMAINS_PREFIX + name}, consistent=False)
            self._read[name] = _unpacked(item["domains"]) if item else frozenset()
        return self._read[name]

    def put(self, name: str, domains: Collection[str]) -> None:
        """Store a list. Older lists stay, since pages name them for months."""
        self.table.put({"id": DOMAINS_PREFIX + name, "domains": packed(domains)})


def _unpacked(text: str) -> frozenset[str]:
    return frozenset(zlib.decompress(b64decode(text)).decode("ascii").split("\n"))

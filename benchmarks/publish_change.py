"""`python -m benchmarks.publish_change SHOP URL`: publish a shop's folder to the S3 at URL, and nothing else.

It does what `spillway publish` does once it knows its stage. The table of products is a file beside the shop;
the CDN accepts everything.
"""

import json
import sqlite3
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.send import KEY, REGION, SECRET
from chalicelib.aws.signing import Credentials
from chalicelib.domain.ids import Sku, Slug
from chalicelib.domain.product import Product
from chalicelib.domain.stock import Availability, Stock, StockedProduct
from chalicelib.domain.tokens import FormTokens
from spillway.project import Project
from spillway.publish.change import publish_shop
from spillway.publish.live_manifest import Claimant, ManifestStore
from spillway.publish.s3 import S3Bucket
from spillway.publish.target import PublishTarget

# A form token is signed for a day; every publish of a measurement is one of the same day.
DAY_MS = 1_790_000_000_000


class ProductsFile:
    """A table of products in an SQLite file: what a publish asks of one."""

    def __init__(self, file: Path) -> None:
        """Open the file, or make it."""
        self._connection = sqlite3.connect(file, isolation_level=None)
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.execute("CREATE TABLE IF NOT EXISTS products (slug TEXT PRIMARY KEY, row TEXT)")

    def get_many(self, slugs: Iterable[Slug]) -> dict[Slug, StockedProduct]:
        """Return the products that exist."""
        found = {}
        for slug in dict.fromkeys(slugs):
            for (row,) in self._connection.execute("SELECT row FROM products WHERE slug = ?", (slug,)):
                found[slug] = _stocked(row)
        return found

    def scan(self) -> Iterator[StockedProduct]:
        """Yield every product."""
        yield from (_stocked(row) for (row,) in self._connection.execute("SELECT row FROM products"))

    def stock_of_all(self) -> dict[Slug, Mapping[Sku, Stock]]:
        """Return the stock of every product."""
        return {stocked.product.slug: stocked.stock for stocked in self.scan()}

    def selling(self, skus: Iterable[Sku]) -> dict[Sku, StockedProduct]:
        """Return no product: no variant of the shop is coming soon."""
        return {}

    def put_catalogue(
        self, product: Product, initial_stock: Mapping[Sku, Stock], *, known: StockedProduct | None
    ) -> None:
        """Write a product; its stock stays as it is."""
        if known is None or known.product != product:
            stock = known.stock if known else initial_stock
            units = {sku: [stocked.availability, stocked.units] for sku, stocked in stock.items()}
            row = json.dumps([product.to_document(), units])
            self._connection.execute("INSERT OR REPLACE INTO products VALUES (?, ?)", (product.slug, row))


class NoCdn:
    """Accepts an invalidation."""

    def invalidate(self, paths: Iterable[str], reference: str) -> tuple[str, ...]:
        """Return the paths."""
        return tuple(paths)


def main() -> None:
    """Publish."""
    shop, url = Project(Path(sys.argv[1])), sys.argv[2]
    table: Any = ProductsFile(shop.root / "products.sqlite")
    cdn: Any = NoCdn()

    def clock_ms() -> int:
        return DAY_MS + time.time_ns() // 1_000_000 % 80_000_000

    def bucket(name: str) -> S3Bucket:
        return S3Bucket(name, REGION, lambda: Credentials(KEY, SECRET), endpoint=url)

    releases = bucket("releases")
    claimant = Claimant(str(time.time_ns()))
    target = PublishTarget(
        pages=bucket("pages"),
        releases=releases,
        manifest=ManifestStore(
            releases, claimant, clock_ms, shop.cache / "publish" / "bench" / "manifest.json"
        ),
        products=table,
        domain_lists=table,
        cdn=cdn,
        form_tokens=FormTokens.of(b"identity", at_ms=DAY_MS),
        clock_ms=clock_ms,
    )
    published = publish_shop(shop, target)
    sys.stdout.write(f"{published.release} {published.uploaded} {published.skipped}\n")


def _stocked(row: str) -> StockedProduct:
    document, units = json.loads(row)
    stock = {
        Sku(sku): Stock(Availability(availability), count, 0, "catalogue")
        for sku, (availability, count) in units.items()
    }
    return StockedProduct(Product.from_document(document), stock)


if __name__ == "__main__":
    main()

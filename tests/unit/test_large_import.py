"""A real shop's whole way: a Shopify export of a thousand products, imported, built and published."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from chalicelib.tables.products import ProductsTable
from spillway.__main__ import cli
from tests.aws import create_table
from tests.desk import Desk
from tests.dynamodb import MemoryDynamoDb
from tests.s3_sink import S3Sink, running
from tests.shopify_export import as_csv, export
from tests.unit.small_shop import make_small_shop

PRODUCTS = 1000
# Of the shop it comes into.
OWN_PRODUCTS, OWN_VARIANTS = 2, 4


@pytest.fixture
def sink() -> Iterator[S3Sink]:
    with running(S3Sink()) as sink:
        yield sink


def test_every_product_of_a_large_export_reaches_the_shoppers(sink: S3Sink, tmp_path: Path) -> None:
    shop = make_small_shop(tmp_path)
    rows = export(PRODUCTS)
    file = tmp_path / "export.csv"
    file.write_bytes(as_csv(rows, new_names=True))
    result = CliRunner().invoke(cli, ["import", "shopify", str(file), "--no-images"], obj=shop)
    assert result.exit_code == 0, result.output
    client: Any = MemoryDynamoDb()
    desk = Desk(sink, ProductsTable(client, create_table(client, "ProductsTable")), shop)

    published = desk.publish()

    handles = {row["Handle"] for row in rows}
    pages = {key for key in sink.keys("pages") if key.startswith("products/")}
    assert (len(handles), len(pages)) == (PRODUCTS, PRODUCTS + OWN_PRODUCTS)
    assert published.uploaded == len(sink.keys("pages"))
    variants = [row for row in rows if row.get("Variant Price")]
    held = list(desk.products.scan())
    assert sum(len(each.product.variants) for each in held) == len(variants) + OWN_VARIANTS
    listed = desk.page("sitemap.xml")
    assert all(f"/{page}<" in listed for page in pages)
    assert desk.missing_assets() == set()

"""A real shop's whole way: a Shopify export, imported, built and published."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.shopify_export import as_csv, export
from spillway.__main__ import cli
from tests.support.publish_env import PublishEnv

# Products of the shop that imports it.
OWN_PRODUCTS, OWN_VARIANTS = 2, 4


@pytest.mark.parametrize("count", [120, pytest.param(1000, marks=pytest.mark.slow)])
def test_every_product_of_a_large_export_reaches_the_shoppers(
    env: PublishEnv, tmp_path: Path, count: int
) -> None:
    rows = export(count)
    file = tmp_path / "export.csv"
    file.write_bytes(as_csv(rows, new_names=True))
    result = CliRunner().invoke(cli, ["import", "shopify", str(file), "--no-images"], obj=env.project)
    assert result.exit_code == 0, result.output

    published = env.publish()

    handles = {row["Handle"] for row in rows}
    pages = {key for key in env.sink.keys("pages") if key.startswith("products/")}
    assert (len(handles), len(pages)) == (count, count + OWN_PRODUCTS)
    assert published.uploaded == len(env.sink.keys("pages"))
    variants = [row for row in rows if row.get("Variant Price")]
    held = list(env.products.scan())
    assert sum(len(item.product.variants) for item in held) == len(variants) + OWN_VARIANTS
    listed = env.page("sitemap.xml")
    assert all(f"/{page}<" in listed for page in pages)
    assert env.missing_assets() == set()

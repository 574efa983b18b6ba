"""Hostile and legal values in every format: imported, built, and imported again in another order."""

import random
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from spillway.__main__ import cli
from spillway.build.loading import load_catalogue
from spillway.build.site import build
from spillway.project import Project
from tests.hostile_exports import FORMATS, rows_of
from tests.unit.importing import files_of
from tests.unit.small_shop import make_small_shop

SMALL, LARGE = 20, 1667  # products; three variants each


def imported(shop: Project, format_name: str, content: str) -> str:
    file = shop.root / "export"
    file.write_bytes(content.encode())
    ran = CliRunner().invoke(
        cli, ["import", format_name, str(file), "--no-images"], obj=shop, catch_exceptions=False
    )
    assert ran.exit_code == 0, ran.output
    return ran.output


def in_two_orders(tmp_path: Path, format_name: str, products: int) -> Project:
    """The shop with an import, after it was held against imports of the same rows in other orders."""
    shop, other = make_small_shop(tmp_path / "shop"), make_small_shop(tmp_path / "other")
    rows = rows_of(products)
    said = imported(shop, format_name, FORMATS[format_name](rows, lambda rows: None))
    assert f"{products:,} products with {3 * products:,} variants: {products:,} new" in said
    before = files_of(shop)
    shuffled = FORMATS[format_name](rows, random.Random(2).shuffle)
    imported(other, format_name, shuffled)
    assert files_of(other) == before
    assert f"0 new, 0 changed, {products:,} unchanged, 0 renamed, 0 edited" in imported(
        shop, format_name, shuffled
    )
    assert files_of(shop) == before
    return shop


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_shop_of_hostile_values_is_the_same_from_rows_in_any_order(
    tmp_path: Path, format_name: str
) -> None:
    shop = in_two_orders(tmp_path, format_name, SMALL)
    skus = {variant.sku for each in load_catalogue(shop).products for variant in each.product.variants}
    assert {row["sku"] for rows in rows_of(SMALL) for row in rows} <= skus


@pytest.mark.slow
@pytest.mark.parametrize("format_name", FORMATS)
def test_a_large_shop_of_hostile_values_is_imported_built_and_imported_again(
    tmp_path: Path, format_name: str
) -> None:
    shop = in_two_orders(tmp_path, format_name, LARGE)
    release = build(shop)
    pages = {
        each.key: each.read().decode()
        for each in release.objects
        if each.content_type.startswith("text/html")
    }
    assert sum(key.startswith("products/") for key in pages) == LARGE + 2
    known = {f"/{each.key}" for each in release.objects} | {"/", ""}
    for key, page in pages.items():
        assert "<script>alert(1)" not in page, key
        for path in re.findall(r'href="(/[^"#?]*)', page):
            assert path.rstrip("/") in known or path.startswith("/api/"), (key, path)

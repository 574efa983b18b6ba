"""Hostile and legal values in every format: imported, built, and imported again in another order."""

import json
import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from chalicelib.domain.product import Product
from spillway.__main__ import cli
from spillway.project import Project
from spillway.sitegen.reading.loading import load_catalogue
from spillway.sitegen.site import build
from tests.integration.test_sample_shop import CHECKER, Page
from tests.support.hostile_exports import FORMATS, rows_of
from tests.support.importing import files_of
from tests.support.merchant_listing import checked, offers_of
from tests.support.small_shop import make_small_shop

SMALL, LARGE = 20, 1667  # products; three variants each
# Nu takes a tenth of a second for a page.
NU_PAGES = 200


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
    found = {
        variant.sku: (item.product, variant)
        for item in load_catalogue(shop).products
        for variant in item.product.variants
    }
    for row in (row for rows in rows_of(SMALL) for row in rows):
        product, variant = found[row["sku"]]
        digits = row["price"].replace(".", ""), row["compare_at"].replace(".", "")
        assert (variant.price_minor, variant.compare_at_minor) == (int(digits[0]), int(digits[1]))
        assert (variant.gtin, variant.weight_g) == (row["gtin"], int(row["weight_g"]))
        assert product.brand == row["brand"]
        assert len(product.categories) == 1
        if format_name != "woocommerce":  # it has no columns for these
            assert (variant.mpn, product.condition) == (row["mpn"], row["condition"])
        if format_name != "google":
            assert product.seo_title == " ".join(row["seo_title"].split())
            assert product.seo_description == " ".join(row["seo_description"].split())
            places = [rows["position"] for rows in _siblings(row, SMALL, product)]
            assert places == sorted(places)


def _siblings(row: dict[str, str], count: int, product: Product) -> list[dict[str, str]]:
    """The rows of the row's product, as the shop orders their variants."""
    rows = {
        item["sku"]: item for group in rows_of(count) for item in group if item["handle"] == row["handle"]
    }
    return [rows[variant.sku] for variant in product.variants]


def _messages_of_nu(pages: dict[str, str], folder: Path) -> list[str]:
    folder.mkdir()
    names = {f"{number}.html": key for number, key in enumerate(sorted(pages))}
    for name, key in names.items():
        (folder / name).write_text(pages[key], encoding="utf-8")
    command = ["java", "-jar", str(CHECKER), "--format", "json", "--errors-only", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    messages = json.loads(done.stderr)["messages"]
    return [f"{names.get(Path(message.get('url', '')).name)}: {message['message']}" for message in messages]


@pytest.mark.slow
@pytest.mark.parametrize("format_name", FORMATS)
def test_a_large_shop_of_hostile_values_is_imported_built_and_imported_again(
    tmp_path: Path, format_name: str
) -> None:
    shop = in_two_orders(tmp_path, format_name, LARGE)
    release = build(shop)
    pages = {
        object_.key: object_.read().decode()
        for object_ in release.objects
        if object_.content_type.startswith("text/html")
    }
    assert sum(key.startswith("products/") for key in pages) == LARGE + 2
    known = {f"/{object_.key}" for object_ in release.objects} | {"/", ""}
    skus = set()
    for key, page in pages.items():
        if key.startswith("products/"):
            (document,) = Page(page).data
            skus |= {sku for sku, _ in offers_of(checked(document))}
        assert "<script>alert(1)" not in page, key
        for path in re.findall(r'href="(/[^"#?]*)', page):
            assert path.rstrip("/") in known or path.startswith("/api/"), (key, path)
    assert skus >= {row["sku"] for rows in rows_of(LARGE) for row in rows}
    if CHECKER.exists() and shutil.which("java"):
        read = random.Random(3).sample(sorted(pages), NU_PAGES)
        assert _messages_of_nu({key: pages[key] for key in read}, tmp_path / "nu") == []

"""Variants stand as the export numbers them, whatever the order of its rows."""

from itertools import permutations
from pathlib import Path

import pytest
from click.testing import CliRunner

from spillway.__main__ import cli
from spillway.importing.names import page_slugs
from spillway.project import Project
from spillway.sitegen.reading.loading import load_catalogue
from tests.support.importing import product, variant
from tests.support.small_shop import make_small_shop

MATRIXIFY = (
    "Handle,Title,Option1 Name,Option1 Value,Variant SKU,Variant Price,Variant Position",
    ("mug,Mug,Size,S,C,5,3", "mug,,,M,A,5,1", "mug,,,L,B,5,2"),
)
SHOPIFY = (
    "Handle,Title,Option1 Name,Option1 Value,Variant SKU,Variant Price",
    ("mug,Mug,Size,L,C,5", "mug,,,S,A,5", "mug,,,M,B,5"),
)
WOO_HEAD = (
    "ID,Type,SKU,Name,Published,Regular price,Parent,Position,Attribute 1 name,Attribute 1 value(s),"
    "Attribute 1 visible"
)
WOO_PARENT = '1,variable,P,Mug,1,,,0,Glaze,"Moss, Ash, Ink",1'
WOO_POSITION = (
    WOO_HEAD,
    (
        WOO_PARENT,
        "2,variation,C,,1,5,P,3,Glaze,Moss,",
        "3,variation,A,,1,5,P,1,Glaze,Ink,",
        "4,variation,B,,1,5,P,2,Glaze,Ash,",
    ),
)
WOO_DECLARED = (
    WOO_HEAD,
    (
        WOO_PARENT,
        "2,variation,C,,1,5,P,0,Glaze,Ink,",
        "3,variation,A,,1,5,P,0,Glaze,Moss,",
        "4,variation,B,,1,5,P,0,Glaze,Ash,",
    ),
)
PLAIN = (
    "sku,title,price,position,option:Size",
    ("C,Mug,5,30,S", "A,Mug,5,4,M", "B,Mug,5,5,L"),
)


def skus_of(shop: Project, format_name: str, lines: list[str]) -> list[str]:
    file = shop.root / "export.csv"
    file.write_text("\n".join(lines) + "\n")
    ran = CliRunner().invoke(cli, ["import", format_name, str(file), "--no-images"], obj=shop)
    assert ran.exit_code == 0, ran.output
    found = next(
        product.product for product in load_catalogue(shop).products if product.product.slug == "mug"
    )
    return [variant.sku for variant in found.variants]


@pytest.mark.parametrize(
    ("format_name", "export"),
    [
        pytest.param("shopify", MATRIXIFY, id="a column of positions"),
        pytest.param("shopify", SHOPIFY, id="sizes where nothing numbers them"),
        pytest.param("woocommerce", WOO_POSITION, id="the menu order of variations"),
        pytest.param("woocommerce", WOO_DECLARED, id="the order of an attribute's values"),
        pytest.param("csv", PLAIN, id="a position of one's own"),
    ],
)
def test_variants_stand_as_the_export_numbers_them_in_every_order_of_its_rows(
    tmp_path: Path, format_name: str, export: tuple[str, tuple[str, ...]]
) -> None:
    header, rows = export
    shop = make_small_shop(tmp_path)
    texts = set()
    for order in list(permutations(rows))[::5]:
        if format_name == "shopify" and not order[0].startswith("mug,Mug"):
            continue  # the first row of a handle has the names of its options
        assert skus_of(shop, format_name, [header, *order]) == ["A", "B", "C"]
        texts.add((shop.site / "products/mug.toml").read_text())
    assert len(texts) == 1


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_content_decides_which_product_of_one_name_and_sku_has_the_page(
    order: tuple[int, ...],
) -> None:
    same = product("", variant("X", ("Size", "S"), line=9), title="Mug", line=8)
    products = [
        product("", variant("X", ("Size", "S")), title="Mug"),
        product("", variant("", ("Size", "S")), variant("X", ("Size", "M")), title="Mug"),
        same,
    ]
    slugs = page_slugs([products[index] for index in order])
    (at,) = (place for place, slug in enumerate(slugs) if slug)
    assert slugs[at] == "mug"
    # The one whose variants come first as text: an SKU that is empty does.
    assert products[order[at]].variants[0].sku == ""

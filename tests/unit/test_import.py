"""An export becomes product files that build; what does not fit is reported, and no hand edit is lost."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmarks.shopify_export import as_csv, export
from chalicelib.domain.stock import Availability
from spillway.__main__ import cli
from spillway.errors import BadInput
from spillway.importing.description import markdown_of
from spillway.importing.imported import Export, ImportedProduct, ImportedVariant, PictureChoice
from spillway.importing.normalize import NormalizeOptions, normalize
from spillway.importing.product_text import product_text
from spillway.importing.shop_files import with_skus
from spillway.project import Project
from spillway.sitegen.reading.catalogue import CatalogueProduct
from spillway.sitegen.reading.loading import load_catalogue
from tests.support.small_shop import make_small_shop

HEADER = "Handle,Title,Body (HTML),Published,Option1 Name,Option1 Value,Variant SKU,Variant Price"
FEED = """\
<?xml version="1.0"?>
<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel><title>Shop</title>
<item><g:id>A1</g:id><g:title>Mug</g:title><g:description>For tea &amp; more.</g:description>
<g:price>12.50 GBP</g:price><g:availability>out_of_stock</g:availability><g:brand>Potter</g:brand>
<g:product_type>Home &gt; Mugs</g:product_type><g:item_group_id>mug</g:item_group_id>
<g:color>Red</g:color></item>
<item><g:id>A2</g:id><g:title>Mug</g:title><g:description>For tea.</g:description><g:price>13 GBP</g:price>
<g:availability>preorder</g:availability><g:item_group_id>mug</g:item_group_id><g:color>Blue</g:color>
<g:shipping_weight>1 kg</g:shipping_weight></item>
</channel></rss>
"""


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    return make_small_shop(tmp_path)


def run(shop: Project, *arguments: str) -> Result:
    result = CliRunner().invoke(cli, ["import", *arguments], obj=shop)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def imported(shop: Project, content: bytes | str, *options: str, format_name: str = "shopify") -> Result:
    file = shop.root / "export"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return run(shop, format_name, str(file), *options)


def products(shop: Project) -> dict[str, CatalogueProduct]:
    return {product.product.slug: product for product in load_catalogue(shop).products}


def report(shop: Project) -> str:
    return (shop.output / "import-report.txt").read_text()


def table(*rows: str) -> str:
    return "\n".join([HEADER, *rows]) + "\n"


def test_every_product_and_variant_of_a_large_export_is_accounted_for(shop: Project) -> None:
    rows = export(250)
    result = imported(shop, as_csv(rows), "--no-images")
    assert result.exit_code == 0, result.output
    wanted = [row for row in rows if row.get("Variant Price")]
    taken = {slug: product for slug, product in products(shop).items() if slug.startswith("thing-")}
    assert len(rows) > 1000
    assert len(taken) == 250
    assert sum(len(value.product.variants) for value in taken.values()) == len(wanted)
    assert len({variant.sku for value in taken.values() for variant in value.product.variants}) == len(wanted)
    first = taken["thing-1"].product
    assert first.title == 'Thing "1", Größe 1'
    assert "alert" not in first.description_html
    assert "<li>5 * 5 cm</li>" in first.description_html
    assert 'href="https://example.com/care"' in first.description_html
    assert taken["thing-2"].product.variants[0].price_minor == 110200


def test_older_and_newer_names_of_columns_make_the_same_files(tmp_path: Path) -> None:
    made = []
    for new_names in (False, True):
        shop = make_small_shop(tmp_path / str(new_names))
        imported(shop, as_csv(export(60), new_names=new_names), "--no-images")
        made.append({file.name: file.read_text() for file in (shop.site / "products").glob("thing-*")})
    assert made[0] == made[1]


def test_a_second_import_writes_nothing_and_a_hand_edit_is_kept_and_named(shop: Project) -> None:
    content = as_csv(export(5))
    imported(shop, content, "--no-images")
    again = imported(shop, content, "--no-images")
    assert "0 new, 0 changed, 5 unchanged, 0 renamed, 0 edited" in again.output
    mine = shop.site / "products" / "thing-3.toml"
    mine.write_text(mine.read_text().replace("Thing", "My thing"))
    later = imported(shop, as_csv(export(4, seed=2)), "--no-images")
    assert "site/products/thing-3.toml: edited by hand, kept" in later.output
    assert "1 no longer in the export, kept: site/products/thing-4.toml" in later.output
    assert "My thing" in mine.read_text()
    assert "1 edited by hand" in imported(shop, content, "--no-images").output
    imported(shop, content, "--no-images", "--overwrite")
    assert "My thing" not in mine.read_text()


def test_a_file_that_was_there_before_any_import_is_a_hand_edit(shop: Project) -> None:
    before = (shop.site / "products/scarf.toml").read_text()
    result = imported(shop, table("scarf,Other,<p>x</p>,TRUE,Title,Default Title,S9,4.00"), "--no-images")
    assert "site/products/scarf.toml: edited by hand" in result.output
    assert (shop.site / "products/scarf.toml").read_text() == before


def test_sold_out_is_waited_for_and_continue_is_still_for_sale(shop: Project) -> None:
    head = "Handle,Title,Variant SKU,Variant Inventory Qty,Variant Inventory Policy,Variant Price"
    rows = ["a,A,A1,0,deny,5", "b,B,B1,0,continue,5", "c,C,C1,7,deny,5", "d,D,D1,-3,deny,5", "e,E,E1,,,5"]
    imported(shop, "\n".join([head, *rows]), "--no-images")
    stock = {sku: item.availability for entry in products(shop).values() for sku, item in entry.stock.items()}
    assert stock["A1"] is stock["D1"] is Availability.OUT_OF_STOCK
    assert stock["B1"] is Availability.BACK_ORDER
    assert stock["C1"] is stock["E1"] is Availability.IN_STOCK
    units = {sku: item.units for entry in products(shop).values() for sku, item in entry.stock.items()}
    assert (units["C1"], units["E1"]) == (7, None)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a,A,x,FALSE,,,A1,5", "published FALSE: left out"),
        ("a,,x,TRUE,,,A1,5", "without a title: left out"),
        ("a,A,x,TRUE,,,A1,", "no price: the variant is left out"),
        ("a,A,x,TRUE,,,A1,-1.00", "price '-1.00': it is below zero: the variant is left out"),
        ("a,A,x,TRUE,,,A1,abc", "price 'abc': it is no number: the variant is left out"),
        (",A,x,TRUE,,,A1,5", "a row without a handle: A, x, TRUE, A1, 5: left out"),
        ("a,A,<iframe src='x'></iframe>,TRUE,,,A1,5", "<iframe> in the description: left out"),
        ("Ünïcode Handle!,A,x,TRUE,,,A1,5", "its page is /products/unicode-handle"),
        ("admin,A,x,TRUE,,,A1,5", "its page is /products/admin-1"),
        ("a,A,x,TRUE,,,,5", "a without an SKU: is A here"),
        (
            "a,A,x,TRUE,,,ok,5\nb,B,x,TRUE,,,ok,5",
            "SKU 'ok' of a (line 3), b (line 4): none of them has it here",
        ),
        ("a,A,x,TRUE,Size,S,A2,5\na,,,,,S,A1,5", "line 3: a: SKU A2: left out: the same options twice"),
    ],
)
def test_values_that_are_not_imported_are_reported_with_their_line(
    shop: Project, row: str, message: str
) -> None:
    imported(shop, table("fine,Fine,x,TRUE,Title,Default Title,F1,9.50", row), "--no-images")
    assert message in report(shop)
    assert "line 3" in report(shop)
    assert "fine" in products(shop)


def test_unknown_columns_are_reported_with_the_number_of_their_values(shop: Project) -> None:
    imported(shop, "Handle,Title,Variant Price,Wash at\na,A,5,30\nb,B,6,\n", "--no-images")
    assert "column Wash at: 1 value: the shop has no place for them" in report(shop)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected a line of column names"),
        (b"Handle,Body\na,b\n", "no column for title"),
        (b"Handle,Title\na,b,c,d\n", ":2: 4 cells under 2 columns"),
        (b'Handle,Title\na,"b\n', "unexpected end of data"),
        (b"\x00\x01PK", "no text"),
        (b"Handle,Title\n", "not one product to take"),
    ],
)
def test_a_file_that_is_no_export_is_refused(shop: Project, content: bytes, message: str) -> None:
    with pytest.raises(BadInput, match=message.replace("(", r"\(")):
        imported(shop, content, "--no-images")


def test_semicolons_and_decimal_commas_are_read(shop: Project) -> None:
    imported(shop, "Handle;Title;Variant Price\na;Größe;5,50\n", "--no-images")
    product = products(shop)["a"].product
    assert (product.title, product.variants[0].price_minor) == ("Größe", 550)


def test_pictures_are_taken_from_a_folder_and_belong_to_their_variants(shop: Project, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for name, colour in (("red.jpg", "red"), ("blue.jpg", "blue")):
        Image.new("RGB", (400, 500), colour).save(images / name)
    head = "Handle,Title,Option1 Name,Option1 Value,Variant Price,Variant Image,Image Src,Image Alt Text"
    rows = [
        "a,A,Colour,Red,5,https://cdn.example/red.jpg?v=1,https://cdn.example/red.jpg?v=1,A red thing",
        "a,,,Blue,5,https://cdn.example/blue.jpg,https://cdn.example/blue.jpg,",
        "a,,,,,,https://cdn.example/lost.jpg,",
    ]
    imported(shop, "\n".join([head, *rows]), "--images", str(images))
    jacket_images = products(shop)["a"].images
    assert [(image.file.name, image.alt, image.options) for image in jacket_images] == [
        ("blue.jpg", "A, Blue", (("Colour", "Blue"),)),
        ("red.jpg", "A red thing", (("Colour", "Red"),)),
    ]
    assert "picture https://cdn.example/lost.jpg: not found" in report(shop)


def test_a_plain_table_is_taken(shop: Project) -> None:
    content = "sku,title,price,stock,shade\nm-1,Mug <b>,4.50,3,red\nm-2,Cup,5,many,\n"
    imported(shop, content, format_name="csv")
    taken = products(shop)
    assert taken["mug-b"].product.title == "Mug <b>"
    assert taken["mug-b"].stock["m-1"].units == 3
    assert "stock 'many': taken for none" in report(shop)
    assert "column shade: 1 value" in report(shop)
    assert " /products/" not in report(shop)  # such a table names no page that could have moved


def test_a_product_that_is_left_out_is_counted_and_named_first(shop: Project) -> None:
    rows = ["m-1,Mug,4.50,many", "m-2,Cup,x,1", "m-3,Cup,5,1", "m-4,Mug,5,1"]
    ended = imported(shop, "\n".join(["sku,title,price,stock", *rows]), format_name="csv")
    assert "Left out: 1 of 4 products" in ended.output
    lines = report(shop).splitlines()
    at = lines.index("left out: products without a variant that can be sold (1)")
    assert lines[at + 1] == "  line 3: Cup: left out"
    slugs = [slug for slug in products(shop) if slug.startswith("mug-")]
    assert len(slugs) == 2
    assert any(f"title 'Mug': its page is /products/{slugs[0]}" in line for line in lines)


def test_a_merchant_feed_is_taken(shop: Project) -> None:
    imported(shop, FEED, format_name="google")
    mug = products(shop)["mug-mug"]
    assert [(variant.sku, variant.price_minor, variant.options) for variant in mug.product.variants] == [
        ("A2", 1300, (("Color", "Blue"),)),
        ("A1", 1250, (("Color", "Red"),)),
    ]
    assert mug.stock["A1"].availability is Availability.OUT_OF_STOCK
    assert mug.product.category == "mugs"


@pytest.mark.parametrize(
    "content", ["<rss>", "<rss/>", '<!DOCTYPE x [<!ENTITY a "b">]><rss><item/></rss>', "sku,title\n"]
)
def test_a_file_that_is_no_feed_is_refused(shop: Project, content: str) -> None:
    with pytest.raises(BadInput):
        imported(shop, content, format_name="google")


def test_images_or_none_of_them(shop: Project, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="choose one"):
        imported(shop, table(), "--no-images", "--images", str(tmp_path))


TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60)


@settings(max_examples=25, deadline=None)
@given(words=st.lists(TEXTS, min_size=6, max_size=6))
@example(words=["\u200b"] * 6)
def test_files_written_from_any_export_can_be_read(
    tmp_path_factory: pytest.TempPathFactory, words: list[str]
) -> None:
    title, body, category, tag, option, sku = words
    shop = make_small_shop(tmp_path_factory.mktemp("shop"))
    variants = (
        ImportedVariant("line 2", sku, "5.00", (("Kind", option),), 1),
        ImportedVariant("line 3", sku, "6.00", (("Kind", f"{option}2"),), None, sells_on=True),
    )
    product = ImportedProduct(
        place="line 2",
        handle=title,
        title=title,
        description=markdown_of(f"<p>{body}</p>{body}").markdown,
        category=category,
        summary=body,
        details=(("Brand", title),),
        tags=(tag,),
        variants=variants,
        pictures=(),
    )
    taken = normalize(
        Export((product,), ()), NormalizeOptions(2, "Other"), picture=lambda url: PictureChoice("")
    )
    complete, _ = with_skus(taken.products, ())
    for item in complete:
        text = product_text(item, category="outerwear")
        (shop.site / "products" / f"{item.slug}.toml").write_text(text, encoding="utf-8")
    load_catalogue(shop)


def test_the_record_of_an_import_is_json_beside_the_products(shop: Project) -> None:
    imported(shop, table("fine,Fine,x,TRUE,Title,Default Title,F1,9.50"), "--no-images")
    assert list(json.loads((shop.site / "products/imported.json").read_text())["files"]) == ["fine.toml"]


def test_a_column_may_be_named_for_two_things_and_an_option_keeps_its_letters(shop: Project) -> None:
    content = "sku,Name,price,Farbe\n1,Tee,5,Rot\n2,Tee,6,Blau\n"
    mapped = ("title=Name", "product=name", "Option: Farbe=farbe")
    imported(shop, content, *(f"--column={text}" for text in mapped), format_name="csv")
    variants = products(shop)["tee"].product.variants
    assert [(variant.sku, variant.options) for variant in variants] == [
        ("2", (("Farbe", "Blau"),)),
        ("1", (("Farbe", "Rot"),)),
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--column=title=Name", "--column=Title=Size"), "--column Title=Size: title is given twice"),
        (("--category= ",), "--category: expected a title of 1 to 80 characters"),
        (("--category", "c" * 81), "--category: expected a title of 1 to 80 characters"),
        (
            ("--old-shop=old.example",),
            "--old-shop old.example: expected an address such as https://shop.example",
        ),
    ],
)
def test_an_option_that_the_shop_cannot_use_is_named_before_anything_is_read(
    shop: Project, options: tuple[str, ...], message: str
) -> None:
    with pytest.raises(BadInput) as refused:
        imported(shop, "sku,title,price\n1,Tee,5\n", *options, format_name="csv")
    assert refused.value.message == message
    assert not (shop.site / "products/tee.toml").exists()


def test_a_record_that_cannot_be_read_stops_an_import_before_it_writes(shop: Project) -> None:
    record = shop.site / "products/imported.json"
    imported(shop, table("fine,Fine,x,TRUE,Title,Default Title,F1,9.50"), "--no-images")
    record.write_text('{"files": {}\n<<<<<<< HEAD\n')
    with pytest.raises(BadInput, match=r"site/products/imported\.json: no record of an import: .* line 2"):
        imported(shop, table("fine,Fine,x,TRUE,Title,Default Title,F1,8.50"), "--no-images")
    assert products(shop)["fine"].product.variants[0].price_minor == 950
    assert "<<<<<<<" in record.read_text()


def last_line(shop: Project, content: str, format_name: str) -> tuple[int, str]:
    result = imported(shop, content, format_name=format_name)
    return result.exit_code, result.output.splitlines()[-1]


def test_the_last_line_names_only_what_left_a_product_out(shop: Project) -> None:
    content = (
        "sku,title,price,gtin,handle,option:Size\n"
        "A,Mug,5,4006381333932,,\nB,Cup,15.00 USD,,,\nC1,Jug,x,,jug,S\nC2,Jug,,,jug,M\nC3,,-1,,jug,L\n"
        "D1,Pot,7,,pot,S\nD2,Pot,x,,pot,M\n"
    )
    assert last_line(shop, content, "csv") == (
        1,
        "Imported 2 of 4 products; 2 left out: prices below zero (1), prices in another currency (1), "
        "prices that cannot be read (1)",
    )
    assert "gtin" in report(shop)


def test_products_that_are_not_for_sale_count_as_left_out_and_the_import_succeeds(shop: Project) -> None:
    content = "Handle,Title,Status,Variant SKU,Variant Price\na,A,active,A,5\nb,B,draft,B,5\nc,C,draft,C,5\n"
    reason = "products that are not for sale in the other shop"
    assert last_line(shop, content, "shopify") == (
        0,
        f"Imported 1 of 3 products; 2 left out: {reason} (2)",
    )
    assert "Left out: 2 of 3 products" in report(shop)
    content = (
        "Type,SKU,Name,Published,Regular price,Parent\nsimple,a,A,1,5,\nsimple,b,B,0,5,\n"
        "grouped,c,C,1,5,\nvariable,d,D,1,,\nvariation,d1,D - 1,0,5,d\n"
    )
    assert last_line(shop, content, "woocommerce") == (
        1,
        "Imported 1 of 4 products; 3 left out: grouped and external products (1), "
        f"{reason} (1), variations that are not for sale in the other shop (1)",
    )


def test_a_character_that_is_lost_in_the_export_is_named_with_its_line(shop: Project) -> None:
    rows = [
        "a,Caf\ufffd cup,<p>Fine</p>,true,Colour,Red,A,5",
        "b,Mug,<p>Warm \ufffd mug</p>,true,Colour,Bl\ufffdu,B,5",
    ]
    assert imported(shop, table(*rows)).exit_code == 0
    assert (
        "texts with a character that is lost in the export (3)\n"
        "  line 2: a: title 'Caf\ufffd cup': taken as it is\n"
        "  line 3: b: description 'Warm \ufffd mug': taken as it is\n"
        "  line 3: b: option 'Bl\ufffdu': taken as it is"
    ) in report(shop)


def test_texts_that_a_program_damaged_are_named_with_their_lines(shop: Project) -> None:
    rows = ("1.5E+12,CafÃ© cup,5,4.12e+13,SÃO « Â »", "E+1,5Â\u00a0kg â€“ ß,5,1,Fæ°")
    content = "\n".join(("sku,title,price,variant_id,brand", *rows))
    imported(shop, content, format_name="csv")
    assert report(shop).count("line ") == 4
    assert "  line 2: CafÃ© cup: SKU '1.5E+12': taken as it is\n" in report(shop)
    assert "  line 2: CafÃ© cup: variant id '4.12e+13': taken as it is\n" in report(shop)
    assert "opened in another (2)\n  line 2: CafÃ© cup: title 'CafÃ© cup': taken as it is\n" in report(shop)

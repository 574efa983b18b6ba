"""Shopify's export, under its older and newer names of columns and Matrixify's, says what it means."""

from pathlib import Path

import pytest

from benchmarks.shopify_export import as_csv, export
from spillway.errors import BadInput
from spillway.importing.imported import Export, ImportedProduct
from spillway.importing.reading import ReadOptions
from spillway.importing.shopify import read_shopify

OPTIONS = ReadOptions("GBP", "en-GB")


def read(tmp_path: Path, *lines: str, options: ReadOptions = OPTIONS) -> Export:
    file = tmp_path / "export.csv"
    file.write_text("\n".join(lines), encoding="utf-8")
    return read_shopify(file, options)


def one(read: Export) -> ImportedProduct:
    (product,) = read.products
    return product


def lines_of(read: Export) -> list[str]:
    return [str(line) for line in read.not_taken]


STOCK = (
    "Handle,Title,Variant SKU,Variant Inventory Tracker,Variant Inventory Qty,Variant Inventory Policy,"
    "Variant Price"
)


@pytest.mark.parametrize(
    ("tracker", "quantity", "policy", "units", "sells_on", "availability"),
    [
        ("", "0", "deny", None, False, ""),
        ("shopify", "0", "deny", 0, False, ""),
        ("shopify", "3", "continue", 3, True, ""),
        ("shopify", "0", "continue", 0, True, "BackOrder"),
        ("shopify", "-2", "deny", 0, False, ""),
        ("shopify", "", "deny", None, False, ""),
    ],
)
def test_stock_is_what_shopify_counts(
    tmp_path: Path,
    tracker: str,
    quantity: str,
    policy: str,
    units: int | None,
    sells_on: bool,
    availability: str,
) -> None:
    found = read(tmp_path, STOCK, f"a,A,A1,{tracker},{quantity},{policy},5")
    variant = one(found).variants[0]
    assert (variant.units, variant.sells_on, variant.availability) == (units, sells_on, availability)
    reported = {
        "-2": ["line 2: stock -2: taken for none"],
        "": ["line 2: a: no inventory quantity: for sale"],
    }
    assert lines_of(found) == reported.get(quantity, [])


def test_a_description_is_read_as_markdown_and_as_its_opening_words(tmp_path: Path) -> None:
    found = one(read(tmp_path, "Handle,Title,Body (HTML),Variant Price", "a,A,<p>5*10 cm #7.</p><p>B</p>,5"))
    assert (found.description, found.opening) == ("5\\*10 cm \\#7.\n\nB", "5*10 cm #7.")


def test_options_are_those_of_all_rows(tmp_path: Path) -> None:
    head = "Handle,Title,Option1 Name,Option1 Value,Option2 Name,Option2 Value,Variant SKU,Variant Price"
    rows = ["a,A,Size,S,,,1,5", "a,,,M,Colour,Red,2,5", "a,,,M,,Blue,3,5"]
    assert [variant.options for variant in one(read(tmp_path, head, *rows)).variants] == [
        (("Size", "S"),),
        (("Size", "M"), ("Colour", "Red")),
        (("Size", "M"), ("Colour", "Blue")),
    ]


def test_two_options_of_one_name_stay_apart(tmp_path: Path) -> None:
    head = "Handle,Title,Option1 Name,Option1 Value,Option2 Name,Option2 Value,SKU,Price"
    found = read(tmp_path, head, "tee,Tee,Size,S,Size,Long,T1,5", "tee,,,M,,Long,T2,5")
    assert [variant.options for variant in one(found).variants] == [
        (("Size", "S"), ("Size 2", "Long")),
        (("Size", "M"), ("Size 2", "Long")),
    ]


def test_the_only_variant_of_a_product_has_no_options(tmp_path: Path) -> None:
    head = "Handle,Title,Option1 Name,Option1 Value,Variant Price"
    assert one(read(tmp_path, head, "a,A,Title,Default Title,5")).variants[0].options == ()


def test_handles_that_differ_by_case_are_one_product_and_any_row_has_its_title(tmp_path: Path) -> None:
    head = "Handle,Title,Variant SKU,Variant Price"
    product = one(read(tmp_path, head, "Blue-Tee,,1,5", "blue-tee,Blue tee,2,6", "BLUE-TEE,,3,7"))
    assert (product.handle, product.title) == ("blue-tee", "Blue tee")
    assert [variant.sku for variant in product.variants] == ["1", "2", "3"]
    assert product.old_paths == ("/products/BLUE-TEE", "/products/Blue-Tee", "/products/blue-tee")


def test_the_first_column_of_two_that_is_not_empty_counts(tmp_path: Path) -> None:
    found = read(tmp_path, "Handle,Title,Body (HTML),Description,Variant Price", "a,A,<p>Words</p>,,5")
    assert one(found).description == "Words"


def test_a_second_column_of_a_field_with_another_value_is_reported(tmp_path: Path) -> None:
    head = (
        "Handle,Title,SKU,Price,Type,Custom Product Type,Category: Name,Standardized Product Type,Tags,Tags"
    )
    found = read(tmp_path, f"{head}\nmug,Mug,M,5,Mugs,Cups,Cups,Home > Cups,red,blue\n")
    assert [str(line) for line in found.not_taken] == [
        "line 2: Custom Product Type 'Cups': left out: 'Mugs' counts",
        "line 2: Tags 2 'blue': left out: 'red' counts",
    ]
    assert (one(found).category, one(found).tags) == ("Mugs", ("red",))


def test_each_generation_of_columns_gives_the_same_values(tmp_path: Path) -> None:
    old, new = (
        read(tmp_path, as_csv(export(40), new_names=names).decode("utf-8-sig")) for names in (False, True)
    )
    assert old.products == new.products
    assert len(old.products) == 40


def test_every_field_of_a_product_is_taken(tmp_path: Path) -> None:
    head = (
        "Handle,Title,Vendor,Type,Product Category,Tags,Variant SKU,Variant Price,Variant Compare At Price,"
        "Variant Barcode,Variant Grams,Variant Weight Unit,SEO Title,SEO Description,"
        "Google Shopping / Condition,Google Shopping / MPN,Google Shopping / Gender,Collection,Image Src,"
        "Image Position,Image Alt Text,Cost per item"
    )
    row = (
        "tee,Tee,Lumo,Shirts,Apparel > Tops,\"a, b,a\",'0042,12.00,15.00,'05012345678900,180.0,kg,Buy tees,"
        "The best tees,refurbished,M-1,unisex,Summer,https://cdn.example/2.jpg,2,Back,4.00"
    )
    found = read(tmp_path, head, row, "tee,,,,,,,,,,,,,,,,,,https://cdn.example/1.jpg,1,Front,")
    product = one(found)
    variant = product.variants[0]
    assert (product.brand, product.category, product.categories) == ("Lumo", "Shirts", ("Summer",))
    assert (product.seo_title, product.seo_description, product.summary) == ("Buy tees", "The best tees", "")
    assert (product.condition, product.tags) == ("refurbished", ("a", "b"))
    assert product.details == (("Gender", "unisex"),)
    assert [(picture.url[-5:], picture.alt, picture.position) for picture in product.pictures] == [
        ("1.jpg", "Front", 1),
        ("2.jpg", "Back", 2),
    ]
    assert (variant.sku, variant.price, variant.compare_at_price) == ("0042", "12.00", "15.00")
    assert (variant.gtin, variant.mpn, variant.weight_g) == ("05012345678900", "M-1", 180)
    assert product.old_paths == ("/products/tee",)
    assert lines_of(found) == ["column Cost per item: 1 value: the shop has no place for them"]


def test_long_texts_and_many_tags_are_taken_whole(tmp_path: Path) -> None:
    tags = ", ".join(f"tag {number}" for number in range(250))
    head = "Handle,Title,Tags,SEO Title,SEO Description,Variant Price"
    product = one(read(tmp_path, head, f'{"h" * 255},{"t" * 255},"{tags}",{"s" * 255},{"d" * 320},5'))
    assert (len(product.handle), len(product.title), len(product.tags)) == (255, 255, 250)
    assert (len(product.seo_title), len(product.seo_description)) == (255, 320)


MATRIXIFY = (
    "ID,Handle,Command,Title,Body HTML,Vendor,Type,Tags,Status,Published,Published At,URL,Row #,Top Row,"
    "Custom Collections,Image Src,Image Command,Image Position,Variant ID,Variant Position,Variant SKU,"
    "Variant Barcode,"
    "Variant Weight,Variant Weight Unit,Variant Price,Variant Inventory Tracker,Variant Inventory Qty,"
    "Option1 Name,"
    "Option1 Value,Metafield: title_tag [string]"
)
MATRIXIFY_ROWS = (
    "77,mug,MERGE,Mug,<p>Body words</p>,Lumo,Mugs,new,Active,TRUE,2021-05-04 10:00:00 +0100,"
    'https://old.example/products/mug,1,TRUE,"Home, Gifts",https://cdn.example/a.jpg,MERGE,1,901,2,M-2,,0.5,lb,5.00,'
    "shopify,4,Size,L,Mug title",
    "77,mug,MERGE,,,,,,,,,,2,,,,,,900,1,M-1,,250,g,4.00,shopify,0,,S,",
    "78,cup,DELETE,Cup,,,,,Active,TRUE,,,3,TRUE,,,,,902,1,C-1,,,,5.00,,,,,",
    "79,jug,NEW,Jug,,,,,Draft,FALSE,,,4,TRUE,,,,,903,1,J-1,,,,5.00,,,,,",
)


def test_matrixifys_columns_are_read(tmp_path: Path) -> None:
    found = read(tmp_path, MATRIXIFY, *MATRIXIFY_ROWS)
    product = one(found)
    assert (product.description, product.category, product.categories) == (
        "Body words",
        "Mugs",
        ("Home", "Gifts"),
    )
    assert (product.released_on, product.seo_title) == ("2021-05-04", "Mug title")
    assert [
        (variant.variant_id, variant.sku, variant.weight_g, variant.units, variant.options)
        for variant in product.variants
    ] == [("900", "M-1", 250, 0, (("Size", "S"),)), ("901", "M-2", 227, 4, (("Size", "L"),))]
    assert lines_of(found)[:2] == [
        "line 4: cup, command DELETE: left out: it is not for sale",
        "line 5: jug, published FALSE: left out: it is not for sale",
    ]


def test_variants_and_pictures_that_matrixify_deletes_are_left_out_and_reported(tmp_path: Path) -> None:
    head = "Handle,Title,Variant Command,Variant SKU,Option1 Value,Variant Price,"
    head += "Variant Image,Image Src,Image Command"
    rows = [
        "a,A,DELETE,1,S,5,https://x/a.jpg,https://x/a.jpg,DELETE",
        "a,,MERGE,2,M,6,,https://x/b.jpg,MERGE",
        "a,,ignore,,L,7,,,DELETE",
    ]
    found = read(tmp_path, head, *rows)
    assert [variant.sku for variant in one(found).variants] == ["2"]
    assert [picture.url for picture in one(found).pictures] == ["https://x/b.jpg"]
    assert lines_of(found) == [
        "line 2: a: variant 1, command DELETE: left out",
        "line 4: a: variant L, command ignore: left out",
        "line 2: a: image https://x/a.jpg, command DELETE: left out",
    ]


@pytest.mark.parametrize(
    ("image", "alt", "pictures"),
    [
        (
            *("https://x/one.jpg; https://x/two.jpg", "First; Second"),
            [("https://x/one.jpg", "First", 1), ("https://x/two.jpg", "Second", 2)],
        ),
        (
            *("https://x/one.jpg;https://x/two.jpg;", "A; B; C"),
            [("https://x/one.jpg", "A; B; C", 1), ("https://x/two.jpg", "", 2)],
        ),
        ("https://x/one;v=1.jpg", "A; B", [("https://x/one;v=1.jpg", "A; B", None)]),
    ],
)
def test_several_pictures_of_a_cell_are_taken_each_with_its_text(
    tmp_path: Path, image: str, alt: str, pictures: list[tuple[str, str, int | None]]
) -> None:
    found = one(read(tmp_path, "Handle,Title,Variant Price,Image Src,Image Alt Text", f"a,A,5,{image},{alt}"))
    assert [(picture.url, picture.alt, picture.position) for picture in found.pictures] == pictures


@pytest.mark.parametrize("word", ["TRUE", "WAHR", "VRAI", "verdadero", "ИСТИНА"])
def test_published_is_read_in_the_language_of_the_spreadsheet(tmp_path: Path, word: str) -> None:
    found = read(tmp_path, "Handle,Title,Published,Variant Price", f"a,A,{word},5", "b,B,FALSCH,5")
    assert [product.handle for product in found.products] == ["a"]
    assert lines_of(found) == ["line 3: b, published FALSCH: left out: it is not for sale"]


def test_an_id_of_shopifys_api_is_taken_by_its_number(tmp_path: Path) -> None:
    rows = [row.replace(",900,1,", ",gid://shopify/ProductVariant/900,1,") for row in MATRIXIFY_ROWS]
    assert rows != list(MATRIXIFY_ROWS)
    assert [item.variant_id for item in one(read(tmp_path, MATRIXIFY, *rows)).variants] == ["900", "901"]


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2021-05-04 10:00:00 -0500", "2021-05-04"),
        ("2021-05-04T10:00:00Z", "2021-05-04"),
        ("2021-05-04 10:00 PM +01:00", "2021-05-04"),
        ("04/05/2021", ""),
        ("2021-05-041", ""),
        ("2021-02-30", ""),
    ],
)
def test_a_day_of_publication_is_read_or_reported(tmp_path: Path, text: str, day: str) -> None:
    found = read(tmp_path, "Handle,Title,Published At,Variant Price", f"a,A,{text},5")
    assert one(found).released_on == day
    assert lines_of(found) == ([] if day else [f"line 2: published at {text!r}: left out"])


@pytest.mark.parametrize(
    ("price", "line"),
    [
        ("", "line 2: no price: the variant is left out"),
        ("-5.00", "line 2: price '-5.00': it is below zero: the variant is left out"),
        ("abc", "line 2: price 'abc': it is no number: the variant is left out"),
    ],
)
def test_a_variant_without_a_price_is_left_out_with_its_line(tmp_path: Path, price: str, line: str) -> None:
    found = read(tmp_path, "Handle,Title,Variant SKU,Variant Price", f"a,A,1,{price}", "a,,2,0.00")
    assert [(variant.sku, variant.price) for variant in one(found).variants] == [("2", "0.00")]
    assert lines_of(found) == [line]


def test_links_of_a_description_lead_to_products_here_or_to_the_old_shop(tmp_path: Path) -> None:
    rows = ['a,A,"<a href=/products/b>b</a> <a href=/pages/x>x</a>",5', "b,B,,5"]
    options = ReadOptions("GBP", "en-GB", old_shop="https://old.example/")
    found = read(tmp_path, "Handle,Title,Body (HTML),Variant Price", *rows, options=options)
    assert found.products[0].description == "[b](/products/b) [x](https://old.example/pages/x)"
    without = read(tmp_path, "Handle,Title,Body (HTML),Variant Price", *rows)
    assert without.products[0].description == "[b](/products/b) x"
    assert lines_of(without) == ["line 2: link to '/pages/x': its words are kept without the link"]
    assert without.not_taken[0].kind == "link to: its words are kept without the link"


def test_another_platforms_export_names_the_command_that_reads_it(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="this is an export of WooCommerce") as refused:
        read(tmp_path, "ID,Type,SKU,Name,Published,Regular price", "1,simple,a,A,1,5")
    assert refused.value.hint == f"spillway import woocommerce {tmp_path / 'export.csv'}"

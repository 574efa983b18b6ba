"""WooCommerce's product export: parents and variations, prices and sales, stock and backorders."""

import csv
import io
from pathlib import Path

import pytest

from spillway.errors import BadInput
from spillway.importing.imported import Export, ImportedProduct
from spillway.importing.names import page_slugs
from spillway.importing.reading import ReadOptions
from spillway.importing.woocommerce import read_woocommerce

OPTIONS = ReadOptions("GBP", "en-GB", today="2026-11-27")
SIMPLE = {"ID": "1", "Type": "simple", "SKU": "cap", "Name": "Cap", "Published": "1", "Regular price": "16"}
HOODIE = {
    "ID": "2",
    "Type": "variable",
    "SKU": "hoodie",
    "Name": "Hoodie",
    "Published": "1",
    "Attribute 1 name": "Colour",
    "Attribute 1 value(s)": "Red, Sky\\, light",
    "Attribute 1 visible": "1",
    "Attribute 2 name": "Fabric",
    "Attribute 2 value(s)": "Wool, Silk",
    "Attribute 2 visible": "1",
    "Attribute 3 name": "Supplier",
    "Attribute 3 value(s)": "X",
    "Attribute 3 visible": "0",
}


def variation(number: int, colour: str, **cells: str) -> dict[str, str]:
    row = {"ID": str(number), "Type": "variation", "SKU": f"hoodie-{number}", "Published": "1"}
    row |= {"Name": f"Hoodie - {colour}", "Parent": "hoodie", "Regular price": "45", "In stock?": "1"}
    return {**row, "Attribute 1 name": "Colour", "Attribute 1 value(s)": colour, **cells}


def read(tmp_path: Path, *rows: dict[str, str], options: ReadOptions = OPTIONS) -> Export:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(rows)
    file = tmp_path / "wc-product-export.csv"
    file.write_text("\ufeff" + text.getvalue(), encoding="utf-8")
    return read_woocommerce(file, options)


def one(found: Export) -> ImportedProduct:
    (product,) = found.products
    return product


def lines_of(found: Export) -> list[str]:
    return [str(line) for line in found.not_taken]


def test_variations_find_their_product_by_sku_or_id_wherever_it_stands(tmp_path: Path) -> None:
    rows = [
        variation(3, "Red"),
        HOODIE,
        variation(4, "Sky\\, light", Parent="id:2"),
        variation(9, "Red", Parent="x"),
    ]
    found = read(tmp_path, *rows)
    assert [(variant.sku, variant.options, variant.variant_id) for variant in one(found).variants] == [
        ("hoodie-3", (("Colour", "Red"),), "3"),
        ("hoodie-4", (("Colour", "Sky, light"),), "4"),
    ]
    assert one(found).details == (("Fabric", "Wool, Silk"),)
    assert lines_of(found) == ["line 5: variation 'Hoodie - Red' of 'x': left out"]


@pytest.mark.parametrize(
    ("cells", "units", "sells_on", "availability"),
    [
        ({"In stock?": "1"}, None, False, ""),
        ({"In stock?": "0"}, 0, False, ""),
        ({"In stock?": "backorder"}, None, False, "BackOrder"),
        ({"In stock?": "1", "Stock": "7", "Backorders allowed?": "0"}, 7, False, ""),
        ({"In stock?": "1", "Stock": "7", "Backorders allowed?": "notify"}, 7, True, ""),
        ({"In stock?": "backorder", "Stock": "-2", "Backorders allowed?": "1"}, 0, True, "BackOrder"),
        ({"In stock?": "0", "Stock": "0", "Backorders allowed?": "0"}, 0, False, ""),
    ],
)
def test_stock_is_what_the_shop_counts(
    tmp_path: Path, cells: dict[str, str], units: int | None, sells_on: bool, availability: str
) -> None:
    (variant,) = one(read(tmp_path, {**SIMPLE, **cells})).variants
    assert (variant.units, variant.sells_on, variant.availability) == (units, sells_on, availability)


def test_stock_that_all_variations_share_is_not_counted_and_reported(tmp_path: Path) -> None:
    found = read(tmp_path, {**HOODIE, "Stock": "5"}, variation(3, "Red", Stock="parent"))
    assert one(found).variants[0].units is None
    assert lines_of(found) == ["line 3: Hoodie: stock 5 of all variations: not counted"]


@pytest.mark.parametrize(
    ("cells", "price", "former", "ends_on"),
    [
        ({"Regular price": "16,50"}, "16.50", "", ""),
        ({"Regular price": "16", "Sale price": "12.5"}, "12.50", "16.00", ""),
        (
            {"Sale price": "12", "Date sale price ends": "2026-12-24 23:59:59"},
            *("12.00", "16.00", "2026-12-24"),
        ),
        ({"Sale price": "12", "Date sale price ends": "2026-11-24 23:59:59"}, "16.00", "", ""),
        ({"Sale price": "12", "Date sale price starts": "2026-12-01 0:00:00"}, "16.00", "", ""),
        ({"Sale price": "8", "Date sale price ends": "30/11/2024"}, "16.00", "", ""),
        ({"Sale price": "8", "Date sale price starts": "1732924800"}, "16.00", "", ""),
        ({"Regular price": "0"}, "0.00", "", ""),
    ],
)
def test_prices_and_sales_are_read(
    tmp_path: Path, cells: dict[str, str], price: str, former: str, ends_on: str
) -> None:
    (variant,) = one(read(tmp_path, {**SIMPLE, **cells})).variants
    assert (variant.price, variant.compare_at_price, variant.sale_ends_on) == (price, former, ends_on)


def test_a_sale_whose_days_cannot_be_read_is_reported(tmp_path: Path) -> None:
    dates = {"Date sale price starts": "2024-11-01", "Date sale price ends": "30/11/2024"}
    found = read(tmp_path, {**SIMPLE, "Sale price": "8", **dates}, {**SIMPLE, "SKU": "b", **dates})
    assert lines_of(found) == [
        "line 2: sale price 8.00 from '2024-11-01' until '30/11/2024': the price is 16.00",
        "line 3: start of a sale 2024-11-01: left out: there is no sale",
        "line 3: end of a sale '30/11/2024': left out",
    ]
    assert [line.kind for line in found.not_taken] == [
        "sales whose days cannot be read",
        "days of a sale where there is none",
        "dates that cannot be read",
    ]


def test_a_price_without_groups_is_never_a_thousand(tmp_path: Path) -> None:
    found = read(tmp_path, {**SIMPLE, "Regular price": "1,290"})
    assert one(found).variants == ()
    assert lines_of(found) == ["line 2: price '1,290': it can be 1.290 or 1290: the variant is left out"]


def test_every_field_of_a_product_is_taken(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        {
            **SIMPLE,
            "GTIN, UPC, EAN, or ISBN": "5012345678900",
            "Name": "Cap &amp; scarf",
            "Weight (kg)": "0.2",
            "Short description": "Warm <b>cap</b>",
            "Categories": "Clothing, Clothing > Hats, Gifts\\, small",
            "Description": "One.\\nTwo.\\n\\n<ul><li>a</li></ul> C:\\\\new",
            "Tags": "new, wool\\, soft",
            "Images": "https://x/a.jpg, https://x/b\\,1.jpg",
            "Brands": "Lumo",
            "Tax class": "x",
            "Attribute 1 name": "Fit",
            "Attribute 1 value(s)": "Slim",
            "Attribute 1 visible": "1",
            "Meta: _yoast_wpseo_title": "Buy caps",
            "Meta: _yoast_wpseo_metadesc": "The best caps",
        },
    )
    cap = one(found)
    assert (cap.title, cap.summary, cap.brand) == ("Cap & scarf", "Warm cap", "Lumo")
    assert cap.description == "One.\\\nTwo.\n\n- a\n\nC:\\\\new"
    assert (cap.category, cap.categories) == ("Hats", ("Clothing", "Gifts, small"))
    assert (cap.tags, cap.details) == (("new", "wool, soft"), (("Fit", "Slim"),))
    assert [picture.url for picture in cap.pictures] == ["https://x/a.jpg", "https://x/b,1.jpg"]
    assert (cap.seo_title, cap.seo_description) == ("Buy caps", "The best caps")
    assert cap.old_paths == ("/product/cap-scarf/",)
    (variant,) = cap.variants
    assert (variant.gtin, variant.weight_g, variant.options) == ("5012345678900", 200, ())
    assert lines_of(found) == ["column Tax class: 1 value: the shop has no place for them"]


def test_a_long_short_description_stands_before_the_description(tmp_path: Path) -> None:
    found = one(read(tmp_path, {**SIMPLE, "Short description": "word " * 50, "Description": "<p>End</p>"}))
    assert (found.summary, found.description) == ("", " ".join(["word"] * 50) + "\n\nEnd")


def test_a_sign_that_keeps_a_spreadsheet_from_calculating_is_no_part_of_a_text(tmp_path: Path) -> None:
    assert one(read(tmp_path, {**SIMPLE, "SKU": "'-1", "Name": "'=Cap"})).title == "=Cap"
    assert one(read(tmp_path, {**SIMPLE, "SKU": "'-1"})).variants[0].sku == "-1"


def test_a_product_that_is_not_for_sale_is_left_out_with_its_line(tmp_path: Path) -> None:
    rows = [
        {**SIMPLE, "Published": "-1"},
        {**SIMPLE, "Published": "0"},
        {**SIMPLE, "Type": "grouped"},
        {**SIMPLE, "Type": "external"},
        {**SIMPLE, "Type": "simple, virtual", "Name": "File"},
        HOODIE,
        variation(3, "Red", Published="-1"),
        variation(4, "Red"),
    ]
    found = read(tmp_path, *rows)
    assert [product.title for product in found.products] == ["File", "Hoodie"]
    assert [variant.sku for variant in found.products[1].variants] == ["hoodie-4"]
    assert lines_of(found) == [
        "line 2: Cap, published -1: left out: it is not for sale",
        "line 3: Cap, published 0: left out: it is not for sale",
        "line 4: Cap, type grouped: left out: it is not for sale",
        "line 5: Cap, type external: left out: it is not for sale",
        "line 8: Hoodie - Red, published -1: left out: it is not for sale",
    ]


def test_a_subscription_is_a_product_with_its_variations_and_reported(tmp_path: Path) -> None:
    parent = {**HOODIE, "Type": "variable-subscription"}
    rows = [parent, variation(3, "Red", Type="subscription_variation"), {**SIMPLE, "Type": "bundle, virtual"}]
    found = read(tmp_path, *rows)
    assert [(product.title, len(product.variants)) for product in found.products] == [
        ("Hoodie", 1),
        ("Cap", 1),
    ]
    assert found.products[0].variants[0].options == (("Colour", "Red"),)
    assert lines_of(found) == [
        "line 2: Hoodie, type variable-subscription: taken as bought once",
        "line 4: Cap, type bundle: taken as bought once",
    ]


def test_a_product_has_its_first_brand_and_the_others_are_reported(tmp_path: Path) -> None:
    found = read(tmp_path, {**SIMPLE, "Brands": "Lumo, Tom &amp; Co"})
    assert one(found).brand == "Lumo"
    assert lines_of(found) == ["line 2: brand 'Tom & Co': left out: 'Lumo' counts"]


def test_two_attributes_of_one_name_are_one_with_the_values_of_both(tmp_path: Path) -> None:
    attributes = {"Attribute 1 name": "Material", "Attribute 1 value(s)": "Clay, Glaze"}
    attributes |= {"Attribute 2 name": "Material", "Attribute 2 value(s)": "Glass"}
    assert one(read(tmp_path, {**SIMPLE, **attributes})).details == (("Material", "Clay, Glaze, Glass"),)


def test_a_product_that_the_other_shop_does_not_list_is_reported(tmp_path: Path) -> None:
    listed = [{**SIMPLE, "Visibility in catalog": words} for words in ("visible", "catalog", "hidden")]
    found = read(tmp_path, *listed)
    assert len(found.products) == 3
    assert lines_of(found) == ["line 4: Cap, visibility hidden: listed"]


def test_a_description_of_a_single_variation_is_reported(tmp_path: Path) -> None:
    rows = [{**HOODIE, "Description": "Soft."}, variation(3, "Red", Description="Bright red.")]
    found = read(tmp_path, *rows, variation(4, "Sky\\, light", Description="Soft."))
    assert one(found).description == "Soft."
    assert lines_of(found) == ["line 3: Hoodie: description of a variation: left out"]


def test_entities_of_tags_and_attributes_are_decoded(tmp_path: Path) -> None:
    parent = {**HOODIE, "Tags": "Bed &amp; Bath, a <i>", "Attribute 1 value(s)": "Red, Black &amp; White"}
    found = one(read(tmp_path, parent, variation(3, "Black &amp; White"), variation(4, "Red")))
    assert found.tags == ("Bed & Bath", "a <i>")
    assert [(item.options, item.position) for item in found.variants] == [
        ((("Colour", "Black & White"),), 1),
        ((("Colour", "Red"),), 0),
    ]


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("%%title%% %%page%% %%sep%% %%sitename%%", ""),
        ("Caps %sep% %sitename%", ""),
        ("100% wool, 50% off", "100% wool, 50% off"),
        ("Caps &amp; hats", "Caps & hats"),
        ("Caps <b> & {% raw %}", "Caps <b> & {% raw %}"),
    ],
)
def test_a_template_of_a_plugin_is_no_text_for_search_engines(tmp_path: Path, text: str, taken: str) -> None:
    found = read(tmp_path, {**SIMPLE, "Meta: _yoast_wpseo_title": text, "Meta: _yoast_wpseo_metadesc": text})
    assert (one(found).seo_title, one(found).seo_description) == (taken, taken)
    expected = [f"line 2: {name} {text!r}: left out: a template" for name in ("seo_title", "seo_description")]
    assert lines_of(found) == ([] if taken else expected)


@pytest.mark.parametrize(
    ("text", "summary", "description", "codes"),
    [
        (
            "[vc_row][vc_column_text el_class='a']Warm words.[/vc_column_text]"
            "[vc_column_text]More.[/vc_column_text]",
            *("Warm words. More.", "Warm words.\n\nMore."),
            ["[vc_row]", "[vc_column_text] (2 times)"],
        ),
        ("A [b2]big[/b2]ger cup [sic]", "A bigger cup [sic]", "A bigger cup \\[sic\\]", ["[b2]"]),
        ('Cup[gallery ids="1,2"]', "Cup", "Cup", ["[gallery]"]),
        ("[Limited] edition [new]", "[Limited] edition [new]", "\\[Limited\\] edition \\[new\\]", []),
    ],
)
def test_shortcodes_are_reported_and_their_words_kept(
    tmp_path: Path, text: str, summary: str, description: str, codes: list[str]
) -> None:
    found = read(tmp_path, {**SIMPLE, "Short description": text, "Description": text})
    assert (one(found).summary, one(found).description) == (summary, description)
    assert lines_of(found) == [f"line 2: {code}: its words are kept" for code in codes * 2]


@pytest.mark.parametrize(
    ("title", "locale", "slug"),
    [
        ("Обувь", "en-GB", "%d0%be%d0%b1%d1%83%d0%b2%d1%8c"),
        ("Йод", "en-GB", "%d0%b9%d0%be%d0%b4"),
        ("C# Mug", "en-GB", "c-mug"),
        ("Cap &amp; scarf", "en-GB", "cap-scarf"),
        ("Mug <em>new</em> &#8211; 5.5/6", "en-GB", "mug-new-5-5-6"),
        ("Größe “XL” 3×4", "de-DE", "groesse-xl-3x4"),
        ("Größe “XL” 3×4", "en-GB", "grose-xl-3x4"),
        ("Café №5", "fr", "cafe-%e2%84%965"),
        ("100% snake_case", "en-GB", "100-snake_case"),
        ("!!!", "en-GB", "1"),
        ("語" * 30, "en-GB", "%e8%aa%9e" * 22),
    ],
)
def test_an_old_address_is_the_one_that_wordpress_makes_of_a_title(
    tmp_path: Path, title: str, locale: str, slug: str
) -> None:
    found = one(read(tmp_path, {**SIMPLE, "Name": title}, options=ReadOptions("GBP", locale)))
    assert found.old_paths == (f"/product/{slug}/",)


@pytest.mark.parametrize(
    "slug", ["обувь", "%d0%be%d0%b1%d1%83%d0%b2%d1%8c", "%D0%BE%D0%B1%D1%83%D0%B2%D1%8C"]
)
def test_a_slug_names_the_page_in_latin_letters_and_the_old_address_as_it_was(
    tmp_path: Path, slug: str
) -> None:
    found = one(read(tmp_path, {**SIMPLE, "Slug": slug}))
    assert page_slugs([found]) == ["obuv"]
    assert found.old_paths == ("/product/%d0%be%d0%b1%d1%83%d0%b2%d1%8c/",)


def test_another_export_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="this is an export of Shopify"):
        read(tmp_path, {"Handle": "a", "Title": "A", "Variant Price": "5"})
    with pytest.raises(BadInput, match="no column for type, name") as refused:
        read(tmp_path, {"Art": "simple", "Artikelnummer": "x"})
    assert "English" in refused.value.hint

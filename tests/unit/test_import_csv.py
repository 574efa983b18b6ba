"""A plain CSV says what its columns are; the export of a platform that is not read is never taken as one."""

from pathlib import Path

import pytest

from spillway.errors import BadInput
from spillway.importing.generic_csv import read_plain
from spillway.importing.imported import Export
from spillway.importing.merchant_feed import read_merchant_feed
from spillway.importing.reading import ReadOptions
from spillway.importing.shopify import read_shopify
from spillway.importing.woocommerce import read_woocommerce
from tests.support.spreadsheets import SHEET_END, SHEET_START, spreadsheet


def read(tmp_path: Path, *lines: str, locale: str = "en-GB", currency: str = "GBP", **columns: str) -> Export:
    file = tmp_path / "products.csv"
    file.write_text("\n".join(lines), encoding="utf-8")
    named = {name.replace("__", ":"): header for name, header in columns.items()}
    return read_plain(file, ReadOptions(currency, locale, columns=named))


def test_every_column_is_taken(tmp_path: Path) -> None:
    head = "sku,title,price,compare_at_price,stock,brand,gtin,mpn,condition,weight,"
    head += "seo_title,seo_description,variant_id,checkout_url,tags,url,shade"
    row = "m-1,Mug <b>,4.50,6,3,Lumo,5012345678900,M1,new,0.25 kg,SEO,More,4101,https://pay.example/m,"
    row += '"a,b",https://old.example/mugs/1?x,red'
    found = read(tmp_path, head, row)
    (mug,) = found.products
    (variant,) = mug.variants
    assert (mug.title, mug.brand, mug.condition, mug.tags) == ("Mug <b>", "Lumo", "new", ("a", "b"))
    assert (mug.seo_title, mug.seo_description, mug.old_paths) == ("SEO", "More", ("/mugs/1",))
    assert (variant.sku, variant.price, variant.compare_at_price, variant.units) == ("m-1", "4.50", "6.00", 3)
    assert (variant.gtin, variant.mpn, variant.weight_g) == ("5012345678900", "M1", 250)
    assert (variant.variant_id, variant.checkout_url) == ("4101", "https://pay.example/m")
    assert [str(line) for line in found.not_taken] == [
        "column shade: 1 value: the shop has no place for them"
    ]


def test_columns_are_mapped_by_their_header(tmp_path: Path) -> None:
    lines = ["Item no,Name,Regular price,Size", "1,Tee,5,S", "2,Tee,6,M"]
    found = read(tmp_path, *lines, sku="item no", title="Name", price="Regular price", option__Size="Size")
    assert [(variant.sku, variant.price, variant.options) for variant in found.products[0].variants] == [
        ("1", "5.00", (("Size", "S"),)),
        ("2", "6.00", (("Size", "M"),)),
    ]


def test_a_mapped_column_counts_before_one_that_has_the_name(tmp_path: Path) -> None:
    found = read(tmp_path, "sku,title,price,Shop price", "1,Tee,5,7", price="Shop price")
    assert found.products[0].variants[0].price == "7.00"
    assert [str(line) for line in found.not_taken] == [
        "column price: 1 value: the shop has no place for them"
    ]


@pytest.mark.parametrize(
    ("name", "header", "message"),
    [
        ("cost", "price", "--column cost: there is no such column"),
        ("price", "Net", "--column price=Net: .* no such"),
    ],
)
def test_a_column_that_there_is_not_is_named(tmp_path: Path, name: str, header: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read(tmp_path, "sku,title,price", "1,Tee,5", **{name: header})


@pytest.mark.parametrize(
    ("currency", "price", "stock", "taken"),
    [
        ("EUR", "29.99", "3", ("29.99", 3)),
        ("EUR", "1299", "1.299", ("1299.00", 0)),
        ("EUR", "1.299", "3", None),
        ("KWD", "1.299", "3", ("1.299", 3)),
    ],
)
def test_a_number_cell_has_a_decimal_point_in_every_locale(
    tmp_path: Path, currency: str, price: str, stock: str, taken: tuple[str, int] | None
) -> None:
    file = tmp_path / "products.xlsx"
    head = "".join(
        f'<c t="inlineStr"><is><t>{name}</t></is></c>' for name in ("sku", "title", "price", "stock")
    )
    cells = '<c t="inlineStr"><is><t>1</t></is></c><c t="inlineStr"><is><t>Tee</t></is></c>'
    numbers = f"<c><v>{price}</v></c><c><v>{stock}</v></c>"
    file.write_bytes(spreadsheet(f"{SHEET_START}<row>{head}</row><row>{cells}{numbers}</row>{SHEET_END}"))
    found = read_plain(file, ReadOptions(currency, "de"))
    variants = [(variant.price, variant.units) for variant in found.products[0].variants]
    assert variants == ([taken] if taken else [])
    reasons = [str(line) for line in found.not_taken]
    if taken is None:
        assert reasons == ["line 2: price '1.299': the currency has 2 decimals: the variant is left out"]
    else:
        assert reasons == (["line 2: stock '1.299': taken for none"] if stock == "1.299" else [])


@pytest.mark.parametrize(
    ("old_shop", "description"),
    [
        ("", "About, all, mug"),
        (
            "https://old.example",
            "[About](https://old.example/pages/about), [all](https://old.example/collections/all), "
            "[mug](https://old.example/products/mug)",
        ),
    ],
)
def test_a_link_of_a_product_without_a_handle_does_not_lead_to_a_page_that_is_not_there(
    tmp_path: Path, old_shop: str, description: str
) -> None:
    links = "<a href=/pages/about>About</a>, <a href=/collections/all>all</a>, <a href=/products/mug>mug</a>"
    file = tmp_path / "products.csv"
    file.write_text(f'sku,title,price,description\n1,Tee,5,"{links}"\n', encoding="utf-8")
    found = read_plain(file, ReadOptions("GBP", "en-GB", old_shop=old_shop))
    assert found.products[0].description == description
    assert len(found.not_taken) == (0 if old_shop else 3)


def test_a_row_of_a_variant_without_a_price_is_reported_and_one_of_a_picture_is_no_variant(
    tmp_path: Path,
) -> None:
    rows = ["1,tee,Tee,5,,,", ",tee,,,L,,", ",tee,,,,3,", ",tee,,,,,b.jpg"]
    found = read(tmp_path, "sku,handle,title,price,option:Size,stock,picture", *rows)
    assert [variant.sku for variant in found.products[0].variants] == ["1"]
    assert [picture.url for picture in found.products[0].pictures] == ["b.jpg"]
    assert [str(line) for line in found.not_taken] == [
        f"line {line}: no price: the variant is left out" for line in (3, 4)
    ]


def test_rows_of_one_product_that_differ_are_reported_and_each_old_address_is_kept(
    tmp_path: Path,
) -> None:
    head = "sku,handle,title,price,brand,tags,description,url"
    rows = ["1,tee,Tee,5,Lumo,a,Red tee,/p/red", "2,tee,,6,Lumi,a,Blue tee,/p/blue", "3,tee,,7,,,,"]
    found = read(tmp_path, head, *rows)
    (tee,) = found.products
    assert (tee.title, tee.brand, tee.description, tee.old_paths) == (
        *("Tee", "Lumo", "Red tee"),
        ("/p/red", "/p/blue"),
    )
    assert [str(line) for line in found.not_taken] == [
        "line 2: description 'Blue tee': left out: 'Red tee' counts",
        "line 2: brand 'Lumi': left out: 'Lumo' counts",
    ]


def test_entities_of_words_are_decoded_once_and_ids_stay(tmp_path: Path) -> None:
    head = "sku,title,price,brand,tags,category,summary,seo_title,option:Colour"
    row = 'a&amp;b,Tom &amp; Jerry <b>,5,R&amp;D,"Bed &amp; Bath,x",Salt &amp;amp; more,A <b>warm</b> cup,'
    (found,) = read(tmp_path, head, f"{row}T &#8211; J,Black &amp; White").products
    assert (found.title, found.brand, found.tags) == ("Tom & Jerry <b>", "R&D", ("Bed & Bath", "x"))
    assert (found.category, found.summary, found.seo_title) == ("Salt &amp; more", "A warm cup", "T \u2013 J")
    (variant,) = found.variants
    assert (variant.sku, variant.options) == ("a&amp;b", (("Colour", "Black & White"),))


def test_rows_of_one_product_are_its_variants_with_all_their_pictures(tmp_path: Path) -> None:
    head = "product,title,sku,price,option:Size,option: Colour,picture,picture 2,picture_alt"
    rows = [
        "tee,Tee,1,5,S,Red,a.jpg|b.jpg,c.jpg,Front|Back",
        'tee,,2,6,M,,"d.jpg, e.webp",,',
        'cup,Cup,3,4,,,"a, b.webp",,A cup',
    ]
    found = read(tmp_path, head, *rows)
    tee, cup = found.products
    assert [(variant.sku, variant.options, variant.picture) for variant in tee.variants] == [
        ("1", (("Size", "S"), ("Colour", "Red")), "a.jpg"),
        ("2", (("Size", "M"),), "d.jpg"),
    ]
    assert [(picture.url, picture.alt) for picture in tee.pictures] == [
        *(("a.jpg", "Front"), ("b.jpg", "Back"), ("c.jpg", ""), ("d.jpg", ""), ("e.webp", "")),
    ]
    assert [(picture.url, picture.alt) for picture in cup.pictures] == [("a, b.webp", "A cup")]


@pytest.mark.parametrize(
    ("cell", "urls"),
    [
        ("https://c.example/a,b.jpg", ["https://c.example/a,b.jpg"]),
        ("https://c.example/w_5,h_5/a.jpg", ["https://c.example/w_5,h_5/a.jpg"]),
        (
            "https://c.example/a,1.jpg,https://c.example/b.jpg",
            ["https://c.example/a,1.jpg", "https://c.example/b.jpg"],
        ),
        (
            "https://c.example/a.jpg, https://c.example/b.jpg",
            ["https://c.example/a.jpg", "https://c.example/b.jpg"],
        ),
        ("a.jpg,b.jpg", ["a.jpg", "b.jpg"]),
        ("a, b.webp", ["a, b.webp"]),
    ],
)
def test_a_comma_parts_pictures_and_stays_in_an_address(tmp_path: Path, cell: str, urls: list[str]) -> None:
    found = read(tmp_path, "sku,title,price,picture", f'1,Tee,5,"{cell}"')
    assert [picture.url for picture in found.products[0].pictures] == urls


@pytest.mark.parametrize(
    ("locale", "stock", "units"),
    [
        ("en-GB", "3", 3),
        ("en-GB", "", None),
        ("en-GB", "+3", 3),
        ("en-GB", "3.0", 3),
        ("en-GB", "3.", 3),
        ("de-DE", "3,00", 3),
        ("en-GB", "1,200", 1200),
        ("en-GB", "1.200", 1200),
        ("en-GB", "1,000", 1000),
        ("en-GB", "12,000", 12000),
        ("en-GB", "1,200.00", 1200),
        ("en-GB", "1.200,00", 1200),
        ("en-IN", "1,00,000", 100000),
        ("de-DE", "1.000", 1000),
        ("de-DE", "1.000.000", 1000000),
        ("fr-FR", "1 200", 1200),
        ("de-CH", "1’000", 1000),
    ],
)
def test_stock_is_read_by_the_shops_locale(
    tmp_path: Path, locale: str, stock: str, units: int | None
) -> None:
    found = read(tmp_path, "sku,title,price,stock", f'1,Tee,5,"{stock}"', locale=locale)
    assert found.products[0].variants[0].units == units
    assert found.not_taken == ()


@pytest.mark.parametrize(
    ("locale", "stock", "line"),
    [
        ("en-GB", "-1", "line 2: stock -1: taken for none"),
        ("en-GB", "-1,000", "line 2: stock -1,000: taken for none"),
        ("en-GB", "many", "line 2: stock 'many': taken for none"),
        ("en-GB", "1.5", "line 2: stock '1.5': taken for none"),
        ("en-GB", "1.000", "line 2: stock '1.000': taken for none"),
        ("de-DE", "1,000", "line 2: stock '1,000': taken for none"),
        ("en-GB", "9" * 16, f"line 2: stock '{'9' * 16}': taken for none"),
    ],
)
def test_stock_that_is_no_number_or_can_be_two_is_none_and_reported(
    tmp_path: Path, locale: str, stock: str, line: str
) -> None:
    found = read(tmp_path, "sku,title,price,stock", f'1,Tee,5,"{stock}"', locale=locale)
    assert found.products[0].variants[0].units == 0
    assert [str(item) for item in found.not_taken] == [line]


@pytest.mark.parametrize(
    ("locale", "column", "weight", "grams"),
    [
        ("en-GB", "weight", "1,200 g", 1200),
        ("en-GB", "weight_g", "1,200", 1200),
        ("de-DE", "weight", "1.200 g", 1200),
        ("de-DE", "weight_g", "1.200", 1200),
        ("en-GB", "weight", "1,200.5 g", 1200),
        ("en-GB", "weight", "1.200 kg", 1200),
        ("de-DE", "weight", "1,200 kg", 1200),
        ("de-DE", "weight", "0,5 kg", 500),
        ("en-GB", "weight", "0,5 kg", 500),
        ("en-GB", "weight", "0.250 kg", 250),
        ("en-GB", "weight", "1 200 g", 1200),
        ("en-GB", "weight", "2 lb.", 907),
        ("en-GB", "weight", "0 g", None),
    ],
)
def test_a_weight_is_read_by_the_shops_locale(
    tmp_path: Path, locale: str, column: str, weight: str, grams: int | None
) -> None:
    found = read(tmp_path, f"sku,title,price,{column}", f'1,Tee,5,"{weight}"', locale=locale)
    assert found.products[0].variants[0].weight_g == grams
    assert found.not_taken == ()


@pytest.mark.parametrize(
    ("locale", "weight"),
    [
        ("en-GB", "1.200 g"),
        ("de-DE", "1,200 g"),
        ("en-GB", "1,200 kg"),
        ("de-DE", "1.200 kg"),
        ("en-GB", "1.2.3 kg"),
        ("en-GB", "3 stone"),
        ("en-GB", "heavy"),
        ("en-GB", "200000 kg"),
    ],
)
def test_a_weight_that_cannot_be_read_or_can_be_two_is_left_out_and_reported(
    tmp_path: Path, locale: str, weight: str
) -> None:
    found = read(tmp_path, "sku,title,price,weight", f'1,Tee,5,"{weight}"', locale=locale)
    assert found.products[0].variants[0].weight_g is None
    assert [str(item) for item in found.not_taken] == [f"line 2: weight {weight!r}: left out"]


@pytest.mark.parametrize(
    ("cells", "taken", "lines"),
    [
        ("10,,8,2026-12-24", ("8.00", "10.00", "2026-12-24"), []),
        ("10,,8,", ("8.00", "10.00", ""), []),
        ("8,10,,2026-12-24", ("8.00", "10.00", "2026-12-24"), []),
        ("8,10,,soon", ("8.00", "10.00", ""), ["sale_ends_on 'soon': left out"]),
        ("10,,8,30/11/2026", ("10.00", "", ""), ["sale price 8.00 until '30/11/2026': the price is 10.00"]),
        ("10,20,12,", ("10.00", "20.00", ""), ["sale price 12.00: the price is 10.00"]),
        ("10,20,10,", ("10.00", "20.00", ""), []),
        ("10,,0.00,", ("10.00", "", ""), ["sale price 0.00: the price is 10.00"]),
        ("0,,0.00,", ("0.00", "", ""), []),
        ("10,,8,,2026-12-01", ("10.00", "", ""), ["sale price 8.00 from 2026-12-01: the price is 10.00"]),
        ("10,,8,,2026-11-01", ("8.00", "10.00", ""), []),
        (
            "8,10,,,2026-11-01",
            ("8.00", "10.00", ""),
            ["sale_starts_on 2026-11-01: left out: there is no sale"],
        ),
        (
            "10,20,8,2026-11-24",
            ("10.00", "20.00", ""),
            ["sale price 8.00 until 2026-11-24: the price is 10.00"],
        ),
        ("10,20,8,", ("8.00", "10.00", ""), ["compare-at price 20.00: the former price is 10.00"]),
        (
            "10,20,x,2026-12-24",
            ("10.00", "20.00", ""),
            [
                "sale price 'x': it is no number: left out",
                "end of a sale 2026-12-24: left out: there is no sale",
            ],
        ),
        ("10,,,2026-12-24", ("10.00", "", ""), ["sale_ends_on 2026-12-24: left out: there is no sale"]),
    ],
)
def test_a_sale_and_a_former_price_count_or_are_reported(
    tmp_path: Path, cells: str, taken: tuple[str, str, str], lines: list[str]
) -> None:
    file = tmp_path / "products.csv"
    names = "sku,title,price,compare_at_price,sale_price,sale_ends_on,sale_starts_on"
    file.write_text(f"{names}\n1,Tee,{cells}\n")
    found = read_plain(file, ReadOptions("GBP", "en-GB", today="2026-11-27"))
    tee = found.products[0].variants[0]
    assert (tee.price, tee.compare_at_price, tee.sale_ends_on) == taken
    assert [str(line) for line in found.not_taken] == [f"line 2: {line}" for line in lines]


def test_availability_is_read_as_in_a_feed(tmp_path: Path) -> None:
    found = read(tmp_path, "sku,title,price,availability", "1,Tee,5,pre-order", "2,Cup,5,sold out")
    assert [(product.variants[0].units, product.variants[0].availability) for product in found.products] == [
        (None, "PreOrder"),
        (0, "OutOfStock"),
    ]


@pytest.mark.parametrize(
    ("locale", "currency", "price", "read_as"),
    [
        ("de-DE", "EUR", "1.290", "1290.00"),
        ("en-IE", "EUR", "1.290", None),
        ("en-GB", "KWD", "12,500", None),
        ("de-DE", "EUR", "1.299,00", "1299.00"),
        ("en-IN", "INR", "Rs. 1,00,000.00", "100000.00"),
        ("en-GB", "GBP", "£12.50", "12.50"),
    ],
)
def test_a_price_is_read_by_the_shops_locale_or_left_out_with_its_line(
    tmp_path: Path, locale: str, currency: str, price: str, read_as: str | None
) -> None:
    found = read(tmp_path, "sku,title,price", f'1,Tee,"{price}"', locale=locale, currency=currency)
    assert [variant.price for variant in found.products[0].variants] == ([read_as] if read_as else [])
    assert bool(found.not_taken) == (read_as is None)


def test_a_description_may_be_html_or_lines(tmp_path: Path) -> None:
    rows = ['1,A,5,"<p style=""x"">Red</p>"', '2,B,5,"One\ntwo\n\n- a\n- b"']
    found = read(tmp_path, "sku,title,price,description", *rows)
    assert [product.description for product in found.products] == ["Red", "One\\\ntwo\n\n- a\n- b"]


EXPORTS = {
    "Squarespace": "Product ID [Non Editable],Variant ID [Non Editable],Title,SKU,Price",
    "Etsy": "TITLE,DESCRIPTION,PRICE,CURRENCY_CODE,QUANTITY,TAGS,MATERIALS,IMAGE1,SKU",
    "Adobe Commerce (Magento)": "sku,store_view_code,attribute_set_code,product_type,name,price,qty",
    "BigCommerce": "Item Type,Product ID,Product Name,Product Type,Product Code/SKU,Price",
    "Wix": "handleId,fieldType,name,description,productImageUrl,collection,sku,price",
    "PrestaShop": "Product ID,Image,Name,Reference,Category,Price (tax excl.),Quantity",
    "Ecwid": "type,product_internal_id,product_sku,product_name,product_price",
    "Square": "Reference Handle,Token,Item Name,Variation Name,SKU,Description,Price",
}


READERS = {
    "csv": read_plain,
    "shopify": read_shopify,
    "woocommerce": read_woocommerce,
    "google": read_merchant_feed,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("platform", EXPORTS)
def test_an_export_of_another_platform_is_named_and_never_taken(
    tmp_path: Path, platform: str, reader: str
) -> None:
    file = tmp_path / "export.csv"
    file.write_text(EXPORTS[platform] + "\n" + ",".join("x" for _ in EXPORTS[platform].split(",")) + "\n")
    with pytest.raises(BadInput) as refused:
        READERS[reader](file, ReadOptions("GBP", "en-GB"))
    assert (
        refused.value.message == f"{file}: this is an export of {platform}, which has no importer of its own"
    )
    assert "spillway import google FEED" in refused.value.hint


@pytest.mark.parametrize(
    ("head", "command"),
    [
        ("Handle,Title,Option1 Value,SKU,Price", "shopify"),
        ("URL handle,Title,SKU,Price", "shopify"),
        ("ID,Type,SKU,Name,Published,Regular price", "woocommerce"),
        ("id,title,link,price,availability,sku", "google"),
    ],
)
def test_an_export_that_another_command_reads_names_it(tmp_path: Path, head: str, command: str) -> None:
    with pytest.raises(BadInput) as refused:
        read(tmp_path, head, ",".join("x" for _ in head.split(",")))
    assert refused.value.hint == f"spillway import {command} {tmp_path / 'products.csv'}"

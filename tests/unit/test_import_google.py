"""A Google feed, in XML or with tabs: every spelling of availability, every picture, no wrong price."""

from pathlib import Path

import pytest

from spillway.errors import BadInput
from spillway.importing.imported import Export, ImportedProduct, ImportedVariant
from spillway.importing.merchant_feed import read_merchant_feed
from spillway.importing.reading import ReadOptions

OPTIONS = ReadOptions("GBP", "en-GB")
RSS = '<?xml version="1.0"?><rss xmlns:g="http://base.google.com/ns/1.0"><channel><title>Shop</title>{}</channel></rss>'
ATOM = '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0">{}</feed>'
TITLED = "<g:id>A1</g:id><title>Mug</title>"
MUG = f"{TITLED}<g:price>12.50 GBP</g:price>"


def read(tmp_path: Path, content: str | bytes, options: ReadOptions = OPTIONS) -> Export:
    file = tmp_path / "feed"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_merchant_feed(file, options)


def items(tmp_path: Path, *each: str, options: ReadOptions = OPTIONS) -> Export:
    return read(tmp_path, RSS.format("".join(f"<item>{item}</item>" for item in each)), options)


def product(tmp_path: Path, *each: str) -> ImportedProduct:
    (found,) = items(tmp_path, *each).products
    return found


def variant(tmp_path: Path, item: str) -> ImportedVariant:
    return product(tmp_path, MUG + item).variants[0]


@pytest.mark.parametrize(
    ("text", "units", "availability"),
    [
        *((text, None, "InStock") for text in ("in_stock", "in stock", "InStock", "in-stock", "in  stock")),
        *((text, None, "InStock") for text in ("https://schema.org/InStock", "in\u00a0stock", "IN_STOCK")),
        *(
            (text, None, "InStock")
            for text in ("http://schema.org/LimitedAvailability", "limited_availability")
        ),
        *((text, None, "PreOrder") for text in ("preorder", "pre-order", "Pre Order", "schema.org/PreOrder")),
        *(
            (text, None, "BackOrder")
            for text in ("backorder", "on_backorder", "OnBackOrder", "made to order")
        ),
        *((text, 0, "OutOfStock") for text in ("out_of_stock", "out of stock", "OutOfStock", "sold out")),
        ("discontinued", 0, "Discontinued"),
    ],
)
def test_availability_is_read_in_every_spelling(
    tmp_path: Path, text: str, units: int | None, availability: str
) -> None:
    found = variant(tmp_path, f"<g:availability>{text}</g:availability>")
    assert (found.units, found.availability) == (units, availability)


def test_an_unknown_availability_is_reported_and_in_stock_unless_counted(tmp_path: Path) -> None:
    unknown = f"{MUG}<g:availability>Auf Lager</g:availability>"
    found = items(tmp_path, unknown, f"{unknown}<g:quantity>3</g:quantity>")
    assert [item.variants[0].units for item in found.products] == [None, 3]
    assert [item.variants[0].availability for item in found.products] == ["", ""]
    assert str(found.not_taken[0]) == "item 1: availability 'Auf Lager': taken as in stock unless counted"


@pytest.mark.parametrize(
    ("price", "reason"),
    [
        ("15.00 USD", "it is in USD, and the shop sells in GBP: --currency-as-is takes its number"),
        ("-5.00 GBP", "it is below zero"),
        ("1.290 GBP", "it can be 1.290 or 1290"),
    ],
)
def test_a_price_that_is_not_the_shops_is_left_out_with_the_reason(
    tmp_path: Path, price: str, reason: str
) -> None:
    found = items(tmp_path, f"{TITLED}<g:price>{price}</g:price>")
    assert found.products[0].variants == ()
    assert str(found.not_taken[0]) == f"item 1: price {price!r}: {reason}: the variant is left out"


def test_a_price_in_another_currency_is_taken_when_asked_for(tmp_path: Path) -> None:
    options = ReadOptions("GBP", "en-GB", currency_as_is=True)
    found = items(tmp_path, f"{TITLED}<g:price>15.00 USD</g:price>", options=options)
    assert found.products[0].variants[0].price == "15.00"


@pytest.mark.parametrize(
    ("dates", "price", "former", "ends_on"),
    [
        ("", "9.00", "12.50", ""),
        ("2026-11-01T00:00+0100/2026-12-24T23:59+0100", "9.00", "12.50", "2026-12-24"),
        ("2026-10-01T00:00+0100/2026-11-24T23:59+0100", "12.50", "", ""),
        ("2026-12-01T00:00+0100/2026-12-24T23:59+0100", "12.50", "", ""),
        ("2026-11-01/2026-12-24", "9.00", "12.50", "2026-12-24"),
        ("2026-11-01T00:00:00.000Z / 2026-12-24T23:59:59 UTC", "9.00", "12.50", "2026-12-24"),
        ("01/11/2026 - 24/12/2026", "12.50", "", ""),
        ("2026-11-01 - 2026-12-24", "12.50", "", ""),
        ("2026-11-01/24.12.2026", "12.50", "", ""),
    ],
)
def test_a_sale_price_counts_while_the_sale_runs(
    tmp_path: Path, dates: str, price: str, former: str, ends_on: str
) -> None:
    sale = "<g:sale_price>9 GBP</g:sale_price>"
    sale += f"<g:sale_price_effective_date>{dates}</g:sale_price_effective_date>"
    options = ReadOptions("GBP", "en-GB", today="2026-11-27")
    found = items(tmp_path, MUG + sale, options=options).products[0].variants[0]
    assert (found.price, found.compare_at_price, found.sale_ends_on) == (price, former, ends_on)


@pytest.mark.parametrize("weight", ["1,200 g", "1.200 kg", "1.2 kg", "1200 g"])
def test_a_weight_has_a_decimal_point_in_a_feed(tmp_path: Path, weight: str) -> None:
    weighed = f"{MUG}<g:shipping_weight>{weight}</g:shipping_weight>"
    found = items(tmp_path, weighed, options=ReadOptions("GBP", "de"))
    assert found.products[0].variants[0].weight_g == 1200


def test_dates_that_cannot_be_read_and_a_sale_above_the_price_are_reported(tmp_path: Path) -> None:
    sale = "<g:sale_price>{} GBP</g:sale_price>"
    days = "<g:sale_price_effective_date>01/11/2024 - 30/11/2024</g:sale_price_effective_date>"
    found = items(
        tmp_path,
        MUG + sale.format(9) + days,
        MUG + sale.format(13),
        MUG + sale.format("12.50"),
        f"{MUG}<g:availability_date>24/12/2026</g:availability_date>",
        f"{MUG}<g:availability_date>2026-12-24T13:00-0800</g:availability_date>",
    )
    assert [item.variants[0].price for item in found.products] == ["12.50"] * 5
    assert [item.variants[0].available_on for item in found.products] == ["", "", "", "", "2026-12-24"]
    assert [str(line) for line in found.not_taken] == [
        "item 1: sale price 9.00 from '01/11/2024 - 30/11/2024': the price is 12.50",
        "item 2: sale price 13.00: the price is 12.50",
        "item 4: availability_date '24/12/2026': left out",
    ]


def test_every_field_of_an_item_is_taken(tmp_path: Path) -> None:
    found = items(
        tmp_path,
        MUG + "<g:brand>Lumo</g:brand><g:gtin>5012345678900</g:gtin><g:mpn>M-1</g:mpn>"
        "<g:condition>Used</g:condition><g:shipping_weight>0.5 kg</g:shipping_weight>"
        "<g:product_type>Home &gt; Mugs</g:product_type><g:product_type>Gifts</g:product_type>"
        "<g:color>Red</g:color><g:product_detail><g:section_name>Size</g:section_name>"
        "<g:attribute_name>Height</g:attribute_name><g:attribute_value>9 cm</g:attribute_value>"
        "</g:product_detail>"
        "<g:shipping><g:price>4 GBP</g:price></g:shipping>",
    )
    (mug,) = found.products
    assert (mug.brand, mug.condition, mug.category, mug.categories) == ("Lumo", "used", "Mugs", ("Gifts",))
    assert mug.details == (("Color", "Red"), ("Height", "9 cm"))
    made = mug.variants[0]
    assert (made.sku, made.gtin, made.mpn, made.weight_g) == ("A1", "5012345678900", "M-1", 500)
    assert [str(line) for line in found.not_taken] == [
        "element shipping: 1 value: the shop has no place for them"
    ]


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("General:Type:Digital", ("Type", "Digital")),
        ("Display:Ratio:16:9", ("Ratio", "16:9")),
        ("Ratio:16:9", ("Ratio", "16:9")),
        ("Opening hours:10:30", ("Opening hours", "10:30")),
        (":Ratio:16:9", ("Ratio", "16:9")),
        (r"Display:Ratio:16\:9", ("Ratio", "16:9")),
        (r"Display\: main:Ratio\, width:C\:\\x", ("Ratio, width", r"C:\x")),
        ("Width:5 cm", ("Width", "5 cm")),
        ("Washable", ("Detail", "Washable")),
    ],
)
def test_a_detail_of_a_table_is_a_section_a_name_and_a_value(
    tmp_path: Path, text: str, detail: tuple[str, str]
) -> None:
    lines = ["id\ttitle\tprice\tproduct_detail", f"A-1\tMug\t5.00 GBP\t{text},Care:Heat:60 C"]
    (found,) = read(tmp_path, "\n".join(lines)).products
    assert found.details == (detail, ("Heat", "60 C"))


@pytest.mark.parametrize("value", ["16:9", "10:30", "a, b", r"16\:9", "5"])
def test_a_detail_of_xml_is_its_name_and_value(tmp_path: Path, value: str) -> None:
    parts = f"<g:attribute_name>Ratio: w:h</g:attribute_name><g:attribute_value>{value}</g:attribute_value>"
    found = product(tmp_path, f"{MUG}<g:product_detail>{parts}</g:product_detail>")
    assert found.details == (("Ratio: w:h", value),)


def test_a_second_value_of_an_attribute_is_reported_and_one_of_rss_is_none(tmp_path: Path) -> None:
    more = "<g:title>Cup</g:title><g:price>7.00 GBP</g:price><g:color>Red</g:color><g:color>Blue</g:color>"
    found = items(tmp_path, MUG + more)
    assert [str(line) for line in found.not_taken] == [
        "item 1: color 'Blue': left out: 'Red' counts",
        "item 1: price '7.00 GBP': left out: '12.50 GBP' counts",
    ]
    (mug,) = found.products
    assert (mug.title, mug.variants[0].price, mug.details) == ("Cup", "12.50", (("Color", "Red"),))


def test_items_of_one_group_that_differ_are_reported(tmp_path: Path) -> None:
    red, blue = (
        f"{MUG}<g:item_group_id>m</g:item_group_id><g:color>{colour}</g:color><g:brand>{brand}</g:brand>"
        f"<g:description>{colour} mug</g:description><g:product_detail>Height:{height}</g:product_detail>"
        for colour, brand, height in (("Red", "Lumo", "9 cm"), ("Blue", "Lumi", "8 cm"))
    )
    found = items(tmp_path, red, blue.replace("A1", "A2"))
    (mug,) = found.products
    assert (mug.brand, mug.description, mug.details) == ("Lumo", "Red mug", (("Height", "9 cm"),))
    assert [str(line) for line in found.not_taken] == [
        "item 1: Height '8 cm': left out: '9 cm' counts",
        "item 1: description 'Blue mug': left out: 'Red mug' counts",
        "item 1: brand 'Lumi': left out: 'Lumo' counts",
    ]


def test_a_title_that_a_program_wrote_is_the_title(tmp_path: Path) -> None:
    kind = "<g:digital_source_type>trained_algorithmic_media</g:digital_source_type>"
    title = f"<g:structured_title>{kind}<g:content>Mug for tea</g:content></g:structured_title>"
    (mug,) = items(tmp_path, f"<g:id>A</g:id><g:price>5 GBP</g:price>{title}").products
    assert mug.title == "Mug for tea"


def test_titles_and_descriptions_lose_tags_and_entities_once(tmp_path: Path) -> None:
    for title, shown in (
        ("Tom &amp;amp; Jerry &amp;#8211; cup", "Tom & Jerry – cup"),
        ("<![CDATA[Salt & <b>Pepper</b>]]>", "Salt & Pepper"),
    ):
        item = f"<g:id>1</g:id><g:title>{title}</g:title><g:price>5 GBP</g:price>"
        item += "<g:description>Good:\r\n- warm\r\n- dry &amp;amp; soft\n\nEnd</g:description>"
        found = product(tmp_path, item)
        assert found.title == shown
        assert found.description == "Good:\n\n- warm\n- dry & soft\n\nEnd"


def test_additional_pictures_are_taken_in_every_form(tmp_path: Path) -> None:
    found = product(
        tmp_path,
        MUG + "<g:image_link>https://x.example/a.jpg</g:image_link>"
        "<g:additional_image_link>https://x.example/b.jpg,https://x.example/c,1.jpg</g:additional_image_link>"
        "<g:additional_image_link>https://x.example/d.jpg , https://x.example/a.jpg</g:additional_image_link>"
        "<g:additional_image_link>e.jpg,f.jpg</g:additional_image_link>",
    )
    assert [picture.url.removeprefix("https://x.example/") for picture in found.pictures] == [
        *("a.jpg", "b.jpg", "c,1.jpg", "d.jpg", "e.jpg", "f.jpg"),
    ]


def test_items_of_a_group_are_variants_whatever_their_order(tmp_path: Path) -> None:
    red, blue = (
        f"<g:id>{sku}</g:id><title>Mug - {colour}</title><g:price>5 GBP</g:price><g:color>{colour}</g:color>"
        f"<g:item_group_id>G</g:item_group_id><g:brand>{colour} brand</g:brand>"
        f"<link>https://shop.example/products/mug?variant={sku}</link>"
        for sku, colour in (("a1", "Red"), ("A1", "Blue"))
    )
    one, other = product(tmp_path, red, blue), product(tmp_path, blue, red)
    assert {item.sku: item.options for item in one.variants} == {
        "a1": (("Color", "Red"),),
        "A1": (("Color", "Blue"),),
    }
    assert (one.title, one.page_name, one.old_paths) == ("Mug", "Mug G", ("/products/mug",))
    assert (other.title, other.page_name, other.old_paths, other.brand) == (
        *(one.title, one.page_name, one.old_paths, "Blue brand"),
    )
    assert one.brand == "Blue brand"


def test_items_of_a_group_with_equal_options_differ_by_title_or_id(tmp_path: Path) -> None:
    group = "<g:price>5 GBP</g:price><g:item_group_id>G</g:item_group_id>"
    titled = product(tmp_path, *(f"<g:id>{n}</g:id><title>Mug {n}0 cl</title>{group}" for n in (2, 3)))
    assert [item.options for item in titled.variants] == [(("Variant", "20 cl"),), (("Variant", "30 cl"),)]
    alike = product(tmp_path, *(f"<g:id>{n}</g:id><title>Mug</title>{group}" for n in (2, 3)))
    assert [item.options for item in alike.variants] == [(("Variant", "2"),), (("Variant", "3"),)]


def test_a_link_is_an_old_path_only_where_it_is_the_products_own_page(tmp_path: Path) -> None:
    def item(number: int, link: str) -> str:
        return f"<g:id>{number}</g:id><title>T{number}</title><g:price>5 GBP</g:price><link>{link}</link>"

    links = ["https://s.example/p/1.html?x=1", "https://www.s.example/p/2", "https://s.example/index.php?p=3"]
    links += ["https://s.example/index.php?p=4", "https://track.example/p/5", "https://s.example/"]
    found = items(tmp_path, *(item(number, link) for number, link in enumerate(links)))
    assert [element.old_paths for element in found.products] == [("/p/1.html",), ("/p/2",), (), (), (), ()]


def test_atom_is_read_like_rss(tmp_path: Path) -> None:
    entry = f'<entry>{MUG}<link href="https://s.example/p/1"/><summary>x</summary></entry>'
    (found,) = read(tmp_path, ATOM.format(entry)).products
    assert (found.title, found.variants[0].price, found.old_paths) == ("Mug", "12.50", ("/p/1",))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_feed_with_tabs_is_read_like_xml(tmp_path: Path, encoding: str) -> None:
    head = (
        "id\ttitle\tprice\tavailability\timage link\tadditional image link\titem group id\tsize\tdescription"
    )
    rows = [
        'A-1\tMug\t5.00 GBP\tin stock\thttps://x/a.jpg\thttps://x/b.jpg,https://x/c.jpg\tG\tS\tFor "tea"',
        "A-2\tMug\t6.00 GBP\tpreorder\thttps://x/a.jpg\t\tG\tM\tFor tea",
    ]
    (found,) = read(tmp_path, "\n".join([head, *rows]).encode(encoding)).products
    assert [(item.sku, item.price, item.options, item.availability) for item in found.variants] == [
        ("A-1", "5.00", (("Size", "S"),), "InStock"),
        ("A-2", "6.00", (("Size", "M"),), "PreOrder"),
    ]
    assert [picture.url for picture in found.pictures] == [
        "https://x/a.jpg",
        "https://x/b.jpg",
        "https://x/c.jpg",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<rss>", r"feed:1: "),
        (b"<rss/>", "no item in it"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><rss><item/></rss>', "a feed with a document type"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><rss><item/></rss>'.encode("utf-16"), "a feed with a document type"),
        (b"Handle,Title,Variant Price\na,A,5\n", "this is an export of Shopify"),
        (b"sku,title\n1,a\n", "no column for id, price"),
        ("<rss><item><title>é</title></item></rss>".encode("cp1252"), "not well-formed"),
    ],
)
def test_a_file_that_is_no_feed_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read(tmp_path, content)


def test_a_feed_in_a_named_encoding_is_read(tmp_path: Path) -> None:
    content = RSS.format(f"<item>{MUG.replace('Mug', 'Größe')}</item>").encode("cp1252")
    (found,) = read(tmp_path, content, ReadOptions("GBP", "en-GB", encoding="cp1252")).products
    assert found.title == "Größe"


@pytest.mark.parametrize(
    ("item", "variant_id"),
    [
        (f"{MUG}<link>https://x.example/products/mug?variant=4101</link>", "4101"),
        (f"{MUG}<link>https://x.example/products/mug?utm=g&amp;variant=4101&amp;currency=GBP</link>", "4101"),
        (f"{MUG}<link>https://x.example/products/mug?variant=4101x</link>", ""),
        (f"{MUG}<link>https://x.example/products/mug?subvariant=4101</link>", ""),
        (f"{MUG}<link>https://x.example/products/mug</link>", ""),
        (MUG.replace("A1", "shopify_GB_77_4102"), "4102"),
        (MUG.replace("A1", "myshopify_GB_77_4102"), ""),
    ],
)
def test_a_feed_of_shopify_says_the_id_of_a_variant(tmp_path: Path, item: str, variant_id: str) -> None:
    assert product(tmp_path, item).variants[0].variant_id == variant_id

"""A product may be a TOML file, a Markdown file or rows of the one sheet: the same shop comes of it."""

import csv
from io import StringIO
from pathlib import Path

import pytest

from spillway.project import Project
from spillway.sitegen.reading.loading import load_catalogue
from spillway.sitegen.reading.toml_input import CatalogueInvalid
from spillway.sitegen.site import build
from tests.support.german_shop import make_german_shop
from tests.support.small_shop import JACKET, SCARF, make_small_shop

SHEET = """\
slug,title,category,price,summary,description,tags,released_on,picture,picture_alt,option:Colour,option:Size,sku,stock
field-jacket,Field Jacket,outerwear,148.00,A waxed jacket.,"Waxed **cotton**.

- four pockets",waxed,2026-09-01,jacket.webp,A green jacket,Moss,S,FJ-MOSS-S,4
field-jacket,,,,,,,,,,Moss,M,FJ-MOSS-M,0
field-jacket,,,158.00,,,,,,,Slate,M,FJ-SLATE-M,0
"""


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    return make_small_shop(tmp_path)


def as_markdown(toml: str, description: str) -> str:
    """The same product with its description below the TOML."""
    start = toml.index("description = ")
    end = toml.index("\n", toml.index('"""', start + 18) if '"""' in toml[start:] else start) + 1
    return f"+++\n{toml[:start]}{toml[end:]}+++\n{description}"


ONE_SKU_TWICE = "5: sku = 'FJ-MOSS-S': expected an SKU of its own; this one is in site/products.csv:2 already"


def lines_of_mistakes(shop: Project) -> list[str]:
    with pytest.raises(CatalogueInvalid) as caught:
        load_catalogue(shop)
    return [str(mistake) for mistake in caught.value.mistakes]


def in_sheet(shop: Project, text: str = SHEET) -> None:
    (shop.site / "products" / "field-jacket.toml").unlink(missing_ok=True)
    (shop.site / "products.csv").write_text(text)


def test_markdown_makes_the_same_product(shop: Project) -> None:
    before = load_catalogue(shop).products
    scarf = shop.site / "products" / "scarf.toml"
    scarf.with_suffix(".md").write_text(as_markdown(SCARF, "\nLambswool.\n"))
    scarf.unlink()
    jacket = shop.site / "products" / "field-jacket.toml"
    words = 'Waxed cotton, **heavy**.\n\n- four pockets\n- price = "not a key"\n'
    jacket.with_suffix(".md").write_text(as_markdown(JACKET, words))
    jacket.unlink()
    assert load_catalogue(shop).products == before


def test_a_sheet_makes_products_variants_prices_pictures_and_stock(shop: Project) -> None:
    by_file = load_catalogue(shop).products[0]
    in_sheet(shop)
    jacket, scarf = load_catalogue(shop).products
    assert scarf.product.slug == "scarf"
    assert jacket.product.variants == by_file.product.variants
    assert jacket.stock == by_file.stock
    assert (jacket.product.tags, jacket.product.released_on) == (("waxed",), "2026-09-01")
    assert [(image.file.name, image.alt) for image in jacket.images] == [("jacket.webp", "A green jacket")]
    assert "<strong>cotton</strong>" in jacket.product.description_html
    assert "<li>four pockets</li>" in jacket.product.description_html


def test_a_shop_may_be_one_sheet_as_spreadsheets_write_it(shop: Project) -> None:
    (shop.site / "products" / "scarf.toml").unlink()
    scarf = "scarf,Wool Scarf,accessories,45,A long scarf.,Lambswool.,,,,,,,SCARF,2\n"
    in_sheet(shop, "\ufeff" + SHEET.replace("\n", "\r\n") + scarf + ",,,,,,,,,,,,,\n")
    release = build(shop)
    assert {item.key for item in release.objects} >= {"products/field-jacket", "products/scarf"}


def test_empty_columns_at_the_end_of_a_sheet_say_nothing(shop: Project) -> None:
    in_sheet(shop)
    before = load_catalogue(shop).products
    wider = StringIO()
    csv.writer(wider).writerows([*row, "", " "] for row in csv.reader(StringIO(SHEET)))
    in_sheet(shop, wider.getvalue())
    assert load_catalogue(shop).products == before
    in_sheet(shop, wider.getvalue().replace("FJ-SLATE-M,0,", "FJ-SLATE-M,0,blue"))
    (mistake,) = lines_of_mistakes(shop)
    assert mistake.startswith("site/products.csv:6: row = 'blue': expected at most 14 cells")


def test_a_changed_row_renders_its_pages_again(shop: Project) -> None:
    in_sheet(shop)
    first = {item.key: item.sha256 for item in build(shop).objects}
    in_sheet(shop, SHEET.replace("148.00", "149.00"))
    second = {item.key: item.sha256 for item in build(shop).objects}
    changed = {key for key in first if first[key] != second[key]}
    assert "products/field-jacket" in changed
    assert "products/scarf" not in changed


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("title,", "titel,", "1: column = 'titel': expected a known column"),
        ("title,", "titel,", "1: title = (missing): expected a column of that name"),
        ("option:Size", "option:Colour", "1: column = 'option:Colour': expected each column"),
        ("148.00", "148,00", "2: row = '4': expected at most 14 cells"),
        ("148.00", "a lot", "2: price = 'a lot': expected a decimal number: 148.00"),
        ("158.00", "-1", "6: price = '-1': expected a decimal number"),
        ("title,", "Title,", "1: column = 'Title': expected a known column; did you mean title?"),
        ("FJ-MOSS-M", "1.23457E+11", "5: sku = '1.23457E+11': expected all of its digits"),
        # A line break inside of a cell, as FileMaker writes it.
        (",waxed,", ",waxed\x0bcotton,", "2: tags = 'waxed\\x0bcotton': expected a single line"),
        ("S,FJ-MOSS-S,4", "S,FJ-MOSS-S,four", "2: stock = 'four': expected a whole number"),
        ("FJ-MOSS-M", "fj\u202emoss", "5: sku = 'fj\\u202emoss': expected another SKU. An SKU must not"),
        ("FJ-MOSS-M", "FJ-MOSS-S", ONE_SKU_TWICE),
        ("Slate,M", "Moss,M", "6: option:… = 'Colour Moss, Size M': expected each choice once"),
        ("2026-09-01", "1.9.2026", "2: released_on = '1.9.2026': expected a date: 2026-09-01"),
        ("jacket.webp", "coat.webp", "2: picture = 'coat.webp': expected the name"),
        ("A green jacket,", ",", "2: picture_alt = (missing): expected a text"),
        ("outerwear", "hats", "2: category = 'hats': expected one of outerwear"),
        ("field-jacket,,,158", "Field Jacket,,,158", "6: slug = 'Field Jacket': expected a-z"),
        ("field-jacket,,,158", ",,,158", "6: slug = (missing): expected a-z"),
        ("field-jacket,,,158", "field-jacket,Anorak,,158", "6: title = 'Anorak': expected nothing, or"),
        ("- four pockets", "- [x](javascript:x)", "2: description = 'javascript:x': expected a link"),
        ("Slate,M", ",M", "6: option:… = 'Size M': expected the same options"),
        ("Slate,M", ",", "6: option:… = (missing): expected the same options"),
        (",waxed,", f',"{",".join(map(str, range(251)))}",', "2: tags = 251: expected at most 250"),
        (
            "Moss,M,FJ",
            '"Moss,M,FJ',
            "5: option:Colour = 'Moss,M,FJ-MOSS-M,0\\nfield-jacket,,,158.00,,,,,,,Slate,M,FJ…:"
            " expected a closing quote: this text goes on to the end of the file",
        ),
        (
            "Moss,M,FJ",
            '"Moss"s,M,FJ',
            "5: row = 'field-jacket': expected cells with commas, quotes or line breaks in quotes, and each"
            " quote inside of them twice",
        ),
        ("field-jacket,,,158", "scarf,,,158", "6: slug = 'scarf': expected one product in one place"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_sheet_names_its_line_and_column(
    shop: Project, old: str, new: str, expected: str
) -> None:
    assert old in SHEET
    in_sheet(shop, SHEET.replace(old, new, 1))
    found = lines_of_mistakes(shop)
    assert [line for line in found if line.startswith(f"site/products.csv:{expected}")], found
    assert not any(sign in line for line in found for sign in '"[{'), "a merchant sees cells, no TOML"


def test_a_product_of_a_sheet_needs_a_file_of_its_own_to_be_translated(tmp_path: Path) -> None:
    german = make_german_shop(tmp_path)
    in_sheet(german)
    said = "site/products.csv:2: not in de: a sheet has one language, a product file of its own has each"
    assert said in build(german).missing_translations


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("slug,title".encode("utf-16"), ":1: file = 'UTF-16': expected a text in UTF-8"),
        (
            b"PK\3\4\x14\0\6\0\xff",
            ": file = 'a spreadsheet or an archive': expected a text: spreadsheets save one as CSV",
        ),
    ],
)
def test_a_sheet_that_is_none_is_one_mistake(shop: Project, body: bytes, expected: str) -> None:
    (shop.site / "products.csv").write_bytes(body)
    (mistake,) = (line for line in lines_of_mistakes(shop) if "products.csv" in line)
    assert mistake.startswith(f"site/products.csv{expected}")


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_sheet_may_have_other_separators_and_decimal_commas(shop: Project, separator: str) -> None:
    in_sheet(shop, SHEET)
    plain = load_catalogue(shop).rows
    cells = list(csv.reader(StringIO(SHEET)))
    price, stock = cells[0].index("price"), cells[0].index("stock")
    for row in cells[1:]:
        row[price] = row[price].replace(".", ",")
        row[stock] += ".0"
    written = StringIO()
    csv.writer(written, delimiter=separator, lineterminator="\n").writerows(cells)
    in_sheet(shop, written.getvalue())
    assert load_catalogue(shop).rows == plain


def test_rows_of_a_product_stand_together(shop: Project) -> None:
    (shop.site / "products" / "scarf.toml").unlink()
    scarf = "scarf,Wool Scarf,accessories,45,A long scarf.,Lambswool.,,,,,,,SCARF,2\n"
    lines = SHEET.splitlines(keepends=True)
    in_sheet(shop, "".join([*lines[:5], scarf, *lines[5:]]))
    (mistake,) = lines_of_mistakes(shop)
    assert "7: slug = 'field-jacket': expected the rows of a product one below the other" in mistake


def test_a_product_in_two_files_is_a_mistake(shop: Project) -> None:
    (shop.site / "products" / "scarf.md").write_text(as_markdown(SCARF, "Lambswool.\n"))
    expected = "site/products/scarf.toml: slug = 'scarf': expected one product in one place"
    assert [line for line in lines_of_mistakes(shop) if line.startswith(expected)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no front matter", "scarf.md:1: front matter = 'no front matter'"),
        (as_markdown(SCARF, ""), "scarf.md:15: description = ''"),
        (as_markdown(SCARF.replace("45.00", "cheap"), "Wool."), "scarf.md:4: price = 'cheap'"),
        (
            as_markdown(SCARF, "Wool.\n\n![a](b.png)"),
            "scarf.md:17: description = 'b.png': expected text only",
        ),
        (f"+++\n{SCARF}+++\nLambswool.\n", "scarf.md:6: description = 'Lambswool.': expected this only once"),
    ],
)
def test_a_mistake_in_markdown_is_reported(shop: Project, text: str, expected: str) -> None:
    (shop.site / "products" / "scarf.toml").unlink()
    (shop.site / "products" / "scarf.md").write_text(text)
    assert [line for line in lines_of_mistakes(shop) if expected in line], lines_of_mistakes(shop)

"""One run reports every error in a merchant's files, each with its place."""

import errno
from pathlib import Path

import pytest
from PIL import Image

from spillway.project import Project
from spillway.sitegen.reading.did_you_mean import did_you_mean_file
from spillway.sitegen.reading.loading import load_catalogue
from spillway.sitegen.reading.text_file import unreadable
from spillway.sitegen.reading.toml_input import CatalogueInvalid, InputError, TomlTable
from tests.support.small_shop import make_small_shop

SITE = "site/site.toml"
JACKET = "site/products/field-jacket.toml"
SCARF = "site/products/scarf.toml"
PRIVACY = "site/pages/privacy.md"


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    return make_small_shop(tmp_path)


def change(shop: Project, file: str, old: str, new: str) -> None:
    path = shop.root / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def mistakes_of(shop: Project) -> tuple[InputError, ...]:
    with pytest.raises(CatalogueInvalid) as caught:
        load_catalogue(shop)
    return caught.value.mistakes


@pytest.mark.parametrize(
    ("file", "old", "new", "line", "field", "expected"),
    [
        (SITE, 'name = "Heron & Daughters"', "", None, "name", "a text"),
        (SITE, '"Clothes for weather"', '"   "', 2, "tagline", "a text"),
        (SITE, '"Clothes for weather"', "7", 2, "tagline", "a text"),
        (SITE, "heron.example", "heron.example/", 3, "base_url", "https://HOST"),
        (SITE, "https://www.heron", "//www.heron", 3, "base_url", "https://HOST"),
        (SITE, "https://www.heron.example", "https://www.heron.example:port", 3, "base_url", "https://HOST"),
        (SITE, '"GBP"', '"GBX"', 4, "currency", "ISO 4217"),
        (SITE, '"GBP"', '"XAU"', 4, "currency", "ISO 4217"),
        (SITE, '"GBP"', '"XTS"', 4, "currency", "ISO 4217"),
        (JACKET, 'Colour = "Moss" }', 'Colour = "Mos" }', 18, "pictures[0].options", "did you mean Moss?"),
        (JACKET, 'Colour = "Moss" }', 'Color = "Moss" }', 18, "pictures[0].options", "did you mean Colour?"),
        (JACKET, 'Colour = "Moss" }', 'Fit = "Moss" }', 18, "pictures[0].options", "variants: Colour, Size"),
        (
            JACKET,
            'Colour = "Moss" }',
            'Colour = "Slate", Size = "S" }',
            18,
            "pictures[0].options",
            "options that one variant has together",
        ),
        (SCARF, "[[pictures]]", '[dee]\ntitle = "Schal"\n[[pictures]]', 7, "dee", "a known field"),
        (SCARF, '"45.00"', '"45.00"\nsale_ends_on = 2026-12-31', 4, "sale_ends_on", "a compare_at_price"),
        (SITE, '"en-GB"', '"xx-YY"', 5, "locales", "a language, perhaps with a country"),
        (SITE, "<hello@heron.example>", "hello at heron", 6, "sender", "a mailbox"),
        (SITE, '"hello@heron.example"', '"hello@heron@example"', 7, "reply_to", "a mailbox"),
        (SITE, '"hello@heron.example"', '"héllo@heron.example"', 7, "reply_to", "a mailbox"),
        (SITE, '"hello@heron.example"', '"a@heron.example, b@heron.example"', 7, "reply_to", "a mailbox"),
        (SITE, "Heron & Daughters <h", "Heron\\r\\nBcc: a@b.example <h", 6, "sender", "a single line"),
        (SITE, "Heron & Daughters <h", "Heron\\nBcc: a@b.example <h", 6, "sender", "a single line"),
        (SITE, "Heron & Daughters <h", "Heron\\u2028Bcc: a@b.example <h", 6, "sender", "a single line"),
        (SITE, "Heron & Daughters <h", f"{'H' * 996} <h", 6, "sender", "at most 160 characters"),
        (SITE, "?sku={sku}", "?sku=1", 8, "checkout", '{sku}, {variant_id} or {product} in it, or "none"'),
        (SITE, "/checkout?", "/till?", 8, "checkout", "site/pages/till.md does not exist"),
        (SITE, "/checkout?", "javascript:alert(1)?", 8, "checkout", "an https:// address"),
        (
            SITE,
            "{sku}",
            "{id}",
            8,
            "checkout",
            "one of {sku}, {variant_id}, {quantity}, {product} instead of {id}",
        ),
        (SITE, "/checkout?", "http://pay.example/?", 8, "checkout", "an https:// address"),
        (SITE, "/checkout?", "//evil.example/?", 8, "checkout", "an https:// address"),
        (SITE, '["3 Quay Street", "Ambleford", "AF1 2QS"]', "[]", 9, "postal_address", "a list of 1 to 8"),
        (SITE, '"outerwear"', '"../outerwear"', 12, "categories[0].slug", "a-z, 0-9 and single hyphens"),
        (SITE, '"accessories"', '"all"', 17, "categories[1].slug", "all is taken by the shop itself"),
        (SITE, '"accessories"', '"outerwear"', 17, "categories[1].slug", "each category once"),
        (SITE, '"hero.webp"', '"nowhere.webp"', 24, "home.picture", "the name of a file in site/pictures"),
        (SITE, '"hero.webp"', '"../site.toml"', 24, "home.picture", "the name of a file in site/pictures"),
        (
            *(SITE, '"scarf"]', '"scarfs"]', 26, "home.featured"),
            "the slug of a product; did you mean scarf?",
        ),
        (
            *(SITE, '"hero.webp"', '"heroo.webp"', 24, "home.picture"),
            "the name of a file in site/pictures; did you mean hero.webp?",
        ),
        (SITE, '"scarf"]', '"field-jacket"]', 26, "home.featured", "each product once"),
        (SITE, "tagline", "TAGLINE", 2, "TAGLINE", "a known field; did you mean tagline?"),
        (SITE, '"accessories"', '"Wool & Silk"', 17, "categories[1].slug", "characters, such as wool-silk"),
        (SCARF, '"Wool Scarf"', '"\\u200b"', 1, "title", "a text"),
        (SCARF, "stock = 2", 'stock = "2"', 13, "variants[0].stock", "from 0 to 1000000 without quotes"),
        (JACKET, 'Size = "M"', 'Size = " S"', 27, "variants[1].options", "each choice once"),
        (SCARF, "stock = 2", "stock\u00a0= 2", 13, "TOML", "the sign here is invisible (U+00A0)"),
        (SCARF, '"45.00"', "\u201c45.00\u201d", 3, "TOML", "straight quotes instead of \u201c"),
        (SCARF, '"45.00"', f"{'[' * 2000}{']' * 2000}", 3, "TOML", "fewer brackets inside of each other"),
        # Line breaks to some programs, and not to TOML.
        (SCARF, "stock = 2", "# a\u2028b\x85c\nstok = 2", 14, "variants[0].stok", "did you mean stock?"),
        (SITE, 'opt_in = "double"', "opt_in = true", 29, "waitlist.opt_in", "double (an email asks"),
        (
            SITE,
            'opt_in = "double"',
            'opt_in = "double"\nunsubscribe_mailbox = "Leave <a@b.example>"',
            30,
            "waitlist.unsubscribe_mailbox",
            "an address alone: unsubscribe@shop.example",
        ),
        (SITE, 'opt_in = "double"', "double_opt_in = true", 29, "waitlist.double_opt_in", "a known field"),
        (
            SITE,
            'path = "/privacy"',
            'path = "//evil.example"',
            33,
            "navigation[0].path",
            "the path of a page",
        ),
        (SITE, "tagline", "tag_line", 2, "tag_line", "a known field; did you mean tagline?"),
        (SITE, "currency =", "currency", 4, "TOML", "an equals sign after the name"),
        (JACKET, '"148.00"', "148.00", 3, "price", "a decimal number in quotes"),
        (JACKET, '"148.00"', '"148.005"', 3, "price", "a decimal number in quotes"),
        (JACKET, '"148.00"', '"-1"', 3, "price", "a decimal number in quotes"),
        (JACKET, '"148.00"', '"1e5"', 3, "price", "a decimal number in quotes"),
        (JACKET, '"148.00"', '"NaN"', 3, "price", "a decimal number in quotes"),
        (JACKET, '"148.00"', '"١٤٨"', 3, "price", "a decimal number in quotes"),
        (JACKET, 'price = "158.00"', "price = 158", 34, "variants[2].price", "a decimal number in quotes"),
        (JACKET, '"outerwear"', '"hats"', 2, "category", "one of outerwear, accessories"),
        (JACKET, "A waxed", "A" * 160, 4, "summary", "at most 160 characters"),
        (JACKET, "A waxed", "A\\u0000waxed", 4, "summary", "a single line"),
        (JACKET, "A waxed", "A \\u202Ewaxed", 4, "summary", "turn its direction"),
        (JACKET, "A waxed", "A\\u2028waxed", 4, "summary", "a single line"),
        (JACKET, "**heavy**", "[x](javascript:alert(1))", 5, "description", "a link to https://"),
        (JACKET, "**heavy**", "![x](data:image/png;base64,AA)", 5, "description", "text only"),
        (JACKET, "**heavy**", "[x](//evil.example)", 5, "description", "a link to https://"),
        (JACKET, '["waxed"]', '"waxed"', 11, "tags", "a list of 0 to 250"),
        (JACKET, "2026-09-01", '"2026-09-01"', 12, "released_on", "a date without quotes"),
        (JACKET, '["Fabric", "Cotton"]', '["Fabric"]', 13, "details", "a pair of texts"),
        (JACKET, '"jacket.webp"', '"/etc/passwd"', 16, "pictures[0].file", "the name of a file"),
        (
            JACKET,
            '"jacket.webp"',
            "'site/pictures/a.webp'",
            16,
            "pictures[0].file",
            "file in site/pictures: a.webp",
        ),
        (
            JACKET,
            '[["Fabric", "Cotton"], ["Made in", "Ambleford"]]',
            '{ Fabric = "Cotton" }',
            13,
            "details",
            'a list of pairs: [["Fabric", "Cotton"]]',
        ),
        (PRIVACY, '"Privacy"\ndescription = "About Privacy."', "", 2, "TOML", "a value"),
        (PRIVACY, 'title = "Privacy"\ndescription = "About Privacy."\n', "", None, "title", "a text"),
        (JACKET, '"A green jacket laid flat"', '""', 17, "pictures[0].alt", "a text"),
        (JACKET, '{ Colour = "Moss" }', '"Moss"', 18, "pictures[0].options", "a table of texts"),
        (
            JACKET,
            '"FJ-MOSS-S"',
            '"fj\\u200bmoss"',
            21,
            "variants[0].sku",
            "invisible mark: U+200B ZERO WIDTH",
        ),
        (
            JACKET,
            '"FJ-MOSS-S"',
            '"fj\\nmoss"',
            21,
            "variants[0].sku",
            "must not contain a line break: U+000A",
        ),
        (
            JACKET,
            '"FJ-MOSS-S"',
            f'"{"x" * 65}"',
            21,
            "variants[0].sku",
            "at most 64 characters; this one has 65",
        ),
        (JACKET, '"FJ-MOSS-S"', "42", 21, "variants[0].sku", 'an SKU in quotes: "0042"'),
        (
            JACKET,
            '"FJ-MOSS-M"',
            '"FJ-MOSS-S"',
            26,
            "variants[1].sku",
            "is in site/products/field-jacket.toml:21 already",
        ),
        (
            SCARF,
            '"SCARF"',
            '"FJ-MOSS-S"',
            12,
            "variants[0].sku",
            "is in site/products/field-jacket.toml:21 already",
        ),
        (JACKET, 'Size = "M"', 'Size = "S"', 27, "variants[1].options", "each choice once"),
        (JACKET, 'Size = "M"', 'Length = "M"', 27, "variants[1].options", "the same options"),
        (JACKET, "stock = 4", "stock = -1", 23, "variants[0].stock", "a whole number from 0"),
        (JACKET, "stock = 4", "stock = true", 23, "variants[0].stock", "a whole number from 0"),
        (JACKET, "stock = 4", "", 20, "variants[0].stock", "a whole number from 0"),
        (
            SCARF,
            "stock = 2",
            'stock = 0\navailability = "Soon"',
            14,
            "variants[0].availability",
            "one of InStock",
        ),
        (
            SCARF,
            "stock = 2",
            'stock = 0\navailability = "InStock"',
            14,
            "variants[0].availability",
            "OutOfStock",
        ),
        (SCARF, "[[variants]]", "[variants]", 11, "variants", "[[variants]] with two pairs of brackets"),
        (
            SITE,
            "[[categories]]",
            "[categories]",
            16,
            "TOML",
            "each table [categories] once, or [[categories]] in each place where there are several",
        ),
        (SITE, "[home]", "[home]\nlow_stock = 5", 22, "home.low_stock", "here it belongs to [home]"),
        (
            JACKET,
            "stock = 4",
            'stock = 4\nbrand = "B"',
            24,
            "variants[0].brand",
            "here it belongs to [[variants]]",
        ),
        (JACKET, '["waxed"]', '"waxed"', 11, "tags", 'a list of 0 to 250: ["waxed"]'),
        (
            JACKET,
            "stock = 4",
            'stock = 4\navailability = "instock"',
            24,
            "variants[0].availability",
            "; did you mean InStock?",
        ),
        (SCARF, '"accessories"', '"acessories"', 2, "category", "; did you mean accessories?"),
        (SITE, '"/privacy"', '"/privcy"', 33, "navigation[0].path", "; did you mean /privacy?"),
        (SITE, '"/checkout?sku={sku}"', '"None"', 8, "checkout", '"none", in small letters'),
        (
            SITE,
            "www.heron",
            "www.müller",
            3,
            "base_url",
            "the host in ASCII: https://www.xn--mller-kva.example",
        ),
        (SITE, '"hero.webp"', '"herro.webp"', 24, "home.picture", "; did you mean hero.webp?"),
        (SITE, '"hero.webp"', '"bowl.webp"', 24, "home.picture", "the name of a file in site/pictures"),
        (
            SITE,
            "[home]",
            '[theme]\nsections = ["Text"]\n[home]',
            22,
            "theme.sections",
            "; did you mean text?",
        ),
        (PRIVACY, "+++\n", "", 1, "front matter", "TOML between two lines of +++"),
        (PRIVACY, 'title = "Privacy"', "title =", 2, "TOML", 'a value: "text in straight quotes"'),
        (PRIVACY, "[a link](/privacy)", "[a link](ftp://x.example)", 6, "text", "a link to https://"),
    ],
)
def test_a_mistake_is_reported_with_its_place(
    shop: Project, file: str, old: str, new: str, line: int | None, field: str, expected: str
) -> None:
    change(shop, file, old, new)

    found = [mistake for mistake in mistakes_of(shop) if mistake.file == file and mistake.field == field]

    assert found, mistakes_of(shop)
    assert expected in found[0].expected
    assert found[0].line == line


def test_one_run_reports_all_mistakes_in_the_order_of_files_and_lines(shop: Project) -> None:
    change(shop, SCARF, '"45.00"', "45")
    change(shop, SCARF, '"SCARF"', '" "')
    change(shop, SITE, '"GBP"', '"GBX"')
    (shop.site / "pages/privacy.md").unlink()

    message = CatalogueInvalid(mistakes_of(shop)).message

    assert message.splitlines()[0] == "5 mistakes in the catalogue, nothing was built"
    assert [line.split(": expected")[0].strip() for line in message.splitlines()[1:]] == [
        "site/pages/privacy.md: file = (missing)",
        "site/products/scarf.toml:3: price = 45",
        "site/products/scarf.toml:12: variants[0].sku = ' '",
        "site/site.toml:4: currency = 'GBX'",
        "site/site.toml:33: navigation[0].path = '/privacy'",
    ]


@pytest.mark.parametrize(
    "name", ["..toml", "UPPER.toml", "index.toml", "a--b.toml", "%2e%2e.toml", "ärmel.toml"]
)
def test_a_file_name_that_is_no_slug_is_refused(shop: Project, name: str) -> None:
    (shop.site / "products" / "scarf.toml").rename(shop.site / "products" / name)

    assert any(mistake.field == "file name" and mistake.file.endswith(name) for mistake in mistakes_of(shop))


@pytest.mark.parametrize(
    "name",
    [
        "site/redirects.toml",
        "site/rules.toml",
        "site/products.csv",
        "site/products/hat.toml",
        "site/locales/en.po",
    ],
)
@pytest.mark.parametrize("to", ["/no/such/file", "itself"])
def test_a_link_that_leads_to_no_file_is_named_and_not_passed_over(shop: Project, name: str, to: str) -> None:
    file = shop.root / name
    file.parent.mkdir(exist_ok=True)
    file.symlink_to(file if to == "itself" else to)

    (mistake,) = mistakes_of(shop)
    assert mistake.file == name
    assert mistake.value == f"a link to {file if to == 'itself' else to}, where nothing is"
    assert mistake.expected == "a link that leads somewhere: mend it, or delete it"


@pytest.mark.parametrize("header", ["", "variant"])
def test_a_product_without_variants_is_one_mistake_and_none_of_its_pictures(
    shop: Project, header: str
) -> None:
    text = (shop.root / SCARF).read_text()
    rows = f"[[{header}]]" + text.partition("[[variants]]")[2] if header else ""
    (shop.root / SCARF).write_text(text.partition("[[variants]]")[0] + rows)

    first, *others = mistakes_of(shop)
    assert (first.field, first.expected) == ("variants", "at least one table [[variants]]")
    assert [mistake.expected for mistake in others] == ["a known field; did you mean variants?"] * bool(
        header
    )


def test_a_picture_that_is_a_link_to_no_file_is_not_suggested_itself(shop: Project) -> None:
    (shop.site / "pictures/scarf.webp").unlink()
    (shop.site / "pictures/scarf.webp").symlink_to("gone.webp")

    (mistake,) = mistakes_of(shop)
    assert (
        mistake.expected == "the name of a file in site/pictures, not a link to gone.webp, where nothing is"
    )


def test_the_files_that_an_editor_or_macos_puts_beside_a_product_are_no_products(shop: Project) -> None:
    products = load_catalogue(shop).products
    for folder, name in (("products", "scarf.toml"), ("pages", "privacy.md")):
        (shop.site / folder / f".#{name}").symlink_to("ada@laptop.4711:1790000000")
        (shop.site / folder / f"._{name}").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")

    assert load_catalogue(shop).products == products


@pytest.mark.parametrize("folder", ["products", "pages"])
@pytest.mark.parametrize("to", ["gone", "itself"])
def test_a_folder_that_is_a_link_to_nothing_is_named(shop: Project, folder: str, to: str) -> None:
    link = shop.site / folder
    link.rename(shop.root / "moved")
    link.symlink_to(link if to == "itself" else to)

    value = f"a link to {link if to == 'itself' else to}, where nothing is"
    expected = "a link that leads somewhere: mend it, or delete it"
    assert InputError(f"site/{folder}", None, "file", value, expected) in mistakes_of(shop)


@pytest.mark.parametrize("folder", ["products", "pages"])
def test_a_file_in_the_place_of_a_folder_is_named_with_the_other_mistakes(shop: Project, folder: str) -> None:
    (shop.site / folder).rename(shop.root / "moved")
    (shop.site / folder).write_text("x")

    expected = "a folder: rename the file, or delete it"
    assert InputError(f"site/{folder}", None, "folder", "a file", expected) in mistakes_of(shop)


@pytest.mark.parametrize(
    ("content", "line", "value"),
    [
        ("title = 'x'\r\nsummary = 'Écharpe'".encode("cp1252"), 2, "summary = 'Écharpe'"),
        ("title = 'x'\nsummary = 'Écharpe'\n".encode("utf-16"), 1, "UTF-16"),
        ("title = 'x'\n".encode("utf-16-le"), 1, None),
    ],
)
def test_a_file_that_is_not_utf_8_is_refused_with_the_line(
    shop: Project, content: bytes, line: int, value: str | None
) -> None:
    (shop.root / SCARF).write_bytes(content)

    (mistake,) = mistakes_of(shop)
    assert (mistake.file, mistake.line) == (SCARF, line)
    if value:
        assert (mistake.field, mistake.value) == ("file", value)
        assert mistake.expected == "a text in UTF-8: save the file with the encoding UTF-8"


@pytest.mark.parametrize(
    ("error", "value", "expected"),
    [
        (
            PermissionError(errno.EACCES, "Permission denied"),
            "not readable",
            f"a file that you have the right to read: chmod u+r {SCARF}",
        ),
        (FileNotFoundError(errno.ENOENT, "No such file"), None, "a file of this name: there is none"),
        (IsADirectoryError(errno.EISDIR, "Is a directory"), "a folder", "a file"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error", "a file that can be read"),
    ],
)
def test_a_file_that_cannot_be_opened_is_named_with_its_cause(
    error: OSError, value: str | None, expected: str
) -> None:
    assert unreadable(SCARF, error) == InputError(SCARF, None, "file", value, expected)


def test_a_file_of_domains_that_is_not_there_is_named_in_its_line(shop: Project) -> None:
    change(shop, SITE, "[waitlist]", '[waitlist]\ndisposable_domains = "x.txt"')

    (mistake,) = mistakes_of(shop)
    assert (mistake.field, mistake.value) == ("waitlist.disposable_domains", "x.txt")
    assert (mistake.file, mistake.expected) == (SITE, "a file: there is no site/x.txt")
    line = (shop.root / SITE).read_text().splitlines()[(mistake.line or 0) - 1]
    assert line == 'disposable_domains = "x.txt"'


def test_a_shop_without_its_settings_says_so_in_words(shop: Project) -> None:
    (shop.root / SITE).unlink()

    assert "site/site.toml: file = (missing): expected a file of this name: there is none" in [
        str(mistake) for mistake in mistakes_of(shop)
    ]


def test_a_time_is_shown_as_the_file_has_it(shop: Project) -> None:
    change(shop, SCARF, "stock = 2", "stock = 2\nsale_ends_on = 2026-12-30T10:00:00Z")

    shown = [str(mistake) for mistake in mistakes_of(shop)]
    assert any(
        "sale_ends_on = 2026-12-30T10:00:00+00:00: expected a date without quotes" in line for line in shown
    )


def test_a_file_that_is_far_too_long_is_not_even_read(shop: Project) -> None:
    (shop.root / SCARF).write_text("#" * 1_000_001)

    assert [(mistake.file, mistake.field) for mistake in mistakes_of(shop)] == [(SCARF, "file")]


def test_a_shop_without_products_is_refused(shop: Project) -> None:
    for file in (shop.site / "products").iterdir():
        file.unlink()

    assert any(mistake.file == "site/products" for mistake in mistakes_of(shop))


@pytest.mark.parametrize("side", [8_000, 12_000, 20_000])
def test_a_picture_of_too_many_pixels_is_refused_unseen(shop: Project, side: int) -> None:
    Image.new("1", (side, side)).save(shop.site / "pictures" / "jacket.webp", "PNG")

    (mistake,) = mistakes_of(shop)

    assert mistake.field == "pictures[0].file"
    assert mistake.expected.startswith("at most 40000000 pixels")


@pytest.mark.parametrize("content", [b"", b"RIFF", b"<svg xmlns='http://www.w3.org/2000/svg'/>"])
def test_a_file_that_is_no_picture_is_refused(shop: Project, content: bytes) -> None:
    (shop.site / "pictures" / "jacket.webp").write_bytes(content)

    (mistake,) = mistakes_of(shop)

    assert mistake.expected == "a picture: WEBP, JPEG, PNG, AVIF, GIF, BMP, TIFF, JPEG2000"


def test_a_picture_too_narrow_for_a_page_is_refused(shop: Project) -> None:
    Image.new("RGB", (100, 100)).save(shop.site / "pictures" / "jacket.webp")

    (mistake,) = mistakes_of(shop)

    assert mistake.expected == "at least 320 pixels wide, not 100"


@pytest.mark.parametrize(
    ("text", "line", "column", "expected"),
    [
        ('options = { Größe = "S" }', 1, 15, 'quotes around a name with ö: "Größe"'),
        ("[Größe]\na = 1", 1, 4, 'quotes around a name with ö: "Größe"'),
        ("[[Größe]]\na = 1", 1, 5, 'quotes around a name with ö: "Größe"'),
        ("when.$or = [1]", 1, 6, 'quotes around a name with $: "$or"'),
        ('[redirects]\n/a = "/b"', 2, 1, 'quotes around a name with /: "/a"'),
        ("a = Größe", 1, 5, 'a value: "text in straight quotes", 12, true, 2026-09-01 or ["a", "list"]'),
        ('Size: "S"', 1, 5, 'an equals sign after the name: name = "value"'),
        ("sale_ends_on = 31.12.2026", 1, 21, "a date written as 2026-12-31"),
        ("sale_ends_on = 12/31/2026", 1, 18, "a date written as 2026-12-31"),
        ("sale_ends_on = 2026-1-1", 1, 20, "a date written as 2026-01-01"),
        ("a = 2026-02-30", 1, 5, "a day that exists, such as 2026-12-31: there is no 2026-02-30"),
        ("a = 30.02.2026", 1, 10, "a day that exists, such as 2026-12-31: there is no 30.02.2026"),
        ("stock = 007", 1, 10, "a number without leading zeros: 7, or a text in quotes"),
        ("a = 1 000", 1, 7, "the end of the line; one pair of quotes has to enclose the whole text"),
        ('b = 1\na = """\nfoo\nbar', 2, 5, 'a closing """ for the text that begins here'),
        ("a = '''x'''\nb = '''\nfoo", 2, 5, "a closing ''' for the text that begins here"),
    ],
)
def test_a_text_that_is_not_toml_names_the_fault_and_the_way_out(
    text: str, line: int, column: int, expected: str
) -> None:
    mistakes: list[InputError] = []

    TomlTable.parse(text, file="a.toml", mistakes=mistakes)

    found = [(mistake.line, len(mistake.excerpt[1]), mistake.expected) for mistake in mistakes]
    assert found == [(line, column, expected)]


def test_wrong_categories_are_not_repeated_for_each_product(shop: Project) -> None:
    site = (shop.root / SITE).read_text()
    before, after = site.index("[[categories]]"), site.index("[home]")
    (shop.root / SITE).write_text(f'{site[:before]}[categories]\nslug = "outerwear"\n\n{site[after:]}')

    assert [str(mistake) for mistake in mistakes_of(shop)] == [
        "site/site.toml:11: categories = {'slug': 'outerwear'}: expected [[categories]] with two"
        " pairs of brackets: there may be several"
    ]


def test_a_picture_that_is_far_from_each_other_name_gets_no_suggestion() -> None:
    assert did_you_mean_file("hero.webp", ["bowl.webp", "mug.webp"]) == ""
    assert did_you_mean_file("hero.jpg", ["bowl.webp", "hero.webp"]) == "; did you mean hero.webp?"
    assert (
        did_you_mean_file("Feild-Jacket.webp", ["field-jacket.webp"]) == "; did you mean field-jacket.webp?"
    )

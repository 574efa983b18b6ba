"""The build takes what an import takes; everything else is left out with a reason, and always reported."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from spillway.__main__ import cli
from spillway.errors import BadInput
from spillway.importing.imported import ImportedProduct
from spillway.importing.importer import NothingImported
from spillway.project import Project
from spillway.sitegen.reading.catalogue import CatalogueProduct
from spillway.sitegen.reading.loading import load_catalogue
from spillway.sitegen.reading.markdown import is_clearly_valid, to_html
from spillway.sitegen.site import build
from tests.support.importing import files_of, import_products, lines_of, product, variant
from tests.support.small_shop import make_small_shop


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    return make_small_shop(tmp_path)


def taken(shop: Project, slug: str) -> CatalogueProduct:
    return next(item for item in load_catalogue(shop).products if item.product.slug == slug)


def command(shop: Project, content: str, *options: str, format_name: str = "csv") -> Result:
    file = shop.root / "export.csv"
    file.write_text(content)
    return CliRunner().invoke(cli, ["import", format_name, str(file), *options], obj=shop)


def report_text(shop: Project) -> str:
    return (shop.output / "import-report.txt").read_text()


@pytest.mark.parametrize(
    ("fields", "kind", "line"),
    [
        ({"title": "T" * 256}, "title that a shop cannot show", "cut short"),
        ({"summary": "word " * 60}, "summary that a shop cannot show", "cut short"),
        ({"seo_title": "T" * 256}, "seo title that a shop cannot show", "cut short"),
        ({"seo_description": "word " * 300}, "seo description that a shop cannot show", "cut short"),
        ({"brand": "B" * 300}, "brand that a shop cannot show", "cut short"),
        ({"condition": "worn"}, "condition that a shop cannot show", "left out"),
        ({"details": (("Care", "x " * 400),)}, "details that a shop cannot show", "cut short"),
        (
            {"details": tuple((f"n{number}", "v") for number in range(30))},
            "details beyond the 20",
            "left out",
        ),
        ({"tags": tuple(f"tag {number}" for number in range(260))}, "tags beyond the 250", "left out"),
        ({"tags": ("t" * 300, "fine")}, "tags that a shop cannot show", "left out"),
        ({"description": "w" * 21_000}, "long descriptions", "cut to 20000"),
        ({"description": "![x](https://a.example/b.png)"}, "description that a shop", "taken as plain words"),
        ({"released_on": "soon"}, "dates that cannot be read", "left out"),
        ({"category": "C" * 100}, "long categories", "cut short"),
    ],
)
def test_a_text_that_the_build_would_refuse_is_cut_or_left_out_and_said(
    shop: Project, fields: dict[str, object], kind: str, line: str
) -> None:
    report = import_products(shop, [product("mug", variant("M1"), line=7, **fields)])
    assert taken(shop, "mug").product.variants[0].sku == "M1"
    lines = lines_of(report, kind)
    assert lines, report.text()
    assert line in lines[0]
    assert lines[0].startswith("line 7: ")


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"gtin": "4006381333932"}, "gtin"),
        ({"mpn": "m" * 80}, "mpn"),
        ({"weight_g": 10**12}, "weight g"),
        ({"availability": "Someday"}, "availability"),
        ({"compare_at_price": "4.00"}, "compare-at prices that are not above the price"),
        ({"compare_at_price": "9.00", "sale_ends_on": "never"}, "dates that cannot be read"),
        ({"units": 10**9}, "more units than a shop can count"),
    ],
)
def test_a_field_of_a_variant_that_the_build_would_refuse_is_left_out_and_the_variant_stays(
    shop: Project, fields: dict[str, object], kind: str
) -> None:
    report = import_products(
        shop, [product("mug", variant("M1", ("Size", "S"), line=8, **fields), variant("M2", ("Size", "M")))]
    )
    assert [item.sku for item in taken(shop, "mug").product.variants] == ["M1", "M2"]
    assert [line for line in lines_of(report, kind) if line.startswith("line 8: mug: ")], report.text()


@pytest.mark.parametrize(
    ("opening", "summary"),
    [
        ("Sold as 5*10 cm pieces. Model #7.", "Sold as 5*10 cm pieces. Model #7."),
        (f"Fits the C# model of 5*10 cm. {'More words follow. ' * 20}", "Fits the C# model of 5*10 cm."),
        ("", "Mug."),
    ],
)
def test_a_product_without_a_summary_gets_the_first_words_of_its_description(
    shop: Project, opening: str, summary: str
) -> None:
    import_products(shop, [product("mug", variant("M1"), opening=opening)])
    assert taken(shop, "mug").product.summary == summary


def test_words_lose_no_emails(shop: Project) -> None:
    import_products(
        shop, [product("a", variant("A"), title="Schön"), product("b", variant("B"), title="1. *C#*")]
    )
    assert taken(shop, "a").product.description_html == "<p>Schön.</p>\n"
    assert taken(shop, "b").product.description_html == "<p>1. *C#*.</p>\n"


def test_options_that_begin_alike_are_two_and_an_option_of_a_later_row_counts(shop: Project) -> None:
    long = "x" * 300
    import_products(
        shop,
        [
            product("a", variant("A1", ("Kind", f"{long}1")), variant("A2", ("Kind", f"{long}2"))),
            product(
                "b",
                variant("B1", ("Size", "S"), ("Colour", "")),
                variant("B3", ("Size", "M"), ("Colour", "Red")),
                variant("B2", ("Size", "M"), ("Colour", "Blue")),
            ),
        ],
    )
    assert len(taken(shop, "a").product.variants) == 2
    assert [item.options for item in taken(shop, "b").product.variants] == [
        (("Size", "S"), ("Colour", "-")),
        (("Size", "M"), ("Colour", "Blue")),
        (("Size", "M"), ("Colour", "Red")),
    ]


def test_variants_stand_from_small_to_large(shop: Project) -> None:
    sizes = ["XL", "10 cm", "M", "9.5 cm", "2XL", "S", "Red", "blue"]
    import_products(shop, [product("a", *(variant(f"A-{size}", ("Size", size)) for size in sizes))])
    order = [item.options[0][1] for item in taken(shop, "a").product.variants]
    assert order == ["S", "M", "XL", "2XL", "9.5 cm", "10 cm", "blue", "Red"]


def test_the_merchants_own_sku_is_kept_as_it_is(shop: Project) -> None:
    own = ["Cam/4567", "cam-4567", "Grips - Oury - Grey", "0042", "42", "ключ №5", "x" * 64]
    report = import_products(shop, [product(f"p{number}", variant(sku)) for number, sku in enumerate(own)])
    assert [taken(shop, f"p{number}").product.variants[0].sku for number in range(len(own))] == own
    assert lines_of(report, "SKU") == []
    report = import_products(shop, [product("bare", variant("")), product("long", variant("x" * 65))])
    assert taken(shop, "bare").product.variants[0].sku == "BARE"
    assert "An SKU has at most 64 characters" in lines_of(report, "SKUs that cannot be used")[0]


def test_two_hundred_and_five_categories_and_products_that_cost_nothing_are_taken(shop: Project) -> None:
    many = [product(f"p{n}", variant(f"P{n}", price="0.00"), category=f"Kind {n}") for n in range(205)]
    report = import_products(shop, many)
    assert "205 products" in report.summary
    catalogue = load_catalogue(shop)
    assert len(catalogue.storefront.categories) == 205 + 2
    assert {
        item.product.variants[0].price_minor for item in catalogue.products if item.product.slug[0] == "p"
    } == {0}


def test_categories_that_look_alike_in_latin_emails_stay_apart(shop: Project) -> None:
    titles = ["Обувь 2024", "Сумки 2024", "C#", "C++", "C", "Schön", "Schon", "все", "All"]
    import_products(
        shop, [product(f"p{n}", variant(f"P{n}"), category=title) for n, title in enumerate(titles)]
    )
    found = {category.title: category.slug for category in load_catalogue(shop).storefront.categories}
    assert set(titles) <= set(found)
    assert [found[title] for title in titles[:5]] == [
        "obuv-2024",
        "sumki-2024",
        "c-sharp",
        "c-plus-plus",
        "c",
    ]
    assert (found["Schon"], found["All"]) == ("schon", "all-1")
    assert len(set(found.values())) == len(found)


PRICELESS = "sku,title,price,stock\nA,Mug,,1\nB,Cup,,2\n"


def test_the_report_is_written_and_says_why_when_nothing_could_be_taken(shop: Project) -> None:
    before = files_of(shop)
    for content, reason in [
        (PRICELESS, "variants without a price (2)\n  line 2: Mug: no price: the variant is left out"),
        ("sku,title\nA,Mug\n", "Nothing was imported: "),
        ("", "Nothing was imported: "),
    ]:
        result = command(shop, content)
        assert result.exit_code != 0
        assert isinstance(result.exception, BadInput)
        assert reason in report_text(shop)
        assert "build/import-report.txt" in result.output
    assert files_of(shop) == before


def test_an_import_that_takes_some_says_how_many_and_why_at_the_end_and_ends_with_1(shop: Project) -> None:
    rows = "".join(f"S{number},Thing {number},{'5' if number % 10 else 'x'},1\n" for number in range(200))
    result = command(shop, f"sku,title,price,stock\n{rows}")
    assert result.exit_code == 1, result.output
    assert "180 products with 180 variants: 180 new" in result.output
    assert "Left out: 20 of 200 products" in result.output
    lines = result.output.splitlines()
    assert len(lines) < 12
    assert lines[-2] == "Every case, with its place: build/import-report.txt"
    assert lines[-1] == "Imported 180 of 200 products; 20 left out: prices that cannot be read (20)"
    assert report_text(shop).count("price") >= 20


def test_a_dry_run_of_the_command_writes_only_the_report(shop: Project) -> None:
    before = files_of(shop)
    result = command(shop, "sku,title,price,stock\nA,Mug,5,1\n", "--dry-run")
    assert (result.exit_code, files_of(shop)) == (0, before)
    assert "1 new: site/products/mug.toml" in result.output


ANY = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
BROKEN = st.one_of(
    ANY,
    st.sampled_from(
        ["", " ", "x" * 300, "-1", "0", "1.999", "NaN", "1e9", "\u202eevil", "a\x00b", '"""', "\\"]
    ),
)
PICTURES = st.sampled_from(["good.png", "gif.gif", "cut.png", "small.png", "lost.png", "hero.webp", ""])


@st.composite
def broken_products(draw: st.DrawFn) -> ImportedProduct:
    variants = [
        variant(
            draw(BROKEN),
            *((name, draw(BROKEN)) for name in draw(st.lists(BROKEN, max_size=2, unique=True))),
            line=draw(st.integers(2, 99)),
            price=draw(st.one_of(BROKEN, st.just("5.00"))),
            units=draw(st.one_of(st.none(), st.integers(-5, 10**8))),
            sells_on=draw(st.booleans()),
            availability=draw(st.one_of(BROKEN, st.just("PreOrder"))),
            compare_at_price=draw(BROKEN),
            sale_ends_on=draw(st.one_of(BROKEN, st.just("2027-01-01"))),
            gtin=draw(BROKEN),
            mpn=draw(BROKEN),
            weight_g=draw(st.one_of(st.none(), st.integers(-5, 10**12))),
            variant_id=draw(BROKEN),
            picture=draw(PICTURES),
        )
        for _ in range(draw(st.integers(0, 3)))
    ]
    pairs = st.lists(st.tuples(BROKEN, BROKEN), max_size=2)
    return product(
        draw(BROKEN),
        *variants,
        line=draw(st.integers(2, 99)),
        pictures=draw(st.lists(PICTURES, max_size=3)),
        title=draw(BROKEN),
        description=draw(st.one_of(BROKEN, st.just("![x](y) <b> [a](javascript:b) \\"))),
        category=draw(BROKEN),
        categories=tuple(draw(st.lists(BROKEN, max_size=2))),
        summary=draw(BROKEN),
        details=tuple(draw(pairs)),
        tags=tuple(draw(st.lists(BROKEN, max_size=3))),
        brand=draw(BROKEN),
        condition=draw(BROKEN),
        seo_title=draw(BROKEN),
        seo_description=draw(BROKEN),
        released_on=draw(BROKEN),
        old_paths=tuple(draw(st.lists(BROKEN, max_size=2))),
    )


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    Image.new("RGB", (400, 400), "red").save(folder / "good.png")
    Image.new("RGB", (400, 400), "blue").save(folder / "hero.webp")
    Image.new("P", (400, 400)).save(folder / "gif.gif")
    Image.new("RGB", (100, 100)).save(folder / "small.png")
    (folder / "cut.png").write_bytes((folder / "good.png").read_bytes()[:200])
    return folder


@settings(max_examples=25, deadline=None)
@given(products=st.lists(broken_products(), max_size=4))
def test_the_build_takes_whatever_an_import_of_broken_data_made(
    tmp_path_factory: pytest.TempPathFactory, images: Path, products: list[ImportedProduct]
) -> None:
    shop = make_small_shop(tmp_path_factory.mktemp("shop"))
    before = files_of(shop)
    try:
        import_products(shop, products, images=images)
    except NothingImported:
        assert files_of(shop) == before
    load_catalogue(shop)


MARKDOWN = st.sampled_from(
    [
        *(
            "[",
            "]",
            "](",
            ")",
            "<",
            ">",
            "\\",
            "`",
            "!",
            "&#106;",
            "a",
            " ",
            "\n",
            "\n\n    ",
            "```\n",
            "- ",
            "\\]",
        ),
        *(
            "[a](https://a.example/b)",
            "[a](/b)",
            "javascript:x",
            "[b]: data:x",
            "//evil",
            "[a](",
            "https://x",
        ),
    ]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(MARKDOWN, max_size=8).map("".join))
def test_nothing_is_refused_of_a_description_that_seems_beyond_refusal(text: str) -> None:
    refused: list[str] = []
    to_html(text, heading_level_min=3, refuse=lambda line, value, expected: refused.append(value))
    assert not (refused and is_clearly_valid(text))


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("Words, \\[no link\\](at all) and a \\<tag\\>", True),
        ("See [care](https://a.example/care?x=1#y) or [us](/about), [mail](mailto:a@b.example)", True),
        ("See [care](javascript:alert)", False),
        ("See [care](https://a.example) and ![picture](https://a.example/b.png)", False),
        ("See [care](//a.example)", False),
        ("See [care][1]\n\n[1]: javascript:alert", False),
        ("<https://a.example>", False),
    ],
)
def test_a_clearly_valid_name_is_recognized_without_parsing(text: str, seen: bool) -> None:
    assert is_clearly_valid(text) is seen


def test_a_shop_of_broken_data_is_built_to_its_last_page(shop: Project, images: Path) -> None:
    broken = product(
        "Ünïcode Handle!",
        variant("a b/c", ("Größe", "x" * 300), gtin="1", availability="?"),
        variant("", ("Größe", ""), price="x"),
        pictures=["good.png", "cut.png", "gif.gif"],
        title='A "quoted" \\ title \u202e',
        seo_title="x" * 300,
        category="все",
    )
    import_products(shop, [broken], images=images)
    keys = {object_.key for object_ in build(shop).objects}
    assert "products/unicode-handle" in keys
    assert "shop/vse" in keys

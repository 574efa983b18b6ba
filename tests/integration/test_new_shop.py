"""`spillway new` writes a shop that builds at once, or nothing at all."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Set
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from spillway.__main__ import cli
from spillway.errors import BadInput
from spillway.project import Project
from spillway.sitegen.new_shop import ShopChoices, create_shop, currency_of
from spillway.sitegen.notes import places_to_fill_in, require_filled_in
from spillway.sitegen.reading.loading import load_catalogue
from spillway.sitegen.site import build
from tests.support.fonts import make_font
from tests.support.small_shop import share_pictures

FLAGS = ("--name", "Harbour Pottery", "--language", "en-GB", "--currency", "GBP", "--no-git")
EXPORT = """\
Handle,Title,Body (HTML),Vendor,Type,Tags,Published,Option1 Name,Option1 Value,Variant SKU,\
Variant Inventory Qty,Variant Price,Image Src
jug,Water Jug,<p>Holds a litre.</p>,Us,Jugs,,true,Title,Default Title,JUG-1,4,34.00,
plate,Dinner Plate,<p>Wide.</p>,Us,Plates,,true,Title,Default Title,PLATE-1,0,19.50,
"""


def new(folder: Path, *words: str) -> Result:
    ended = CliRunner().invoke(cli, ["new", str(folder), *words])
    if ended.exit_code == 0:
        share_pictures(folder)
    return ended


def test_a_new_shop_builds_and_lists_what_its_owner_has_to_fill_in(tmp_path: Path) -> None:
    ended = new(tmp_path / "shop", *FLAGS)
    assert ended.exit_code == 0, ended.output
    assert "spillway serve" in ended.output
    shop = Project(tmp_path / "shop")
    assert {path.name for path in shop.root.iterdir()} == {".cache", ".gitignore", "README.md", "site"}
    assert (shop.root / "README.md").read_text().startswith("# Harbour Pottery\n")
    release = build(shop)
    assert [entry.product.title for entry in release.products] == [
        "Beeswax candle",
        "Serving bowl",
        "Stoneware mug",
    ]
    edition = release.theme.editions[0]
    assert (edition.shop.sender, edition.shop.reply_to) == (
        "Harbour Pottery <hello@harbour-pottery.example>",
    ) * 2
    assert edition.listings[0].slugs == ("beeswax-candle", "serving-bowl", "stoneware-mug")
    assert edition.listings[0].title == "Harbour Pottery"
    places = [line.partition(": ")[0] for line in release.notes]
    assert len(places) == 8
    assert set(places) >= {"site/site.toml:8", "site/pages/privacy.md:8", "site/pages/shipping.md:8"}


def test_a_new_shop_in_the_empty_folder_that_a_terminal_is_in_leaves_the_folder_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "harbour-pottery"
    folder.mkdir()
    inode = folder.stat().st_ino
    monkeypatch.chdir(folder)
    ended = CliRunner().invoke(cli, ["new", ".", "--language", "en_GB", "--no-git"])
    assert ended.exit_code == 0, ended.output
    assert "cd ." not in ended.output
    assert "list the 8 places to fill in" in ended.output
    assert folder.stat().st_ino == inode
    assert {path.name for path in Path.cwd().iterdir()} == {".gitignore", "README.md", "site"}
    assert 'name = "Harbour Pottery"' in Path("site/site.toml").read_text()
    assert 'locales = ["en-GB"]' in Path("site/site.toml").read_text()


def test_a_folder_with_a_repository_and_what_a_file_manager_left_is_empty(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    (folder / ".DS_Store").write_bytes(b"Bud1")
    head = (folder / ".git/HEAD").read_bytes()
    ended = CliRunner().invoke(cli, ["new", str(folder)])
    assert ended.exit_code == 0, ended.output
    kept = {".DS_Store", ".git", ".gitignore", "README.md", "site"}
    assert {path.name for path in folder.iterdir()} == kept
    assert (folder / ".git/HEAD").read_bytes() == head


def test_a_command_in_a_deleted_folder_names_the_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for words in (["build"], ["new", "shop"], ["-C", str(tmp_path), "build"]):
        refused = CliRunner().invoke(cli, words).exception
        assert isinstance(refused, BadInput)
        assert refused.message == "the current folder is not there any more"


def test_a_build_prints_the_places_and_a_publish_to_aws_refuses_them(tmp_path: Path) -> None:
    new(tmp_path / "shop", *FLAGS)
    shop = Project(tmp_path / "shop")
    built = CliRunner().invoke(cli, ["build"], obj=shop)
    assert built.exit_code == 0
    assert "site/pages/privacy.md:8: [FILL IN: your name or company" in built.output
    refused = CliRunner().invoke(cli, ["publish", "--stage", "production"], obj=shop)
    assert isinstance(refused.exception, BadInput)
    assert refused.exception.message.startswith(
        "8 places to fill in, nothing was published\n  site/site.toml:8: "
    )
    for file in (shop.site / "site.toml", *(shop.site / "pages").iterdir()):
        file.write_text(file.read_text().replace("[FILL IN:", "("))
    assert list(places_to_fill_in(shop)) == []
    require_filled_in(shop)


def test_a_german_shop_has_german_pages_and_no_text_without_a_translation(tmp_path: Path) -> None:
    ended = new(tmp_path / "shop", "--name", "Töpferei Ölmühle", "--language", "de", "--no-git")
    assert ended.exit_code == 0, ended.output
    release = build(Project(tmp_path / "shop"))
    assert release.missing_translations == ()
    titles = [entry.product.title for entry in release.products]
    assert titles == ["Bienenwachskerze", "Servierschale", "Steinzeugbecher"]
    assert (
        (tmp_path / "shop/README.md").read_text().startswith("# Töpferei Ölmühle\n\nEin Laden, gemacht mit")
    )
    assert "in English" not in ended.output
    edition = release.theme.editions[0]
    assert (edition.shop.currency, edition.navigation[1].title) == ("EUR", "Datenschutz")
    assert edition.shop.base_url == "https://www.topferei-olmuhle.example"


def test_a_shop_in_any_other_language_says_what_is_in_english(tmp_path: Path) -> None:
    ended = new(tmp_path / "shop", "--name", "Four", "--language", "fr-CA", "--no-git")
    assert "Its pages and its README are in English: there are none in French yet." in ended.output
    assert "spillway messages fr-CA" in ended.output
    readme = (tmp_path / "shop/README.md").read_text()
    assert readme.startswith(
        "# Four\n\nThis file, the pages and the examples are in English: there are none in French"
    )
    places = [place for place in places_to_fill_in(Project(tmp_path / "shop")) if "this page" in place]
    assert places == [
        "site/pages/privacy.md:6: [FILL IN: this page in French]",
        "site/pages/shipping.md:6: [FILL IN: this page in French]",
    ]


COMMENTED = re.compile(r"^# (?=\[{1,2}\w[\w.]*\]{1,2}|\w+ = )", re.MULTILINE)
# A line that needs another one says so when it stands alone.
BELONGS_TO = {
    "logo_dark": "logo",
    "announcement_link": "announcement",
    "picture": "picture_alt",
    "picture_alt": "picture",
    "family": "file",
}


def commented_lines(text: str) -> Iterator[tuple[str, str]]:
    """Yield (table, line) of each commented setting; settings of an own font come with their families."""
    table = ""
    for line in text.splitlines():
        if COMMENTED.match(line):
            plain = line.removeprefix("# ")
            table = plain.partition("#")[0].strip() if plain.startswith("[") else table
            yield table, plain


@pytest.mark.parametrize("locale", ["en-GB", "de"])
def test_each_commented_setting_of_a_new_shop_builds_without_its_mark(tmp_path: Path, locale: str) -> None:
    create_shop(tmp_path / "shop", ShopChoices.checked("Kiln", "EUR", locale), git=False)
    shop = Project(tmp_path / "shop")
    put_named_files(shop)
    site = shop.site / "site.toml"
    text = site.read_text().replace('["SLUG", "SLUG"]', f'["{min(load_catalogue(shop).rows).slug}"]')
    lines = list(commented_lines(text))
    assert {table for table, _ in lines} == {"", "[home]", "[theme]", "[[theme.fonts]]"}
    assert {line.partition(" = ")[0] for table, line in lines if table == "[theme]"} >= {
        *("logo", "logo_dark", "accent", "radius", "font", "heading_font", "sections", "card_aspect"),
        *("cards_per_row", "announcement", "announcement_link"),
    }
    for table, line in lines:
        field = line.partition(" = ")[0]
        wanted = {field, BELONGS_TO.get(field, field), table.strip("[]")}
        if table == "[[theme.fonts]]":
            wanted |= {"file", "family", "font", "theme"}
        site.write_text("\n".join(_without_mark(row, wanted) for row in text.splitlines()))
        load_catalogue(shop)
    site.write_text(COMMENTED.sub("", text))
    release = build(shop)
    theme = release.theme.editions[0].settings
    assert (theme.accent, theme.cards_per_row, len(theme.fonts)) == ("#0b3fd6", 3, 1)
    assert theme.logo
    assert theme.announcement_url == "/shipping"


def _without_mark(line: str, wanted: Set[str]) -> str:
    """Return a line without its mark if it is a field or the head of a table in `wanted`."""
    plain = COMMENTED.sub("", line)
    name = plain.partition("#")[0].partition(" = ")[0].strip().strip("[]")
    return plain if name in wanted else line


def put_named_files(shop: Project) -> None:
    """Write the files that the commented settings name."""
    for folder in ("static", "fonts"):
        (shop.site / folder).mkdir()
    for name in ("logo.svg", "logo-dark.svg"):
        (shop.site / "static" / name).write_text(
            '<svg xmlns="http://www.w3.org/2000/svg" width="90" height="30"/>'
        )
    (shop.site / "fonts" / "avenir-next.woff2").write_bytes(make_font("Kiln"))
    picture = next((shop.site / "pictures").iterdir())
    (shop.site / "pictures" / "hero.webp").write_bytes(picture.read_bytes())


def test_prices_of_examples_fit_a_currency_without_a_smaller_unit(tmp_path: Path) -> None:
    create_shop(tmp_path / "shop", ShopChoices.checked("Kiln", "jpy", "ja"), git=False)
    rows = load_catalogue(Project(tmp_path / "shop")).rows
    assert {row.slug for row in rows} == {"beeswax-candle", "serving-bowl", "stoneware-mug"}
    assert 'price = "1800"' in (tmp_path / "shop/site/products/beeswax-candle.toml").read_text()


def test_a_shop_can_start_with_the_products_of_an_export(tmp_path: Path) -> None:
    export = tmp_path / "products.csv"
    export.write_text(EXPORT)
    ended = new(tmp_path / "shop", *FLAGS, "--from", "shopify", str(export))
    assert ended.exit_code == 0, ended.output
    shop = Project(tmp_path / "shop")
    release = build(shop)
    assert {entry.product.slug for entry in release.products} == {"jug", "plate"}
    assert {listing.path for listing in release.theme.editions[0].listings} >= {"/shop/jugs", "/shop/plates"}
    assert list((shop.site / "pictures").iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--currency", "GBX"), "--currency GBX: expected an ISO 4217 code"),
        (("--language", "xx"), "--language xx: not known"),
        (("--name", ""), "--name '': expected"),
        (("--images", "."), "--images: only with --from"),
        (("--from", "shopfy", "x.csv"), "--from shopfy: not a format"),
        (("--from", "shopify", "x.csv"), "x.csv"),
    ],
)
def test_a_choice_that_no_shop_can_have_is_refused_and_nothing_is_written(
    tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    ended = new(tmp_path / "shop", *words)
    assert isinstance(ended.exception, BadInput)
    assert message in ended.exception.message
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_refused_and_an_empty_one_is_taken(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "empty").mkdir()
    for name in ("full", "file"):
        ended = new(tmp_path / name, *FLAGS)
        assert isinstance(ended.exception, BadInput)
        assert "there is something already" in ended.exception.message
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]
    assert new(tmp_path / "empty", *FLAGS).exit_code == 0
    assert (tmp_path / "empty" / "site" / "site.toml").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file", "full"]


def test_a_shop_that_cannot_be_filled_leaves_nothing(tmp_path: Path) -> None:
    def fail(project: Project) -> None:
        raise BadInput("no")

    with pytest.raises(BadInput, match="no"):
        create_shop(tmp_path / "a" / "shop", ShopChoices("Kiln", "EUR", "en"), fill=fail)
    assert list((tmp_path / "a").iterdir()) == []


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_shop_is_a_repository_of_its_own_unless_it_lies_in_one(tmp_path: Path) -> None:
    create_shop(tmp_path / "one", ShopChoices("Kiln", "EUR", "en"))
    assert (tmp_path / "one" / ".git").is_dir()
    listed = subprocess.run(
        ["git", "-C", str(tmp_path / "one"), "status", "--short"], capture_output=True, text=True, check=True
    )
    assert listed.stdout.splitlines() == ["?? .gitignore", "?? README.md", "?? site/"]
    create_shop(tmp_path / "one" / "two", ShopChoices("Kiln", "EUR", "en"))
    assert not (tmp_path / "one" / "two" / ".git").exists()


@pytest.mark.parametrize(
    ("locale", "currency"),
    [("en-GB", "GBP"), ("de", "EUR"), ("de-CH", "CHF"), ("en", "USD"), ("ja-JP", "JPY"), ("xx", "EUR")],
)
def test_the_currency_suggested_is_that_of_the_country(locale: str, currency: str) -> None:
    assert currency_of(locale) == currency


@settings(max_examples=25, deadline=None)
@given(name=st.text(min_size=1, max_size=30))
def test_a_shop_of_any_name_is_read_back_with_it_or_refused(
    tmp_path_factory: pytest.TempPathFactory, name: str
) -> None:
    folder = tmp_path_factory.mktemp("names") / "shop"
    try:
        create_shop(folder, ShopChoices.checked(name, "EUR", "en"), git=False)
    except BadInput:
        assert not folder.exists()
        return
    shop = load_catalogue(Project(folder)).storefront.shop
    assert shop.name == name


GOOGLE = (
    "id\ttitle\tdescription\tlink\tprice\tavailability\tproduct_type\titem_group_id\tcolor\n"
    "A-1\tWool hat\tA warm hat.\thttps://old.example/p/hat\t25.00 GBP\tin_stock\tHats\thats-1\tRed\n"
    "A-2\tWool hat\tA warm hat.\thttps://old.example/p/hat\t25.00 GBP\tout_of_stock\tHats\thats-1\tBlue\n"
)
TABLE = (
    "title,category,price,stock,sku,option:Colour\nWool hat,Hats,25,4,A-1,Red\nWool hat,Hats,25,0,A-2,Blue\n"
)


@pytest.mark.parametrize(("format_name", "text"), [("google", GOOGLE), ("csv", TABLE)])
def test_a_shop_can_start_with_a_feed_or_a_table(tmp_path: Path, format_name: str, text: str) -> None:
    (tmp_path / "products.txt").write_text(text)
    ended = new(tmp_path / "shop", *FLAGS, "--from", format_name, str(tmp_path / "products.txt"))
    assert ended.exit_code == 0, ended.output
    assert "1 added to the categories in site/site.toml: Hats" in ended.output
    catalogue = load_catalogue(Project(tmp_path / "shop"))
    (row,) = catalogue.rows
    assert (row.title, row.category) == ("Wool hat", "hats")
    assert [category.description for category in catalogue.storefront.categories] == [""]


def test_an_answer_that_is_not_valid_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("click.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    answers = "Kiln\nenglish\nen-GB\nGBX\nchf\n"
    ended = CliRunner().invoke(cli, ["new", str(tmp_path / "shop"), "--no-git"], input=answers)
    assert ended.exit_code == 0, ended.output
    assert "Error: english: not known; for example en-GB\n" in ended.output
    text = (tmp_path / "shop/site/site.toml").read_text()
    assert 'currency = "CHF"' in text
    assert 'locales = ["en-GB"]' in text


@pytest.mark.parametrize("word", ["-h", "--help"])
def test_load_says_how_it_is_used_where_locust_is_not_installed(
    monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.setattr("spillway.commands.campaign.find_spec", lambda _: None)
    ended = CliRunner().invoke(cli, ["load", word], obj=Project(Path()))
    assert ended.exit_code == 0
    assert "spillway[load,demo]" in ended.output


def test_a_quiet_command_prints_warnings_alone(tmp_path: Path) -> None:
    export = tmp_path / "products.csv"
    export.write_text(EXPORT)
    create_shop(tmp_path / "shop", ShopChoices.checked("Kiln", "EUR", "en-GB"), git=False)
    share_pictures(tmp_path / "shop")
    shop = Project(tmp_path / "shop")
    imported = CliRunner().invoke(cli, ["import", "shopify", str(export), "--quiet"], obj=shop)
    assert (imported.exit_code, imported.output) == (0, "")
    built = CliRunner().invoke(cli, ["build", "--quiet"], obj=shop)
    assert (built.exit_code, built.stdout) == (0, "")
    assert built.stderr.startswith("site/site.toml:8: [FILL IN: ")
    for words in (["import", "shopify", str(export)], ["publish"]):
        refused = CliRunner().invoke(cli, [*words, "--dry-run", "--quiet"], obj=shop)
        assert isinstance(refused.exception, BadInput)
        assert refused.exception.message == "--quiet: has no effect with --dry-run"

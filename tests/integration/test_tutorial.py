"""The tutorial is true: its commands and its edit, as they stand there, make the shop that it describes."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from spillway.__main__ import cli
from tests.support.documents import EDIT, TUTORIAL, make_edits, tutorial_step, typed_in

# It goes on until Ctrl-C; a test of its own plays it.
GOES_ON = ("spillway serve", "spillway demo")
NAMED_SKU = re.compile(r"^ *spillway (available|sold-out) (\S+)", re.MULTILINE)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop's folder after steps 2 to 5."""
    folder = tmp_path_factory.mktemp("tutorial")
    with pytest.MonkeyPatch.context() as shell:
        shell.chdir(folder)
        for number in (2, 3, 4, 5):
            make_edits(tutorial_step(number), Path())
            for line in typed_in(tutorial_step(number)):
                first, _, rest = line.partition(" ")
                if first == "cd":
                    shell.chdir(rest)
                elif line not in GOES_ON:
                    ended = CliRunner().invoke(cli, shlex.split(rest), input="\n\n\n", catch_exceptions=False)
                    assert ended.exit_code == 0, ended.output
    return folder / "my-shop"


def test_the_edited_product_is_in_the_built_shop(shop: Path) -> None:
    ((file, lines),) = EDIT.findall(TUTORIAL)
    edited = tomllib.loads(lines)
    page = (shop / "build" / "site" / "products" / Path(file).stem).with_suffix(".html")
    built = page if page.is_file() else shop / "build" / "site" / "products" / Path(file).stem
    assert edited["title"] in built.read_text()
    assert edited["price"] in built.read_text()


def test_the_folder_holds_what_the_tutorial_lists(shop: Path) -> None:
    listed = re.findall(r"^\| `(site/[^`]+)` \|", TUTORIAL, re.MULTILINE)
    assert len(listed) == 4
    assert not [name for name in listed if not (shop / name).exists()]
    assert len(list((shop / "site" / "products").iterdir())) == 3


def test_the_variants_of_the_story_are_sold_out_and_in_stock(shop: Path) -> None:
    named = dict(NAMED_SKU.findall(tutorial_step(6)))
    stock = {
        variant["sku"]: variant["stock"]
        for file in (shop / "site" / "products").glob("*.toml")
        for variant in tomllib.loads(file.read_text())["variants"]
    }
    assert stock[named["available"]] == 0
    assert stock[named["sold-out"]] > 0

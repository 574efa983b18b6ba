"""The tutorial is true: its commands and its edit, as they stand there, make the shop that it describes."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from spillway.__main__ import cli
from tests.support.aws import ROOT

TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()
TYPED = re.compile(r"^ *```text\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
EDIT = re.compile(r'^```toml title="([^"]+)"\n(.*?)^```', re.MULTILINE | re.DOTALL)
# It goes on until Ctrl-C; a test of its own plays it.
GOES_ON = ("spillway serve", "spillway demo")
NAMED_SKU = re.compile(r"^ *spillway (available|sold-out) (\S+)", re.MULTILINE)


def step(number: int) -> str:
    """Return the text of a step."""
    return TUTORIAL.split(f"## {number}. ")[1].split("\n## ", maxsplit=1)[0]


def commands(text: str) -> list[str]:
    """Return the lines that a reader types."""
    return [line.strip() for block in TYPED.findall(text) for line in block.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop's folder after steps 2 to 5."""
    folder = tmp_path_factory.mktemp("tutorial")
    with pytest.MonkeyPatch.context() as shell:
        shell.chdir(folder)
        for number in (2, 3, 4, 5):
            for file, lines in EDIT.findall(step(number)):
                _edit(Path(file), lines)
            for line in commands(step(number)):
                first, _, rest = line.partition(" ")
                if first == "cd":
                    shell.chdir(rest)
                elif line not in GOES_ON:
                    ended = CliRunner().invoke(cli, shlex.split(rest), input="\n\n\n", catch_exceptions=False)
                    assert ended.exit_code == 0, ended.output
    return folder / "my-shop"


def _edit(file: Path, lines: str) -> None:
    """Replace the lines of a file that begin with the same field."""
    text = file.read_text()
    for line in lines.splitlines():
        field = line.partition(" = ")[0]
        text, count = re.subn(rf"^{field} = .*$", line, text, count=1, flags=re.MULTILINE)
        assert count == 1, f"{file} has no {field}"
    file.write_text(text)


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
    named = dict(NAMED_SKU.findall(step(6)))
    stock = {
        variant["sku"]: variant["stock"]
        for file in (shop / "site" / "products").glob("*.toml")
        for variant in tomllib.loads(file.read_text())["variants"]
    }
    assert stock[named["available"]] == 0
    assert stock[named["sold-out"]] > 0

"""A shop of an early version builds with today's, and sees what changed in the files that it copied.

tests/support/early_shop was written by the package as it was when `spillway new` first worked; its copies of
two templates by the first version of `spillway theme copy`. Each has an edit of the shop's own. The pictures
are still the starter's.
"""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from spillway.__main__ import cli
from spillway.project import Project
from spillway.sitegen.new_shop import STARTER
from spillway.sitegen.site import build
from tests.support.aws import ROOT
from tests.support.small_shop import share_pictures

EARLY = ROOT / "tests" / "support" / "early_shop"


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    shutil.copytree(EARLY / "site", tmp_path / "site")
    shutil.copytree(STARTER / "pictures", tmp_path / "site" / "pictures")
    share_pictures(tmp_path)
    return Project(tmp_path)


def theme(shop: Project, *words: str) -> Result:
    return CliRunner().invoke(cli, ["theme", *words], obj=shop)


def home_of(shop: Project) -> str:
    (home,) = [item.read().decode() for item in build(shop).objects if item.key == "index.html"]
    return home


def test_an_early_shop_builds_sees_what_changed_and_takes_it_without_a_conflict(shop: Project) -> None:
    before = home_of(shop)
    assert before.count('<p class="maker">Made by hand</p>') == 3
    assert "data-price=" not in before
    compared = theme(shop, "diff")
    added = [line for line in compared.stdout.splitlines() if line.startswith("+")]
    assert any("data-price=" in line for line in added)
    assert [line for line in added if "maker" in line or "kiln" in line] == [
        '+<p class="maker">Made by hand</p>',
        '+<h2 id="featured">From the kiln</h2>',
    ]
    assert [line.partition(": spillway")[0] for line in compared.stderr.splitlines()] == [
        "templates/card.html: no conflict",
        "templates/home.html: no conflict",
        "2 files of the shop's own differ from the default theme",
    ]
    for name in ("templates/card.html", "templates/home.html"):
        assert theme(shop, "merge", name).exit_code == 0
    after = home_of(shop)
    assert after.count('<p class="maker">Made by hand</p>') == 3
    assert after.count("data-price=") == 3
    assert "From the kiln" in after


def test_an_early_copy_without_its_original_is_compared_with_the_theme_of_today(shop: Project) -> None:
    shutil.rmtree(shop.site / "theme-originals")
    assert home_of(shop).count("Made by hand") == 3
    compared = theme(shop, "diff", "templates/card.html")
    assert "--- default/templates/card.html" in compared.stdout
    assert compared.stderr.splitlines() == [
        "templates/card.html: differs from the default theme; what was copied is not known",
        "1 file of the shop's own differs from the default theme",
    ]

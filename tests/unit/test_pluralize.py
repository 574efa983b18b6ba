"""One thing is named in the singular."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from spillway.__main__ import cli
from spillway.project import Project
from spillway.terminal import pluralize
from tests.support.small_shop import make_small_shop


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 products"), (1, "1 product"), (2, "2 products"), (1234, "1,234 products")]
)
def test_a_noun_follows_its_number(count: int, said: str) -> None:
    assert pluralize(count, "product") == said


def test_a_verb_does_too() -> None:
    assert [pluralize(item, "line is", "lines are") for item in (1, 2)] == ["1 line is", "2 lines are"]


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    return make_small_shop(tmp_path)


def test_an_import_of_one_product_says_so(shop: Project) -> None:
    sheet = shop.root / "export.csv"
    sheet.write_text("sku,title,price,stock\nCAP,Cap,12.00,3\n")
    result = CliRunner().invoke(cli, ["import", "csv", str(sheet), "--no-images"], obj=shop)
    first = result.output.splitlines()[0]
    assert first == (
        "1 product with 1 variant: 1 new, 0 changed, 0 unchanged, 0 renamed, 0 edited by hand and kept,"
        " 0 gone from the export"
    )

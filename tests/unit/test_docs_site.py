"""The docs are whole: reference pages match the code, links lead somewhere, each page is in the menu."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from PIL import Image

from docsite import fields, hooks, screenshots
from docsite.__main__ import reference_pages
from tests.support.aws import ROOT
from tests.support.documents import DOCS

if TYPE_CHECKING:
    from collections.abc import Callable

    from spillway.sitegen.reading.toml_input import InputError

PAGES = [*sorted(ROOT.glob("*.md")), *DOCS]
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)")
FENCED = re.compile(r"```.*?```|`[^`\n]*`|^ {4,}.*$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
# Pages that other work adds.
COMING = {"themes.md"}
FOREIGN = ("https://", "http://", "mailto:")


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return reference_pages(ROOT)


@pytest.mark.parametrize(
    "name",
    ["site-toml.md", "product-fields.md", "commands.md", "parameters.md", "http-api.md", "events.md"],
)
def test_a_reference_page_is_the_one_that_the_code_makes(made: dict[str, str], name: str) -> None:
    shown = (ROOT / "docs" / "reference" / name).read_text()
    assert shown == made[name], "make it again: make reference"


def test_no_reference_page_is_left_from_before(made: dict[str, str]) -> None:
    assert {file.name for file in (ROOT / "docs" / "reference").iterdir()} == set(made)


def test_a_reference_page_says_what_the_code_says(made: dict[str, str]) -> None:
    assert (
        "| `SenderAddress` | The address emails come from; SES lets nothing else be sent. | text | needed |"
        in made["parameters.md"]
    )
    assert "`off`, `on`, `dry-run` | `off` |" in made["parameters.md"]
    assert "text, at most 255 characters | yes |" in made["product-fields.md"]
    former = "| `compare_at_price` | The former price, struck through on the page. |"
    assert f'{former} a decimal number in quotes: "148.00" | no |' in made["product-fields.md"]
    assert (
        "| `--stage NAME` | The stage: local, or its name on AWS. (default: local) |" in made["commands.md"]
    )
    assert "## POST /api/availability/webhook" in made["http-api.md"]
    assert "| `POST /api/waitlist/undo` | `app.undo_signup` |" in made["events.md"]


@pytest.mark.parametrize(
    ("page", "read"), [("site", fields.read_site), ("product", fields.read_product)], ids=["site", "product"]
)
def test_a_field_that_is_not_described_or_not_known_is_named(
    page: str, read: "Callable[[Path, str], list[InputError]]"
) -> None:
    head, tables = fields.described(page)
    assert head
    first = tables[0]
    known = fields.known_fields(tables, first, partial(read, ROOT))
    assert set(first.fields) <= known
    described = dict(first.fields)
    taken = described.pop("title" if page == "product" else "name")
    described["colour_of_the_sky"] = fields.Field("colour_of_the_sky", "1", "", "1")
    other = [fields.Table("", "", "", is_list=False, free=False, fields=described), *tables[1:]]
    found = fields.disagreements(other, partial(read, ROOT))
    assert f"[] {taken.name}: not described in fields.toml" in found
    assert "[] colour_of_the_sky: the build has no such field" in found


def links(file: Path) -> Iterator[tuple[str, str]]:
    """Yield the path and the anchor of each link that stays in the checkout."""
    for path, anchor in LINK.findall(FENCED.sub("", file.read_text())):
        if not path.startswith(FOREIGN):
            yield path, anchor


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and MkDocs both make them."""
    headings = (
        found.replace("`", "") for found in HEADING.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    )
    return {re.sub(r"[^\w\s-]", "", found).strip().lower().replace(" ", "-") for found in headings}


def leads_somewhere(file: Path, path: str, anchor: str) -> bool:
    """Return whether a link on a page leads to a file, and to a heading of it if it names one."""
    target = (file.parent / path).resolve() if path else file
    return target.is_file() and (not anchor or anchor in anchors(target.read_text()))


def test_every_link_leads_to_a_file_and_a_heading() -> None:
    found = [(file, *link) for file in PAGES for link in links(file)]
    assert found
    assert not [link for link in found if not leads_somewhere(*link)]


def in_menu(entries: list[object]) -> Iterator[str]:
    """Yield the pages of a menu, the menus within it included."""
    for entry in entries:
        inner = next(iter(entry.values())) if isinstance(entry, dict) else entry
        if isinstance(inner, list):
            yield from in_menu(inner)
        else:
            yield str(inner)


def test_every_page_is_in_the_menu_once() -> None:
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    listed = sorted(in_menu(config["nav"]))
    decisions = config["not_in_nav"].strip()
    ours = [str(file.relative_to(ROOT / "docs")) for file in DOCS]
    expected = [name for name in ours if not f"/{name}".startswith(decisions) or name.endswith("README.md")]
    assert set(listed) >= {*expected, *hooks.TOP} - COMING
    assert len(listed) == len(set(listed))


def test_every_decision_is_in_the_list_of_decisions() -> None:
    listed = {path for path, _ in links(ROOT / "docs" / "decisions" / "README.md")}
    assert listed == {file.name for file in (ROOT / "docs" / "decisions").glob("*.md")} - {"README.md"}


@pytest.mark.parametrize(
    ("page", "text", "expected"),
    [
        ("index.md", "[a](../ARCHITECTURE.md#x)", "[a](ARCHITECTURE.md#x)"),
        ("runbooks/throttles.md", "[a](../../SECURITY.md)", "[a](../SECURITY.md)"),
        ("ARCHITECTURE.md", "[a](docs/failures.md) [b](README.md)", "[a](failures.md) [b](index.md)"),
        ("index.md", "[a](failures.md)", "[a](failures.md)"),
    ],
)
def test_links_to_the_top_of_the_checkout_stay_in_the_site(page: str, text: str, expected: str) -> None:
    config = MkDocsConfig()
    file = File(page, "docs", "build/docs", use_directory_urls=False)
    assert hooks.on_page_markdown(text, Page(None, file, config), config, Files([file])) == expected


def test_every_picture_of_the_docs_is_shown_and_they_are_light() -> None:
    files = list((ROOT / "docs" / "images").iterdir())
    shown = {Path(path).name for page in PAGES for path, _ in links(page) if "images/" in path}
    assert {file.name for file in files} == shown
    assert sum(file.stat().st_size for file in files) <= screenshots.TOTAL_BYTES_MAX


def test_pictures_of_an_earlier_run_do_not_stay(tmp_path: Path) -> None:
    phone = Image.new("RGB", (39, 78), "red")
    (tmp_path / "old.webp").write_bytes(b"")
    sheet = screenshots.side_by_side([phone, phone])
    assert sheet.size == (2 * 39 + 3 * 40, 78 + 2 * 40)
    assert sheet.getpixel((40 + 19, 40 + 39)) == (255, 0, 0)
    assert screenshots.write({"new": phone}, tmp_path) == (tmp_path / "new.webp").stat().st_size
    assert [file.name for file in tmp_path.iterdir()] == ["new.webp"]

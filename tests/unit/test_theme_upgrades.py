"""After an upgrade, a copied file shows the changes of both sides, and merges them where they do not meet."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from spillway.__main__ import cli
from spillway.errors import BadInput
from spillway.project import Project
from spillway.sitegen.theme_upgrades import CopiedFile, Original, default_version

CARD = "<article>\n<h2>title</h2>\n<img>\n<p>price</p>\n</article>\n"


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    """A shop with a copied card, and a default theme that a test can change as an upgrade does."""
    default = tmp_path / "theme"
    (default / "templates").mkdir(parents=True)
    (default / "templates" / "card.html").write_text(CARD)
    project = Project(tmp_path / "shop", default_theme=default)
    project.site.mkdir(parents=True)
    assert theme(project, "copy", "templates/card.html").exit_code == 0
    # As if an earlier version had copied it.
    originals = project.site / "theme-originals"
    (originals / default_version()).rename(originals / "0.0.9")
    return project


def theme(project: Project, *words: str) -> Result:
    return CliRunner().invoke(cli, ["theme", *words], obj=project)


def edit(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


def upgrade(project: Project, before: str, after: str) -> None:
    edit(project.default_theme / "templates" / "card.html", before, after)


def card_of(project: Project) -> Path:
    return project.site / "templates" / "card.html"


def originals_of(project: Project) -> dict[str, str]:
    folder = project.site / "theme-originals"
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


def test_changes_of_both_sides_are_shown_and_merged_where_they_do_not_meet(shop: Project) -> None:
    edit(card_of(shop), "<h2>title</h2>", "<h3>title</h3>")
    upgrade(shop, "<p>price</p>", "<p>now price</p>")
    compared = theme(shop, "diff")
    assert [line for line in compared.stdout.splitlines() if line[:1] in "+-"] == [
        "--- original/templates/card.html (0.0.9)",
        "+++ site/templates/card.html",
        "-<h2>title</h2>",
        "+<h3>title</h3>",
        "--- original/templates/card.html (0.0.9)",
        f"+++ default/templates/card.html ({default_version()})",
        "-<p>price</p>",
        "+<p>now price</p>",
    ]
    assert compared.stderr.startswith("templates/card.html: no conflict: spillway theme merge templates/card")
    assert theme(shop, "merge", "templates/card.html").exit_code == 0
    merged = CARD.replace("h2>", "h3>").replace("price", "now price")
    assert card_of(shop).read_text() == merged
    now = CARD.replace("price", "now price")
    assert originals_of(shop) == {f"{default_version()}/templates/card.html": now}
    assert theme(shop, "diff").stderr.startswith(
        "templates/card.html: no conflict: the default theme's file is"
    )


def test_a_place_that_both_changed_is_named_and_left_to_the_merchant(shop: Project) -> None:
    edit(card_of(shop), "<article>\n", "<article>\n<hr>\n")
    edit(card_of(shop), "<p>price</p>", "<b>price</b>")
    upgrade(shop, "<p>price</p>", "<p>now price</p>")
    before = card_of(shop).read_text()
    line = "templates/card.html: look at line 5: the default theme changed the same place"
    assert theme(shop, "diff").stderr.splitlines()[0] == line
    refused = theme(shop, "merge", "templates/card.html")
    assert isinstance(refused.exception, BadInput)
    assert (refused.exception.message, refused.exception.hint) == (line, "edit these lines, then use --done")
    assert card_of(shop).read_text() == before
    assert originals_of(shop) == {"0.0.9/templates/card.html": CARD}
    assert theme(shop, "merge", "templates/card.html", "--done").exit_code == 0
    assert card_of(shop).read_text() == before
    assert "the default theme's file is as it was" in theme(shop, "diff").stderr


def test_a_file_that_the_default_theme_lost_needs_a_look(shop: Project) -> None:
    (shop.default_theme / "templates" / "card.html").unlink()
    assert "look at it: the default theme of " in theme(shop, "diff", "templates/card.html").stderr


def test_a_copy_without_its_original_is_compared_with_the_default_theme(shop: Project) -> None:
    shutil.rmtree(shop.site / "theme-originals")
    edit(card_of(shop), "title", "name")
    compared = theme(shop, "diff")
    assert compared.stdout.startswith("--- default/templates/card.html\n+++ site/templates/card.html\n")
    assert "what was copied is not known" in compared.stderr
    refused = theme(shop, "merge", "templates/card.html")
    assert isinstance(refused.exception, BadInput)
    assert "--done" in refused.exception.hint


def test_a_merge_writes_what_a_link_leads_to(shop: Project) -> None:
    shared = shop.root / "shared.html"
    card_of(shop).rename(shared)
    card_of(shop).symlink_to(shared)
    upgrade(shop, "<p>price</p>", "<p>now price</p>")
    assert theme(shop, "merge", "templates/card.html").exit_code == 0
    assert card_of(shop).is_symlink()
    assert shared.read_text() == CARD.replace("price", "now price")


def test_an_original_that_is_not_utf_8_is_named_with_its_line(shop: Project) -> None:
    (shop.site / "theme-originals/0.0.9/templates/card.html").write_bytes(b"<p>\nCaf\xe9\n")
    refused = theme(shop, "diff").exception
    assert isinstance(refused, BadInput)
    assert refused.message.startswith("site/theme-originals/0.0.9/templates/card.html:2: file = 'Café'")


def test_a_merge_keeps_the_line_endings_of_the_shop(shop: Project) -> None:
    card_of(shop).write_bytes(CARD.replace("title", "name").replace("\n", "\r\n").encode())
    upgrade(shop, "price", "now price")
    assert theme(shop, "merge", "templates/card.html").exit_code == 0
    merged = CARD.replace("title", "name").replace("price", "now price")
    assert card_of(shop).read_bytes() == merged.replace("\n", "\r\n").encode()


TEXTS = st.lists(st.sampled_from("abcd"), max_size=8).map(
    lambda lines: "".join(f"{line}\n" for line in lines)
)


@settings(max_examples=60, deadline=None)
@given(original=TEXTS, own=TEXTS, default=TEXTS)
def test_a_merge_has_the_changes_of_both_whichever_side_made_them(
    original: str, own: str, default: str
) -> None:
    copied = CopiedFile("card", own, Original("1", original), default)
    mirrored = CopiedFile("card", default, Original("1", original), own)
    assert bool(copied.conflicts()) == bool(mirrored.conflicts())
    if not copied.conflicts():
        assert copied.merged() == mirrored.merged()
    assert CopiedFile("card", own, Original("1", original), original).merged() == own
    assert CopiedFile("card", original, Original("1", original), default).merged() == default
    # Interrupted after the shop's file was written, a merge that is repeated changes nothing.
    if not copied.conflicts():
        again = CopiedFile("card", copied.merged(), Original("1", original), default)
        assert again.conflicts() or again.merged() == copied.merged()

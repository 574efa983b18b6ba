"""A shop's own file replaces that of the default theme, and every other file is the default theme's."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from chalicelib.services.dead_letters import QUEUES
from spillway.__main__ import cli
from spillway.errors import BadInput
from spillway.local_cloud.shopper import until
from spillway.project import DEFAULT_THEME, Project
from spillway.sitegen.incremental import FileComparison
from spillway.sitegen.release import Release
from spillway.sitegen.site import build
from spillway.sitegen.theme_files import ThemeFiles
from tests.support.small_shop import make_small_shop


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    """A shop without a file of its own theme."""
    return make_small_shop(tmp_path)


def test_the_merchants_page_has_words_for_each_queue_of_failed_jobs(german_release: Release) -> None:
    for key, first in (("merchant/", "Confirmation emails"), ("de/merchant/", "Bestätigungs-E-Mails")):
        words = json.loads(re.findall(r'id="act-words">([^<]+)<', page(german_release, key))[0])
        named = [words.get(name) for name in QUEUES]
        assert named[0] == first
        assert all(named)


def test_no_two_elements_of_the_merchants_dialogs_have_one_id(shop: Project) -> None:
    (page,) = [item.read().decode() for item in build(shop).objects if item.key == "merchant/"]
    ids = re.findall(r' id="([^"]+)"', page)
    assert "do-file" in ids
    assert sorted(set(ids)) == sorted(ids)


def write(shop: Project, name: str, text: str) -> None:
    file = shop.site / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def page(release: Release, key: str) -> str:
    return next(item for item in release.objects if item.key == key).read().decode()


def default_text(name: str) -> str:
    return (DEFAULT_THEME / name).read_text()


def test_a_file_of_each_kind_replaces_the_one_of_the_default_theme(shop: Project) -> None:
    write(
        shop, "templates/content.html", '{% extends "base.html" %}{% block main %}<h2>Ours</h2>{% endblock %}'
    )
    write(shop, "emails/confirm/subject.txt", "Ours")
    write(shop, "static/shop.js", "ours()")
    write(shop, "static/shop.css", "a{color:red}")
    release = build(shop)
    assert "<h2>Ours</h2>" in page(release, "privacy")
    assert "a{color:red}" in page(release, "privacy")
    templates = release.theme.templates
    assert templates["emails/confirm/subject.txt"] == "Ours"
    assert templates["emails/confirm/body.txt"] == default_text("emails/confirm/body.txt")
    assert templates["product.html"] == default_text("templates/product.html")
    (script,) = (item for item in release.objects if re.match(r"assets/shop-\w+\.js", item.key))
    assert script.read() == b"ours()"
    assert [item.key for item in release.objects if item.key.startswith("assets/search-")]


def test_each_class_of_a_style_sheet_is_one_of_a_page_or_of_a_script() -> None:
    files = [*(DEFAULT_THEME / "templates").glob("*.html"), *(DEFAULT_THEME / "static").glob("*.js")]
    words = set(re.findall(r"[\w-]+", "".join(file.read_text() for file in files)))
    for sheet in (DEFAULT_THEME / "static").glob("*.css"):
        styled = set(re.findall(r"\.([a-z][\w-]*)", re.sub(r"/\*.*?\*/", "", sheet.read_text())))
        assert styled - words == set(), sheet.name


def test_each_page_with_a_field_that_nobody_fills_in_hides_it(shop: Project) -> None:
    pages = {
        item.key: item.read().decode()
        for item in build(shop).objects
        if item.content_type.startswith("text/html")
    }
    trapped = {key for key, text in pages.items() if 'class="trap"' in text}
    assert trapped >= {"products/field-jacket", "waitlist/my-waitlists"}
    assert {key for key, text in pages.items() if ".trap{position:absolute;" in text} >= trapped


def test_the_mark_that_some_editors_put_first_is_part_of_no_page(shop: Project) -> None:
    before = build(shop)
    for name in ("static/shop.css", "templates/card.html", "emails/available/subject.txt"):
        write(shop, name, f"\ufeff{default_text(name)}")
    after = build(shop)
    assert after.theme.templates == before.theme.templates
    assert page(after, "shop/all") == page(before, "shop/all")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            "<p>\n<b>Café</b>".encode("cp1252"),
            "site/templates/card.html:2: file = '<b>Café</b>': expected a text",
        ),
        ("<p>Café".encode("utf-16"), "site/templates/card.html:1: file = 'UTF-16': expected a text in UTF-8"),
    ],
)
def test_a_template_that_is_not_utf_8_is_refused_with_its_line(
    shop: Project, body: bytes, expected: str
) -> None:
    write(shop, "templates/card.html", "")
    (shop.site / "templates/card.html").write_bytes(body)
    with pytest.raises(BadInput) as refused:
        build(shop)
    assert refused.value.message.startswith(expected)


def test_a_picture_of_the_theme_may_have_its_extension_in_capitals(shop: Project) -> None:
    write(shop, "static/BANNER.SVG", "<svg/>")
    release = build(shop)
    (banner,) = [item for item in release.objects if item.key.startswith("assets/BANNER-")]
    assert (banner.key.rpartition(".")[2], banner.content_type) == ("svg", "image/svg+xml")


@pytest.mark.parametrize("name", ["static/shop.css", "templates", "emails"])
def test_a_link_of_the_theme_that_leads_to_nothing_is_named(shop: Project, name: str) -> None:
    link = shop.site / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to("gone")
    with pytest.raises(BadInput, match=f"^{link}: a link to gone, where nothing is$"):
        build(shop)


def test_a_file_of_another_name_is_added(shop: Project) -> None:
    write(shop, "templates/hat.html", "a hat for {{ shop.name }}")
    write(shop, "templates/content.html", '{% include "hat.html" %}{{ asset("hat.svg") }}')
    write(shop, "static/hat.svg", f"<svg>{' ' * 2000}</svg>")
    shown = page(build(shop), "privacy")
    assert shown.startswith("a hat for Heron &amp; Daughters/assets/hat-")


def test_a_template_that_nothing_uses_is_named_with_the_one_it_may_be(shop: Project) -> None:
    write(shop, "templates/prodcut.html", '{% include "hat.html" %}')
    write(shop, "templates/hat.html", "a hat")
    write(shop, "emails/confirm/subjekt.txt", "Ours")
    write(shop, "templates/coat.html", "a coat")
    write(shop, "templates/content.html", '{% include "coat.html" %}')
    assert [note for note in build(shop).notes if "uses it" in note] == [
        "site/templates/hat.html: no page or email uses it",
        "site/templates/prodcut.html: no page or email uses it; did you mean site/templates/product.html?",
        "site/emails/confirm/subjekt.txt: no page or email uses it; "
        "did you mean site/emails/confirm/subject.txt?",
    ]


def test_names_are_in_one_order_wherever_the_files_lie(shop: Project) -> None:
    before = list(ThemeFiles.of(shop).texts().items())
    write(shop, "templates/card.html", default_text("templates/card.html"))
    assert list(ThemeFiles.of(shop).texts().items()) == before


def test_a_template_of_the_default_theme_that_misses_something_is_named_as_such(shop: Project) -> None:
    write(shop, "templates/pieces.html", "")
    with pytest.raises(BadInput, match=r"^templates/\w+\.html:\d+ of the default theme: ") as caught:
        build(shop)
    assert "site/templates" in caught.value.hint


def test_a_file_in_the_place_of_a_folder_is_bad_input(shop: Project) -> None:
    (shop.site / "static").write_text("a file")
    ended = CliRunner().invoke(cli, ["build"], obj=shop)
    assert isinstance(ended.exception, BadInput)
    assert ended.exception.message == f"{shop.site / 'static'}: a file, where a folder belongs"


def test_a_build_is_up_to_date_until_the_default_theme_changes(shop: Project, tmp_path: Path) -> None:
    theme = tmp_path / "theme"
    (theme / "templates").mkdir(parents=True)
    other = Project(shop.root, default_theme=theme)
    before = inputs_of(other)
    (theme / "templates" / "a.html").write_text("a")
    assert inputs_of(other) != before


def inputs_of(project: Project) -> object:
    """Return the signatures of what a build reads, once every file is left alone for long enough."""

    def settled() -> object:
        inputs = FileComparison(project, project.output, base_url=None)._inputs
        return None if any(None in files.values() for files in inputs.values()) else inputs

    return until(settled, "settled files", within_s=10)


def theme(shop: Project, *words: str) -> Result:
    return CliRunner().invoke(cli, ["theme", *words], obj=shop)


def test_a_file_is_copied_once_marked_and_compared_with_the_default(shop: Project) -> None:
    copied = theme(shop, "copy", "templates/card.html")
    assert copied.output.startswith("site/templates/card.html: a copy")
    assert (shop.site / "templates" / "card.html").read_text() == default_text("templates/card.html")
    again = theme(shop, "copy", "site/templates/card.html")
    assert isinstance(again.exception, BadInput)
    assert again.exception.message == "site/templates/card.html: is there already"
    write(shop, "templates/content.html", default_text("templates/content.html") + "<hr>\n")
    write(shop, "static/hat.svg", "<svg/>")
    marked = dict(line.split()[::-1] for line in theme(shop, "list").output.splitlines() if line[0] != " ")
    assert marked == {
        "templates/card.html": "same",
        "templates/content.html": "changed",
        "static/hat.svg": "added",
    }
    compared = theme(shop, "diff").stdout
    assert compared.startswith("--- default/templates/content.html\n+++ site/templates/content.html\n@@")
    assert compared.endswith("+<hr>\n")
    assert theme(shop, "diff", "templates/card.html").stdout == ""


def test_a_file_of_the_default_theme_is_shown_and_a_misspelt_one_is_suggested(shop: Project) -> None:
    assert theme(shop, "show", "emails/frame.html").stdout == default_text("emails/frame.html")
    missing = theme(shop, "show", "templates/crad.html")
    assert isinstance(missing.exception, BadInput)
    assert missing.exception.hint == "did you mean templates/card.html?"

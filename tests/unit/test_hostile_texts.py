"""A page shows any text of a merchant as text, or the build says why it will not."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest

from spillway.project import Project
from spillway.sitegen.reading.toml_input import CatalogueInvalid
from spillway.sitegen.release import Release
from spillway.sitegen.site import build
from tests.support.small_shop import make_small_shop

CLOSING = "</script><script>alert(1)</script>"
TEXTS = {
    "a closing script": CLOSING,
    "a closing title": "</title><img src=x onerror=alert(1)>",
    "quotes": "\" onload=alert(1) x='",
    "a template": "{{ shop.sender }}{% raw %}",
    "right to left": "\u05de\u05e2\u05d9\u05dc \u0645\u0639\u0637\u0641",
    "combining marks": "Z\u0351\u036b\u0343a\u0311lgo \u1112\u1161\u11ab",
    "emoji": "\U0001f9e5\U0001f3fd\u200d\U0001f9f5",
    "an entity": "&lt;b&gt; &amp; &#x27;",
    "a comment": "<!-- --> ]]> <![CDATA[",
}
# Every field that takes any text, with what stands in for its text.
FIELDS = ("title", "summary", "details", "tag", "option", "alt", "description", "headline", "name", "shelf")


def shop_saying(folder: Path, text: str, *fields: str) -> Project:
    """The small shop with `text` in these fields of one product, or of the shop."""
    shop = make_small_shop(folder)
    said = json.dumps(text, ensure_ascii=False)
    jacket, site = shop.site / "products" / "field-jacket.toml", shop.site / "site.toml"
    edits = {
        "title": (jacket, 'title = "Field Jacket"', f"title = {said}"),
        "summary": (jacket, 'summary = "A waxed jacket with four pockets."', f"summary = {said}"),
        "details": (jacket, '["Fabric", "Cotton"]', f'["Fabric", {said}]'),
        "tag": (jacket, '["waxed"]', f"[{said}]"),
        "option": (jacket, 'Colour = "Slate"', f"Colour = {said}"),
        "alt": (jacket, '"A green jacket laid flat"', said),
        "description": (jacket, "Waxed cotton, **heavy**.", text.replace("\\", "\\\\")),
        "headline": (site, '"Made for bad weather"', said),
        "name": (site, '"Heron & Daughters"', said),
        "shelf": (site, '"Outerwear"', said),
    }
    for file, old, new in (edits[field] for field in fields):
        before = file.read_text()
        assert old in before
        file.write_text(before.replace(old, new, 1))
    return shop


class Elements(HTMLParser):
    """Every element a page has, as a browser counts them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(name for name, _ in attrs)))


def elements(release: Release) -> dict[str, list[tuple[str, tuple[str, ...]]]]:
    return {
        object_.key: Elements(object_.read().decode()).found
        for object_ in release.objects
        if object_.content_type.startswith("text/html")
    }


@pytest.fixture(scope="module")
def plain(small_release: Release) -> dict[str, list[tuple[str, tuple[str, ...]]]]:
    return elements(small_release)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_text_in_every_field_adds_no_element_to_any_page(
    tmp_path: Path, plain: dict[str, list[tuple[str, tuple[str, ...]]]], text: str
) -> None:
    wanted = {key: list(found) for key, found in plain.items()}
    wanted["products/field-jacket"].remove(("strong", ()))  # its description's own emphasis is gone
    found = elements(build(shop_saying(tmp_path, text, *FIELDS)))
    # Where the description begins with the summary, the page shows it once.
    once = {**wanted, "products/field-jacket": list(wanted["products/field-jacket"])}
    once["products/field-jacket"].remove(("p", ("class",)))
    assert sorted(found["products/field-jacket"]) in [
        sorted(page["products/field-jacket"]) for page in (wanted, once)
    ]
    assert {**found, "products/field-jacket": []} == {**wanted, "products/field-jacket": []}


@pytest.mark.parametrize("field", ["title", "summary", "alt", "option", "headline"])
def test_a_text_of_ten_thousand_characters_is_refused_with_its_length(tmp_path: Path, field: str) -> None:
    with pytest.raises(CatalogueInvalid, match=r"at most \d+ characters, not 10000"):
        build(shop_saying(tmp_path, "x" * 10_000, field))


@pytest.mark.parametrize("mark", ["\u202e", "\u2066", "\u0000", "\u2028", "\u0085"])
def test_marks_that_turn_or_break_a_line_are_refused(tmp_path: Path, mark: str) -> None:
    with pytest.raises(CatalogueInvalid):
        build(shop_saying(tmp_path, f"a{mark}b", "title"))

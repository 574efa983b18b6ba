"""Own fonts: subset to what the shop's texts can need, and refused with the place of the setting."""

import re
from io import BytesIO
from pathlib import Path

import pytest
from fontTools.ttLib import TTFont

from spillway.project import Project
from spillway.sitegen import fonts
from spillway.sitegen.fonts import FONT_BYTES_MAX, SAFE_CHARACTERS, FontRefused, subset, with_alphabets
from spillway.sitegen.reading.toml_input import CatalogueInvalid
from spillway.sitegen.release import Release
from spillway.sitegen.site import build
from tests.support.fonts import characters_in, make_font
from tests.support.small_shop import SITE, make_small_shop

SETTINGS = """
[theme]
font = "Heron, serif"

[[theme.fonts]]
file = "heron.ttf"
family = "Heron"
"""


def make_shop_with_font(shop: Project, font: bytes, *, title: str = "Wool scarf") -> None:
    make_small_shop(shop.root)
    (shop.site / "fonts").mkdir()
    (shop.site / "fonts" / "heron.ttf").write_bytes(font)
    (shop.site / "site.toml").write_text(f"{SITE}{SETTINGS}")
    file = shop.site / "products" / "scarf.toml"
    file.write_text(re.sub("^title = .*$", f'title = "{title}"', file.read_text(), flags=re.MULTILINE))


def served(release: Release) -> tuple[str, bytes]:
    """Return the path and the bytes of the one font."""
    (path,) = release.source.theme.editions[0].settings.fonts
    (found,) = [item.read() for item in release.objects if f"/{item.key}" == path]
    return path, found


def test_a_subset_has_the_characters_it_is_asked_for_and_keeps_its_licence() -> None:
    made = subset(make_font("abcé漢", licence="OFL"), "ab漢z")
    assert characters_in(made) == "ab漢"
    assert made[:4] == b"wOF2"
    assert TTFont(BytesIO(made))["name"].getDebugName(13) == "OFL"


def test_equal_input_makes_equal_bytes() -> None:
    font = make_font("abc")
    assert subset(font, "ab") == subset(font, "ba")


def test_a_font_that_forbids_subsetting_keeps_its_characters() -> None:
    assert characters_in(subset(make_font("abc", fs_type=0x0100), "a")) == "abc"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "a font that can be read: Not a TrueType or OpenType font"),
        (b"wOF2" + bytes(60), "a font that can be read: brotli"),
        (make_font("abc")[:600], "a font that can be read: "),
        (make_font("漢!"), "a font with letters or digits of the shop's texts; it has none of them"),
    ],
)
def test_a_font_that_cannot_be_served_is_refused_with_its_reason(body: bytes, expected: str) -> None:
    with pytest.raises(FontRefused) as refused:
        subset(body, "abc!")
    assert str(refused.value).startswith(expected)


def test_a_font_that_stays_too_heavy_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    made = len(subset(make_font("abc"), "abc"))
    monkeypatch.setattr(fonts, "FONT_BYTES_MAX", made - 1)
    with pytest.raises(FontRefused, match=f"at most {made - 1} bytes as WOFF2, not {made}"):
        subset(make_font("abc"), "abc")
    assert FONT_BYTES_MAX == 150_000


@pytest.mark.parametrize(
    ("used", "there", "not_there"),
    [
        ("", "Zß€–’“…→\u202f\u00a0", "Łжα漢"),
        ("ł", "ŁŽű", "жα"),
        ("ж", "Ёщґ", "α"),
        ("ά", "Ωώ", "ж"),
        ("漢", "漢", "字"),
    ],
)
def test_an_alphabet_is_kept_whole_once_one_of_its_letters_is_used(
    used: str, there: str, not_there: str
) -> None:
    kept = with_alphabets(frozenset(used))
    assert kept >= set(there)
    assert not kept & set(not_there)
    assert kept >= SAFE_CHARACTERS


def test_a_page_preloads_the_font_of_its_style_with_the_characters_of_the_shop(tmp_path: Path) -> None:
    shop = Project(tmp_path)
    make_shop_with_font(shop, make_font("aZ漢字ж"), title="Scarf 漢")
    release = build(shop)
    path, font = served(release)
    assert characters_in(font) == "Za漢"
    (page,) = [item.read().decode() for item in release.objects if item.key == "privacy"]
    assert f'<link rel="preload" href="{path}" as="font" type="font/woff2" crossorigin>' in page
    assert f'src:url({path}) format("woff2")' in page
    (shop.site / "products" / "scarf.toml").write_text(
        (shop.site / "products" / "scarf.toml").read_text().replace("漢", "字")
    )
    again, changed = served(build(shop))
    assert characters_in(changed) == "Za字"
    assert again != path


def test_a_text_within_the_known_alphabets_does_not_change_the_font(tmp_path: Path) -> None:
    shop = Project(tmp_path)
    make_shop_with_font(shop, make_font("aZq"))
    before = served(build(shop))
    text = (shop.site / "products" / "scarf.toml").read_text()
    (shop.site / "products" / "scarf.toml").write_text(text.replace("Wool scarf", "Quilted scarf, ½ price"))
    assert served(build(shop)) == before


def test_a_broken_font_is_named_with_its_file_and_line(tmp_path: Path) -> None:
    shop = Project(tmp_path)
    make_shop_with_font(shop, b"no font")
    with pytest.raises(CatalogueInvalid) as refused:
        build(shop)
    (mistake,) = refused.value.mistakes
    line = (shop.site / "site.toml").read_text().splitlines().index('file = "heron.ttf"') + 1
    assert (mistake.file, mistake.line, mistake.field) == ("site/site.toml", line, "theme.fonts[0].file")
    assert mistake.value == "heron.ttf"
    assert mistake.expected.startswith("a font that can be read")

"""The settings of the theme: read with their mistakes, checked for contrast, shown by pages and emails."""

import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from chalicelib.storefront.renderer import Renderer, csp_hash
from chalicelib.storefront.theme import HOME, Theme, ThemeSettings
from spillway.project import Project
from spillway.sitegen.fonts import subset
from spillway.sitegen.listings import listings_of, newest_first
from spillway.sitegen.products import Products
from spillway.sitegen.reading.catalogue import Storefront
from spillway.sitegen.reading.loading import load_catalogue
from spillway.sitegen.reading.shop_file import read_storefronts
from spillway.sitegen.reading.theme_section import (
    DARK_PAGE,
    LIGHT_PAGE,
    ThemeSection,
    accent_of,
    accent_problem,
    contrast,
    parse_colour,
)
from spillway.sitegen.reading.toml_input import CatalogueInvalid, InputError
from spillway.sitegen.release import Release
from spillway.sitegen.site import build
from spillway.sitegen.theme_settings import logo_size, styles_of
from spillway.sitegen.theming import TemplateFingerprints
from tests.support.fonts import make_font
from tests.support.small_shop import SITE, THEME, make_small_shop

FONT = make_font("Heron & Daughters")
LOGO = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 90 30"><path d="M0 0h90v30z"/></svg>'
ALL = """
[theme]
accent = "#0B3FD6"
radius = 0
font = "Heron Sans, Helvetica, sans-serif"
heading_font = "'Heron Serif', serif"
fonts = [{ file = "heron.woff2", family = "Heron Sans", weight = "100 900" }]
card_aspect = "1/1"
cards_per_row = 2
sections = ["newest", "text", "hero"]
announcement = "Back on Monday <soon>"
announcement_link = "/products/scarf"
logo = "logo.svg"
logo_dark = "dark.svg"
email_logo = "logo.png"

[home]
text = "## Our own\\n\\nSee [privacy](/privacy)."
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The small shop with every setting."""
    shop = make_small_shop(tmp_path_factory.mktemp("shop"))
    write_files(shop)
    (shop.site / "site.toml").write_text(SITE.replace("\n[home]\n", ALL, 1))
    return build(shop)


def write_files(shop: Project) -> None:
    for folder in ("static", "fonts"):
        (shop.site / folder).mkdir()
    (shop.site / "static" / "logo.svg").write_text(LOGO)
    (shop.site / "static" / "dark.svg").write_text(LOGO.replace("path", "path fill='#fff'"))
    Image.new("RGB", (200, 100)).save(shop.site / "static" / "logo.png")
    (shop.site / "fonts" / "heron.woff2").write_bytes(FONT)


def page(release: Release, key: str) -> str:
    return next(item for item in release.objects if item.key == key).read().decode()


def read(theme: str, site: str = SITE) -> tuple[tuple[Storefront, ...], list[InputError]]:
    mistakes: list[InputError] = []
    text = f"{theme}\n{site}" if theme.startswith("[") else f"[theme]\n{theme}\n"
    before, _, after = site.partition("\n[")
    text = f"{before}\n{text}\n[{after}"
    pages = frozenset({"privacy", "checkout"})
    return read_storefronts(text, site=Path("site"), page_slugs=pages, mistakes=mistakes), mistakes


def section(theme: str) -> ThemeSection:
    (storefront,), mistakes = read(theme)
    assert mistakes == []
    return storefront.theme


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("#000000", "#ffffff", 21.0),
        ("#ffffff", "#ffffff", 1.0),
        # (1 + 0.05) / (L + 0.05): 0x76 is 0.1812 linear, 0x77 is 0.1845; pure red weighs 0.2126, blue 0.0722.
        ("#767676", "#ffffff", 1.05 / 0.2312),
        ("#ffffff", "#777777", 1.05 / 0.2345),
        ("#ff0000", "#ffffff", 1.05 / 0.2626),
        ("#0000ff", "#ffffff", 1.05 / 0.1222),
        ("#00ff00", "#000000", 0.7652 / 0.05),
    ],
)
def test_contrast_is_that_of_wcag(first: str, second: str, expected: float) -> None:
    assert contrast(first, second) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("text", "colour"),
    [
        ("#0bf", "#00bbff"),
        ("#00BBFF", "#00bbff"),
        ("0bf", None),
        ("#00bbf", None),
        ("red", None),
        ("#gggggg", None),
    ],
)
def test_a_colour_has_three_or_six_digits(text: str, colour: str | None) -> None:
    assert parse_colour(text) == colour


COLOURS = st.integers(0, 0xFFFFFF).map(lambda value: f"#{value:06x}")


@settings(max_examples=40, deadline=None)
@given(COLOURS)
def test_each_accent_that_is_accepted_can_be_read_everywhere(colour: str) -> None:
    assume(accent_problem(colour) is None)
    accent = accent_of(colour)
    assert min(contrast(accent.light, background) for background in LIGHT_PAGE) >= 4.5
    assert contrast(accent.on_light, accent.light) >= 4.5
    assert min(contrast(accent.dark, background) for background in DARK_PAGE) >= 7
    assert contrast(accent.on_dark, accent.dark) >= 4.5


@settings(max_examples=40, deadline=None)
@given(COLOURS, st.booleans())
def test_the_colour_that_a_refusal_names_is_accepted_and_barely(colour: str, is_dark: bool) -> None:
    problem = accent_problem(colour, is_dark=is_dark)
    assume(problem)
    nearest = str(problem)[-7:]
    assert accent_problem(nearest, is_dark=is_dark) is None
    assert min(contrast(nearest, background) for background in (DARK_PAGE if is_dark else LIGHT_PAGE)) < 4.7


def test_the_colours_that_are_checked_are_those_of_the_style_sheet() -> None:
    light, dark = re.findall(r":root\{([^}]*)\}", (THEME / "static/shop.css").read_text())
    named = [dict(re.findall(r"--([\w-]+):(#\w+)", rules)) for rules in (light, dark)]
    assert [(colours["paper"], colours["sheet"]) for colours in named] == [LIGHT_PAGE, DARK_PAGE]
    defaults = ThemeSettings()
    assert [(colours["accent"], colours["on-accent"]) for colours in named] == [
        (defaults.accent, defaults.on_accent),
        (defaults.accent_dark, defaults.on_accent_dark),
    ]
    assert defaults.accent in (THEME / "static/icon.svg").read_text()


@pytest.mark.parametrize(
    ("line", "field", "expected"),
    [
        (
            'accent = "#ffcc00"',
            "accent",
            # By hand: 0.9649 / 0.6944, and 0.9649 / 0.2117 = 4.56; one step lighter, #896e00, has 4.494.
            "a light page (#f8f5ef); it has 1.38:1, the nearest that passes is #886d00",
        ),
        ('accent = "blue"', "accent", 'a colour: "#8c3a1c"'),
        ("accent = 7", "accent", 'a colour: "#8c3a1c"'),
        ('accent_dark = "#f0b294"', "accent_dark", "an accent that it belongs to"),
        ("radius = 25", "radius", "a whole number from 0 to 24"),
        ('card_aspect = "4:5"', "card_aspect", 'a width and a height: "4/5", "1/1", "3/2", or others'),
        ('card_aspect = "9/1"', "card_aspect", 'a width and a height: "4/5", "1/1", "3/2", or others'),
        ("cards_per_row = 6", "cards_per_row", "one of 2, 3, 4, 5"),
        ("cards_per_row = true", "cards_per_row", "one of 2, 3, 4, 5"),
        ('sections = ["hero", "blog"]', "sections", "one of hero, featured, categories, text, newest"),
        ('sections = ["hero", "hero"]', "sections", "each section once"),
        ('sections = ["text"]', "sections", "a text of the home page: home.text"),
        ('font = "a;}b"', "font", "names of fonts with commas between them"),
        ('logo = "../logo.svg"', "logo", "the name of a file in site/static"),
        ('logo_dark = "dark.svg"', "logo_dark", "a logo that it belongs to"),
        ('announcement_link = "/privacy"', "announcement_link", "an announcement that it belongs to"),
        (
            'announcement_link = "/nowhere"',
            "announcement_link",
            "the path of a page, a category or a product",
        ),
        ('acent = "#000"', "acent", "a known field; did you mean accent?"),
        ('text = "x"', "text", "a known field; one of accent, accent_dark, announcement, announcement_link"),
    ],
)
def test_a_bad_setting_is_named_with_its_line_and_what_is_allowed(
    line: str, field: str, expected: str
) -> None:
    _, mistakes = read(line)
    found = next(item for item in mistakes if item.field == f"theme.{field}" and expected in item.expected)
    assert (found.file, found.line) == ("site/site.toml", SITE.partition("\n[")[0].count("\n") + 3)


@pytest.mark.parametrize(
    ("row", "field", "expected"),
    [
        ('family = "Other"', "family", "a family that font or heading_font names"),
        (
            'family = "Inter"\nweight = "bold"',
            "weight",
            'a weight, or the range of a variable font: 400, "100 900"',
        ),
        ('family = "Inter"\nstyle = "oblique"', "style", "normal or italic"),
        ('family = "Inter"\nsize = 1', "size", "a known field; one of family, file, style, weight"),
    ],
)
def test_a_bad_font_is_named_by_its_row(row: str, field: str, expected: str) -> None:
    _, mistakes = read(f'font = "Inter, serif"\n[[theme.fonts]]\nfile = "inter.woff2"\n{row}')
    assert [(item.field, item.expected) for item in mistakes] == [(f"theme.fonts[0].{field}", expected)]


def test_a_shop_without_settings_adds_no_rule_of_style() -> None:
    assert styles_of(section(""), {}) == ""


def test_the_accent_of_a_dark_page_is_derived_or_stated() -> None:
    assert styles_of(section('accent = "#8c3a1c"\naccent_dark = "#f0b294"'), {}).endswith(
        "@media (prefers-color-scheme:dark){:root{--accent:#f0b294;--on-accent:#3e2e26}}\n"
    )
    derived = section('accent = "#0b3fd6"').accent
    assert derived == ("#0b3fd6", "#fffdf9", "#8ea6ec", "#191d2a")


def test_an_announcement_is_translated_and_keeps_its_link() -> None:
    site = SITE.replace('["en-GB"]', '["en-GB", "de"]') + '\n[de.theme]\nannouncement = "Zu"\n'
    storefronts, mistakes = read('announcement = "Closed"\nannouncement_link = "/privacy"', site)
    assert mistakes == []
    assert [item.theme.announcement for item in storefronts] == ["Closed", "Zu"]
    assert {item.theme.announcement_link for item in storefronts} == {"/privacy"}
    _, mistakes = read("", site)
    assert [item.field for item in mistakes] == ["de.theme.announcement"]


@pytest.mark.parametrize(
    ("line", "file", "content", "expected"),
    [
        ('logo = "l.svg"', None, b"", "the name of a file in site/static"),
        ('logo = "logo.svg"', "static/Logo.svg", b"", "in site/static; did you mean Logo.svg?"),
        (
            'font = "A"\nfonts = [{file = "avenir.woff", family = "A"}]',
            *("fonts/avenir.woff2", b"", "in site/fonts; did you mean avenir.woff2?"),
        ),
        (
            'logo = "l.gif"',
            "static/l.gif",
            b"GIF89a",
            "a file of one of the kinds .svg, .png, .jpg, .jpeg, .webp",
        ),
        ('logo = "l.svg"', "static/l.svg", b"<svg></svg>", "a picture that states its size"),
        ('logo = "l.png"', "static/l.png", b"no picture", "a picture that states its size"),
        ('logo = "l.svg"', "static/l.svg", b" " * 100_001, "a file of at most 100000 bytes, not 100001"),
        ('email_logo = "l.svg"', "static/l.svg", LOGO.encode(), "a PNG or JPEG file"),
        ('announcement = "A"\nannouncement_link = "/products/hat"', None, b"", "the path of a product"),
        (
            'font = "A"\nfonts = [{file = "a.woff2", family = "A"}]',
            None,
            b"",
            "the name of a file in site/fonts",
        ),
        (
            'font = "A"\nfonts = [{file = "a.eot", family = "A"}]',
            "fonts/a.eot",
            b"\0\1\0\0",
            "a font of one of the kinds .woff2, .woff, .ttf, .otf",
        ),
        (
            'font = "A"\nfonts = [{file = "../pages/privacy.md", family = "A"}]',
            None,
            b"",
            "the name of a file in site/fonts",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, line: str, file: str | None, content: bytes, expected: str
) -> None:
    shop = make_small_shop(tmp_path)
    if file:
        (shop.site / file).parent.mkdir(exist_ok=True)
        (shop.site / file).write_bytes(content)
    (shop.site / "site.toml").write_text(f"{SITE}\n[theme]\n{line}\n")
    with pytest.raises(CatalogueInvalid) as raised:
        load_catalogue(shop)
    (mistake,) = raised.value.mistakes
    assert mistake.field.startswith("theme.")
    assert mistake.line is not None
    assert expected in mistake.expected


@pytest.mark.parametrize(
    ("head", "size"),
    [
        ('<svg width="80px" height="20">', (80, 20)),
        ("<svg viewBox='0 0 90 30'>", (90, 30)),
        ('<?xml version="1.0"?>\n<svg\n viewBox="-1,-2,4.5,9"\n>', (4.5, 9)),
        ('<svg width="100%" height="100%" viewBox="0 0 3 4">', (3, 4)),
        ('<svg width="1.2.3" height="2">', None),
        ("<svg>", None),
        ("", None),
    ],
)
def test_the_size_of_a_vector_logo_is_read(
    tmp_path: Path, head: str, size: tuple[float, float] | None
) -> None:
    file = tmp_path / "logo.svg"
    file.write_text(head)
    assert logo_size(file) == size


def test_settings_become_custom_properties_at_the_end_of_the_style_sheet(built: Release) -> None:
    theme = built.source.theme
    styles = theme.templates["static/shop.css"]
    added = styles.removeprefix((THEME / "static/shop.css").read_text())
    font = theme.editions[0].settings.fonts[0]
    assert added == (
        ":root{--accent:#0b3fd6;--on-accent:#fffdf9;--radius:0px;"
        '--sans:"Heron Sans","Helvetica",sans-serif;--serif:"Heron Serif",serif;--card:1/1;--row:2;--mid:2}\n'
        "@media (prefers-color-scheme:dark){:root{--accent:#8ea6ec;--on-accent:#191d2a}}\n"
        f'@font-face{{font-family:"Heron Sans";src:url({font}) format("woff2");'
        "font-weight:100 900;font-style:normal;font-display:swap}\n"
    )
    for name, text in theme.templates.items():
        if name != "static/shop.css":
            folder = "" if name.startswith(("emails/", "static/")) else "templates/"
            assert text == (THEME / f"{folder}{name}").read_text()


def test_a_page_allows_the_styles_of_its_settings_and_preloads_its_font(built: Release) -> None:
    html = page(built, "privacy")
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    assert "--radius:0px" in style
    assert f"style-src '{csp_hash(style)}'; script-src 'self'" in html
    (font,) = built.source.theme.editions[0].settings.fonts
    assert f'<link rel="preload" href="{font}" as="font" type="font/woff2" crossorigin>' in html
    (served,) = [item.read() for item in built.objects if f"/{item.key}" == font]
    assert served == subset(FONT, "Heron & Daughters")


def test_a_page_shows_the_logo_and_the_announcement(built: Release) -> None:
    html = page(built, "privacy")
    logo = built.source.theme.editions[0].settings.logo
    assert logo
    assert (logo.width, logo.height) == (120, 40)
    assert (
        f'<source srcset="{logo.dark_url}" media="(prefers-color-scheme:dark)">'
        f'<img src="{logo.url}" width="120" height="40" alt="Heron &amp; Daughters"></picture></a>'
    ) in html
    assert page(built, logo.url[1:]) == LOGO
    assert '<a href="/products/scarf">Back on Monday &lt;soon&gt;</a>' in html


def test_the_home_page_has_the_sections_in_the_order_of_the_shop(built: Release) -> None:
    html = page(built, "index.html")
    assert re.findall(r'id="(newest|featured|categories)"|<section class="(\w+)', html) == [
        ("newest", ""),
        ("", "words"),
        ("", "hero"),
    ]
    assert html.count('<li class="card" ') == 2
    assert '<h2>Our own</h2>\n<p>See <a href="/privacy">privacy</a>.</p>' in html
    assert 'sizes="(min-width:64rem) 36rem, (min-width:40rem) 46vw, 46vw"' in html


def test_the_icon_and_the_organization_follow_the_settings(built: Release) -> None:
    (icon,) = (item.read().decode() for item in built.objects if item.key.startswith("assets/icon-"))
    assert 'fill="#0b3fd6"' in icon
    (found,) = re.findall(r'<script type="application/ld\+json">(.*?)</script>', page(built, "index.html"))
    logo = built.source.theme.editions[0].settings.logo
    assert json.loads(found) == {
        "@context": "https://schema.org",
        "@type": "Organization",
        "name": "Heron & Daughters",
        "url": "https://www.heron.example/",
        "logo": f"https://www.heron.example{logo.url if logo else None}",
    }


def test_an_email_has_the_accent_and_the_logo_that_mail_programs_show(built: Release) -> None:
    html = Renderer(built.source.theme).email("my-waitlists", action_url="https://x.example").html
    logo = built.source.theme.editions[0].settings.email_logo
    assert logo
    assert (logo.width, logo.height) == (80, 40)
    assert f'<img src="https://www.heron.example{logo.url}" width="80" height="40"' in html
    assert "background:#0b3fd6;mso-padding-alt" in html
    assert ".button{background:#8ea6ec!important}" in html
    assert "#8c3a1c" not in html


def test_the_cloud_renders_the_same_pages_from_the_stored_theme(built: Release) -> None:
    theme = built.source.theme
    stored = Theme.from_json(theme.to_json())
    assert stored == theme
    home = theme.editions[0].listings[0]
    products = {slug: built.source.products.named(slug).product for slug in home.slugs}
    for renderer in (Renderer(theme), Renderer(stored)):
        cards = {slug: partial(renderer.card, product, {}) for slug, product in products.items()}
        html = renderer.listing(home, cards)
        assert html.count('<li class="card" ') == 2
        del cards[home.slugs[0]]
        assert products[home.slugs[0]].title not in renderer.listing(home, cards)
        assert products[home.slugs[1]].title in renderer.listing(home, cards)


def test_a_theme_of_before_it_had_settings_looks_as_it_did(built: Release) -> None:
    document = json.loads(built.source.theme.to_json())
    for edition in document["editions"]:
        del edition["settings"]
        for listing in edition["listings"]:
            for name in ("featured", "newest", "text_html"):
                del listing[name]
    theme = Theme.from_json(json.dumps(document))
    (edition,) = theme.editions
    assert edition.settings == ThemeSettings(related=False)
    home = next(listing for listing in edition.listings if listing.path == HOME)
    renderer = Renderer(theme)
    products = {slug: built.source.products.named(slug).product for slug in home.slugs}
    html = renderer.listing(home, {slug: partial(renderer.card, item, {}) for slug, item in products.items()})
    assert html.count('<li class="card" ') == 2
    assert '<h2 id="featured">' in html


def test_a_changed_setting_renders_pages_again_and_compiles_their_templates_again(built: Release) -> None:
    theme = built.source.theme
    edition = theme.editions[0]
    other = replace(edition, settings=replace(edition.settings, announcement="Open again"))
    assert "Open again" in Renderer(replace(theme, editions=(other,))).page("link-problem.html")
    assert "Open again" not in Renderer(theme).page("link-problem.html")
    digests = {TemplateFingerprints(theme, shown).digest("content.html") for shown in (edition, other)}
    assert len(digests) == 2


def test_the_newest_products_are_on_the_home_page_once_where_none_are_featured(tmp_path: Path) -> None:
    shop = make_small_shop(tmp_path)
    site = SITE.replace('featured = ["field-jacket", "scarf"]\n', "")
    pages = []
    for sections in ('["featured"]', '["featured", "newest"]'):
        (shop.site / "site.toml").write_text(f"{site}\n[theme]\nsections = {sections}\n")
        catalogue = load_catalogue(shop)
        products = Products(catalogue.rows, catalogue.pictures, {}, related={})
        pages.append(listings_of(catalogue.storefront, newest_first(catalogue.rows), products, None)[0])
    newest = ("field-jacket", "scarf")
    assert [(page.slugs, page.featured, page.newest) for page in pages] == [
        (newest, newest, ()),
        (newest, (), newest),
    ]

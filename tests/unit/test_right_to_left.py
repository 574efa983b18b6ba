"""A shop in Arabic, Hebrew or Persian runs from right to left: pages, emails and old addresses."""

import re
from pathlib import Path

import pytest

from chalicelib.storefront.renderer import Renderer
from chalicelib.storefront.theme import Theme
from spillway.sitegen.reading.locales import direction_of_locale
from spillway.sitegen.release import Release
from spillway.sitegen.site import build
from tests.support.small_shop import THEME, make_small_shop

RIGHT_TO_LEFT = (
    "ar",
    "he",
    "fa",
    "ar-EG",
    "fa-AF",
    "ur",
    "ps",
    "dv",
    "yi",
    "ckb",
    "sd",
    "az-Arab",
    "uz-Arab-AF",
)
LEFT_TO_RIGHT = ("en-GB", "de", "az", "ar-Latn", "ku", "zh-Hant", "")


@pytest.mark.parametrize("locale", RIGHT_TO_LEFT)
def test_a_locale_runs_right_to_left_as_its_script_does(locale: str) -> None:
    assert direction_of_locale(locale) == "rtl"


@pytest.mark.parametrize("locale", LEFT_TO_RIGHT)
def test_locales_of_left_to_right_scripts_are_marked_so(locale: str) -> None:
    assert direction_of_locale(locale) == "ltr"


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The small shop, in English and in Arabic, with an old address."""
    shop = make_small_shop(tmp_path_factory.mktemp("shop"))
    file = shop.site / "site.toml"
    file.write_text(file.read_text().replace('["en-GB"]', '["en-GB", "ar-EG"]'))
    (shop.site / "redirects.toml").write_text('[redirects]\n"/ar-eg/old" = "/ar-eg/privacy"\n')
    return build(shop)


@pytest.fixture(scope="module")
def pages(release: Release) -> dict[str, str]:
    return {
        object_.key: object_.read().decode()
        for object_ in release.objects
        if object_.content_type.startswith("text/html")
    }


def test_every_page_of_the_edition_says_its_direction_and_no_other_does(pages: dict[str, str]) -> None:
    arabic = {key for key in pages if key.split("/")[0] == "ar-eg"}
    assert {"ar-eg", "ar-eg/products/scarf", "ar-eg/shop/all", "ar-eg/old"} <= arabic
    for key, text in pages.items():
        opening = '<html lang="ar-EG" dir="rtl">' if key in arabic else '<html lang="en-GB">'
        assert opening in text, key


def test_a_page_in_the_first_language_keeps_the_direction_of_that_language(pages: dict[str, str]) -> None:
    assert '<article class="words page" lang="en-GB" dir="ltr">' in pages["ar-eg/privacy"]
    assert '<article class="words page">' in pages["privacy"]


def test_emails_say_their_direction_where_mail_programs_keep_it(release: Release) -> None:
    theme: Theme = Theme.from_json(release.theme.to_json())
    product = release.products.named("field-jacket").product
    variant = product.variants[0]
    for renderer, locale, direction in zip(
        Renderer(theme).editions, ("en-GB", "ar-EG"), ("ltr", "rtl"), strict=True
    ):
        for name in ("confirm", "already", "available"):
            email = renderer.product_email(
                name, product=product, variant=variant, action_url="-", unsubscribe_url="-"
            )
            assert f'<html lang="{locale}" dir="{direction}">' in email.html
            # Web mail drops <html>: its first element says it again.
            assert f'<div role="main" lang="{locale}" dir="{direction}">' in email.html
            assert re.search(r'<(strong|span) dir="auto">Field Jacket</\1>', email.html)
            assert '<span dir="auto">Moss, S</span>' in email.html
        assert f'dir="{direction}"' in renderer.email("my-waitlists", action_url="-").html


def test_a_sentence_without_a_translation_keeps_its_own_direction_in_an_email(release: Release) -> None:
    product = release.products.named("field-jacket").product
    english, arabic = (
        [
            renderer.product_email(
                name, product=product, variant=product.variants[0], action_url="-", unsubscribe_url="-"
            ).html
            for name in ("confirm", "already", "available")
        ]
        + [renderer.email("my-waitlists", action_url="-").html]
        for renderer in Renderer(release.theme).editions
    )

    for html in arabic:
        sentences = re.findall(r'<(?:h1|p|a class="label") [^>]*>(?=[A-Z][a-z])[^<]*', html)
        assert len(sentences) >= 3
        assert [sentence for sentence in sentences if "unicode-bidi:plaintext" not in sentence] == []
    assert not any("unicode-bidi" in html for html in english)


def test_styles_name_no_left_and_no_right() -> None:
    styles = (THEME / "static/shop.css").read_text()
    emails = [file.read_text() for file in sorted(Path(THEME / "emails").rglob("*.html"))]

    assert re.findall(r"(?<![\w-])(?:margin-|padding-|border-)?(?:left|right)\s*:", styles) == []
    assert re.findall(r"(?:text-align|float|clear)\s*:\s*(?:left|right)", styles) == []
    # Four values that differ between the sides turn nothing around.
    value = r"([^ ;}\"]+)"
    four = rf"(?:margin|padding):{value} {value} {value} {value}[;}}\"]"
    sides = re.findall(four, "".join([styles, *emails]))
    assert [side for side in sides if side[1] != side[3]] == []
    assert not any(
        re.search(r"(?:align=\"(?:left|right)\"|text-align:(?:left|right))", email) for email in emails
    )

"""Pictures of a shop: under any name, broken, or not there at all."""

import json
import re
import unicodedata
from html import unescape
from io import BytesIO
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from spillway.__main__ import cli
from spillway.project import Project
from spillway.sitegen.preview import PreviewedShop
from spillway.sitegen.reading.toml_input import CatalogueInvalid
from spillway.sitegen.release import Release
from spillway.sitegen.site import build
from tests.support.small_shop import make_small_shop
from tests.unit.test_preview import ask

NAMES = [
    "a, b.webp",
    "100%25.webp",
    "q?x.webp",
    "h#1.webp",
    "back\\slash.webp",
    "a+b.webp",
    "two  spaces .webp",
    'it\'s "quoted" & <b>.webp',
    "Größe é 上衣.webp",
    "🧥.webp",
    f"{'x' * 240}.webp",
    "same.webp",
    "same.png",
    "no suffix",
]


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    return make_small_shop(tmp_path)


def name_picture(shop: Project, name: str, colour: str = "red") -> None:
    """Give the scarf its picture under another name."""
    Image.new("RGB", (400, 500), colour).save(shop.site / "pictures" / name, "PNG")
    file = shop.site / "products/scarf.toml"
    file.write_text(file.read_text().replace('"scarf.webp"', json.dumps(name, ensure_ascii=False)))


def test_a_picture_as_thin_as_a_line_is_shown(shop: Project) -> None:
    name_picture(shop, "line.png")
    Image.new("RGB", (20_000, 20), "red").save(shop.site / "pictures/line.png")
    sizes = {Image.open(BytesIO(item.read())).size for item in build(shop).objects if "/line-" in item.key}
    assert {(320, 1), (960, 1), (1600, 2)} <= sizes


def page(release: Release, key: str) -> str:
    return next(object_ for object_ in release.objects if object_.key == key).read().decode()


def addresses_of(text: str) -> set[str]:
    """Every address of a picture on a product's page, however it is said."""
    base_url = "https://www.heron.example"
    document = json.loads(re.findall(r'<script type="application/ld\+json">(.*?)</script>', text)[0])
    srcsets = [unescape(found) for found in re.findall(r'srcset="([^"]*)"', text)]
    return {
        *(part.split(" ")[0] for srcset in srcsets for part in srcset.split(", ")),
        *re.findall(r'<img src="(/[^"]*)"', text),
        *(found.removeprefix(base_url) for found in re.findall(r'"og:image" content="([^"]*)"', text)),
        *(item.removeprefix(base_url) for item in document["image"]),
    }


def test_pictures_of_any_name_have_one_plain_address_everywhere(shop: Project) -> None:
    for number, name in enumerate(NAMES):
        Image.new("RGB", (400, 500), (number * 15, 0, 0)).save(shop.site / "pictures" / name, "PNG")
    for slug, names in (("scarf", NAMES[:7]), ("field-jacket", NAMES[7:])):
        file = shop.site / f"products/{slug}.toml"
        before, _, after = file.read_text().partition("[[pictures]]")
        rows = [f'[[pictures]]\nfile = {json.dumps(name, ensure_ascii=False)}\nalt = "A"\n' for name in names]
        file.write_text(before + "".join(rows) + "[[variants]]" + after.partition("[[variants]]")[2])

    release = build(shop)

    keys = {object_.key for object_ in release.objects}
    plain = re.compile(r"/pictures/[A-Za-z0-9-]{1,60}-(320|400)-[0-9a-f]{10}\.[a-z]+")
    for slug in ("scarf", "field-jacket"):
        addresses = addresses_of(page(release, f"products/{slug}"))
        assert len(addresses) == 21  # of each picture, AVIF, WebP and JPEG in the one width there is
        assert {address.removeprefix("/") for address in addresses} <= keys
        assert all(plain.fullmatch(address) for address in addresses)


def test_the_preview_serves_pictures_of_odd_names(shop: Project) -> None:
    name_picture(shop, "a, b#1?100%25.webp")
    preview = PreviewedShop(shop, base_url="https://www.heron.example")
    preview.rebuild_if_changed()

    for address in addresses_of(ask(preview, "/products/scarf").text):
        answer = ask(preview, address)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("image/")


def test_files_alike_but_for_odd_signs_stay_apart(shop: Project) -> None:
    Image.new("RGB", (400, 500), "blue").save(shop.site / "pictures" / "a?b.webp", "PNG")
    name_picture(shop, "a!b.webp", "red")
    jacket = shop.site / "products/field-jacket.toml"
    jacket.write_text(jacket.read_text().replace('"jacket.webp"', '"a?b.webp"'))

    release = build(shop)

    jpegs = {
        object_.key: object_ for object_ in release.objects if re.match(r"pictures/a-b-.*jpg", object_.key)
    }
    colours = {Image.open(BytesIO(jpeg.read())).getpixel((0, 0)) for jpeg in jpegs.values()}
    assert colours == {(0, 0, 254), (254, 0, 0)}


@pytest.mark.parametrize(("written", "on_disk"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_written_in_the_other_way_name_the_same_file(
    shop: Project, written: str, on_disk: str
) -> None:
    Image.new("RGB", (400, 500), "red").save(
        shop.site / "pictures" / unicodedata.normalize(on_disk, "écharpe.png")
    )
    file = shop.site / "products/scarf.toml"
    name = unicodedata.normalize(written, "écharpe.png")
    file.write_text(file.read_text().replace("scarf.webp", name))

    assert "/pictures/echarpe-400-" in page(build(shop), "products/scarf")


def break_off(shop: Project, name: str) -> None:
    file = shop.site / "pictures" / name
    Image.effect_noise((400, 500), 80).convert("RGB").save(file, "JPEG")
    file.write_bytes(file.read_bytes()[:5000])


def test_a_picture_that_breaks_off_is_named_with_every_place_that_shows_it(shop: Project) -> None:
    break_off(shop, "jacket.webp")
    scarf = shop.site / "products/scarf.toml"
    scarf.write_text(scarf.read_text().replace("scarf.webp", "jacket.webp"))

    with pytest.raises(CatalogueInvalid) as caught:
        build(shop)

    assert [
        (mistake.file, mistake.line, mistake.field, mistake.value) for mistake in caught.value.mistakes
    ] == [
        ("site/products/field-jacket.toml", 16, "pictures[0].file", "jacket.webp"),
        ("site/products/scarf.toml", 8, "pictures[0].file", "jacket.webp"),
    ]
    assert "this one is damaged (image file is truncated" in caught.value.mistakes[0].expected


def test_the_command_goes_on_without_broken_pictures_and_lists_them(shop: Project) -> None:
    break_off(shop, "jacket.webp")
    (shop.site / "pictures/hero.webp").unlink()

    refused = CliRunner().invoke(cli, ["build"], obj=shop)
    assert isinstance(refused.exception, CatalogueInvalid)
    assert refused.exception.exit_code == 2
    assert "site/site.toml:24: home.picture = 'hero.webp'" in refused.exception.message
    for _ in range(2):  # the second finds that nothing changed
        result = CliRunner().invoke(cli, ["build", "--skip-broken-pictures"], obj=shop)
        assert result.exit_code == 0, result.output
        listed = result.output.partition("2 pictures left out:\n")[2].splitlines()
        assert [item.split(": ")[0].strip() for item in listed] == [
            "site/site.toml:24",
            "site/products/field-jacket.toml:16",
        ]
    jacket = (shop.output / "site/products/field-jacket").read_text()
    assert '<span class="blank" aria-hidden="true"><span>F</span></span>' in jacket
    assert "/pictures/" not in jacket
    assert '<section class="hero plain">' in (shop.output / "site/index.html").read_text()
    assert isinstance(CliRunner().invoke(cli, ["build"], obj=shop).exception, CatalogueInvalid)


def test_a_product_without_a_picture_shows_its_first_email_and_no_broken_picture(shop: Project) -> None:
    file = shop.site / "products/scarf.toml"
    before, _, after = file.read_text().partition("[[pictures]]")
    file.write_text(before + "[[variants]]" + after.partition("[[variants]]")[2])

    release = build(shop)

    scarf = page(release, "products/scarf")
    assert '<span class="blank" aria-hidden="true"><span>W</span></span>' in scarf
    assert "og:image" not in scarf
    assert "<img" not in scarf
    assert '<span class="blank" aria-hidden="true"><span>W</span></span>' in page(release, "shop/accessories")
    assert '<span class="blank" aria-hidden="true"><span>A</span></span>' in page(release, "index.html")


def test_surprising_properties_of_a_picture_are_reported(shop: Project) -> None:
    Image.new("RGB", (400, 500), "red").save(shop.site / "pictures/scarf.webp", "PNG", icc_profile=b"nothing")
    said = "site/pictures/scarf.webp: its colour profile is damaged, sRGB is assumed"

    assert build(shop).notes == (said,)
    assert build(shop).notes == (said,)
    assert said in CliRunner().invoke(cli, ["build"], obj=shop).output

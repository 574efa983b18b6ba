"""Pictures of an import: found by their path, judged by the build, and never another product's."""

import re
from pathlib import Path

import pytest
from PIL import Image

from spillway.importing.picture_finder import PictureFinder, PictureFolders
from spillway.importing.report import ImportReport
from spillway.project import Project
from spillway.sitegen.reading.loading import load_catalogue
from tests.support.importing import import_products, lines_of, product, variant
from tests.support.small_shop import make_small_shop

CDN = "https://cdn.shopify.com/s/files/1/0533/2089/files"


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    return make_small_shop(tmp_path / "shop")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    return folder


def paint(file: Path, colour: str, *, size: tuple[int, int] = (400, 500), mode: str = "RGB") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).convert(mode).save(file)
    return file


def colour_of(shop: Project, slug: str) -> str | None:
    """The colour of a product's first picture, by what its pixels are."""
    row = next(row for row in load_catalogue(shop).rows if row.slug == slug)
    if not row.image_names:
        return None
    with Image.open(shop.site / "pictures" / row.image_names[0]) as image:
        red, green, blue = image.convert("RGB").getpixel((0, 0))  # type: ignore[misc]
    named = {"red": red > 200 and blue < 99, "blue": blue > 200 and red < 99, "green": 99 < green < 200}
    return next((name for name, fits in named.items() if fits), "another")


def importing(
    shop: Project, images: Path | None, *pictures: tuple[str, str], **options: bool
) -> ImportReport:
    """Import a product for each (handle, address of its picture)."""
    products = [product(handle, variant(handle.upper()), pictures=[url]) for handle, url in pictures]
    return import_products(shop, products, images=images, **options)


@pytest.mark.parametrize("backwards", [False, True])
def test_pictures_of_one_name_in_several_folders_stay_apart(
    shop: Project, images: Path, *, backwards: bool
) -> None:
    paint(images / "1001/main.jpg", "red")
    paint(images / "1002/main.jpg", "blue")
    wanted = [("a", "https://x.example/1001/main.jpg"), ("b", "https://x.example/1002/main.jpg")]
    importing(shop, images, *wanted[:: -1 if backwards else 1])
    assert (colour_of(shop, "a"), colour_of(shop, "b")) == ("red", "blue")
    importing(shop, None, *wanted)
    assert (colour_of(shop, "a"), colour_of(shop, "b")) == ("red", "blue")


def test_one_file_for_several_addresses_is_nobodys(shop: Project, images: Path) -> None:
    paint(images / "main.jpg", "red")
    report = importing(
        shop, images, ("a", "https://x.example/1001/main.jpg"), ("b", "https://x.example/1002/main.jpg")
    )
    assert colour_of(shop, "a") is colour_of(shop, "b") is None
    assert len(lines_of(report, "with one file for all of them")) == 2


def test_a_file_belongs_to_the_address_it_fits_best(shop: Project, images: Path) -> None:
    paint(images / "1001/main.jpg", "red")
    importing(
        shop, images, ("a", "https://x.example/1001/main.jpg"), ("b", "https://x.example/1002/main.jpg")
    )
    assert (colour_of(shop, "a"), colour_of(shop, "b")) == ("red", None)


@pytest.mark.parametrize(
    ("file", "url"),
    [
        ("mug.jpg", f"{CDN}/mug_grande.jpg?v=1700000000"),
        ("mug.jpg", f"{CDN}/mug_2048x2048.jpg"),
        ("mug.jpg", f"{CDN}/mug_800x.jpg?v=1&width=800"),
        ("mug.jpg", f"{CDN}/mug_x600_crop_center@2x.jpg"),
        ("mug_800x.jpg", f"{CDN}/mug.jpg"),
        ("Mug.JPG", f"{CDN}/mug.jpg"),
        ("mug.jpeg", f"{CDN}/mug.jpg"),
        ("mug.png", f"{CDN}/mug.jpg"),
        ("red mug.jpg", f"{CDN}/red%20mug.jpg"),
        ("red_mug.jpg", f"{CDN}/red+mug.jpg"),
        ("Größe.jpg", f"{CDN}/Gro%CC%88%C3%9Fe.jpg"),
        ("mug-scaled.jpg", "https://woo.example/wp-content/uploads/2024/01/mug-300x300.jpg"),
        ("100%25.jpg", "100%25.jpg"),
        ("mug.jpg", "pictures\\mug.jpg"),
    ],
)
def test_a_picture_is_found_whatever_a_server_made_of_its_name(
    shop: Project, images: Path, file: str, url: str
) -> None:
    paint(images / file, "red")
    paint(images / "other.jpg", "blue")
    importing(shop, images, ("a", url))
    assert colour_of(shop, "a") == "red"


def test_sizes_of_one_picture_share_its_file_but_two_files_of_two_sizes_are_two_pictures(
    shop: Project, images: Path
) -> None:
    paint(images / "rug_200x300.jpg", "red")
    paint(images / "rug_300x400.jpg", "blue")
    paint(images / "mug.jpg", "green")
    importing(
        shop,
        images,
        ("a", f"{CDN}/rug_200x300.jpg"),
        ("b", f"{CDN}/rug_300x400.jpg"),
        ("c", f"{CDN}/mug_grande.jpg"),
        ("d", f"{CDN}/mug.jpg"),
    )
    assert [colour_of(shop, slug) for slug in "abcd"] == ["red", "blue", "green", "green"]


def test_a_picture_of_the_shop_is_kept_and_said_and_overwrite_replaces_it(
    shop: Project, images: Path
) -> None:
    hero = shop.site / "pictures/hero.webp"
    before = hero.read_bytes()
    paint(images / "hero.webp", "red")
    for _ in range(2):
        report = importing(shop, images, ("a", f"{CDN}/hero.webp"))
        assert hero.read_bytes() == before
        assert colour_of(shop, "a") == "red"
        (line,) = lines_of(report, "with the name of an imported one, kept")
        assert re.search(
            r"hero.webp: is another picture: kept, the imported one is hero-[0-9a-f]{8}.webp", line
        )
    report = importing(shop, images, ("a", f"{CDN}/hero.webp"), overwrite=True)
    assert hero.read_bytes() == (images / "hero.webp").read_bytes()
    assert lines_of(report, "replaced") == ["site/pictures/hero.webp"]


def test_a_newer_picture_replaces_the_imported_one_but_not_an_edited_one(shop: Project, images: Path) -> None:
    paint(images / "mug.png", "red")
    importing(shop, images, ("a", f"{CDN}/mug.png"))
    paint(images / "mug.png", "blue")
    importing(shop, images, ("a", f"{CDN}/mug.png"))
    assert colour_of(shop, "a") == "blue"
    paint(shop.site / "pictures/mug.png", "green")
    report = importing(shop, images, ("a", f"{CDN}/mug.png"))
    assert colour_of(shop, "a") == "green"
    assert lines_of(report, "edited since the last import")


def test_each_picture_is_judged_by_the_build_and_the_others_are_taken(shop: Project, images: Path) -> None:
    paint(images / "good.jpg", "red")
    paint(images / "cmyk.jpg", "red", mode="CMYK")
    paint(images / "small.png", "red", size=(200, 200))
    whole = paint(images / "whole.jpg", "red", size=(900, 900)).read_bytes()
    (images / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (images / "page.jpg").write_bytes(b"<html>404</html>")
    (images / "empty.png").write_bytes(b"")
    names = ["good.jpg", "cmyk.jpg", "small.png", "cut.jpg", "page.jpg", "empty.png"]
    report = importing(shop, images, *((name.partition(".")[0], f"{CDN}/{name}") for name in names))
    taken = {row.slug for row in load_catalogue(shop).rows if row.image_names} - {"field-jacket", "scarf"}
    assert taken == {"good", "cmyk"}
    lines = lines_of(report, "pictures that a page cannot show")
    assert [line.partition(": ")[2].partition(":")[0] for line in sorted(lines)] == [
        "cut",
        "empty",
        "page",
        "small",
    ]
    assert "small.png: expected at least 320 pixels wide, not 200" in next(
        line for line in lines if "small" in line
    )
    assert not (shop.site / "pictures/cut.jpg").exists()


def test_the_way_out_is_never_what_the_merchant_already_did(shop: Project, images: Path) -> None:
    screens = {
        "with": importing(shop, images, ("a", f"{CDN}/lost.jpg")),
        "without": importing(shop, None, ("a", f"{CDN}/lost.jpg")),
        "none": importing(shop, None, ("a", f"{CDN}/lost.jpg"), no_images=True),
    }
    said = {name: "\n".join(report.screen(report_path="r")) for name, report in screens.items()}
    assert f"1 case of pictures not found in {images} or in site/pictures" in said["with"]
    assert "give their folder with --images" not in said["with"]
    assert "1 case of pictures not found: give their folder with --images" in said["without"]
    assert "1 case of pictures left out, as --no-images says" in said["none"]


def test_the_names_that_files_get_can_be_names_anywhere(tmp_path: Path, images: Path) -> None:
    hostile = ["." + "x" * 240 + ".jpg", "a\u202eb.jpg", "tab\there.jpg"]
    for number, name in enumerate(hostile):
        paint(images / f"{number}.jpg", "red").rename(images / name.lstrip("."))
    source = PictureFolders(images, tmp_path / "pictures", {})
    finder = PictureFinder([name.lstrip(".") for name in hostile], source, problem=lambda file: None)
    assert all(len(name) <= 120 and name.isprintable() and "\u202e" not in name for name in finder.copies)
    assert len(finder.copies) == len(hostile)


@pytest.mark.parametrize(("name", "shape"), [("noext", "noext"), ("n" * 120, "n{50}-[0-9a-f]{8}")])
def test_a_picture_without_an_ending_keeps_its_name(
    tmp_path: Path, images: Path, name: str, shape: str
) -> None:
    paint(images / "a.jpg", "red").rename(images / name)
    source = PictureFolders(images, tmp_path / "pictures", {})
    (copied,) = PictureFinder([name], source, problem=lambda file: None).copies
    assert re.fullmatch(shape, copied)

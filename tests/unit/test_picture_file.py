"""A merchant's pictures, of any kind, keep their colours: the pixels of what is shown."""

import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image, ImageCms

from spillway.sitegen.pictures import problem_with_picture, read_picture
from tests.support.profiles import grey_profile, ink_profile, wide_profile

if TYPE_CHECKING:
    Pixel = tuple[int, int, int]

WIDTH = 320
INK_RED = (237, 42, 38)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LAB = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


def saved(folder: Path, image: Image.Image, suffix: str, **options: Any) -> Path:
    file = folder / f"picture.{suffix}"
    image.save(file, **options)
    return file


def shown(file: Path, x: int = 0, y: int = 0) -> "Pixel":
    """A pixel of the picture as it is shown."""
    image, _ = read_picture(file)
    assert image.mode == "RGB"
    assert image.info == {}
    pixel = image.getpixel((x, y))
    assert isinstance(pixel, tuple)
    return pixel  # type: ignore[return-value]


def close(one: "Pixel", other: "Pixel", within: int = 3) -> bool:
    return all(abs(a - b) <= within for a, b in zip(one, other, strict=True))


def plain(mode: str, colour: object) -> Image.Image:
    return Image.new(mode, (WIDTH, 8), colour)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tiff"])
def test_a_grey_profile_is_applied_to_the_grey_picture(tmp_path: Path, suffix: str) -> None:
    # Linear light: half of it looks far lighter than the value 128 of sRGB.
    file = saved(tmp_path, plain("L", 128), suffix, icc_profile=grey_profile(gamma=1.0))

    assert close(shown(file), (188, 188, 188))
    assert read_picture(file)[1] == ()


@pytest.mark.parametrize("suffix", ["jpg", "tiff"])
def test_a_profile_of_inks_is_applied_to_the_inks(tmp_path: Path, suffix: str) -> None:
    # The first ink of this profile is red: a conversion without it shows cyan.
    file = saved(tmp_path, plain("CMYK", (255, 0, 0, 0)), suffix, icc_profile=ink_profile())

    assert close(shown(file), INK_RED, within=4)
    assert read_picture(file)[1] == ()


def test_a_wide_profile_makes_colours_stronger(tmp_path: Path) -> None:
    file = saved(tmp_path, plain("RGB", (200, 100, 100)), "png", icc_profile=wide_profile())

    assert close(shown(file), (227, 100, 100))


def test_lab_is_converted_with_its_profile_and_without(tmp_path: Path) -> None:
    grey = plain("LAB", (128, 128, 128))
    with_profile = saved(tmp_path, grey, "tiff", icc_profile=LAB)
    assert close(shown(with_profile), (119, 119, 119))

    assert close(shown(saved(tmp_path, grey, "tif")), (119, 119, 119))


@pytest.mark.parametrize(
    ("mode", "colour", "profile", "note"),
    [
        ("RGB", (200, 100, 50), LAB, "for another kind of picture"),
        ("RGB", (200, 100, 50), grey_profile(gamma=1.0), "for another kind of picture"),
        ("RGB", (200, 100, 50), b"no profile at all", "is damaged"),
        ("RGB", (200, 100, 50), SRGB[:200], "is damaged"),
        ("RGB", (200, 100, 50), bytes(3000), "is damaged"),
        ("L", 90, ink_profile(), "for another kind of picture"),
    ],
)
def test_a_profile_that_does_not_fit_is_said_and_srgb_assumed(
    tmp_path: Path, mode: str, colour: object, profile: bytes, note: str
) -> None:
    file = saved(tmp_path, plain(mode, colour), "png", icc_profile=profile)

    assert shown(file) == (colour if isinstance(colour, tuple) else (colour,) * 3)
    (said,) = read_picture(file)[1]
    assert note in said
    assert said.endswith("sRGB is assumed")


def test_a_grey_picture_may_have_the_profile_of_colours(tmp_path: Path) -> None:
    file = saved(tmp_path, plain("L", 90), "jpg", icc_profile=SRGB)

    assert close(shown(file), (90, 90, 90), within=1)
    assert read_picture(file)[1] == ()


@pytest.mark.parametrize(("value", "grey"), [(0, 0), (257 * 60, 60), (32_768, 128), (65_535, 255)])
@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_grey_of_16_bits_is_scaled(tmp_path: Path, suffix: str, value: int, grey: int) -> None:
    assert shown(saved(tmp_path, plain("I;16", value), suffix)) == (grey,) * 3


@pytest.mark.parametrize(
    ("mode", "value", "grey"), [("F", 0.5, 128), ("F", 128.0, 128), ("I", 200, 200), ("I", 32_768, 128)]
)
def test_pictures_of_other_bit_depths_are_scaled_by_their_maximum(
    tmp_path: Path, mode: str, value: float, grey: int
) -> None:
    image = plain(mode, value)
    if value == 0.5:
        image.putpixel((5, 5), 1.0)
    if value == 32_768:
        image.putpixel((5, 5), 65_535)

    assert shown(saved(tmp_path, image, "tiff")) == (grey,) * 3


def png(colour_type: int, depth: int, rows: bytes, **chunks: bytes) -> bytes:
    """A PNG by its parts, for kinds that Pillow reads and does not write."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", WIDTH, 1, depth, colour_type, 0, 0, 0)
    others = b"".join(chunk(name.encode(), body) for name, body in chunks.items())
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + others
        + chunk(b"IDAT", zlib.compress(b"\0" + rows))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("kind", "depth", "pixels", "key", "others"),
    [
        (2, 8, b"\xff\0\xff" + b"\x10\x20\x30" * (WIDTH - 1), b"\0\xff\0\0\0\xff", (16, 32, 48)),
        (0, 8, b"\x07" + b"\x50" * (WIDTH - 1), b"\0\x07", (80, 80, 80)),
        (0, 16, b"\x12\x34" + b"\x80\x80" * (WIDTH - 1), b"\x12\x34", (128, 128, 128)),
        (0, 1, b"\x7f" + b"\xff" * (WIDTH // 8 - 1), b"\0\0", (255, 255, 255)),
    ],
)
def test_the_key_colour_of_a_png_is_transparent(
    tmp_path: Path, kind: int, depth: int, pixels: bytes, key: bytes, others: "Pixel"
) -> None:
    file = tmp_path / "key.png"
    file.write_bytes(png(kind, depth, pixels, tRNS=key))

    assert shown(file) == (255, 255, 255)
    assert shown(file, 200) == others


def palette_with_alpha() -> Image.Image:
    image = plain("P", 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    return image


@pytest.mark.parametrize(
    ("make", "suffix", "options"),
    [
        (lambda: plain("RGBA", (0, 0, 255, 0)), "png", {}),
        (lambda: plain("RGBA", (0, 0, 255, 0)), "webp", {"lossless": True, "exact": True}),
        (lambda: plain("LA", (0, 0)), "png", {}),
        (palette_with_alpha, "png", {"transparency": 0}),
        (palette_with_alpha, "gif", {"transparency": 0}),
    ],
)
def test_transparent_pixels_become_white(
    tmp_path: Path, make: Callable[[], Image.Image], suffix: str, options: dict[str, object]
) -> None:
    assert shown(saved(tmp_path, make(), suffix, **options)) == (255, 255, 255)


def test_half_transparent_is_mixed_with_white_in_the_profiles_colours(tmp_path: Path) -> None:
    file = saved(tmp_path, plain("RGBA", (0, 0, 0, 128)), "png")

    assert close(shown(file), (127, 127, 127), within=1)


@pytest.mark.parametrize(
    ("image", "suffix", "colour"),
    [
        (plain("1", 0), "png", (0, 0, 0)),
        (plain("YCbCr", (128, 128, 128)), "tiff", (128, 128, 128)),
        (plain("CMYK", (0, 255, 255, 0)), "jpg", (254, 0, 0)),
        (plain("RGB", (10, 200, 30)), "bmp", (10, 200, 30)),
        (plain("RGB", (10, 200, 30)), "jp2", (10, 200, 30)),
        (plain("RGB", (10, 200, 30)), "avif", (10, 200, 30)),
    ],
)
def test_every_kind_of_pixel_is_taken(
    tmp_path: Path, image: Image.Image, suffix: str, colour: "Pixel"
) -> None:
    file = saved(tmp_path, image, suffix)

    assert problem_with_picture(file) is None
    assert close(shown(file), colour, within=4)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_an_animated_picture_shows_its_first_frame_and_is_reported(tmp_path: Path, suffix: str) -> None:
    red, blue = plain("RGB", "red"), plain("RGB", "blue")
    file = saved(tmp_path, red, suffix, save_all=True, append_images=[blue], duration=100)

    assert close(shown(file), (255, 0, 0), within=4)
    assert read_picture(file)[1] == ("it has several frames, the first one is shown",)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_a_picture_stands_upright(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.new("RGB", (400, 330), "red")
    image.paste("blue", (0, 165, 400, 330))  # below, and so on the left when turned
    file = saved(tmp_path, image, suffix, exif=exif.tobytes())

    assert read_picture(file)[0].size == (330, 400)
    assert close(shown(file, 20, 200), (0, 0, 255), within=8)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_metadata_that_cannot_be_read_turns_nothing(tmp_path: Path) -> None:
    file = saved(tmp_path, plain("RGB", "red"), "jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12garbage")

    assert close(shown(file), (254, 0, 0))


def noisy(suffix: str) -> bytes:
    written = BytesIO()
    Image.effect_noise((400, 400), 90).convert("RGB").save(written, suffix)
    return written.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "AVIF", "TIFF", "BMP", "JPEG2000"])
def test_a_file_that_breaks_off_is_a_problem_and_never_a_traceback(tmp_path: Path, kind: str) -> None:
    whole = noisy(kind)
    file = tmp_path / "broken"
    for share in (0.02, 0.3, 0.6):
        file.write_bytes(whole[: int(len(whole) * share)])
        problem = problem_with_picture(file)
        assert problem is not None
        assert problem.startswith("a picture")


def test_a_damaged_picture_says_so(tmp_path: Path) -> None:
    file = tmp_path / "broken.png"
    whole = bytearray(noisy("PNG"))
    whole[2000:2050] = bytes(50)
    file.write_bytes(whole)

    problem = problem_with_picture(file)

    assert problem is not None
    assert problem.startswith("a picture that can be decoded; this one is damaged (")


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    file = tmp_path / "bomb.png"
    whole = bytearray(png(0, 1, b""))
    whole[16:24] = struct.pack(">II", 30_000, 30_000)
    whole[29:33] = struct.pack(">I", zlib.crc32(whole[12:29]))
    file.write_bytes(whole)

    assert problem_with_picture(file) == "at most 40000000 pixels"


def test_heic_is_named_with_the_way_out(tmp_path: Path) -> None:
    file = tmp_path / "phone.heic"
    file.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))

    assert (problem_with_picture(file) or "").endswith("; this one is HEIC, save it as JPEG")

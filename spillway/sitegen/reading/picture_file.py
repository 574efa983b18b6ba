"""Decode a merchant's picture file into sRGB pixels on white, or say why the shop cannot show it.

Every kind of pixel that Pillow decodes is accepted: grey and colour of any depth, palettes, CMYK, Lab,
transparency of any kind, with the colour profile applied in the picture's own mode.
"""

import warnings
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import cast

from PIL import Image, ImageChops, ImageCms, ImageOps, UnidentifiedImageError

from spillway.sitegen.reading.catalogue import PICTURE_EXPECTED

# Pillow opens further formats, some of them by running other programs.
FORMATS = ("WEBP", "JPEG", "PNG", "AVIF", "GIF", "BMP", "TIFF", "JPEG2000")
MASTER_PIXELS_MAX = 40_000_000
MASTER_SIZE_BYTES_MAX = 40_000_000
MASTER_WIDTH_PIXELS_MIN = 320

# The modes a profile can be applied in, by the colour space the profile names (ICC.1, table 19).
_MODE_OF_SPACE = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}
_MAX_16_BIT = 65_535
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"heim", b"mif1", b"msf1"})

# Decoders warn of odd metadata. A picture is valid when it can be decoded.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL(\..*)?")


class PictureDamaged(Exception):
    """A file that begins like a picture and cannot be decoded; the message is what was expected instead."""


def problem_with_picture(file: Path) -> str | None:
    """Return what was expected instead of the file, None when the shop can show it.

    Decodes the whole file, so a build accepts every file that this accepts.
    """
    return picture_problem(file.parent, file.name) or decoding_problem(file)


def picture_problem(folder: Path, name: str) -> str | None:
    """Return what was expected instead of the file `name`, None when its header is valid."""
    file = folder / name
    if name.startswith(".") or not file.is_file():
        return PICTURE_EXPECTED
    if file.stat().st_size > MASTER_SIZE_BYTES_MAX:
        return f"a file of at most {MASTER_SIZE_BYTES_MAX} bytes"
    try:
        with (
            warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning),
            Image.open(file, formats=FORMATS) as image,
        ):
            width, height = image.size
    except Image.DecompressionBombError:
        return f"at most {MASTER_PIXELS_MAX} pixels"
    except UnidentifiedImageError:
        return _unknown(file)
    except Exception as error:  # noqa: BLE001 - a decoder of a damaged file may raise anything
        return _damaged(error)
    return _size_problem(width, height)


def decoding_problem(file: Path) -> str | None:
    """Return what was expected instead of a file that `picture_problem` accepts, None when it decodes."""
    try:
        read_picture(file)
    except PictureDamaged as damaged:
        return str(damaged)
    return None


def read_picture(file: Path) -> tuple[Image.Image, tuple[str, ...]]:
    """Return the picture in RGB: upright, in sRGB, on white where it is transparent, without metadata.

    Returns:
        The picture, and a sentence for each thing a merchant would not expect of it.

    Raises:
        PictureDamaged: it cannot be decoded; says what was expected instead.
    """
    try:
        with Image.open(file, formats=FORMATS) as opened:
            _check_size(*opened.size)
            notes: list[str] = []
            if opened.format != "MPO" and getattr(opened, "n_frames", 1) > 1:
                opened.seek(0)
                notes.append("it has several frames, the first one is shown")
            return _flat(opened, notes.append), tuple(notes)
    except PictureDamaged:
        raise
    except Exception as error:
        raise PictureDamaged(_damaged(error)) from error


def _unknown(file: Path) -> str:
    expected = f"a picture: {', '.join(FORMATS)}"
    with file.open("rb") as opened:
        head = opened.read(12)
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS:
        return f"{expected}; this one is HEIC, save it as JPEG"
    return expected


def _damaged(error: Exception) -> str:
    return f"a picture that can be decoded; this one is damaged ({error or type(error).__name__})"


def _size_problem(width: int, height: int) -> str | None:
    if width * height > MASTER_PIXELS_MAX:
        return f"at most {MASTER_PIXELS_MAX} pixels, not {width} x {height}"
    if width < MASTER_WIDTH_PIXELS_MIN:
        return f"at least {MASTER_WIDTH_PIXELS_MIN} pixels wide, not {width}"
    return None


def _check_size(width: int, height: int) -> None:
    if problem := _size_problem(width, height):
        raise PictureDamaged(problem)


def _flat(opened: Image.Image, note: Callable[[str], None]) -> Image.Image:
    opened.load()
    profile = opened.info.get("icc_profile")
    image = _upright(opened)
    alpha = _alpha_of(image)
    colour = _in_srgb(_without_alpha(image), profile, note)
    if alpha is not None:
        paper = Image.new("RGB", colour.size, "white")
        paper.paste(colour, mask=alpha)
        colour = paper
    colour.info = {}
    return colour


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001 - metadata that cannot be read rotates nothing
        return image.copy()


def _alpha_of(image: Image.Image) -> Image.Image | None:
    """Return the opacity of each pixel, None when the whole picture is opaque."""
    key = image.info.get("transparency")
    match image.mode:
        case "RGBA" | "LA" | "PA":
            return image.getchannel("A")
        case "RGBa" | "La":
            return image.getchannel("a")
        case "P" if key is not None or (image.palette and image.palette.mode == "RGBA"):
            return image.convert("RGBA").getchannel("A")
        case "1" | "L" | "RGB" if key is not None:
            return image.convert("RGBA").getchannel("A")
        case "I" | "I;16" | "I;16B" | "I;16L" | "I;16N" if isinstance(key, int):
            return _unlike(image, key)
    return None


def _unlike(image: Image.Image, key: int) -> Image.Image:
    """Return 0 where a 16-bit grey picture has the value `key`, and 255 elsewhere."""
    values = image.convert("I").convert("F")
    above = values.point(lambda value: value * 255 + -255 * key).convert("L")
    below = values.point(lambda value: value * -255 + 255 * key).convert("L")
    return ImageChops.lighter(above, below)


def _without_alpha(image: Image.Image) -> Image.Image:  # noqa: PLR0911 - a line for each kind
    """Return the colours in an 8-bit mode that a profile can be applied in."""
    match image.mode:
        case "RGB" | "L" | "CMYK" | "LAB":
            return image
        case "1" | "LA":
            return image.convert("L")
        case "La":
            return image.convert("LA").convert("L")
        case "RGBa":
            return image.convert("RGBA").convert("RGB")
        case "P" | "PA":
            return image.convert("RGBA").convert("RGB")
        case "I;16" | "I;16B" | "I;16L" | "I;16N" | "I" | "F":
            return _in_8_bits(image)
    return image.convert("RGB")


def _in_8_bits(image: Image.Image) -> Image.Image:
    """Return a deep grey picture in mode L: 16 bits scaled down, other numbers by the greatest of them."""
    values = image.convert("I").convert("F") if image.mode != "F" else image
    greatest = cast("float", values.getextrema()[1])
    if image.mode.startswith("I;16"):
        white = float(_MAX_16_BIT)
    else:
        white = next((top for top in (1.0, 255.0, float(_MAX_16_BIT)) if greatest <= top), float(greatest))
        white = max(white, 255.0) if image.mode == "I" else white
    scale = 255 / white
    return values.point(lambda value: value * scale + 0.5).convert("L")


def _in_srgb(image: Image.Image, profile: bytes | None, note: Callable[[str], None]) -> Image.Image:
    """Return the picture in sRGB, its colours read by `profile` where that fits its mode."""
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            mode = _MODE_OF_SPACE.get(source.profile.xcolor_space.strip())
            # A grey picture may carry the profile of a colour picture.
            fitting = image.convert("RGB") if (image.mode, mode) == ("L", "RGB") else image
            if fitting.mode == mode:
                return _transformed(fitting, source)
            note("its colour profile is for another kind of picture, sRGB is assumed")
        except (OSError, ValueError, TypeError, ImageCms.PyCMSError):
            note("its colour profile is damaged, sRGB is assumed")
    if image.mode == "LAB":
        return _transformed(image, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")))
    return image.convert("RGB")


def _transformed(image: Image.Image, source: ImageCms.ImageCmsProfile) -> Image.Image:
    made = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    return cast("Image.Image", made)  # it returns None only when it converts in place

"""Pictures: decode a merchant's files, and encode them in the few widths that pages ask for.

`read_picture` decodes a file into sRGB pixels on white, or says why the shop cannot show it. Every kind of
pixel that Pillow decodes is accepted: grey and colour of any depth, palettes, CMYK, Lab, transparency of any
kind, with the colour profile applied in the picture's own mode. `make_variants` encodes it.
"""

import hashlib
import json
import os
import shutil
import tempfile
import warnings
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import cast

import PIL
from PIL import Image, ImageChops, ImageCms, ImageOps, UnidentifiedImageError

from spillway.sitegen.products import ImageVariant, ProcessedPicture
from spillway.sitegen.reading.catalogue import PICTURE_EXPECTED
from spillway.sitegen.reading.slugs import safe_stem

# Pillow opens further formats, some of them by running other programs.
FORMATS = ("WEBP", "JPEG", "PNG", "AVIF", "GIF", "BMP", "TIFF", "JPEG2000")
MASTER_PIXELS_MAX = 40_000_000
MASTER_SIZE_BYTES_MAX = 40_000_000
MASTER_WIDTH_PIXELS_MIN = 320

# The modes a profile can be applied in, by the colour space the profile names (ICC.1, table 19).
_MODE_OF_SPACE = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}
_MAX_16_BIT = 65_535
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"heim", b"mif1", b"msf1"})

# Increases when the format of made.json changes.
_RECORD_VERSION = 3
# The blurred picture has some 90 bytes, enough for its colours.
_BLUR_WIDTH_PIXELS = 8
_BLUR_QUALITY = 70

# Decoders warn of odd metadata. A picture is valid when it can be decoded.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL(\..*)?")


@dataclass(frozen=True, slots=True)
class Encoding:
    """An encoding, and the widths that pages ask for; no variant is wider than its source."""

    suffix: str
    media_type: str
    widths_pixels: tuple[int, ...]
    options: tuple[tuple[str, int | bool | str], ...]

    def widths_up_to(self, source_width_pixels: int) -> list[int]:
        """Return the widths of the variants of a source, in pixels."""
        widths = [width for width in self.widths_pixels if width <= source_width_pixels]
        return widths or [source_width_pixels]


# Best first, as a browser chooses. Nearly every browser takes AVIF; the JPEG is for the rest, for emails and
# for previews in other apps. AVIF at speed 8 takes more than twice the time of 9 for files a tenth smaller.
# One thread each: pictures are encoded in parallel.
ENCODINGS = (
    Encoding(
        "avif", "image/avif", (320, 640, 960, 1600), (("quality", 55), ("speed", 9), ("max_threads", 1))
    ),
    Encoding("webp", "image/webp", (320, 640, 960), (("quality", 74), ("method", 2))),
    Encoding("jpg", "image/jpeg", (960,), (("quality", 78), ("optimize", True), ("progressive", True))),
)


def make_variants(sources: Iterable[Path], cache: Path) -> Mapping[Path, ProcessedPicture]:
    """Return the outcome for every source: a problem, or its variants.

    Variants come with the best encoding first, and within an encoding with the narrowest first. They are kept
    in the folder `cache` by content: the same picture is encoded once, whatever its name.
    """
    settings = json.dumps([_RECORD_VERSION, PIL.__version__, [asdict(encoding) for encoding in ENCODINGS]])
    folder = cache / "pictures" / hashlib.sha256(settings.encode()).hexdigest()[:16]
    distinct = sorted(set(sources))
    # Pillow releases the interpreter's lock while it decodes, scales and encodes: threads suffice.
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        made = pool.map(partial(_kept_variants, folder), distinct)
        return dict(zip(distinct, made, strict=True))


class PictureDamaged(Exception):
    """A file that begins like a picture and cannot be decoded; the message is what was expected instead."""


def problem_with_picture(file: Path) -> str | None:
    """Return what was expected instead of the file, None when the shop can show it.

    Decodes the whole file, so a build accepts every file that this accepts.
    """
    if problem := header_problem(file.parent, file.name):
        return problem
    try:
        read_picture(file)
    except PictureDamaged as damaged:
        return str(damaged)
    return None


def header_problem(folder: Path, name: str) -> str | None:
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


def _kept_variants(cache: Path, source: Path) -> ProcessedPicture:
    """Return the outcome for one source, and make its variants unless `cache` has them."""
    content = hashlib.sha256(source.read_bytes()).hexdigest()
    folder = cache / content[:32]
    if not _is_whole(folder):
        shutil.rmtree(folder, ignore_errors=True)
        cache.mkdir(parents=True, exist_ok=True)
        # Written beside it and renamed: a folder appears whole.
        unfinished = Path(tempfile.mkdtemp(dir=cache, prefix="unfinished-"))
        try:
            _write_variants(source, unfinished)
        except PictureDamaged as damaged:
            shutil.rmtree(unfinished, ignore_errors=True)
            return ProcessedPicture(problem=str(damaged))
        if hashlib.sha256(source.read_bytes()).hexdigest() != content:
            # Saved again meanwhile: the variants may be those of the other picture.
            shutil.rmtree(unfinished)
            return _kept_variants(cache, source)
        try:
            unfinished.rename(folder)
        except OSError:
            if not folder.is_dir():  # if it exists, a build beside this one made the same
                raise
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    record = json.loads((folder / "made.json").read_text())
    *better, fallback = (_variant(source, folder, row) for row in record["made"])
    return ProcessedPicture(
        (*better, replace(fallback, blur=_blurred(fallback.file))), tuple(record["notes"])
    )


def _is_whole(folder: Path) -> bool:
    """Return whether a folder of the cache has each variant as it was made: files of a cache may vanish."""
    try:
        record = json.loads((folder / "made.json").read_bytes())
        return all(
            hashlib.sha256((folder / row["file"]).read_bytes()).hexdigest() == row["sha256"]
            for row in record["made"]
        )
    except (OSError, ValueError):
        return False


def _variant(source: Path, folder: Path, row: Mapping[str, str | int]) -> ImageVariant:
    file = folder / str(row["file"])
    sha256 = str(row["sha256"])
    name = f"{safe_stem(source.name)}-{row['width']}-{sha256[:10]}{file.suffix}"
    return ImageVariant(name, str(row["media_type"]), int(row["width"]), int(row["height"]), sha256, file)


def _blurred(file: Path) -> str:
    """Return a data URL of a few pixels, which a page shows until the picture has loaded."""
    with Image.open(file) as image:
        height = max(1, round(image.height * _BLUR_WIDTH_PIXELS / image.width))
        # JPEG's decoder makes an eighth of the size in an eighth of the time.
        image.draft("RGB", (_BLUR_WIDTH_PIXELS * 8, height * 8))
        few = image.convert("RGB").resize((_BLUR_WIDTH_PIXELS, height), Image.Resampling.BOX)
    written = BytesIO()
    few.save(written, "WEBP", quality=_BLUR_QUALITY, method=6)
    return f"data:image/webp;base64,{b64encode(written.getvalue()).decode()}"


def _write_variants(source: Path, folder: Path) -> None:
    image, notes = read_picture(source)
    scaled = _scaled(image)
    made = []
    for encoding in ENCODINGS:
        for width in encoding.widths_up_to(image.width):
            written = BytesIO()
            scaled[width].save(written, encoding.media_type.removeprefix("image/"), **dict(encoding.options))
            file = f"{width}.{encoding.suffix}"
            (folder / file).write_bytes(written.getvalue())
            made.append(
                {
                    "file": file,
                    "media_type": encoding.media_type,
                    "width": width,
                    "height": scaled[width].height,
                    "sha256": hashlib.sha256(written.getvalue()).hexdigest(),
                }
            )
    (folder / "made.json").write_text(json.dumps({"made": made, "notes": notes}))


def _scaled(image: Image.Image) -> dict[int, Image.Image]:
    """Return the picture in every width that some encoding has, each made from the next wider one."""
    scaled: dict[int, Image.Image] = {}
    wider = image
    widths = {width for encoding in ENCODINGS for width in encoding.widths_up_to(image.width)}
    for width in sorted(widths, reverse=True):
        height = max(1, round(image.height * width / image.width))
        scaled[width] = wider = wider.resize((width, height), Image.Resampling.LANCZOS)
    return scaled


def _unknown(file: Path) -> str:
    expected = f"a picture: {', '.join(FORMATS)}"
    with file.open("rb") as opened:
        head = opened.read(12)
    if head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS:
        return f"{expected}; this one is HEIC, save it as JPEG"
    return expected


def _damaged(error: Exception) -> str:
    if isinstance(error, PermissionError):
        return "a picture that you have the right to read: chmod u+r gives it"
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

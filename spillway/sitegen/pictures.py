"""Pictures: a merchant's source files in the few encodings and widths that pages ask for."""

import hashlib
import json
import os
import shutil
import tempfile
from base64 import b64encode
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from io import BytesIO
from pathlib import Path

import PIL
from PIL import Image

from spillway.sitegen.products import ImageVariant, ProcessedPicture
from spillway.sitegen.reading.picture_file import PictureDamaged, read_picture
from spillway.sitegen.reading.slugs import safe_stem

# Increases when the format of made.json changes.
_RECORD_VERSION = 3
# The blurred picture has some 90 bytes, enough for its colours.
_BLUR_WIDTH_PIXELS = 8
_BLUR_QUALITY = 70


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


def _kept_variants(cache: Path, source: Path) -> ProcessedPicture:
    """Return the outcome for one source, and make its variants unless `cache` has them."""
    folder = cache / hashlib.sha256(source.read_bytes()).hexdigest()[:32]
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        # Written beside it and renamed: a folder that exists is complete.
        unfinished = Path(tempfile.mkdtemp(dir=cache, prefix="unfinished-"))
        try:
            _write_variants(source, unfinished)
        except PictureDamaged as damaged:
            shutil.rmtree(unfinished, ignore_errors=True)
            return ProcessedPicture(problem=str(damaged))
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
        height = round(image.height * width / image.width)
        scaled[width] = wider = wider.resize((width, height), Image.Resampling.LANCZOS)
    return scaled

"""Pictures: from a merchant's master files to the few encodings and widths that pages ask for."""

import hashlib
import json
import os
import shutil
import tempfile
from base64 import b64encode
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from pathlib import Path

import PIL
from PIL import Image

from spillway.sitegen.products import Developed, ImageVariant
from spillway.sitegen.reading.picture_file import PictureDamaged, read_picture
from spillway.sitegen.reading.slugs import safe_stem

# Raised when what is noted beside the renditions changes.
_RECORD_VERSION = 3
# Some 90 bytes, which keep the colours.
_BLUR_WIDTH_PIXELS = 8
_BLUR_QUALITY = 70


@dataclass(frozen=True, slots=True)
class Encoding:
    """One way to write a picture, and the widths worth having: none is made wider than its master."""

    suffix: str
    media_type: str
    widths_pixels: tuple[int, ...]
    options: tuple[tuple[str, int | bool | str], ...]

    def widths_up_to(self, master_width_pixels: int) -> list[int]:
        return [each for each in self.widths_pixels if each <= master_width_pixels] or [master_width_pixels]


# Best first, as a browser chooses. Nearly every browser takes AVIF; the JPEG is for the rest, for
# emails and for previews in other people's apps. AVIF at speed 8 takes more than twice the time of 9 for
# files a tenth smaller. One thread each: the pictures themselves run in parallel.
ENCODINGS = (
    Encoding(
        "avif", "image/avif", (320, 640, 960, 1600), (("quality", 55), ("speed", 9), ("max_threads", 1))
    ),
    Encoding("webp", "image/webp", (320, 640, 960), (("quality", 74), ("method", 2))),
    Encoding("jpg", "image/jpeg", (960,), (("quality", 78), ("optimize", True), ("progressive", True))),
)


class Darkroom:
    """Develops masters, and keeps what it made by content: the same master is developed once."""

    def __init__(self, cache: Path) -> None:
        job = json.dumps([_RECORD_VERSION, PIL.__version__, [asdict(encoding) for encoding in ENCODINGS]])
        self._shelf = cache / "pictures" / hashlib.sha256(job.encode()).hexdigest()[:16]

    def develop(self, masters: Iterable[Path]) -> Mapping[Path, Developed]:
        """Return the outcome for every master: a problem, or renditions, best encoding first and narrowest
        first within it."""
        distinct = sorted(set(masters))
        # Pillow lets go of the interpreter while it decodes, scales and encodes: threads do.
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            return dict(zip(distinct, pool.map(self._developed, distinct), strict=True))

    def _developed(self, master: Path) -> Developed:
        folder = self._shelf / hashlib.sha256(master.read_bytes()).hexdigest()[:32]
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            # Made beside and renamed: a folder that is there is complete.
            unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix="unfinished-"))
            try:
                _develop(master, unfinished)
            except PictureDamaged as damaged:
                shutil.rmtree(unfinished, ignore_errors=True)
                return Developed(problem=str(damaged))
            try:
                unfinished.rename(folder)
            except OSError:
                if not folder.is_dir():  # if it is, another build was faster, and made the same
                    raise
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
        record = json.loads((folder / "made.json").read_text())
        *better, fallback = (_rendition(master, folder, row) for row in record["made"])
        renditions = (*better, replace(fallback, blur=_blurred(fallback.file)))
        return Developed(renditions, tuple(record["notes"]))


def _rendition(master: Path, folder: Path, row: Mapping[str, str | int]) -> ImageVariant:
    file = folder / str(row["file"])
    sha256 = str(row["sha256"])
    name = f"{safe_stem(master.name)}-{row['width']}-{sha256[:10]}{file.suffix}"
    return ImageVariant(name, str(row["media_type"]), int(row["width"]), int(row["height"]), sha256, file)


def _blurred(file: Path) -> str:
    """A picture so small that its address is the picture: all that a page shows until the real one comes."""
    with Image.open(file) as image:
        height = max(1, round(image.height * _BLUR_WIDTH_PIXELS / image.width))
        # JPEG's decoder gives an eighth of the size for an eighth of the time.
        image.draft("RGB", (_BLUR_WIDTH_PIXELS * 8, height * 8))
        few = image.convert("RGB").resize((_BLUR_WIDTH_PIXELS, height), Image.Resampling.BOX)
    written = BytesIO()
    few.save(written, "WEBP", quality=_BLUR_QUALITY, method=6)
    return f"data:image/webp;base64,{b64encode(written.getvalue()).decode()}"


def _develop(master: Path, folder: Path) -> None:
    image, notes = read_picture(master)
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
    """The picture in every width that some encoding wants, each made from the next wider one."""
    scaled: dict[int, Image.Image] = {}
    source = image
    wanted = {width for encoding in ENCODINGS for width in encoding.widths_up_to(image.width)}
    for width in sorted(wanted, reverse=True):
        height = round(image.height * width / image.width)
        scaled[width] = source = source.resize((width, height), Image.Resampling.LANCZOS)
    return scaled

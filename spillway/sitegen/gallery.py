"""The merchant's pictures by name: what is wrong with one, and the renditions that pages ask for.

A picture that was judged and developed before is known by its file's signature, so that a build in
which no picture changed does not load a picture library.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from spillway.sitegen.build_cache import BuildCache
from spillway.sitegen.file_stat import Signature, is_settled, signature_of

PICTURE_EXPECTED = "the name of a file in site/pictures"
# File systems take names of 255 bytes.
FILE_NAME_LENGTH_MAX = 255


@dataclass(frozen=True, slots=True)
class ImageVariant:
    """One file made from a master. `name` changes whenever its bytes do. `blur` is a few pixels of it, as an
    address to show until the file has come; only one rendition of a master needs it."""

    name: str
    media_type: str
    width: int
    height: int
    sha256: str
    file: Path
    blur: str = ""


@dataclass(frozen=True, slots=True)
class Developed:
    """The outcome of developing a master.

    `notes` are sentences about what a merchant would not expect of it; `problem`
    says what was expected of one that cannot be decoded and has no renditions."""

    renditions: tuple[ImageVariant, ...] = ()
    notes: tuple[str, ...] = ()
    problem: str | None = None


class Gallery:
    """The pictures of one shop. `cache` keeps what was made of them."""

    def __init__(self, folder: Path, cache: Path, memory: BuildCache) -> None:
        self._folder = folder
        self._cache = cache
        self._memory = memory

    def problem(self, name: str) -> str | None:
        """What was expected instead of the picture `name`; None when it can be shown."""
        signature = self._signature(name) if Path(name).name == name else None
        if signature is None:
            return PICTURE_EXPECTED
        key = f"picture problem {name}"
        known = self._memory.get(key)
        if known is None or known[0] != signature:
            from spillway.sitegen.picture_file import picture_problem

            known = (signature, picture_problem(self._folder, self._file(name).name))
        if is_settled(signature):
            self._memory.note(key, known)
        problem: str | None = known[1]
        return problem

    def develop(self, names: Iterable[str]) -> Mapping[str, Developed]:
        """Return the outcome for each picture, best encoding first and narrowest first within it."""
        developed: dict[str, Developed] = {}
        signatures = {name: signature_of(self._file(name)) for name in sorted(names)}
        for name, signature in signatures.items():
            known = self._memory.get(f"picture {name}")
            if known and known[0] == signature and all(each.file.is_file() for each in known[1].renditions):
                developed[name] = known[1]
        new = {name: self._file(name) for name in signatures if name not in developed}
        if new:
            from spillway.sitegen.pictures import Darkroom

            made = Darkroom(self._cache).develop(new.values())
            developed |= {name: made[file] for name, file in new.items()}
        for name, signature in signatures.items():
            if is_settled(signature) and not developed[name].problem:
                self._memory.note(f"picture {name}", (signature, developed[name]))
        return developed

    def _signature(self, name: str) -> Signature | None:
        try:
            return signature_of(self._file(name))
        except (OSError, ValueError):
            return None

    def _file(self, name: str) -> Path:
        """Return the file of a name. Systems write the same accents in two ways (Unicode's NFC and NFD)."""
        file = self._folder / name
        if name.isascii() or file.exists():
            return file
        return self._folder / self._by_emails.get(unicodedata.normalize("NFC", name), name)

    @cached_property
    def _by_emails(self) -> Mapping[str, str]:
        try:
            return {
                unicodedata.normalize("NFC", each): each
                for each in sorted(file.name for file in self._folder.iterdir())
            }
        except OSError:
            return {}

"""Reading ten thousand product files, or of those only what changed since the last time."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from spillway.sitegen.build_cache import BuildCache
from spillway.sitegen.catalogue import ProductRow
from spillway.sitegen.file_stat import Signature, is_settled, signature_of
from spillway.sitegen.input_error import InputError
from spillway.sitegen.parallel import WorkerPool, bundled
from spillway.sitegen.product_file import ProductFile

# What is remembered of the files is written in so many parts: of one that changed, only its own.
_BUNDLES = 32


class _Read(NamedTuple):
    """What a file said, remembered with what it looked like then. (A NamedTuple: there are many.)"""

    signature: Signature
    sha256: str
    row: ProductRow | None
    mistakes: tuple[InputError, ...]


class ProductLoading:
    """The product files of a shop. `text_of` reads one, and notes a mistake where it cannot be read."""

    def __init__(
        self,
        root: Path,
        memory: BuildCache,
        pool: WorkerPool,
        text_of: Callable[[str, list[InputError] | None], str | None],
    ) -> None:
        self._root = root
        self._memory = memory
        self._pool = pool
        self._text_of = text_of

    def rows(
        self, reader: ProductFile, files: Sequence[tuple[str, str]], *, key: str
    ) -> tuple[tuple[ProductRow, ...], list[InputError]]:
        """The products of `files`, given as (slug, name), and all that is wrong with them. `key` changes with
        anything that makes `reader` read the same file differently."""
        before: dict[str, _Read] = {}
        for number in range(_BUNDLES):
            before |= self._memory.get(f"{key} {number}") or {}
        now: dict[str, _Read] = {}
        anew: list[tuple[str, str]] = []
        signatures = self._signatures()
        for slug, file in files:
            known = before.get(file)
            if known and known.signature == signatures[file]:
                now[file] = known
            else:
                anew.append((slug, file))

        def read(bundle: Sequence[tuple[str, str]]) -> list[tuple[str, _Read]]:
            return [(file, self._read(reader, slug, file, before.get(file))) for slug, file in bundle]

        for reads in self._pool.share(read, bundled(anew)):
            now.update(reads)
        self._remember(now, key)
        mistakes = [mistake for _, file in files for mistake in now[file].mistakes]
        return tuple(row for _, file in files if (row := now[file].row)), mistakes

    def _remember(self, now: Mapping[str, _Read], key: str) -> None:
        bundles: list[dict[str, _Read]] = [{} for _ in range(_BUNDLES)]
        for file, each in now.items():
            if is_settled(each.signature) and not each.mistakes:
                bundles[crc32(file.encode()) % _BUNDLES][file] = each
        for number, bundle in enumerate(bundles):
            self._memory.note(f"{key} {number}", bundle)

    def _read(self, reader: ProductFile, slug: str, file: str, known: _Read | None) -> _Read:
        mistakes: list[InputError] = []
        signature = signature_of(f"{self._root}/{file}")
        text = self._text_of(file, mistakes)
        sha256 = hashlib.sha256((text or "").encode()).hexdigest()
        if known and known.sha256 == sha256:
            return known._replace(signature=signature)
        row = reader.read(text, slug=slug, file=file, mistakes=mistakes) if text is not None else None
        return _Read(signature, sha256, row, tuple(mistakes))

    def _signatures(self) -> dict[str, Signature]:
        folder = self._root / "site" / "products"
        if not folder.is_dir():
            return {}
        with os.scandir(folder) as entries:
            return {f"site/products/{entry.name}": signature_of(entry) for entry in entries}


def repeated_slugs(places: Iterable[tuple[str, str]]) -> Iterator[InputError]:
    """Products that are in two places, given as (slug, name of its file)."""
    seen: dict[str, str] = {}
    for slug, file in places:
        if slug in seen:
            expected = f"one product in one place; it is in {seen[slug]} already"
            yield InputError(file, None, "slug", slug, expected)
        seen.setdefault(slug, file)

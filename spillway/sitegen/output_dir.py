"""A folder that holds one release, page by page, and what each of its pages was made from.

A page whose job has not changed, and whose file nobody has touched, stays where it is. All others
are made beside, and take their places only when every one of them is made.
"""

import hashlib
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from chalicelib.storage.pages import PAGE_CACHE_CONTROL
from spillway.sitegen.build_cache import BuildCache
from spillway.sitegen.file_stat import Signature, files_under, signature_of
from spillway.sitegen.page_jobs import PageJob
from spillway.sitegen.parallel import WorkerPool, bundled
from spillway.sitegen.release import Kind, SiteObject


class _Made(NamedTuple):
    """A file on the shelf: what it was made from, and how to know that it is still the same."""

    digest: str
    sha256: str
    signature: Signature


class OutputDir:
    """One release in a folder. `memory` keeps what the files were made from."""

    def __init__(self, folder: Path, memory: BuildCache) -> None:
        self._folder = folder
        self._beside = folder.with_name(f"{folder.name}.unfinished")
        self._memory = memory

    def fill(
        self, jobs: Sequence[PageJob], assets: Sequence[SiteObject], pool: WorkerPool
    ) -> tuple[SiteObject, ...]:
        """Make the folder hold exactly these, and give them as objects whose bodies are its files."""
        before: dict[str, _Made] = self._memory.get("shelf") or {}
        there = {key: signature_of(entry) for key, entry in files_under(str(self._folder))}
        good = {key: made for key, made in before.items() if there.get(key) == made.signature}
        stale = [each for each in jobs if key_digest(good, each.file) != each.digest]
        new = [each for each in assets if key_digest(good, each.key) != each.sha256]
        shutil.rmtree(self._beside, ignore_errors=True)
        written = self._write(stale, new, pool)
        self._remove(there.keys() - {each.file for each in jobs} - {each.key for each in assets})
        self._put_in_place(written)
        made = self._now(jobs, assets, good, written)
        self._memory.note("shelf", made)
        return self._objects(jobs, assets, made)

    def _write(
        self, stale: Sequence[PageJob], new: Sequence[SiteObject], pool: WorkerPool
    ) -> Mapping[str, str]:
        """Make the files beside the folder, and give the digest of each one's bytes."""
        for folder in _folders_of([*(each.file for each in stale), *(each.key for each in new)]):
            (self._beside / folder).mkdir(parents=True, exist_ok=True)
        root = f"{self._beside}/"

        def make(bundle: Sequence[PageJob]) -> list[tuple[str, str]]:
            made = []
            for job in bundle:
                body = job.make()
                with open(root + job.file, "wb", buffering=0) as file:  # noqa: PTH123 - ten thousand times
                    file.write(body)
                made.append((job.file, hashlib.sha256(body).hexdigest()))
            return made

        written = dict(row for rows in pool.share(make, _bundles(stale)) for row in rows)
        for each in new:
            if isinstance(each.body, Path):
                shutil.copyfile(each.body, self._beside / each.key)
            else:
                (self._beside / each.key).write_bytes(each.body)
            written[each.key] = each.sha256
        return written

    def _put_in_place(self, written: Iterable[str]) -> None:
        if not self._folder.exists() and self._beside.exists():
            self._beside.rename(self._folder)
            return
        for folder in _folders_of(written):
            (self._folder / folder).mkdir(parents=True, exist_ok=True)
        for key in written:
            os.replace(f"{self._beside}/{key}", f"{self._folder}/{key}")  # noqa: PTH105 - thousands of times
        shutil.rmtree(self._beside, ignore_errors=True)

    def _remove(self, vanished: Iterable[str]) -> None:
        for key in vanished:
            file = self._folder / key
            file.unlink(missing_ok=True)
            for folder in file.parents:
                if folder == self._folder or not _removed(folder):
                    break

    def _now(
        self,
        jobs: Sequence[PageJob],
        assets: Sequence[SiteObject],
        good: Mapping[str, _Made],
        written: Mapping[str, str],
    ) -> dict[str, _Made]:
        digests = {each.file: each.digest for each in jobs} | {each.key: each.sha256 for each in assets}
        root = f"{self._folder}/"
        return {
            key: _Made(digest, written[key], signature_of(root + key)) if key in written else good[key]
            for key, digest in digests.items()
        }

    def _objects(
        self, jobs: Sequence[PageJob], assets: Sequence[SiteObject], made: Mapping[str, _Made]
    ) -> tuple[SiteObject, ...]:
        pages = [
            SiteObject(
                each.key,
                self._folder / each.file,
                made[each.file].sha256,
                each.content_type,
                PAGE_CACHE_CONTROL,
                each.kind,
                each.language,
            )
            for each in jobs
        ]
        return tuple(sorted((*pages, *assets), key=lambda each: each.key))


def key_digest(made: Mapping[str, _Made], key: str) -> str | None:
    """What the file of `key` was made from; None when there is none to rely on."""
    found = made.get(key)
    return found.digest if found else None


def _bundles(jobs: Sequence[PageJob]) -> list[Sequence[PageJob]]:
    """Listings of one language show the same cards, which are made once if one hand makes all of them: a long
    bundle, and so begun with."""
    listings: dict[str, list[PageJob]] = {}
    for each in jobs:
        if each.kind is Kind.INDEX:
            listings.setdefault(each.language, []).append(each)
    return [*listings.values(), *bundled([each for each in jobs if each.kind is not Kind.INDEX])]


def _folders_of(keys: Iterable[str]) -> set[str]:
    return {key.rpartition("/")[0] for key in keys}


def _removed(folder: Path) -> bool:
    """Whether it was empty, and so is gone. To look for what is in it would take longer with each file."""
    try:
        folder.rmdir()
    except OSError:
        return False
    return True

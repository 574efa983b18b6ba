"""A folder that holds one release, file by file, and the record of what each file was made from.

A file whose job has not changed, and that nobody has touched, stays where it is. Others are written to a
folder beside it, and replace the old ones only when all are complete: an error leaves the folder as it was.
"""

import hashlib
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from chalicelib.storage.pages import PAGE_CACHE_CONTROL
from spillway.sitegen.cache import BuildCache, Signature, files_under, signature_of
from spillway.sitegen.parallel import WorkerPool, chunks_of
from spillway.sitegen.release import Kind, PageJob, SiteObject


class _Written(NamedTuple):
    """The record of a file: the digest of its job and of its bytes, and its signature when it was written."""

    job_digest: str
    sha256: str
    signature: Signature


class OutputDir:
    """A folder with one release."""

    def __init__(self, folder: Path, cache: BuildCache) -> None:
        """Take the folder as it is; `cache` keeps the records of its files."""
        self._folder = folder
        self._beside = folder.with_name(f"{folder.name}.unfinished")
        self._cache = cache

    def sync(
        self, jobs: Sequence[PageJob], assets: Sequence[SiteObject], pool: WorkerPool
    ) -> tuple[SiteObject, ...]:
        """Make the folder hold exactly these files, and return them as objects by key.

        Bodies of pages are files of the folder.
        """
        before: dict[str, _Written] = self._cache.get("files") or {}
        present = {path: signature_of(entry) for path, entry in files_under(str(self._folder))}
        valid = {path: written for path, written in before.items() if present.get(path) == written.signature}
        stale = [job for job in jobs if _job_digest(valid, job.file) != job.digest]
        new = [asset for asset in assets if _job_digest(valid, asset.key) != asset.sha256]
        shutil.rmtree(self._beside, ignore_errors=True)
        written = self._write(stale, new, pool)
        self._remove(present.keys() - {job.file for job in jobs} - {asset.key for asset in assets})
        self._replace(written)
        records = self._records(jobs, assets, valid, written)
        self._cache.set("files", records)
        return self._objects(jobs, assets, records)

    def _write(
        self, stale: Sequence[PageJob], new: Sequence[SiteObject], pool: WorkerPool
    ) -> Mapping[str, str]:
        """Write the files beside the folder, and return the digest of each one's bytes."""
        for folder in _folders_of([*(job.file for job in stale), *(asset.key for asset in new)]):
            (self._beside / folder).mkdir(parents=True, exist_ok=True)
        root = f"{self._beside}/"

        def make(jobs: Sequence[PageJob]) -> list[tuple[str, str]]:
            made = []
            for job in jobs:
                body = job.make()
                with open(root + job.file, "wb", buffering=0) as file:  # noqa: PTH123 - ten thousand times
                    file.write(body)
                made.append((job.file, hashlib.sha256(body).hexdigest()))
            return made

        written = dict(row for rows in pool.map_batches(make, _chunks(stale)) for row in rows)
        for asset in new:
            if isinstance(asset.body, Path):
                shutil.copyfile(asset.body, self._beside / asset.key)
            else:
                (self._beside / asset.key).write_bytes(asset.body)
            written[asset.key] = asset.sha256
        return written

    def _replace(self, written: Iterable[str]) -> None:
        if not self._folder.exists() and self._beside.exists():
            self._beside.rename(self._folder)
            return
        for folder in _folders_of(written):
            (self._folder / folder).mkdir(parents=True, exist_ok=True)
        for path in written:
            os.replace(f"{self._beside}/{path}", f"{self._folder}/{path}")  # noqa: PTH105 - thousands of times
        shutil.rmtree(self._beside, ignore_errors=True)

    def _remove(self, vanished: Iterable[str]) -> None:
        for path in vanished:
            file = self._folder / path
            file.unlink(missing_ok=True)
            for folder in file.parents:
                if folder == self._folder or not _removed_if_empty(folder):
                    break

    def _records(
        self,
        jobs: Sequence[PageJob],
        assets: Sequence[SiteObject],
        valid: Mapping[str, _Written],
        written: Mapping[str, str],
    ) -> dict[str, _Written]:
        digests = {job.file: job.digest for job in jobs} | {asset.key: asset.sha256 for asset in assets}
        root = f"{self._folder}/"
        return {
            path: _Written(digest, written[path], signature_of(root + path))
            if path in written
            else valid[path]
            for path, digest in digests.items()
        }

    def _objects(
        self, jobs: Sequence[PageJob], assets: Sequence[SiteObject], records: Mapping[str, _Written]
    ) -> tuple[SiteObject, ...]:
        pages = [
            SiteObject(
                job.key,
                self._folder / job.file,
                records[job.file].sha256,
                job.content_type,
                PAGE_CACHE_CONTROL,
                job.kind,
                job.language,
            )
            for job in jobs
        ]
        return tuple(sorted((*pages, *assets), key=lambda site_object: site_object.key))


def _job_digest(valid: Mapping[str, _Written], path: str) -> str | None:
    """Return the digest of the job that wrote a file; None where no file can be relied on."""
    written = valid.get(path)
    return written.job_digest if written else None


def _chunks(jobs: Sequence[PageJob]) -> list[Sequence[PageJob]]:
    """Return jobs in chunks, the longest first.

    Listings of one language are a chunk: they show the same cards, which one process then renders once.
    """
    listings: dict[str, list[PageJob]] = {}
    for job in jobs:
        if job.kind is Kind.INDEX:
            listings.setdefault(job.language, []).append(job)
    return [*listings.values(), *chunks_of([job for job in jobs if job.kind is not Kind.INDEX])]


def _folders_of(paths: Iterable[str]) -> set[str]:
    return {path.rpartition("/")[0] for path in paths}


def _removed_if_empty(folder: Path) -> bool:
    """Remove a folder if it is empty: to look into it first takes longer with each file in it."""
    try:
        folder.rmdir()
    except OSError:
        return False
    return True

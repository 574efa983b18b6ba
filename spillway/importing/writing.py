"""Carrying out the plan of an import: pictures, categories, product files, redirects, the record.

Each file is put in place whole. The record notes what is about to be written before it is, so that after an
interruption the next import knows its own files and goes on.
"""

import os
import shutil
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from spillway.importing.picture_finder import PictureRecord
from spillway.importing.planning import ImportPlan
from spillway.importing.shop_files import ImportRecord
from spillway.project import IMPORT_RECORD, Project
from spillway.sitegen.reading.redirects import add_redirects, remove_redirects


def carry_out(
    project: Project,
    plan: ImportPlan,
    record: ImportRecord,
    *,
    copies: Mapping[str, Path],
    pictures: Mapping[str, PictureRecord],
) -> None:
    """Do what `plan` says.

    Args:
        project: the shop's.
        plan: what to do.
        record: what imports wrote before.
        copies: the pictures to copy, by their names in site/pictures.
        pictures: what to note of each picture.
    """
    folder = project.site / "products"
    folder.mkdir(parents=True, exist_ok=True)
    with _uninterrupted():
        _write(folder / IMPORT_RECORD, _pending(record, plan).text())
        _copy(copies, project.site / "pictures")
        site_file = project.site / "site.toml"
        if site_file.read_text(encoding="utf-8") != plan.site_text:
            _write(site_file, plan.site_text)
        for moved in plan.moved:
            if moved.kept:
                (folder / moved.file.name).rename(folder / f"{moved.slug}.toml")
        for name, text in plan.writes.items():
            _write(folder / name, text)
        for moved in plan.moved:
            if not moved.kept:
                (folder / moved.file.name).unlink(missing_ok=True)
        remove_redirects(project, plan.pages | plan.stale_redirects.keys())
        if plan.redirects:
            add_redirects(project, plan.redirects)
        _write(folder / IMPORT_RECORD, _after(record, plan, pictures).text())


def _pending(record: ImportRecord, plan: ImportPlan) -> ImportRecord:
    pending = {**record.pending, **{name: plan.digests[name] for name in plan.writes}}
    unchanged = {name: digest for name, digest in plan.digests.items() if name not in plan.writes}
    categories = {**record.categories, **plan.categories}
    return ImportRecord({**record.files, **unchanged}, pending, record.pictures, categories)


def _after(record: ImportRecord, plan: ImportPlan, pictures: Mapping[str, PictureRecord]) -> ImportRecord:
    files = {**record.files, **record.pending, **plan.digests}
    for moved in plan.moved:
        noted = files.pop(moved.file.name, "")
        if moved.kept:
            files[f"{moved.slug}.toml"] = noted
    return ImportRecord(files, {}, dict(pictures), {**record.categories, **plan.categories})


def _copy(copies: Mapping[str, Path], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, file in copies.items():
        beside = folder / f".{name}.new"
        shutil.copyfile(file, beside)
        os.replace(beside, folder / name)  # noqa: PTH105 - one name for it everywhere


def _write(file: Path, text: str) -> None:
    beside = f"{file.parent}/.{file.name[:200]}.new"
    with open(beside, "wb", buffering=0) as opened:  # noqa: PTH123 - thousands of times
        opened.write(text.encode())
    os.replace(beside, file)  # noqa: PTH105 - thousands of times


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Put off Ctrl-C until files are in place: a second or less, and nothing to clean up afterwards."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        pressed.append(number)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt

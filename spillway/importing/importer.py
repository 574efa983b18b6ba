"""Writing what was taken: product files, pictures, new shelves. A file that a merchant edited is kept."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from spillway.importing.imported import NotTaken
from spillway.importing.naming import slug_of
from spillway.importing.product_text import product_text
from spillway.importing.taking import Taken, picture_name
from spillway.project import Project

# Beside the products, to be kept with them: what the last import wrote, by file.
RECORD = "imported.json"


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did."""

    written: int
    unchanged: int
    variants: int
    kept: tuple[str, ...]
    gone: tuple[str, ...]
    new_categories: tuple[str, ...]
    left_out: tuple[NotTaken, ...]
    not_taken: tuple[NotTaken, ...]


class PictureFolder:
    """Pictures a merchant has beside the export. `folder` is None where none are wanted."""

    def __init__(self, folder: Path | None, pictures: Path) -> None:
        self._pictures = pictures
        self._there = {file.name: file for file in folder.rglob("*") if file.is_file()} if folder else {}
        self.used: dict[str, Path] = {}

    def find(self, url: str) -> str | None:
        """The name that the picture behind `url` has in site/pictures; None when nobody has it."""
        name = picture_name(url)
        file = self._there.get(name)
        if file is None:
            return name if name and (self._pictures / name).is_file() else None
        self.used[name] = file
        return name

    def copy(self) -> None:
        """Put every picture that was found where the shop has its pictures."""
        self._pictures.mkdir(parents=True, exist_ok=True)
        for name, file in self.used.items():
            shutil.copyfile(file, self._pictures / name)


def write_import(
    project: Project, taken: Taken, *, categories: Mapping[str, str], pictures: PictureFolder, overwrite: bool
) -> Imported:
    """Write the files of `taken`. `categories` are the shop's own, slug by title in lower case.

    A file that is not as the last import wrote it was edited by hand: it is kept, and named, unless
    `overwrite` is set. A file that the export no longer has stays, and is named.
    """
    folder = project.site / "products"
    folder.mkdir(parents=True, exist_ok=True)
    before = _record(folder)
    known = dict(categories)
    new = _new_categories(taken, known)
    now: dict[str, str] = {}
    kept: list[str] = []
    written = 0
    for product in taken.products:
        file = folder / f"{product.slug}.toml"
        text = product_text(product, category=known[product.category.lower()])
        there = file.read_text(encoding="utf-8-sig") if file.exists() else None
        now[file.name] = _digest(text)
        if there == text:
            continue
        if there is not None and _digest(there) != before.get(file.name) and not overwrite:
            kept.append(f"site/products/{file.name}")
            now[file.name] = before.get(file.name, "")
            continue
        file.write_text(text, encoding="utf-8")
        written += 1
    _add_categories(project.site / "site.toml", new)
    pictures.copy()
    gone = [name for name in before if name not in now and (folder / name).exists()]
    now |= {name: before[name] for name in gone}
    (folder / RECORD).write_text(json.dumps(now, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return Imported(
        written=written,
        unchanged=len(taken.products) - written - len(kept),
        variants=sum(len(product.variants) for product in taken.products),
        kept=tuple(kept),
        gone=tuple(f"site/products/{name}" for name in sorted(gone)),
        new_categories=tuple(new.values()),
        left_out=taken.left_out,
        not_taken=taken.not_taken,
    )


def _new_categories(taken: Taken, known: dict[str, str]) -> dict[str, str]:
    """Title by slug of every category the shop has not; `known` learns them."""
    new: dict[str, str] = {}
    for product in taken.products:
        name = product.category.lower()
        if name not in known:
            slug = slug_of(product.category)
            if slug not in new and slug not in known.values():
                new[slug] = product.category
            known[name] = slug
    return new


def _add_categories(site_file: Path, new: Mapping[str, str]) -> None:
    if new:
        text = site_file.read_text(encoding="utf-8").rstrip("\n") + "\n"
        for slug, title in new.items():
            text += (
                f"\n[[categories]]\nslug = {json.dumps(slug)}\n"
                f"title = {json.dumps(title, ensure_ascii=False)}\n"
                f"description = {json.dumps(f'Everything in {title}.', ensure_ascii=False)}\n"
            )
        site_file.write_text(text, encoding="utf-8")


def _record(folder: Path) -> dict[str, str]:
    try:
        record: dict[str, str] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return record


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

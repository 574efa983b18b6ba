"""A release: everything a build made, as one value. Writing or publishing it comes after."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from chalicelib.storefront.theme import Theme
from spillway.build.catalogue import CatalogueProduct
from spillway.project import Project


class Kind(StrEnum):
    """When an object may appear: what a page asks for comes before it, what leads to it comes after."""

    ASSET = "asset"
    PAGE = "page"
    INDEX = "index"


@dataclass(frozen=True, slots=True)
class SiteObject:
    """One object of the site, kept under the path a shopper types. `body` is a file when it is large."""

    key: str
    body: bytes | Path
    sha256: str
    content_type: str
    cache_control: str
    kind: Kind

    @classmethod
    def of(
        cls, key: str, body: bytes | Path, *, content_type: str, cache_control: str, kind: Kind
    ) -> "SiteObject":
        content = body if isinstance(body, bytes) else body.read_bytes()
        return cls(key, body, hashlib.sha256(content).hexdigest(), content_type, cache_control, kind)

    def read(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else self.body.read_bytes()


@dataclass(frozen=True, slots=True)
class Release:
    """What a build made. `id` is made from all of it: equal ids, equal bytes."""

    id: str
    objects: tuple[SiteObject, ...]
    theme: Theme
    products: tuple[CatalogueProduct, ...]

    def catalogue_document(self) -> list[dict[str, Any]]:
        """Every product with the stock it starts with, ready for JSON."""
        return [
            {
                "product": entry.product.to_document(),
                "stock": {sku: asdict(stock) for sku, stock in sorted(entry.stock.items())},
            }
            for entry in self.products
        ]


def release_id(objects: Sequence[SiteObject], theme: Theme, products: Sequence[CatalogueProduct]) -> str:
    """A name for exactly this content."""
    unnamed = Release("", tuple(objects), theme, tuple(products))
    content = [
        [[each.key, each.sha256, each.content_type, each.cache_control] for each in objects],
        theme.to_json(),
        unnamed.catalogue_document(),
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def write(release: Release, project: Project) -> Path:
    """Leave the release under `project.output` and give the folder of its pages.

    Everything is written beside the last good output and takes its place at the end.
    """
    project.output.mkdir(exist_ok=True)
    site, unfinished, old = (project.output / name for name in ("site", "site.unfinished", "site.old"))
    for leftover in (unfinished, old):
        shutil.rmtree(leftover, ignore_errors=True)
    for each in release.objects:
        file = unfinished / each.key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(each.read())
    if site.exists():
        site.rename(old)
    unfinished.rename(site)
    shutil.rmtree(old, ignore_errors=True)
    _replace(project.output / "theme.json", release.theme.to_json())
    _replace(
        project.output / "catalogue.json",
        json.dumps(release.catalogue_document(), ensure_ascii=False, indent=1, sort_keys=True),
    )
    return site


def _replace(file: Path, text: str) -> None:
    beside = file.with_name(f"{file.name}.unfinished")
    beside.write_text(text, encoding="utf-8")
    beside.replace(file)

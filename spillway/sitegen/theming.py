"""The theme of a build: templates and emails as they stand, assets under hashed names, every listing."""

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from chalicelib.domain.product import Picture
from chalicelib.storefront.sitemap import parts_for
from chalicelib.storefront.theme import Edition, Theme
from spillway.errors import BadInput
from spillway.project import Project
from spillway.sitegen.listings import listings_of
from spillway.sitegen.products import Products
from spillway.sitegen.reading.catalogue import Catalogue
from spillway.sitegen.reading.slugs import safe_stem

# A picture of fewer bytes than the head of an answer costs less in the page than as a file of its own.
INLINE_BYTES_MAX = 1_000


def theme_of(
    catalogue: Catalogue,
    products: Products,
    *,
    project: Project,
    base_url: str,
    assets: Mapping[str, str],
    hero: Picture | None,
) -> Theme:
    """The theme, not yet named: its `release` is made from everything, and so comes last."""
    # The newest first; what came on the same day, by name.
    shelf = sorted(products.rows, key=lambda row: row.title)
    shelf.sort(key=lambda row: row.released_on or "", reverse=True)
    editions = tuple(
        Edition(
            shop=replace(storefront.shop, base_url=base_url),
            money=storefront.money,
            listings=listings_of(
                storefront,
                shelf,
                products,
                replace(hero, alt=storefront.home.shot.alt) if hero else None,
            ),
            navigation=storefront.navigation,
            root=storefront.root,
            name=storefront.name,
            texts=storefront.texts,
            words=storefront.words,
            days=storefront.days,
            has_feed=any(row.released_on for row in shelf),
        )
        for storefront in catalogue.storefronts
    )
    pages = len(editions) * (len(editions[0].listings) + len(products)) + len(catalogue.pages)
    return Theme(
        release="",
        templates=theme_texts(project),
        assets={**assets, **_inlined(project.site / "static")},
        editions=editions,
        sitemap_parts=parts_for(pages),
    )


def theme_texts(project: Project) -> dict[str, str]:
    """Every template, email and style sheet, by its name in the theme."""
    return (
        _texts(project.site / "templates", "")
        | _texts(project.site / "emails", "emails/")
        | _texts(project.site / "static", "static/", "*.css")
    )


def asset_keys(folder: Path) -> dict[Path, str]:
    """The key of every file in `folder`, with a hash of its content in it: "assets/shop-3fa9c1d2e0.css"."""
    if not folder.is_dir():
        raise BadInput(
            f"{folder}: there is no such folder",
            hint="it holds the styles and scripts of the templates, shop.css among them: take it from the"
            " sample shop or from a backup",
        )
    return {
        file: f"assets/{safe_stem(file.name)}-{_digest(file)}{file.suffix}"
        for file in sorted(folder.iterdir())
        if file.is_file() and not file.name.startswith(".")
    }


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:10]


def _inlined(folder: Path) -> dict[str, str]:
    """The addresses of drawings so small that they are part of whatever shows them."""
    return {
        file.name: f"data:image/svg+xml;base64,{b64encode(file.read_bytes()).decode()}"
        for file in sorted(folder.glob("*.svg"))
        if file.stat().st_size <= INLINE_BYTES_MAX
    }


def _texts(folder: Path, prefix: str, pattern: str = "*") -> dict[str, str]:
    texts = {}
    for file in sorted(folder.rglob(pattern)):
        if file.is_file() and not file.name.startswith("."):
            try:
                texts[f"{prefix}{file.relative_to(folder).as_posix()}"] = file.read_text(encoding="utf-8")
            except UnicodeDecodeError as error:
                raise BadInput(f"{file}: {error}", hint="save it as UTF-8") from error
    return texts

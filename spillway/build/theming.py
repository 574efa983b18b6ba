"""The theme of a build: templates and letters as they stand, assets under hashed names, every listing."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from chalicelib.domain.product import Picture, PictureSource, Product
from chalicelib.storefront.theme import Listing, Theme
from spillway.build.catalogue import Catalogue, Shot
from spillway.build.pictures import Rendition
from spillway.errors import BadInput
from spillway.project import Project


def theme_of(
    catalogue: Catalogue,
    products: Sequence[Product],
    *,
    project: Project,
    base_url: str,
    assets: Mapping[str, str],
    hero: Picture,
) -> Theme:
    """The theme, not yet named: its `release` is made from everything, and so comes last."""
    storefront = catalogue.storefront
    return Theme(
        release="",
        shop=replace(storefront.shop, base_url=base_url),
        templates=_texts(project.site / "templates", "") | _texts(project.site / "letters", "letters/"),
        assets=assets,
        listings=_listings(catalogue, products, hero),
        money=storefront.money,
        navigation=storefront.navigation,
    )


def asset_keys(folder: Path) -> dict[Path, str]:
    """The key of every file in `folder`, with a hash of its content in it: "assets/shop-3fa9c1d2e0.css"."""
    return {
        file: f"assets/{file.stem}-{hashlib.sha256(file.read_bytes()).hexdigest()[:10]}{file.suffix}"
        for file in sorted(folder.iterdir())
        if file.is_file() and not file.name.startswith(".")
    }


def placed(shot: Shot, renditions: Sequence[Rendition]) -> Picture:
    """The picture of a page: the last encoding is for those who know none of the others."""
    by_type: dict[str, list[Rendition]] = {}
    for rendition in renditions:
        by_type.setdefault(rendition.media_type, []).append(rendition)
    *better, fallback = by_type.items()
    largest = fallback[1][-1]
    return Picture(
        url=f"/pictures/{largest.name}",
        width=largest.width,
        height=largest.height,
        alt=shot.alt,
        sources=tuple(
            PictureSource(media_type, tuple((f"/pictures/{each.name}", each.width) for each in same_type))
            for media_type, same_type in better
        ),
        options=shot.options,
    )


def _listings(catalogue: Catalogue, products: Sequence[Product], hero: Picture) -> tuple[Listing, ...]:
    home = catalogue.storefront.home
    # The newest first; what came on the same day, by name.
    shelf = sorted(products, key=lambda product: product.title)
    shelf.sort(key=lambda product: product.released_on or "", reverse=True)
    listings = [Listing("/", "home.html", home.headline, home.lede, home.featured, hero)]
    for category in catalogue.storefront.categories:
        held = [product for product in shelf if product.category == category.slug]
        listings.append(
            Listing(
                path=f"/shop/{category.slug}",
                template="listing.html",
                title=category.title,
                description=category.description,
                slugs=tuple(product.slug for product in held),
                picture=next((product.pictures[0] for product in held if product.pictures), None),
            )
        )
    everything = tuple(product.slug for product in shelf)
    words = f"All {len(everything)} things we make, the newest first."
    return (*listings, Listing("/shop/all", "listing.html", "Everything", words, everything))


def _texts(folder: Path, prefix: str) -> dict[str, str]:
    texts = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not file.name.startswith("."):
            try:
                texts[f"{prefix}{file.relative_to(folder).as_posix()}"] = file.read_text(encoding="utf-8")
            except UnicodeDecodeError as error:
                raise BadInput(f"{file}: {error}", way_out="save it as UTF-8") from error
    return texts

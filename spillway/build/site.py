"""The build: from the catalogue and the theme's files to a release. It writes nothing but its cache."""

import traceback
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from jinja2 import TemplateError, TemplateSyntaxError

from chalicelib.domain.product import Picture
from spillway.build.catalogue import CatalogueProduct
from spillway.build.loading import load_catalogue
from spillway.build.pictures import Darkroom, Rendition
from spillway.build.release import Kind, Release, SiteObject, release_id
from spillway.build.rendering import StockBySlug, pages_of
from spillway.build.shop_file import base_url_problem
from spillway.build.theming import asset_keys, placed, theme_of
from spillway.errors import BadInput, WorkFailed
from spillway.project import Project

# Names of assets and pictures change with their content: they may be kept for ever.
ASSET_CACHE_CONTROL = "public, max-age=31536000, immutable"
_ASSET_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
}


def build(project: Project, *, base_url: str | None = None, stock: StockBySlug | None = None) -> Release:
    """The release of the shop under `project`, with its pages as they are for `stock`.

    `base_url` takes the place of the one in site.toml. A product or variant that `stock` says nothing
    of has the stock its file states. The same input always makes the same release.

    Raises:
        BadInput: the catalogue or a template is wrong.
        WorkFailed: a picture cannot be decoded.
    """
    if base_url is not None and (expected := base_url_problem(base_url)):
        raise BadInput(f"--base-url {base_url}: expected {expected}")
    catalogue = load_catalogue(project)
    try:
        renditions = Darkroom(project.root / ".cache").develop(shot.file for shot in catalogue.shots)
    except OSError as error:
        raise WorkFailed(f"a picture cannot be decoded: {error}", way_out="replace it") from error
    entries = tuple(
        _with_pictures(entry, [placed(shot, renditions[shot.file]) for shot in entry.shots])
        for entry in catalogue.products
    )
    hero = catalogue.storefront.home.shot
    keys = asset_keys(project.site / "static")
    theme = theme_of(
        catalogue,
        [entry.product for entry in entries],
        project=project,
        base_url=base_url or catalogue.storefront.shop.base_url,
        assets={file.name: f"/{key}" for file, key in keys.items()},
        hero=placed(hero, renditions[hero.file]),
    )
    try:
        pages = list(pages_of(theme, entries, catalogue.pages, stock or {}))
    except TemplateError as error:
        raise _template_mistake(error, theme.templates) from error
    assets = [_asset(file, key) for file, key in keys.items()]
    pictures = {each.name: _picture(each) for made in renditions.values() for each in made}
    objects = tuple(sorted((*assets, *pictures.values(), *pages), key=lambda each: each.key))
    name = release_id(objects, theme, entries)
    return Release(name, objects, replace(theme, release=name), entries)


def _with_pictures(entry: CatalogueProduct, pictures: Sequence[Picture]) -> CatalogueProduct:
    return replace(entry, product=replace(entry.product, pictures=tuple(pictures)))


def _asset(file: Path, key: str) -> SiteObject:
    content_type = _ASSET_TYPES.get(file.suffix)
    if content_type is None:
        raise BadInput(
            f"{file}: a kind of file that is not served",
            way_out=f"site/static holds {', '.join(_ASSET_TYPES)}",
        )
    return SiteObject.of(
        key,
        file.read_bytes(),
        content_type=content_type,
        cache_control=ASSET_CACHE_CONTROL,
        kind=Kind.ASSET,
    )


def _picture(rendition: Rendition) -> SiteObject:
    return SiteObject.of(
        f"pictures/{rendition.name}",
        rendition.file,
        content_type=rendition.media_type,
        cache_control=ASSET_CACHE_CONTROL,
        kind=Kind.ASSET,
    )


def _template_mistake(error: TemplateError, names: Collection[str]) -> BadInput:
    """Name the template and the line, which a syntax error knows and any other has in its trace."""
    if isinstance(error, TemplateSyntaxError):
        places = [(error.name or "", error.lineno)]
    else:
        trace = traceback.extract_tb(error.__traceback__)
        places = [(frame.filename, frame.lineno or 0) for frame in trace if frame.filename in names]
    name, line = places[-1] if places else ("", 0)
    folder = "site" if name.startswith("letters/") else "site/templates"
    place = f"{folder}/{name}:{line}" if name else folder
    return BadInput(f"{place}: {error.message or error}", way_out="correct the template and build again")

"""The build: from the catalogue and the theme's files to a release. It writes nothing but its cache."""

import traceback
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from jinja2 import TemplateError, TemplateSyntaxError

from chalicelib.domain.form_stamp import FormStamps
from spillway.build.catalogue import Catalogue
from spillway.build.crew import Crew
from spillway.build.gallery import Gallery, Rendition
from spillway.build.loading import catalogue_memory, load_catalogue
from spillway.build.memory import Memory, digest_of
from spillway.build.products import Products, placed
from spillway.build.release import Kind, Release, SiteObject, release_id
from spillway.build.rendering import Rendering, StockBySlug
from spillway.build.shelf import Shelf
from spillway.build.shop_file import base_url_problem
from spillway.build.theming import asset_keys, theme_of
from spillway.build.untold import untold
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


def build(
    project: Project,
    *,
    base_url: str | None = None,
    stock: StockBySlug | None = None,
    folder: Path | None = None,
    crew: Crew | None = None,
    stamps: FormStamps | None = None,
) -> Release:
    """The release of the shop under `project`, with its pages as they are for `stock`.

    Its bodies are the files of `folder`, which afterwards holds exactly this release; what it held before
    and is still good is not made again. `base_url` takes the place of the one in site.toml. A product or
    variant that `stock` says nothing of has the stock its file states; forms bear `stamps` of the shop they
    are for, if there are any. The same input always makes the same release, whatever was built before and
    on however many cores.

    Raises:
        BadInput: the catalogue or a template is wrong; `folder` is as it was.
        WorkFailed: a picture cannot be decoded; `folder` is as it was.
    """
    if base_url is not None and (expected := base_url_problem(base_url)):
        raise BadInput(f"--base-url {base_url}: expected {expected}")
    crew, folder = crew or Crew(), folder or project.cache / "shelf"
    memory = catalogue_memory(project)
    catalogue = load_catalogue(project, memory=memory, crew=crew)
    renditions = _developed(catalogue, project, memory)
    memory.save()
    products = Products(catalogue.rows, catalogue.pictures, renditions)
    hero = catalogue.storefront.home.shot
    keys = asset_keys(project.site / "static")
    theme = theme_of(
        catalogue,
        products,
        project=project,
        base_url=base_url or catalogue.storefront.shop.base_url,
        assets={file.name: f"/{key}" for file, key in keys.items()},
        hero=placed(hero, renditions[hero.file.name]),
    )
    assets = [_asset(file, key) for file, key in keys.items()]
    pictures = {each.name: _picture(each) for made in renditions.values() for each in made}
    made_from = Memory(project.cache / "shelves" / f"{digest_of(str(folder))[:16]}.pickle", context="")
    try:
        rendering = Rendering(theme, products, catalogue, stock or {}, stamps)
        rendering.try_cloud_templates()
        objects = Shelf(folder, made_from).fill(rendering.recipes(), [*assets, *pictures.values()], crew)
    except Exception as error:
        mistake = _template_mistake(error, theme.templates)
        if mistake is None:
            raise
        raise mistake from error
    made_from.save()
    name = release_id(objects, theme, products)
    return Release(name, objects, replace(theme, release=name), products, tuple(untold(catalogue, theme)))


def _developed(catalogue: Catalogue, project: Project, memory: Memory) -> Mapping[str, tuple[Rendition, ...]]:
    gallery = Gallery(catalogue.pictures, project.cache, memory)
    try:
        return gallery.develop(catalogue.picture_names)
    except OSError as error:
        raise WorkFailed(f"a picture cannot be decoded: {error}", way_out="replace it") from error


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
    return SiteObject(
        f"pictures/{rendition.name}",
        rendition.file,
        rendition.sha256,
        content_type=rendition.media_type,
        cache_control=ASSET_CACHE_CONTROL,
        kind=Kind.ASSET,
    )


def _template_mistake(error: Exception, names: Collection[str]) -> BadInput | None:
    """Name the template and the line, which a syntax error knows and any other has in its trace.

    None when it was no template that failed.
    """
    if isinstance(error, TemplateSyntaxError):
        places = [(error.name or "", error.lineno)]
    else:
        trace = traceback.extract_tb(error.__traceback__)
        places = [(frame.filename, frame.lineno or 0) for frame in trace if frame.filename in names]
    if not places and not isinstance(error, TemplateError):
        return None
    name, line = places[-1] if places else ("", 0)
    folder = "site" if name.startswith("letters/") else "site/templates"
    place = f"{folder}/{name}:{line}" if name else folder
    reason = "templates include each other without end" if isinstance(error, RecursionError) else str(error)
    return BadInput(f"{place}: {reason}", way_out="correct the template and build again")

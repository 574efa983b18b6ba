"""The build: from the catalogue and the theme's files to a release. It writes nothing but its cache."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from chalicelib.domain.form_stamp import FormStamps
from spillway.build.catalogue import Catalogue
from spillway.build.crew import Crew
from spillway.build.dates import Dates
from spillway.build.edition_rendering import StockBySlug
from spillway.build.gallery import Gallery, Rendition
from spillway.build.loading import catalogue_memory, load_catalogue
from spillway.build.making import rendered
from spillway.build.memory import Memory, digest_of
from spillway.build.products import Products, placed
from spillway.build.release import Kind, Makings, Release, SiteObject
from spillway.build.sales import sales_of
from spillway.build.shelf import Shelf
from spillway.build.shop_file import base_url_problem
from spillway.build.template_memory import TemplateMemory
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
    dates: Dates | None = None,
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
    crew, folder = crew or Crew(), folder or project.cache / "shelf"
    catalogue, makings = makings_of(project, base_url=base_url, crew=crew)
    templates = TemplateMemory(project)
    made_from = Memory(project.cache / "shelves" / f"{digest_of(str(folder))[:16]}.pickle", context="")
    release = rendered(
        makings,
        Shelf(folder, made_from),
        makings.assets,
        stock=stock or {},
        stamps=stamps,
        dates=dates or Dates(),
        crew=crew,
    )
    made_from.save()
    templates.save(makings.theme)
    refused = catalogue.storefront.refused_domains
    return replace(
        release,
        untold=tuple(untold(catalogue, makings.theme)),
        refused_domains=refused,
        sales=sales_of(catalogue.rows),
    )


def makings_of(
    project: Project, *, base_url: str | None = None, crew: Crew | None = None
) -> tuple[Catalogue, Makings]:
    """Return the catalogue of the shop under `project` and all that its release is made from, no page made.

    Raises:
        BadInput: the catalogue is wrong.
        WorkFailed: a picture cannot be decoded.
    """
    if base_url is not None and (expected := base_url_problem(base_url)):
        raise BadInput(f"--base-url {base_url}: expected {expected}")
    crew = crew or Crew()
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
    return catalogue, Makings.of(theme, products, catalogue.pages, [*assets, *pictures.values()])


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

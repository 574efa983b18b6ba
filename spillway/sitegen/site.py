"""The build: from the catalogue and the theme's files to a release. It writes nothing but its cache."""

from collections.abc import Mapping, Set
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from chalicelib.domain.form_stamp import FormStamps
from chalicelib.storage.pages import HOME_KEY
from chalicelib.storefront.theme import HOME
from spillway.errors import BadInput
from spillway.project import Project
from spillway.sitegen.build_cache import BuildCache, digest_of
from spillway.sitegen.cloud_rendering import rendered
from spillway.sitegen.dates import Dates
from spillway.sitegen.edition_rendering import StockBySlug
from spillway.sitegen.missing_translations import missing_translations
from spillway.sitegen.output_dir import OutputDir
from spillway.sitegen.parallel import WorkerPool
from spillway.sitegen.products import Developed, Gallery, ImageVariant, Products, placed
from spillway.sitegen.reading.catalogue import Catalogue
from spillway.sitegen.reading.loading import catalogue_memory, load_catalogue, picture_mistakes
from spillway.sitegen.reading.redirects import REDIRECTS_FILE, redirect_mistakes
from spillway.sitegen.reading.shop_settings import base_url_problem
from spillway.sitegen.reading.toml_input import CatalogueInvalid, InputError, Lines
from spillway.sitegen.release import Kind, Release, ReleaseSource, SiteObject
from spillway.sitegen.root_files import root_mistakes
from spillway.sitegen.sales import sales_of
from spillway.sitegen.template_cache import TemplateCache
from spillway.sitegen.theming import asset_keys, theme_of

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
    pool: WorkerPool | None = None,
    stamps: FormStamps | None = None,
    dates: Dates | None = None,
    skip_broken_pictures: bool = False,
) -> Release:
    """The release of the shop under `project`, with its pages as they are for `stock`.

    Its bodies are the files of `folder`, which afterwards holds exactly this release; what it held before
    and is still good is not made again. `base_url` takes the place of the one in site.toml. A product or
    variant that `stock` says nothing of has the stock its file states; forms bear `stamps` of the shop they
    are for, if there are any. Pictures that cannot be shown are mistakes, unless `skip_broken_pictures`: then
    pages go without them, and the release names them. The same input always makes the same release, whatever
    was built before and on however many cores.

    Raises:
        BadInput: the catalogue or a template is wrong; `folder` is as it was.
    """
    pool, folder = pool or WorkerPool(), folder or project.cache / "shelf"
    prepared = release_source_of(
        project, base_url=base_url, pool=pool, skip_broken_pictures=skip_broken_pictures
    )
    catalogue, source = prepared.catalogue, prepared.source
    templates = TemplateCache(project)
    made_from = BuildCache(project.cache / "shelves" / f"{digest_of(str(folder))[:16]}.pickle", context="")
    release = rendered(
        source,
        OutputDir(folder, made_from),
        source.assets,
        stock=stock or {},
        stamps=stamps,
        dates=dates or Dates(),
        pool=pool,
        judge=partial(_extra_mistakes, project, source),
    )
    made_from.save()
    templates.save(source.theme)
    return replace(
        release,
        missing_translations=tuple(missing_translations(catalogue, source.theme)),
        refused_domains=catalogue.storefront.refused_domains,
        sales=sales_of(catalogue.rows),
        notes=prepared.notes,
        left_out=prepared.left_out,
    )


class Prepared(NamedTuple):
    """The catalogue, all that a release is made from, and a line for each picture that is not as it was:
    shown otherwise (`notes`) or not at all (`left_out`)."""

    catalogue: Catalogue
    source: ReleaseSource
    notes: tuple[str, ...]
    left_out: tuple[str, ...]


def release_source_of(
    project: Project,
    *,
    base_url: str | None = None,
    pool: WorkerPool | None = None,
    skip_broken_pictures: bool = False,
) -> Prepared:
    """Return the catalogue of the shop under `project` and all that its release is made from, no page made.

    Raises:
        BadInput: the catalogue is wrong, or a picture, unless `skip_broken_pictures`.
    """
    if base_url is not None and (expected := base_url_problem(base_url)):
        raise BadInput(f"--base-url {base_url}: expected {expected}")
    pool = pool or WorkerPool()
    memory = catalogue_memory(project)
    left_out: list[InputError] | None = [] if skip_broken_pictures else None
    catalogue = load_catalogue(project, memory=memory, pool=pool, left_out=left_out)
    # Before the pictures, which take the longest: a folder that is missing is named at once.
    keys = asset_keys(project.site / "static")
    developed = _developed(catalogue, project, memory, left_out)
    memory.save()
    renditions = {name: made.renditions for name, made in developed.items() if made.renditions}
    products = Products(catalogue.rows, catalogue.pictures, renditions)
    hero = catalogue.storefront.home.shot
    theme = theme_of(
        catalogue,
        products,
        project=project,
        base_url=base_url or catalogue.storefront.shop.base_url,
        assets={file.name: f"/{key}" for file, key in keys.items()},
        hero=placed(hero, renditions[hero.file.name]) if hero.file.name in renditions else None,
    )
    assets = [_asset(file, key) for file, key in keys.items()]
    pictures = {each.name: _picture(each) for made in renditions.values() for each in made}
    source = ReleaseSource.of(
        theme,
        products,
        catalogue.pages,
        [*assets, *pictures.values()],
        catalogue.redirects,
        catalogue.root_files,
    )
    notes = tuple(f"site/pictures/{name}: {note}" for name in developed for note in developed[name].notes)
    return Prepared(catalogue, source, notes, tuple(str(mistake) for mistake in left_out or ()))


def _extra_mistakes(project: Project, source: ReleaseSource, keys: Set[str]) -> list[InputError]:
    """Return the mistakes in redirects and root files of a shop whose own objects have `keys`."""
    mistakes = root_mistakes(source.root_files, keys)
    if source.redirects:
        there = keys | {file.key for file in source.root_files}
        paths = {HOME if key == HOME_KEY else f"/{key}" for key in there}
        lines = Lines((project.root / REDIRECTS_FILE).read_text(encoding="utf-8-sig"))
        mistakes += redirect_mistakes(source.redirects, paths, lines)
    return mistakes


def _developed(
    catalogue: Catalogue, project: Project, memory: BuildCache, left_out: list[InputError] | None
) -> Mapping[str, Developed]:
    """Return the outcome for every picture. One that cannot be decoded is a mistake wherever it is named.

    Raises:
        CatalogueInvalid: there is such a one, and nothing may be left out.
    """
    gallery = Gallery(catalogue.pictures, project.cache, memory)
    known = {str(mistake.value) for mistake in left_out or ()}
    developed = gallery.develop(catalogue.picture_names - known)
    problems = {name: made.problem for name, made in developed.items() if made.problem}
    if problems:

        def text_of(file: str) -> str | None:
            return (project.root / file).read_text(encoding="utf-8-sig")

        found = list(picture_mistakes(catalogue.storefront, catalogue.rows, problems.get, text_of))
        if left_out is None:
            raise CatalogueInvalid(found)
        left_out += found
    return developed


def _asset(file: Path, key: str) -> SiteObject:
    content_type = _ASSET_TYPES.get(file.suffix)
    if content_type is None:
        raise BadInput(
            f"{file}: a kind of file that is not served",
            hint=f"site/static holds {', '.join(_ASSET_TYPES)}",
        )
    return SiteObject.of(
        key,
        file.read_bytes(),
        content_type=content_type,
        cache_control=ASSET_CACHE_CONTROL,
        kind=Kind.ASSET,
    )


def _picture(rendition: ImageVariant) -> SiteObject:
    return SiteObject(
        f"pictures/{rendition.name}",
        rendition.file,
        rendition.sha256,
        content_type=rendition.media_type,
        cache_control=ASSET_CACHE_CONTROL,
        kind=Kind.ASSET,
    )

"""Build a shop: read its files, plan its pages, render them in parallel, and fill an output directory.

A file becomes an upload in six shapes:

    site/products/hat.toml    a merchant's file
    ProductRow                what listings need of it, the rest packed      reading/, load_catalogue
    Product                   unpacked, with its pictures and its stock      products.py
    PageJob                   how to render a page, and what it depends on   pages.py
    SiteObject                the rendered page, a file of the output        release.py
    Request                   one PUT of the S3 API                          spillway/publish

`read_site` reads a shop once, `render_site` renders it for a stock as often as that changes, and `build` does
both. `render_release` renders without the shop's files, from the source of any release.
"""

import traceback
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from jinja2 import TemplateError, TemplateNotFound, TemplateSyntaxError

from chalicelib.domain.tokens import FormTokens
from chalicelib.storage import HOME_KEY
from chalicelib.storefront.theme import HOME
from spillway.errors import BadInput
from spillway.project import Project
from spillway.sitegen.cache import BuildCache
from spillway.sitegen.feeds import root_mistakes
from spillway.sitegen.fonts import served_fonts
from spillway.sitegen.last_build import LastBuild
from spillway.sitegen.notes import (
    dead_links,
    empty_categories,
    ignored_files,
    ignored_translations,
    places_to_fill_in,
)
from spillway.sitegen.pages import SitePages, StockBySlug
from spillway.sitegen.parallel import WorkerPool
from spillway.sitegen.products import ImageVariant, MerchantPictures, ProcessedPicture, Products, picture_of
from spillway.sitegen.reading.catalogue import Catalogue
from spillway.sitegen.reading.did_you_mean import did_you_mean
from spillway.sitegen.reading.loading import catalogue_cache, load_catalogue, located, picture_mistakes
from spillway.sitegen.reading.redirects import REDIRECTS_FILE, redirect_mistakes
from spillway.sitegen.reading.shop_settings import base_url_problem
from spillway.sitegen.reading.toml_input import CatalogueInvalid, InputError
from spillway.sitegen.reading.toml_text import KeyLines
from spillway.sitegen.related import related_of
from spillway.sitegen.release import ObjectKind, OutputDir, PageDates, Release, ReleaseSource, SiteObject
from spillway.sitegen.theme_files import ThemeFiles, file_of_template, is_default
from spillway.sitegen.theme_settings import FONTS
from spillway.sitegen.theming import (
    ASSET_CACHE_CONTROL,
    font_assets,
    load_templates,
    read_assets,
    save_templates,
    theme_of,
    unused_templates,
)
from spillway.sitegen.translations import missing_translations

# Returns what is wrong with the merchant's redirects and root files, given the keys of the shop's own pages.
Check = Callable[[Set[str]], Sequence[InputError]]


class Site(NamedTuple):
    """A shop's files, read.

    `redirects_text` is the file of redirects, for the lines of mistakes in it. `notes` has a line for each
    picture that is shown otherwise than its file is, and for what no page shows; `left_out` one for each
    place that names a broken picture.
    """

    catalogue: Catalogue
    source: ReleaseSource
    redirects_text: str | None
    notes: tuple[str, ...]
    left_out: tuple[str, ...]


def build(
    project: Project,
    *,
    base_url: str | None = None,
    stock: StockBySlug | None = None,
    folder: Path | None = None,
    pool: WorkerPool | None = None,
    form_tokens: FormTokens | None = None,
    dates: PageDates | None = None,
    skip_broken_pictures: bool = False,
) -> Release:
    """Return the release of the shop under `project`, and make `folder` hold exactly its files.

    The same input always makes the same release, whatever was built before and on however many cores; files
    that are still good are not made again. Nothing but `folder` and the shop's cache is written.

    Args:
        project: The shop.
        base_url: The address to build for; that of site.toml without it.
        stock: The stock of variants; a variant it does not have shows the stock in its product's file.
        folder: The output directory; one in the shop's cache without it.
        pool: The processes.
        form_tokens: Makes the tokens of signup forms; forms have none without it.
        dates: The last changes of pages in the release before.
        skip_broken_pictures: Leaves pictures out that cannot be shown, where they are mistakes otherwise.

    Raises:
        BadInput: the catalogue or a template is wrong, or another build into `folder` is running; `folder` is
            as it was.
    """
    pool = pool or WorkerPool()
    site = read_site(project, base_url=base_url, pool=pool, skip_broken_pictures=skip_broken_pictures)
    return render_site(
        project, site, stock=stock, folder=folder, pool=pool, form_tokens=form_tokens, dates=dates
    )


def read_site(
    project: Project,
    *,
    base_url: str | None = None,
    pool: WorkerPool | None = None,
    skip_broken_pictures: bool = False,
) -> Site:
    """Read the shop under `project`, and make its pictures; no page is rendered. See `build`.

    Raises:
        BadInput: the catalogue is wrong, or a picture, unless `skip_broken_pictures`.
    """
    if base_url is not None and (expected := base_url_problem(base_url)):
        raise BadInput(f"--base-url {base_url}: expected {expected}")
    cache = catalogue_cache(project)
    left_out: list[InputError] | None = [] if skip_broken_pictures else None
    catalogue = load_catalogue(project, cache=cache, pool=pool or WorkerPool(), left_out=left_out)
    files = ThemeFiles.of(project)
    # Before the pictures, which take the longest: a file that cannot be served is named at once.
    assets = read_assets(files, catalogue.storefront)
    assets |= font_assets(_fonts(catalogue, project, files, cache))
    processed = _process(catalogue, project, cache, left_out)
    cache.save()
    variants = {name: made.variants for name, made in processed.items() if made.variants}
    related = related_of(catalogue.rows) if catalogue.storefront.theme.related else {}
    products = Products(catalogue.rows, catalogue.pictures, variants, related=related)
    hero = catalogue.storefront.home.image
    theme = theme_of(
        catalogue,
        products,
        files=files,
        base_url=base_url or catalogue.storefront.shop.base_url,
        assets=assets,
        hero=picture_of(hero, variants[hero.file.name]) if hero and hero.file.name in variants else None,
    )
    # Two pictures with the same bytes are one object.
    pictures = {variant.name: _picture(variant) for made in variants.values() for variant in made}
    source = ReleaseSource.of(
        theme,
        products,
        catalogue.pages,
        [*assets.values(), *pictures.values()],
        catalogue.redirects,
        catalogue.root_files,
    )
    return Site(
        catalogue,
        source,
        _text_of(project, REDIRECTS_FILE) if catalogue.redirects else None,
        notes=(
            *places_to_fill_in(project),
            *ignored_files(project),
            *ignored_translations(project, [edition.shop.locale for edition in catalogue.storefronts]),
            *empty_categories(catalogue),
            *(f"site/pictures/{name}: {note}" for name, made in processed.items() for note in made.notes),
        ),
        left_out=tuple(str(mistake) for mistake in left_out or ()),
    )


def render_site(
    project: Project,
    site: Site,
    *,
    stock: StockBySlug | None = None,
    folder: Path | None = None,
    pool: WorkerPool | None = None,
    form_tokens: FormTokens | None = None,
    dates: PageDates | None = None,
    last: LastBuild | None = None,
) -> Release:
    """Render a site that was read. The shop's files are not read again. See `build`.

    `last` is what the last build into `folder` knew, where the caller has opened it.

    Raises:
        BadInput: a template, a redirect or a root file is wrong, or another build into `folder` is running;
            `folder` is as it was.
    """
    folder = folder or project.cache / "site"
    templates = load_templates(project)
    with nullcontext(last) if last else LastBuild(project, folder) as known:
        release = render_release(
            site.source,
            OutputDir(folder, known),
            site.source.assets,
            stock=stock or {},
            form_tokens=form_tokens,
            dates=dates or PageDates(),
            pool=pool or WorkerPool(),
            check=partial(_redirect_and_root_mistakes, site),
        )
    keys = frozenset(site_object.key for site_object in release.objects)
    missing = tuple(missing_translations(site.catalogue, site.source.theme, cache=templates))
    save_templates(templates, site.source.theme)
    return replace(
        release,
        missing_translations=missing,
        refused_domains=site.catalogue.storefront.refused_domains,
        sales=site.catalogue.sales,
        launches=site.catalogue.launches,
        notes=(
            *site.notes,
            *dead_links(project, site.catalogue, keys),
            *unused_templates(ThemeFiles.of(project), site.source.theme.templates),
        ),
        left_out=site.left_out,
    )


def render_release(
    source: ReleaseSource,
    output_dir: OutputDir,
    copied_assets: Sequence[SiteObject],
    *,
    stock: StockBySlug,
    form_tokens: FormTokens | None,
    dates: PageDates,
    pool: WorkerPool,
    check: Check | None = None,
) -> Release:
    """Render the pages of `source` into `output_dir`, and return the release.

    Args:
        source: What the release is made from.
        output_dir: Receives the pages, and `copied_assets` beside them.
        copied_assets: Those assets of `source` whose bodies are at hand.
        stock: See `build`.
        form_tokens: See `build`.
        dates: See `build`.
        pool: The processes.
        check: Returns further mistakes.

    Raises:
        BadInput: a template is wrong, or `check` finds mistakes; the output directory is as it was.
    """
    try:
        pages = SitePages(source, stock, form_tokens, dates)
        pages.try_cloud_templates()
        jobs = pages.jobs()
        keys = frozenset(job.key for job in jobs)
        _refuse(check(keys) if check else ())
        jobs += [*pages.root_files(), *pages.redirects(source.redirects, keys)]
        written = output_dir.sync(jobs, copied_assets, pool)
    except Exception as error:
        if mistake := _template_mistake(error, source.theme.templates):
            raise mistake from error
        raise
    present = {written_object.key for written_object in written}
    elsewhere = [asset for asset in source.assets if asset.key not in present]
    objects = sorted((*written, *elsewhere), key=lambda site_object: site_object.key)
    return Release(tuple(objects), source, dates=dates.pages)


def _fonts(
    catalogue: Catalogue, project: Project, files: ThemeFiles, cache: BuildCache
) -> Mapping[str, bytes]:
    """Return the fonts of the shop as pages load them, by the names of their files.

    Raises:
        CatalogueInvalid: one of them cannot be served.
    """
    found = served_fonts(catalogue, project.site / FONTS, files.texts(), cache)
    _refuse([located(finding, partial(_text_of, project)) for finding in found.mistakes])
    return found.bodies


def _process(
    catalogue: Catalogue, project: Project, cache: BuildCache, left_out: list[InputError] | None
) -> Mapping[str, ProcessedPicture]:
    """Make the variants of every picture. One that cannot be decoded is a mistake wherever it is named.

    Raises:
        CatalogueInvalid: there is such a picture, and `left_out` is None.
    """
    merchant_pictures = MerchantPictures(catalogue.pictures, project.cache, cache)
    known = {str(mistake.value) for mistake in left_out or ()}
    processed = merchant_pictures.process(catalogue.picture_names - known)
    problems = {name: made.problem for name, made in processed.items() if made.problem}
    if problems:
        text_of = partial(_text_of, project)
        found = list(picture_mistakes(catalogue.storefront, catalogue.rows, problems.get, text_of))
        if left_out is None:
            raise CatalogueInvalid(found)
        left_out += found
    return processed


def _text_of(project: Project, file: str) -> str:
    return (project.root / file).read_text(encoding="utf-8-sig")


def _redirect_and_root_mistakes(site: Site, keys: Set[str]) -> list[InputError]:
    """Return the mistakes in redirects and root files of a shop whose own pages have `keys`."""
    root_files = site.source.root_files
    mistakes = root_mistakes(root_files, keys)
    if site.redirects_text is not None:
        present = keys | {file.key for file in root_files}
        paths = {HOME if key == HOME_KEY else f"/{key}" for key in present}
        mistakes += redirect_mistakes(site.source.redirects, paths, KeyLines(site.redirects_text))
    return mistakes


def _refuse(mistakes: Sequence[InputError]) -> None:
    if mistakes:
        raise CatalogueInvalid(mistakes)


def _template_mistake(error: Exception, templates: Mapping[str, str]) -> BadInput | None:
    """Return the error of a template with its name and line; None when no template failed.

    A syntax error knows its place; any other error has it in its traceback.
    """
    if isinstance(error, TemplateSyntaxError):
        places = [(error.name or "", error.lineno)]
    else:
        trace = traceback.extract_tb(error.__traceback__)
        places = [(frame.filename, frame.lineno or 0) for frame in trace if frame.filename in templates]
    if not places and not isinstance(error, TemplateError):
        return None
    name, line = places[-1] if places else ("", 0)
    reason = "templates include each other without end" if isinstance(error, RecursionError) else str(error)
    if isinstance(error, TemplateNotFound):
        reason = f"there is no template {error.name}{did_you_mean(str(error.name), templates)}"
    file = file_of_template(name)
    if name and is_default(file, templates.get(name, "")):
        return BadInput(
            f"{file}:{line} of the default theme: {reason}",
            hint="a file of the shop in site/templates or site/emails lacks something that this one uses",
        )
    place = f"site/{file}:{line}" if name else "site/templates"
    return BadInput(f"{place}: {reason}", hint="correct the template and build again")


def _picture(variant: ImageVariant) -> SiteObject:
    return SiteObject(
        f"pictures/{variant.name}",
        variant.file,
        variant.sha256,
        content_type=variant.media_type,
        cache_control=ASSET_CACHE_CONTROL,
        kind=ObjectKind.ASSET,
    )

"""Sites to publish: the shop's folder, or the saved source of a release that was live before."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from chalicelib.domain.tokens import FormTokens
from chalicelib.storefront.theme import Shop
from spillway.errors import BadInput, WorkFailed
from spillway.project import Project
from spillway.publish.live_manifest import LiveManifest
from spillway.publish.manifest import KeptRelease, Manifest
from spillway.publish.plan import PublishPlan
from spillway.publish.published import keep_published, publish_folder
from spillway.publish.saved_sources import source_key, unpack, with_change
from spillway.publish.target import Bucket, PublishTarget
from spillway.sitegen.incremental import FileComparison, report_of
from spillway.sitegen.last_build import LastBuild, again_if_damaged
from spillway.sitegen.pages import StockBySlug
from spillway.sitegen.parallel import WorkerPool
from spillway.sitegen.reading.toml_input import CatalogueInvalid
from spillway.sitegen.release import OutputDir, PageDates, Release, ReleaseSource, SiteObject
from spillway.sitegen.site import read_site, render_release, render_site


@dataclass(frozen=True, slots=True)
class LoadedSite:
    """A site in memory, to be rendered as often as its stock moves.

    Attributes:
        shop: the shop's settings.
        render: renders a release with a stock; its forms have tokens of `form_tokens`, its pages are
            dated.
        keep: keeps what the next publish of a small change needs of a release that was just published.
    """

    shop: Shop
    render: Callable[[StockBySlug, FormTokens, PageDates], Release]
    keep: Callable[[Release, LiveManifest, PublishPlan, FormTokens], None] = lambda *published: None


def load_folder(
    project: Project, *, base_url: str | None = None, skip_broken_pictures: bool = False
) -> LoadedSite:
    """Read the shop's folder.

    Args:
        project: the folder.
        base_url: replaces the one in site.toml.
        skip_broken_pictures: leave out pictures that cannot be shown; otherwise they are mistakes.

    Raises:
        BadInput: the site has mistakes.
    """
    folder = publish_folder(project)
    # Before the files are read: one that is edited meanwhile counts as changed.
    files = FileComparison(project, folder, base_url=base_url, skip_broken_pictures=skip_broken_pictures)
    with _publish_hint():
        site = read_site(project, base_url=base_url, skip_broken_pictures=skip_broken_pictures)

    def render(stock: StockBySlug, form_tokens: FormTokens, dates: PageDates) -> Release:
        with _publish_hint():
            return render_site(project, site, stock=stock, form_tokens=form_tokens, dates=dates)

    def keep(release: Release, live: LiveManifest, plan: PublishPlan, form_tokens: FormTokens) -> None:
        featured = site.catalogue.storefront.home.featured

        def write() -> None:
            with LastBuild(project, folder) as last:
                keep_published(last, release, live, form_tokens, featured=featured, abandoned=plan.abandoned)
                files.record(last, report_of(release))

        again_if_damaged(write)

    return LoadedSite(site.source.theme.shop, render, keep)


def load_kept(kept: KeptRelease, project: Project, target: PublishTarget) -> LoadedSite:
    """Fetch the source of a release that was live before. The shop's folder is not read.

    Raises:
        WorkFailed: the source cannot be read, or one of its assets is gone; nothing was changed.
    """
    source = _saved_source(kept, target.releases)
    source = replace(
        source, assets=_with_bodies(source.assets, target.manifest.read().manifest, target.pages)
    )

    def render(stock: StockBySlug, form_tokens: FormTokens, dates: PageDates) -> Release:
        folder = project.cache / "rollback"
        with LastBuild(project, folder) as last:
            return render_release(
                source,
                OutputDir(folder, last),
                (),
                stock=stock,
                form_tokens=form_tokens,
                dates=dates,
                pool=WorkerPool(),
            )

    return LoadedSite(source.theme.shop, render)


def choose_kept(manifest: Manifest, release: str | None) -> KeptRelease:
    """Return the kept release whose name begins with `release`; without one, the release before the live one.

    Raises:
        BadInput: no release matches, or several do.
    """
    if release is None:
        if len(manifest.kept) < 2:
            raise BadInput("no release was live before this one", hint="publish another first")
        return manifest.kept[1]
    matches = [kept for kept in manifest.kept if kept.release.startswith(release)]
    if len(matches) != 1:
        problem = "several releases begin so" if matches else "no release of that name is kept"
        raise BadInput(f"{release}: {problem}", hint="spillway rollback --list names them")
    return matches[0]


def _saved_source(kept: KeptRelease, releases: Bucket) -> ReleaseSource:
    if kept.base is None:
        return unpack(_saved(kept, kept.release, releases), kept.release)
    base = unpack(_saved(kept, kept.base, releases), kept.base)
    return with_change(base, _saved(kept, kept.release, releases), kept.release)


def _saved(kept: KeptRelease, release: str, releases: Bucket) -> bytes:
    response = releases.get(source_key(release))
    if response.status != 200:
        raise WorkFailed(f"what release {kept.release} was made from is gone", hint="go back to another")
    return response.body


@contextmanager
def _publish_hint() -> Iterator[None]:
    try:
        yield
    except CatalogueInvalid as error:
        raise BadInput(
            error.message, hint="correct them and publish again; the live shop is as it was"
        ) from error


def _with_bodies(assets: tuple[SiteObject, ...], live: Manifest, pages: Bucket) -> tuple[SiteObject, ...]:
    """Return the assets; those that may have to be put again get their bodies from the bucket."""
    live_keys = (live.objects.keys() | live.retired.keys()) - set(live.in_doubt)
    return tuple(
        asset if asset.key in live_keys else replace(asset, body=_fetch(asset, pages)) for asset in assets
    )


def _fetch(asset: SiteObject, pages: Bucket) -> bytes:
    response = pages.get(asset.key)
    if response.status != 200:
        raise WorkFailed(f"{asset.key} of that release is gone", hint="go back to another")
    return response.body

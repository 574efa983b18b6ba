"""What can be brought before the shoppers: what a folder holds, or a release that was live before."""

from dataclasses import replace

from spillway.errors import BadInput, WorkFailed
from spillway.project import Project
from spillway.publish.archive import kept_key, unpacked
from spillway.publish.manifest import Kept, Manifest
from spillway.publish.publisher import Bucket, Make, Target
from spillway.sitegen.cache import BuildCache
from spillway.sitegen.output_dir import OutputDir
from spillway.sitegen.pages import StockBySlug
from spillway.sitegen.parallel import WorkerPool
from spillway.sitegen.reading.toml_input import CatalogueInvalid
from spillway.sitegen.release import Dates, Release, SiteObject
from spillway.sitegen.site import build, render_release


def of_folder(
    project: Project, target: Target, *, base_url: str | None = None, skip_broken_pictures: bool = False
) -> Make:
    """Return a function that renders the shop's folder.

    `base_url` takes the place of the one in site.toml; pictures that cannot be shown are mistakes unless they
    are to be skipped.
    """

    def make(stock: StockBySlug, dates: Dates) -> Release:
        try:
            return build(
                project,
                base_url=base_url,
                stock=stock,
                stamps=target.stamps,
                dates=dates,
                skip_broken_pictures=skip_broken_pictures,
            )
        except CatalogueInvalid as error:
            raise BadInput(
                error.message, hint="correct them and publish again; the live shop is as it was"
            ) from error

    return make


def of_kept(kept: Kept, project: Project, target: Target) -> Make:
    """A release that was live before, with the stock of now. Nothing of the shop's folder is read.

    Raises:
        WorkFailed: it cannot be read any more, or one of its assets is gone; nothing was changed.
    """
    answer = target.releases.get(kept_key(kept.release))
    if answer.status != 200:
        raise WorkFailed(f"what release {kept.release} was made from is gone", hint="go back to another")
    source = unpacked(answer.body, kept.release)
    source = replace(source, assets=_at_hand(source.assets, target.live.read().manifest, target.pages))
    shelf = project.cache / "rollback"

    def make(stock: StockBySlug, dates: Dates) -> Release:
        memory = BuildCache(project.cache / "shelves" / "rollback.pickle", context="")
        release = render_release(
            source,
            OutputDir(shelf, memory),
            (),
            stock=stock,
            stamps=target.stamps,
            dates=dates,
            pool=WorkerPool(),
        )
        memory.save()
        return release

    return make


def chosen(manifest: Manifest, release: str | None) -> Kept:
    """The kept release whose name begins with `release`; without one, that which was live before.

    Raises:
        BadInput: there is none such, or several.
    """
    if release is None:
        if len(manifest.kept) < 2:
            raise BadInput("no release was live before this one", hint="publish another first")
        return manifest.kept[1]
    found = [each for each in manifest.kept if each.release.startswith(release)]
    if len(found) != 1:
        told = "no release of that name is kept" if not found else "several releases begin so"
        raise BadInput(f"{release}: {told}", hint="spillway rollback --list names them")
    return found[0]


def _at_hand(assets: tuple[SiteObject, ...], live: Manifest, pages: Bucket) -> tuple[SiteObject, ...]:
    """The assets, with the bodies of those that may have to be put again: a publish that never ended may have
    touched them."""
    sure = (live.objects.keys() | live.retired.keys()) - set(live.unsure)
    return tuple(each if each.key in sure else replace(each, body=_fetched(each, pages)) for each in assets)


def _fetched(asset: SiteObject, pages: Bucket) -> bytes:
    answer = pages.get(asset.key)
    if answer.status != 200:
        raise WorkFailed(f"{asset.key} of that release is gone", hint="go back to another")
    return answer.body

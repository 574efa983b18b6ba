"""Publish a change inside a few product files: read, render and send what shows it, and nothing else.

The live manifest is read without its base, the table for the products on the pages that change, and the
sitemap for its parts in which a date changes. Other pages stay as they are: the cloud refreshes each when
its stock changes. A publish with nothing changed, or with any other change, compares everything.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from chalicelib.domain.ids import Sku, Slug
from chalicelib.domain.stock import Availability, StockedProduct
from chalicelib.domain.tokens import FormTokens
from chalicelib.storage import PAGE_CACHE_CONTROL
from chalicelib.storefront.sitemaps import written_time
from spillway.project import Project
from spillway.publish.live_manifest import LiveManifest, StaleManifest
from spillway.publish.manifest import KeptRelease
from spillway.publish.plan import (
    UPLOAD_ORDER,
    PublishPlan,
    Reason,
    Upload,
    fingerprints,
    keep_first,
    theme_digest,
    time_after,
)
from spillway.publish.published import (
    PublishedFolder,
    SavedSource,
    publish_folder,
    published_in,
    put_published,
    saved_source,
)
from spillway.publish.run import Contents, Progress, Published, apply, run_publish
from spillway.publish.saved_sources import pack_change
from spillway.publish.target import PublishTarget
from spillway.sitegen.cache import Report, ended_sales, late_launches
from spillway.sitegen.incremental import FileComparison
from spillway.sitegen.known_shop import KnownShop
from spillway.sitegen.last_build import DatabaseDamaged, LastBuild
from spillway.sitegen.pages import StockBySlug
from spillway.sitegen.parallel import collector_off
from spillway.sitegen.products import Products
from spillway.sitegen.release import SiteObject
from spillway.sitegen.small_change import SmallChange, plan_small_change

if TYPE_CHECKING:
    from spillway.publish.sources import LoadedSite

# The saved source of a release has at most so many products of its own; a whole publish saves a complete one.
PRODUCTS_SINCE_BASE_MAX = 200
# So many changes of a manifest's base are written again by each publish.
CHANGES_MAX = 2000


class _NotSmall(Exception):
    """The change is left to a whole publish, and what is known of the shop is as it was."""


class _Known(NamedTuple):
    """The published shop as the database of its folder knows it, and its manifest."""

    live: LiveManifest
    folder: PublishedFolder
    source: SavedSource
    report: Report


@dataclass(frozen=True, slots=True)
class _LiveShop:
    """The published shop, asked for what pages show of it; `stored` are the products that were read."""

    target: PublishTarget
    now_ms: int
    stored: dict[Slug, StockedProduct] = field(default_factory=dict)

    @property
    def form_tokens(self) -> FormTokens:
        return self.target.form_tokens

    def stock(self, slugs: Iterable[Slug]) -> StockBySlug:
        self.stored.update(self.target.products.get_many(slugs))
        return {slug: stocked.stock for slug, stocked in self.stored.items()}

    def sitemap(self, key: str) -> str:
        response = self.target.pages.get(key)
        if response.status != 200:
            raise _NotSmall
        return response.body.decode()

    @property
    def stock_moved(self) -> bool:
        """True if the stock of a product is another than pages were rendered with."""
        now = self.target.products.get_many(self.stored)
        return any(
            slug not in now or now[slug].stock != stocked.stock for slug, stocked in self.stored.items()
        )


def publish_shop(
    project: Project,
    target: PublishTarget,
    *,
    base_url: str | None = None,
    skip_broken_pictures: bool = False,
    progress: Progress = lambda done, total: None,
    delete_many: bool = False,
    everything: bool = False,
) -> Published:
    """Publish the shop's folder: what a small change needs, or everything that is not live.

    Args:
        project: the shop.
        target: the stage to publish to.
        base_url: replaces the one in site.toml.
        skip_broken_pictures: leave out pictures that cannot be shown; otherwise they are mistakes.
        progress: called after each object.
        delete_many: permit the deletion of a large part of the shop.
        everything: see `run_publish`.

    Raises:
        BadInput: see `run_publish`.
        WorkFailed: see `run_publish`.
    """
    files = FileComparison(
        project, publish_folder(project), base_url=base_url, skip_broken_pictures=skip_broken_pictures
    )

    def load() -> "LoadedSite":
        # Imported here: a small change reads few files.
        from spillway.publish.sources import load_folder

        return load_folder(project, base_url=base_url, skip_broken_pictures=skip_broken_pictures)

    done = None if everything else _publish_change(project, files, target, progress)
    if done is None:
        return run_publish(load, target, progress=progress, delete_many=delete_many, everything=everything)
    published, stock_moved = done
    if stock_moved:
        run_publish(load, target, delete_many=delete_many)
    return published


def _publish_change(
    project: Project, files: FileComparison, target: PublishTarget, progress: Progress
) -> tuple[Published, bool] | None:
    """Publish a small change, and return whether its stock has moved since; None if it is no small one.

    Raises:
        WorkFailed: another publish is under way, or S3 or CloudFront failed.
    """
    folder = publish_folder(project)
    target = replace(target, manifest=target.manifest.of_changes)
    shop = _LiveShop(target, target.clock_ms())
    try:
        with collector_off(), LastBuild(project, folder) as last:
            known = _known(last, target)
            change = _change(project, files, last, known, shop)
            target.check_shop(change.theme.shop)
            plan, source = _plan(change, known, folder, shop.now_ms)
            report = change.write(known.report)
            contents = _contents(change, source, last)
            done = apply(plan, contents, shop.stored, known.live, target, progress)
            put_published(last, known.folder._replace(etag=done.etag or ""), source)
            files.record(last, report)
            return _published(plan, report, known.folder, shop), shop.stock_moved
    except (_NotSmall, StaleManifest, DatabaseDamaged):
        return None


def _change(
    project: Project, files: FileComparison, last: LastBuild, known: _Known, shop: _LiveShop
) -> SmallChange:
    """Return the change since the last publish, made in memory.

    Raises:
        _NotSmall: nothing changed, or too much.
    """
    changed = files.changed_inputs(last)
    if not changed:
        raise _NotSmall
    change = plan_small_change(project, publish_folder(project), last, changed, known.report, shop)
    if change is None or _changes_skus(change, shop.stored):
        raise _NotSmall
    return change


def _known(last: LastBuild, target: PublishTarget) -> _Known:
    """Return the published shop, if this machine published it last and nothing of it is in doubt.

    Raises:
        _NotSmall: it did not, or something is.
    """
    live = target.manifest.presumed()
    manifest, folder, report = live.manifest, published_in(last), last.report()
    source = saved_source(last, manifest.release)
    if folder is None or report is None or source is None or folder.etag != live.etag:
        raise _NotSmall
    doubtful = manifest.claim or manifest.in_doubt or not manifest.theme
    # Form tokens of another series are on every page with a form.
    if doubtful or folder.series != target.form_tokens.series or last.get("release") != manifest.release:
        raise _NotSmall
    return _Known(live, folder, source, report)


def _changes_skus(change: SmallChange, stored: Mapping[Slug, StockedProduct]) -> bool:
    """Return whether an edited product has other SKUs than before, or than in the table."""
    return any(
        slug not in stored or not stored[slug].product.skus == {*edit.before.row.skus} == {*edit.now.row.skus}
        for slug, edit in change.edits.items()
    )


def _plan(change: SmallChange, known: _Known, folder: Path, at_ms: int) -> tuple[PublishPlan, SavedSource]:
    """Return the steps of a change, and how the source of its release is saved.

    Raises:
        _NotSmall: too much has changed since a whole publish, or an earlier release goes live again.
    """
    live = known.live.manifest
    objects = [
        SiteObject(
            file.job.key,
            folder / file.job.file,
            file.sha256,
            file.job.content_type,
            PAGE_CACHE_CONTROL,
            file.job.kind,
            file.job.language,
        )
        for file in change.files
        if file.is_new
    ]
    source, newest = known.source, live.kept[0]
    if change.release != live.release:
        slugs = tuple(sorted({*source.slugs, *change.edits}))
        source = SavedSource(
            change.release, source.base, slugs, has_theme=source.has_theme or change.changes_listings
        )
        newest = KeptRelease(
            change.release, time_after(live, at_ms), newest.products, newest.pages, source.base
        )
        if len(slugs) > PRODUCTS_SINCE_BASE_MAX or change.release in {past.release for past in live.kept}:
            raise _NotSmall
    kept, dropped_releases = keep_first(newest, live)
    manifest = replace(
        live,
        release=change.release,
        objects={**live.objects, **fingerprints(objects)},
        dates={**live.dates, **change.dates},
        theme=theme_digest(change.complete_theme) if change.changes_listings else live.theme,
        kept=kept,
    )
    if manifest.base and len(manifest.objects) + len(manifest.dates) > CHANGES_MAX:
        raise _NotSmall
    plan = PublishPlan(
        uploads=tuple(
            Upload(site_object, Reason.CHANGED)
            for site_object in sorted(objects, key=lambda found: UPLOAD_ORDER.index(found.kind))
        ),
        removals=(),
        skipped=known.folder.objects - len(objects),
        manifest=manifest,
        theme_changed=change.changes_listings,
        release_changed=change.release != live.release,
        saves_source=change.release != live.release,
        dropped_releases=dropped_releases,
        abandoned=(),
    )
    return plan, source


def _contents(change: SmallChange, source: SavedSource, last: LastBuild) -> Contents:
    """Return what a publish of a change writes beside its pages."""

    def pack() -> bytes:
        shop = KnownShop(last, change.frame)
        rows = list(shop.in_order(source.slugs))
        products = Products(rows, Path(), shop.image_variants(rows), related={})
        return pack_change(products, change.complete_theme if source.has_theme else None)

    return Contents(
        change.release,
        pack,
        [change.products.named(slug) for slug in change.catalogued],
        lambda: change.complete_theme,
        None,
    )


def _published(plan: PublishPlan, report: Report, folder: PublishedFolder, shop: _LiveShop) -> Published:
    """Return the result of a publish of a change."""
    coming = shop.target.products.selling(Sku(launch[1]) for launch in report.launches)
    on_sale = {
        sku
        for sku, stocked in coming.items()
        if stocked.stock[sku].availability is not Availability.COMING_SOON
    }
    return Published(
        plan.manifest.release,
        len(plan.uploads),
        plan.skipped,
        removed=0,
        abandoned=folder.abandoned,
        missing_translations=tuple(report.missing_translations),
        ended_sales=tuple(ended_sales(report.sales, today=written_time(shop.now_ms)[:10])),
        left_out=tuple(report.left_out),
        late_launches=tuple(late_launches(report.launches, at_ms=shop.now_ms, on_sale=on_sale)),
    )

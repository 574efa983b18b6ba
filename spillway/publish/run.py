"""Publish a site: read it, render it with the stock of now, diff it with what is live, apply the plan.

The order of a plan is: claim, source, assets, catalogue, theme, pages, index, removals, invalidation,
manifest. At no moment does a visible page lack an asset, and the next publish finishes one that died: the
first manifest names the keys that may change, the last one says that they did and that the CDN was
invalidated. Between batches the claim is checked: a publish that was overtaken stops.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count
from typing import TYPE_CHECKING

from chalicelib.domain.ids import Sku, Slug
from chalicelib.domain.stock import Availability, Stock, StockedProduct
from chalicelib.storage import THEME_KEY, CdnBusy
from chalicelib.storefront.sitemaps import written_time
from chalicelib.storefront.theme import Theme
from spillway.errors import BadInput, WorkFailed
from spillway.publish.live_manifest import HeldClaim, LiveManifest, StaleManifest
from spillway.publish.plan import PublishPlan, diff
from spillway.publish.s3 import S3Request, body_loader
from spillway.publish.saved_sources import SOURCE_CONTENT_TYPE, pack, source_key
from spillway.publish.target import Bucket, PublishTarget
from spillway.sitegen.cache import ended_sales, late_launches
from spillway.sitegen.reading.catalogue import CatalogueProduct
from spillway.sitegen.release import ObjectKind, PageDates, Release, SiteObject

if TYPE_CHECKING:
    from spillway.publish.sources import LoadedSite

PASSES_MAX = 3
# More pages gone at once than this number, and than this share of the objects, look like the wrong folder.
DELETIONS_MIN = 10
DELETIONS_SHARE_MAX = 0.2

StoredProducts = Mapping[Slug, StockedProduct]
Progress = Callable[[int, int], None]
"""Called with the number of objects put so far and of all objects to put."""


@dataclass(frozen=True, slots=True)
class Published:
    """The result of a publish.

    Attributes:
        abandoned: slugs that are in the table but no longer in the catalogue; people may still wait for them.
        withdrawn: SKUs that were for sale before, and are not now.
        missing_translations: see `Release.missing_translations` and `Release.notes`.
        ended_sales: a line for each sale that has ended; see `ended_sales`.
        left_out: see `Release.left_out`.
        late_launches: a line for each launch whose day has passed; see `late_launches`.
        stock_moved: stock changed during every pass, so that a page may be older than its stock.
    """

    release: str
    uploaded: int
    skipped: int
    removed: int
    abandoned: tuple[Slug, ...]
    withdrawn: tuple[Sku, ...] = ()
    missing_translations: tuple[str, ...] = ()
    ended_sales: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    late_launches: tuple[str, ...] = ()
    stock_moved: bool = False


def run_publish(
    load: "Callable[[], LoadedSite]",
    target: PublishTarget,
    *,
    progress: Progress = lambda done, total: None,
    delete_many: bool = False,
    everything: bool = False,
) -> Published:
    """Publish a site, and return what the first pass did.

    The site is read once. Stock may move during a publish: then the pages are rendered with the new stock and
    published in another pass, up to `PASSES_MAX`, so that no outdated page covers a refreshed one.

    Args:
        load: reads the site.
        target: the stage to publish to.
        progress: called after each object.
        delete_many: permit the deletion of a large part of the shop.
        everything: put unchanged objects, too, in case they are not in the bucket as they were published.

    Raises:
        BadInput: the site has mistakes or contradicts the stack, or too many pages would go; nothing changed.
        WorkFailed: another publish is under way, or S3 or CloudFront failed.
    """
    site = load()
    target.check_shop(site.shop)
    passes: list[Published] = []
    stored, live = target.stored_products(), target.manifest.presumed()
    while True:
        at_ms = target.clock_ms()
        release = render(site, stored, live, target, at_ms)
        known = live.manifest.all_in_doubt if everything and not passes else live.manifest
        plan = diff(known, release, stored, at_ms=at_ms)
        try:
            if not delete_many:
                refuse_mass_deletion(plan, live, target)
            done = apply(plan, Contents.of(release), stored, live, target, progress)
        except StaleManifest as stale:
            live = stale.live  # another machine has published meanwhile: diff with that
            continue
        passes.append(_result(plan, release, stored, at_ms))
        site.keep(release, done, plan, target.form_tokens)
        stock_moved = _stock_moved(stored, target.products.stock_of_all())
        if len(passes) == PASSES_MAX or not stock_moved:
            return replace(passes[0], stock_moved=stock_moved)
        stored, live = target.stored_products(), target.manifest.presumed()


def plan_publish(
    load: "Callable[[], LoadedSite]", target: PublishTarget, *, everything: bool = False
) -> PublishPlan:
    """Return what `run_publish` would do now.

    Raises:
        BadInput: the site has mistakes or contradicts the stack.
    """
    site = load()
    target.check_shop(site.shop)
    live, at_ms, stored = target.manifest.read(), target.clock_ms(), target.stored_products()
    known = live.manifest.all_in_doubt if everything else live.manifest
    return diff(known, render(site, stored, live, target, at_ms), stored, at_ms=at_ms)


def render(
    site: "LoadedSite", stored: StoredProducts, live: LiveManifest, target: PublishTarget, at_ms: int
) -> Release:
    """Render the site with the stored stock; unchanged pages keep the dates of the live release."""
    stock = {slug: stocked.stock for slug, stocked in stored.items()}
    return site.render(stock, target.form_tokens, PageDates(live.manifest.dates, at_ms))


def refuse_mass_deletion(plan: PublishPlan, live: LiveManifest, target: PublishTarget) -> None:
    """Verify that the plan deletes no large part of the shop.

    Raises:
        BadInput: it does.
        StaleManifest: it does, but the presumed manifest is not live.
    """
    gone, live_count = len(plan.pages_removed), len(live.manifest.objects)
    if gone > max(DELETIONS_MIN, live_count * DELETIONS_SHARE_MAX):
        target.manifest.confirm(live)
        raise BadInput(
            f"this would delete {gone} pages of a shop of {live_count} objects; nothing was changed",
            hint="if that is meant, publish with --delete-many; --dry-run lists them",
        )


@dataclass(frozen=True, slots=True)
class Contents:
    """The parts of a release that a publish writes beside its pages and assets.

    Attributes:
        release: the release's name.
        source: returns its source, as it is saved for rollbacks.
        products: those that the catalogue may not have as they are.
        theme: returns its theme.
        refused_domains: email domains that signups are refused for; None: they are stored already.
    """

    release: str
    source: Callable[[], bytes]
    products: Iterable[CatalogueProduct]
    theme: Callable[[], Theme]
    refused_domains: tuple[str, ...] | None

    @classmethod
    def of(cls, release: Release) -> "Contents":
        """Return the contents of a whole release."""
        return cls(
            release.id,
            lambda: pack(release.source),
            release.products,
            lambda: release.theme,
            release.refused_domains,
        )


def apply(
    plan: PublishPlan,
    contents: Contents,
    stored: StoredProducts,
    live: LiveManifest,
    target: PublishTarget,
    progress: Progress,
) -> LiveManifest:
    """Carry out a plan, and return the manifest that is live then. An empty plan updates the catalogue only.

    Raises:
        StaleManifest: the presumed manifest is not live; nothing was changed.
        WorkFailed: another publish is under way, or S3 or CloudFront failed.
    """
    if plan.empty and not live.manifest.claim:
        target.manifest.confirm(live)
        _put_catalogue(plan, contents, stored, target)
        return live
    hold = target.manifest.claim(live, plan)
    on_done = _counter(len(plan.uploads), progress)
    if plan.saves_source:
        _send(target.releases, [_put(_source_object(contents))], hold)
    _send(target.pages, _puts(plan, ObjectKind.ASSET), hold, on_done)
    hold.check()
    _put_catalogue(plan, contents, stored, target)
    if plan.theme_changed:
        theme = contents.theme()
        if (name := theme.shop.refused_domains) and contents.refused_domains is not None:
            target.domain_lists.put(name, contents.refused_domains)
        # Rules after the theme: between the two, those of the release before hold.
        _send(target.releases, [_put(_theme_object(theme))], hold)
        _send(target.releases, [_put(_rules_object(theme))], hold)
    _send(target.pages, _puts(plan, ObjectKind.PAGE), hold, on_done)
    _send(target.pages, _puts(plan, ObjectKind.INDEX), hold, on_done)
    _send(target.pages, [S3Request("DELETE", removal.key) for removal in plan.removals], hold)
    _send(target.releases, [S3Request("DELETE", source_key(name)) for name in plan.dropped_releases], hold)
    hold.check()
    # Before the last manifest: if this publish dies here, the next one invalidates again.
    _invalidate(plan, target)
    return hold.finish()


def _put_catalogue(
    plan: PublishPlan, contents: Contents, stored: StoredProducts, target: PublishTarget
) -> None:
    for entry in contents.products:
        target.products.put_catalogue(entry.product, entry.stock, known=stored.get(entry.product.slug))
    for slug in plan.abandoned:
        if stored[slug].product.variants:
            target.products.withdraw(stored[slug].product)


def _invalidate(plan: PublishPlan, target: PublishTarget) -> None:
    paths = plan.pages_touched
    if not paths:
        return
    try:
        target.cdn.invalidate(paths, reference=f"{plan.manifest.release}-{target.clock_ms()}")
    except CdnBusy as busy:
        raise WorkFailed(
            "all pages are written, but CloudFront has too many invalidations in progress:"
            " visitors may see older pages for up to a day",
            hint="publish again in a few minutes; only what may be old in its caches is sent again",
        ) from busy


def _send(
    bucket: Bucket, requests: Sequence[S3Request], hold: HeldClaim, on_done: Callable[[], None] = lambda: None
) -> None:
    """Send the requests in batches; a batch ends when the claim has to be checked again."""
    pending = iter(requests)
    for first in pending:
        hold.check()
        bucket.send(chain([first], _while_trusted(pending, hold)), on_done, count=len(requests))


def _while_trusted(pending: Iterator[S3Request], hold: HeldClaim) -> Iterator[S3Request]:
    while hold.trusted and (request := next(pending, None)):
        yield request


def _counter(total: int, progress: Progress) -> Callable[[], None]:
    numbers = count(1)
    return lambda: progress(next(numbers), total)


def _puts(plan: PublishPlan, kind: ObjectKind) -> list[S3Request]:
    return [_put(upload.site_object) for upload in plan.uploads if upload.site_object.kind is kind]


def _put(site_object: SiteObject) -> S3Request:
    headers = {"content-type": site_object.content_type, "cache-control": site_object.cache_control}
    headers |= {"content-language": site_object.language} if site_object.language else {}
    return S3Request("PUT", site_object.key, headers, site_object.sha256, body_loader(site_object.body))


def _theme_object(theme: Theme) -> SiteObject:
    return SiteObject.of(
        THEME_KEY,
        theme.to_json().encode(),
        content_type="application/json",
        cache_control="no-cache",
        kind=ObjectKind.INDEX,
    )


def _rules_object(theme: Theme) -> SiteObject:
    # Imported here: most changes of a product leave the theme as it is.
    from chalicelib.services.domain_events import RULES_KEY, rules_to_json

    return SiteObject.of(
        RULES_KEY,
        rules_to_json(theme.release, theme.rules).encode(),
        content_type="application/json",
        cache_control="no-cache",
        kind=ObjectKind.INDEX,
    )


def _source_object(contents: Contents) -> SiteObject:
    return SiteObject.of(
        source_key(contents.release),
        contents.source(),
        content_type=SOURCE_CONTENT_TYPE,
        cache_control="no-cache",
        kind=ObjectKind.ASSET,
    )


def _stock_moved(before: StoredProducts, now: Mapping[Slug, Mapping[Sku, Stock]]) -> bool:
    """Return whether stock is another than pages were rendered with; new variants have that of their file."""
    known = {(slug, sku): stock for slug, stocked in before.items() for sku, stock in stocked.stock.items()}
    return any(
        stock != known[slug, sku] if (slug, sku) in known else stock.version
        for slug, stocks in now.items()
        for sku, stock in stocks.items()
    )


def _result(plan: PublishPlan, release: Release, stored: StoredProducts, at_ms: int) -> Published:
    on_sale = {
        sku
        for stocked in stored.values()
        for sku, stock in stocked.stock.items()
        if stock.availability is not Availability.COMING_SOON
    }
    return Published(
        release.id,
        len(plan.uploads),
        plan.skipped,
        len(plan.removals),
        plan.abandoned,
        plan.withdrawn,
        (*release.missing_translations, *release.notes),
        tuple(ended_sales(release.sales, today=written_time(at_ms)[:10])),
        release.left_out,
        tuple(late_launches(release.launches, at_ms=at_ms, on_sale=on_sale)),
    )

"""Publishing: the catalogue to DynamoDB, the theme and the pages to S3, and the CDN told.

The order is claim, source, assets, catalogue, theme, pages, index, removals, invalidation, manifest. At no
moment does a visible page miss an asset, and a publish that dies is finished by the next one: the manifest
that is written first names what may be touched, the one that is written last says that all of it was, and
that the CDN was told of it. Between batches the claim is looked at: a publish that was overtaken stops.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from typing import Protocol

from chalicelib.domain.form_stamp import FormStamps
from chalicelib.domain.stock import StockedProduct
from chalicelib.storage.pages import Cdn, CdnBusy
from chalicelib.storage.themes import THEME_KEY
from chalicelib.storefront.sitemap import written_time
from chalicelib.storefront.theme import Theme
from chalicelib.tables.domain_lists import DomainListsTable
from chalicelib.tables.products import ProductsTable
from spillway.errors import BadInput, WorkFailed
from spillway.publish.answer import Answer
from spillway.publish.archive import KEPT_CONTENT_TYPE, kept_key, packed
from spillway.publish.body import loader
from spillway.publish.live import Hold, LiveRelease, Outdated, Seen
from spillway.publish.manifest import Manifest
from spillway.publish.plan import Plan, make_plan
from spillway.publish.s3 import Request
from spillway.sitegen.cache import ended_sales
from spillway.sitegen.pages import StockBySlug
from spillway.sitegen.release import Dates, Kind, Release, ReleaseSource, SiteObject

PASSES_MAX = 3
# More pages gone at once than this, and more than this share of all, look like the wrong folder.
DELETIONS_MIN = 10
DELETIONS_SHARE_MAX = 0.2

Progress = Callable[[int, int], None]


class Bucket(Protocol):
    """What is needed of a bucket."""

    def send(self, requests: Iterable[Request], done: Callable[[], None] = ...) -> None: ...
    def get(self, key: str) -> Answer: ...


Make = Callable[[StockBySlug, Dates], Release]
"""What is to be brought before the shoppers, with the pages as they are for a stock, dated."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a release goes: everything of one stage that a publish writes to."""

    pages: Bucket
    releases: Bucket
    live: LiveRelease
    products: ProductsTable
    domain_lists: DomainListsTable
    cdn: Cdn
    stamps: FormStamps


@dataclass(frozen=True, slots=True)
class Published:
    """What a publish did."""

    release: str
    uploaded: int
    skipped: int
    removed: int
    abandoned: tuple[str, ...]
    """Products that are in the table but in the catalogue no more; shoppers may still wait for them."""
    withdrawn: tuple[str, ...] = ()
    """SKUs that this publish takes off the shop, and no product has instead."""
    missing_translations: tuple[str, ...] = ()
    """See `Release.missing_translations`, and `Release.notes`."""
    ended_sales: tuple[str, ...] = ()
    """A line for each sale that has ended, see `ended_sales`."""
    left_out: tuple[str, ...] = ()
    """See `Release.left_out`."""


class Publisher:
    """Publishes to one stage. `progress` hears how many objects of how many."""

    def __init__(
        self, target: Target, clock_ms: Callable[[], int], progress: Progress, *, delete_many: bool = False
    ) -> None:
        self._target = target
        self._clock_ms = clock_ms
        self._progress = progress
        self._delete_many = delete_many

    def plan(self, make: Make) -> Plan:
        """What bringing it before the shoppers now would do.

        Raises:
            BadInput: the catalogue or a template is wrong.
        """
        live, at_ms = self._target.live.read().manifest, self._clock_ms()
        known = self._known()
        release = _made(make, known, live, at_ms)
        return replace(make_plan(live, release, at_ms=at_ms), withdrawn=_withdrawn(known, release))

    def publish(self, make: Make) -> Published:
        """Bring the shop to what `make` makes.

        Events go on while a publish runs. When the stock at the end is not what the pages were made
        with, the pages it concerns are made once more, so that no old page covers a turned one.

        Raises:
            BadInput: the catalogue or a template is wrong, or too many pages would go; nothing was changed.
            WorkFailed: another publish is under way, or S3 did not take it.
        """
        known = self._known()
        published = self._publish_once(make, known)
        for _ in range(PASSES_MAX - 1):
            before, known = known, self._known()
            if all(slug in known and known[slug].stock == each.stock for slug, each in before.items()):
                break
            self._publish_once(make, known)
        return published

    def _publish_once(self, make: Make, known: Mapping[str, StockedProduct]) -> Published:
        try:
            return self._bring(make, known, self._target.live.presumed())
        except Outdated as outdated:  # another machine has published since
            return self._bring(make, known, outdated.seen)

    def _bring(self, make: Make, known: Mapping[str, StockedProduct], seen: Seen) -> Published:
        at_ms = self._clock_ms()
        release = _made(make, known, seen.manifest, at_ms)
        plan = make_plan(seen.manifest, release, at_ms=at_ms)
        self._refuse_to_empty(plan, seen)
        if plan.empty and not seen.manifest.claim:
            self._target.live.confirm(seen)
            self._put_catalogue(release, known)
        else:
            hold = self._target.live.claim(seen, plan)
            self._execute(plan, release, known, hold)
            hold.check()
            # Before the manifest says that all is done: the publish after one that dies here does it again.
            self._invalidate(plan)
            hold.finish()
        return Published(
            release.id,
            len(plan.uploads),
            plan.skipped,
            len(plan.removals),
            _abandoned(known, release),
            _withdrawn(known, release),
            (*release.missing_translations, *release.notes),
            tuple(ended_sales(release.sales, today=written_time(at_ms)[:10])),
            release.left_out,
        )

    def _execute(self, plan: Plan, release: Release, known: Mapping[str, StockedProduct], hold: Hold) -> None:
        pages, releases = self._target.pages, self._target.releases
        with self._counting(plan) as done:
            if plan.keeps:
                _send(releases, [_put(_kept_object(release.source))], hold)
            _send(pages, _puts(plan, Kind.ASSET), hold, done)
            hold.check()
            self._put_catalogue(release, known)
            if plan.theme_changed:
                if release.refused_domains:
                    self._target.domain_lists.put(release.theme.shop.refused_domains, release.refused_domains)
                _send(releases, [_put(_theme_object(release.theme))], hold)
            _send(pages, _puts(plan, Kind.PAGE), hold, done)
            _send(pages, _puts(plan, Kind.INDEX), hold, done)
            _send(pages, [Request("DELETE", removal.key) for removal in plan.removals], hold)
            _send(releases, [Request("DELETE", kept_key(each)) for each in plan.forgets], hold)

    @contextmanager
    def _counting(self, plan: Plan) -> Iterator[Callable[[], None]]:
        count = 0

        def done() -> None:
            nonlocal count
            count += 1
            self._progress(count, len(plan.uploads))

        yield done

    def _put_catalogue(self, release: Release, known: Mapping[str, StockedProduct]) -> None:
        for entry in release.products:
            slug = entry.product.slug
            self._target.products.put_catalogue(entry.product, entry.stock, known=known.get(slug))
        for slug in _abandoned(known, release):
            if known[slug].product.variants:
                self._target.products.withdraw(known[slug].product)

    def _refuse_to_empty(self, plan: Plan, seen: Seen) -> None:
        gone, live_count = len(plan.pages_removed), len(seen.manifest.objects)
        if gone > max(DELETIONS_MIN, live_count * DELETIONS_SHARE_MAX) and not self._delete_many:
            self._target.live.confirm(seen)
            raise BadInput(
                f"this would delete {gone} pages of a shop of {live_count} objects; nothing was changed",
                hint="if that is meant, publish with --delete-many; --dry-run lists them",
            )

    def _invalidate(self, plan: Plan) -> None:
        paths = plan.pages_touched
        if not paths:
            return
        try:
            self._target.cdn.invalidate(paths, reference=f"{plan.manifest.release}-{self._clock_ms()}")
        except CdnBusy as busy:
            raise WorkFailed(
                "all pages are written, but CloudFront has too many invalidations in progress:"
                " visitors may see older pages for up to a day",
                hint="publish again in a few minutes; only what may be old in its caches is sent again",
            ) from busy

    def _known(self) -> dict[str, StockedProduct]:
        return {stocked.product.slug: stocked for stocked in self._target.products.scan()}


def _made(make: Make, known: Mapping[str, StockedProduct], live: Manifest, at_ms: int) -> Release:
    return make({slug: stocked.stock for slug, stocked in known.items()}, Dates(live.dates, at_ms))


def _send(
    bucket: Bucket, requests: Iterable[Request], hold: Hold, done: Callable[[], None] = lambda: None
) -> None:
    """Send all of them, in batches: each is as many as begin before the claim has to be looked at again."""
    waiting = iter(requests)
    for first in waiting:
        hold.check()
        bucket.send(chain([first], _while_trusted(waiting, hold)), done)


def _while_trusted(waiting: Iterator[Request], hold: Hold) -> Iterator[Request]:
    while hold.trusted:
        try:
            yield next(waiting)
        except StopIteration:
            return


def _theme_object(theme: Theme) -> SiteObject:
    return SiteObject.of(
        THEME_KEY,
        theme.to_json().encode(),
        content_type="application/json",
        cache_control="no-cache",
        kind=Kind.INDEX,
    )


def _kept_object(source: ReleaseSource) -> SiteObject:
    return SiteObject.of(
        kept_key(source.theme.release),
        packed(source),
        content_type=KEPT_CONTENT_TYPE,
        cache_control="no-cache",
        kind=Kind.ASSET,
    )


def _puts(plan: Plan, kind: Kind) -> Iterator[Request]:
    return (_put(each.site_object) for each in plan.uploads if each.site_object.kind is kind)


def _put(each: SiteObject) -> Request:
    headers = {"content-type": each.content_type, "cache-control": each.cache_control}
    headers |= {"content-language": each.language} if each.language else {}
    return Request("PUT", each.key, headers, each.sha256, loader(each.body))


def _abandoned(known: Mapping[str, StockedProduct], release: Release) -> tuple[str, ...]:
    return tuple(sorted(known.keys() - set(release.products.slugs)))


def _withdrawn(known: Mapping[str, StockedProduct], release: Release) -> tuple[str, ...]:
    before = {sku for stocked in known.values() for sku in stocked.product.skus}
    return tuple(sorted(before - {sku for entry in release.products for sku in entry.product.skus}))

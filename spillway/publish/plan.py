"""Diff the live manifest and a release into a plan, before anything is done. Each step has a reason."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from enum import StrEnum

from chalicelib.domain.ids import Sku, Slug
from chalicelib.domain.locales import root_of
from chalicelib.domain.stock import StockedProduct
from chalicelib.storage import object_key, page_path
from chalicelib.storefront.sitemaps import part_key
from chalicelib.storefront.theme import Theme
from spillway.publish.manifest import KeptRelease, Manifest
from spillway.sitegen.release import ObjectKind, Release, SiteObject


def fingerprint(site_object: SiteObject) -> str:
    """Return a text that changes with the object's bytes and headers."""
    parts = (site_object.sha256, site_object.content_type, site_object.cache_control, site_object.language)
    return "|".join(part for part in parts if part)


def fingerprints(objects: Iterable[SiteObject]) -> dict[str, str]:
    """Return the fingerprint of each object, by key."""
    return {site_object.key: fingerprint(site_object) for site_object in objects}


# Browsers and caches may hold pages of the last week, which load assets of then.
RETIRED_KEPT_MS = 7 * 24 * 3600 * 1000
# A rollback can restore this many releases: their sources and assets stay.
RELEASES_KEPT_MAX = 10
UPLOAD_ORDER = (ObjectKind.ASSET, ObjectKind.PAGE, ObjectKind.INDEX)
# The API redirects here. It knows the language of a signup, but not if the shop still has it.
_ANSWER_PAGES = "waitlist/"


class Reason(StrEnum):
    """Why a plan changes an object."""

    NEW = "new"
    CHANGED = "changed"
    STOCK = "stock"
    GONE = "gone"
    UNUSED = "unused"
    IN_DOUBT = "in_doubt"


@dataclass(frozen=True, slots=True)
class Upload:
    """An object to put."""

    site_object: SiteObject
    reason: Reason


@dataclass(frozen=True, slots=True)
class Removal:
    """A key to delete."""

    key: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class PublishPlan:
    """The steps of a publish.

    Attributes:
        uploads: in order: the assets of a page come before it.
        removals: done after every upload.
        skipped: how many objects are live already.
        manifest: the manifest after the plan is done.
        saves_source: the release's source is to be saved for rollbacks.
        dropped_releases: releases whose saved sources are to be deleted.
        abandoned: slugs of stored products that the release does not have; people may still wait for them.
        withdrawn: stored SKUs that no product of the release has.
    """

    uploads: tuple[Upload, ...]
    removals: tuple[Removal, ...]
    skipped: int
    manifest: Manifest
    theme_changed: bool
    release_changed: bool
    saves_source: bool
    dropped_releases: tuple[str, ...]
    abandoned: tuple[Slug, ...] = ()
    withdrawn: tuple[Sku, ...] = ()

    @property
    def empty(self) -> bool:
        """True if the live release is this one."""
        return not (self.uploads or self.removals or self.theme_changed or self.release_changed)

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key this plan changes."""
        uploaded = [upload.site_object.key for upload in self.uploads]
        return tuple(sorted([*uploaded, *(removal.key for removal in self.removals)]))

    @property
    def pages_touched(self) -> tuple[str, ...]:
        """Paths to invalidate in the CDN."""
        written = [
            upload.site_object.key for upload in self.uploads if upload.site_object.kind != ObjectKind.ASSET
        ]
        return tuple(page_path(key) for key in sorted((*written, *self.pages_removed)))

    @property
    def pages_removed(self) -> tuple[str, ...]:
        """Keys of pages that the shop loses."""
        return tuple(removal.key for removal in self.removals if removal.reason is Reason.GONE)


def diff(
    live: Manifest, release: Release, stored: Mapping[Slug, StockedProduct] | None = None, *, at_ms: int
) -> PublishPlan:
    """Return the steps from the live release to `release`.

    A page that vanished is deleted at once. An asset that vanished stays for a week, since caches may hold
    pages that load it, and for as long as a kept release has it. When a locale is dropped, the pages that the
    API redirects to stay, in the first locale's language.

    Args:
        live: the manifest of the live release.
        release: the release to publish.
        stored: the products in the table, by slug.
        at_ms: the time of the publish.
    """
    keys_in_doubt = frozenset(live.in_doubt)
    at_ms = time_after(live, at_ms)
    # A publish that did not end, or was overtaken, may have written the theme and deleted saved sources.
    theme_in_doubt = live.claim is not None or not live.theme
    objects = (*release.objects, *_answer_pages_of_dropped_locales(live, release))
    moved = _pages_of_moved_stock(live, release, stored or {})
    uploads = [
        Upload(site_object, _reason(live, site_object.key, keys_in_doubt, moved))
        for site_object in objects
        if site_object.key in keys_in_doubt
        or not (_is_live(live, site_object) or site_object.key in live.retired)
    ]
    theme = theme_digest(release.theme)
    wanted = fingerprints(objects)
    # The source of a release that goes live again, saved as a change of another one, is saved complete.
    complete = {past.release for past in live.kept if past.base is None or past.release == live.release}
    saves_source = theme_in_doubt or release.id not in complete
    kept, dropped_releases = _kept(live, release, at_ms, saves_source=saves_source)
    gone, retired = _vanished(live, wanted, at_ms)
    unused = [key for key, since_ms in retired.items() if _is_unused(since_ms, kept, at_ms)]
    removals = [Removal(key, Reason.GONE) for key in gone] + [Removal(key, Reason.UNUSED) for key in unused]
    still_retired = {key: since_ms for key, since_ms in retired.items() if key not in unused}
    return PublishPlan(
        uploads=tuple(sorted(uploads, key=lambda upload: UPLOAD_ORDER.index(upload.site_object.kind))),
        removals=tuple(removals),
        skipped=len(objects) - len(uploads),
        manifest=Manifest(release.id, wanted, still_retired, theme, kept, release.dates),
        theme_changed=theme != live.theme or theme_in_doubt,
        release_changed=release.id != live.release,
        saves_source=saves_source,
        dropped_releases=dropped_releases,
        abandoned=_abandoned(stored or {}, release),
        withdrawn=_withdrawn(stored or {}, release),
    )


def time_after(live: Manifest, at_ms: int) -> int:
    """Return the time of a publish: later than the one before, also if that machine's clock was ahead.

    By these times, a release that went live before an asset was retired is known to need it.
    """
    return max(at_ms, live.kept[0].live_at_ms + 1) if live.kept else at_ms


def theme_digest(theme: Theme) -> str:
    """Return a digest of everything in a theme but the release's name."""
    return hashlib.sha256(replace(theme, release="").to_json().encode()).hexdigest()


def _answer_pages_of_dropped_locales(live: Manifest, release: Release) -> Iterator[SiteObject]:
    """Yield pages for shoppers who have a page or an email of a dropped locale open."""
    objects = {site_object.key: site_object for site_object in release.objects}
    for key in sorted((live.objects.keys() | set(live.in_doubt)) - objects.keys()):
        root = root_of(f"/{key}")
        first = objects.get(key.removeprefix(f"{root[1:]}/"))
        if root and first and first.key.startswith(_ANSWER_PAGES):
            yield replace(first, key=key)


def _is_live(live: Manifest, site_object: SiteObject) -> bool:
    return live.objects.get(site_object.key) == fingerprint(site_object)


def _reason(live: Manifest, key: str, keys_in_doubt: frozenset[str], moved: Set[str]) -> Reason:
    if key in keys_in_doubt:
        return Reason.IN_DOUBT
    if key not in live.objects:
        return Reason.NEW
    return Reason.STOCK if key in moved else Reason.CHANGED


def _pages_of_moved_stock(
    live: Manifest, release: Release, stored: Mapping[Slug, StockedProduct]
) -> frozenset[str]:
    """Return the keys of the pages whose stock has changed since the live release."""
    since_ms = live.kept[0].live_at_ms if live.kept else 0
    moved = {
        slug
        for slug, stocked in stored.items()
        if any(stock.observed_at_ms > since_ms for stock in stocked.stock.values())
    }
    if not moved:
        return frozenset()
    parts = release.theme.sitemap_parts
    paths = {
        edition.localized_path(path)
        for edition in release.theme.editions
        for path in (
            *(f"/products/{slug}" for slug in moved),
            *(listing.path for listing in edition.listings if moved.intersection(listing.slugs)),
        )
    }
    return frozenset((*map(object_key, paths), *(part_key(path, parts) for path in paths)))


def _vanished(live: Manifest, wanted: Mapping[str, str], at_ms: int) -> tuple[list[str], dict[str, int]]:
    """Return the pages that are gone, and the retired assets with the time of their last use."""
    vanished = sorted((live.objects.keys() | set(live.in_doubt)) - wanted.keys())
    gone = [key for key in vanished if not _is_asset(key)]
    retired = {key: at_ms for key in vanished if _is_asset(key)}
    still_retired = {key: since_ms for key, since_ms in live.retired.items() if key not in wanted}
    return gone, {**retired, **still_retired}


def _kept(
    live: Manifest, release: Release, at_ms: int, *, saves_source: bool
) -> tuple[tuple[KeptRelease, ...], tuple[str, ...]]:
    """Return the releases to keep, `release` first, and those to drop, one that never ended included."""
    newest = live.kept[0] if live.kept else None
    if newest is None or newest.release != release.id:
        pages = sum(site_object.kind is not ObjectKind.ASSET for site_object in release.objects)
        newest = KeptRelease(release.id, at_ms, len(release.products), pages)
    return keep_first(replace(newest, base=None) if saves_source else newest, live)


def keep_first(newest: KeptRelease, live: Manifest) -> tuple[tuple[KeptRelease, ...], tuple[str, ...]]:
    """Return the releases to keep, `newest` first, and those whose saved sources no kept release needs."""
    kept = (newest, *(past for past in live.kept if past.release != newest.release))[:RELEASES_KEPT_MAX]
    known = _sources_of(live.kept) | ({live.claim.release} if live.claim else set())
    return kept, tuple(sorted(known - _sources_of(kept) - {""}))


def _sources_of(kept: Iterable[KeptRelease]) -> set[str]:
    """Return the releases whose saved sources a rollback to one of `kept` reads."""
    return {release for past in kept for release in (past.release, past.base) if release}


def _is_unused(since_ms: int, kept: Sequence[KeptRelease], at_ms: int) -> bool:
    """Return True if no cached page and no kept release loads an asset retired at `since_ms`."""
    return at_ms - since_ms >= RETIRED_KEPT_MS and not any(past.live_at_ms < since_ms for past in kept)


def _is_asset(key: str) -> bool:
    return key.startswith(("assets/", "pictures/"))


def _abandoned(stored: Mapping[Slug, StockedProduct], release: Release) -> tuple[Slug, ...]:
    return tuple(sorted(stored.keys() - set(release.products.slugs)))


def _withdrawn(stored: Mapping[Slug, StockedProduct], release: Release) -> tuple[Sku, ...]:
    before = {sku for stocked in stored.values() for sku in stocked.product.skus}
    return tuple(sorted(before - {sku for row in release.products.rows for sku in row.skus}))

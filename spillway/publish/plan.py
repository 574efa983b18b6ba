"""What a publish is going to do, decided before anything is done. Every step carries its reason."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from chalicelib.domain.locales import root_of
from chalicelib.storage.pages import page_path
from chalicelib.storefront.theme import Theme
from spillway.publish.manifest import Kept, Manifest, fingerprint, fingerprints
from spillway.sitegen.release import Kind, Release, SiteObject

# Browsers and caches may still hold pages that ask for yesterday's assets.
RETIRED_KEPT_MS = 7 * 24 * 3600 * 1000
# Those before can be gone back to: their source and their assets stay.
RELEASES_KEPT_MAX = 10
UPLOAD_ORDER = (Kind.ASSET, Kind.PAGE, Kind.INDEX)
# Where the API's answers lead. A signup knows the language of its page, not whether the shop still has it.
_ANSWER_PAGES = "waitlist/"


class Reason(StrEnum):
    """Why an object is touched."""

    NEW = "new"
    CHANGED = "changed"
    GONE = "gone from the shop"
    UNUSED = "unused for a week"
    UNSURE = "a publish that did not end may have changed it"


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
class Plan:
    """Uploads in order (what a page asks for comes before it), removals after all of them, and the
    manifest that is true once everything is done. `keeps` says that the release's source are to be kept,
    `forgets` which releases' are not any longer, `withdrawn` which SKUs the shop no longer sells."""

    uploads: tuple[Upload, ...]
    removals: tuple[Removal, ...]
    skipped: int
    manifest: Manifest
    theme_changed: bool
    release_changed: bool
    keeps: bool
    forgets: tuple[str, ...]
    withdrawn: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.uploads or self.removals or self.theme_changed or self.release_changed)

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key this plan may change."""
        touched = [upload.site_object.key for upload in self.uploads]
        return tuple(sorted([*touched, *(removal.key for removal in self.removals)]))

    @property
    def pages_touched(self) -> tuple[str, ...]:
        """Paths whose old copies in the CDN are wrong after this publish."""
        turned = [upload.site_object.key for upload in self.uploads if upload.site_object.kind != Kind.ASSET]
        return tuple(page_path(key) for key in sorted((*turned, *self.pages_removed)))

    @property
    def pages_removed(self) -> tuple[str, ...]:
        """Keys that the shop loses."""
        return tuple(removal.key for removal in self.removals if removal.reason is Reason.GONE)


def make_plan(live: Manifest, release: Release, *, at_ms: int) -> Plan:
    """How to get from the live release to `release`.

    A page that vanished goes at once. Anything else that vanished is kept for a week, for caches
    may still hold pages that ask for it, and for as long as a kept release needs it. Of a locale that was
    dropped, the pages that answers lead to stay, in the words of the first.
    """
    unsure = frozenset(live.unsure)
    # A publish that did not end, or was overtaken, may have written the theme and deleted source.
    in_doubt = live.claim is not None or not live.theme
    objects = (*release.objects, *_stand_ins(live, release))
    uploads = [
        Upload(each, _reason(live, each.key, unsure))
        for each in objects
        if each.key in unsure or not (_is_live(live, each) or each.key in live.retired)
    ]
    theme = theme_digest(release.theme)
    wanted = fingerprints(objects)
    kept, forgets = _kept(live, release, at_ms)
    gone, retired = _vanished(live, wanted, at_ms)
    unused = [key for key, since_ms in retired.items() if _is_unused(since_ms, kept, at_ms)]
    removals = [Removal(key, Reason.GONE) for key in gone] + [Removal(key, Reason.UNUSED) for key in unused]
    still_retired = {key: since for key, since in retired.items() if key not in unused}
    return Plan(
        uploads=tuple(sorted(uploads, key=lambda upload: UPLOAD_ORDER.index(upload.site_object.kind))),
        removals=tuple(removals),
        skipped=len(objects) - len(uploads),
        manifest=Manifest(release.id, wanted, still_retired, theme, kept, release.dates),
        theme_changed=theme != live.theme or in_doubt,
        release_changed=release.id != live.release,
        keeps=in_doubt or release.id not in {each.release for each in live.kept},
        forgets=forgets,
    )


def theme_digest(theme: Theme) -> str:
    """Changes with anything in a theme but its name."""
    return hashlib.sha256(replace(theme, release="").to_json().encode()).hexdigest()


def _stand_ins(live: Manifest, release: Release) -> Iterator[SiteObject]:
    """For those who have a page or an email of a dropped locale open: what they do there is answered."""
    objects = {each.key: each for each in release.objects}
    for key in sorted((live.objects.keys() | set(live.unsure)) - objects.keys()):
        root = root_of(f"/{key}")
        first = objects.get(key.removeprefix(f"{root[1:]}/"))
        if root and first and first.key.startswith(_ANSWER_PAGES):
            yield replace(first, key=key)


def _is_live(live: Manifest, each: SiteObject) -> bool:
    return live.objects.get(each.key) == fingerprint(each)


def _reason(live: Manifest, key: str, unsure: frozenset[str]) -> Reason:
    if key in unsure:
        return Reason.UNSURE
    return Reason.CHANGED if key in live.objects else Reason.NEW


def _vanished(live: Manifest, wanted: Mapping[str, str], at_ms: int) -> tuple[list[str], dict[str, int]]:
    vanished = sorted((live.objects.keys() | set(live.unsure)) - wanted.keys())
    gone = [key for key in vanished if not _is_asset(key)]
    retired = {key: at_ms for key in vanished if _is_asset(key)}
    still_retired = {key: since for key, since in live.retired.items() if key not in wanted}
    return gone, {**retired, **still_retired}


def _kept(live: Manifest, release: Release, at_ms: int) -> tuple[tuple[Kept, ...], tuple[str, ...]]:
    """The last releases, `release` first; and those whose source are dropped, that of a publish which never
    ended among them."""
    newest = live.kept[0] if live.kept else None
    if newest is None or newest.release != release.id:
        pages = sum(each.kind is not Kind.ASSET for each in release.objects)
        newest = Kept(release.id, at_ms, len(release.products), pages)
    kept = (newest, *(each for each in live.kept if each.release != release.id))[:RELEASES_KEPT_MAX]
    known = {each.release for each in live.kept} | ({live.claim.release} if live.claim else set())
    return kept, tuple(sorted(known - {each.release for each in kept} - {""}))


def _is_unused(since_ms: int, kept: Sequence[Kept], at_ms: int) -> bool:
    """Whether what went out of use at `since_ms` is asked for by no cached page and no kept release."""
    return at_ms - since_ms >= RETIRED_KEPT_MS and not any(each.live_at_ms < since_ms for each in kept)


def _is_asset(key: str) -> bool:
    return key.startswith(("assets/", "pictures/"))

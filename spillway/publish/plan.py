"""What a publish is going to do, decided before anything is done. Every step carries its reason."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from chalicelib.storefront.theme import Theme
from spillway.build.release import Kind, Release, SiteObject
from spillway.publish.manifest import Manifest, fingerprint, fingerprints

# Browsers and caches may still hold pages that ask for yesterday's assets.
RETIRED_KEPT_MS = 7 * 24 * 3600 * 1000
UPLOAD_ORDER = (Kind.ASSET, Kind.PAGE, Kind.INDEX)


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
    manifest that is true once everything is done."""

    uploads: tuple[Upload, ...]
    removals: tuple[Removal, ...]
    skipped: int
    manifest: Manifest
    theme_changed: bool

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.uploads or self.removals or self.theme_changed)

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key this plan may change."""
        touched = [upload.site_object.key for upload in self.uploads]
        return tuple(sorted([*touched, *(removal.key for removal in self.removals)]))

    @property
    def pages_touched(self) -> tuple[str, ...]:
        """Paths whose old copies in the CDN are wrong after this publish."""
        turned = [upload.site_object.key for upload in self.uploads if upload.site_object.kind != Kind.ASSET]
        touched = sorted((*turned, *self.pages_removed))
        return tuple("/" if key == "index.html" else f"/{key}" for key in touched)

    @property
    def pages_removed(self) -> tuple[str, ...]:
        """Keys that the shop loses."""
        return tuple(removal.key for removal in self.removals if removal.reason is Reason.GONE)


def make_plan(live: Manifest, release: Release, *, at_ms: int) -> Plan:
    """How to get from the live release to `release`.

    A page that vanished goes at once. Anything else that vanished is kept for a week, for caches
    may still hold pages that ask for it.
    """
    unsure = frozenset(live.unsure)
    uploads = [
        Upload(each, _reason(live, each.key, unsure))
        for each in release.objects
        if each.key in unsure or live.objects.get(each.key) != fingerprint(each)
    ]
    theme = theme_digest(release.theme)
    wanted = fingerprints(release.objects)
    gone, retired = _vanished(live, wanted, at_ms)
    unused = [key for key, since_ms in retired.items() if at_ms - since_ms >= RETIRED_KEPT_MS]
    removals = [Removal(key, Reason.GONE) for key in gone] + [Removal(key, Reason.UNUSED) for key in unused]
    return Plan(
        uploads=tuple(sorted(uploads, key=lambda upload: UPLOAD_ORDER.index(upload.site_object.kind))),
        removals=tuple(removals),
        skipped=len(release.objects) - len(uploads),
        manifest=Manifest(
            release.id, wanted, {key: since for key, since in retired.items() if key not in unused}, theme
        ),
        theme_changed=theme != live.theme or live.claim is not None,
    )


def theme_digest(theme: Theme) -> str:
    """Changes with anything in a theme but its name."""
    return hashlib.sha256(replace(theme, release="").to_json().encode()).hexdigest()


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


def _is_asset(key: str) -> bool:
    return key.startswith(("assets/", "pictures/"))

"""What a publish is going to do, decided before anything is done. Every step carries its reason."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

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

    @property
    def pages_touched(self) -> tuple[str, ...]:
        """Paths whose old copies in the CDN are wrong after this publish."""
        turned = [upload.site_object.key for upload in self.uploads if upload.site_object.kind != Kind.ASSET]
        removed = [removal.key for removal in self.removals if removal.reason is Reason.GONE]
        return tuple("/" if key == "index.html" else f"/{key}" for key in sorted((*turned, *removed)))


def make_plan(live: Manifest, release: Release, *, at_ms: int) -> Plan:
    """How to get from the live release to `release`.

    A page that vanished goes at once. Anything else that vanished is kept for a week, for caches
    may still hold pages that ask for it.
    """
    uploads = [
        Upload(each, Reason.CHANGED if each.key in live.objects else Reason.NEW)
        for each in release.objects
        if live.objects.get(each.key) != fingerprint(each)
    ]
    wanted = fingerprints(release.objects)
    gone, retired = _vanished(live, wanted, at_ms)
    unused = [key for key, since_ms in retired.items() if at_ms - since_ms >= RETIRED_KEPT_MS]
    removals = [Removal(key, Reason.GONE) for key in gone] + [Removal(key, Reason.UNUSED) for key in unused]
    return Plan(
        uploads=tuple(sorted(uploads, key=lambda upload: UPLOAD_ORDER.index(upload.site_object.kind))),
        removals=tuple(removals),
        skipped=len(release.objects) - len(uploads),
        manifest=Manifest(
            release.id, wanted, {key: since for key, since in retired.items() if key not in unused}
        ),
    )


def _vanished(live: Manifest, wanted: Mapping[str, str], at_ms: int) -> tuple[list[str], dict[str, int]]:
    vanished = sorted(live.objects.keys() - wanted.keys())
    gone = [key for key in vanished if not _is_asset(key)]
    retired = {key: at_ms for key in vanished if _is_asset(key)}
    still_retired = {key: since for key, since in live.retired.items() if key not in wanted}
    return gone, {**retired, **still_retired}


def _is_asset(key: str) -> bool:
    return key.startswith(("assets/", "pictures/"))

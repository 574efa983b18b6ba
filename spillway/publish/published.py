"""The release that this machine published last, as the database of its folder knows it.

It stands beside what the build of that folder knew, and holds for one manifest, known by its ETag:
where another one is live, or another build has filled the folder since, nothing of it is trusted.
"""

from pathlib import Path
from typing import NamedTuple

from chalicelib.domain.ids import Slug
from chalicelib.domain.tokens import FormTokens
from spillway.project import Project
from spillway.publish.live_manifest import LiveManifest
from spillway.sitegen.known_shop import keep_shop
from spillway.sitegen.last_build import LastBuild
from spillway.sitegen.release import ObjectKind, Release

_PUBLISHED, _SOURCE = "published", "source"


class PublishedFolder(NamedTuple):
    """The release in the folder, as it is live.

    Attributes:
        etag: the ETag of its manifest.
        series: the series of the form tokens on its pages.
        objects: how many objects it has.
        abandoned: slugs that are in the table but not in the release.
    """

    etag: str
    series: str
    objects: int
    abandoned: tuple[Slug, ...]


class SavedSource(NamedTuple):
    """How the source of a release was saved.

    Attributes:
        release: the release.
        base: the release whose source is saved complete; the same one, or one before.
        slugs: the products that are others than in the base.
        has_theme: the theme is another than the base's.
    """

    release: str
    base: str
    slugs: tuple[Slug, ...] = ()
    has_theme: bool = False


def publish_folder(project: Project) -> Path:
    """Return the folder that a publish renders into."""
    return project.cache / "site"


def published_in(last: LastBuild) -> PublishedFolder | None:
    """Return what is published of the folder; None where that is not known."""
    known = last.get(_PUBLISHED)
    return PublishedFolder(*known) if known and len(known) == len(PublishedFolder._fields) else None


def saved_source(last: LastBuild, release: str) -> SavedSource | None:
    """Return how the source of the live release was saved; None where that is not known."""
    known = last.get(_SOURCE)
    found = SavedSource(*known) if known and len(known) == len(SavedSource._fields) else None
    return found if found and found.release == release else None


def put_published(last: LastBuild, published: PublishedFolder, source: SavedSource | None) -> None:
    """Keep what is published from now on; None: how its source was saved is as it was."""
    last.set(_PUBLISHED, tuple(published))
    if source:
        last.set(_SOURCE, tuple(source))


def keep_published(
    last: LastBuild,
    release: Release,
    live: LiveManifest,
    form_tokens: FormTokens,
    *,
    featured: tuple[Slug, ...],
    abandoned: tuple[Slug, ...],
) -> None:
    """Keep a release that was just rendered into the folder and published.

    Args:
        last: the database of the folder.
        release: the release.
        live: its manifest, complete.
        form_tokens: signed the form tokens of its pages.
        featured: the products that the shop's settings name for the home page.
        abandoned: slugs that are in the table but not in the release.
    """
    if not _is_in_folder(last, release):
        return
    keep_shop(release, featured, last)
    last.set("release", release.id)
    last.replace("dates", "path", {path: (path, *dated) for path, dated in release.dates.items()})
    kept = live.manifest.kept
    complete = bool(kept) and kept[0].release == release.id and kept[0].base is None
    put_published(
        last,
        PublishedFolder(live.etag or "", form_tokens.series, len(release.objects), abandoned),
        SavedSource(release.id, release.id) if complete else None,
    )


def _is_in_folder(last: LastBuild, release: Release) -> bool:
    """Return whether the folder still holds the pages of a release: another command may have built there."""
    there = {sha256 for (sha256,) in last.query("SELECT sha256 FROM files")}
    return there.issuperset(page.sha256 for page in release.objects if page.kind is not ObjectKind.ASSET)

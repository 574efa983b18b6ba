"""Build what changed since the last build: nothing, the pages of a few edited products, or the whole shop."""

from collections import Counter
from collections.abc import Mapping
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from spillway.project import Project
from spillway.sitegen.cache import Report, Signature, code_digest, digest_of, is_settled, signatures_by_folder
from spillway.sitegen.last_build import OUTPUT, SHOP, THEME, Files, LastBuild, again_if_damaged
from spillway.sitegen.parallel import collector_off
from spillway.terminal import pluralize

if TYPE_CHECKING:
    from spillway.sitegen.release import Release

# The part of a signature that the kernel sets itself.
_CHANGED_NS = itemgetter(2)


class FileComparison:
    """The files of a shop and of its output directory, compared with the last build into that directory."""

    def __init__(
        self,
        project: Project,
        output_dir: Path,
        *,
        base_url: str | None,
        skip_broken_pictures: bool = False,
    ) -> None:
        """Take the signatures of the shop's files as they are now."""
        self._output_dir = output_dir
        self._context = digest_of(code_digest(), base_url, skip_broken_pictures)
        self._inputs: dict[str, Files] = {
            path: _settled(files)
            for name, folder in ((SHOP, project.site), (THEME, project.default_theme))
            for path, files in signatures_by_folder(str(folder), name, follows_links=True).items()
        }

    def changed_inputs(self, last: LastBuild) -> tuple[str, ...] | None:
        """Return the files that changed where nothing else did; None where anything can have.

        Names begin with "site/", or with "theme/" for the default theme. Nothing else means: the last build
        had the same options and the same code, no file was added or removed, and its output is untouched.
        """
        if last.get("context") != self._context:
            return None
        changed = last.changed_in(self._inputs, SHOP, THEME)
        if changed is None:
            return None
        output = signatures_by_folder(str(self._output_dir), OUTPUT)
        return changed if last.changed_in(output, OUTPUT) == () else None

    def record(self, last: LastBuild, report: Report) -> None:
        """Record a build that just succeeded. Files edited while it ran count as changed."""
        last.set("context", self._context)
        last.set("report", tuple(report))
        last.keep_folders((SHOP, THEME), self._inputs)


def build_what_changed(
    project: Project, folder: Path, *, base_url: str | None = None, skip_broken_pictures: bool = False
) -> Report:
    """Make `folder` hold the shop under `project`, and return the report.

    Nothing is done when nothing changed. A change inside product files makes the pages that depend on them;
    any other change is left to a whole build, which looks at everything. The files are the same in each case.

    Raises:
        BadInput: see `build`.
    """
    return again_if_damaged(
        partial(_build_what_changed, project, folder, base_url, skip_broken_pictures=skip_broken_pictures)
    )


def _build_what_changed(
    project: Project, folder: Path, base_url: str | None, *, skip_broken_pictures: bool
) -> Report:
    with collector_off(), LastBuild(project, folder) as last:
        comparison = FileComparison(
            project, folder, base_url=base_url, skip_broken_pictures=skip_broken_pictures
        )
        changed = comparison.changed_inputs(last)
        report = last.report()
        if changed == () and report:
            return report
        # Imported here: an unchanged shop does not need them.
        from spillway.sitegen.small_change import plan_small_change

        change = plan_small_change(project, folder, last, changed, report) if changed and report else None
        if change and report:
            made = change.write(report)
        else:
            from spillway.sitegen.known_shop import keep_shop
            from spillway.sitegen.site import read_site, render_site

            site = read_site(project, base_url=base_url, skip_broken_pictures=skip_broken_pictures)
            release = render_site(project, site, folder=folder, last=last)
            made = report_of(release)
            last.set("release", release.id)
            keep_shop(release, site.catalogue.storefront.home.featured, last)
        comparison.record(last, made)
        return made


def report_of(release: "Release") -> Report:
    """Return the report of a release that was just built."""
    from spillway.sitegen.release import ObjectKind

    counts = Counter(site_object.kind for site_object in release.objects)
    pages = counts[ObjectKind.PAGE] + counts[ObjectKind.INDEX]
    summary = (
        f"release {release.id} for {release.theme.shop.base_url}: "
        f"{pluralize(len(release.products), 'product')}, {pluralize(pages, 'page')}, "
        f"{counts[ObjectKind.ASSET]:,} pictures and assets"
    )
    notes = (*release.missing_translations, *release.notes)
    return Report(summary, notes, release.sales, release.left_out, release.launches)


def _settled(files: Mapping[str, Signature]) -> Files:
    if is_settled(max(files.values(), key=_CHANGED_NS)):
        return files
    return {name: signature if is_settled(signature) else None for name, signature in files.items()}

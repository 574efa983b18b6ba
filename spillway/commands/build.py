"""`spillway build`: the whole site under build/, ready to look at or to publish."""

import time
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from spillway.commands.pictures import show_left_out, skip_broken_pictures_option
from spillway.pluralize import pluralize
from spillway.project import Project
from spillway.sitegen.sales import ended_sales
from spillway.sitegen.up_to_date import Report, UpToDate

if TYPE_CHECKING:
    from spillway.sitegen.release import Release


@click.command("build")
@click.option("--base-url", metavar="URL", help="Build for this address instead of the one in site.toml.")
@skip_broken_pictures_option
@click.pass_obj
def build_command(project: Project, base_url: str | None, *, skip_broken_pictures: bool) -> None:
    """Make every page, picture and asset of the shop.

    What did not change since the last build is not made again. Mistakes in the catalogue are listed all
    at once, and the last good output stays.

    Exit status: 0 when the shop was built, also where --skip-broken-pictures left pictures out; 2 when
    something in the catalogue has to be corrected first.
    """
    started = time.perf_counter()
    folder = project.output / "site"
    up_to_date = UpToDate(project, folder, base_url=base_url, skip_broken_pictures=skip_broken_pictures)
    report = up_to_date.report()
    if report is None:
        # Loaded only now: most of what it brings is not needed to see that nothing changed.
        from spillway.sitegen.site import build

        release = build(project, base_url=base_url, folder=folder, skip_broken_pictures=skip_broken_pictures)
        report = Report(
            _summary(release),
            (*release.missing_translations, *release.notes),
            release.sales,
            release.left_out,
        )
        up_to_date.note(report)
    today = datetime.now(UTC).date().isoformat()
    for line in (*report.missing_translations, *ended_sales(report.sales, today=today)):
        click.echo(line, err=True)
    click.echo(f"{report.summary} in {time.perf_counter() - started:.1f} s")
    click.echo(f"  {folder.relative_to(project.root)}/")
    show_left_out(report.left_out)


def _summary(release: "Release") -> str:
    from spillway.sitegen.release import Kind

    counts = Counter(each.kind for each in release.objects)
    pages = counts[Kind.PAGE] + counts[Kind.INDEX]
    return (
        f"release {release.id} for {release.theme.shop.base_url}: "
        f"{pluralize(len(release.products), 'product')}, {pluralize(pages, 'page')}, "
        f"{counts[Kind.ASSET]:,} pictures and assets"
    )

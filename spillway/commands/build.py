"""`spillway build`: the whole site under build/, ready to look at or to publish."""

import time
from collections import Counter

import click

from spillway.build.release import Kind
from spillway.build.site import build
from spillway.project import Project


@click.command("build")
@click.option("--base-url", metavar="URL", help="Build for this address instead of the one in site.toml.")
@click.pass_obj
def build_command(project: Project, base_url: str | None) -> None:
    """Make every page, picture and asset of the shop.

    Mistakes in the catalogue are listed all at once, and the last good output stays.
    """
    started = time.perf_counter()
    folder = project.output / "site"
    release = build(project, base_url=base_url, folder=folder)
    elapsed_s = time.perf_counter() - started
    counts = Counter(each.kind for each in release.objects)
    pages = counts[Kind.PAGE] + counts[Kind.INDEX]
    click.echo(
        f"release {release.id}: {len(release.products)} products, {pages} pages, "
        f"{counts[Kind.ASSET]} pictures and assets in {elapsed_s:.1f} s"
    )
    click.echo(f"  {folder.relative_to(project.root)}/ for {release.theme.shop.base_url}")

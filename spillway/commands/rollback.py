"""`spillway rollback`: a release that was live before, live again."""

from datetime import UTC, datetime

import click

from chalicelib.clock import clock_ms
from spillway.commands.options import stage_option
from spillway.commands.progress import progress_bar
from spillway.commands.publish import bring, warn_of_people_left
from spillway.deploy.agreement import agreeing
from spillway.pluralize import pluralize
from spillway.project import Project
from spillway.publish.manifest import Kept, Manifest
from spillway.publish.sources import chosen, of_kept
from spillway.publish.target import target_of
from spillway.stage import stage_named


@click.command("rollback")
@click.argument("release", required=False)
@stage_option
@click.option("--list", "only_list", is_flag=True, help="Name the releases that can be gone back to.")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and why; do nothing.")
@click.option("--delete-many", is_flag=True, help="Go on where a large part of the shop would be deleted.")
@click.pass_obj
def rollback_command(
    project: Project,
    release: str | None,
    stage_name: str,
    *,
    only_list: bool,
    dry_run: bool,
    delete_many: bool,
) -> None:
    """Go back to RELEASE, or to the one that was live before.

    Pages, sitemap, feed, theme, emails and the catalogue become what they were; stock, shoppers and the
    files of this folder stay as they are. RELEASE may be the beginning of a name.
    """
    stage = stage_named(project, stage_name)
    with progress_bar() as bar:
        task = bar.add_task("going back", total=None)
        with target_of(stage, project, clock_ms) as target:
            live = target.live.read().manifest
            if only_list:
                show_kept(live)
                return
            kept = chosen(live, release)
            make = agreeing(stage, of_kept(kept, project, target))
            withdrawn = bring(target, make, bar, task, dry_run=dry_run, delete_many=delete_many)
            warn_of_people_left(stage, withdrawn)
    if not dry_run:
        click.echo(f"  as it was live from {_day(kept)}; spillway publish brings back what this folder holds")


def show_kept(live: Manifest) -> None:
    """The releases that can be gone back to, the live one first, and what was begun and not ended."""
    for each in live.kept:
        is_live = "live" if each.release == live.release else "    "
        size = f"{pluralize(each.products, 'product')}, {pluralize(each.pages, 'page')}"
        click.echo(f"{each.release}  {is_live}  {_day(each)}  {size}")
    if not live.kept:
        click.echo("nothing was published yet")
    if live.claim:
        click.echo(f"  {live.claim.release} was begun and not ended: publish or roll back to end it")


def _day(kept: Kept) -> str:
    return datetime.fromtimestamp(kept.live_at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

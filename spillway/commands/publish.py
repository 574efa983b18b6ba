"""Put the shop's pages online: `spillway publish` and `spillway rollback`."""

from collections.abc import Callable
from functools import partial

import click
from rich.progress import Progress, TaskID

from chalicelib.domain.ids import Sku
from chalicelib.settings import clock_ms
from spillway.commands.options import (
    on_stage,
    quiet_option,
    refuse_ignored,
    show_left_out,
    skip_broken_pictures_option,
    stage_option,
)
from spillway.merchant.stock_import import typed_move
from spillway.project import LOCAL_STAGE, Project
from spillway.publish.change import publish_shop
from spillway.publish.manifest import KeptRelease, Manifest
from spillway.publish.plan import PublishPlan, Reason
from spillway.publish.run import Published, plan_publish, run_publish
from spillway.publish.sources import choose_kept, load_folder, load_kept
from spillway.publish.target import publish_target
from spillway.sitegen.notes import require_filled_in
from spillway.stage import Stage, stage_named
from spillway.terminal import moment, pluralize, progress_bar

REASONS = {
    Reason.NEW: "new",
    Reason.CHANGED: "changed",
    Reason.STOCK: "changed, as its stock did since the last publish",
    Reason.GONE: "gone from the shop",
    Reason.UNUSED: "unused for a week",
    Reason.IN_DOUBT: "perhaps not in the bucket as it was published",
}


@click.command("publish")
@stage_option
@click.option("--base-url", metavar="URL", help="Publish for this address instead of base_url in site.toml.")
@click.option("--dry-run", is_flag=True, help="Show the plan with its reasons; change nothing.")
@click.option(
    "--delete-many", is_flag=True, help="Continue even if a large part of the shop would be deleted."
)
@click.option("--all", "everything", is_flag=True, help="Upload unchanged files, too.")
@skip_broken_pictures_option
@quiet_option
@click.pass_obj
def publish_command(
    project: Project,
    stage_name: str,
    base_url: str | None,
    *,
    dry_run: bool,
    delete_many: bool,
    everything: bool,
    skip_broken_pictures: bool,
    quiet: bool,
) -> None:
    """Build the shop with today's stock and upload what changed.

    Only changed files are uploaded; --dry-run shows the plan. --all restores files that were deleted or
    changed in the bucket by hand. A shop with places marked [FILL IN: ...] is
    published to the stage local only.

    \b
    Examples:
      spillway publish --dry-run --stage production
      spillway publish --stage production
    """
    if dry_run:
        refuse_ignored("with --dry-run", ignored={"quiet"})
    if stage_name != LOCAL_STAGE and not dry_run:
        require_filled_in(project)
    stage = stage_named(project, stage_name)
    base_url = base_url or stage.shop_url
    with progress_bar() as bar:
        task = bar.add_task("publishing", total=None)
        with publish_target(stage, project, clock_ms) as target:
            load = partial(load_folder, project, base_url=base_url, skip_broken_pictures=skip_broken_pictures)
            withdrawn = publish_or_plan(
                partial(
                    publish_shop,
                    project,
                    target,
                    base_url=base_url,
                    skip_broken_pictures=skip_broken_pictures,
                    delete_many=delete_many,
                    everything=everything,
                ),
                partial(plan_publish, load, target, everything=everything),
                bar,
                task,
                dry_run=dry_run,
                quiet=quiet,
            )
            warn_of_people_left(stage, withdrawn)


def publish_or_plan(
    publish: Callable[..., Published],
    plan: Callable[[], PublishPlan],
    bar: Progress,
    task: TaskID,
    *,
    dry_run: bool,
    quiet: bool = False,
) -> tuple[Sku, ...]:
    """Publish and print the result, or print the plan in a dry run; return the SKUs no longer sold.

    With `quiet`, only warnings are printed.
    """
    if dry_run:
        planned = plan()
        show_plan(planned)
        return planned.withdrawn

    def progress(done: int, total: int) -> None:
        bar.update(task, completed=done, total=total)

    published = publish(progress=progress)
    show_published(published, quiet=quiet)
    return published.withdrawn


def warn_of_people_left(stage: Stage, withdrawn: tuple[Sku, ...]) -> None:
    """Print each SKU that is no longer sold and has a waitlist, with the command that moves its people."""
    if not withdrawn:
        return
    shards = stage.container().shards
    for sku in withdrawn:
        count = shards.count(sku)
        if count:
            click.echo(
                f"{sku}: no longer sold, {pluralize(count, 'person waits', 'people wait')} for it;"
                f" move them to another SKU: {typed_move(sku, stage.name)}",
                err=True,
            )


def show_published(published: Published, *, quiet: bool = False) -> None:
    """Print the result in one line, unless `quiet`, and warnings."""
    for line in (*published.missing_translations, *published.ended_sales, *published.late_launches):
        click.echo(line, err=True)
    if not quiet:
        click.echo(
            f"release {published.release}: {pluralize(published.uploaded, 'object')} put, "
            f"{published.skipped:,} unchanged, {published.removed:,} removed"
        )
    for slug in published.abandoned:
        click.echo(f"  {slug}: no longer in the catalogue; shoppers may still wait for it", err=True)
    show_left_out(published.left_out)
    if published.stock_moved:
        click.echo(
            "stock changed during every pass: a page may be older than its stock; publish again", err=True
        )


def show_plan(plan: PublishPlan) -> None:
    """Print each step of a plan with its reason."""
    for upload in plan.uploads:
        click.echo(f"put     {upload.site_object.key}  ({REASONS[upload.reason]})")
    for removal in plan.removals:
        click.echo(f"delete  {removal.key}  ({REASONS[removal.reason]})")
    if plan.theme_changed:
        click.echo("put     rules.json  (the rules by which the shop reacts to its own events)")
        click.echo("put     theme.json  (templates of the pages and emails that the cloud renders)")
    click.echo(f"{len(plan.uploads)} to put, {len(plan.removals)} to delete, {plan.skipped} unchanged")


@click.command("rollback")
@click.argument("release", required=False)
@stage_option
@click.option("--list", "only_list", is_flag=True, help="List the releases to go back to.")
@click.option("--dry-run", is_flag=True, help="Show the plan with its reasons; change nothing.")
@click.option(
    "--delete-many", is_flag=True, help="Continue even if a large part of the shop would be deleted."
)
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
    """Make an earlier release live again.

    RELEASE is the beginning of a release's name; without it, the previous release. Pages, sitemap, feed,
    theme, emails and catalogue become those of the release; stock, shoppers and the files of this folder
    stay.

    \b
    Examples:
      spillway rollback --list --stage production
      spillway rollback --stage production
    """
    if only_list:
        refuse_ignored("with --list", heeded={"stage_name"})
    stage = stage_named(project, stage_name)
    with progress_bar() as bar:
        task = bar.add_task("going back", total=None)
        with publish_target(stage, project, clock_ms) as target:
            live = target.manifest.read().manifest
            if only_list:
                show_kept(live)
                return
            kept = choose_kept(live, release)
            load = partial(load_kept, kept, project, target)
            withdrawn = publish_or_plan(
                partial(run_publish, load, target, delete_many=delete_many),
                partial(plan_publish, load, target),
                bar,
                task,
                dry_run=dry_run,
            )
            warn_of_people_left(stage, withdrawn)
    if not dry_run:
        click.echo(
            f"  as it was live from {_day(kept)};"
            f" spillway publish{on_stage()} makes the files of this folder live again"
        )


def show_kept(live: Manifest) -> None:
    """Print the releases to go back to, the live one first, and an unfinished publish."""
    for kept in live.kept:
        is_live = "live" if kept.release == live.release else "    "
        size = f"{pluralize(kept.products, 'product')}, {pluralize(kept.pages, 'page')}"
        click.echo(f"{kept.release}  {is_live}  {_day(kept)}  {size}")
    if not live.kept:
        click.echo("nothing was published yet")
    if live.claim:
        click.echo(f"  {live.claim.release} was not finished: publish or roll back to finish it")


def _day(kept: KeptRelease) -> str:
    return f"{moment(kept.live_at_ms)} UTC"

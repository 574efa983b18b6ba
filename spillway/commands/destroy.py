"""`spillway destroy`: the end of a stage."""

import click
from rich.console import Console

from spillway.errors import BadInput
from spillway.operate.teardown import Teardown, destroy, plan_destruction
from spillway.pluralize import pluralize
from spillway.project import Project
from spillway.stage import LOCAL, stage_named


@click.command("destroy")
@click.option("--stage", "stage_name", required=True, metavar="NAME")
@click.option("--with-data", is_flag=True, help="Delete the tables, the buckets and the keys as well.")
@click.option("--dry-run", is_flag=True, help="Show what would go; do nothing.")
@click.option("--yes-destroy", metavar="NAME", help="Say the stage's name once more instead of being asked.")
@click.pass_obj
def destroy_command(
    project: Project, stage_name: str, yes_destroy: str | None, *, with_data: bool, dry_run: bool
) -> None:
    """Take a stage down. Entries, products and pages stay unless --with-data says otherwise."""
    if stage_name == LOCAL:
        raise BadInput(
            "--stage local: the local cloud goes when its demo ends",
            hint="spillway demo --fresh forgets what it kept",
        )
    stage = stage_named(project, stage_name)
    console = Console(highlight=False, soft_wrap=True)
    plan = plan_destruction(stage, with_data=with_data)
    _show(console, plan)
    if dry_run:
        return
    if (yes_destroy or click.prompt(f"Type {stage_name} to destroy it")) != stage_name:
        raise BadInput(f"{yes_destroy or 'that'} is not the stage's name", hint="nothing was done")
    destroy(stage, plan, console.print)
    if plan.kept and not with_data:
        console.print("A new stack begins with what stays, where it is deployed so:")
        words = " ".join(f"--adopt {kept.logical_id}={kept.name}" for kept in plan.kept)
        console.print(f"  spillway deploy --stage {stage_name} {words}", markup=False)


def _show(console: Console, plan: Teardown) -> None:
    console.print(f"{plan.stack_name}: {pluralize(plan.goes, 'resource goes', 'resources go')}")
    verb = "[bold red]is deleted with all that is in it[/bold red]" if plan.with_data else "stays"
    for kept in plan.kept:
        console.print(f"  {kept.logical_id} ({kept.resource_type}, {kept.name}) {verb}")
